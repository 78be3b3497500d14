package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/daemon"
)

// maintenanceCommands are the tasks of an administrator. A server that runs on the data does them itself; otherwise the command does.
func maintenanceCommands(p Process) []*cobra.Command {
	return []*cobra.Command{
		checkCommand(p),
		taskCommand(p, "scrub", &cobra.Command{
			Short: "Read everything and verify it",
			Long: `Read every byte of every volume and verify it. Volumes that were never read come first, then those that were read longest ago; what was interrupted
is gone on with by the next scrub. The server scrubs in the background too, every --scrub-interval at --scrub-rate: "moraine admin volumes" shows when each
volume was verified.`,
			Example: "  moraine admin scrub --data /srv/moraine --rate 100MiB",
		}),
		taskCommand(p, "sweep", &cobra.Command{
			Short: "Remove what interrupted requests left",
			Long: `Remove records that nothing refers to: what is not complete when it is older than the longest request (--longest-request), complete records
when they are older than --keep-orphans.`,
			Example: "  moraine admin sweep --data /srv/moraine",
		}),
		taskCommand(p, "compact", &cobra.Command{
			Short: "Win back the space of what was deleted",
			Long: `Move what is needed out of shared volumes of which more than --compact-share per cent are needed by nothing, and remove them. The server does so by
itself every --compact-interval.`,
			Example: "  moraine admin compact --data /srv/moraine",
		}),
		taskCommand(p, "backup", &cobra.Command{
			Short: "Write a copy of the catalogue into the store",
			Long: `Write a consistent copy of the catalogue into the directory "catalogue" of the store (in a bucket: below "catalogue/"), and remove those that are too many (--backup-keep). The
server does so by itself every --backup-interval. The copy has what the catalogue has, access keys too; their secrets are encrypted with a key that is not in it.`,
			Example: "  moraine admin backup --data /srv/moraine --json",
		}),
		taskCommand(p, "volumes", reads(&cobra.Command{
			Short:   "List the volumes, how much of them is needed, and when they were verified",
			Example: "  moraine admin volumes --data /srv/moraine",
		})),
		rebuildCommand(p),
		taskCommand(p, "migrate-store", &cobra.Command{
			Short: "Copy everything from an old store to a new one",
			Long: `Copy every record that is needed from the store of --old-store to the one of --store, and have the catalogue refer to the copies. Each is verified
while it is read, and compared by its tree hash when it is written. The server goes on meanwhile; run the command again after an interruption, and what was copied is not
read again. The old store stays as it is, to be removed when nothing is left in it only.

Start the server with both options first: --store names the new store, --old-store the one that it had.`,
			Example: "  moraine serve --data /srv/moraine --store 's3://archives?endpoint=https://s3.example.com' --old-store file:/srv/moraine/volumes\n" +
				"  moraine admin migrate-store --data /srv/moraine --rate 100MiB",
		}),
		migrateCatalogueCommand(p),
	}
}

func migrateCatalogueCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate-catalogue",
		Short: "Move the catalogue to PostgreSQL",
		Long: `Copy every row of the catalogue to an empty database of PostgreSQL, and read them again there to compare them. Requests that change something wait
meanwhile. Afterwards the old catalogue takes no more changes: start the server again with --catalogue and the new address. After an interruption run the command again.`,
		Example: "  moraine admin migrate-catalogue --data /srv/moraine --to 'postgres://moraine@db.example.com/moraine?sslmode=verify-full'",
		Args:    arguments(),
	}
	to := cmd.Flags().String("to", "", "postgres://USER@HOST/DATABASE of an empty database; the password can be in PGPASSWORD or the file ~/.pgpass of the server")
	return runTask(p, cmd, func() daemon.Task { return daemon.Task{Name: "migrate-catalogue", To: *to} })
}

