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
	Added       int64   // number of the vault's change that added it; set by InsertArchive
	Place       string  // of the payload, or of the manifest when UploadID is set
	UploadID    *string // whose parts the archive consists of
}

func (a *Archive) fields() []any {
	return []any{&a.ID, &a.VaultID, moment{&a.CreatedAt}, &a.Size, &a.TreeHash, &a.Description, &a.Added, &a.Place, &a.UploadID}
}

const archiveColumns = `archive_id, vault_id, created_at, size, tree_hash, description, added, place, upload_id`

// InsertArchive adds an archive to its vault.
func (tx *Tx) InsertArchive(a Archive) error {
	added, err := tx.change(a.VaultID, 1, a.Size, a.CreatedAt)
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO archives (`+archiveColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		a.ID, a.VaultID, millis(a.CreatedAt), a.Size, a.TreeHash, a.Description, added, a.Place, a.UploadID)
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
	Tombstone *string
}

func (d *DeletedArchive) fields() []any {
	return []any{&d.VaultID, &d.Place, &d.UploadID, &d.Released, &d.Tombstone}
}

// DeletedArchive returns an archive that was deleted.
func (tx *Tx) DeletedArchive(id string) (DeletedArchive, error) {
	return one[DeletedArchive](tx, `SELECT vault_id, place, upload_id, released = 1, tombstone FROM deleted_archives WHERE archive_id = $1`, id)
}

// DeleteArchive moves an archive to the deleted ones. Its bytes stay until ReleaseDeleted.
func (tx *Tx) DeleteArchive(a Archive, at time.Time) error {
	removed, err := tx.change(a.VaultID, -1, -a.Size, at)
	if err != nil {
		return err
	}
	if err := tx.exec(`INSERT INTO deleted_archives (`+archiveColumns+`, removed)
		SELECT `+archiveColumns+`, $2 FROM archives WHERE archive_id = $1`, a.ID, removed); err != nil {
		return err
	}
	return tx.execOne(`DELETE FROM archives WHERE archive_id = $1`, a.ID)
}

// ReleaseDeleted releases the bytes of a deleted archive, the record that names it first and its tombstone last.
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
	if d.Tombstone != nil {
		if err := tx.Release(*d.Tombstone); err != nil {
			return err
		}
	}
	return tx.exec(`UPDATE deleted_archives SET released = 1, tombstone = NULL WHERE archive_id = $1`, id)
}

// Bury notes where the tombstone of a deleted archive is. ErrNotFound: its bytes are released already.
func (tx *Tx) Bury(id, tombstone string) error {
	return tx.execOne(`UPDATE deleted_archives SET tombstone = $2 WHERE archive_id = $1 AND released = 0 AND tombstone IS NULL`, id, tombstone)
}

// PlaceInUse reports whether any row needs a place. It reads whole tables: it is for places whose records do not say
// what they are, which are rare.
func (tx *Tx) PlaceInUse(place string) (bool, error) {
	return scalar[bool](tx, `SELECT EXISTS (SELECT 1 FROM archives WHERE place = $1)
		OR EXISTS (SELECT 1 FROM deleted_archives WHERE place = $1 AND released = 0 OR tombstone = $1)
		OR EXISTS (SELECT 1 FROM parts WHERE place = $1)
		OR EXISTS (SELECT 1 FROM jobs WHERE output_place = $1)`, place)
}
