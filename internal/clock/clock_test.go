package clock_test

import (
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/clock"
)

// machine is a machine whose clock and uptime a test sets.
type machine struct {
	now  time.Time
	boot string
	up   time.Duration
}

func (m *machine) machine() clock.Machine {
	return clock.Machine{Now: func() time.Time { return m.now }, Uptime: func() (string, time.Duration) { return m.boot, m.up }}
}

// pass lets time pass while the machine runs.
func (m *machine) pass(d time.Duration) { m.now, m.up = m.now.Add(d), m.up+d }

const (
	hour = time.Hour
	year = 365 * 24 * time.Hour
)

// TestLockTime tries to make lock time pass faster than time does.
func TestLockTime(t *testing.T) {
	start := time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC)
	reboot := func(off time.Duration) func(*machine) {
		return func(m *machine) { m.now, m.boot, m.up = m.now.Add(off), m.boot+"'", time.Minute }
	}
	set := func(by time.Duration) func(*machine) { return func(m *machine) { m.now = m.now.Add(by) } }
	pass := func(d time.Duration) func(*machine) { return func(m *machine) { m.pass(d) } }
	restart := func(*machine) {}
	for name, c := range map[string]struct {
		steps []func(*machine) // a restart of the server after each, too
		want  time.Duration    // of lock time
	}{
		"time passes":                          {[]func(*machine){pass(5 * hour), pass(2 * hour)}, 7 * hour},
		"the server is started again":          {[]func(*machine){pass(hour), restart, pass(hour)}, 2 * hour},
		"set back ten years":                   {[]func(*machine){pass(hour), set(-10 * year), pass(hour)}, 2 * hour},
		"set forward ten years":                {[]func(*machine){pass(hour), set(10 * year), pass(hour)}, 2 * hour},
		"forward and back":                     {[]func(*machine){set(10 * year), pass(hour), set(-10 * year), pass(hour)}, 2 * hour},
		"the machine is started again":         {[]func(*machine){pass(hour), reboot(time.Minute), pass(hour)}, 2 * hour},
		"off for ten years, or so it says":     {[]func(*machine){pass(hour), reboot(10 * year), pass(hour)}, 2 * hour},
		"started again with its clock back":    {[]func(*machine){pass(hour), reboot(-10 * year), pass(hour)}, 2 * hour},
		"restored from an image of before":     {[]func(*machine){pass(5 * hour), func(m *machine) { m.up -= 4 * hour }, pass(hour)}, 6 * hour},
		"one reboot after another, each later": {[]func(*machine){reboot(year), reboot(year), reboot(year)}, 0},
	} {
		for _, restarts := range []bool{false, true} {
			m := &machine{now: start, boot: "1", up: 100 * hour}
			l := clock.New(m.machine())
			for _, step := range c.steps {
				before := l.Reading()
				step(m)
				if restarts {
					l = clock.New(m.machine())
					l.Restore(before)
				}
				if l.LockTime().Before(before.Time) {
					t.Errorf("%s: lock time runs backwards, from %s to %s", name, before.Time, l.LockTime())
				}
			}
			if got := l.LockTime().Sub(start); got != c.want {
				t.Errorf("%s (restarts %t): %s of lock time have passed, want %s", name, restarts, got, c.want)
			}
			if got := l.Now(); !got.Equal(m.now) {
				t.Errorf("%s: it is %s, want %s", name, got, m.now)
			}
		}
	}
}

func TestMove(t *testing.T) {
	start := time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC)
	l := clock.Of(func() time.Time { return start })
	l.Move(5 * hour)
	l.Move(-3 * hour)
	if got, want := l.Now(), start.Add(2*hour); !got.Equal(want) {
		t.Errorf("it is %s, want %s", got, want)
	}
	if got, want := l.LockTime(), start.Add(5*hour); !got.Equal(want) {
		t.Errorf("the lock time is %s, want %s", got, want)
	}
	if now, skew := l.Stamp(); skew != -3*hour || !now.Equal(l.Now()) {
		t.Errorf("the stamp is %s, %s", now, skew)
	}
}
