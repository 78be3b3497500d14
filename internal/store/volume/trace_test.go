package volume

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/vfs"
)

var update = flag.Bool("update", false, "write the files of testdata anew")

// A tracedFS writes down what is done to the files below it, and can let one operation fail.
type tracedFS struct {
	vfs.FS

	mu       sync.Mutex
	log      []string
	failAt   int  // the number of the operation that fails, the first is 1; 0: none
	applied  bool // it is done nevertheless: the medium took it and could not say so
	failures int
}

var errInjected = errors.New("injected failure")

// note writes an operation down and does it.
func (f *tracedFS) note(do func() error, format string, args ...any) error {
	f.mu.Lock()
	f.log = append(f.log, fmt.Sprintf(format, args...))
	fail := len(f.log) == f.failAt
	if fail {
		f.failures++
	}
	f.mu.Unlock()
	if fail && !f.applied {
		return errInjected
	}
	if err := do(); err != nil {
		return err
	}
	if fail {
		return errInjected
	}
	return nil
}

// reset begins a new trace.
func (f *tracedFS) reset(failAt int, applied bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log, f.failAt, f.applied, f.failures = nil, failAt, applied, 0
}

// volumeNames are replaced in a trace: they are made at random.
var volumeNames = regexp.MustCompile(`^[0-9a-f]{32}\.vol$`) // read only

func showFile(path string) string {
	if name := filepath.Base(path); !volumeNames.MatchString(name) {
		return name
	}
	return "VOLUME"
}

func showDir(path string) string {
	switch name := filepath.Base(path); {
	case name == sharedDir:
		return "SHARED"
	case len(name) == 2:
		return "DIRECTORY"
	}
	return "STORE"
}

func (f *tracedFS) Create(path string) (file vfs.File, err error) {
	err = f.note(func() error {
		file, err = f.FS.Create(path)
		return err
	}, "create %s", showFile(path))
	if err != nil {
		if file != nil {
			file.Close()
		}
		return nil, err
	}
	return &tracedFile{file, f}, nil
}

func (f *tracedFS) Reopen(path string) (file vfs.File, err error) {
	err = f.note(func() error {
		file, err = f.FS.Reopen(path)
		return err
	}, "reopen %s", showFile(path))
	if err != nil {
		return nil, err
	}
	return &tracedFile{file, f}, nil
}

func (f *tracedFS) Remove(path string) error {
	return f.note(func() error { return f.FS.Remove(path) }, "remove %s", showFile(path))
}

func (f *tracedFS) SyncDir(path string) error {
	return f.note(func() error { return f.FS.SyncDir(path) }, "syncdir %s", showDir(path))
}

type tracedFile struct {
	vfs.File
	fs *tracedFS
}

func (f *tracedFile) WriteAt(b []byte, off int64) (n int, err error) {
	err = f.fs.note(func() error {
		n, err = f.File.WriteAt(b, off)
		return err
	}, "write VOLUME %d bytes at %d", len(b), off)
	return n, err
}

func (f *tracedFile) Truncate(size int64) error {
	return f.fs.note(func() error { return f.File.Truncate(size) }, "truncate VOLUME to %d", size)
}

func (f *tracedFile) Sync() error { return f.fs.note(f.File.Sync, "sync VOLUME") }

func (f *tracedFile) Close() error { return f.fs.note(f.File.Close, "close VOLUME") }

func openTraced(t *testing.T) (*Store, *tracedFS) {
	traced := &tracedFS{FS: vfs.OS()}
	s := openAt(t, traced, startClock)
	traced.reset(0, false)
	return s, traced
}

// TestTrace holds the order of operations that durability rests on: all bytes are written, then synced, then the name is, and
// only then does Put return. A lost sync shows as a difference here.
func TestTrace(t *testing.T) {
	s, traced := openTraced(t)
	var trace strings.Builder
	step := func(name string, do func() error) {
		traced.reset(0, false)
		if err := do(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		fmt.Fprintf(&trace, "# %s\n%s\n", name, strings.Join(append(traced.log, ""), "\n"))
	}
	var x store.Extent
	for _, size := range []int{0, 10, 2*mib + 10} {
		step(fmt.Sprintf("Put of %d bytes with a label of 5", size), func() (err error) {
			x, err = s.Put(t.Context(), store.Payload, []byte("label"), payload(pattern(size)))
			return err
		})
	}
	step("Remove", func() error { return s.Remove(t.Context(), x.Place) })
	step("Remove of what is not there", func() error { return s.Remove(t.Context(), x.Place) })
	step("Stat and Walk", func() error {
		all := walked(t, s)
		_, err := s.Stat(t.Context(), all[0].Place)
		return err
	})
	s = openWith(t, traced, Defaults(), startClock)
	traceShared(t, s, step)
	golden(t, "testdata/trace.txt", trace.String())
}

// traceShared traces what happens to a shared volume: in each step what is added is synced once, and then counts.
func traceShared(t *testing.T, s *Store, step func(string, func() error)) {
	var list []store.Place
	for _, what := range []string{"a new volume", "the volume in use", "the volume in use, again", "the volume in use, once more"} {
		step("Put of 10 bytes with a label of 5 into "+what, func() error {
			x, err := s.Put(t.Context(), store.Payload, []byte("label"), payload(pattern(10)))
			list = append(list, x.Place)
			return err
		})
	}
	step("Put of 1 MiB, for which more room is made", func() error {
		_, err := s.Put(t.Context(), store.Payload, []byte("label"), payload(pattern(mib)))
		return err
	})
	step("Remove of a record of a shared volume", func() error { return s.Remove(t.Context(), list[0]) })
	step("Remove of several at once, of which one was removed", func() error { return s.Remove(t.Context(), list[:3]...) })
	step("Remove of what was removed", func() error { return s.Remove(t.Context(), list[0]) })
	step("Close", s.Close)
	step("Close again", s.Close)
	if _, err := s.Put(t.Context(), store.Payload, nil, payload(nil)); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("a Put after Close gives %v", err)
	}
	step("Open and Put of 10 bytes with a label of 5 into the volume that was closed", func() (err error) {
		if s, err = Open(s.fs, s.dir, s.options, startClock); err != nil {
			return err
		}
		_, err = s.Put(t.Context(), store.Payload, []byte("label"), payload(pattern(10)))
		return err
	})
	step("Open after a kill", func() (err error) {
		s, err = Open(s.fs, s.dir, s.options, startClock)
		return err
	})
	step("Compact into a new volume", func() error {
		done, err := s.Compact(t.Context(), volumeName(list[3]), moveAll)
		if err == nil && !done.Gone {
			err = errors.New("the volume is still there")
		}
		return err
	})
}

