package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"time"

	"github.com/moraine-archive/moraine/internal/access"
	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/vfs"
)

// keyFinder returns how access keys are looked up: in the catalogue at every request, so that a key made or removed by another
// process counts at once.
func keyFinder(rows *catalogue.DB) func(context.Context, string) (access.Key, bool, error) {
	return func(ctx context.Context, id string) (access.Key, bool, error) {
		if strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r > '~' }) {
			return access.Key{}, false, nil // no key has such an id, and not every database takes the text
		}
		var k catalogue.AccessKey
		err := rows.View(ctx, func(tx *catalogue.Tx) (err error) {
			k, err = tx.AccessKey(id)
			return err
		})
		if errors.Is(err, catalogue.ErrNotFound) {
			return access.Key{}, false, nil
		}
		return access.Key{ID: k.ID, Account: k.AccountID, Secret: k.Secret}, err == nil, err
	}
}

// firstName is the name of the account that is made on the first start.
const firstName = "root"

// firstAccount makes sure that there is an account. It returns the credentials file, "" when there is none: the configuration gives the key, or
// gave it on an earlier start.
func firstAccount(ctx context.Context, rows *catalogue.DB, disk vfs.FS, c config.Config, now time.Time) (string, error) {
	if c.RootKeyID != "" {
		return "", configuredAccount(ctx, rows, c, now)
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
	key := access.NewKey(account)
	// The file first: a key that nobody knows would lock everybody out.
	if err := disk.WriteFile(c.CredentialsPath(), credentialsFile(key)); err != nil {
		return "", fmt.Errorf("write the credentials: %w", err)
	}
	return c.CredentialsPath(), rows.Update(ctx, func(tx *catalogue.Tx) error { return insertAccount(tx, firstName, key, now) })
}

// configuredAccount makes the account and the key that the configuration gives, in place of the key that it gave before.
func configuredAccount(ctx context.Context, rows *catalogue.DB, c config.Config, now time.Time) error {
	return rows.Update(ctx, func(tx *catalogue.Tx) error {
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
		if k, err := tx.AccessKey(c.RootKeyID); err == nil && k.AccountID != a.ID {
			return fmt.Errorf("root-access-key-id: the key %s belongs to the account %s: choose another", c.RootKeyID, k.AccountID)
		}
		return tx.ConfigureAccessKey(catalogue.AccessKey{ID: c.RootKeyID, AccountID: a.ID, Secret: c.RootSecret, CreatedAt: now})
	})
}

func newAccountID(given string) (string, error) {
	if given != "" {
		return given, nil
	}
	return access.NewAccountID()
}

func insertAccount(tx *catalogue.Tx, name string, k access.Key, now time.Time) error {
	if err := tx.InsertAccount(catalogue.Account{ID: k.Account, Name: name, CreatedAt: now}); err != nil {
		return err
	}
	return tx.PutAccessKey(catalogue.AccessKey{ID: k.ID, AccountID: k.Account, Secret: k.Secret, CreatedAt: now})
}

// credentialsFile is a key in the shared format of the AWS tools.
func credentialsFile(k access.Key) []byte {
	return fmt.Appendf(nil, "[default]\naws_access_key_id = %s\naws_secret_access_key = %s\naws_account_id = %s\n", k.ID, k.Secret, k.Account)
}

// savedKey reads such a file.
var savedKey = regexp.MustCompile(`aws_access_key_id = (\S+)\s+aws_secret_access_key = (\S+)\s+aws_account_id = ([0-9]{12})`) // read only

// parseCredentials returns the key in a file that credentialsFile has made, false if there is none.
func parseCredentials(b []byte) (access.Key, bool) {
	m := savedKey.FindSubmatch(b)
	if m == nil {
		return access.Key{}, false
	}
	return access.Key{ID: string(m[1]), Secret: string(m[2]), Account: string(m[3])}, true
}

// NewAccount makes an account with a key in the catalogue of a configuration. The server may be running; it knows the key at once.
func NewAccount(ctx context.Context, c config.Config, name string, now time.Time) (access.Key, error) {
	var key access.Key
	err := withCatalogue(ctx, c, func(tx *catalogue.Tx) error {
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
		key = access.NewKey(account)
		return insertAccount(tx, name, key, now)
	})
	return key, err
}

// ErrNoAccount says that there is no such account.
var ErrNoAccount = errors.New("no such account")

// NewKey makes a further key for an account, like NewAccount.
func NewKey(ctx context.Context, c config.Config, account string, now time.Time) (access.Key, error) {
	key := access.NewKey(account)
	err := withCatalogue(ctx, c, func(tx *catalogue.Tx) error {
		if _, err := tx.Account(account); errors.Is(err, catalogue.ErrNotFound) {
			return fmt.Errorf("%w: %s", ErrNoAccount, account)
		} else if err != nil {
			return err
		}
		return tx.PutAccessKey(catalogue.AccessKey{ID: key.ID, AccountID: account, Secret: key.Secret, CreatedAt: now})
	})
	return key, err
}

// withCatalogue runs a change on the catalogue of a configuration, which has to exist: an administrator who names the wrong directory
// should hear of it.
func withCatalogue(ctx context.Context, c config.Config, fn func(*catalogue.Tx) error) error {
	if err := hasCatalogue(c); err != nil {
		return err
	}
	rows, err := catalogue.OpenSQLite(ctx, c.CataloguePath())
	if err != nil {
		return err
	}
	return errors.Join(rows.Update(ctx, fn), rows.Close())
}
