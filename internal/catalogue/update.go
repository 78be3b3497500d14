package catalogue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/moraine-archive/moraine/internal/group"
)

// change is a call of Update.
type change struct {
	ctx context.Context
	fn  func(*Tx) error
	err error // that Update returns; the group that runs the change sets it
}

// largestGroup bounds how long the first change of a group waits for the others.
const largestGroup = 256

// ShareCommits sets how many changes share a commit at most, in place of largestGroup. It is for the start, before anything is changed.
func (db *DB) ShareCommits(limit int) {
	db.changes = group.New(db.commit, func(*change) int { return 1 }, limit)
}

// maxAttempts bounds how often a closure is run when the engine asks for it to be run again.
const maxAttempts = 5

// Update runs a change. When it returns nil, the change survives a power failure; when it returns an error, nothing has changed, with one
// exception: an error of the commit itself leaves it open. Changes are serialisable. fn may run several times, and on the goroutine of
// another Update, so it must have no effect but through the Tx. A panic of fn is returned as an error.
//
// Changes that come while others are being committed share the next commit, and with it the sync; none of them sees the failure of another.
func (db *DB) Update(ctx context.Context, fn func(*Tx) error) error {
	c := &change{ctx: ctx, fn: fn}
	db.changes.Do(c)
	return c.err
}

// commit runs a group of changes: together, and by themselves those which that does not suit.
func (db *DB) commit(changes []*change) {
	if len(changes) > 1 {
		changes = db.together(changes)
	}
	for _, c := range changes {
		c.err = insist(func() error {
			return db.writer.change(context.Background(), c.run, db.finish)
		})
	}
}

// together runs changes in one transaction, each in a savepoint. It returns those that have not happened and are to run by themselves: one for
// which the engine was busy, or all of them if it was not a single one that failed, or the whole transaction went with it.
func (db *DB) together(changes []*change) (rest []*change) {
	committing := false
	err := insist(func() error {
		committing = false
		return db.writer.change(context.Background(), func(conn *connection) error {
			for _, c := range changes {
				if err := c.runInSavepoint(conn); err != nil {
					return err
				}
			}
			return nil
		}, func(conn *connection) error {
			committing = true
			return db.finish(conn)
		})
	})
	if err != nil && !committing && !busy(err) {
		return changes
	}
	for _, c := range changes {
		if busy(c.err) {
			rest = append(rest, c)
		} else {
			c.err = cmp.Or(c.err, err)
		}
	}
	return rest
}

// insist runs fn again while the engine is busy.
func insist(fn func() error) error {
	var err error
	for range maxAttempts {
		if err = fn(); !busy(err) {
			return err
		}
	}
	return fmt.Errorf("the catalogue stays busy: %w", err)
}

// run runs the change in the transaction of a connection. The statements are not interrupted when the change's context ends, for
// then the engine would roll back the changes of others: they are not begun any more, and the change fails at the latest when fn returns.
func (c *change) run(conn *connection) (err error) {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p, debug.Stack())
		}
	}()
	values := context.WithoutCancel(c.ctx)
	tx := &Tx{ctx: c.ctx, brief: values, long: values}
	err = conn.lend(tx, c.fn)
	return cmp.Or(err, tx.failed, c.ctx.Err())
}

func panicked(p any, stack []byte) error {
	cause, ok := p.(error)
	if !ok {
		cause = fmt.Errorf("%v", p)
	}
	return fmt.Errorf("a change panics: %w\n%s", cause, stack)
}

// runInSavepoint is run for one of several changes. It returns the errors of the savepoint itself, which mean that the transaction is of no use.
func (c *change) runInSavepoint(conn *connection) error {
	if err := conn.run(`SAVEPOINT change`); err != nil {
		return err
	}
	if c.err = c.run(conn); c.err != nil {
		if err := conn.run(`ROLLBACK TO change`); err != nil {
			return err
		}
	}
	return conn.run(`RELEASE change`)
}

// CommitFault says what becomes of a commit, for tests.
type CommitFault int

// What can become of a commit.
const (
	CommitWorks      CommitFault = iota
	CommitFails                  // an error, and nothing has changed
	CommitFailsAfter             // an error, and the change has happened
)

// FailCommits is for tests: decide is asked once for each commit of Update, and may be called by any goroutine that calls Update. Nil lets all
// commits work again.
func (db *DB) FailCommits(decide func() CommitFault) {
	if decide == nil {
		db.commitFault.Store(nil)
		return
	}
	db.commitFault.Store(&decide)
}

var errCommitFault = errors.New("the commit fails, as a test wants it") // read only

// finish commits the transaction of a connection, or does what FailCommits asks for.
func (db *DB) finish(conn *connection) error {
	fault := CommitWorks
	if decide := db.commitFault.Load(); decide != nil {
		fault = (*decide)()
	}
	switch fault {
	case CommitFails:
		conn.rollback()
		return errCommitFault
	case CommitFailsAfter:
		return cmp.Or(conn.commit(), errCommitFault)
	}
	return conn.commit()
}
