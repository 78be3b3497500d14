package vault

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/protocol"
	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/store/memory"
)

// workshop is a service over a catalogue in a file and a store in memory, with a clock that stands until it is moved.
type workshop struct {
	*Service
	path  string
	rows  *catalogue.DB
	store *watchedPuts
	ref   Ref
	vault int64

	mu  sync.Mutex
	now time.Time // guarded by mu
}

// newWorkshop returns a workshop with an empty vault.
func newWorkshop(t *testing.T, settings Settings) *workshop {
	t.Helper()
	w := &workshop{path: filepath.Join(t.TempDir(), "catalogue.db"), ref: Ref{"123456789012", "photos"}}
	w.now = time.Date(2024, 2, 29, 10, 11, 12, 0, time.UTC)
	w.store = &watchedPuts{Store: memory.New(w.time)}
	w.open(t, settings)
	noError(t, w.CreateVault(t.Context(), w.ref))
	noError(t, w.rows.View(t.Context(), func(tx *catalogue.Tx) error {
		v, err := tx.Vault(w.ref.Account, w.ref.Name)
		w.vault = v.ID
		return err
	}))
	return w
}

// open opens the catalogue and makes a service, also for a second time.
func (w *workshop) open(t *testing.T, settings Settings) {
	t.Helper()
	rows, err := catalogue.OpenSQLite(t.Context(), w.path)
	noError(t, err)
	t.Cleanup(func() { rows.Close() })
	w.rows, w.Service = rows, New(rows, w.store, settings, w.time, slog.New(slog.DiscardHandler))
}

func (w *workshop) time() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *workshop) advance(by time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(by)
}

// watchedPuts is a store that asks before it stores a record.
type watchedPuts struct {
	*memory.Store
	before func(l label) error // nil: nothing is asked
}

func (s *watchedPuts) Put(ctx context.Context, kind store.Kind, text []byte, payload *treehash.Stream) (store.Extent, error) {
	var l label
	if err := json.Unmarshal(text, &l); err != nil {
		return store.Extent{}, err
	}
	if s.before != nil {
		if err := s.before(l); err != nil {
			return store.Extent{}, err
		}
	}
	return s.Store.Put(ctx, kind, text, payload)
}

// records counts the records of the store.
func (w *workshop) records(t *testing.T) (n int) {
	t.Helper()
	noError(t, w.store.Walk(t.Context(), func(store.Extent) error { n++; return nil }))
	return n
}

func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// archive uploads an archive and returns its id.
func (w *workshop) archive(t *testing.T, content, description string) string {
	t.Helper()
	hash := fmt.Sprintf("%x", sha256.Sum256([]byte(content))) // the tree hash too: there is one leaf
	id, _, err := w.UploadArchive(t.Context(), w.ref, description, Upload{
		Body: strings.NewReader(content), Size: int64(len(content)), LinearHash: hash, TreeHash: hash,
	})
	noError(t, err)
	return id
}

// start starts a job and returns its id.
func (w *workshop) start(t *testing.T, p JobParameters) string {
	t.Helper()
	id, err := w.InitiateJob(t.Context(), w.ref, p)
	noError(t, err)
	return id
}

func retrieval(archive, tier string) JobParameters {
	kind := "archive-retrieval"
	return JobParameters{Type: &kind, ArchiveID: &archive, Tier: &tier}
}

func inventoryIn(format string) JobParameters {
	kind := "inventory-retrieval"
	return JobParameters{Type: &kind, Format: &format}
}

// describe returns the description of a job.
func (w *workshop) describe(t *testing.T, job string) protocol.JobDescription {
	t.Helper()
	d, err := w.DescribeJob(t.Context(), w.ref, job)
	noError(t, err)
	return d
}

// finish finishes the jobs that are due, which must succeed, and returns when the next one is.
func (w *workshop) finish(t *testing.T) time.Time {
	t.Helper()
	next, err := w.FinishJobs(t.Context())
	noError(t, err)
	return next
}

// read returns the output of a job.
func (w *workshop) read(t *testing.T, job string) string {
	t.Helper()
	o, err := w.GetJobOutput(t.Context(), w.ref, job)
	noError(t, err)
	r, err := o.Open(t.Context(), 0, o.Size-1)
	noError(t, err)
	defer r.Close()
	b, err := io.ReadAll(r)
	noError(t, err)
	return string(b)
}

