package volume

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/vfs"
	"github.com/moraine-archive/moraine/internal/vfs/vfstest"
)

// everyKind puts records of every kind and many sizes: those of up to 1 MiB share a volume.
func everyKind(t testing.TB, s *Store) (list []kept) {
	t.Helper()
	for _, size := range []int{0, 1, 7, 8, 9, 4095, 4096, 100_000, mib - 1, mib, mib + 1} {
		list = append(list, keep(t, s, strings.Repeat("l", size%100), size))
	}
	list = append(list, keep(t, s, strings.Repeat("long", maxLabel/4), 10))
	for kind, size := range map[store.Kind]int{store.Manifest: 300, store.Tombstone: 0} {
		b := random("kind", size)
		x, err := s.Put(t.Context(), kind, []byte("kind"), payload(b))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, kept{x, b})
	}
	return list
}

// comebacks are the ways in which a store comes back: after a Close it reads the index, otherwise everything.
var comebacks = []struct {
	name  string
	back  func(testing.TB, *Store) *Store
	reads bool // everything
}{ // read only
	{"after a restart", restarted, false},
	{"after a kill", killed, true},
}

func TestSharedRecordsComeBack(t *testing.T) {
	for _, c := range comebacks {
		o, log := withLog(Defaults())
		s := openWith(t, vfs.OS(), o, ticking())
		list := everyKind(t, s)
		wantKept(t, s, "before", list...)
		if v := volumesOf(t, s); len(v) != 1 || !v[0].InUse || v[0].Failed || v[0].Dead != 0 {
			t.Errorf("before: the volumes are %+v, want one that is in use", v)
		}
		wantSound(t, s, "before")
		for range 2 { // the second time it is the work of the first
			s = c.back(t, s)
			if read := log.has("was not closed"); read != c.reads {
				t.Errorf("%s: the volume was read whole: %t", c.name, read)
			}
			wantKept(t, s, c.name, list...)
			wantSound(t, s, c.name)
			if v := volumesOf(t, s); len(v) != 1 || v[0].InUse || v[0].Failed || v[0].Bytes != sizeOf(t, s, list[0].Place) {
				t.Errorf("%s: the volumes are %+v, want one of %d bytes that is not in use", c.name, v, sizeOf(t, s, list[0].Place))
			}
			if c.reads {
				break // what was found was closed then
			}
		}
	}
}

// The scan closes what it has read: the next start reads the index.
func TestRecoveryIsDoneOnce(t *testing.T) {
	o, log := withLog(Defaults())
	s := openWith(t, vfs.OS(), o, ticking())
	list := keepMany(t, s, 10, 100)
	s = killed(t, s)
	log.has("")
	s = reopen(t, s)
	if log.has("was not closed") {
		t.Error("the volume is read whole at the second start too")
	}
	wantKept(t, s, "at the second start", list...)
}

func TestVolumeIsSealedWhenItIsFull(t *testing.T) {
	o := small()
	s := openWith(t, vfs.OS(), o, ticking())
	list := keepMany(t, s, 60, 4000)
	check := func(what string) {
		t.Helper()
		volumes := volumesOf(t, s)
		if len(volumes) != 4 { // each has room for 15
			t.Errorf("%s: there are %d volumes", what, len(volumes))
		}
		for i, v := range volumes {
			if v.InUse && i < len(volumes)-1 || v.Bytes > o.VolumeSize+2000 || v.Failed {
				t.Errorf("%s: volume %d of %d is %+v", what, i, len(volumes), v)
			}
		}
		wantKept(t, s, what, list...)
		wantSound(t, s, what)
	}
	check("before")
	sealed := readFile(t, fileOf(t, s, list[0].Place))
	if c, err := decodeClosing(sealed[len(sealed)-closingSize:], frame{volumeID(sealed[16:32]), true}, int64(len(sealed)-closingSize)); err != nil || !c.finished {
		t.Errorf("a volume that is full ends with %+v, %v", c, err)
	}
	for _, c := range comebacks {
		s = c.back(t, s)
		check(c.name)
	}
	list = append(list, keepMany(t, s, 3, 4000)...)
	if again := readFile(t, fileOf(t, s, list[0].Place)); !bytes.Equal(again, sealed) {
		t.Error("a volume that was full has changed")
	}
}

// A record that is longer than a volume may be has one of its own among the shared ones.
func TestRecordThatIsLongerThanAVolume(t *testing.T) {
	s := openWith(t, vfs.OS(), small(), ticking())
	list := []kept{keep(t, s, "first", 100_000), keep(t, s, "second", 200_000), keep(t, s, "third", 10), keep(t, s, "fourth", 10)}
	for _, c := range comebacks {
		wantKept(t, s, c.name, list...)
		s = c.back(t, s)
	}
	if n := len(volumesOf(t, s)); n != 3 {
		t.Errorf("there are %d volumes, want 3", n)
	}
}

