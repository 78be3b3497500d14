package objects

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/moraine-archive/moraine/internal/enginetest"
)

// proxy stands before a server, and does to requests what a test wants.
type proxy struct {
	*httptest.Server
	target string // URL of the server

	mu     sync.Mutex
	count  map[string]int     // guarded by mu: of requests, by kind
	meddle map[string]meddler // guarded by mu: by kind
}

// A meddler is asked about each request of a kind: the first is number 1. It answers by itself, or has pass do it, or does not answer.
type meddler func(number int, w http.ResponseWriter, pass func(http.ResponseWriter))

// openProxy opens a store behind a proxy. change changes its options.
func openProxy(t testing.TB, change ...func(*Options)) (*Store, *proxy, enginetest.Bucket) {
	t.Helper()
	b := newBucket(t)
	p := &proxy{target: b.Endpoint, count: make(map[string]int), meddle: make(map[string]meddler)}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	o := optionsFor(b)
	o.Endpoint, o.longestWait, o.PartSize = p.URL, 1, MinPartSize
	for _, c := range change {
		c(&o)
	}
	s := openWith(t, o, startClock)
	s.fresh = 0
	return s, p, b
}

// on has a meddler asked about a kind of requests, and counts them anew.
func (p *proxy) on(kind string, m meddler) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count[kind], p.meddle[kind] = 0, m
}

// requests returns how many requests of a kind there were.
func (p *proxy) requests(kind string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count[kind]
}

// kindOf says what a request is for: its method, the directory of the object, and what else tells it from others.
func kindOf(r *http.Request) string {
	kind := r.Method
	for _, dir := range []string{dataDir, metaDir, goneDir} {
		if strings.Contains(r.URL.Path, "/"+dir) {
			kind += " " + dir
		}
	}
	q := r.URL.Query()
	switch {
	case q.Has("uploads"):
		kind += " uploads"
	case q.Has("partNumber"):
		kind += " part"
	case q.Has("uploadId"):
		kind += " upload"
	}
	return kind
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	p.mu.Lock()
	kind := kindOf(r)
	p.count[kind]++
	number, m := p.count[kind], p.meddle[kind]
	p.mu.Unlock()
	pass := func(w http.ResponseWriter) { p.pass(w, r, body) }
	if m == nil {
		pass(w)
		return
	}
	m(number, w, pass)
}

// pass gives a request to the server, and its answer to w. It is signed for the host that the client knows.
func (p *proxy) pass(w http.ResponseWriter, r *http.Request, body []byte) {
	out, err := http.NewRequest(r.Method, p.target+r.URL.RequestURI(), bytes.NewReader(body)) // not of the context of r: it arrives, whether or not somebody waits
	if err != nil {
		panic(err)
	}
	out.Host, out.Header = r.Host, r.Header.Clone()
	answer, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer answer.Body.Close()
	for name, values := range answer.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.StatusCode)
	io.Copy(w, answer.Body)
}

// The meddlers.

// refuse answers with an error of the server, the first so many times.
func refuse(times, status int, code string) meddler {
	return func(number int, w http.ResponseWriter, pass func(http.ResponseWriter)) {
		if number > times {
			pass(w)
			return
		}
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		io.WriteString(w, "<Error><Code>"+code+"</Code><Message>says the proxy</Message></Error>")
	}
}

// loseAnswer has the server do what is asked for, and the client not hear of it, the first so many times.
func loseAnswer(times int) meddler {
	return func(number int, w http.ResponseWriter, pass func(http.ResponseWriter)) {
		if number > times {
			pass(w)
			return
		}
		pass(httptest.NewRecorder())
		panic(http.ErrAbortHandler)
	}
}

// cut breaks the connection after so many bytes of the answer's body, the first so many times.
func cut(times, after int) meddler {
	return func(number int, w http.ResponseWriter, pass func(http.ResponseWriter)) {
		if number > times {
			pass(w)
			return
		}
		pass(&cutWriter{w, after})
	}
}

type cutWriter struct {
	http.ResponseWriter
	left int
}

func (c *cutWriter) Write(b []byte) (int, error) {
	if len(b) <= c.left {
		c.left -= len(b)
		return c.ResponseWriter.Write(b)
	}
	c.ResponseWriter.Write(b[:c.left])
	c.ResponseWriter.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

// say adds headers to the answer, in place of those of the server.
func say(headers http.Header) meddler {
	return func(_ int, w http.ResponseWriter, pass func(http.ResponseWriter)) {
		answer := httptest.NewRecorder()
		pass(answer)
		maps.Copy(w.Header(), answer.Header())
		maps.Copy(w.Header(), headers)
		w.WriteHeader(answer.Code)
		w.Write(answer.Body.Bytes())
	}
}
