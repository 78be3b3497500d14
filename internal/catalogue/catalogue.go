// Package catalogue keeps rows: vaults, archives, uploads, jobs, accounts. It knows SQL and none of the rules of the service.
//
// One plain SQL text with $1 placeholders serves every engine; only the schema, error codes and open options differ.
package catalogue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrNotFound is returned when there is no such row.
var ErrNotFound = errors.New("no such row")

// DB is a catalogue. It may be used from several goroutines, and opened by several processes at once.
type DB struct {
	writer *sql.DB // one connection: SQLite has one writer
	reader *sql.DB
}

// readers is the number of connections that read. Each may hold a snapshot of its own for as long as an inventory takes.
const readers = 8

// OpenSQLite opens the catalogue in a file, makes it if it is missing, and brings its schema up to date.
func OpenSQLite(ctx context.Context, path string) (*DB, error) {
	// busy_timeout comes first, so that the other pragmas wait for a second process too. synchronous=FULL makes every
	// commit in WAL mode durable before it returns.
	pragmas := url.Values{"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)"}}
	writer, err := sql.Open("sqlite", "file:"+url.PathEscape(path)+"?"+pragmas.Encode()+"&_txlock=immediate")
	if err != nil {
		return nil, fmt.Errorf("open the catalogue %s: %w", path, err)
	}
	writer.SetMaxOpenConns(1)
	reader, err := sql.Open("sqlite", "file:"+url.PathEscape(path)+"?"+pragmas.Encode()+"&_pragma=query_only(ON)")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the catalogue %s: %w", path, err), writer.Close())
	}
	reader.SetMaxOpenConns(readers)
	reader.SetMaxIdleConns(readers)
	db := &DB{writer: writer, reader: reader}
	if err := patiently(ctx, func() error { return migrate(ctx, writer) }); err != nil {
		return nil, errors.Join(fmt.Errorf("open the catalogue %s: %w", path, err), db.Close())
	}
	return db, nil
}

// patiently runs fn again while the engine says that it is busy. Others that open a new catalogue at the same moment are waited for by
// busy_timeout, but not while they change its journal mode, which is short.
func patiently(ctx context.Context, fn func() error) error {
	for wait := time.Millisecond; ; wait *= 2 {
		err := fn()
		if !busy(err) || wait > time.Second {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(wait):
		}
	}
}

// Close closes the catalogue.
func (db *DB) Close() error { return errors.Join(db.reader.Close(), db.writer.Close()) }

// Tx is a transaction. It is valid only within the closure it was given to.
type Tx struct {
	ctx context.Context
	tx  *sql.Tx
}

// maxAttempts bounds how often a closure is run when the engine asks for it to be run again.
const maxAttempts = 5

// Update runs a change. When it returns nil, the change survives a power failure; when it returns an error, nothing has changed, with one
// exception: an error of the commit itself leaves it open. Changes are serialisable. fn may run several times, so it
// must have no effect but through the Tx.
func (db *DB) Update(ctx context.Context, fn func(*Tx) error) error {
	var err error
	for range maxAttempts {
		if err = run(ctx, db.writer, nil, fn); !busy(err) {
			return err
		}
	}
	return fmt.Errorf("the catalogue stays busy: %w", err)
}

// View runs fn on an unchanging snapshot.
func (db *DB) View(ctx context.Context, fn func(*Tx) error) error {
	return run(ctx, db.reader, &sql.TxOptions{ReadOnly: true}, fn)
}

func run(ctx context.Context, db *sql.DB, opts *sql.TxOptions, fn func(*Tx) error) error {
	tx, err := db.BeginTx(ctx, opts)
	if err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	defer tx.Rollback() // after a commit this does nothing
	if err := fn(&Tx{ctx, tx}); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", errors.Join(err, ctx.Err())) // a context that ends has rolled back
	}
	return nil
}

// busy reports whether the engine asks for the transaction to be run again: another process was writing.
func busy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
}

func (tx *Tx) exec(query string, args ...any) error {
	_, err := tx.tx.ExecContext(tx.ctx, query, args...)
	return err
}

// execOne is exec for a statement that must change a row.
func (tx *Tx) execOne(query string, args ...any) error {
	result, err := tx.tx.ExecContext(tx.ctx, query, args...)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n > 0 {
		return err
	}
	return ErrNotFound
}

// record is a pointer to a struct that is read from a row.
type record[T any] interface {
	*T
	fields() []any // where the columns go, in their order
}

// one returns the only row of a query, ErrNotFound if there is none.
func one[T any, R record[T]](tx *Tx, query string, args ...any) (T, error) {
	var t T
	err := tx.tx.QueryRowContext(tx.ctx, query, args...).Scan(R(&t).fields()...)
	if errors.Is(err, sql.ErrNoRows) {
		return t, ErrNotFound
	}
	return t, err
}

// each gives every row of a query to fn, one at a time.
func each[T any, R record[T]](tx *Tx, fn func(T) error, query string, args ...any) error {
	rows, err := tx.tx.QueryContext(tx.ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var t T
		if err := rows.Scan(R(&t).fields()...); err != nil {
			return err
		}
		if err := fn(t); err != nil {
			return err
		}
	}
	return rows.Err()
}

// all returns every row of a query. The query has a limit.
func all[T any, R record[T]](tx *Tx, query string, args ...any) ([]T, error) {
	var list []T
	err := each[T, R](tx, func(t T) error {
		list = append(list, t)
		return nil
	}, query, args...)
	return list, err
}

// scalar returns the single value of a query.
func scalar[T any](tx *Tx, query string, args ...any) (T, error) {
	var v T
	err := tx.tx.QueryRowContext(tx.ctx, query, args...).Scan(&v)
	if errors.Is(err, sql.ErrNoRows) {
		return v, ErrNotFound
	}
	return v, err
}

// moment reads a column of milliseconds into a time; null is the zero time.
type moment struct{ t *time.Time }

func (m moment) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*m.t = time.Time{}
	case int64:
		*m.t = time.UnixMilli(v).UTC()
	default:
		return fmt.Errorf("a moment is a number of milliseconds, not %T", v)
	}
	return nil
}

// millis is the value of a column for a time; the zero time is null.
func millis(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}
