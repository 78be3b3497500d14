package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/cli"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

// restored is what `restore --json` prints.
type restored struct {
	Plan struct {
		Files, Bytes int64
		Takes        string
	}
	Restored        []struct{ Path, File string }
	There           int64 `json:"already_there"`
	Skipped, Failed []struct{ Path, Reason string }
}

func (d restored) counts() string {
	return fmt.Sprintf("+%d =%d skipped %d failed %d", len(d.Restored), d.There, len(d.Skipped), len(d.Failed))
}

func (k *keeper) restore(code int, want string, args ...string) restored {
	k.Helper()
	var d restored
	k.json(code, &d, append([]string{"restore"}, args...)...)
	if got := d.counts(); got != want {
		k.Errorf("moraine restore %q: %s, want %s: %+v", args, got, want, d)
	}
	return d
}

// alike holds that two directories have the same files, with the same times.
func alike(t *testing.T, a, b string) {
	t.Helper()
	list := func(dir string) string {
		var lines []string
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			contents, err := os.ReadFile(path)
			lines = append(lines, fmt.Sprintf("%q %v %q", rel, info.ModTime().Unix(), contents))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(lines, "\n")
	}
	if x, y := list(a), list(b); x != y {
		t.Errorf("the directories differ:\n%s\n\n%s", x, y)
	}
}

func TestRestore(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	k := keeperOf(t, s)
	dir, to := tree(t), filepath.Join(t.TempDir(), "new", "place")
	n := len(oddNames)
	k.says(10, "restore v "+to, "has no archive", "moraine inventory --vault v")
	k.wants(0, "sync", dir, "v")

	k.says(2, "restore v", "DIR is missing")
	k.says(2, "restore v "+to+" --tier Fast", `"Fast"`)
	k.says(2, "restore v [ "+to, "pattern")
	k.says(10, "restore none "+to)
	k.says(10, "restore v nothing/* "+to, `"nothing/*"`)
	k.says(2, "restore v "+to, fmt.Sprintf("%d files", n), "3 to 5 hours", "--yes")
	k.says(0, "restore v "+to+" --dry-run --tier Bulk", "+ plain.txt  ", "5 to 12 hours")
	if d := k.restore(0, fmt.Sprintf("+%d =0 skipped 0 failed 0", n), "v", to, "--dry-run"); d.Plan.Files != int64(n) || d.Plan.Takes == "" {
		t.Errorf("the plan is %+v", d.Plan)
	}
	if _, err := os.Stat(to); err == nil {
		t.Error("a plan has made the directory")
	}
	k.restore(0, "+2 =0 skipped 0 failed 0", "v", "ünïcödé/", to, "--yes")
	k.restore(0, fmt.Sprintf("+%d =2 skipped 0 failed 0", n-2), "v", to, "--yes")
	alike(t, dir, to)
	k.says(0, "restore v "+to+" --yes", fmt.Sprintf("0 restored (0 B), %d there already", n))

	// What is in the way stays, and the time is put right.
	put(t, filepath.Join(to, "plain.txt"), "precious")
	put(t, filepath.Join(to, "-leading"), "contents of file 2")
	k.says(3, "restore v "+to+" --yes", "plain.txt: another file is there", "moraine restore v "+to+" --yes")
	if b, err := os.ReadFile(filepath.Join(to, "plain.txt")); err != nil || string(b) != "precious" {
		t.Errorf("the file in the way is %q (%v)", b, err)
	}
	k.restore(0, fmt.Sprintf("+1 =%d skipped 0 failed 0", n-1), "v", to, "--yes", "--overwrite")
	alike(t, dir, to)

	// Versions.
	put(t, filepath.Join(dir, "plain.txt"), "the second version")
	k.wants(0, "sync", dir, "v")
	d := k.restore(0, "+2 =0 skipped 0 failed 0", "v", "plain.txt", filepath.Join(to, "versions"), "--yes", "--all-versions")
	for _, f := range d.Restored {
		if want := map[bool]string{true: "the second version", false: "contents of file 0"}[strings.HasSuffix(f.File, "plain.txt")]; want != "" {
			if b, err := os.ReadFile(f.File); err != nil || string(b) != want {
				t.Errorf("%s is %q (%v), want %q", f.File, b, err, want)
			}
		}
	}
}

// TestRestoreUnsafe has paths that lead out of the directory, and things in the way.
func TestRestoreUnsafe(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	k := keeperOf(t, s)
	for _, path := range []string{"../escape", "a/../../escape", "dir/", "/etc/absolute", "etc/absolute", "link/escape", "inner/file", "blocked/below", "fine"} {
		s.Upload(t, "v", []byte("contents"), path)
	}
	parent := t.TempDir()
	to := filepath.Join(parent, "to")
	if err := os.MkdirAll(filepath.Join(to, "real"), 0o700); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"link": parent, "inner": "real"} {
		if err := os.Symlink(target, filepath.Join(to, link)); err != nil {
			t.Fatal(err)
		}
	}
	put(t, filepath.Join(to, "blocked"), "a file")
	k.says(1, "restore v "+to+" --yes", "there was no inventory yet")
	d := k.restore(3, "+3 =0 skipped 6 failed 0", "v", to, "--yes", "--inventory")
	for _, path := range []string{filepath.Join(parent, "escape"), filepath.Join(filepath.Dir(parent), "escape")} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s was written", path)
		}
	}
	for _, path := range []string{"etc/absolute", "real/file", "fine"} {
		if b, err := os.ReadFile(filepath.Join(to, path)); err != nil || string(b) != "contents" {
			t.Errorf("%s is %q (%v): %+v", path, b, err, d)
		}
	}
}

