package volume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/vfs"
)

// Open returns a verified reader on a payload.
func (s *Store) Open(ctx context.Context, at store.Place, off, n int64) (io.ReadCloser, error) {
	f, x, payloadAt, err := s.open(at)
	if err != nil {
		return nil, err
	}
	r, err := store.NewVerifiedReader(ctx, io.NewSectionReader(f, payloadAt, x.Size), f, x, off, n)
	if err != nil {
		f.Close()
	}
	return r, err
}

// Stat reads a record without its payload.
func (s *Store) Stat(_ context.Context, at store.Place) (store.Extent, error) {
	f, x, _, err := s.open(at)
	if err != nil {
		return store.Extent{}, err
	}
	return x, f.Close()
}

// open opens a volume and reads one record of it. It returns where in the file the payload begins.
func (s *Store) open(at store.Place) (vfs.File, store.Extent, int64, error) {
	id, off, err := parsePlace(at)
	if err != nil {
		return nil, store.Extent{}, 0, err
	}
	f := s.frame(id)
	file, err := s.fs.Open(s.path(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, store.Extent{}, 0, fault.Wrap(fault.NotFound, err, "there is no record at %s", at)
	}
	if err != nil {
		return nil, store.Extent{}, 0, fmt.Errorf("open a volume: %w", err)
	}
	h, x, payloadAt, err := readVolume(file, f, off)
	switch {
	case err == nil && h.kind > store.Tombstone:
		err = fault.New(fault.Corrupt, "what is at %s is no record that was put", at)
	case err == nil && f.shared && s.isRemoved(id, h.number):
		err = fault.New(fault.NotFound, "the record at %s was removed", at)
	case errors.Is(err, errFormat):
		err = fmt.Errorf("the record at %s: %w", at, err)
	case err != nil:
		err = fault.Wrap(fault.Corrupt, err, "the record at %s cannot be read", at)
	}
	if err != nil {
		file.Close()
		return nil, store.Extent{}, 0, err
	}
	x.Place = at
	return file, x, payloadAt, nil
}

// readVolume reads one record of a volume. The header of a volume with many records is not looked at: each of them says which volume it is in.
func readVolume(r io.ReaderAt, f frame, off int64) (recordHeader, store.Extent, int64, error) {
	if !f.shared {
		head, err := readSome(r, 0, volumeHeaderSize)
		if err == nil {
			err = decodeVolumeHeader(head, f)
		}
		if err != nil {
			return recordHeader{}, store.Extent{}, 0, err
		}
	}
	return readRecord(r, f, off)
}

// firstRead is how much is read at once of a record: enough for the header and any label that is made today.
const firstRead = 4096

// readRecord reads the record at an offset without its payload, and checks all of it but the payload and the padding.
func readRecord(r io.ReaderAt, f frame, off int64) (recordHeader, store.Extent, int64, error) {
	head, err := readSome(r, off, firstRead)
	if err != nil {
		return recordHeader{}, store.Extent{}, 0, err
	}
	h, err := f.decodeRecordHeader(head)
	if err != nil {
		return h, store.Extent{}, 0, err
	}
	label, err := readLabel(r, off, h, head)
	if err != nil {
		return h, store.Extent{}, 0, err
	}
	payloadAt := off + recordHeaderSize + int64(h.label)
	tail, err := readTrailer(r, payloadAt+h.payload, h.payload)
	if err != nil {
		return h, store.Extent{}, 0, err
	}
	leaves, tree, err := f.decodeTrailer(off, h, label, tail)
	if err != nil {
		return h, store.Extent{}, 0, err
	}
	return h, store.Extent{Place: place(f.id, off), Kind: h.kind, Label: label, Size: h.payload, Tree: tree, Leaves: leaves, Created: h.created, Skew: h.skew}, payloadAt, nil
}

func readLabel(r io.ReaderAt, off int64, h recordHeader, head []byte) ([]byte, error) {
	if end := recordHeaderSize + int(h.label); end <= len(head) {
		return head[recordHeaderSize:end], nil
	}
	return readAll(r, off+recordHeaderSize, int64(h.label))
}

// readTrailer reads a trailer from its end: the end mark first, so that a header that claims a huge payload costs nothing.
func readTrailer(r io.ReaderAt, at, payload int64) ([]byte, error) {
	size := trailerSize(payload)
	mark, err := readAll(r, at+size-int64(len(endMark)), int64(len(endMark)))
	if err == nil && string(mark) != endMark {
		err = fmt.Errorf("%w: there is no end mark", errNoRecord)
	}
	if err != nil {
		return nil, err
	}
	return readAll(r, at, size)
}

// readAll reads n bytes.
func readAll(r io.ReaderAt, off, n int64) ([]byte, error) {
	b := make([]byte, n)
	return b, readFull(r, b, off)
}

// readSome reads up to n bytes; less at the end of the file.
func readSome(r io.ReaderAt, off int64, n int) ([]byte, error) {
	b := make([]byte, n)
	m, err := r.ReadAt(b, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return b[:m], err
}
