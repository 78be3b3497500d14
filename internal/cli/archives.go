package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"time"

	"github.com/spf13/cobra"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/internal/index"
)

func archiveCommand(p Process) *cobra.Command {
	return below(&cobra.Command{Use: "archive", Short: "List, show and delete archives"},
		archiveListCommand(p), archiveShowCommand(p), archiveDeleteCommand(p))
}

// archiveDocument is an archive for scripts.
type archiveDocument struct {
	ID          string     `json:"archive_id"`
	Name        string     `json:"name"`
	Description string     `json:"description"`
	Created     time.Time  `json:"created_at"`
	Size        int64      `json:"size"`
	TreeHash    string     `json:"tree_hash"`
	Form        string     `json:"form"`
	ModTime     *time.Time `json:"modified_at,omitempty"`
	Local       bool       `json:"local"` // uploaded by this machine, and in no inventory yet
}

func archiveOf(a index.Archive) archiveDocument {
	d := archiveDocument{ID: a.ID, Name: a.Name.Path, Description: a.Description, Created: a.Created.UTC(), Size: a.Size, TreeHash: a.TreeHash, Form: a.Name.Form, Local: a.Local}
	if !a.Name.ModTime.IsZero() {
		d.ModTime = &a.Name.ModTime
	}
	return d
}

// find returns the archive that an argument names: the newest of a name, or the one of an id or of the beginning of one. An id may be one that nothing is known of.
func (s *session) find(ctx context.Context, ix *index.Index, vault, what string) (index.Archive, error) {
	versions, err := s.versions(ctx, ix, what)
	if err != nil {
		return index.Archive{}, err
	}
	if len(versions) > 0 {
		if len(versions) > 1 && !s.asJSON {
			s.say("%s has %d versions; this is the newest, of %s.", printable(what), len(versions), moment(versions[0].Created))
		}
		return versions[0], nil
	}
	a, err := ix.ByID(ctx, what)
	switch {
	case errors.Is(err, index.ErrAmbiguous):
		return a, &exitError{exitFailed, "Give more of the id; `moraine archive list --long` shows all of it.", err}
	case errors.Is(err, index.ErrNotFound) && wholeID.MatchString(what):
		return index.Archive{ID: what}, nil
	case errors.Is(err, index.ErrNotFound):
		return a, &exitError{exitNotFound, toFind(vault), fmt.Errorf("no archive is known here whose name is %q, or whose id begins so", what)}
	}
	return a, err
}

// toFind says how to find out what is in a vault.
func toFind(vault string) string {
	return fmt.Sprintf("`moraine archive list --vault %s` lists what is known; `moraine inventory --vault %[1]s` asks the service what there is.", quoted(vault))
}

// wholeID matches what may be an id that is not in the index. No service has shorter ones.
var wholeID = regexp.MustCompile(`^[A-Za-z0-9_-]{40,}$`) // read only

// versions returns the archives of a name, the newest first.
func (s *session) versions(ctx context.Context, ix *index.Index, name string) ([]index.Archive, error) {
	found, err := ix.ByPath(ctx, name)
	if clean := path.Clean(name); err == nil && len(found) == 0 && clean != name {
		return ix.ByPath(ctx, clean)
	}
	return found, err
}

func archiveListCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list [PATTERN]",
		Short: "List the archives of a vault, as far as they are known here",
		Long: `List the archives of a vault: date, size, the beginning of the id, and name. The service has no request for that, only inventories, which take hours with Amazon; so this lists what the last
one had (moraine inventory) with what was uploaded and deleted on this machine since.

PATTERN selects names as a shell does: * and ? within a directory, ** across directories, [a-z]; one that ends in / means all below that directory.`,
		Example: `  moraine archive list --vault photos
  moraine archive list --vault photos '2016/**'
  moraine archive list --vault photos --json | jq -r '.[].archive_id'`,
		Args: arguments("[PATTERN]"),
	}
	long := cmd.Flags().Bool("long", false, "print whole ids")
	return inVault(p, cmd, func(ctx context.Context, s *session, vault string, args []string) error {
		pattern := last(args, 1)
		if _, err := index.Compile(pattern); err != nil {
			return usage(cmd, err)
		}
		v, ix, err := s.open(ctx, vault)
		if err != nil {
			return err
		}
		if err := s.printArchives(ctx, ix, pattern, *long); err != nil {
			return err
		}
		return s.sayAge(ctx, ix, v)
	})
}

