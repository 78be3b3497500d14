package group_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moraine-archive/moraine/internal/group"
)

// request is an item: a number, and where its group says that it is done.
type request struct {
	number int
	done   *bool
}

// recorder commits groups by noting them. Each commit takes a second.
type recorder struct {
	mu     sync.Mutex
	groups [][]int
}

func (r *recorder) commit(items []request) {
	time.Sleep(time.Second)
	var numbers []int
	for _, it := range items {
		*it.done = true
		numbers = append(numbers, it.number)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.groups = append(r.groups, numbers)
}

// TestWhatWaitsIsCommittedTogether has requests come while others are committed.
func TestWhatWaitsIsCommittedTogether(t *testing.T) {
	for name, c := range map[string]struct {
		limit int
		come  []time.Duration // when each request comes
		want  [][]int
	}{
		"alone":                  {9, []time.Duration{0}, [][]int{{0}}},
		"one after the other":    {9, []time.Duration{0, 2 * time.Second}, [][]int{{0}, {1}}},
		"while another commits":  {9, []time.Duration{0, 1, 2, 3}, [][]int{{0}, {1, 2, 3}}},
		"two times":              {9, []time.Duration{0, 1, time.Second + 1, time.Second + 2}, [][]int{{0}, {1}, {2, 3}}},
		"no more than the limit": {2, []time.Duration{0, 1, 2, 3, 4, 5}, [][]int{{0}, {1, 2}, {3, 4}, {5}}},
		"each above the limit":   {0, []time.Duration{0, 1, 2}, [][]int{{0}, {1}, {2}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r recorder
				g := group.New(r.commit, func(request) int { return 1 }, c.limit)
				var all sync.WaitGroup
				for i, at := range c.come {
					all.Go(func() {
						time.Sleep(at)
						done := false
						if g.Do(request{i, &done}); !done {
							t.Errorf("Do of request %d returns before its group is committed", i)
						}
					})
				}
				all.Wait()
				if !slices.EqualFunc(r.groups, c.want, slices.Equal) {
					t.Errorf("the groups are %v, want %v", r.groups, c.want)
				}
			})
		})
	}
}

// TestEveryRequestIsCommittedOnce has many callers at once, in real time.
func TestEveryRequestIsCommittedOnce(t *testing.T) {
	const callers, requests = 32, 500
	times := make([]int, callers*requests) // each is written by one commit, and commits do not overlap
	committing := false
	g := group.New(func(items []request) {
		if committing {
			t.Error("two groups are committed at once")
		}
		committing = true
		for _, it := range items {
			times[it.number]++
			*it.done = true
		}
		committing = false
	}, func(request) int { return 1 }, 7)
	var all sync.WaitGroup
	for c := range callers {
		all.Go(func() {
			for i := range requests {
				done := false
				if g.Do(request{c*requests + i, &done}); !done {
					t.Error("Do returns before its group is committed")
				}
			}
		})
	}
	all.Wait()
	for number, n := range times {
		if n != 1 {
			t.Errorf("request %d was committed %d times", number, n)
		}
	}
}
