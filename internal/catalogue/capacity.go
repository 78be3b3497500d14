package catalogue

import "time"

// CapacityUnit is a unit of provisioned capacity of an account.
type CapacityUnit struct {
	ID        string
	StartedAt time.Time
	ExpiresAt time.Time
}

func (u *CapacityUnit) fields() []any {
	return []any{&u.ID, moment{&u.StartedAt}, moment{&u.ExpiresAt}}
}

// CapacityUnits returns the units of an account that have not expired at a moment, the oldest first.
func (tx *Tx) CapacityUnits(account string, at time.Time) ([]CapacityUnit, error) {
	return all[CapacityUnit](tx, `SELECT capacity_id, started_at, expires_at FROM capacity_units WHERE account_id = $1 AND expires_at > $2
		ORDER BY started_at, capacity_id`, account, millis(at))
}

// InsertCapacityUnit adds a unit to an account.
func (tx *Tx) InsertCapacityUnit(account string, u CapacityUnit) error {
	return tx.exec(`INSERT INTO capacity_units (capacity_id, account_id, started_at, expires_at) VALUES ($1, $2, $3, $4)`,
		u.ID, account, millis(u.StartedAt), millis(u.ExpiresAt))
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

// InsertRetrieval notes a retrieval.
func (tx *Tx) InsertRetrieval(r Retrieval) error {
	return tx.exec(`INSERT INTO retrievals (`+retrievalColumns+`) VALUES ($1, $2, $3, $4, $5)`, r.JobID, r.AccountID, r.Tier, millis(r.StartedAt), r.Bytes)
}

// Retrieved returns how many retrievals of an account and tier started after a moment, and the sum of their bytes, of each the share-th part, rounded up.
func (tx *Tx) Retrieved(account, tier string, after time.Time, share int64) (n, bytes int64, err error) {
	err = tx.scan([]any{&n, &bytes}, `SELECT COUNT(*), COALESCE(SUM((bytes + $4 - 1) / $4), 0) FROM retrievals
		WHERE account_id = $1 AND tier = $2 AND started_at > $3`, account, tier, millis(after), share)
	return n, bytes, err
}

// Retrievals returns up to limit retrievals of an account and tier that started after a moment, the oldest first.
func (tx *Tx) Retrievals(account, tier string, after time.Time, limit int) ([]Retrieval, error) {
	return all[Retrieval](tx, `SELECT `+retrievalColumns+` FROM retrievals WHERE account_id = $1 AND tier = $2 AND started_at > $3
		ORDER BY started_at, job_id LIMIT $4`, account, tier, millis(after), limit)
}

// ForgetRetrievals removes up to limit retrievals that started at or before a moment.
func (tx *Tx) ForgetRetrievals(until time.Time, limit int) error {
	return tx.exec(`DELETE FROM retrievals WHERE job_id IN (SELECT job_id FROM retrievals WHERE started_at <= $1 LIMIT $2)`, millis(until), limit)
}

// Forgettable reports whether there is anything for ForgetRetrievals or ForgetNotices: where there is nothing, no transaction has to write.
func (tx *Tx) Forgettable(retrievals, notices time.Time) (bool, error) {
	return scalar[bool](tx, `SELECT EXISTS (SELECT 1 FROM retrievals WHERE started_at <= $1)
		OR EXISTS (SELECT 1 FROM notices WHERE next_at IS NULL AND created_at < $2)`, millis(retrievals), millis(notices))
}
