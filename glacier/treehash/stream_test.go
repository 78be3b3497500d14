package treehash_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"testing"
	"testing/iotest"

	"github.com/moraine-archive/moraine/glacier/treehash"
)

// readAll reads a stream to its end and returns its bytes.
func readAll(s *treehash.Stream) ([]byte, error) {
	var all []byte
	for {
		chunk, _, err := s.Next()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, chunk...)
	}
}

// pieces is a reader that returns as little as it likes.
type pieces struct {
	r      io.Reader
	random *rand.Rand
}

func (p pieces) Read(b []byte) (int, error) {
	return p.r.Read(b[:min(len(b), p.random.IntN(100_000))])
}

// readers are the ways in which a reader may hand out the same bytes (io.Reader).
func readers(t *testing.T) map[string]func(io.Reader) io.Reader {
	r := random(t)
	return map[string]func(io.Reader) io.Reader{
		"all at once":       func(r io.Reader) io.Reader { return r },
		"half of each read": iotest.HalfReader,
		"end with the data": iotest.DataErrReader,
		"random pieces":     func(from io.Reader) io.Reader { return pieces{from, r} },
	}
}

func TestStream(t *testing.T) {
	for name, wrap := range readers(t) {
		for _, size := range []int{0, 1, mib - 1, mib, mib + 1, 2*mib + mib/2, 3 * mib} {
			for _, promised := range []int64{int64(size), -1} {
				t.Run(fmt.Sprintf("%s, %d bytes, promised %d", name, size, promised), func(t *testing.T) {
					checkStream(t, wrap(bytes.NewReader(mod251(size))), promised, mod251(size))
				})
			}
		}
	}
}

// checkStream reads a stream that must give data, in leaves.
func checkStream(t *testing.T, r io.Reader, promised int64, data []byte) {
	t.Helper()
	checked := 0
	s := treehash.NewStream(r, promised, func(linear, tree treehash.Hash) error {
		checked++
		if linear != sha256.Sum256(data) || tree != naive(leavesOf(data)) {
			t.Errorf("check was given %s and %s", linear, tree)
		}
		return nil
	})
	rest := data
	for {
		chunk, leaf, err := s.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		want := rest[:min(len(rest), mib)]
		if len(chunk) == 0 || !bytes.Equal(chunk, want) || leaf != sha256.Sum256(want) {
			t.Fatalf("after %d bytes: a leaf of %d bytes with the hash %s, want %d bytes", len(data)-len(rest), len(chunk), leaf, len(want))
		}
		rest = rest[len(chunk):]
		if read := s.Read(); read != int64(len(data)-len(rest)) {
			t.Errorf("Read() = %d, want %d", read, len(data)-len(rest))
		}
	}
	if len(rest) > 0 || checked != 1 {
		t.Errorf("%d bytes are missing, check was called %d times", len(rest), checked)
	}
	if _, _, err := s.Next(); err != io.EOF || checked != 1 {
		t.Errorf("Next after the end: %v, check was called %d times", err, checked)
	}
	if s.Sum() != naive(leavesOf(data)) || s.Linear() != sha256.Sum256(data) || len(s.Leaves()) != len(leavesOf(data)) {
		t.Errorf("after the end: tree %s, linear %s, %d leaves", s.Sum(), s.Linear(), len(s.Leaves()))
	}
}

func TestStreamEndsEarly(t *testing.T) {
	for _, have := range []int{0, 1, mib - 1, mib, mib + 1, 2*mib - 1} {
		for name, wrap := range readers(t) {
			called := false
			s := treehash.NewStream(wrap(bytes.NewReader(mod251(have))), 2*mib, func(_, _ treehash.Hash) error { called = true; return nil })
			_, err := readAll(s)
			if !errors.Is(err, treehash.ErrShort) || called {
				t.Errorf("%s, %d of %d bytes: error %v, check called: %t", name, have, 2*mib, err, called)
			}
			if _, _, again := s.Next(); again != err {
				t.Errorf("%s, %d of %d bytes: Next says %v at first, then %v", name, have, 2*mib, err, again)
			}
		}
	}
}

