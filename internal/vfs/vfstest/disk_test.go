package vfstest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/moraine-archive/moraine/internal/vfs"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// create makes a file, and writes to it at offset 0.
func create(t *testing.T, d *Disk, path, text string) vfs.File {
	t.Helper()
	f, err := d.Create(path)
	check(t, err)
	_, err = f.WriteAt([]byte(text), 0)
	check(t, err)
	return f
}

// durable makes a file that survives everything.
func durable(t *testing.T, d *Disk, path, text string) vfs.File {
	t.Helper()
	f := create(t, d, path, text)
	check(t, f.Sync())
	check(t, d.SyncDir("dir"))
	return f
}

// newDisk returns a disk with a directory.
func newDisk(t *testing.T) *Disk {
	t.Helper()
	d := New()
	check(t, d.MkdirAll("dir"))
	return d
}

// want checks what a file has; "-" stands for none.
func want(t *testing.T, d *Disk, what, path, text string) {
	t.Helper()
	b, err := d.ReadFile(path)
	if text == "-" {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %s has %q, %v, and must not be there", what, path, b, err)
		}
		return
	}
	if err != nil || string(b) != text {
		t.Errorf("%s: %s has %q, %v, want %q", what, path, b, err, text)
	}
}

// TestSurvival holds what is left of each thing that can be done to a file and its name: of what was not synced nothing, or all.
func TestSurvival(t *testing.T) {
	for _, c := range []struct {
		name                      string
		do                        func(t *testing.T, d *Disk)
		path, nothing, everything string
	}{
		{"a file that was synced, and its name", func(t *testing.T, d *Disk) { durable(t, d, "dir/a", "text") }, "dir/a", "text", "text"},
		{"a file that was synced, without its name", func(t *testing.T, d *Disk) {
			check(t, create(t, d, "dir/a", "text").Sync())
		}, "dir/a", "-", "text"},
		{"a name without its file", func(t *testing.T, d *Disk) {
			create(t, d, "dir/a", "text")
			check(t, d.SyncDir("dir"))
		}, "dir/a", "", "text"},
		{"a later write", func(t *testing.T, d *Disk) {
			_, err := durable(t, d, "dir/a", "text").WriteAt([]byte("is"), 1)
			check(t, err)
		}, "dir/a", "text", "tist"},
		{"a write behind the end", func(t *testing.T, d *Disk) {
			_, err := durable(t, d, "dir/a", "text").WriteAt([]byte("s"), 6)
			check(t, err)
		}, "dir/a", "text", "text\x00\x00s"},
		{"a truncation", func(t *testing.T, d *Disk) { check(t, durable(t, d, "dir/a", "text").Truncate(2)) }, "dir/a", "text", "te"},
		{"a truncation that lengthens", func(t *testing.T, d *Disk) {
			check(t, durable(t, d, "dir/a", "text").Truncate(5))
		}, "dir/a", "text", "text\x00"},
		{"a truncation that was synced", func(t *testing.T, d *Disk) {
			f := durable(t, d, "dir/a", "text")
			check(t, f.Truncate(2))
			check(t, f.Sync())
			_, err := f.WriteAt([]byte("am"), 2)
			check(t, err)
		}, "dir/a", "te", "team"},
		{"a removal", func(t *testing.T, d *Disk) {
			durable(t, d, "dir/a", "text")
			check(t, d.Remove("dir/a"))
		}, "dir/a", "text", "-"},
		{"a removal that was synced", func(t *testing.T, d *Disk) {
			durable(t, d, "dir/a", "text")
			check(t, d.Remove("dir/a"))
			check(t, d.SyncDir("dir"))
		}, "dir/a", "-", "-"},
		{"the old name of a file", renamed, "dir/a", "text", "-"},
		{"the new name of a file", renamed, "dir/b", "-", "text"},
		{"a file in place of another", func(t *testing.T, d *Disk) {
			durable(t, d, "dir/b", "old")
			renamed(t, d)
		}, "dir/b", "old", "text"},
		{"another file of the same name", func(t *testing.T, d *Disk) {
			durable(t, d, "dir/a", "text")
			check(t, d.Remove("dir/a"))
			check(t, create(t, d, "dir/a", "other").Sync())
		}, "dir/a", "text", "other"},
		{"a small file", func(t *testing.T, d *Disk) { check(t, d.WriteFile("dir/a", []byte("text"))) }, "dir/a", "text", "text"},
		{"a small file where one was removed", func(t *testing.T, d *Disk) {
			durable(t, d, "dir/a", "old")
			check(t, d.Remove("dir/a"))
			check(t, d.WriteFile("dir/a", []byte("text")))
		}, "dir/a", "text", "text"},
		{"a small file in place of another", func(t *testing.T, d *Disk) {
			check(t, d.WriteFile("dir/a", []byte("old")))
			check(t, d.WriteFile("dir/a", []byte("text")))
		}, "dir/a", "text", "text"},
	} {
		d := newDisk(t)
		c.do(t, d)
		want(t, d, c.name+", before", c.path, c.everything)
		want(t, d.Clone(), c.name+", of a clone", c.path, c.everything)
		want(t, d.Snapshot(Nothing, nil), c.name+", of a snapshot", c.path, c.nothing)
		want(t, d, c.name+", after a snapshot", c.path, c.everything)
		want(t, d.Reboot(Nothing, nil), c.name+", when nothing survives", c.path, c.nothing)
		want(t, d.Reboot(Everything, nil), c.name+", when everything does", c.path, c.everything)
		for seed := range uint64(20) {
			b, err := d.Reboot(Anything, rand.New(rand.NewPCG(seed, 0))).ReadFile(c.path)
			if err == nil && len(b) > max(len(c.nothing), len(c.everything)) {
				t.Errorf("%s: seed %d: there is %q", c.name, seed, b)
			}
		}
	}
}