func checkCommand(p Process) *cobra.Command {
	cmd := reads(&cobra.Command{
		Use:   "check",
		Short: "Hold the catalogue and the volumes against each other",
		Long: `Hold every row that refers to a record against the record, every record against the row that it names, and the counters of the vaults against their
archives; read and verify every byte. What is wrong is named: the archive and the place. Exit code 1 says that something is wrong.

With --quick the payloads are not read.`,
		Example: "  moraine admin check --data /srv/moraine\n  moraine admin check --quick --json",
		Args:    arguments(),
	})
	quick := cmd.Flags().Bool("quick", false, "do not read the payloads")
	return runTask(p, cmd, func() daemon.Task { return daemon.Task{Name: "check", Data: !*quick} })
}

// taskCommand completes a command that runs a task without choices of its own.
func taskCommand(p Process, name string, cmd *cobra.Command) *cobra.Command {
	cmd.Use, cmd.Args = name, arguments()
	return runTask(p, cmd, func() daemon.Task { return daemon.Task{Name: name} })
}

func runTask(p Process, cmd *cobra.Command, task func() daemon.Task) *cobra.Command {
	adminFlags(cmd)
	rate := cmd.Flags().String("rate", "0", "bytes to read a second, like 64MiB (0: no limit)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, asJSON, err := loadAdmin(cmd, p)
		if err != nil {
			return err
		}
		t := task()
		if t.Rate, err = config.ParseBytes(*rate); err != nil {
			return usage(cmd, fmt.Errorf("--rate: %w", err))
		}
		out := newTaskOutput(p, asJSON)
		err = daemon.Maintain(cmd.Context(), c, t, quiet(p), time.Now, out.event)
		return out.end(cmd.Context(), t, err)
	}
	return cmd
}

