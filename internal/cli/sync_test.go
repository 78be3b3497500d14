package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/cli"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

// synced is what `sync --json` prints.
type synced struct {
	Uploaded, Changed, Deleted []struct {
		Path string
		Size int64
		ID   string `json:"archive_id"`
	}
	Skipped, Failed  []struct{ Path, Reason string }
	Unchanged, Bytes int64
}

func (d synced) counts() string {
	return fmt.Sprintf("+%d ~%d -%d =%d skipped %d failed %d", len(d.Uploaded), len(d.Changed), len(d.Deleted), d.Unchanged, len(d.Skipped), len(d.Failed))
}

// oddNames are paths that tools stumble over.
var oddNames = []string{ // read only
	"plain.txt", "with space.txt", "-leading", "--yes", "ünïcödé/日本語.txt", "ünïcödé/emoji 🎉.bin", "deep/" + strings.Repeat("d/", 40) + "file", `quote"'$(x).txt`, "mt2 eyJ9", "{}", "a\\b",
	"new\nline", ".hidden", "*.txt",
}

// tree makes a directory with files of those names.
func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for i, name := range oddNames {
		put(t, filepath.Join(dir, name), fmt.Sprintf("contents of file %d", i))
	}
	return dir
}

// put writes a file whose time no other file has had: a second later than the one before.
func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1_500_000_000+putTimes.Add(1), 0)
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

var putTimes atomic.Int64 // how many files put has written

// held counts the archives of the vault v.
func held(t *testing.T, s *moraintest.Server) int {
	t.Helper()
	return int(s.Want(t, 200, moraintest.Request{Method: "GET", Path: "/-/vaults/v"}).JSON(t)["NumberOfArchives"].(float64))
}

func (k *keeper) sync(code int, want string, args ...string) synced {
	k.Helper()
	var d synced
	k.json(code, &d, append([]string{"sync"}, args...)...)
	if got := d.counts(); got != want {
		k.Errorf("moraine sync %q: %s, want %s: %+v", args, got, want, d)
	}
	return d
}

func TestSync(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	k := keeperOf(t, s)
	dir := tree(t)
	n := len(oddNames)
	if err := os.Symlink("plain.txt", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "empty"), "")

	k.says(10, "sync "+dir+" none")
	k.says(1, "sync /nonexistent v", "/nonexistent")
	k.says(2, "sync "+dir+" v --exclude [", "no pattern")
	k.says(0, "sync "+dir+" v --dry-run", "+ plain.txt\n", `+ new\u000aline`, fmt.Sprintf("It would be: %d new", n), "a symbolic link")
	if got := held(t, s); got != 0 {
		t.Fatalf("a dry run has stored %d archives", got)
	}
	k.sync(0, fmt.Sprintf("+%d ~0 -0 =0 skipped 2 failed 0", n), dir, "v")
	k.sync(0, fmt.Sprintf("+0 ~0 -0 =%d skipped 2 failed 0", n), dir, "v")

	put(t, filepath.Join(dir, "plain.txt"), "changed contents")
	put(t, filepath.Join(dir, "--yes"), "contents of file 3") // a new time alone
	k.sync(0, fmt.Sprintf("+0 ~1 -0 =%d skipped 2 failed 0", n-1), dir, "v", "--checksum", "--dry-run")
	k.sync(0, fmt.Sprintf("+0 ~2 -0 =%d skipped 2 failed 0", n-2), dir, "v")
	k.sync(0, fmt.Sprintf("+0 ~0 -0 =%d skipped 2 failed 0", n), dir, "v")

	s.Upload(t, "v", []byte("of another tool"), "elsewhere.txt") // is never deleted
	os.RemoveAll(filepath.Join(dir, "ünïcödé"))
	k.sync(0, fmt.Sprintf("+0 ~0 -0 =%d skipped 2 failed 0", n-2), dir, "v", "--inventory")
	k.sync(0, fmt.Sprintf("+0 ~0 -1 =%d skipped 2 failed 0", n-2), dir, "v", "--delete", "--exclude", "*emoji*", "--dry-run", "--inventory")
	k.says(0, "sync "+dir+" v --delete", "- ünïcödé/日本語.txt\n", "2 deleted")
	d := k.sync(0, fmt.Sprintf("+0 ~0 -2 =%d skipped 2 failed 0", n-2), dir, "v", "--delete-old")
	if paths := d.Deleted[0].Path + d.Deleted[1].Path; paths != "--yesplain.txt" && paths != "plain.txt--yes" { // several at once
		t.Errorf("old archives of %+v are deleted", d.Deleted)
	}
	if got := held(t, s); got != n-2+1 {
		t.Errorf("the vault has %d archives, want %d", got, n-1)
	}

	// Another machine knows nothing of the vault.
	k.environ = append(k.environ, "XDG_CACHE_HOME="+t.TempDir())
	k.says(1, "sync "+dir+" v", "there was no inventory yet", "moraine inventory --vault v")
	k.sync(0, fmt.Sprintf("+0 ~0 -0 =%d skipped 2 failed 0", n-2), dir, "v", "--inventory", "--delete", "--delete-old")
	k.says(1, "sync "+t.TempDir()+" v --delete", "is it the right directory")
}

