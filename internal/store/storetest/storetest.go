// Package storetest holds every driver of package store to what store.Store promises. Each promise is a subtest with a name.
package storetest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
)

// A Harness makes an empty store whose clock is now. What it needs to tidy up it leaves to t.Cleanup.
type Harness func(t *testing.T, now func() time.Time) store.Store

// Run runs the suite. Every subtest has a store of its own.
func Run(t *testing.T, open Harness) {
	for _, group := range []struct {
		name string
		run  func(*testing.T, *suite)
	}{
		{"Put returns what Stat and Walk return", testPut},
		{"Open returns what was put, of every size", testSizes},
		{"Open returns any range", testRanges},
		{"Open refuses a range that is not within the payload", testOutside},
		{"Open gives readers that do not disturb each other", testReaders},
		{"a reader that is closed gives an error and no end", testClosed},
		{"a label is kept exactly", testLabels},
		{"every kind is kept", testKinds},
		{"Created is the time of completion in milliseconds of UTC", testCreated},
		{"Adopt keeps the kind, the label and the date of a record of another store", testAdopt},
		{"a payload that fails its check leaves no record", testFailedCheck},
		{"a payload that ends early leaves no record", testShort},
		{"a payload that cannot be read leaves no record", testBroken},
		{"a cancelled context ends a Put and leaves no record", testCancelledPut},
		{"a cancelled context ends a reader", testCancelledReader},
		{"Puts may run at once", testConcurrent},
		{"Remove removes one record and no other", testRemove},
		{"a missing record is fault.NotFound, to remove it again is no error", testMissing},
		{"Walk gives what exists, once", testWalk},
		{"Walk ends with the error of its function or its context", testWalkEnds},
		{"Walk lets its function remove", testWalkRemoves},
	} {
		t.Run(group.name, func(t *testing.T) {
			c := &clock{at: time.Date(2024, 2, 29, 10, 11, 12, 987_654_321, time.UTC)}
			s := open(t, c.now)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
			group.run(t, &suite{s, c})
		})
	}
}

// suite is what a subtest has.
type suite struct {
	store.Store
	clock *clock
}

// clock stands still, but for what a test does. It is not for several goroutines at once while it is moved.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

const mib = treehash.LeafSize

// data returns bytes of which no two leaves are equal.
func data(size int) []byte {
	b := make([]byte, size)
	r := rand.NewChaCha8([32]byte{byte(size), byte(size >> 8), byte(size >> 16)})
	r.Read(b)
	return b
}

// put stores a payload that must be taken.
func (s *suite) put(t *testing.T, kind store.Kind, label string, payload []byte) store.Extent {
	t.Helper()
	x, err := s.Put(t.Context(), kind, []byte(label), treehash.NewStream(bytes.NewReader(payload), int64(len(payload)), nil))
	if err != nil {
		t.Fatalf("Put of %d bytes: %v", len(payload), err)
	}
	return x
}

// read reads a range by Read, with a buffer that is no divisor of anything.
func (s *suite) read(t *testing.T, at store.Place, off, n int64) []byte {
	t.Helper()
	r := s.open(t, at, off, n)
	var all bytes.Buffer
	if _, err := io.CopyBuffer(onlyWriter{&all}, onlyReader{r}, make([]byte, 99_991)); err != nil {
		t.Fatalf("read %d bytes from %d: %v", n, off, err)
	}
	if err := r.Close(); err != nil {
		t.Fatalf("close a reader: %v", err)
	}
	return all.Bytes()
}

// writeTo reads a range by WriteTo, if the reader has it.
func (s *suite) writeTo(t *testing.T, at store.Place, off, n int64) []byte {
	t.Helper()
	r := s.open(t, at, off, n)
	var all bytes.Buffer
	if total, err := io.Copy(onlyWriter{&all}, r); err != nil || total != int64(all.Len()) {
		t.Fatalf("copy %d bytes from %d: %d, %v; the writer got %d", n, off, total, err, all.Len())
	}
	if err := r.Close(); err != nil {
		t.Fatalf("close a reader: %v", err)
	}
	return all.Bytes()
}

// onlyReader and onlyWriter hide other methods from io.Copy.
type (
	onlyReader struct{ io.Reader }
	onlyWriter struct{ io.Writer }
)

func (s *suite) open(t *testing.T, at store.Place, off, n int64) io.ReadCloser {
	t.Helper()
	r, err := s.Open(t.Context(), at, off, n)
	if err != nil {
		t.Fatalf("open %d bytes from %d: %v", n, off, err)
	}
	return r
}

// walk returns the complete records by place, and how many are not complete.
func (s *suite) walk(t *testing.T) (complete map[store.Place]store.Extent, cut int) {
	t.Helper()
	complete = make(map[store.Place]store.Extent)
	err := s.Walk(t.Context(), func(x store.Extent) error {
		if x.Kind == 0 {
			cut++
			if len(x.Label) > 0 {
				t.Errorf("the record at %s is not complete and has the label %q", x.Place, x.Label)
			}
			return nil
		}
		if _, twice := complete[x.Place]; twice {
			t.Errorf("Walk gives the record at %s twice", x.Place)
		}
		complete[x.Place] = x
		return nil
	})
	if err != nil {
		t.Fatalf("Walk: %v", err)
	}
	return complete, cut
}

// wantRecords checks that exactly these records are complete.
func (s *suite) wantRecords(t *testing.T, want ...store.Extent) {
	t.Helper()
	have, _ := s.walk(t)
	for _, x := range want {
		got, ok := have[x.Place]
		if !ok {
			t.Errorf("Walk does not give the record at %s", x.Place)
			continue
		}
		sameExtent(t, "Walk", got, x)
		delete(have, x.Place)
	}
	for at, x := range have {
		t.Errorf("there is a record at %s with the label %q and %d bytes", at, x.Label, x.Size)
	}
}

