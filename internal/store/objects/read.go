package objects

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
)

// Stat returns what is known of a record.
func (s *Store) Stat(ctx context.Context, at store.Place) (store.Extent, error) {
	x, _, _, err := s.record(ctx, at, true)
	return x, err
}

// Open returns a verified reader on a payload. The bytes are asked for now, so that what is not there, or cannot be read, is an error now.
func (s *Store) Open(ctx context.Context, at store.Place, off, n int64) (io.ReadCloser, error) {
	x, object, m, err := s.record(ctx, at, false)
	if err != nil {
		return nil, err
	}
	p := &payload{base: m.offset(x)}
	verified, err := store.NewVerifiedReader(ctx, p, p, x, off, n)
	if err != nil || n == 0 {
		return verified, err
	}
	from := off - off%treehash.LeafSize
	end := min(treehash.Leaves(off+n)*treehash.LeafSize, x.Size)
	p.stream, err = s.openData(ctx, object, m, p.base+from, p.base+end)
	if errors.Is(err, fs.ErrNotExist) {
		err = s.lost(ctx, at, err)
	}
	if err != nil {
		verified.Close()
		return nil, err
	}
	return &reader{verified, p.stream}, nil
}

// openData begins to read bytes of an object.
func (s *Store) openData(ctx context.Context, n name, m *meta, from, end int64) (*stream, error) {
	r, err := s.bucket.stream(ctx, n.data(), from, end)
	switch {
	case codeOf(err) == "InvalidObjectState":
		return nil, fmt.Errorf("object %s: %w: %w", n, store.ErrCold, err)
	case err == nil && r.whole != m.size:
		r.Close()
		return nil, fault.New(fault.Corrupt, "object %s has %d bytes, not the %d that were written", n, r.whole, m.size)
	}
	return r, err
}

// lost says why the bytes of a record are not there: it was removed, also by another node, or they are lost.
func (s *Store) lost(ctx context.Context, at store.Place, cause error) error {
	n, _, err := parsePlace(at)
	if err != nil {
		return err
	}
	s.metas.forget(n)
	if _, err := s.metaOf(ctx, n, true); err != nil {
		return noMeta(at, err)
	}
	return fault.Wrap(fault.Corrupt, cause, "the bytes of the record at %s are not there", at)
}

// offset returns where in its object a record begins.
func (m *meta) offset(x store.Extent) int64 {
	_, i, err := parsePlace(x.Place)
	if err != nil {
		return 0 // never: the records of a meta have places
	}
	return m.offsets[i]
}

// payload is the bytes of one record as a verified reader asks for them: a leaf at a time, in their order.
type payload struct {
	base   int64   // offset in the object
	stream *stream // nil if no bytes are wanted
}

// ReadAt reads at an offset in the payload.
func (p *payload) ReadAt(b []byte, off int64) (int, error) {
	if err := p.stream.seek(p.base + off); err != nil {
		return 0, err
	}
	before := p.stream.next
	err := p.stream.fill(b)
	return int(p.stream.next - before), err
}

// Close ends the request.
func (p *payload) Close() error {
	if p.stream == nil {
		return nil
	}
	return p.stream.Close()
}

// reader is a verified reader that gives the errors of the way to the bytes as they are. A verified reader takes every byte that it cannot have for damage: so it
// is on a disk, but not behind a network.
type reader struct {
	verified io.ReadCloser
	stream   *stream
}

// Read reads what comes next.
func (r *reader) Read(p []byte) (int, error) {
	n, err := r.verified.Read(p)
	return n, r.cause(err)
}

// WriteTo writes all that is left to w.
func (r *reader) WriteTo(w io.Writer) (int64, error) {
	n, err := r.verified.(io.WriterTo).WriteTo(w)
	return n, r.cause(err)
}

func (r *reader) cause(err error) error {
	if fault.Is(err, fault.Corrupt) && r.stream.err != nil {
		return r.stream.err
	}
	return err
}

// Close ends the reading.
func (r *reader) Close() error { return r.verified.Close() }
