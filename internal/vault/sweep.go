package vault

import (
	"context"
	"encoding/json"
	"errors"

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
// row may be on its way. A complete record it spares for much longer: it can be an archive, if the catalogue is an old copy put back.
func (s *Service) Sweep(ctx context.Context) (Swept, error) {
	s.moving.Lock()
	defer s.moving.Unlock()
	var swept Swept
	err := s.bytes.Walk(ctx, func(x store.Extent) error {
		swept.Records++
		if s.isYoung(x) {
			return nil
		}
		fate, err := s.fate(ctx, x)
		if err != nil {
			return err
		}
		if fate == store.Carry {
			swept.Orphans++
		}
		if fate != store.Drop {
			return nil
		}
		s.log.Info("a record that nothing refers to is removed", "place", x.Place, "label", string(x.Label))
		swept.Removed++
		swept.Bytes += x.Size
		return s.bytes.Remove(ctx, x.Place)
	})
	return swept, err
}

// isYoung reports whether the row of a record may be on its way.
func (s *Service) isYoung(x store.Extent) bool {
	return x.Created.After(s.now().Add(-s.settings.LongestRequest))
}

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
	switch {
	case err != nil:
		return store.Wait, err
	case where == x.Place:
		return store.Move, nil
	case s.isYoung(x):
		return store.Wait, nil
	}
	if going, err := s.isReleased(ctx, x.Place); err != nil || going {
		return store.Drop, err
	}
	if copied, err := s.hasCopy(ctx, x, where); err != nil || copied {
		return store.Drop, err
	}
	if x.Created.After(s.now().Add(-s.settings.KeepOrphans)) {
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

// isReleased reports whether a record is to be removed.
func (s *Service) isReleased(ctx context.Context, at store.Place) (released bool, err error) {
	err = s.rows.View(ctx, func(tx *catalogue.Tx) (err error) {
		released, err = tx.IsReleased(string(at))
		return err
	})
	return released, err
}

// hasCopy reports whether a record that nothing refers to has the same bytes as the one that its row refers to: it is what an interrupted compaction left.
func (s *Service) hasCopy(ctx context.Context, x store.Extent, where store.Place) (bool, error) {
	if where == "" {
		return false, nil
	}
	other, err := s.bytes.Stat(ctx, where)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Corrupt) {
		return false, nil
	}
	return err == nil && other.Kind == x.Kind && other.Size == x.Size && other.Tree == x.Tree && string(other.Label) == string(x.Label), err
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
	}
	return tx.MoveOutput(l.Job, from, to)
}
