package volume

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/vfs/vfstest"
)

// What is between two offsets of a volume.
type region struct {
	from, to int64
	what     string
	record   store.Place // "" if it is none that is needed
}

// The names of regions. Of a shared volume these are all bytes: TestRegions holds that nothing is between them.
const (
	volumeHeader  = "the header of the volume"
	neededRecord  = "a record"
	removedRecord = "a record that was removed"
	oldAccount    = "removals, an index, or an end, from before the volume was closed for the last time"
	lastRemovals  = "the last removals"
	lastIndex     = "the last index"
	lastEnd       = "the last end"
)

// silent says after which flips a store that is opened may find nothing wrong, and why that is right. Everything else must be reported.
var silent = map[string]string{ // read only
	removedRecord: "its bytes belong to nothing; a removal is on the disk as often as the volume was closed, and once more",
	lastRemovals:  "Open notices it, and reads the volume whole: the removals are in the volume a second time",
	lastEnd:       "Open notices it, and reads the volume whole, as after a kill; then it writes another end",
}

// regionsOf says what is where in a closed shared volume.
func regionsOf(t testing.TB, s *Store, name string) (list []region) {
	t.Helper()
	id, err := parseVolumeID(name)
	if err != nil {
		t.Fatal(err)
	}
	v := s.shared[id]
	file, err := s.fs.Open(s.path(v.frame))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	entries, err := s.entriesOf(file, v)
	if err != nil {
		t.Fatal(err)
	}
	list = append(list, region{0, volumeHeaderSize, volumeHeader, ""})
	at := int64(volumeHeaderSize)
	for _, e := range entries {
		if at < e.off {
			list = append(list, region{at, e.off, oldAccount, ""})
		}
		at = e.off + int64(e.length)
		list = append(list, s.regionOf(t, v, e))
	}
	return append(list, region{at, v.end, lastEnd, ""})
}

func (s *Store) regionOf(t testing.TB, v *shared, e entry) region {
	t.Helper()
	file, err := s.fs.Open(s.path(v.frame))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	h, x, _, err := readEntry(file, v.frame, e)
	if err != nil {
		t.Fatal(err)
	}
	r := region{e.off, e.off + int64(e.length), oldAccount, ""}
	switch {
	case e.off == v.index.removalsAt:
		r.what = lastRemovals
	case e.off == v.index.indexAt:
		r.what = lastIndex
	case h.kind <= store.Tombstone && s.isRemoved(v.id, e.number):
		r.what = removedRecord
	case h.kind <= store.Tombstone:
		r.what, r.record = neededRecord, x.Place
	}
	return r
}

// flipStore is a store of one shared volume that was closed twice, with everything that a volume can have, and of a volume with one record.
func flipStore(t testing.TB) (s *Store, list, gone []kept) {
	t.Helper()
	s = onDisk(t, vfstest.New(), Defaults(), ticking())
	list = []kept{
		keep(t, s, "one", 100), keep(t, s, "two", 0), keep(t, s, "three", 1), keep(t, s, "four", 77), keep(t, s, "", 8),
	}
	remove(t, s, list[1])
	s = restarted(t, s)
	list = append(list, keep(t, s, "six", 10), keep(t, s, "seven", 3))
	remove(t, s, list[3], list[5])
	s = restarted(t, s)
	gone = []kept{list[1], list[3], list[5]}
	return s, []kept{list[0], list[2], list[4], list[6]}, gone
}

func TestRegions(t *testing.T) {
	s, list, gone := flipStore(t)
	at, count := int64(0), map[string]int{}
	for _, r := range regionsOf(t, s, volumeName(list[0].Place)) {
		if r.from != at || r.to <= r.from {
			t.Errorf("%s begins at %d, not %d", r.what, r.from, at)
		}
		at = r.to
		count[r.what]++
	}
	want := map[string]int{
		volumeHeader: 1, neededRecord: len(list), removedRecord: len(gone), oldAccount: 5, lastRemovals: 1, lastIndex: 1, lastEnd: 1,
	}
	if fmt.Sprint(count) != fmt.Sprint(want) || at != volumesOf(t, s)[0].Bytes {
		t.Errorf("the volume of %d bytes has, up to %d, %v, want %v", volumesOf(t, s)[0].Bytes, at, count, want)
	}
}