// TestRestoreInterrupted ends a restore at every kind of request, and runs it again.
func TestRestoreInterrupted(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	k := keeperOf(t, s)
	dir, to := t.TempDir(), t.TempDir()
	for i := range 4 {
		put(t, filepath.Join(dir, fmt.Sprint("small", i)), fmt.Sprint("contents of file ", i))
	}
	put(t, filepath.Join(dir, "large"), strings.Repeat("0123456789abcdef", 20<<16))
	var stop atomic.Pointer[context.CancelFunc]
	var seen, at atomic.Int64
	endpoint := faulty(t, s, func(r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/jobs") && seen.Add(1) == at.Load() {
			(*stop.Load())()
		}
		return true
	}, nil)
	k.environ = append(k.environ, "MORAINE_ENDPOINT="+endpoint)
	k.wants(0, "sync", dir, "v")
	code := -1
	for runs := int64(0); code != 0; runs++ {
		if runs > 40 {
			t.Fatal("it never comes to an end")
		}
		ctx, cancel := context.WithCancel(t.Context())
		stop.Store(&cancel)
		seen.Store(0)
		at.Store(runs + 1)
		var out, talk bytes.Buffer
		code = cli.Run(ctx, cli.Process{Args: []string{"restore", "v", to, "--yes"}, Environ: k.environ, Stdout: &out, Stderr: &talk})
		if code != 0 && (code != 130 || !strings.Contains(talk.String(), "moraine restore v "+to+" --yes")) {
			t.Fatalf("exit code %d: %s", code, &talk)
		}
		cancel()
	}
	alike(t, dir, to)
}

// TestRestoreEmulated waits for jobs that take hours, and adopts them after an interruption.
func TestRestoreEmulated(t *testing.T) {
	s := moraintest.Start(t, moraintest.Emulate)
	s.CreateVault(t, "v")
	k := keeperOf(t, s)
	dir, to := t.TempDir(), t.TempDir()
	for i := range 5 {
		put(t, filepath.Join(dir, fmt.Sprint("file", i)), fmt.Sprint("contents of file ", i))
	}
	k.wants(0, "sync", dir, "v")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, talk := k.wantsWithin(ctx, 3, "restore", "v", to, "--yes")
	if !strings.Contains(talk, "moraine restore v "+to+" --yes") {
		t.Errorf("it does not say how to go on: %s", talk)
	}
	s.Advance(6 * time.Hour)
	k.restore(0, "+5 =0 skipped 0 failed 0", "v", to, "--yes")
	alike(t, dir, to)
	jobs := s.Want(t, 200, moraintest.Request{Method: "GET", Path: "/-/vaults/v/jobs"}).JSON(t)["JobList"].([]any)
	if len(jobs) != 5 {
		t.Errorf("there were %d jobs for 5 files", len(jobs))
	}

	// The jobs are about to expire: what was not fetched has another one.
	os.Remove(filepath.Join(to, "file1"))
	s.Advance(25 * time.Hour)
	passing(t, s)
	k.restore(0, "+1 =4 skipped 0 failed 0", "v", to, "--yes")
	alike(t, dir, to)
}

// passing lets time pass for the service from now on: five hours, a moment after a command has begun its jobs.
func passing(t *testing.T, s *moraintest.Server) {
	t.Helper()
	timer := time.AfterFunc(400*time.Millisecond, func() { s.Advance(5 * time.Hour) })
	t.Cleanup(func() { timer.Stop() })
}

// TestRestoreLimited is about a data retrieval policy: what it lets through comes, the rest later.
func TestRestoreLimited(t *testing.T) {
	s := moraintest.Start(t, moraintest.Emulate)
	s.CreateVault(t, "v")
	k := keeperOf(t, s)
	dir, to := t.TempDir(), t.TempDir()
	for i := range 5 {
		put(t, filepath.Join(dir, fmt.Sprint("file", i)), fmt.Sprint("contents of file ", i))
	}
	k.wants(0, "sync", dir, "v")
	k.wants(0, "retrieval-policy", "set", "--bytes-per-hour", "1B")
	k.says(1, "restore v "+to+" --yes", "retrieval-policy show", "5 files are left")
	k.wants(0, "retrieval-policy", "set", "--bytes-per-hour", "10B")
	passing(t, s)
	k.says(3, "restore v "+to+" --yes", "2 restored", "3 files are left", "moraine restore v ")
	k.wants(0, "retrieval-policy", "set", "--none")
	passing(t, s)
	k.restore(0, "+3 =2 skipped 0 failed 0", "v", to, "--yes")
	alike(t, dir, to)
}
