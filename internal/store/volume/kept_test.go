package volume

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/vfs"
	"github.com/moraine-archive/moraine/internal/vfs/vfstest"
)

// What the tests of shared volumes have in common: records that a store has acknowledged, and the ways in which it comes back.

// kept is a record that a store has acknowledged.
type kept struct {
	store.Extent
	payload []byte
}

// ticking returns a clock that goes on by a millisecond whenever it is asked, so that the names of volumes are in the order in which they were begun.
func ticking() func() time.Time {
	var n atomic.Int64
	return func() time.Time { return start.Add(time.Duration(n.Add(1)) * time.Millisecond) }
}

// random returns bytes that only this label has.
func random(label string, size int) []byte {
	b := make([]byte, size)
	rand.NewChaCha8(sha256.Sum256([]byte(label))).Read(b)
	return b
}

// keep puts a record.
func keep(t testing.TB, s *Store, label string, size int) kept {
	t.Helper()
	b := random(label, size)
	return kept{put(t, s, label, b), b}
}

// keepMany puts so many records of one size.
func keepMany(t testing.TB, s *Store, n, size int) (list []kept) {
	t.Helper()
	for i := range n {
		list = append(list, keep(t, s, fmt.Sprintf("record %d of %d", i, n), size))
	}
	return list
}

func placesOf(list []kept) (places []store.Place) {
	for _, k := range list {
		places = append(places, k.Place)
	}
	return places
}

// volumeName returns the name of the volume that a place is in.
func volumeName(at store.Place) string { return string(at[:32]) }

// wantRead checks that a record is what was put.
func wantRead(t testing.TB, s *Store, what string, k kept) {
	t.Helper()
	x, err := s.Stat(t.Context(), k.Place)
	if err != nil || !same(x, k.Extent) {
		t.Errorf("%s: Stat(%s) of %q gives %v and %v", what, k.Place, k.Label, x, err)
	}
	if got, err := read(s, k.Place); err != nil || !bytes.Equal(got, k.payload) {
		t.Errorf("%s: the record %q gives %d bytes, want %d: %v", what, k.Label, len(got), len(k.payload), err)
	}
}

// wantKept checks that these records, and no others, are there.
func wantKept(t testing.TB, s *Store, what string, list ...kept) {
	t.Helper()
	for _, k := range list {
		wantRead(t, s, what, k)
	}
	var got []store.Place
	for _, x := range walked(t, s) {
		if x.Kind != 0 {
			got = append(got, x.Place)
		}
	}
	want := placesOf(list)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s: Walk gives %d records, want %d:\n%q\n%q", what, len(got), len(want), got, want)
	}
}

// wantRemoved checks that records are not there.
func wantRemoved(t testing.TB, s *Store, what string, list ...kept) {
	t.Helper()
	for _, k := range list {
		if _, err := s.Stat(t.Context(), k.Place); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: Stat of the removed record %q gives %v", what, k.Label, err)
		}
		if _, err := s.Open(t.Context(), k.Place, 0, k.Size); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: Open of the removed record %q gives %v", what, k.Label, err)
		}
	}
}

func remove(t testing.TB, s *Store, list ...kept) {
	t.Helper()
	if err := s.Remove(t.Context(), placesOf(list)...); err != nil {
		t.Fatal(err)
	}
}

// reopen opens the directory of a store, without closing the store before.
func reopen(t testing.TB, s *Store) *Store {
	t.Helper()
	again, err := Open(s.fs, s.dir, s.options, s.now)
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// restarted closes a store and opens its directory again.
func restarted(t testing.TB, s *Store) *Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return reopen(t, s)
}

// killed opens a copy of the directory of a store: it is what a store finds whose process was killed. The other one can go on.
func killed(t testing.TB, s *Store) *Store {
	t.Helper()
	if disk, simulated := s.fs.(*vfstest.Disk); simulated {
		return onDisk(t, disk.Clone(), s.options, s.now)
	}
	again := openWith(t, vfs.OS(), s.options, s.now)
	files, err := filepath.Glob(filepath.Join(s.dir, "*", "*"+suffix))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		to := filepath.Join(again.dir, filepath.Base(filepath.Dir(path)), filepath.Base(path))
		writeFile(t, to, readFile(t, path))
	}
	return reopen(t, again)
}

// onDisk opens a store on a disk of package vfstest.
func onDisk(t testing.TB, fsys vfs.FS, o Options, now func() time.Time) *Store {
	t.Helper()
	s, err := Open(fsys, "volumes", o, now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// volumesOf returns the shared volumes that Volumes gives, in the order of their names.
func volumesOf(t testing.TB, s *Store) (list []store.Volume) {
	t.Helper()
	all, err := s.Volumes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		if v.Shared {
			list = append(list, v)
		}
	}
	return list
}

// state returns what Volumes says of the volume of a place.
func state(t testing.TB, s *Store, at store.Place) store.Volume {
	t.Helper()
	for _, v := range volumesOf(t, s) {
		if v.Name == volumeName(at) {
			return v
		}
	}
	t.Fatalf("there is no volume %s", volumeName(at))
	return store.Volume{}
}

// inspected returns the damage that an inspection of all volumes finds, and the records.
func inspected(t testing.TB, s *Store, data bool) (damage []store.Damage, records []store.Extent) {
	t.Helper()
	all, err := s.Volumes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		err := s.Inspect(t.Context(), v.Name, store.Inspection{
			Data:   data,
			Record: func(x store.Extent) error { records = append(records, x); return nil },
			Damage: func(d store.Damage) error { damage = append(damage, d); return nil },
		})
		if err != nil {
			t.Fatalf("inspect volume %s: %v", v.Name, err)
		}
	}
	return damage, records
}

// wantSound checks that an inspection finds nothing.
func wantSound(t testing.TB, s *Store, what string) {
	t.Helper()
	if damage, _ := inspected(t, s, true); len(damage) > 0 {
		t.Errorf("%s: an inspection finds %v", what, damage)
	}
}

// logged is a log that tests look into.
type logged struct {
	mu sync.Mutex
	b  strings.Builder // guarded by mu
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

// has reports whether a text was logged, and forgets what was logged.
func (l *logged) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.b.Reset()
	return strings.Contains(l.b.String(), text)
}

// withLog returns options whose log is kept.
func withLog(o Options) (Options, *logged) {
	l := &logged{}
	o.Log = slog.New(slog.NewTextHandler(l, nil))
	return o, l
}

// sizeOf returns the length of the volume of a place.
func sizeOf(t testing.TB, s *Store, at store.Place) int64 {
	t.Helper()
	info, err := os.Stat(fileOf(t, s, at))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// faultOnce lets the next operation of a name on a shared volume fail.
func faultOnce(disk *vfstest.Disk, name string, f vfstest.Fault) {
	disk.Fault = func(op vfstest.Op) vfstest.Fault {
		if op.Name != name || !strings.Contains(op.Path, sharedDir) {
			return vfstest.Fault{}
		}
		disk.Fault = nil
		return f
	}
}
