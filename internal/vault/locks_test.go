package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/access"
	"github.com/moraine-archive/moraine/internal/catalogue"
	times "github.com/moraine-archive/moraine/internal/clock"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/protocol"
	"github.com/moraine-archive/moraine/internal/store/volume"
	"github.com/moraine-archive/moraine/internal/vfs"
)

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// retention is a policy that keeps archives for a year.
const retention = `{"Version":"2012-10-17","Statement":[{"Sid":"keep","Effect":"Deny","Principal":"*","Action":"glacier:DeleteArchive","Resource":"*",` +
	`"Condition":{"NumericLessThan":{"glacier:ArchiveAgeInDays":"365"}}}]}`

// lockedWith puts a lock on the vault, for ever.
func (h *house) lockedWith(t *testing.T, policy string) string {
	t.Helper()
	id, err := h.InitiateVaultLock(t.Context(), h.ref, &policy)
	check(t, err)
	check(t, h.CompleteVaultLock(t.Context(), h.ref, id))
	return id
}

// TestLockStates goes through the table of the behaviour specification, policies, section 7.
func TestLockStates(t *testing.T) {
	const none, inProgress, locked = 0, 1, 2
	names := []string{"none", "InProgress", "Locked"}
	denied, absent, invalid, fine := fault.Denied, fault.NotFound, fault.Invalid, fault.Kind(-1)
	type want struct {
		kind fault.Kind
		then int
	}
	for call, c := range map[string]struct {
		do   func(ctx context.Context, h *house, id string) error
		want [3]want
	}{
		"initiate": {func(ctx context.Context, h *house, _ string) error {
			policy := retention
			id, err := h.InitiateVaultLock(ctx, h.ref, &policy)
			if err == nil && len(id) != protocol.LockIDLength {
				return fmt.Errorf("the id %q has %d characters", id, len(id))
			}
			return err
		}, [3]want{{fine, inProgress}, {denied, inProgress}, {denied, locked}}},
		"complete with the right id": {func(ctx context.Context, h *house, id string) error {
			return h.CompleteVaultLock(ctx, h.ref, id)
		}, [3]want{{absent, none}, {fine, locked}, {fine, locked}}},
		"complete with another id": {func(ctx context.Context, h *house, _ string) error {
			return h.CompleteVaultLock(ctx, h.ref, "another")
		}, [3]want{{absent, none}, {invalid, inProgress}, {denied, locked}}},
		"abort": {func(ctx context.Context, h *house, _ string) error {
			return h.AbortVaultLock(ctx, h.ref)
		}, [3]want{{fine, none}, {fine, none}, {denied, locked}}},
		"a day passes": {func(_ context.Context, h *house, _ string) error {
			h.clock.move(day)
			return nil
		}, [3]want{{fine, none}, {fine, none}, {fine, locked}}},
		"a day passes but for a millisecond": {func(_ context.Context, h *house, _ string) error {
			h.clock.move(day - time.Millisecond)
			return nil
		}, [3]want{{fine, none}, {fine, inProgress}, {fine, locked}}},
	} {
		for from := range names {
			h := newHouse(t, inMemory, Defaults())
			id, created := "x", timestamp(h.now())
			if from > none {
				var err error
				policy := retention
				id, err = h.InitiateVaultLock(t.Context(), h.ref, &policy)
				check(t, err)
			}
			if from == locked {
				check(t, h.CompleteVaultLock(t.Context(), h.ref, id))
			}
			what := names[from] + ": " + call
			if err := c.do(t.Context(), h, id); c.want[from].kind == fine {
				check(t, err)
			} else {
				wantFault(t, what, err, c.want[from].kind)
			}
			d, err := h.GetVaultLock(t.Context(), h.ref)
			then := c.want[from].then
			if then == none {
				wantFault(t, what, err, fault.NotFound)
				continue
			}
			check(t, err)
			if d.State != names[then] || d.Policy != retention || d.CreationDate != created || (d.ExpirationDate == nil) != (then == locked) {
				t.Errorf("%s: the lock is %+v, want it %s", what, d, names[then])
			}
		}
	}
}

