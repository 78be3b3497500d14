package catalogue

import (
	"errors"
	"time"
)

// The states of an upload.
const (
	UploadOpen      = "open"
	UploadCompleted = "completed"
	UploadAborted   = "aborted"
)

// Upload is a multipart upload.
type Upload struct {
	ID          string
	VaultID     int64
	ArchiveID   string // that completion gives, fixed at the start so that no retry makes a second archive
	CreatedAt   time.Time
	ActiveAt    time.Time
	PartSize    int64
	Description string
	Revision    int64 // grows with every part stored
	State       string
	EndedAt     time.Time
	Size        int64 // of the completed archive
	TreeHash    []byte
}

func (u *Upload) fields() []any {
	return []any{
		&u.ID, &u.VaultID, &u.ArchiveID, moment{&u.CreatedAt}, moment{&u.ActiveAt}, &u.PartSize, &u.Description,
		&u.Revision, &u.State, moment{&u.EndedAt}, &u.Size, &u.TreeHash,
	}
}

const uploadColumns = `upload_id, vault_id, archive_id, created_at, active_at, part_size, description, revision, state, ended_at, size, tree_hash`

// Part is a part of an upload, or of the archive it became.
type Part struct {
	UploadID string
	First    int64 // offset in the archive
	Size     int64
	TreeHash []byte
	Place    string
}

func (p *Part) fields() []any { return []any{&p.UploadID, &p.First, &p.Size, &p.TreeHash, &p.Place} }

const partColumns = `upload_id, first, size, tree_hash, place`

// InsertUpload adds an open upload.
func (tx *Tx) InsertUpload(u Upload) error {
	return tx.exec(`INSERT INTO uploads (upload_id, vault_id, archive_id, created_at, active_at, part_size, description, state)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		u.ID, u.VaultID, u.ArchiveID, millis(u.CreatedAt), millis(u.CreatedAt), u.PartSize, u.Description, UploadOpen)
}

// Upload returns an upload in any state.
func (tx *Tx) Upload(id string) (Upload, error) {
	return one[Upload](tx, `SELECT `+uploadColumns+` FROM uploads WHERE upload_id = $1`, id)
}

// OpenUploads returns up to limit open uploads of a vault after an id, by id, which is by creation.
func (tx *Tx) OpenUploads(vault int64, after string, limit int) ([]Upload, error) {
	return all[Upload](tx, `SELECT `+uploadColumns+` FROM uploads WHERE vault_id = $1 AND state = 'open' AND upload_id > $2
		ORDER BY upload_id LIMIT $3`, vault, after, limit)
}

// EndUpload makes an open upload a completed or aborted one.
func (tx *Tx) EndUpload(u Upload) error {
	return tx.execOne(`UPDATE uploads SET state = $2, ended_at = $3, size = $4, tree_hash = $5 WHERE upload_id = $1 AND state = 'open'`,
		u.ID, u.State, millis(u.EndedAt), u.Size, u.TreeHash)
}

// Expired reports whether there is anything for PurgeJobs, DeleteIdleUploads or ForgetUploads with these moments.
func (tx *Tx) Expired(jobs, idle, ended time.Time) (bool, error) {
	return scalar[bool](tx, `SELECT EXISTS (SELECT 1 FROM jobs WHERE expires_at <= $1)
		OR EXISTS (SELECT 1 FROM uploads WHERE state = 'open' AND active_at <= $2)
		OR EXISTS (SELECT 1 FROM uploads WHERE ended_at <= $3)`, millis(jobs), millis(idle), millis(ended))
}

// ForgetUploads removes uploads that ended at or before a moment. The parts of completed ones belong to their archives and stay.
func (tx *Tx) ForgetUploads(ended time.Time) error {
	return tx.exec(`DELETE FROM uploads WHERE ended_at <= $1`, millis(ended))
}

// DeleteIdleUploads removes up to limit open uploads without activity since a moment, and releases their parts.
func (tx *Tx) DeleteIdleUploads(since time.Time, limit int) error {
	idle, err := all[Upload](tx, `SELECT `+uploadColumns+` FROM uploads WHERE state = 'open' AND active_at <= $1
		ORDER BY active_at LIMIT $2`, millis(since), limit)
	if err != nil {
		return err
	}
	for _, u := range idle {
		if err := tx.exec(`DELETE FROM uploads WHERE upload_id = $1`, u.ID); err != nil {
			return err
		}
		if err := tx.ReleaseParts(u.ID); err != nil {
			return err
		}
	}
	return nil
}

// ReleaseParts releases the parts of an upload that will not become an archive, or whose archive was deleted.
func (tx *Tx) ReleaseParts(upload string) error {
	if err := tx.releaseAll(`SELECT place, 0 AS tombstone FROM parts WHERE upload_id = $1`, upload); err != nil {
		return err
	}
	return tx.exec(`DELETE FROM parts WHERE upload_id = $1`, upload)
}

// PutPart stores a part of an open upload and releases the one that it replaces, if there is one. ErrNotFound: the upload is not open.
func (tx *Tx) PutPart(p Part, at time.Time) (replaced bool, err error) {
	if err := tx.execOne(`UPDATE uploads SET revision = revision + 1, active_at = $2 WHERE upload_id = $1 AND state = 'open'`,
		p.UploadID, millis(at)); err != nil {
		return false, err
	}
	old, err := tx.PartAt(p.UploadID, p.First)
	switch {
	case err == nil:
		replaced, err = true, tx.Release(old.Place)
	case errors.Is(err, ErrNotFound):
		err = nil
	}
	if err != nil {
		return false, err
	}
	return replaced, tx.exec(`INSERT INTO parts (`+partColumns+`) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (upload_id, first) DO UPDATE SET size = excluded.size, tree_hash = excluded.tree_hash, place = excluded.place`,
		p.UploadID, p.First, p.Size, p.TreeHash, p.Place)
}

// Parts returns up to limit parts of an upload after an offset, by offset. Begin with -1.
func (tx *Tx) Parts(upload string, after int64, limit int) ([]Part, error) {
	return all[Part](tx, `SELECT `+partColumns+` FROM parts WHERE upload_id = $1 AND first > $2 ORDER BY first LIMIT $3`, upload, after, limit)
}

// PartsWithin returns the parts that hold the bytes from offset first to last, by offset.
func (tx *Tx) PartsWithin(upload string, first, last int64) ([]Part, error) {
	return all[Part](tx, `SELECT `+partColumns+` FROM parts WHERE upload_id = $1 AND first <= $3 AND first + size > $2 ORDER BY first`,
		upload, first, last)
}

// PartAt returns the part at an offset.
func (tx *Tx) PartAt(upload string, first int64) (Part, error) {
	return one[Part](tx, `SELECT `+partColumns+` FROM parts WHERE upload_id = $1 AND first = $2`, upload, first)
}
