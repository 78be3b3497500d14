package cli

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/sys/unix"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/glacier/transfer"
	"github.com/moraine-archive/moraine/internal/daemon"
)

// There are three forms of progress, because what is shown has three forms, and they have little in common but that it changes:
//   - view is for one transfer of bytes: phases, rate, time left, jobs that are waited for, on a terminal and in a pipe;
//   - pace is for several transfers at once that come and go, where a line of each that changes would be in the way of those that stay;
//   - meter is for what is counted: deletions, and what administrators' tasks go through.

// view shows how far a transfer is: with a line that changes on a terminal, with a line from time to time in a pipe. A nil view shows nothing.
type view struct {
	out  io.Writer
	name string // of what is transferred
	bars *mpb.Progress
	bar  *mpb.Bar

	mu sync.Mutex
	g  gauge // guarded by mu

	// Of lines in a pipe, guarded by mu.
	lastLine time.Time
	lastPart int64 // tenths that were done
}

// watch begins to show a transfer. With --json it shows nothing.
func (s *session) watch(name string) *view {
	if s.asJSON {
		return nil
	}
	v := &view{out: s.Stderr, name: printable(name)}
	if isTerminal(s.Stderr) {
		v.bars = mpb.New(mpb.WithOutput(s.Stderr), mpb.WithRefreshRate(200*time.Millisecond))
		v.bar = v.bars.MustAdd(0, mpb.BarFillerFunc(func(w io.Writer, st decor.Statistics) error {
			v.mu.Lock()
			defer v.mu.Unlock()
			_, err := io.WriteString(w, v.g.line(v.name, st.AvailableWidth, time.Now()))
			return err
		}), mpb.BarFillerTrim())
	}
	return v
}

// show is told of every event.
func (v *view) show(e transfer.Event) {
	if v == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	now := time.Now()
	begun := v.g.event(e, now)
	if v.bar != nil {
		return
	}
	tenth := int64(0)
	if e.Total > 0 {
		tenth = 10 * e.Done / e.Total
	}
	switch {
	case begun && e.Phase != transfer.Waiting && e.Phase != transfer.Completing && (e.Phase != transfer.Hashing || e.Total >= worthALine):
		v.lastLine, v.lastPart = now, tenth
		fmt.Fprintln(v.out, v.g.beginning(v.name))
	case !begun && v.due(tenth, now):
		v.lastLine, v.lastPart = now, tenth
		fmt.Fprintln(v.out, v.g.line(v.name, 0, now))
	}
}

// worthALine is from which size on it is said that a file is read.
const worthALine = 64 << 20

// due reports whether it is time for another line in a pipe: each tenth, but not every moment, and each ten seconds.
func (v *view) due(tenth int64, now time.Time) bool {
	since := now.Sub(v.lastLine)
	return v.g.e.Phase != transfer.Waiting && (since >= 10*time.Second || since >= time.Second && tenth > v.lastPart) && !v.lastLine.IsZero()
}

// job is told how a job is that is waited for.
func (v *view) job(j *glacier.Job) {
	if v == nil || j.Completed {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	first := v.g.job == nil || v.g.job.ID != j.ID
	v.g.job = j
	if now := time.Now(); v.bar == nil && (first || now.Sub(v.lastLine) >= 10*time.Minute) {
		v.lastLine = now
		fmt.Fprintf(v.out, "%s: %s\n", v.name, waitingFor(j, now)[0])
	}
}

// end takes the line away, so that something can be printed.
func (v *view) end() {
	if v == nil || v.bar == nil {
		return
	}
	v.bar.Abort(true)
	v.bars.Wait()
}

// meter shows on a terminal how far something is. A nil meter shows nothing: in a pipe nobody wants to see it.
type meter struct {
	out  io.Writer
	bars *mpb.Progress
	bar  *mpb.Bar
	what string
}

func newMeter(w io.Writer) *meter {
	if !isTerminal(w) {
		return nil
	}
	return &meter{out: w}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(interface{ Fd() uintptr })
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// show shows how far it is. Each thing that is gone through has a bar of its own.
func (m *meter) show(p daemon.Progress) {
	if m == nil || p.Total == 0 {
		return
	}
	if m.bar == nil || m.what != p.What {
		m.clear()
		m.what = p.What
		m.bars = mpb.New(mpb.WithOutput(m.out), mpb.WithWidth(64))
		m.bar = m.bars.AddBar(p.Total, mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(p.What, decor.WCSyncSpaceR), decor.CountersNoUnit("%d of %d")),
			mpb.AppendDecorators(decor.Percentage(), decor.AverageETA(decor.ET_STYLE_GO)))
	}
	m.bar.SetTotal(p.Total, false)
	m.bar.SetCurrent(p.Done)
}

// clear takes the bar away, so that something can be printed.
func (m *meter) clear() {
	if m == nil || m.bar == nil {
		return
	}
	m.bar.Abort(true)
	m.bars.Wait()
	m.bar = nil
}

// paceEvery is how often it is said how far a large file is, where several come and go at once.
const paceEvery = 10 * time.Second

// pace returns a function that says from time to time how far a transfer is. One that takes no longer says nothing: the line that it is done comes soon.
func (s *session) pace(name string) func(transfer.Event) {
	if s.asJSON {
		return nil
	}
	last := time.Now()
	return func(e transfer.Event) {
		if now := time.Now(); e.Total > 0 && now.Sub(last) >= paceEvery {
			last = now
			s.say("%s", paceLine(name, e))
		}
	}
}

func paceLine(name string, e transfer.Event) string {
	return fmt.Sprintf("%s: %s, %d%%, %s of %s", printable(name), e.Phase, 100*e.Done/e.Total, size(e.Done), size(e.Total))
}
