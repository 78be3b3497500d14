package catalogue

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// withAccount returns an empty catalogue with an account.
func withAccount(t *testing.T) *DB {
	t.Helper()
	db := openNew(t)
	update(t, db, func(tx *Tx) error { return tx.InsertAccount(Account{ID: account, Name: "root", CreatedAt: epoch}) })
	return db
}

func TestPrincipals(t *testing.T) {
	db := withAccount(t)
	alice := Principal{ID: "AIDA1", AccountID: account, Kind: UserKind, Path: "/ops/", Name: "alice", Tags: map[string]string{"team": "ops", `a"b`: ""}, CreatedAt: epoch}
	bob := Principal{ID: "AIDA2", AccountID: account, Kind: UserKind, Path: "/", Name: "bob", Tags: map[string]string{}, CreatedAt: epoch}
	role := Principal{ID: "AROA1", AccountID: account, Kind: RoleKind, Path: "/", Name: "alice", Tags: map[string]string{}, CreatedAt: epoch}
	for _, p := range []Principal{bob, alice, role} {
		update(t, db, func(tx *Tx) error { return tx.InsertPrincipal(p) })
	}
	for what, p := range map[string]Principal{
		"a name that is taken":   {ID: "AIDA3", AccountID: account, Kind: UserKind, Path: "/other/", Name: "alice", CreatedAt: epoch},
		"an id that is taken":    {ID: "AROA1", AccountID: account, Kind: UserKind, Path: "/", Name: "carol", CreatedAt: epoch},
		"an account of nobody's": {ID: "AIDA3", AccountID: "210987654321", Kind: UserKind, Path: "/", Name: "carol", CreatedAt: epoch},
	} {
		if err := db.Update(t.Context(), func(tx *Tx) error { return tx.InsertPrincipal(p) }); err == nil {
			t.Errorf("%s is inserted", what)
		}
	}
	view(t, db, func(tx *Tx) error {
		byID, err := tx.Principal(alice.ID)
		named, alsoErr := tx.PrincipalNamed(account, UserKind, "alice")
		if !reflect.DeepEqual(byID, alice) || !reflect.DeepEqual(named, alice) {
			t.Errorf("the user is %+v by id and %+v by name, want %+v", byID, named, alice)
		}
		users, listErr := tx.Principals(account, UserKind, "", 10)
		if !reflect.DeepEqual(users, []Principal{alice, bob}) {
			t.Errorf("the users are %+v", users)
		}
		rest, restErr := tx.Principals(account, UserKind, "alice", 1)
		if !reflect.DeepEqual(rest, []Principal{bob}) {
			t.Errorf("after alice come %+v", rest)
		}
		if _, err := tx.PrincipalNamed(account, RoleKind, "bob"); !errors.Is(err, ErrNotFound) {
			t.Errorf("a role that is missing: %v", err)
		}
		return errors.Join(err, alsoErr, listErr, restErr)
	})
}

func TestPrincipalPolicies(t *testing.T) {
	db := withAccount(t)
	update(t, db, func(tx *Tx) error {
		return errors.Join(tx.InsertPrincipal(Principal{ID: "AIDA1", AccountID: account, Kind: UserKind, Path: "/", Name: "alice", CreatedAt: epoch}),
			tx.InsertPrincipal(Principal{ID: "AIDA2", AccountID: account, Kind: UserKind, Path: "/", Name: "bob", CreatedAt: epoch}),
			tx.PutPrincipalPolicy(PrincipalPolicy{"AIDA1", "write", "{1}"}), tx.PutPrincipalPolicy(PrincipalPolicy{"AIDA1", "read", "{2}"}),
			tx.PutPrincipalPolicy(PrincipalPolicy{"AIDA1", "write", " {3}\n"}), tx.PutPrincipalPolicy(PrincipalPolicy{"AIDA2", "a", "{4}"}))
	})
	if err := db.Update(t.Context(), func(tx *Tx) error { return tx.PutPrincipalPolicy(PrincipalPolicy{"AIDA3", "x", "y"}) }); err == nil {
		t.Error("a policy belongs to nobody")
	}
	view(t, db, func(tx *Tx) error {
		list, err := tx.PrincipalPolicies("AIDA1")
		if want := []PrincipalPolicy{{"AIDA1", "read", "{2}"}, {"AIDA1", "write", " {3}\n"}}; !reflect.DeepEqual(list, want) {
			t.Errorf("the policies are %q, want %q", list, want)
		}
		after, afterErr := tx.PrincipalPoliciesAfter("AIDA1", "read", 10)
		if want := []PrincipalPolicy{{"AIDA1", "write", " {3}\n"}, {"AIDA2", "a", "{4}"}}; !reflect.DeepEqual(after, want) {
			t.Errorf("the policies after one are %q, want %q", after, want)
		}
		return errors.Join(err, afterErr)
	})
	update(t, db, func(tx *Tx) error { return tx.RemovePrincipalPolicy("AIDA1", "read") })
	if err := db.Update(t.Context(), func(tx *Tx) error { return tx.RemovePrincipalPolicy("AIDA1", "read") }); !errors.Is(err, ErrNotFound) {
		t.Errorf("a policy is removed twice: %v", err)
	}
}

