package objects

import (
	"container/list"
	"sync"
	"time"
)

// Figures of what is remembered of objects.
const (
	metaCache = 64 << 20 // bytes
	goneCache = 16 << 20 // bytes
	freshFor  = 5 * time.Second
)

// cache remembers something of each of the objects that were asked about last. It is safe for concurrent use.
type cache[V any] struct {
	limit int64

	mu      sync.Mutex
	entries map[name]*list.Element // guarded by mu
	order   *list.List             // guarded by mu: of *cached[V], the last one used first
	weight  int64                  // guarded by mu
}

type cached[V any] struct {
	name   name
	value  V
	weight int64
}

func newCache[V any](limit int64) *cache[V] {
	return &cache[V]{limit: limit, entries: make(map[name]*list.Element), order: list.New()}
}

// get returns what is remembered, false if nothing is.
func (c *cache[V]) get(n name) (v V, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, known := c.entries[n]
	if !known {
		return v, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*cached[V]).value, true
}

// change replaces what is remembered with what fn makes of it, which weighs so many bytes. fn is given the zero value if nothing is remembered.
func (c *cache[V]) change(n name, fn func(V) (V, int64)) V {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, known := c.entries[n]
	if !known {
		e = c.order.PushFront(&cached[V]{name: n})
		c.entries[n] = e
	}
	c.order.MoveToFront(e)
	it := e.Value.(*cached[V])
	c.weight -= it.weight
	it.value, it.weight = fn(it.value)
	c.weight += it.weight
	value := it.value
	for c.weight > c.limit {
		c.remove(c.order.Back())
	}
	return value
}

func (c *cache[V]) put(n name, v V, weight int64) {
	c.change(n, func(V) (V, int64) { return v, weight })
}

// forget forgets an object.
func (c *cache[V]) forget(n name) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, known := c.entries[n]; known {
		c.remove(e)
	}
}

// remove removes an entry. mu is held.
func (c *cache[V]) remove(e *list.Element) {
	it := c.order.Remove(e).(*cached[V])
	delete(c.entries, it.name)
	c.weight -= it.weight
}