// printArchives prints archives while they are read: there may be millions.
func (s *session) printArchives(ctx context.Context, ix *index.Index, pattern string, long bool) error {
	print := func(a index.Archive, _ bool) error {
		id := a.ID
		if !long {
			id = start(id)
		}
		_, err := fmt.Fprintf(s.Stdout, "%s  %9s  %-*s  %s\n", moment(a.Created), size(a.Size), startLength, id, nameFor(a))
		return err
	}
	end := ""
	if s.asJSON {
		print, end = s.arrayElement, "\n]\n"
	}
	first := true
	for a, err := range ix.Archives(ctx, pattern) {
		if err == nil {
			err = print(a, first)
		}
		if err != nil {
			return err
		}
		first = false
	}
	if first && s.asJSON {
		end = "[]\n"
	}
	_, err := io.WriteString(s.Stdout, end)
	return err
}

// arrayElement prints an archive as an element of an array, with what is before it.
func (s *session) arrayElement(a index.Archive, first bool) error {
	b, err := json.MarshalIndent(archiveOf(a), "  ", "  ")
	if err != nil {
		return err
	}
	before := ",\n  "
	if first {
		before = "[\n  "
	}
	_, err = fmt.Fprintf(s.Stdout, "%s%s", before, b)
	return err
}

// nameFor is the name of an archive for people.
func nameFor(a index.Archive) string {
	return cmp.Or(printable(a.Name.Path), "(no description)")
}

// sayAge says of when the list is, and how to get a later one. A script is told only if there is none.
func (s *session) sayAge(ctx context.Context, ix *index.Index, v *glacier.Vault) error {
	state, err := ix.State(ctx)
	switch {
	case err != nil:
		return err
	case state.InventoryDate.IsZero():
		s.say("This is only what was uploaded on this machine: there was no inventory yet. `moraine inventory --vault %s` gets one.", quoted(v.Name))
	case !s.asJSON:
		s.say("The last inventory is of %s (%s ago); `moraine inventory --vault %s` gets a later one.", moment(state.InventoryDate), age(time.Since(state.InventoryDate)), quoted(v.Name))
	}
	return nil
}

func archiveShowCommand(p Process) *cobra.Command {
	return inVault(p, &cobra.Command{
		Use:     "show ID|NAME",
		Short:   "Show what is known here of an archive",
		Long:    "Show what is known here of an archive: the one with that id, or with an id that begins so, or the newest of that name.",
		Example: "  moraine archive show --vault photos 2016.tar",
		Args:    arguments("ID or NAME"),
	}, func(ctx context.Context, s *session, vault string, args []string) error {
		_, ix, err := s.open(ctx, vault)
		if err != nil {
			return err
		}
		a, err := s.find(ctx, ix, vault, args[0])
		if err == nil && a.Created.IsZero() {
			err = fmt.Errorf("the archive %q: %w", args[0], index.ErrNotFound)
		}
		if err != nil {
			return err
		}
		return s.showArchive(a)
	})
}

func (s *session) showArchive(a index.Archive) error {
	d := archiveOf(a)
	if s.asJSON {
		return printJSON(s.Stdout, d)
	}
	modified, from := "unknown", "the last inventory"
	if d.ModTime != nil {
		modified = moment(*d.ModTime)
	}
	if d.Local {
		from = "this machine; no inventory has it yet"
	}
	_, err := fmt.Fprintf(s.Stdout, "name:         %s\ndescription:  %s\nid:           %s\nbytes:        %d (%s)\ntree hash:    %s\ncreated:      %s\nmodified:     %s\nknown from:   %s\n",
		nameFor(a), printable(d.Description), d.ID, d.Size, size(d.Size), cmp.Or(d.TreeHash, "unknown"), moment(d.Created), modified, from)
	return err
}
