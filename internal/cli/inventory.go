package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/internal/index"
)

// stocktaking gets an inventory as a document.
type stocktaking struct {
	*downloading
	anew, noWait   bool
	output, format string
	of             *glacier.Vault
	ix             *index.Index
}

func inventoryCommand(p Process) *cobra.Command {
	t := &stocktaking{downloading: &downloading{}}
	cmd := &cobra.Command{
		Use:   "inventory",
		Short: "Ask the service what is in a vault",
		Long: `Get an inventory of a vault: what is in it, as the service knows it. The other commands work with the last one, so it is what makes archives known on this machine that others
uploaded. The service needs a job for it, which takes hours with Amazon, where an inventory is taken about once a day, and a moment with Moraine. A job that is there is taken;
when interrupted, run the command again. With --output the document itself is kept.`,
		Example: `  moraine inventory --vault photos
  moraine inventory --vault photos --output photos.csv --format csv
  moraine inventory --vault photos --no-wait`,
		Args: arguments(),
	}
	f := cmd.Flags()
	f.BoolVar(&t.anew, "new", false, "start a job even if there is one")
	f.BoolVar(&t.noWait, "no-wait", false, "print the id of the job, and do not wait for it")
	text(cmd, &t.output, "output", "file for the document, - for standard output")
	f.StringVar(&t.format, "format", "json", "of the document: json or csv")
	t.flags(cmd)
	return inVault(p, cmd, func(ctx context.Context, s *session, vault string, _ []string) error {
		t.session, t.vault = s, vault
		asked := t.format
		t.format = strings.ToUpper(asked)
		switch {
		case t.format != "JSON" && t.format != "CSV":
			return usage(cmd, fmt.Errorf("--format %s is neither json nor csv", asked))
		case t.format == "CSV" && t.output == "" && !t.noWait:
			return usage(cmd, errors.New("--output is missing: what is known here is taken from JSON only"))
		case t.output == "-" && s.asJSON:
			return usage(cmd, errors.New("with --output - and --json both would go to standard output"))
		}
		return t.run(ctx)
	})
}

func (t *stocktaking) run(ctx context.Context) (err error) {
	if t.of, t.ix, err = t.open(ctx, t.vault); err != nil {
		return err
	}
	if t.output != "" && t.output != "-" {
		if t.output, err = t.target(t.output, t.vault+"-inventory."+strings.ToLower(t.format)); err != nil {
			return err
		}
	}
	job, err := t.startStock(ctx, stock{of: t.of, format: t.format, anew: t.anew, begun: true})
	switch {
	case errors.Is(err, glacier.ErrNotFound):
		return &exitError{exitNotFound, "A vault has its first inventory after its first upload, with Amazon about a day later.", err}
	case err != nil:
		return err
	case t.noWait:
		return t.done(map[string]string{"job_id": job.id}, "%s", job.id)
	}
	if t.output == "" || t.output == "-" { // the file for the document is the same for all commands
		lock, err := t.waitLock(ctx, t.of, "inventory", func() { t.say("Another command gets an inventory of %s; this one comes after it.", t.vault) })
		if err != nil {
			return err
		}
		defer lock.Close()
	}
	path, err := t.fetch(ctx, job.id)
	if err != nil {
		return err
	}
	if t.output != path {
		defer os.Remove(path) // it is in the index
	}
	return t.take(ctx, job, path)
}

// fetch waits for the job and returns the path of its document, so that a fetch that was interrupted goes on. One that is not wanted is beside the index until it is taken over.
func (t *stocktaking) fetch(ctx context.Context, job string) (string, error) {
	path := t.output
	if path == "" || path == "-" {
		dir, err := t.cache()
		if err != nil {
			return "", err
		}
		path = filepath.Join(dir, t.indexName(t.of)+"."+strings.ToLower(t.format))
	}
	v := t.watch("inventory of " + t.vault)
	down := t.downloader(v)
	down.KeepExisting = path == t.output && !t.force
	_, err := down.DownloadJob(ctx, t.vault, job, path)
	v.end()
	if err != nil {
		return "", t.failed(ctx, err)
	}
	return path, nil
}

// take takes the document over into the index, and prints it or what is in it.
func (t *stocktaking) take(ctx context.Context, job stockJob, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if t.format == "JSON" {
		var ahead *time.Duration
		if done, err := t.client.DescribeJob(ctx, t.vault, job.id); err == nil {
			ahead = job.ahead(done)
		}
		err = replace(ctx, t.ix, f, ahead)
		if errors.Is(err, index.ErrOlder) {
			t.say("A later inventory is known here, and stays.")
		} else if err != nil {
			return err
		}
	}
	if t.output == "-" {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		_, err := io.Copy(t.Stdout, f)
		return err
	}
	return t.report(ctx, job.id)
}

// inventoryDocument is what an inventory has brought, for scripts.
type inventoryDocument struct {
	Vault    string     `json:"vault"`
	JobID    string     `json:"job_id"`
	Date     *time.Time `json:"inventory_date"`
	Archives int64      `json:"archives"`
	Bytes    int64      `json:"bytes"`
	Local    int64      `json:"local"`   // of them, uploaded by this machine since the inventory
	Deleted  int64      `json:"deleted"` // by this machine, while the inventory still lists them
	File     string     `json:"file,omitempty"`
}

func (t *stocktaking) report(ctx context.Context, job string) error {
	state, err := t.ix.State(ctx)
	if err != nil {
		return err
	}
	d := inventoryDocument{t.vault, job, &state.InventoryDate, state.Archives, state.Bytes, state.Local, state.Deleted, t.output}
	if state.InventoryDate.IsZero() {
		d.Date = nil
	}
	if t.asJSON {
		return printJSON(t.Stdout, d)
	}
	if t.output != "" {
		t.say("The document is in %s.", printable(t.output))
	}
	if t.format != "JSON" {
		return nil
	}
	_, err = fmt.Fprintf(t.Stdout, "%s: %d archives, %s, inventory of %s\n", t.vault, d.Archives, size(d.Bytes), moment(state.InventoryDate))
	if err == nil && d.Local > 0 {
		t.say("%d of them were uploaded on this machine since that inventory.", d.Local)
	}
	if err == nil && d.Deleted > 0 {
		t.say("It lists %d more that were deleted on this machine meanwhile.", d.Deleted)
	}
	return err
}
