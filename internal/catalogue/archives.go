package catalogue

import "time"

// Archive is an archive that exists.
type Archive struct {
	ID          string
	VaultID     int64
	CreatedAt   time.Time
	Size        int64
	TreeHash    []byte
	Description string
	Added       int64         // number of the vault's change that added it; set by InsertArchive
	Place       string        // of the payload, or of the manifest when UploadID is set
	UploadID    *string       // whose parts the archive consists of
	Skew        time.Duration // by how much CreatedAt is ahead of the lock time
}

func (a *Archive) fields() []any {
	return []any{&a.ID, &a.VaultID, moment{&a.CreatedAt}, &a.Size, &a.TreeHash, &a.Description, &a.Added, &a.Place, &a.UploadID, span{&a.Skew}}
}

const archiveColumns = `archive_id, vault_id, created_at, size, tree_hash, description, added, place, upload_id, skew`

// InsertArchive adds an archive to its vault.
func (tx *Tx) InsertArchive(a Archive) error {
	added, err := tx.change(a.VaultID, 1, a.Size, a.CreatedAt)
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO archives (`+archiveColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		a.ID, a.VaultID, millis(a.CreatedAt), a.Size, a.TreeHash, a.Description, added, a.Place, a.UploadID, a.Skew.Milliseconds())
}

// Archive returns the archive with an id, whatever vault it is in.
func (tx *Tx) Archive(id string) (Archive, error) {
	return one[Archive](tx, `SELECT `+archiveColumns+` FROM archives WHERE archive_id = $1`, id)
}

// DeletedArchive is an archive that was deleted.
type DeletedArchive struct {
	VaultID   int64
	Place     string
	UploadID  *string
	Released  bool // nothing needs the bytes any more
	At        time.Time
	Tombstone *string // nil: nothing on the medium says that it was deleted; empty: a copy of the catalogue does
}

func (d *DeletedArchive) fields() []any {
	return []any{&d.VaultID, &d.Place, &d.UploadID, &d.Released, moment{&d.At}, &d.Tombstone}
}

// DeletedArchive returns an archive that was deleted.
func (tx *Tx) DeletedArchive(id string) (DeletedArchive, error) {
	return one[DeletedArchive](tx, `SELECT vault_id, place, upload_id, released = 1, deleted_at, tombstone FROM deleted_archives WHERE archive_id = $1`, id)
}

// DeleteArchive moves an archive to the deleted ones. Its bytes stay until ReleaseDeleted.
func (tx *Tx) DeleteArchive(a Archive, at time.Time) error {
	removed, err := tx.change(a.VaultID, -1, -a.Size, at)
	if err != nil {
		return err
	}
	number, err := tx.next("deletion")
	if err != nil {
		return err
	}
	if err := tx.exec(`INSERT INTO deleted_archives (`+archiveColumns+`, removed, number, deleted_at)
		SELECT `+archiveColumns+`, $2, $3, $4 FROM archives WHERE archive_id = $1`, a.ID, removed, number, millis(at)); err != nil {
		return err
	}
	return tx.execOne(`DELETE FROM archives WHERE archive_id = $1`, a.ID)
}

// ReleaseDeleted releases the bytes of a deleted archive, the record that names it first. Its tombstone stays.
func (tx *Tx) ReleaseDeleted(id string) error {
	d, err := tx.DeletedArchive(id)
	if err != nil || d.Released {
		return err
	}
	if err := tx.Release(d.Place); err != nil {
		return err
	}
	if d.UploadID != nil {
		if err := tx.ReleaseParts(*d.UploadID); err != nil {
			return err
		}
	}
	return tx.exec(`UPDATE deleted_archives SET released = 1 WHERE archive_id = $1`, id)
}

// Bury notes where the tombstone of a deleted archive is. ErrNotFound: it has one, or is forgotten.
func (tx *Tx) Bury(id, tombstone string) error {
	return tx.execOne(`UPDATE deleted_archives SET tombstone = $2 WHERE archive_id = $1 AND tombstone IS NULL`, id, tombstone)
}

// Deletions returns the number of the last deletion.
func (tx *Tx) Deletions() (int64, error) {
	return scalar[int64](tx, `SELECT value FROM counters WHERE name = 'deletion'`)
}

// ForgetTombstones releases up to limit tombstones of deletions with a number of up to last, whose archives have released their bytes before: a copy
// of the catalogue says what they said. It reports whether there may be more.
func (tx *Tx) ForgetTombstones(last int64, limit int) (more bool, err error) {
	buried, err := all[buried](tx, `SELECT archive_id, tombstone FROM deleted_archives
		WHERE tombstone > '' AND number <= $1 AND released = 1 ORDER BY number LIMIT $2`, last, limit)
	for _, b := range buried {
		if err := tx.ReleaseTombstone(b.tombstone); err != nil {
			return false, err
		}
		if err := tx.exec(`UPDATE deleted_archives SET tombstone = '' WHERE archive_id = $1`, b.archive); err != nil {
			return false, err
		}
	}
	return len(buried) == limit, err
}

type buried struct{ archive, tombstone string }

func (b *buried) fields() []any { return []any{&b.archive, &b.tombstone} }
