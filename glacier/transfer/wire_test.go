package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

const mib = 1 << 20

// operations are requests by their method and the last segments of their path, an id being *.
var operations = map[string]string{ // read only
	"POST archives":            "archive",
	"POST multipart-uploads":   "initiate",
	"PUT multipart-uploads/*":  "part",
	"POST multipart-uploads/*": "complete",
	"GET multipart-uploads":    "uploads",
	"GET multipart-uploads/*":  "parts",
	"POST jobs":                "job",
	"GET jobs":                 "jobs",
	"GET jobs/*":               "describe",
	"GET jobs/*/output":        "output",
}

func operation(r *http.Request) string {
	segments := strings.Split(strings.Trim(r.URL.Path, "/"), "/")[3:]
	if len(segments) > 1 {
		segments[1] = "*"
	}
	return operations[r.Method+" "+strings.Join(segments, "/")]
}

// fault is what happens to a request. The zero value is nothing.
type fault struct {
	cutUp, cutDown   int64 // the connection breaks after so many bytes, plus one
	flipUp, flipDown int64 // the byte at this offset, plus one, is another
	status           int   // is the answer, and the server gets nothing
	code             string
	instead          int  // is the status of the answer that arrives, after the server has done what was asked
	lost             bool // the answer does not arrive
	stall            bool // nothing happens until the context ends
	wait             time.Duration
}

// wire is a transport between a client and a server that does harm, and counts.
type wire struct {
	harm func(op string, n int, r *http.Request) fault // n: so many of the operation came before

	mu    sync.Mutex
	count map[string]int   // by operation
	up    map[string]int64 // bytes of bodies by operation
	down  map[string]int64
}

func (w *wire) requests(op string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count[op]
}

func (w *wire) sent(op string) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.up[op]
}

func (w *wire) received(op string) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.down[op]
}

var errCut = errors.New("the wire was cut")

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	op := operation(r)
	w.mu.Lock()
	if w.count == nil {
		w.count, w.up, w.down = map[string]int{}, map[string]int64{}, map[string]int64{}
	}
	n := w.count[op]
	w.count[op]++
	w.mu.Unlock()
	var f fault
	if w.harm != nil {
		f = w.harm(op, n, r)
	}
	time.Sleep(f.wait)
	switch {
	case f.stall:
		<-r.Context().Done()
		closeBody(r)
		return nil, context.Cause(r.Context())
	case f.status != 0:
		closeBody(r)
		text := fmt.Sprintf(`{"code":%q,"message":"made by the test"}`, f.code)
		return &http.Response{StatusCode: f.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
	}
	if r.Body != nil {
		r = r.Clone(r.Context())
		r.Body = &stretch{ReadCloser: r.Body, cut: f.cutUp, flip: f.flipUp, count: w.counter(w.up, op)}
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if f.lost || f.instead != 0 {
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if f.lost {
			return nil, errCut
		}
		return &http.Response{StatusCode: f.instead, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	}
	res.Body = &stretch{ReadCloser: res.Body, cut: f.cutDown, flip: f.flipDown, count: w.counter(w.down, op)}
	return res, nil
}

func (w *wire) counter(by map[string]int64, op string) func(int64) {
	return func(n int64) {
		w.mu.Lock()
		defer w.mu.Unlock()
		by[op] += n
	}
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		r.Body.Close()
	}
}

// stretch is a body on its way.
type stretch struct {
	io.ReadCloser
	at, cut, flip int64
	count         func(int64)
}

func (s *stretch) Read(p []byte) (int, error) {
	if s.cut > 0 {
		if s.at >= s.cut-1 {
			return 0, errCut
		}
		p = p[:min(int64(len(p)), s.cut-1-s.at)]
	}
	n, err := s.ReadCloser.Read(p)
	if i := s.flip - 1 - s.at; i >= 0 && i < int64(n) {
		p[i] ^= 0x40
	}
	s.at += int64(n)
	s.count(int64(n))
	return n, err
}

// rig is a server, and a client whose requests pass a wire.
type rig struct {
	*moraintest.Server
	client *glacier.Client
	wire   *wire
}

// start starts a server with a vault v. Attempts is how often the client itself sends a request.
func start(t testing.TB, attempts int, options ...func(*config.Config)) *rig {
	t.Helper()
	noLeak(t)
	s := moraintest.Start(t, options...)
	r := &rig{Server: s, wire: &wire{}}
	r.client = r.connect(t, attempts)
	if _, err := r.client.CreateVault(t.Context(), "v"); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) connect(t testing.TB, attempts int, changes ...func(*glacier.Options)) *glacier.Client {
	t.Helper()
	o := glacier.Options{
		Endpoint: r.Endpoint, Region: r.Region, Credentials: credentials.NewStaticCredentialsProvider(r.Key.ID, r.Key.Secret, ""),
		Transport: r.wire, Attempts: attempts,
	}
	for _, change := range changes {
		change(&o)
	}
	c, err := glacier.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// archives returns how many archives the vault has.
func (r *rig) archives(t testing.TB) int64 {
	t.Helper()
	v, err := r.client.DescribeVault(t.Context(), "v")
	if err != nil {
		t.Fatal(err)
	}
	return v.NumberOfArchives
}

// store stores an archive and returns its id.
func (r *rig) store(t testing.TB, b []byte) string {
	t.Helper()
	out, err := r.client.UploadArchive(t.Context(), "v", bytes.NewReader(b), glacier.UploadArchiveOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return out.ArchiveID
}

// noLeak fails a test after which goroutines of the package are left.
func noLeak(t testing.TB) {
	t.Cleanup(func() {
		var left string
		for range 200 {
			if left = ours(); left == "" {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Errorf("there are goroutines left:\n%s", left)
	})
}

func ours() string {
	b := make([]byte, 4<<20)
	var left []string
	for _, g := range strings.Split(string(b[:runtime.Stack(b, true)]), "\n\n")[1:] {
		if strings.Contains(g, "glacier/transfer.") {
			left = append(left, g)
		}
	}
	return strings.Join(left, "\n\n")
}

// seeded returns random numbers whose seed is logged.
func seeded(t testing.TB, seed uint64) *rand.Rand {
	t.Helper()
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, seed))
}

// data returns bytes that are not all alike.
func data(size int) []byte {
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func treeOf(t testing.TB, b []byte) string {
	t.Helper()
	_, tree, err := glacier.Hashes(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}
