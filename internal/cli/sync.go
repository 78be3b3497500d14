package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/glacier/transfer"
	"github.com/moraine-archive/moraine/internal/index"
	"github.com/moraine-archive/moraine/internal/names"
	"github.com/moraine-archive/moraine/internal/vfs"
)

// syncOptions are the flags of sync.
type syncOptions struct {
	dryRun, checksum, remove, removeOld, inventory bool
	parallel                                       int
	exclude                                        []string
	patterns                                       []*index.Pattern // of exclude
}

func syncCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sync DIR VAULT",
		Short: "Upload what is new or changed in a directory",
		Long: `Upload the files of a directory that are new or changed to a vault, as far as it is known here what is there: a file is unchanged if the newest archive of its path
has its size and time. The path, relative to DIR, and the time are in the description, in the form of mt-aws-glacier. It prints + for a new file, ~ for a changed one, - for
an archive that is deleted. A changed file is another archive; the old one stays, unless --delete-old is given.

Symbolic links, special files and empty files are skipped: an archive has at least one byte. When it was interrupted, run it again: large files go on where they were.

--delete deletes the archives of files that are gone, but only those whose description is in the form that sync writes, and not those that --exclude matches. So only one directory can be kept in a vault with --delete.`,
		Example: "  moraine sync ~/photos photos --dry-run\n  moraine sync ~/photos photos --exclude '**/.cache/**' --delete",
		Args:    arguments("DIR", "VAULT"),
	}
	o := &syncOptions{}
	f := cmd.Flags()
	f.BoolVar(&o.dryRun, "dry-run", false, "only print what would be done")
	f.BoolVar(&o.checksum, "checksum", false, "compare tree hashes, not times: reads all files")
	f.BoolVar(&o.remove, "delete", false, "delete archives of files that are gone")
	f.BoolVar(&o.removeOld, "delete-old", false, "delete archives that are not the newest of their file")
	f.StringArrayVar(&o.exclude, "exclude", nil, "a pattern of paths that are left out, like '*.tmp' or 'cache/'; may be given several times")
	atOnce(cmd, &o.parallel, "parallel", 4, mostParallel, "how many files at once")
	f.BoolVar(&o.inventory, "inventory", false, "get an inventory first: hours with Amazon, a moment with Moraine")
	return onVaults(p, cmd, func(ctx context.Context, s *session, args []string) error {
		if err := o.compile(); err != nil {
			return usage(cmd, err)
		}
		return s.sync(ctx, o, args[0], args[1])
	})
}

func (o *syncOptions) compile() error {
	for _, text := range o.exclude {
		p, err := index.Compile(text)
		if err != nil || text == "" {
			return fmt.Errorf("--exclude %q is no pattern: %v", text, err)
		}
		o.patterns = append(o.patterns, p)
	}
	return nil
}

// excluded reports whether a pattern matches a path, or the name at its end. Those of directories have a / behind.
func (o *syncOptions) excluded(path string) bool {
	name := path[1+strings.LastIndexByte(strings.TrimSuffix(path, "/"), '/'):]
	return slices.ContainsFunc(o.patterns, func(p *index.Pattern) bool { return p.Match(path) || p.Match(name) })
}

// excludedDir reports whether a directory is left out.
func (o *syncOptions) excludedDir(path string) bool { return o.excluded(path) || o.excluded(path+"/") }

// leavesOut reports whether a file is left out, because of its own path or that of a directory above.
func (o *syncOptions) leavesOut(path string) bool {
	for i := range path {
		if path[i] == '/' && o.excludedDir(path[:i]) {
			return true
		}
	}
	return o.excluded(path)
}

