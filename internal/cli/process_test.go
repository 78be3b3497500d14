package cli_test

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/moraintest"
)

// build builds the program as people get it.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "moraine")
	if out, err := exec.Command("go", "build", "-o", program, "../../cmd/moraine").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// process is a `moraine serve` of its own.
type process struct {
	*moraintest.Server // to send requests; it has no daemon in this process

	cmd    *exec.Cmd
	stdout output
	stderr output
	ended  chan struct{} // closed when the process has ended; then state says how
}

// output takes what a process says, to be looked at while it runs.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// launch runs a command of the program in an environment of its own. The process is killed when the test ends, if it is still there.
func launch(t *testing.T, program string, environ []string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(program, args...), ended: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr, p.cmd.Dir = environ, &p.stdout, &p.stderr, t.TempDir()
	if p.cmd.Env == nil {
		p.cmd.Env = []string{}
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.cmd.Wait() // how it ended is in cmd.ProcessState
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("moraine %q said on standard output:\n%s\non standard error:\n%s", args, &p.stdout, &p.stderr)
		}
	})
	return p
}

// greeting is the beginning of what a server prints on its start.
var greeting = regexp.MustCompile(`^Moraine serves the Glacier API at (http://\S+) \(region (\S+)\)\nCredentials: (.*)\n(?s:.*)\n  curl (http://\S+)/health/ready\n`) // read only

// serve starts a server on a data directory, at ports of its own, and waits until it is ready.
func serve(t *testing.T, program, data string, environ []string, args ...string) *process {
	t.Helper()
	p := launch(t, program, environ, append([]string{"serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data", data}, args...)...)
	m := wait(t, p, "the greeting", func() []string { return greeting.FindStringSubmatch(p.stdout.String()) })
	p.Server = &moraintest.Server{Endpoint: m[1], Region: m[2], AdminEndpoint: m[4], Data: data}
	wait(t, p, "readiness", func() []string {
		res, err := http.Get(p.AdminEndpoint + "/health/ready")
		if err != nil {
			return nil
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return nil
		}
		return m
	})
	return p
}

// wait asks until there is an answer, while the process runs.
func wait(t *testing.T, p *process, what string, ask func() []string) []string {
	t.Helper()
	for range 6000 {
		if answer := ask(); answer != nil {
			return answer
		}
		select {
		case <-p.ended:
			t.Fatalf("the process ended before %s: %v", what, p.cmd.ProcessState)
		case <-time.After(10 * time.Millisecond): // another process, real time
		}
	}
	t.Fatalf("no sign of %s", what)
	return nil
}

// exit waits for the end of a process and returns its exit code.
func (p *process) exit(t *testing.T, within time.Duration) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(within):
		t.Fatalf("the process did not end within %s", within)
	}
	return p.cmd.ProcessState.ExitCode()
}

// stop ends a server as a service manager does.
func (p *process) stop(t *testing.T) {
	t.Helper()
	http.DefaultClient.CloseIdleConnections()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	if code := p.exit(t, 30*time.Second); code != 0 {
		t.Fatalf("exit code %d after an interrupt, want 0", code)
	}
}

// command runs another command of the program to its end.
func command(t *testing.T, program string, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	p := launch(t, program, environ, args...)
	code = p.exit(t, time.Minute)
	return code, p.stdout.String(), p.stderr.String()
}

// credentials reads the key in the file that a first start writes.
func credentials(t *testing.T, path string) moraintest.Key {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`^\[default\]\naws_access_key_id = (\S{20})\naws_secret_access_key = (\S{40})\naws_account_id = (\d{12})\n$`).FindStringSubmatch(string(b))
	if m == nil {
		t.Fatalf("%s is not in the form of the AWS tools: %q", path, b)
	}
	return moraintest.Key{ID: m[1], Secret: m[2], Account: m[3]}
}

// vaults returns the names of the vaults that a key sees.
func (p *process) vaults(t *testing.T, k moraintest.Key) string {
	t.Helper()
	r := p.Do(t, moraintest.Request{Method: "GET", Path: "/-/vaults", Key: k})
	if r.Status != http.StatusOK {
		t.Fatalf("ListVaults: status %d: %s", r.Status, r.Body)
	}
	var names []string
	for _, v := range r.JSON(t)["VaultList"].([]any) {
		names = append(names, v.(map[string]any)["VaultName"].(string))
	}
	return strings.Join(names, " ")
}
