package identity

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/moraine-archive/moraine/internal/access"
	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/seal"
	"github.com/moraine-archive/moraine/internal/vfs"
)

// testConfig is the configuration of data that a server has been started on.
func testConfig(t *testing.T) config.Config {
	t.Helper()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.Flags(flags)
	c, err := config.Load(flags, nil)
	must(t, err)
	c.Data = t.TempDir()
	must(t, start(t, c))
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start does what a start of a server does to accounts and keys.
func start(t *testing.T, c config.Config) error {
	rows := openRows(t, c)
	_, err := FirstAccount(t.Context(), rows, vfs.OS(), c, time.Now())
	return err
}

func openRows(t *testing.T, c config.Config) *catalogue.DB {
	t.Helper()
	rows, err := catalogue.OpenSQLite(t.Context(), c.CataloguePath())
	must(t, err)
	t.Cleanup(func() { must(t, rows.Close()) })
	return rows
}

func openSecrets(t *testing.T, c config.Config, rows *catalogue.DB) (secrets seal.Key) {
	t.Helper()
	must(t, rows.Update(t.Context(), func(tx *catalogue.Tx) (err error) {
		secrets, err = OpenSecrets(tx, vfs.OS(), c, time.Now())
		return err
	}))
	return secrets
}

// lookUp is a key finder on the data of a configuration.
func lookUp(t *testing.T, c config.Config) func(id string) (access.Key, bool, error) {
	t.Helper()
	rows := openRows(t, c)
	find := KeyFinder(rows, openSecrets(t, c, rows))
	return func(id string) (access.Key, bool, error) { return find(t.Context(), id) }
}

// findingsOf runs a check.
func findingsOf(t *testing.T, c config.Config) (list []string) {
	t.Helper()
	take := func(path, format string, args ...any) error {
		list = append(list, path+": "+fmt.Sprintf(format, args...))
		return nil
	}
	must(t, Check{Rows: openRows(t, c), Disk: vfs.OS(), Config: c, Wrong: take, Note: take}.Run(t.Context()))
	return list
}

// wantSound lets a check find nothing.
func wantSound(t *testing.T, c config.Config) {
	t.Helper()
	for _, f := range findingsOf(t, c) {
		t.Errorf("the check finds %s", f)
	}
}

// filesWith returns the files under a directory that have a text in them.
func filesWith(t *testing.T, dir, text string) (names []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(text)) {
			names = append(names, path)
		}
		return err
	}))
	return names
}

func wantKey(t *testing.T, find func(id string) (access.Key, bool, error), id string) access.Key {
	t.Helper()
	k, ok, err := find(id)
	if err != nil || !ok || k.Caller.KeyID != id {
		t.Fatalf("the key %s is found as %+v, %t, %v", id, k.Caller, ok, err)
	}
	return k
}

