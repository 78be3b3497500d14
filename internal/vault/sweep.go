package vault

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
)

// Swept is what a sweep found.
type Swept struct {
	Records int   `json:"records"` // seen
	Orphans int   `json:"orphans"` // complete, referred to by nothing, and kept for a while
	Removed int   `json:"removed"` // referred to by nothing
	Bytes   int64 `json:"bytes"`   // of payload in those
}

// Sweep removes records that no row refers to: what an interrupted request left. It spares what is younger than the longest request, whose
// row may be on its way. A complete record it spares for much longer, from when it was first found so: it can be an archive, if the catalogue is an old copy put back.
func (s *Service) Sweep(ctx context.Context) (swept Swept, err error) {
	s.moving.Lock()
	defer s.moving.Unlock()
	err = s.leased(ctx, leaseMoving, func(ctx context.Context, l *lease) (err error) {
		swept, err = s.sweep(ctx, l)
		return err
	})
	return swept, err
}

func (s *Service) sweep(ctx context.Context, l *lease) (Swept, error) {
	var swept Swept
	var orphans []store.Place
	began := s.now()
	err := s.bytes.Walk(ctx, func(x store.Extent) error {
		swept.Records++
		if s.isYoung(x) || s.isLeft(x.Place) {
			return nil
		}
		fate, err := s.fate(ctx, x)
		switch {
		case err != nil:
			return err
		case fate == store.Carry:
			swept.Orphans++
			orphans = append(orphans, x.Place)
			if len(orphans) == batch {
				err = s.noteOrphans(ctx, orphans)
				orphans = orphans[:0]
			}
			return err
		case fate != store.Drop:
			return nil
		}
		if err := s.held(ctx, l); err != nil { // another node may have begun to move records
			return err
		}
		s.log.Info("a record that nothing refers to is removed", "place", x.Place, "label", string(x.Label))
		swept.Removed++
		swept.Bytes += x.Size
		return s.bytes.Remove(ctx, x.Place)
	})
	if err == nil {
		err = s.noteOrphans(ctx, orphans)
	}
	if err == nil {
		err = s.rows.Update(ctx, func(tx *catalogue.Tx) error { return tx.ForgetOrphans(began) })
	}
	return swept, err
}

// isLeft reports whether a place is in a store that is left: what is there goes with it.
func (s *Service) isLeft(at store.Place) bool {
	m, ok := s.bytes.(store.Moving)
	return ok && m.IsOld(at)
}

func (s *Service) noteOrphans(ctx context.Context, places []store.Place) error {
	return s.rows.Update(ctx, func(tx *catalogue.Tx) error {
		for _, p := range places {
			if err := tx.NoteOrphan(string(p), s.now()); err != nil {
				return err
			}
		}
		return nil
	})
}

// TidyUp removes the copies that a compaction has left in the volume that was in use when the server was killed. It is for the start; later the sweep does it.
func (s *Service) TidyUp(ctx context.Context) error {
	volumes, ok := s.bytes.(store.Volumes)
	if !ok {
		return nil
	}
	s.moving.Lock()
	defer s.moving.Unlock()
	list, err := volumes.Volumes(ctx)
	for _, v := range list {
		if err != nil || !v.Recovered {
			continue
		}
		var copies []store.Place
		err = volumes.Inspect(ctx, v.Name, store.Inspection{
			Damage: func(store.Damage) error { return nil },
			Record: func(x store.Extent) error {
				if s.isYoung(x) {
					return nil
				}
				fate, err := s.fate(ctx, x)
				if fate == store.Drop {
					copies = append(copies, x.Place)
				}
				return err
			},
		})
		if err == nil && len(copies) > 0 {
			err = s.bytes.Remove(ctx, copies...)
		}
	}
	return err
}

// isYoung reports whether the row of a record may be on its way.
func (s *Service) isYoung(x store.Extent) bool {
	age := s.settings.LongestRequest
	if s.rows.Shared() {
		age += otherClocks
	}
	return x.Created.After(s.now().Add(-age))
}

// otherClocks is by how much more a record of another node is spared: its clock, or that of the bucket, may be another, and what makes a record exist is still written when its request was
// given up.
const otherClocks = time.Hour

// fate decides what becomes of a record: it is needed (Move), kept for a while (Carry), needed by nobody (Drop), or nobody can say (Wait).
func (s *Service) fate(ctx context.Context, x store.Extent) (store.Fate, error) {
	if x.Kind == 0 {
		return s.fateOfRemains(ctx, x)
	}
	l, err := parseLabel(x.Label)
	if err != nil {
		s.log.Warn("a record that says nothing known of itself is left alone", "place", x.Place, "label", string(x.Label))
		return store.Wait, nil
	}
	where, err := s.where(ctx, l)
	if err != nil {
		return store.Wait, err
	}
	if where == x.Place {
		return store.Move, nil
	}
	if fate, err := s.fateOfOrphan(ctx, x, l); err != nil || fate == store.Drop || s.isYoung(x) {
		if fate != store.Drop {
			fate = store.Wait
		}
		return fate, err
	}
	copied, lost, err := s.hasCopy(ctx, x, where)
	switch {
	case err != nil:
		return store.Wait, err
	case copied:
		return store.Drop, nil
	case lost: // what the row refers to: x may be what it should refer to, if the catalogue is an old copy
		return store.Carry, nil
	}
	return s.fateByAge(ctx, x)
}

