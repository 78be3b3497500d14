package vault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/store"
)

// Scrubbed is what a scrub has read.
type Scrubbed struct {
	Number     int64     `json:"number"`
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at,omitzero"` // zero: it is not finished, and can be gone on with
	Volumes    int64     `json:"volumes"`
	Records    int64     `json:"records"`
	Bytes      int64     `json:"bytes"` // of payload
	Faults     int64     `json:"faults"`
}

// ErrScrubbing says that a scrub is running.
var ErrScrubbing = errors.New("a scrub is running already")

// Scrub reads the whole store, volume by volume, and verifies every byte. One that was interrupted is gone on with; volumes that were never read, or longest ago, come first.
func (s *Service) Scrub(ctx context.Context, in Inspection) (Scrubbed, error) {
	volumes, ok := s.bytes.(store.Volumes)
	if !ok {
		return Scrubbed{}, nil
	}
	if !s.scrubbing.TryLock() {
		return Scrubbed{}, ErrScrubbing
	}
	defer s.scrubbing.Unlock()
	var done Scrubbed
	err := s.leased(ctx, leaseScrub, func(ctx context.Context, _ *lease) (err error) {
		done, err = s.scrub(ctx, volumes, in)
		return err
	})
	if errors.Is(err, ErrElsewhere) {
		err = fmt.Errorf("%w: %w", ErrScrubbing, err)
	}
	return done, err
}

func (s *Service) scrub(ctx context.Context, volumes store.Volumes, in Inspection) (Scrubbed, error) {
	number, err := s.beginScrub(ctx)
	if err != nil {
		return Scrubbed{}, err
	}
	list, err := volumes.Volumes(ctx)
	if err != nil {
		return Scrubbed{}, err
	}
	for i, v := range list {
		if in.Progress != nil {
			in.Progress("volumes", int64(i), int64(len(list)))
		}
		err = errors.Join(err, s.scrubVolume(ctx, volumes, v.Name, number, in))
		if ctx.Err() != nil {
			break
		}
	}
	if err == nil {
		err = s.rows.Update(ctx, func(tx *catalogue.Tx) error { return tx.FinishScrub(number, s.now()) })
	}
	return s.scrubbed(context.WithoutCancel(ctx), err)
}

// beginScrub returns the number of the scrub that is not finished, or of a new one.
func (s *Service) beginScrub(ctx context.Context) (number int64, err error) {
	err = s.rows.Update(ctx, func(tx *catalogue.Tx) error {
		last, err := tx.LastScrub()
		if errors.Is(err, catalogue.ErrNotFound) || err == nil && !last.FinishedAt.IsZero() {
			if err = tx.BeginScrub(s.now()); err == nil {
				last, err = tx.LastScrub()
			}
		}
		number = last.Number
		return err
	})
	return number, err
}

// LastScrub returns the scrub that is running or was the last one, false if there was none.
func (s *Service) LastScrub(ctx context.Context) (Scrubbed, bool, error) {
	done, err := s.scrubbed(ctx, nil)
	if errors.Is(err, catalogue.ErrNotFound) {
		return done, false, nil
	}
	return done, err == nil, err
}

// scrubbed returns what the last scrub has read, and err.
func (s *Service) scrubbed(ctx context.Context, err error) (Scrubbed, error) {
	var last catalogue.Scrub
	failed := s.rows.View(ctx, func(tx *catalogue.Tx) (err error) {
		last, err = tx.LastScrub()
		return err
	})
	return Scrubbed(last), errors.Join(err, failed)
}

// scrubVolume reads a volume, unless the scrub has read it before.
func (s *Service) scrubVolume(ctx context.Context, volumes store.Volumes, name string, number int64, in Inspection) error {
	before, err := s.scrubbedVolume(ctx, name)
	if err != nil || before.Scrub == number {
		return err
	}
	found := catalogue.ScrubbedVolume{Volume: name, Scrub: number}
	err = volumes.Inspect(ctx, name, store.Inspection{
		Data: true, Pace: in.Pace,
		Record: func(x store.Extent) error {
			found.Records++
			found.Bytes += x.Size
			return nil
		},
		Damage: func(d store.Damage) error {
			findings, err := s.findingsOf(ctx, d)
			for _, f := range findings {
				if f.Severity == Wrong {
					found.Faults++
				}
				err = errors.Join(err, in.Report(f))
			}
			return err
		},
	})
	if err != nil {
		return err
	}
	found.VerifiedAt = s.now()
	return s.rows.Update(ctx, func(tx *catalogue.Tx) error { return tx.PutScrubbedVolume(found) })
}

func (s *Service) scrubbedVolume(ctx context.Context, name string) (v catalogue.ScrubbedVolume, err error) {
	err = s.rows.View(ctx, func(tx *catalogue.Tx) (err error) {
		v, err = tx.ScrubbedVolume(name)
		return err
	})
	if errors.Is(err, catalogue.ErrNotFound) {
		return catalogue.ScrubbedVolume{}, nil
	}
	return v, err
}

// Volume is what is known of a volume.
type Volume struct {
	Name       string    `json:"name"`
	Since      time.Time `json:"since"`
	Shared     bool      `json:"shared"`
	InUse      bool      `json:"in_use"`
	Bytes      int64     `json:"bytes"`                // length; of a volume of one record only once it was read
	Dead       int64     `json:"dead"`                 // bytes that nobody needs
	VerifiedAt time.Time `json:"verified_at,omitzero"` // zero: never
	Faults     int64     `json:"faults"`               // that were found then
}

// Volumes gives fn every volume, by name, which is by age.
func (s *Service) Volumes(ctx context.Context, fn func(Volume) error) error {
	volumes, ok := s.bytes.(store.Volumes)
	if !ok {
		return nil
	}
	list, err := volumes.Volumes(ctx)
	if err != nil {
		return err
	}
	for _, v := range list {
		known, err := s.scrubbedVolume(ctx, v.Name)
		if err != nil {
			return err
		}
		err = fn(Volume{
			Name: v.Name, Since: v.Since, Shared: v.Shared, InUse: v.InUse, Bytes: max(v.Bytes, known.Bytes), Dead: v.Dead,
			VerifiedAt: known.VerifiedAt, Faults: known.Faults,
		})
		if err != nil {
			return err
		}
	}
	return nil
}
