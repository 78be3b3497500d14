package index

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"
)

// skew is by how much this machine's clock and that of the service may differ: requests of clients with clocks that are more wrong are refused.
const skew time.Duration = 15 * time.Minute

// batchSize is how many rows are handed to SQLite with one statement: few enough for its limit of parameters, many enough that the statement costs little.
const batchSize = 256

// Replace takes over an inventory: the index then has what it lists, and what this machine uploaded after its date, without what this machine deleted. It happens at
// once, at the end, and not at all if the inventory ends with an error or is older than the one the index has (ErrOlder). Deletions are forgotten when an
// inventory that was taken after them does not list their archives any more.
//
// The rows are staged in a temporary table of the connection's own, so that the index is locked for others only while it is switched over, not while the inventory
// comes through the network. A process that is killed meanwhile leaves nothing behind.
func (ix *Index) Replace(ctx context.Context, inventory *Inventory) error {
	err := ix.replace(ctx, inventory)
	if err != nil {
		return fmt.Errorf("take over the inventory: %w", noted(err))
	}
	// So that the log, which has a copy of all of it now, takes no place on the disk. If others are reading it stays until later.
	var busy, pages, moved int
	ix.db.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &pages, &moved)
	return nil
}

func (ix *Index) replace(ctx context.Context, inventory *Inventory) error {
	conn, err := ix.db.Conn(ctx)
	if err != nil {
		return err
	}
	// The temporary tables go with the connection.
	defer conn.Close()
	defer conn.Raw(func(any) error { return driver.ErrBadConn })
	if err := stage(ctx, conn, inventory); err != nil {
		return err
	}
	if inventory.Date.IsZero() {
		return errors.New("it has no date; that of one in CSV is the LastInventoryDate of the vault")
	}
	return switchOver(ctx, conn, inventory)
}

// stage fills the temporary table. The inventory is read while SQLite works on the rows before.
func stage(ctx context.Context, conn *sql.Conn, inventory *Inventory) error {
	for _, statement := range []string{
		`CREATE TEMP TABLE staged (id_start TEXT NOT NULL, id_rest TEXT NOT NULL, path TEXT NOT NULL, description TEXT, created INTEGER NOT NULL,
			size INTEGER NOT NULL, tree_hash BLOB NOT NULL, local INTEGER NOT NULL)`,
		`BEGIN`, // of the temporary database alone: nothing is locked
	} {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	feeding, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	batches := make(chan []Archive, 4)
	inserted := make(chan error, 1)
	go func() {
		err := insert(ctx, conn, batches)
		stop(err)
		inserted <- err
	}()
	err := feed(feeding, inventory, batches)
	close(batches)
	if failed := <-inserted; err == nil {
		err = failed
	}
	if err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, `COMMIT`)
	return err
}

// feed hands the rows of an inventory over.
func feed(ctx context.Context, inventory *Inventory, batches chan<- []Archive) error {
	list := make([]Archive, 0, batchSize)
	send := func() error {
		select {
		case batches <- list:
			list = make([]Archive, 0, batchSize)
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for a, err := range inventory.Archives {
		if err != nil {
			return err
		}
		if list = append(list, a); len(list) == batchSize {
			if err := send(); err != nil {
				return err
			}
		}
	}
	if len(list) == 0 {
		return nil
	}
	return send()
}

// insert puts rows into the temporary table until there are no more.
func insert(ctx context.Context, conn *sql.Conn, batches <-chan []Archive) error {
	const row = `(?, ?, ?, ?, ?, ?, ?, ?)`
	statement := func(rows int) string {
		return `INSERT INTO temp.staged VALUES ` + strings.Repeat(row+`, `, rows-1) + row
	}
	full, err := conn.PrepareContext(ctx, statement(batchSize))
	if err != nil {
		return err
	}
	defer full.Close()
	var values []any
	for batch := range batches {
		values = values[:0]
		for _, a := range batch {
			r := newRow(a)
			values = r.values(values)
		}
		if len(batch) == batchSize {
			_, err = full.ExecContext(ctx, values...)
		} else {
			_, err = conn.ExecContext(ctx, statement(len(batch)), values...)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// switchOver puts what is staged in place of what was.
func switchOver(ctx context.Context, conn *sql.Conn, inventory *Inventory) error {
	date := inventory.Date
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // nothing after Commit
	var known time.Time
	if err := tx.QueryRowContext(ctx, `SELECT inventory_at FROM state`).Scan(moment{&known}); err != nil {
		return err
	}
	if date.Before(known) {
		return fmt.Errorf("%w: of %s, this one is of %s", ErrOlder, known.Format(time.RFC3339), date.Format(time.RFC3339))
	}
	ahead := skew
	if inventory.Ahead != nil {
		ahead = *inventory.Ahead
	}
	settled := date.Add(-ahead).UnixMilli() // what happened here before this, the inventory knows
	for _, s := range []struct {
		statement string
		args      []any
	}{
		{`CREATE TEMP TABLE kept AS SELECT * FROM archives WHERE local = 1 AND created > ?`, []any{settled}},
		// Indexes are faster made than kept up, and a table without any takes the rows as they are.
		{`DROP INDEX archives_local`, nil},
		{`DROP INDEX archives_by_path`, nil},
		{`DROP INDEX archives_by_id`, nil},
		{`DELETE FROM archives`, nil},
		{`INSERT INTO archives SELECT * FROM temp.staged`, nil},
		{`CREATE INDEX archives_by_id ON archives (id_start)`, nil},
		{dropRepetitions, nil},
		{`DELETE FROM deleted WHERE at <= ? AND NOT EXISTS (SELECT 1 FROM archives a WHERE a.id_start = deleted.id_start AND a.id_rest = deleted.id_rest)`, []any{settled}},
		{`DELETE FROM archives WHERE rowid IN (SELECT a.rowid FROM deleted d CROSS JOIN archives a USING (id_start, id_rest))`, nil},
		{`INSERT INTO archives SELECT * FROM temp.kept k WHERE NOT EXISTS (SELECT 1 FROM archives a WHERE a.id_start = k.id_start AND a.id_rest = k.id_rest)`, nil},
		{`CREATE INDEX archives_by_path ON archives (path, created)`, nil},
		{`CREATE INDEX archives_local ON archives (created) WHERE local = 1`, nil},
		{`UPDATE state SET inventory_at = ?, (archives, bytes) = (SELECT COUNT(*), COALESCE(SUM(size), 0) FROM archives)`, []any{date.UnixMilli()}},
	} {
		if _, err := tx.ExecContext(ctx, s.statement, s.args...); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// dropRepetitions deletes all rows but the last of an archive that an inventory lists more than once. What makes it cheap is that it looks closer only at ids that
// begin alike.
const dropRepetitions = `DELETE FROM archives WHERE rowid IN (
	SELECT a.rowid FROM (SELECT id_start FROM archives GROUP BY id_start HAVING COUNT(*) > 1) alike CROSS JOIN archives a USING (id_start)
	WHERE EXISTS (SELECT 1 FROM archives later WHERE later.id_start = a.id_start AND later.id_rest = a.id_rest AND later.rowid > a.rowid))`
