package daemon_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/daemon"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

// TestIdentity takes the catalogue and the store of servers apart in the ways in which people do, and starts on what is left. A server that
// started would sweep the archives away, or deny that there are any.
func TestIdentity(t *testing.T) {
	for name, c := range map[string]struct {
		apart func(t *testing.T, data string)
		want  string // "" starts
	}{
		"as it was": {func(*testing.T, string) {}, ""},
		"the catalogue was lost": {func(t *testing.T, data string) {
			for _, f := range []string{"catalogue.db", "catalogue.db-wal", "catalogue.db-shm"} {
				os.Remove(filepath.Join(data, f))
			}
		}, "is new, but the store"},
		"the volumes are not mounted": {func(t *testing.T, data string) {
			move(t, filepath.Join(data, "volumes"), filepath.Join(data, "elsewhere"))
		}, "Is its disk mounted?"},
		"the volumes are those of another": {func(t *testing.T, data string) {
			other := moraintest.Start(t)
			other.Stop(t)
			move(t, filepath.Join(data, "volumes"), filepath.Join(data, "elsewhere"))
			move(t, filepath.Join(other.Data, "volumes"), filepath.Join(data, "volumes"))
		}, "belongs to another catalogue"},
	} {
		t.Run(name, func(t *testing.T) {
			s := moraintest.Start(t)
			s.CreateVault(t, "v")
			s.Upload(t, "v", []byte("precious"), "")
			s.Stop(t)
			c.apart(t, s.Data)
			err := startAndStop(t, s.Config())
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("the server started with error %v, want %q", err, c.want)
			}
		})
	}
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// startAndStop builds a server, and stops it.
func startAndStop(t *testing.T, c config.Config) error {
	t.Helper()
	d, err := daemon.Open(t.Context(), c, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		return err
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	return d.Run(stopped)
}

// TestOldIdentity starts a server that is being moved without the store that it is moved from: in its place is an empty one, or another's. Its migration would find nothing left to move.
func TestOldIdentity(t *testing.T) {
	bucket := moraintest.SharedEngines(t)
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	s.Upload(t, "v", []byte("precious"), "")
	c := s.Config()
	s.Stop(t)
	files := filepath.Join(c.Data, "volumes")
	with := c
	bucket(&with)
	c.Store, c.OldStore = with.Store, "file:"+files
	start := func() error { return startAndStop(t, c) }
	if err := start(); err != nil {
		t.Fatal(err)
	}
	move(t, files, files+"-elsewhere")
	if err := start(); err == nil || !strings.Contains(err.Error(), "Is its disk mounted?") {
		t.Errorf("without the old store the server started with error %v", err)
	}
	other := moraintest.Start(t)
	other.Stop(t)
	if err := os.RemoveAll(files); err != nil {
		t.Fatal(err)
	}
	move(t, filepath.Join(other.Data, "volumes"), files)
	if err := start(); err == nil || !strings.Contains(err.Error(), "belongs to another catalogue") {
		t.Errorf("with another old store the server started with error %v", err)
	}
	if err := os.RemoveAll(files); err != nil {
		t.Fatal(err)
	}
	move(t, files+"-elsewhere", files)
	if err := start(); err != nil {
		t.Errorf("with the right one: %v", err)
	}
}
