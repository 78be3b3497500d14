package checkedvfs_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/moraine-archive/moraine/internal/catalogue/checkedvfs"
)

// dsn names a database with this VFS, and with pragmas.
func dsn(tb testing.TB, path string, pragmas ...string) string {
	tb.Helper()
	name, err := checkedvfs.Register()
	if err != nil {
		tb.Fatal(err)
	}
	return "file:" + path + "?" + url.Values{"vfs": {name}, "_pragma": append([]string{"busy_timeout(10000)"}, pragmas...)}.Encode()
}

// open opens a database by one connection.
func open(tb testing.TB, dsn string) *sql.DB {
	tb.Helper()
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		tb.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	tb.Cleanup(func() { db.Close() })
	return db
}

// create makes a database. The order of its first statements matters, and is not kept in a DSN.
func create(tb testing.TB, path string, pageSize int, mode string, pragmas ...string) *sql.DB {
	tb.Helper()
	db := open(tb, dsn(tb, path, append(pragmas, "synchronous(OFF)")...))
	exec(tb, db, fmt.Sprint("PRAGMA page_size = ", pageSize), "PRAGMA journal_mode = "+mode)
	return db
}

func exec(tb testing.TB, db *sql.DB, statements ...string) {
	tb.Helper()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			tb.Fatalf("%s: %v", s, err)
		}
	}
}

// schema has every kind of page: leaves and inner pages of tables and indexes, pages of overflow, and some that are free.
var schema = []string{
	`CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT UNIQUE, body BLOB)`,
	`CREATE TABLE b (k TEXT, n INTEGER, PRIMARY KEY (k, n)) WITHOUT ROWID`,
	`CREATE TABLE gone (body BLOB)`,
	`CREATE INDEX a_body ON a (length(body), name)`,
	rows("a", 1, 200, "i, 'name ' || i, randomblob(i % 7 * 20)"),
	`INSERT INTO a VALUES (1000, 'long', randomblob(3000))`,
	rows("b", 1, 150, "'key ' || i, i"),
	rows("gone", 1, 20, "randomblob(300)"),
	`DROP TABLE gone`,
}

// rows is a statement that inserts rows, with i from one number to another.
func rows(table string, from, to int, values string) string {
	return fmt.Sprintf(`INSERT INTO %s WITH RECURSIVE c(i) AS (SELECT %d UNION ALL SELECT i+1 FROM c WHERE i < %d) SELECT %s FROM c`, table, from, to, values)
}

// readAll reads everything there is, by each table and by each index, and lets SQLite check itself.
func readAll(db *sql.DB) error {
	for _, query := range []string{
		`SELECT count(*), sum(length(name)), sum(length(hex(body))) FROM a NOT INDEXED`,
		`SELECT count(*), sum(length(name)), 0 FROM a INDEXED BY sqlite_autoindex_a_1 WHERE name > ''`,
		`SELECT count(*), sum(length(name)), 0 FROM a INDEXED BY a_body WHERE length(body) >= 0`,
		`SELECT count(*), sum(length(k)), sum(n) FROM b`,
	} {
		var x, y, z any
		if err := db.QueryRow(query).Scan(&x, &y, &z); err != nil {
			return err
		}
	}
	var verdict string
	if err := db.QueryRow(`PRAGMA integrity_check`).Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return errors.New(verdict)
	}
	return nil
}

func mustReadAll(tb testing.TB, db *sql.DB) {
	tb.Helper()
	if err := readAll(db); err != nil {
		tb.Fatal(err)
	}
}

// isDamage reports whether an error is that of a wrong checksum.
func isDamage(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code() == sqlite3.SQLITE_IOERR_DATA
}

// verify is Verify of a file that no connection has open.
func verify(tb testing.TB, path string) ([]int64, error) {
	tb.Helper()
	b := read(tb, path)
	return checkedvfs.Verify(bytes.NewReader(b), int64(len(b)))
}

func mustVerify(tb testing.TB, path string) {
	tb.Helper()
	if bad, err := verify(tb, path); err != nil || len(bad) > 0 {
		tb.Fatalf("%s: pages %d are bad, %v", filepath.Base(path), bad, err)
	}
}

func read(tb testing.TB, path string) []byte {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func write(tb testing.TB, path string, b []byte) {
	tb.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		tb.Fatal(err)
	}
}

