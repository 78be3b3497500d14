package objects

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/moraine-archive/moraine/internal/store"
)

// small is a record that shares an object with others.
type small struct {
	payload []byte
	extent  store.Extent // complete when it is written
	err     error
	done    chan struct{} // closed when it is written, or could not be
}

func (x *small) weight() int { return len(x.payload) + int(entryLength(x.extent)) }

// Figures of objects that are shared.
const (
	packBytes    = 8 << 20 // that an object and its meta have at most, if it has more records than one
	flights      = 4       // objects that are written at the same time
	anotherBytes = 1 << 20 // what has to wait, at least, for an object to be begun while others are being written
	anotherCount = 16      // or so many records
	packTimeout  = 5 * time.Minute
)

// packer makes objects of the records that wait at the same moment. There is no delay on purpose: who comes while nothing is being written is written at
// once. While something is, another object is begun only when enough waits for it: many objects of one record would be fast, and dear to keep.
type packer struct {
	write func([]*small) error // makes the records durable, all or none

	mu      sync.Mutex
	waiting []*small // guarded by mu
	weight  int      // guarded by mu: of what waits
	flying  int      // guarded by mu: objects that are being written
}

func newPacker(write func([]*small) error) *packer { return &packer{write: write} }

// do returns when a record is durable, or cannot be made so.
func (p *packer) do(x *small) error {
	x.done = make(chan struct{})
	p.mu.Lock()
	p.waiting = append(p.waiting, x)
	p.weight += x.weight()
	group := p.take()
	p.mu.Unlock()
	if group != nil {
		go p.fly(group)
	}
	<-x.done
	return x.err
}

// fly writes a group, and then others for as long as there are any.
func (p *packer) fly(group []*small) {
	for group != nil {
		err := p.write(group)
		p.mu.Lock()
		p.flying--
		next := p.take()
		p.mu.Unlock()
		for _, x := range group {
			x.err = err
			close(x.done)
		}
		group = next
	}
}

// take takes what makes the next object, nil if it has to wait. mu is held.
func (p *packer) take() []*small {
	enough := p.weight >= anotherBytes || len(p.waiting) >= anotherCount
	if len(p.waiting) == 0 || p.flying == flights || p.flying > 0 && !enough {
		return nil
	}
	n, weight := 0, 0
	for n < len(p.waiting) && n < maxRecords {
		w := p.waiting[n].weight()
		if n > 0 && weight+w > packBytes {
			break
		}
		weight += w
		n++
	}
	group := p.waiting[:n:n]
	p.waiting = p.waiting[n:]
	p.weight -= weight
	p.flying++
	return group
}

// writePack writes records into one object, and tells each where it is. It is not cancelled with the request of any of them.
func (s *Store) writePack(items []*small, class string) error {
	ctx, cancel := context.WithTimeout(context.Background(), packTimeout)
	defer cancel()
	n := s.begin(len(items))
	defer s.end(n)
	records := make([]store.Extent, len(items))
	for i, x := range items {
		records[i] = x.extent
	}
	m := newMeta(n, records)
	if m.size > 0 {
		data := make([]byte, 0, m.size)
		for _, x := range items {
			data = append(data, x.payload...)
		}
		if err := s.bucket.put(ctx, n.data(), data, class); err != nil {
			s.discard(n, "")
			return err
		}
	}
	if err := s.commit(ctx, n, m); err != nil {
		return err
	}
	for i, x := range items {
		x.extent = records[i]
	}
	return nil
}

// commit makes the records of an object exist. After an error they may exist, or come into being later, when a request arrives late that was given up: so what
// they consist of stays, and is left to the sweep.
func (s *Store) commit(ctx context.Context, n name, m *meta) error {
	if err := s.bucket.put(ctx, n.meta(), m.encode(n), ""); err != nil {
		return fmt.Errorf("whether the records of object %s exist is open: %w", n, err)
	}
	return nil
}
