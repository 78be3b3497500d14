package vault

import (
	"cmp"
	"context"
	"encoding/json"
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

// finishJob makes the output of a job, if it has one of its own, and ends the job.
func (s *Service) finishJob(ctx context.Context, j catalogue.Job) error {
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
		return tx.FinishJob(s.ended(j, catalogue.Succeeded, "Succeeded", s.now()))
	})
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

// Release removes the bytes that nothing needs any more. What cannot be removed now stays on the list and keeps nothing else from going.
func (s *Service) Release(ctx context.Context) error {
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
		var gone []string
		for _, r := range list {
			if failed != nil && s.isTombstone(ctx, r.Place) {
				continue // what it stands against may be what could not be removed
			}
			if err := s.bytes.Remove(ctx, store.Place(r.Place)); err != nil {
				failed = errors.Join(failed, err)
			} else {
				gone = append(gone, r.Place)
			}
		}
		if err := s.forget(ctx, gone); err != nil {
			return errors.Join(failed, err)
		}
	}
}

func (s *Service) isTombstone(ctx context.Context, place string) bool {
	x, err := s.bytes.Stat(ctx, store.Place(place))
	return err == nil && x.Kind == store.Tombstone
}

// forget takes places off the list.
func (s *Service) forget(ctx context.Context, places []string) error {
	return s.rows.Update(ctx, func(tx *catalogue.Tx) error {
		for _, p := range places {
			if err := tx.Forget(p); err != nil {
				return err
			}
		}
		return nil
	})
}

// Swept is what a sweep found.
type Swept struct {
	Records int   // seen
	Orphans int   // complete, referred to by nothing, and kept for a while
	Removed int   // referred to by nothing
	Bytes   int64 // of payload in those
}

// Sweep removes records that no row refers to: what an interrupted request left. It spares what is younger than the longest request, whose
// row may be on its way. A complete record it spares for much longer: it can be an archive, if the catalogue is an old copy put back.
func (s *Service) Sweep(ctx context.Context) (Swept, error) {
	var swept Swept
	now := s.now()
	err := s.bytes.Walk(ctx, func(x store.Extent) error {
		swept.Records++
		if x.Created.After(now.Add(-s.settings.LongestRequest)) {
			return nil
		}
		needed, err := s.needed(ctx, x)
		if err != nil || needed {
			return err
		}
		if x.Kind != 0 && x.Created.After(now.Add(-s.settings.KeepOrphans)) {
			swept.Orphans++
			return nil
		}
		s.log.Info("a record that nothing refers to is removed", "place", x.Place, "label", string(x.Label))
		swept.Removed++
		swept.Bytes += x.Size
		return s.bytes.Remove(ctx, x.Place)
	})
	return swept, err
}

// needed reports whether a row refers to a record. A record that does not say what it is, in words that are known here, may be another program's: it is left alone.
func (s *Service) needed(ctx context.Context, x store.Extent) (needed bool, err error) {
	var l label
	if err := json.Unmarshal(x.Label, &l); x.Kind != 0 && (err != nil || !l.known()) {
		s.log.Warn("a record that says nothing known of itself is left alone", "place", x.Place, "label", string(x.Label))
		return true, nil
	}
	err = s.rows.View(ctx, func(tx *catalogue.Tx) error {
		needed, err = refersTo(tx, l, string(x.Place))
		return err
	})
	return needed, err
}

// refersTo looks for the row that a label names, and whether it refers to a place.
func refersTo(tx *catalogue.Tx, l label, place string) (bool, error) {
	var at *string
	var err error
	switch l.What {
	case isArchive, isMultipart:
		var a catalogue.Archive
		if a, err = tx.Archive(l.Archive); err == nil {
			return a.Place == place, nil
		}
		if !errors.Is(err, catalogue.ErrNotFound) {
			return false, err
		}
		var d catalogue.DeletedArchive
		d, err = tx.DeletedArchive(l.Archive)
		if !d.Released {
			at = &d.Place
		}
	case isDeleted:
		var d catalogue.DeletedArchive
		d, err = tx.DeletedArchive(l.Archive)
		at = d.Tombstone
	case isPart:
		var p catalogue.Part
		p, err = tx.PartAt(l.Upload, l.First)
		at = &p.Place
	case isOutput:
		return tx.OutputInUse(l.Job, place)
	default:
		return tx.PlaceInUse(place)
	}
	if errors.Is(err, catalogue.ErrNotFound) {
		return false, nil
	}
	return err == nil && at != nil && *at == place, err
}
