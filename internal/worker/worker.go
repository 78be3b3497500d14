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

// Run runs until ctx is done, and returns when everything has stopped. Bytes are released by a loop of their own: a deletion of millions of archives
// does not keep jobs waiting.
func (w *Worker) Run(ctx context.Context) {
	jobs, releases := w.Service.Wakes()
	var loops sync.WaitGroup
	loops.Go(func() { w.loop(ctx, jobs, w.upkeep) })
	loops.Go(func() { w.loop(ctx, releases, w.release) })
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

// upkeep does everything that is due and returns how long to wait.
func (w *Worker) upkeep(ctx context.Context) (time.Duration, error) {
	err := w.Service.TakeInventories(ctx)
	next, failed := w.Service.FinishJobs(ctx)
	err = errors.Join(err, failed, w.Service.Expire(ctx))
	wait := idle
	if !next.IsZero() {
		wait = max(0, min(idle, next.Sub(w.Now())))
	}
	return wait, err
}

func (w *Worker) release(ctx context.Context) (time.Duration, error) {
	return idle, w.Service.Release(ctx)
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
