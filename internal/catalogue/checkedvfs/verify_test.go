package checkedvfs_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/moraine-archive/moraine/internal/catalogue/checkedvfs"
)

// TestVerifyFindsPages damages several pages, free ones and the header included.
func TestVerifyFindsPages(t *testing.T) {
	_, b := small(t)
	for _, pages := range [][]int64{{1}, {1, 2, 3}, {2, 5, int64(len(b) / smallPage)}} {
		damaged := slices.Clone(b)
		for _, page := range pages {
			damaged[(page-1)*smallPage+17] ^= 1 // of page 1 this is in the page size
		}
		if bad, err := checkedvfs.Verify(bytes.NewReader(damaged), int64(len(b))); err != nil || !slices.Equal(bad, pages) {
			t.Errorf("%d: %d, %v", pages, bad, err)
		}
	}
}

// halfWritten gives a damaged page at the first reading only.
type halfWritten struct {
	io.ReaderAt
	seen map[int64]bool
}

func (h halfWritten) ReadAt(p []byte, off int64) (int, error) {
	n, err := h.ReaderAt.ReadAt(p, off)
	if !h.seen[off] && off == 3*smallPage {
		p[9] ^= 1
	}
	h.seen[off] = true
	return n, err
}

func TestVerifyReadsAgain(t *testing.T) {
	_, b := small(t)
	if bad, err := checkedvfs.Verify(halfWritten{bytes.NewReader(b), map[int64]bool{}}, int64(len(b))); err != nil || len(bad) > 0 {
		t.Fatal(bad, err)
	}
}

func TestVerifyOfOthers(t *testing.T) {
	for _, b := range [][]byte{nil, make([]byte, 50), make([]byte, 10000), bytes.Repeat([]byte("SQLite format 3\x00"), 1000)} {
		if bad, err := checkedvfs.Verify(bytes.NewReader(b), int64(len(b))); !errors.Is(err, checkedvfs.ErrUnchecked) {
			t.Errorf("%d bytes: %d, %v", len(b), bad, err)
		}
	}
	_, b := small(t)
	cut := b[:len(b)-100]
	if bad, err := checkedvfs.Verify(bytes.NewReader(cut), int64(len(b)-100)); err != nil || len(bad) != 1 {
		t.Error(bad, err)
	}
}
