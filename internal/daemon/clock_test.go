package daemon_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/clock"
	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/daemon"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

// machine is a machine whose clock and uptime a test sets.
type machine struct {
	mu   sync.Mutex
	now  time.Time     // guarded by mu
	boot string        // guarded by mu
	up   time.Duration // guarded by mu
}

func (m *machine) machine() clock.Machine {
	return clock.Machine{Now: m.clock, Uptime: func() (string, time.Duration) {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.boot, m.up
	}}
}

func (m *machine) clock() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// set sets the clock; no time passes.
func (m *machine) set(by time.Duration) { m.change(by, 0) }

// pass lets time pass while the machine runs.
func (m *machine) pass(d time.Duration) { m.change(d, d) }

func (m *machine) change(now, up time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now, m.up = m.now.Add(now), m.up+up
}

// reboot starts the machine again; its clock says that it was off for a while.
func (m *machine) reboot(off time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now, m.boot, m.up = m.now.Add(off), m.boot+"'", time.Minute
}

const (
	day  = 24 * time.Hour
	year = 365 * day

	retention = `{"Version":"2012-10-17","Statement":[{"Sid":"keep","Effect":"Deny","Principal":"*","Action":"glacier:DeleteArchive","Resource":"*",` +
		`"Condition":{"NumericLessThan":{"glacier:ArchiveAgeInDays":"365"}}}]}`
)

// cheater is an administrator who wants to be rid of an archive before its time: the data and the machine are the administrator's.
type cheater struct {
	*moraintest.Server
	*machine
	config   config.Config
	archive  string // the last one
	archives int
	lock     string // its id
	end      func(t *testing.T)
}

func newCheater(t *testing.T, options ...func(*config.Config)) *cheater {
	t.Helper()
	c := &cheater{machine: &machine{now: time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC), boot: "1", up: 100 * time.Hour}, config: moraintest.Config(t)}
	key := moraintest.Key{Account: "123456789012", ID: processKeyID, Secret: processSecret}
	c.config.RootKeyID, c.config.RootSecret, c.config.RootAccount = key.ID, key.Secret, key.Account
	for _, o := range options {
		o(&c.config)
	}
	c.Server = &moraintest.Server{Region: c.config.Region, Key: key}
	c.start(t)
	t.Cleanup(func() { c.stop(t) })
	c.call(t, 201, "PUT", "", nil)
	c.upload(t)
	return c
}

// upload uploads what is to be deleted before its time.
func (c *cheater) upload(t *testing.T) {
	t.Helper()
	body := []byte("evidence")
	r := moraintest.Request{Method: "POST", Path: "/-/vaults/v/archives", Header: moraintest.UploadHeaders(body), Body: body, Time: c.clock()}
	c.archive = c.Want(t, 201, r).Header.Get("x-amz-archive-id")
	c.archives++
}

// locked puts a lock on the vault, for ever.
func (c *cheater) locked(t *testing.T) *cheater {
	t.Helper()
	policy, err := json.Marshal(map[string]string{"Policy": retention})
	if err != nil {
		t.Fatal(err)
	}
	c.lock = c.call(t, 201, "POST", "/lock-policy", policy).Header.Get("x-amz-lock-id")
	c.call(t, 204, "POST", "/lock-policy/"+c.lock, nil)
	return c
}

func (c *cheater) open(t *testing.T) (*daemon.Daemon, error) {
	t.Helper()
	return daemon.OpenOn(t.Context(), c.config, slog.New(slog.DiscardHandler), c.machine.machine())
}

func (c *cheater) start(t *testing.T) {
	t.Helper()
	d, err := c.open(t)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	c.Endpoint, c.AdminEndpoint = d.Endpoint(), d.AdminEndpoint()
	c.end = func(t *testing.T) {
		cancel()
		http.DefaultClient.CloseIdleConnections()
		if err := <-ended; err != nil {
			t.Errorf("the server did not stop well: %v", err)
		}
	}
}

func (c *cheater) stop(t *testing.T) {
	t.Helper()
	if c.end != nil {
		c.end(t)
		c.end = nil
	}
}

func (c *cheater) restart(t *testing.T) { t.Helper(); c.stop(t); c.start(t) }

// call sends a request about the vault, signed by the clock of the machine.
func (c *cheater) call(t *testing.T, status int, method, path string, body []byte) moraintest.Response {
	t.Helper()
	return c.Want(t, status, moraintest.Request{Method: method, Path: "/-/vaults/v" + path, Body: body, Time: c.clock()})
}