// A volume has a limited number of records: its index is to stay small.
func TestVolumeIsSealedAtANumberOfRecords(t *testing.T) {
	s := openWith(t, vfs.OS(), Defaults(), ticking())
	first := keep(t, s, "first", 10)
	s.current.numbers = maxRecords - 2 // as if there were so many
	last, next := keep(t, s, "last", 10), keep(t, s, "next", 10)
	if volumeName(first.Place) != volumeName(last.Place) || volumeName(last.Place) == volumeName(next.Place) {
		t.Errorf("the records are at %s, %s and %s", first.Place, last.Place, next.Place)
	}
	if v := state(t, s, last.Place); v.InUse || v.Failed {
		t.Errorf("the volume that has enough records is %+v", v)
	}
	for _, c := range comebacks {
		s = c.back(t, s)
		wantKept(t, s, c.name, first, last, next)
	}
}

// A volume that was closed is gone on with after a restart: one that is started often does not make many.
func TestClosedVolumeIsGoneOnWith(t *testing.T) {
	s := openWith(t, vfs.OS(), Defaults(), ticking())
	var list []kept
	for i := range 5 {
		for range i {
			list = append(list, keep(t, s, strings.Repeat("x", len(list)), 1000*i))
		}
		s = restarted(t, s)
		wantKept(t, s, "after a restart", list...)
		wantSound(t, s, "after a restart")
		wantKept(t, killed(t, s), "and a kill", list...)
	}
	if n := len(volumesOf(t, s)); n != 1 {
		t.Errorf("there are %d volumes after 5 restarts", n)
	}
	last := keep(t, s, "last", 10)
	back := killed(t, s)
	wantKept(t, back, "after a kill", append(list, last)...)
	wantSound(t, back, "after a kill")
}

// Open and Close alone write nothing.
func TestRestartWithoutAPutChangesNothing(t *testing.T) {
	s := openWith(t, vfs.OS(), Defaults(), ticking())
	x := keep(t, s, "label", 100)
	s = restarted(t, s)
	before := readFile(t, fileOf(t, s, x.Place))
	s = restarted(t, restarted(t, s))
	if after := readFile(t, fileOf(t, s, x.Place)); !bytes.Equal(after, before) {
		t.Errorf("the volume of %d bytes has %d after two restarts", len(before), len(after))
	}
}

// After a kill nobody knows whether a sync had failed: the volume is not written to again, ever.
func TestRecoveredVolumeIsNotGoneOnWith(t *testing.T) {
	s := openWith(t, vfs.OS(), Defaults(), ticking())
	old := keep(t, s, "old", 100)
	s = killed(t, s)
	before := readFile(t, fileOf(t, s, old.Place))
	var list []kept
	for range 3 {
		list = append(list, keep(t, s, "new", 100))
		if volumeName(list[0].Place) == volumeName(old.Place) {
			t.Fatal("a record was added to a volume that was read after a kill")
		}
		s = restarted(t, s)
	}
	if after := readFile(t, fileOf(t, s, old.Place)); !bytes.Equal(after, before) {
		t.Error("a volume that was read after a kill has changed")
	}
	wantKept(t, s, "in the end", append(list, old)...)
}

// TestKilledInsideAGroup cuts the volume off at every length, as a kill in the middle of the last write leaves it: with zeros that were written ahead, and without.
func TestKilledInsideAGroup(t *testing.T) {
	disk := vfstest.New()
	s := onDisk(t, disk, small(), ticking())
	list := keepMany(t, s, 2, 20)
	last := keep(t, s, "last", 20)
	path := fileOf(t, s, last.Place)
	file, err := disk.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, from, _ := parsePlace(last.Place)
	h := recordHeader{label: uint32(len(last.Label)), payload: last.Size}
	for size := from; size <= from+h.size(); size++ {
		for _, ahead := range []int64{0, 1000} {
			if err := disk.WriteFile(path, append(bytes.Clone(file[:size]), make([]byte, ahead)...)); err != nil {
				t.Fatal(err)
			}
			want := list
			if size == from+h.size() {
				want = append(want[:len(want):len(want)], last)
			}
			back := reopen(t, s)
			wantKept(t, back, "cut off", want...)
			wantSound(t, back, "cut off")
			if t.Failed() {
				t.Fatalf("cut off at %d of %d, with %d zeros", size-from, h.size(), ahead)
			}
		}
	}
}

