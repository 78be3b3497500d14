package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
)

// maxLabel is the longest label that a driver has to keep.
const maxLabel = 64 << 10

func testLabels(t *testing.T, s *suite) {
	var every []byte
	for len(every) < maxLabel {
		every = append(every, byte(len(every)), byte(len(every)>>8))
	}
	for _, size := range []int{0, 1, 100, 4031, 4032, 4033, maxLabel - 1, maxLabel} { // 4096 with a header is a likely first read
		x := s.put(t, store.Payload, string(every[:size]), []byte("payload"))
		if !bytes.Equal(x.Label, every[:size]) {
			t.Errorf("Put changes a label of %d bytes", size)
		}
		got, err := s.Stat(t.Context(), x.Place)
		if err != nil {
			t.Fatalf("Stat of a record with a label of %d bytes: %v", size, err)
		}
		if !bytes.Equal(got.Label, every[:size]) {
			t.Errorf("a label of %d bytes comes back as another of %d", size, len(got.Label))
		}
		if got := s.read(t, x.Place, 0, 7); string(got) != "payload" {
			t.Errorf("the payload after a label of %d bytes is %q", size, got)
		}
	}
}

func testKinds(t *testing.T, s *suite) {
	var all []store.Extent
	for _, kind := range []store.Kind{store.Payload, store.Manifest, store.Tombstone} {
		payload := []byte("payload")
		if kind == store.Tombstone {
			payload = nil
		}
		x := s.put(t, kind, fmt.Sprintf("kind %d", kind), payload)
		if x.Kind != kind {
			t.Errorf("a record of kind %d is put as one of kind %d", kind, x.Kind)
		}
		all = append(all, x)
	}
	s.wantRecords(t, all...)
}

// testCreated lets the clock run while a payload comes in.
func testCreated(t *testing.T, s *suite) {
	ends := s.clock.at.Add(time.Hour)
	payload := readerFunc(func([]byte) (int, error) {
		s.clock.at = ends
		return 0, io.EOF
	})
	x, err := s.Put(t.Context(), store.Payload, nil, treehash.NewStream(payload, -1, nil))
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Stat(t.Context(), x.Place)
	if err != nil {
		t.Fatal(err)
	}
	want := ends.Truncate(time.Millisecond)
	for what, at := range map[string]time.Time{"Put": x.Created, "Stat": got.Created} {
		if !at.Equal(want) || at.Location() != time.UTC {
			t.Errorf("%s says %s, want %s", what, at, want)
		}
	}
}

