package vfs_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/moraine-archive/moraine/internal/vfs"
)

func create(t *testing.T, path, content string) {
	t.Helper()
	f, err := vfs.OS().Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(content), 0); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// wantContent checks a file and that only its owner can read it.
func wantContent(t *testing.T, path, want string) {
	t.Helper()
	got, err := vfs.OS().ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s has %q, %v, want %q", filepath.Base(path), got, err, want)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode(); mode != 0o600 {
		t.Errorf("%s has the mode %v, want %v", filepath.Base(path), mode, fs.FileMode(0o600))
	}
}

func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	if got, err := vfs.OS().List(dir); err != nil || !slices.Equal(got, want) {
		t.Errorf("%s holds %q, %v, want %q", dir, got, err, want)
	}
}

func TestCreate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	create(t, path, "content")
	if f, err := vfs.OS().Create(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create of a file that exists gives %v, %v", f, err)
	}
	wantContent(t, path, "content")
	if _, err := vfs.OS().Create(filepath.Join(path+"s", "file")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Create in a directory that is missing gives %v", err)
	}
}

func TestOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if _, err := vfs.OS().Open(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open of a missing file gives %v", err)
	}
	create(t, path, "content")
	f, err := vfs.OS().Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 10)
	if n, err := f.ReadAt(b, 3); string(b[:n]) != "tent" || err != io.EOF {
		t.Errorf("ReadAt past the end gives %q, %v", b[:n], err)
	}
	if size, err := f.Size(); size != 7 || err != nil {
		t.Errorf("Size gives %d, %v", size, err)
	}
	if _, err := f.WriteAt([]byte("C"), 0); err == nil {
		t.Error("a file opened for reading can be written to")
	}
	wantContent(t, path, "content")
}

// A file may be written from its end: what was not written yet is zero.
func TestWriteAtBeyondTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	f, err := vfs.OS().Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, at := range []int64{4, 0} {
		if _, err := f.WriteAt([]byte("xy"), at); err != nil {
			t.Fatal(err)
		}
	}
	if size, err := f.Size(); size != 6 || err != nil {
		t.Errorf("Size gives %d, %v", size, err)
	}
	wantContent(t, path, "xy\x00\x00xy")
}

func TestSyncNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	f, err := vfs.OS().Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("Sync of a closed file gives %v, want an error that names it", err)
	}
}

func TestSyncOfAFileThatIsGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	f, err := vfs.OS().Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("Sync of a file that somebody has removed gives %v", err)
	}
}

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if _, err := vfs.OS().Reopen(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Reopen of a missing file gives %v", err)
	}
	create(t, path, "content")
	f, err := vfs.OS().Reopen(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte("C"), 0)
	if err := errors.Join(err, f.Truncate(4), f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
	wantContent(t, path, "Cont")
}

func TestRename(t *testing.T) {
	dir := t.TempDir()
	create(t, filepath.Join(dir, "a"), "new")
	create(t, filepath.Join(dir, "b"), "old")
	if err := vfs.OS().Rename(filepath.Join(dir, "a"), filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	wantNames(t, dir, "b")
	wantContent(t, filepath.Join(dir, "b"), "new")
	if err := vfs.OS().Rename(filepath.Join(dir, "a"), filepath.Join(dir, "c")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Rename of a missing file gives %v", err)
	}
}

func TestRemove(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	create(t, path, "content")
	if err := vfs.OS().Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := vfs.OS().Remove(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Remove of a missing file gives %v", err)
	}
	wantNames(t, filepath.Dir(path))
}

func TestList(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b", "a", "B", "é", "10", "9", ".hidden", "a.b"} {
		create(t, filepath.Join(dir, name), "")
	}
	wantNames(t, dir, ".hidden", "10", "9", "B", "a", "a.b", "b", "é")
	if _, err := vfs.OS().List(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("List of a missing directory gives %v", err)
	}
}

func TestMkdirAll(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "a", "b", "c")
	for range 2 {
		if err := vfs.OS().MkdirAll(path + "/"); err != nil {
			t.Fatal(err)
		}
	}
	for dir := path; dir != root; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err != nil || info.Mode() != fs.ModeDir|0o700 {
			t.Errorf("%s: %v, %v, want a directory for its owner alone", dir, info, err)
		}
	}
	file := filepath.Join(root, "file")
	create(t, file, "content")
	for _, path := range []string{file, filepath.Join(file, "below"), filepath.Join(file, "far", "below")} {
		if err := vfs.OS().MkdirAll(path); !errors.Is(err, unix.ENOTDIR) || !strings.Contains(err.Error(), file) {
			t.Errorf("MkdirAll of %s gives %v, want an error that names the file in the way", path, err)
		}
	}
}

