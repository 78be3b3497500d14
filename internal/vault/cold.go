package vault

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
)

// putWarm stores what must be readable at any moment, also where payloads are not.
func (s *Service) putWarm(ctx context.Context, l label, payload *treehash.Stream) (store.Extent, error) {
	return store.PutWarm(ctx, s.bytes, store.Payload, l.encode(), payload)
}

// How often is asked whether the bytes of a job can be read: at first often, for some stores are fast, and then after an eighth of the time that it has waited.
const (
	firstAsk   = 5 * time.Second
	longestAsk = 15 * time.Minute
)

func untilAsk(waited time.Duration) time.Duration {
	return min(max(waited/8, firstAsk), longestAsk)
}

// bring asks a cold store for the bytes of a retrieval, and reports whether they can be read. If not, the job is due again after a while, and so it is if this node
// dies: nothing is held in between. Of several nodes one asks.
func (s *Service) bring(ctx context.Context, j catalogue.Job) (ready bool, err error) {
	cold, ok := s.bytes.(store.Cold)
	if !ok {
		return true, nil
	}
	now := s.now()
	mine := false
	err = s.rows.Update(ctx, func(tx *catalogue.Tx) (err error) {
		mine, err = tx.PostponeJob(j, now.Add(untilAsk(now.Sub(j.CreatedAt))))
		return err
	})
	if err != nil || !mine {
		return false, err
	}
	var c content
	err = s.rows.View(ctx, func(tx *catalogue.Tx) (err error) {
		c, err = contentOf(tx, *j.ArchiveID)
		return err
	})
	if errors.Is(err, catalogue.ErrNotFound) {
		return true, nil // the vault was deleted, and the job with it
	}
	if err == nil {
		ready, err = s.warm(ctx, cold, c, *j.Tier, j.First, j.Last)
	}
	if fault.Is(err, fault.Corrupt) { // to wait would not bring it back: the download says what is wrong
		s.log.Error("bytes that a job is to bring back are lost", "job", j.ID, "archive", *j.ArchiveID, "error", err)
		return true, nil
	}
	return ready, err
}

// warm asks for a range of an archive, and reports whether all of it can be read.
func (s *Service) warm(ctx context.Context, cold store.Cold, c content, tier string, first, last int64) (ready bool, err error) {
	if c.upload == nil {
		err = s.find(ctx, c.place, c.again, func(at store.Place) error {
			ready, err = cold.Warm(ctx, tier, at)
			return err
		})
		return ready, err
	}
	parts, err := s.partsWithin(ctx, *c.upload, first, last)
	if err != nil {
		return false, err
	}
	var waits atomic.Bool
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(asksAtOnce)
	for _, p := range parts {
		group.Go(func() error {
			return s.find(ctx, store.Place(p.Place), finderOfPart(p), func(at store.Place) error {
				ready, err := cold.Warm(ctx, tier, at)
				if !ready {
					waits.Store(true)
				}
				return err
			})
		})
	}
	err = group.Wait()
	return err == nil && !waits.Load(), err
}

// asksAtOnce is for how many parts of an archive a store is asked at the same time.
const asksAtOnce = 16

// bringBack is for bytes that could be read when the job ended, and cannot be read any more: the store keeps what it has brought for some days only. They are asked for again.
func (o *Output) bringBack(ctx context.Context, cause error) error {
	cold, ok := o.s.bytes.(store.Cold)
	if !ok || o.job.Tier == nil {
		return cause
	}
	if _, err := o.s.warm(ctx, cold, o.content, *o.job.Tier, o.job.First, o.job.Last); err != nil {
		return fmt.Errorf("ask for bytes again: %w", errors.Join(err, cause))
	}
	return fault.Wrap(fault.Unavailable, cause, "The output of job %s cannot be read at the moment: it is being brought back from where it is kept. Try again later.", o.job.ID)
}
