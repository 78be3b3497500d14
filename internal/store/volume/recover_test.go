package volume

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/vfs"
	"github.com/moraine-archive/moraine/internal/vfs/vfstest"
)

// copies are payloads that hold volumes, whole and closed, at an offset at which records begin. They are made while the volume is in use which they will be put into.
func copies(t testing.TB, s *Store) (payloads [][]byte) {
	t.Helper()
	other := openWith(t, vfs.OS(), Defaults(), ticking())
	x := keep(t, other, "of another store", 100)
	remove(t, other, keep(t, other, "removed", 100))
	restarted(t, other)
	own := fileOf(t, s, walked(t, s)[0].Place)
	back := killed(t, s) // closes its copy of the volume
	for _, file := range [][]byte{
		readFile(t, fileOf(t, other, x.Place)), readFile(t, own), readFile(t, pathIn(back, own)),
	} {
		for shift := range alignment {
			payloads = append(payloads, slices.Concat(make([]byte, shift), file))
		}
	}
	return payloads
}

// pathIn returns the path of a shared volume in another store that has it.
func pathIn(s *Store, path string) string {
	return filepath.Join(s.dir, sharedDir, filepath.Base(path))
}

// TestCopiesOfVolumesInPayloads puts copies of volumes, of the same one too. What is in them is never taken for records, nor for removals, nor for an end: also not
// where the record around it cannot be recognised any more.
func TestCopiesOfVolumesInPayloads(t *testing.T) {
	s := openWith(t, vfs.OS(), Defaults(), ticking())
	list := keepMany(t, s, 4, 100)
	remove(t, s, list[3])
	list = list[:3]
	first := len(list)
	for i, b := range copies(t, s) {
		list = append(list, kept{put(t, s, fmt.Sprintf("copy %d", i), b), b})
	}
	wantKept(t, s, "in use", list...)
	for _, damaged := range []string{"", "header", "label", "trailer"} {
		back := killed(t, s)
		if damaged != "" {
			file := readFile(t, fileOf(t, s, list[0].Place))
			for _, k := range list[first:] {
				_, off, _ := parsePlace(k.Place)
				file[off+map[string]int64{
					"header": 10, "label": recordHeaderSize, "trailer": recordHeaderSize + int64(len(k.Label)) + k.Size + 3,
				}[damaged]] ^= 1
			}
			path := fileOf(t, back, list[0].Place)
			writeFile(t, path, file)
			back = reopen(t, back)
		}
		want := list
		if damaged != "" {
			want = list[:first]
		}
		for range 2 {
			wantKept(t, back, "after a kill, with a damaged "+damaged, want...)
			if damaged == "" {
				wantDead(t, back, "after a kill")
			}
			back = restarted(t, back)
		}
	}
	wantKept(t, restarted(t, s), "after a restart", list...)
}

// TestCopyOfAnEndAtTheEnd cuts a volume off right behind a copy of its own end, in a payload. That is not where the volume was closed: what was acknowledged in between counts.
func TestCopyOfAnEndAtTheEnd(t *testing.T) {
	s := openWith(t, vfs.OS(), Defaults(), ticking())
	list := []kept{keep(t, s, "before", 100)}
	s = restarted(t, s)
	closed := readFile(t, fileOf(t, s, list[0].Place))
	list = append(list, keep(t, s, "between", 100))
	last := put(t, s, "12345678", closed)
	path := fileOf(t, s, last.Place)
	_, off, _ := parsePlace(last.Place)
	writeFile(t, path, readFile(t, path)[:off+recordHeaderSize+8+last.Size])
	back := reopen(t, s)
	wantKept(t, back, "after a kill", list...)
	wantDead(t, back, "after a kill")
	list = append(list, keep(t, back, "after", 100))
	for range 2 {
		back = restarted(t, back)
		wantKept(t, back, "after a restart", list...)
	}
}

// TestDiskThatLies uses a disk that says of syncs that they are done, and does not do them. After a power failure records are lost; there is no help for that. But nothing wrong is
// handed out, the store opens, and goes on.
func TestDiskThatLies(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("the seed is %d", seed)
	for i := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, i))
		disk := vfstest.New()
		s := onDisk(t, disk, small(), ticking())
		honest := keepMany(t, s, 30, 3000)
		disk.Fault = func(op vfstest.Op) vfstest.Fault {
			return vfstest.Fault{Lie: strings.HasPrefix(op.Name, "sync")}
		}
		n := inFirst(honest)
		lost := workOnALiar(t, s, honest[:n], rnd)
		s = onDisk(t, disk.Reboot(vfstest.Survival(i%3), rnd), small(), s.now)
		for _, k := range honest[n:] {
			wantRead(t, s, "what was synced before", k)
		}
		for _, k := range honest[:n] {
			wantNothingWrong(t, s, "what was synced, and then moved", k)
		}
		there := 0
		for _, k := range lost {
			wantNothingWrong(t, s, "what was not synced", k)
			if _, err := read(s, k.Place); err == nil {
				there++
			}
		}
		if s := vfstest.Survival(i % 3); s == vfstest.Nothing && there > 0 || s == vfstest.Everything && there < len(lost) {
			t.Errorf("%d of %d records are there that were never synced, survival %d", there, len(lost), s)
		}
		if err := s.Walk(t.Context(), func(x store.Extent) error { return wantOneOf(s, x, honest, lost) }); err != nil {
			t.Error(err)
		}
		k := keep(t, s, "afterwards", 3000)
		wantRead(t, restarted(t, s), "what was put afterwards", k)
	}
}

// workOnALiar puts records, removes some of the volume that was there first, and compacts it. It returns the records whose sync was a lie.
func workOnALiar(t *testing.T, s *Store, first []kept, rnd *rand.Rand) (lost []kept) {
	t.Helper()
	remove(t, s, first[:2]...)
	r := rowsOf(first[2:])
	if done := compacted(t, s, first[0].Place, r.compaction()); !done.Gone {
		t.Errorf("Compact gives %+v", done)
	}
	lost = r.list()
	for i := range 40 {
		lost = append(lost, keep(t, s, fmt.Sprintf("lost %d", i), rnd.IntN(4000)))
	}
	return lost
}

// wantOneOf checks that a record is one of those that were put, or none.
func wantOneOf(s *Store, x store.Extent, lists ...[]kept) error {
	for _, k := range slices.Concat(lists...) {
		if x.Kind == 0 || same(x, k.Extent) {
			return nil
		}
	}
	got, err := read(s, x.Place)
	return fmt.Errorf("there is the record %q at %s, of %d bytes, %v", x.Label, x.Place, len(got), err)
}