func renamed(t *testing.T, d *Disk) {
	durable(t, d, "dir/a", "text")
	check(t, d.Rename("dir/a", "dir/b"))
}

// outcomes reboots a disk with many seeds, and returns what a file can have then; "-" stands for none.
func outcomes(d *Disk, path string) map[string]int {
	found := map[string]int{}
	for seed := range uint64(300) {
		b, err := d.Snapshot(Anything, rand.New(rand.NewPCG(seed, 7))).ReadFile(path)
		if err != nil {
			b = []byte("-")
		}
		found[string(b)]++
	}
	return found
}

// wantOutcomes checks that all of these can happen, and nothing else.
func wantOutcomes(t *testing.T, what string, got map[string]int, want ...string) {
	t.Helper()
	for _, w := range want {
		if got[w] == 0 {
			t.Errorf("%s: %.40q never happens", what, w)
		}
	}
	for g := range got {
		if !slices.Contains(want, g) {
			t.Errorf("%s: %.40q happens", what, g)
		}
	}
}

// A name can be there without its bytes, and bytes without their name.
func TestAnythingOfANewFile(t *testing.T) {
	d := newDisk(t)
	create(t, d, "dir/a", "text")
	wantOutcomes(t, "nothing was synced", outcomes(d, "dir/a"), "-", "", "text")
	check(t, d.SyncDir("dir"))
	wantOutcomes(t, "the name was synced", outcomes(d, "dir/a"), "", "text")
}

// Writes reach the disk in any order: the later one of two may be there without the earlier one.
func TestAnythingOfTwoWrites(t *testing.T) {
	d := newDisk(t)
	f := durable(t, d, "dir/a", "....")
	for i, text := range []string{"1", "2"} {
		_, err := f.WriteAt([]byte(text), int64(3*i))
		check(t, err)
	}
	wantOutcomes(t, "two writes", outcomes(d, "dir/a"), "....", "1...", "...2", "1..2")
}

// A write is torn at sectors, and never inside one; what is missing before the end of a file is zeros.
func TestAnythingOfALongWrite(t *testing.T) {
	d := newDisk(t)
	f := durable(t, d, "dir/a", "")
	const before = 100 // the first sector boundary is in the middle of the first piece
	pieces := [][]byte{bytes.Repeat([]byte("1"), sector-before), bytes.Repeat([]byte("2"), sector), bytes.Repeat([]byte("3"), 10)}
	_, err := f.WriteAt(slices.Concat(pieces...), before)
	check(t, err)
	var want []string
	for choice := range 8 {
		b := make([]byte, before)
		end := 0
		for i, p := range pieces {
			if choice>>i&1 == 0 {
				p = make([]byte, len(p))
			} else {
				end = len(b) + len(p)
			}
			b = append(b, p...)
		}
		want = append(want, string(b[:end]))
	}
	wantOutcomes(t, "a write of three sectors", outcomes(d, "dir/a"), want...)
}

