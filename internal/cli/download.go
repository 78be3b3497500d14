package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/glacier/transfer"
	"github.com/moraine-archive/moraine/internal/index"
	"github.com/moraine-archive/moraine/internal/names"
)

// downloading fetches what a job offers.
type downloading struct {
	*session
	vault    string
	tier     tierFlag
	parallel int
	force    bool
	args     []string // of the command, to name the one that goes on
}

func downloadCommand(p Process) *cobra.Command {
	var job string
	d := &downloading{}
	cmd := &cobra.Command{
		Use:   "download (ID | NAME | --job JOB) [FILE | -]",
		Short: "Fetch an archive",
		Long: `Fetch an archive to a file, or with - to standard output. An archive is named by its id, the beginning of its id, or its name, which means the newest version; names are known on
this machine by what it uploaded itself and by inventories (moraine inventory).

The service needs a job to make an archive available: one that is there is taken, otherwise one is started. With Amazon that takes minutes (--tier Expedited), hours (Standard)
or half a day (Bulk), with Moraine a moment. Whatever is interrupted is gone on with by the same command, and every byte is held against its hash.`,
		Example: `  moraine download --vault photos 2016.tar
  moraine download --vault photos 2016.tar /tmp/ --tier Bulk
  moraine download --vault photos --job JOB - | tar x`,
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if job != "" {
			return arguments("[FILE]")(cmd, args)
		}
		return arguments("ID or NAME", "[FILE]")(cmd, args)
	}
	text(cmd, &job, "job", "id of the job, or the beginning of it, whose output is wanted")
	d.flags(cmd)
	cmd.Flags().Var(&d.tier, "tier", "Expedited, Standard or Bulk: how soon, and for how much (default: Standard)")
	return inVault(p, cmd, func(ctx context.Context, s *session, vault string, args []string) error {
		d.session, d.vault, d.args = s, vault, args
		target := last(args, 2)
		if job != "" {
			target = last(args, 1)
		}
		switch {
		case s.asJSON && target == "-":
			return usage(cmd, errors.New("with - and --json both would go to standard output"))
		case job != "":
			return d.output(ctx, job, target)
		}
		return d.archive(ctx, args[0], target)
	})
}

// last returns the argument at place n, counted from 1, "" if there is none.
func last(args []string, n int) string {
	if len(args) < n {
		return ""
	}
	return args[n-1]
}

func (d *downloading) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&d.force, "force", false, "replace the file if it exists")
	atOnce(cmd, &d.parallel, "parallel", 4, mostParallel, "how many ranges are fetched at a time")
}

// downloadDocument is what was fetched, for scripts.
type downloadDocument struct {
	File      string `json:"file"`
	ArchiveID string `json:"archive_id,omitempty"`
	JobID     string `json:"job_id"`
	Size      int64  `json:"size"`
	TreeHash  string `json:"tree_hash"`
	Verified  bool   `json:"verified"` // against the tree hash that the service has of the whole
	Reused    int64  `json:"reused_bytes"`
}

// archive fetches an archive.
func (d *downloading) archive(ctx context.Context, what, target string) error {
	_, ix, err := d.open(ctx, d.vault)
	if err != nil {
		return err
	}
	a, err := d.find(ctx, ix, d.vault, what)
	if err != nil {
		return err
	}
	if target != "-" {
		if target, err = d.target(target, a.Name.Path); err != nil {
			return err
		}
	}
	v := d.watch(cmp.Or(a.Name.Path, start(a.ID)))
	down := d.downloader(v)
	down.KeepExisting = !d.force
	var done *transfer.Download
	if target == "-" {
		done, err = toWriter(ctx, down, d.vault, a.ID, d.Stdout)
	} else {
		done, err = down.Download(ctx, d.vault, a.ID, target)
	}
	v.end()
	if err != nil {
		return d.failed(ctx, err)
	}
	if a.TreeHash != "" && done.TreeHash != a.TreeHash {
		return fmt.Errorf("%s has the tree hash %s, but what was known of the archive here is %s: it is not what was uploaded", target, done.TreeHash, a.TreeHash)
	}
	return d.report(target, a.ID, done)
}

// toWriter fetches an archive to a pipe.
func toWriter(ctx context.Context, down *transfer.Downloader, vault, archive string, w interface{ Write([]byte) (int, error) }) (*transfer.Download, error) {
	job, err := down.Retrieve(ctx, vault, archive, nil)
	if err != nil {
		return nil, err
	}
	return down.DownloadTo(ctx, vault, job.ID, w)
}