// TestSyncExclude leaves out what patterns match, in both directions.
func TestSyncExclude(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	k := keeperOf(t, s)
	dir := t.TempDir()
	for _, path := range []string{"a.tmp", "deep/b.tmp", "cache/x", "deep/cache/y", "kept", "deep/kept", "was/file"} {
		put(t, filepath.Join(dir, path), path)
	}
	for _, test := range []struct{ pattern, want string }{
		{"*.tmp", "+5"}, {"cache/", "+5"}, {"deep", "+4"}, {"deep/**", "+4"}, {"a*", "+6"}, {"/nothing", "+7"},
	} {
		k.sync(0, test.want+" ~0 -0 =0 skipped 0 failed 0", dir, "v", "--dry-run", "--exclude", test.pattern)
	}
	k.sync(0, "+7 ~0 -0 =0 skipped 0 failed 0", dir, "v")
	for _, path := range []string{"a.tmp", "deep", "was"} {
		os.RemoveAll(filepath.Join(dir, path))
	}
	put(t, filepath.Join(dir, "was"), "a directory")
	k.sync(0, "+1 ~0 -2 =1 skipped 0 failed 0", dir, "v", "--dry-run", "--delete", "--exclude", "*.tmp", "--exclude", "cache/")
	k.sync(0, "+1 ~0 -5 =2 skipped 0 failed 0", dir, "v", "--delete")
}

// TestSyncFails goes on after a file that cannot be read, and deletes nothing of it.
func TestSyncFails(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	k := keeperOf(t, s)
	dir := t.TempDir()
	long := strings.Repeat("n", 200) + "/" + strings.Repeat("m", 200) + "/" + strings.Repeat("o", 250) + "/" + strings.Repeat("p", 250)
	put(t, filepath.Join(dir, long), "its path is too long")
	put(t, filepath.Join(dir, "not\xffutf8"), "its path is no text")
	put(t, filepath.Join(dir, "good"), "good")
	d := k.sync(3, "+1 ~0 -0 =0 skipped 0 failed 2", dir, "v", "--delete", "--delete-old")
	if len(d.Failed) == 2 && !strings.Contains(d.Failed[0].Reason+d.Failed[1].Reason, "too long") {
		t.Errorf("the failures are %+v", d.Failed)
	}
	k.says(3, "sync "+dir+" v", "2 files failed", "moraine sync "+dir+" v")

	s.Advance(-time.Hour) // a lock keeps what is to be deleted
	lock(t, s)
	os.Remove(filepath.Join(dir, "good"))
	put(t, filepath.Join(dir, "other"), "other")
	d = k.sync(3, "+1 ~0 -0 =0 skipped 0 failed 3", dir, "v", "--delete")
	raw, err := json.Marshal(d.Failed)
	if err != nil || !strings.Contains(string(raw), "vault lock policy") {
		t.Errorf("the failures are %s (%v)", raw, err)
	}
}

// faulty starts a proxy to a server, which calls a function with each request before it goes on, and with its answer; false breaks the connection.
func faulty(t *testing.T, s *moraintest.Server, before func(*http.Request) bool, after func(*http.Response) bool) string {
	t.Helper()
	to, err := url.Parse(s.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host },
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ModifyResponse: func(r *http.Response) error {
			if after != nil && !after(r) {
				return fmt.Errorf("the answer is lost")
			}
			return nil
		},
	}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if before != nil && !before(r) {
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	return front.URL
}

// TestSyncInterrupted ends a sync at every kind of request, and runs it again: there is one archive of each file.
func TestSyncInterrupted(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	k := keeperOf(t, s)
	dir := t.TempDir()
	for i := range 6 {
		put(t, filepath.Join(dir, fmt.Sprint("small", i)), fmt.Sprint("contents of file ", i))
	}
	put(t, filepath.Join(dir, "large"), strings.Repeat("0123456789abcdef", 33<<16)) // 33 MiB: three parts
	var stop atomic.Pointer[context.CancelFunc]
	var seen, at atomic.Int64
	endpoint := faulty(t, s, func(r *http.Request) bool {
		if r.Method != "GET" && seen.Add(1) == at.Load() {
			(*stop.Load())()
		}
		return true
	}, nil)
	runs := 0
	for done := false; !done; runs++ {
		if runs > 40 {
			t.Fatal("it never comes to an end")
		}
		ctx, cancel := context.WithCancel(t.Context())
		stop.Store(&cancel)
		seen.Store(0)
		at.Store(int64(runs%4) + 1)
		var out, talk bytes.Buffer
		code := cli.Run(ctx, cli.Process{Args: []string{"sync", dir, "v", "--parallel", "2", "--endpoint", endpoint}, Environ: k.environ, Stdout: &out, Stderr: &talk})
		if code != 130 && code != 0 {
			t.Fatalf("exit code %d: %s", code, &talk)
		}
		done = strings.Contains(out.String(), "7 unchanged")
		cancel()
	}
	if got := held(t, s); got != 7 || runs < 3 {
		t.Errorf("after %d runs the vault has %d archives, want 7", runs, got)
	}
}

// TestSyncLostAnswer loses the answers to requests that were carried out, and requests that were not: the next run goes on with each, and asks for no inventory.
func TestSyncLostAnswer(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	k := keeperOf(t, s)
	dir := t.TempDir()
	for i := range 4 {
		put(t, filepath.Join(dir, fmt.Sprint("file", i)), fmt.Sprint("contents of file ", i))
	}
	var lost atomic.Int64
	var healed atomic.Bool
	harmed := func(r *http.Request) bool { return makes(r) && !healed.Load() }
	broken := faulty(t, s, func(r *http.Request) bool {
		return !harmed(r) || lost.Add(1)%2 == 0
	}, func(r *http.Response) bool { return !harmed(r.Request) })
	k.environ = append(k.environ, "MORAINE_ENDPOINT="+broken)
	k.says(3, "sync "+dir+" v", "moraine sync "+dir+" v\n")
	healed.Store(true)
	k.sync(0, "+4 ~0 -0 =0 skipped 0 failed 0", dir, "v")
	k.sync(0, "+0 ~0 -0 =4 skipped 0 failed 0", dir, "v", "--inventory")
	if got := held(t, s); got != 4 {
		t.Errorf("the vault has %d archives, want 4", got)
	}
}
