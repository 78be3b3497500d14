package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/internal/index"
)

func jobCommand(p Process) *cobra.Command {
	return below(&cobra.Command{Use: "job", Short: "List jobs, wait for them, and fetch what they offer"},
		jobListCommand(p), jobShowCommand(p), jobWaitCommand(p), jobOutputCommand(p))
}

// jobDocument is a job for scripts.
type jobDocument struct {
	ID          string     `json:"job_id"`
	Action      string     `json:"action"`
	Description string     `json:"description"`
	ArchiveID   string     `json:"archive_id,omitempty"`
	Range       string     `json:"range,omitempty"`
	Tier        string     `json:"tier,omitempty"`
	Format      string     `json:"format,omitempty"`
	Status      string     `json:"status"`
	Message     string     `json:"message,omitempty"`
	Created     time.Time  `json:"created_at"`
	Completed   *time.Time `json:"completed_at,omitempty"`
	Size        *int64     `json:"size,omitempty"` // of what it offers
	TreeHash    string     `json:"tree_hash,omitempty"`
	Topic       string     `json:"sns_topic,omitempty"`
}

func jobOf(j *glacier.Job) jobDocument {
	d := jobDocument{ID: j.ID, Action: j.Action, Description: j.JobDescription, ArchiveID: j.ArchiveID, Range: j.RetrievalByteRange, Tier: j.Tier, Status: j.StatusCode,
		Message: j.StatusMessage, Created: j.CreationDate, TreeHash: j.SHA256TreeHash, Topic: j.SNSTopic}
	if p := j.InventoryRetrievalParameters; p != nil {
		d.Format = p.Format
	}
	if j.Completed {
		d.Completed = &j.CompletionDate
	}
	if n, err := j.OutputSize(); err == nil && (j.StatusCode == glacier.Succeeded || j.ArchiveID != "") {
		d.Size = &n
	}
	return d
}

// findJob returns the job with an id, or the only one whose id begins so.
func (s *session) findJob(ctx context.Context, vault, id string) (*glacier.Job, error) {
	if wholeID.MatchString(id) {
		return s.client.DescribeJob(ctx, vault, id)
	}
	var found []glacier.Job
	for j, err := range s.client.Jobs(ctx, vault, glacier.JobFilter{}) {
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(j.ID, id) {
			found = append(found, j)
		}
	}
	list := fmt.Sprintf("`moraine job list --vault %s` lists them.", quoted(vault))
	switch len(found) {
	case 0:
		return nil, &exitError{exitNotFound, list, fmt.Errorf("there is no job whose id begins with %q; they are gone a day after they were done", id)}
	case 1:
		return &found[0], nil
	}
	return nil, &exitError{exitFailed, list, fmt.Errorf("the ids of %d jobs begin with %q", len(found), id)}
}

func jobListCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the jobs of a vault",
		Long:    "List the jobs of a vault that are in progress, or were done in the last day: date, the beginning of the id, state, tier, and what they make available.",
		Example: "  moraine job list --vault photos\n  moraine job list --vault photos --json | jq -r '.[] | select(.status==\"InProgress\").job_id'",
		Args:    arguments(),
	}
	long := cmd.Flags().Bool("long", false, "print whole ids")
	return inVault(p, cmd, func(ctx context.Context, s *session, vault string, _ []string) error {
		_, ix, err := s.open(ctx, vault)
		if err != nil {
			return err
		}
		list := []jobDocument{}
		for j, err := range s.client.Jobs(ctx, vault, glacier.JobFilter{}) {
			if err != nil {
				return err
			}
			list = append(list, jobOf(&j))
		}
		return printList(s.output, list, func(d jobDocument) []string {
			id := start(d.ID)
			if *long {
				id = d.ID
			}
			return []string{moment(d.Created), id, d.Status, cmp.Or(d.Tier, "-"), d.about(ctx, ix)}
		})
	})
}