// TestEveryFlippedByte flips each byte of a shared volume before the store is opened. No read ever gives wrong bytes, nothing
// that was removed comes back, everything that is whole is there, and what is hit is reported, at its place if it is a record.
func TestEveryFlippedByte(t *testing.T) {
	s, list, gone := flipStore(t)
	disk := s.fs.(*vfstest.Disk)
	path := fileOf(t, s, list[0].Place)
	file, err := disk.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range regionsOf(t, s, volumeName(list[0].Place)) {
		for off := r.from; off < r.to; off++ {
			f := flipped{r, off, list, gone}
			disk.Corrupt(path, off, 1<<(off%8))
			if _, quiet := silent[r.what]; quiet { // a store that runs sees what Open puts right
				f.check(t, s, r.what != removedRecord)
			}
			f.checkOpened(t, s)
			if err := disk.WriteFile(path, file); err != nil || t.Failed() {
				t.Fatal(err)
			}
		}
	}
}

// flipped is a store with a byte of a region that is another.
type flipped struct {
	region
	off        int64
	list, gone []kept
}

// checkOpened opens the store with the flipped byte. All that Open does but to make directories, which takes longest, is load.
func (f flipped) checkOpened(t *testing.T, s *Store) {
	t.Helper()
	o, log := withLog(s.options)
	s = &Store{fs: s.fs, dir: s.dir, options: o, now: s.now, writing: map[volumeID]bool{}, shared: map[volumeID]*shared{}}
	if err := s.load(); err != nil {
		t.Errorf("%s, byte %d: %v", f.what, f.off, err)
	}
	why, quiet := silent[f.what]
	if scanned := log.has("was not closed"); scanned != (f.what == lastRemovals || f.what == lastEnd) {
		t.Errorf("%s, byte %d: Open has read the volume whole: %t", f.what, f.off, scanned)
	}
	f.check(t, s, !quiet)
	if quiet && t.Failed() {
		t.Logf("%s may be hit without a report: %s", f.what, why)
	}
}

// check checks all records, and what an inspection reports.
func (f flipped) check(t *testing.T, s *Store, reported bool) {
	t.Helper()
	what := fmt.Sprintf("%s from %d to %d, byte %d", f.what, f.from, f.to, f.off)
	var damage []store.Damage
	var records []store.Extent
	err := s.Inspect(t.Context(), volumeName(f.list[0].Place), store.Inspection{
		Data:   true,
		Record: func(x store.Extent) error { records = append(records, x); return nil },
		Damage: func(d store.Damage) error { damage = append(damage, d); return nil },
	})
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
	hit := f.record
	if (len(damage) == 1) != reported {
		t.Errorf("%s: an inspection finds %v", what, damage)
	}
	if len(damage) > 0 && hit != "" && damage[0].Place != hit {
		t.Errorf("%s: the damage is at %s, not at %s", what, damage[0].Place, hit)
	}
	if len(damage) > 0 && hit == "" && slices.Contains(placesOf(f.list), damage[0].Place) {
		t.Errorf("%s: the damage is at %s", what, damage[0].Place)
	}
	for _, k := range f.list {
		if k.Place == hit {
			wantNothingWrong(t, s, what, k)
			continue
		}
		if f.off%16 == 0 { // an inspection has read them too
			wantRead(t, s, what, k)
		}
		if !slices.ContainsFunc(records, func(x store.Extent) bool { return x.Place == k.Place }) {
			t.Errorf("%s: an inspection does not give the record %q", what, k.Label)
		}
	}
	for _, k := range f.gone {
		if _, err := s.Stat(t.Context(), k.Place); err == nil {
			t.Errorf("%s: the record %q is back", what, k.Label)
		}
	}
}