// quiet logs what a person has to know.
func quiet(p Process) *slog.Logger {
	return slog.New(slog.NewTextHandler(p.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// taskOutput shows what happens while a task runs: what is found on standard output, how far it is on standard error if that is a terminal.
type taskOutput struct {
	p        Process
	asJSON   bool
	meter    *meter
	document taskDocument
}

// taskDocument is what --json prints.
type taskDocument struct {
	Findings []daemon.Finding `json:"findings"`
	Volumes  []daemon.Volume  `json:"volumes,omitempty"`
	daemon.Result
}

func newTaskOutput(p Process, asJSON bool) *taskOutput {
	return &taskOutput{p: p, asJSON: asJSON, meter: newMeter(p.Stderr), document: taskDocument{Findings: []daemon.Finding{}}}
}

func (o *taskOutput) event(e daemon.Event) error {
	switch {
	case e.Progress != nil:
		o.meter.show(*e.Progress)
	case e.Result != nil:
		o.document.Result = *e.Result
	case e.Finding != nil && o.asJSON:
		o.document.Findings = append(o.document.Findings, *e.Finding)
	case e.Finding != nil:
		return o.print("%s: %s\n", e.Finding.Severity, e.Finding)
	case e.Volume != nil && o.asJSON:
		o.document.Volumes = append(o.document.Volumes, *e.Volume)
	case e.Volume != nil:
		return o.print("%s\n", volumeLine(*e.Volume))
	}
	return nil
}

// print prints above the meter.
func (o *taskOutput) print(format string, args ...any) error {
	o.meter.clear()
	_, err := fmt.Fprintf(o.p.Stdout, format, args...)
	return err
}

// end shows the result, and says as an error what is wrong.
func (o *taskOutput) end(ctx context.Context, t daemon.Task, err error) error {
	o.meter.clear()
	if err != nil {
		if t.Name == "scrub" && ctx.Err() != nil {
			fmt.Fprintln(o.p.Stderr, "The scrub is not finished; run it again to go on.")
		}
		return err
	}
	if o.asJSON {
		err = printJSON(o.p.Stdout, o.document)
	} else {
		err = o.print("%s\n", summary(t.Name, o.document.Result))
	}
	if err != nil {
		return err
	}
	switch r := o.document.Result; {
	case r.Check != nil && r.Check.Wrong > 0:
		return fmt.Errorf("the check found %d things wrong", r.Check.Wrong)
	case r.Migrate != nil && r.Migrate.Damaged > 0:
		return fmt.Errorf("%d records could not be read, and are in the old store only", r.Migrate.Damaged)
	case r.Migrate != nil && r.Migrate.Cold > 0:
		return &exitError{exitPartly, "Run the command again later.", fmt.Errorf("%d records are being brought to where they can be read", r.Migrate.Cold)}
	case t.Name == "scrub" && r.Scrub != nil && r.Scrub.Faults > 0:
		return fmt.Errorf("the scrub found %d things damaged", r.Scrub.Faults)
	}
	return nil
}

// summary is the last line of a task.
func summary(task string, r daemon.Result) string {
	switch {
	case r.Check != nil:
		return fmt.Sprintf("%d rows, %d records in %d volumes, %s read: %d wrong, %d notes",
			r.Check.Rows, r.Check.Records, r.Check.Volumes, size(r.Check.Bytes), r.Check.Wrong, r.Check.Notes)
	case r.Sweep != nil:
		return fmt.Sprintf("%d records: %d removed (%s), %d kept for a while that nothing refers to", r.Sweep.Records, r.Sweep.Removed, size(r.Sweep.Bytes), r.Sweep.Orphans)
	case r.Compact != nil:
		return fmt.Sprintf("%d volumes removed (%s), %d records moved, %d dropped, %d volumes have to wait",
			r.Compact.Volumes, size(r.Compact.Bytes), r.Compact.Moved, r.Compact.Dropped, r.Compact.Waiting)
	case r.Backup != nil:
		return fmt.Sprintf("%s (%s)", r.Backup.Path, size(r.Backup.Bytes))
	case r.Migrate != nil:
		return fmt.Sprintf("%d records in the old store: %d moved (%s), %d were moved before or are not needed, %d are being brought back, %d could not be read",
			r.Migrate.Records, r.Migrate.Moved, size(r.Migrate.Bytes), r.Migrate.Before, r.Migrate.Cold, r.Migrate.Damaged)
	case r.Rows != nil:
		return fmt.Sprintf("%d rows copied and compared. The old catalogue takes no more changes: start the server again with --catalogue and the new address", *r.Rows)
	case r.Scrub != nil:
		when := "not finished"
		if !r.Scrub.FinishedAt.IsZero() {
			when = "finished " + r.Scrub.FinishedAt.Format(time.RFC3339)
		}
		return fmt.Sprintf("scrub %d: %d volumes, %d records, %s verified, %d faults, %s",
			r.Scrub.Number, r.Scrub.Volumes, r.Scrub.Records, size(r.Scrub.Bytes), r.Scrub.Faults, when)
	case task == "volumes":
		return "there was no scrub yet"
	}
	return "done"
}

// volumeLine is the line of a volume, in columns.
func volumeLine(v daemon.Volume) string {
	kind := "alone"
	switch {
	case v.InUse:
		kind = "in use"
	case v.Shared:
		kind = "shared"
	}
	verified := "never verified"
	if !v.VerifiedAt.IsZero() {
		verified = "verified " + v.VerifiedAt.Format(time.RFC3339)
	}
	if v.Faults > 0 {
		verified += fmt.Sprintf(", %d FAULTS", v.Faults)
	}
	length := "-"
	if v.Bytes > 0 {
		length = size(v.Bytes)
	}
	return strings.TrimRight(fmt.Sprintf("%s  %-6s  %10s  %10s dead  %s", v.Name, kind, length, size(v.Dead), verified), " ")
}

func rebuildCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Make the catalogue again from the store",
		Long: `Make the catalogue again from the store alone: archives with their ids, descriptions, dates and hashes, and uploads that are not complete; what was
deleted stays deleted. Accounts, keys and the settings of vaults come from the newest copy of the catalogue in the store. What could not be known is
reported. Stop the servers first. In PostgreSQL the catalogue is made in an empty database: name that with --catalogue.`,
		Example: "  moraine admin rebuild --data /srv/moraine\n  moraine admin rebuild --data /srv/moraine --replace --json",
		Args:    arguments(),
	}
	var o daemon.RebuildOptions
	cmd.Flags().BoolVar(&o.Replace, "replace", false, "move a catalogue that is there aside")
	cmd.Flags().BoolVar(&o.NoBackup, "no-backup", false, "do not use copies of the catalogue")
	cmd.Flags().BoolVar(&o.Data, "read-data", false, "read every byte, and leave out what is damaged")
	adminFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, asJSON, err := loadAdmin(cmd, p)
		if err != nil {
			return err
		}
		out := newTaskOutput(p, asJSON)
		report, err := daemon.Rebuild(cmd.Context(), c, o, quiet(p), time.Now, out.event)
		out.meter.clear()
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(p.Stdout, struct {
				Findings []daemon.Finding `json:"findings"`
				daemon.RebuildReport
			}{out.document.Findings, report})
		}
		return printRebuilt(p.Stdout, report)
	}
	return cmd
}