// about says what a job makes available.
func (d jobDocument) about(ctx context.Context, ix *index.Index) string {
	what := "inventory"
	if d.ArchiveID != "" {
		what = "archive " + start(d.ArchiveID)
		if a, err := ix.ByID(ctx, d.ArchiveID); err == nil {
			what = nameFor(a)
		}
	}
	if d.Size != nil {
		what += ", " + size(*d.Size)
	}
	return what
}

func jobShowCommand(p Process) *cobra.Command {
	return inVault(p, &cobra.Command{
		Use:     "show JOB",
		Short:   "Show a job",
		Long:    "Show a job: the one with that id, or with an id that begins so.",
		Example: "  moraine job show --vault photos JOB",
		Args:    arguments("JOB"),
	}, func(ctx context.Context, s *session, vault string, args []string) error {
		j, err := s.findJob(ctx, vault, args[0])
		if err != nil {
			return err
		}
		return s.showJob(j)
	})
}

func (s *session) showJob(j *glacier.Job) error {
	d := jobOf(j)
	if s.asJSON {
		return printJSON(s.Stdout, d)
	}
	completed, offers := "not yet", "unknown"
	if d.Completed != nil {
		completed = moment(*d.Completed)
	}
	if d.Size != nil {
		offers = fmt.Sprintf("%d (%s)", *d.Size, size(*d.Size))
	}
	lines := [][2]string{{"id", d.ID}, {"action", d.Action}, {"archive", d.ArchiveID}, {"range", d.Range}, {"tier", d.Tier}, {"format", d.Format}, {"state", d.Status},
		{"message", d.Message}, {"description", d.Description}, {"created", moment(d.Created)}, {"completed", completed}, {"bytes", offers}, {"tree hash", d.TreeHash}, {"topic", d.Topic}}
	for _, line := range lines {
		if line[1] == "" {
			continue
		}
		if _, err := fmt.Fprintf(s.Stdout, "%-13s%s\n", line[0]+":", printable(line[1])); err != nil {
			return err
		}
	}
	return nil
}

func jobWaitCommand(p Process) *cobra.Command {
	return inVault(p, &cobra.Command{
		Use:     "wait JOB",
		Short:   "Wait until a job is done, and show it",
		Long:    "Wait until a job is done, and show it. The service is asked every two minutes at most. If the job fails, so does the command.",
		Example: "  moraine job wait --vault photos JOB && moraine job output --vault photos JOB",
		Args:    arguments("JOB"),
	}, func(ctx context.Context, s *session, vault string, args []string) error {
		j, err := s.findJob(ctx, vault, args[0])
		if err != nil {
			return err
		}
		d := &downloading{session: s, vault: vault, args: args}
		v := s.watch("job " + start(j.ID))
		j, err = d.downloader(v).Wait(ctx, vault, j.ID)
		v.end()
		if err != nil && ctx.Err() != nil {
			return s.stopped(ctx, err, "wait", "The job goes on without this. To wait again:\n  "+s.repeat(args, args))
		}
		if err != nil {
			return err
		}
		return s.showJob(j)
	})
}

func jobOutputCommand(p Process) *cobra.Command {
	d := &downloading{}
	cmd := &cobra.Command{
		Use:   "output JOB [FILE | -]",
		Short: "Fetch what a job offers",
		Long: `Fetch what a job offers to a file, or with - to standard output; it is waited for if it is not done. Without FILE it is the name of the archive, in the current directory. The same as
moraine download --job.`,
		Example: "  moraine job output --vault photos JOB\n  moraine job output --vault photos JOB - | tar x",
		Args:    arguments("JOB", "[FILE]"),
	}
	d.flags(cmd)
	return inVault(p, cmd, func(ctx context.Context, s *session, vault string, args []string) error {
		if s.asJSON && last(args, 2) == "-" {
			return usage(cmd, errors.New("with - and --json both would go to standard output"))
		}
		d.session, d.vault, d.args = s, vault, args
		return d.output(ctx, args[0], last(args, 2))
	})
}
