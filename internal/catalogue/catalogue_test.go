package catalogue

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/enginetest"
)

// epoch is when tests happen.
var epoch = time.Date(2024, 2, 29, 10, 11, 12, 131_000_000, time.UTC) // read only

const account = "123456789012"

// worker in the environment makes the test binary a process that works on the catalogue at that path.
const worker = "CATALOGUE_TEST_PATH"

// inDatabase in the environment has the tests run in PostgreSQL; its value is of no account.
const inDatabase = "CATALOGUE_TEST_POSTGRES"

// TestPostgres runs all other tests of this package again, in PostgreSQL.
func TestPostgres(t *testing.T) {
	if os.Getenv(inDatabase) != "" {
		return // this is that run
	}
	enginetest.Database(t) // or the reason why not
	args := []string{"-test.v=" + fmt.Sprint(testing.Verbose()), "-test.timeout=10m"}
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), inDatabase+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("in PostgreSQL: %v\n%s", err, out)
	} else if testing.Verbose() {
		t.Logf("%s", out)
	}
}

// onlySQLite skips a test that is about the file of SQLite.
func onlySQLite(t testing.TB, why string) {
	t.Helper()
	if os.Getenv(inDatabase) != "" {
		t.Skip("not for PostgreSQL: " + why)
	}
}

