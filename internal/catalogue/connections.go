package catalogue

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
)

// connections are those that read, or the one that writes. They are kept here and not in database/sql, which cannot tell on which of its
// connections a statement is prepared without a search, and starts goroutines for every transaction and every query in it.
type connections struct {
	db    *sql.DB
	start string        // the statement that begins a transaction
	limit chan struct{} // holds a token for each connection that is in use

	mu     sync.Mutex
	idle   []*connection // guarded by mu; the last was used last, so that its pages are in memory
	closed bool          // guarded by mu
}

func open(source, start string, limit int) (*connections, error) {
	db, err := sql.Open("sqlite", source)
	if err != nil {
		return nil, err
	}
	return &connections{db: db, start: start, limit: make(chan struct{}, limit)}, nil
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
	c, err := p.take(ctx)
	if err != nil {
		<-p.limit
		return nil, fmt.Errorf("connect: %w", err)
	}
	if err := c.run(p.start); err != nil {
		c.spoilt = !busy(err)
		p.end(c)
		return nil, fmt.Errorf("begin a transaction: %w", err)
	}
	c.open = true
	return c, nil
}

// end rolls back the transaction if it is not committed, and gives the connection back.
func (p *connections) end(c *connection) {
	if c.open {
		c.rollback()
	}
	p.mu.Lock()
	keep := !c.spoilt && !p.closed
	if keep {
		p.idle = append(p.idle, c)
	}
	p.mu.Unlock()
	if !keep {
		c.close() // what there is to report has been reported
	}
	<-p.limit
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
func (p *connections) take(ctx context.Context) (*connection, error) {
	if c := p.takeIdle(); c != nil {
		return c, nil
	}
	conn, err := p.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &connection{conn: conn, prepared: make(map[string]*sql.Stmt)}, nil
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
	conn     *sql.Conn
	prepared map[string]*sql.Stmt // by their texts, which are constants
	open     bool                 // a transaction is
	spoilt   bool                 // nobody knows what state it is in: it is not to be used again
}

// statement returns the prepared statement of a text.
func (c *connection) statement(query string) (*sql.Stmt, error) {
	if s := c.prepared[query]; s != nil {
		return s, nil
	}
	s, err := c.conn.PrepareContext(context.Background(), query)
	if err == nil {
		c.prepared[query] = s
	}
	return s, err
}

// borrow is statement for one whose rows will be read one at a time: nobody else has it until giveBack. So the query can be run again
// while its rows are being read.
func (c *connection) borrow(query string) (*sql.Stmt, error) {
	s, err := c.statement(query)
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

// run runs a statement without parameters that begins or ends something. Nothing interrupts it.
func (c *connection) run(query string) error {
	s, err := c.statement(query)
	if err != nil {
		return err
	}
	_, err = s.ExecContext(context.Background())
	return err
}

func (c *connection) commit() error {
	err := c.run(`COMMIT`)
	if err != nil {
		c.rollback()
		return fmt.Errorf("commit: %w", err)
	}
	c.open = false
	return nil
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
		err = errors.Join(err, s.Close())
	}
	bad := c.conn.Raw(func(any) error { return driver.ErrBadConn }) // so that database/sql does not keep it
	if !errors.Is(bad, driver.ErrBadConn) {
		err = errors.Join(err, bad)
	}
	return err
}
