package identity

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

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

// ReadSecretKey reads the key file. A missing one is fs.ErrNotExist.
func ReadSecretKey(disk vfs.FS, path string) (seal.Key, error) {
	b, err := disk.ReadFile(path)
	if err != nil {
		return seal.Key{}, fmt.Errorf("read the key of the secrets: %w", err)
	}
	key, err := seal.Parse(b)
	if err != nil {
		return key, fmt.Errorf("the file %s, with the key of the secrets, is %w: %w", path, ErrDamagedKey, err)
	}
	return key, nil
}

// ErrDamagedKey says that a key file is there and of no use.
var ErrDamagedKey = errors.New("damaged")

// lostKey is the advice to whom the key file is missing.
const lostKey = "Put the file back, or say with --secret-key-file where it is; several nodes over one catalogue need the same. If it is lost, nobody can read these secrets any more: " +
	"`moraine admin backup` and then `moraine admin rebuild --replace` (in PostgreSQL: a rebuild into an empty database) give them up"

// OpenSecrets returns the key of the secrets, when all of them are sealed with it. The transaction has to be one that writes.
func OpenSecrets(tx *catalogue.Tx, disk vfs.FS, c config.Config, now time.Time) (seal.Key, error) {
	key, err := secretKey(tx, disk, c)
	if err != nil {
		return key, err
	}
	return key, errors.Join(sealPlain(tx, key), forgetExpired(tx, now))
}

// secretKey returns the key that the secrets of a catalogue are sealed with. A missing file is made, unless there is a secret already that it would have to open.
// Two processes over one file cannot make two: the transaction has to be one that writes, and there is one at a time. When it runs again, the file is there.
func secretKey(tx *catalogue.Tx, disk vfs.FS, c config.Config) (seal.Key, error) {
	path := c.SecretKeyPath()
	key, err := ReadSecretKey(disk, path)
	missing := errors.Is(err, fs.ErrNotExist)
	if errors.Is(err, ErrDamagedKey) {
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
		return NewSecretKey(disk, path)
	}
	return key, nil
}

// NewSecretKey writes a new key file.
func NewSecretKey(disk vfs.FS, path string) (seal.Key, error) {
	key := seal.NewKey()
	if err := disk.WriteFile(path, key.File()); err != nil {
		return key, fmt.Errorf("write the key of the secrets: %w", err)
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
