package cli

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/glacier/transfer"
)

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
