package vfs_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moraine-archive/moraine/internal/vfs"
)

// lockFile in the environment makes the test binary a process that takes a lock and holds it until its input ends.
const lockFile = "VFS_TEST_LOCK_FILE"

func TestMain(m *testing.M) {
	if path := os.Getenv(lockFile); path != "" {
		os.Exit(holdLock(path))
	}
	os.Exit(m.Run())
}

// holdLock says in a line how it went.
func holdLock(path string) int {
	_, err := vfs.OS().Lock(path)
	switch {
	case errors.Is(err, vfs.ErrLocked):
		fmt.Println("refused")
		return 0
	case err != nil:
		fmt.Println(err)
		return 1
	}
	fmt.Println("taken")
	io.Copy(io.Discard, os.Stdin) // ends when the parent closes it
	return 0
}

// process is another process that was asked to take a lock.
type process struct {
	*exec.Cmd
	says  string
	input io.Closer
}

// lockElsewhere starts a process that takes a lock, and waits for what it says.
func lockElsewhere(t *testing.T, path string) process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), lockFile+"="+path)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait() // a second Wait only says so
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the other process said nothing: %v", err)
	}
	return process{cmd, strings.TrimSpace(line), in}
}

func TestLockRefusesASecondProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	lock, err := vfs.OS().Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if other := lockElsewhere(t, path); other.says != "refused" {
		t.Errorf("while this process holds the lock, another says %q", other.says)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if other := lockElsewhere(t, path); other.says != "taken" {
		t.Errorf("after this process gave the lock back, another says %q", other.says)
	}
}

func TestLockOfAProcessThatEnds(t *testing.T) {
	for name, end := range map[string]func(process) error{
		"exits":     func(p process) error { return p.input.Close() },
		"is killed": func(p process) error { return p.Process.Kill() },
	} {
		path := filepath.Join(t.TempDir(), "lock")
		other := lockElsewhere(t, path)
		if other.says != "taken" {
			t.Fatalf("the other process says %q", other.says)
		}
		if _, err := vfs.OS().Lock(path); !errors.Is(err, vfs.ErrLocked) || !strings.Contains(err.Error(), path) {
			t.Errorf("while another process holds the lock, Lock gives %v", err)
		}
		if err := end(other); err != nil {
			t.Fatal(err)
		}
		other.Wait() // its error is that it was killed
		lock, err := vfs.OS().Lock(path)
		if err != nil {
			t.Errorf("after the other process %s, Lock gives %v", name, err)
			continue
		}
		lock.Close()
	}
}

// Two servers of one process are as wrong as two processes.
func TestLockTwiceInAProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	lock, err := vfs.OS().Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := vfs.OS().Lock(path); !errors.Is(err, vfs.ErrLocked) {
		t.Errorf("a second Lock gives %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	lock, err = vfs.OS().Lock(path)
	if err != nil {
		t.Fatalf("a Lock after Close gives %v", err)
	}
	lock.Close()
}

func TestLockThatCannotBeMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "lock")
	if _, err := vfs.OS().Lock(path); err == nil || errors.Is(err, vfs.ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Errorf("Lock in a missing directory gives %v, want an error that names it", err)
	}
}
