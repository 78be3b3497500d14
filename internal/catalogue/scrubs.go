package catalogue

import "time"

// Scrub is one reading of the whole store.
type Scrub struct {
	Number     int64
	StartedAt  time.Time
	FinishedAt time.Time // zero: it is not finished
	Volumes    int64     // that were read
	Records    int64
	Bytes      int64
	Faults     int64
}

func (s *Scrub) fields() []any {
	return []any{&s.Number, moment{&s.StartedAt}, moment{&s.FinishedAt}, &s.Volumes, &s.Records, &s.Bytes, &s.Faults}
}

// LastScrub returns the scrub that was begun last, ErrNotFound if there is none. Volumes that were removed since do not count.
func (tx *Tx) LastScrub() (Scrub, error) {
	return one[Scrub](tx, `SELECT s.scrub, s.started_at, s.finished_at, COUNT(v.volume),
		COALESCE(SUM(v.records), 0), COALESCE(SUM(v.bytes), 0), COALESCE(SUM(v.faults), 0)
		FROM scrubs s LEFT JOIN scrubbed_volumes v ON v.scrub = s.scrub
		WHERE s.scrub = (SELECT MAX(scrub) FROM scrubs) GROUP BY s.scrub, s.started_at, s.finished_at`)
}

// BeginScrub begins a scrub.
func (tx *Tx) BeginScrub(at time.Time) error {
	number, err := tx.next("scrub")
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO scrubs (scrub, started_at) VALUES ($1, $2)`, number, millis(at))
}

// FinishScrub ends a scrub, and forgets earlier ones and volumes that it did not find.
func (tx *Tx) FinishScrub(number int64, at time.Time) error {
	for _, s := range []string{`DELETE FROM scrubs WHERE scrub < $1`, `DELETE FROM scrubbed_volumes WHERE scrub < $1`} {
		if err := tx.exec(s, number); err != nil {
			return err
		}
	}
	return tx.execOne(`UPDATE scrubs SET finished_at = $2 WHERE scrub = $1`, number, millis(at))
}

// ScrubbedVolume is what a scrub found of a volume.
type ScrubbedVolume struct {
	Volume     string
	Scrub      int64 // number of the scrub that read it last
	VerifiedAt time.Time
	Records    int64
	Bytes      int64 // of payload
	Faults     int64
}

func (v *ScrubbedVolume) fields() []any {
	return []any{&v.Volume, &v.Scrub, moment{&v.VerifiedAt}, &v.Records, &v.Bytes, &v.Faults}
}

const scrubbedColumns = `volume, scrub, verified_at, records, bytes, faults`

// ScrubbedVolume returns what is known of a volume, ErrNotFound if it was never read.
func (tx *Tx) ScrubbedVolume(name string) (ScrubbedVolume, error) {
	return one[ScrubbedVolume](tx, `SELECT `+scrubbedColumns+` FROM scrubbed_volumes WHERE volume = $1`, name)
}

// PutScrubbedVolume notes what was found of a volume.
func (tx *Tx) PutScrubbedVolume(v ScrubbedVolume) error {
	return tx.exec(`INSERT INTO scrubbed_volumes (`+scrubbedColumns+`) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (volume) DO UPDATE SET scrub = excluded.scrub, verified_at = excluded.verified_at, records = excluded.records,
		bytes = excluded.bytes, faults = excluded.faults`, v.Volume, v.Scrub, millis(v.VerifiedAt), v.Records, v.Bytes, v.Faults)
}
