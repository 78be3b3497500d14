package worker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/catalogue"
	times "github.com/moraine-archive/moraine/internal/clock"
	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/store/memory"
	"github.com/moraine-archive/moraine/internal/vault"
)

// plant is a running worker. Its tests run in bubbles of testing/synctest, where time passes only when everything waits.
type plant struct {
	*vault.Service
	rows  *catalogue.DB
	store *watchedStore
	clock *movedClock
	log   *log
	ref   vault.Ref

	stop  context.CancelFunc
	ended chan struct{} // closed when Run has returned
}

// start starts a worker over a catalogue in a file and a store in memory, with a vault.
func start(t *testing.T, settings vault.Settings, sweep time.Duration) *plant {
	t.Helper()
	p := &plant{clock: new(movedClock), log: new(log), ref: vault.Ref{Account: "123456789012", Name: "photos"}, ended: make(chan struct{})}
	rows, err := catalogue.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "catalogue.db"))
	noError(t, err)
	p.rows, p.store = rows, &watchedStore{Store: memory.New(p.clock.Now)}
	logger := slog.New(slog.NewTextHandler(p.log, &slog.HandlerOptions{Level: slog.LevelError}))
	p.Service = vault.New(rows, p.store, settings, times.Of(p.clock.Now), logger)
	w := &Worker{Service: p.Service, Now: p.clock.Now, Log: logger, SweepInterval: sweep}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	go func() { w.Run(ctx); close(p.ended) }()
	t.Cleanup(func() { // a goroutine that stays fails the bubble
		stop()
		<-p.ended
		noError(t, rows.Close())
	})
	noError(t, p.CreateVault(t.Context(), p.ref))
	return p
}

// movedClock is the time of the bubble, moved by what a test has set.
type movedClock struct {
	mu sync.Mutex
	by time.Duration // guarded by mu
}

func (c *movedClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.by)
}

func (c *movedClock) move(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by += by
}

// pass lets time pass for the worker: all but the last minutes in one step, since it looks for work every minute.
func (p *plant) pass(d time.Duration) {
	const end = 3 * idle
	if d > end {
		p.clock.move(d - end)
		p.Poke()
		synctest.Wait()
	}
	time.Sleep(min(d, end))
	synctest.Wait()
}

// log keeps what was logged.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// watchedStore is a store that remembers when it was asked to store an output and to list its records.
type watchedStore struct {
	*memory.Store

	mu      sync.Mutex
	outputs []time.Time                     // guarded by mu
	walks   []time.Time                     // guarded by mu
	fail    func(ctx context.Context) error // guarded by mu; nil: outputs are stored
}

func (s *watchedStore) Put(ctx context.Context, kind store.Kind, label []byte, payload *treehash.Stream) (store.Extent, error) {
	if strings.Contains(string(label), `"what":"output"`) {
		s.mu.Lock()
		s.outputs = append(s.outputs, time.Now())
		fail := s.fail
		s.mu.Unlock()
		if fail != nil {
			return store.Extent{}, fail(ctx)
		}
	}
	return s.Store.Put(ctx, kind, label, payload)
}

func (s *watchedStore) Walk(ctx context.Context, fn func(store.Extent) error) error {
	s.mu.Lock()
	s.walks = append(s.walks, time.Now())
	s.mu.Unlock()
	return s.Store.Walk(ctx, fn)
}

