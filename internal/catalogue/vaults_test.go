package catalogue

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestVaultNumbersAreNeverUsedAgain(t *testing.T) {
	db := openNew(t)
	var last int64
	for range 3 {
		id := newVault(t, db, "photos")
		if id <= last {
			t.Errorf("the vault has the number %d, after %d", id, last)
		}
		last = id
		update(t, db, func(tx *Tx) error { return tx.DeleteVault(id) })
	}
}

func TestVaultNamesAreOfAnAccount(t *testing.T) {
	db := openNew(t)
	newVault(t, db, "photos")
	if err := db.Update(t.Context(), func(tx *Tx) error { return tx.InsertVault(account, "photos", epoch) }); err == nil {
		t.Error("an account has two vaults of one name")
	}
	update(t, db, func(tx *Tx) error { return tx.InsertVault("210987654321", "photos", epoch) })
	for name, want := range map[string]error{"photos": nil, "Photos": ErrNotFound} {
		view(t, db, func(tx *Tx) error {
			if _, err := tx.Vault(account, name); !errors.Is(err, want) {
				t.Errorf("the vault %q: %v, want %v", name, err, want)
			}
			return nil
		})
	}
}

func TestVaultCounters(t *testing.T) {
	db := openNew(t)
	id := newVault(t, db, "photos")
	a := archiveRow(id, "a", 10)
	steps := []struct {
		change          func(*Tx) error
		archives, bytes int64
		at              time.Time
	}{
		{func(tx *Tx) error { return nil }, 0, 0, time.Time{}},
		{func(tx *Tx) error { return tx.InsertArchive(a) }, 1, 10, epoch},
		{func(tx *Tx) error { return tx.InsertArchive(archiveRow(id, "b", 5)) }, 2, 15, epoch},
		{func(tx *Tx) error { return tx.DeleteArchive(a, epoch.Add(time.Hour)) }, 1, 5, epoch.Add(time.Hour)},
	}
	for i, step := range steps {
		update(t, db, step.change)
		v := getVault(t, db, id)
		if v.Archives != step.archives || v.Bytes != step.bytes || v.Changes != int64(i) || !v.ChangedAt.Equal(step.at) || !v.CreatedAt.Equal(epoch) {
			t.Errorf("after %d changes the vault is %+v", i, v)
		}
	}
}

func TestTakeInventory(t *testing.T) {
	db := openNew(t)
	quiet, busy := newVault(t, db, "quiet"), newVault(t, db, "busy")
	due := func(at time.Time, after int64) (list []int64) {
		view(t, db, func(tx *Tx) error {
			vaults, err := tx.VaultsToInventory(at, after, 10)
			for _, v := range vaults {
				list = append(list, v.ID)
			}
			return err
		})
		return list
	}
	update(t, db, func(tx *Tx) error { return tx.InsertArchive(archiveRow(busy, "a", 10)) })
	for _, test := range []struct {
		at    time.Time
		after int64
		want  []int64
	}{{epoch.Add(-time.Millisecond), 0, nil}, {epoch, 0, []int64{busy}}, {epoch, busy, nil}} {
		if got := due(test.at, test.after); fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("at %s after vault %d an inventory is due of %d, want %d", test.at, test.after, got, test.want)
		}
	}
	taken := epoch.Add(time.Hour)
	update(t, db, func(tx *Tx) error { return tx.TakeInventory(busy, taken) })
	v := getVault(t, db, busy)
	if !v.InventoryAt.Equal(taken) || v.InventoryChange != 1 || v.InventoryArchives != 1 || v.InventoryBytes != 10 {
		t.Errorf("after its inventory the vault is %+v", v)
	}
	if got := due(taken.Add(time.Hour), 0); len(got) > 0 {
		t.Errorf("without a change an inventory is due of %d", got)
	}
	update(t, db, func(tx *Tx) error { return tx.DeleteArchive(archiveRow(busy, "a", 10), taken) })
	if got := due(taken.Add(-time.Millisecond), 0); len(got) > 0 {
		t.Errorf("before its time an inventory is due of %d", got)
	}
	if got := due(taken, 0); len(got) != 1 || got[0] != busy {
		t.Errorf("after a change an inventory is due of %d, want %d", got, busy)
	}
	if v := getVault(t, db, quiet); !v.InventoryAt.IsZero() || !v.ChangedAt.IsZero() {
		t.Errorf("a vault never written to is %+v", v)
	}
}

func TestSetNotifications(t *testing.T) {
	db := openNew(t)
	id := newVault(t, db, "photos")
	topic, events := "topic", "a,b"
	update(t, db, func(tx *Tx) error { return tx.SetNotifications(id, &topic, &events) })
	if v := getVault(t, db, id); v.Topic == nil || *v.Topic != topic || *v.Events != events {
		t.Errorf("the vault notifies %v of %v", v.Topic, v.Events)
	}
	update(t, db, func(tx *Tx) error { return tx.SetNotifications(id, nil, nil) })
	if v := getVault(t, db, id); v.Topic != nil || v.Events != nil {
		t.Errorf("the vault notifies %v of %v", v.Topic, v.Events)
	}
	if err := db.Update(t.Context(), func(tx *Tx) error { return tx.SetNotifications(id+1, nil, nil) }); !errors.Is(err, ErrNotFound) {
		t.Errorf("the notifications of a missing vault: %v", err)
	}
}

func TestAccounts(t *testing.T) {
	db := openNew(t)
	a := Account{ID: account, Name: "root", CreatedAt: epoch}
	update(t, db, func(tx *Tx) error { return tx.InsertAccount(a) })
	view(t, db, func(tx *Tx) error {
		byID, err := tx.Account(account)
		byName, missing := tx.AccountNamed("root")
		if n, err := tx.CountAccounts(); byID != a || byName != a || n != 1 {
			t.Errorf("of %d accounts, %v, one is %+v and %+v", n, err, byID, byName)
		}
		if _, err := tx.Account("210987654321"); !errors.Is(err, ErrNotFound) {
			t.Errorf("a missing account: %v", err)
		}
		return errors.Join(err, missing)
	})
	for name, again := range map[string]Account{"id": {ID: account, Name: "other", CreatedAt: epoch}, "name": {ID: "1", Name: "root", CreatedAt: epoch}} {
		if err := db.Update(t.Context(), func(tx *Tx) error { return tx.InsertAccount(again) }); err == nil {
			t.Errorf("two accounts have one %s", name)
		}
	}
}

func TestAccessKeys(t *testing.T) {
	db := openNew(t)
	k := AccessKey{ID: "AKIAIOSFODNN7EXAMPLE", AccountID: account, Secret: "first", CreatedAt: epoch}
	if err := db.Update(t.Context(), func(tx *Tx) error { return tx.PutAccessKey(k) }); err == nil {
		t.Error("a key has no account")
	}
	update(t, db, func(tx *Tx) error {
		return errors.Join(tx.InsertAccount(Account{ID: account, Name: "root", CreatedAt: epoch}), tx.PutAccessKey(k))
	})
	k.Secret = "second"
	update(t, db, func(tx *Tx) error { return tx.PutAccessKey(k) })
	view(t, db, func(tx *Tx) error {
		got, err := tx.AccessKey(k.ID)
		if got != k {
			t.Errorf("the key is %+v, want %+v", got, k)
		}
		if _, err := tx.AccessKey("AKIA"); !errors.Is(err, ErrNotFound) {
			t.Errorf("a missing key: %v", err)
		}
		return err
	})
}
