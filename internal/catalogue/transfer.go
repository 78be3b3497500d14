package catalogue

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// tables are those with rows that matter, in an order in which a row comes after those that it refers to. Not among them are what only the running nodes need.
var tables = []string{ // read only
	"accounts", "principals", "principal_policies", "access_keys", "counters", "vaults", "archives", "deleted_archives", "uploads", "parts", "jobs", "releases", "identity",
	"orphans", "scrubbed_volumes", "scrubs", "vault_policies", "vault_locks", "vault_tags", "lock_clock", "retrieval_policies", "retrievals", "capacity_units", "notices",
}

// ofNodes are the tables that Transfer leaves out.
var ofNodes = []string{"schema_version", "leases", "commits"} // read only

// Transferred is how far a transfer is.
type Transferred struct {
	Table string
	Rows  int64 // of all tables
	Check bool  // they are read again to be compared
}

// Counters whose presence says something of a catalogue.
const (
	transferring = "transfer" // it is half a copy
	moved        = "moved"    // it was moved elsewhere
)

// Transfer copies all rows of a catalogue, as they are at one moment, to another, which is new or was left by a transfer that did not end. Every row is read again and
// compared. It returns the number of rows. While it runs, nobody should use the other.
func Transfer(ctx context.Context, from, to *DB, progress func(Transferred)) (rows int64, err error) {
	err = from.View(ctx, func(tx *Tx) (err error) {
		rows, err = transfer(ctx, tx, to, progress)
		return err
	})
	if err != nil {
		return rows, err
	}
	return rows, to.Update(ctx, endTransfer)
}

// Move is Transfer in a transaction in which nothing else changes, after which the catalogue in SQLite takes no more changes: every one of them ends with ErrMoved. A move that was
// interrupted is begun again.
func Move(ctx context.Context, from, to *DB, progress func(Transferred)) (rows int64, err error) {
	if from.engine.shared {
		return 0, errors.New("the catalogue is in PostgreSQL already")
	}
	err = from.change(ctx, func(tx *Tx) (err error) {
		if rows, err = transfer(ctx, tx, to, progress); err != nil {
			return err
		}
		return tx.exec(`INSERT INTO counters (name, value) VALUES ($1, 1) ON CONFLICT (name) DO NOTHING`, moved)
	})
	if err != nil {
		return rows, err
	}
	return rows, to.Update(ctx, endTransfer)
}

// ErrMoved says that a catalogue takes no more changes.
var ErrMoved = errors.New("the catalogue was moved to PostgreSQL and takes no more changes: start the server with the --catalogue that it was moved to") // read only

// unlessMoved is fn, unless the catalogue was moved. One that is shared is not moved.
func (db *DB) unlessMoved(fn func(*Tx) error) func(*Tx) error {
	if db.engine.shared {
		return fn
	}
	return func(tx *Tx) error {
		gone, err := tx.isMarked(moved)
		if err == nil && gone {
			err = ErrMoved
		}
		if err != nil {
			return err
		}
		return fn(tx)
	}
}

// StillHere is ErrMoved if the catalogue was moved: what it says is old from then on.
func (db *DB) StillHere(ctx context.Context) error {
	return db.View(ctx, db.unlessMoved(func(*Tx) error { return nil }))
}

// transfer copies all rows that a transaction sees, and compares them.
func transfer(ctx context.Context, from *Tx, to *DB, progress func(Transferred)) (rows int64, err error) {
	if err := to.Update(ctx, beginTransfer); err != nil {
		return 0, err
	}
	var sums []sum
	for _, table := range tables {
		s, err := copyTable(ctx, from, to, table, func(n int64) { progress(Transferred{Table: table, Rows: rows + n}) })
		if err != nil {
			return 0, fmt.Errorf("copy the table %s: %w", table, err)
		}
		rows += s.rows
		sums = append(sums, s)
	}
	seen := int64(0)
	err = to.View(ctx, func(tx *Tx) error {
		for i, table := range tables {
			progress(Transferred{Table: table, Rows: seen, Check: true})
			got, err := sumTable(tx, table)
			if err == nil && got != sums[i] {
				err = fmt.Errorf("the table %s has %d rows that are not the %d that were copied", table, got.rows, sums[i].rows)
			}
			if err != nil {
				return err
			}
			seen += got.rows
		}
		return nil
	})
	return rows, err
}

// beginTransfer makes a catalogue one that is half a copy. One that is in use is refused.
func beginTransfer(tx *Tx) error {
	half, err := tx.HalfCopied()
	if err != nil {
		return err
	}
	used, err := scalar[bool](tx, `SELECT EXISTS (SELECT 1 FROM accounts) OR EXISTS (SELECT 1 FROM vaults)`)
	if err != nil {
		return err
	}
	if used && !half {
		return errors.New("the catalogue to copy to is in use: it has accounts or vaults of its own. Give an empty database")
	}
	for _, table := range slices.Backward(tables) {
		if err := tx.exec(`DELETE FROM ` + table); err != nil {
			return err
		}
	}
	return tx.exec(`INSERT INTO counters (name, value) VALUES ($1, 1)`, transferring)
}

