package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/moraintest"
)

// purged is what `vault purge --json` prints.
type purged struct {
	Deleted, Bytes, Denied int64
	Uploads                int64  `json:"uploads_aborted"`
	DeniedBy               string `json:"denied_by"`
	Gone                   bool   `json:"vault_deleted"`
}

// lock puts keepAYear on the vault v.
func lock(t *testing.T, s *moraintest.Server) {
	t.Helper()
	policy, err := json.Marshal(map[string]string{"Policy": keepAYear})
	if err != nil {
		t.Fatal(err)
	}
	s.Want(t, 201, moraintest.Request{Method: "POST", Path: "/-/vaults/v/lock-policy", Body: policy})
}

func TestPurge(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	for i := range 30 {
		s.Upload(t, "v", []byte("archive"), fmt.Sprint(i))
	}
	s.Want(t, 201, moraintest.Request{Method: "POST", Path: "/-/vaults/v/multipart-uploads", Header: map[string]string{"x-amz-part-size": "1048576"}})
	k := keeperOf(t, s)
	k.says(10, "vault purge none --yes")
	k.says(2, "vault purge v", "all archives of the vault v would be deleted", "--yes")
	k.says(0, "vault purge v --dry-run", "30 archives (210 B)", "1 uploads")
	var would purged
	k.json(0, &would, "vault", "purge", "v", "--dry-run")
	if would != (purged{Deleted: 30, Bytes: 210, Uploads: 1}) {
		t.Errorf("with --dry-run: %+v", would)
	}
	k.says(0, "vault purge v --yes", "30 archives (210 B) deleted, 1 uploads aborted, the vault is gone.")
	k.says(10, "vault show v")

	s.CreateVault(t, "v") // of the same name: what was known of the other does not count
	s.Upload(t, "v", []byte("archive"), "another")
	var did purged
	k.json(0, &did, "vault", "purge", "v", "--yes")
	if did != (purged{Deleted: 1, Bytes: 7, Gone: true}) {
		t.Errorf("the second vault: %+v", did)
	}
}

// TestPurgeLocked deletes what is old enough, and goes on when the rest is.
func TestPurgeLocked(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	for i := range 150 {
		s.Upload(t, "v", []byte("archive"), fmt.Sprintf("%03d old", i))
	}
	s.Advance(400 * 24 * time.Hour)
	for i := range 150 {
		s.Upload(t, "v", []byte("archive"), fmt.Sprintf("%03d young", i))
	}
	lock(t, s)
	k := keeperOf(t, s)
	var did purged
	k.json(3, &did, "vault", "purge", "v", "--yes")
	if did.Deleted != 150 || did.Denied != 150 || did.Gone || did.DeniedBy == "" {
		t.Errorf("half of the archives are locked: %+v", did)
	}
	k.says(11, "vault purge v --yes", "no archive could be deleted", `statement "keep"`)
	k.json(11, &did, "vault", "purge", "v", "--yes")
	if did.Deleted != 0 || did.Denied < 20 || did.Denied > 60 {
		t.Errorf("all archives are locked: %+v", did)
	}
	s.Advance(400 * 24 * time.Hour)
	k.says(0, "vault purge v --yes", "150 archives", "the vault is gone")
}

// TestPurgeEmulated is about a service that takes inventories at intervals.
func TestPurgeEmulated(t *testing.T) {
	s := moraintest.Start(t, moraintest.Emulate)
	s.CreateVault(t, "v")
	s.Upload(t, "v", []byte("archive"), "a")
	k := keeperOf(t, s)
	k.says(3, "vault purge v --yes", "0 archives", "moraine vault purge v --yes") // there is no inventory yet, and nothing known here
	s.Advance(25 * time.Hour)
	moraintest.Eventually(t, "the inventory", func() bool {
		return s.Want(t, 200, moraintest.Request{Method: "GET", Path: "/-/vaults/v"}).JSON(t)["LastInventoryDate"] != nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	k.wantsWithin(ctx, 130, "vault", "purge", "v", "--yes")
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(300*time.Millisecond, cancel)
	k.wantsWithin(ctx, 130, "vault", "purge", "v", "--yes") // it waits for the inventory
	s.Advance(6 * time.Hour)
	k.says(3, "vault purge v --yes", "1 archives (7 B) deleted", "moraine vault delete v")
	s.Advance(25 * time.Hour)
	moraintest.Eventually(t, "the vault to be deletable", func() bool {
		return s.Do(t, moraintest.Request{Method: "GET", Path: "/-/vaults/v"}).JSON(t)["NumberOfArchives"] == 0.0
	})
	k.says(0, "vault delete v")
}

// TestPurgeInterrupted ends a purge at its deletions, and when the server goes away, and runs it again.
func TestPurgeInterrupted(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	for i := range 60 {
		s.Upload(t, "v", []byte("archive"), fmt.Sprint(i))
	}
	k := keeperOf(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var deletions atomic.Int64
	k.environ = append(k.environ, "MORAINE_ENDPOINT="+faulty(t, s, func(r *http.Request) bool {
		if r.Method != "DELETE" {
			return true
		}
		n := deletions.Add(1)
		if n == 20 {
			cancel()
		}
		return n < 40 || n > 200
	}, nil))
	_, talk := k.wantsWithin(ctx, 130, "vault", "purge", "v", "--yes", "--parallel", "2")
	if !strings.Contains(talk, "moraine vault purge v --yes --parallel 2") {
		t.Errorf("it does not say how to go on: %s", talk)
	}
	if n := held(t, s); n < 38 || n > 42 {
		t.Errorf("%d of 60 archives are left after 20 deletions", n)
	}
	k.says(3, "vault purge v --yes", "To go on, run again:\n  moraine vault purge v --yes")
	deletions.Store(200)
	k.says(0, "vault purge v --yes", "the vault is gone")
}
