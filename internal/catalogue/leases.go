package catalogue

import (
	"errors"
	"time"
)

// Shared reports whether several nodes may work on the catalogue at once.
func (db *DB) Shared() bool { return db.engine.shared }

// TakeLease gives a lease to a holder for a term, by the clock of the engine, and reports whether it could: nobody had it, or who had it did not renew it in time.
func (tx *Tx) TakeLease(name, holder string, term time.Duration) (bool, error) {
	now := tx.conn.engine.now
	_, err := scalar[string](tx, `INSERT INTO leases (name, holder, until) VALUES ($1, $2, `+now+` + $3)
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until WHERE leases.until <= `+now+` RETURNING holder`, name, holder, term.Milliseconds())
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// RenewLease lets a holder keep a lease for a term from now. ErrNotFound: another has it.
func (tx *Tx) RenewLease(name, holder string, term time.Duration) error {
	return tx.execOne(`UPDATE leases SET until = `+tx.conn.engine.now+` + $3 WHERE name = $1 AND holder = $2`, name, holder, term.Milliseconds())
}

// KeepLease is HoldsLease for a transaction that changes what only the holder may: until it has ended, nobody takes the lease. That changes are serialisable would not do: the one
// that takes it could end first and still count as the later of both.
func (tx *Tx) KeepLease(name, holder string) (bool, error) {
	err := tx.execOne(`UPDATE leases SET holder = holder WHERE name = $1 AND holder = $2`, name, holder)
	return err == nil, noRow(err)
}

// HoldsLease reports whether nobody has taken a lease from a holder, also if it has run out.
func (tx *Tx) HoldsLease(name, holder string) (bool, error) {
	return scalar[bool](tx, `SELECT EXISTS (SELECT 1 FROM leases WHERE name = $1 AND holder = $2)`, name, holder)
}

// EndLease gives a lease back, if the holder has it.
func (tx *Tx) EndLease(name, holder string) error {
	return tx.exec(`DELETE FROM leases WHERE name = $1 AND holder = $2`, name, holder)
}