func endTransfer(tx *Tx) error { return tx.exec(`DELETE FROM counters WHERE name = $1`, transferring) }

// HalfCopied reports whether a catalogue was left by a transfer that did not end.
func (tx *Tx) HalfCopied() (bool, error) { return tx.isMarked(transferring) }

func (tx *Tx) isMarked(counter string) (bool, error) {
	return scalar[bool](tx, `SELECT EXISTS (SELECT 1 FROM counters WHERE name = $1)`, counter)
}

// sum is what is compared of a table: how many rows, and all of them, in any order.
type sum struct {
	rows int64
	all  [sha256.Size]byte
}

// add adds a row. The sum of hashes does not depend on their order.
func (s *sum) add(row []any) {
	h := sha256.New()
	for _, v := range row {
		switch v := v.(type) {
		case nil:
			h.Write([]byte{0})
		case int64:
			h.Write(binary.BigEndian.AppendUint64([]byte{1}, uint64(v)))
		case string:
			h.Write(binary.BigEndian.AppendUint64([]byte{2}, uint64(len(v))))
			h.Write([]byte(v))
		case []byte:
			h.Write(binary.BigEndian.AppendUint64([]byte{3}, uint64(len(v))))
			h.Write(v)
		default:
			fmt.Fprintf(h, "%T %v", v, v)
		}
	}
	carry := 0
	for i, b := range h.Sum(nil) {
		carry += int(s.all[i]) + int(b)
		s.all[i] = byte(carry)
		carry >>= 8
	}
	s.rows++
}

// batchRows is how many rows one statement inserts, and batchStatements how many a transaction has.
const (
	batchRows       = 100
	batchStatements = 50
)

// copyTable copies the rows of a table.
func copyTable(ctx context.Context, tx *Tx, to *DB, table string, progress func(int64)) (s sum, err error) {
	var columns []string
	var pending [][]any
	flush := func() error {
		if len(pending) == 0 {
			return nil
		}
		err := to.Update(ctx, func(tx *Tx) error {
			for i := 0; i < len(pending); i += batchRows {
				if err := tx.insertRows(table, columns, pending[i:min(i+batchRows, len(pending))]); err != nil {
					return err
				}
			}
			return nil
		})
		pending = pending[:0]
		progress(s.rows)
		return err
	}
	err = tx.rows(table, func(names []string, row []any) error {
		columns = names
		s.add(row)
		if pending = append(pending, row); len(pending) == batchRows*batchStatements {
			return flush()
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	return s, err
}

func sumTable(tx *Tx, table string) (s sum, err error) {
	err = tx.rows(table, func(_ []string, row []any) error {
		s.add(row)
		return nil
	})
	return s, err
}

// rows gives every row of a table to fn, with the names of the columns in their order.
func (tx *Tx) rows(table string, fn func(columns []string, row []any) error) error {
	query := `SELECT * FROM ` + table
	if table == "counters" {
		query += ` WHERE name NOT IN ('` + transferring + `', '` + moved + `')`
	}
	s, err := tx.statement(tx.long, query, (*connection).borrow)
	if err != nil {
		return err
	}
	defer tx.conn.giveBack(query, s)
	rows, err := s.QueryContext(tx.long)
	if err != nil {
		return tx.note(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	order := inOrder(columns)
	for rows.Next() {
		raw := make([]any, len(columns))
		to := make([]any, len(columns))
		for i := range raw {
			to[i] = &raw[i]
		}
		if err := rows.Scan(to...); err != nil {
			return err
		}
		row, names := make([]any, len(columns)), make([]string, len(columns))
		for i, k := range order {
			row[i], names[i] = raw[k], columns[k]
		}
		if err := fn(names, row); err != nil {
			return err
		}
	}
	return tx.note(rows.Err())
}

// inOrder returns the numbers of columns by their names: engines keep them in the order in which they came.
func inOrder(columns []string) []int {
	order := make([]int, len(columns))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(columns[a], columns[b]) })
	return order
}

// insertRows inserts rows with one statement.
func (tx *Tx) insertRows(table string, columns []string, rows [][]any) error {
	var text strings.Builder
	fmt.Fprintf(&text, `INSERT INTO %s (%s) VALUES `, table, strings.Join(columns, ", "))
	args := make([]any, 0, len(rows)*len(columns))
	for i, row := range rows {
		if i > 0 {
			text.WriteString(", ")
		}
		for k := range row {
			fmt.Fprintf(&text, "%c$%d", "(,"[min(k, 1)], len(args)+k+1)
		}
		text.WriteByte(')')
		args = append(args, row...)
	}
	return tx.exec(text.String(), args...)
}
