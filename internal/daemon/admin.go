package daemon

import "net/http"

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
	mux.HandleFunc("GET "+certificatePath, d.showCertificate)
	if d.config.Clock {
		mux.HandleFunc("GET /clock", d.clock.show)
		mux.HandleFunc("PUT /clock", d.clock.set)
		mux.HandleFunc("POST /clock/advance", d.clock.advance)
	}
	return mux
}