func TestRegisterIsIdempotent(t *testing.T) {
	first, err := checkedvfs.Register()
	second, err2 := checkedvfs.Register()
	if err != nil || err2 != nil || first != second || first == "" {
		t.Fatal(first, err, second, err2)
	}
}

func TestNewDatabaseHasChecksums(t *testing.T) {
	for _, mode := range []string{"WAL", "DELETE", "TRUNCATE", "MEMORY", "OFF"} {
		for _, pageSize := range []int{512, 4096, 65536} {
			t.Run(fmt.Sprint(mode, pageSize), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "db")
				db := create(t, path, pageSize, mode)
				exec(t, db, schema...)
				mustReadAll(t, db)
				db.Close()
				b := read(t, path)
				if b[20] != 8 || int(b[16])<<8|int(b[17])<<16 != pageSize {
					t.Fatalf("reserve %d, page size %d", b[20], int(b[16])<<8|int(b[17])<<16)
				}
				mustVerify(t, path)
				mustReadAll(t, open(t, dsn(t, path)))
			})
		}
	}
}

// TestSpilledPages makes databases whose pages are written before page 1 is, because the cache is too small for the transaction.
func TestSpilledPages(t *testing.T) {
	for _, mode := range []string{"WAL", "DELETE"} {
		path := filepath.Join(t.TempDir(), "db")
		db := create(t, path, 1024, mode, "cache_size(10)")
		exec(t, db, append(append([]string{"BEGIN"}, schema...), rows("a", 2000, 4000, "i, i, randomblob(500)"), "COMMIT")...)
		// Pages that are used and freed in one transaction leave gaps in the file, and are used again by the next.
		exec(t, db, "BEGIN", "CREATE TABLE gone (body BLOB)", rows("gone", 1, 500, "randomblob(900)"), "DROP TABLE gone", rows("b", 200, 3000, "i, i"), "COMMIT")
		exec(t, db, rows("a", 5000, 6000, "i, i, randomblob(500)"))
		mustReadAll(t, db)
		copied := path + ".copy"
		exec(t, db, "VACUUM INTO '"+copied+"'", "VACUUM")
		mustReadAll(t, db)
		db.Close()
		mustVerify(t, path)
		mustVerify(t, copied)
		mustReadAll(t, open(t, dsn(t, copied, "cache_size(10)")))
	}
}

// TestGap makes a database that ends behind pages that were never written.
func TestGap(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	db := create(t, path, smallPage, "DELETE")
	exec(t, db, schema...)
	exec(t, db, "BEGIN", "CREATE TABLE gone (body BLOB)", rows("gone", 1, 100, "randomblob(400)"), rows("b", 1000, 2000, "i, i"), "DELETE FROM gone", "COMMIT")
	mustReadAll(t, db)
	db.Close()
	mustVerify(t, path)
	db = open(t, dsn(t, path))
	exec(t, db, rows("gone", 1, 100, "randomblob(400)"))
	mustReadAll(t, db)
	exec(t, db, "DELETE FROM gone")
	db.Close()
	mustVerify(t, path)
}

// TestFlipInOverflow reads a long value only, whose pages SQLite would rather read in part.
func TestFlipInOverflow(t *testing.T) {
	path, b := small(t)
	db := open(t, dsn(t, path))
	var page int
	if err := db.QueryRow("SELECT max(pageno) FROM dbstat WHERE name = 'a' AND pagetype = 'overflow'").Scan(&page); err != nil {
		t.Fatal(err)
	}
	db.Close()
	b[(page-1)*smallPage+200] ^= 1
	write(t, path, b)
	if _, err := open(t, dsn(t, path)).Exec("SELECT body FROM a WHERE id = 1000"); !isDamage(err) {
		t.Fatal(err)
	}
}