func TestMkdirAllOfARelativePath(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, path := range []string{"moraine-data", "./x/../y/z", "."} {
		if err := vfs.OS().MkdirAll(path); err != nil {
			t.Errorf("MkdirAll(%q): %v", path, err)
		}
	}
	wantNames(t, ".", "moraine-data", "y")
}

func TestMkdirAllAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "c")
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			if err := vfs.OS().MkdirAll(path); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
}

// asNobody runs do without the right to override permissions, which root has. Only this thread's access to files changes
// (setfsuid(2)).
func asNobody(t *testing.T, do func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		do()
		return
	}
	const nobody = 65534
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if _, err := unix.SetfsuidRetUid(nobody); err != nil {
		t.Fatal(err)
	}
	defer unix.SetfsuidRetUid(0) // root may always go back
	do()
}

// unreadable returns a directory in which files can be made and which cannot be opened, so that it cannot be synced.
func unreadable(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o333); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(dir, 0o700) }) // for the removal, which says what is wrong
	return dir
}

// What must be durable is not done when the directory cannot be synced, though all else worked.
func TestDirectoriesAreSynced(t *testing.T) {
	for name, do := range map[string]func(dir string) error{
		"SyncDir":                func(dir string) error { return vfs.OS().SyncDir(dir) },
		"MkdirAll":               func(dir string) error { return vfs.OS().MkdirAll(filepath.Join(dir, "new")) },
		"MkdirAll of two levels": func(dir string) error { return vfs.OS().MkdirAll(filepath.Join(dir, "new", "below")) },
		"WriteFile":              func(dir string) error { return vfs.OS().WriteFile(filepath.Join(dir, "new"), []byte("content")) },
	} {
		dir := unreadable(t)
		var err error
		asNobody(t, func() { err = do(dir) })
		if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s in a directory that cannot be synced gives %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "new")); name != "SyncDir" && err != nil {
			t.Errorf("%s failed before the directory was to be synced: %v", name, err)
		}
	}
	if err := vfs.OS().SyncDir(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("SyncDir of a missing directory gives %v", err)
	}
}

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, content := range []string{"first", "", "and a longer one"} {
		if err := vfs.OS().WriteFile(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		wantContent(t, path, content)
		wantNames(t, filepath.Dir(path), "file")
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := vfs.OS().WriteFile(path, []byte("secret")); err != nil {
		t.Fatal(err)
	}
	wantContent(t, path, "secret") // with the mode of a new file, not of the one it replaces
}

func TestWriteFileThatFailsLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	taken := filepath.Join(dir, "taken") // by a directory that is not empty: it cannot be replaced
	if err := vfs.OS().MkdirAll(filepath.Join(taken, "below")); err != nil {
		t.Fatal(err)
	}
	if err := vfs.OS().WriteFile(taken, []byte("content")); err == nil {
		t.Error("WriteFile replaces a directory")
	}
	if err := vfs.OS().WriteFile(filepath.Join(dir, "missing", "file"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("WriteFile in a missing directory gives %v", err)
	}
	wantNames(t, dir, "taken")
}

// A reader sees the file before or after, whole, and never in between.
func TestWriteFileIsAtomic(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	contents := [][]byte{bytes.Repeat([]byte("a"), 200_000), bytes.Repeat([]byte("b"), 100_000)}
	if err := vfs.OS().WriteFile(path, contents[0]); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	done := make(chan struct{})
	wait.Go(func() {
		defer close(done)
		for i := range 20 {
			if err := vfs.OS().WriteFile(path, contents[i%2]); err != nil {
				t.Error(err)
			}
		}
	})
	for reading := true; reading; {
		select {
		case <-done:
			reading = false
		default:
		}
		got, err := vfs.OS().ReadFile(path)
		if err != nil || !bytes.Equal(got, contents[0]) && !bytes.Equal(got, contents[1]) {
			t.Fatalf("a reader sees %d bytes, %v", len(got), err)
		}
	}
	wait.Wait()
}

func TestReadFileOfAMissingFile(t *testing.T) {
	if _, err := vfs.OS().ReadFile(filepath.Join(t.TempDir(), "file")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadFile gives %v", err)
	}
}
