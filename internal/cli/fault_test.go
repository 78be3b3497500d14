package cli_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// fault is what a request meets at a door. The zero fault is none.
type fault struct {
	what   string
	delay  time.Duration // before the server gets it
	refuse int           // the status of an answer that the door gives, without the server
	cut    int64         // after how many bytes of it the connection breaks; 0: never
	answer int           // the status that the client is told after it was carried out
	lose   bool          // the answer is lost
	stop   int64         // after how many bytes of the answer the connection breaks; 0: never
}

// errCut is why a connection breaks.
var errCut = errors.New("the connection is cut")

// meet passes a request on, with what it meets.
func (f fault) meet(server http.Handler, w http.ResponseWriter, r *http.Request) {
	time.Sleep(f.delay)
	switch {
	case f.refuse != 0:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(f.refuse)
		io.WriteString(w, refusals[f.refuse])
		return
	case f.cut > 0:
		r.Body = &cutOff{r.Body, f.cut}
	}
	server.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), fault{}, f)))
}

// refusals are answers by their status, as the service gives them.
var refusals = map[int]string{ // read only
	400: `{"code":"ThrottlingException","message":"Rate exceeded","type":"Client"}`,
	500: `{"code":"InternalServerError","message":"Something went wrong","type":"Server"}`,
	503: `{"code":"ServiceUnavailableException","message":"Please try again","type":"Server"}`,
}

// change changes the answer of the server.
func (f fault) change(r *http.Response) error {
	switch {
	case f.lose:
		return errCut
	case f.stop > 0:
		r.Body = &cutOff{r.Body, f.stop}
	case f.answer != 0:
		r.Body.Close()
		text := refusals[f.answer]
		r.StatusCode, r.Status, r.ContentLength, r.Body = f.answer, http.StatusText(f.answer), int64(len(text)), io.NopCloser(strings.NewReader(text))
		r.Header = http.Header{"Content-Type": {"application/json"}}
	}
	return nil
}

// cutOff is a body whose connection breaks.
type cutOff struct {
	io.ReadCloser
	left int64
}

func (c *cutOff) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errCut
	}
	n, err := c.ReadCloser.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

// faults gives every fourth request a fault, as chance will have it, until there were enough; and the first CompleteMultipartUpload loses its answer.
type faults struct {
	mu    sync.Mutex
	rnd   *rand.Rand     // guarded by mu
	left  int            // guarded by mu
	met   map[string]int // guarded by mu
	ended bool           // guarded by mu: an upload was completed
}

func (f *faults) of(r *http.Request) fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	did := fault{}
	switch completes := r.Method == "POST" && strings.Contains(r.URL.Path, "/multipart-uploads/"); {
	case completes && !f.ended:
		f.ended = true
		did = fault{what: "lost answer", lose: true}
	case f.left <= 0 || f.rnd.IntN(4) > 0:
		return did
	default:
		did = f.draw(r)
	}
	f.left--
	f.met[did.what]++
	return did
}

func (f *faults) draw(r *http.Request) fault {
	somewhere := 1 + f.rnd.Int64N(max(r.ContentLength, 1))
	switch n := f.rnd.IntN(7); {
	case n == 0 && r.ContentLength > 0:
		return fault{what: "cut request", cut: somewhere}
	case n <= 1:
		return fault{what: "cut answer", stop: 1 + f.rnd.Int64N(1<<(1+f.rnd.IntN(23)))}
	case n == 2:
		return fault{what: "delay", delay: time.Duration(f.rnd.IntN(1000)) * time.Millisecond}
	case n == 3:
		return fault{what: "500", refuse: 500}
	case n == 4:
		return fault{what: "throttled", refuse: 400}
	case n == 5:
		return fault{what: "503 though done", answer: 503}
	}
	return fault{what: "lost answer", lose: true}
}