// TestKeyFinder looks up a key of every kind.
func TestKeyFinder(t *testing.T) {
	c := testConfig(t)
	now := time.Now().UTC().Truncate(time.Second)
	alice := Who{Kind: UserKind, Name: "alice"}
	full, err := ReadPolicy(access.FullAccess, nil)
	must(t, err)
	p, key, err := AddPrincipal(t.Context(), c, NewPrincipal{Who: alice, Path: "/ops/", Tags: map[string]string{"team": "ops"}, Policies: []PolicyText{full}, Key: true}, now)
	must(t, err)
	role := Who{Kind: RoleKind, Name: "restorer"}
	_, none, err := AddPrincipal(t.Context(), c, NewPrincipal{Who: role}, now)
	must(t, err)
	if none.Secret != "" {
		t.Errorf("a role has the key %s", none.Caller.KeyID)
	}
	find := lookUp(t, c)

	if k := wantKey(t, find, key.Caller.KeyID); k.Secret != key.Secret || k.Token != "" || !k.Expires.IsZero() || k.Caller.Temporary() ||
		k.Caller.ARN() != p.ARN || p.ARN != "arn:aws:iam::"+p.AccountID+":user/ops/alice" || k.Caller.ID != p.ID || !strings.HasPrefix(p.ID, "AIDA") ||
		k.Caller.Tags["team"] != "ops" || len(k.Caller.Policies) != 1 || k.Caller.Policies[0].Name != access.FullAccess || k.Caller.Policies[0].Policy == nil {
		t.Errorf("the user's key is of %+v", k.Caller)
	}
	for name, test := range map[string]struct {
		o    TokenOptions
		kind access.Kind
		arn  string
	}{
		"a user":               {TokenOptions{Who: alice, Duration: time.Hour}, access.User, p.ARN},
		"a user with a factor": {TokenOptions{Who: alice, Duration: MaxToken, MFA: true}, access.User, p.ARN},
		"a role":               {TokenOptions{Who: role, Duration: MinToken, Session: "at.work"}, access.Role, "arn:aws:sts::" + p.AccountID + ":assumed-role/restorer/at.work"},
		"the root":             {TokenOptions{Duration: time.Hour, MFA: true}, access.Root, "arn:aws:iam::" + p.AccountID + ":root"},
		"one of the past":      {TokenOptions{Duration: time.Hour}, access.Root, "arn:aws:iam::" + p.AccountID + ":root"},
	} {
		made := now
		if name == "one of the past" {
			made = now.Add(-3 * 24 * time.Hour)
		}
		token, err := NewToken(t.Context(), c, test.o, made)
		must(t, err)
		k := wantKey(t, find, token.Caller.KeyID)
		factor := time.Time{}
		if test.o.MFA {
			factor = made
		}
		if k.Secret != token.Secret || k.Token != token.Token || len(k.Token) < 32 || !k.Expires.Equal(made.Add(test.o.Duration)) || !k.Expires.Equal(token.Expires) ||
			k.Caller.Kind != test.kind || k.Caller.ARN() != test.arn || !k.Caller.Issued.Equal(made) || !k.Caller.MFA.Equal(factor) || !strings.HasPrefix(k.Caller.KeyID, "ASIA") {
			t.Errorf("the token of %s is of %+v, expires %s", name, k.Caller, k.Expires)
		}
	}
	for _, id := range []string{"", "AKIANOBODY", "a\x00b", "ключ"} {
		if _, ok, err := find(id); ok || err != nil {
			t.Errorf("the key %q is found: %v", id, err)
		}
	}
}

// TestKeyFinderDoubts gives nobody a key whose rights are not certain.
func TestKeyFinderDoubts(t *testing.T) {
	c := testConfig(t)
	find := lookUp(t, c)
	add := func(name string) (id, key string) {
		p, k, err := AddPrincipal(t.Context(), c, NewPrincipal{Who: Who{Kind: UserKind, Name: name}, Key: true}, time.Now())
		must(t, err)
		return p.ID, k.Caller.KeyID
	}
	change := func(fn func(tx *catalogue.Tx) error) { must(t, changeCatalogue(t.Context(), c, fn)) }

	spoilt, spoiltKey := add("spoilt")
	change(func(tx *catalogue.Tx) error {
		return tx.PutPrincipalPolicy(catalogue.PrincipalPolicy{PrincipalID: spoilt, Name: "deny", Document: `{"Statement": [{"Effect": "Deny"`})
	})
	_, plainKey := add("plain")
	change(func(tx *catalogue.Tx) error {
		k, err := tx.AccessKey(plainKey)
		k.Secret = "somebody has written this"
		return errors.Join(err, tx.PutAccessKey(k))
	})
	stray := access.Key{Caller: access.Caller{KeyID: "AKIASTRAY"}, Secret: "s"}
	must(t, changeSecrets(t.Context(), c, func(tx *catalogue.Tx, secrets seal.Key) error {
		a, err := findAccount(tx, "")
		stray.Caller.Account = a.ID
		return errors.Join(err, tx.PutAccessKey(sealed(secrets, stray, catalogue.AccessKey{PrincipalID: "AIDAGONE", CreatedAt: time.Now()})))
	}))
	for id, want := range map[string]string{spoiltKey: `policy "deny"`, plainKey: "not encrypted", "AKIASTRAY": "AIDAGONE"} {
		if k, ok, err := find(id); ok || err == nil || !strings.Contains(err.Error(), want) || k.Secret != "" {
			t.Errorf("the key %s is found: %t, %v; want an error with %q", id, ok, err, want)
		}
	}
	_, out := add("out")
	must(t, DisableKey(t.Context(), c, out, false))
	if _, ok, err := find(out); ok || err != nil {
		t.Errorf("a disabled key is found: %t, %v", ok, err)
	}
	must(t, EnableKey(t.Context(), c, out))
	wantKey(t, find, out)
	must(t, RemovePrincipal(t.Context(), c, Who{Kind: UserKind, Name: "out"}))
	if _, ok, err := find(out); ok || err != nil {
		t.Errorf("the key of a user that is gone is found: %t, %v", ok, err)
	}
}

