package volume

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
)

// sample is a volume that tests damage.
type sample struct {
	*Store
	store.Extent
	path    string
	file    []byte // as it was written
	payload []byte
}

func newSample(t testing.TB, size int) sample {
	t.Helper()
	s := open(t)
	x := put(t, s, "the label", pattern(size))
	path := fileOf(t, s, x.Place)
	return sample{s, x, path, readFile(t, path), pattern(size)}
}

// padding is the number of bytes after the end mark. They mean nothing, and are the only ones that no checksum covers.
func (s sample) padding() int {
	h := recordHeader{label: uint32(len(s.Label)), payload: s.Size}
	return len(s.file) - volumeHeaderSize - int(h.size())
}

// check reads the volume with other contents, and reports whether the damage is noticed. What is handed out must be right.
func (s sample) check(t testing.TB, what string, file []byte) (noticed bool) {
	t.Helper()
	writeFile(t, s.path, file)
	x, err := s.Stat(t.Context(), s.Place)
	if err == nil && !same(x, s.Extent) {
		t.Errorf("%s: Stat gives %v", what, x)
	}
	got, err := read(s.Store, s.Place)
	switch {
	case err == nil && !bytes.Equal(got, s.payload):
		t.Errorf("%s: wrong bytes, and no error", what)
	case err != nil && !fault.Is(err, fault.Corrupt):
		t.Errorf("%s: the error is not of kind fault.Corrupt: %v", what, err)
	case err != nil && !bytes.HasPrefix(s.payload, got):
		t.Errorf("%s: wrong bytes before the error", what)
	}
	return err != nil
}

func same(x, y store.Extent) bool {
	return x.Place == y.Place && x.Kind == y.Kind && bytes.Equal(x.Label, y.Label) && x.Size == y.Size && x.Tree == y.Tree &&
		slices.Equal(x.Leaves, y.Leaves) && x.Created.Equal(y.Created)
}

// Every byte of a volume is covered by a checksum but the padding after the end mark.
func TestEveryDamagedByteIsNoticed(t *testing.T) {
	s := newSample(t, 10)
	if s.padding() == 0 {
		t.Fatal("the sample has no padding: give it another label")
	}
	for at := range s.file {
		for _, flip := range []byte{0x01, 0x80, 0xff} {
			damaged := bytes.Clone(s.file)
			damaged[at] ^= flip
			noticed := s.check(t, fmt.Sprintf("byte %d with %#02x", at, flip), damaged)
			if isPadding := at >= len(s.file)-s.padding(); noticed == isPadding {
				t.Errorf("byte %d of %d with %#02x (padding: %t): noticed: %t", at, len(s.file), flip, isPadding, noticed)
			}
		}
	}
}

// positions are offsets in a file of two leaves: both ends of every section, and some in between.
func (s sample) positions() []int {
	payloadAt := volumeHeaderSize + recordHeaderSize + len(s.Label)
	end := payloadAt + len(s.payload)
	at := []int{0, volumeHeaderSize - 1, volumeHeaderSize, payloadAt - 1, payloadAt, payloadAt + mib - 1, payloadAt + mib, end - 1}
	for i := payloadAt; i < end; i += 77_777 {
		at = append(at, i)
	}
	for i := end; i < len(s.file)-s.padding(); i += 7 {
		at = append(at, i)
	}
	return at
}

func TestDamageInALargePayloadIsNoticed(t *testing.T) {
	s := newSample(t, mib+10)
	for _, at := range s.positions() {
		damaged := bytes.Clone(s.file)
		damaged[at] ^= 0x10
		if !s.check(t, fmt.Sprintf("byte %d", at), damaged) {
			t.Errorf("a flipped bit in byte %d of %d is not noticed", at, len(s.file))
		}
	}
}

// A volume that is cut off anywhere holds no record, unless all that is missing is padding.
func TestCutOffVolume(t *testing.T) {
	s := newSample(t, 10)
	for size := range s.file {
		complete := size >= len(s.file)-s.padding()
		if noticed := s.check(t, fmt.Sprintf("cut off at %d", size), s.file[:size]); noticed == complete {
			t.Errorf("cut off at %d of %d (complete: %t): noticed: %t", size, len(s.file), complete, noticed)
		}
		s.wantWalk(t, fmt.Sprintf("cut off at %d", size), complete)
	}
	s = newSample(t, mib+10)
	for _, size := range s.positions() {
		if !s.check(t, fmt.Sprintf("cut off at %d", size), s.file[:size]) {
			t.Errorf("cut off at %d of %d: not noticed", size, len(s.file))
		}
		s.wantWalk(t, fmt.Sprintf("cut off at %d", size), false)
	}
}

// A file system may keep the length of a file and lose what was written to it: zeros from some point on, or up to it.
func TestVolumeWithZeros(t *testing.T) {
	s := newSample(t, 10)
	for at := 1; at < len(s.file)-s.padding(); at++ {
		zeroed := bytes.Clone(s.file)
		clear(zeroed[at:])
		if !bytes.Equal(zeroed, s.file) && !s.check(t, fmt.Sprintf("zeros from %d", at), zeroed) {
			t.Errorf("zeros from byte %d on are not noticed", at)
		}
		zeroed = bytes.Clone(s.file)
		clear(zeroed[:at])
		if !s.check(t, fmt.Sprintf("zeros to %d", at), zeroed) {
			t.Errorf("zeros up to byte %d are not noticed", at)
		}
	}
}

// wantWalk checks that Walk gives the sample: as it is, or as a record that is not complete.
func (s sample) wantWalk(t testing.TB, what string, complete bool) {
	t.Helper()
	want := s.Extent
	if !complete {
		want = store.Extent{Place: s.Place, Created: start} // the name has the time in nanoseconds
	}
	all := walked(t, s.Store)
	if len(all) != 1 || !same(all[0], want) {
		t.Errorf("%s: Walk gives %v, want %v", what, all, want)
	}
}

func TestRemoveOfACutOffVolume(t *testing.T) {
	s := newSample(t, 10)
	for _, size := range []int{0, 1, volumeHeaderSize, len(s.file) - 20} {
		writeFile(t, s.path, s.file[:size])
		if err := s.Remove(t.Context(), s.Place); err != nil {
			t.Errorf("cut off at %d: %v", size, err)
		}
		if _, err := os.Stat(s.path); !os.IsNotExist(err) {
			t.Errorf("cut off at %d: the file is still there: %v", size, err)
		}
	}
}