func (s *session) sync(ctx context.Context, o *syncOptions, dir, vault string) error {
	root, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if root, err = filepath.EvalSymlinks(root); err != nil {
		return err
	}
	if info, err := os.Stat(root); err != nil {
		return err
	} else if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	v, ix, err := s.open(ctx, vault)
	if err != nil {
		return err
	}
	if !o.dryRun { // two at once would store what is new twice
		lock, err := s.lock(v, syncLock(root))
		if errors.Is(err, vfs.ErrLocked) {
			return &exitError{exitFailed, "Run it again when that has ended.", fmt.Errorf("another sync of %s to the vault %s is under way on this machine", dir, vault)}
		} else if err != nil {
			return err
		}
		defer lock.Close()
	}
	known, err := s.known(ctx, ix, v, o.inventory)
	if err != nil {
		return err
	}
	if known.Archives != v.NumberOfArchives && v.LastInventoryDate.After(known.InventoryDate) {
		s.say("The vault had %d archives at its last inventory, %d are known here: --inventory takes over what others did.", v.NumberOfArchives, known.Archives)
	}
	y := &syncing{session: s, syncOptions: o, ix: ix, vault: v, root: root, dir: dir, known: known, begun: map[string]bool{}, replaced: map[string]bool{}}
	uploads, err := ix.Uploads(ctx)
	if err != nil {
		return err
	}
	for _, u := range uploads {
		y.begun[u.Path] = true
	}
	return y.report(y.run(ctx))
}

// syncing is a sync of a directory.
type syncing struct {
	*session
	*syncOptions
	ix    *index.Index
	vault *glacier.Vault
	root  string // absolute
	dir   string // as it was given
	known knowledge
	begun map[string]bool // read only: the files of which an upload was begun before

	mu    sync.Mutex
	files int64                                      // guarded by mu: regular files that were seen
	done  syncDocument                               // guarded by mu; the lists of files are for JSON alone
	count struct{ uploaded, changed, deleted int64 } // guarded by mu
	// replaced are, in a dry run, the files whose newest archive would not be the newest any more. Guarded by mu.
	replaced map[string]bool
	again    string // guarded by mu: the flag that the next run needs beside those of this one
}

// syncDocument is what a sync has done, or would do, for scripts.
type syncDocument struct {
	Vault     string        `json:"vault"`
	DryRun    bool          `json:"dry_run,omitempty"`
	Uploaded  []syncedFile  `json:"uploaded"`
	Changed   []syncedFile  `json:"changed"`
	Deleted   []syncedFile  `json:"deleted"`
	Skipped   []syncProblem `json:"skipped"`
	Failed    []syncProblem `json:"failed"`
	Unchanged int64         `json:"unchanged"`
	Bytes     int64         `json:"bytes"` // that were uploaded
}

type syncedFile struct {
	Path      string `json:"path"`
	Size      int64  `json:"size"`
	ArchiveID string `json:"archive_id,omitempty"`
}

type syncProblem struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

// found is a file of the directory.
type found struct {
	path string // relative, with /
	file string // to open
	info fs.FileInfo
}

func (f found) modTime() time.Time { return f.info.ModTime().UTC().Truncate(time.Second) }