// TestLastRootKey retires keys of the root: the last one, and that of the configuration, only with force.
func TestLastRootKey(t *testing.T) {
	c := testConfig(t)
	b, err := os.ReadFile(c.CredentialsPath())
	must(t, err)
	saved, _ := parseCredentials(b)
	first := saved.Caller.KeyID
	_, err = NewToken(t.Context(), c, TokenOptions{Duration: time.Hour}, time.Now()) // does not count: it ends
	must(t, err)
	_, _, err = AddPrincipal(t.Context(), c, NewPrincipal{Who: Who{Kind: UserKind, Name: "alice"}, Key: true}, time.Now())
	must(t, err)
	refused := func(what, want string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--force") {
			t.Errorf("%s: the error is %v", what, err)
		}
	}
	_, err = RemoveKey(t.Context(), c, first, false)
	refused("the only key is removed", "moraine admin key add --account "+saved.Caller.Account, err)
	refused("the only key is disabled", first, DisableKey(t.Context(), c, first, false))
	second, err := NewKey(t.Context(), c, Who{}, time.Now())
	must(t, err)
	must(t, DisableKey(t.Context(), c, second.Caller.KeyID, false))
	refused("another is disabled already", first, DisableKey(t.Context(), c, first, false))
	must(t, EnableKey(t.Context(), c, second.Caller.KeyID))
	file, err := RemoveKey(t.Context(), c, first, false)
	if err != nil || file != c.CredentialsPath() || len(filesWith(t, c.Data, saved.Secret)) > 0 {
		t.Errorf("with another, it is removed: %q, %v", file, err)
	}
	wantSound(t, c)
	must(t, DisableKey(t.Context(), c, second.Caller.KeyID, true))
	if _, err := RemoveKey(t.Context(), c, second.Caller.KeyID, false); err != nil {
		t.Errorf("a key that is disabled is removed: %v", err)
	}

	c.RootKeyID, c.RootSecret = "AKIACONFIGURED", "s"
	must(t, start(t, c))
	third, err := NewKey(t.Context(), c, Who{}, time.Now())
	must(t, err)
	_, err = RemoveKey(t.Context(), c, c.RootKeyID, false)
	refused("the configured key is removed", "MORAINE_ROOT_ACCESS_KEY_ID", err)
	must(t, DisableKey(t.Context(), c, c.RootKeyID, true))
	must(t, DisableKey(t.Context(), c, third.Caller.KeyID, true))
	must(t, start(t, c))
	wantKey(t, lookUp(t, c), c.RootKeyID)
}

// TestExpiredKeysAreForgotten makes tokens of the past: for a week it is known that they have expired.
func TestExpiredKeysAreForgotten(t *testing.T) {
	c := testConfig(t)
	find, now := lookUp(t, c), time.Now()
	token := func(ago time.Duration) string {
		k, err := NewToken(t.Context(), c, TokenOptions{Duration: time.Hour}, now.Add(-ago))
		must(t, err)
		return k.Caller.KeyID
	}
	old, young := token(8*24*time.Hour), token(6*24*time.Hour)
	token(0)
	if _, ok, err := find(old); ok || err != nil {
		t.Errorf("a token that expired more than a week ago: %t, %v", ok, err)
	}
	if k := wantKey(t, find, young); !k.Expires.Before(now) {
		t.Errorf("a token of the past expires %s", k.Expires)
	}
	list, err := Keys(t.Context(), c, Who{}, now)
	states := map[string]int{}
	for _, k := range list {
		states[k.State]++
	}
	if err != nil || len(list) != 3 || states[KeyActive] != 2 || states[KeyExpired] != 1 {
		t.Errorf("the keys are %+v, %v", list, err)
	}
}

// TestConfiguredKeyOfAUser takes the key of a user for the configured one.
func TestConfiguredKeyOfAUser(t *testing.T) {
	c := testConfig(t)
	_, k, err := AddPrincipal(t.Context(), c, NewPrincipal{Who: Who{Kind: UserKind, Name: "alice"}, Key: true}, time.Now())
	must(t, err)
	token, err := NewToken(t.Context(), c, TokenOptions{Duration: time.Hour}, time.Now())
	must(t, err)
	for _, id := range []string{k.Caller.KeyID, token.Caller.KeyID} {
		c.RootKeyID, c.RootSecret = id, "s"
		if err := start(t, c); err == nil || !strings.Contains(err.Error(), id) {
			t.Errorf("a start with the key %s of somebody else: %v", id, err)
		}
	}
}
