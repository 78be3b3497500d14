package cli

import (
	"cmp"
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

// patience is how long a small file that is being sent may go on after an interruption, so that nobody has to ask whether it was stored.
const patience = 30 * time.Second

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
	var a *transfer.Archive
	if f.info.Size() <= singleRequest {
		a, err = y.small(ctx, f, file, description)
	} else {
		a, err = y.large(ctx, f, file, description)
	}
	if err != nil {
		return "", err
	}
	created := time.Now()
	if newest != nil && !created.After(newest.Created) { // the clock of the service is ahead of that here
		created = newest.Created.Add(time.Millisecond)
	}
	noting := context.WithoutCancel(ctx)
	err = y.ix.Add(noting, index.Archive{ID: a.ID, Description: description, Created: created, Size: a.Size, TreeHash: a.TreeHash})
	if err == nil {
		err = y.ix.ForgetUpload(noting, cmp.Or(a.UploadID, onceID(f, description)))
	}
	return a.ID, err
}

// singleRequest is the size up to which a file is sent with one request.
const singleRequest = 16 << 20

// onceID names the note that a small file is being sent, in place of the id of an upload.
func onceID(f found, description string) string {
	return fmt.Sprintf("once %d %s", f.info.Size(), description)
}

// small sends a file with one request. It is noted before, because a second one could make a second archive.
func (y *syncing) small(ctx context.Context, f found, file *os.File, description string) (*transfer.Archive, error) {
	id := onceID(f, description)
	note, err := y.ix.UploadOf(ctx, id, f.info.Size(), f.info.ModTime(), description)
	switch {
	case err == nil && !y.settled(note.Started):
		y.needInventory()
		return nil, errUncertain
	case err != nil && !errors.Is(err, index.ErrNotFound):
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = y.ix.AddUpload(ctx, index.Upload{ID: id, Path: id, Size: f.info.Size(), ModTime: f.info.ModTime(), Description: description, Started: time.Now()})
	if err != nil {
		return nil, err
	}
	within, cancel := outlive(ctx, patience)
	defer cancel()
	a, err := y.up.Upload(within, y.vault.Name, file, f.info.Size(), description)
	if _, open := errors.AsType[*transfer.UncertainError](err); open {
		y.needInventory()
	} else if err != nil {
		err = errors.Join(err, y.ix.ForgetUpload(context.WithoutCancel(ctx), id))
	}
	return a, err
}

// needInventory has the command that goes on get an inventory.
func (y *syncing) needInventory() {
	y.mu.Lock()
	defer y.mu.Unlock()
	if !y.inventory {
		y.uncertain = " --inventory"
	}
}

// outlive returns a context that ends some time after another.
func outlive(ctx context.Context, by time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(by, cancel) })
	return longer, func() { stop(); cancel() }
}

// settled reports whether what is known tells if a request of that time was carried out. It was not then, or the file would be in the index.
func (y *syncing) settled(at time.Time) bool {
	return y.known.current || y.known.InventoryDate.After(at.Add(clockSkew)) || y.inventory && time.Since(at) > twoInventories
}

// twoInventories is in what time Amazon takes an inventory of a vault that was written to, and one more for good measure.
const twoInventories = 48 * time.Hour

// large sends a file in parts.
func (y *syncing) large(ctx context.Context, f found, file *os.File, description string) (*transfer.Archive, error) {
	up := y.up
	up.Progress = y.pace(f.path)
	m := &remembered{session: y.session, ix: y.ix, vault: y.vault.Name, up: &up, settled: y.settled}
	a, err := m.send(ctx, file, index.Upload{Path: f.file, Size: f.info.Size(), ModTime: f.info.ModTime(), Description: description})
	if errors.Is(err, errUncertain) {
		y.needInventory()
	}
	return a, err
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
	again := y.repeat(nil, nil) + y.uncertain
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
