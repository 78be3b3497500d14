package daemon_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/daemon"
	"github.com/moraine-archive/moraine/internal/enginetest"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

// TestMigrate takes an embedded server to a bucket and to PostgreSQL while clients use it, and back to files: nothing is lost on the way, and what was deleted stays so.
func TestMigrate(t *testing.T) {
	bucket := moraintest.SharedEngines(t)
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	bodies := map[string]string{}
	keep := func(b []byte) { bodies[s.Upload(t, "v", b, "")] = hashOf(b) }
	for i := range 150 {
		keep(moraintest.Pattern(200*i + 1))
	}
	keep(moraintest.Pattern(9<<20 + 3))
	gone := s.Upload(t, "v", []byte("gone"), "")
	s.Want(t, 204, moraintest.Request{Method: "DELETE", Path: "/-/vaults/v/archives/" + gone})
	policy := `{"Policy":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"glacier:DeleteArchive\",\"Resource\":\"` +
		`arn:aws:glacier:us-east-1:123456789012:vaults/v\"}]}"}`
	lock := s.Want(t, 201, moraintest.Request{Method: "POST", Path: "/-/vaults/v/lock-policy", Body: []byte(policy)}).Header.Get("x-amz-lock-id")
	s.Want(t, 204, moraintest.Request{Method: "POST", Path: "/-/vaults/v/lock-policy/" + lock})
	verify := func(t *testing.T, s *moraintest.Server) {
		t.Helper()
		for id, want := range bodies {
			if got := s.Retrieve(t, "v", id); hashOf(got) != want {
				t.Fatalf("archive %s has %d bytes that are not its own", id, len(got))
			}
		}
		s.Want(t, 404, moraintest.Request{Method: "POST", Path: "/-/vaults/v/jobs", Body: []byte(`{"Type":"archive-retrieval","ArchiveId":"` + gone + `"}`)})
		r, events := maintain(t, s.Config(), daemon.Task{Name: "check", Data: true})
		if r.Check.Wrong > 0 {
			t.Errorf("a check finds %+v: %v", *r.Check, events)
		}
	}

	// to the bucket
	files := "file:" + filepath.Join(s.Data, "volumes")
	c := s.Config()
	s.Stop(t)
	s = restarted(t, c, func(c *config.Config) {
		with := *c
		bucket(&with)
		c.Store, c.OldStore = with.Store, files
	})
	var uploads sync.WaitGroup
	var mu sync.Mutex
	for w := range 3 {
		uploads.Go(func() {
			for i := range 20 {
				b := fmt.Appendf(nil, "uploaded meanwhile by %d: %d", w, i)
				id := s.Upload(t, "v", b, "")
				mu.Lock()
				bodies[id] = hashOf(b)
				mu.Unlock()
			}
		})
	}
	first, _ := maintain(t, s.Config(), daemon.Task{Name: "migrate-store"})
	uploads.Wait()
	if m := first.Migrate; m.Moved < 152 || m.Left() { // and the record of the lock, and tombstones
		t.Errorf("the migration has done %+v", *m)
	}
	again, _ := maintain(t, s.Config(), daemon.Task{Name: "migrate-store"})
	if m := again.Migrate; m.Moved != 0 || m.Left() || m.Records < first.Migrate.Moved {
		t.Errorf("once more it has done %+v", *m)
	}
	maintain(t, s.Config(), daemon.Task{Name: "sweep"})
	verify(t, s)
	c = s.Config()
	s.Stop(t)
	hidden := filepath.Join(t.TempDir(), "volumes")
	if err := os.Rename(filepath.Join(c.Data, "volumes"), hidden); err != nil {
		t.Fatal(err)
	}
	s = restarted(t, c, func(c *config.Config) { c.OldStore = "" })
	verify(t, s)

	// to PostgreSQL
	database := enginetest.Database(t)
	moved, _ := maintain(t, s.Config(), daemon.Task{Name: "migrate-catalogue", To: database})
	if moved.Rows == nil || int(*moved.Rows) < len(bodies) {
		t.Errorf("the migration of the catalogue has done %+v", moved)
	}
	if res := s.Do(t, moraintest.Request{Method: "PUT", Path: "/-/vaults/late"}); res.Status != 500 {
		t.Errorf("a change after the move: %d %s", res.Status, res.Body)
	}
	c = s.Config()
	s.Stop(t)
	if _, err := daemon.Open(t.Context(), c, slog.New(slog.DiscardHandler), time.Now); err == nil || !strings.Contains(err.Error(), "moved to PostgreSQL") {
		t.Errorf("a start with the old catalogue: %v", err)
	}
	s = restarted(t, c, func(c *config.Config) { c.Catalogue = database })
	verify(t, s)
	s.Want(t, 403, moraintest.Request{Method: "DELETE", Path: "/-/vaults/v/archives/" + one(bodies)}) // the lock is still there

	// back to files
	c = s.Config()
	s.Stop(t)
	s = restarted(t, c, func(c *config.Config) { c.OldStore, c.Store = c.Store, "file:"+filepath.Join(c.Data, "volumes-again") })
	if m, _ := maintain(t, s.Config(), daemon.Task{Name: "migrate-store"}); m.Migrate.Left() || m.Migrate.Moved < len(bodies) {
		t.Errorf("back again it has done %+v", *m.Migrate)
	}
	c = s.Config()
	s.Stop(t)
	s = restarted(t, c, func(c *config.Config) { c.OldStore = "" })
	verify(t, s)
}

