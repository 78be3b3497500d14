package identity

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"time"

	"github.com/moraine-archive/moraine/internal/access"
	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/seal"
	"github.com/moraine-archive/moraine/internal/vfs"
)

// firstName is the name of the account that is made on the first start.
const firstName = "root"

// FirstAccount makes sure that there is an account. It returns the credentials file, "" when there is none: the configuration gives the key, or
// gave it on an earlier start, or another node has the file.
func FirstAccount(ctx context.Context, rows *catalogue.DB, disk vfs.FS, c config.Config, now time.Time) (string, error) {
	if c.RootKeyID != "" {
		return "", configuredAccount(ctx, rows, disk, c, now)
	}
	var accounts int64
	err := rows.View(ctx, func(tx *catalogue.Tx) (err error) {
		accounts, err = tx.CountAccounts()
		return err
	})
	if err != nil {
		return "", err
	}
	if accounts > 0 {
		if err := rows.Update(ctx, func(tx *catalogue.Tx) error {
			_, err := secretKey(tx, disk, c) // again: another node that starts now may have made its own
			return err
		}); err != nil {
			return "", err
		}
		f, err := disk.Open(c.CredentialsPath())
		if errors.Is(err, fs.ErrNotExist) {
			return "", nil
		}
		if err != nil {
			return "", fmt.Errorf("open the credentials: %w", err)
		}
		return c.CredentialsPath(), f.Close()
	}
	account, err := newAccountID(c.RootAccount)
	if err != nil {
		return "", err
	}
	key := newKey(access.Caller{Account: account})
	// The file first: a key that nobody knows would lock everybody out.
	if err := disk.WriteFile(c.CredentialsPath(), credentialsFile(key)); err != nil {
		return "", fmt.Errorf("write the credentials: %w", err)
	}
	err = rows.Update(ctx, func(tx *catalogue.Tx) error {
		secrets, err := secretKey(tx, disk, c) // again
		if err != nil {
			return err
		}
		if accounts, err = tx.CountAccounts(); err != nil || accounts > 0 {
			return err
		}
		return insertAccount(tx, firstName, key, secrets, now)
	})
	if err == nil && accounts > 0 { // it has made the account too
		return "", disk.Remove(c.CredentialsPath())
	}
	return c.CredentialsPath(), err
}

// configuredAccount makes the account and the key that the configuration gives, in place of the key that it gave before.
func configuredAccount(ctx context.Context, rows *catalogue.DB, disk vfs.FS, c config.Config, now time.Time) error {
	return rows.Update(ctx, func(tx *catalogue.Tx) error {
		secrets, err := secretKey(tx, disk, c) // again: another node that starts now may have made its own
		if err != nil {
			return err
		}
		a, err := tx.AccountNamed(firstName)
		if errors.Is(err, catalogue.ErrNotFound) {
			if a.ID, err = newAccountID(c.RootAccount); err == nil {
				err = tx.InsertAccount(catalogue.Account{ID: a.ID, Name: firstName, CreatedAt: now})
			}
		}
		if err != nil {
			return err
		}
		if c.RootAccount != "" && c.RootAccount != a.ID {
			return fmt.Errorf("root-account-id is %s, but the first account was made with the id %s, which cannot change", c.RootAccount, a.ID)
		}
		if k, err := tx.AccessKey(c.RootKeyID); err == nil && (k.AccountID != a.ID || !isRootKey(k)) {
			whose := "account " + k.AccountID
			if k.AccountID == a.ID {
				whose = "account, but is not one of its root for good"
			}
			return fmt.Errorf("root-access-key-id: the key %s belongs to the %s: choose another", c.RootKeyID, whose)
		}
		key := access.Key{Caller: access.Caller{KeyID: c.RootKeyID, Account: a.ID}, Secret: c.RootSecret}
		return tx.ConfigureAccessKey(sealed(secrets, key, catalogue.AccessKey{CreatedAt: now}))
	})
}

