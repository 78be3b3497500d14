package catalogue

import (
	"errors"
	"time"
)

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

// Retrieval is a retrieval that counts for a limit.
type Retrieval struct {
	JobID     string
	AccountID string
	Tier      string
	StartedAt time.Time
	Bytes     int64
}

func (r *Retrieval) fields() []any {
	return []any{&r.JobID, &r.AccountID, &r.Tier, moment{&r.StartedAt}, &r.Bytes}
}

const retrievalColumns = `job_id, account_id, tier, started_at, bytes`

// AddRetrieval notes a retrieval.
func (tx *Tx) AddRetrieval(r Retrieval) error {
	return tx.exec(`INSERT INTO retrievals (`+retrievalColumns+`) VALUES ($1, $2, $3, $4, $5)`, r.JobID, r.AccountID, r.Tier, millis(r.StartedAt), r.Bytes)
}

// Retrievals calls fn for the retrievals of an account and tier that started after a moment, the oldest first.
func (tx *Tx) Retrievals(account, tier string, after time.Time, fn func(Retrieval) error) error {
	return each(tx, fn, `SELECT `+retrievalColumns+` FROM retrievals WHERE account_id = $1 AND tier = $2 AND started_at > $3
		ORDER BY started_at, job_id`, account, tier, millis(after))
}

// ForgetRetrievals removes up to limit retrievals that started at or before a moment.
func (tx *Tx) ForgetRetrievals(until time.Time, limit int) error {
	return tx.exec(`DELETE FROM retrievals WHERE job_id IN (SELECT job_id FROM retrievals WHERE started_at <= $1 LIMIT $2)`, millis(until), limit)
}

// OldRules reports whether there is anything for ForgetRetrievals or ForgetNotices.
func (tx *Tx) OldRules(retrievals, notices time.Time) (bool, error) {
	return scalar[bool](tx, `SELECT EXISTS (SELECT 1 FROM retrievals WHERE started_at <= $1)
		OR EXISTS (SELECT 1 FROM notices WHERE next_at IS NULL AND created_at < $2)`, millis(retrievals), millis(notices))
}

// noRow is err unless it says that there is no row.
func noRow(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
