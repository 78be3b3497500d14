package catalogue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// call is what a test gives to Update.
type call struct {
	ctx context.Context
	fn  func(*Tx) error
}

// updateTogether calls Update with each of the calls while another change is being made, so that they make a group. It runs in a bubble of
// synctest, which tells when all of them wait.
func updateTogether(t *testing.T, db *DB, calls ...call) []error {
	t.Helper()
	var all sync.WaitGroup
	begun, end := make(chan bool), make(chan bool)
	all.Go(func() {
		if err := db.Update(context.Background(), func(*Tx) error { close(begun); <-end; return nil }); err != nil {
			t.Errorf("the change before the group: %v", err)
		}
	})
	<-begun
	errs := make([]error, len(calls))
	for i, c := range calls {
		all.Go(func() { errs[i] = db.Update(c.ctx, c.fn) })
		synctest.Wait() // so that they stand in their order
	}
	close(end)
	all.Wait()
	return errs
}

// inserts is a change that makes a vault.
func inserts(name string) call {
	return call{context.Background(), func(tx *Tx) error { return tx.InsertVault(account, name, epoch) }}
}

// countCommits returns a counter of the commits from now on.
func countCommits(db *DB) *atomic.Int64 {
	var n atomic.Int64
	db.FailCommits(func() CommitFault { n.Add(1); return CommitWorks })
	return &n
}

// vaultNames returns the names of the vaults that exist, sorted.
func vaultNames(t *testing.T, db *DB) (names []string) {
	t.Helper()
	view(t, db, func(tx *Tx) error {
		vaults, err := tx.Vaults(account, "", 1000)
		for _, v := range vaults {
			names = append(names, v.Name)
		}
		return err
	})
	return names
}

func wantVaults(t *testing.T, db *DB, want ...string) {
	t.Helper()
	if got := vaultNames(t, db); !slices.Equal(got, want) {
		t.Errorf("the vaults are %q, want %q", got, want)
	}
}

func TestUpdatesShareACommit(t *testing.T) {
	for updates, want := range map[int]int64{1: 2, 2: 2, 63: 2, largestGroup: 2, largestGroup + 1: 3} {
		t.Run(fmt.Sprint(updates), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db := openNew(t)
				commits := countCommits(db)
				var calls []call
				for i := range updates {
					calls = append(calls, inserts(fmt.Sprintf("vault-%03d", i)))
				}
				if err := errors.Join(updateTogether(t, db, calls...)...); err != nil {
					t.Error(err)
				}
				if got := commits.Load(); got != want {
					t.Errorf("%d updates that wait for another make %d commits, want %d", updates, got, want)
				}
				if n := len(vaultNames(t, db)); n != updates {
					t.Errorf("%d updates made %d vaults", updates, n)
				}
			})
		})
	}
}

var errRefused = errors.New("refused") // read only

// TestAFailureSpoilsNoOther has a change fail between two others. It leaves nothing, and the three share one commit.
func TestAFailureSpoilsNoOther(t *testing.T) {
	for name, test := range map[string]struct {
		fn   func(tx *Tx, cancel func()) error // runs when the vault "spoilt" has been inserted
		want string
	}{
		"an error":               {func(*Tx, func()) error { return errRefused }, "refused"},
		"no such row":            {func(tx *Tx, _ func()) error { return tx.Bury("nothing", "place") }, ErrNotFound.Error()},
		"a constraint":           {func(tx *Tx, _ func()) error { return tx.InsertVault(account, "before", epoch) }, "constraint"},
		"a constraint, unheeded": {func(tx *Tx, _ func()) error { tx.InsertVault(account, "before", epoch); return errRefused }, "refused"},
		"a mistake":              {func(tx *Tx, _ func()) error { return tx.exec(`UPDATE no_such_table SET a = 1`) }, "no_such_table"},
		"a mistake, unheeded":    {func(tx *Tx, _ func()) error { tx.exec(`UPDATE no_such_table SET a = 1`); return nil }, "no_such_table"},
		"a panic":                {func(*Tx, func()) error { panic(errRefused) }, "refused"},
		"a panic, with a stack":  {func(*Tx, func()) error { panic("at the disco") }, "update_test.go"},
		"a cancelled context":    {func(_ *Tx, cancel func()) error { cancel(); return nil }, context.Canceled.Error()},
		"cancelled, then more": {func(tx *Tx, cancel func()) error {
			cancel()
			return tx.InsertVault(account, "never", epoch)
		}, context.Canceled.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db := openNew(t)
				commits := countCommits(db)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				errs := updateTogether(t, db, inserts("before"), call{ctx, func(tx *Tx) error {
					if err := tx.InsertVault(account, "spoilt", epoch); err != nil {
						return err
					}
					return test.fn(tx, cancel)
				}}, inserts("later"))
				if errs[0] != nil || errs[2] != nil {
					t.Errorf("the others give %v, %v", errs[0], errs[2])
				}
				if errs[1] == nil || !strings.Contains(errs[1].Error(), test.want) {
					t.Errorf("the change gives %v, want %q", errs[1], test.want)
				}
				if n := commits.Load(); n != 2 {
					t.Errorf("there are %d commits, want one of the change before and one of the group", n)
				}
				wantVaults(t, db, "before", "later")
			})
		})
	}
}

