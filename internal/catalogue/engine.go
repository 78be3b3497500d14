package catalogue

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/moraine-archive/moraine/internal/group"
)

// engine is what differs between the engines: everything but the SQL text.
type engine struct {
	name   string // of the directory with its schema
	driver string // of database/sql
	change string // the statement that begins a transaction that writes
	view   string // the same for one that reads
	// again reports whether a transaction did not happen because of what others did at that moment, and is to be run again.
	again func(error) bool
	// dooms says that after a conflict nothing else in the transaction can be committed.
	dooms bool
	// lost reports whether the connection to the engine is gone, or could not be had.
	lost func(error) bool
	// harmless reports whether a transaction is still of use after an error of a statement.
	harmless func(error) bool
	// ddl is a statement that makes a table, with the engine's types.
	ddl func(string) string
	// within reports whether a connection of the driver is in a transaction that can be committed. Nil: its commit fails otherwise.
	within func(driverConn any) bool
	// now is an expression for the engine's time in milliseconds, so that the clocks of the nodes are of no account.
	now string
	// size is a query for the length of the catalogue in bytes.
	size string
	// shared says that several nodes may work on a catalogue, over a network. The commits of each are noted (table commits), for an answer can be lost.
	shared bool
	// lock and unlock let one node at a time bring the schema up to date. Empty: the engine's transactions do.
	lock, unlock string
	// patience is how long a transaction waits for an engine that is away, and runs again.
	patience time.Duration
	// statement bounds a single statement. Zero: nothing does.
	statement time.Duration
}

// open makes the pools of an engine and brings the schema up to date.
func (e *engine) open(ctx context.Context, writes, reads string, limit int) (*DB, error) {
	db := &DB{engine: e, source: writes, node: rand.Text()}
	db.ShareCommits(largestGroup)
	var err error
	if db.writer, err = open(e, writes, e.change, 1); err != nil {
		return nil, err
	}
	if db.reader, err = open(e, reads, e.view, limit); err != nil {
		db.writer.close()
		return nil, err
	}
	if err := patiently(ctx, e, func() error { return migrateAlone(ctx, db.writer) }); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// patiently runs fn again while the engine says that it is busy. Others that open a new catalogue at the same moment are waited for by
// SQLite's busy_timeout, but not while they change its journal mode, which is short.
func patiently(ctx context.Context, e *engine, fn func() error) error {
	for wait := time.Millisecond; ; wait *= 2 {
		err := fn()
		if !e.again(err) || wait > time.Second {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(wait):
		}
	}
}

// ShareCommits sets how many changes share a commit at most, in place of largestGroup. It is for the start, before anything is changed.
func (db *DB) ShareCommits(limit int) {
	db.changes = group.New(db.commit, func(*change) int { return 1 }, limit)
}
