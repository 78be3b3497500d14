// Package clock keeps two times: that of the machine, which its administrator can set, and the lock time, which nobody can. Locks and the ages of archives
// go by the lock time, so that a clock set forward, or back, or both, shortens no lock.
//
// Lock time passes as the uptime of the machine does. It stands still while the machine is off, for then nothing but its clock says how long that was; a lock
// lasts longer by so much. Others who measured retention have decided the same (NetApp ONTAP: "ComplianceClock").
package clock

import (
	"sync"
	"time"
)

// Machine is where the times come from.
type Machine struct {
	Now func() time.Time
	// Uptime returns how long the machine has been running, however its clock was set meanwhile, and a name for this start of it.
	Uptime func() (boot string, up time.Duration)
}

// Reading is the lock time at an uptime.
type Reading struct {
	Time   time.Time
	Boot   string
	Uptime time.Duration
}

// Clock is both times. It can be used from several goroutines.
type Clock struct {
	machine Machine

	mu    sync.Mutex
	moved time.Duration // guarded by mu: by how much tests have set Now
	last  Reading       // guarded by mu: lock time goes on from here
}

// New returns a clock whose lock time is now that of the machine.
func New(m Machine) *Clock {
	boot, up := m.Uptime()
	return &Clock{machine: m, last: Reading{m.Now(), boot, up}}
}

// Of returns a clock for tests whose two times are those of now, as long as it does not run backwards.
func Of(now func() time.Time) *Clock {
	start := now()
	return New(Machine{Now: now, Uptime: func() (string, time.Duration) { return "test", now().Sub(start) }})
}

// Restore makes the lock time go on from a reading of before. If the machine was started again meanwhile, it goes on from there; otherwise it has passed as the
// uptime has.
func (c *Clock) Restore(r Reading) {
	boot, up := c.machine.Uptime()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = Reading{r.Time, boot, up}
	if boot == r.Boot && up > r.Uptime {
		c.last.Time = r.Time.Add(up - r.Uptime)
	}
}

// Now returns the time of the machine.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.machine.Now().Add(c.moved)
}

// LockTime returns the time that nobody can set. It never runs backwards.
func (c *Clock) LockTime() time.Time { return c.Reading().Time }

// Reading returns the lock time with what Restore needs.
func (c *Clock) Reading() Reading {
	c.mu.Lock()
	defer c.mu.Unlock()
	boot, up := c.machine.Uptime()
	if boot == c.last.Boot && up > c.last.Uptime {
		c.last.Time = c.last.Time.Add(up - c.last.Uptime)
	}
	c.last.Boot, c.last.Uptime = boot, up
	return c.last
}

// Stamp returns the time of the machine, and by how much it is ahead of the lock time.
func (c *Clock) Stamp() (now time.Time, skew time.Duration) {
	now = c.Now()
	return now, now.Sub(c.LockTime())
}

// Move is for tests that let time pass: both times go forward. Only Now goes back.
func (c *Clock) Move(by time.Duration) {
	c.Reading()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moved += by
	c.last.Time = c.last.Time.Add(max(0, by))
}
