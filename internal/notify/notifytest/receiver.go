package notifytest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// Receiver is a webhook that keeps what it gets and answers as it is told.
type Receiver struct {
	*httptest.Server
	answer Answer

	mu       sync.Mutex
	requests []*http.Request // guarded by mu
	bodies   [][]byte        // guarded by mu
}

// Answer answers request n, from 1. Nothing written is 200.
type Answer = func(n int, w http.ResponseWriter, r *http.Request)

// StartReceiver starts a webhook until the test ends.
func StartReceiver(t testing.TB, answer Answer) *Receiver {
	t.Helper()
	r := &Receiver{answer: answer}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	r.requests, r.bodies = append(r.requests, req), append(r.bodies, body)
	n := len(r.bodies)
	r.mu.Unlock()
	r.answer(n, w, req)
}

// Got returns what has come.
func (r *Receiver) Got() ([]*http.Request, [][]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests, r.bodies
}
