package catalogue

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// connections are those that read, or the one that writes. They are kept here and not in database/sql, which cannot tell on which of its
// connections a statement is prepared without a search, and starts goroutines for every transaction and every query in it.
type connections struct {
	engine *engine
	db     *sql.DB
	start  string        // the statement that begins a transaction
	limit  chan struct{} // holds a token for each connection that is in use
	hasty  atomic.Bool   // an engine that is away is not waited for

	mu     sync.Mutex
	idle   []*connection // guarded by mu; the last was used last, so that its pages are in memory
	closed bool          // guarded by mu
}

func open(e *engine, source, start string, limit int) (*connections, error) {
	db, err := sql.Open(e.driver, source)
	if err != nil {
		return nil, err
	}
	return &connections{engine: e, db: db, start: start, limit: make(chan struct{}, limit)}, nil
}

// begin starts a transaction on a connection, for which it waits until ctx ends. end must follow.
func (p *connections) begin(ctx context.Context) (*connection, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("begin a transaction: %w", err)
	}
	select {
	case p.limit <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("begin a transaction: %w", ctx.Err())
	}
	c, err := p.started(ctx)
	if err != nil {
		<-p.limit
		return nil, fmt.Errorf("begin a transaction: %w", err)
	}
	return c, nil
}

// started returns a connection with a transaction that has begun. A connection that was lost since it was used last is no failure, and an engine that
// is away is waited for, as long as its patience has it.
func (p *connections) started(ctx context.Context) (*connection, error) {
	begun := time.Now()
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		c, used, err := p.take(ctx)
		if err == nil {
			if err = c.run(p.start); err == nil {
				c.open = true
				return c, nil
			}
			if p.engine.again(err) {
				p.putBack(c)
				return nil, err
			}
			c.close() // what there is to report has been reported
		}
		if !p.engine.lost(err) || ctx.Err() != nil {
			return nil, err
		}
		if used {
			wait = 0 // there may be more of those that were lost; a new one tells
		} else if time.Since(begun)+wait > p.patience() {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(err, ctx.Err())
		case <-time.After(wait):
		}
		wait = max(wait, 10*time.Millisecond)
	}
}

// patience is how long an engine that is away is waited for.
func (p *connections) patience() time.Duration {
	if p.hasty.Load() {
		return 0
	}
	return p.engine.patience
}

// end rolls back the transaction if it is not committed, and gives the connection back.
func (p *connections) end(c *connection) {
	if c.open {
		c.rollback()
	}
	if c.spoilt {
		c.close() // what there is to report has been reported
	} else {
		p.putBack(c)
	}
	<-p.limit
}

// putBack keeps a connection for the next transaction.
func (p *connections) putBack(c *connection) {
	p.mu.Lock()
	keep := !p.closed
	if keep {
		p.idle = append(p.idle, c)
	}
	p.mu.Unlock()
	if !keep {
		c.close()
	}
}

// view runs fn on an unchanging snapshot.
func (p *connections) view(ctx context.Context, fn func(*Tx) error) error {
	c, err := p.begin(ctx)
	if err != nil {
		return err
	}
	defer p.end(c) // nothing was written, so it is all the same whether that commits
	return c.lend(&Tx{ctx: ctx, brief: context.WithoutCancel(ctx), long: ctx}, fn)
}

// change runs fn in a transaction and commits it.
func (p *connections) change(ctx context.Context, fn, commit func(*connection) error) error {
	c, err := p.begin(ctx)
	if err != nil {
		return err
	}
	defer p.end(c)
	if err := fn(c); err != nil {
		return err
	}
	return commit(c)
}

// take returns the idle connection that was used last, or a new one.
func (p *connections) take(ctx context.Context) (c *connection, used bool, err error) {
	if c := p.takeIdle(); c != nil {
		return c, true, nil
	}
	conn, err := p.db.Conn(ctx)
	if err != nil {
		return nil, false, fmt.Errorf("connect: %w", err)
	}
	return &connection{engine: p.engine, conn: conn, prepared: make(map[string]*sql.Stmt)}, false, nil
}

