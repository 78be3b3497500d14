package identity

import (
	"bytes"
	"context"
	"errors"
	"io/fs"

	"github.com/moraine-archive/moraine/internal/access"
	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/seal"
	"github.com/moraine-archive/moraine/internal/vfs"
)

// Check looks at what requests are signed and allowed by: the key file, every secret, every policy of a user or role, and the file of the first key.
type Check struct {
	Rows   *catalogue.DB
	Disk   vfs.FS
	Config config.Config
	Wrong  func(path, format string, args ...any) error // takes what is wrong with a file
	Note   func(path, format string, args ...any) error // takes what is not, and has to be known
}

// Run runs the check. An error of Wrong or Note ends a part of it.
func (c Check) Run(ctx context.Context) error {
	path := c.Config.SecretKeyPath()
	key, err := ReadSecretKey(c.Disk, path)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		if err := c.Wrong(path, "%v", err); err != nil {
			return err
		}
	}
	if err != nil {
		return errors.Join(c.unreadable(ctx, missing), c.policies(ctx))
	}
	return errors.Join(c.secrets(ctx, key), c.credentials(ctx, key), c.policies(ctx))
}

// unreadable is for when there is no key: as long as nothing is encrypted, none is needed.
func (c Check) unreadable(ctx context.Context, missing bool) error {
	secrets := 0
	err := c.Rows.View(ctx, func(tx *catalogue.Tx) (err error) {
		secrets, _, err = tryKey(tx, seal.Key{}, true)
		return err
	})
	if err == nil && missing && secrets > 0 {
		err = c.Wrong(c.Config.SecretKeyPath(), "the file is missing, and without it nobody can read the secrets of %d access keys", secrets)
	}
	return err
}

func (c Check) secrets(ctx context.Context, key seal.Key) error {
	plain := 0
	read := func(after string) (list []catalogue.Signer, err error) {
		err = c.Rows.View(ctx, func(tx *catalogue.Tx) error {
			list, err = tx.Signers(after, page)
			return err
		})
		return list, err
	}
	err := pages(read, func(k catalogue.Signer) (string, error) {
		if !seal.IsSealed(k.Secret) {
			plain++
		} else if _, _, err := opened(key, k.AccessKey); err != nil {
			return k.ID, c.Wrong(c.Config.CatalogueName(), "%v", err)
		}
		return k.ID, nil
	})
	if err == nil && plain > 0 {
		err = c.Note(c.Config.CatalogueName(), "the secrets of %d access keys are not encrypted: the next start of the server does that", plain)
	}
	return err
}

func (c Check) policies(ctx context.Context) error {
	var last catalogue.PrincipalPolicy
	read := func(string) (list []catalogue.PrincipalPolicy, err error) {
		err = c.Rows.View(ctx, func(tx *catalogue.Tx) error {
			list, err = tx.PrincipalPoliciesAfter(last.PrincipalID, last.Name, page)
			return err
		})
		return list, err
	}
	return pages(read, func(p catalogue.PrincipalPolicy) (string, error) {
		last = p
		if _, err := access.ParseIdentityPolicy(p.Document); err != nil {
			return "", c.Wrong(c.Config.CatalogueName(), "the policy %q of the user or role with the id %s cannot be read: %v", p.Name, p.PrincipalID, err)
		}
		return "", nil
	})
}

// credentials holds the file of the first key, if there is one, against the catalogue.
func (c Check) credentials(ctx context.Context, key seal.Key) error {
	b, err := c.Disk.ReadFile(c.Config.CredentialsPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	same := false
	err = c.Rows.View(ctx, func(tx *catalogue.Tx) error {
		saved, ok := parseCredentials(b)
		if !ok {
			return nil
		}
		k, err := tx.AccessKey(saved.Caller.KeyID)
		if errors.Is(err, catalogue.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		secret := k.Secret
		if seal.IsSealed(secret) {
			if secret, _, err = opened(key, k); err != nil {
				same = true // which is reported already
				return nil
			}
		}
		same = bytes.Equal(b, credentialsFile(access.Key{Caller: access.Caller{KeyID: k.ID, Account: k.AccountID}, Secret: secret}))
		return nil
	})
	if err == nil && !same {
		err = c.Wrong(c.Config.CredentialsPath(), "the file has not the key of the first account as the catalogue has it")
	}
	return err
}
