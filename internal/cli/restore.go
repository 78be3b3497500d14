package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/glacier/transfer"
	"github.com/moraine-archive/moraine/internal/index"
	"github.com/moraine-archive/moraine/internal/names"
)

// restoreOptions are the flags of restore.
type restoreOptions struct {
	tier                                           tierFlag
	yes, dryRun, allVersions, overwrite, inventory bool
	jobs, parallel                                 int
}

func restoreCommand(p Process) *cobra.Command {
	o := &restoreOptions{tier: glacier.Standard}
	cmd := &cobra.Command{
		Use:   "restore VAULT [PATTERN] DIR",
		Short: "Fetch files of a vault to a directory",
		Long: `Fetch the files of a vault whose paths match a pattern, or all, to a directory: the newest archive of each path. It says first how much that is and how long it takes, and
does it with --yes. Files that are there already, with the right size and tree hash, are not fetched again; others that are in the way are left, unless --overwrite is given.

In a pattern, ? and * match characters but /, ** all; one that ends in / matches what is below that directory. A path that would lead out of the directory is not restored.
When it was interrupted, run it again: jobs and parts of files that are there are used.`,
		Example: "  moraine restore photos ~/restored --dry-run\n  moraine restore photos '2016/**/*.jpg' ~/restored --tier Bulk --yes",
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 3 {
			return arguments("VAULT", "PATTERN", "DIR")(cmd, args)
		}
		return arguments("VAULT", "DIR")(cmd, args)
	}
	f := cmd.Flags()
	f.Var(&o.tier, "tier", "Expedited, Standard or Bulk: how soon, and for how much")
	f.BoolVar(&o.yes, "yes", false, "do what the plan says: retrievals cost money with Amazon")
	f.BoolVar(&o.dryRun, "dry-run", false, "only print the plan")
	f.BoolVar(&o.allVersions, "all-versions", false, "also older archives of a path, with the time of their upload behind the name")
	f.BoolVar(&o.overwrite, "overwrite", false, "replace files that are there with other contents")
	f.BoolVar(&o.inventory, "inventory", false, "get an inventory first: hours with Amazon, a moment with Moraine")
	atOnce(cmd, &o.jobs, "jobs", 100, mostJobs, "how many retrieval jobs at once")
	atOnce(cmd, &o.parallel, "parallel", 4, mostParallel, "how many downloads at once")
	return onVaults(p, cmd, func(ctx context.Context, s *session, args []string) error {
		pattern := ""
		if len(args) == 3 {
			pattern = args[1]
		}
		if _, err := index.Compile(pattern); err != nil {
			return usage(cmd, err)
		}
		return s.restore(ctx, o, args[0], pattern, args[len(args)-1])
	})
}

// took is how long jobs take, as Amazon publishes it.
var took = map[tierFlag]string{ // read only
	glacier.Expedited: "1 to 5 minutes",
	glacier.Standard:  "3 to 5 hours",
	glacier.Bulk:      "5 to 12 hours",
}

func (s *session) restore(ctx context.Context, o *restoreOptions, vault, pattern, dir string) error {
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	v, ix, err := s.open(ctx, vault)
	if err != nil {
		return err
	}
	if _, err := s.known(ctx, ix, v, o.inventory); err != nil {
		return err
	}
	r := &restoring{session: s, restoreOptions: o, ix: ix, vault: vault, dir: dir, places: map[string]bool{}}
	if err := r.plan(ctx, pattern); err != nil {
		return err
	}
	r.done.Plan = planDocument{Files: int64(len(r.wanted)), Bytes: r.bytes, Tier: string(o.tier), Takes: took[o.tier]}
	if !s.asJSON || !o.yes {
		r.sayPlan(pattern)
	}
	switch {
	case o.dryRun:
		return r.print()
	case len(r.wanted) > 0 && !o.yes:
		return &exitError{exitUsage, "Nothing was fetched. To do it, say so with --yes.", errors.New("retrievals cost money with Amazon")}
	}
	return r.report(r.run(ctx))
}

// restoreDocument is what a restore has done, or would do, for scripts.
type restoreDocument struct {
	Vault    string         `json:"vault"`
	DryRun   bool           `json:"dry_run,omitempty"`
	Plan     planDocument   `json:"plan"`
	Restored []restoredFile `json:"restored"`
	There    int64          `json:"already_there"`
	Skipped  []syncProblem  `json:"skipped"`
	Failed   []syncProblem  `json:"failed"`
}

type planDocument struct {
	Files int64  `json:"files"`
	Bytes int64  `json:"bytes"`
	Tier  string `json:"tier"`
	Takes string `json:"takes"`
}

type restoredFile struct {
	Path      string `json:"path"`
	File      string `json:"file"`
	ArchiveID string `json:"archive_id"`
	Size      int64  `json:"size"`
}

// wanted is an archive that is to be fetched.
type wanted struct {
	id, path, treeHash string
	place              string // relative to the directory
	size               int64
	modTime            time.Time // zero: unknown
}

// plan finds what is to be fetched.
func (r *restoring) plan(ctx context.Context, pattern string) error {
	var last []index.Archive // of one path, the newest at the end
	for a, err := range r.ix.Archives(ctx, pattern) {
		if err != nil {
			return err
		}
		if len(last) > 0 && last[0].Name.Path != a.Name.Path {
			if err := r.versions(ctx, last); err != nil {
				return err
			}
			last = last[:0]
		}
		if !r.allVersions {
			last = last[:0]
		}
		last = append(last, a)
	}
	if len(last) == 0 {
		of := "no archive"
		if pattern != "" {
			of = fmt.Sprintf("no file that matches %q", pattern)
		}
		return &exitError{exitNotFound, toFind(r.vault), fmt.Errorf("the vault %s has %s, as far as is known here", r.vault, of)}
	}
	return r.versions(ctx, last)
}

