package vault

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/moraine-archive/moraine/internal/catalogue"
)

// ErrElsewhere says that another node does this at the moment.
var ErrElsewhere = errors.New("another node does this at the moment")

// errLeaseLost ends what a node does after its lease: it did not renew it in time, and another node may do the same by now.
var errLeaseLost = errors.New("the lease was lost: another node goes on")

// What has a lease, beside each inventory.
const (
	leaseMoving   = "moving" // sweeps, compactions and migrations of the store: what moves or removes records
	leaseScrub    = "scrub"
	leaseReleases = "releases"
	leaseNotices  = "notices"
	leaseBackup   = "backup"
)

// leaseTime is after what time another node takes over from one that died, at most; leaseRenewal how often a lease is renewed.
const (
	leaseTime    = 30 * time.Second
	leaseRenewal = leaseTime / 6
)

// lease is the right to do what only one node does at a time. The nil lease is that of a node that is alone.
type lease struct{ name, holder string }

// leased runs fn while no other node does the same, ErrElsewhere if one does. When the lease is lost, the context of fn ends; what fn has decided under the lease
// it makes sure of with held, or check in a transaction, before it does what cannot be taken back. A node whose catalogue was moved elsewhere does nothing of that kind any more: others
// work on the store, and what it would go by is old.
func (s *Service) leased(ctx context.Context, name string, fn func(context.Context, *lease) error) error {
	if !s.rows.Shared() {
		if err := s.rows.StillHere(ctx); err != nil {
			return err
		}
		return fn(ctx, nil)
	}
	l := &lease{name, rand.Text()}
	taken := false
	err := s.rows.Update(ctx, func(tx *catalogue.Tx) (err error) {
		taken, err = tx.TakeLease(l.name, l.holder, leaseTime)
		return err
	})
	switch {
	case err != nil:
		return err
	case !taken:
		return fmt.Errorf("%s: %w", name, ErrElsewhere)
	}
	within, end := context.WithCancelCause(ctx)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		s.renew(within, l, end)
	}()
	err = fn(within, l)
	if cause := context.Cause(within); errors.Is(cause, errLeaseLost) {
		err = errors.Join(err, cause)
	}
	end(nil)
	<-renewed
	s.giveBack(ctx, l)
	return err
}

// giveBack lets another node take the lease at once. If that does not work, it runs out.
func (s *Service) giveBack(ctx context.Context, l *lease) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseRenewal)
	defer cancel()
	err := s.rows.Update(ctx, func(tx *catalogue.Tx) error { return tx.EndLease(l.name, l.holder) })
	if err != nil {
		s.log.Warn("a lease could not be given back; it runs out by itself", "lease", l.name, "error", err)
	}
}

// renew renews a lease until the context ends. When that was not possible for too long, it ends the context.
func (s *Service) renew(ctx context.Context, l *lease, end context.CancelCauseFunc) {
	last := time.Now()
	ticker := time.NewTicker(leaseRenewal)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		began := time.Now()
		err := s.rows.Update(ctx, func(tx *catalogue.Tx) error { return tx.RenewLease(l.name, l.holder, leaseTime) })
		switch {
		case err == nil:
			last = began
		case errors.Is(err, catalogue.ErrNotFound), time.Since(last) > leaseTime:
			end(errLeaseLost)
			return
		}
	}
}

// check is an error in a transaction that changes something if the lease is lost. Nobody takes it before the transaction has ended.
func (l *lease) check(tx *catalogue.Tx) error {
	if l == nil {
		return nil
	}
	return l.unlessLost(tx.KeepLease(l.name, l.holder))
}

// held is an error if the lease is lost. Nobody has taken it until now: what was decided under it is still right.
func (s *Service) held(ctx context.Context, l *lease) error {
	if l == nil {
		return s.rows.StillHere(ctx)
	}
	return s.rows.View(ctx, func(tx *catalogue.Tx) error { return l.unlessLost(tx.HoldsLease(l.name, l.holder)) })
}

func (l *lease) unlessLost(held bool, err error) error {
	if err == nil && !held {
		err = errLeaseLost
	}
	return err
}
