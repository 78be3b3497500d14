package catalogue

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestTransfer copies a catalogue with something in every table to the engine of the run, and back.
func TestTransfer(t *testing.T) {
	from := openPath(t, filepath.Join(t.TempDir(), "from.db"))
	rows := fillEveryTable(t, from)
	to, back := openNew(t), openPath(t, filepath.Join(t.TempDir(), "back.db"))
	var last Transferred
	n, err := Transfer(t.Context(), from, to, func(p Transferred) { last = p })
	if err != nil || n != rows || !last.Check {
		t.Fatalf("%d rows of %d were copied, the last thing was %+v: %v", n, rows, last, err)
	}
	if n, err := Transfer(t.Context(), to, back, func(Transferred) {}); err != nil || n != rows {
		t.Fatalf("back: %d rows of %d: %v", n, rows, err)
	}
	if _, err := Transfer(t.Context(), from, to, func(Transferred) {}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("to a catalogue that is in use: %v", err)
	}
	update(t, to, func(tx *Tx) error { return tx.exec(`INSERT INTO counters (name, value) VALUES ($1, 1)`, transferring) })
	view(t, to, func(tx *Tx) error {
		if half, err := tx.HalfCopied(); err != nil || !half {
			t.Errorf("a transfer that did not end is not seen: %v", err)
		}
		return nil
	})
	if n, err := Transfer(t.Context(), from, to, func(Transferred) {}); err != nil || n != rows {
		t.Errorf("after one that did not end: %d rows of %d: %v", n, rows, err)
	}
	for _, db := range []*DB{from, to} {
		if size, err := db.Size(t.Context()); err != nil || size < 100*rows {
			t.Errorf("a catalogue of %d rows has %d bytes: %v", rows, size, err)
		}
	}
	copied := filepath.Join(t.TempDir(), "copy.db")
	if err := to.Copy(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	if n, err := Transfer(t.Context(), openPath(t, copied), openPath(t, filepath.Join(t.TempDir(), "again.db")), func(Transferred) {}); err != nil || n != rows {
		t.Errorf("a copy has %d rows of %d: %v", n, rows, err)
	}
}

// TestMove moves a catalogue while it is being changed: what was acknowledged is in the other one, and what was not made there says so.
func TestMove(t *testing.T) {
	path := filepath.Join(t.TempDir(), "from.db")
	from, to := openPath(t, path), openNew(t)
	update(t, from, func(tx *Tx) error { return tx.InsertAccount(Account{ID: account, Name: "root", CreatedAt: epoch}) })
	var writers sync.WaitGroup
	var mu sync.Mutex
	made := map[string]bool{} // guarded by mu
	begun := make(chan struct{}, 100)
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("vault-%d-%d", w, i)
				err := from.Update(context.Background(), func(tx *Tx) error {
					return tx.InsertVault(account, name, epoch)
				})
				if errors.Is(err, ErrMoved) {
					return
				}
				if err != nil {
					t.Errorf("make a vault: %v", err)
					return
				}
				mu.Lock()
				made[name] = true
				mu.Unlock()
				select {
				case begun <- struct{}{}:
				default:
				}
			}
		})
	}
	for range cap(begun) {
		<-begun
	}
	if _, err := Move(t.Context(), from, to, func(Transferred) {}); err != nil {
		t.Fatal(err)
	}
	writers.Wait()
	var got []Vault
	view(t, to, func(tx *Tx) (err error) {
		got, err = all[Vault](tx, `SELECT `+vaultColumns+` FROM vaults`)
		return err
	})
	for _, v := range got {
		delete(made, v.Name)
	}
	if len(made) > 0 || len(got) < cap(begun) {
		t.Errorf("there are %d vaults; %d are missing: %v", len(got), len(made), made)
	}
	if _, err := Move(t.Context(), from, openNew(t), func(Transferred) {}); err != nil { // as if the first had been interrupted at its end
		t.Errorf("once more: %v", err)
	}
	if err := from.Copy(t.Context(), filepath.Join(t.TempDir(), "copy.db")); !errors.Is(err, ErrMoved) {
		t.Errorf("a copy of what was moved: %v", err)
	}
	again := openPath(t, path)
	if err := again.Update(t.Context(), func(*Tx) error { return nil }); !errors.Is(err, ErrMoved) {
		t.Errorf("another process changes what was moved: %v", err)
	}
}

// fillEveryTable puts rows of every kind of value into every table, and returns how many there are then. It fails for a table that a transfer does not know.
func fillEveryTable(t *testing.T, db *DB) (rows int64) {
	t.Helper()
	update(t, db, func(tx *Tx) error {
		known := append(slices.Clone(tables), ofNodes...)
		have, err := all[tableName](tx, `SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name`)
		if err != nil {
			return err
		}
		for _, table := range have {
			if !slices.Contains(known, string(table)) {
				t.Errorf("a transfer does not know the table %s", table)
			}
		}
		if len(have) != len(known) {
			t.Errorf("a transfer knows %d tables, there are %d", len(known), len(have))
		}
		for _, table := range tables {
			if err := fillTable(tx, table); err != nil {
				return fmt.Errorf("fill %s: %w", table, err)
			}
			n, err := scalar[int64](tx, `SELECT COUNT(*) FROM `+table)
			if err != nil {
				return err
			}
			rows += n
		}
		return nil
	})
	return rows
}

type tableName string

func (n *tableName) fields() []any { return []any{(*string)(n)} }

// fillTable inserts many rows: with every column, and with null where that is allowed.
func fillTable(tx *Tx, table string) error {
	columns, err := all[column](tx, `SELECT '`+table+`', name, LOWER(type), dflt_value, "notnull", pk FROM pragma_table_info('`+table+`')`)
	if err != nil {
		return err
	}
	for i := range 250 {
		if (table == "identity" || table == "lock_clock") && i > 0 {
			break
		}
		var names []string
		row := []any{}
		for _, c := range columns {
			names = append(names, c.Name)
			switch {
			case !c.NotNull && i%2 == 1:
				row = append(row, nil)
			case c.Name == "account_id" && c.Key == 0:
				row = append(row, "key 0 'ä' account_id")
			case c.Name == "principal_id" && table != "principals": // which its policies have many of
				row = append(row, "key 0 'ä' principal_id")
			case c.Type == "blob":
				row = append(row, []byte{0, 255, byte(i)})
			case c.Type == "bigint":
				row = append(row, int64(i)<<33-5)
			default:
				row = append(row, fmt.Sprintf("key %d 'ä' %s", i, c.Name))
			}
		}
		if err := tx.insertRows(table, names, [][]any{row}); err != nil {
			return err
		}
	}
	return nil
}