// wantNothingWrong reads a record that may be damaged.
func wantNothingWrong(t testing.TB, s *Store, what string, k kept) {
	t.Helper()
	if x, err := s.Stat(t.Context(), k.Place); err == nil && !same(x, k.Extent) {
		t.Errorf("%s: Stat gives %v, not %v", what, x, k.Extent)
	}
	got, err := read(s, k.Place)
	if err == nil && !bytes.Equal(got, k.payload) || !bytes.HasPrefix(k.payload, got) {
		t.Errorf("%s: the record %q gives %d wrong bytes, %v", what, k.Label, len(got), err)
	}
}

// TestEveryFlippedByteOfOneRecord does the same with a volume of one record, padding included.
func TestEveryFlippedByteOfOneRecord(t *testing.T) {
	s := onDisk(t, vfstest.New(), alone(), ticking())
	k := keep(t, s, "a label", 100)
	path := fileOf(t, s, k.Place)
	disk := s.fs.(*vfstest.Disk)
	for off := range disk.Size(path) {
		disk.Corrupt(path, off, 1<<(off%8))
		f := flipped{region{0, disk.Size(path), "a volume of one record", k.Place}, off, []kept{k}, nil}
		f.check(t, s, true)
		disk.Corrupt(path, off, 1<<(off%8))
	}
}

// TestRandomFlips flips bytes of a larger store that runs, of many volumes, several at once. It prints its seed.
func TestRandomFlips(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("the seed is %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	o := small()
	o.ShareLimit = 6000
	s := onDisk(t, vfstest.New(), o, ticking())
	all := map[store.Place]kept{}
	for i := range 60 {
		k := keep(t, s, strings.Repeat("l", rnd.IntN(50)), rnd.IntN(8000))
		all[k.Place] = k
		if i%4 == 3 {
			for at, k := range all {
				remove(t, s, k)
				delete(all, at)
				break
			}
		}
	}
	s = restarted(t, s)
	volumes, err := s.Volumes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 2500 {
		testRandomFlips(t, s, volumes[rnd.IntN(len(volumes))], all, rnd)
		if t.Failed() {
			return
		}
	}
}

// testRandomFlips flips one to three bytes of a volume, and puts them right again.
func testRandomFlips(t *testing.T, s *Store, v store.Volume, all map[store.Place]kept, rnd *rand.Rand) {
	disk := s.fs.(*vfstest.Disk)
	id, _ := parseVolumeID(v.Name)
	path := s.path(s.frame(id))
	var regions []region
	if v.Shared {
		regions = regionsOf(t, s, v.Name)
	} else {
		regions = []region{{0, disk.Size(path), neededRecord, place(id, volumeHeaderSize)}}
	}
	flips := map[int64]byte{}
	hit := map[region]bool{}
	for range 1 + rnd.IntN(3) {
		off := rnd.Int64N(disk.Size(path))
		flips[off] = 1 << rnd.IntN(8)
		hit[regions[slices.IndexFunc(regions, func(r region) bool { return off < r.to })]] = true
	}
	for off, bit := range flips {
		disk.Corrupt(path, off, bit)
		defer disk.Corrupt(path, off, bit)
	}
	var damage []store.Damage
	err := s.Inspect(t.Context(), v.Name, store.Inspection{
		Data:   true,
		Record: func(store.Extent) error { return nil },
		Damage: func(d store.Damage) error { damage = append(damage, d); return nil },
	})
	if err != nil {
		t.Errorf("bytes %v of volume %s: %v", flips, v.Name, err)
	}
	indexHit := slices.ContainsFunc(damage, func(d store.Damage) bool { return strings.Contains(d.Err.Error(), "the index") })
	for r := range hit {
		what := fmt.Sprintf("bytes %v of volume %s, %s", flips, v.Name, r.what)
		if len(damage) == 0 && r.what != removedRecord {
			t.Errorf("%s: nothing is reported", what)
		}
		named := slices.ContainsFunc(damage, func(d store.Damage) bool { return d.Place == r.record })
		if r.what == neededRecord && !named && !indexHit { // without an index, a header that is damaged hides where its record was
			t.Errorf("%s: %s is not reported, but %v", what, r.record, damage)
		}
		if k, known := all[r.record]; known {
			wantNothingWrong(t, s, what, k)
		}
	}
}
