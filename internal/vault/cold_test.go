package vault

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
)

// coldStore brings payloads back after some time, and keeps them readable for a day.
type coldStore struct {
	store.Store
	now   func() time.Time
	takes time.Duration

	mu   sync.Mutex
	cold map[store.Place]bool      // guarded by mu
	from map[store.Place]time.Time // guarded by mu: when what was asked for can be read
	asks []string                  // guarded by mu: the tiers
}

func (c *coldStore) Put(ctx context.Context, kind store.Kind, label []byte, payload *treehash.Stream) (store.Extent, error) {
	x, err := c.Store.Put(ctx, kind, label, payload)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cold[x.Place] = kind == store.Payload
	return x, err
}

func (c *coldStore) PutWarm(ctx context.Context, kind store.Kind, label []byte, payload *treehash.Stream) (store.Extent, error) {
	return c.Store.Put(ctx, kind, label, payload)
}

func (c *coldStore) Warm(_ context.Context, tier string, at ...store.Place) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ready := true
	for _, p := range at {
		c.asks = append(c.asks, tier)
		if from, asked := c.from[p]; !asked || c.now().After(from.Add(24*time.Hour)) {
			c.from[p] = c.now().Add(c.takes)
		}
		ready = ready && !c.now().Before(c.from[p])
	}
	return ready, nil
}

func (c *coldStore) Open(ctx context.Context, at store.Place, off, n int64) (io.ReadCloser, error) {
	c.mu.Lock()
	from, asked := c.from[at]
	cold := c.cold[at] && (!asked || c.now().Before(from) || c.now().After(from.Add(24*time.Hour)))
	c.mu.Unlock()
	if cold {
		return nil, fmt.Errorf("%s: %w", at, store.ErrCold)
	}
	return c.Store.Open(ctx, at, off, n)
}

func (c *coldStore) asked() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.asks)
}

func freeze(h *house, takes time.Duration) *coldStore {
	c := &coldStore{Store: h.bytes, now: h.clock.Now, takes: takes, cold: map[store.Place]bool{}, from: map[store.Place]time.Time{}}
	h.bytes = c
	return c
}

// work does what is due, and lets time pass until nothing is, or for a day. It returns how long that took.
func (h *house) work(t *testing.T) (took time.Duration) {
	t.Helper()
	for began := h.clock.Now(); ; {
		next, err := h.FinishJobs(t.Context(), AllJobs)
		check(t, err)
		took = h.clock.Now().Sub(began)
		if next.IsZero() || took > 24*time.Hour {
			return took
		}
		h.clock.move(max(next.Sub(h.clock.Now()), 0))
	}
}

// TestCold holds that a job over bytes that cannot be read waits for them, that it does not hold anything meanwhile, and that what is kept beside the payloads can always be read.
func TestCold(t *testing.T) {
	h := newHouse(t, inMemory, Defaults())
	c := freeze(h, 5*time.Hour)
	b := []byte("an archive that is far away")
	archive, parts := h.archive(t, b), make([]byte, 3<<20)
	joined := h.inParts(t, parts)
	for name, r := range map[string]struct {
		archive, bytes string
		want           int // objects that have to be asked for
		out            []byte
	}{
		"whole":        {archive, "", 1, b},
		"in parts":     {joined, "", 3, parts},
		"some of them": {joined, "1048576-2097151", 1, parts[1<<20 : 2<<20]},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(c.asked())
			c.mu.Lock()
			clear(c.from)
			c.mu.Unlock()
			p := retrieval(r.archive, "Bulk")
			if r.bytes != "" {
				p.RetrievalByteRange = &r.bytes
			}
			job := h.start(t, p)
			if took := h.work(t); took < 5*time.Hour || took > 5*time.Hour+longestAsk {
				t.Errorf("the job took %v, want 5 hours and at most %v more", took, longestAsk)
			}
			asked := c.asked()[before:]
			if n := len(asked); n < 20*r.want || n > 80*r.want {
				t.Errorf("the store was asked %d times for %d objects", n, r.want)
			}
			if slices.Contains(asked, "Standard") {
				t.Errorf("the tiers %q were asked for", asked)
			}
			if got := h.output(t, job); string(got) != string(r.out) {
				t.Errorf("the output has %d bytes, which are not those of the archive", len(got))
			}
		})
	}
	h.clock.move(time.Hour)
	inventory := h.start(t, JobParameters{Type: new("inventory-retrieval")})
	h.work(t)
	if len(h.output(t, inventory)) == 0 {
		t.Error("an inventory cannot be read")
	}
}

// TestColdAgain holds that an output which went cold again, before the job expired, is asked for again.
func TestColdAgain(t *testing.T) {
	settings := Defaults()
	settings.JobExpiry = 72 * time.Hour
	h := newHouse(t, inMemory, settings)
	c := freeze(h, time.Hour)
	b := []byte("an archive")
	job := h.start(t, retrieval(h.archive(t, b), "Standard"))
	h.work(t)
	h.clock.move(30 * time.Hour)
	before := len(c.asked())
	o, err := h.GetJobOutput(t.Context(), h.ref, job)
	check(t, err)
	_, err = o.Open(t.Context(), 0, int64(len(b)-1))
	wantFault(t, "the output of a job whose bytes are cold again", err, fault.Unavailable)
	if n := len(c.asked()) - before; n != 1 {
		t.Errorf("the bytes were asked for %d times, want 1", n)
	}
	h.clock.move(time.Hour)
	if got := h.output(t, job); string(got) != string(b) {
		t.Errorf("later the output is %q", got)
	}
}

// TestColdTwoNodes holds that of two nodes only one asks for the bytes of a job, and that another takes over from one that died.
func TestColdTwoNodes(t *testing.T) {
	h := newHouse(t, inMemory, Defaults())
	c := freeze(h, 10*time.Second)
	h.start(t, retrieval(h.archive(t, []byte("an archive")), "Standard"))
	due, err := h.dueJobs(t.Context(), AllJobs, catalogue.Job{})
	check(t, err)
	for range 2 { // both have seen the job
		ready, err := h.bring(t.Context(), due[0])
		check(t, err)
		if ready {
			t.Error("the bytes are there at once")
		}
	}
	if n := len(c.asked()); n != 1 {
		t.Errorf("the store was asked %d times, want 1", n)
	}
	if took := h.work(t); took != 10*time.Second {
		t.Errorf("another node needed %v, want 10 s", took)
	}
}
