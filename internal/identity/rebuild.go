package identity

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/moraine-archive/moraine/internal/access"
	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/seal"
	"github.com/moraine-archive/moraine/internal/vfs"
)

// Recovery brings accounts and keys of a catalogue that was rebuilt into order.
type Recovery struct {
	Rows   *catalogue.DB
	Disk   vfs.FS
	Config config.Config
	Key    seal.Key // of the secrets
	Now    time.Time
}

// Secrets makes sure that every secret can be read. A key of which it cannot is given up, unless the secret is in the file of the first key or in the configuration. It returns who
// signed with those that are given up.
func (r Recovery) Secrets(ctx context.Context) (lost []access.Caller, err error) {
	known := map[string]access.Key{}
	if k, ok := r.savedKey(); ok {
		known[k.Caller.KeyID] = k
	}
	if r.Config.RootKeyID != "" {
		known[r.Config.RootKeyID] = access.Key{Caller: access.Caller{KeyID: r.Config.RootKeyID, Account: r.Config.RootAccount}, Secret: r.Config.RootSecret}
	}
	err = r.Rows.Update(ctx, func(tx *catalogue.Tx) (err error) {
		lost, err = r.giveUp(tx, known)
		return errors.Join(err, sealPlain(tx, r.Key))
	})
	return lost, err
}

// savedKey returns the key in the file of the first key, false if there is none.
func (r Recovery) savedKey() (access.Key, bool) {
	b, err := r.Disk.ReadFile(r.Config.CredentialsPath())
	if err != nil {
		return access.Key{}, false
	}
	return parseCredentials(b)
}

// giveUp removes the keys of which the secret cannot be read, but for those that are known from elsewhere.
func (r Recovery) giveUp(tx *catalogue.Tx, known map[string]access.Key) (lost []access.Caller, err error) {
	err = eachSigner(tx, func(s catalogue.Signer) error {
		if !seal.IsSealed(s.Secret) {
			return nil
		}
		if _, _, err := opened(r.Key, s.AccessKey); err == nil {
			return nil
		}
		if k, ok := known[s.ID]; ok && isRootKey(s.AccessKey) && (k.Caller.Account == s.AccountID || k.Caller.Account == "" && s.Configured) {
			k.Caller.Account = s.AccountID
			return tx.PutAccessKey(sealed(r.Key, k, s.AccessKey))
		}
		lost = append(lost, callerOf(s))
		return tx.RemoveAccessKey(s.ID)
	})
	return lost, err
}

// Accounts makes rows of accounts of which only the ids are known. The first account can be told from the configuration or the file of its key. It returns those of which no key is known.
func (r Recovery) Accounts(ctx context.Context, ids []string) ([]string, error) {
	first := r.Config.RootAccount
	key, saved := r.savedKey()
	if saved {
		first = key.Caller.Account
	}
	if first == "" && len(ids) == 1 {
		first = ids[0]
	}
	err := r.Rows.Update(ctx, func(tx *catalogue.Tx) error {
		for _, id := range ids {
			name := "account-" + id
			if id == first {
				if _, err := tx.AccountNamed(firstName); errors.Is(err, catalogue.ErrNotFound) {
					name = firstName
				}
			}
			if err := tx.InsertAccount(catalogue.Account{ID: id, Name: name, CreatedAt: r.Now}); err != nil {
				return err
			}
		}
		if !saved || !slices.Contains(ids, key.Caller.Account) {
			return nil
		}
		return tx.PutAccessKey(sealed(r.Key, key, catalogue.AccessKey{CreatedAt: r.Now}))
	})
	if saved {
		ids = slices.DeleteFunc(ids, func(id string) bool { return id == key.Caller.Account })
	}
	return ids, err
}