// A file that was renamed has one of its names, whatever happens: a journal keeps the two together.
func TestAnythingOfARename(t *testing.T) {
	d := newDisk(t)
	renamed(t, d)
	for seed := range uint64(50) {
		after := d.Snapshot(Anything, rand.New(rand.NewPCG(seed, 0)))
		if files := after.Files(); len(files) != 1 {
			t.Errorf("seed %d: the files are %q", seed, files)
		}
	}
	wantOutcomes(t, "the old name", outcomes(d, "dir/a"), "-", "text")
	wantOutcomes(t, "a truncation", outcomes(truncated(t), "dir/a"), "text", "te")
}

func truncated(t *testing.T) *Disk {
	d := newDisk(t)
	check(t, durable(t, d, "dir/a", "text").Truncate(2))
	return d
}

// TestRebootIsDeterministic reboots two disks with the same history: with one seed, they are the same.
func TestRebootIsDeterministic(t *testing.T) {
	history := func() *Disk {
		d := newDisk(t)
		for i := range 10 {
			f := create(t, d, fmt.Sprintf("dir/%d", i), "some text")
			if i%2 == 0 {
				check(t, f.Sync())
			}
			_, err := f.WriteAt(bytes.Repeat([]byte{byte(i)}, 3000), int64(100*i))
			check(t, err)
		}
		return d
	}
	contents := func(d *Disk) (list []string) {
		for _, path := range d.Files() {
			b, err := d.ReadFile(path)
			check(t, err)
			list = append(list, path, string(b))
		}
		return list
	}
	one, other := history(), history()
	different := 0
	for seed := range uint64(20) {
		a := contents(one.Snapshot(Anything, rand.New(rand.NewPCG(seed, 0))))
		b := contents(other.Snapshot(Anything, rand.New(rand.NewPCG(seed, 0))))
		if !slices.Equal(a, b) {
			t.Errorf("seed %d gives two disks", seed)
		}
		if c := contents(one.Snapshot(Anything, rand.New(rand.NewPCG(seed+100, 0)))); !slices.Equal(a, c) {
			different++
		}
	}
	if different < 15 {
		t.Errorf("of 20 pairs of seeds %d give different disks", different)
	}
}

// After a crash nothing works, on files that are open neither; after a reboot everything does, and locks are free.
func TestCrash(t *testing.T) {
	d := newDisk(t)
	f := durable(t, d, "dir/a", "text")
	_, err := d.Lock("dir/lock")
	check(t, err)
	d.Crash()
	before := d.Ops()
	for name, do := range operations(d, f) {
		if err := do(); !errors.Is(err, ErrCrashed) {
			t.Errorf("%s after a crash: %v", name, err)
		}
	}
	if d.Ops() != before {
		t.Errorf("%d operations count that came after the crash", d.Ops()-before)
	}
	check(t, f.Close())
	after := d.Reboot(Nothing, nil)
	want(t, after, "after the reboot", "dir/a", "text")
	_, err = after.Lock("dir/lock")
	check(t, err)
	if _, err := d.ReadFile("dir/a"); !errors.Is(err, ErrCrashed) {
		t.Errorf("the old disk after the reboot: %v", err)
	}
}

// operations are all that reach the disk, by their names in Op.
func operations(d *Disk, f vfs.File) map[string]func() error {
	return map[string]func() error{
		"create":    func() error { _, err := d.Create("dir/new"); return err },
		"open":      func() error { _, err := d.Open("dir/a"); return err },
		"read":      func() error { _, err := f.ReadAt(make([]byte, 4), 0); return err },
		"write":     func() error { _, err := f.WriteAt([]byte("more"), 0); return err },
		"truncate":  func() error { return f.Truncate(3) },
		"sync":      f.Sync,
		"rename":    func() error { return d.Rename("dir/a", "dir/b") },
		"remove":    func() error { return d.Remove("dir/a") },
		"syncdir":   func() error { return d.SyncDir("dir") },
		"mkdir":     func() error { return d.Mkdir("dir/sub") },
		"list":      func() error { _, err := d.List("dir"); return err },
		"readfile":  func() error { _, err := d.ReadFile("dir/a"); return err },
		"writefile": func() error { return d.WriteFile("dir/small", nil) },
		"lock":      func() error { _, err := d.Lock("dir/lock"); return err },
		"commit":    func() error { return d.Operation("commit", "rows").Err },
	}
}

