package daemon

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/identity"
	"github.com/moraine-archive/moraine/internal/seal"
	"github.com/moraine-archive/moraine/internal/vault"
	"github.com/moraine-archive/moraine/internal/vfs"
)

// RebuildOptions are the choices of a rebuild.
type RebuildOptions struct {
	Replace  bool // move a catalogue that is there aside
	NoBackup bool // do not look at copies of the catalogue
	Data     bool // read every byte
}

// RebuildReport is what a rebuild has done, and what nobody can know any more.
type RebuildReport struct {
	Rebuilt
	LostKeys   int           `json:"lost_keys"` // access keys that are given up, because nobody can read their secrets
	Catalogue  string        `json:"catalogue"`
	Backup     *Backup       `json:"backup"`             // the copy that was used; null: there was none
	Replaced   string        `json:"replaced,omitempty"` // where the old catalogue is now
	Took       time.Duration `json:"took_ns"`
	PerMillion time.Duration `json:"per_million_ns"` // for a million records
}

// Rebuild makes the catalogue of a configuration again, from the records of the store and the newest copy of the catalogue beside them. No server may be running.
func Rebuild(ctx context.Context, c config.Config, o RebuildOptions, logger *slog.Logger, now func() time.Time, fn func(Event) error) (RebuildReport, error) {
	r := &rebuild{stores: stores{config: c, log: logger, now: now}, options: o, fn: fn}
	err := r.run(ctx)
	return r.report, errors.Join(err, r.close())
}

type rebuild struct {
	stores
	options RebuildOptions
	fn      func(Event) error
	report  RebuildReport
}

func (r *rebuild) run(ctx context.Context) (err error) {
	if !r.config.InBucket() {
		if err := hasDirectory(r.config.StoreDir()); err != nil {
			return err
		}
	}
	if r.settings, err = settings(r.config); err != nil {
		return err
	}
	if err := r.openBytes(ctx); err != nil {
		return err
	}
	target := r.config.CataloguePath()
	there := false
	if !r.config.InPostgres() {
		if there, err = exists(r.disk, target); err != nil {
			return err
		}
	}
	if there && !r.options.Replace {
		return fmt.Errorf("there is a catalogue at %s: if it is to be made anew, give --replace, which moves it aside", target)
	}
	started := time.Now()
	unfinished := target + ".rebuilding"
	if err := r.begin(ctx, unfinished); err != nil {
		return err
	}
	rows, err := r.openFileOfRows(ctx, unfinished)
	if err != nil {
		return err
	}
	if err := r.useRows(ctx, rows); err != nil {
		return err
	}
	done, err := r.service.Rebuild(ctx, inspection(Task{Data: r.options.Data}, r.fn))
	if err != nil {
		return err
	}
	r.report.Rebuilt = done
	if err := r.identities(ctx); err != nil {
		return err
	}
	if err := r.identify(ctx); err != nil {
		return err
	}
	if r.config.InPostgres() {
		err = r.transfer(ctx, unfinished)
	} else {
		err = r.put(unfinished, target, there)
	}
	if err != nil {
		return err
	}
	r.report.Took = time.Since(started)
	if n := r.report.Records; n > 0 {
		r.report.PerMillion = r.report.Took * time.Duration(1_000_000) / time.Duration(n)
	}
	r.report.Catalogue = r.config.CatalogueName()
	return nil
}

// hasDirectory is an error if there is no store.
func hasDirectory(dir string) error {
	f, err := vfs.OS().Open(dir)
	if err != nil {
		return fmt.Errorf("there is no store at %s: name the data directory with --data, or the store with --store: %w", dir, err)
	}
	return f.Close()
}

// transfer copies the new catalogue to PostgreSQL, whose database has to be empty, and removes the file.
func (r *rebuild) transfer(ctx context.Context, path string) error {
	to, err := catalogue.OpenPostgres(ctx, r.config.Catalogue, "")
	if err != nil {
		return err
	}
	_, err = catalogue.Transfer(ctx, r.rows, to, transferProgress(r.fn))
	if err = errors.Join(err, to.Close()); err != nil {
		return err
	}
	if err := r.closeRows(); err != nil {
		return err
	}
	return r.removeDatabase(path)
}

// removeDatabase removes the files of an SQLite database, as far as they are there.
func (r *rebuild) removeDatabase(path string) error {
	for _, suffix := range databaseFiles() {
		if err := removeIfThere(r.disk, path+suffix); err != nil {
			return err
		}
	}
	return nil
}

// transferProgress passes on how far a transfer of a catalogue is.
func transferProgress(fn func(Event) error) func(catalogue.Transferred) {
	in := inspection(Task{}, fn)
	return func(t catalogue.Transferred) {
		what := "copy " + t.Table
		if t.Check {
			what = "compare " + t.Table
		}
		in.Progress(what, t.Rows, 0)
	}
}