// inProgress returns the jobs in progress as the catalogue has them, the first due first.
func (w *workshop) inProgress(t *testing.T) (jobs []catalogue.Job) {
	t.Helper()
	noError(t, w.rows.View(t.Context(), func(tx *catalogue.Tx) (err error) {
		jobs, err = tx.Jobs(w.vault, catalogue.JobFilter{Status: catalogue.InProgress}, "", 1000, w.time())
		return err
	}))
	slices.SortFunc(jobs, func(a, b catalogue.Job) int { return a.DueAt.Compare(b.DueAt) })
	return jobs
}

func TestDurations(t *testing.T) {
	const hour = time.Hour
	for _, tt := range []struct {
		name     string
		settings Settings
		job      func(archive string) JobParameters
		min, max time.Duration
	}{
		{"Expedited", Glacier(), func(a string) JobParameters { return retrieval(a, "Expedited") }, time.Minute, 5 * time.Minute},
		{"Standard", Glacier(), func(a string) JobParameters { return retrieval(a, "Standard") }, 3 * hour, 5 * hour},
		{"no tier", Glacier(), func(a string) JobParameters { return retrieval(a, "") }, 3 * hour, 5 * hour},
		{"Bulk", Glacier(), func(a string) JobParameters { return retrieval(a, "Bulk") }, 5 * hour, 12 * hour},
		{"inventory", Glacier(), func(string) JobParameters { return inventoryIn("JSON") }, 3 * hour, 5 * hour},
		{"default, Bulk", Defaults(), func(a string) JobParameters { return retrieval(a, "Bulk") }, 0, 0},
		{"default, inventory", Defaults(), func(string) JobParameters { return inventoryIn("CSV") }, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorkshop(t, tt.settings)
			archive := w.archive(t, "x", "")
			w.advance(24 * time.Hour)
			noError(t, w.TakeInventories(t.Context()))
			const n = 30
			for range n {
				w.start(t, tt.job(archive))
			}
			jobs := w.inProgress(t)
			if len(jobs) != n {
				t.Fatalf("%d jobs are in progress, want %d", len(jobs), n)
			}
			for _, j := range jobs {
				if takes := j.DueAt.Sub(w.time()); takes < tt.min || takes > tt.max {
					t.Errorf("a job takes %s, want %s to %s", takes, tt.min, tt.max)
				}
			}
			// Of 30 draws one in each half of the range is missing once in half a milliard runs.
			middle := w.time().Add((tt.min + tt.max) / 2)
			if first, last := jobs[0].DueAt, jobs[n-1].DueAt; tt.max > tt.min && !(first.Before(middle) && last.After(middle)) {
				t.Errorf("%d jobs take %s to %s: that is not drawn from %s to %s", n, first.Sub(w.time()), last.Sub(w.time()), tt.min, tt.max)
			}
		})
	}
}

func TestJobsEndWhenDue(t *testing.T) {
	w := newWorkshop(t, Glacier())
	archive := w.archive(t, "x", "")
	for range 5 {
		w.start(t, retrieval(archive, "Standard"))
	}
	for _, j := range w.inProgress(t) {
		w.advance(j.DueAt.Sub(w.time()) - time.Millisecond)
		if next := w.finish(t); !next.Equal(j.DueAt) {
			t.Errorf("the next job is due at %s, want %s", next, j.DueAt)
		}
		if d := w.describe(t, j.ID); d.Completed {
			t.Errorf("a job ended a millisecond before it was due: %+v", d)
		}
		w.advance(time.Millisecond)
		w.finish(t)
		if d := w.describe(t, j.ID); d.StatusCode != "Succeeded" || *d.CompletionDate != timestamp(j.DueAt) {
			t.Errorf("a job that was due at %s: %+v", j.DueAt, d)
		}
	}
	if next := w.finish(t); !next.IsZero() {
		t.Errorf("the next job is due at %s, but none is in progress", next)
	}
}

// TestOneJobFails has a store that fails for one job: the others end, and that one when the store works again.
func TestOneJobFails(t *testing.T) {
	w := newWorkshop(t, Defaults())
	archive := w.archive(t, "x", "")
	broken, full := w.start(t, inventoryIn("JSON")), errors.New("no space left on device")
	others := []string{w.start(t, inventoryIn("CSV")), w.start(t, retrieval(archive, "Bulk")), w.start(t, inventoryIn("JSON"))}
	w.store.before = func(l label) error {
		if l.Job == broken {
			return full
		}
		return nil
	}
	for range 2 {
		if _, err := w.FinishJobs(t.Context()); !errors.Is(err, full) || !strings.Contains(err.Error(), broken) {
			t.Errorf("the error %v does not name the job %s and the cause", err, broken)
		}
	}
	for _, id := range others {
		if d := w.describe(t, id); d.StatusCode != "Succeeded" {
			t.Errorf("one of the other jobs: %+v", d)
		}
	}
	if d := w.describe(t, broken); d.StatusCode != "InProgress" || d.CompletionDate != nil || d.InventorySizeInBytes != nil {
		t.Errorf("the job that could not be finished: %+v", d)
	}
	w.store.before = nil
	w.advance(time.Minute)
	w.finish(t)
	if d := w.describe(t, broken); d.StatusCode != "Succeeded" || *d.CompletionDate != timestamp(w.time()) {
		t.Errorf("the job after the store worked again: %+v", d)
	}
	if got, want := w.read(t, broken), w.read(t, others[2]); got != want {
		t.Errorf("its output is %s, want %s", got, want)
	}
}

