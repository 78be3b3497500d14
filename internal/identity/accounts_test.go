package identity_test

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/daemon"
	"github.com/moraine-archive/moraine/internal/identity"
	"github.com/moraine-archive/moraine/internal/moraintest"
	"github.com/moraine-archive/moraine/internal/vfs"
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
	c := s.Config()
	c.RootKeyID, c.RootSecret = other.ID, "x"
	_, err := daemon.Open(t.Context(), c, slog.New(slog.DiscardHandler), time.Now)
	if err == nil || !strings.Contains(err.Error(), "belongs to the account "+other.Account) {
		t.Errorf("a start with the key of another account gives %v", err)
	}
}

// TestTwoFirstNodes has two nodes start over a new catalogue at the same moment, each with a key of its own for the secrets: the one whose key does not open the first secret does not go on.
func TestTwoFirstNodes(t *testing.T) {
	rows, err := catalogue.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "catalogue.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	nodes := []config.Config{{Data: t.TempDir()}, {Data: t.TempDir()}}
	for _, c := range nodes {
		err := rows.Update(t.Context(), func(tx *catalogue.Tx) error {
			_, err := identity.OpenSecrets(tx, vfs.OS(), c, time.Now())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := identity.FirstAccount(t.Context(), rows, vfs.OS(), nodes[0], time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := identity.FirstAccount(t.Context(), rows, vfs.OS(), nodes[1], time.Now()); err == nil || !strings.Contains(err.Error(), "is another than that") {
		t.Errorf("the second node goes on: %v", err)
	}
}