// golden compares a text with a file of testdata.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		writeFile(t, path, []byte(got))
	}
	if want := string(readFile(t, path)); got != want {
		t.Errorf("%s is not what happens (go test -update writes it anew). Now:\n%s", path, got)
	}
}

// TestPutWithAFailingDisk lets each operation of a Put fail in turn: once without effect, once done but reported as failed.
func TestPutWithAFailingDisk(t *testing.T) {
	for _, applied := range []bool{false, true} {
		s, traced := openTraced(t)
		var kept []store.Extent
		k := 1
		for ; ; k++ {
			traced.reset(k, applied)
			x, err := s.Put(t.Context(), store.Payload, []byte("failing"), payload(pattern(mib+10)))
			if traced.failures == 0 || err == nil {
				break
			}
			what := fmt.Sprintf("operation %d (%s, done nevertheless: %t)", k, traced.log[k-1], applied)
			if !errors.Is(err, errInjected) || x.Place != "" {
				t.Errorf("%s: Put gives %q and %v", what, x.Place, err)
			}
			traced.reset(0, false)
			kept = append(kept, put(t, s, what, pattern(mib+10)))
			wantOnly(t, s, what, kept)
		}
		if want := 8; k-1 != want { // create, two leaves, trailer, head, sync, close, syncdir
			t.Errorf("%d operations of a Put can fail, want %d", k-1, want)
		}
	}
}

// wantOnly checks that these records are there, can be read, and that no other is complete.
func wantOnly(t *testing.T, s *Store, what string, want []store.Extent) {
	t.Helper()
	complete := 0
	for _, x := range walked(t, s) {
		if x.Kind != 0 {
			complete++
		}
	}
	if complete != len(want) {
		t.Errorf("%s: there are %d complete records, want %d", what, complete, len(want))
	}
	last := want[len(want)-1]
	if got, err := read(s, last.Place); err != nil || !bytes.Equal(got, pattern(int(last.Size))) {
		t.Errorf("%s: the record that was put after it gives %d bytes and %v", what, len(got), err)
	}
}

func TestRemoveWithAFailingDisk(t *testing.T) {
	for _, applied := range []bool{false, true} {
		for k := 1; k <= 2; k++ { // remove, syncdir
			s, traced := openTraced(t)
			x := put(t, s, "label", pattern(10))
			traced.reset(k, applied)
			if err := s.Remove(t.Context(), x.Place); !errors.Is(err, errInjected) {
				t.Errorf("operation %d (done nevertheless: %t): Remove gives %v", k, applied, err)
			}
			traced.reset(0, false)
			if err := s.Remove(t.Context(), x.Place); err != nil {
				t.Errorf("operation %d (done nevertheless: %t): a second Remove gives %v", k, applied, err)
			}
			if last := traced.log[len(traced.log)-1]; last != "syncdir DIRECTORY" {
				t.Errorf("operation %d (done nevertheless: %t): a second Remove ends with %q", k, applied, last)
			}
			if all := walked(t, s); len(all) > 0 {
				t.Errorf("operation %d (done nevertheless: %t): %d records are left", k, applied, len(all))
			}
		}
	}
}

// A failed Put removes what it has written. If that fails too, Walk gives what is left, so that a sweep removes it.
func TestPutThatCannotTidyUp(t *testing.T) {
	s, traced := openTraced(t)
	traced.reset(6, false) // the sync, after everything is written
	removing := &failingRemove{FS: traced}
	s.fs = removing
	if _, err := s.Put(t.Context(), store.Payload, []byte("label"), payload(pattern(mib+10))); !errors.Is(err, errInjected) {
		t.Fatalf("Put gives %v", err)
	}
	if removing.times != 1 {
		t.Errorf("Put tried %d times to remove its volume", removing.times)
	}
	if all := walked(t, s); len(all) != 1 {
		t.Errorf("Walk gives %d records, want the one that is left", len(all))
	}
}

type failingRemove struct {
	vfs.FS
	times int
}

func (f *failingRemove) Remove(string) error { f.times++; return errInjected }