// TestLockDenies says which statement denied, and to whom. While a lock is in progress it holds too.
func TestLockDenies(t *testing.T) {
	h := newHouse(t, inMemory, Defaults())
	id := h.archive(t, []byte("kept"))
	policy := retention
	lock, err := h.InitiateVaultLock(t.Context(), h.ref, &policy)
	check(t, err)
	for _, state := range []string{"in progress", "locked"} {
		err = h.DeleteArchive(t.Context(), h.ref, id)
		wantFault(t, state, err, fault.Denied)
		want := `User: arn:aws:iam::123456789012:root is not authorized to perform: glacier:DeleteArchive on resource: ` +
			`arn:aws:glacier:us-east-1:123456789012:vaults/v with an explicit deny in the vault lock policy, statement "keep"`
		if err.Error() != want {
			t.Errorf("%s: the error is %q, want %q", state, err, want)
		}
		check(t, h.CompleteVaultLock(t.Context(), h.ref, lock))
	}
	h.clock.move(365*day - time.Second) // edge cases 114 and 115
	wantFault(t, "a second before a year", h.DeleteArchive(t.Context(), h.ref, id), fault.Denied)
	h.clock.move(time.Second)
	check(t, h.DeleteArchive(t.Context(), h.ref, id))
}

// cheater is an administrator who wants to be rid of an archive before its time: one that was stored, then locked in. The machine is the administrator's.
type cheater struct {
	*house
	now     time.Time
	up      time.Duration
	boot    string
	dir     string // of the volumes
	archive string
	lock    string // its id
	before  string // a copy of the catalogue from before the lock
}

func newCheater(t *testing.T) *cheater {
	t.Helper()
	c := &cheater{now: time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC), up: 100 * time.Hour, boot: "1", dir: t.TempDir()}
	c.house = &house{path: filepath.Join(t.TempDir(), "catalogue.db"), ref: Ref{"123456789012", "v"}}
	c.start(t)
	check(t, c.CreateVault(t.Context(), c.ref))
	c.archive = c.house.archive(t, []byte("evidence"))
	c.before = c.copyCatalogue(t)
	c.lock = c.lockedWith(t, retention)
	return c
}

// start starts the server, as package daemon does.
func (c *cheater) start(t *testing.T) {
	t.Helper()
	rows, err := catalogue.OpenSQLite(t.Context(), c.path)
	check(t, err)
	clock := times.New(times.Machine{Now: func() time.Time { return c.now }, Uptime: func() (string, time.Duration) { return c.boot, c.up }})
	check(t, absent(rows.View(t.Context(), func(tx *catalogue.Tx) error {
		last, err := tx.LockClock()
		if err == nil {
			clock.Restore(times.Reading{Time: last.Time, Boot: last.Boot, Uptime: last.Uptime})
		}
		return err
	}), nil))
	o := volume.Defaults()
	o.ShareLimit, o.VolumeSize, o.Ahead = 10_000, 30_000, 1000
	o.Stamp = clock.Stamp
	bytes, err := volume.Open(vfs.OS(), c.dir, o, clock.Now)
	check(t, err)
	c.Service = New(rows, bytes, Defaults(), clock, slog.New(slog.DiscardHandler))
}

func (c *cheater) stop(t *testing.T) {
	t.Helper()
	check(t, c.KeepTime(t.Context()))
	check(t, c.rows.Close())
	check(t, c.bytes.Close())
}

// kill stops the server without notice.
func (c *cheater) kill(t *testing.T) {
	t.Helper()
	check(t, c.rows.Close())
	check(t, c.bytes.Close())
}

func (c *cheater) restart(t *testing.T) { t.Helper(); c.stop(t); c.start(t) }

// reboot starts the machine again, which was off for a while, or says so.
func (c *cheater) reboot(t *testing.T, off time.Duration) {
	t.Helper()
	c.stop(t)
	c.now, c.boot, c.up = c.now.Add(off), c.boot+"'", time.Minute
	c.start(t)
}

func (c *cheater) set(by time.Duration) { c.now = c.now.Add(by) }
func (c *cheater) pass(d time.Duration) { c.now, c.up = c.now.Add(d), c.up+d }

// rebuild makes the catalogue anew from the medium, over a copy of it or from nothing.
func (c *cheater) rebuild(t *testing.T, copied string) {
	t.Helper()
	c.stop(t)
	c.path = filepath.Join(t.TempDir(), "rebuilt.db")
	if copied != "" {
		copyFile(t, copied, c.path)
	}
	c.start(t)
	_, err := c.Rebuild(t.Context(), Inspection{Report: func(f Finding) error {
		if f.Severity == Wrong {
			t.Errorf("the rebuild finds: %s", f)
		}
		return nil
	}})
	check(t, err)
	c.restart(t)
}

