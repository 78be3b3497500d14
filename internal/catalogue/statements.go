package catalogue

import (
	"context"
	"database/sql"
	"errors"
)

// Tx is a transaction. It is valid only within the closure it was given to, for one goroutine at a time.
type Tx struct {
	ctx    context.Context // of the caller: no statement begins when it has ended
	brief  context.Context // of statements that take no time: nothing interrupts them, for to be ready for that costs a goroutine each
	long   context.Context // of queries that may read much: interrupts them when it ends
	conn   *connection     // nil: the closure has returned
	failed error           // of the engine: nothing runs after it
}

// statement returns the prepared statement of a text, if it may run: get is statement or borrow.
func (tx *Tx) statement(ctx context.Context, query string, get func(*connection, context.Context, string) (*sql.Stmt, error)) (*sql.Stmt, error) {
	if tx.conn == nil {
		return nil, sql.ErrTxDone
	}
	if tx.failed != nil {
		return nil, tx.failed
	}
	if err := tx.ctx.Err(); err != nil {
		return nil, err
	}
	s, err := get(tx.conn, ctx, query)
	return s, tx.note(err)
}

// note returns err. If it is one of those after which the engine may have rolled back the transaction, no other statement runs: it
// would be a transaction by itself, and stay.
func (tx *Tx) note(err error) error {
	if err != nil && !tx.conn.engine.harmless(err) {
		tx.failed = err
	}
	return err
}

func (tx *Tx) execute(query string, args []any) (sql.Result, error) {
	if tx.conn == nil {
		return nil, sql.ErrTxDone
	}
	ctx, cancel := tx.conn.bound(tx.brief)
	defer cancel()
	s, err := tx.statement(ctx, query, (*connection).statement)
	if err != nil {
		return nil, err
	}
	result, err := s.ExecContext(ctx, args...)
	return result, tx.note(err)
}

func (tx *Tx) exec(query string, args ...any) error {
	_, err := tx.execute(query, args)
	return err
}

// execOne is exec for a statement that must change a row.
func (tx *Tx) execOne(query string, args ...any) error {
	result, err := tx.execute(query, args)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n > 0 {
		return err
	}
	return ErrNotFound
}

// scan reads the only row of a query, ErrNotFound if there is none.
func (tx *Tx) scan(columns []any, query string, args ...any) error {
	if tx.conn == nil {
		return sql.ErrTxDone
	}
	ctx, cancel := tx.conn.bound(tx.brief)
	defer cancel()
	return tx.scanIn(ctx, columns, query, args)
}

// scanIn is scan in one of the contexts of the transaction.
func (tx *Tx) scanIn(ctx context.Context, columns []any, query string, args []any) error {
	s, err := tx.statement(ctx, query, (*connection).statement)
	if err != nil {
		return err
	}
	err = s.QueryRowContext(ctx, args...).Scan(columns...)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return tx.note(err)
}

// record is a pointer to a struct that is read from a row.
type record[T any] interface {
	*T
	fields() []any // where the columns go, in their order
}

// one returns the only row of a query, ErrNotFound if there is none.
func one[T any, R record[T]](tx *Tx, query string, args ...any) (t T, err error) {
	err = tx.scan(R(&t).fields(), query, args...)
	return t, err
}

// noRow is err unless it says that there is no row.
func noRow(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// scalar returns the single value of a query, ErrNotFound if there is none.
func scalar[T any](tx *Tx, query string, args ...any) (v T, err error) {
	err = tx.scan([]any{&v}, query, args...)
	return v, err
}

// each gives every row of a query to fn, one at a time.
func each[T any, R record[T]](tx *Tx, fn func(T) error, query string, args ...any) error {
	s, err := tx.statement(tx.long, query, (*connection).borrow)
	if err != nil {
		return err
	}
	defer tx.conn.giveBack(query, s)
	rows, err := s.QueryContext(tx.long, args...)
	if err != nil {
		return tx.note(err)
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
	return tx.note(rows.Err())
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
