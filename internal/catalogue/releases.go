package catalogue

// The places that nothing needs any more are kept in a list until the store has removed them: rows go before bytes, and
// what is on the list is removed even if the server stops in between.

// Release puts a place on the list.
func (tx *Tx) Release(place string) error { return tx.release(place, 0) }

// ReleaseTombstone puts the place of a tombstone on the list.
func (tx *Tx) ReleaseTombstone(place string) error { return tx.release(place, 1) }

func (tx *Tx) release(place string, tombstone int) error {
	number, err := tx.next("release")
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO releases (place, number, tombstone) VALUES ($1, $2, $3) ON CONFLICT (place) DO NOTHING`, place, number, tombstone)
}

// releaseAll puts the places that a query selects on the list, behind those that are there. The query has one parameter, and its columns are named place
// and tombstone.
func (tx *Tx) releaseAll(places string, parameter any) error {
	number, err := tx.next("release")
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO releases (place, number, tombstone) SELECT place, $2, tombstone FROM (`+places+`) AS gone
		WHERE true ON CONFLICT (place) DO NOTHING`, parameter, number)
}

// next returns the next number of a counter.
func (tx *Tx) next(counter string) (int64, error) {
	return scalar[int64](tx, `UPDATE counters SET value = value + 1 WHERE name = $1 RETURNING value`, counter)
}

// Released is a place on the list. The zero value stands before the first.
type Released struct {
	Place     string
	Number    int64 // in the order of release; places may share one
	Tombstone bool  // it goes when all that was released before it is gone
}

func (r *Released) fields() []any { return []any{&r.Place, &r.Number, &r.Tombstone} }

// Released returns up to limit places of the list behind one, those first that were released first.
func (tx *Tx) Released(after Released, limit int) ([]Released, error) {
	return all[Released](tx, `SELECT place, number, tombstone = 1 FROM releases WHERE (number, place) > ($1, $2) ORDER BY number, place LIMIT $3`,
		after.Number, after.Place, limit)
}

// IsReleased reports whether a place is on the list.
func (tx *Tx) IsReleased(place string) (bool, error) {
	return scalar[bool](tx, `SELECT EXISTS (SELECT 1 FROM releases WHERE place = $1)`, place)
}

// Forget takes a place off the list: the store has removed it.
func (tx *Tx) Forget(place string) error {
	return tx.exec(`DELETE FROM releases WHERE place = $1`, place)
}
