package catalogue

import "errors"

// Places change when a volume is compacted. What refers to a record can be found by what its label says.

// Where is a place that a row refers to, and the vault of the row.
type Where struct {
	Place   string
	VaultID int64
}

func (w *Where) fields() []any { return []any{&w.Place, &w.VaultID} }

// WhereArchive returns the place of an archive, or of a deleted one whose bytes are still needed.
func (tx *Tx) WhereArchive(id string) (Where, error) {
	return one[Where](tx, `SELECT place, vault_id FROM archives WHERE archive_id = $1
		UNION ALL SELECT place, vault_id FROM deleted_archives WHERE archive_id = $1 AND released = 0`, id)
}

// WhereTombstone returns the place of the tombstone of a deleted archive.
func (tx *Tx) WhereTombstone(id string) (Where, error) {
	return one[Where](tx, `SELECT tombstone, vault_id FROM deleted_archives WHERE archive_id = $1 AND tombstone > ''`, id)
}

// WherePart returns the place of the part at an offset.
func (tx *Tx) WherePart(upload string, first int64) (Where, error) {
	return one[Where](tx, `SELECT place, 0 FROM parts WHERE upload_id = $1 AND first = $2`, upload, first)
}

// WhereOutput returns the place of the output of a job.
func (tx *Tx) WhereOutput(job string) (Where, error) {
	return one[Where](tx, `SELECT output_place, vault_id FROM jobs WHERE job_id = $1 AND output_place IS NOT NULL`, job)
}

// WhereLock returns the place of the record of a lock.
func (tx *Tx) WhereLock(id string) (Where, error) {
	return one[Where](tx, `SELECT place, vault_id FROM vault_locks WHERE lock_id = $1 AND place IS NOT NULL`, id)
}

// MoveArchive makes an archive, or a deleted one whose bytes are still needed, refer to another place. ErrNotFound: it does not refer to from.
func (tx *Tx) MoveArchive(id, from, to string) error {
	err := tx.execOne(`UPDATE archives SET place = $3 WHERE archive_id = $1 AND place = $2`, id, from, to)
	if errors.Is(err, ErrNotFound) {
		err = tx.execOne(`UPDATE deleted_archives SET place = $3 WHERE archive_id = $1 AND place = $2 AND released = 0`, id, from, to)
	}
	return err
}

// MoveTombstone is MoveArchive for a tombstone.
func (tx *Tx) MoveTombstone(id, from, to string) error {
	return tx.execOne(`UPDATE deleted_archives SET tombstone = $3 WHERE archive_id = $1 AND tombstone = $2`, id, from, to)
}

// MovePart is MoveArchive for a part.
func (tx *Tx) MovePart(upload string, first int64, from, to string) error {
	return tx.execOne(`UPDATE parts SET place = $4 WHERE upload_id = $1 AND first = $2 AND place = $3`, upload, first, from, to)
}

// MoveOutput is MoveArchive for the output of a job.
func (tx *Tx) MoveOutput(job, from, to string) error {
	return tx.execOne(`UPDATE jobs SET output_place = $3 WHERE job_id = $1 AND output_place = $2`, job, from, to)
}

// MoveLock is MoveArchive for the record of a lock.
func (tx *Tx) MoveLock(id, from, to string) error {
	return tx.execOne(`UPDATE vault_locks SET place = $3 WHERE lock_id = $1 AND place = $2`, id, from, to)
}

// RefersInto reports whether anything refers to a place that begins with a name and a colon. It reads whole tables.
func (tx *Tx) RefersInto(name string) (refers bool, err error) {
	from, to := name+":", name+";" // the next character
	err = tx.scanIn(tx.long, []any{&refers}, `SELECT EXISTS (SELECT 1 FROM archives WHERE place >= $1 AND place < $2)
		OR EXISTS (SELECT 1 FROM deleted_archives WHERE place >= $1 AND place < $2 AND released = 0 OR tombstone >= $1 AND tombstone < $2)
		OR EXISTS (SELECT 1 FROM parts WHERE place >= $1 AND place < $2)
		OR EXISTS (SELECT 1 FROM jobs WHERE output_place >= $1 AND output_place < $2)
		OR EXISTS (SELECT 1 FROM vault_locks WHERE place >= $1 AND place < $2)`, []any{from, to})
	return refers, err
}

// Referrer is what refers to a place.
type Referrer struct {
	What    string // archive, deleted archive, tombstone, part, output, lock
	ID      string // of the archive, the upload, the job or the lock
	First   int64  // of a part
	VaultID int64
}

func (r *Referrer) fields() []any { return []any{&r.What, &r.ID, &r.First, &r.VaultID} }

// Referrers returns what refers to a place. It reads whole tables: it is for places whose records do not say any more what they are, which are rare.
func (tx *Tx) Referrers(place string) ([]Referrer, error) {
	return all[Referrer](tx, `SELECT 'archive', archive_id, 0, vault_id FROM archives WHERE place = $1
		UNION ALL SELECT 'deleted archive', archive_id, 0, vault_id FROM deleted_archives WHERE place = $1 AND released = 0
		UNION ALL SELECT 'tombstone', archive_id, 0, vault_id FROM deleted_archives WHERE tombstone = $1
		UNION ALL SELECT 'part', p.upload_id, p.first, COALESCE(u.vault_id, a.vault_id, d.vault_id, 0) FROM parts p
			LEFT JOIN uploads u ON u.upload_id = p.upload_id LEFT JOIN archives a ON a.upload_id = p.upload_id
			LEFT JOIN deleted_archives d ON d.upload_id = p.upload_id WHERE p.place = $1
		UNION ALL SELECT 'output', job_id, 0, vault_id FROM jobs WHERE output_place = $1
		UNION ALL SELECT 'lock', lock_id, 0, vault_id FROM vault_locks WHERE place = $1`, place)
}
