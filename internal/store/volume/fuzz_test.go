package volume

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/moraine-archive/moraine/internal/vfs"
	"github.com/moraine-archive/moraine/internal/vfs/vfstest"
)

// seedVolumes returns shared volumes as they can be on a disk: closed, in use, full of damage.
func seedVolumes(t testing.TB) (files [][]byte) {
	t.Helper()
	s, list, _ := flipStore(t)
	disk := s.fs.(*vfstest.Disk)
	closed, err := disk.ReadFile(fileOf(t, s, list[0].Place))
	if err != nil {
		t.Fatal(err)
	}
	files = [][]byte{closed, closed[:len(closed)-closingSize], append(bytes.Clone(closed), make([]byte, 500)...), closed[:volumeHeaderSize], nil}
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		b := bytes.Clone(closed)
		switch at := rnd.IntN(len(b)); rnd.IntN(4) {
		case 0:
			b[at] ^= 1 << rnd.IntN(8)
		case 1:
			clear(b[at:min(len(b), at+512)])
		case 2:
			copy(b[at&^(alignment-1):], closed) // a copy of itself
		case 3:
			b = b[:at]
		}
		files = append(files, b)
	}
	return files
}

// memFile is a file that can be read.
type memFile struct {
	vfs.File
	r *bytes.Reader
}

func (m memFile) ReadAt(b []byte, off int64) (int, error) { return m.r.ReadAt(b, off) }

// FuzzScan lets the scan read anything. It ends, and what it finds is within the file, in order, and one behind the other; all of it that is said to be whole is.
func FuzzScan(f *testing.F) {
	for _, b := range seedVolumes(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fr := frame{shared: true}
		if len(b) >= 32 {
			fr.id = volumeID(b[16:32])
		}
		found := scan(memFile{r: bytes.NewReader(b)}, fr, int64(len(b)))
		if found.bad != 0 {
			t.Fatalf("%d reads have failed", found.bad)
		}
		if limit := max(int64(len(b))+alignment-1, volumeHeaderSize); found.end > limit || found.spare < 0 || found.spare > found.end-volumeHeaderSize {
			t.Fatalf("in %d bytes a scan finds %d, of which %d are spare", len(b), found.end, found.spare)
		}
		wantInOrder(t, b, fr, found)
		again := scan(memFile{r: bytes.NewReader(b)}, fr, int64(len(b)))
		if !slices.Equal(found.entries, again.entries) || found.end != again.end {
			t.Fatal("a second scan finds something else")
		}
	})
}

func wantInOrder(t *testing.T, b []byte, fr frame, found scanned) {
	t.Helper()
	at := int64(volumeHeaderSize)
	for _, e := range found.entries {
		if e.off < at || e.length == 0 || e.off%alignment != 0 || e.off+int64(e.length) > found.end {
			t.Fatalf("the entry %+v follows one that ends at %d; all end at %d", e, at, found.end)
		}
		if between := e.off - at; between%closingSize != 0 {
			t.Fatalf("%d bytes lie before the entry %+v", between, e)
		}
		at = e.off + int64(e.length)
		if e.number == noRecord {
			continue
		}
		if _, x, payloadAt, err := readEntry(bytes.NewReader(b), fr, e); err != nil || e.number >= found.numbers {
			t.Fatalf("the entry %+v, of %d numbers: %v", e, found.numbers, err)
		} else if err := eachLeaf(bytes.NewReader(b), payloadAt, x, func([]byte) error { return nil }); err != nil {
			t.Fatalf("the entry %+v: %v", e, err)
		}
	}
}

// FuzzAccount lets what reads ends, indexes and removals read anything: what comes back is what was written, and never more than there are bytes.
func FuzzAccount(f *testing.F) {
	for i, b := range seedVolumes(f) {
		f.Add(uint8(i), b)
		f.Add(uint8(i+1), b[max(0, len(b)-closingSize):])
	}
	f.Add(uint8(0), closing{indexAt: 1 << 40, numbers: 7, finished: true, spare: 3}.encode(frame{shared: true}))
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		fr := frame{shared: true}
		switch which % 4 {
		case 0:
			fuzzClosing(t, fr, b)
		case 1:
			if again := encodeEntries(decodeEntries(b)); !bytes.Equal(again, b[:len(b)/entrySize*entrySize]) {
				t.Fatalf("read and written again, the entries %x are %x", b, again)
			}
		case 2:
			if again := encodeRemovals(decodeRemovals(b)); !bytes.Equal(again, b[:len(b)/removalSize*removalSize]) {
				t.Fatalf("read and written again, the removals %x are %x", b, again)
			}
		case 3:
			fuzzClosed(t, b)
		}
	})
}

func fuzzClosing(t *testing.T, fr frame, b []byte) {
	t.Helper()
	if len(b) >= closingSize {
		b = bytes.Clone(b[:closingSize])
		copy(b[16:], fr.id[:])
		seal(b) // so that the values are looked at
	}
	const off = 1 << 30
	c, err := decodeClosing(b, fr, off)
	if err != nil {
		return
	}
	if c.indexAt < volumeHeaderSize || c.indexAt >= off || c.removalsAt >= c.indexAt || c.spare < 0 || !bytes.Equal(c.encode(fr), b) {
		t.Fatalf("the end %x is %+v", b, c)
	}
}

// fuzzClosed reads a volume as Open does.
func fuzzClosed(t *testing.T, b []byte) {
	t.Helper()
	fr := frame{shared: true}
	if len(b) >= 32 {
		fr.id = volumeID(b[16:32])
	}
	file := memFile{r: bytes.NewReader(b)}
	v, removals, err := readClosed(file, fr, int64(len(b)))
	if err != nil {
		return
	}
	if v.end != int64(len(b)) || len(removals)*removalSize > len(b) {
		t.Fatalf("a volume of %d bytes ends at %d, and has %d removals", len(b), v.end, len(removals))
	}
	if entries, err := readIndex(file, fr, v.index); err == nil && len(entries) > len(b)/entrySize+1 {
		t.Fatalf("a volume of %d bytes has %d entries", len(b), len(entries))
	}
}