// deletes wants the deletion of the archive to be answered with a status.
func (c *cheater) deletes(t *testing.T, status int) {
	t.Helper()
	r := c.call(t, status, "DELETE", "/archives/"+c.archive, nil)
	if status == 403 && (r.Code() != "AccessDeniedException" || !strings.Contains(r.Message(), `the vault lock policy, statement "keep"`)) {
		t.Errorf("the deletion is denied by %s", r.Body)
	}
}

// rebuild makes the catalogue anew, by what the clock of the machine says, of the medium and perhaps the newest copy.
func (c *cheater) rebuild(t *testing.T, noBackup bool) {
	t.Helper()
	c.stop(t)
	o := daemon.RebuildOptions{Replace: true, NoBackup: noBackup}
	r, err := daemon.Rebuild(t.Context(), c.config, o, slog.New(slog.DiscardHandler), c.clock, func(e daemon.Event) error {
		if f := e.Finding; f != nil && f.Severity == daemon.Wrong {
			t.Errorf("the rebuild finds %s", f)
		}
		return nil
	})
	if err != nil || int(r.Archives) != c.archives || (r.Backup == nil) != noBackup {
		t.Fatalf("the rebuild has made %+v, %v", r, err)
	}
	c.start(t)
}

// TestLocksCannotBeCheated tries, with a whole server and a machine of its own.
func TestLocksCannotBeCheated(t *testing.T) {
	for name, try := range map[string]func(t *testing.T, c *cheater){
		"the clock set forward":           func(_ *testing.T, c *cheater) { c.set(10 * year) },
		"the clock set back":              func(t *testing.T, c *cheater) { c.set(-10 * year) },
		"forward, and a restart":          func(t *testing.T, c *cheater) { c.set(10 * year); c.restart(t) },
		"forward while it is stopped":     func(t *testing.T, c *cheater) { c.stop(t); c.set(10 * year); c.start(t) },
		"back while it is stopped":        func(t *testing.T, c *cheater) { c.stop(t); c.set(-10 * year); c.start(t) },
		"forward, a restart, and back":    func(t *testing.T, c *cheater) { c.set(10 * year); c.restart(t); c.set(-10 * year); c.restart(t) },
		"the machine off for ten years":   func(t *testing.T, c *cheater) { c.stop(t); c.reboot(10 * year); c.start(t) },
		"one boot after another":          func(t *testing.T, c *cheater) { reboots(t, c, year, year, year, year) },
		"boots with the clock back":       func(t *testing.T, c *cheater) { reboots(t, c, -year, 3*year, -year) },
		"a rebuild":                       func(t *testing.T, c *cheater) { c.rebuild(t, true) },
		"a rebuild with a copy":           func(t *testing.T, c *cheater) { c.copyCatalogue(t); c.rebuild(t, false) },
		"a rebuild under a clock forward": func(t *testing.T, c *cheater) { c.set(10 * year); c.rebuild(t, true) },
		"the same with a copy":            func(t *testing.T, c *cheater) { c.copyCatalogue(t); c.set(10 * year); c.rebuild(t, false) },
		"a rebuild on a machine that was off": func(t *testing.T, c *cheater) {
			c.stop(t)
			c.reboot(10 * year)
			c.rebuild(t, true)
		},
		"a rebuild forward, and another back": func(t *testing.T, c *cheater) {
			c.set(10 * year)
			c.rebuild(t, true)
			c.set(-10 * year)
			c.rebuild(t, true)
		},
		"stored while the clock was back": func(t *testing.T, c *cheater) { c.set(-10 * year); c.upload(t); c.set(10 * year) },
		"stored then, and a restart": func(t *testing.T, c *cheater) {
			c.set(-10 * year)
			c.restart(t)
			c.upload(t)
			c.set(10 * year)
			c.restart(t)
		},
		"stored then, and a rebuild": func(t *testing.T, c *cheater) { c.set(-10 * year); c.upload(t); c.set(10 * year); c.rebuild(t, true) },
		"stored then, and a rebuild of a copy": func(t *testing.T, c *cheater) {
			c.copyCatalogue(t)
			c.set(-10 * year)
			c.upload(t)
			c.set(10 * year)
			c.rebuild(t, false)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCheater(t).locked(t)
			c.pass(day)
			try(t, c)
			c.deletes(t, 403)
			d := c.call(t, 200, "GET", "/lock-policy", nil).JSON(t)
			if d["State"] != "Locked" || d["Policy"] != retention {
				t.Errorf("the lock is %v", d)
			}
			c.call(t, 403, "DELETE", "/lock-policy", nil)
			c.call(t, 204, "POST", "/lock-policy/"+c.lock, nil)
			c.pass(363*day - time.Hour)
			c.restart(t)
			c.deletes(t, 403)
			c.pass(3 * day) // and what is allowed is allowed
			c.deletes(t, 204)
		})
	}
}

