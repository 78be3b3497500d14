package checkedvfs_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// four makes the same database four times: without the shim, twice with it, and again without. The order matters: what is
// made first is slower or faster by some percent, whatever it is.
func four(b *testing.B, cache string) (dbs [4]*sql.DB) {
	for i := range dbs {
		name := dsn(b, filepath.Join(b.TempDir(), "db"), "journal_mode(WAL)", "synchronous(FULL)", cache)
		if !withShim(i) {
			name = strings.Replace(name, "&vfs=checked", "", 1)
		}
		dbs[i] = open(b, name)
		exec(b, dbs[i], "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE, body BLOB)", rows("t", 1, 20000, "i, hex(i * 7919 % 20011) || i, randomblob(200)"))
	}
	return dbs
}

func withShim(i int) bool { return i == 1 || i == 2 }

// compare does the same with all, by turns, and reports the time with the shim and without, and the ratio.
func compare(b *testing.B, cache string, op func(db *sql.DB, i int) error) {
	dbs := four(b, cache)
	var plain, checked time.Duration
	i := 0
	for b.Loop() {
		for turn := range dbs {
			which := (i + turn) % len(dbs)
			start := time.Now()
			if err := op(dbs[which], i); err != nil {
				b.Fatal(err)
			}
			if withShim(which) {
				checked += time.Since(start)
			} else {
				plain += time.Since(start)
			}
		}
		i++
	}
	b.ReportMetric(float64(plain.Nanoseconds())/float64(2*i), "plain-ns/op")
	b.ReportMetric(float64(checked.Nanoseconds())/float64(2*i), "checked-ns/op")
	b.ReportMetric(float64(checked)/float64(plain), "ratio")
}

// BenchmarkInsert commits rows one by one, checkpoints included.
func BenchmarkInsert(b *testing.B) {
	compare(b, "cache_size(-2000)", func(db *sql.DB, i int) error {
		_, err := db.Exec("INSERT INTO t (name, body) VALUES (?, randomblob(200))", fmt.Sprint("new ", i*7919%1000003, " ", i))
		return err
	})
}

// BenchmarkBatch commits 1000 rows at once.
func BenchmarkBatch(b *testing.B) {
	compare(b, "cache_size(-2000)", func(db *sql.DB, i int) error {
		_, err := db.Exec(rows("t", i*1000+1, i*1000+1000, fmt.Sprintf("NULL, 'batch %d ' || i, randomblob(200)", i)))
		return err
	})
}

func lookup(db *sql.DB, i int) error {
	var body []byte
	return db.QueryRow("SELECT body FROM t WHERE id = ?", i*7919%20000+1).Scan(&body)
}

// BenchmarkLookup reads rows by key with the usual cache, which holds a part of the table.
func BenchmarkLookup(b *testing.B) { compare(b, "cache_size(-2000)", lookup) }

// BenchmarkLookupUncached reads them with next to no cache, so that most of the pages are read and checked.
func BenchmarkLookupUncached(b *testing.B) { compare(b, "cache_size(2)", lookup) }

// BenchmarkScan reads the whole table, with next to no cache.
func BenchmarkScan(b *testing.B) {
	compare(b, "cache_size(2)", func(db *sql.DB, _ int) error {
		var n int
		return db.QueryRow("SELECT sum(length(body)) FROM t NOT INDEXED").Scan(&n)
	})
}
