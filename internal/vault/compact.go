package vault

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/store"
)

// Compacted is what a compaction of the store did.
type Compacted struct {
	Volumes int   `json:"volumes"` // that are gone
	Moved   int   `json:"moved"`   // records
	Dropped int   `json:"dropped"` // records that nothing needed any more
	Bytes   int64 `json:"bytes"`   // of the volumes that are gone
	Waiting int   `json:"waiting"` // volumes that have to stay for a while, or are damaged
}

// Compact wins back the space of what was removed from shared volumes: it moves what is needed of those that have too little of it, and removes them. pace is
// called before bytes are read; nil stands for no limit. It can be killed at any moment.
func (s *Service) Compact(ctx context.Context, pace func(context.Context, int) error) (Compacted, error) {
	var done Compacted
	volumes, ok := s.bytes.(store.Volumes)
	if !ok {
		return done, nil
	}
	list, err := volumes.Volumes(ctx)
	if err != nil {
		return done, err
	}
	slices.SortStableFunc(list, func(a, b store.Volume) int { return cmp.Compare(b.Dead, a.Dead) }) // what wins most, for it costs least room
	var failed error
	for _, v := range list {
		if !s.worthCompacting(v) {
			continue
		}
		c, err := s.compact(ctx, volumes, v, pace)
		done.Moved += c.Moved
		done.Dropped += c.Dropped
		done.Bytes += c.Bytes
		if c.Gone {
			done.Volumes++
		} else {
			done.Waiting++
		}
		if failed = errors.Join(failed, err); ctx.Err() != nil {
			break
		}
	}
	return done, failed
}

func (s *Service) worthCompacting(v store.Volume) bool {
	return v.Shared && !v.InUse && (v.Failed || float64(v.Dead) > s.settings.CompactShare*float64(v.Bytes))
}

// compact empties one volume. Meanwhile nothing is swept.
func (s *Service) compact(ctx context.Context, volumes store.Volumes, v store.Volume, pace func(context.Context, int) error) (store.Compacted, error) {
	s.moving.Lock()
	defer s.moving.Unlock()
	var c store.Compacted
	err := s.leased(ctx, leaseMoving, func(ctx context.Context, l *lease) (err error) {
		c, err = volumes.Compact(ctx, v.Name, store.Compaction{
			Pace: pace, Fate: s.fate, Refers: s.refersInto,
			Moved: func(ctx context.Context, moves []store.Moved) ([]store.Place, error) { return s.moved(ctx, l, moves) },
		})
		return err
	})
	for _, d := range c.Damaged {
		s.log.Error("a volume cannot be compacted: a record in it is damaged", "volume", v.Name, "place", d.Place, "label", string(d.Label), "error", d.Err)
	}
	if err == nil && c.Gone {
		s.log.Info("a volume was compacted", "volume", v.Name, "bytes", c.Bytes, "moved", c.Moved, "dropped", c.Dropped)
	}
	return c, err
}

// refersInto reports whether a row refers to a record of a volume.
func (s *Service) refersInto(ctx context.Context, volume string) (refers bool, err error) {
	err = s.rows.View(ctx, func(tx *catalogue.Tx) (err error) {
		refers, err = tx.RefersInto(volume)
		return err
	})
	return refers, err
}

// moved makes the rows of records that were moved refer to their new places. It returns the new places of those that nothing refers to any more.
// A node that has lost its lease moves nothing: another may have swept the copies away.
func (s *Service) moved(ctx context.Context, l *lease, moves []store.Moved) (stale []store.Place, err error) {
	err = s.rows.Update(ctx, func(tx *catalogue.Tx) error {
		stale = nil // the closure may run again
		if err := l.check(tx); err != nil {
			return err
		}
		for _, m := range moves {
			if m.Fate != store.Move {
				if err := tx.MoveOrphan(string(m.From), string(m.To)); err != nil {
					return err
				}
				continue
			}
			l, err := parseLabel(m.Extent.Label)
			if err != nil {
				return err
			}
			switch err := l.move(tx, string(m.From), string(m.To)); {
			case errors.Is(err, catalogue.ErrNotFound):
				stale = append(stale, m.To)
			case err != nil:
				return err
			}
		}
		return nil
	})
	return stale, err
}
