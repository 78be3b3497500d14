package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/moraine-archive/moraine/internal/access"
	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/seal"
	"github.com/moraine-archive/moraine/internal/vfs"
)

// newKey returns a random key for good.
func newKey(of access.Caller) access.Key {
	of.KeyID = access.NewID(access.LongTermKeyPrefix)
	return access.Key{Caller: of, Secret: access.NewSecret()}
}

// isRootKey reports whether a key is one of the root of an account, for good.
func isRootKey(k catalogue.AccessKey) bool {
	return k.PrincipalID == "" && k.Token == "" && k.ExpiresAt.IsZero()
}

// NewKey makes a further key for the root of an account or for a user. The server may be running; it knows the key at once.
func NewKey(ctx context.Context, c config.Config, who Who, now time.Time) (access.Key, error) {
	if who.Kind == RoleKind {
		return access.Key{}, wrongArgument("a role has no keys for good: `moraine admin token` makes temporary ones")
	}
	var key access.Key
	err := changeSecrets(ctx, c, func(tx *catalogue.Tx, secrets seal.Key) error {
		account, p, err := who.find(tx)
		if err != nil {
			return err
		}
		key = newKey(access.Caller{Account: account.ID})
		return tx.PutAccessKey(sealed(secrets, key, catalogue.AccessKey{PrincipalID: p.ID, CreatedAt: now}))
	})
	return key, err
}

// How long temporary credentials can be good (STS API Reference: "GetSessionToken").
const (
	MinToken = 15 * time.Minute
	MaxToken = 36 * time.Hour
)

// TokenOptions are the choices of temporary credentials.
type TokenOptions struct {
	Who
	Session  string // of a role
	Duration time.Duration
	MFA      bool // the administrator vouches for a second factor
}

func (o TokenOptions) validate() error {
	if o.Duration < MinToken || o.Duration > MaxToken {
		return wrongArgument("the duration %s is not between %s and %s", o.Duration, MinToken, MaxToken)
	}
	if o.Kind == RoleKind && !sessionName.MatchString(o.Session) {
		return wrongArgument("%q cannot be the name of a session: it has 2 to 64 %s", o.Session, letters)
	}
	if o.Kind != RoleKind && o.Session != "" {
		return wrongArgument("only a role has sessions")
	}
	return nil
}

// NewToken makes temporary credentials. What they may is what their user or role may at the time of a request.
func NewToken(ctx context.Context, c config.Config, o TokenOptions, now time.Time) (access.Key, error) {
	if err := o.validate(); err != nil {
		return access.Key{}, err
	}
	now = now.UTC().Truncate(time.Second)
	row := catalogue.AccessKey{CreatedAt: now, Session: o.Session, ExpiresAt: now.Add(o.Duration)}
	if o.MFA {
		row.MFAAt = now
	}
	var key access.Key
	err := changeSecrets(ctx, c, func(tx *catalogue.Tx, secrets seal.Key) error {
		account, p, err := o.find(tx)
		if err != nil {
			return err
		}
		key = access.Key{
			Caller: access.Caller{KeyID: access.NewID(access.TemporaryKeyPrefix), Account: account.ID},
			Secret: access.NewSecret(), Token: access.NewSecret(), Expires: row.ExpiresAt,
		}
		row.PrincipalID = p.ID
		return errors.Join(tx.PutAccessKey(sealed(secrets, key, row)), forgetExpired(tx, now))
	})
	return key, err
}

// How long temporary keys are remembered after they have expired: so long a client is told that they have. Every new one, and every start, forgets up to so many.
const (
	keepExpired   = 7 * 24 * time.Hour
	expiredAtOnce = 1000
)

func forgetExpired(tx *catalogue.Tx, now time.Time) error {
	return tx.ForgetAccessKeys(now.Add(-keepExpired), expiredAtOnce)
}

// The states of keys.
const (
	KeyActive   = "active"
	KeyDisabled = "disabled"
	KeyExpired  = "expired"
)

// KeyDescription is an access key as administrators see it, without its secret.
type KeyDescription struct {
	ID         string    `json:"access_key_id"`
	AccountID  string    `json:"account_id"`
	ARN        string    `json:"arn"` // of who signs with it
	State      string    `json:"state"`
	Configured bool      `json:"configured"` // the configuration of the server gives it
	CreatedAt  time.Time `json:"created_at"`
	ExpiresAt  time.Time `json:"expires_at,omitzero"`
}

func (k KeyDescription) compare(o KeyDescription) int {
	return cmp.Or(cmp.Compare(k.AccountID, o.AccountID), cmp.Compare(k.ARN, o.ARN), k.ExpiresAt.Compare(o.ExpiresAt), k.CreatedAt.Compare(o.CreatedAt))
}