// versions plans the archives of a path.
func (r *restoring) versions(ctx context.Context, list []index.Archive) error {
	for i, a := range list {
		suffix := ""
		if i < len(list)-1 {
			suffix = "." + a.Created.UTC().Format("20060102T150405Z")
		}
		r.one(ctx, a, suffix)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// one plans an archive.
func (r *restoring) one(ctx context.Context, a index.Archive, suffix string) {
	place, err := names.Local(a.Name.Path)
	switch {
	case a.Name.Directory:
		r.skip(a.Name.Path, "it stands for a directory")
		return
	case err != nil:
		r.skip(a.Name.Path, err.Error())
		return
	case strings.HasSuffix(place, transfer.PartialSuffix):
		r.skip(a.Name.Path, "its name is that of a file that is not complete; `moraine download` fetches it to another place")
		return
	}
	if place += suffix; suffix != "" && r.places[place] {
		place += "." + a.ID[max(0, len(a.ID)-8):]
	}
	if r.places[place] {
		r.skip(a.Name.Path, "another archive is restored as "+place)
		return
	}
	r.places[place] = true
	w := wanted{a.ID, a.Name.Path, a.TreeHash, place, a.Size, a.Name.ModTime}
	is, err := r.there(ctx, w)
	switch {
	case ctx.Err() != nil: // it is not known
	case err != nil:
		r.skip(a.Name.Path, err.Error())
	case is == sameFile:
		r.done.There++
		r.present = append(r.present, w)
	case is == otherFile && !r.overwrite:
		r.fail(w, errors.New("another file is there; --overwrite replaces it"))
	default:
		r.wanted = append(r.wanted, w)
		r.bytes += w.size
	}
}

// What is at a place.
const (
	noFile = iota
	otherFile
	sameFile
)

// there says what is at a place. An error says why no file can be put there.
func (r *restoring) there(ctx context.Context, w wanted) (int, error) {
	root, err := os.OpenRoot(r.dir)
	if errors.Is(err, os.ErrNotExist) {
		return noFile, nil
	}
	if err != nil {
		return noFile, err
	}
	defer root.Close()
	info, err := root.Lstat(w.place)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return noFile, nil
	case err != nil:
		return noFile, err
	case !info.Mode().IsRegular():
		return noFile, fmt.Errorf("%s is there, and is not a regular file", w.place)
	case info.Size() != w.size || w.treeHash == "":
		return otherFile, nil
	}
	f, err := root.Open(w.place)
	if err != nil {
		return otherFile, err
	}
	defer f.Close()
	_, tree, err := hashesOf(ctx, f, nil, w.size)
	if err == nil && tree == w.treeHash {
		return sameFile, nil
	}
	return otherFile, err
}

// setTime gives a file the time that its description has.
func (r *restoring) setTime(w wanted) error {
	if w.modTime.IsZero() {
		return nil
	}
	path := filepath.Join(r.dir, w.place)
	if info, err := os.Stat(path); err == nil && info.ModTime().Equal(w.modTime) {
		return nil
	}
	return os.Chtimes(path, time.Time{}, w.modTime)
}

func (r *restoring) sayPlan(pattern string) {
	of := "all"
	if pattern != "" {
		of = printable(pattern)
	}
	r.say("Restore %s of %s to %s: %d files (%s) to fetch, %d there already, %d skipped.", of, r.vault, r.dir, len(r.wanted), size(r.bytes), r.done.There, len(r.done.Skipped))
	if len(r.wanted) > 0 {
		r.say("With the tier %s a job takes %s with Amazon, and a moment with Moraine. %d jobs at once.", r.tier, took[r.tier], r.jobs)
	}
}

// print prints the plan for a dry run.
func (r *restoring) print() error {
	if r.asJSON {
		r.done.DryRun = true
		for _, w := range r.wanted {
			r.done.Restored = append(r.done.Restored, restoredFile{w.path, filepath.Join(r.dir, w.place), w.id, w.size})
		}
		return r.printDocument()
	}
	for _, w := range r.wanted {
		if _, err := fmt.Fprintf(r.Stdout, "+ %s  %s\n", printable(filepath.ToSlash(w.place)), size(w.size)); err != nil {
			return err
		}
	}
	return nil
}

func (r *restoring) printDocument() error {
	d := r.done
	d.Vault = r.vault
	d.Restored = append([]restoredFile{}, d.Restored...)
	d.Skipped = append([]syncProblem{}, d.Skipped...)
	d.Failed = append([]syncProblem{}, d.Failed...)
	return printJSON(r.Stdout, d)
}

// report prints what was done, and returns the error of what was not.
func (r *restoring) report(failed error) error {
	d := &r.done
	if r.asJSON {
		if err := r.printDocument(); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(r.Stdout, "%d restored (%s), %d there already, %d skipped, %d failed.\n", len(d.Restored), size(r.fetched), d.There, len(d.Skipped), len(d.Failed))
	}
	again := r.repeat(nil, nil)
	if failed != nil {
		return r.partly(failed, len(d.Restored) > 0 || r.begun.Load(), again)
	}
	if n := len(d.Failed) + len(d.Skipped); n > 0 {
		return &exitError{exitPartly, "What failed is tried again by:\n  " + again, fmt.Errorf("%d files were not restored: %s", n, r.firstProblems())}
	}
	return nil
}

// firstProblems names some of what was not restored.
func (r *restoring) firstProblems() string {
	var lines []string
	for _, p := range append(append([]syncProblem{}, r.done.Failed...), r.done.Skipped...) {
		if lines = append(lines, printable(p.Path)); len(lines) == 3 {
			break
		}
	}
	return strings.Join(lines, ", ")
}
