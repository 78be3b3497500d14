package volume

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/moraine-archive/moraine/internal/store"
)

// scanned is what a scan has found in a shared volume.
type scanned struct {
	end      int64 // behind the last thing that is whole
	entries  []entry
	removals []removal
	numbers  uint32
	spare    int64
	bad      int // reads that failed: there may be more in the volume than was found
}

// scan reads a shared volume that has no index, or whose index cannot be read. What is not whole is passed over: a crash can leave a group in any
// state, and later records may be whole where earlier ones are not.
func scan(file io.ReaderAt, f frame, size int64) scanned {
	r := &window{r: file, buf: make([]byte, windowSize)}
	found := scanned{end: volumeHeaderSize}
	for at := found.end; at < size; {
		n, err := found.take(r, f, at)
		if err == nil {
			at += n
			continue
		}
		if !errors.Is(err, errNoRecord) {
			found.bad++
		}
		at = found.next(r, at+alignment, size)
	}
	return found
}

// take adds what is whole at an offset, and returns its length.
func (s *scanned) take(r *window, f frame, at int64) (int64, error) {
	head, err := readSome(r, at, closingSize)
	if err != nil {
		return 0, err
	}
	if c, err := decodeClosing(head, f, at); err == nil && !c.isCopy(r.r, f, at) {
		s.gap(at)
		s.spare += closingSize
		s.end = at + closingSize
		return closingSize, nil
	}
	h, x, payloadAt, err := readRecord(r, f, at)
	if err != nil {
		return 0, err
	}
	var payload bytes.Buffer // of a removal
	err = eachLeaf(r, payloadAt, x, func(leaf []byte) error {
		if h.kind == removalKind {
			payload.Write(leaf)
		}
		return nil
	})
	if err != nil && !errors.Is(err, errNoRecord) {
		return 0, err
	}
	s.gap(at)
	if err != nil {
		s.pass(at, h)
	} else {
		s.add(at, h, payload.Bytes())
	}
	return h.length(), nil
}

// pass passes over a record whose payload is not what was written: the whole of it, for its payload can be anything. It has its number, and its bytes are not spare, for it
// can be removed.
func (s *scanned) pass(at int64, h recordHeader) {
	s.gap(at + h.length())
	s.spare -= h.length()
	s.numbers = max(s.numbers, h.number+1)
}

// partial says why there may be more in a volume without an index than was found, nil if nothing speaks for it.
func (s *scanned) partial() error {
	switch {
	case s.bad > 0:
		return fmt.Errorf("a part of the volume could not be read when the server was started: %d reads failed", s.bad)
	case len(s.entries) == 0:
		return fmt.Errorf("%w: nothing in the volume is whole, and it is too long for one that was only begun", errNoRecord)
	}
	return nil
}

// add adds a record.
func (s *scanned) add(at int64, h recordHeader, payload []byte) {
	s.entries = append(s.entries, entry{at, uint32(h.length()), h.number})
	s.numbers = max(s.numbers, h.number+1)
	s.end = at + h.length()
	switch h.kind {
	case removalKind:
		s.removals = append(s.removals, decodeRemovals(payload)...)
		s.spare += h.length()
	case indexKind:
		s.spare += h.length()
	}
}

// gap notes what lies between the last thing that is whole and the next one.
func (s *scanned) gap(next int64) {
	for n := next - s.end; n > 0; n = next - s.end {
		n = min(n, 1<<30)
		s.entries = append(s.entries, entry{s.end, uint32(n), noRecord})
		s.spare += n
		s.end += n
	}
}

// lastByte returns the offset behind the last byte between two offsets that is not zero, brought to a multiple of the alignment; from if there is none.
func lastByte(r io.ReaderAt, from, to int64) int64 {
	for to > from {
		at := max(from, to-windowSize)
		b, err := readSome(r, at, int(to-at))
		if err != nil {
			return to
		}
		if n := len(bytes.TrimRight(b, "\x00")); n > 0 {
			return (at + int64(n) + alignment - 1) &^ (alignment - 1)
		}
		to = at
	}
	return from
}

// next returns the first offset from at on where something may begin, size if there is none.
func (s *scanned) next(r io.ReaderAt, at, size int64) int64 {
	for at < size {
		b, err := readSome(r, at, windowSize/2)
		if err != nil {
			s.bad++
			at += badSector
			continue
		}
		if i := firstMagic(b); i < len(b) {
			return at + int64(i)
		}
		at += max(int64(len(b))&^(alignment-1), alignment)
	}
	return size
}

// badSector is how far a scan goes on behind what cannot be read.
const badSector = 4096

// firstMagic returns the first multiple of the alignment in b at which something may begin, len(b) if there is none.
func firstMagic(b []byte) int {
	for i := 0; i < len(b); i += alignment {
		next := bytes.IndexByte(b[i:], recordMagic[0]) // the block that closes a volume begins with it too
		if next < 0 {
			break
		}
		i += next &^ (alignment - 1)
		if next%alignment == 0 && (bytes.HasPrefix(b[i:], []byte(recordMagic)) || bytes.HasPrefix(b[i:], []byte(closingMagic))) {
			return i
		}
	}
	return len(b)
}

// windowSize is how much of a volume is read at once.
const windowSize = 1 << 20

// window reads a file in large pieces, for who reads it in small ones from the beginning to the end.
type window struct {
	r   io.ReaderAt
	buf []byte
	at  int64 // of the n bytes in buf
	n   int
}

func (w *window) ReadAt(p []byte, off int64) (int, error) {
	if len(p) > len(w.buf) {
		return w.r.ReadAt(p, off)
	}
	if off < w.at || off+int64(len(p)) > w.at+int64(w.n) {
		n, err := w.r.ReadAt(w.buf, off)
		if err != nil && err != io.EOF {
			w.n = 0
			return w.r.ReadAt(p, off) // what is asked for may be readable
		}
		w.at, w.n = off, n
	}
	n := copy(p, w.buf[off-w.at:w.n])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// readEntry reads what an entry stands for.
func readEntry(r io.ReaderAt, f frame, e entry) (recordHeader, store.Extent, int64, error) {
	h, x, payloadAt, err := readRecord(r, f, e.off)
	if err == nil && (h.number != e.number || h.length() != int64(e.length)) {
		err = fmt.Errorf("%w: the record has the number %d and %d bytes, the index says %d and %d", errNoRecord, h.number, h.length(), e.number, e.length)
	}
	return h, x, payloadAt, err
}
