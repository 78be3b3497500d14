package store

import (
	"context"
	"crypto/sha256"
	"io"
	"io/fs"
	"sync"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/fault"
)

// NewVerifiedReader returns n bytes from offset off of the payload of x, which r holds from its offset 0. It reads in leaves
// and compares each with its hash before it hands out a byte of it. Closing it closes c; a read after that is an error, not an end. All
// drivers read through it.
func NewVerifiedReader(ctx context.Context, r io.ReaderAt, c io.Closer, x Extent, off, n int64) (io.ReadCloser, error) {
	if off < 0 || n < 0 || n > x.Size-off {
		return nil, fault.New(fault.Invalid, "%d bytes from offset %d are not within the %d bytes of the record at %s", n, off, x.Size, x.Place)
	}
	return &verifiedReader{ctx: ctx, r: r, c: c, x: x, off: off, left: n}, nil
}

type verifiedReader struct {
	ctx   context.Context
	r     io.ReaderAt
	c     io.Closer
	x     Extent
	off   int64 // of the next byte to hand out that is not in ready
	left  int64 // bytes to hand out from off on
	buf   *[treehash.LeafSize]byte
	ready []byte // verified, part of buf
	err   error
}

// leafBuffers keeps buffers of one leaf for readers. It is safe for concurrent use.
var leafBuffers = sync.Pool{New: func() any { return new([treehash.LeafSize]byte) }}

func (v *verifiedReader) Read(p []byte) (int, error) {
	if len(v.ready) == 0 {
		if err := v.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, v.ready)
	v.ready = v.ready[n:]
	return n, nil
}

// WriteTo writes all that is left to w, a leaf at a time and without a copy. It is what io.Copy calls.
func (v *verifiedReader) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		if len(v.ready) == 0 {
			if err := v.next(); err == io.EOF {
				return total, nil
			} else if err != nil {
				return total, err
			}
		}
		n, err := w.Write(v.ready)
		total += int64(n)
		v.ready = v.ready[n:]
		if err != nil {
			return total, err
		}
	}
}

// next makes the next verified bytes ready, io.EOF if there are none.
func (v *verifiedReader) next() error {
	switch {
	case v.err != nil:
		return v.err
	case v.left == 0:
		return io.EOF
	case v.ctx.Err() != nil:
		v.err = v.ctx.Err()
		return v.err
	}
	leaf := v.off / treehash.LeafSize
	chunk, err := v.load(leaf)
	if err != nil {
		v.err = err
		return err
	}
	chunk = chunk[v.off-leaf*treehash.LeafSize:]
	v.ready = chunk[:min(int64(len(chunk)), v.left)]
	v.off += int64(len(v.ready))
	v.left -= int64(len(v.ready))
	return nil
}

// load reads a leaf and compares it with its hash.
func (v *verifiedReader) load(leaf int64) ([]byte, error) {
	if v.buf == nil {
		v.buf = leafBuffers.Get().(*[treehash.LeafSize]byte)
	}
	at := leaf * treehash.LeafSize
	chunk := v.buf[:min(treehash.LeafSize, v.x.Size-at)]
	if n, err := v.r.ReadAt(chunk, at); n < len(chunk) {
		return nil, fault.Wrap(fault.Corrupt, err, "leaf %d of the record at %s cannot be read", leaf, v.x.Place)
	}
	if sha256.Sum256(chunk) != v.x.Leaves[leaf] {
		return nil, fault.New(fault.Corrupt, "leaf %d of the record at %s does not match its hash", leaf, v.x.Place)
	}
	return chunk, nil
}

func (v *verifiedReader) Close() error {
	if v.buf != nil {
		leafBuffers.Put(v.buf)
		v.buf, v.ready = nil, nil
	}
	v.err = fs.ErrClosed
	return v.c.Close()
}
