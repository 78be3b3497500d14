package objects

import (
	"context"
	"errors"
	"io/fs"

	"golang.org/x/sync/errgroup"

	"github.com/moraine-archive/moraine/internal/store"
)

// Volumes returns the objects by name. What lacks a meta is among them if there are bytes: nobody may refer to it, and if somebody does, that is damage.
func (s *Store) Volumes(ctx context.Context) ([]store.Volume, error) {
	var list []store.Volume
	gone := make(map[int]goneSet) // of those in the list of which records were removed
	err := s.objects(ctx, func(o object) error {
		if o.meta == nil && o.data == nil {
			return nil
		}
		v := store.Volume{Name: string(o.name), Since: o.name.time(), Shared: o.name.records() > 1}
		for _, e := range []*listed{o.meta, o.data} {
			if e != nil {
				v.Bytes += e.size
			}
		}
		if o.meta != nil && o.gone.len() > 0 {
			gone[len(list)] = o.gone
		}
		list = append(list, v)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, s.countDead(ctx, list, gone)
}

// countDead fills in how much would be won of volumes in which records were removed.
func (s *Store) countDead(ctx context.Context, list []store.Volume, gone map[int]goneSet) error {
	some, ctx := errgroup.WithContext(ctx)
	some.SetLimit(ahead)
	for i, removed := range gone {
		some.Go(func() error {
			v := &list[i]
			if removed.len() == name(v.Name).records() {
				v.Dead = v.Bytes
				return nil
			}
			dead, err := s.deadBytes(ctx, name(v.Name), removed)
			v.Dead = min(dead, v.Bytes)
			return err
		})
	}
	return some.Wait()
}

// deadBytes returns how many bytes of an object and its meta belong to records that were removed; nothing if nobody can say.
func (s *Store) deadBytes(ctx context.Context, n name, gone goneSet) (dead int64, err error) {
	m, err := s.metaOf(ctx, n, false)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errMeta) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	for i, x := range m.records {
		if gone.has(i) {
			dead += x.Size + entryLength(x)
		}
	}
	return dead, nil
}
