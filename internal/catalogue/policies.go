package catalogue

import "time"

// Rules are what a vault has of policies.
type Rules struct {
	VaultID            int64
	Access             *string   // vault access policy; nil: none
	Lock               *string   // policy of the lock, completed or not; nil: none
	LockedAt, LockTime time.Time // when the lock was initiated, by both clocks
	Place              *string   // of the lock's record; nil: the lock is in progress
}

func (r *Rules) fields() []any {
	return []any{&r.VaultID, &r.Access, &r.Lock, moment{&r.LockedAt}, moment{&r.LockTime}, &r.Place}
}

// Rules returns the policies of a vault. It is for every request, and so reads nothing else.
func (tx *Tx) Rules(account, name string) (Rules, error) {
	return one[Rules](tx, `SELECT v.vault_id, p.policy, l.policy, l.created_at, l.lock_time, l.place FROM vaults v
		LEFT JOIN vault_policies p ON p.vault_id = v.vault_id LEFT JOIN vault_locks l ON l.vault_id = v.vault_id
		WHERE v.account_id = $1 AND v.name = $2`, account, name)
}

// AccessPolicy returns the access policy of a vault, ErrNotFound if it has none.
func (tx *Tx) AccessPolicy(vault int64) (string, error) {
	return scalar[string](tx, `SELECT policy FROM vault_policies WHERE vault_id = $1`, vault)
}

// SetAccessPolicy replaces the access policy of a vault.
func (tx *Tx) SetAccessPolicy(vault int64, policy string) error {
	return tx.exec(`INSERT INTO vault_policies (vault_id, policy) VALUES ($1, $2) ON CONFLICT (vault_id) DO UPDATE SET policy = excluded.policy`, vault, policy)
}

// DeleteAccessPolicy removes the access policy of a vault, if it has one.
func (tx *Tx) DeleteAccessPolicy(vault int64) error {
	return tx.exec(`DELETE FROM vault_policies WHERE vault_id = $1`, vault)
}

// RetrievalPolicy is the data retrieval policy of an account.
type RetrievalPolicy struct {
	Strategy     string
	BytesPerHour *int64
}

func (p *RetrievalPolicy) fields() []any { return []any{&p.Strategy, &p.BytesPerHour} }

// RetrievalPolicy returns the data retrieval policy of an account, ErrNotFound if none was ever set.
func (tx *Tx) RetrievalPolicy(account string) (RetrievalPolicy, error) {
	return one[RetrievalPolicy](tx, `SELECT strategy, bytes_per_hour FROM retrieval_policies WHERE account_id = $1`, account)
}

// SetRetrievalPolicy replaces the data retrieval policy of an account.
func (tx *Tx) SetRetrievalPolicy(account string, p RetrievalPolicy) error {
	return tx.exec(`INSERT INTO retrieval_policies (account_id, strategy, bytes_per_hour) VALUES ($1, $2, $3)
		ON CONFLICT (account_id) DO UPDATE SET strategy = excluded.strategy, bytes_per_hour = excluded.bytes_per_hour`, account, p.Strategy, p.BytesPerHour)
}
