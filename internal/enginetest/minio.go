package enginetest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// ErasureCoded is a MinIO over four directories that a test can kill and start. It keeps an object while one of them is gone.
type ErasureCoded struct {
	address string
	path    string // of the program
	dir     string
	alive   io.Closer // the program ends when it is closed; nil: it does not run
	ended   chan struct{}
}

// NewErasureCoded starts a MinIO over four directories.
func NewErasureCoded(t testing.TB) *ErasureCoded {
	t.Helper()
	path, err := find("minio")
	need(t, "minio", err)
	m := &ErasureCoded{path: path, dir: t.TempDir()}
	if m.address, err = freeAddress(); err != nil {
		t.Fatal(err)
	}
	m.Start(t)
	t.Cleanup(m.Kill)
	return m
}

// killed runs a program until its standard input ends, and kills it then.
const killed = `"$@" </dev/null & pid=$!; cat >/dev/null; kill -9 $pid; wait $pid`

// Start starts a server that does not run.
func (m *ErasureCoded) Start(t testing.TB) {
	t.Helper()
	if err := m.start(); err != nil {
		t.Errorf("start MinIO: %v", err)
	}
}

func (m *ErasureCoded) start() error {
	log, err := os.OpenFile(filepath.Join(m.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("sh", "-c", killed, "sh", m.path, "server", "--quiet", "--address", m.address, "--console-address", "127.0.0.1:0", filepath.Join(m.dir, "disk{1...4}"))
	cmd.Env = append(os.Environ(), "MINIO_ROOT_USER="+keyID, "MINIO_ROOT_PASSWORD="+secret, "MINIO_CI_CD=on") // without the last, directories of one disk are refused
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	alive, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	m.alive, m.ended = alive, make(chan struct{})
	go func() {
		defer close(m.ended)
		cmd.Wait() // it is killed
	}()
	if err := accepts(m.address); err != nil {
		text, _ := os.ReadFile(log.Name()) // best effort
		m.Kill()
		return errors.Join(err, fmt.Errorf("it says: %s", text))
	}
	return nil
}

// Kill kills the server.
func (m *ErasureCoded) Kill() {
	if m.alive == nil {
		return
	}
	m.alive.Close()
	<-m.ended
	m.alive = nil
}

// Bucket makes a bucket.
func (m *ErasureCoded) Bucket(t testing.TB) Bucket {
	t.Helper()
	return newBucket(t, &server{m.address, m.dir})
}