// Keys returns access keys: those of a user or role, all of an account if only that is named, or all that there are. They are sorted by account, whose they are, when they expire, those that never do first, and when they were made.
func Keys(ctx context.Context, c config.Config, who Who, now time.Time) ([]KeyDescription, error) {
	list := []KeyDescription{}
	err := readCatalogue(ctx, c, func(tx *catalogue.Tx) error {
		wanted, err := who.wanted(tx)
		if err != nil {
			return err
		}
		return eachSigner(tx, func(s catalogue.Signer) error {
			if wanted(s) {
				list = append(list, describeKey(s, now))
			}
			return nil
		})
	})
	slices.SortStableFunc(list, KeyDescription.compare)
	return list, err
}

func (w Who) wanted(tx *catalogue.Tx) (func(catalogue.Signer) bool, error) {
	if w.Account == "" && w.Kind == "" {
		return func(catalogue.Signer) bool { return true }, nil
	}
	account, p, err := w.find(tx)
	return func(s catalogue.Signer) bool {
		return s.AccountID == account.ID && (w.Kind == "" || s.PrincipalID == p.ID)
	}, err
}

func describeKey(s catalogue.Signer, now time.Time) KeyDescription {
	k := KeyDescription{
		ID: s.ID, AccountID: s.AccountID, ARN: callerOf(s).ARN(), State: KeyActive, Configured: s.Configured,
		CreatedAt: s.CreatedAt, ExpiresAt: s.ExpiresAt,
	}
	switch {
	case s.Disabled:
		k.State = KeyDisabled
	case !s.ExpiresAt.IsZero() && !now.Before(s.ExpiresAt):
		k.State = KeyExpired
	}
	return k
}

// DisableKey takes a key out of use. That of the root of an account which is the only one takes force.
func DisableKey(ctx context.Context, c config.Config, id string, force bool) error {
	return changeKey(ctx, c, id, func(tx *catalogue.Tx, k catalogue.AccessKey) error {
		if err := mayRetire(tx, k, force); err != nil {
			return err
		}
		return tx.DisableAccessKey(id, true)
	})
}

// EnableKey takes a key back into use.
func EnableKey(ctx context.Context, c config.Config, id string) error {
	return changeKey(ctx, c, id, func(tx *catalogue.Tx, _ catalogue.AccessKey) error { return tx.DisableAccessKey(id, false) })
}

// RemoveKey removes a key, with force as in DisableKey. If it is the key in the file that was written on the first start, the file is removed too; its path is returned then.
func RemoveKey(ctx context.Context, c config.Config, id string, force bool) (file string, err error) {
	err = changeKey(ctx, c, id, func(tx *catalogue.Tx, k catalogue.AccessKey) error {
		if err := mayRetire(tx, k, force); err != nil {
			return err
		}
		return tx.RemoveAccessKey(id)
	})
	if err != nil {
		return "", err
	}
	disk := vfs.OS()
	b, err := disk.ReadFile(c.CredentialsPath())
	if saved, ok := parseCredentials(b); err == nil && ok && saved.Caller.KeyID == id {
		return c.CredentialsPath(), disk.Remove(c.CredentialsPath())
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return "", err
}

func changeKey(ctx context.Context, c config.Config, id string, fn func(*catalogue.Tx, catalogue.AccessKey) error) error {
	return changeCatalogue(ctx, c, func(tx *catalogue.Tx) error {
		k, err := tx.AccessKey(id)
		if errors.Is(err, catalogue.ErrNotFound) {
			return notFound("there is no access key %q", id)
		}
		if err != nil {
			return err
		}
		return fn(tx, k)
	})
}

// mayRetire is an error about a key that is not to be disabled or removed by mistake.
func mayRetire(tx *catalogue.Tx, k catalogue.AccessKey, force bool) error {
	if force || !isRootKey(k) {
		return nil
	}
	if k.Configured {
		return fmt.Errorf("the access key %s is that of the server's configuration, and its next start would put it back into use: change MORAINE_ROOT_ACCESS_KEY_ID and MORAINE_ROOT_SECRET_ACCESS_KEY, "+
			"and start the server again. With --force it is out of use until then", k.ID)
	}
	others, err := tx.CountRootKeys(k.AccountID, k.ID)
	if err == nil && others == 0 && !k.Disabled {
		err = fmt.Errorf("the access key %s is the only one of the root of the account %s: without it, nobody can sign as the root until `moraine admin key add --account %s` makes another. "+
			"Make that first, or give --force", k.ID, k.AccountID, k.AccountID)
	}
	return err
}
