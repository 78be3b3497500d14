package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Job is a job that was begun and whose output is still wanted.
type Job struct {
	ID        string
	ArchiveID string // empty: the job is for an inventory
	Range     string // of the archive, "first-last"; empty: all of it
	Tier      string
	Started   time.Time
}

// AddJob remembers a job.
func (ix *Index) AddJob(ctx context.Context, j Job) error {
	return ix.update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO jobs (id, archive_id, byte_range, tier, started) VALUES ($1, $2, $3, $4, $5)`,
			j.ID, j.ArchiveID, j.Range, j.Tier, j.Started.UnixMilli())
		return err
	})
}

// Jobs returns the jobs that are remembered, the newest first.
func (ix *Index) Jobs(ctx context.Context) ([]Job, error) {
	return jobs(ix.db.QueryContext(ctx, `SELECT id, archive_id, byte_range, tier, started FROM jobs ORDER BY started DESC, id`))
}

// JobsFor returns the jobs that are remembered for an archive, the newest first; those for inventories if the id is empty.
func (ix *Index) JobsFor(ctx context.Context, archiveID string) ([]Job, error) {
	return jobs(ix.db.QueryContext(ctx, `SELECT id, archive_id, byte_range, tier, started FROM jobs WHERE archive_id = $1 ORDER BY started DESC, id`, archiveID))
}

// ForgetJob forgets a job, which need not be known.
func (ix *Index) ForgetJob(ctx context.Context, id string) error {
	return ix.update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM jobs WHERE id = $1`, id)
		return err
	})
}

func jobs(rows *sql.Rows, err error) ([]Job, error) {
	if err != nil {
		return nil, noted(err)
	}
	defer rows.Close()
	var list []Job
	for rows.Next() {
		var j Job
		if err := rows.Scan(&j.ID, &j.ArchiveID, &j.Range, &j.Tier, moment{&j.Started}); err != nil {
			return nil, noted(err)
		}
		list = append(list, j)
	}
	return list, noted(rows.Err())
}

// Upload is an upload in parts that was begun and not completed.
type Upload struct {
	ID          string
	Path        string // of the file on this machine
	Size        int64
	ModTime     time.Time
	PartSize    int64
	Description string
	Started     time.Time
}

// AddUpload remembers an upload.
func (ix *Index) AddUpload(ctx context.Context, u Upload) error {
	return ix.update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO uploads (`+uploadColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			u.ID, u.Path, u.Size, stamp(u.ModTime), u.PartSize, u.Description, u.Started.UnixMilli())
		return err
	})
}

const uploadColumns = `id, path, size, modified, part_size, description, started`

// UploadOf returns the upload that was begun last of a file as it is now, ErrNotFound if there is none. The file is the same if its size and its time are.
func (ix *Index) UploadOf(ctx context.Context, path string, size int64, modTime time.Time) (Upload, error) {
	found, err := uploads(ix.db.QueryContext(ctx, `SELECT `+uploadColumns+` FROM uploads WHERE path = $1 AND size = $2 AND modified = $3
		ORDER BY started DESC, id LIMIT 1`, path, size, stamp(modTime)))
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("an upload of %q: %w", path, ErrNotFound)
	}
	if err != nil {
		return Upload{}, err
	}
	return found[0], nil
}

// Uploads returns the uploads that are remembered, the newest first.
func (ix *Index) Uploads(ctx context.Context) ([]Upload, error) {
	return uploads(ix.db.QueryContext(ctx, `SELECT `+uploadColumns+` FROM uploads ORDER BY started DESC, id`))
}

// ForgetUpload forgets an upload, which need not be known.
func (ix *Index) ForgetUpload(ctx context.Context, id string) error {
	return ix.update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM uploads WHERE id = $1`, id)
		return err
	})
}

func uploads(rows *sql.Rows, err error) ([]Upload, error) {
	if err != nil {
		return nil, noted(err)
	}
	defer rows.Close()
	var list []Upload
	for rows.Next() {
		var u Upload
		var modified string
		if err := rows.Scan(&u.ID, &u.Path, &u.Size, &modified, &u.PartSize, &u.Description, moment{&u.Started}); err != nil {
			return nil, noted(err)
		}
		t, err := time.Parse(time.RFC3339Nano, modified)
		if err != nil {
			return nil, errors.Join(ErrDamaged, err)
		}
		u.ModTime = t
		list = append(list, u)
	}
	return list, noted(rows.Err())
}

// stamp is a time to the nanosecond.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