// TestLocksCannotBeCheated tries.
func TestLocksCannotBeCheated(t *testing.T) {
	everything := `{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}`
	for name, try := range map[string]func(t *testing.T, c *cheater){
		"nothing":                       func(*testing.T, *cheater) {},
		"the clock set forward":         func(_ *testing.T, c *cheater) { c.set(10 * year) },
		"the clock set back":            func(_ *testing.T, c *cheater) { c.set(-10 * year) },
		"forward and back":              func(_ *testing.T, c *cheater) { c.set(10 * year); c.pass(time.Hour); c.set(-10 * year) },
		"forward, a restart, and back":  func(t *testing.T, c *cheater) { c.set(10 * year); c.restart(t); c.set(-10 * year); c.restart(t) },
		"forward while it is stopped":   func(t *testing.T, c *cheater) { c.stop(t); c.set(10 * year); c.start(t) },
		"forward while it is killed":    func(t *testing.T, c *cheater) { c.kill(t); c.set(10 * year); c.start(t) },
		"off for ten years, it says":    func(t *testing.T, c *cheater) { c.reboot(t, 10*year) },
		"many restarts, each a year on": func(t *testing.T, c *cheater) { c.reboot(t, year); c.reboot(t, year); c.reboot(t, year) },
		"abort": func(t *testing.T, c *cheater) {
			wantFault(t, "abort", c.AbortVaultLock(t.Context(), c.ref), fault.Denied)
		},
		"another lock in its place": func(t *testing.T, c *cheater) {
			_, err := c.InitiateVaultLock(t.Context(), c.ref, &everything)
			wantFault(t, "initiate", err, fault.Denied)
		},
		"an access policy that allows everything": func(t *testing.T, c *cheater) {
			check(t, c.SetVaultAccessPolicy(t.Context(), c.ref, &everything))
		},
		"the vault": func(t *testing.T, c *cheater) {
			wantFault(t, "delete the vault", c.DeleteVault(t.Context(), c.ref), fault.Invalid) // it is not empty
		},
		"a sweep under a clock set forward": func(t *testing.T, c *cheater) {
			c.set(10 * year)
			check(t, c.Expire(t.Context()))
			check(t, c.Release(t.Context()))
			_, err := c.Sweep(t.Context())
			check(t, err)
			_, err = c.Sweep(t.Context())
			check(t, err)
		},
		"a compaction of its volume": func(t *testing.T, c *cheater) {
			for i := range 20 { // which are too young to be deleted, so another vault has them
				check(t, c.CreateVault(t.Context(), Ref{c.ref.Account, "other"}))
				id, _, err := c.UploadArchive(t.Context(), Ref{c.ref.Account, "other"}, "", payloadOf(bytes.Repeat([]byte{byte(i)}, 5000)))
				check(t, err)
				check(t, c.DeleteArchive(t.Context(), Ref{c.ref.Account, "other"}, id))
			}
			check(t, c.Release(t.Context()))
			done, err := c.Compact(t.Context(), nil)
			check(t, err)
			if done.Moved == 0 {
				t.Errorf("nothing was moved: %+v", done)
			}
		},
		"a rebuild": func(t *testing.T, c *cheater) { c.rebuild(t, "") },
		"a rebuild over a copy of before the lock":   func(t *testing.T, c *cheater) { c.rebuild(t, c.before) },
		"a rebuild under a clock set forward":        func(t *testing.T, c *cheater) { c.set(10 * year); c.rebuild(t, "") },
		"a rebuild after a restart of the machine":   func(t *testing.T, c *cheater) { c.reboot(t, 10*year); c.rebuild(t, "") },
		"a rebuild, with its label set back":         func(t *testing.T, c *cheater) { c.set(-10 * year); c.rebuild(t, ""); c.set(10 * year) },
		"a request that was decided before the lock": decidedBefore,
	} {
		t.Run(name, func(t *testing.T) {
			c := newCheater(t)
			defer func() { c.kill(t) }()
			c.pass(day)
			try(t, c)
			wantFault(t, "delete the archive", c.DeleteArchive(t.Context(), c.ref, c.archive), fault.Denied)
			if d, err := c.GetVaultLock(t.Context(), c.ref); err != nil || d.State != protocol.Locked || d.Policy != retention {
				t.Errorf("the lock is %+v, %v", d, err)
			}
			check(t, c.CompleteVaultLock(t.Context(), c.ref, c.lock))
			c.pass(363*day - time.Hour)
			wantFault(t, "delete the archive after 364 days", c.DeleteArchive(t.Context(), c.ref, c.archive), fault.Denied)
			c.wantNothingWrong(t)
			c.pass(3 * day) // and what is allowed is allowed
			check(t, c.DeleteArchive(t.Context(), c.ref, c.archive))
		})
	}
}

