package cli_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/moraintest"
)

// TestSyncDeletesItsOwn leaves alone what was uploaded by itself, also if its name can only be described in the form that a sync writes.
func TestSyncDeletesItsOwn(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	k := keeperOf(t, s)
	dir := t.TempDir()
	put(t, filepath.Join(dir, "kept"), "kept")
	put(t, filepath.Join(dir, "gone"), "gone")
	inDirectory(t, map[string][]byte{"Übung.tar": []byte("not of the directory")})
	absolute, _ := filepath.Abs("Übung.tar")
	k.wants(0, "upload", "--vault", "v", "Übung.tar", absolute)
	k.wants(0, "sync", dir, "v")
	os.Remove(filepath.Join(dir, "gone"))
	d := k.sync(0, "+0 ~0 -1 =1 skipped 0 failed 0", dir, "v", "--delete")
	if d.Deleted[0].Path != "gone" || held(t, s) != 3 {
		t.Errorf("deleted: %+v; %d archives are left", d.Deleted, held(t, s))
	}
}

// TestSyncThroughALink syncs the directory that a symbolic link leads to, and leaves partial files of downloads out.
func TestSyncThroughALink(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	k := keeperOf(t, s)
	dir := t.TempDir()
	put(t, filepath.Join(dir, "a"), "a")
	put(t, filepath.Join(dir, "a.moraine-part"), "b")
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	k.sync(0, "+1 ~0 -0 =0 skipped 1 failed 0", link, "v")
	k.sync(0, "+0 ~0 -0 =1 skipped 1 failed 0", dir, "v")
	s.Upload(t, "v", []byte("another"), "b.moraine-part") // by somebody else
	k.wants(0, "inventory", "--vault", "v")
	k.restore(3, "+1 =0 skipped 1 failed 0", "v", t.TempDir(), "--yes")
}

// TestVaultOfTheSameName is not taken for the one that another machine has deleted.
func TestVaultOfTheSameName(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	k := keeperOf(t, s)
	inDirectory(t, map[string][]byte{"a": []byte("a")})
	var list []uploaded
	k.json(0, &list, "upload", "--vault", "v", "a")
	s.Want(t, 204, moraintest.Request{Method: "DELETE", Path: "/-/vaults/v/archives/" + list[0].ArchiveID})
	s.Want(t, 204, moraintest.Request{Method: "DELETE", Path: "/-/vaults/v"})
	s.Advance(time.Second)
	s.CreateVault(t, "v")
	k.json(0, &list, "upload", "--vault", "v", "a")
	if list[0].State != "stored" || held(t, s) != 1 {
		t.Errorf("%+v; there are %d archives", list[0], held(t, s))
	}
}

// TestUncertainUpload makes no second archive when the answer to CompleteMultipartUpload was lost and the service knows nothing of the upload any more.
func TestUncertainUpload(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	k := keeperOf(t, s)
	inDirectory(t, map[string][]byte{"a": []byte("a")})
	var found atomic.Bool
	k.environ = append(k.environ, "MORAINE_ENDPOINT="+faulty(t, s, nil, func(r *http.Response) bool {
		return found.Load() || r.Request.Method != "POST" || !strings.Contains(r.Request.URL.Path, "/multipart-uploads/")
	}))
	k.says(1, "upload --vault v a", "goes on with it")
	s.Advance(26 * time.Hour) // it is remembered for a day
	moraintest.Eventually(t, "the upload to be forgotten", func() bool {
		return s.Do(t, moraintest.Request{Method: "GET", Path: "/-/vaults/v/multipart-uploads"}).Status == 200
	})
	found.Store(true)
	k.says(1, "upload --vault v a", "a new inventory will tell", "moraine inventory --vault v")
	if n := held(t, s); n != 1 {
		t.Fatalf("there are %d archives", n)
	}
	k.wants(0, "inventory", "--vault", "v")
	var list []uploaded
	k.json(0, &list, "upload", "--vault", "v", "a")
	if list[0].State != "already stored" || held(t, s) != 1 {
		t.Errorf("%+v; there are %d archives", list[0], held(t, s))
	}
}

// TestRestorePlan changes nothing before --yes, and what belongs to somebody else does not end a restore.
func TestRestorePlan(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	k := keeperOf(t, s)
	dir := t.TempDir()
	put(t, filepath.Join(dir, "a"), "a")
	put(t, filepath.Join(dir, "b"), "b")
	k.wants(0, "sync", dir, "v")
	os.Remove(filepath.Join(dir, "b"))
	now := time.Now().Truncate(time.Second)
	if err := os.Chtimes(filepath.Join(dir, "a"), now, now); err != nil {
		t.Fatal(err)
	}
	k.wants(0, "restore", "v", dir, "--dry-run")
	k.wants(2, "restore", "v", dir)
	if info, err := os.Stat(filepath.Join(dir, "a")); err != nil || !info.ModTime().Equal(now) {
		t.Errorf("the time was changed to %v, %v", info.ModTime(), err)
	}
	k.restore(0, "+1 =1 skipped 0 failed 0", "v", dir, "--yes")
	if info, err := os.Stat(filepath.Join(dir, "a")); err != nil || info.ModTime().Equal(now) {
		t.Errorf("the time was not restored: %v", err)
	}
}