func (s *watchedStore) failWith(fail func(ctx context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

// since returns how long after a moment each of some others was.
func since(from time.Time, times []time.Time) (after []time.Duration) {
	for _, at := range times {
		after = append(after, at.Sub(from))
	}
	return after
}

func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// archive uploads an archive and returns its id.
func (p *plant) archive(t *testing.T) string {
	t.Helper()
	hash := fmt.Sprintf("%x", sha256.Sum256([]byte("x")))
	id, _, err := p.UploadArchive(t.Context(), p.ref, "", vault.Upload{Body: strings.NewReader("x"), Size: 1, LinearHash: hash, TreeHash: hash})
	noError(t, err)
	return id
}

// retrieve starts an archive retrieval and returns the id of the job.
func (p *plant) retrieve(t *testing.T, archive, tier string) string {
	t.Helper()
	kind := "archive-retrieval"
	id, err := p.InitiateJob(t.Context(), p.ref, vault.JobParameters{Type: &kind, ArchiveID: &archive, Tier: &tier})
	noError(t, err)
	return id
}

// inventory starts an inventory retrieval and returns the id of the job.
func (p *plant) inventory(t *testing.T) string {
	t.Helper()
	kind := "inventory-retrieval"
	id, err := p.InitiateJob(t.Context(), p.ref, vault.JobParameters{Type: &kind})
	noError(t, err)
	return id
}

// wantStatus waits until the worker has nothing to do now and checks the status of a job.
func (p *plant) wantStatus(t *testing.T, job, want string) {
	t.Helper()
	synctest.Wait()
	d, err := p.DescribeJob(t.Context(), p.ref, job)
	if err != nil || d.StatusCode != want {
		t.Errorf("at %s: job %s is %s, %v, want %s", time.Now(), job, d.StatusCode, err, want)
	}
}

// due returns the jobs in progress, the first due first.
func (p *plant) due(t *testing.T) (jobs []catalogue.Job) {
	t.Helper()
	noError(t, p.rows.View(t.Context(), func(tx *catalogue.Tx) (err error) {
		jobs, err = tx.DueJobs(p.clock.Now().AddDate(1, 0, 0), "", catalogue.Job{}, 100)
		return err
	}))
	return jobs
}

func TestJobsEndWhenDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, vault.Glacier(), 24*time.Hour)
		archive := p.archive(t)
		p.pass(24 * time.Hour) // an inventory is taken
		for _, tier := range []string{"Bulk", "Standard", "Expedited", "Standard"} {
			p.retrieve(t, archive, tier)
		}
		p.inventory(t)
		jobs := p.due(t)
		if len(jobs) != 5 {
			t.Fatalf("%d jobs are in progress, want 5", len(jobs))
		}
		for _, j := range jobs {
			p.pass(j.DueAt.Sub(p.clock.Now()) - time.Millisecond)
			p.wantStatus(t, j.ID, "InProgress")
			time.Sleep(time.Millisecond)
			p.wantStatus(t, j.ID, "Succeeded")
		}
	})
}

func TestPokeIsActedOnAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, vault.Defaults(), 24*time.Hour)
		archive := p.archive(t)
		time.Sleep(90 * time.Second) // the worker sleeps in the middle of a minute
		synctest.Wait()
		from := time.Now()
		p.wantStatus(t, p.retrieve(t, archive, "Bulk"), "Succeeded")
		p.wantStatus(t, p.inventory(t), "Succeeded")
		if passed := time.Since(from); passed != 0 {
			t.Errorf("the jobs took %s", passed)
		}
	})
}

func TestPokeAfterTheClockWasMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, vault.Glacier(), 24*time.Hour)
		job := p.retrieve(t, p.archive(t), "Standard")
		p.wantStatus(t, job, "InProgress")
		from := time.Now()
		p.clock.move(5 * time.Hour)
		p.wantStatus(t, job, "InProgress") // nobody told the worker
		p.Poke()
		p.wantStatus(t, job, "Succeeded")
		if passed := time.Since(from); passed != 0 {
			t.Errorf("the job took %s of real time", passed)
		}
	})
}

func TestFailuresAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, vault.Defaults(), 24*time.Hour)
		archive := p.archive(t)
		synctest.Wait()
		full := errors.New("no space left on device")
		p.store.failWith(func(context.Context) error { return full })
		from := time.Now()
		job := p.inventory(t)
		p.wantStatus(t, job, "InProgress")
		time.Sleep(2 * retryAfter)
		p.wantStatus(t, job, "InProgress")
		time.Sleep(retryAfter / 5)
		p.wantStatus(t, p.retrieve(t, archive, "Standard"), "Succeeded") // the others go on, and a poke is an attempt too
		p.store.failWith(nil)
		time.Sleep(retryAfter)
		p.wantStatus(t, job, "Succeeded")
		want := []time.Duration{0, retryAfter, 2 * retryAfter, 2*retryAfter + retryAfter/5, 3*retryAfter + retryAfter/5}
		if got := since(from, p.store.outputs); !slices.Equal(got, want) {
			t.Errorf("attempts after %v, want %v", got, want)
		}
		if text := p.log.String(); strings.Count(text, "\n") != 4 || !strings.Contains(text, job) || !strings.Contains(text, full.Error()) {
			t.Errorf("four failures are to be logged with job and cause:\n%s", text)
		}
	})
}

