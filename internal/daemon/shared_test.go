package daemon_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
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

// nodes starts servers over one catalogue in PostgreSQL and one bucket, with one key of secrets.
func nodes(t *testing.T, n int, options ...func(*config.Config)) []*moraintest.Server {
	t.Helper()
	shared, secretKey := moraintest.SharedEngines(t), filepath.Join(t.TempDir(), "secret.key")
	var all []*moraintest.Server
	for range n {
		all = append(all, moraintest.Start(t, append(options, shared, func(c *config.Config) { c.SecretKey = secretKey })...))
	}
	return all
}

// TestNodes holds that any request can go to any node: what one has said, another knows at once.
func TestNodes(t *testing.T) {
	n := nodes(t, 3)
	n[0].CreateVault(t, "v")
	small, large := []byte("a small archive"), moraintest.Pattern(3<<20+17)
	id := n[1].Upload(t, "v", small, "small")
	if got := n[2].Retrieve(t, "v", id); string(got) != string(small) {
		t.Errorf("another node gives %d bytes", len(got))
	}

	res := n[0].Do(t, moraintest.Request{Method: "POST", Path: "/-/vaults/v/multipart-uploads", Header: map[string]string{"x-amz-part-size": "1048576"}})
	upload := res.Header.Get("x-amz-multipart-upload-id")
	for i, first := 0, 0; first < len(large); i, first = i+1, first+1<<20 {
		part := large[first:min(first+1<<20, len(large))]
		header := moraintest.UploadHeaders(part)
		header["Content-Range"] = fmt.Sprintf("bytes %d-%d/*", first, first+len(part)-1)
		n[i%3].Want(t, 204, moraintest.Request{Method: "PUT", Path: "/-/vaults/v/multipart-uploads/" + upload, Header: header, Body: part})
	}
	complete := moraintest.Request{Method: "POST", Path: "/-/vaults/v/multipart-uploads/" + upload, Header: map[string]string{
		"x-amz-archive-size": fmt.Sprint(len(large)), "x-amz-sha256-tree-hash": moraintest.TreeHash(large)}}
	ids := make([]string, 6)
	var calls sync.WaitGroup
	for i := range ids { // several at once, at all nodes: one archive
		calls.Go(func() { ids[i] = n[i%3].Do(t, complete).Header.Get("x-amz-archive-id") })
	}
	calls.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Fatalf("completed at several nodes, the archive is %q", ids)
		}
	}
	if got := n[1].Retrieve(t, "v", ids[0]); string(got) != string(large) {
		t.Errorf("the archive of parts that came to several nodes has %d bytes that are not those", len(got))
	}
	n[2].Want(t, 204, moraintest.Request{Method: "DELETE", Path: "/-/vaults/v/archives/" + id})
	n[1].Want(t, 404, moraintest.Request{Method: "POST", Path: "/-/vaults/v/jobs", Body: []byte(`{"Type":"archive-retrieval","ArchiveId":"` + id + `"}`)})
	if list := n[0].Inventory(t, "v"); strings.Contains(list, id) || !strings.Contains(list, ids[0]) {
		t.Errorf("the inventory is %s", list)
	}
}

