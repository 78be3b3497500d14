package cli_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/moraine-archive/moraine/internal/cli"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

const mib = 1 << 20

// door is between the commands and a server, at an address that stays when the server is another. It counts, and does harm.
type door struct {
	*httptest.Server

	mu       sync.Mutex
	target   string                                 // guarded by mu, as are the others
	up, down int64                                  // bytes of parts and archives, and of outputs
	arrivals int64                                  // bytes of those parts and archives whose success the client was told
	moved    func(up, down int64)                   // is told of them
	harm     func(r *http.Request) fault            // what a request meets
	arrived  func(r *http.Request) (refuse bool)    // before the server gets a request
	answered func(r *http.Response) (withhold bool) // before the client gets an answer
}

func doorTo(t *testing.T, s *moraintest.Server) *door {
	t.Helper()
	d := &door{target: s.Endpoint}
	proxy := &httputil.ReverseProxy{
		Rewrite:        d.rewrite,
		ModifyResponse: d.response,
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		arrived, harm := d.arrived, d.harm
		d.mu.Unlock()
		if arrived != nil && arrived(r) {
			panic(http.ErrAbortHandler)
		}
		if harm == nil {
			proxy.ServeHTTP(w, r)
			return
		}
		harm(r).meet(proxy, w, r)
	}))
	t.Cleanup(d.Close)
	s.Endpoint = d.URL // what the commands are told; requests of the test go this way too
	return d
}

// to leads to another server.
func (d *door) to(endpoint string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.target = endpoint
}

func (d *door) rewrite(r *httputil.ProxyRequest) {
	d.mu.Lock()
	target, err := url.Parse(d.target)
	d.mu.Unlock()
	if err != nil {
		panic(err)
	}
	r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = target.Scheme, target.Host, r.In.Host // which is signed
	if r.Out.Body != nil && brings(r.In) {
		r.Out.Body = counted{r.Out.Body, func(n int) { d.count(int64(n), 0) }}
	}
}

// brings reports whether a request brings bytes of an archive.
func brings(r *http.Request) bool {
	return r.Method == "PUT" && strings.Contains(r.URL.Path, "/multipart-uploads/") || r.Method == "POST" && strings.HasSuffix(r.URL.Path, "/archives")
}

func (d *door) response(r *http.Response) error {
	d.mu.Lock()
	answered := d.answered
	d.mu.Unlock()
	if answered != nil && answered(r) {
		return io.ErrUnexpectedEOF
	}
	if strings.HasSuffix(r.Request.URL.Path, "/output") {
		r.Body = counted{r.Body, func(n int) { d.count(0, int64(n)) }}
	}
	if f, harmed := r.Request.Context().Value(fault{}).(fault); harmed {
		if err := f.change(r); err != nil {
			return err
		}
	}
	if brings(r.Request) && r.StatusCode < 300 {
		d.set(func(d *door) { d.arrivals += r.Request.ContentLength })
	}
	return nil
}

func (d *door) count(up, down int64) {
	d.mu.Lock()
	d.up, d.down = d.up+up, d.down+down
	up, down, moved := d.up, d.down, d.moved
	d.mu.Unlock()
	if moved != nil {
		moved(up, down)
	}
}

// set changes what the door does.
func (d *door) set(change func(*door)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

// only lets so many parts through, one at a time, and then cancels.
func (d *door) only(parts int, cancel func()) {
	d.set(func(d *door) {
		d.arrived = func(r *http.Request) bool {
			if r.Method != "PUT" {
				return false
			}
			if parts--; parts < 0 {
				cancel()
			}
			return parts < 0
		}
	})
}

// bytes returns how many bytes went each way.
func (d *door) bytes() (up, down int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.up, d.down
}

type counted struct {
	io.ReadCloser
	count func(int)
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.count(n)
	return n, err
}

// noise returns bytes that are the same for the same seed.
func noise(seed uint64, n int) []byte {
	var key [32]byte
	key[0] = byte(seed)
	b := make([]byte, n)
	rand.NewChaCha8(key).Read(b)
	return b
}

// inDirectory makes an empty directory the current one, with files of these names.
func inDirectory(t *testing.T, files map[string][]byte) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, b := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// holds fails the test unless a file has these bytes.
func holds(t *testing.T, name string, want []byte) {
	t.Helper()
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s has %d bytes, not the %d that it should have (%v)", name, len(got), len(want), err)
	}
}

// feeds runs a command with standard input.
func (k *keeper) feeds(ctx context.Context, code int, stdin io.Reader, args ...string) (stdout, stderr string) {
	k.Helper()
	var out, talk bytes.Buffer
	if got := cli.Run(ctx, cli.Process{Args: args, Environ: k.environ, Stdin: stdin, Stdout: &out, Stderr: &talk}); got != code {
		k.Fatalf("moraine %q: exit code %d, want %d\nstandard error:\n%s", args, got, code, &talk)
	}
	return out.String(), talk.String()
}

// pasted returns the last command that was printed to be pasted, as arguments.
func pasted(t *testing.T, talk string) []string {
	t.Helper()
	args := suggested(talk)
	if args == nil {
		t.Fatalf("%q has no command to be pasted", talk)
	}
	return args
}

// suggested is pasted, but nil if there is no such command.
func suggested(talk string) (args []string) {
	for l := range strings.Lines(talk) {
		if strings.HasPrefix(l, "  moraine ") {
			args = strings.Fields(strings.ReplaceAll(l, "'", ""))[1:]
		}
	}
	return args
}
