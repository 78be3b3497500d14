package volume

import (
	"slices"
	"testing"

	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/vfs"
	"github.com/moraine-archive/moraine/internal/vfs/vfstest"
)

// wantDead checks what Volumes says of every shared volume: all its bytes that are of no record which Walk gives are dead, each of them once.
func wantDead(t testing.TB, s *Store, what string) {
	t.Helper()
	live := map[string]int64{}
	for _, x := range walked(t, s) {
		if x.Kind != 0 {
			live[volumeName(x.Place)] += recordHeader{label: uint32(len(x.Label)), payload: x.Size}.length()
		}
	}
	for _, v := range volumesOf(t, s) {
		if want := v.Bytes - volumeHeaderSize - live[v.Name]; v.Dead != want {
			t.Errorf("%s: volume %s of %d bytes has %d dead ones, want %d", what, v.Name, v.Bytes, v.Dead, want)
		}
	}
}

// TestRemovedRecords removes one record, several at once, some again, and all: they stay removed however the store comes back.
func TestRemovedRecords(t *testing.T) {
	for _, c := range comebacks {
		s := openWith(t, vfs.OS(), small(), ticking())
		list := append(keepMany(t, s, 40, 4000), keep(t, s, "alone", mib+1))
		var gone []kept
		check := func(what string) {
			t.Helper()
			wantKept(t, s, what+" "+c.name, list...)
			wantRemoved(t, s, what+" "+c.name, gone...)
			wantDead(t, s, what+" "+c.name)
			wantSound(t, s, what+" "+c.name)
		}
		for _, step := range []struct {
			what string
			n    int
		}{{"none", 0}, {"one", 1}, {"ten", 10}, {"one more", 1}, {"all", 29}} {
			now := list[:step.n]
			list, gone = list[step.n:], slices.Concat(gone, now)
			remove(t, s, now...)
			check(step.what)
			before := total(t, s)
			remove(t, s, slices.Concat(now, now)...) // again, and twice at once
			if after := total(t, s); after != before {
				t.Errorf("%s: to remove again what was removed takes %d bytes", step.what, after-before)
			}
			s = c.back(t, s)
			check(step.what + ", and")
		}
	}
}

// A place that is given twice in one call is one record.
func TestRemoveTwiceAtOnce(t *testing.T) {
	s := openWith(t, vfs.OS(), Defaults(), ticking())
	list := keepMany(t, s, 3, 100)
	remove(t, s, list[0], list[1], list[0])
	for _, c := range comebacks {
		wantKept(t, s, c.name, list[2])
		wantDead(t, s, c.name)
		s = c.back(t, s)
	}
}

// Remove of what is not there is no error, and nothing is written for it.
func TestRemoveOfWhatIsNoRecord(t *testing.T) {
	s := openWith(t, vfs.OS(), small(), ticking())
	list := keepMany(t, s, 20, 4000)
	n := inFirst(list)
	compacted(t, s, list[0].Place, store.Compaction{Fate: fateIs(store.Drop), Moved: movedTo})
	before := total(t, s)
	name := volumeName(list[n].Place)
	id, err := parseVolumeID(name)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Remove(t.Context(), list[0].Place, place(id, 72), place(id, volumesOf(t, s)[0].Bytes), place(id, 1<<40), place(volumeID{1}, volumeHeaderSize))
	if after := total(t, s); err != nil || after != before {
		t.Errorf("Remove gives %v, and takes %d bytes", err, after-before)
	}
	wantKept(t, s, "after it", list[n:]...)
}

// What keeps account of the records is none: it is not given to read, and cannot be removed.
func TestPlacesOfWhatKeepsAccount(t *testing.T) {
	s := onDisk(t, vfstest.New(), Defaults(), ticking())
	list := keepMany(t, s, 3, 100)
	remove(t, s, list[0])
	s = restarted(t, s)
	v := s.shared[volumeIDOf(t, list[0].Place)]
	_, third, _ := parsePlace(list[2].Place)
	first := third + (recordHeader{label: uint32(len(list[2].Label)), payload: 100}).length() // the removal itself, and the two that Close adds
	for _, off := range []int64{first, v.index.removalsAt, v.index.indexAt} {
		at := place(v.id, off)
		if x, err := s.Stat(t.Context(), at); !fault.Is(err, fault.Corrupt) {
			t.Errorf("Stat at offset %d gives %v, %v", off, x, err)
		}
		if _, err := s.Open(t.Context(), at, 0, 1); !fault.Is(err, fault.Corrupt) {
			t.Errorf("Open at offset %d gives %v", off, err)
		}
		before := total(t, s)
		if err := s.Remove(t.Context(), at); err != nil || total(t, s) != before {
			t.Errorf("Remove at offset %d gives %v, and takes %d bytes", off, err, total(t, s)-before)
		}
	}
	wantKept(t, s, "in the end", list[1:]...)
	wantDead(t, s, "in the end")
	wantSound(t, s, "in the end")
}