func testAdopt(t *testing.T, s *suite) {
	to, ok := s.Store.(store.Adopter)
	if !ok {
		t.Skip("the store takes no records of others")
	}
	for _, size := range sizes() {
		b := data(size)
		x := store.Extent{Kind: store.Payload, Label: []byte("of another store"), Created: s.clock.at.Add(-time.Hour).Truncate(time.Millisecond), Skew: 5 * time.Second}
		y, err := to.Adopt(t.Context(), x, treehash.NewStream(bytes.NewReader(b), int64(size), nil), true)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Stat(t.Context(), y.Place)
		if err != nil {
			t.Fatal(err)
		}
		sameExtent(t, "Stat", got, y)
		if !got.Created.Equal(x.Created) || got.Skew != x.Skew || got.Kind != x.Kind || string(got.Label) != string(x.Label) {
			t.Errorf("the record of %d bytes is %s, with a skew of %s", size, show(got), got.Skew)
		}
		if !bytes.Equal(s.read(t, y.Place, 0, int64(size)), b) {
			t.Errorf("a record of %d bytes has others", size)
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// putFails puts a payload that must not be taken, between two that are, and checks that only those are there.
func (s *suite) putFails(t *testing.T, ctx context.Context, what string, payload *treehash.Stream, want error) {
	t.Helper()
	before := s.put(t, store.Payload, "before", []byte("before"))
	x, err := s.Put(ctx, store.Payload, []byte("refused"), payload)
	wantError(t, what, err, want)
	if x.Place != "" {
		t.Errorf("%s: Put gives the place %s with its error", what, x.Place)
	}
	after := s.put(t, store.Payload, "after", []byte("after"))
	s.wantRecords(t, before, after)
	for _, x := range []store.Extent{before, after} {
		if err := s.Remove(t.Context(), x.Place); err != nil {
			t.Fatal(err)
		}
	}
}

func testFailedCheck(t *testing.T, s *suite) {
	for _, size := range sizes() {
		refused := fault.New(fault.BadSignature, "it is not what was signed")
		payload := treehash.NewStream(bytes.NewReader(data(size)), int64(size), func(_, _ treehash.Hash) error { return refused })
		s.putFails(t, t.Context(), fmt.Sprintf("%d bytes with a wrong hash", size), payload, refused)
	}
	// An error that looks like an end is none.
	tricky := fmt.Errorf("checked against nothing: %w", io.EOF)
	payload := treehash.NewStream(bytes.NewReader(data(10)), 10, func(_, _ treehash.Hash) error { return tricky })
	s.putFails(t, t.Context(), "a check that wraps io.EOF", payload, tricky)
}

func testShort(t *testing.T, s *suite) {
	for _, have := range []int{0, 1, mib, mib + 1} {
		payload := treehash.NewStream(bytes.NewReader(data(have)), 2*mib, nil)
		s.putFails(t, t.Context(), fmt.Sprintf("%d of %d bytes", have, 2*mib), payload, treehash.ErrShort)
	}
}

func testBroken(t *testing.T, s *suite) {
	for _, broken := range []error{errors.New("the line is down"), io.ErrUnexpectedEOF, fmt.Errorf("proxy: %w", io.EOF)} {
		for _, have := range []int{0, 1, mib, mib + 1} {
			for _, size := range []int64{2 * mib, -1} {
				r := io.MultiReader(bytes.NewReader(data(have)), iotest.ErrReader(broken))
				s.putFails(t, t.Context(), fmt.Sprintf("%q after %d of %d bytes", broken, have, size), treehash.NewStream(r, size, nil), broken)
			}
		}
	}
}

func testCancelledPut(t *testing.T, s *suite) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	payload := treehash.NewStream(bytes.NewReader(data(10)), 10, nil)
	s.putFails(t, cancelled, "cancelled before", payload, context.Canceled)

	during, cancel := context.WithCancel(t.Context())
	defer cancel()
	rest := bytes.NewReader(data(3 * mib))
	payload = treehash.NewStream(readerFunc(func(b []byte) (int, error) {
		if rest.Len() <= 2*mib {
			cancel()
		}
		return rest.Read(b)
	}), 3*mib, nil)
	s.putFails(t, during, "cancelled after the first leaf", payload, context.Canceled)
	if rest.Len() < mib {
		t.Errorf("Put went on reading: %d bytes are left", rest.Len())
	}
}

func testCancelledReader(t *testing.T, s *suite) {
	x := s.put(t, store.Payload, "label", data(2*mib))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := s.Open(ctx, x.Place, 0, 2*mib)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	cancel()
	n, err := io.Copy(io.Discard, r)
	wantError(t, "read on after the context was cancelled", err, context.Canceled)
	if n > mib {
		t.Errorf("%d bytes came after the context was cancelled", n)
	}
}

func testConcurrent(t *testing.T, s *suite) {
	const writers = 16
	extents := make([]store.Extent, writers)
	var wait sync.WaitGroup
	for i := range extents {
		wait.Go(func() {
			payload := data(mib + i)
			x, err := s.Put(t.Context(), store.Payload, fmt.Appendf(nil, "writer %d", i), treehash.NewStream(bytes.NewReader(payload), -1, nil))
			if err != nil {
				t.Errorf("writer %d: %v", i, err)
			}
			extents[i] = x
		})
	}
	wait.Wait()
	if t.Failed() {
		return
	}
	s.wantRecords(t, extents...)
	for i, x := range extents {
		if string(x.Label) != fmt.Sprintf("writer %d", i) || !bytes.Equal(s.read(t, x.Place, 0, x.Size), data(mib+i)) {
			t.Errorf("the record of writer %d at %s is not what was put", i, x.Place)
		}
	}
}

func testRemove(t *testing.T, s *suite) {
	var all []store.Extent
	for i := range 3 {
		all = append(all, s.put(t, store.Payload, fmt.Sprint(i), data(i)))
	}
	if err := s.Remove(t.Context(), all[1].Place); err != nil {
		t.Fatal(err)
	}
	s.wantRecords(t, all[0], all[2])
	if got := s.read(t, all[2].Place, 0, 2); !bytes.Equal(got, data(2)) {
		t.Errorf("after another was removed a record has the payload %x", got)
	}
}

func testMissing(t *testing.T, s *suite) {
	x := s.put(t, store.Payload, "label", data(10))
	for range 2 {
		if err := s.Remove(t.Context(), x.Place); err != nil {
			t.Fatalf("Remove: %v", err)
		}
	}
	_, err := s.Stat(t.Context(), x.Place)
	wantFault(t, "Stat", err, fault.NotFound)
	_, err = s.Open(t.Context(), x.Place, 0, 10)
	wantFault(t, "Open", err, fault.NotFound)
	s.wantRecords(t)
}

func testWalk(t *testing.T, s *suite) {
	s.wantRecords(t)
	var all []store.Extent
	for i := range 50 {
		s.clock.at = s.clock.at.Add(time.Second)
		all = append(all, s.put(t, store.Payload, fmt.Sprint(i), data(i)))
	}
	s.wantRecords(t, all...)
	if _, cut := s.walk(t); cut != 0 {
		t.Errorf("%d records are not complete", cut)
	}
}

func testWalkEnds(t *testing.T, s *suite) {
	for i := range 3 {
		s.put(t, store.Payload, fmt.Sprint(i), nil)
	}
	calls, enough := 0, errors.New("enough")
	err := s.Walk(t.Context(), func(store.Extent) error { calls++; return enough })
	wantError(t, "Walk", err, enough)
	if calls != 1 {
		t.Errorf("the function was called %d times after it failed", calls-1)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	calls = 0
	err = s.Walk(ctx, func(store.Extent) error { calls++; cancel(); return nil })
	wantError(t, "Walk", err, context.Canceled)
	if calls != 1 {
		t.Errorf("the function was called %d times after the context was cancelled", calls-1)
	}
}

func testWalkRemoves(t *testing.T, s *suite) {
	for i := range 10 {
		s.put(t, store.Payload, fmt.Sprint(i), data(i))
	}
	kept := s.put(t, store.Payload, "keep", data(10))
	err := s.Walk(t.Context(), func(x store.Extent) error {
		if string(x.Label) == "keep" {
			return nil
		}
		return s.Remove(t.Context(), x.Place)
	})
	if err != nil {
		t.Fatal(err)
	}
	s.wantRecords(t, kept)
}
