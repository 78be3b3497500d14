// Package moving is a store that is on its way from one store to another: new records go to the new one, and what the old one still has is read there.
package moving

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
)

// Side is one of the two stores, and says which places have the form of its own.
type Side struct {
	Store interface {
		store.Volumes
		store.Adopter
	}
	IsPlace func(store.Place) bool
}

// Store is two stores. Their places have to differ in their form.
type Store struct{ to, from Side }

var (
	_ store.Moving  = (*Store)(nil)
	_ store.Volumes = (*Store)(nil)
	_ store.Cold    = (*Store)(nil)
)

// New returns the store that goes from one to another. Close closes both.
func New(from, to Side) *Store { return &Store{to: to, from: from} }

// Old returns the store that is left.
func (s *Store) Old() store.Store { return s.from.Store }

// IsOld reports whether a place is in the store that is left.
func (s *Store) IsOld(at store.Place) bool { return s.from.IsPlace(at) }

// of returns the store that a place is in.
func (s *Store) of(at store.Place) store.Volumes {
	if s.IsOld(at) {
		return s.from.Store
	}
	return s.to.Store
}

// Put writes a record to the new store.
func (s *Store) Put(ctx context.Context, kind store.Kind, label []byte, payload *treehash.Stream) (store.Extent, error) {
	return s.to.Store.Put(ctx, kind, label, payload)
}

// PutWarm writes what must be readable at any moment to the new store.
func (s *Store) PutWarm(ctx context.Context, kind store.Kind, label []byte, payload *treehash.Stream) (store.Extent, error) {
	return store.PutWarm(ctx, s.to.Store, kind, label, payload)
}

// Adopt writes a record of the old store to the new one.
func (s *Store) Adopt(ctx context.Context, x store.Extent, payload *treehash.Stream, warm bool) (store.Extent, error) {
	return s.to.Store.Adopt(ctx, x, payload, warm)
}

// Warm asks for payloads, wherever they are.
func (s *Store) Warm(ctx context.Context, tier string, at ...store.Place) (ready bool, err error) {
	ready = true
	for _, side := range []Side{s.to, s.from} {
		cold, ok := side.Store.(store.Cold)
		if some := places(at, side); ok && len(some) > 0 {
			can, err := cold.Warm(ctx, tier, some...)
			if err != nil {
				return false, err
			}
			ready = ready && can
		}
	}
	return ready, nil
}

// places returns those of a side.
func places(at []store.Place, side Side) []store.Place {
	return slices.DeleteFunc(slices.Clone(at), func(p store.Place) bool { return !side.IsPlace(p) })
}

// Open returns bytes of a payload.
func (s *Store) Open(ctx context.Context, at store.Place, off, n int64) (io.ReadCloser, error) {
	return s.of(at).Open(ctx, at, off, n)
}

// Stat returns what is known of a record.
func (s *Store) Stat(ctx context.Context, at store.Place) (store.Extent, error) {
	return s.of(at).Stat(ctx, at)
}

// Remove removes records.
func (s *Store) Remove(ctx context.Context, at ...store.Place) error {
	for _, p := range at {
		if !s.to.IsPlace(p) && !s.from.IsPlace(p) {
			return fault.New(fault.Invalid, "%q is a place of neither store", p)
		}
	}
	for _, side := range []Side{s.to, s.from} {
		if some := places(at, side); len(some) > 0 {
			if err := side.Store.Remove(ctx, some...); err != nil {
				return err
			}
		}
	}
	return nil
}

// Walk calls fn for every record of both. One that is on its way may be given twice.
func (s *Store) Walk(ctx context.Context, fn func(store.Extent) error) error {
	if err := s.from.Store.Walk(ctx, fn); err != nil { // what is moved meanwhile comes again, and is not missed
		return err
	}
	return s.to.Store.Walk(ctx, fn)
}

// oldVolume is what the names of volumes of the old store begin with.
const oldVolume = "old/"

// Volumes returns the volumes of both. What a kill has left in the old store is nobody's work any more.
func (s *Store) Volumes(ctx context.Context) ([]store.Volume, error) {
	list, err := s.from.Store.Volumes(ctx)
	if err != nil {
		return nil, err
	}
	for i := range list {
		list[i].Name, list[i].Recovered = oldVolume+list[i].Name, false
	}
	more, err := s.to.Store.Volumes(ctx)
	return append(list, more...), err
}

// Inspect goes through a volume.
func (s *Store) Inspect(ctx context.Context, name string, i store.Inspection) error {
	if old, ok := cutOld(name); ok {
		return s.from.Store.Inspect(ctx, old, i)
	}
	return s.to.Store.Inspect(ctx, name, i)
}

// Compact compacts a volume of the new store. Those of the old one stay as they are.
func (s *Store) Compact(ctx context.Context, name string, c store.Compaction) (store.Compacted, error) {
	if _, old := cutOld(name); old {
		return store.Compacted{}, nil
	}
	return s.to.Store.Compact(ctx, name, c)
}

func cutOld(name string) (string, bool) {
	return strings.CutPrefix(name, oldVolume)
}

// Close closes both.
func (s *Store) Close() error { return errors.Join(s.to.Store.Close(), s.from.Store.Close()) }
