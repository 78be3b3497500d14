package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/moraine-archive/moraine/glacier/treehash"
)

// source is where the parts of an upload come from.
type source interface {
	// next returns the next part, which the caller frees, and io.EOF after the last.
	next(context.Context) (part, error)
	// unchanged returns an error if the bytes are known not to be those that they were.
	unchanged() error
}

// part is a part of an archive. It can be read more than once.
type part struct {
	index  int
	offset int64
	size   int64
	bytes  io.ReaderAt // from 0 on
	free   func()
}

func (p part) reader() *io.SectionReader { return io.NewSectionReader(p.bytes, 0, p.size) }

// hash reads a part once and returns its tree hash, and its linear hash if both are wanted. read, if it is not nil, is told how many bytes were read.
func (p part) hash(ctx context.Context, both bool, read func(int64)) (linear, tree treehash.Hash, err error) {
	var check func(l, t treehash.Hash) error
	if both {
		check = func(l, _ treehash.Hash) error {
			linear = l
			return nil
		}
	}
	s := treehash.NewStream(p.reader(), p.size, check)
	defer s.Close()
	for ctx.Err() == nil {
		leaf, _, err := s.Next()
		switch {
		case errors.Is(err, io.EOF):
			return linear, s.Sum(), nil
		case errors.Is(err, treehash.ErrShort):
			return linear, tree, localError{fmt.Errorf("%w: %w", ErrChanged, err)}
		case err != nil:
			return linear, tree, localError{fmt.Errorf("read bytes %d-%d: %w", p.offset, p.offset+p.size-1, err)}
		}
		if read != nil {
			read(int64(len(leaf)))
		}
	}
	return linear, tree, context.Cause(ctx)
}

// file is a source whose size is known, and whose parts can be read in any order.
type file struct {
	r        io.ReaderAt
	size     int64
	part     int64
	at       int64 // offset of the next part
	statSize int64
	statTime time.Time
}

// stater is what *os.File and fs.File have.
type stater interface{ Stat() (fs.FileInfo, error) }

func openFile(r io.ReaderAt, size, part int64) (*file, int64, error) {
	f := &file{r: r, size: size, part: part}
	if s, ok := r.(stater); ok {
		info, err := s.Stat()
		if err != nil {
			return nil, 0, err
		}
		f.statSize, f.statTime = info.Size(), info.ModTime()
	}
	return f, size, nil
}

func (f *file) unchanged() error {
	s, ok := f.r.(stater)
	if !ok {
		return nil
	}
	info, err := s.Stat()
	if err != nil {
		return err
	}
	if info.Size() != f.statSize || !info.ModTime().Equal(f.statTime) {
		return fmt.Errorf("%w: the file had %d bytes, as of %s, and has %d, as of %s", ErrChanged, f.statSize, f.statTime, info.Size(), info.ModTime())
	}
	return nil
}

func (f *file) next(ctx context.Context) (part, error) {
	if f.at >= f.size {
		return part{}, io.EOF
	}
	p := f.partAt(int(f.at / f.part))
	f.at += p.size
	return p, context.Cause(ctx)
}

// partAt returns a part by its index.
func (f *file) partAt(i int) part {
	at := int64(i) * f.part
	size := min(f.part, f.size-at)
	return part{i, at, size, io.NewSectionReader(f.r, at, size), func() {}}
}

// stream is a source that is read once. Its parts are held in memory until they are freed.
type stream struct {
	parts chan part  // closed after the last
	room  chan *room // that is free
	err   error      // why the parts end, set before parts is closed
}

// readStream reads parts ahead, as many as there is room for, until the context ends.
func readStream(ctx context.Context, r io.Reader, size int64, parts int) *stream {
	s := &stream{parts: make(chan part), room: make(chan *room, parts)}
	for range parts {
		s.room <- new(room)
	}
	go func() {
		defer close(s.parts)
		s.err = s.read(ctx, r, size)
	}()
	return s
}

// lastRead is how long the end of an upload waits for a read that is under way. One of a file returns within that time, one of a pipe may never return.
const lastRead = time.Second

// readUntil reads parts ahead until end is called. That returns when nothing reads from r any more, and adds ErrReading to the error of the upload if it is not so.
func readUntil(ctx context.Context, r io.Reader, size int64, parts int) (s *stream, end func(error) error) {
	ctx, cancel := context.WithCancel(ctx)
	s = readStream(ctx, r, size, parts)
	return s, func(failed error) error {
		cancel()
		if failed == nil { // all was read
			return nil
		}
		patience := time.NewTimer(lastRead)
		defer patience.Stop()
		for {
			select {
			case _, open := <-s.parts:
				if !open {
					return failed
				}
			case <-patience.C:
				return fmt.Errorf("%w (%w)", failed, ErrReading)
			}
		}
	}
}

func (s *stream) read(ctx context.Context, r io.Reader, size int64) error {
	for i := 0; ; i++ {
		var m *room
		select {
		case m = <-s.room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		err := m.fill(ctx, r, size)
		if err != nil && err != io.EOF {
			return localError{fmt.Errorf("read the stream: %w", err)}
		}
		switch {
		case m.size == 0:
			return io.EOF
		case i == maxParts:
			return localError{fmt.Errorf("%w: with parts of %d bytes the limit is %d", ErrTooLarge, size, size*maxParts)}
		}
		select {
		case s.parts <- part{i, int64(i) * size, m.size, m, func() { s.room <- m }}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err == io.EOF {
			return io.EOF
		}
	}
}

func (s *stream) next(ctx context.Context) (part, error) {
	select {
	case p, ok := <-s.parts:
		if !ok {
			return p, s.err
		}
		return p, nil
	case <-ctx.Done():
		return part{}, context.Cause(ctx)
	}
}

func (s *stream) unchanged() error { return nil }

// pushedBack is a source whose first part was taken already.
type pushedBack struct {
	source
	first *part
}

func (s *pushedBack) next(ctx context.Context) (part, error) {
	if p := s.first; p != nil {
		s.first = nil
		return *p, nil
	}
	return s.source.next(ctx)
}

// room is memory that grows with what is put in.
type room struct {
	leaves []*[leafSize]byte
	size   int64
}

// fill reads until there are size bytes. It returns io.EOF if that is the end of the reader.
func (m *room) fill(ctx context.Context, r io.Reader, size int64) error {
	for m.size = 0; m.size < size; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := r.Read(m.at(m.size)[:min(leafSize-m.size%leafSize, size-m.size)])
		m.size += int64(n)
		if err != nil {
			return err
		}
	}
	return nil
}

// at returns the bytes from an offset to the end of its leaf. There is one more leaf if need be.
func (m *room) at(off int64) []byte {
	if off/leafSize == int64(len(m.leaves)) {
		m.leaves = append(m.leaves, new([leafSize]byte))
	}
	return m.leaves[off/leafSize][off%leafSize:]
}

// put stores bytes at an offset, which is that of a leaf.
func (m *room) put(off int64, b []byte) {
	copy(m.at(off), b)
	m.size = off + int64(len(b))
}

// ReadAt implements io.ReaderAt.
func (m *room) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		if off >= m.size {
			return n, io.EOF
		}
		k := copy(p[n:], m.at(off)[:min(leafSize-off%leafSize, m.size-off)])
		n, off = n+k, off+int64(k)
	}
	return n, nil
}

// WriteTo writes all that there is.
func (m *room) WriteTo(w io.Writer) (written int64, err error) {
	for written < m.size && err == nil {
		var n int
		n, err = w.Write(m.at(written)[:min(leafSize, m.size-written)])
		written += int64(n)
	}
	return written, err
}
