package vault

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/moraine-archive/moraine/glacier/treehash"
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
	l, err := s.completable(ctx, ref, id)
	if err != nil || l.Place != nil {
		return err
	}
	l.Settable = l.Settable && s.settings.Settable // one that is completed in earnest is meant
	x, err := s.writeLock(ctx, ref, l)
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
		case now.Place != nil:
			repeated = true
			return nil
		}
		return tx.CompleteLock(v.ID, id, string(x.Place), l.Settable)
	})
	refused := fault.Is(err, fault.NotFound) || fault.Is(err, fault.Invalid) || fault.Is(err, fault.Denied)
	s.discardIf(repeated || refused, x.Place)
	return errors.Join(err, s.KeepTime(context.WithoutCancel(ctx)))
}

// completable returns the lock that is to be completed, in a transaction of its own.
func (s *Service) completable(ctx context.Context, ref Ref, id string) (l catalogue.Lock, err error) {
	err = s.rows.View(ctx, func(tx *catalogue.Tx) error {
		v, err := s.vault(tx, ref)
		if err == nil {
			l, err = s.checkCompletion(tx, ref, v, id)
		}
		return err
	})
	return l, err
}

// checkCompletion returns the lock of a vault if the id is its own.
func (s *Service) checkCompletion(tx *catalogue.Tx, ref Ref, v catalogue.Vault, id string) (catalogue.Lock, error) {
	l, err := s.lock(tx, ref, v)
	switch {
	case err != nil:
		return l, err
	case l.ID != id && l.Place != nil:
		return l, lockDenies(ref, "it is locked for ever, with another lock ID than "+id)
	case l.ID != id:
		return l, fault.New(fault.Invalid, "Invalid lock ID: %s is not that of the lock in progress", id)
	}
	return l, nil
}

// lockText is the payload of the record of a lock.
type lockText struct {
	Policy   string `json:"policy"`
	Created  int64  `json:"created"`   // milliseconds since 1970
	LockTime int64  `json:"lock_time"` // the same by the time that nobody can set
	Settable bool   `json:"settable,omitempty"`
}

func textOf(l catalogue.Lock) lockText {
	return lockText{l.Policy, l.CreatedAt.UnixMilli(), l.LockTime.UnixMilli(), l.Settable}
}

// writeLock puts a lock on the medium.
func (s *Service) writeLock(ctx context.Context, ref Ref, l catalogue.Lock) (store.Extent, error) {
	text, err := json.Marshal(textOf(l))
	if err != nil {
		return store.Extent{}, err
	}
	name := label{What: isLock, Account: ref.Account, Vault: ref.Name, Lock: l.ID, Skew: s.skew()}
	return s.bytes.Put(ctx, store.Payload, name.encode(), treehash.NewStream(strings.NewReader(string(text)), int64(len(text)), nil))
}

// maxLockText is more than the payload of the record of a lock has: every byte of a policy may need six in JSON.
const maxLockText = 6*protocol.MaxPolicy + 1000

// readLock reads what the record of a lock says.
func (s *Service) readLock(ctx context.Context, at store.Place) (text lockText, err error) {
	x, err := s.bytes.Stat(ctx, at)
	if err != nil {
		return text, err
	}
	r, err := s.bytes.Open(ctx, at, 0, min(x.Size, maxLockText))
	if err != nil {
		return text, err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return text, err
	}
	return text, json.Unmarshal(b, &text)
}

// KeepTime saves the lock time, so that it goes on from there after a restart. What passed since the last time is lost to a machine that is started again.
func (s *Service) KeepTime(ctx context.Context) error {
	r := s.times.Reading()
	return s.rows.Update(ctx, func(tx *catalogue.Tx) error {
		return tx.SaveLockClock(catalogue.LockClock{Time: r.Time, Boot: r.Boot, Uptime: r.Uptime})
	})
}
