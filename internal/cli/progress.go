package cli

import (
	"io"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/sys/unix"

	"github.com/moraine-archive/moraine/internal/daemon"
)

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
