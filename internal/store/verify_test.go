package store_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
)

const mib = treehash.LeafSize

// payload returns bytes and the record that they belong to.
func payload(size int) ([]byte, store.Extent) {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i % 251)
	}
	x := store.Extent{Place: "here", Kind: store.Payload, Size: int64(size)}
	for leaf := range slices.Chunk(b, mib) {
		x.Leaves = append(x.Leaves, sha256.Sum256(leaf))
	}
	return b, x
}

// closer counts how often it is closed.
type closer struct{ times int }

func (c *closer) Close() error { c.times++; return nil }

func reader(t *testing.T, ctx context.Context, r io.ReaderAt, x store.Extent, off, n int64) io.ReadCloser {
	t.Helper()
	v, err := store.NewVerifiedReader(ctx, r, &closer{}, x, off, n)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// ways of reading a reader to its end.
func ways() map[string]func(io.Reader) ([]byte, error) {
	return map[string]func(io.Reader) ([]byte, error){
		"Read": io.ReadAll,
		"WriteTo": func(r io.Reader) ([]byte, error) {
			var b bytes.Buffer
			_, err := r.(io.WriterTo).WriteTo(&b)
			return b.Bytes(), err
		},
	}
}

// A damaged leaf is an error before any byte of it is handed out; what comes before it is right.
func TestVerifiedReaderStopsBeforeDamage(t *testing.T) {
	good, x := payload(3*mib + 5)
	for _, at := range []int{0, mib - 1, mib, 2*mib + 17, 3 * mib, 3*mib + 4} {
		damaged := bytes.Clone(good)
		damaged[at] ^= 1
		for _, off := range []int{0, 1, mib, mib + 1, 3*mib + 1} {
			for name, all := range ways() {
				v := reader(t, t.Context(), bytes.NewReader(damaged), x, int64(off), int64(len(good)-off))
				got, err := all(v)
				leaf := at / mib * mib
				want := good[off:max(off, leaf)]
				wantErr := off < leaf+mib
				if !wantErr {
					want = good[off:] // the damaged leaf is not part of the range
				}
				if !bytes.Equal(got, want) || fault.Is(err, fault.Corrupt) != wantErr || (err == nil) == wantErr {
					t.Errorf("%s from %d with a damaged byte at %d: %d bytes and %v, want %d", name, off, at, len(got), err, len(want))
				}
				if _, again := v.Read(make([]byte, 1)); wantErr && again != err {
					t.Errorf("%s from %d with a damaged byte at %d: the next Read says %v", name, off, at, again)
				}
			}
		}
	}
}

func TestVerifiedReaderOfAFileThatIsCutOff(t *testing.T) {
	good, x := payload(2*mib + 5)
	for _, size := range []int{0, 1, mib - 1, mib, 2 * mib, 2*mib + 4} {
		for name, all := range ways() {
			got, err := all(reader(t, t.Context(), bytes.NewReader(good[:size]), x, 0, x.Size))
			if want := good[:size/mib*mib]; !bytes.Equal(got, want) || !fault.Is(err, fault.Corrupt) {
				t.Errorf("%s of %d of %d bytes: %d bytes and %v", name, size, len(good), len(got), err)
			}
		}
	}
}

// endsWithData is a reader that says io.EOF together with the last byte, as io.ReaderAt allows.
type endsWithData []byte

func (e endsWithData) ReadAt(b []byte, off int64) (int, error) {
	n := copy(b, e[off:])
	if int(off)+n == len(e) {
		return n, io.EOF
	}
	return n, nil
}

func TestVerifiedReaderOfAReaderThatEndsWithItsData(t *testing.T) {
	good, x := payload(mib + 5)
	for name, all := range ways() {
		if got, err := all(reader(t, t.Context(), endsWithData(good), x, 0, x.Size)); err != nil || !bytes.Equal(got, good) {
			t.Errorf("%s: %d bytes and %v", name, len(got), err)
		}
	}
}

// A writer that takes less than it is given ends WriteTo with its own error; nothing is lost that was not written.
func TestVerifiedReaderWithAWriterThatFails(t *testing.T) {
	good, x := payload(2 * mib)
	full := errors.New("the disk is full")
	v := reader(t, t.Context(), bytes.NewReader(good), x, 0, x.Size)
	w := &limitedWriter{left: mib + 100, err: full}
	n, err := v.(io.WriterTo).WriteTo(w)
	if n != mib+100 || !errors.Is(err, full) {
		t.Errorf("WriteTo: %d bytes and %v, want %d and %v", n, err, mib+100, full)
	}
	rest, err := io.ReadAll(v)
	if err != nil || !bytes.Equal(rest, good[mib+100:]) {
		t.Errorf("after that there are %d bytes and %v", len(rest), err)
	}
}

type limitedWriter struct {
	left int
	err  error
}

func (w *limitedWriter) Write(b []byte) (int, error) {
	n := min(len(b), w.left)
	w.left -= n
	if n < len(b) {
		return n, w.err
	}
	return n, nil
}

func TestVerifiedReaderCloses(t *testing.T) {
	good, x := payload(mib)
	c := &closer{}
	v, err := store.NewVerifiedReader(t.Context(), bytes.NewReader(good), c, x, 0, x.Size)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err != nil || c.times != 1 {
		t.Errorf("Close: %v, the file was closed %d times", err, c.times)
	}
}
