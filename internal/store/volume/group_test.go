package volume

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/vfs"
	"github.com/moraine-archive/moraine/internal/vfs/vfstest"
)

// A countingFS counts what is written to shared volumes, and synced. It can hold the next sync back until it is let go.
type countingFS struct {
	vfs.FS

	mu            sync.Mutex
	writes, syncs int           // guarded by mu
	hold          chan struct{} // guarded by mu; nil: nothing is held back
}

// reset counts anew, and returns what lets the next sync go, if it is to be held back.
func (f *countingFS) reset(hold bool) (release func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes, f.syncs, f.hold = 0, 0, nil
	if !hold {
		return func() {}
	}
	held := make(chan struct{})
	f.hold = held
	return func() { close(held) }
}

func (f *countingFS) counted() (writes, syncs int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.writes, f.syncs
}

func (f *countingFS) Create(path string) (vfs.File, error) {
	file, err := f.FS.Create(path)
	if err != nil || !strings.Contains(path, sharedDir) {
		return file, err
	}
	return countingFile{file, f}, nil
}

type countingFile struct {
	vfs.File
	fs *countingFS
}

func (f countingFile) WriteAt(b []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	f.fs.writes++
	f.fs.mu.Unlock()
	return f.File.WriteAt(b, off)
}

func (f countingFile) Sync() error {
	f.fs.mu.Lock()
	f.fs.syncs++
	hold := f.fs.hold
	f.fs.hold = nil
	f.fs.mu.Unlock()
	if hold != nil {
		<-hold
	}
	return f.File.Sync()
}

// crowd is what many callers asked of a store at the same time.
type crowd struct {
	first kept // in the sync of which the others came
	list  []kept
	errs  []error
}

// together puts a record, and while it is being synced so many others: they make one group. Between, between is called. It runs in a bubble, whose Wait
// tells when all are waiting.
func together(t *testing.T, s *Store, fsys *countingFS, n int, between func()) crowd {
	t.Helper()
	g := crowd{list: make([]kept, n), errs: make([]error, n)}
	release := fsys.reset(true)
	var all sync.WaitGroup
	all.Go(func() { g.first = keep(t, s, "first", 50) })
	synctest.Wait()
	for i := range n {
		all.Go(func() {
			label := fmt.Sprintf("together %d", i)
			b := random(label, 100)
			x, err := s.Put(t.Context(), store.Payload, []byte(label), payload(b))
			g.list[i], g.errs[i] = kept{x, b}, err
		})
	}
	synctest.Wait()
	between()
	release()
	all.Wait()
	return g
}

// TestManyPutsShareASync holds what group commit is for: 64 Puts that wait cost one write and one sync.
func TestManyPutsShareASync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := &countingFS{FS: vfstest.New()}
		s := onDisk(t, fsys, Defaults(), ticking())
		before := keep(t, s, "before", 10) // so that the volume is there, with zeros ahead
		g := together(t, s, fsys, 64, func() { fsys.reset(false) })
		if writes, syncs := fsys.counted(); writes != 1 || syncs != 1 {
			t.Errorf("64 Puts at once took %d writes and %d syncs", writes, syncs)
		}
		if err := errors.Join(g.errs...); err != nil {
			t.Error(err)
		}
		list := append(g.list, before, g.first)
		for i := range list {
			list[i].Created = list[i].Created.UTC()
		}
		s.fs = fsys.FS
		for _, c := range comebacks {
			wantKept(t, s, c.name, list...)
			wantSound(t, s, c.name)
			s = c.back(t, s)
		}
	})
}

// TestPutsAlone counts what Puts cost that come one after the other: as much each.
func TestPutsAlone(t *testing.T) {
	fsys := &countingFS{FS: vfstest.New()}
	s := onDisk(t, fsys, Defaults(), ticking())
	keep(t, s, "before", 10)
	fsys.reset(false)
	keepMany(t, s, 20, 100)
	if writes, syncs := fsys.counted(); writes != 20 || syncs != 20 {
		t.Errorf("20 Puts took %d writes and %d syncs", writes, syncs)
	}
}

