package objects

import (
	"context"
	"errors"
	"io/fs"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/moraine-archive/moraine/internal/store"
)

// Remove removes records: an object of one record goes, for one of many it is noted which records are gone. When all are, the object goes.
func (s *Store) Remove(ctx context.Context, at ...store.Place) error {
	records := make(map[name][]int)
	for _, p := range at {
		n, i, err := parsePlace(p)
		if err != nil {
			return err
		}
		records[n] = append(records[n], i)
	}
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(ahead)
	for n, some := range records {
		all.Go(func() error { return s.removeFrom(ctx, n, some) })
	}
	return all.Wait()
}

// removeFrom removes records of one object, and aborts uploads to it if they are asked for.
func (s *Store) removeFrom(ctx context.Context, n name, records []int) error {
	if slices.Contains(records, noRecord) {
		if err := s.abortUploads(ctx, n); err != nil {
			return err
		}
		records = slices.DeleteFunc(records, func(i int) bool { return i == noRecord })
	}
	switch {
	case len(records) == 0:
		return nil
	case n.records() == 1:
		return s.removeObject(ctx, n)
	}
	gone, err := s.gone(ctx, n)
	if err != nil {
		return err
	}
	more := slices.DeleteFunc(records, gone.has)
	if gone = gone.with(more...); gone.len() == n.records() {
		return s.removeObject(ctx, n)
	}
	if err := s.writeGone(ctx, n, more); err != nil {
		return err
	}
	s.noteGone(n, goneSet{}.with(more...))
	return nil
}

// writeGone writes down which records were removed. Of an object that is not complete nothing is: it has no records, and goes when this process has been told that
// nobody needs any of what they would have been.
func (s *Store) writeGone(ctx context.Context, n name, records []int) error {
	if len(records) == 0 {
		return nil
	}
	_, err := s.metaOf(ctx, n, true)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil && !errors.Is(err, errMeta):
		return err
	}
	for _, text := range formatIndexes(records) {
		if err := s.bucket.put(ctx, n.gone()+text, nil, ""); err != nil {
			return err
		}
	}
	return nil
}

// removeObject removes an object: first what makes its records exist, last what says that they do not.
func (s *Store) removeObject(ctx context.Context, n name) error {
	for _, key := range []string{n.meta(), n.data()} {
		if err := s.bucket.delete(ctx, key); err != nil {
			return err
		}
	}
	s.metas.forget(n)
	if n.records() == 1 {
		return nil
	}
	l := s.bucket.list(ctx, n.gone())
	for {
		o, err := l.next()
		if err != nil {
			return err
		}
		if o == nil {
			s.gones.forget(n)
			return nil
		}
		if err := s.bucket.delete(ctx, o.key); err != nil {
			return err
		}
	}
}

// abortUploads aborts all uploads to an object that were not completed.
func (s *Store) abortUploads(ctx context.Context, n name) error {
	list, err := s.bucket.uploads(ctx, n.data())
	if err != nil {
		return err
	}
	for _, u := range list {
		if u.key != n.data() {
			continue
		}
		if err := s.bucket.abort(ctx, u.key, u.id); err != nil {
			return err
		}
	}
	return nil
}
