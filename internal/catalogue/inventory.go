package catalogue

import "time"

// Snapshot selects what an inventory lists: the archives that a vault had after a number of changes.
type Snapshot struct {
	VaultID  int64
	Change   int64
	From, To time.Time // creation dates from From, before To; zero: no bound
	After    time.Time // with AfterID: begin after this archive in inventory order; zero: at the beginning
	AfterID  string
}

// deletedColumns are archiveColumns of the deleted archives. Those whose bytes are released have no place.
const deletedColumns = `` + archiveColumns + ``

// Inventory gives the archives of a snapshot in inventory order: by creation date, then by id. It reads as it goes, so
// that its memory does not grow with the vault. Of an archive that was deleted since, Place may be empty.
func (tx *Tx) Inventory(s Snapshot, fn func(Archive) error) error {
	from, to := int64(minMillis), int64(maxMillis)
	if !s.From.IsZero() {
		from = s.From.UnixMilli()
	}
	if !s.To.IsZero() {
		to = s.To.UnixMilli()
	}
	after := from - 1
	if !s.After.IsZero() {
		after = s.After.UnixMilli()
		from = max(from, after) // so that the index finds the place: of two lower bounds it may take the other
	}
	return each[Archive](tx, fn, `SELECT `+archiveColumns+` FROM archives
		WHERE vault_id = $1 AND added <= $2 AND created_at >= $3 AND created_at < $4 AND (created_at, archive_id) > ($5, $6)
		UNION ALL SELECT `+deletedColumns+` FROM deleted_archives
		WHERE vault_id = $1 AND removed > $2 AND added <= $2 AND created_at >= $3 AND created_at < $4 AND (created_at, archive_id) > ($5, $6)
		ORDER BY created_at, archive_id`, s.VaultID, s.Change, from, to, after, s.AfterID)
}

// Bounds of a creation date: far outside of what any client sends.
const (
	minMillis = -1 << 53
	maxMillis = 1 << 53
)
