package catalogue

// The places that nothing needs any more are kept in a list until the store has removed them: rows go before bytes, and
// what is on the list is removed even if the server stops in between.

// Release puts a place on the list.
func (tx *Tx) Release(place string) error {
	number, err := tx.next("release")
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO releases (place, number) VALUES ($1, $2) ON CONFLICT (place) DO NOTHING`, place, number)
}

// next returns the next number of a counter.
func (tx *Tx) next(counter string) (int64, error) {
	return scalar[int64](tx, `UPDATE counters SET value = value + 1 WHERE name = $1 RETURNING value`, counter)
}

type placeRow struct{ place string }

func (p *placeRow) fields() []any { return []any{&p.place} }

// Released returns up to limit places of the list, those first that were released first.
func (tx *Tx) Released(limit int) ([]string, error) {
	rows, err := all[placeRow](tx, `SELECT place FROM releases ORDER BY number LIMIT $1`, limit)
	places := make([]string, len(rows))
	for i, r := range rows {
		places[i] = r.place
	}
	return places, err
}

// IsReleased reports whether a place is on the list.
func (tx *Tx) IsReleased(place string) (bool, error) {
	n, err := scalar[int64](tx, `SELECT COUNT(*) FROM releases WHERE place = $1`, place)
	return n > 0, err
}

// Forget takes a place off the list: the store has removed it.
func (tx *Tx) Forget(place string) error {
	return tx.exec(`DELETE FROM releases WHERE place = $1`, place)
}
