package daemon

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/access"
	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/identity"
	"github.com/moraine-archive/moraine/internal/seal"
)

// plainSecret is the secret of a key in the data of an earlier program.
func plainSecret(i int) string { return fmt.Sprintf("plain-secret-%03d", i) }

func oldKeyID(i int) string { return fmt.Sprintf("AKIAOLD%03d", i) }

// oldData makes data as an earlier program left it: secrets that are not encrypted, in rows, where rows were, in the log, and in copies of the catalogue.
func oldData(t *testing.T) config.Config {
	t.Helper()
	c := testConfig(t, t.TempDir())
	s, err := openStores(t, c)
	must(t, err)
	ctx := t.Context()
	put := func(i int) {
		must(t, s.rows.Update(ctx, func(tx *catalogue.Tx) error {
			return tx.PutAccessKey(catalogue.AccessKey{ID: oldKeyID(i), AccountID: "123456789012", Secret: plainSecret(i), CreatedAt: time.Now()})
		}))
	}
	must(t, s.rows.Update(ctx, func(tx *catalogue.Tx) error {
		return tx.InsertAccount(catalogue.Account{ID: "123456789012", Name: "root", CreatedAt: time.Now()})
	}))
	for i := range 100 {
		put(i)
	}
	for range 2 {
		_, err := s.backup(ctx)
		must(t, err)
	}
	must(t, s.rows.Checkpoint(ctx))
	must(t, os.WriteFile(filepath.Join(c.BackupDir(), unfinishedBackup), []byte("half a copy with plain-secret-007"), 0o600))
	for i := 0; i < 100; i += 2 {
		must(t, s.rows.Update(ctx, func(tx *catalogue.Tx) error { return tx.RemoveAccessKey(oldKeyID(i)) }))
	}
	killed := testConfig(t, t.TempDir()) // what is on the disk now, as if the server had been killed
	must(t, os.CopyFS(killed.Data, os.DirFS(c.Data)))
	must(t, s.close())
	return killed
}

// filesWith returns the files under a directory that have a text in them.
func filesWith(t *testing.T, dir, text string) (names []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && bytes.Contains(mustRead(t, path), []byte(text)) {
			names = append(names, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	}))
	return names
}

func openDaemon(t *testing.T, c config.Config) (*Daemon, error) {
	t.Helper()
	c.Listen, c.AdminListen = "127.0.0.1:0", "127.0.0.1:0"
	return Open(t.Context(), c, slog.New(slog.DiscardHandler), time.Now)
}

// startAndStop runs a server on data, until it could be used.
func startAndStop(t *testing.T, c config.Config) {
	t.Helper()
	d, err := openDaemon(t, c)
	must(t, err)
	stopped, stop := context.WithCancel(t.Context())
	stop()
	must(t, d.Run(stopped))
}