// printRebuilt says what a rebuild has made, and what nobody can know any more.
func printRebuilt(w io.Writer, r daemon.RebuildReport) error {
	var b strings.Builder
	fmt.Fprintf(&b, "catalogue:   %s\n", r.Catalogue)
	if r.Replaced != "" {
		fmt.Fprintf(&b, "the old one: %s\n", r.Replaced)
	}
	if r.Backup != nil {
		fmt.Fprintf(&b, "copy used:   %s\n", r.Backup.Path)
	}
	fmt.Fprintf(&b, "archives:    %d (%s) in %d vaults\n", r.Archives, size(r.Bytes), r.Vaults)
	fmt.Fprintf(&b, "uploads:     %d to go on with\n", r.Uploads)
	fmt.Fprintf(&b, "deleted:     %d archives are remembered as deleted\n", r.Deleted)
	fmt.Fprintf(&b, "took:        %s for %d records", r.Took.Round(time.Millisecond), r.Records)
	if r.Records >= fewRecords { // of less, what a start costs is more than what a record costs
		fmt.Fprintf(&b, ", which is %s per million", r.PerMillion.Round(time.Millisecond))
	}
	b.WriteString("\n")
	b.WriteString("\nWhat could not be known:\n")
	say := func(any bool, format string, args ...any) {
		if any {
			fmt.Fprintf(&b, "  "+format+"\n", args...)
		}
	}
	b.WriteString("  jobs: start them again\n")
	say(r.Backup == nil, "names of accounts, keys, empty vaults, notification configurations: there was no copy of the catalogue")
	say(r.Backup != nil, "what was changed after the copy was made, %s, but for archives: accounts, keys, empty vaults, configurations", timeOf(r.Backup))
	say(len(r.Accounts) > 0, "keys of the accounts %s: make some with `moraine admin key add --account ID`", strings.Join(r.Accounts, ", "))
	say(len(r.NewVaults) > 0, "of %d vaults when they were made: %s", len(r.NewVaults), some(r.NewVaults))
	say(r.Missing > 0, "what became of %d archives that the copy has and the volumes have not: they are remembered as deleted", r.Missing)
	say(r.LostKeys > 0, "the secrets of %d access keys, which are given up: make others with `moraine admin key add`", r.LostKeys)
	say(r.Incomplete > 0, "the contents of %d archives of which parts are missing", r.Incomplete)
	say(r.Strays > 0, "to what %d parts belong", r.Strays)
	say(r.Unreadable > 0, "what is in %d records that cannot be read", r.Unreadable)
	_, err := io.WriteString(w, b.String())
	return err
}

const fewRecords = 1000

func timeOf(b *daemon.Backup) string {
	if b == nil {
		return ""
	}
	return b.At.Format(time.RFC3339)
}

// some names the first few.
func some(names []string) string {
	if len(names) > 5 {
		return strings.Join(names[:5], ", ") + ", ..."
	}
	return strings.Join(names, ", ")
}
