package catalogue

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"runtime/debug"
	"time"
)

// change is a call of Update.
type change struct {
	ctx context.Context
	fn  func(*Tx) error
	err error // that Update returns; the group that runs the change sets it
}

// largestGroup bounds how long the first change of a group waits for the others.
const largestGroup = 256

// maxAttempts bounds how often a closure is run when the engine asks for it to be run again.
const maxAttempts = 5

// Update runs a change. When it returns nil, the change survives a power failure; when it returns an error, nothing has changed, with one
// exception: an error of the commit itself leaves it open. Changes are serialisable. fn may run several times, and on the goroutine of
// another Update, so it must have no effect but through the Tx. A panic of fn is returned as an error.
//
// Changes that come while others are being committed share the next commit, and with it the sync; none of them sees the failure of another.
func (db *DB) Update(ctx context.Context, fn func(*Tx) error) error {
	return db.change(ctx, db.unlessMoved(fn))
}

func (db *DB) change(ctx context.Context, fn func(*Tx) error) error {
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
		c.err = db.insist(c.run)
	}
}

// together runs changes in one transaction, each in a savepoint; some times again, where a conflict of one dooms all of it. It returns those that have not happened and are to run by
// themselves: one that was in conflict, or all of them if it was not a single one that failed, or the whole transaction went with it.
func (db *DB) together(changes []*change) (rest []*change) {
	attempts := 0
	err := db.insist(func(conn *connection) error {
		attempts++
		for _, c := range changes {
			if err := c.runInSavepoint(conn); err != nil {
				return err
			}
			if db.engine.dooms && db.engine.again(c.err) && attempts < maxAttempts {
				return c.err
			}
		}
		return nil
	})
	var commit *commitError
	if err != nil && !errors.As(err, &commit) && !db.engine.again(err) && !db.engine.lost(err) {
		return changes
	}
	for _, c := range changes {
		if db.engine.again(c.err) {
			rest = append(rest, c)
		} else {
			c.err = cmp.Or(c.err, err)
		}
	}
	return rest
}

// commitError is a failure of a commit, of which nobody knows what became.
type commitError struct{ err error }

func (e *commitError) Error() string { return e.err.Error() }
func (e *commitError) Unwrap() error { return e.err }

// insist runs fn in a transaction and commits it: again while the engine asks for that, and while it is away, as long as it is sure that nothing has happened.
func (db *DB) insist(fn func(*connection) error) error {
	begun := time.Now()
	for attempt := 1; ; attempt++ {
		err := db.attempt(fn)
		var commit *commitError
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errAborted), db.engine.again(err): // it has not happened
		case errors.As(err, &commit), !db.engine.lost(err):
			return err
		}
		if (attempt >= maxAttempts || db.engine.lost(err)) && time.Since(begun) >= db.writer.patience() {
			return fmt.Errorf("the catalogue stays busy: %w", err)
		}
		if db.engine.patience > 0 { // others are in the way: not all at the same moment again
			time.Sleep(mathrand.N(time.Millisecond << min(attempt, 8)))
		}
	}
}

// attempt runs fn in a transaction and commits it.
func (db *DB) attempt(fn func(*connection) error) error {
	c, err := db.writer.begin(context.Background())
	if err != nil {
		return err
	}
	defer db.writer.end(c)
	if err := fn(c); err != nil {
		return err
	}
	token := ""
	if db.engine.shared {
		token = rand.Text()
		if err := c.noteCommit(db.node, token); err != nil {
			return errors.Join(c.within(), err)
		}
	}
	return db.finish(c, token)
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
	long, cancel := conn.bound(values) // a server that hangs must not keep everybody waiting
	defer cancel()
	tx := &Tx{ctx: c.ctx, brief: values, long: long}
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

// finish commits the transaction of a connection, or does what FailCommits asks for. The token is what the transaction has noted of itself, if the engine is shared.
func (db *DB) finish(conn *connection, token string) error {
	fault := CommitWorks
	if decide := db.commitFault.Load(); decide != nil {
		fault = (*decide)()
	}
	var err error
	switch fault {
	case CommitFails:
		conn.rollback()
		err = errCommitFault
	case CommitFailsAfter:
		err = cmp.Or(conn.commit(), errCommitFault)
	default:
		err = db.commitOnce(conn, token)
	}
	if err != nil {
		return &commitError{err}
	}
	return nil
}

// errAborted is that a transaction whose commit had no answer did not happen.
var errAborted = errors.New("the transaction did not happen, and can be run again") // read only

// commitOnce commits a transaction. If the connection is lost in this moment, it asks what became of it, where the engine can tell.
func (db *DB) commitOnce(conn *connection, token string) error {
	err := conn.commit()
	if err == nil || token == "" || !db.engine.lost(err) {
		return err
	}
	conn.spoilt = true
	last, asked := db.lastCommit()
	switch {
	case asked != nil:
		return errors.Join(err, asked)
	case last == token:
		return nil
	}
	return errors.Join(errAborted, err)
}

// noteCommit notes in a transaction that it is the last of its node. Numbers of transactions would not do: a server that crashed gives them to others.
func (c *connection) noteCommit(node, token string) error {
	ctx, cancel := c.bound(context.Background())
	defer cancel()
	s, err := c.statement(ctx, `INSERT INTO commits (node, token, at) VALUES ($1, $2, $3) ON CONFLICT (node) DO UPDATE SET token = excluded.token`)
	if err == nil {
		_, err = s.ExecContext(ctx, node, token, time.Now().UnixMilli())
	}
	return err
}

// lastCommit returns what the last transaction of this node has noted. It changes the row, and so waits for a commit that is still under way in the server.
func (db *DB) lastCommit() (token string, err error) {
	begun := time.Now()
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		token, err = db.askLastCommit()
		if err == nil || !db.engine.lost(err) && !db.engine.again(err) || time.Since(begun) > db.writer.patience() {
			return token, noRow(err)
		}
		time.Sleep(wait)
	}
}

func (db *DB) askLastCommit() (token string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), db.engine.statement)
	defer cancel()
	err = db.writer.db.QueryRowContext(ctx, `UPDATE commits SET token = token WHERE node = $1 RETURNING token`, db.node).Scan(&token)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound // the first of this node has not happened
	}
	return token, err
}
