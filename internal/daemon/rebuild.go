package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"github.com/moraine-archive/moraine/internal/access"
	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/config"
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

// Rebuild makes the catalogue of a configuration again, from the volumes and the newest copy of the catalogue beside them. No server may be running.
func Rebuild(ctx context.Context, c config.Config, o RebuildOptions, logger *slog.Logger, now func() time.Time, fn func(Event) error) (RebuildReport, error) {
	r := &rebuild{stores: stores{config: c, log: logger, now: now}, options: o, fn: fn}
	err := r.run(ctx)
	return r.report, errors.Join(err, r.close())
}

type rebuild struct {
	stores
	options RebuildOptions
	fn      func(Event) error
	key     seal.Key // of the secrets
	report  RebuildReport
}

func (r *rebuild) run(ctx context.Context) (err error) {
	if f, err := vfs.OS().Open(r.config.StoreDir()); err != nil {
		return fmt.Errorf("there is no store at %s: name the data directory with --data, or the store with --store: %w", r.config.StoreDir(), err)
	} else {
		f.Close()
	}
	if r.settings, err = settings(r.config); err != nil {
		return err
	}
	if err := r.openBytes(); err != nil {
		return err
	}
	target := r.config.CataloguePath()
	there, err := exists(r.disk, target)
	if err != nil {
		return err
	}
	if there && !r.options.Replace {
		return fmt.Errorf("there is a catalogue at %s: if it is to be made anew, give --replace, which moves it aside", target)
	}
	started := time.Now()
	unfinished := target + ".rebuilding"
	if err := r.begin(unfinished); err != nil {
		return err
	}
	if err := r.openRows(ctx, unfinished); err != nil {
		return err
	}
	done, err := r.service.Rebuild(ctx, inspection(Task{Data: r.options.Data}, r.fn))
	if err != nil {
		return err
	}
	r.report.Rebuilt = done
	if err := r.secrets(ctx); err != nil {
		return err
	}
	if err := r.accounts(ctx); err != nil {
		return err
	}
	if err := r.identify(ctx); err != nil {
		return err
	}
	if err := r.put(unfinished, target, there); err != nil {
		return err
	}
	r.report.Took = time.Since(started)
	if n := r.report.Records; n > 0 {
		r.report.PerMillion = r.report.Took * time.Duration(1_000_000) / time.Duration(n)
	}
	r.report.Catalogue = target
	return nil
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
func (r *rebuild) begin(path string) error {
	for _, suffix := range databaseFiles() { // of a rebuild that was interrupted
		if err := r.disk.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if r.options.NoBackup {
		return private(r.disk, path)
	}
	list, err := backups(r.disk, r.config.BackupDir())
	if err != nil {
		return err
	}
	for _, b := range list {
		whole, err := b.isWhole(r.disk)
		if err == nil && whole {
			r.report.Backup = &b
			return copyFile(r.disk, b.Path, path)
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

func copyFile(disk vfs.FS, from, to string) error {
	in, err := disk.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	size, err := in.Size()
	if err != nil {
		return err
	}
	out, err := disk.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.NewOffsetWriter(out, 0), io.NewSectionReader(in, 0, size))
	return errors.Join(err, out.Sync(), out.Close())
}

// accounts makes rows of accounts of which only the ids are known. The first account can be told from the configuration or the file of its key.
func (r *rebuild) accounts(ctx context.Context) error {
	ids := r.report.Accounts
	first, key := r.config.RootAccount, access.Key{}
	b, err := r.disk.ReadFile(r.config.CredentialsPath())
	if k, ok := parseCredentials(b); err == nil && ok {
		first, key = k.Caller.Account, k
	}
	if first == "" && len(ids) == 1 {
		first = ids[0]
	}
	now := r.now()
	err = r.rows.Update(ctx, func(tx *catalogue.Tx) error {
		for _, id := range ids {
			name := "account-" + id
			if id == first {
				if _, err := tx.AccountNamed(firstName); errors.Is(err, catalogue.ErrNotFound) {
					name = firstName
				}
			}
			if err := tx.InsertAccount(catalogue.Account{ID: id, Name: name, CreatedAt: now}); err != nil {
				return err
			}
		}
		if key.Caller.KeyID == "" || !slices.Contains(ids, key.Caller.Account) {
			return nil
		}
		return tx.PutAccessKey(sealed(r.key, key, catalogue.AccessKey{CreatedAt: now}))
	})
	if key.Caller.KeyID != "" {
		r.report.Accounts = slices.DeleteFunc(ids, func(id string) bool { return id == key.Caller.Account })
	}
	return err
}

// secrets makes sure that every secret can be read. A key of which it cannot is given up, unless the secret is in the file of the first key or in the configuration.
func (r *rebuild) secrets(ctx context.Context) error {
	if err := r.findKey(); err != nil {
		return err
	}
	known := map[string]access.Key{}
	b, err := r.disk.ReadFile(r.config.CredentialsPath())
	if k, ok := parseCredentials(b); err == nil && ok {
		known[k.Caller.KeyID] = k
	}
	if r.config.RootKeyID != "" {
		known[r.config.RootKeyID] = access.Key{Caller: access.Caller{KeyID: r.config.RootKeyID, Account: r.config.RootAccount}, Secret: r.config.RootSecret}
	}
	var lost []catalogue.Signer
	err = r.rows.Update(ctx, func(tx *catalogue.Tx) (err error) {
		lost, err = r.giveUp(tx, known)
		return errors.Join(err, sealPlain(tx, r.key))
	})
	if err != nil {
		return err
	}
	r.report.LostKeys = len(lost)
	for _, s := range lost {
		f := Finding{Severity: vault.Note, Account: s.AccountID, Problem: fmt.Sprintf("the secret of the access key %s of %s cannot be read any more: the key is given up", s.ID, callerOf(s).ARN())}
		if err := r.fn(Event{Finding: &f}); err != nil {
			return err
		}
	}
	return nil
}

// findKey takes the key of the secrets from its file. If there is none that can be read, a new one is made.
func (r *rebuild) findKey() (err error) {
	path := r.config.SecretKeyPath()
	r.key, err = readSecretKey(r.disk, path)
	if errors.Is(err, errDamagedKey) {
		aside := path + ".damaged-" + r.now().UTC().Format(backupLayout)
		f := Finding{Severity: Wrong, Place: path, Problem: err.Error() + "; it is moved aside to " + aside}
		if err := errors.Join(r.disk.Rename(path, aside), r.fn(Event{Finding: &f})); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	r.key = seal.NewKey()
	return r.disk.WriteFile(path, r.key.File())
}

// giveUp removes the keys of which the secret cannot be read, but for those that are known from elsewhere.
func (r *rebuild) giveUp(tx *catalogue.Tx, known map[string]access.Key) (lost []catalogue.Signer, err error) {
	err = eachSigner(tx, func(s catalogue.Signer) error {
		if !seal.IsSealed(s.Secret) {
			return nil
		}
		if _, _, err := opened(r.key, s.AccessKey); err == nil {
			return nil
		}
		if k, ok := known[s.ID]; ok && isRootKey(s.AccessKey) && (k.Caller.Account == s.AccountID || k.Caller.Account == "" && s.Configured) {
			k.Caller.Account = s.AccountID
			return tx.PutAccessKey(sealed(r.key, k, s.AccessKey))
		}
		lost = append(lost, s)
		return tx.RemoveAccessKey(s.ID)
	})
	return lost, err
}

// identify gives the catalogue the name of its store.
func (r *rebuild) identify(ctx context.Context) error {
	id, err := storeIdentity(r.disk, filepath.Join(r.config.StoreDir(), identityFile))
	if err != nil {
		return err
	}
	if id == "" { // lost too: it gets another
		if id, err = nameStore(r.disk, r.config); err != nil {
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
	if err := r.rows.Close(); err != nil { // which leaves everything in one file
		return err
	}
	r.closers = r.closers[:len(r.closers)-1]
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
