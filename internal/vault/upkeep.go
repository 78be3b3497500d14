package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/store"
)

// Upkeep is what the worker calls: it finishes jobs, and removes what is no longer needed. Every method can be killed at any
// moment and called again.

// JobKind is what a job makes available.
type JobKind string

// The kinds of jobs. A retrieval takes no time; an inventory takes as long as there are archives.
const (
	AllJobs     JobKind = ""
	Retrievals  JobKind = archiveRetrieval
	Inventories JobKind = inventoryRetrieval
)

// batch is how many rows a step of upkeep takes at a time.
const batch = 100

// FinishJobs finishes the jobs of a kind that are due. It returns when the next one is due, the zero time if none is waiting. A job that cannot be
// finished now stays as it is, and no other waits for it. One call at a time for each kind.
func (s *Service) FinishJobs(ctx context.Context, kind JobKind) (time.Time, error) {
	var last catalogue.Job
	var first error
	failures := 0
	for {
		due, err := s.dueJobs(ctx, kind, last)
		if err != nil {
			return time.Time{}, err
		}
		if len(due) == 0 {
			break
		}
		last = due[len(due)-1]
		for _, j := range due {
			if failed := s.finishJob(ctx, j); failed != nil {
				failures++
				first = cmp.Or(first, fmt.Errorf("finish job %s: %w", j.ID, failed))
			}
		}
	}
	if failures > 0 {
		return time.Time{}, fmt.Errorf("%d jobs could not be finished, the first: %w", failures, first)
	}
	return s.nextDue(ctx, kind)
}

func (s *Service) dueJobs(ctx context.Context, kind JobKind, after catalogue.Job) (due []catalogue.Job, err error) {
	err = s.rows.View(ctx, func(tx *catalogue.Tx) error {
		due, err = tx.DueJobs(s.now(), string(kind), after, batch)
		return err
	})
	return due, err
}

func (s *Service) nextDue(ctx context.Context, kind JobKind) (next time.Time, err error) {
	err = s.rows.View(ctx, func(tx *catalogue.Tx) error {
		next, err = tx.NextDue(string(kind))
		return err
	})
	return next, err
}

// finishJob makes the output of a job, if it has one of its own, and ends the job. Several nodes may finish the same retrieval: one of them does. An inventory is
// written by one.
func (s *Service) finishJob(ctx context.Context, j catalogue.Job) error {
	if j.Action != inventoryRetrieval {
		ready, err := s.bring(ctx, j)
		if err != nil || !ready {
			return err
		}
		return s.completeJob(ctx, j)
	}
	err := s.leased(ctx, "inventory "+j.ID, func(ctx context.Context, _ *lease) error {
		done, err := s.hasEnded(ctx, j)
		if err != nil || done {
			return err
		}
		return s.completeJob(ctx, j)
	})
	if errors.Is(err, ErrElsewhere) {
		return nil
	}
	return err
}

// hasEnded reports whether another node has ended a job meanwhile.
func (s *Service) hasEnded(ctx context.Context, j catalogue.Job) (ended bool, err error) {
	err = s.rows.View(ctx, func(tx *catalogue.Tx) error {
		now, err := tx.Job(j.VaultID, j.ID, s.now())
		ended = errors.Is(err, catalogue.ErrNotFound) || err == nil && now.Status != catalogue.InProgress
		if errors.Is(err, catalogue.ErrNotFound) {
			err = nil
		}
		return err
	})
	return ended, err
}

func (s *Service) completeJob(ctx context.Context, j catalogue.Job) error {
	if j.Action == inventoryRetrieval {
		ref, err := s.refOf(ctx, j.VaultID)
		if errors.Is(err, catalogue.ErrNotFound) {
			return nil // the vault was deleted, and the job with it
		}
		if err != nil {
			return err
		}
		x, next, err := s.writeInventory(ctx, ref, j)
		if err != nil {
			return err
		}
		place := string(x.Place)
		j.OutputPlace, j.OutputSize, j.NextMarker = &place, &x.Size, next
	}
	err := s.rows.Update(ctx, func(tx *catalogue.Tx) error {
		v, err := tx.VaultByID(j.VaultID)
		if err != nil {
			return err // ErrNotFound: the job is gone with its vault
		}
		return s.endJob(tx, Ref{v.AccountID, v.Name}, v, s.ended(j, catalogue.Succeeded, "Succeeded", s.now()))
	})
	if err == nil {
		poke(s.wakes.Notices)
	}
	if !errors.Is(err, catalogue.ErrNotFound) {
		return err
	}
	if j.OutputPlace != nil { // the job has ended otherwise, or is gone
		s.discard(store.Place(*j.OutputPlace))
	}
	return nil
}

func (s *Service) refOf(ctx context.Context, vault int64) (ref Ref, err error) {
	err = s.rows.View(ctx, func(tx *catalogue.Tx) error {
		v, err := tx.VaultByID(vault)
		ref = Ref{v.AccountID, v.Name}
		return err
	})
	return ref, err
}

