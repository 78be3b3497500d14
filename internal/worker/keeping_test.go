package worker

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moraine-archive/moraine/internal/catalogue"
	times "github.com/moraine-archive/moraine/internal/clock"
	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/store/memory"
	"github.com/moraine-archive/moraine/internal/vault"
)

// countedStore has one volume that is worth compacting, and counts what is asked of it.
type countedStore struct {
	*memory.Store
	mu       sync.Mutex
	inspects []time.Duration // guarded by mu: since the start
	compacts []time.Duration // guarded by mu
	start    time.Time
}

func (s *countedStore) Volumes(context.Context) ([]store.Volume, error) {
	return []store.Volume{{Name: "a volume", Shared: true, Bytes: 100, Dead: 99}}, nil
}

func (s *countedStore) Inspect(context.Context, string, store.Inspection) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inspects = append(s.inspects, time.Since(s.start))
	return nil
}

func (s *countedStore) Compact(context.Context, string, store.Compaction) (store.Compacted, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.compacts = append(s.compacts, time.Since(s.start))
	return store.Compacted{}, nil
}

// TestKeeping holds compaction, scrubs and copies of the catalogue to their intervals.
func TestKeeping(t *testing.T) {
	const hour, day = time.Hour, 24 * time.Hour
	for name, c := range map[string]struct {
		last     time.Duration // how old the last copy is at the start; 0: there is none
		on       bool
		backups  []time.Duration
		inspects []time.Duration
		compacts int
	}{
		"as it is used":   {0, true, []time.Duration{firstCopy, firstCopy + day, firstCopy + 2*day}, []time.Duration{firstSweep, firstSweep + 2*day}, 60},
		"after a restart": {day - hour, true, []time.Duration{hour, hour + day, hour + 2*day}, []time.Duration{firstSweep, firstSweep + 2*day}, 60},
		"never":           {0, false, nil, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				rows, err := catalogue.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "catalogue.db"))
				noError(t, err)
				bytes := &countedStore{Store: memory.New(time.Now), start: start}
				logger := slog.New(slog.DiscardHandler)
				w := &Worker{Service: vault.New(rows, bytes, vault.Defaults(), times.Of(time.Now), logger), Now: time.Now, Log: logger, SweepInterval: 1000 * hour}
				var backups []time.Duration
				if c.on {
					w.CompactInterval, w.ScrubInterval, w.BackupInterval = hour, 2*day, day
					w.Backup = func(context.Context) error {
						backups = append(backups, time.Since(start))
						return errors.New("it is tried again all the same")
					}
				}
				if c.last > 0 {
					w.LastBackup = start.Add(-c.last)
				}
				ctx, stop := context.WithCancel(context.Background())
				ended := make(chan struct{})
				go func() { w.Run(ctx); close(ended) }()
				time.Sleep(2*day + 12*hour)
				stop()
				<-ended
				noError(t, rows.Close())
				want(t, "copies", backups, c.backups)
				want(t, "scrubs", bytes.inspects, c.inspects)
				if len(bytes.compacts) != c.compacts {
					t.Errorf("there were %d compactions, want %d", len(bytes.compacts), c.compacts)
				}
			})
		})
	}
}

// want compares moments to the minute.
func want(t *testing.T, what string, got, want []time.Duration) {
	t.Helper()
	same := len(got) == len(want)
	for i := 0; same && i < len(got); i++ {
		same = got[i].Truncate(time.Minute) == want[i].Truncate(time.Minute)
	}
	if !same {
		t.Errorf("the %s were at %v, want %v", what, got, want)
	}
}
