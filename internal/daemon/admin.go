package daemon

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/moraine-archive/moraine/internal/catalogue"
)

// adminHandler answers on the admin address: never on the API's own paths.
func (d *Daemon) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health/live", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("live\n")) })
	mux.HandleFunc("GET /health/ready", d.showReady)
	mux.HandleFunc("POST /tasks", d.runTask)
	mux.HandleFunc("GET "+certificatePath, d.showCertificate)
	if d.config.Clock {
		mux.HandleFunc("GET /clock", d.clock.show)
		mux.HandleFunc("PUT /clock", d.clock.set)
		mux.HandleFunc("POST /clock/advance", d.clock.advance)
	}
	return mux
}

// longestCheck is how long the catalogue may take to answer, for a node to be ready.
const longestCheck = 2 * time.Second

// showReady answers whether requests can be sent here: not before the start has ended and not after the stop has begun, and not while the catalogue does not answer, which
// may be a matter of this node only.
func (d *Daemon) showReady(w http.ResponseWriter, r *http.Request) {
	if !d.ready.Load() {
		http.Error(w, "not ready", http.StatusServiceUnavailable)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), longestCheck)
	defer cancel()
	err := d.rows.View(ctx, func(tx *catalogue.Tx) error {
		_, err := tx.Identity()
		return err
	})
	if err != nil && !errors.Is(err, catalogue.ErrNotFound) {
		d.log.Warn("not ready: the catalogue does not answer", "error", err)
		http.Error(w, "not ready: the catalogue does not answer", http.StatusServiceUnavailable)
		return
	}
	w.Write([]byte("ready\n"))
}
