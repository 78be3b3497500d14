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
