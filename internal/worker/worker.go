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

// Run runs until ctx is done, and returns when everything has stopped.
func (w *Worker) Run(ctx context.Context) {
	var loops sync.WaitGroup
	loops.Go(func() { w.work(ctx) })
	loops.Go(func() { w.sweep(ctx) })
	loops.Wait()
}

// work does what is due, then waits for the next thing to be.
func (w *Worker) work(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.Service.Wake():
		case <-timer.C:
		}
		wait, err := w.step(ctx)
		if err != nil && ctx.Err() == nil {
			w.Log.Error("upkeep failed and will be tried again", "error", err, "after", retryAfter)
			wait = retryAfter
		}
		timer.Reset(wait)
	}
}

// step does everything that is due and returns how long to wait.
func (w *Worker) step(ctx context.Context) (time.Duration, error) {
	err := w.Service.TakeInventories(ctx)
	next, failed := w.Service.FinishJobs(ctx)
	err = errors.Join(err, failed, w.Service.Expire(ctx), w.Service.Release(ctx))
	wait := idle
	if !next.IsZero() {
		wait = max(0, min(idle, next.Sub(w.Now())))
	}
	return wait, err
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
		timer.Reset(w.SweepInterval)
	}
}
