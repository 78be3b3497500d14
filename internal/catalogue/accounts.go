package catalogue

import (
	"fmt"
	"time"
)

// Account is an owner of vaults.
type Account struct {
	ID        string // 12 digits
	Name      string
	CreatedAt time.Time
}

func (a *Account) fields() []any { return []any{&a.ID, &a.Name, moment{&a.CreatedAt}} }

const accountColumns = `account_id, name, created_at`

// AccessKey is a key that signs for the root of its account, or for a user or role.
type AccessKey struct {
	ID          string
	AccountID   string
	Secret      string // sealed
	CreatedAt   time.Time
	Configured  bool   // the configuration gives it
	PrincipalID string // "": it signs for the root of the account
	Disabled    bool
	Token       string    // sealed; "": the key is for good
	Session     string    // of a role
	MFAAt       time.Time // when a second factor was proved; zero: none was
	ExpiresAt   time.Time // zero: never
}

func (k *AccessKey) fields() []any {
	return []any{
		&k.ID, &k.AccountID, &k.Secret, moment{&k.CreatedAt}, &k.Configured, nullable{&k.PrincipalID}, &k.Disabled,
		nullable{&k.Token}, nullable{&k.Session}, moment{&k.MFAAt}, moment{&k.ExpiresAt},
	}
}

const accessKeyColumns = `k.access_key_id, k.account_id, k.secret, k.created_at, k.configured, k.principal_id, k.disabled, k.token, k.session, k.mfa_at, k.expires_at`

// nullable reads a column of text in which null is "".
type nullable struct{ s *string }

func (n nullable) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*n.s = ""
	case string:
		*n.s = v
	default:
		return fmt.Errorf("a text is expected, not %T", v)
	}
	return nil
}

// orNull is the value of such a column.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// InsertAccount adds an account.
func (tx *Tx) InsertAccount(a Account) error {
	return tx.exec(`INSERT INTO accounts (`+accountColumns+`) VALUES ($1, $2, $3)`, a.ID, a.Name, millis(a.CreatedAt))
}

// Account returns the account with an id.
func (tx *Tx) Account(id string) (Account, error) {
	return one[Account](tx, `SELECT `+accountColumns+` FROM accounts WHERE account_id = $1`, id)
}

// AccountNamed returns the account with a name.
func (tx *Tx) AccountNamed(name string) (Account, error) {
	return one[Account](tx, `SELECT `+accountColumns+` FROM accounts WHERE name = $1`, name)
}

// Accounts returns up to limit accounts after a name, by name.
func (tx *Tx) Accounts(after string, limit int) ([]Account, error) {
	return all[Account](tx, `SELECT `+accountColumns+` FROM accounts WHERE name > $1 ORDER BY name LIMIT $2`, after, limit)
}

// CountAccounts returns the number of accounts.
func (tx *Tx) CountAccounts() (int64, error) {
	return scalar[int64](tx, `SELECT COUNT(*) FROM accounts`)
}

// PutAccessKey adds a key, or replaces the secret of the key with its id.
func (tx *Tx) PutAccessKey(k AccessKey) error {
	return tx.exec(`INSERT INTO access_keys (access_key_id, account_id, secret, created_at, principal_id, disabled, token, session, mfa_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (access_key_id) DO UPDATE SET secret = excluded.secret, token = excluded.token`,
		k.ID, k.AccountID, k.Secret, millis(k.CreatedAt), orNull(k.PrincipalID), oneIf(k.Disabled), orNull(k.Token), orNull(k.Session), millis(k.MFAAt), millis(k.ExpiresAt))
}

// ConfigureAccessKey makes a key the one that the configuration gives: the one before it is removed.
func (tx *Tx) ConfigureAccessKey(k AccessKey) error {
	if err := tx.exec(`DELETE FROM access_keys WHERE configured = 1 AND access_key_id <> $1`, k.ID); err != nil {
		return err
	}
	if err := tx.PutAccessKey(k); err != nil {
		return err
	}
	return tx.exec(`UPDATE access_keys SET configured = 1, disabled = 0 WHERE access_key_id = $1`, k.ID)
}

// AccessKey returns the key with an id.
func (tx *Tx) AccessKey(id string) (AccessKey, error) {
	return one[AccessKey](tx, `SELECT `+accessKeyColumns+` FROM access_keys k WHERE access_key_id = $1`, id)
}

// RootKey returns the account and the sealed secret of a key that is in use, for good, and of the root of its account. It is for most requests, and a row of all
// columns takes twice as long to read. Any other key is ErrNotFound.
func (tx *Tx) RootKey(id string) (account, secret string, err error) {
	err = tx.scan([]any{&account, &secret}, `SELECT account_id, secret FROM access_keys
		WHERE access_key_id = $1 AND principal_id IS NULL AND disabled = 0 AND expires_at IS NULL`, id)
	return account, secret, err
}

// Signer is a key with the user or role that it is of.
type Signer struct {
	AccessKey
	Principal Principal // the zero Principal: the root of the account, or one that is gone, if the key names it
}

func (s *Signer) fields() []any { return append(s.AccessKey.fields(), s.Principal.fields()...) }

// Signer returns what there is to know of the key with an id.
func (tx *Tx) Signer(id string) (Signer, error) {
	return one[Signer](tx, signers+` WHERE k.access_key_id = $1`, id)
}

const signers = `SELECT ` + accessKeyColumns + `, ` + principalColumns + ` FROM access_keys k LEFT JOIN principals p ON p.principal_id = k.principal_id`

// Signers returns up to limit keys after an id, by id.
func (tx *Tx) Signers(after string, limit int) ([]Signer, error) {
	return all[Signer](tx, signers+` WHERE k.access_key_id > $1 ORDER BY k.access_key_id LIMIT $2`, after, limit)
}

// CountRootKeys returns how many keys for good, that are not disabled, the root of an account has beside one.
func (tx *Tx) CountRootKeys(account, beside string) (int64, error) {
	return scalar[int64](tx, `SELECT COUNT(*) FROM access_keys WHERE account_id = $1 AND access_key_id <> $2
		AND principal_id IS NULL AND disabled = 0 AND expires_at IS NULL`, account, beside)
}

// DisableAccessKey takes a key out of use, or back into it.
func (tx *Tx) DisableAccessKey(id string, disabled bool) error {
	return tx.execOne(`UPDATE access_keys SET disabled = $2 WHERE access_key_id = $1`, id, oneIf(disabled))
}

// RemoveAccessKey removes a key.
func (tx *Tx) RemoveAccessKey(id string) error {
	return tx.execOne(`DELETE FROM access_keys WHERE access_key_id = $1`, id)
}

// ForgetAccessKeys removes up to limit keys that expired before a moment.
func (tx *Tx) ForgetAccessKeys(before time.Time, limit int) error {
	return tx.exec(`DELETE FROM access_keys WHERE access_key_id IN (SELECT access_key_id FROM access_keys WHERE expires_at < $1 LIMIT $2)`, millis(before), limit)
}
