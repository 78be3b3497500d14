package catalogue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"modernc.org/sqlite"
)

// Copy writes a consistent copy of the catalogue, as it is at one moment, to a file that is empty or missing. The catalogue can be used meanwhile. The caller syncs the file.
func (db *DB) Copy(ctx context.Context, path string) error {
	if db.engine.shared {
		return db.copyInto(ctx, path)
	}
	if err := db.StillHere(ctx); err != nil {
		return err // such a copy would be of no use
	}
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

// copyInto is Copy from another engine: the copy is a catalogue in SQLite, as every copy is.
func (db *DB) copyInto(ctx context.Context, path string) error {
	to, err := OpenSQLite(ctx, path)
	if err == nil {
		_, err = Transfer(ctx, db, to, func(Transferred) {})
		err = errors.Join(err, to.Checkpoint(ctx), to.Close()) // the last connection empties the log into the file
	}
	if err != nil {
		return fmt.Errorf("copy the catalogue to %s: %w", path, err)
	}
	return nil
}

// Size returns the length of the catalogue in bytes. Who opened its file to ask would drop the engine's locks on it by closing it again (fcntl(2)).
func (db *DB) Size(ctx context.Context) (size int64, err error) {
	err = db.View(ctx, func(tx *Tx) (err error) {
		size, err = scalar[int64](tx, db.engine.size)
		return err
	})
	return size, err
}

// Checkpoint writes the log into the file, as far as nobody reads what was there before. What cannot be read of either is no error: it stays as it is.
func (db *DB) Checkpoint(ctx context.Context) error {
	if db.engine.shared {
		return nil // the server's
	}
	conn, err := sql.Open("sqlite", db.source)
	if err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`)
	var damaged *sqlite.Error
	if errors.As(err, &damaged) {
		err = nil
	}
	return errors.Join(err, conn.Close())
}