// A change whose caller has gone while it waited does not run.
func TestAChangeNobodyWaitsForIsSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openNew(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		first := inserts("before")
		errs := updateTogether(t, db, call{t.Context(), func(tx *Tx) error { cancel(); return first.fn(tx) }}, call{ctx, func(*Tx) error {
			t.Error("it runs")
			return nil
		}}, inserts("later"))
		if errs[0] != nil || !errors.Is(errs[1], context.Canceled) || errs[2] != nil {
			t.Errorf("the changes give %v", errs)
		}
		wantVaults(t, db, "before", "later")
	})
}

// fill makes the engine fail for want of space, after which it rolls back the whole transaction. The limit is one of the connection.
func fill(tx *Tx) error {
	if _, err := scalar[int64](tx, `PRAGMA max_page_count = 1`); err != nil { // the pages that there are, in fact
		return err
	}
	defer tx.conn.run(`PRAGMA max_page_count = 1000000`)
	return tx.exec(`INSERT INTO identity (id) VALUES ($1)`, strings.Repeat("x", 1<<20))
}

// TestTheEngineRollsBack takes the whole transaction away from a group: each of the others happens all the same, once.
func TestTheEngineRollsBack(t *testing.T) {
	for name, test := range map[string]struct {
		fn   func(*Tx) error
		want string
	}{
		"a full disk":           {fill, "full"},
		"a full disk, unheeded": {func(tx *Tx) error { fill(tx); return nil }, "full"},
		"a full disk, and more": {func(tx *Tx) error { return errors.Join(fill(tx), tx.InsertVault(account, "stray", epoch)) }, "full"},
		"a rollback":            {func(tx *Tx) error { return tx.exec(`ROLLBACK`) }, "transaction"},
		"a rollback, an error":  {func(tx *Tx) error { return errors.Join(tx.exec(`ROLLBACK`), errRefused) }, "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.want == "full" {
				onlySQLite(t, "its disk is the server's")
			}
			synctest.Test(t, func(t *testing.T) {
				db := openNew(t)
				runs := 0
				errs := updateTogether(t, db, inserts("before"), call{t.Context(), func(tx *Tx) error {
					runs++
					if err := tx.InsertVault(account, "spoilt", epoch); err != nil {
						return err
					}
					return test.fn(tx)
				}}, inserts("later"))
				if errs[0] != nil || errs[2] != nil {
					t.Errorf("the others give %v, %v", errs[0], errs[2])
				}
				if errs[1] == nil || !strings.Contains(errs[1].Error(), test.want) {
					t.Errorf("the change gives %v, want %q", errs[1], test.want)
				}
				if runs != 2 {
					t.Errorf("the change ran %d times, want one with the others and one by itself", runs)
				}
				wantVaults(t, db, "before", "later")
			})
		})
	}
}

func TestFailCommits(t *testing.T) {
	for fault, happens := range map[CommitFault]bool{CommitFails: false, CommitFailsAfter: true} {
		synctest.Test(t, func(t *testing.T) {
			db := openNew(t)
			commits := 0
			db.FailCommits(func() CommitFault {
				if commits++; commits == 2 { // that of the group
					return fault
				}
				return CommitWorks
			})
			refuse := call{t.Context(), func(tx *Tx) error { return errRefused }}
			errs := updateTogether(t, db, inserts("a"), refuse, inserts("b"))
			if errs[0] == nil || errs[2] == nil || !errors.Is(errs[1], errRefused) {
				t.Errorf("fault %d: the group's changes give %v", fault, errs)
			}
			want := []string{"a", "b", "c", "d"}
			if !happens {
				want = want[2:]
			}
			commits = 1
			if err := db.Update(t.Context(), inserts("c").fn); err == nil {
				t.Errorf("fault %d: a change by itself gives no error", fault)
			}
			if !happens {
				update(t, db, inserts("c").fn) // the connection is of use
			}
			db.FailCommits(nil)
			update(t, db, inserts("d").fn)
			if commits < 2 {
				t.Errorf("fault %d: %d commits were asked about", fault, commits)
			}
			wantVaults(t, db, want...)
		})
	}
}

