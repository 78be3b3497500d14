package daemon

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// adminHandler answers on the admin address: never on the API's own paths.
func (d *Daemon) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health/live", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("live\n")) })
	mux.HandleFunc("GET /health/ready", func(w http.ResponseWriter, _ *http.Request) {
		if !d.ready.Load() {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		w.Write([]byte("ready\n"))
	})
	mux.HandleFunc("POST /tasks", d.runTask)
	if d.config.Clock {
		mux.HandleFunc("GET /clock", d.clock.show)
		mux.HandleFunc("PUT /clock", d.clock.set)
		mux.HandleFunc("POST /clock/advance", d.clock.advance)
	}
	return mux
}

// clock is the time that the service goes by: that of the machine, moved by what tests have set.
type clock struct {
	machine func() time.Time
	changed func() // called after the clock was set

	mu    sync.Mutex
	moved time.Duration // guarded by mu
}

// Now returns the time of the service.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.machine().Add(c.moved)
}

func (c *clock) move(by time.Duration) {
	c.mu.Lock()
	c.moved += by
	c.mu.Unlock()
	c.changed()
}

// show answers with {"now":"2024-02-29T10:11:12Z"}.
func (c *clock) show(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]time.Time{"now": c.Now().UTC()})
}

// set takes what show answers with.
func (c *clock) set(w http.ResponseWriter, r *http.Request) {
	var body struct{ Now time.Time }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&body); err != nil || body.Now.IsZero() {
		http.Error(w, `the body must be like {"now":"2024-02-29T10:11:12Z"}`, http.StatusBadRequest)
		return
	}
	c.move(body.Now.Sub(c.Now()))
	c.show(w, r)
}

// advance lets time pass: POST /clock/advance?by=4h.
func (c *clock) advance(w http.ResponseWriter, r *http.Request) {
	by, err := time.ParseDuration(r.URL.Query().Get("by"))
	if err != nil {
		http.Error(w, "by must be a duration, like /clock/advance?by=4h", http.StatusBadRequest)
		return
	}
	c.move(by)
	c.show(w, r)
}
