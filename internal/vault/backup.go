package vault

import (
	"context"

	"github.com/moraine-archive/moraine/internal/catalogue"
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
	for more := true; more && err == nil; {
		err = s.rows.Update(ctx, func(tx *catalogue.Tx) (err error) {
			more, err = tx.ForgetTombstones(last, batch)
			return err
		})
	}
	s.Poke()
	return err
}
