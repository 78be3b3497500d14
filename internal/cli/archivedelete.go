package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moraine-archive/moraine/internal/index"
)

func archiveDeleteCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delete ID|NAME...",
		Short: "Delete archives",
		Long: `Delete archives, at once and for ever: by their ids, the beginnings of their ids, or their names. A name with several versions is refused, so that it is clear which is meant; --all-versions
means all. Before anything is deleted it is made sure that every argument means something.`,
		Example: `  moraine archive delete --vault photos 2016.tar --dry-run
  moraine archive delete --vault photos 2016.tar`,
		Args: arguments("ID or NAME..."),
	}
	dryRun := cmd.Flags().Bool("dry-run", false, "say what would be deleted, and do nothing")
	allVersions := cmd.Flags().Bool("all-versions", false, "delete all versions of a name")
	return inVault(p, cmd, func(ctx context.Context, s *session, vault string, args []string) error {
		_, ix, err := s.open(ctx, vault)
		if err != nil {
			return err
		}
		d := &deleting{session: s, ix: ix, vault: vault, list: []deletedDocument{}}
		for _, arg := range args {
			if err := d.add(ctx, arg, *allVersions); err != nil {
				return err
			}
		}
		return d.run(ctx, *dryRun)
	})
}

// deletedDocument is an archive that was deleted, or would be, for scripts.
type deletedDocument struct {
	archiveDocument
	Deleted bool `json:"deleted"`
}

// deleting deletes archives, one after the other.
type deleting struct {
	*session
	ix       *index.Index
	vault    string
	archives []index.Archive
	list     []deletedDocument
}

// shortest is how much of an id has to be given to delete an archive: less may be a slip.
const shortest = 8

// add adds the archives that an argument means.
func (d *deleting) add(ctx context.Context, arg string, all bool) error {
	versions, err := d.versions(ctx, d.ix, arg)
	if err != nil {
		return err
	}
	if len(versions) > 1 && !all {
		lines := []string{"Give the id of one, or --all-versions:"}
		for _, a := range versions {
			lines = append(lines, fmt.Sprintf("  %s  %s  %s", moment(a.Created), size(a.Size), a.ID))
		}
		return &exitError{exitFailed, strings.Join(lines, "\n"), fmt.Errorf("%s has %d versions; nothing was deleted", printable(arg), len(versions))}
	}
	if len(versions) == 0 {
		if len(arg) < shortest {
			return &exitError{exitNotFound, toFind(d.vault), fmt.Errorf("no archive of the name %q is known here, and for the beginning of an id it is too short: %d characters are needed", arg, shortest)}
		}
		a, err := d.find(ctx, d.ix, d.vault, arg)
		if err != nil {
			return err
		}
		versions = []index.Archive{a}
	}
	for _, a := range versions {
		if !d.has(a.ID) {
			d.archives = append(d.archives, a)
		}
	}
	return nil
}

func (d *deleting) has(id string) bool {
	for _, a := range d.archives {
		if a.ID == id {
			return true
		}
	}
	return false
}

func (d *deleting) run(ctx context.Context, dryRun bool) error {
	for _, a := range d.archives {
		if !dryRun {
			_, err := d.client.DeleteArchive(ctx, d.vault, a.ID)
			if err == nil {
				err = d.ix.Delete(context.WithoutCancel(ctx), a.ID, time.Now())
			}
			if err != nil {
				return d.end(err)
			}
		}
		if err := d.report(a, dryRun); err != nil {
			return err
		}
	}
	return d.end(nil)
}

func (d *deleting) report(a index.Archive, dryRun bool) error {
	d.list = append(d.list, deletedDocument{archiveOf(a), !dryRun})
	if d.asJSON {
		return nil
	}
	what := "deleted"
	if dryRun {
		what = "would be deleted"
	}
	_, err := fmt.Fprintf(d.Stdout, "%s: %s  %s  %s\n", what, nameFor(a), size(a.Size), a.ID)
	return err
}

// end prints what was done, also if not all was.
func (d *deleting) end(failed error) error {
	if d.asJSON {
		if err := printJSON(d.Stdout, d.list); err != nil {
			return err
		}
	}
	if failed == nil || len(d.list) == 0 || errors.Is(failed, context.Canceled) {
		return failed
	}
	a := d.archives[len(d.list)]
	return &exitError{exitPartly, "The same command deletes the rest: to delete again does no harm.", fmt.Errorf("%d of %d archives were deleted, then %s was not: %w", len(d.list), len(d.archives), nameFor(a), failed)}
}
