package daemon_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

// TestConfiguredKey changes the root key in the configuration: the one before is worth nothing from then on, one that a command has made stays.
func TestConfiguredKey(t *testing.T) {
	data := t.TempDir()
	start := func(id string) *moraintest.Server {
		return moraintest.Start(t, func(c *config.Config) { c.Data, c.RootKeyID = data, id })
	}
	status := func(s *moraintest.Server, k moraintest.Key) int {
		return s.Do(t, moraintest.Request{Method: "GET", Path: "/-/vaults", Key: k}).Status
	}
	s := start("AKIAAAAAAAAAAAAAAAAA")
	before := moraintest.Key{Account: s.Key.Account, ID: "AKIAAAAAAAAAAAAAAAAA", Secret: s.Key.Secret}
	after := before
	after.ID = "AKIABBBBBBBBBBBBBBBB"
	other := s.AddAccount(t, "other")
	if got := status(s, before); got != 200 {
		t.Errorf("the configured key gets %d", got)
	}
	s.Stop(t)
	s = start(after.ID)
	for name, c := range map[string]struct {
		key  moraintest.Key
		want int
	}{"the new key": {after, 200}, "the key before": {before, 400}, "the key of another account": {other, 200}} {
		if got := status(s, c.key); got != c.want {
			t.Errorf("%s gets %d, want %d", name, got, c.want)
		}
	}
	s.Stop(t)
	err := open(t, data, func(c *config.Config) { c.RootKeyID, c.RootSecret = other.ID, "x" })
	if err == nil || !strings.Contains(err.Error(), "belongs to the account "+other.Account) {
		t.Errorf("a start with the key of another account gives %v", err)
	}
}

// TestCatalogueIsPrivate looks at the mode of the files that hold secret keys, in a directory that others can read.
func TestCatalogueIsPrivate(t *testing.T) {
	data := t.TempDir()
	if err := os.Chmod(data, 0o755); err != nil {
		t.Fatal(err)
	}
	moraintest.Start(t, func(c *config.Config) { c.Data = data })
	files, err := filepath.Glob(filepath.Join(data, "catalogue.db*"))
	if err != nil || len(files) < 2 {
		t.Fatalf("the catalogue has the files %q, %v", files, err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %o", f, info.Mode().Perm())
		}
	}
}
