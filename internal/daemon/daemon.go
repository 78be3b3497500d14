// Package daemon builds a running server from a configuration, and stops it. Everything is wired here and nowhere else.
package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/moraine-archive/moraine/internal/api"
	"github.com/moraine-archive/moraine/internal/audit"
	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/clock"
	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/identity"
	"github.com/moraine-archive/moraine/internal/notify"
	"github.com/moraine-archive/moraine/internal/protocol"
	"github.com/moraine-archive/moraine/internal/seal"
	"github.com/moraine-archive/moraine/internal/sigv4"
	"github.com/moraine-archive/moraine/internal/vault"
	"github.com/moraine-archive/moraine/internal/worker"
)

// Daemon is a server with everything it needs.
type Daemon struct {
	Credentials string // the file with the first key; "" when there is none

	stores
	clock   clockDoor
	machine func() time.Time // the clock of the machine
	signer  *notify.Signer   // of messages; nil: none needs it
	audit   *audit.Log       // nil: there is none
	token   string           // of the door
	secrets seal.Key         // what the secrets of access keys are encrypted with

	tasks    context.Context // of administrators' tasks; ends when the server stops
	endTasks context.CancelFunc
	worker   *worker.Worker
	api      *http.Server
	admin    *http.Server
	apiAt    net.Listener
	adminAt  net.Listener
	ready    atomic.Bool
}

// signatureSkew is how far the clock of a client may be off (observed in clients of the original).
const signatureSkew = 5 * time.Minute

// Open builds a server and begins to listen; Run serves. now is the clock of the machine. On an error nothing stays open.
func Open(ctx context.Context, c config.Config, logger *slog.Logger, now func() time.Time) (*Daemon, error) {
	return openOn(ctx, c, logger, machine(now))
}

// openOn is Open for a machine.
func openOn(ctx context.Context, c config.Config, logger *slog.Logger, m clock.Machine) (*Daemon, error) {
	d := &Daemon{machine: m.Now}
	d.stores = stores{config: c, log: logger, now: m.Now, times: clock.New(m)}
	if err := d.open(ctx); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func (d *Daemon) open(ctx context.Context) (err error) {
	if err := d.stores.open(ctx); err != nil {
		return err
	}
	if d.config.Clock {
		if err := d.checkSettable(ctx); err != nil {
			return err
		}
	}
	if d.secrets, err = d.openSecrets(ctx); err != nil {
		return err
	}
	if d.Credentials, err = identity.FirstAccount(ctx, d.rows, d.disk, d.config, d.now()); err != nil {
		return err
	}
	d.forgetPlain(ctx)
	d.clock = clockDoor{d.times, d.checkSettable, d.service.Poke}
	d.tasks, d.endTasks = context.WithCancel(context.Background())
	if d.worker, err = d.newWorker(ctx); err != nil {
		return err
	}
	d.openAudit()
	d.api = d.newAPI()
	d.admin = &http.Server{Handler: d.adminHandler(), ReadTimeout: headerTimeout, ErrorLog: d.errorLog()}
	if err := d.listen(); err != nil {
		return err
	}
	sender, err := d.newSender()
	if err != nil {
		return err
	}
	d.worker.Send = sender.Send
	return d.openDoor()
}

func (d *Daemon) newWorker(ctx context.Context) (*worker.Worker, error) {
	copies, err := d.medium.copies(ctx)
	w := &worker.Worker{
		Service: d.service, Now: d.now, Log: d.log, SweepInterval: d.config.SweepInterval,
		CompactInterval: d.config.CompactInterval, CompactPace: pace(d.config.CompactRate),
		ScrubInterval: d.config.ScrubInterval, ScrubPace: pace(d.config.ScrubRate),
		BackupInterval: d.config.BackupInterval, Backup: d.scheduledBackup,
	}
	if len(copies) > 0 {
		w.LastBackup = copies[0].At
	}
	return w, err
}

// Figures of the HTTP servers.
const (
	headerTimeout = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 64 << 10
	adminTimeout  = 3 * time.Second  // an administrator's task stops when it is told to
	drainTimeout  = 25 * time.Second // SIGTERM ends the process within 30 s
)

func (d *Daemon) newAPI() *http.Server {
	handler := api.New(api.Config{
		Service: d.service,
		// Signatures are held against the clock of the machine, which clients share, not against one that tests have set.
		Verifier:       &sigv4.Verifier{Regions: d.config.Regions(), Service: protocol.Service, Skew: signatureSkew, Now: d.machine},
		Key:            identity.KeyFinder(d.rows, d.secrets),
		Now:            d.now,
		Audit:          d.record,
		Log:            d.log,
		StallTimeout:   d.config.StallTimeout,
		LongestRequest: d.settings.LongestRequest,
	})
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: min(headerTimeout, d.config.StallTimeout), IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		DisableGeneralOptionsHandler: true, ErrorLog: d.errorLog(), ConnContext: api.ConnContext, ConnState: api.ConnState,
	}
}

