package catalogue

import "time"

// OrphanSince returns since when it is known that no row refers to a complete record, ErrNotFound if it is not known.
func (tx *Tx) OrphanSince(place string) (since time.Time, err error) {
	err = tx.scan([]any{moment{&since}}, `SELECT since FROM orphans WHERE place = $1`, place)
	return since, err
}

// NoteOrphan notes that no row refers to a complete record.
func (tx *Tx) NoteOrphan(place string, at time.Time) error {
	return tx.exec(`INSERT INTO orphans (place, since, seen_at) VALUES ($1, $2, $2) ON CONFLICT (place) DO UPDATE SET seen_at = excluded.seen_at`, place, millis(at))
}

// MoveOrphan notes that a record has another place. Its time goes on.
func (tx *Tx) MoveOrphan(from, to string) error {
	return tx.exec(`UPDATE orphans SET place = $2 WHERE place = $1`, from, to)
}

// ForgetOrphans forgets what was not seen since a moment.
func (tx *Tx) ForgetOrphans(before time.Time) error {
	return tx.exec(`DELETE FROM orphans WHERE seen_at < $1`, millis(before))
}