func (y *syncing) run(ctx context.Context) error {
	g, within := errgroup.WithContext(ctx)
	files := make(chan found)
	g.Go(func() error {
		defer close(files)
		return y.walk(within, files)
	})
	for range y.parallel {
		g.Go(func() error {
			for f := range files {
				if err := y.failed(within, f.path, y.one(within, f)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return y.clean(ctx)
}

// walk finds the files. What cannot be read is a failure, and is not taken for gone.
func (y *syncing) walk(ctx context.Context, files chan<- found) error {
	return filepath.WalkDir(y.root, func(file string, d fs.DirEntry, err error) error {
		rel, relErr := filepath.Rel(y.root, file)
		if relErr != nil {
			return relErr
		}
		path := filepath.ToSlash(rel)
		switch {
		case path != "." && d.IsDir() && y.excludedDir(path):
			return fs.SkipDir
		case path != "." && !d.IsDir() && y.excluded(path):
			return nil
		case err != nil:
			return y.failed(ctx, path, err)
		case d.IsDir():
			return ctx.Err()
		case !d.Type().IsRegular():
			y.skip(path, kindOf(d.Type()))
			return nil
		case strings.HasSuffix(path, transfer.PartialSuffix):
			y.skip(path, "a download that is not complete")
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return y.failed(ctx, path, err)
		}
		y.mu.Lock()
		y.files++
		y.mu.Unlock()
		if info.Size() == 0 {
			y.skip(path, "empty: an archive has at least one byte")
			return nil
		}
		select {
		case files <- found{path, file, info}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

func kindOf(mode fs.FileMode) string {
	if mode&fs.ModeSymlink != 0 {
		return "a symbolic link"
	}
	return "not a regular file"
}

func (y *syncing) skip(path, reason string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.done.Skipped = append(y.done.Skipped, syncProblem{path, reason})
	y.say("skipped %s: %s", printable(path), reason)
}

// failed notes the failure of a file. It returns the error if it ends all: the others would fail too.
func (y *syncing) failed(ctx context.Context, path string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil || hopeless(err) {
		return err
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	y.done.Failed = append(y.done.Failed, syncProblem{path, err.Error()})
	if errors.Is(err, errUncertain) && !y.inventory {
		y.again = " --inventory"
	}
	y.say("failed: %s: %v", printable(path), err)
	return nil
}

// hopeless reports whether an error is one that all other files would have too.
func hopeless(err error) bool {
	for _, kind := range []error{glacier.ErrAuthentication, glacier.ErrExpiredToken, glacier.ErrPolicyEnforced, index.ErrDamaged} {
		if errors.Is(err, kind) {
			return true
		}
	}
	var answer *glacier.APIError
	if errors.As(err, &answer) {
		return errors.Is(err, glacier.ErrAccessDenied) && answer.Operation != "DeleteArchive"
	}
	var sending *glacier.SendError
	return errors.As(err, &sending) // it was tried several times
}

// one uploads a file if it is new or changed.
func (y *syncing) one(ctx context.Context, f found) error {
	description, err := names.Format(f.path, f.modTime())
	if err != nil {
		return err
	}
	newest, err := y.newest(ctx, f.path)
	if err != nil {
		return err
	}
	if newest != nil {
		same, err := y.same(ctx, f, newest)
		if err != nil {
			return err
		}
		if same {
			y.mu.Lock()
			y.done.Unchanged++
			y.mu.Unlock()
			if !y.dryRun && y.begun[f.file] {
				return y.remembered(f).forget(ctx, f.noteOf(description))
			}
			return nil
		}
	}
	a := syncedFile{Path: f.path, Size: f.info.Size()}
	if !y.dryRun {
		if a.ArchiveID, err = y.upload(ctx, f, description, newest); err != nil {
			return err
		}
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	y.done.Bytes += a.Size
	if newest != nil {
		if y.dryRun {
			y.replaced[f.path] = true
		}
		y.note("~", &y.count.changed, &y.done.Changed, a)
	} else {
		y.note("+", &y.count.uploaded, &y.done.Uploaded, a)
	}
	return nil
}

// newest returns the newest archive of a path, nil if there is none.
func (y *syncing) newest(ctx context.Context, path string) (*index.Archive, error) {
	versions, err := y.ix.ByPath(ctx, path)
	if err != nil {
		return nil, err
	}
	for _, a := range versions {
		if !a.Name.Directory && a.Name.Chunk == 0 {
			return &a, nil
		}
	}
	return nil, nil
}

// same reports whether a file is what an archive has. Without a time in the description only the bytes can tell.
func (y *syncing) same(ctx context.Context, f found, a *index.Archive) (bool, error) {
	if a.Size != f.info.Size() {
		return false, nil
	}
	if !y.checksum && !a.Name.ModTime.IsZero() {
		return a.Name.ModTime.Equal(f.modTime()), nil
	}
	if a.TreeHash == "" {
		return false, nil
	}
	_, tree, err := hashesOfFile(ctx, f.file)
	return tree == a.TreeHash, err
}
