// Package enginetest starts the engines that Moraine can run on, for tests: a PostgreSQL and S3 servers. One of each serves all tests of a process, and
// ends with it, however it ends. One that is not there is a reason to skip a test.
package enginetest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// directory is the environment variable that names the directory which scripts/setup-servers has filled.
const directory = "MORAINE_SERVERS"

// errMissing says that a server is not installed.
var errMissing = errors.New("it is not installed") // read only

// find returns the path of a program: in the directory of the environment, or in PATH. The error says what setup-servers wrote down, if it could not have it.
func find(program string) (string, error) {
	dir := os.Getenv(directory)
	if dir != "" {
		if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath(program)
	if err == nil {
		return path, nil
	}
	if reason, err := os.ReadFile(filepath.Join(dir, program+".missing")); dir != "" && err == nil {
		return "", fmt.Errorf("%w: %s", errMissing, strings.TrimSpace(string(reason)))
	}
	return "", fmt.Errorf("%w: %s is neither in $%s nor in PATH", errMissing, program, directory)
}

// server is a program that runs until the tests have ended, and the directory that it works in.
type server struct {
	address string // host and port
	dir     string
}

// supervise runs a program until its standard input ends, which it does with the process of the tests, however that ends. Then it removes the directory.
const supervise = `dir=$1; shift; "$@" </dev/null & pid=$!; cat >/dev/null; kill $pid; wait $pid; rm -rf "$dir"`

// start starts a program and waits until it accepts connections. args are given the address and the directory.
func start(program string, environ []string, args func(address, dir string) []string) (*server, error) {
	path, err := find(program)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		s, err := startOnce(path, environ, args)
		if err == nil || try == 3 { // the port may have been taken by somebody else
			return s, err
		}
	}
}

func startOnce(path string, environ []string, args func(address, dir string) []string) (*server, error) {
	dir, err := os.MkdirTemp("", "moraine-"+filepath.Base(path)+"-")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p, err := launch(supervise, filepath.Join(dir, "log"), address, environ, append([]string{dir, path}, args(address, dir)...))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	keep(p.alive)
	return &server{address, dir}, nil
}

// process is a shell script that runs a program until its standard input ends.
type process struct {
	alive io.Closer     // its standard input
	ended chan struct{} // closed when it has ended
}

// launch has a script run what its arguments say, and waits until that accepts connections at an address. What it says goes to a file.
func launch(script, log, address string, environ, args []string) (*process, error) {
	said, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer said.Close()
	cmd := exec.Command("sh", append([]string{"-c", script, "sh"}, args...)...)
	cmd.Env = append(os.Environ(), environ...)
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt of the tests is not for it: it has to tidy up
	alive, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{alive, make(chan struct{})}
	go func() {
		defer close(p.ended)
		cmd.Wait() // whether it ended well is of no account
	}()
	if err := accepts(address); err != nil {
		text, _ := os.ReadFile(log) // best effort
		p.end()
		return nil, fmt.Errorf("%w; it says: %s", err, text)
	}
	return p, nil
}

// end ends the process, and waits until it has.
func (p *process) end() {
	p.alive.Close()
	<-p.ended
}

// keep holds on to what keeps a server alive: a pipe that nobody refers to is closed by the collector.
func keep(c io.Closer) {
	go func() {
		defer c.Close()
		select {}
	}()
}

// freeAddress returns an address on which nobody listens.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// longestStart is how long a server may take until it accepts connections.
const longestStart = 30 * time.Second

func accepts(address string) error {
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err == nil {
			return c.Close()
		}
		if time.Since(begun) > longestStart {
			return fmt.Errorf("it does not accept connections after %s: %w", longestStart, err)
		}
	}
}

// need ends a test that cannot have its server.
func need(t testing.TB, what string, err error) {
	t.Helper()
	switch {
	case errors.Is(err, errMissing):
		t.Skipf("%s: %v", what, err)
	case err != nil:
		t.Fatalf("%s: %v", what, err)
	}
}
