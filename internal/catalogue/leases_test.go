package catalogue

import (
	"errors"
	"testing"
	"time"
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
