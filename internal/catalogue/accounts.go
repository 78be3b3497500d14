package catalogue

import "time"

// Account is an owner of vaults.
type Account struct {
	ID        string // 12 digits
	Name      string
	CreatedAt time.Time
}

func (a *Account) fields() []any { return []any{&a.ID, &a.Name, moment{&a.CreatedAt}} }

const accountColumns = `account_id, name, created_at`

// AccessKey is a key that signs for its account.
type AccessKey struct {
	ID        string
	AccountID string
	Secret    string
	CreatedAt time.Time
}

func (k *AccessKey) fields() []any {
	return []any{&k.ID, &k.AccountID, &k.Secret, moment{&k.CreatedAt}}
}

const accessKeyColumns = `access_key_id, account_id, secret, created_at`

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

// CountAccounts returns the number of accounts.
func (tx *Tx) CountAccounts() (int64, error) {
	return scalar[int64](tx, `SELECT COUNT(*) FROM accounts`)
}

// PutAccessKey adds a key, or replaces the secret of the key with its id.
func (tx *Tx) PutAccessKey(k AccessKey) error {
	return tx.exec(`INSERT INTO access_keys (`+accessKeyColumns+`) VALUES ($1, $2, $3, $4)
		ON CONFLICT (access_key_id) DO UPDATE SET secret = excluded.secret`, k.ID, k.AccountID, k.Secret, millis(k.CreatedAt))
}

// ConfigureAccessKey makes a key the one that the configuration gives: the one before it is removed.
func (tx *Tx) ConfigureAccessKey(k AccessKey) error {
	if err := tx.exec(`DELETE FROM access_keys WHERE configured = 1 AND access_key_id <> $1`, k.ID); err != nil {
		return err
	}
	if err := tx.PutAccessKey(k); err != nil {
		return err
	}
	return tx.exec(`UPDATE access_keys SET configured = 1 WHERE access_key_id = $1`, k.ID)
}

// AccessKey returns the key with an id.
func (tx *Tx) AccessKey(id string) (AccessKey, error) {
	return one[AccessKey](tx, `SELECT `+accessKeyColumns+` FROM access_keys WHERE access_key_id = $1`, id)
}
