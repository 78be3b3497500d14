package catalogue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// SQLite removes the log of a file when its last connection is closed.
func TestCloseClosesEveryConnection(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalogue.db")
	db, err := OpenSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	id := newVault(t, db, "photos")
	view(t, db, func(*Tx) error {
		getVault(t, db, id) // on a second connection
		return nil
	})
	begun, end, done := make(chan bool), make(chan bool), make(chan error)
	go func() {
		done <- db.View(context.Background(), func(tx *Tx) error {
			close(begun)
			<-end
			_, err := tx.VaultByID(id)
			return err
		})
	}()
	<-begun
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	close(end)
	if err := <-done; err != nil {
		t.Errorf("a View that was open before Close: %v", err)
	}
	if _, err := os.Stat(path + "-wal"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Close a connection is open: %v", err)
	}
	for name, run := range map[string]func(context.Context, func(*Tx) error) error{"Update": db.Update, "View": db.View} {
		if err := run(t.Context(), func(*Tx) error { return nil }); err == nil {
			t.Errorf("%s after Close gives no error", name)
		}
	}
}

func TestViewWaitsForAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openNew(t)
		var all sync.WaitGroup
		end := make(chan bool)
		for range readers {
			all.Go(func() { view(t, db, func(*Tx) error { <-end; return nil }) })
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := db.View(ctx, func(*Tx) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("one more View than there are connections: %v", err)
		}
		late := false
		all.Go(func() { view(t, db, func(*Tx) error { late = true; return nil }) })
		synctest.Wait()
		close(end)
		if all.Wait(); !late {
			t.Error("the View that waited did not run")
		}
	})
}

// A query may be run again while its rows are being read.
func TestQueryWithinItself(t *testing.T) {
	onlySQLite(t, "a connection has one query at a time, and nothing needs more")
	db := openNew(t)
	var want []string
	for i := range 3 {
		newVault(t, db, fmt.Sprint(i))
		for k := range 3 {
			want = append(want, fmt.Sprint(i, k))
		}
	}
	const query = `SELECT vault_id FROM vaults ORDER BY vault_id`
	for range 2 {
		var got []string
		view(t, db, func(tx *Tx) error {
			return each[number](tx, func(outer number) error {
				return each[number](tx, func(inner number) error {
					got = append(got, fmt.Sprint(outer.n-1, inner.n-1))
					return nil
				}, query)
			}, query)
		})
		if !slices.Equal(got, want) {
			t.Errorf("each row with each row: %q, want %q", got, want)
		}
	}
}

// TestViewsThatEndEarly leaves queries before their end; later ones begin at the first row.
func TestViewsThatEndEarly(t *testing.T) {
	db := openNew(t)
	id := newVault(t, db, "photos")
	update(t, db, func(tx *Tx) error {
		return errors.Join(tx.InsertArchive(archiveRow(id, "a", 1)), tx.InsertArchive(archiveRow(id, "b", 2)), tx.InsertArchive(archiveRow(id, "c", 3)))
	})
	list := func(ctx context.Context, fn func(Archive) error) error {
		return db.View(ctx, func(tx *Tx) error { return tx.Inventory(Snapshot{VaultID: id, Change: 100}, fn) })
	}
	ctx, cancel := context.WithCancel(t.Context())
	for name, leave := range map[string]struct {
		fn   func(Archive) error
		want error
	}{
		"an error":            {func(Archive) error { return errRefused }, errRefused},
		"a panic":             {func(Archive) error { panic(errRefused) }, errRefused},
		"a cancelled context": {func(Archive) error { cancel(); return ctx.Err() }, context.Canceled},
	} {
		err := func() (err error) {
			defer func() {
				if p := recover(); p != nil {
					err = p.(error)
				}
			}()
			return list(ctx, leave.fn)
		}()
		if !errors.Is(err, leave.want) && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: the View gives %v", name, err)
		}
		var ids []string
		if err := list(t.Context(), func(a Archive) error { ids = append(ids, a.ID); return nil }); err != nil || !slices.Equal(ids, []string{"a", "b", "c"}) {
			t.Errorf("after %s an inventory lists %q, %v", name, ids, err)
		}
	}
}

// TestAViewIsInterrupted has a query that never ends.
func TestAViewIsInterrupted(t *testing.T) {
	db := openNew(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err := db.View(ctx, func(tx *Tx) error {
		_, err := all[number](tx, `WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers) SELECT MAX(n) FROM numbers`)
		return err
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a View whose time is over gives %v", err)
	}
	view(t, db, func(tx *Tx) error {
		_, err := tx.CountAccounts()
		return err
	})
}

// TestAConnectionInDoubtIsNotUsedAgain holds that a connection gives way to a new one when its transactions do not begin or end as they should.
func TestAConnectionInDoubtIsNotUsedAgain(t *testing.T) {
	onlySQLite(t, "TestAServerThatRestarts is")
	db := openNew(t)
	limit := func() (n int64) { // tells one connection from the next
		update(t, db, func(tx *Tx) (err error) {
			n, err = scalar[int64](tx, `PRAGMA max_page_count`)
			return err
		})
		return n
	}
	mark := func() {
		update(t, db, func(tx *Tx) error { return tx.exec(`PRAGMA max_page_count = 5000`) })
		if limit() != 5000 {
			t.Fatal("a connection is not kept")
		}
	}
	mark()
	if err := db.Update(t.Context(), func(tx *Tx) error { return errors.Join(tx.exec(`ROLLBACK`), errRefused) }); !errors.Is(err, errRefused) {
		t.Errorf("a change that ends its transaction gives %v", err)
	}
	if limit() == 5000 {
		t.Error("a connection whose transaction ended by itself is used again")
	}
	mark()
	if err := db.writer.idle[0].run(`BEGIN`); err != nil {
		t.Fatal(err)
	}
	if err := db.Update(t.Context(), func(tx *Tx) error { return nil }); err == nil {
		t.Error("a transaction begins within another")
	}
	if limit() == 5000 {
		t.Error("a connection on which no transaction begins is used again")
	}
}

func TestATransactionIsOverWithItsClosure(t *testing.T) {
	db := openNew(t)
	var kept []*Tx
	keep := func(tx *Tx) error { kept = append(kept, tx); return nil }
	update(t, db, keep)
	view(t, db, keep)
	for _, tx := range kept {
		if _, err := tx.Vault(account, "photos"); !errors.Is(err, sql.ErrTxDone) {
			t.Errorf("a transaction that is over gives %v", err)
		}
	}
}
