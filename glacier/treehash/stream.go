package treehash

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
)

// A Stream reads data leaf by leaf and computes the linear hash and the tree hash as the bytes pass, each byte once
// for each. It holds one leaf in memory, whatever the size of the data.
type Stream struct {
	r      io.Reader
	size   int64 // -1 when unknown
	check  func(linear, tree Hash) error
	linear hash.Hash // nil when nobody asked for the linear hash, or when one leaf is all there is
	tree   Tree
	leaves []Hash
	read   int64
	buf    []byte          // of a leaf, or of all the data if that is little
	pooled *[LeafSize]byte // buf, if it is to be given back
	err    error           // what every further Next returns
}

// NewStream returns a stream of the size bytes of r, or of all of r when size is -1. When check is not nil it is given both hashes after
// the last byte; its error is returned by Next in place of io.EOF, so that who stores the stream never takes for
// complete what is not what it should be.
func NewStream(r io.Reader, size int64, check func(linear, tree Hash) error) *Stream {
	s := &Stream{r: r, size: size, check: check}
	if check != nil && (size < 0 || size > LeafSize) {
		s.linear = sha256.New()
	}
	if size > 0 {
		s.leaves = make([]Hash, 0, min(size/LeafSize+1, maxExpected))
	}
	return s
}

// maxExpected bounds the room made for leaves beforehand, at those of 4 GiB: a size is only what somebody claims.
const maxExpected = 4096

// ErrShort is returned by Next when the data ends before the size that was promised.
var ErrShort = errors.New("the data ended early")

// Next returns the next leaf and its hash: 1 MiB, or less at the end. The bytes are valid until the next call. After
// the last leaf it returns io.EOF. It returns ErrShort, wrapped, when there is less data than was promised, and whatever the
// reader or the check returned. Bytes beyond the promised size are not read.
func (s *Stream) Next() ([]byte, Hash, error) {
	if s.err != nil {
		return nil, Hash{}, s.err
	}
	chunk, err := s.fill()
	if err != nil {
		return nil, Hash{}, s.end(err)
	}
	leaf := Hash(sha256.Sum256(chunk))
	if s.linear != nil {
		s.linear.Write(chunk)
	}
	s.tree.Add(leaf)
	s.leaves = append(s.leaves, leaf)
	return chunk, leaf, nil
}

// fill reads the next leaf; io.EOF when all data has been read.
func (s *Stream) fill() ([]byte, error) {
	want := int64(LeafSize)
	if s.size >= 0 {
		want = min(want, s.size-s.read)
	}
	if want == 0 {
		return nil, io.EOF
	}
	if s.buf == nil {
		s.makeRoom()
	}
	n, err := readFull(s.r, s.buf[:want])
	s.read += int64(n)
	switch {
	case err == nil, err == io.EOF && s.size < 0 && n > 0:
		return s.buf[:n], nil
	case err == io.EOF && s.size >= 0:
		return nil, fmt.Errorf("%w: %d of %d bytes", ErrShort, s.read, s.size)
	default:
		return nil, err
	}
}

// littleSize is the number of bytes up to which data has a buffer of its own size: a whole leaf, which the collector may have taken from the pool, would cost more
// than the data.
const littleSize = 64 << 10

func (s *Stream) makeRoom() {
	if s.size >= 0 && s.size <= littleSize {
		s.buf = make([]byte, s.size)
		return
	}
	s.pooled = leafBuffers.Get().(*[LeafSize]byte)
	s.buf = s.pooled[:]
}

// readFull reads until b is full. It returns io.EOF only if r did, at whatever place: unlike io.ReadFull it makes no difference between an end
// that comes early and one that does not, and so it never takes a reader's own io.ErrUnexpectedEOF, a failure, for an end.
func readFull(r io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = r.Read(b[n:])
		n += m
	}
	if n == len(b) {
		return n, nil
	}
	return n, err
}

// end releases the buffer and turns the end of the data into the verdict of the check.
func (s *Stream) end(err error) error {
	s.Close()
	if err == io.EOF && s.check != nil {
		if bad := s.check(s.Linear(), s.Sum()); bad != nil {
			err = bad
		}
	}
	s.err = err
	return err
}

// Close releases the stream's buffer. It is needed only when the stream is left before its end, and may be called twice.
func (s *Stream) Close() {
	if s.pooled != nil {
		leafBuffers.Put(s.pooled)
	}
	s.buf, s.pooled = nil, nil
	if s.err == nil {
		s.err = io.ErrClosedPipe
	}
}

// Size returns the number of bytes that were promised, -1 when it is unknown.
func (s *Stream) Size() int64 { return s.size }

// Read returns the number of bytes read so far.
func (s *Stream) Read() int64 { return s.read }

// Leaves returns the hashes of the leaves read so far. The caller must not change them.
func (s *Stream) Leaves() []Hash { return s.leaves }

// Sum returns the tree hash of the leaves read so far.
func (s *Stream) Sum() Hash { return s.tree.Sum() }

// Linear returns the SHA-256 of the bytes read so far. It is computed only for a stream with a check; otherwise it is zero.
func (s *Stream) Linear() Hash {
	switch {
	case s.linear != nil:
		return Hash(s.linear.Sum(nil))
	case s.check != nil:
		return s.Sum() // of one leaf at most: the hash of the leaf is that of the whole
	}
	return Hash{}
}

// leafBuffers keeps buffers of one leaf, so that a request does not allocate MiBs. It is the package's only variable,
// and safe for concurrent use.
var leafBuffers = sync.Pool{New: func() any { return new([LeafSize]byte) }}
