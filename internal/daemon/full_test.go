package daemon_test

import (
	"bytes"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/daemon"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

// TestFullDisk fills a small disk until nothing more is taken. The refusals are retryable, what was acknowledged is there, deletions work and make room, and uploads go on by themselves.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=24m"); err != nil {
		t.Skipf("a small disk cannot be mounted here, which takes root: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	s := moraintest.Start(t, func(c *config.Config) {
		c.Data, c.VolumeSize, c.LongestRequest, c.CompactInterval = dir, 4<<20, time.Second, time.Second
	})
	s.CreateVault(t, "v")
	kept, ids := map[string][]byte{}, []string{}
	upload := func(size int) moraintest.Response {
		b := bytes.Repeat([]byte{byte(len(ids)), 1, 2, 3}, size/4)
		r := s.Do(t, moraintest.Request{Method: "POST", Path: "/-/vaults/v/archives", Header: moraintest.UploadHeaders(b), Body: b})
		if r.Status == 201 {
			id := r.Header.Get("x-amz-archive-id")
			kept[id] = b
			ids = append(ids, id)
		}
		return r
	}
	refused := 0
	for i := 0; refused < 10 && i < 10_000; i++ {
		r := upload([]int{3000, 60_000, 300_000, 2_000_000}[i%4])
		if r.Status == 201 {
			continue
		}
		if refused++; r.Status != 500 || r.Code() != "ServiceUnavailableException" {
			t.Errorf("a full disk gives %d %s", r.Status, r.Body)
		}
	}
	if refused < 10 || len(ids) < 10 {
		t.Fatalf("%d uploads were taken and %d refused", len(ids), refused)
	}
	for i, id := range ids { // of every size
		if i/4%2 == 0 {
			s.Want(t, 204, moraintest.Request{Method: "DELETE", Path: "/-/vaults/v/archives/" + id})
			delete(kept, id)
		}
	}
	moraintest.Eventually(t, "room for uploads", func() bool { return upload(2_000_000).Status == 201 })
	for id, want := range kept {
		if got := s.Retrieve(t, "v", id); !bytes.Equal(got, want) {
			t.Errorf("an archive of %d bytes comes back with %d", len(want), len(got))
		}
	}
	if r, events := maintain(t, s.Config(), daemon.Task{Name: "check", Data: true}); r.Check.Wrong > 0 {
		t.Errorf("the check finds %+v", events)
	}
	s.Stop(t) // before the disk is unmounted
}