// Expire removes what has had its time: jobs, uploads that nobody continues, the memory of ended uploads. A job's output stays
// for as long as a download of it may still run.
func (s *Service) Expire(ctx context.Context) error {
	now := s.now()
	jobs, idle, ended := now.Add(-s.settings.LongestRequest), now.Add(-s.settings.IdleUpload), now.Add(-s.settings.RepeatWindow)
	if err := s.forgetOld(ctx, now); err != nil {
		return err
	}
	for {
		more := false
		err := s.rows.View(ctx, func(tx *catalogue.Tx) (err error) {
			more, err = tx.Expired(jobs, idle, ended)
			return err
		})
		if err != nil || !more {
			return err
		}
		err = s.rows.Update(ctx, func(tx *catalogue.Tx) error {
			if err := tx.PurgeJobs(jobs, batch); err != nil {
				return err
			}
			if err := tx.DeleteIdleUploads(idle, batch); err != nil {
				return err
			}
			return tx.ForgetUploads(ended)
		})
		if err != nil {
			return err
		}
	}
}

// forgetOld removes what limits and notices need no more. It is little, and the next time goes on.
func (s *Service) forgetOld(ctx context.Context, now time.Time) error {
	old := false
	err := s.rows.View(ctx, func(tx *catalogue.Tx) (err error) {
		old, err = tx.Forgettable(now.Add(-keepRetrievals), now.Add(-keepGivenUp-s.settings.NoticeGiveUp))
		return err
	})
	if err != nil || !old {
		return err
	}
	return s.rows.Update(ctx, func(tx *catalogue.Tx) error {
		if err := tx.ForgetRetrievals(now.Add(-keepRetrievals), batch); err != nil {
			return err
		}
		return tx.ForgetNotices(now.Add(-keepGivenUp-s.settings.NoticeGiveUp), batch)
	})
}

// TakeInventories makes the inventories that are due, when inventories are made at intervals.
func (s *Service) TakeInventories(ctx context.Context) error {
	if s.settings.InventoryInterval == 0 {
		return nil
	}
	now := s.now()
	for after, more := int64(0), true; more; {
		last := after
		err := s.rows.Update(ctx, func(tx *catalogue.Tx) error {
			vaults, err := tx.VaultsToInventory(now.Add(-s.settings.InventoryInterval), after, batch)
			if err != nil {
				return err
			}
			for _, v := range vaults {
				if err := tx.TakeInventory(v.ID, now); err != nil {
					return err
				}
				last = v.ID
			}
			more = len(vaults) == batch
			return nil
		})
		if err != nil {
			return err
		}
		after = last
	}
	return nil
}

// Release removes the bytes that nothing needs any more. What cannot be removed now stays on the list and keeps nothing else from going, but
// tombstones: what one of them stands against may be what could not be removed.
func (s *Service) Release(ctx context.Context) error {
	var some []catalogue.Released
	err := s.rows.View(ctx, func(tx *catalogue.Tx) (err error) {
		some, err = tx.Released(catalogue.Released{}, 1)
		return err
	})
	if err != nil || len(some) == 0 {
		return err
	}
	return s.leased(ctx, leaseReleases, func(ctx context.Context, _ *lease) error { return s.removeReleased(ctx) })
}

func (s *Service) removeReleased(ctx context.Context) error {
	var failed error
	for last := (catalogue.Released{}); ; {
		var list []catalogue.Released
		err := s.rows.View(ctx, func(tx *catalogue.Tx) (err error) {
			list, err = tx.Released(last, batch)
			return err
		})
		if err != nil || len(list) == 0 {
			return errors.Join(failed, err)
		}
		last = list[len(list)-1]
		records, tombstones := split(list)
		gone, err := s.removeAll(ctx, records)
		failed = errors.Join(failed, err)
		if failed == nil {
			var buried []store.Place
			buried, failed = s.removeAll(ctx, tombstones)
			gone = append(gone, buried...)
		}
		if err := s.forget(ctx, gone); err != nil {
			return errors.Join(failed, err)
		}
	}
}

// split returns the places of tombstones apart.
func split(list []catalogue.Released) (records, tombstones []store.Place) {
	for _, r := range list {
		if r.Tombstone {
			tombstones = append(tombstones, store.Place(r.Place))
		} else {
			records = append(records, store.Place(r.Place))
		}
	}
	return records, tombstones
}

// removeAll removes records and returns those that are gone: together if that goes well, otherwise one by one.
func (s *Service) removeAll(ctx context.Context, places []store.Place) (gone []store.Place, failed error) {
	if len(places) == 0 || s.bytes.Remove(ctx, places...) == nil {
		return places, nil
	}
	for _, p := range places {
		if err := s.bytes.Remove(ctx, p); err != nil {
			failed = errors.Join(failed, err)
		} else {
			gone = append(gone, p)
		}
	}
	return gone, failed
}

// forget takes places off the list.
func (s *Service) forget(ctx context.Context, places []store.Place) error {
	return s.rows.Update(ctx, func(tx *catalogue.Tx) error {
		for _, p := range places {
			if err := tx.Forget(string(p)); err != nil {
				return err
			}
		}
		return nil
	})
}