// TestFaults lets each operation fail: without its effect, after it, and by a crash on either side of it.
func TestFaults(t *testing.T) {
	effects := map[string]func(d *Disk) bool{ // of those that change something that can be seen
		"create":    func(d *Disk) bool { return slices.Contains(d.Files(), "dir/new") },
		"write":     func(d *Disk) bool { b, _ := d.ReadFile("dir/a"); return string(b) == "more" },
		"truncate":  func(d *Disk) bool { b, _ := d.ReadFile("dir/a"); return string(b) == "tex" },
		"rename":    func(d *Disk) bool { return slices.Contains(d.Files(), "dir/b") },
		"remove":    func(d *Disk) bool { return len(d.Files()) == 0 },
		"writefile": func(d *Disk) bool { return slices.Contains(d.Files(), "dir/small") },
	}
	for _, after := range []bool{false, true} {
		for _, crash := range []bool{false, true} {
			for name := range operations(nil, &file{}) {
				d := newDisk(t)
				f := durable(t, d, "dir/a", "text")
				fault := Fault{Err: ErrIO, After: after}
				if crash {
					fault = Fault{Crash: true, After: after}
				}
				var seen []string
				d.Fault = func(op Op) Fault { seen = append(seen, op.Name); return fault }
				err := operations(d, f)[name]()
				d.Fault = nil
				wantErr := ErrIO.Error()
				if crash {
					wantErr = ErrCrashed.Error()
				}
				if err == nil || !slices.Equal(seen, []string{name}) || !(errors.Is(err, ErrIO) && !crash || errors.Is(err, ErrCrashed) && crash) {
					t.Errorf("%s (after: %t): %v, want %s; the operations were %q", name, after, err, wantErr, seen)
				}
				if effect := effects[name]; effect != nil && effect(d.Snapshot(Everything, nil)) != after {
					t.Errorf("%s (after: %t, crash: %t): it has its effect: %t", name, after, crash, !after)
				}
				if _, err := d.List("dir"); (err != nil) != crash {
					t.Errorf("%s (after: %t, crash: %t): the next operation gives %v", name, after, crash, err)
				}
			}
		}
	}
}

// Half of a write can have happened when it fails.
func TestShortWrite(t *testing.T) {
	d := newDisk(t)
	f := durable(t, d, "dir/a", "....")
	d.Fault = func(Op) Fault { return Fault{Err: ErrNoSpace, Short: true} }
	n, err := f.WriteAt([]byte("1234"), 0)
	d.Fault = nil
	if n != 2 || !errors.Is(err, ErrNoSpace) {
		t.Errorf("a short write gives %d, %v", n, err)
	}
	want(t, d, "after a short write", "dir/a", "12..")
}

// TestLie has syncs that are not done: all looks well until the power fails.
func TestLie(t *testing.T) {
	d := newDisk(t)
	durable(t, d, "dir/a", "text")
	d.Fault = func(op Op) Fault { return Fault{Lie: op.Name == "sync" || op.Name == "syncdir"} }
	f, err := d.Reopen("dir/a")
	check(t, err)
	_, err = f.WriteAt([]byte("lost"), 0)
	check(t, err)
	check(t, f.Sync())
	durable(t, d, "dir/b", "gone")
	want(t, d, "before", "dir/a", "lost")
	want(t, d.Snapshot(Nothing, nil), "after a lie", "dir/a", "text")
	want(t, d.Snapshot(Nothing, nil), "after a lie", "dir/b", "-")
	d.Fault = nil
	check(t, f.Sync())
	check(t, d.SyncDir("dir"))
	want(t, d.Snapshot(Nothing, nil), "after an honest sync", "dir/a", "lost")
	want(t, d.Snapshot(Nothing, nil), "after an honest sync, but of the name only", "dir/b", "")
}

