package enginetest

import (
	"path/filepath"
	"testing"
)

// ErasureCoded is a MinIO over four directories that a test can kill and start. It keeps an object while one of them is gone.
type ErasureCoded struct {
	address string
	path    string // of the program
	dir     string
	running *process // nil: it does not run
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
	environ := []string{"MINIO_ROOT_USER=" + keyID, "MINIO_ROOT_PASSWORD=" + secret, "MINIO_CI_CD=on"} // without the last, directories of one disk are refused
	args := []string{m.path, "server", "--quiet", "--address", m.address, "--console-address", "127.0.0.1:0", filepath.Join(m.dir, "disk{1...4}")}
	var err error
	if m.running, err = launch(killed, filepath.Join(m.dir, "log"), m.address, environ, args); err != nil {
		t.Errorf("start MinIO: %v", err)
	}
}

// Kill kills the server.
func (m *ErasureCoded) Kill() {
	if m.running != nil {
		m.running.end()
		m.running = nil
	}
}

// Bucket makes a bucket.
func (m *ErasureCoded) Bucket(t testing.TB) Bucket {
	t.Helper()
	return newBucket(t, &server{m.address, m.dir})
}