// A record whose header is damaged can be removed, as a sweep does with what it cannot read: the index says what it was.
func TestRemoveOfADamagedRecord(t *testing.T) {
	for _, c := range []struct {
		name string
		at   int64
	}{{"header", 20}, {"payload", recordHeaderSize + 14 + 100}, {"trailer", recordHeaderSize + 14 + 4000 + 10}} {
		s := onDisk(t, vfstest.New(), Defaults(), ticking())
		list := keepMany(t, s, 5, 4000)
		s = restarted(t, s)
		flip(t, s, list[2].Place, c.at)
		if damage, _ := inspected(t, s, true); len(damage) != 1 || damage[0].Place != list[2].Place {
			t.Errorf("%s: an inspection finds %v", c.name, damage)
		}
		remove(t, s, list[2])
		for _, back := range comebacks {
			wantKept(t, s, c.name+" "+back.name, slices.Concat(list[:2], list[3:])...)
			wantDead(t, s, c.name+" "+back.name)
			wantSound(t, s, c.name+" "+back.name) // bytes of removed records belong to nothing
			s = restarted(t, s)
		}
	}
}

// TestRemoveOfWhatAKillLeft removes a record that was damaged in the volume that was in use when the process was killed. Its bytes are dead then, and not before.
func TestRemoveOfWhatAKillLeft(t *testing.T) {
	for _, i := range []int{2, 4} { // the last one too, whose number the index could take
		s := onDisk(t, vfstest.New(), Defaults(), ticking())
		list := keepMany(t, s, 5, 4000)
		flip(t, s, list[i].Place, recordHeaderSize+20+100)
		s = killed(t, s)
		before := state(t, s, list[i].Place)
		damage, records := inspected(t, s, true)
		if len(damage) != 1 || damage[0].Place != list[i].Place || string(damage[0].Label) != string(list[i].Label) || len(records) != 4 {
			t.Errorf("an inspection finds %v, and %d records", damage, len(records))
		}
		for range 2 {
			remove(t, s, list[i])
			after := state(t, s, list[i].Place)
			if want := before.Dead + (recordHeader{label: uint32(len(list[i].Label)), payload: 4000}).length(); after.Dead != want || after.Bytes != before.Bytes {
				t.Errorf("after Remove %d bytes of %d are dead, want %d", after.Dead, after.Bytes, want)
			}
			wantKept(t, s, "after Remove", slices.Concat(list[:i], list[i+1:])...)
			wantDead(t, s, "after Remove")
			wantSound(t, s, "after Remove")
			s = restarted(t, s)
		}
		id := volumeIDOf(t, list[i].Place)
		if last := s.shared[id].index.numbers - 1; s.isRemoved(id, last) {
			t.Error("the index counts as removed")
		}
	}
}

func volumeIDOf(t testing.TB, at store.Place) volumeID {
	t.Helper()
	id, _, err := parsePlace(at)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestDeadBytes follows a volume through its life: removals, ends, what a crash left, and the copies of a compaction.
func TestDeadBytes(t *testing.T) {
	s := onDisk(t, vfstest.New(), small(), ticking())
	list := keepMany(t, s, 40, 4000)
	wantDead(t, s, "in use")
	for i := range 8 {
		remove(t, s, list[i*3], list[i*3+1])
		wantDead(t, s, "after a removal")
		s = comebacks[i%2].back(t, s)
		wantDead(t, s, "after it came back")
		keep(t, s, "more", 3000)
		wantDead(t, s, "after a Put")
	}
	for _, v := range volumesOf(t, s) {
		if _, err := s.Compact(t.Context(), v.Name, moveAll); err != nil {
			t.Fatal(err)
		}
		wantDead(t, s, "after a compaction")
	}
	s = restarted(t, s)
	wantDead(t, s, "in the end")
	if v := volumesOf(t, s); v[0].Dead > v[0].Bytes/4 {
		t.Errorf("after everything was compacted, the volumes are %+v", v)
	}
}

// TestInspectWhileAVolumeIsClosed adds records to the volume that is inspected, until it is full: what was not there at the beginning is no damage.
func TestInspectWhileAVolumeIsClosed(t *testing.T) {
	for _, c := range []struct {
		name string
		back func(testing.TB, *Store) *Store
	}{
		{"in use", func(_ testing.TB, s *Store) *Store { return s }},
		{"closed", restarted},
	} {
		s := openWith(t, vfs.OS(), small(), ticking())
		list := keepMany(t, s, 3, 4000)
		s = c.back(t, s)
		err := s.Inspect(t.Context(), volumeName(list[0].Place), store.Inspection{
			Data: true,
			Record: func(store.Extent) error {
				list = append(list, keepMany(t, s, 8, 4000)...)
				return nil
			},
			Damage: func(d store.Damage) error {
				t.Errorf("%s: damage is found: %v", c.name, d)
				return nil
			},
		})
		if err != nil || state(t, s, list[0].Place).InUse {
			t.Errorf("%s: Inspect gives %v, and the volume is %+v", c.name, err, state(t, s, list[0].Place))
		}
		wantKept(t, s, c.name, list...)
		wantSound(t, s, c.name)
	}
}