// A disk without room does what it can of a write, and takes more when there is room.
func TestLimit(t *testing.T) {
	d := newDisk(t)
	f := durable(t, d, "dir/a", "text")
	durable(t, d, "dir/b", "1234")
	d.Limit(10)
	if n, err := f.WriteAt([]byte("TEXT and more"), 0); n != 6 || !errors.Is(err, ErrNoSpace) {
		t.Errorf("a write of 13 bytes into 4, with room for 2, gives %d, %v", n, err)
	}
	want(t, d, "on a full disk", "dir/a", "TEXT a")
	_, err := f.WriteAt([]byte("over"), 2)
	check(t, err)
	if _, err := f.WriteAt([]byte("x"), 100); !errors.Is(err, ErrNoSpace) {
		t.Errorf("a write far behind the end of a full disk gives %v", err)
	}
	check(t, d.Remove("dir/b"))
	n, err := f.WriteAt([]byte("more"), 6)
	check(t, err)
	d.Limit(0)
	_, err = f.WriteAt(make([]byte, 1000), 0)
	if check(t, err); n != 4 || d.Used() != 1000 || d.Size("dir/a") != 1000 {
		t.Errorf("%d, and %d bytes are used", n, d.Used())
	}
}

// A byte that rots is another on the medium too, and in what is still on its way.
func TestCorrupt(t *testing.T) {
	d := newDisk(t)
	f := durable(t, d, "dir/a", "text")
	_, err := f.WriteAt([]byte("!!"), 4)
	check(t, err)
	d.Corrupt("dir/a", 0, 1)
	d.Corrupt("dir/a", 5, 2)
	want(t, d, "before", "dir/a", "uext!#")
	want(t, d.Snapshot(Nothing, nil), "after a reboot", "dir/a", "uext")
	want(t, d.Clone(), "of a clone", "dir/a", "uext!#")
}

// A clone is another disk.
func TestClone(t *testing.T) {
	d := newDisk(t)
	f := create(t, d, "dir/a", "text")
	clone := d.Clone()
	_, err := f.WriteAt([]byte("T"), 0)
	check(t, err)
	check(t, clone.Remove("dir/a"))
	want(t, d, "the first", "dir/a", "Text")
	want(t, clone, "the clone", "dir/a", "-")
	check(t, clone.WriteFile("dir/b", nil))
	want(t, d, "the first", "dir/b", "-")
	d.Crash()
	want(t, d.Clone(), "a clone after a crash", "dir/a", "Text")
	if _, err := d.List("dir"); !errors.Is(err, ErrCrashed) {
		t.Errorf("the disk is up after it was cloned: %v", err)
	}
}

// What is written to a file without a name is lost: to sync it is an error, as package vfs says.
func TestFileWithoutAName(t *testing.T) {
	for what, take := range map[string]func(d *Disk) error{
		"removed":            func(d *Disk) error { return d.Remove("dir/a") },
		"replaced":           func(d *Disk) error { return d.Rename("dir/b", "dir/a") },
		"replaced by a file": func(d *Disk) error { return d.WriteFile("dir/a", nil) },
	} {
		d := newDisk(t)
		f := durable(t, d, "dir/a", "text")
		durable(t, d, "dir/b", "other")
		check(t, take(d))
		b := make([]byte, 4)
		if _, err := f.ReadAt(b, 0); err != nil || string(b) != "text" {
			t.Errorf("%s: it has %q, %v", what, b, err)
		}
		if err := f.Sync(); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: Sync gives %v", what, err)
		}
	}
	d := newDisk(t)
	f := durable(t, d, "dir/a", "text")
	check(t, d.Rename("dir/a", "dir/a"))
	check(t, d.Rename("dir/a", "dir/b"))
	check(t, f.Sync())
}