func sameExtent(t *testing.T, what string, got, want store.Extent) {
	t.Helper()
	if got.Place != want.Place || got.Kind != want.Kind || !bytes.Equal(got.Label, want.Label) || got.Size != want.Size ||
		got.Tree != want.Tree || !slices.Equal(got.Leaves, want.Leaves) || !got.Created.Equal(want.Created) {
		t.Errorf("%s gives %s, want %s", what, show(got), show(want))
	}
}

func show(x store.Extent) string {
	return fmt.Sprintf("{%s kind %d, label of %d bytes (%.40q), %d bytes, tree %.8s, %d leaves, %s}",
		x.Place, x.Kind, len(x.Label), x.Label, x.Size, x.Tree, len(x.Leaves), x.Created.Format(time.RFC3339Nano))
}

// wantFault checks the kind of an error.
func wantFault(t *testing.T, what string, err error, kind fault.Kind) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Errorf("%s: error %v of kind %d, want kind %d", what, err, fault.KindOf(err), kind)
	}
}

// wantError checks that an error is, or wraps, another.
func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}

// sizes are those at which a driver may err: none, one, around a leaf, several leaves.
func sizes() []int { return []int{0, 1, mib - 1, mib, mib + 1, 5*mib + mib/2} }

func leavesOf(payload []byte) (leaves []treehash.Hash) {
	for chunk := range slices.Chunk(payload, mib) {
		leaves = append(leaves, sha256.Sum256(chunk))
	}
	return leaves
}

func testPut(t *testing.T, s *suite) {
	var all []store.Extent
	for _, size := range sizes() {
		payload := data(size)
		label := fmt.Sprintf("%d bytes", size)
		x := s.put(t, store.Payload, label, payload)
		leaves := leavesOf(payload)
		sameExtent(t, "Put", x, store.Extent{
			Place: x.Place, Kind: store.Payload, Label: []byte(label), Size: int64(size),
			Tree: treehash.Fold(leaves), Leaves: leaves, Created: s.clock.at.Truncate(time.Millisecond),
		})
		got, err := s.Stat(t.Context(), x.Place)
		if err != nil {
			t.Fatalf("Stat: %v", err)
		}
		sameExtent(t, "Stat", got, x)
		all = append(all, x)
	}
	s.wantRecords(t, all...)
}

func testSizes(t *testing.T, s *suite) {
	for _, size := range sizes() {
		payload := data(size)
		x := s.put(t, store.Payload, "label", payload)
		if got := s.read(t, x.Place, 0, int64(size)); !bytes.Equal(got, payload) {
			t.Errorf("Read gives %d bytes that are not the %d that were put", len(got), size)
		}
		if got := s.writeTo(t, x.Place, 0, int64(size)); !bytes.Equal(got, payload) {
			t.Errorf("WriteTo gives %d bytes that are not the %d that were put", len(got), size)
		}
	}
}

func testRanges(t *testing.T, s *suite) {
	const size = 2*mib + mib/2
	payload := data(size)
	x := s.put(t, store.Payload, "label", payload)
	offsets := []int64{0, 1, mib - 1, mib, mib + 1, 2 * mib, size - 1, size}
	for _, from := range offsets {
		for _, to := range offsets {
			if to < from {
				continue
			}
			if got := s.read(t, x.Place, from, to-from); !bytes.Equal(got, payload[from:to]) {
				t.Errorf("Read gives %d bytes that are not those from %d to %d", len(got), from, to)
			}
			if got := s.writeTo(t, x.Place, from, to-from); !bytes.Equal(got, payload[from:to]) {
				t.Errorf("WriteTo gives %d bytes that are not those from %d to %d", len(got), from, to)
			}
		}
	}
}

func testOutside(t *testing.T, s *suite) {
	const most = 1<<63 - 1
	x := s.put(t, store.Payload, "label", data(10))
	for _, r := range [][2]int64{{0, 11}, {10, 1}, {11, 0}, {-1, 2}, {-1, 0}, {0, -1}, {5, -1}, {1, most}, {most, 1}, {most, most}} {
		reader, err := s.Open(t.Context(), x.Place, r[0], r[1])
		wantFault(t, fmt.Sprintf("open %d bytes from offset %d of 10", r[1], r[0]), err, fault.Invalid)
		if err == nil {
			reader.Close()
		}
	}
}

func testReaders(t *testing.T, s *suite) {
	payload := data(3 * mib)
	x := s.put(t, store.Payload, "label", payload)
	first, second := s.open(t, x.Place, 0, 3*mib), s.open(t, x.Place, mib, 2*mib)
	defer first.Close()
	defer second.Close()
	for at := 0; at < 2*mib; at += mib / 2 {
		for start, r := range map[int]io.Reader{0: first, mib: second} {
			got := make([]byte, mib/2)
			if _, err := io.ReadFull(r, got); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, payload[start+at:][:mib/2]) {
				t.Errorf("the reader from %d gives wrong bytes after %d", start, at)
			}
		}
	}
}

func testClosed(t *testing.T, s *suite) {
	x := s.put(t, store.Payload, "label", data(2*mib))
	r := s.open(t, x.Place, 0, 2*mib)
	if _, err := io.ReadFull(r, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := r.Read(make([]byte, 10)); n > 0 || err == nil || err == io.EOF {
		t.Errorf("Read after Close: %d bytes, error %v", n, err)
	}
}
