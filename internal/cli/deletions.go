package cli

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/internal/daemon"
	"github.com/moraine-archive/moraine/internal/index"
)

// deletions deletes archives of a vault, several at once, and what the index knows of them.
type deletions struct {
	*session
	ix       *index.Index
	vault    string
	parallel int
	total    int64                      // for the meter; 0: unknown
	gone     func(index.Archive)        // is told of each, if it is not nil
	refused  func(index.Archive, error) // is told of each that is denied, if it is not nil
	meter    *meter

	mu       sync.Mutex
	deleted  int64 // guarded by mu, as are the others
	bytes    int64
	denied   int64
	deniedBy string // what the service said first
}

// manyDenied is after how many denials without a deletion nothing more is tried: all of them will be.
const manyDenied = 20

// errAllDenied ends deletions of which none is allowed.
var errAllDenied = errors.New("all of the first deletions were denied")

// run deletes. A denied deletion is counted; any other failure ends it.
func (d *deletions) run(ctx context.Context, archives iter.Seq2[index.Archive, error]) error {
	g, within := errgroup.WithContext(ctx)
	g.SetLimit(d.parallel)
	defer d.meter.clear()
	for a, err := range archives {
		if err != nil {
			g.Go(func() error { return err })
			break
		}
		if within.Err() != nil {
			break
		}
		g.Go(func() error { return d.one(within, a) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

func (d *deletions) one(ctx context.Context, a index.Archive) error {
	_, err := d.client.DeleteArchive(ctx, d.vault, a.ID)
	if err == nil {
		err = d.ix.Delete(context.WithoutCancel(ctx), a.ID, time.Now()) // what is gone is noted, also at the end
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case errors.Is(err, glacier.ErrAccessDenied):
		return d.deny(a, err)
	case err != nil:
		return err
	}
	d.deleted++
	d.bytes += a.Size
	if d.gone != nil {
		d.gone(a)
	}
	d.meter.show(daemon.Progress{What: "deleting", Done: d.deleted + d.denied, Total: d.total})
	return nil
}

func (d *deletions) deny(a index.Archive, err error) error {
	if d.denied++; d.denied == 1 {
		d.deniedBy = saidBy(err)
	}
	if d.refused != nil {
		d.refused(a, err)
	}
	if d.deleted == 0 && d.denied >= manyDenied {
		return errAllDenied
	}
	return nil
}

// saidBy is what the service says about an error, without what the request was.
func saidBy(err error) string {
	if answer, ok := errors.AsType[*glacier.APIError](err); ok && answer.Message != "" {
		return answer.Message
	}
	return err.Error()
}

// outcome is the error of deletions that are not all done, with the command that goes on.
func (d *deletions) outcome(again string) error {
	switch {
	case d.denied == 0:
		return nil
	case d.deleted == 0:
		return &exitError{code: exitDenied, err: fmt.Errorf("no archive could be deleted: %s", d.deniedBy)}
	}
	return &exitError{exitPartly, "When they may be deleted, run again:\n  " + again, fmt.Errorf("%d archives could not be deleted: %s", d.denied, d.deniedBy)}
}