// TestManyJobsFail has more jobs that cannot be finished than are looked at together: what is due after them must not wait for them.
func TestManyJobsFail(t *testing.T) {
	w := newWorkshop(t, Defaults())
	archive := w.archive(t, "x", "")
	model := catalogue.Job{VaultID: w.vault, Action: inventoryRetrieval, Status: catalogue.InProgress, CreatedAt: w.time(), DueAt: w.time(), Format: new("JSON")}
	model.Snapshot, model.SnapshotAt = 1, w.time()
	noError(t, w.rows.Update(t.Context(), func(tx *catalogue.Tx) error {
		for range 2*batch + 1 {
			model.ID = w.newJobID()
			if err := tx.InsertJob(model); err != nil {
				return err
			}
		}
		return nil
	}))
	w.advance(time.Second)
	last := w.start(t, retrieval(archive, "Standard"))
	w.store.before = func(label) error { return errors.New("no space left on device") }
	if _, err := w.FinishJobs(t.Context()); err == nil {
		t.Error("there is no error")
	}
	if d := w.describe(t, last); d.StatusCode != "Succeeded" {
		t.Errorf("a retrieval behind %d inventories that fail: %+v", 2*batch+1, d)
	}
	w.store.before = nil
	w.finish(t)
	if jobs := w.inProgress(t); len(jobs) != 0 {
		t.Errorf("%d jobs are still in progress", len(jobs))
	}
}

func TestVaultDeletedWhileItsInventoryIsWritten(t *testing.T) {
	w := newWorkshop(t, Defaults())
	noError(t, w.DeleteArchive(t.Context(), w.ref, w.archive(t, "x", "")))
	w.start(t, inventoryIn("JSON"))
	w.store.before = func(label) error { return w.DeleteVault(t.Context(), w.ref) }
	w.finish(t)
	if n := w.records(t); n != 0 {
		t.Errorf("%d records are in the store, want none", n)
	}
}

// TestJobsSurviveRebuild makes a second service over the same catalogue.
func TestJobsSurviveRebuild(t *testing.T) {
	settings := Glacier()
	w := newWorkshop(t, settings)
	kept, doomed := w.archive(t, "kept", "a"), w.archive(t, "doomed", "b")
	w.advance(24 * time.Hour)
	noError(t, w.TakeInventories(t.Context()))
	jobs := []string{w.start(t, retrieval(kept, "Expedited")), w.start(t, inventoryIn("JSON"))}
	w.advance(5 * time.Hour)
	w.finish(t)
	jobs = append(jobs, w.start(t, retrieval(doomed, "Bulk")), w.start(t, retrieval(kept, "Bulk")), w.start(t, inventoryIn("CSV")))
	noError(t, w.DeleteArchive(t.Context(), w.ref, doomed))
	list := func() string {
		l, err := w.ListJobs(t.Context(), w.ref, "", "", nil, nil)
		noError(t, err)
		b, err := json.Marshal(l)
		noError(t, err)
		return string(b)
	}
	before, output, due := list(), w.read(t, jobs[1]), w.inProgress(t)

	noError(t, w.rows.Close())
	w.open(t, settings)
	if after := list(); after != before {
		t.Errorf("jobs before %s\nand after %s", before, after)
	}
	if got := w.read(t, jobs[1]); got != output {
		t.Errorf("output before %s\nand after %s", output, got)
	}
	if next := w.finish(t); !next.Equal(due[0].DueAt) {
		t.Errorf("the next job is due at %s, and was at %s", next, due[0].DueAt)
	}
	w.advance(12 * time.Hour)
	w.finish(t)
	var states []string
	for _, id := range jobs {
		states = append(states, w.describe(t, id).StatusCode)
	}
	if got, want := fmt.Sprint(states), "[Succeeded Succeeded Failed Succeeded Succeeded]"; got != want {
		t.Errorf("the jobs ended %s, want %s", got, want)
	}
	if got := w.read(t, jobs[3]); got != "kept" {
		t.Errorf("output %q", got)
	}
}