// TestErrors holds the errors that package vfs promises.
func TestErrors(t *testing.T) {
	d := newDisk(t)
	f := durable(t, d, "dir/a", "text")
	_, exists := d.Create("dir/a")
	_, noDir := d.Create("nowhere/a")
	_, noFile := d.Open("dir/none")
	_, noReopen := d.Reopen("dir/none")
	_, noRead := d.ReadFile("dir/none")
	_, noList := d.List("nowhere")
	free, err := d.Lock("dir/lock")
	check(t, err)
	_, locked := d.Lock("dir/lock")
	check(t, free.Close())
	_, err = d.Lock("dir/lock")
	check(t, err)
	check(t, f.Close())
	_, closed := f.ReadAt(make([]byte, 1), 0)
	_, closedToo := f.WriteAt(make([]byte, 1), 0)
	for _, c := range []struct {
		what      string
		got, want error
	}{
		{"Create of a file that is there", exists, fs.ErrExist}, {"Create without a directory", noDir, fs.ErrNotExist},
		{"Open of no file", noFile, fs.ErrNotExist}, {"Reopen of no file", noReopen, fs.ErrNotExist}, {"ReadFile of no file", noRead, fs.ErrNotExist},
		{"List of no directory", noList, fs.ErrNotExist}, {"Remove of no file", d.Remove("dir/none"), fs.ErrNotExist},
		{"Rename of no file", d.Rename("dir/none", "dir/b"), fs.ErrNotExist}, {"SyncDir of no directory", d.SyncDir("nowhere"), fs.ErrNotExist},
		{"WriteFile without a directory", d.WriteFile("nowhere/a", nil), fs.ErrNotExist}, {"a lock that is taken", locked, vfs.ErrLocked},
		{"a read of a closed file", closed, fs.ErrClosed}, {"a write to a closed file", closedToo, fs.ErrClosed}, {"a sync of a closed file", f.Sync(), fs.ErrClosed},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s: %v, want %v", c.what, c.got, c.want)
		}
	}
	if err := d.Rename("dir/a", "a"); err == nil {
		t.Error("Rename to another directory: no error")
	}
}

// TestReads holds what io.ReaderAt promises, and what List, Size and Files say.
func TestReads(t *testing.T) {
	d := newDisk(t)
	f := durable(t, d, "dir/a", "text")
	for _, c := range []struct {
		n, off int
		want   string
		err    error
	}{{4, 0, "text", nil}, {2, 1, "ex", nil}, {5, 0, "text", io.EOF}, {1, 4, "", io.EOF}, {1, 9, "", io.EOF}} {
		b := make([]byte, c.n)
		if n, err := f.ReadAt(b, int64(c.off)); string(b[:n]) != c.want || err != c.err {
			t.Errorf("%d bytes at %d: %q, %v", c.n, c.off, b[:n], err)
		}
	}
	check(t, d.Mkdir("dir/sub"))
	check(t, d.Mkdir("dir/sub"))
	create(t, d, "dir/B", "more")
	names, err := d.List("dir/")
	if check(t, err); !slices.Equal(names, []string{"B", "a", "sub"}) || !slices.Equal(d.Files(), []string{"dir/B", "dir/a"}) {
		t.Errorf("the names are %q, the files %q", names, d.Files())
	}
	if size, err := f.Size(); err != nil || size != 4 || d.Size("dir/a") != 4 || d.Used() != 8 {
		t.Errorf("%d bytes, %v; %d are used", size, err, d.Used())
	}
	names, err = d.Reboot(Nothing, nil).List("dir")
	if check(t, err); !slices.Equal(names, []string{"a", "sub"}) {
		t.Errorf("after a reboot the names are %q", names)
	}
}

// Operation counts what something else does, and lets it fail like everything else.
func TestOperation(t *testing.T) {
	d := newDisk(t)
	var ops []Op
	d.Fault = func(op Op) Fault {
		ops = append(ops, op)
		return Fault{Crash: op.Name == "commit", After: true}
	}
	before := d.Ops()
	durable(t, d, "dir/a", "text") // create, write, sync, syncdir
	if f := d.Operation("commit", "rows"); f.Err != ErrCrashed || !f.After {
		t.Errorf("the operation gives %+v", f)
	}
	last := Op{before + 4, "commit", "rows"}
	if len(ops) != 5 || ops[4] != last || d.Ops() != before+5 {
		t.Errorf("the operations are %v, and %d", ops, d.Ops())
	}
	if f := d.Operation("commit", "rows"); f.Err != ErrCrashed || f.After {
		t.Errorf("an operation after the crash gives %+v", f)
	}
}