// TestGoroutinesEnd ends the context at moments when the worker sleeps, has just been poked, and is in the middle of a job.
func TestGoroutinesEnd(t *testing.T) {
	for name, busy := range map[string]func(t *testing.T, p *plant){
		"asleep": func(*testing.T, *plant) { time.Sleep(time.Hour) },
		"poked":  func(_ *testing.T, p *plant) { p.Poke() },
		"in a job": func(t *testing.T, p *plant) {
			p.store.failWith(func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			})
			p.archive(t)
			p.inventory(t)
			synctest.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := start(t, vault.Defaults(), 24*time.Hour)
				busy(t, p)
				from := time.Now()
				p.stop()
				<-p.ended
				if passed := time.Since(from); passed != 0 {
					t.Errorf("the worker ended after %s", passed)
				}
				if text := p.log.String(); text != "" {
					t.Errorf("the end is no failure, but this was logged: %s", text)
				}
			})
		})
	}
}

func TestSweeps(t *testing.T) {
	for _, tt := range []struct {
		interval time.Duration
		want     []time.Duration
	}{
		{time.Hour, []time.Duration{firstSweep, firstSweep + time.Hour, firstSweep + 2*time.Hour}},
		{time.Minute, []time.Duration{time.Minute, 2 * time.Minute, 3 * time.Minute}},
	} {
		t.Run(fmt.Sprint(tt.interval), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				from := time.Now()
				p := start(t, vault.Defaults(), tt.interval)
				time.Sleep(tt.want[len(tt.want)-1])
				synctest.Wait()
				if got := since(from, p.store.walks); !slices.Equal(got, tt.want) {
					t.Errorf("sweeps after %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// TestBytesOfADeletedArchiveGo leaves everything to the worker: a job expires, and with the last download the bytes of its archive.
func TestBytesOfADeletedArchiveGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		settings := vault.Defaults()
		p := start(t, settings, 1000*time.Hour)
		archive := p.archive(t)
		p.wantStatus(t, p.retrieve(t, archive, "Standard"), "Succeeded")
		noError(t, p.DeleteArchive(t.Context(), p.ref, archive))
		records := func() (n int) {
			synctest.Wait()
			noError(t, p.store.Store.Walk(t.Context(), func(store.Extent) error { n++; return nil }))
			return n
		}
		p.pass(settings.JobExpiry + settings.LongestRequest - time.Second)
		if n := records(); n != 2 {
			t.Errorf("%d records, want the payload and the tombstone", n)
		}
		time.Sleep(idle + time.Second)
		if n := records(); n != 1 {
			t.Errorf("%d records, want the tombstone", n)
		}
		noError(t, p.Backup(t.Context(), func(context.Context) error { return nil }))
		if n := records(); n != 0 {
			t.Errorf("%d records, want none", n)
		}
	})
}

// TestInventoriesAreTaken leaves it to the worker to take an inventory a day after a change, and none without one.
func TestInventoriesAreTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, vault.Glacier(), 1000*time.Hour)
		p.archive(t)
		last := func() string {
			synctest.Wait()
			d, err := p.DescribeVault(t.Context(), p.ref)
			noError(t, err)
			if d.LastInventoryDate == nil {
				return ""
			}
			return *d.LastInventoryDate
		}
		p.pass(24*time.Hour - time.Second)
		if got := last(); got != "" {
			t.Errorf("an inventory of %s, less than a day after the upload", got)
		}
		time.Sleep(idle + time.Second)
		first := last()
		if first == "" {
			t.Error("no inventory a day after the upload")
		}
		p.pass(48 * time.Hour)
		if got := last(); got != first {
			t.Errorf("an inventory of %s without a change since that of %s", got, first)
		}
		p.archive(t)
		p.pass(24*time.Hour - time.Second)
		if got := last(); got != first {
			t.Errorf("an inventory of %s, less than a day after the change", got)
		}
		time.Sleep(idle + time.Second)
		if got := last(); got == first {
			t.Errorf("no inventory a day after a change, and days after the last of %s", first)
		}
	})
}

// TestRetrievalsDoNotWait has an inventory that takes for ever: retrievals end all the same, and deleted bytes go.
func TestRetrievalsDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, vault.Defaults(), 1000*time.Hour)
		archive := p.archive(t)
		written := make(chan struct{})
		p.store.failWith(func(context.Context) error { <-written; return errors.New("it took too long") })
		inventory := p.inventory(t)
		p.wantStatus(t, inventory, "InProgress")
		p.wantStatus(t, p.retrieve(t, archive, "Standard"), "Succeeded")
		close(written)
		p.store.failWith(nil)
		p.pass(time.Minute)
		p.wantStatus(t, inventory, "Succeeded")
	})
}
