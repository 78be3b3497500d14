package catalogue

import (
	"errors"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/enginetest"
)

// TestLeases has two nodes want the same.
func TestLeases(t *testing.T) {
	db := openNew(t)
	take := func(holder string, long time.Duration) (taken bool) {
		update(t, db, func(tx *Tx) (err error) {
			taken, err = tx.TakeLease("sweep", holder, long)
			return err
		})
		return taken
	}
	holds := func(holder string) (holds bool) {
		view(t, db, func(tx *Tx) (err error) {
			holds, err = tx.HoldsLease("sweep", holder)
			return err
		})
		return holds
	}
	renew := func(holder string) error {
		return db.Update(t.Context(), func(tx *Tx) error { return tx.RenewLease("sweep", holder, time.Hour) })
	}
	if !take("a", time.Hour) || take("b", time.Hour) || take("a", time.Hour) || !holds("a") || holds("b") {
		t.Error("a lease is not that of the first who takes it")
	}
	if err := renew("b"); !errors.Is(err, ErrNotFound) {
		t.Errorf("another renews it: %v", err)
	}
	if err := renew("a"); err != nil {
		t.Error(err)
	}
	end := func(holder string) { update(t, db, func(tx *Tx) error { return tx.EndLease("sweep", holder) }) }
	if end("b"); !holds("a") {
		t.Error("another ends it")
	}
	if end("a"); holds("a") || !take("b", -time.Millisecond) || !holds("b") {
		t.Error("it is not free when it was given back")
	}
	if !take("c", time.Hour) || holds("b") || !errors.Is(renew("b"), ErrNotFound) {
		t.Error("one that has run out is not free")
	}
}

// TestLeaseIsKept has a node stand still in the change that it makes under a lease which has run out: nobody has taken the lease before that change is made, or it is not made.
func TestLeaseIsKept(t *testing.T) {
	onlyPostgres(t)
	source := enginetest.Database(t)
	slow, other := openPostgres(t, source), openPostgres(t, source)
	update(t, slow, func(tx *Tx) error {
		_, err := tx.TakeLease("moving", "slow", -time.Millisecond)
		return err
	})
	taken := make(chan error, 1)
	begun, early := false, false
	err := slow.Update(t.Context(), func(tx *Tx) error {
		if kept, err := tx.KeepLease("moving", "slow"); err != nil || !kept {
			return errors.Join(err, ErrNotFound)
		}
		if !begun {
			begun = true
			go func() {
				taken <- other.Update(t.Context(), func(tx *Tx) error {
					free, err := tx.TakeLease("moving", "other", time.Hour)
					if err == nil && !free {
						err = errors.New("it is not free")
					}
					return err
				})
			}()
		}
		select {
		case err := <-taken:
			taken <- err
			early = true
		case <-time.After(500 * time.Millisecond):
		}
		return tx.exec(`INSERT INTO counters (name, value) VALUES ('moved by slow', 1)`)
	})
	if err == nil && early {
		t.Error("a node has made a change under a lease that another had taken by then")
	}
	if err := <-taken; err != nil {
		t.Errorf("the other node: %v", err)
	}
}
