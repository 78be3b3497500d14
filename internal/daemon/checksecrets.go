package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/moraine-archive/moraine/internal/access"
	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/seal"
	"github.com/moraine-archive/moraine/internal/vault"
)

// checkSecrets looks at what requests are signed and allowed by: the key file, every secret, every policy of a user or role, and the file of the first key. found takes
// what is wrong, report what is not.
func (s *stores) checkSecrets(ctx context.Context, found func(path, format string, args ...any) error, report func(Finding) error) error {
	path := s.config.SecretKeyPath()
	key, err := readSecretKey(s.disk, path)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		if err := found(path, "%v", err); err != nil {
			return err
		}
	}
	if err != nil {
		return errors.Join(s.checkUnreadable(ctx, missing, found), s.checkPolicies(ctx, found))
	}
	return errors.Join(s.checkEachSecret(ctx, key, found, report), s.checkCredentials(ctx, key, found), s.checkPolicies(ctx, found))
}

// checkUnreadable is for when there is no key: as long as nothing is encrypted, none is needed.
func (s *stores) checkUnreadable(ctx context.Context, missing bool, found func(path, format string, args ...any) error) error {
	secrets := 0
	err := s.rows.View(ctx, func(tx *catalogue.Tx) (err error) {
		secrets, _, err = tryKey(tx, seal.Key{}, true)
		return err
	})
	if err == nil && missing && secrets > 0 {
		err = found(s.config.SecretKeyPath(), "the file is missing, and without it nobody can read the secrets of %d access keys", secrets)
	}
	return err
}

func (s *stores) checkEachSecret(ctx context.Context, key seal.Key, found func(path, format string, args ...any) error, report func(Finding) error) error {
	plain := 0
	read := func(after string) (list []catalogue.Signer, err error) {
		err = s.rows.View(ctx, func(tx *catalogue.Tx) error {
			list, err = tx.Signers(after, page)
			return err
		})
		return list, err
	}
	err := pages(read, func(k catalogue.Signer) (string, error) {
		if !seal.IsSealed(k.Secret) {
			plain++
		} else if _, _, err := opened(key, k.AccessKey); err != nil {
			return k.ID, found(s.config.CataloguePath(), "%v", err)
		}
		return k.ID, nil
	})
	if err == nil && plain > 0 {
		err = report(Finding{
			Severity: vault.Note, Place: s.config.CataloguePath(),
			Problem: fmt.Sprintf("the secrets of %d access keys are not encrypted: the next start of the server does that", plain),
		})
	}
	return err
}

func (s *stores) checkPolicies(ctx context.Context, found func(path, format string, args ...any) error) error {
	var last catalogue.PrincipalPolicy
	read := func(string) (list []catalogue.PrincipalPolicy, err error) {
		err = s.rows.View(ctx, func(tx *catalogue.Tx) error {
			list, err = tx.PrincipalPoliciesAfter(last.PrincipalID, last.Name, page)
			return err
		})
		return list, err
	}
	return pages(read, func(p catalogue.PrincipalPolicy) (string, error) {
		last = p
		if _, err := access.ParseIdentityPolicy(p.Document); err != nil {
			return "", found(s.config.CataloguePath(), "the policy %q of the user or role with the id %s cannot be read: %v", p.Name, p.PrincipalID, err)
		}
		return "", nil
	})
}

// checkCredentials holds the file of the first key, if there is one, against the catalogue.
func (s *stores) checkCredentials(ctx context.Context, key seal.Key, found func(path, format string, args ...any) error) error {
	b, err := s.disk.ReadFile(s.config.CredentialsPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	same := false
	err = s.rows.View(ctx, func(tx *catalogue.Tx) error {
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
		err = found(s.config.CredentialsPath(), "the file has not the key of the first account as the catalogue has it")
	}
	return err
}
