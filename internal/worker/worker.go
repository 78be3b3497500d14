// Package worker runs what nobody waits for: it finishes jobs, takes inventories, expires, releases, sweeps, compacts, scrubs, and has the catalogue copied. What each of these means is in
// package vault; this package knows only when.
package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/moraine-archive/moraine/internal/notify"
	"github.com/moraine-archive/moraine/internal/vault"
)

// Worker runs the loops. Service, Now, Log and SweepInterval are needed; what has no interval is not done.
type Worker struct {
	Service       *vault.Service
	Now           func() time.Time // the clock of the service
	Log           *slog.Logger
	SweepInterval time.Duration
	Send          func(context.Context, notify.Notice) error // tries once to deliver a message

	CompactInterval time.Duration
	CompactPace     Pace
	ScrubInterval   time.Duration // from the end of one to the beginning of the next
	ScrubPace       Pace
	BackupInterval  time.Duration
	Backup          func(context.Context) error
	LastBackup      time.Time // zero: there is none
}

// Pace is called before bytes are read; it returns when they may be.
type Pace func(ctx context.Context, n int) error

// Figures of the loops.
const (
	idle       = time.Minute      // between looks when nothing is due and nobody pokes
	retryAfter = 5 * time.Second  // after a failure
	elsewhere  = 2 * time.Second  // when another node does it: that ends, or the node does
	firstSweep = 10 * time.Minute // after the start, so that a restart is not slowed by it
	firstCopy  = time.Minute      // of the catalogue after the start, if it is due
)

// Run runs until ctx is done, and returns when everything has stopped. What may take long has a loop of its own: neither an inventory of millions of
// archives nor their deletion keeps a retrieval waiting.
func (w *Worker) Run(ctx context.Context) {
	wakes := w.Service.Wakes()
	var loops sync.WaitGroup
	loops.Go(func() { w.loop(ctx, wakes.Retrievals, w.retrievals) })
	loops.Go(func() { w.loop(ctx, wakes.Inventories, w.inventories) })
	loops.Go(func() { w.loop(ctx, wakes.Releases, w.releases) })
	loops.Go(func() { w.loop(ctx, wakes.Notices, w.notices) })
	loops.Go(func() { w.every(ctx, 0, idle, w.keepTime) })
	loops.Go(func() { w.failed(ctx, "tidying up after a kill", w.Service.TidyUp(ctx)) })
	loops.Go(func() { w.every(ctx, firstSweep, w.SweepInterval, w.sweep) })
	loops.Go(func() { w.every(ctx, firstSweep, w.CompactInterval, w.compact) })
	loops.Go(func() { w.every(ctx, w.untilBackup(), w.BackupInterval, w.backup) })
	loops.Go(func() { w.every(ctx, firstSweep, min(w.ScrubInterval, time.Hour), w.scrub) })
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
		switch {
		case errors.Is(err, vault.ErrElsewhere):
			wait = elsewhere
		case err != nil && ctx.Err() == nil:
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

func (w *Worker) notices(ctx context.Context) (time.Duration, error) {
	next, err := w.Service.Deliver(ctx, w.Send)
	return w.until(next), err
}

func (w *Worker) keepTime(ctx context.Context) {
	w.failed(ctx, "saving the time that locks go by", w.Service.KeepTime(ctx))
}

// until returns how long to wait for a moment; a zero one stands for none.
func (w *Worker) until(next time.Time) time.Duration {
	if next.IsZero() {
		return idle
	}
	return max(0, min(idle, next.Sub(w.Now())))
}

// every does something at intervals, the first time after a while. An interval of zero stands for never.
func (w *Worker) every(ctx context.Context, first, interval time.Duration, do func(context.Context)) {
	if interval == 0 {
		return
	}
	timer := time.NewTimer(min(first, interval))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		do(ctx)
		timer.Reset(interval)
	}
}

// failed logs an error, unless the worker is to stop.
func (w *Worker) failed(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil && !errors.Is(err, vault.ErrElsewhere) {
		w.Log.Error(what+" failed and will be tried again", "error", err)
	}
}

// sweep removes what interrupted requests left.
func (w *Worker) sweep(ctx context.Context) {
	found, err := w.Service.Sweep(ctx)
	if errors.Is(err, vault.ErrElsewhere) {
		return
	}
	w.failed(ctx, "the sweep", err)
	w.Log.Info("sweep", "records", found.Records, "removed", found.Removed, "bytes", found.Bytes)
	if found.Orphans > 0 {
		w.Log.Warn("the store has complete records that the catalogue does not know: interrupted requests left them, or the catalogue is an old copy",
			"records", found.Orphans)
	}
}

// compact wins back space.
func (w *Worker) compact(ctx context.Context) {
	_, err := w.Service.Compact(ctx, w.CompactPace)
	w.failed(ctx, "the compaction", err)
}

// untilBackup returns how long to wait for the first copy of the catalogue.
func (w *Worker) untilBackup() time.Duration {
	return max(firstCopy, w.BackupInterval-w.Now().Sub(w.LastBackup))
}

func (w *Worker) backup(ctx context.Context) {
	w.failed(ctx, "the copy of the catalogue", w.Backup(ctx))
}

// scrub verifies everything, if it is time for that: or goes on with what was interrupted.
func (w *Worker) scrub(ctx context.Context) {
	last, any, err := w.Service.LastScrub(ctx)
	if err != nil || any && !last.FinishedAt.IsZero() && w.Now().Before(last.FinishedAt.Add(w.ScrubInterval)) {
		w.failed(ctx, "the scrub", err)
		return
	}
	done, err := w.Service.Scrub(ctx, vault.Inspection{Pace: w.ScrubPace, Report: func(f vault.Finding) error {
		if f.Severity == vault.Wrong {
			w.Log.Error("the scrub found damage", "archive", f.Archive, "vault", f.Vault, "place", f.Place, "problem", f.Problem)
		}
		return nil
	}})
	if errors.Is(err, vault.ErrScrubbing) {
		return // an administrator's
	}
	if w.failed(ctx, "the scrub", err); err == nil {
		w.Log.Info("everything was verified", "records", done.Records, "bytes", done.Bytes, "faults", done.Faults)
	}
}