// TestSigners is about keys with what they are of, and what goes with a user.
func TestSigners(t *testing.T) {
	db := withAccount(t)
	alice := Principal{ID: "AIDA1", AccountID: account, Kind: UserKind, Path: "/", Name: "alice", Tags: map[string]string{"k": "v"}, CreatedAt: epoch}
	root := AccessKey{ID: "AKIA1", AccountID: account, Secret: "s1", CreatedAt: epoch}
	user := AccessKey{ID: "AKIA2", AccountID: account, Secret: "s2", CreatedAt: epoch, PrincipalID: "AIDA1"}
	token := AccessKey{ID: "ASIA1", AccountID: account, Secret: "s3", CreatedAt: epoch, PrincipalID: "AIDA1", Token: "t", Session: "at work", MFAAt: epoch, ExpiresAt: epoch.Add(time.Hour)}
	update(t, db, func(tx *Tx) error {
		return errors.Join(tx.InsertPrincipal(alice), tx.PutPrincipalPolicy(PrincipalPolicy{"AIDA1", "p", "{}"}),
			tx.PutAccessKey(root), tx.PutAccessKey(user), tx.PutAccessKey(token))
	})
	view(t, db, func(tx *Tx) error {
		for _, want := range []Signer{{root, Principal{}}, {user, alice}, {token, alice}} {
			if got, err := tx.Signer(want.ID); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("the signer is %+v, %v, want %+v", got, err, want)
			}
		}
		if of, secret, err := tx.RootKey("AKIA1"); err != nil || of != account || secret != "s1" {
			t.Errorf("the key of the root: %q, %q, %v", of, secret, err)
		}
		for _, id := range []string{"AKIA2", "ASIA1", "AKIA"} {
			if _, secret, err := tx.RootKey(id); !errors.Is(err, ErrNotFound) || secret != "" {
				t.Errorf("the key %s is taken for one of the root: %v", id, err)
			}
		}
		list, err := tx.Signers("AKIA1", 10)
		if len(list) != 2 || list[0].ID != "AKIA2" || list[1].Principal.Name != "alice" {
			t.Errorf("the keys after the first are %+v", list)
		}
		if _, err := tx.Signer("AKIA"); !errors.Is(err, ErrNotFound) {
			t.Errorf("a key that is missing: %v", err)
		}
		return err
	})
	update(t, db, func(tx *Tx) error { return tx.RemovePrincipal("AIDA1") })
	view(t, db, func(tx *Tx) error {
		list, err := tx.Signers("", 10)
		policies, alsoErr := tx.PrincipalPolicies("AIDA1")
		if len(list) != 1 || list[0].ID != "AKIA1" || len(policies) > 0 {
			t.Errorf("after the user is gone there are %+v and %q", list, policies)
		}
		return errors.Join(err, alsoErr)
	})
	if err := db.Update(t.Context(), func(tx *Tx) error { return tx.RemovePrincipal("AIDA1") }); !errors.Is(err, ErrNotFound) {
		t.Errorf("a user is removed twice: %v", err)
	}
}