// TestRewrittenFrames has a transaction that writes its pages to the WAL again and again, and reads them back before it commits.
func TestRewrittenFrames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	db := create(t, path, 1024, "WAL", "cache_size(10)")
	exec(t, db, schema...)
	for range 3 {
		exec(t, db, "BEGIN")
		for range 5 {
			exec(t, db, "UPDATE a SET body = randomblob(length(body))", "SAVEPOINT s", "UPDATE a SET name = name || 'x', body = randomblob(500)")
			mustReadAll(t, db)
			exec(t, db, "ROLLBACK TO s")
			mustReadAll(t, db)
			exec(t, db, "UPDATE b SET n = n + 1000")
			mustReadAll(t, db)
		}
		exec(t, db, "ROLLBACK", "BEGIN", "UPDATE a SET name = name || 'y'", "UPDATE a SET name = name || 'z'")
		mustReadAll(t, db)
		exec(t, db, "COMMIT")
		mustReadAll(t, open(t, dsn(t, path)))
	}
	exec(t, db, "PRAGMA wal_checkpoint(TRUNCATE)")
	db.Close()
	mustVerify(t, path)
}

func TestDatabaseWithoutChecksums(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	plain := open(t, "file:"+path+"?_pragma=journal_mode(WAL)")
	exec(t, plain, schema...)
	plain.Close()
	db := open(t, dsn(t, path))
	exec(t, db, rows("b", 1000, 1100, "i, i"), "VACUUM", "VACUUM INTO '"+path+".same'")
	mustReadAll(t, db)
	db.Close()
	for _, p := range []string{path, path + ".same"} {
		if b := read(t, p); b[20] != 0 {
			t.Fatalf("reserve %d", b[20])
		}
		if _, err := verify(t, p); !errors.Is(err, checkedvfs.ErrUnchecked) {
			t.Fatal(err)
		}
	}
	with := dsn(t, path, "cache_size(10)") + "&checksums=on"
	exec(t, open(t, with), "VACUUM INTO '"+path+".checked'")
	mustVerify(t, path+".checked")
	mustReadAll(t, open(t, dsn(t, path+".checked")))

	plain = open(t, "file:"+path+".checked?mode=ro")
	mustReadAll(t, plain)
}

// TestConversionInWALMode converts a database in place while another connection has it open.
func TestConversionInWALMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	plain := open(t, "file:"+path+"?_pragma=journal_mode(WAL)")
	exec(t, plain, schema...)
	plain.Close()
	other := open(t, dsn(t, path))
	mustReadAll(t, other)
	exec(t, open(t, dsn(t, path, "cache_size(10)")+"&checksums=on"), "VACUUM")
	exec(t, other, rows("b", 1000, 1100, "i, i"), "PRAGMA wal_checkpoint(TRUNCATE)", rows("b", 2000, 2100, "i, i"))
	mustReadAll(t, other)
	exec(t, other, "PRAGMA wal_checkpoint(TRUNCATE)")
	mustReadAll(t, other)
	other.Close()
	mustVerify(t, path)
}

// TestCheckpointAfterConversion has a connection that knew the database unchecked checkpoint what does not include page 1.
func TestCheckpointAfterConversion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	plain := open(t, "file:"+path+"?_pragma=journal_mode(WAL)")
	exec(t, plain, schema...)
	plain.Close()
	other := open(t, dsn(t, path))
	mustReadAll(t, other)
	exec(t, open(t, dsn(t, path)+"&checksums=on"), "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)", "UPDATE a SET name = 'other' WHERE id = 7")
	exec(t, other, "PRAGMA wal_checkpoint(TRUNCATE)")
	mustVerify(t, path)
}

// TestMisplacedPage puts a page, with its checksum, to the place of another.
func TestMisplacedPage(t *testing.T) {
	path, b := small(t)
	for to := range len(b) / smallPage {
		damaged := slices.Clone(b)
		from := (to + 1) % (len(b) / smallPage)
		copy(damaged[to*smallPage:], b[from*smallPage:(from+1)*smallPage])
		write(t, path, damaged)
		if bad, err := verify(t, path); err != nil || !slices.Equal(bad, []int64{int64(to + 1)}) {
			t.Fatalf("page %d: %d, %v", to+1, bad, err)
		}
	}
}

// TestLostPage has pages of zeros.
func TestLostPage(t *testing.T) {
	path, b := small(t)
	unread := freeLeaves(b)
	for page := range len(b) / smallPage {
		damaged := slices.Clone(b)
		clear(damaged[page*smallPage : (page+1)*smallPage])
		write(t, path, damaged)
		db := open(t, dsn(t, path))
		if err := readAll(db); err == nil && !unread[page+1] {
			t.Errorf("page %d", page+1)
		}
		db.Close()
	}
}