// A volume without any record was begun when the power failed. It is no damage, and is removed like a record that is not complete.
func TestVolumeWithoutRecords(t *testing.T) {
	for _, size := range []int64{0, 1, volumeHeaderSize, 1000} {
		s := openWith(t, vfs.OS(), Defaults(), ticking())
		x := keep(t, s, "label", 10)
		path := fileOf(t, s, x.Place)
		writeFile(t, path, append(readFile(t, path)[:min(size, volumeHeaderSize)], make([]byte, max(0, size-volumeHeaderSize))...))
		s = reopen(t, s)
		all := walked(t, s)
		if len(all) != 1 || all[0].Kind != 0 || volumeName(all[0].Place) != volumeName(x.Place) {
			t.Fatalf("of %d bytes: Walk gives %v", size, all)
		}
		other := keep(t, s, "other", 10)
		if volumeName(other.Place) == volumeName(x.Place) {
			t.Errorf("of %d bytes: it is gone on with", size)
		}
		if c, err := s.Compact(t.Context(), volumeName(x.Place), store.Compaction{}); err != nil || c.Gone {
			t.Errorf("of %d bytes: Compact gives %+v, %v", size, c, err)
		}
		if err := s.Remove(t.Context(), all[0].Place); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("of %d bytes: after Remove the file is there: %v", size, err)
		}
		if n := len(volumesOf(t, s)); n != 1 {
			t.Errorf("of %d bytes: after Remove there are %d volumes, want 1", size, n)
		}
		wantKept(t, s, "after Remove", other)
	}
}

// A long volume in which nothing can be found has lost what it had. It is reported, and left as it is for people to look at.
func TestLongVolumeWithoutRecords(t *testing.T) {
	s := openWith(t, vfs.OS(), Defaults(), ticking())
	x := keep(t, s, "label", 10)
	path := fileOf(t, s, x.Place)
	file := readFile(t, path)
	file[volumeHeaderSize] ^= 1
	writeFile(t, path, file)
	if err := os.Truncate(path, maxVoid+8); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s = reopen(t, s)
		if size := sizeOf(t, s, x.Place); size != maxVoid+8 {
			t.Fatalf("the file has %d bytes after Open", size)
		}
		if damage, _ := inspected(t, s, false); len(damage) != 1 || damage[0].Volume != volumeName(x.Place) {
			t.Errorf("an inspection finds %v", damage)
		}
		c, err := s.Compact(t.Context(), volumeName(x.Place), moveAll)
		if err != nil || c.Gone || len(c.Damaged) != 1 {
			t.Errorf("Compact gives %+v, %v", c, err)
		}
	}
	if !bytes.Equal(readFile(t, path)[:len(file)], file) {
		t.Error("the file has changed")
	}
}

// Part of a volume that cannot be read at the start may be readable another time: the volume is not cut off, nor compacted away with what was not found.
func TestVolumeThatCannotBeReadWhole(t *testing.T) {
	disk := vfstest.New()
	s := onDisk(t, disk, Defaults(), ticking())
	list := keepMany(t, s, 3, 3*windowSize/4)
	_, second, _ := parsePlace(list[1].Place)
	disk.Crash()
	disk = disk.Reboot(vfstest.Nothing, nil)
	before := disk.Used()
	s.fs = unreadable{disk, second, second + badSector}
	s = onDisk(t, s.fs, Defaults(), s.now)
	wantKept(t, s, "where it can be read", list[0], list[2])
	c, err := s.Compact(t.Context(), volumeName(list[1].Place), moveAll)
	if err != nil || c.Gone || len(c.Damaged) != 1 {
		t.Errorf("Compact gives %+v, %v", c, err)
	}
	if damage, _ := inspected(t, s, false); len(damage) == 0 {
		t.Error("an inspection finds nothing")
	}
	if used := disk.Used(); used != before {
		t.Errorf("%d bytes are on the disk, %d were", used, before)
	}
	wantKept(t, onDisk(t, disk, Defaults(), s.now), "when all can be read", list...)
}

// unreadable is a disk on which a part of every shared volume cannot be read.
type unreadable struct {
	*vfstest.Disk
	from, to int64
}

func (u unreadable) Open(path string) (vfs.File, error) {
	f, err := u.Disk.Open(path)
	if err != nil || !strings.Contains(path, sharedDir) {
		return f, err
	}
	return unreadableFile{f, u}, nil
}

type unreadableFile struct {
	vfs.File
	u unreadable
}

func (f unreadableFile) ReadAt(b []byte, off int64) (int, error) {
	if off < f.u.to && off+int64(len(b)) > f.u.from {
		return 0, vfstest.ErrIO
	}
	return f.File.ReadAt(b, off)
}
