package vault

import (
	"context"
	"errors"
	"io"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
)

// content is where the bytes of an archive are: one record, or the parts of an upload one after the other.
type content struct {
	place  store.Place
	upload *string
	again  finder // finds the place anew: a compaction may move the record at any time
}

// finder returns where a record is.
type finder func(*catalogue.Tx) (store.Place, error)

// find calls use with the place of a record, and again when the record was moved meanwhile. That a row refers to a record which is not there is damage:
// to a client it is no answer to what it asked for.
func (s *Service) find(ctx context.Context, at store.Place, again finder, use func(store.Place) error) error {
	for {
		err := use(at)
		switch {
		case fault.Is(err, fault.Invalid): // in the middle of a move, on a server that was not told of one of the stores
			return fault.Wrap(fault.Internal, err, "bytes are in a store that this server does not have: look at --store and --old-store")
		case !fault.Is(err, fault.NotFound):
			return err
		}
		before := at
		failed := s.rows.View(ctx, func(tx *catalogue.Tx) (err error) {
			at, err = again(tx)
			return err
		})
		if failed != nil && !errors.Is(failed, catalogue.ErrNotFound) {
			return failed
		}
		if failed != nil || at == before {
			return fault.Wrap(fault.Corrupt, err, "bytes that the catalogue has are not in the store")
		}
	}
}

// contentOf returns where the bytes of an archive are, also if it was deleted while a job still offers it.
func contentOf(tx *catalogue.Tx, archive string) (content, error) {
	a, err := tx.Archive(archive)
	if err == nil {
		return contentOfArchive(a), nil
	}
	if !errors.Is(err, catalogue.ErrNotFound) {
		return content{}, err
	}
	d, err := tx.DeletedArchive(archive)
	if err != nil {
		return content{}, err
	}
	if d.Released {
		return content{}, catalogue.ErrNotFound
	}
	return content{store.Place(d.Place), d.UploadID, finderOf(archive)}, nil
}

// finderOf finds the record of an archive.
func finderOf(archive string) finder {
	return func(tx *catalogue.Tx) (store.Place, error) {
		w, err := tx.WhereArchive(archive)
		return store.Place(w.Place), err
	}
}

// open returns n bytes from an offset, verified. Of several parts one is open at a time.
func (s *Service) open(ctx context.Context, c content, off, n int64) (io.ReadCloser, error) {
	if c.upload == nil {
		return s.openRecord(ctx, c.place, c.again, off, n)
	}
	r := &partsReader{s: s, ctx: ctx, upload: *c.upload, off: off, left: n}
	return r, r.next() // so that a missing first part is an error now
}

// openRecord returns n bytes of a record from an offset, verified.
func (s *Service) openRecord(ctx context.Context, at store.Place, again finder, off, n int64) (r io.ReadCloser, err error) {
	err = s.find(ctx, at, again, func(at store.Place) error {
		r, err = s.bytes.Open(ctx, at, off, n)
		return err
	})
	return r, err
}

// partsReader reads the bytes of consecutive parts.
type partsReader struct {
	s      *Service
	ctx    context.Context
	upload string
	off    int64 // of the next byte that is not in part
	left   int64 // bytes from off on
	part   io.ReadCloser
}

// next opens the part that holds the next byte.
func (r *partsReader) next() error {
	if err := r.Close(); err != nil {
		return err
	}
	parts, err := r.s.partsWithin(r.ctx, r.upload, r.off, r.off)
	if err != nil {
		return err
	}
	p := parts[0]
	within := r.off - p.First
	n := min(p.Size-within, r.left)
	if r.part, err = r.s.openRecord(r.ctx, store.Place(p.Place), finderOfPart(p), within, n); err != nil {
		return err
	}
	r.off += n
	r.left -= n
	return nil
}

func finderOfPart(p catalogue.Part) finder {
	return func(tx *catalogue.Tx) (store.Place, error) {
		w, err := tx.WherePart(p.UploadID, p.First)
		return store.Place(w.Place), err
	}
}

func (r *partsReader) Read(b []byte) (int, error) {
	for {
		n, err := r.part.Read(b)
		if n > 0 || !errors.Is(err, io.EOF) {
			return n, err
		}
		if r.left == 0 {
			return 0, io.EOF
		}
		if err := r.next(); err != nil {
			return 0, err
		}
	}
}

// WriteTo writes all that is left to w, leaf by leaf and without a copy.
func (r *partsReader) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		n, err := io.Copy(w, r.part)
		total += n
		if err != nil || r.left == 0 {
			return total, err
		}
		if err := r.next(); err != nil {
			return total, err
		}
	}
}

func (r *partsReader) Close() error {
	if r.part == nil {
		return nil
	}
	err := r.part.Close()
	r.part = nil
	return err
}

// partsWithin returns the parts of an archive that hold a range of bytes.
func (s *Service) partsWithin(ctx context.Context, upload string, first, last int64) (parts []catalogue.Part, err error) {
	err = s.rows.View(ctx, func(tx *catalogue.Tx) error {
		parts, err = tx.PartsWithin(upload, first, last)
		return err
	})
	if err == nil && len(parts) == 0 {
		err = fault.New(fault.Corrupt, "upload %s has no part with the bytes %d to %d", upload, first, last)
	}
	return parts, err
}

// treeHash returns the tree hash of a range of an archive that is one node of its tree, from hashes that are kept: no
// byte of the archive is read. A part is a node too, so such a range is within one part or consists of whole parts.
func (s *Service) treeHash(ctx context.Context, c content, first, last int64) (treehash.Hash, error) {
	if c.upload == nil {
		return s.foldLeaves(ctx, c.place, c.again, first, last)
	}
	parts, err := s.partsWithin(ctx, *c.upload, first, last)
	if err != nil {
		return treehash.Hash{}, err
	}
	if p := parts[0]; len(parts) == 1 && (p.First != first || p.First+p.Size-1 != last) {
		return s.foldLeaves(ctx, store.Place(p.Place), finderOfPart(p), first-p.First, last-p.First)
	}
	var tree treehash.Tree
	for _, p := range parts {
		h, err := treehash.FromBytes(p.TreeHash)
		if err != nil {
			return h, err
		}
		tree.Add(h)
	}
	return tree.Sum(), nil
}

// foldLeaves returns the tree hash of a range of a record, from its leaves.
func (s *Service) foldLeaves(ctx context.Context, at store.Place, again finder, first, last int64) (hash treehash.Hash, err error) {
	err = s.find(ctx, at, again, func(at store.Place) error {
		x, err := s.bytes.Stat(ctx, at)
		if err == nil {
			hash = treehash.Fold(x.Leaves[first/treehash.LeafSize : treehash.Leaves(last+1)])
		}
		return err
	})
	return hash, err
}

func contentOfArchive(a catalogue.Archive) content {
	return content{store.Place(a.Place), a.UploadID, finderOf(a.ID)}
}