func TestKeysInAndOutOfUse(t *testing.T) {
	db := withAccount(t)
	put := func(id string, disabled bool, expires time.Time) {
		update(t, db, func(tx *Tx) error {
			return tx.PutAccessKey(AccessKey{ID: id, AccountID: account, Secret: "s", CreatedAt: epoch, Disabled: disabled, ExpiresAt: expires})
		})
	}
	usable := func(beside string) (n int64) {
		view(t, db, func(tx *Tx) (err error) {
			n, err = tx.CountRootKeys(account, beside)
			return err
		})
		return n
	}
	put("AKIA1", false, time.Time{})
	put("AKIA2", true, time.Time{})
	put("ASIA1", false, epoch)
	put("ASIA2", false, epoch.Add(time.Millisecond))
	put("ASIA3", false, epoch.Add(-time.Hour))
	if n := usable(""); n != 1 || usable("AKIA1") != 0 || usable("AKIA2") != 1 {
		t.Errorf("%d keys can be used, %d beside the first", n, usable("AKIA1"))
	}
	for _, id := range []string{"AKIA2", "ASIA2"} { // disabled, temporary
		view(t, db, func(tx *Tx) error {
			if _, _, err := tx.RootKey(id); !errors.Is(err, ErrNotFound) {
				t.Errorf("the key %s can be used as one of the root for good: %v", id, err)
			}
			return nil
		})
	}
	update(t, db, func(tx *Tx) error { return tx.DisableAccessKey("AKIA2", false) })
	if n := usable(""); n != 2 {
		t.Errorf("%d keys can be used after another is enabled", n)
	}
	update(t, db, func(tx *Tx) error { return tx.RemoveAccessKey("AKIA1") })
	for what, fn := range map[string]func(*Tx) error{
		"removed":  func(tx *Tx) error { return tx.RemoveAccessKey("AKIA1") },
		"disabled": func(tx *Tx) error { return tx.DisableAccessKey("AKIA1", true) },
	} {
		if err := db.Update(t.Context(), fn); !errors.Is(err, ErrNotFound) {
			t.Errorf("a key that is gone is %s: %v", what, err)
		}
	}
	update(t, db, func(tx *Tx) error { return tx.ForgetAccessKeys(epoch.Add(time.Millisecond), 1) })
	update(t, db, func(tx *Tx) error { return tx.ForgetAccessKeys(epoch.Add(time.Millisecond), 10) })
	view(t, db, func(tx *Tx) error {
		list, err := tx.Signers("", 10)
		if len(list) != 2 || list[0].ID != "AKIA2" || list[1].ID != "ASIA2" {
			t.Errorf("what is left after the expired are forgotten: %+v", list)
		}
		return err
	})
}

// TestConfiguredAccessKey puts another in the place of the configured key, and one that was disabled in use again.
func TestConfiguredAccessKey(t *testing.T) {
	db := withAccount(t)
	for _, id := range []string{"A", "B"} {
		update(t, db, func(tx *Tx) error {
			return tx.ConfigureAccessKey(AccessKey{ID: id, AccountID: account, Secret: "s" + id, CreatedAt: epoch})
		})
	}
	update(t, db, func(tx *Tx) error { return tx.DisableAccessKey("B", true) })
	update(t, db, func(tx *Tx) error {
		return tx.ConfigureAccessKey(AccessKey{ID: "B", AccountID: account, Secret: "new", CreatedAt: epoch})
	})
	view(t, db, func(tx *Tx) error {
		k, err := tx.AccessKey("B")
		if k.Secret != "new" || !k.Configured || k.Disabled {
			t.Errorf("the configured key is %+v", k)
		}
		if _, err := tx.AccessKey("A"); !errors.Is(err, ErrNotFound) {
			t.Errorf("the one before: %v", err)
		}
		return err
	})
}

// TestPurge overwrites and deletes, and looks for what was there in the bytes of the files, before and after.
func TestPurge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalogue.db")
	db := openPath(t, path)
	update(t, db, func(tx *Tx) error { return tx.InsertAccount(Account{ID: account, Name: "root", CreatedAt: epoch}) })
	for i := range 300 {
		update(t, db, func(tx *Tx) error {
			return tx.PutAccessKey(AccessKey{ID: fmt.Sprintf("AKIA%03d", i), AccountID: account, Secret: fmt.Sprintf("precious-%03d", i), CreatedAt: epoch})
		})
	}
	for i := range 300 {
		update(t, db, func(tx *Tx) error {
			if i%2 == 0 {
				return tx.RemoveAccessKey(fmt.Sprintf("AKIA%03d", i))
			}
			return tx.PutAccessKey(AccessKey{ID: fmt.Sprintf("AKIA%03d", i), AccountID: account, Secret: "other", CreatedAt: epoch})
		})
	}
	found := func() (n int) {
		for _, suffix := range []string{"", "-wal"} {
			b, err := os.ReadFile(path + suffix)
			if err != nil {
				t.Fatal(err)
			}
			n += bytes.Count(b, []byte("precious-"))
		}
		return n
	}
	if found() == 0 {
		t.Error("nothing is left of what was overwritten: this test tests nothing")
	}
	if err := db.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := found(); n > 0 {
		t.Errorf("%d secrets that were overwritten are still in the files", n)
	}
	if problems, err := db.Integrity(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("after it: %s, %v", strings.Join(problems, ", "), err)
	}
	view(t, db, func(tx *Tx) error {
		k, err := tx.AccessKey("AKIA299")
		if k.Secret != "other" {
			t.Errorf("the key is %+v", k)
		}
		return err
	})
}

func TestPlainSecrets(t *testing.T) {
	db := openNew(t)
	for i, want := range []bool{false, true, false} {
		if i > 0 {
			update(t, db, func(tx *Tx) error { return tx.SetPlainSecrets(want) })
		}
		view(t, db, func(tx *Tx) error {
			got, err := tx.MayHavePlainSecrets()
			if got != want {
				t.Errorf("it is %t, want %t", got, want)
			}
			return err
		})
	}
}
