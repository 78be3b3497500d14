package vault

import (
	"context"

	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/store"
)

// Backup has a copy of the catalogue written to the medium, by write, and then forgets the tombstones of deletions that the copy has. When write returns nil the
// copy must survive a power failure.
func (s *Service) Backup(ctx context.Context, write func(context.Context) error) error {
	return s.leased(ctx, leaseBackup, func(ctx context.Context, _ *lease) error { return s.backUp(ctx, write) })
}

func (s *Service) backUp(ctx context.Context, write func(context.Context) error) error {
	var last int64
	err := s.rows.View(ctx, func(tx *catalogue.Tx) (err error) {
		last, err = tx.Deletions()
		return err
	})
	if err == nil {
		err = write(ctx)
	}
	_, moves := s.bytes.(store.Moving) // what was moved is still in the old store too: a rebuild without copies of the catalogue needs the tombstones
	for more := !moves; more && err == nil; {
		err = s.rows.Update(ctx, func(tx *catalogue.Tx) (err error) {
			more, err = tx.ForgetTombstones(last, batch)
			return err
		})
	}
	s.Poke()
	return err
}
