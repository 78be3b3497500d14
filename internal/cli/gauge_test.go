package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/glacier/transfer"
)

// TestGauge draws transfers on terminals of every width: no line is too long, and what matters most is there.
func TestGauge(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, name := range []string{"a", "a long name of a file in some/directory/with/others.tar.gz", "漢字漢字漢字漢字漢字漢字漢字漢字漢字"} {
		for _, total := range []int64{-1, 100 << 20} {
			var g gauge
			g.event(transfer.Event{Phase: transfer.Sending, ID: "u", Total: total}, now)
			g.event(transfer.Event{Phase: transfer.Sending, ID: "u", Total: total, Done: 50 << 20, Parts: 3}, now.Add(10*time.Second))
			for width := 1; width < 200; width++ {
				line := g.line(name, width, now.Add(10*time.Second))
				if columns(line) > width {
					t.Fatalf("%d columns for a width of %d: %q", columns(line), width, line)
				}
				if width >= 20 && total > 0 && !strings.Contains(line, "50%") {
					t.Errorf("%d: %q", width, line)
				}
				if width >= 120 && total > 0 && !(strings.Contains(line, "5.0 MiB/s") && strings.Contains(line, "10s left") && strings.Contains(line, "3 parts")) {
					t.Errorf("%d: %q", width, line)
				}
			}
		}
	}
}

// TestWaiting draws what is waited for.
func TestWaiting(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	g := gauge{job: &glacier.Job{ID: "0123456789abcdefghij", ArchiveID: "a", Tier: "Bulk", CreationDate: now.Add(-3 * time.Hour)}}
	g.event(transfer.Event{Phase: transfer.Waiting, ID: "j", Total: -1}, now)
	for width, want := range map[int]string{
		0:   "photos.tar: waiting for the Bulk retrieval job 0123456789abcdef, begun 2026-01-02T00:04:05Z (3 h ago)",
		110: "photos.tar: waiting for the Bulk retrieval job 0123456789abcdef, begun 2026-01-02T00:04:05Z (3 h ago)",
		60:  "photos.tar: waiting for the Bulk retrieval job (3 h)",
		30:  "photos.tar: waiting, 3 h",
		8:   "waiting",
	} {
		if got := g.line("photos.tar", width, now); got != want {
			t.Errorf("%d columns: %q, want %q", width, got, want)
		}
	}
}

func TestFit(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
		want  string
	}{{"abc", 0, "abc"}, {"abc", 3, "abc"}, {"abcdef", 5, "a..ef"}, {"abcdef", 4, "a..f"}, {"abcdef", 3, "..f"}, {"abcdef", 2, ".."}} {
		if got := fit(c.text, c.width); got != c.want {
			t.Errorf("%q in %d: %q, want %q", c.text, c.width, got, c.want)
		}
	}
	for text, want := range map[string]string{"a b": "a b", "a\x1b[2Jb\n": "a\\u001b[2Jb\\u000a", "\u202egpj": "\\u202egpj", "\u00fc": "\u00fc"} {
		if got := printable(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestRepeat gives commands other arguments, in a form that a shell takes.
func TestRepeat(t *testing.T) {
	for _, c := range []struct {
		args, files, left []string
		want              string
	}{
		{[]string{"upload", "--vault", "v", "a", "b c", "d"}, []string{"a", "b c", "d"}, []string{"b c", "d"}, "moraine upload --vault v 'b c' d"},
		{[]string{"upload", "a", "b", "--vault", "v"}, []string{"a", "b"}, []string{"b"}, "moraine upload --vault v b"},
		{[]string{"upload", "--vault", "a", "a"}, []string{"a"}, []string{"a"}, "moraine upload --vault a a"},
		{[]string{"upload", "a", "b", "--vault", "a"}, []string{"a", "b"}, []string{"b"}, "moraine upload --vault a b"},
		{[]string{"upload", "--vault", "v", "upload"}, []string{"upload"}, []string{"upload"}, "moraine upload --vault v upload"},
		{[]string{"upload", "--vault", "v", "--", "-x", "it's"}, []string{"-x", "it's"}, []string{"it's"}, `moraine upload --vault v -- 'it'\''s'`},
		{[]string{"upload", "--vault", "v", "--name", "n n", "-"}, []string{"-"}, []string{"--resume", "u", "-"}, "moraine upload --vault v --name 'n n' --resume u -"},
	} {
		if got := repeat(c.args, c.files, c.left, uploadCommand(Process{}).Flags()); got != c.want {
			t.Errorf("%q: %s, want %s", c.args, got, c.want)
		}
	}
}
