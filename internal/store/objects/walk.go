package objects

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/moraine-archive/moraine/internal/store"
)

// ahead is how many objects are looked at, or removed, at the same time.
const ahead = 8

// Walk gives every record, and what interrupted requests have left. A meta of another format ends the walk: what this program cannot read must not be taken for
// something to remove.
func (s *Store) Walk(ctx context.Context, fn func(store.Extent) error) error {
	if err := s.walkUploads(ctx, fn); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	queue := make(chan chan described, ahead)
	listed := make(chan error, 1)
	go func() {
		defer close(queue)
		listed <- s.objects(ctx, func(o object) error {
			d := make(chan described, 1)
			select {
			case queue <- d:
			case <-ctx.Done():
				return ctx.Err()
			}
			go func() { d <- s.describe(ctx, o) }()
			return nil
		})
	}()
	for d := range queue {
		if err := s.walkObject(ctx, <-d, fn); err != nil {
			return err
		}
	}
	return <-listed
}

// described is an object with its meta.
type described struct {
	object
	records *meta // nil: there is none, or it is damaged
	err     error // what is wrong with it
}

func (s *Store) describe(ctx context.Context, o object) described {
	d := described{object: o}
	if o.meta == nil {
		return d
	}
	d.records, d.err = s.metaOf(ctx, o.name, false)
	return d
}

// walkObject gives the records of an object.
func (s *Store) walkObject(ctx context.Context, d described, fn func(store.Extent) error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(d.err, fs.ErrNotExist):
		return nil // removed meanwhile
	case d.err != nil && !errors.Is(d.err, errMeta):
		return d.err
	case d.records == nil, d.gone.len() == d.name.records():
		return s.walkRemains(ctx, d, fn)
	}
	for i, x := range d.records.records {
		if d.gone.has(i) || s.goneHere(d.name, i) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(x); err != nil {
			return err
		}
	}
	return nil
}

// walkRemains gives what is left of an object that is not complete, or that is to be removed: as many records as it would have, for if something
// refers to one of them it is damaged, and has to stay. It goes with the last of them.
func (s *Store) walkRemains(ctx context.Context, d described, fn func(store.Extent) error) error {
	for i := range d.name.records() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if d.records == nil && d.meta != nil && d.gone.has(i) {
			continue // of a meta that is damaged
		}
		if err := fn(store.Extent{Place: d.name.place(i), Created: d.touched}); err != nil {
			return err
		}
	}
	return nil
}

// walkUploads gives the uploads that were not completed: one for each object that they were to become.
func (s *Store) walkUploads(ctx context.Context, fn func(store.Extent) error) error {
	list, err := s.bucket.uploads(ctx, dataDir)
	if err != nil {
		return err
	}
	begun := make(map[name]time.Time)
	for _, u := range list {
		n, ok := parseName(strings.TrimPrefix(u.key, dataDir))
		if ok && u.key == n.data() && u.begun.After(begun[n]) {
			begun[n] = u.begun
		}
	}
	for n, at := range begun {
		if s.isWriting(n) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(store.Extent{Place: n.uploads(), Created: at}); err != nil {
			return err
		}
	}
	return nil
}