// TestOldSecretsAreEncrypted starts a server on the data of an earlier program. After that no secret can be found in any file, and every key works.
func TestOldSecretsAreEncrypted(t *testing.T) {
	c := oldData(t)
	before := filesWith(t, c.Data, "plain-secret-")
	if len(before) != 5 {
		t.Fatalf("secrets are in %q before: in less than the catalogue, its log, two copies and half a one", before)
	}
	d, err := openDaemon(t, c)
	must(t, err)
	if with := filesWith(t, c.Data, "plain-secret-"); len(with) > 0 {
		t.Errorf("while the server runs, secrets are in %q", with)
	}
	find := identity.KeyFinder(d.rows, d.secrets)
	for i := range 100 {
		k, ok, err := find(t.Context(), oldKeyID(i))
		if err != nil || ok != (i%2 == 1) || ok && k.Secret != plainSecret(i) {
			t.Errorf("the key %s: %q, %t, %v", oldKeyID(i), k.Secret, ok, err)
		}
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	must(t, d.Run(stopped))
	if with := filesWith(t, c.Data, "plain-secret-"); len(with) > 0 {
		t.Errorf("after it has stopped, secrets are in %q", with)
	}
	copies, err := d.medium.copies(t.Context())
	if err != nil || len(copies) == 0 {
		t.Errorf("there are %d copies of the catalogue, %v", len(copies), err)
	}
	wantSound(t, c)
	key := mustRead(t, c.SecretKeyPath())
	startAndStop(t, c)
	if !bytes.Equal(mustRead(t, c.SecretKeyPath()), key) {
		t.Error("the second start has another key")
	}
	if info, err := os.Stat(c.SecretKeyPath()); err != nil || info.Mode() != 0o600 {
		t.Errorf("the key file has the mode %v, %v", info.Mode(), err)
	}
	if with := filesWith(t, c.StoreDir(), "moraine-secret-key"); len(with) > 0 {
		t.Errorf("the key is beside the volumes: %q", with)
	}
}

// wantSound lets a check find nothing.
func wantSound(t *testing.T, c config.Config) {
	t.Helper()
	for _, e := range findingsOf(t, c) {
		t.Errorf("the check finds %s", e)
	}
}

func findingsOf(t *testing.T, c config.Config) (list []Finding) {
	t.Helper()
	s, err := openStores(t, c)
	must(t, err)
	defer s.close()
	must(t, s.maintain(t.Context(), Task{Name: "check", Data: true}, func(e Event) error {
		if e.Finding != nil {
			list = append(list, *e.Finding)
		}
		return nil
	}))
	return list
}

// TestEncryptionIsGoneOnWith interrupts the first start after the rows are encrypted, and before what is left is removed.
func TestEncryptionIsGoneOnWith(t *testing.T) {
	c := oldData(t)
	s, err := openStores(t, c)
	must(t, err)
	_, err = s.openSecrets(t.Context())
	must(t, err)
	must(t, s.close())
	if len(filesWith(t, c.Data, "plain-secret-")) == 0 {
		t.Fatal("nothing is left to be removed: this test tests nothing")
	}
	startAndStop(t, c)
	if with := filesWith(t, c.Data, "plain-secret-"); len(with) > 0 {
		t.Errorf("secrets are in %q", with)
	}
}

// TestKeyOfAnotherCatalogue takes the key file away, damages it, and puts another in its place.
func TestKeyOfAnotherCatalogue(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, path string){
		"missing": func(t *testing.T, path string) { must(t, os.Remove(path)) },
		"damaged": func(t *testing.T, path string) {
			b := mustRead(t, path)
			b[30] ^= 1
			must(t, os.WriteFile(path, b, 0o600))
		},
		"another": func(t *testing.T, path string) { must(t, os.WriteFile(path, seal.NewKey().File(), 0o600)) },
	} {
		t.Run(name, func(t *testing.T) {
			c := testConfig(t, t.TempDir())
			startAndStop(t, c)
			_, _, err := identity.AddPrincipal(t.Context(), c, identity.NewPrincipal{Who: identity.Who{Kind: identity.UserKind, Name: "alice"}, Key: true}, time.Now())
			must(t, err)
			right := mustRead(t, c.SecretKeyPath())
			spoil(t, c.SecretKeyPath())
			wrong, err := os.ReadFile(c.SecretKeyPath())
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			_, startErr := openDaemon(t, c)
			_, keyErr := identity.NewKey(t.Context(), c, identity.Who{}, time.Now())
			for what, err := range map[string]error{"the start": startErr, "a new key": keyErr} {
				for _, want := range []string{c.SecretKeyPath(), name, "--secret-key-file", "moraine admin rebuild --replace"} {
					if err == nil || !strings.Contains(err.Error(), want) {
						t.Errorf("%s: the error %v does not say %q", what, err, want)
					}
				}
			}
			if now, err := os.ReadFile(c.SecretKeyPath()); !bytes.Equal(now, wrong) || (err == nil) != (wrong != nil) {
				t.Errorf("the key file was touched: %q, %v", now, err)
			}
			if found := findingsOf(t, c); len(found) == 0 || found[0].Severity != Wrong {
				t.Errorf("the check finds %v", found)
			}
			k := rebuildWithoutKey(t, c)
			must(t, os.WriteFile(c.SecretKeyPath(), right, 0o600)) // the rebuilt catalogue has another by now
			if k == 1 && name != "another" {
				if _, err := openDaemon(t, c); err == nil {
					t.Error("the old key fits the rebuilt catalogue")
				}
			}
		})
	}
}

// rebuildWithoutKey does what the error advises, and holds that the first key works again and the user's is given up.
func rebuildWithoutKey(t *testing.T, c config.Config) (lost int) {
	t.Helper()
	must(t, Maintain(t.Context(), c, Task{Name: "backup"}, slog.New(slog.DiscardHandler), time.Now, func(Event) error { return nil }))
	var findings []Finding
	r, err := Rebuild(t.Context(), c, RebuildOptions{Replace: true}, slog.New(slog.DiscardHandler), time.Now, func(e Event) error {
		if e.Finding != nil {
			findings = append(findings, *e.Finding)
		}
		return nil
	})
	must(t, err)
	if r.LostKeys != 1 || !strings.Contains(fmt.Sprint(findings), "user/alice") {
		t.Errorf("the rebuild gives up %d keys, and finds %v", r.LostKeys, findings)
	}
	d, err := openDaemon(t, c)
	must(t, err)
	var id, secret string
	_, err = fmt.Sscanf(string(mustRead(t, c.CredentialsPath())), "[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", &id, &secret)
	must(t, err)
	k, ok, err := identity.KeyFinder(d.rows, d.secrets)(t.Context(), id)
	if err != nil || !ok || k.Secret != secret || k.Caller.Kind != access.Root {
		t.Errorf("the first key after the rebuild: %+v, %t, %v", k.Caller, ok, err)
	}
	users, err := identity.Principals(t.Context(), c, "", identity.UserKind)
	if err != nil || len(users) != 1 {
		t.Errorf("the users after the rebuild: %+v, %v", users, err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	must(t, d.Run(stopped))
	wantSound(t, c)
	return r.LostKeys
}

// TestRebuildOfOldSecrets rebuilds from a copy that an earlier program made.
func TestRebuildOfOldSecrets(t *testing.T) {
	c := oldData(t)
	r, err := Rebuild(t.Context(), c, RebuildOptions{Replace: true}, slog.New(slog.DiscardHandler), time.Now, func(Event) error { return nil })
	if err != nil || r.LostKeys != 0 || r.Backup == nil {
		t.Fatalf("the rebuild: %+v, %v", r, err)
	}
	startAndStop(t, c)
	for _, name := range filesWith(t, c.Data, "plain-secret-") {
		if !strings.Contains(name, replacedSuffix) { // which is the administrator's to remove
			t.Errorf("secrets are in %s", name)
		}
	}
}