func restarted(t *testing.T, c config.Config, change func(*config.Config)) *moraintest.Server {
	t.Helper()
	return moraintest.Start(t, func(with *config.Config) {
		*with = c
		change(with)
	})
}

func one(m map[string]string) string {
	for k := range m {
		return k
	}
	return ""
}

// TestRebuildWhileMoving makes the catalogue anew of two stores that have the same records, with a copy of it and without, and goes on with the new store alone: what was moved stays
// moved, and what was deleted since, deleted.
func TestRebuildWhileMoving(t *testing.T) {
	for name, c := range map[string]struct{ noBackup, toFiles bool }{
		"to a bucket": {}, "to a bucket, without a copy": {noBackup: true}, "to files": {toFiles: true}, "to files, without a copy": {noBackup: true, toFiles: true},
	} {
		t.Run(name, func(t *testing.T) { rebuildWhileMoving(t, c.noBackup, c.toFiles) })
	}
}

func rebuildWhileMoving(t *testing.T, noBackup, toFiles bool) {
	bucket := moraintest.SharedEngines(t)
	var with config.Config
	bucket(&with)
	s := moraintest.Start(t, func(c *config.Config) {
		if toFiles {
			c.Store = with.Store
		}
	})
	s.CreateVault(t, "v")
	bodies := map[string]string{}
	for _, b := range [][]byte{[]byte("small"), moraintest.Pattern(9 << 20)} {
		bodies[s.Upload(t, "v", b, "")] = hashOf(b)
	}
	b := moraintest.Pattern(1<<20 + 1)
	bodies[inParts(t, s, b)] = hashOf(b)
	gone := s.Upload(t, "v", []byte("gone after the move"), "")
	c := s.Config()
	s.Stop(t)
	s = restarted(t, c, func(c *config.Config) {
		c.Store, c.OldStore = with.Store, "file:"+filepath.Join(c.Data, "volumes")
		if toFiles {
			c.Store, c.OldStore = c.OldStore, c.Store
		}
	})
	if m, _ := maintain(t, s.Config(), daemon.Task{Name: "migrate-store"}); m.Migrate.Left() {
		t.Fatalf("the migration has done %+v", *m.Migrate)
	}
	s.Want(t, 204, moraintest.Request{Method: "DELETE", Path: "/-/vaults/v/archives/" + gone})
	maintain(t, s.Config(), daemon.Task{Name: "backup"})
	release := func() {
		if err := s.Service().Release(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	release()
	c = s.Config()
	s.Stop(t)
	if r, findings, err := rebuildOf(t, c, daemon.RebuildOptions{Replace: true, NoBackup: noBackup}); err != nil || int(r.Archives) != len(bodies) {
		t.Fatalf("the rebuild has made %d archives: %v, %v", r.Archives, err, findings)
	}
	s = restarted(t, c, func(*config.Config) {})
	release()
	s.Stop(t)
	s = restarted(t, c, func(c *config.Config) { c.OldStore = "" })
	for id, want := range bodies {
		if got := s.Retrieve(t, "v", id); hashOf(got) != want {
			t.Errorf("an archive has %d bytes that are not its own", len(got))
		}
	}
	if r, events := maintain(t, s.Config(), daemon.Task{Name: "check", Data: true}); r.Check.Wrong > 0 {
		t.Errorf("a check finds %+v: %v", *r.Check, events)
	}
}

// inParts uploads an archive in parts of a MiB.
func inParts(t *testing.T, s *moraintest.Server, b []byte) string {
	t.Helper()
	at := "/-/vaults/v/multipart-uploads/"
	at += s.Want(t, 201, moraintest.Request{Method: "POST", Path: strings.TrimSuffix(at, "/"), Header: map[string]string{"x-amz-part-size": "1048576"}}).Header.Get("x-amz-multipart-upload-id")
	for first := 0; first < len(b); first += 1 << 20 {
		part := b[first:min(first+1<<20, len(b))]
		header := moraintest.UploadHeaders(part)
		header["Content-Range"] = fmt.Sprintf("bytes %d-%d/*", first, first+len(part)-1)
		s.Want(t, 204, moraintest.Request{Method: "PUT", Path: at, Header: header, Body: part})
	}
	return s.Want(t, 201, moraintest.Request{Method: "POST", Path: at, Header: map[string]string{
		"x-amz-archive-size": fmt.Sprint(len(b)), "x-amz-sha256-tree-hash": moraintest.TreeHash(b)}}).Header.Get("x-amz-archive-id")
}

// TestRebuildBeforeMoving makes the catalogue anew when the new store has nothing yet, not even a name: it is that of the old one, and the server starts.
func TestRebuildBeforeMoving(t *testing.T) {
	bucket := moraintest.SharedEngines(t)
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	id := s.Upload(t, "v", []byte("precious"), "")
	c := s.Config()
	s.Stop(t)
	with := c
	bucket(&with)
	c.Store, c.OldStore = with.Store, "file:"+filepath.Join(c.Data, "volumes")
	if _, findings, err := rebuildOf(t, c, daemon.RebuildOptions{Replace: true}); err != nil {
		t.Fatal(err, findings)
	}
	s = restarted(t, c, func(*config.Config) {})
	if got := s.Retrieve(t, "v", id); string(got) != "precious" {
		t.Errorf("the archive is %q", got)
	}
}
