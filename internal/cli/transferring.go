package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/glacier/transfer"
)

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

// waitingFor says what is waited for, and since when: in full, and shorter and shorter.
func waitingFor(j *glacier.Job, now time.Time) []string {
	what := "retrieval"
	if j.ArchiveID == "" {
		what = "inventory"
	}
	tier := ""
	if j.Tier != "" {
		tier = j.Tier + " "
	}
	since := age(max(0, now.Sub(j.CreationDate)))
	return []string{
		fmt.Sprintf("waiting for the %s%s job %s, begun %s (%s ago)", tier, what, start(j.ID), moment(j.CreationDate), since),
		fmt.Sprintf("waiting for the %s%s job (%s)", tier, what, since),
		"waiting, " + since,
		"waiting",
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

// gauge is how far a transfer is, and how fast it goes.
type gauge struct {
	e       transfer.Event
	job     *glacier.Job // that is waited for; nil: none yet
	begun   time.Time
	samples []sample
}

// sample is how many bytes were done at a time.
type sample struct {
	at   time.Time
	done int64
}

// window is over how long the rate is measured.
const window = 15 * time.Second

// event takes an event, and reports whether it begins a phase.
func (g *gauge) event(e transfer.Event, now time.Time) bool {
	begun := g.begun.IsZero() || e.Phase != g.e.Phase || e.ID != g.e.ID
	if begun {
		g.begun, g.samples = now, nil
	}
	g.e = e
	if n := len(g.samples); n == 0 || now.Sub(g.samples[n-1].at) >= time.Second/4 {
		g.samples = append(g.samples, sample{now, e.Done})
	}
	for len(g.samples) > 2 && now.Sub(g.samples[0].at) > window {
		g.samples = g.samples[1:]
	}
	return begun
}

// rate is in bytes per second; 0: it is not known yet.
func (g *gauge) rate(now time.Time) float64 {
	if len(g.samples) == 0 {
		return 0
	}
	first := g.samples[0]
	took := now.Sub(first.at).Seconds()
	if took < 0.5 || g.e.Done <= first.done {
		return 0
	}
	return float64(g.e.Done-first.done) / took
}

// line is how far it is in at most so many columns; 0: as many as it takes. What matters least is left out first, and the name is cut in its middle.
func (g *gauge) line(name string, width int, now time.Time) string {
	if g.e.Phase == transfer.Waiting && g.job != nil {
		return wait(name, waitingFor(g.job, now), width)
	}
	facts := g.facts(now)
	if width > 0 { // so that nothing jumps
		for i, wide := range []int{4, 20, 11, 10} {
			if i < len(facts) && g.e.Total > 0 {
				facts[i] = fmt.Sprintf("%*s", wide, facts[i])
			}
		}
	}
	for n := len(facts); n > 0; n-- {
		tail := strings.Join(facts[:n], "  ")
		if width == 0 {
			return name + ": " + tail
		}
		if room := width - columns(tail) - 2; room >= min(columns(name), 12) {
			return pad(fit(name, min(room, 40)), width, tail, g.fraction())
		}
	}
	return fit(facts[0], width)
}

// wait is the fullest of some texts beside which the name has room.
func wait(name string, texts []string, width int) string {
	for _, text := range texts {
		if room := width - columns(text) - 2; width == 0 || room >= min(columns(name), 12) {
			return fit(name, max(room, 0)) + ": " + text
		}
	}
	return fit(texts[len(texts)-1], width)
}

// beginning says what begins.
func (g *gauge) beginning(name string) string {
	line := fmt.Sprintf("%s: %s", name, g.e.Phase)
	if g.e.Total > 0 {
		line += " " + size(g.e.Total)
	}
	return line
}

// facts are what there is to say, the most important first.
func (g *gauge) facts(now time.Time) []string {
	var facts []string
	if g.e.Total > 0 {
		facts = append(facts, fmt.Sprintf("%3.0f%%", 100*g.fraction()), fmt.Sprintf("%s of %s", size(g.e.Done), size(g.e.Total)))
	} else {
		facts = append(facts, size(g.e.Done))
	}
	if rate := g.rate(now); rate > 0 {
		facts = append(facts, size(int64(rate))+"/s")
		if g.e.Total > 0 {
			left := time.Duration(float64(g.e.Total-g.e.Done) / rate * float64(time.Second))
			facts = append(facts, left.Round(time.Second).String()+" left")
		}
	}
	if g.e.Parts > 0 {
		facts = append(facts, fmt.Sprintf("%d parts", g.e.Parts))
	}
	return append(facts, g.e.Phase.String())
}

func (g *gauge) fraction() float64 {
	if g.e.Total <= 0 {
		return 0
	}
	return min(1, max(0, float64(g.e.Done)/float64(g.e.Total)))
}

// pad puts a bar between the name and the rest, if there is room for one.
func pad(name string, width int, tail string, fraction float64) string {
	room := width - columns(name) - columns(tail) - 4 // with spaces
	if room < 10 {
		return name + "  " + tail
	}
	room = min(room, 40) - 2
	full := int(fraction * float64(room))
	return name + " [" + strings.Repeat("=", full) + strings.Repeat("-", room-full) + "] " + tail
}

// fit cuts a text in its middle so that it takes no more than so many columns; 0: it is not cut.
func fit(text string, width int) string {
	if width == 0 || columns(text) <= width {
		return text
	}
	if width < 3 {
		return strings.Repeat(".", width)
	}
	r := []rune(text)
	head, tail := 0, len(r)
	left := width - 2
	for left > 0 && head < tail { // alternately from both ends, so that the end of a path shows
		if w := runeColumns(r[tail-1]); w <= left {
			tail--
			left -= w
		} else {
			break
		}
		if w := runeColumns(r[head]); w <= left && head < tail {
			head++
			left -= w
		} else {
			break
		}
	}
	return string(r[:head]) + ".." + string(r[tail:])
}

// columns is how many columns a text takes on a terminal, at most.
func columns(text string) int {
	n := 0
	for _, r := range text {
		n += runeColumns(r)
	}
	return n
}

// runeColumns takes every character beyond those of Europe for a wide one: a line that is too short does no harm, one that is too long would be two.
func runeColumns(r rune) int {
	switch {
	case unicode.Is(unicode.Mn, r):
		return 0
	case r < 0x1100:
		return 1
	}
	return 2
}

// printable makes of a text that came from anywhere one that cannot do anything to a terminal, and has one line.
func printable(text string) string {
	if utf8.ValidString(text) && strings.IndexFunc(text, unprintable) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if unprintable(r) {
			fmt.Fprintf(&b, "\\u%04x", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func unprintable(r rune) bool { return r != ' ' && !unicode.IsPrint(r) }

// start is the beginning of an id, long enough to tell it from others.
func start(id string) string {
	if len(id) <= startLength {
		return id
	}
	return id[:startLength]
}

const startLength = 16
