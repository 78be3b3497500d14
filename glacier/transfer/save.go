package transfer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/glacier/treehash"
)

// save fetches what a job offers to the partial file, and gives that its name.
func (t *download) save(ctx context.Context, job *glacier.Job) (*Download, error) {
	if err := t.of(job); err != nil {
		return nil, err
	}
	size := t.RangeSize
	for partCount(t.size, size) > maxRanges {
		size *= 2
	}
	if err := t.file.begin(t.contents(job), t.size, size); err != nil {
		return nil, err
	}
	if err := t.check(ctx); err != nil {
		return nil, err
	}
	reused := t.file.bytes()
	if err := t.fetchMissing(ctx, reused); err != nil {
		return nil, err
	}
	done, err := t.verdict(treehash.Fold(t.file.hashes))
	if err != nil {
		return nil, errors.Join(err, t.file.reset(0))
	}
	done.Reused = reused
	return done, t.file.finish()
}

// contents identifies bytes: two jobs that offer the same have the same.
func (t *download) contents(job *glacier.Job) (key [sha256.Size]byte) {
	if job.ArchiveID == "" {
		return sha256.Sum256([]byte("job " + job.ID))
	}
	return sha256.Sum256(fmt.Appendf(nil, "archive %s %s %s", job.ArchiveID, job.ArchiveSHA256TreeHash, job.RetrievalByteRange))
}

// check reads the ranges that the partial file claims to have, several at once, and forgets those that are not what they should be.
func (t *download) check(ctx context.Context) error {
	claimed := t.file.claimed()
	if len(claimed) == 0 {
		return nil
	}
	total := t.file.bytes()
	if t.file.whole {
		total = t.size
	}
	t.meter.begin(Hashing, t.job, total)
	g, within := errgroup.WithContext(ctx)
	g.SetLimit(t.Concurrency)
	for _, i := range claimed {
		g.Go(func() error {
			_, tree, err := t.file.part(i).hash(within, false, t.meter.moved)
			if within.Err() != nil {
				return context.Cause(within)
			}
			t.meter.finished(0)
			if t.file.whole && err == nil {
				return t.file.record(i, tree)
			}
			if err != nil || tree != t.file.hashes[i] { // what cannot be read is written again
				return t.file.forget(i)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil || !t.file.whole {
		return err
	}
	if want, err := treehash.Parse(t.hash); err != nil || treehash.Fold(t.file.hashes) != want {
		return t.file.anew()
	}
	return nil
}

// fetchMissing fetches the ranges that are not in the partial file.
func (t *download) fetchMissing(ctx context.Context, reused int64) error {
	t.meter.begin(Receiving, t.job, t.size)
	t.meter.moved(reused)
	g, within := errgroup.WithContext(ctx)
	g.SetLimit(t.Concurrency)
	for i := range t.file.hashes {
		if t.file.has(i) {
			continue
		}
		if within.Err() != nil {
			break
		}
		g.Go(func() error {
			p := t.file.part(i)
			tree, err := t.fetch(within, p.offset, p.offset+p.size-1, func(off int64, b []byte) error { return t.file.write(p.offset+off, b) })
			if err != nil {
				return err
			}
			return t.file.record(i, tree)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// fetched is a range in memory.
type fetched struct {
	m    *room
	tree treehash.Hash
}

// copy fetches ranges, several at once, and writes them in their order.
func (t *download) copy(ctx context.Context, job *glacier.Job, w io.Writer) (*Download, error) {
	if err := t.of(job); err != nil {
		return nil, err
	}
	t.meter.begin(Receiving, t.job, t.size)
	g, ctx := errgroup.WithContext(ctx)
	rooms := make(chan *room, t.Concurrency)
	for range t.Concurrency {
		rooms <- new(room)
	}
	queue := make(chan chan fetched, t.Concurrency)
	g.Go(func() error {
		defer close(queue)
		return t.fetchAhead(ctx, g, rooms, queue)
	})
	var tree treehash.Tree
	g.Go(func() error {
		for next := range queue {
			select {
			case f := <-next:
				n, err := f.m.WriteTo(w)
				t.safe += n
				if err != nil {
					return fmt.Errorf("write after %d bytes: %w", t.safe, err)
				}
				tree.Add(f.tree)
				rooms <- f.m
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return t.verdict(tree.Sum())
}

// fetchAhead fetches ranges as long as there is room for them. The queue has their places, in their order.
func (t *download) fetchAhead(ctx context.Context, g *errgroup.Group, rooms chan *room, queue chan chan fetched) error {
	for first := int64(0); first < t.size; first += t.RangeSize {
		var m *room
		select {
		case m = <-rooms:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		place := make(chan fetched, 1)
		queue <- place // which has room, for there was one for the range
		g.Go(func() error {
			tree, err := t.fetch(ctx, first, min(first+t.RangeSize, t.size)-1, func(off int64, b []byte) error {
				m.put(off, b)
				return nil
			})
			if err == nil {
				place <- fetched{m, tree}
			}
			return err
		})
	}
	return nil
}
