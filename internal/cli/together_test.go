package cli_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/cli"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

// together runs a command several times at once, and returns the exit codes.
func together(k *keeper, n int, args ...string) []int {
	codes := make([]int, n)
	var g sync.WaitGroup
	for i := range codes {
		g.Go(func() {
			var out, talk bytes.Buffer
			codes[i] = cli.Run(k.Context(), cli.Process{Args: args, Environ: k.environ, Stdout: &out, Stderr: &talk})
			k.Logf("%d: %s%s", codes[i], &out, &talk)
		})
	}
	g.Wait()
	return codes
}

// TestUploadTogether uploads a file several times at once: one upload begins, and the others go on with it.
func TestUploadTogether(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	k := keeperOf(t, s)
	k.environ = append(k.environ, "MORAINE_ENDPOINT="+faulty(t, s, func(r *http.Request) bool {
		if r.Method == "POST" && strings.HasSuffix(r.URL.Path, "/multipart-uploads") {
			time.Sleep(200 * time.Millisecond)
		}
		return true
	}, nil))
	inDirectory(t, map[string][]byte{"a": moraintest.Pattern(3 << 20)})
	for _, code := range together(k, 4, "upload", "--vault", "v", "--part-size", "1MiB", "a") {
		if code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
	if n := held(t, s); n != 1 {
		t.Errorf("there are %d archives", n)
	}
	k.says(0, "parts list --vault v --json", "[]")
}

// TestSyncTogether refuses a second sync of a directory: what is new would be stored twice. A dry run does no harm.
func TestSyncTogether(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	k := keeperOf(t, s)
	dir := t.TempDir()
	put(t, filepath.Join(dir, "a"), "a")
	begun, goOn := make(chan bool, 9), make(chan bool)
	release := sync.OnceFunc(func() { close(goOn) })
	defer release()
	k.environ = append(k.environ, "MORAINE_ENDPOINT="+faulty(t, s, func(r *http.Request) bool {
		if r.Method == "POST" {
			begun <- true
			<-goOn
		}
		return true
	}, nil))
	code := make(chan int, 1)
	go func() {
		code <- cli.Run(t.Context(), cli.Process{Args: []string{"sync", dir, "v"}, Environ: k.environ, Stdout: new(bytes.Buffer), Stderr: new(bytes.Buffer)})
	}()
	<-begun
	k.says(1, "sync "+dir+" v --inventory", "another sync of "+dir+" to the vault v is under way")
	k.sync(0, "+1 ~0 -0 =0 skipped 0 failed 0", dir, "v", "--dry-run")
	release()
	if got := <-code; got != 0 || held(t, s) != 1 {
		t.Errorf("exit code %d, %d archives", got, held(t, s))
	}
	k.sync(0, "+0 ~0 -0 =1 skipped 0 failed 0", dir, "v")
}

// TestInventoryTogether gets an inventory with several commands at once, and each has it.
func TestInventoryTogether(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	k := keeperOf(t, s)
	s.Upload(t, "v", []byte("a"), "a")
	k.environ = append(k.environ, "MORAINE_ENDPOINT="+faulty(t, s, func(r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/output") {
			time.Sleep(100 * time.Millisecond)
		}
		return true
	}, nil))
	for _, code := range together(k, 4, "inventory", "--vault", "v") {
		if code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
	k.says(0, "archive list --vault v", "a")
}

// TestInventoryBesideAFile does not replace a file that has come while the job was waited for.
func TestInventoryBesideAFile(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	k := keeperOf(t, s)
	s.Upload(t, "v", []byte("a"), "a")
	file := filepath.Join(t.TempDir(), "list.json")
	k.environ = append(k.environ, "MORAINE_ENDPOINT="+faulty(t, s, func(r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/output") {
			put(t, file, "of somebody else")
		}
		return true
	}, nil))
	k.wants(1, "inventory", "--vault", "v", "--output", file)
	if b, err := os.ReadFile(file); err != nil || string(b) != "of somebody else" {
		t.Errorf("there is %q, %v", b, err)
	}
	k.wants(0, "inventory", "--vault", "v", "--output", file, "--force")
}

