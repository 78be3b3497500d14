package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/moraine-archive/moraine/internal/access"
	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/seal"
	"github.com/moraine-archive/moraine/internal/vfs"
)

// Secrets and session tokens in the catalogue, and so in its copies, are sealed with a key that is kept in a file of its own, outside of them.

// The places that secrets are sealed for.
func secretPlace(id string) string { return id + "/secret" }
func tokenPlace(id string) string  { return id + "/token" }

// sealed returns the row of a key.
func sealed(by seal.Key, k access.Key, row catalogue.AccessKey) catalogue.AccessKey {
	row.ID, row.AccountID, row.Secret = k.Caller.KeyID, k.Caller.Account, by.Seal(k.Secret, secretPlace(k.Caller.KeyID))
	if k.Token != "" {
		row.Token = by.Seal(k.Token, tokenPlace(k.Caller.KeyID))
	}
	return row
}

// opened returns the secret and the token in the row of a key.
func opened(by seal.Key, row catalogue.AccessKey) (secret, token string, err error) {
	if secret, err = by.Open(row.Secret, secretPlace(row.ID)); err == nil && row.Token != "" {
		token, err = by.Open(row.Token, tokenPlace(row.ID))
	}
	if err != nil {
		return "", "", fmt.Errorf("the secret of the access key %s cannot be read: %w", row.ID, err)
	}
	return secret, token, nil
}

// eachSigner gives every key to fn, which may change it.
func eachSigner(tx *catalogue.Tx, fn func(catalogue.Signer) error) error {
	return pages(func(after string) ([]catalogue.Signer, error) { return tx.Signers(after, page) },
		func(s catalogue.Signer) (string, error) { return s.ID, fn(s) })
}

// readSecretKey reads the key file. A missing one is fs.ErrNotExist.
func readSecretKey(disk vfs.FS, path string) (seal.Key, error) {
	b, err := disk.ReadFile(path)
	if err != nil {
		return seal.Key{}, fmt.Errorf("read the key of the secrets: %w", err)
	}
	key, err := seal.Parse(b)
	if err != nil {
		return key, fmt.Errorf("the file %s, with the key of the secrets, is %w: %w", path, errDamagedKey, err)
	}
	return key, nil
}

// errDamagedKey says that a key file is there and of no use.
var errDamagedKey = errors.New("damaged")

// lostKey is the advice to whom the key file is missing.
const lostKey = "Put the file back, or say with --secret-key-file where it is. If it is lost, nobody can read these secrets any more: " +
	"`moraine admin backup` and then `moraine admin rebuild --replace` give them up"

// secretKey returns the key that the secrets of a catalogue are sealed with. A missing file is made, unless there is a secret already that it would have to open.
// Two processes cannot make two: the transaction has to be one that writes, and there is one at a time. When it runs again, the file is there.
func secretKey(tx *catalogue.Tx, disk vfs.FS, c config.Config) (seal.Key, error) {
	path := c.SecretKeyPath()
	key, err := readSecretKey(disk, path)
	missing := errors.Is(err, fs.ErrNotExist)
	if errors.Is(err, errDamagedKey) {
		return key, fmt.Errorf("%w. %s", err, lostKey)
	}
	if err != nil && !missing {
		return key, err
	}
	secrets, fits, err := tryKey(tx, key, missing)
	switch {
	case err != nil:
		return key, err
	case secrets > 0 && missing:
		return key, fmt.Errorf("the file %s is missing, with the key that the secrets of %d access keys are encrypted with. %s", path, secrets, lostKey)
	case secrets > 0 && !fits:
		return key, fmt.Errorf("the key in %s is another than that with which the secrets of %d access keys are encrypted. %s", path, secrets, lostKey)
	case missing:
		key = seal.NewKey()
		if err := disk.WriteFile(path, key.File()); err != nil {
			return key, fmt.Errorf("write the key of the secrets: %w", err)
		}
	}
	return key, nil
}

var errEnough = errors.New("enough is known")

// tryKey counts sealed secrets until the key opens one. missing says that there is no key.
func tryKey(tx *catalogue.Tx, key seal.Key, missing bool) (secrets int, fits bool, err error) {
	err = eachSigner(tx, func(s catalogue.Signer) error {
		if !seal.IsSealed(s.Secret) {
			return nil
		}
		secrets++
		if missing {
			return nil
		}
		if _, _, err := opened(key, s.AccessKey); err != nil {
			return nil // one can be damaged: the check names it
		}
		fits = true
		return errEnough
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return secrets, fits, err
}

// sealPlain seals the secrets that an earlier program has left as they are.
func sealPlain(tx *catalogue.Tx, key seal.Key) error {
	plain := 0
	err := eachSigner(tx, func(s catalogue.Signer) error {
		if seal.IsSealed(s.Secret) {
			return nil
		}
		plain++
		caller := access.Caller{KeyID: s.ID, Account: s.AccountID}
		return tx.PutAccessKey(sealed(key, access.Key{Caller: caller, Secret: s.Secret}, s.AccessKey))
	})
	if err != nil || plain == 0 {
		return err
	}
	return tx.SetPlainSecrets(true)
}

// openSecrets returns the key of the secrets, when all of them are sealed with it.
func (s *stores) openSecrets(ctx context.Context) (key seal.Key, err error) {
	err = s.rows.Update(ctx, func(tx *catalogue.Tx) error {
		if key, err = secretKey(tx, s.disk, s.config); err != nil {
			return err
		}
		return errors.Join(sealPlain(tx, key), forgetExpired(tx, s.now()))
	})
	return key, err
}

// forgetPlain removes what is left of secrets that were not encrypted, after sealPlain: in unused bytes of the catalogue, and in its copies. What cannot be done now
// is done by the next start.
func (s *stores) forgetPlain(ctx context.Context) {
	var left bool
	err := s.rows.View(ctx, func(tx *catalogue.Tx) (err error) {
		left, err = tx.MayHavePlainSecrets()
		return err
	})
	if err == nil && left {
		s.log.Info("secrets of access keys are encrypted from now on: the catalogue and its copies are written anew, without those that were not")
		err = s.removePlain(ctx)
	}
	if err != nil {
		s.log.Warn("secrets that were not encrypted are still in unused bytes of the catalogue or in its copies: the next start tries again to remove them", "error", err)
	}
}

func (s *stores) removePlain(ctx context.Context) error {
	if err := s.rows.Purge(ctx); err != nil {
		return err
	}
	old, err := backups(s.disk, s.config.BackupDir())
	if err != nil {
		return err
	}
	if len(old) > 0 {
		if _, err := s.backup(ctx); err != nil {
			return err
		}
	}
	for _, b := range old {
		if err := s.disk.Remove(b.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := s.disk.Remove(filepath.Join(s.config.BackupDir(), unfinishedBackup)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.warnOfReplaced(); err != nil {
		return err
	}
	return s.rows.Update(ctx, func(tx *catalogue.Tx) error { return tx.SetPlainSecrets(false) })
}

// warnOfReplaced names the catalogues that rebuilds have moved aside: they are the administrator's to remove.
func (s *stores) warnOfReplaced() error {
	dir, base := filepath.Split(s.config.CataloguePath())
	names, err := s.disk.List(filepath.Clean(dir))
	for _, name := range names {
		if strings.HasPrefix(name, base+replacedSuffix) {
			s.log.Warn("a catalogue that was moved aside has secrets that are not encrypted: remove it when it is not needed", "file", filepath.Join(dir, name))
		}
	}
	return err
}