// A reader's failure is what Next returns, also if it looks like an end: a connection that breaks says io.ErrUnexpectedEOF.
func TestStreamReturnsTheFailureOfItsReader(t *testing.T) {
	for _, failure := range []error{
		errors.New("the disk burns"), io.ErrUnexpectedEOF, fmt.Errorf("tunnel: %w", io.EOF), fmt.Errorf("gzip: %w", io.ErrUnexpectedEOF),
	} {
		for _, before := range []int{0, 10, mib, mib + 10} {
			for _, promised := range []int64{-1, 2 * mib} {
				called := false
				r := io.MultiReader(bytes.NewReader(mod251(before)), iotest.ErrReader(failure))
				s := treehash.NewStream(r, promised, func(_, _ treehash.Hash) error { called = true; return nil })
				for range 4 {
					if _, _, err := s.Next(); err != nil {
						break
					}
				}
				if _, _, err := s.Next(); err != failure || called {
					t.Errorf("%q after %d bytes of %d: Next says %v, check called: %t", failure, before, promised, err, called)
				}
			}
		}
	}
}

func TestStreamCheckReplacesTheEnd(t *testing.T) {
	refused := errors.New("not what it should be")
	for _, size := range []int{0, 1, mib, mib + 1} {
		called := 0
		s := treehash.NewStream(bytes.NewReader(mod251(size)), int64(size), func(_, _ treehash.Hash) error {
			called++
			return refused
		})
		data, err := readAll(s)
		if err != refused || len(data) != size {
			t.Errorf("%d bytes: %d bytes and error %v", size, len(data), err)
		}
		if _, _, err := s.Next(); err != refused || called != 1 {
			t.Errorf("%d bytes: the next Next says %v, check was called %d times", size, err, called)
		}
	}
}

func TestStreamLeavesWhatIsBeyondItsSize(t *testing.T) {
	for _, size := range []int{0, 1, mib - 1, mib, mib + 1} {
		r := bytes.NewReader(mod251(3 * mib))
		if _, err := readAll(treehash.NewStream(r, int64(size), nil)); err != nil {
			t.Fatal(err)
		}
		if read := 3*mib - r.Len(); read != size {
			t.Errorf("of 3 MiB with a stream of %d bytes, %d were read", size, read)
		}
	}
}

func TestStreamWithoutCheckHasNoLinearHash(t *testing.T) {
	s := treehash.NewStream(bytes.NewReader(mod251(10)), 10, nil)
	if _, err := readAll(s); err != nil {
		t.Fatal(err)
	}
	if s.Linear() != (treehash.Hash{}) {
		t.Errorf("Linear() = %s: it was computed though nobody asked", s.Linear())
	}
}

func TestStreamClosed(t *testing.T) {
	called := false
	s := treehash.NewStream(bytes.NewReader(mod251(2*mib)), 2*mib, func(_, _ treehash.Hash) error { called = true; return nil })
	if _, _, err := s.Next(); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s.Close()
	if chunk, _, err := s.Next(); err == nil || err == io.EOF || called {
		t.Errorf("Next after Close: %d bytes, error %v, check called: %t", len(chunk), err, called)
	}
}

// TestStreamMemory holds that streams share their buffers. Half a MiB is the bound, not nothing: the race detector makes a
// pool forget a quarter of what it is given.
func TestStreamMemory(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection would empty the pool
	data := mod251(2*mib + 1)
	const streams = 100
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range streams {
		s := treehash.NewStream(bytes.NewReader(data), int64(len(data)), nil)
		for {
			if _, _, err := s.Next(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / streams; each > mib/2 {
		t.Errorf("a stream allocates %d bytes", each)
	}
}

// BenchmarkStream is what an upload costs: both hashes in one pass. BenchmarkSHA256 is what the linear hash alone costs.
func BenchmarkStream(b *testing.B) {
	for name, check := range map[string]func(_, _ treehash.Hash) error{
		"linear and tree": func(_, _ treehash.Hash) error { return nil },
		"tree":            nil,
	} {
		b.Run(name, func(b *testing.B) {
			data := mod251(16 * mib)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				s := treehash.NewStream(bytes.NewReader(data), int64(len(data)), check)
				for {
					if _, _, err := s.Next(); err == io.EOF {
						break
					} else if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

func BenchmarkSHA256(b *testing.B) {
	data := mod251(16 * mib)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		sha256.Sum256(data)
	}
}

func BenchmarkTree(b *testing.B) {
	leaves := randomHashes(rand.New(rand.NewPCG(1, 2)), 4096)
	b.SetBytes(int64(len(leaves)) * treehash.Size)
	for b.Loop() {
		treehash.Fold(leaves)
	}
}
