package volume

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
)

// A volume of another format is not damaged, and nothing to remove: Walk fails, so that a sweep does not take it for something cut off.
func TestOtherFormatVersion(t *testing.T) {
	s := newSample(t, 10)
	for _, version := range []uint32{0, 2, 1 << 31} {
		other := bytes.Clone(s.file)
		binary.LittleEndian.PutUint32(other[8:], version)
		seal(other[:volumeHeaderSize])
		writeFile(t, s.path, other)
		wants := []string{fmt.Sprintf("format %d", version), "format 1", strings.TrimSuffix(string(s.Place), ":64")}
		_, err := s.Stat(t.Context(), s.Place)
		wantFormatError(t, "Stat", err, wants)
		_, err = s.Open(t.Context(), s.Place, 0, 10)
		wantFormatError(t, "Open", err, wants)
		err = s.Walk(t.Context(), func(x store.Extent) error {
			t.Errorf("Walk gives a record of format %d as one of kind %d", version, x.Kind)
			return nil
		})
		wantFormatError(t, "Walk", err, wants)
	}
}

func wantFormatError(t *testing.T, what string, err error, wants []string) {
	t.Helper()
	if err == nil || fault.Is(err, fault.Corrupt) {
		t.Errorf("%s: error %v, want one that is not of kind fault.Corrupt", what, err)
		return
	}
	for _, want := range wants {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error %q does not say %q", what, err, want)
		}
	}
}

// encoded returns the bytes of a whole record of a volume of its own.
func encoded(h recordHeader, label, payload []byte) []byte {
	h.label, h.payload = uint32(len(label)), int64(len(payload))
	s := treehash.NewStream(bytes.NewReader(payload), h.payload, nil)
	for {
		if _, _, err := s.Next(); err != nil {
			break // memory ends well
		}
	}
	return slices.Concat(h.encode(), label, payload, frame{}.encodeTrailer(0, h, label, s.Leaves(), s.Sum()))
}

func testHeader() recordHeader {
	return recordHeader{kind: store.Payload, created: start.Truncate(time.Millisecond), id: [idSize]byte{1, 2, 3}}
}

// A header with a checksum that is right can still have values that cannot be.
func TestRecordHeaderWithImpossibleValues(t *testing.T) {
	for name, change := range map[string]func([]byte){
		"reserved byte 5":        func(b []byte) { b[5] = 1 },
		"number":                 func(b []byte) { b[15] = 1 },
		"reserved byte 59":       func(b []byte) { b[59] = 1 },
		"kind 0":                 func(b []byte) { b[4] = 0 },
		"kind 4":                 func(b []byte) { b[4] = 4 },
		"label of 64 KiB and 1":  func(b []byte) { binary.LittleEndian.PutUint32(b[8:], maxLabel+1) },
		"label of 4 GiB":         func(b []byte) { binary.LittleEndian.PutUint32(b[8:], 1<<32-1) },
		"payload of -1":          func(b []byte) { binary.LittleEndian.PutUint64(b[16:], 1<<64-1) },
		"payload of 1 PiB and 1": func(b []byte) { binary.LittleEndian.PutUint64(b[16:], maxPayload+1) },
		"payload of 8 EiB":       func(b []byte) { binary.LittleEndian.PutUint64(b[16:], 1<<63-1) },
	} {
		b := encoded(testHeader(), []byte("label"), pattern(10))
		change(b)
		seal(b[:recordHeaderSize])
		if _, _, _, err := readRecord(bytes.NewReader(b), frame{}, 0); !errors.Is(err, errNoRecord) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// TestHugeLengthsCostNothing reads headers that claim as much as they may, with nothing behind them.
func TestHugeLengthsCostNothing(t *testing.T) {
	h := testHeader()
	h.label, h.payload = maxLabel, maxPayload
	b := append(h.encode(), make([]byte, 100)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, _, err := readRecord(bytes.NewReader(b), frame{}, 0)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, errNoRecord) {
		t.Errorf("a header without a record: error %v", err)
	}
	if cost := after.TotalAlloc - before.TotalAlloc; cost > 1<<20 {
		t.Errorf("a header that claims %d bytes costs %d bytes of memory", h.size(), cost)
	}
}

// endsWithData is a file that says io.EOF together with its last byte, as io.ReaderAt allows.
type endsWithData struct{ *bytes.Reader }

func (e endsWithData) ReadAt(b []byte, off int64) (int, error) {
	n, err := e.Reader.ReadAt(b, off)
	if off+int64(n) == e.Size() {
		err = io.EOF
	}
	return n, err
}

func TestRecordAtTheEndOfAFile(t *testing.T) {
	for _, label := range []string{"", "label", strings.Repeat("long", 5000)} {
		b := encoded(testHeader(), []byte(label), pattern(10))
		h := testHeader()
		h.label, h.payload = uint32(len(label)), 10
		_, x, at, err := readRecord(endsWithData{bytes.NewReader(b[:h.size()])}, frame{}, 0) // without padding
		if err != nil || string(x.Label) != label || string(b[at:][:10]) != string(pattern(10)) {
			t.Errorf("a record with a label of %d bytes: label %.20q, payload at %d, %v", len(label), x.Label, at, err)
		}
	}
}

// FuzzReadRecord gives the parser of records any bytes, with checksums that are right and others. It must not panic, nor hold more than the
// bytes justify, and what it takes for a record must be one: written again it is the same.
func FuzzReadRecord(f *testing.F) {
	for _, size := range []int{0, 1, 10, 300} {
		f.Add(encoded(testHeader(), pattern(size), pattern(size)), false)
	}
	f.Add(encoded(testHeader(), pattern(firstRead), nil), true)
	f.Add([]byte(recordMagic), true)
	reserved := encoded(testHeader(), []byte("label"), pattern(10))
	reserved[5] = 1
	f.Add(reserved, true)
	f.Fuzz(func(t *testing.T, b []byte, repair bool) {
		if repair && len(b) >= recordHeaderSize {
			b = bytes.Clone(b)
			seal(b[:recordHeaderSize])
		}
		h, x, at, err := readRecord(bytes.NewReader(b), frame{}, 0)
		if err != nil {
			return
		}
		if x.Size < 0 || at+x.Size > int64(len(b)) || int64(len(x.Leaves)) != treehash.Leaves(x.Size) {
			t.Fatalf("a record of %d bytes at %d with %d leaves, in a file of %d", x.Size, at, len(x.Leaves), len(b))
		}
		trailer := frame{}.encodeTrailer(0, h, x.Label, x.Leaves, x.Tree)[:trailerSize(x.Size)]
		if again := slices.Concat(h.encode(), x.Label, b[at:at+x.Size], trailer); !bytes.Equal(again, b[:h.size()]) {
			t.Fatalf("read and written again, the record is another:\n%x\n%x", again, b[:h.size()])
		}
	})
}
