package catalogue

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
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
	copied := filepath.Join(t.TempDir(), "copy.db")
	if err := to.Copy(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	if n, err := Transfer(t.Context(), openPath(t, copied), openPath(t, filepath.Join(t.TempDir(), "again.db")), func(Transferred) {}); err != nil || n != rows {
		t.Errorf("a copy has %d rows of %d: %v", n, rows, err)
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
