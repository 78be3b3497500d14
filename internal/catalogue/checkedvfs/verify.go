package checkedvfs

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

// ErrUnchecked is returned by Verify for a file whose pages have no checksums.
var ErrUnchecked = errors.New("the database has no checksums")

// Verify reads a database file of the given size whole and returns the numbers of the pages, from 1, whose checksum is wrong. Unlike SQLite it reads
// pages that are not in use as well. Damage to the file header does not hide that there are checksums.
//
// The database may be in use. A checkpoint may then be writing a page while it is read; every page that seems damaged is read a
// second time at the end, and whoever wants to be sure calls Verify again before believing the result. A file may hold damaged
// pages after a crash in the middle of a checkpoint, which do no harm while the WAL still has them: checkpoint first.
//
// On systems with POSIX locks a process must not close any descriptor of a database file that it has open in SQLite, since that drops
// SQLite's locks: keep the file behind r open until the connections are closed, or verify in another process.
func Verify(r io.ReaderAt, size int64) (bad []int64, err error) {
	pageSize, err := findPageSize(r, size)
	if err != nil {
		return nil, err
	}
	page := make([]byte, pageSize)
	for number := int64(1); number <= (size+pageSize-1)/pageSize; number++ {
		ok, err := verifyPage(r, page, number)
		if err != nil {
			return nil, err
		}
		if !ok {
			bad = append(bad, number)
		}
	}
	var again error
	bad = slices.DeleteFunc(bad, func(number int64) bool {
		ok, err := verifyPage(r, page, number)
		again = errors.Join(again, err)
		return ok
	})
	return bad, again
}

// verifyPage reports whether a page has its checksum, or needs none. A part of a page at the end of the file has none.
func verifyPage(r io.ReaderAt, page []byte, number int64) (bool, error) {
	if isLockPage(number, int64(len(page))) {
		return true, nil
	}
	n, err := r.ReadAt(page, (number-1)*int64(len(page)))
	switch {
	case n == len(page):
		return intact(page, number), nil
	case !errors.Is(err, io.EOF):
		return false, fmt.Errorf("read page %d: %w", number, err)
	}
	return n == 0, nil // cut off by now: it is no page any more
}

// findPageSize takes the page size from the file header, if page 1 bears it out, and else looks for a size at which pages have checksums.
func findPageSize(r io.ReaderAt, size int64) (int64, error) {
	header := make([]byte, headerSize)
	if n, err := r.ReadAt(header, 0); n < headerSize {
		if errors.Is(err, io.EOF) {
			return 0, ErrUnchecked
		}
		return 0, fmt.Errorf("read the file header: %w", err)
	}
	says := int64(header[pageSizeAt])<<8 | int64(header[pageSizeAt+1])<<16
	candidates := []int64{says}
	for n := int64(minPageSize); n <= maxPageSize; n *= 2 {
		candidates = append(candidates, n)
	}
	for _, n := range candidates {
		if ok, err := hasChecksums(r, size, n); ok || err != nil {
			return n, err
		}
	}
	if isHeader(header) && header[reserveAt] == checksumSize && isPageSize(says) {
		return says, nil
	}
	return 0, ErrUnchecked
}

// probes is how many pages are looked at to find out whether pages of a size have checksums.
const probes = 16

func hasChecksums(r io.ReaderAt, size, pageSize int64) (bool, error) {
	if !isPageSize(pageSize) {
		return false, nil
	}
	page := make([]byte, pageSize)
	for number := int64(1); number <= min(probes, size/pageSize); number++ {
		ok, err := verifyPage(r, page, number)
		if err != nil {
			return false, err
		}
		if ok || number == 1 && hidesChecksum(page) {
			return true, nil
		}
	}
	return false, nil
}
