package catalogue

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
)

//go:embed schema
var schemas embed.FS // read only

// migrate brings the schema up to date: it runs the numbered files that were not run yet, in their order, each in a
// transaction of its own. There is no way back.
func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Glob(schemas, "schema/sqlite/*.sql") // sorted by name
	if err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL PRIMARY KEY)`); err != nil {
		return err
	}
	for i, file := range files {
		if err := apply(ctx, db, int64(i+1), file); err != nil {
			return fmt.Errorf("schema %s: %w", file, err)
		}
	}
	return checkVersion(ctx, db, len(files))
}

func apply(ctx context.Context, db *sql.DB, version int64, file string) error {
	text, err := schemas.ReadFile(file)
	if err != nil {
		return err
	}
	return run(ctx, db, nil, func(tx *Tx) error {
		done, err := scalar[int64](tx, `SELECT COUNT(*) FROM schema_version WHERE version = $1`, version)
		if err != nil || done > 0 {
			return err
		}
		if err := tx.exec(string(text)); err != nil {
			return err
		}
		return tx.exec(`INSERT INTO schema_version (version) VALUES ($1)`, version)
	})
}

// checkVersion refuses a catalogue that a later program has changed.
func checkVersion(ctx context.Context, db *sql.DB, known int) error {
	var newest int
	if err := db.QueryRowContext(ctx, `SELECT COALESCE(MAX(version), 0) FROM schema_version`).Scan(&newest); err != nil {
		return err
	}
	if newest > known {
		return fmt.Errorf("the catalogue has schema version %d, this program knows up to %d: use the newer program", newest, known)
	}
	return nil
}