// A change for which the engine is busy leaves its group and runs again.
func TestABusyChangeRunsAgainByItself(t *testing.T) {
	onlySQLite(t, "TestNodesInConflict is")
	synctest.Test(t, func(t *testing.T) {
		db := openNew(t)
		other := rival(t, db)
		runs := 0
		errs := updateTogether(t, db, inserts("before"), call{t.Context(), func(tx *Tx) error {
			if runs++; runs == 1 {
				_, err := other.Exec(`UPDATE counters SET value = value + 1`) // this transaction has the lock
				return errors.Join(tx.InsertVault(account, "spoilt", epoch), err)
			}
			return tx.InsertVault(account, "again", epoch)
		}}, inserts("later"))
		if err := errors.Join(errs...); err != nil || runs != 2 {
			t.Errorf("%d runs, %v", runs, err)
		}
		wantVaults(t, db, "again", "before", "later")
	})
}

// While another process does not let go of the lock, a group gives up as a change by itself does.
func TestAGroupStaysBusy(t *testing.T) {
	onlySQLite(t, "TestAServerThatRestarts is")
	db := openNew(t)
	update(t, db, func(tx *Tx) error { return tx.exec(`PRAGMA busy_timeout = 0`) })
	lock, err := rival(t, db).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if _, err := lock.ExecContext(t.Context(), `BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	group := []*change{{ctx: t.Context(), fn: inserts("a").fn}, {ctx: t.Context(), fn: inserts("b").fn}}
	db.commit(group)
	for _, c := range group {
		if !inSQLite.again(c.err) || !strings.Contains(c.err.Error(), "stays busy") {
			t.Errorf("a change gives %v", c.err)
		}
	}
	if _, err := lock.ExecContext(t.Context(), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	if db.commit(group); group[0].err != nil || group[1].err != nil {
		t.Errorf("afterwards they give %v, %v", group[0].err, group[1].err)
	}
	wantVaults(t, db, "a", "b")
}

// TestWhatIsAcknowledgedIsThere mixes changes of every kind, in real time: those that return nil have happened, no other has.
func TestWhatIsAcknowledgedIsThere(t *testing.T) {
	db := openNew(t)
	id := newVault(t, db, "photos")
	commits := countCommits(db)
	const callers, each = 64, 20
	var all sync.WaitGroup
	var done, bytes atomic.Int64
	for c := range callers {
		all.Go(func() {
			for i := range each {
				a := archiveRow(id, fmt.Sprintf("%d-%d", c, i), int64(i+1))
				if !addSomehow(t, db, a) {
					continue
				}
				done.Add(1)
				bytes.Add(a.Size)
				view(t, db, func(tx *Tx) error {
					if _, err := tx.Archive(a.ID); err != nil {
						t.Errorf("archive %s is acknowledged: %v", a.ID, err)
					}
					return nil
				})
			}
		})
	}
	all.Wait()
	v := getVault(t, db, id)
	if v.Archives != done.Load() || v.Bytes != bytes.Load() || v.Changes != done.Load() {
		t.Errorf("%d archives of %d bytes are acknowledged, the vault is %+v", done.Load(), bytes.Load(), v)
	}
	t.Logf("%d updates, %d commits", callers*each, commits.Load())
}

// addSomehow adds an archive in a change that may fail in one of several ways. It reports whether the change succeeded, which it checks.
func addSomehow(t *testing.T, db *DB, a Archive) bool {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	kind := rand.IntN(12)
	if kind == 4 && rand.IntN(10) > 0 { // which takes the transaction from a whole group, and would leave none
		kind = 5
	}
	err := db.Update(ctx, func(tx *Tx) error {
		if err := tx.InsertArchive(a); err != nil {
			return err
		}
		switch kind {
		case 0:
			return errRefused
		case 1:
			return tx.InsertArchive(a) // there is one with that id
		case 2:
			panic("a change that panics")
		case 3:
			cancel()
		case 4:
			return tx.exec(`ROLLBACK`)
		}
		return nil
	})
	if (err != nil) != (kind < 5) {
		t.Errorf("a change of kind %d gives %v", kind, err)
	}
	return err == nil
}