// TestTasksOnSharedEngines runs the tasks of administrators while two nodes serve, and has the catalogue made anew in an empty database: from the bucket alone, and with a copy.
func TestTasksOnSharedEngines(t *testing.T) {
	n := nodes(t, 2)
	n[0].CreateVault(t, "v")
	bodies := map[string]string{}
	for i := range 20 {
		b := moraintest.Pattern(1000*i + 1)
		bodies[n[i%2].Upload(t, "v", b, fmt.Sprint(i))] = hashOf(b)
	}
	large := moraintest.Pattern(5 << 20)
	bodies[n[0].Upload(t, "v", large, "large")] = hashOf(large)
	gone := n[1].Upload(t, "v", []byte("gone"), "gone")
	n[0].Want(t, 204, moraintest.Request{Method: "DELETE", Path: "/-/vaults/v/archives/" + gone})

	for _, task := range []daemon.Task{{Name: "check", Data: true}, {Name: "sweep"}, {Name: "compact"}, {Name: "scrub"}, {Name: "backup"}, {Name: "check", Data: true}} {
		r, events := maintain(t, n[1].Config(), task)
		if r.Check != nil && (r.Check.Wrong > 0 || int(r.Check.Rows) < len(bodies)) {
			t.Errorf("%s: %+v, %v", task.Name, *r.Check, events)
		}
		if task.Name == "backup" && (r.Backup == nil || r.Backup.Bytes == 0 || !strings.HasPrefix(r.Backup.Path, "catalogue/")) {
			t.Errorf("backup: %+v", r.Backup)
		}
	}

	for _, s := range n {
		s.Stop(t)
	}
	for name, noBackup := range map[string]bool{"from the bucket alone": true, "with a copy": false} {
		t.Run(name, func(t *testing.T) {
			c := n[0].Config()
			if _, _, err := rebuildOf(t, c, daemon.RebuildOptions{NoBackup: noBackup}); err == nil || !strings.Contains(err.Error(), "empty") {
				t.Errorf("a rebuild into the database of the old catalogue: %v", err)
			}
			c.Catalogue = enginetest.Database(t)
			report, findings, err := rebuildOf(t, c, daemon.RebuildOptions{NoBackup: noBackup})
			if err != nil {
				t.Fatalf("rebuild: %v, %v", err, findings)
			}
			if (report.Backup == nil) != noBackup || int(report.Archives) != len(bodies) {
				t.Errorf("the rebuild has made %+v, want %d archives", report, len(bodies))
			}
			s := moraintest.Start(t, func(with *config.Config) { *with = c; with.RootKeyID, with.RootSecret = n[0].Key.ID, n[0].Key.Secret })
			for id, want := range bodies {
				if got := s.Retrieve(t, "v", id); hashOf(got) != want {
					t.Errorf("archive %s has %d bytes that are not its own", id, len(got))
				}
			}
			s.Want(t, 404, moraintest.Request{Method: "POST", Path: "/-/vaults/v/jobs", Body: []byte(`{"Type":"archive-retrieval","ArchiveId":"` + gone + `"}`)})
			s.Stop(t)
		})
	}
}

// TestReady holds that a node which its database does not answer says that it is not ready, and is again when it does; and that it stops in time meanwhile.
func TestReady(t *testing.T) {
	database := enginetest.NewPostgres(t)
	s := moraintest.Start(t, func(c *config.Config) { c.Catalogue = database.Database(t) })
	ready := func() int {
		res, err := http.Get(s.AdminEndpoint + "/health/ready")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	if got := ready(); got != 200 {
		t.Errorf("ready: %d", got)
	}
	database.Stop(t, "immediate")
	if got := ready(); got != 503 {
		t.Errorf("without a database: %d", got)
	}
	database.Start(t)
	moraintest.Eventually(t, "the node to be ready again", func() bool { return ready() == 200 })
	database.Stop(t, "immediate")
	s.Stop(t)
	database.Start(t) // the cleanup stops it
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// TestFirstStartOfNodes starts several nodes at once over empty engines. With one key of secrets all of them serve the same; one with another key does not start, and says why.
func TestFirstStartOfNodes(t *testing.T) {
	shared := moraintest.SharedEngines(t)
	same := filepath.Join(t.TempDir(), "secret.key")
	if err := os.WriteFile(same, newKeyFile(t), 0o600); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	opened := make([]*daemon.Daemon, 3)
	errs := make([]error, 3)
	for i := range opened {
		c := moraintest.Config(t)
		shared(&c)
		c.SecretKey = same
		all.Go(func() {
			for range 3 { // one that comes while another makes the catalogue may have to start again, as a supervisor does
				if opened[i], errs[i] = daemon.Open(context.Background(), c, slog.New(slog.DiscardHandler), time.Now); errs[i] == nil {
					return
				}
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	credentials := 0
	for _, d := range opened {
		if d.Credentials != "" {
			credentials++
		}
		all.Go(func() {
			if err := d.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	if credentials != 1 {
		t.Errorf("%d nodes have made credentials, want 1", credentials)
	}
	other := moraintest.Config(t)
	shared(&other)
	if _, err := daemon.Open(context.Background(), other, slog.New(slog.DiscardHandler), time.Now); err == nil || !strings.Contains(err.Error(), "--secret-key-file") {
		t.Errorf("a node without the key of the secrets: %v", err)
	}
	cancel()
	all.Wait()
}

// newKeyFile returns a key file, as a server makes it.
func newKeyFile(t *testing.T) []byte {
	t.Helper()
	s := moraintest.Start(t)
	defer s.Stop(t)
	b, err := os.ReadFile(s.Config().SecretKeyPath())
	if err != nil {
		t.Fatal(err)
	}
	return b
}