// TestInventoryWithoutAnArchive believes the service that an archive is gone that this machine has stored just before: it is stored again, not taken for there.
func TestInventoryWithoutAnArchive(t *testing.T) {
	for _, ahead := range []time.Duration{0, 10 * time.Minute} {
		s := moraintest.Start(t)
		s.CreateVault(t, "v")
		s.Advance(ahead)
		k := keeperOf(t, s)
		inDirectory(t, map[string][]byte{"a": []byte("a"), "b": []byte("b")})
		var list []uploaded
		k.json(0, &list, "upload", "--vault", "v", "a", "b")
		time.Sleep(1100 * time.Millisecond) // the dates of inventories are in seconds
		s.Want(t, 204, moraintest.Request{Method: "DELETE", Path: "/-/vaults/v/archives/" + list[0].ArchiveID})
		k.wants(0, "inventory", "--vault", "v")
		k.json(0, &list, "upload", "--vault", "v", "a", "b")
		if list[0].State != "stored" || list[1].State != "already stored" {
			t.Errorf("with a clock that is ahead by %v: %+v", ahead, list)
		}
	}
}

// TestNewestVersion is what was uploaded last, also if the clock of the service is ahead.
func TestNewestVersion(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	s.Advance(10 * time.Minute)
	k := keeperOf(t, s)
	inDirectory(t, map[string][]byte{"a": []byte("first")})
	k.wants(0, "upload", "--vault", "v", "a")
	k.wants(0, "inventory", "--vault", "v")
	put(t, "a", "second")
	k.wants(0, "upload", "--vault", "v", "a")
	if got, _ := k.wants(0, "download", "--vault", "v", "a", "-"); got != "second" {
		t.Errorf("the newest is %q", got)
	}
}

// TestUploadUnderTwoNames goes on with an upload whose answer was lost, though the same file was begun under another name since.
func TestUploadUnderTwoNames(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	k := keeperOf(t, s)
	inDirectory(t, map[string][]byte{"a": []byte("a")})
	var whole atomic.Bool
	k.environ = append(k.environ, "MORAINE_ENDPOINT="+faulty(t, s, nil, func(r *http.Response) bool {
		return whole.Load() || r.Request.Method != "POST" || !strings.Contains(r.Request.URL.Path, "/multipart-uploads/")
	}))
	k.wants(1, "upload", "--vault", "v", "--name", "one", "a")
	k.wants(1, "upload", "--vault", "v", "--name", "two", "a")
	whole.Store(true)
	k.wants(0, "upload", "--vault", "v", "--name", "one", "a")
	k.wants(0, "upload", "--vault", "v", "--name", "two", "a")
	if n := held(t, s); n != 2 {
		t.Errorf("there are %d archives", n)
	}
}

// TestSyncDryRunDeletesOld says what would be deleted, as the run that follows does it.
func TestSyncDryRunDeletesOld(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	k := keeperOf(t, s)
	dir := t.TempDir()
	for _, name := range []string{"a", "b", "c"} {
		put(t, filepath.Join(dir, name), name)
	}
	k.wants(0, "sync", dir, "v")
	put(t, filepath.Join(dir, "a"), "changed")
	put(t, filepath.Join(dir, "c"), "changed")
	would := k.sync(0, "+0 ~2 -2 =1 skipped 0 failed 0", dir, "v", "--delete-old", "--dry-run")
	did := k.sync(0, "+0 ~2 -2 =1 skipped 0 failed 0", dir, "v", "--delete-old", "--parallel", "1")
	for i := range did.Deleted {
		if would.Deleted[i].ID != did.Deleted[i].ID && would.Deleted[i].ID != did.Deleted[1-i].ID {
			t.Errorf("would: %+v, did: %+v", would.Deleted, did.Deleted)
		}
	}
}

// TestUploadNotUTF8 stores the other files.
func TestUploadNotUTF8(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	k := keeperOf(t, s)
	inDirectory(t, map[string][]byte{"a": []byte("a"), "b": []byte("b")})
	if err := os.WriteFile("bad\xff", []byte("bad"), 0o600); err != nil {
		t.Skipf("the file system takes UTF-8 only: %v", err)
	}
	k.wants(3, "upload", "--vault", "v", "a", "bad\xff", "b")
	if n := held(t, s); n != 2 {
		t.Errorf("there are %d archives", n)
	}
}