// Removals share a sync too, and a record.
func TestManyRemovesShareASync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := &countingFS{FS: vfstest.New()}
		s := onDisk(t, fsys, Defaults(), ticking())
		list := keepMany(t, s, 40, 100)
		release := fsys.reset(true)
		var all sync.WaitGroup
		all.Go(func() { remove(t, s, list[0]) })
		synctest.Wait()
		for _, k := range list[1:30] {
			all.Go(func() { remove(t, s, k) })
		}
		synctest.Wait()
		fsys.reset(false)
		release()
		all.Wait()
		if writes, syncs := fsys.counted(); writes != 1 || syncs != 1 {
			t.Errorf("29 Removes at once took %d writes and %d syncs", writes, syncs)
		}
		if n := len(s.current.entries); n != 42 {
			t.Errorf("40 records and the removals of two groups are %d records", n)
		}
		s.fs = fsys.FS
		for _, c := range comebacks {
			wantKept(t, s, c.name, list[30:]...)
			wantRemoved(t, s, c.name, list[:30]...)
			s = c.back(t, s)
		}
	})
}

// groupFaults are the ways in which the write or the sync of a group fails.
var groupFaults = []struct {
	name, op string
	fault    vfstest.Fault
}{ // read only
	{"a write without effect", "write", vfstest.Fault{Err: vfstest.ErrIO}},
	{"half a write", "write", vfstest.Fault{Err: vfstest.ErrIO, Short: true}},
	{"a write with its effect", "write", vfstest.Fault{Err: vfstest.ErrIO, After: true}},
	{"a write on a full disk", "write", vfstest.Fault{Err: vfstest.ErrNoSpace, Short: true}},
	{"a sync without effect", "sync", vfstest.Fault{Err: vfstest.ErrIO}},
	{"a sync with its effect", "sync", vfstest.Fault{Err: vfstest.ErrIO, After: true}},
}

// TestGroupThatFails lets a group fail. All of it fails, and the volume is given up: what was acknowledged stays, and nothing is added to it any more.
func TestGroupThatFails(t *testing.T) {
	for _, c := range groupFaults {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testGroupThatFails(t, c.op, c.fault) })
		})
	}
}

func testGroupThatFails(t *testing.T, op string, fault vfstest.Fault) {
	disk := vfstest.New()
	fsys := &countingFS{FS: disk}
	s := onDisk(t, fsys, Defaults(), ticking())
	good := keepMany(t, s, 5, 100)
	remove(t, s, good[4])
	skip := 0
	if op == "sync" {
		skip = 1 // that of the first, which is held back
	}
	g := together(t, s, fsys, 8, func() { faultAfter(disk, op, skip, fault) })
	for i, err := range g.errs {
		if !errors.Is(err, fault.Err) || g.list[i].Place != "" {
			t.Errorf("Put %d of the group gives %q, %v", i, g.list[i].Place, err)
		}
	}
	if disk.Fault != nil {
		t.Fatal("nothing has failed")
	}
	good = append(good[:4], g.first)
	path := fileOf(t, s, g.first.Place)
	size, _ := disk.ReadFile(path)
	if v := state(t, s, g.first.Place); v.InUse || !v.Failed {
		t.Errorf("the volume is %+v, want one that failed", v)
	}
	next := keep(t, s, "next", 100)
	if volumeName(next.Place) == volumeName(g.first.Place) {
		t.Error("a record was added to a volume that failed")
	}
	remove(t, s, good[0])
	good = append(good[1:], next)
	wantKept(t, s, "after the failure", good...)
	if again, _ := disk.ReadFile(path); !slices.Equal(again, size) {
		t.Error("a volume that failed was written to")
	}
	s.fs = disk
	wantAtLeast(t, killed(t, s), "after a kill", good, g)
	wantAtLeast(t, reopen(t, rebooted(t, s, vfstest.Nothing)), "after a power failure", good, g)
	r := rowsOf(good)
	s.fs = disk
	if done := compacted(t, s, g.first.Place, r.compaction()); !done.Gone || done.Moved != 4 {
		t.Errorf("the volume that failed is compacted: %+v", done)
	}
	wantKept(t, restarted(t, s), "in the end", r.list()...)
}

