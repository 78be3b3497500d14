// Package catalogue keeps rows: vaults, archives, uploads, jobs, accounts. It knows SQL and none of the rules of the service.
//
// One plain SQL text with $1 placeholders serves every engine; only the schema, error codes and open options differ.
package catalogue

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/moraine-archive/moraine/internal/catalogue/checkedvfs"
	"github.com/moraine-archive/moraine/internal/group"
)

// ErrNotFound is returned when there is no such row.
var ErrNotFound = errors.New("no such row")

// DB is a catalogue. It may be used from several goroutines, and opened by several processes at once.
type DB struct {
	source      string
	writer      *connections // one: SQLite has one writer
	reader      *connections
	changes     *group.Committer[*change]
	commitFault atomic.Pointer[func() CommitFault] // of FailCommits
}

// readers is the number of connections that read. Each may hold a snapshot of its own for as long as an inventory takes.
const readers = 8

// OpenSQLite opens the catalogue in a file, makes it if it is missing, and brings its schema up to date.
func OpenSQLite(ctx context.Context, path string) (*DB, error) {
	// busy_timeout comes first, so that the other pragmas wait for a second process too. synchronous=FULL makes every
	// commit in WAL mode durable before it returns.
	pragmas := url.Values{"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)"}}
	checked, err := checkedvfs.Register()
	if err != nil {
		return nil, fmt.Errorf("open the catalogue %s: %w", path, err)
	}
	source := "file:" + url.PathEscape(path) + "?vfs=" + checked + "&" + pragmas.Encode()
	writer, err := open(source, `BEGIN IMMEDIATE`, 1)
	if err != nil {
		return nil, fmt.Errorf("open the catalogue %s: %w", path, err)
	}
	reader, err := open(source+"&_pragma=query_only(ON)", `BEGIN`, readers)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the catalogue %s: %w", path, err), writer.close())
	}
	db := &DB{source: source, writer: writer, reader: reader}
	db.ShareCommits(largestGroup)
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
func (db *DB) Close() error { return errors.Join(db.reader.close(), db.writer.close()) }

// View runs fn on an unchanging snapshot.
func (db *DB) View(ctx context.Context, fn func(*Tx) error) error {
	c, err := db.reader.begin(ctx)
	if err != nil {
		return err
	}
	defer db.reader.end(c) // nothing was written, so it is all the same whether that commits
	return c.lend(&Tx{ctx: ctx, brief: context.WithoutCancel(ctx), long: ctx}, fn)
}

// busy reports whether the engine asks for the transaction to be run again: another process was writing.
func busy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
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

// span reads a column of milliseconds into a duration.
type span struct{ d *time.Duration }

func (s span) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("a span is a number of milliseconds, not %T", v)
	}
	*s.d = time.Duration(n) * time.Millisecond
	return nil
}

// millis is the value of a column for a time; the zero time is null.
func millis(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

// oneIf is the value of a column for a truth.
func oneIf(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
