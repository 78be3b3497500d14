package objects

import (
	"context"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"
)

// goneSet is a set of records of one object: those that were removed. It is not changed once others can see it.
type goneSet struct {
	bits   []uint64
	listed time.Time // when the server was asked last
}

func (g goneSet) has(record int) bool {
	return record/64 < len(g.bits) && g.bits[record/64]&(1<<(record%64)) != 0
}

func (g goneSet) len() (n int) {
	for _, word := range g.bits {
		n += bits.OnesCount64(word)
	}
	return n
}

// with returns the set with more records.
func (g goneSet) with(records ...int) goneSet {
	g.bits = slices.Clone(g.bits)
	for _, r := range records {
		if need := r/64 + 1 - len(g.bits); need > 0 {
			g.bits = append(g.bits, make([]uint64, need)...)
		}
		g.bits[r/64] |= 1 << (r % 64)
	}
	return g
}

// union returns the set with those of another. It was listed when the younger of both was.
func (g goneSet) union(other goneSet) goneSet {
	if len(other.bits) > len(g.bits) {
		g, other = other, g
	}
	union := goneSet{bits: slices.Clone(g.bits), listed: g.listed}
	for i, word := range other.bits {
		union.bits[i] |= word
	}
	if other.listed.After(union.listed) {
		union.listed = other.listed
	}
	return union
}

// maxIndexes is the longest list of records in the name of an object: file systems behind a server take names of 255 bytes.
const maxIndexes = 200

// formatIndexes returns records as the names of objects below gone/ list them: numbers and ranges in their order, "3,5-9".
func formatIndexes(records []int) (texts []string) {
	records = slices.Compact(slices.Sorted(slices.Values(records)))
	var b strings.Builder
	for len(records) > 0 {
		n := 1
		for n < len(records) && records[n] == records[0]+n {
			n++
		}
		piece := strconv.Itoa(records[0])
		if n > 1 {
			piece += "-" + strconv.Itoa(records[n-1])
		}
		if b.Len() > 0 && b.Len()+1+len(piece) > maxIndexes {
			texts = append(texts, b.String())
			b.Reset()
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(piece)
		records = records[n:]
	}
	if b.Len() > 0 {
		texts = append(texts, b.String())
	}
	return texts
}

// parseIndexes reads what formatIndexes wrote, of an object with so many records. A text of another form says nothing: no record is removed by it.
func parseIndexes(text string, count int) (records []int, ok bool) {
	last := -1
	for piece := range strings.SplitSeq(text, ",") {
		from, to, isRange := strings.Cut(piece, "-")
		first, ok := parseIndex(from)
		end := first
		if isRange && ok {
			end, ok = parseIndex(to)
			ok = ok && end > first
		}
		if !ok || first <= last || end >= count {
			return nil, false
		}
		for r := first; r <= end; r++ {
			records = append(records, r)
		}
		last = end
	}
	return records, true
}

func parseIndex(text string) (int, bool) {
	i, err := strconv.Atoi(text)
	return i, err == nil && i >= 0 && strconv.Itoa(i) == text
}

// listGone asks the server which records of an object were removed.
func (s *Store) listGone(ctx context.Context, n name) (goneSet, error) {
	g := goneSet{listed: time.Now()}
	l := s.bucket.list(ctx, n.gone())
	for {
		o, err := l.next()
		if err != nil || o == nil {
			return g, err
		}
		if records, ok := parseIndexes(strings.TrimPrefix(o.key, n.gone()), n.records()); ok {
			g = g.with(records...)
		}
	}
}

// gone returns which records of an object were removed: at once those that this process has removed, after a short time those of others.
func (s *Store) gone(ctx context.Context, n name) (goneSet, error) {
	known, _ := s.gones.get(n)
	if time.Since(known.listed) < s.fresh {
		return known, nil
	}
	return s.goneNow(ctx, n)
}

// goneNow asks the server which records were removed, whatever is remembered.
func (s *Store) goneNow(ctx context.Context, n name) (goneSet, error) {
	if n.records() == 1 {
		return goneSet{}, nil // such an object is removed as a whole
	}
	listed, err := s.listGone(ctx, n)
	if err != nil {
		return goneSet{}, err
	}
	return s.noteGone(n, listed), nil
}

// goneHere reports whether this process has removed a record, also after the list was read.
func (s *Store) goneHere(n name, record int) bool {
	known, _ := s.gones.get(n)
	return known.has(record)
}

// noteGone remembers that records were removed, and returns all that are known to be.
func (s *Store) noteGone(n name, more goneSet) goneSet {
	return s.gones.change(n, func(known goneSet) (goneSet, int64) {
		known = known.union(more)
		return known, goneWeight + int64(8*len(known.bits))
	})
}

const goneWeight = 200 // about what an entry of the cache takes without its bits