// faultAfter lets an operation of a name on a shared volume fail, but for the first ones.
func faultAfter(disk *vfstest.Disk, name string, skip int, f vfstest.Fault) {
	disk.Fault = func(op vfstest.Op) vfstest.Fault {
		if op.Name != name || !strings.Contains(op.Path, sharedDir) {
			return vfstest.Fault{}
		}
		if skip--; skip >= 0 {
			return vfstest.Fault{}
		}
		disk.Fault = nil
		return f
	}
}

// rebooted lets the power fail on a clone of the disk of a store. What is returned is not open.
func rebooted(t testing.TB, s *Store, what vfstest.Survival) *Store {
	t.Helper()
	disk := s.fs.(*vfstest.Disk)
	return &Store{fs: disk.Snapshot(what, nil), dir: s.dir, options: s.options, now: s.now}
}

// wantAtLeast checks that what was acknowledged is there, and that all else is of the group that failed.
func wantAtLeast(t testing.TB, s *Store, what string, good []kept, g crowd) {
	t.Helper()
	for _, k := range good {
		wantRead(t, s, what, k)
	}
	for _, x := range walked(t, s) {
		if slices.Contains(placesOf(good), x.Place) || x.Kind == 0 {
			continue
		}
		i := slices.IndexFunc(g.list, func(k kept) bool { return string(k.payload) == string(random(string(x.Label), 100)) })
		if got, err := read(s, x.Place); i < 0 || err != nil || !slices.Equal(got, g.list[i].payload) {
			t.Errorf("%s: there is the record %q, with %d bytes, %v", what, x.Label, len(got), err)
		}
	}
	wantSound(t, s, what)
}

