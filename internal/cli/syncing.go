package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/moraine-archive/moraine/glacier/transfer"
	"github.com/moraine-archive/moraine/internal/index"
	"github.com/moraine-archive/moraine/internal/names"
)

// upload stores a file, and notes it. There is never a second archive of the same state of a file: what was begun is noted before, and goes on or is cleared up first.
func (y *syncing) upload(ctx context.Context, f found, description string, newest *index.Archive) (string, error) {
	file, err := os.Open(f.file)
	if err != nil {
		return "", err
	}
	defer file.Close()
	if now, err := file.Stat(); err != nil || now.Size() != f.info.Size() || !now.ModTime().Equal(f.info.ModTime()) {
		return "", errors.Join(transfer.ErrChanged, err)
	}
	a, err := y.remembered(f).send(ctx, file, f.noteOf(description))
	if err != nil {
		return "", err
	}
	created := time.Now()
	if newest != nil && !created.After(newest.Created) { // the clock of the service is ahead of that here
		created = newest.Created.Add(time.Millisecond)
	}
	added := index.Archive{ID: a.ID, Description: description, Created: created, Size: a.Size, TreeHash: a.TreeHash}
	return a.ID, y.ix.Add(context.WithoutCancel(ctx), added, a.UploadID)
}

// remembered returns what uploads the file.
func (y *syncing) remembered(f found) *remembered {
	up := &transfer.Uploader{Client: y.client, Single: neverAtOnce, Progress: y.pace(f.path)}
	return &remembered{session: y.session, ix: y.ix, vault: y.vault.Name, up: up, known: y.known}
}

// noteOf says what the file is.
func (f found) noteOf(description string) index.Upload {
	return index.Upload{Path: f.file, Size: f.info.Size(), ModTime: f.info.ModTime(), Description: description}
}

// clean deletes archives of files that are gone, and old ones.
func (y *syncing) clean(ctx context.Context) error {
	if !y.remove && !y.removeOld {
		return nil
	}
	if y.files == 0 {
		return fmt.Errorf("there is no file in %s, so nothing is deleted: is it the right directory, and mounted?", y.dir)
	}
	d := &deletions{session: y.session, ix: y.ix, vault: y.vault.Name, parallel: y.parallel * 2}
	d.gone = func(a index.Archive) { y.deleted(a) }
	d.refused = func(a index.Archive, err error) { y.failed(ctx, a.Name.Path, err) }
	if y.dryRun {
		for a, err := range y.superfluous(ctx) {
			if err != nil {
				return err
			}
			y.deleted(a)
		}
		return nil
	}
	err := d.run(ctx, y.superfluous(ctx))
	if errors.Is(err, errAllDenied) {
		return nil // each is a failure
	}
	return err
}

func (y *syncing) deleted(a index.Archive) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.note("-", &y.count.deleted, &y.done.Deleted, syncedFile{Path: a.Name.Path, Size: a.Size, ArchiveID: a.ID})
}

// superfluous are the archives to delete.
func (y *syncing) superfluous(ctx context.Context) iter.Seq2[index.Archive, error] {
	return func(yield func(index.Archive, error) bool) {
		var last *index.Archive // the newest so far of the path that is looked at
		gone := false
		older := func() bool { // deletes last, which is not the newest, and reports whether to go on
			return !y.removeOld || gone || y.unsure(last.Name.Path) || yield(*last, nil)
		}
		for a, err := range y.ix.Archives(ctx, "") {
			if err != nil {
				yield(a, err)
				return
			}
			if !y.own(a) {
				continue
			}
			same := last != nil && last.Name.Path == a.Name.Path
			if last != nil && (same || y.replaced[last.Name.Path]) && !older() {
				return
			}
			if !same {
				gone = y.gone(a.Name.Path)
			}
			if last = &a; gone && y.remove && !yield(a, nil) {
				return
			}
		}
		if last != nil && y.replaced[last.Name.Path] {
			older()
		}
	}
}

// own reports whether an archive is one that a sync may delete: without a time, it was uploaded by itself.
func (y *syncing) own(a index.Archive) bool {
	return (a.Name.Form == names.FormMT2 || a.Name.Form == names.FormMT1) && !a.Name.ModTime.IsZero() && !y.leavesOut(a.Name.Path)
}

// gone reports whether there is surely nothing at a path.
func (y *syncing) gone(path string) bool {
	local, err := names.Local(path)
	if err != nil || filepath.ToSlash(local) != path {
		return false // it cannot have come from here
	}
	root, err := os.OpenRoot(y.root)
	if err != nil {
		return false
	}
	defer root.Close()
	_, err = root.Lstat(local)
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) // what was a directory is a file now
}

// unsure reports whether a file could not be stored: its old archives stay.
func (y *syncing) unsure(path string) bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, f := range y.done.Failed {
		if f.Path == path {
			return true
		}
	}
	return false
}

// note counts what was done with a file, and prints it. The caller holds mu.
func (y *syncing) note(sign string, count *int64, list *[]syncedFile, f syncedFile) {
	*count++
	if y.asJSON {
		*list = append(*list, f)
	} else {
		fmt.Fprintf(y.Stdout, "%s %s\n", sign, printable(f.Path))
	}
}

// report prints what was done, and returns the error of what was not.
func (y *syncing) report(failed error) error {
	d := y.done
	d.Vault, d.DryRun = y.vault.Name, y.dryRun
	if y.asJSON {
		if err := printJSON(y.Stdout, d.complete()); err != nil {
			return err
		}
	} else {
		would := ""
		if y.dryRun {
			would = "It would be: "
		}
		fmt.Fprintf(y.Stdout, "%s%d new, %d changed (%s), %d deleted, %d unchanged, %d skipped, %d failed.\n",
			would, y.count.uploaded, y.count.changed, size(d.Bytes), y.count.deleted, d.Unchanged, len(d.Skipped), len(d.Failed))
	}
	again := y.repeat(nil, nil) + y.again
	if failed != nil {
		return y.partly(failed, y.count.uploaded+y.count.changed+y.count.deleted > 0, again)
	}
	if n := len(d.Failed); n > 0 {
		return &exitError{exitPartly, "To try them again, run again:\n  " + again, fmt.Errorf("%d files failed", n)}
	}
	return nil
}

// complete makes empty lists of those that are missing.
func (d syncDocument) complete() syncDocument {
	for _, list := range []*[]syncedFile{&d.Uploaded, &d.Changed, &d.Deleted} {
		*list = append([]syncedFile{}, *list...)
	}
	for _, list := range []*[]syncProblem{&d.Skipped, &d.Failed} {
		*list = append([]syncProblem{}, *list...)
	}
	return d
}
