package objects

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
)

// readMeta asks the server what an object holds. An object that is missing is fs.ErrNotExist, wrapped.
func (s *Store) readMeta(ctx context.Context, n name) (*meta, error) {
	b, err := s.bucket.read(ctx, n.meta(), maxMeta)
	if err != nil {
		return nil, err
	}
	m, err := decodeMeta(n, b)
	if err != nil {
		return nil, fmt.Errorf("object %s: %w", n, err)
	}
	s.metas.put(n, &known{m, time.Now()}, 2*m.length)
	return m, nil
}

// known is a meta, and when it was last seen to be there. It never changes, but it can be removed, by other nodes too.
type known struct {
	meta *meta
	seen time.Time
}

// metaOf returns what an object holds. fresh makes sure that it does still, or did moments ago.
func (s *Store) metaOf(ctx context.Context, n name, fresh bool) (*meta, error) {
	k, remembered := s.metas.get(n)
	if !remembered {
		return s.readMeta(ctx, n)
	}
	if !fresh || time.Since(k.seen) < s.fresh {
		return k.meta, nil
	}
	seen := time.Now()
	if _, err := s.bucket.head(ctx, n.meta()); err != nil {
		s.metas.forget(n)
		return nil, err
	}
	s.metas.put(n, &known{k.meta, seen}, 2*k.meta.length)
	return k.meta, nil
}

// record returns a record that exists, and where in its object it begins.
func (s *Store) record(ctx context.Context, at store.Place, fresh bool) (x store.Extent, n name, m *meta, err error) {
	n, i, err := parsePlace(at)
	if err != nil {
		return x, n, nil, err
	}
	if i == noRecord {
		return x, n, nil, fault.New(fault.NotFound, "what is at %s is no record", at)
	}
	m, err = s.metaOf(ctx, n, fresh)
	if err != nil {
		return x, n, nil, noMeta(at, err)
	}
	gone, err := s.gone(ctx, n)
	if err == nil && gone.has(i) {
		err = fault.New(fault.NotFound, "the record at %s was removed", at)
	}
	if err != nil {
		return x, n, nil, err
	}
	return m.records[i], n, m, nil
}

// noMeta says what it means for a record that its meta cannot be read.
func noMeta(at store.Place, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.Wrap(fault.NotFound, err, "there is no record at %s", at)
	case errors.Is(err, errMeta):
		return fault.Wrap(fault.Corrupt, err, "the record at %s cannot be read", at)
	}
	return fmt.Errorf("the record at %s: %w", at, err)
}
