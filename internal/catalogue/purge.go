package catalogue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Purge writes the whole file anew and empties the log, so that nothing is left in either of what was deleted or overwritten: SQLite leaves such bytes where they
// were, in pages that it uses again some day. PRAGMA secure_delete would not do: it reaches what is deleted from then on, at a cost for every deletion, and not
// what was moved or deleted before.
func (db *DB) Purge(ctx context.Context) error {
	if db.engine.shared {
		return nil // it never had secrets that were not encrypted
	}
	conn, err := sql.Open("sqlite", db.source)
	if err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, `VACUUM`)
	if err == nil {
		err = emptyLog(ctx, conn)
	}
	if err = errors.Join(err, conn.Close()); err != nil {
		return fmt.Errorf("write the catalogue anew: %w", err)
	}
	return nil
}

// emptyLog brings all that is in the log into the file, and cuts the log.
func emptyLog(ctx context.Context, conn *sql.DB) error {
	var busy, pages, done int
	if err := conn.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &pages, &done); err != nil {
		return err
	}
	if busy != 0 {
		return errors.New("the log cannot be emptied while others read from it")
	}
	return nil
}

// plainSecrets is the counter that says whether secrets that were not encrypted may be left in the bytes of the file or of its copies: 1 if so.
const plainSecrets = "plain-secrets"

// MayHavePlainSecrets reports what SetPlainSecrets was told last; false before.
func (tx *Tx) MayHavePlainSecrets() (bool, error) {
	n, err := scalar[int64](tx, `SELECT value FROM counters WHERE name = $1`, plainSecrets)
	return n > 0, noRow(err)
}

// SetPlainSecrets notes whether secrets that were not encrypted may be left in the bytes of the file or of its copies, though no row has them.
func (tx *Tx) SetPlainSecrets(left bool) error {
	return tx.exec(`INSERT INTO counters (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, plainSecrets, oneIf(left))
}
