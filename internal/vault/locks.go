package vault

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/protocol"
	"github.com/moraine-archive/moraine/internal/store"
)

// InitiateVaultLock puts a lock on a vault, which is in force from now on, and returns its id. It ends by itself unless it is completed in time.
func (s *Service) InitiateVaultLock(ctx context.Context, ref Ref, policy *string) (string, error) {
	if err := s.checkPolicy(ref, policy, "lock"); err != nil {
		return "", err
	}
	l := catalogue.Lock{ID: s.ids.make(s.now(), protocol.LockIDLength), Policy: *policy, Settable: s.settings.Settable}
	err := s.change(ctx, ref, protocol.InitiateVaultLock, func(tx *catalogue.Tx, v catalogue.Vault) error {
		switch has, err := s.lock(tx, ref, v); {
		case err == nil && has.Place != nil:
			return lockDenies(ref, "it is locked for ever")
		case err == nil:
			return lockDenies(ref, "it has a lock in progress, which has to be completed or aborted first")
		case !fault.Is(err, fault.NotFound):
			return err
		}
		l.VaultID, l.CreatedAt, l.LockTime = v.ID, s.now(), s.times.LockTime()
		return tx.InsertLock(l)
	})
	return l.ID, err
}

func lockDenies(ref Ref, why string) error {
	return fault.New(fault.Denied, "Access denied: the vault lock policy of %s cannot be changed: %s", ref.Name, why)
}

// lockOver reports whether a lock that is in progress has had its time, by either clock.
func (s *Service) lockOver(created, lockTime time.Time) bool {
	return !s.now().Before(created.Add(s.settings.LockWindow)) || !s.times.LockTime().Before(lockTime.Add(s.settings.LockWindow))
}

// lock returns the lock of a vault that is in force.
func (s *Service) lock(tx *catalogue.Tx, ref Ref, v catalogue.Vault) (catalogue.Lock, error) {
	none := fault.New(fault.NotFound, "No vault lock policy is set for: %s", ref.Name)
	l, err := tx.Lock(v.ID)
	if err == nil && l.Place == nil && s.lockOver(l.CreatedAt, l.LockTime) {
		return l, none
	}
	return l, absent(err, none)
}

// GetVaultLock returns the lock of a vault.
func (s *Service) GetVaultLock(ctx context.Context, ref Ref) (d protocol.VaultLock, err error) {
	err = s.rows.View(ctx, func(tx *catalogue.Tx) error {
		v, err := s.vault(tx, ref)
		if err != nil {
			return err
		}
		l, err := s.lock(tx, ref, v)
		if err != nil {
			return err
		}
		d = protocol.VaultLock{CreationDate: timestamp(l.CreatedAt), Policy: l.Policy, State: protocol.Locked}
		if l.Place == nil {
			d.State, d.ExpirationDate = protocol.LockInProgress, timestampOrNil(l.CreatedAt.Add(s.settings.LockWindow))
		}
		return nil
	})
	return d, err
}

// AbortVaultLock takes a lock off a vault that was not completed. It does nothing if there is none.
func (s *Service) AbortVaultLock(ctx context.Context, ref Ref) error {
	return s.change(ctx, ref, protocol.AbortVaultLock, func(tx *catalogue.Tx, v catalogue.Vault) error {
		l, err := s.lock(tx, ref, v)
		if err == nil && l.Place != nil {
			return lockDenies(ref, "it is locked for ever")
		}
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		return tx.DeleteLock(v.ID)
	})
}

// CompleteVaultLock makes a lock that is in progress one for ever. When it returns nil, the policy is on the medium too: a catalogue that is made from it has the
// lock again. Repeating it does nothing.
func (s *Service) CompleteVaultLock(ctx context.Context, ref Ref, id string) error {
	for range maxTagChanges {
		if err := s.tryLock(ctx, ref, id); !errors.Is(err, errChanged) {
			return errors.Join(err, s.KeepTime(context.WithoutCancel(ctx)))
		}
	}
	return fmt.Errorf("the tags of %s were changed all the while it was to be locked", ref.Name)
}

func (s *Service) tryLock(ctx context.Context, ref Ref, id string) error {
	l, err := s.completable(ctx, ref, id)
	if err != nil || l.lock.Place != nil {
		return err
	}
	settable := l.lock.Settable && s.settings.Settable // one that is completed in earnest is meant
	l.lock.Settable = settable
	x, err := s.writeLock(ctx, ref, l.lock, l.tags)
	if err != nil {
		return err
	}
	repeated := false
	err = s.change(ctx, ref, protocol.CompleteVaultLock, func(tx *catalogue.Tx, v catalogue.Vault) error {
		repeated = false
		now, err := s.checkCompletion(tx, ref, v, id)
		switch {
		case err != nil:
			return err
		case now.lock.Place != nil:
			repeated = true
			return nil
		case !maps.Equal(now.tags, l.tags):
			return errChanged
		}
		return tx.CompleteLock(v.ID, id, string(x.Place), settable)
	})
	if err != nil || repeated {
		s.discardLock(ctx, ref, id, x.Place)
	}
	return err
}

// discardLock removes the record of a lock that was not completed by it. It looks first: after a failure of the commit the lock may refer to the record all the same.
func (s *Service) discardLock(ctx context.Context, ref Ref, id string, at store.Place) {
	l, err := s.completable(context.WithoutCancel(ctx), ref, id)
	known := err == nil || fault.Is(err, fault.NotFound) || fault.Is(err, fault.Invalid) || fault.Is(err, fault.Denied)
	s.discardIf(known && (l.lock.Place == nil || *l.lock.Place != string(at)), at)
}

// completable returns the lock that is to be completed, and the tags of the vault, in a transaction of its own.
func (s *Service) completable(ctx context.Context, ref Ref, id string) (l lockedTags, err error) {
	err = s.rows.View(ctx, func(tx *catalogue.Tx) error {
		v, err := s.vault(tx, ref)
		if err == nil {
			l, err = s.checkCompletion(tx, ref, v, id)
		}
		return err
	})
	return l, err
}

// checkCompletion returns the lock of a vault, and its tags, if the id is the lock's.
func (s *Service) checkCompletion(tx *catalogue.Tx, ref Ref, v catalogue.Vault, id string) (l lockedTags, err error) {
	if l.lock, err = s.lock(tx, ref, v); err != nil {
		return l, err
	}
	switch {
	case l.lock.ID != id && l.lock.Place != nil:
		return l, lockDenies(ref, "it is locked for ever, with another lock ID than "+id)
	case l.lock.ID != id:
		return l, fault.New(fault.Invalid, "Invalid lock ID: %s is not that of the lock in progress", id)
	}
	l.tags, err = tx.Tags(v.ID)
	return l, err
}

// KeepTime saves the lock time, so that it goes on from there after a restart. What passed since the last time is lost to a machine that is started again.
func (s *Service) KeepTime(ctx context.Context) error {
	r := s.times.Reading()
	return s.rows.Update(ctx, func(tx *catalogue.Tx) error {
		return tx.SaveLockClock(catalogue.LockClock{Time: r.Time, Boot: r.Boot, Uptime: r.Uptime})
	})
}
