package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Upload is an upload in parts that was begun and not completed.
type Upload struct {
	ID          string
	Path        string // of the file on this machine
	Size        int64
	ModTime     time.Time
	Description string
	Started     time.Time
	Completing  time.Time // since when it may be an archive; zero: it is not
}

// AddUpload remembers an upload.
func (ix *Index) AddUpload(ctx context.Context, u Upload) error {
	return ix.update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO uploads (`+uploadColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			u.ID, u.Path, u.Size, stamp(u.ModTime), u.Description, u.Started.UnixMilli(), milliseconds(u.Completing))
		return err
	})
}

const uploadColumns = `id, path, size, modified, description, started, completing`

// UploadOf returns the upload that was begun last of a file as it is now, under a description, ErrNotFound if there is none. The file is the same if its size and its time are.
func (ix *Index) UploadOf(ctx context.Context, path string, size int64, modTime time.Time, description string) (Upload, error) {
	found, err := uploads(ix.db.QueryContext(ctx, `SELECT `+uploadColumns+` FROM uploads WHERE path = $1 AND size = $2 AND modified = $3 AND description = $4
		ORDER BY started DESC, id LIMIT 1`, path, size, stamp(modTime), description))
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
	return ix.update(ctx, func(tx *sql.Tx) error { return forgetUpload(ctx, tx, id) })
}

func forgetUpload(ctx context.Context, tx *sql.Tx, id string) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM uploads WHERE id = $1`, id)
	return err
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
		if err := rows.Scan(&u.ID, &u.Path, &u.Size, &modified, &u.Description, moment{&u.Started}, moment{&u.Completing}); err != nil {
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

// milliseconds is a time as the tables have it, null if it is zero.
func milliseconds(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

// stamp is a time to the nanosecond.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