func newAccountID(given string) (string, error) {
	if given != "" {
		return given, nil
	}
	return access.NewAccountID()
}

func insertAccount(tx *catalogue.Tx, name string, k access.Key, secrets seal.Key, now time.Time) error {
	if err := tx.InsertAccount(catalogue.Account{ID: k.Caller.Account, Name: name, CreatedAt: now}); err != nil {
		return err
	}
	return tx.PutAccessKey(sealed(secrets, k, catalogue.AccessKey{CreatedAt: now}))
}

// credentialsFile is a key in the shared format of the AWS tools.
func credentialsFile(k access.Key) []byte {
	return fmt.Appendf(nil, "[default]\naws_access_key_id = %s\naws_secret_access_key = %s\naws_account_id = %s\n", k.Caller.KeyID, k.Secret, k.Caller.Account)
}

// savedKey reads such a file.
var savedKey = regexp.MustCompile(`aws_access_key_id = (\S+)\s+aws_secret_access_key = (\S+)\s+aws_account_id = ([0-9]{12})`) // read only

// parseCredentials returns the key in a file that credentialsFile has made, false if there is none.
func parseCredentials(b []byte) (access.Key, bool) {
	m := savedKey.FindSubmatch(b)
	if m == nil {
		return access.Key{}, false
	}
	return access.Key{Caller: access.Caller{KeyID: string(m[1]), Account: string(m[3])}, Secret: string(m[2])}, true
}

// NewAccount makes an account with a key in the catalogue of a configuration. The server may be running; it knows the key at once.
func NewAccount(ctx context.Context, c config.Config, name string, now time.Time) (access.Key, error) {
	if access.IsAccountID(name) || name == "" {
		return access.Key{}, wrongArgument("%q cannot be the name of an account: it is empty, or would be taken for an id", name)
	}
	var key access.Key
	err := changeSecrets(ctx, c, func(tx *catalogue.Tx, secrets seal.Key) error {
		switch _, err := tx.AccountNamed(name); {
		case err == nil:
			return fmt.Errorf("there is an account named %q already: choose another name, or make a key with `moraine admin key add`", name)
		case !errors.Is(err, catalogue.ErrNotFound):
			return err
		}
		account, err := access.NewAccountID()
		if err != nil {
			return err
		}
		key = newKey(access.Caller{Account: account})
		return insertAccount(tx, name, key, secrets, now)
	})
	return key, err
}

// Account is an account as administrators see it.
type Account struct {
	ID        string    `json:"account_id"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"created_at"`
}

// Accounts returns all accounts, by name.
func Accounts(ctx context.Context, c config.Config) ([]Account, error) {
	list := []Account{}
	err := readCatalogue(ctx, c, func(tx *catalogue.Tx) error {
		return eachAccount(tx, func(a catalogue.Account) error {
			list = append(list, Account(a))
			return nil
		})
	})
	return list, err
}

func eachAccount(tx *catalogue.Tx, fn func(catalogue.Account) error) error {
	return pages(func(after string) ([]catalogue.Account, error) { return tx.Accounts(after, page) },
		func(a catalogue.Account) (string, error) { return a.Name, fn(a) })
}

// findAccount returns the account with an id or a name. "" is the only one.
func findAccount(tx *catalogue.Tx, given string) (catalogue.Account, error) {
	if given == "" {
		list, err := tx.Accounts("", 2)
		switch {
		case err != nil:
			return catalogue.Account{}, err
		case len(list) == 0:
			return catalogue.Account{}, notFound("there is no account yet")
		case len(list) > 1:
			return catalogue.Account{}, wrongArgument("--account is missing: there are several accounts, which `moraine admin account list` shows")
		}
		return list[0], nil
	}
	a, err := tx.Account(given)
	if errors.Is(err, catalogue.ErrNotFound) {
		a, err = tx.AccountNamed(given)
	}
	if errors.Is(err, catalogue.ErrNotFound) {
		return a, notFound("there is no account with the id or name %q", given)
	}
	return a, err
}