// output fetches what a job offers.
func (d *downloading) output(ctx context.Context, job, target string) error {
	j, err := d.findJob(ctx, d.vault, job)
	if err != nil {
		return err
	}
	if target != "-" {
		name, err := d.nameOf(ctx, j)
		if err != nil {
			return err
		}
		if target, err = d.target(target, name); err != nil {
			return err
		}
	}
	v := d.watch(cmp.Or(strings.TrimPrefix(target, "-"), "job "+start(j.ID)))
	down := d.downloader(v)
	down.KeepExisting = !d.force
	var done *transfer.Download
	if target == "-" {
		done, err = down.DownloadTo(ctx, d.vault, j.ID, d.Stdout)
	} else {
		done, err = down.DownloadJob(ctx, d.vault, j.ID, target)
	}
	v.end()
	if err != nil {
		return d.failed(ctx, err)
	}
	return d.report(target, j.ArchiveID, done)
}

// nameOf returns the path of the archive of a job, or a name for an inventory; "" if it is not known.
func (d *downloading) nameOf(ctx context.Context, j *glacier.Job) (string, error) {
	if j.ArchiveID == "" {
		format := "json"
		if p := j.InventoryRetrievalParameters; p != nil && p.Format == "CSV" {
			format = "csv"
		}
		return d.vault + "-inventory." + format, nil
	}
	_, ix, err := d.open(ctx, d.vault)
	if err != nil {
		return "", err
	}
	a, err := ix.ByID(ctx, j.ArchiveID)
	if errors.Is(err, index.ErrNotFound) {
		return "", nil
	}
	return a.Name.Path, err
}

// target returns the path of the file to make: the one that was asked for, or in that directory, or in the current one, the last name of a path.
func (d *downloading) target(asked, name string) (string, error) {
	file := asked
	if info, err := os.Stat(asked); asked == "" || err == nil && info.IsDir() || strings.HasSuffix(asked, "/") {
		local, err := names.Local(name)
		if err != nil {
			local, err = names.Local(path.Base(name))
		}
		if err != nil || name == "" {
			return "", &exitError{exitUsage, "Say which with FILE, or - for standard output.", errors.New("the archive has no name that a file can have")}
		}
		file = filepath.Join(asked, filepath.Base(local))
	}
	_, err := os.Lstat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && d.force:
		return file, nil
	case err == nil:
		return "", &exitError{exitFailed, "--force replaces it; or name another file.", fmt.Errorf("there is a file %s already", printable(file))}
	}
	return "", err
}

func (d *downloading) downloader(v *view) *transfer.Downloader {
	return &transfer.Downloader{Client: onlooker{d.client, v}, Tier: string(d.tier), Description: "moraine", Concurrency: d.parallel, Progress: v.show}
}

// onlooker tells a view of the jobs that are waited for.
type onlooker struct {
	*glacier.Client
	v *view
}

// DescribeJob is the Client's.
func (o onlooker) DescribeJob(ctx context.Context, vault, job string) (*glacier.Job, error) {
	j, err := o.Client.DescribeJob(ctx, vault, job)
	if err == nil {
		o.v.job(j)
	}
	return j, err
}

// failed says how to go on, if there is a job.
func (d *downloading) failed(ctx context.Context, err error) error {
	interrupted, ok := errors.AsType[*transfer.InterruptedError](err)
	if ctx.Err() == nil && (!ok || interrupted.JobID == "" || errors.Is(err, transfer.ErrBusy) || errors.As(err, new(*transfer.JobFailedError))) {
		return err
	}
	note := "What was fetched is kept, and so is the job. This goes on with it:\n  "
	if slices.Contains(d.args, "-") {
		note = "The job is kept for a day after it is done. This begins the output anew, with the same job:\n  "
	}
	return d.stopped(ctx, err, "download", note+d.repeat(d.args, d.args))
}

func (d *downloading) report(target, archive string, done *transfer.Download) error {
	if d.asJSON {
		return printJSON(d.Stdout, downloadDocument{target, archive, done.JobID, done.Size, done.TreeHash, done.Verified, done.Reused})
	}
	how := "verified"
	if !done.Verified {
		how = "complete; the service has no tree hash of it"
	}
	if target == "-" {
		d.say("%s, %s", size(done.Size), how)
		return nil
	}
	_, err := fmt.Fprintf(d.Stdout, "%s  %s  %s\n", printable(target), size(done.Size), how)
	return err
}
