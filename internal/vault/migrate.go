package vault

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
)

// Migrated is what a migration of the store has found and done.
type Migrated struct {
	Records int   `json:"records"` // in the old store
	Moved   int   `json:"moved"`   // that are in the new store now
	Bytes   int64 `json:"bytes"`   // of payload in those
	Before  int   `json:"before"`  // that were moved before, or that nothing needs
	Cold    int   `json:"cold"`    // that the old store is bringing to where they can be read
	Damaged int   `json:"damaged"` // that could not be read, or say nothing known of themselves
}

// Left reports whether something that is needed is still in the old store only.
func (m Migrated) Left() bool { return m.Cold > 0 || m.Damaged > 0 }

// Figures of a migration.
const (
	movedAtOnce = 16 // records that are copied at the same time: small ones share an object then
	movedBatch  = 64 // records whose rows are changed in one transaction
)

// Migrate copies every record that is needed from the old store to the new one, and has its row refer to the copy. Requests go on meanwhile. It may be ended at any moment, and goes on when
// it is called again: what was copied is not read again. The old store stays as it is.
func (s *Service) Migrate(ctx context.Context, in Inspection) (Migrated, error) {
	m, ok := s.bytes.(store.Moving)
	if !ok {
		return Migrated{}, fault.New(fault.Invalid, "there is no store to move records from: name it with --old-store, beside the new one, when the server is started")
	}
	mv := &migration{Inspection: in, s: s, stores: m}
	if in.Progress == nil {
		mv.Progress = func(string, int64, int64) {}
	}
	s.moving.Lock()
	defer s.moving.Unlock()
	err := s.leased(ctx, leaseMoving, func(ctx context.Context, l *lease) error {
		mv.lease = l
		if err := m.Old().Walk(ctx, func(x store.Extent) error { return mv.take(ctx, x) }); err != nil {
			return err
		}
		return mv.flush(ctx)
	})
	return mv.done, err
}

// migration is a migration that runs.
type migration struct {
	Inspection
	s      *Service
	stores store.Moving
	lease  *lease
	done   Migrated

	batch []store.Moved
	from  []store.Extent // of the batch
}

// take notes a record that is to be moved.
func (mv *migration) take(ctx context.Context, x store.Extent) error {
	mv.done.Records++
	mv.Progress("records", int64(mv.done.Records), 0)
	fate, err := mv.s.fate(ctx, x)
	switch {
	case err != nil:
		return err
	case fate == store.Drop, x.Kind == 0 && fate == store.Wait:
		mv.done.Before++
		return nil
	case x.Kind == 0: // a row refers to what is not complete
		mv.done.Damaged++
		return mv.Report(Finding{Severity: Wrong, Place: string(x.Place), Problem: "a row refers to a record that is not complete"})
	case fate == store.Wait:
		return mv.undecided(x)
	}
	mv.batch, mv.from = append(mv.batch, store.Moved{From: x.Place, Fate: fate}), append(mv.from, x)
	if len(mv.batch) < movedBatch {
		return nil
	}
	return mv.flush(ctx)
}

// undecided is for a record of which nobody can say yet whether it is needed: it is young and no row refers to it, or its label is not known.
func (mv *migration) undecided(x store.Extent) error {
	if _, err := parseLabel(x.Label); err == nil {
		mv.done.Before++ // an interrupted request left it: nobody puts anything there any more
		return nil
	}
	mv.done.Damaged++
	return mv.Report(Finding{Severity: Wrong, Place: string(x.Place), Problem: fmt.Sprintf("a record says nothing known of itself, and was not moved: %.200q", x.Label)})
}

// flush copies the batch, and has the rows refer to the copies.
func (mv *migration) flush(ctx context.Context) error {
	outcome := make([]error, len(mv.batch))
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(movedAtOnce)
	for i := range mv.batch {
		group.Go(func() (err error) {
			mv.batch[i].Extent, err = mv.copyRecord(within, mv.from[i])
			mv.batch[i].To = mv.batch[i].Extent.Place
			if errors.Is(err, store.ErrCold) || fault.Is(err, fault.Corrupt) || fault.Is(err, fault.NotFound) {
				outcome[i], err = err, nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err // the copies are the sweep's
	}
	copied := mv.batch[:0]
	for i, m := range mv.batch {
		if outcome[i] == nil {
			copied = append(copied, m)
		} else if err := mv.left(ctx, mv.from[i], outcome[i]); err != nil {
			return err
		}
	}
	stale, err := mv.s.moved(ctx, mv.lease, copied)
	if err == nil && len(stale) > 0 {
		err = mv.stores.Remove(ctx, stale...)
	}
	if err != nil {
		return err
	}
	mv.done.Moved += len(copied) - len(stale)
	mv.done.Before += len(stale)
	for _, m := range copied {
		mv.done.Bytes += m.Extent.Size
	}
	mv.batch, mv.from = mv.batch[:0], mv.from[:0]
	return nil
}

// left notes a record that could not be copied.
func (mv *migration) left(ctx context.Context, x store.Extent, problem error) error {
	if errors.Is(problem, store.ErrCold) {
		mv.done.Cold++
		return nil
	}
	if fault.Is(problem, fault.NotFound) { // removed meanwhile
		mv.done.Before++
		return nil
	}
	mv.done.Damaged++
	findings, err := mv.s.findingsOf(ctx, store.Damage{Place: x.Place, Label: x.Label, Err: problem})
	for _, f := range findings {
		if err == nil {
			err = mv.Report(f)
		}
	}
	return err
}

// copyRecord copies a record to the new store, every MiB compared with the hash that the old one has of it.
func (mv *migration) copyRecord(ctx context.Context, x store.Extent) (store.Extent, error) {
	old := mv.stores.Old()
	r, err := old.Open(ctx, x.Place, 0, x.Size)
	if errors.Is(err, store.ErrCold) {
		if cold, ok := old.(store.Cold); ok {
			if _, failed := cold.Warm(ctx, "Bulk", x.Place); failed != nil {
				err = failed
			}
		}
	}
	if err != nil {
		return store.Extent{}, err
	}
	defer r.Close()
	l, err := parseLabel(x.Label)
	if err != nil {
		return store.Extent{}, err // never: fate has read it
	}
	y, err := mv.stores.Adopt(ctx, x, treehash.NewStream(paced{ctx, r, mv.Pace}, x.Size, nil), l.What == isOutput || l.What == isLock)
	if err == nil && y.Tree != x.Tree {
		err = fault.New(fault.Corrupt, "the copy of the record at %s has the tree hash %s, not %s", x.Place, y.Tree, x.Tree)
		mv.s.discard(y.Place)
	}
	return y, err
}

// paced is a reader that reads at a pace.
type paced struct {
	ctx  context.Context
	r    io.Reader
	pace func(context.Context, int) error
}

func (p paced) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	if n > 0 && p.pace != nil {
		if failed := p.pace(p.ctx, n); failed != nil {
			return n, failed
		}
	}
	return n, err
}
