package volume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

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
	f, err := s.fs.Open(s.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, store.Extent{}, 0, fault.Wrap(fault.NotFound, err, "there is no record at %s", at)
	}
	if err != nil {
		return nil, store.Extent{}, 0, fmt.Errorf("open a volume: %w", err)
	}
	x, payloadAt, err := readVolume(f, id, off)
	if errors.Is(err, errFormat) {
		f.Close()
		return nil, store.Extent{}, 0, fmt.Errorf("the record at %s: %w", at, err)
	}
	if err != nil {
		f.Close()
		return nil, store.Extent{}, 0, fault.Wrap(fault.Corrupt, err, "the record at %s cannot be read", at)
	}
	x.Place = at
	return f, x, payloadAt, nil
}

// readVolume checks the header of the volume with an id and reads one record of it.
func readVolume(r io.ReaderAt, id volumeID, off int64) (store.Extent, int64, error) {
	head, err := readSome(r, 0, volumeHeaderSize)
	if err == nil {
		err = decodeVolumeHeader(head, id)
	}
	if err != nil {
		return store.Extent{}, 0, err
	}
	return readRecord(r, off)
}

// firstRead is how much is read at once of a record: enough for the header and any label that is made today.
const firstRead = 4096

// readRecord reads the record at an offset without its payload, and checks all of it but the payload.
func readRecord(r io.ReaderAt, off int64) (store.Extent, int64, error) {
	head, err := readSome(r, off, firstRead)
	if err != nil {
		return store.Extent{}, 0, err
	}
	h, err := decodeRecordHeader(head)
	if err != nil {
		return store.Extent{}, 0, err
	}
	label, err := readLabel(r, off, h, head)
	if err != nil {
		return store.Extent{}, 0, err
	}
	payloadAt := off + recordHeaderSize + int64(h.label)
	tail, err := readTrailer(r, payloadAt+h.payload, h.payload)
	if err != nil {
		return store.Extent{}, 0, err
	}
	leaves, tree, err := decodeTrailer(h, label, tail)
	if err != nil {
		return store.Extent{}, 0, err
	}
	return store.Extent{Kind: h.kind, Label: label, Size: h.payload, Tree: tree, Leaves: leaves, Created: h.created}, payloadAt, nil
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
	if err != nil || string(mark) != endMark {
		return nil, fmt.Errorf("%w: there is no end mark", errNoRecord)
	}
	return readAll(r, at, size)
}

// readAll reads n bytes. That they are the last of the file is no error, whether or not ReadAt says so (io.ReaderAt).
func readAll(r io.ReaderAt, off, n int64) ([]byte, error) {
	b := make([]byte, n)
	if m, err := r.ReadAt(b, off); m < len(b) {
		return nil, fmt.Errorf("%w: %d bytes of %d at offset %d can be read: %w", errNoRecord, m, n, off, err)
	}
	return b, nil
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

// Walk gives the record of every volume. Files that are not volumes are passed over, and so are volumes that a Put is writing. A volume
// of another format ends the walk: what this program cannot read must not be taken for something to remove.
func (s *Store) Walk(ctx context.Context, fn func(store.Extent) error) error {
	for i := range shards {
		names, err := s.fs.List(s.shard(byte(i)))
		if err != nil {
			return fmt.Errorf("list volumes: %w", err)
		}
		for _, name := range names {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := s.visit(name, fn); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) visit(name string, fn func(store.Extent) error) error {
	base, isVolume := strings.CutSuffix(name, suffix)
	id, err := parseVolumeID(base)
	if err != nil || !isVolume || s.isWriting(id) { // asked before the volume is opened: it may be complete the moment after
		return nil
	}
	at := place(id, volumeHeaderSize)
	f, x, _, err := s.open(at)
	switch {
	case fault.Is(err, fault.NotFound):
		return nil // removed meanwhile
	case fault.Is(err, fault.Corrupt):
		return fn(store.Extent{Place: at, Created: id.time()})
	case err != nil:
		return err
	}
	f.Close()
	return fn(x)
}
