package vault

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/protocol"
)

func TestIDsSortAsTheyAreMade(t *testing.T) {
	start := time.Date(2024, 2, 29, 10, 11, 12, 0, time.UTC)
	for name, step := range map[string]func(i int) time.Time{
		"a clock that runs":                  func(i int) time.Time { return start.Add(time.Duration(i) * time.Millisecond) },
		"a clock that stands still":          func(int) time.Time { return start },
		"a clock that goes back":             func(i int) time.Time { return start.Add(-time.Duration(i) * time.Hour) },
		"a clock that jumps back and forth":  func(i int) time.Time { return start.Add(time.Duration(i%3-1) * 1000 * time.Hour) },
		"a clock that was never set":         func(int) time.Time { return time.Unix(0, 0) },
		"a clock before all that has a date": func(int) time.Time { return time.Time{} },
		"a clock far ahead":                  func(i int) time.Time { return time.Date(2261, 1, 1, 0, 0, i, 0, time.UTC) },
	} {
		t.Run(name, func(t *testing.T) {
			var g ids
			var last string
			for i := range 2000 {
				id := g.make(step(i), protocol.ArchiveIDLength)
				if id <= last {
					t.Fatalf("id %d is %s, which does not sort after %s", i, id, last)
				}
				if id[0] == '-' {
					t.Fatalf("id %d begins with a hyphen: %s", i, id)
				}
				last = id
			}
		})
	}
}

func TestIDsHaveTheirForm(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
	s := &Service{now: time.Now}
	for name, c := range map[string]struct {
		make   func() string
		length int
	}{
		"archive": {s.newArchiveID, 138}, "upload": {s.newUploadID, 92}, "job": {s.newJobID, 92},
	} {
		seen := make(map[byte]bool)
		for range 200 {
			id := c.make()
			if len(id) != c.length || strings.Trim(id, alphabet) != "" {
				t.Fatalf("%s: %q has %d characters, want %d of %s", name, id, len(id), c.length, alphabet)
			}
			seen[id[len(id)/2]] = true
		}
		if len(seen) < 40 {
			t.Errorf("%s: only %d different characters in the middle of 200 ids", name, len(seen))
		}
	}
}

// TestIDsCannotBeGuessed makes ids with two generators at the same moment: they begin alike and have nothing else in common.
func TestIDsCannotBeGuessed(t *testing.T) {
	now := time.Date(2024, 2, 29, 10, 11, 12, 0, time.UTC)
	var g, h ids
	for _, length := range []int{protocol.ArchiveIDLength, protocol.UploadIDLength} {
		a, b := g.make(now, length), h.make(now, length)
		if a[:10] != b[:10] {
			t.Errorf("%s and %s do not begin alike", a, b)
		}
		same := 0
		for i := 11; i < length; i++ {
			if a[i] == b[i] {
				same++
			}
		}
		if same > length/4 {
			t.Errorf("%d of %d characters of %s and %s are equal", same, length, a, b)
		}
	}
}

func TestIDsMadeAtOnce(t *testing.T) {
	const makers, each = 8, 500
	now := time.Now()
	var g ids
	made := make([][]string, makers)
	var all sync.WaitGroup
	for m := range made {
		all.Go(func() {
			for range each {
				made[m] = append(made[m], g.make(now, protocol.JobIDLength))
			}
		})
	}
	all.Wait()
	seen := make(map[string]bool)
	for _, list := range made {
		for i, id := range list {
			if i > 0 && id <= list[i-1] {
				t.Fatalf("%s was made after %s", id, list[i-1])
			}
			seen[id] = true
		}
	}
	if len(seen) != makers*each {
		t.Errorf("%d different ids, want %d", len(seen), makers*each)
	}
}
