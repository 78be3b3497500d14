// Package worker runs what nobody waits for: it finishes jobs, takes inventories, expires, releases, sweeps. What each of these means is in
// package vault; this package knows only when.
package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/moraine-archive/moraine/internal/vault"
)

// Worker runs the loops. All fields are needed.
type Worker struct {
	Service       *vault.Service
	Now           func() time.Time // the clock of the service
	Log           *slog.Logger
	SweepInterval time.Duration
}

// Figures of the loops.
const (
	idle       = time.Minute      // between looks when nothing is due and nobody pokes
	retryAfter = 5 * time.Second  // after a failure
	firstSweep = 10 * time.Minute // after the start, so that a restart is not slowed by it
)

// Run runs until ctx is done, and returns when everything has stopped. What may take long has a loop of its own: neither an inventory of millions of
// archives nor their deletion keeps a retrieval waiting.
func (w *Worker) Run(ctx context.Context) {
	wakes := w.Service.Wakes()
	var loops sync.WaitGroup
	loops.Go(func() { w.loop(ctx, wakes.Retrievals, w.retrievals) })
	loops.Go(func() { w.loop(ctx, wakes.Inventories, w.inventories) })
	loops.Go(func() { w.loop(ctx, wakes.Releases, w.releases) })
	loops.Go(func() { w.sweep(ctx) })
	loops.Wait()
}

// loop takes a step at once, whenever it is woken, and after the time that the step before has said.
func (w *Worker) loop(ctx context.Context, wake <-chan struct{}, step func(context.Context) (time.Duration, error)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-timer.C:
		}
		wait, err := step(ctx)
		if err != nil && ctx.Err() == nil {
			w.Log.Error("upkeep failed and will be tried again", "error", err, "after", retryAfter)
			wait = retryAfter
		}
		timer.Reset(wait)
	}
}

func (w *Worker) retrievals(ctx context.Context) (time.Duration, error) {
	next, err := w.Service.FinishJobs(ctx, vault.Retrievals)
	return w.until(next), err
}

func (w *Worker) inventories(ctx context.Context) (time.Duration, error) {
	err := w.Service.TakeInventories(ctx)
	next, failed := w.Service.FinishJobs(ctx, vault.Inventories)
	return w.until(next), errors.Join(err, failed)
}

func (w *Worker) releases(ctx context.Context) (time.Duration, error) {
	return idle, errors.Join(w.Service.Expire(ctx), w.Service.Release(ctx))
}

// until returns how long to wait for a moment; a zero one stands for none.
func (w *Worker) until(next time.Time) time.Duration {
	if next.IsZero() {
		return idle
	}
	return max(0, min(idle, next.Sub(w.Now())))
}

// sweep removes now and then what interrupted requests left.
func (w *Worker) sweep(ctx context.Context) {
	timer := time.NewTimer(min(firstSweep, w.SweepInterval))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		found, err := w.Service.Sweep(ctx)
		if err != nil && ctx.Err() == nil {
			w.Log.Error("the sweep failed and will be tried again", "error", err)
		}
		w.Log.Info("sweep", "records", found.Records, "removed", found.Removed, "bytes", found.Bytes)
		if found.Orphans > 0 {
			w.Log.Warn("the store has complete records that the catalogue does not know: interrupted requests left them, or the catalogue is an old copy",
				"records", found.Orphans)
		}
		timer.Reset(w.SweepInterval)
	}
}