// decidedBefore carries out a request on which it was decided when there was no lock.
func decidedBefore(t *testing.T, c *cheater) {
	ref := Ref{c.ref.Account, "later"}
	check(t, c.CreateVault(t.Context(), ref))
	id, _, err := c.UploadArchive(t.Context(), ref, "", payloadOf([]byte("x")))
	check(t, err)
	op, _ := protocol.OperationNamed(protocol.DeleteArchive)
	caller := access.Caller{Account: ref.Account, Kind: access.Root}
	asked, d, err := c.Authorise(t.Context(), Asked{
		Request: access.Request{Caller: caller, Operation: op, Account: ref.Account, Resource: c.Resource(op, ref)}, Vault: ref.Name, Archive: id,
	})
	if check(t, err); !d.Allowed {
		t.Fatalf("the request is not allowed: %+v", d)
	}
	policy := retention
	_, err = c.InitiateVaultLock(t.Context(), ref, &policy)
	check(t, err)
	wantFault(t, "delete what was locked meanwhile", c.DeleteArchive(WithAsked(t.Context(), asked), ref, id), fault.Denied)
}

// TestAgeOfWhatIsStoredUnderAnotherClock stores archives while the clock is wrong. Their dates are wrong, their ages are not.
func TestAgeOfWhatIsStoredUnderAnotherClock(t *testing.T) {
	for _, by := range []time.Duration{-10 * year, -time.Hour, time.Hour, 10 * year} {
		c := newCheater(t)
		c.set(by)
		ids := []string{c.house.archive(t, []byte("one")), c.inParts(t, []byte("in parts"))}
		c.set(-by)
		c.rebuild(t, "") // labels say it too
		c.pass(364 * day)
		for _, id := range ids {
			wantFault(t, fmt.Sprintf("after 364 days, clock moved by %s", by), c.DeleteArchive(t.Context(), c.ref, id), fault.Denied)
		}
		c.pass(day + time.Second)
		for _, id := range ids {
			check(t, c.DeleteArchive(t.Context(), c.ref, id))
		}
		c.wantNothingWrong(t)
		c.kill(t)
	}
}

// turning is a body during which something happens.
type turning struct {
	io.Reader
	after func() // when it has been read
}

func (r *turning) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	if err == io.EOF && r.after != nil {
		r.after()
		r.after = nil
	}
	return n, err
}

// TestClockSetDuringAnUpload sets the clock while the body of an archive is on its way: forward and back, small archives and large ones, and rebuilds.
func TestClockSetDuringAnUpload(t *testing.T) {
	for _, size := range []int{100, 50_000} {
		for _, by := range []time.Duration{-10 * year, 10 * year} {
			for _, rebuild := range []bool{false, true} {
				c := newCheater(t)
				what := fmt.Sprintf("%d bytes, the clock moved by %s, a rebuild: %t", size, by, rebuild)
				u := payloadOf(bytes.Repeat([]byte("x"), size))
				c.set(by)
				u.Body = &turning{u.Body, func() { c.set(-by) }}
				id, _, err := c.UploadArchive(t.Context(), c.ref, "", u)
				check(t, err)
				u = payloadOf(bytes.Repeat([]byte("y"), size))
				u.Body = &turning{u.Body, func() { c.set(by) }}
				other, _, err := c.UploadArchive(t.Context(), c.ref, "", u)
				check(t, err)
				c.set(-by)
				if rebuild {
					c.rebuild(t, "")
				}
				c.pass(364 * day)
				for _, id := range []string{c.archive, id, other} {
					wantFault(t, what, c.DeleteArchive(t.Context(), c.ref, id), fault.Denied)
				}
				c.pass(2 * day)
				for _, id := range []string{c.archive, id, other} {
					check(t, c.DeleteArchive(t.Context(), c.ref, id))
				}
				c.wantNothingWrong(t)
				c.kill(t)
			}
		}
	}
}