func TestMain(m *testing.M) {
	if path := os.Getenv(worker); path != "" {
		if err := workElsewhere(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func openPath(t testing.TB, path string) *DB {
	t.Helper()
	db, err := OpenSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return db
}

func openNew(t testing.TB) *DB {
	t.Helper()
	if os.Getenv(inDatabase) == "" {
		return openPath(t, filepath.Join(t.TempDir(), "catalogue.db"))
	}
	db, err := OpenPostgres(t.Context(), fmt.Sprintf("%s&pool_max_conns=%d", enginetest.Database(t), readers), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return db
}

func update(t testing.TB, db *DB, fn func(*Tx) error) {
	t.Helper()
	if err := db.Update(context.Background(), fn); err != nil {
		t.Fatal(err)
	}
}

func view(t testing.TB, db *DB, fn func(*Tx) error) {
	t.Helper()
	if err := db.View(context.Background(), fn); err != nil {
		t.Fatal(err)
	}
}

// newVault makes a vault and returns its id.
func newVault(t testing.TB, db *DB, name string) (id int64) {
	t.Helper()
	update(t, db, func(tx *Tx) error {
		if err := tx.InsertVault(account, name, epoch); err != nil {
			return err
		}
		v, err := tx.Vault(account, name)
		id = v.ID
		return err
	})
	return id
}

func getVault(t testing.TB, db *DB, id int64) (v Vault) {
	t.Helper()
	view(t, db, func(tx *Tx) (err error) {
		v, err = tx.VaultByID(id)
		return err
	})
	return v
}

// archiveRow is an archive of a vault with a size and a place of its own.
func archiveRow(vault int64, id string, size int64) Archive {
	return Archive{ID: id, VaultID: vault, CreatedAt: epoch, Size: size, TreeHash: []byte(id), Description: "about " + id, Place: "place of " + id}
}

func TestSchemaOfAnEmptyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalogue.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	newVault(t, openPath(t, path), "photos")
}

func TestSchemaIsMadeOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalogue.db")
	id := newVault(t, openPath(t, path), "photos")
	for range 2 {
		db := openPath(t, path)
		if v := getVault(t, db, id); v.Name != "photos" {
			t.Errorf("after another Open, vault %d is %q", id, v.Name)
		}
		view(t, db, func(tx *Tx) error {
			n, err := scalar[int64](tx, `SELECT COUNT(*) FROM schema_version`)
			if files, _ := schemas.ReadDir("schema/sqlite"); n != int64(len(files)) {
				t.Errorf("%d schema versions are noted, there are %d files", n, len(files))
			}
			return err
		})
	}
}

// Servers and administrators may open a new catalogue at the same moment.
func TestSchemaIsMadeByOneOfMany(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalogue.db")
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			db, err := OpenSQLite(context.Background(), path)
			if err != nil {
				t.Error(err)
				return
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
}

func TestNewerSchemaIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalogue.db")
	update(t, openPath(t, path), func(tx *Tx) error { return tx.exec(`INSERT INTO schema_version (version) VALUES (99)`) })
	_, err := OpenSQLite(t.Context(), path)
	for _, want := range []string{"99", path, "newer"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a catalogue of schema version 99: error %v, want one that says %q", err, want)
		}
	}
}

// A step of the schema that fails leaves nothing of itself.
func TestFailedMigrationIsRolledBack(t *testing.T) {
	db := openNew(t)
	err := apply(t.Context(), db.writer, 99, "schema/"+db.engine.name+"/0001_initial.sql")
	if err == nil || !strings.Contains(err.Error(), "accounts") {
		t.Fatalf("the first step again: %v, want an error of the first table, which exists", err)
	}
	view(t, db, func(tx *Tx) error {
		n, err := scalar[int64](tx, `SELECT COUNT(*) FROM schema_version WHERE version = 99`)
		if n != 0 {
			t.Error("the step that failed counts as done")
		}
		return err
	})
}

func TestOpenFailures(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "letter.txt")
	if err := os.WriteFile(other, []byte(strings.Repeat("Dear reader, this is no catalogue. ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{other, dir, filepath.Join(dir, "missing", "catalogue.db")} {
		if _, err := OpenSQLite(t.Context(), path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("OpenSQLite(%q): error %v, want one that names the path", path, err)
		}
	}
	if text, err := os.ReadFile(other); err != nil || !strings.HasPrefix(string(text), "Dear") {
		t.Errorf("a file that is no catalogue was changed: %v", err)
	}
}

func TestOpenOddPaths(t *testing.T) {
	for _, name := range []string{"a b", "50%", "what?", "no#1", "a&b=c", "ü", "%41"} {
		path := filepath.Join(t.TempDir(), name, "catalogue.db")
		if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		newVault(t, openPath(t, path), "photos")
		if _, err := os.Stat(path); err != nil {
			t.Errorf("the catalogue is elsewhere: %v", err)
		}
	}
}

// TestPragmas holds what durability rests on: synchronous=FULL (2) makes every commit in WAL mode safe before it returns.
func TestPragmas(t *testing.T) {
	onlySQLite(t, "it has none")
	db := openNew(t)
	for name, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "10000"} {
		for of, run := range map[string]func(context.Context, func(*Tx) error) error{"writer": db.Update, "reader": db.View} {
			var got string
			err := run(t.Context(), func(tx *Tx) (err error) {
				got, err = scalar[string](tx, `PRAGMA `+name)
				return err
			})
			if err != nil || got != want {
				t.Errorf("%s of the %s is %q, %v, want %q", name, of, got, err, want)
			}
		}
	}
}

func TestUpdateRollsBack(t *testing.T) {
	db := openNew(t)
	refused := errors.New("refused")
	insert := func(tx *Tx) error { return tx.InsertVault(account, "photos", epoch) }
	for name, run := range map[string]func() error{
		"an error": func() error {
			return db.Update(t.Context(), func(tx *Tx) error { return errors.Join(insert(tx), refused) })
		},
		"a panic": func() error {
			return db.Update(t.Context(), func(tx *Tx) error {
				insert(tx)
				panic(refused)
			})
		},
		"a cancelled context": func() error {
			ctx, cancel := context.WithCancelCause(t.Context())
			err := db.Update(ctx, func(tx *Tx) error {
				err := insert(tx)
				cancel(nil)
				return err
			})
			if errors.Is(err, context.Canceled) {
				return refused
			}
			return err
		},
	} {
		if err := run(); !errors.Is(err, refused) {
			t.Errorf("Update with %s gives %v", name, err)
		}
		view(t, db, func(tx *Tx) error {
			if n, err := tx.CountVaults(account); n != 0 || err != nil {
				t.Errorf("after %s there are %d vaults, %v", name, n, err)
			}
			return nil
		})
	}
	newVault(t, db, "photos") // the connection that writes was given back each time
}

func TestUpdateOfACancelledContext(t *testing.T) {
	db := openNew(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ran := false
	if err := db.Update(ctx, func(*Tx) error { ran = true; return nil }); !errors.Is(err, context.Canceled) || ran {
		t.Errorf("Update gives %v, the change ran: %t", err, ran)
	}
}

// rival returns a connection that does not wait for the lock.
func rival(t *testing.T, db *DB) *sql.DB {
	t.Helper()
	var path string
	view(t, db, func(tx *Tx) (err error) {
		path, err = scalar[string](tx, `SELECT file FROM pragma_database_list WHERE name = 'main'`)
		return err
	})
	other, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(0)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	return other
}

// TestUpdateRunsAgain lets the engine say «busy» inside a change, as it does when another process writes: what the change did
// is undone, and it runs again.
func TestUpdateRunsAgain(t *testing.T) {
	onlySQLite(t, "TestNodesInConflict is")
	for _, times := range []int{1, maxAttempts - 1, maxAttempts} {
		db := openNew(t)
		other := rival(t, db)
		runs := 0
		err := db.Update(t.Context(), func(tx *Tx) error {
			if runs++; runs <= times {
				if err := tx.InsertVault(account, fmt.Sprintf("attempt-%d", runs), epoch); err != nil {
					return err
				}
				_, err := other.Exec(`UPDATE counters SET value = value + 1`) // this transaction has the lock
				return fmt.Errorf("a wrapped error: %w", err)
			}
			return tx.InsertVault(account, "photos", epoch)
		})
		if wantErr := times == maxAttempts; (err != nil) != wantErr || runs != min(times+1, maxAttempts) {
			t.Errorf("busy %d times: %d runs, %v", times, runs, err)
		}
		if err != nil && !strings.Contains(err.Error(), "busy") {
			t.Errorf("busy %d times: error %v does not say so", times, err)
		}
		view(t, db, func(tx *Tx) error {
			vaults, err := tx.Vaults(account, "", 10)
			for _, v := range vaults {
				if v.Name != "photos" || v.ID != 1 {
					t.Errorf("busy %d times: an attempt left vault %d, %q", times, v.ID, v.Name)
				}
			}
			return err
		})
	}
}

func TestUpdateWaitsForAnotherConnection(t *testing.T) {
	onlySQLite(t, "TestNodesInConflict is")
	db := openNew(t)
	other := rival(t, db)
	lock, err := other.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{`BEGIN IMMEDIATE`, `UPDATE counters SET value = 7 WHERE name = 'vault'`} {
		if _, err := lock.ExecContext(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error)
	go func() {
		done <- db.Update(context.Background(), func(tx *Tx) error { return tx.InsertVault(account, "photos", epoch) })
	}()
	if _, err := lock.ExecContext(t.Context(), `COMMIT`); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if v := getVault(t, db, 8); v.Name != "photos" {
		t.Errorf("the vault after that of the other connection is %+v", v)
	}
	lock.Close()
}

func TestViewIsASnapshot(t *testing.T) {
	db := openNew(t)
	id := newVault(t, db, "photos")
	view(t, db, func(tx *Tx) error {
		before, err := tx.VaultByID(id)
		if err != nil {
			return err
		}
		update(t, db, func(tx *Tx) error { return tx.InsertArchive(archiveRow(id, "new", 10)) })
		after, err := tx.VaultByID(id)
		if err != nil {
			return err
		}
		if before.Changes != 0 || after.Changes != 0 {
			t.Errorf("a snapshot changes under a writer: %d changes, then %d", before.Changes, after.Changes)
		}
		if _, err := tx.Archive("new"); !errors.Is(err, ErrNotFound) {
			t.Errorf("a snapshot shows an archive that came after it: %v", err)
		}
		return nil
	})
	if v := getVault(t, db, id); v.Changes != 1 {
		t.Errorf("a later snapshot shows %d changes", v.Changes)
	}
}

func TestInventoryIsASnapshot(t *testing.T) {
	db := openNew(t)
	id := newVault(t, db, "photos")
	update(t, db, func(tx *Tx) error {
		return errors.Join(tx.InsertArchive(archiveRow(id, "a", 1)), tx.InsertArchive(archiveRow(id, "b", 2)))
	})
	var seen []string
	view(t, db, func(tx *Tx) error {
		return tx.Inventory(Snapshot{VaultID: id, Change: 100}, func(a Archive) error {
			seen = append(seen, a.ID)
			if a.ID == "a" { // in the middle of the list, "b" goes and "c" comes
				update(t, db, func(tx *Tx) error {
					return errors.Join(tx.DeleteArchive(archiveRow(id, "b", 2), epoch), tx.InsertArchive(archiveRow(id, "c", 3)))
				})
			}
			return nil
		})
	})
	if !slices.Equal(seen, []string{"a", "b"}) {
		t.Errorf("an inventory that was begun before shows %q", seen)
	}
}

func TestViewCannotWrite(t *testing.T) {
	db := openNew(t)
	if err := db.View(t.Context(), func(tx *Tx) error { return tx.InsertVault(account, "photos", epoch) }); err == nil {
		t.Error("a View wrote")
	}
}

// add puts a number of archives into vault 1, each in a change of its own, and deletes every fourth.
func add(db *DB, name string, number int) error {
	for i := range number {
		a := archiveRow(1, fmt.Sprintf("%s-%d", name, i), 10)
		if err := db.Update(context.Background(), func(tx *Tx) error { return tx.InsertArchive(a) }); err != nil {
			return err
		}
		if i%4 != 0 {
			continue
		}
		if err := db.Update(context.Background(), func(tx *Tx) error { return tx.DeleteArchive(a, epoch) }); err != nil {
			return err
		}
	}
	return nil
}

// wantCounters checks vault 1 after a number of add calls, of 4 archives each.
func wantCounters(t *testing.T, db *DB, calls int64) {
	t.Helper()
	v := getVault(t, db, 1)
	if v.Archives != 3*calls || v.Bytes != 30*calls || v.Changes != 5*calls {
		t.Errorf("after %d calls the vault counts %d archives, %d bytes, %d changes", calls, v.Archives, v.Bytes, v.Changes)
	}
	numbers := make(map[int64]bool)
	view(t, db, func(tx *Tx) error {
		return each[number](tx, func(n number) error {
			numbers[n.n] = true
			return nil
		}, `SELECT added FROM archives UNION ALL SELECT added FROM deleted_archives UNION ALL SELECT removed FROM deleted_archives`)
	})
	for n := range v.Changes {
		if !numbers[n+1] {
			t.Errorf("no archive has change number %d", n+1)
		}
	}
}

type number struct{ n int64 }

func (n *number) fields() []any { return []any{&n.n} }

func TestContention(t *testing.T) {
	db := openNew(t)
	newVault(t, db, "photos")
	const writers = 32
	var wait sync.WaitGroup
	for i := range writers {
		wait.Go(func() {
			if err := add(db, fmt.Sprint(i), 4); err != nil {
				t.Errorf("writer %d: %v", i, err)
			}
		})
	}
	wait.Wait()
	wantCounters(t, db, writers)
}

// workElsewhere is what the other process of TestContentionOfTwoProcesses does.
func workElsewhere(path string) error {
	db, err := OpenSQLite(context.Background(), path)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	for i := range 5 {
		if err := add(db, fmt.Sprint("elsewhere-", i), 4); err != nil {
			return err
		}
	}
	return db.Close()
}

func TestContentionOfTwoProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalogue.db")
	db := openPath(t, path)
	newVault(t, db, "photos")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env, cmd.Stderr = append(os.Environ(), worker+"="+path), os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Errorf("the other process is not ready: %v", err)
	}
	if _, err := io.WriteString(in, "go\n"); err != nil {
		t.Error(err)
	}
	for i := range 5 {
		if err := add(db, fmt.Sprint("here-", i), 4); err != nil {
			t.Error(err)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the other process: %v", err)
	}
	wantCounters(t, db, 10)
}
