// Package group lets many callers share one costly step: what waits while one group is being committed makes the next.
// There is no delay on purpose: a caller that is alone is served at once.
package group

import "sync"

// Committer commits items in groups, one group at a time and in the order in which the items came.
type Committer[T any] struct {
	commit func(items []T)
	weight func(T) int
	limit  int

	mu    sync.Mutex
	busy  bool       // guarded by mu: a group is being committed
	queue []*item[T] // guarded by mu: what waits for the next groups
}

type item[T any] struct {
	value T
	wake  chan bool // true: lead the next group, false: it is committed
}

// New returns a Committer. commit is called by one goroutine at a time, one of the callers of Do; it reports to each item through what the
// item points to, and must not panic. A group ends before the item with which its weight would exceed limit, but has one item at least.
func New[T any](commit func(items []T), weight func(T) int, limit int) *Committer[T] {
	return &Committer[T]{commit: commit, weight: weight, limit: limit}
}

// Do returns when a group with the item has been committed.
func (c *Committer[T]) Do(value T) {
	mine := &item[T]{value, make(chan bool, 1)}
	c.mu.Lock()
	c.queue = append(c.queue, mine)
	lead := !c.busy
	c.busy = true
	c.mu.Unlock()
	if lead || <-mine.wake {
		c.lead()
	}
}

// lead commits the first group of the queue, and wakes who leads the next. The caller's own item is the first of it.
func (c *Committer[T]) lead() {
	c.mu.Lock()
	group := c.take()
	c.mu.Unlock()
	values := make([]T, len(group))
	for i, it := range group {
		values[i] = it.value
	}
	c.commit(values)
	c.mu.Lock()
	if c.busy = len(c.queue) > 0; c.busy {
		c.queue[0].wake <- true
	}
	c.mu.Unlock()
	for _, it := range group[1:] {
		it.wake <- false
	}
}

// take takes the next group off the queue. mu is held.
func (c *Committer[T]) take() []*item[T] {
	n, weight := 0, 0
	for n < len(c.queue) {
		weight += c.weight(c.queue[n].value)
		if n > 0 && weight > c.limit {
			break
		}
		n++
	}
	group := c.queue[:n:n]
	c.queue = c.queue[n:]
	return group
}
