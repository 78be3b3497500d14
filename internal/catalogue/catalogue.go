// Package catalogue keeps rows: vaults, archives, uploads, jobs, accounts. It knows SQL and none of the rules of the service.
//
// One plain SQL text with $1 placeholders serves every engine; only the schema, error codes and open options differ.
package catalogue

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/moraine-archive/moraine/internal/group"
)

// ErrNotFound is returned when there is no such row.
var ErrNotFound = errors.New("no such row")

// DB is a catalogue. It may be used from several goroutines, and opened by several processes at once.
type DB struct {
	engine      *engine
	source      string
	node        string       // names this process, for as long as it runs
	writer      *connections // one: changes share its transactions
	reader      *connections
	follower    *connections // of a replica, for lists; nil: there is none
	avoided     atomic.Int64 // until when the replica is not asked, in nanoseconds since 1970: it did not answer
	changes     *group.Committer[*change]
	commitFault atomic.Pointer[func() CommitFault] // of FailCommits
}

// Close closes the catalogue.
func (db *DB) Close() error {
	err := errors.Join(db.reader.close(), db.writer.close())
	if db.follower != nil {
		err = errors.Join(err, db.follower.close())
	}
	return err
}

// Hurry is for a process that is to end: from now on an engine that is away is not waited for.
func (db *DB) Hurry() {
	db.writer.hasty.Store(true)
	db.reader.hasty.Store(true)
}

// View runs fn on an unchanging snapshot.
func (db *DB) View(ctx context.Context, fn func(*Tx) error) error { return db.reader.view(ctx, fn) }

// avoid is for how long a replica that did not answer is not asked: to find that out may take a while.
const avoid = 10 * time.Second

// List is View for lists, which may be a little behind: on the replica, if there is one that answers.
func (db *DB) List(ctx context.Context, fn func(*Tx) error) error {
	if db.follower == nil || time.Now().UnixNano() < db.avoided.Load() {
		return db.View(ctx, fn)
	}
	begun := false
	err := db.follower.view(ctx, func(tx *Tx) error {
		begun = true
		return fn(tx)
	})
	if err != nil && !begun && ctx.Err() == nil {
		db.avoided.Store(time.Now().Add(avoid).UnixNano())
		return db.View(ctx, fn)
	}
	return err
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
