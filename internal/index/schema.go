package index

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
)

//go:embed schema.sql
var schema string

const (
	applicationID = 0x4d6f7278 // "Morx", in the header of the file: that it is one of ours
	// schemaVersion changes with the schema, and with what names.Parse makes of descriptions: paths are stored.
	schemaVersion = 2
	asideSuffix   = ".damaged"
)

// migrate makes the tables if the file is new. An index of another version is emptied, in a transaction, which does no harm to a process that has it open; moving
// the file away under that process would (sqlite.org/howtocorrupt.html, "Unlinking or renaming a database file while in use").
func (ix *Index) migrate(ctx context.Context) error {
	var reason string
	err := ix.update(ctx, func(tx *sql.Tx) error {
		application, version, tables, err := identity(ctx, tx)
		if err != nil {
			return err
		}
		switch {
		case application == 0 && version == 0 && len(tables) == 0: // new
		case application != applicationID:
			return fmt.Errorf("%w: the file is a database, but not an index", ErrDamaged)
		case version == schemaVersion:
			return complete(ctx, tx)
		default:
			reason = fmt.Sprintf("it was of version %d, this program has version %d", version, schemaVersion)
		}
		for _, table := range tables {
			if _, err := tx.ExecContext(ctx, `DROP TABLE "`+table+`"`); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, schema+fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d;", applicationID, schemaVersion))
		return err
	})
	if err == nil {
		ix.restarted = reason
	}
	return err
}

// identity is what the header of the file says, and which tables there are.
func identity(ctx context.Context, tx *sql.Tx) (application, version int, tables []string, err error) {
	if err = tx.QueryRowContext(ctx, `PRAGMA application_id`).Scan(&application); err != nil {
		return
	}
	if err = tx.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return
	}
	rows, err := tx.QueryContext(ctx, `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`)
	if err != nil {
		return
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err = rows.Scan(&name); err != nil {
			return
		}
		tables = append(tables, name)
	}
	err = rows.Err()
	return
}

// complete is an error if a table is missing or damaged at its root. Damage elsewhere shows when it is read: to look for it now would take seconds in a large index.
func complete(ctx context.Context, tx *sql.Tx) error {
	var found int
	err := tx.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM state) + EXISTS (SELECT 1 FROM archives INDEXED BY archives_by_id WHERE id_start > '')
		+ EXISTS (SELECT 1 FROM archives INDEXED BY archives_by_path WHERE path > '') + EXISTS (SELECT 1 FROM deleted)
		+ EXISTS (SELECT 1 FROM uploads INDEXED BY uploads_by_path WHERE path > '')`).Scan(&found)
	switch {
	case is(err, 1): // SQLITE_ERROR: no such table
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case err == nil && found == 0:
		return fmt.Errorf("%w: its state is missing", ErrDamaged)
	}
	return err
}

// setAside moves the files of an index out of the way, in place of those that were moved before. The database comes last: without it the others have no meaning, and
// while it is there this will be done again.
func setAside(path string, disk Disk) error {
	for _, part := range []string{"-wal", "-shm", ""} {
		if err := disk.Rename(path+part, path+asideSuffix+part); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
