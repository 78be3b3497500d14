package catalogue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Copy writes a consistent copy of the catalogue, as it is at one moment, to a file that is empty or missing. The catalogue can be used meanwhile. The caller syncs the file.
func (db *DB) Copy(ctx context.Context, path string) error {
	conn, err := sql.Open("sqlite", db.source)
	if err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, `VACUUM INTO $1`, path)
	if err = errors.Join(err, conn.Close()); err != nil {
		return fmt.Errorf("copy the catalogue to %s: %w", path, err)
	}
	return nil
}
