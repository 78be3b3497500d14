// Package memory keeps records in memory. It is the reference for what a driver does, and forgets everything at Close.
package memory

import (
	"bytes"
	"context"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
)

// Store is a store.Store in memory.
type Store struct {
	now func() time.Time

	mu      sync.Mutex
	last    int                    // guarded by mu
	records map[store.Place]record // guarded by mu
}

type record struct {
	extent  store.Extent
	payload []byte
}

// New returns an empty store.
func New(now func() time.Time) *Store {
	return &Store{now: now, records: make(map[store.Place]record)}
}

// Put keeps a record.
func (s *Store) Put(ctx context.Context, kind store.Kind, label []byte, payload *treehash.Stream) (store.Extent, error) {
	defer payload.Close()
	var body bytes.Buffer
	for {
		chunk, _, err := payload.Next()
		if err == io.EOF { // and nothing that wraps it: that is a failure of the payload
			break
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return store.Extent{}, err
		}
		body.Write(chunk)
	}
	x := store.Extent{
		Kind: kind, Label: bytes.Clone(label), Size: int64(body.Len()),
		Tree: payload.Sum(), Leaves: payload.Leaves(), Created: s.now().UTC().Truncate(time.Millisecond),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	x.Place = store.Place(strconv.Itoa(s.last))
	s.records[x.Place] = record{x, body.Bytes()}
	return x, nil
}

func (s *Store) get(at store.Place) (record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.records[at]
	if !ok {
		return r, fault.New(fault.NotFound, "there is no record at %s", at)
	}
	return r, nil
}

// Open returns a verified reader on a payload.
func (s *Store) Open(ctx context.Context, at store.Place, off, n int64) (io.ReadCloser, error) {
	r, err := s.get(at)
	if err != nil {
		return nil, err
	}
	return store.NewVerifiedReader(ctx, bytes.NewReader(r.payload), io.NopCloser(nil), r.extent, off, n)
}

// Stat returns what is known of a record.
func (s *Store) Stat(_ context.Context, at store.Place) (store.Extent, error) {
	r, err := s.get(at)
	return r.extent, err
}

// Remove forgets records.
func (s *Store) Remove(_ context.Context, at ...store.Place) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range at {
		delete(s.records, p)
	}
	return nil
}

// Walk gives every record.
func (s *Store) Walk(ctx context.Context, fn func(store.Extent) error) error {
	s.mu.Lock()
	var all []store.Extent
	for _, r := range s.records {
		all = append(all, r.extent)
	}
	s.mu.Unlock()
	for _, x := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(x); err != nil {
			return err
		}
	}
	return nil
}

// Close forgets everything.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.records)
	return nil
}
