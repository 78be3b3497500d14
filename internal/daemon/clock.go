package daemon

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/clock"
	"github.com/moraine-archive/moraine/internal/vfs"
)

// machine is this machine, with a clock that tests can replace. Its uptime counts while it sleeps, and no clock that is set changes it (clock_gettime(2), CLOCK_BOOTTIME).
func machine(now func() time.Time) clock.Machine {
	boot := bootName()
	return clock.Machine{Now: now, Uptime: func() (string, time.Duration) {
		var up unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &up); err != nil {
			panic(fmt.Sprintf("the uptime of the machine cannot be read: %v", err)) // Linux 2.6.39 has it
		}
		return boot, time.Duration(up.Nano())
	}}
}

// bootName names this start of the machine (proc(5)). A time namespace has an uptime of its own, which whoever makes it chooses: another one counts as another start
// (time_namespaces(7)). Where nothing names the start, every process is one.
func bootName() string {
	id, err := vfs.OS().ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return rand.Text()
	}
	offsets, err := vfs.OS().ReadFile("/proc/self/timens_offsets")
	if err != nil {
		offsets = nil // a kernel without them
	}
	return strings.Join(strings.Fields(string(id)+" "+string(offsets)), " ")
}

// restoreTime makes the lock time go on from what the catalogue has.
func (s *stores) restoreTime(ctx context.Context) error {
	var last catalogue.LockClock
	err := s.rows.View(ctx, func(tx *catalogue.Tx) (err error) {
		last, err = tx.LockClock()
		return err
	})
	if errors.Is(err, catalogue.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	s.times.Restore(clock.Reading{Time: last.Time, Boot: last.Boot, Uptime: last.Uptime})
	if _, skew := s.times.Stamp(); skew.Abs() > time.Minute {
		s.log.Info("locks and ages of archives go by the time that this server has run, not by the clock of the machine", "clock_ahead_by", skew.Round(time.Second))
	}
	return nil
}

// checkSettable refuses to let tests set the clock of a store with locks that were made in earnest.
func (s *stores) checkSettable(ctx context.Context) error {
	err := s.rows.View(ctx, func(tx *catalogue.Tx) error {
		v, err := tx.LockedForReal()
		if err == nil {
			err = fmt.Errorf("clock: the vault %s of the account %s is locked: the clock of this store cannot be set any more. Leave --clock out, or test with another data directory", v.Name, v.AccountID)
		}
		return err
	})
	if errors.Is(err, catalogue.ErrNotFound) {
		return nil
	}
	return err
}

// clockDoor lets tests set the clock of the service over the admin address.
type clockDoor struct {
	times   *clock.Clock
	may     func(context.Context) error // nil if the clock may be set
	changed func()                      // called after the clock was set
}

func (c clockDoor) move(by time.Duration) {
	c.times.Move(by)
	c.changed()
}

// moveFor moves the clock for a request and answers it.
func (c clockDoor) moveFor(w http.ResponseWriter, r *http.Request, by time.Duration) {
	if err := c.may(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	c.move(by)
	c.show(w, r)
}

// show answers with {"now":"2024-02-29T10:11:12Z"}.
func (c clockDoor) show(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]time.Time{"now": c.times.Now().UTC()})
}

// set takes what show answers with.
func (c clockDoor) set(w http.ResponseWriter, r *http.Request) {
	var body struct{ Now time.Time }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&body); err != nil || body.Now.IsZero() {
		http.Error(w, `the body must be like {"now":"2024-02-29T10:11:12Z"}`, http.StatusBadRequest)
		return
	}
	c.moveFor(w, r, body.Now.Sub(c.times.Now()))
}

// advance lets time pass: POST /clock/advance?by=4h.
func (c clockDoor) advance(w http.ResponseWriter, r *http.Request) {
	by, err := time.ParseDuration(r.URL.Query().Get("by"))
	if err != nil {
		http.Error(w, "by must be a duration, like /clock/advance?by=4h", http.StatusBadRequest)
		return
	}
	c.moveFor(w, r, by)
}