func (p *connections) takeIdle() *connection {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.idle) - 1
	if last < 0 {
		return nil
	}
	c := p.idle[last]
	p.idle = p.idle[:last]
	return c
}

// close closes the connections that are idle; those in use are closed when their transactions end.
func (p *connections) close() error {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	var err error
	for _, c := range idle {
		err = errors.Join(err, c.close())
	}
	return errors.Join(err, p.db.Close())
}

// connection is a connection with the statements that are prepared on it. One goroutine at a time uses it.
type connection struct {
	engine   *engine
	conn     *sql.Conn
	prepared map[string]*sql.Stmt // by their texts, which are constants
	open     bool                 // a transaction is
	spoilt   bool                 // nobody knows what state it is in: it is not to be used again
}

// statement returns the prepared statement of a text.
func (c *connection) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	if s := c.prepared[query]; s != nil {
		return s, nil
	}
	s, err := c.conn.PrepareContext(ctx, query)
	if err == nil {
		c.prepared[query] = s
	}
	return s, err
}

// borrow is statement for one whose rows will be read one at a time: nobody else has it until giveBack. So the query can be run again
// while its rows are being read.
func (c *connection) borrow(ctx context.Context, query string) (*sql.Stmt, error) {
	s, err := c.statement(ctx, query)
	delete(c.prepared, query)
	return s, err
}

func (c *connection) giveBack(query string, s *sql.Stmt) {
	if c.prepared[query] != nil {
		s.Close() // it only read
		return
	}
	c.prepared[query] = s
}

// run runs a statement without parameters that begins or ends something. Nothing interrupts it but the engine's bound.
func (c *connection) run(query string) error {
	ctx, cancel := c.bound(context.Background())
	defer cancel()
	s, err := c.statement(ctx, query)
	if err != nil {
		return err
	}
	_, err = s.ExecContext(ctx)
	return err
}

// bound is a context for a statement that takes no time. Where a network is in between, it ends.
func (c *connection) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.engine.statement == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, c.engine.statement)
}

func (c *connection) commit() error {
	err := c.within()
	if err == nil {
		err = c.run(`COMMIT`)
	}
	if err != nil {
		c.rollback()
		return fmt.Errorf("commit: %w", err)
	}
	c.open = false
	return nil
}

// errNoTransaction is that there is nothing to commit: the engine has ended the transaction, or a statement of it failed and nobody looked.
var errNoTransaction = errors.New("there is no transaction that can be committed") // read only

// within is an error if the engine has no transaction to commit.
func (c *connection) within() error {
	if c.engine.within == nil {
		return nil
	}
	return c.conn.Raw(func(conn any) error {
		if !c.engine.within(conn) {
			return errNoTransaction
		}
		return nil
	})
}

// rollback ends the transaction without effect. If the engine has done so already, it fails, and nothing is lost with the connection.
func (c *connection) rollback() {
	c.open = false
	c.spoilt = c.run(`ROLLBACK`) != nil || c.spoilt
}

// lend gives the transaction to fn, for as long as fn runs.
func (c *connection) lend(tx *Tx, fn func(*Tx) error) error {
	tx.conn = c
	defer func() { tx.conn = nil }()
	return fn(tx)
}

// close closes the connection and its statements, without which SQLite would keep it open.
func (c *connection) close() error {
	var err error
	for _, s := range c.prepared {
		if failed := s.Close(); !c.engine.lost(failed) { // what is lost is closed
			err = errors.Join(err, failed)
		}
	}
	bad := c.conn.Raw(func(any) error { return driver.ErrBadConn }) // so that database/sql does not keep it
	if !errors.Is(bad, driver.ErrBadConn) {
		err = errors.Join(err, bad)
	}
	return err
}