// closeRows closes the catalogue before the rest.
func (r *rebuild) closeRows() error {
	r.closers = r.closers[:len(r.closers)-1]
	return r.rows.Close()
}

func exists(disk vfs.FS, path string) (bool, error) {
	f, err := disk.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, f.Close()
}

// begin makes the file of the new catalogue: of the newest copy that is whole, or empty.
func (r *rebuild) begin(ctx context.Context, path string) error {
	if err := r.removeDatabase(path); err != nil { // of a rebuild that was interrupted
		return err
	}
	if r.options.NoBackup {
		return private(r.disk, path)
	}
	list, err := r.medium.copies(ctx)
	if err != nil {
		return err
	}
	for _, b := range list {
		whole, err := r.isWhole(ctx, b)
		if err == nil && whole {
			r.report.Backup = &b
			return r.fetch(ctx, b, path)
		}
		problem := "this copy of the catalogue is damaged"
		if err != nil {
			problem = "this copy of the catalogue cannot be read: " + err.Error()
		}
		f := Finding{Severity: Wrong, Place: b.Path, Problem: problem + "; an older one is looked for"}
		if err := r.fn(Event{Finding: &f}); err != nil {
			return err
		}
	}
	return private(r.disk, path)
}

// fetch copies a copy of the catalogue to a file.
func (r *rebuild) fetch(ctx context.Context, b Backup, to string) error {
	in, _, err := r.medium.open(ctx, b)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := r.disk.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.NewOffsetWriter(out, 0), in)
	return errors.Join(err, out.Sync(), out.Close())
}

// identities brings the accounts and keys into order.
func (r *rebuild) identities(ctx context.Context) error {
	key, err := r.secretKey()
	if err != nil {
		return err
	}
	recovery := identity.Recovery{Rows: r.rows, Disk: r.disk, Config: r.config, Key: key, Now: r.now()}
	lost, err := recovery.Secrets(ctx)
	if err != nil {
		return err
	}
	r.report.LostKeys = len(lost)
	for _, l := range lost {
		f := Finding{Severity: vault.Note, Account: l.Account, Problem: fmt.Sprintf("the secret of the access key %s of %s cannot be read any more: the key is given up", l.KeyID, l.ARN())}
		if err := r.fn(Event{Finding: &f}); err != nil {
			return err
		}
	}
	r.report.Accounts, err = recovery.Accounts(ctx, r.report.Accounts)
	return err
}

// secretKey takes the key of the secrets from its file. If there is none that can be read, a new one is made.
func (r *rebuild) secretKey() (seal.Key, error) {
	path := r.config.SecretKeyPath()
	key, err := identity.ReadSecretKey(r.disk, path)
	if errors.Is(err, identity.ErrDamagedKey) {
		aside := path + ".damaged-" + r.now().UTC().Format(backupLayout)
		f := Finding{Severity: Wrong, Place: path, Problem: err.Error() + "; it is moved aside to " + aside}
		if err := errors.Join(r.disk.Rename(path, aside), r.fn(Event{Finding: &f})); err != nil {
			return key, err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	return identity.NewSecretKey(r.disk, path)
}

// identify gives the catalogue the name of its store.
func (r *rebuild) identify(ctx context.Context) error {
	id, err := r.storeIdentity(ctx, r.medium)
	if err != nil {
		return err
	}
	if id == "" {
		if r.next != nil { // nothing was moved yet
			if id, err = r.storeIdentity(ctx, r.oldMedium); err != nil {
				return err
			}
		}
		id = cmp.Or(id, rand.Text()) // lost too: it gets another
		if err := r.nameStore(ctx, id); err != nil {
			return err
		}
	}
	return r.rows.Update(ctx, func(tx *catalogue.Tx) error { return tx.ReplaceIdentity(id) })
}

// databaseFiles are what the names of the files of an SQLite database end with.
func databaseFiles() []string { return []string{"", "-wal", "-shm"} }

// replacedSuffix follows the name of a catalogue that was moved aside, before the moment.
const replacedSuffix = ".replaced-"

// put puts the new catalogue in its place.
func (r *rebuild) put(from, to string, there bool) error {
	if err := r.closeRows(); err != nil { // which leaves everything in one file
		return err
	}
	aside := to + replacedSuffix + r.now().UTC().Format(backupLayout)
	for _, suffix := range databaseFiles() { // what is left of one that was lost would be taken for that of the new one
		if err := r.disk.Rename(to+suffix, aside+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if there {
		r.report.Replaced = aside
	}
	if err := r.disk.Rename(from, to); err != nil {
		return err
	}
	return r.disk.SyncDir(filepath.Dir(to))
}