func reboots(t *testing.T, c *cheater, off ...time.Duration) {
	for _, d := range off {
		c.stop(t)
		c.reboot(d)
		c.start(t)
	}
}

// copyCatalogue has the server write a copy of the catalogue.
func (c *cheater) copyCatalogue(t *testing.T) {
	t.Helper()
	maintain(t, c.config, daemon.Task{Name: "backup"})
}

// TestClockOfAStoreWithLocks: tests may set the clock only of a store whose locks were made in tests.
func TestClockOfAStoreWithLocks(t *testing.T) {
	emulate := func(c *config.Config) { moraintest.Emulate(c); c.Clock = true }
	advance := func(t *testing.T, c *cheater) {
		t.Helper()
		res, err := http.Post(c.AdminEndpoint+"/clock/advance?by=8761h", "", nil) // a year and an hour
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Fatalf("the clock is not advanced: %s", res.Status)
		}
	}
	t.Run("locked in earnest", func(t *testing.T) {
		c := newCheater(t).locked(t)
		c.stop(t)
		emulate(&c.config)
		for _, what := range []string{"as it is", "rebuilt"} {
			d, err := c.open(t)
			if err == nil {
				t.Fatalf("%s: a server whose clock can be set starts at %s", what, d.Endpoint())
			}
			for _, want := range []string{"clock: the vault v of the account 123456789012 is locked", "--clock"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%s: the error is %q, without %q", what, err, want)
				}
			}
			c.config.Clock, c.config.Emulate = false, ""
			c.rebuild(t, true)
			c.stop(t)
			emulate(&c.config)
		}
		c.config.Clock = false // the other behaviour alone sets nothing
		c.start(t)
		c.deletes(t, 403)
	})
	t.Run("in progress in earnest, completed in a test", func(t *testing.T) {
		c := newCheater(t)
		policy, _ := json.Marshal(map[string]string{"Policy": retention})
		c.lock = c.call(t, 201, "POST", "/lock-policy", policy).Header.Get("x-amz-lock-id")
		c.stop(t)
		emulate(&c.config)
		c.start(t)
		c.call(t, 204, "POST", "/lock-policy/"+c.lock, nil)
		for _, ask := range []string{"POST /clock/advance?by=8761h", `PUT /clock {"now":"2040-01-01T00:00:00Z"}`} {
			method, rest, _ := strings.Cut(ask, " ")
			path, body, _ := strings.Cut(rest, " ")
			req, err := http.NewRequestWithContext(t.Context(), method, c.AdminEndpoint+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != http.StatusConflict {
				t.Errorf("%s on a store that is locked in earnest: %s", ask, res.Status)
			}
		}
		c.deletes(t, 403)
		c.stop(t)
		if _, err := c.open(t); err == nil || !strings.Contains(err.Error(), "is locked") {
			t.Errorf("a server whose clock can be set starts: %v", err)
		}
	})
	t.Run("in progress in a test, completed in earnest", func(t *testing.T) {
		c := newCheater(t, emulate)
		policy, _ := json.Marshal(map[string]string{"Policy": retention})
		c.lock = c.call(t, 201, "POST", "/lock-policy", policy).Header.Get("x-amz-lock-id")
		c.stop(t)
		c.config.Clock = false
		c.start(t)
		c.call(t, 204, "POST", "/lock-policy/"+c.lock, nil)
		c.stop(t)
		c.config.Clock = true
		if _, err := c.open(t); err == nil || !strings.Contains(err.Error(), "is locked") {
			t.Errorf("a server whose clock can be set starts: %v", err)
		}
	})
	t.Run("locked in a test", func(t *testing.T) {
		c := newCheater(t, emulate).locked(t)
		c.deletes(t, 403)
		c.restart(t)
		c.deletes(t, 403)
		advance(t, c)
		c.deletes(t, 204)
	})
	t.Run("locked in a test, and rebuilt", func(t *testing.T) {
		c := newCheater(t, emulate).locked(t)
		c.rebuild(t, true)
		c.deletes(t, 403)
		advance(t, c)
		c.deletes(t, 204)
	})
}
