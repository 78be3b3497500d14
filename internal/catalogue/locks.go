package catalogue

import "time"

// Lock is the lock of a vault, completed or not.
type Lock struct {
	VaultID   int64
	ID        string
	Policy    string
	CreatedAt time.Time // of the initiation, by the clock of the machine
	LockTime  time.Time // the same by the time that nobody can set
	Settable  bool      // made while tests could set the clock
	Place     *string   // of its record on the medium; nil: in progress
	Number    int64     // of that record
}

func (l *Lock) fields() []any {
	return []any{&l.VaultID, &l.ID, &l.Policy, moment{&l.CreatedAt}, moment{&l.LockTime}, &l.Settable, &l.Place, &l.Number}
}

const lockColumns = `vault_id, lock_id, policy, created_at, lock_time, settable, place, number`

// Lock returns the lock of a vault, ErrNotFound if it has none.
func (tx *Tx) Lock(vault int64) (Lock, error) {
	return one[Lock](tx, `SELECT `+lockColumns+` FROM vault_locks WHERE vault_id = $1`, vault)
}

// InsertLock adds a lock that is in progress, in place of one that is.
func (tx *Tx) InsertLock(l Lock) error {
	if err := tx.DeleteLock(l.VaultID); err != nil {
		return err
	}
	return tx.exec(`INSERT INTO vault_locks (vault_id, lock_id, policy, created_at, lock_time, settable) VALUES ($1, $2, $3, $4, $5, $6)`,
		l.VaultID, l.ID, l.Policy, millis(l.CreatedAt), millis(l.LockTime), oneIf(l.Settable))
}

// CompleteLock makes a lock that is in progress a lock for ever. settable says whether tests could set the clock all the while. ErrNotFound: there is no such
// lock in progress.
func (tx *Tx) CompleteLock(vault int64, id, place string, settable bool) error {
	return tx.execOne(`UPDATE vault_locks SET place = $3, settable = $4 WHERE vault_id = $1 AND lock_id = $2 AND place IS NULL`, vault, id, place, oneIf(settable))
}

// RenewLock makes a complete lock refer to another record, with the next number, and releases the one before. ErrNotFound: it has another number.
func (tx *Tx) RenewLock(l Lock, place string) error {
	now, err := tx.Lock(l.VaultID) // a compaction may have moved the record
	if err != nil {
		return err
	}
	if err := tx.execOne(`UPDATE vault_locks SET place = $3, number = number + 1 WHERE vault_id = $1 AND number = $2 AND place IS NOT NULL`, l.VaultID, l.Number, place); err != nil {
		return err
	}
	return tx.Release(*now.Place)
}

// DeleteLock removes the lock of a vault if it is in progress: one that is complete goes with its vault only.
func (tx *Tx) DeleteLock(vault int64) error {
	return tx.exec(`DELETE FROM vault_locks WHERE vault_id = $1 AND place IS NULL`, vault)
}

// LocksAfter returns up to limit complete locks after a lock id, by id.
func (tx *Tx) LocksAfter(id string, limit int) ([]Lock, error) {
	return all[Lock](tx, `SELECT `+lockColumns+` FROM vault_locks WHERE lock_id > $1 AND place IS NOT NULL ORDER BY lock_id LIMIT $2`, id, limit)
}

// LockedForReal returns a vault with a complete lock that was initiated or completed while nobody could set the clock, ErrNotFound if there is none.
func (tx *Tx) LockedForReal() (Vault, error) {
	return one[Vault](tx, `SELECT `+vaultColumns+` FROM vaults WHERE vault_id IN
		(SELECT vault_id FROM vault_locks WHERE settable = 0 AND place IS NOT NULL) ORDER BY vault_id LIMIT 1`)
}

// LockClock is the time that nobody can set at a moment, and the uptime of the machine then.
type LockClock struct {
	Time   time.Time
	Boot   string // which start of the machine
	Uptime time.Duration
}

// LockClock returns what SaveLockClock saved last, ErrNotFound if it never did.
func (tx *Tx) LockClock() (c LockClock, err error) {
	var uptime int64
	err = tx.scan([]any{moment{&c.Time}, &c.Boot, &uptime}, `SELECT lock_time, boot, uptime FROM lock_clock`)
	c.Uptime = time.Duration(uptime) * time.Millisecond
	return c, err
}

// ForgetLockClock is for a rebuild that does not believe what a copy has: SaveLockClock begins anew.
func (tx *Tx) ForgetLockClock() error { return tx.exec(`DELETE FROM lock_clock`) }

// SaveLockClock saves the time that nobody can set. It never goes back.
func (tx *Tx) SaveLockClock(c LockClock) error {
	last, err := tx.LockClock()
	if noRow(err) != nil {
		return err
	}
	if c.Time.Before(last.Time) {
		c.Time = last.Time
	}
	if err := tx.exec(`DELETE FROM lock_clock`); err != nil {
		return err
	}
	return tx.exec(`INSERT INTO lock_clock (lock_time, boot, uptime) VALUES ($1, $2, $3)`, millis(c.Time), c.Boot, c.Uptime.Milliseconds())
}
