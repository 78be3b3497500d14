package enginetest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// Postgres is a PostgreSQL that runs for this process.
type Postgres struct {
	Address string // host and port
	port    string
	dir     string
	bin     string
	as      []string // the beginning of a command that runs as a user who is not root
}

// postgres is the one of this process.
var postgres = sync.OnceValues(func() (*Postgres, error) { return startPostgres("fsync = off") }) // read only

// Database makes an empty database and returns its URI. Without a PostgreSQL on the machine the test is skipped.
func Database(t testing.TB) string {
	t.Helper()
	p, err := postgres()
	need(t, "PostgreSQL", err)
	return p.Database(t)
}

// NewPostgres starts a PostgreSQL that a test can stop and start, which keeps what it says it has kept.
func NewPostgres(t testing.TB) *Postgres {
	t.Helper()
	p, err := startPostgres()
	need(t, "PostgreSQL", err)
	t.Cleanup(func() { p.Stop(t, "immediate") })
	return p
}

var databases atomic.Int64 // that were made by this process

// Database makes an empty database and returns its URI.
func (p *Postgres) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", databases.Add(1))
	if out, err := p.command("createdb", "-h", "127.0.0.1", "-p", p.port, "-U", "moraine", name).CombinedOutput(); err != nil {
		t.Fatalf("make a database: %v: %s", err, out)
	}
	return fmt.Sprintf("postgres://moraine@%s/%s?sslmode=disable", p.Address, name)
}

// UseTLS starts the server again, with a certificate and its key in PEM.
func (p *Postgres) UseTLS(t testing.TB, certificate, key []byte) {
	t.Helper()
	p.Stop(t, "fast")
	owner, err := os.Stat(p.data())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"server.crt": certificate, "server.key": key} {
		path := filepath.Join(p.data(), name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if s, ok := owner.Sys().(*syscall.Stat_t); ok && os.Getuid() == 0 {
			if err := os.Chown(path, int(s.Uid), int(s.Gid)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := p.configure([]string{"ssl = on"}); err != nil {
		t.Fatal(err)
	}
	p.Start(t)
}

// Stop stops the server: fast, immediate (as if it were killed) or smart.
func (p *Postgres) Stop(t testing.TB, mode string) {
	t.Helper()
	if out, err := p.command("pg_ctl", "-D", p.data(), "-m", mode, "-w", "stop").CombinedOutput(); err != nil {
		t.Errorf("stop PostgreSQL: %v: %s", err, out)
	}
}

// Start starts a server that was stopped.
func (p *Postgres) Start(t testing.TB) {
	t.Helper()
	if err := p.start(); err != nil {
		t.Fatalf("start PostgreSQL again: %v", err)
	}
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

func (p *Postgres) command(program string, args ...string) *exec.Cmd {
	words := append(append([]string{}, p.as...), filepath.Join(p.bin, program))
	words = append(words, args...)
	return exec.Command(words[0], words[1:]...)
}

func startPostgres(settings ...string) (*Postgres, error) {
	bin, err := postgresPrograms()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "moraine-postgres-")
	if err != nil {
		return nil, err
	}
	p := &Postgres{dir: dir, bin: bin}
	if err := p.unroot(); err != nil {
		return nil, err
	}
	if out, err := p.command("initdb", "-D", p.data(), "-U", "moraine", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	if p.Address, err = freeAddress(); err != nil {
		return nil, err
	}
	_, p.port, _ = net.SplitHostPort(p.Address) // it is one of ours
	settings = append([]string{"listen_addresses = '127.0.0.1'", "port = " + p.port, fmt.Sprintf("unix_socket_directories = '%s'", dir),
		"max_connections = 300", "shared_buffers = '64MB'"}, settings...)
	if err := p.configure(settings); err != nil {
		return nil, err
	}
	if err := p.endWithThisProcess(); err != nil {
		return nil, err
	}
	return p, p.start()
}

func (p *Postgres) configure(lines []string) error {
	f, err := os.OpenFile(filepath.Join(p.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	for _, line := range lines {
		fmt.Fprintln(f, line)
	}
	return f.Close()
}

func (p *Postgres) start() error {
	cmd := p.command("pg_ctl", "-D", p.data(), "-w", "-l", filepath.Join(p.dir, "log"), "start")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = nil, &out // the server inherits them, and must not hold a pipe open
	if err := cmd.Run(); err != nil {
		log, _ := os.ReadFile(filepath.Join(p.dir, "log"))
		return fmt.Errorf("pg_ctl start: %w\n%s", err, log)
	}
	return nil
}

// endWithThisProcess has a shell wait for the end of this process, stop the server and remove its directory.
func (p *Postgres) endWithThisProcess() error {
	stop := p.command("pg_ctl", "-D", p.data(), "-m", "immediate", "stop")
	cmd := exec.Command("/bin/sh", append([]string{"-c", `cat >/dev/null; "$@" >/dev/null 2>&1; rm -rf "$0"`, p.dir}, stop.Args...)...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	keep(stdin)
	return nil
}

// postgresPrograms returns the directory of the server's programs.
func postgresPrograms() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		path, err = filepath.EvalSymlinks(path) // the others are beside it
		return filepath.Dir(path), err
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errors.Join(fmt.Errorf("%w: scripts/setup-servers says why", errMissing), err)
	}
	return filepath.Dir(found[len(found)-1]), nil
}

// unroot gives the directory to a user who is not root: the server refuses to be.
func (p *Postgres) unroot() error {
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return fmt.Errorf("%w: there is no user postgres, and root cannot run it", errMissing)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	p.as = []string{"setpriv", "--reuid=" + u.Uid, "--regid=" + u.Gid, "--clear-groups"}
	return errors.Join(os.Chmod(p.dir, 0o755), os.Chown(p.dir, uid, gid))
}