// openAudit opens the audit log, if there is to be one.
func (d *Daemon) openAudit() {
	if d.config.AuditPath() != "" {
		d.audit = openAudit(d.config)
		d.closers = append(d.closers, d.audit)
	}
}

// record writes a line of the audit log.
func (d *Daemon) record(e audit.Entry) error {
	if d.audit == nil {
		return nil
	}
	return d.audit.Write(e)
}

// errorLog takes what net/http has to say: broken connections and TLS handshakes.
func (d *Daemon) errorLog() *log.Logger { return slog.NewLogLogger(d.log.Handler(), slog.LevelWarn) }

// onceCloser closes a listener that its server may have closed.
type onceCloser struct{ io.Closer }

func (c onceCloser) Close() error {
	if err := c.Closer.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Endpoint returns the URL of the API.
func (d *Daemon) Endpoint() string {
	scheme := "http"
	if d.config.TLSCert != "" {
		scheme = "https"
	}
	return scheme + "://" + d.apiAt.Addr().String()
}

// AdminEndpoint returns the URL of health and administration.
func (d *Daemon) AdminEndpoint() string { return "http://" + d.adminAt.Addr().String() }

// Service returns the service, for tests that look inside.
func (d *Daemon) Service() *vault.Service { return d.service }

// Advance moves the clock of the service, for tests. Signatures still go by the clock of the machine.
func (d *Daemon) Advance(by time.Duration) { d.clock.move(by) }

// Run serves until ctx is done, then lets running requests finish, and closes everything. It returns nil after an orderly stop.
func (d *Daemon) Run(ctx context.Context) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	failed := make(chan error, 2)
	worked := make(chan struct{})
	go func() { d.worker.Run(background); close(worked) }()
	go func() { failed <- d.api.Serve(api.Listener(d.apiAt)) }()
	go func() { failed <- d.admin.Serve(d.adminAt) }()
	d.ready.Store(true)
	var err error
	select {
	case <-ctx.Done():
		d.log.Info("draining: no new requests are taken, running ones have time to finish", "at_most", drainTimeout)
	case err = <-failed:
	}
	d.ready.Store(false)
	d.rows.Hurry()
	err = errors.Join(err, d.drain())
	stop()
	<-worked
	return errors.Join(err, d.leave(context.WithoutCancel(ctx)), d.close())
}

// leave saves what the next start goes by. A catalogue that was moved meanwhile has it elsewhere.
func (d *Daemon) leave(ctx context.Context) error {
	err := d.service.KeepTime(ctx)
	switch {
	case errors.Is(err, catalogue.ErrMoved):
		return nil
	case err != nil && d.rows.Shared(): // others save it
		d.log.Warn("the time that locks go by could not be saved", "error", err)
		return nil
	case err == nil && d.config.BackupInterval > 0:
		err = d.lastBackup(ctx)
	}
	return err
}

func (d *Daemon) listen() (err error) {
	if d.apiAt, err = net.Listen("tcp", d.config.Listen); err != nil {
		return fmt.Errorf("listen for the API, choose another address with --listen: %w", err)
	}
	d.closers = append(d.closers, onceCloser{d.apiAt})
	if at, ok := d.apiAt.Addr().(*net.TCPAddr); ok && !at.IP.IsLoopback() && d.config.TLSCert == "" {
		d.log.Warn("archives cross the network unencrypted: give --tls-cert and --tls-key, or listen on loopback behind a proxy", "listen", at.String())
	}
	if d.config.TLSCert != "" {
		certificate, err := tls.LoadX509KeyPair(d.config.TLSCert, d.config.TLSKey)
		if err != nil {
			return fmt.Errorf("load the TLS certificate: %w", err)
		}
		d.apiAt = tls.NewListener(d.apiAt, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
	}
	if d.adminAt, err = net.Listen("tcp", d.config.AdminListen); err != nil {
		return fmt.Errorf("listen for administration, choose another address with --admin-listen: %w", err)
	}
	d.closers = append(d.closers, onceCloser{d.adminAt})
	return nil
}

// drain waits for running requests, then ends those that do not end.
func (d *Daemon) drain() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	if err := d.api.Shutdown(ctx); err != nil {
		d.log.Warn("requests still running are cut off", "error", err)
		d.api.Close()
	}
	ended, end := context.WithTimeout(context.Background(), adminTimeout)
	defer end()
	d.endTasks() // which can be gone on with, or begun anew
	if err := d.admin.Shutdown(ended); err != nil {
		return d.admin.Close()
	}
	return nil
}