// TestLegalHold is edge case 116, and that the tag cannot be taken off where the lock denies that.
func TestLegalHold(t *testing.T) {
	hold := `{"Version":"2012-10-17","Statement":[
		{"Sid":"hold","Effect":"Deny","Principal":"*","Action":"glacier:DeleteArchive","Resource":"*","Condition":{"StringLike":{"glacier:ResourceTag/LegalHold":["true",""]}}},
		{"Sid":"tags","Effect":"Deny","Principal":"*","Action":"glacier:RemoveTagsFromVault","Resource":"*","Condition":{"StringEquals":{"glacier:ResourceTag/Forever":"yes"}}}]}`
	h := newHouse(t, inMemory, Defaults())
	h.lockedWith(t, hold)
	remove := func(key string) error { return h.RemoveTagsFromVault(t.Context(), h.ref, []string{key}) }
	for _, value := range []string{"true", ""} {
		id := h.archive(t, []byte(value+"x"))
		check(t, h.AddTagsToVault(t.Context(), h.ref, map[string]string{"LegalHold": value}))
		wantFault(t, "with the tag "+value, h.DeleteArchive(t.Context(), h.ref, id), fault.Denied)
		check(t, remove("LegalHold"))
		check(t, h.DeleteArchive(t.Context(), h.ref, id))
	}
	check(t, h.AddTagsToVault(t.Context(), h.ref, map[string]string{"Forever": "yes"}))
	wantFault(t, "remove a tag for ever", remove("Forever"), fault.Denied)
}

// TestLockIsOnTheMedium looks at what is left when a completion is interrupted, and when a vault goes.
func TestLockIsOnTheMedium(t *testing.T) {
	h := newHouse(t, onDisk, Defaults())
	policy := `{"Statement":{"Effect":"Deny","Principal":"*","Action":"glacier:UploadArchive","Resource":"*"}}`
	id, err := h.InitiateVaultLock(t.Context(), h.ref, &policy)
	check(t, err)
	h.store.beforePut(func(l label) error {
		if l.What == isLock {
			return errors.New("no space left on device")
		}
		return nil
	})
	if err := h.CompleteVaultLock(t.Context(), h.ref, id); err == nil {
		t.Error("a lock that cannot be written is completed")
	}
	if d, err := h.GetVaultLock(t.Context(), h.ref); err != nil || d.State != protocol.LockInProgress {
		t.Errorf("after a failure the lock is %+v, %v", d, err)
	}
	h.store.beforePut(nil)
	check(t, h.CompleteVaultLock(t.Context(), h.ref, id))
	check(t, h.CompleteVaultLock(t.Context(), h.ref, id))
	h.wantKinds(t, "with a lock", "lock:1")
	check(t, h.DeleteVault(t.Context(), h.ref)) // which is empty, and the policy does not forbid
	h.upkeep(t)
	h.wantKinds(t, "without the vault", "")
}

// TestOneLockOfTwo initiates and completes a lock from many sides at once.
func TestOneLockOfTwo(t *testing.T) {
	h := newHouse(t, onDisk, Defaults())
	var all sync.WaitGroup
	ids := make(chan string, 20)
	for range cap(ids) {
		all.Go(func() {
			policy := retention
			if id, err := h.InitiateVaultLock(t.Context(), h.ref, &policy); err == nil {
				ids <- id
			} else if !fault.Is(err, fault.Denied) {
				t.Errorf("initiate: %v", err)
			}
		})
	}
	all.Wait()
	if len(ids) != 1 {
		t.Fatalf("%d locks were initiated at once", len(ids))
	}
	id := <-ids
	for range cap(ids) {
		all.Go(func() {
			if err := h.CompleteVaultLock(t.Context(), h.ref, id); err != nil {
				t.Errorf("complete: %v", err)
			}
		})
	}
	all.Wait()
	h.wantKinds(t, "after many completions at once", "lock:1")
}