// fateOfOrphan is Drop for a record that no row refers to any more on purpose: it waits to be removed, or its archive was deleted and everything of it released.
func (s *Service) fateOfOrphan(ctx context.Context, x store.Extent, l label) (fate store.Fate, err error) {
	if l.What == isDeleted {
		return store.Wait, nil // a tombstone goes when what it stands against is gone
	}
	err = s.rows.View(ctx, func(tx *catalogue.Tx) error {
		fate = store.Wait
		released, err := tx.IsReleased(string(x.Place))
		if err == nil && !released && l.Archive != "" {
			d, failed := tx.DeletedArchive(l.Archive)
			released = failed == nil && d.Released
			if !errors.Is(failed, catalogue.ErrNotFound) {
				err = failed
			}
		}
		if released {
			fate = store.Drop
		}
		return err
	})
	return fate, err
}

// fateByAge spares a complete record from when a sweep first found that no row refers to it.
func (s *Service) fateByAge(ctx context.Context, x store.Extent) (store.Fate, error) {
	var since time.Time
	err := s.rows.View(ctx, func(tx *catalogue.Tx) (err error) {
		since, err = tx.OrphanSince(string(x.Place))
		return err
	})
	switch {
	case errors.Is(err, catalogue.ErrNotFound):
		return store.Carry, nil
	case err != nil:
		return store.Wait, err
	case s.now().Before(since.Add(s.settings.KeepOrphans)):
		return store.Carry, nil
	}
	return store.Drop, nil
}

// fateOfRemains is fate for a record that is not complete, and so does not say what it is.
func (s *Service) fateOfRemains(ctx context.Context, x store.Extent) (fate store.Fate, err error) {
	var referrers []catalogue.Referrer
	err = s.rows.View(ctx, func(tx *catalogue.Tx) (err error) {
		referrers, err = tx.Referrers(string(x.Place))
		return err
	})
	switch {
	case err != nil:
		return store.Wait, err
	case len(referrers) > 0:
		return store.Move, nil
	case s.isYoung(x):
		return store.Wait, nil
	}
	return store.Drop, nil
}

// hasCopy reports whether a record that nothing refers to has the same bytes as the one that its row refers to, where: it is what an interrupted compaction left. lost says that the
// row refers to a record that is not there, or not whole.
func (s *Service) hasCopy(ctx context.Context, x store.Extent, where store.Place) (copied, lost bool, err error) {
	if where == "" {
		return false, false, nil
	}
	other, err := s.bytes.Stat(ctx, where)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Corrupt) || fault.Is(err, fault.Invalid) {
		return false, true, nil
	}
	return err == nil && other.Kind == x.Kind && other.Size == x.Size && other.Tree == x.Tree && string(other.Label) == string(x.Label), false, err
}

// errUnknownLabel says that a label is not one of ours: another program's, or a later one's.
var errUnknownLabel = errors.New("the label says nothing that is known here")

func parseLabel(text []byte) (label, error) {
	var l label
	if err := json.Unmarshal(text, &l); err != nil {
		return l, err
	}
	if !l.known() {
		return l, errUnknownLabel
	}
	return l, nil
}

// where returns the place that the row refers to which a label names, "" if there is none.
func (s *Service) where(ctx context.Context, l label) (store.Place, error) {
	var w catalogue.Where
	err := s.rows.View(ctx, func(tx *catalogue.Tx) (err error) {
		w, err = l.where(tx)
		return err
	})
	if errors.Is(err, catalogue.ErrNotFound) {
		return "", nil
	}
	return store.Place(w.Place), err
}

// where looks for the row that a label names.
func (l label) where(tx *catalogue.Tx) (catalogue.Where, error) {
	switch l.What {
	case isArchive, isMultipart:
		return tx.WhereArchive(l.Archive)
	case isDeleted:
		return tx.WhereTombstone(l.Archive)
	case isPart:
		return tx.WherePart(l.Upload, l.First)
	case isLock:
		return tx.WhereLock(l.Lock)
	}
	return tx.WhereOutput(l.Job)
}

// move makes the row that a label names refer to another place.
func (l label) move(tx *catalogue.Tx, from, to string) error {
	switch l.What {
	case isArchive, isMultipart:
		return tx.MoveArchive(l.Archive, from, to)
	case isDeleted:
		return tx.MoveTombstone(l.Archive, from, to)
	case isPart:
		return tx.MovePart(l.Upload, l.First, from, to)
	case isLock:
		return tx.MoveLock(l.Lock, from, to)
	}
	return tx.MoveOutput(l.Job, from, to)
}