// TestSharedPutWithAFailingDisk lets each operation of the first Put fail in turn; the next one begins another volume, or takes the one that was begun.
func TestSharedPutWithAFailingDisk(t *testing.T) {
	for _, applied := range []bool{false, true} {
		for k := 1; ; k++ {
			traced := &tracedFS{FS: vfstest.New()}
			s := onDisk(t, traced, Defaults(), ticking())
			traced.reset(k, applied)
			_, err := s.Put(t.Context(), store.Payload, []byte("failing"), payload(pattern(10)))
			if traced.failures == 0 {
				if k-1 != 6 { // create, header, syncdir, zeros, group, sync
					t.Errorf("%d operations of a Put can fail", k-1)
				}
				break
			}
			what := fmt.Sprintf("operation %d (%s, done nevertheless: %t)", k, traced.log[k-1], applied)
			if !errors.Is(err, errInjected) {
				t.Errorf("%s: Put gives %v", what, err)
			}
			traced.reset(0, false)
			list := keepMany(t, s, 3, 100)
			wantKept(t, s, what, list...)
			s.fs = traced.FS
			if err := s.Close(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			s = reopen(t, s)
			for _, k := range list {
				wantRead(t, s, what, k)
			}
			damage, _ := inspected(t, s, true)
			for _, d := range damage { // of a volume that was begun, and has no record, at most
				if slices.Contains(sharedNames(list), d.Volume) {
					t.Errorf("%s: an inspection finds %v", what, d)
				}
			}
		}
	}
}

// TestFullDisk fills the disk. Uploads fail, and go on by themselves when there is room; removals go on for as long as there is room that was written ahead.
func TestFullDisk(t *testing.T) {
	disk := vfstest.New()
	s := onDisk(t, disk, Defaults(), ticking())
	list := keepMany(t, s, 20, 100)
	disk.Limit(disk.Used())
	if _, err := s.Put(t.Context(), store.Payload, nil, payload(pattern(200_000))); !errors.Is(err, vfstest.ErrNoSpace) {
		t.Errorf("an upload on a full disk gives %v", err)
	}
	if v := state(t, s, list[0].Place); !v.InUse || v.Failed {
		t.Errorf("the volume is %+v, want one that is in use", v)
	}
	for _, k := range list[:10] {
		remove(t, s, k)
	}
	list = append(list[10:], keep(t, s, "fits", 100))
	if used, limit := disk.Used(), disk.Used(); used > limit {
		t.Errorf("%d bytes are used", used)
	}
	wantKept(t, s, "on a full disk", list...)
	wantKept(t, killed(t, s), "on a full disk, after a kill", list...)
	disk.Limit(0)
	large := keep(t, s, "large", 200_000)
	if volumeName(large.Place) != volumeName(list[0].Place) {
		t.Error("another volume was begun")
	}
	s = restarted(t, s)
	wantKept(t, s, "when there is room", append(list, large)...)
	wantSound(t, s, "when there is room")
}

// A group on a full disk is divided: what fits is written, only the rest fails.
func TestGroupOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := vfstest.New()
		fsys := &countingFS{FS: disk}
		s := onDisk(t, fsys, Defaults(), ticking())
		before := keep(t, s, "before", 100)
		disk.Limit(disk.Used())
		release := fsys.reset(true)
		var all sync.WaitGroup
		errs, list := make([]error, 3), make([]kept, 3)
		all.Go(func() { remove(t, s, before) })
		synctest.Wait()
		for i, size := range []int{50_000, 100_000, 1000} {
			all.Go(func() {
				b := random("full", size)
				x, err := s.Put(t.Context(), store.Payload, []byte("full"), payload(b))
				list[i], errs[i] = kept{x, b}, err
			})
			synctest.Wait()
		}
		release()
		all.Wait()
		if errs[0] != nil || !errors.Is(errs[1], vfstest.ErrNoSpace) || errs[2] != nil {
			t.Errorf("the group gives %v", errs)
		}
		s.fs = disk
		wantKept(t, killed(t, s), "after a kill", list[0], list[2])
	})
}

// A full disk on which no volume can be begun takes uploads again when there is room.
func TestFullDiskWithoutAVolume(t *testing.T) {
	disk := vfstest.New()
	s := onDisk(t, disk, Defaults(), ticking())
	for limit := int64(1); limit < 500; limit += 63 {
		disk.Limit(limit)
		if _, err := s.Put(t.Context(), store.Payload, nil, payload(pattern(10))); !errors.Is(err, vfstest.ErrNoSpace) {
			t.Errorf("an upload on a disk of %d bytes gives %v", limit, err)
		}
	}
	if files := disk.Files(); len(files) > 1 {
		t.Errorf("the files %q are left", files)
	}
	disk.Limit(0)
	x := keep(t, s, "label", 10)
	wantKept(t, restarted(t, s), "when there is room", x)
}

// A bad payload does not spoil the Puts that come with it.
func TestBadPayloadAmongOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := vfstest.New()
		fsys := &countingFS{FS: disk}
		s := onDisk(t, fsys, Defaults(), ticking())
		errBad := errors.New("not what was promised")
		var err error
		g := together(t, s, fsys, 2, func() {
			bad := treehash.NewStream(strings.NewReader("bad"), 3, func(_, _ treehash.Hash) error { return errBad })
			_, err = s.Put(t.Context(), store.Payload, []byte("bad"), bad)
		})
		if !errors.Is(err, errBad) || errors.Join(g.errs...) != nil {
			t.Errorf("the bad one gives %v, the others %v", err, g.errs)
		}
		s.fs = disk
		wantKept(t, s, "before", append(g.list, g.first)...)
		wantKept(t, restarted(t, s), "after a restart", append(g.list, g.first)...)
	})
}
