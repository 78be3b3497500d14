package vault

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/protocol"
)

// start starts a job and returns its id.
func (h *house) start(t *testing.T, p JobParameters) string {
	t.Helper()
	id, err := h.InitiateJob(t.Context(), h.ref, p)
	check(t, err)
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
func (h *house) describe(t *testing.T, job string) protocol.JobDescription {
	t.Helper()
	d, err := h.DescribeJob(t.Context(), h.ref, job)
	check(t, err)
	return d
}

// finish finishes the jobs that are due, which must succeed, and returns when the next one is.
func (h *house) finish(t *testing.T) time.Time {
	t.Helper()
	next, err := h.FinishJobs(t.Context(), AllJobs)
	check(t, err)
	return next
}

// inProgress returns the jobs in progress as the catalogue has them, the first due first.
func (h *house) inProgress(t *testing.T) (jobs []catalogue.Job) {
	t.Helper()
	vault := h.vaultID(t)
	check(t, h.rows.View(t.Context(), func(tx *catalogue.Tx) (err error) {
		jobs, err = tx.Jobs(vault, catalogue.JobFilter{Status: catalogue.InProgress}, "", 1000, h.clock.Now())
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
			h := newHouse(t, inMemory, tt.settings)
			archive := h.archive(t, []byte("x"))
			h.clock.move(24 * time.Hour)
			check(t, h.TakeInventories(t.Context()))
			const n = 30
			for range n {
				h.start(t, tt.job(archive))
			}
			jobs := h.inProgress(t)
			if len(jobs) != n {
				t.Fatalf("%d jobs are in progress, want %d", len(jobs), n)
			}
			for _, j := range jobs {
				if takes := j.DueAt.Sub(h.clock.Now()); takes < tt.min || takes > tt.max {
					t.Errorf("a job takes %s, want %s to %s", takes, tt.min, tt.max)
				}
			}
			// Of 30 draws one in each half of the range is missing once in half a milliard runs.
			middle := h.clock.Now().Add((tt.min + tt.max) / 2)
			if first, last := jobs[0].DueAt, jobs[n-1].DueAt; tt.max > tt.min && !(first.Before(middle) && last.After(middle)) {
				t.Errorf("%d jobs take %s to %s: that is not drawn from %s to %s", n, first.Sub(h.clock.Now()), last.Sub(h.clock.Now()), tt.min, tt.max)
			}
		})
	}
}

func TestJobsEndWhenDue(t *testing.T) {
	h := newHouse(t, inMemory, Glacier())
	archive := h.archive(t, []byte("x"))
	for range 5 {
		h.start(t, retrieval(archive, "Standard"))
	}
	for _, j := range h.inProgress(t) {
		h.clock.move(j.DueAt.Sub(h.clock.Now()) - time.Millisecond)
		if next := h.finish(t); !next.Equal(j.DueAt) {
			t.Errorf("the next job is due at %s, want %s", next, j.DueAt)
		}
		if d := h.describe(t, j.ID); d.Completed {
			t.Errorf("a job ended a millisecond before it was due: %+v", d)
		}
		h.clock.move(time.Millisecond)
		h.finish(t)
		if d := h.describe(t, j.ID); d.StatusCode != "Succeeded" || *d.CompletionDate != timestamp(j.DueAt) {
			t.Errorf("a job that was due at %s: %+v", j.DueAt, d)
		}
	}
	if next := h.finish(t); !next.IsZero() {
		t.Errorf("the next job is due at %s, but none is in progress", next)
	}
}

// TestOneJobFails has a store that fails for one job: the others end, and that one when the store works again.
func TestOneJobFails(t *testing.T) {
	h := newHouse(t, inMemory, Defaults())
	archive := h.archive(t, []byte("x"))
	broken, full := h.start(t, inventoryIn("JSON")), errors.New("no space left on device")
	others := []string{h.start(t, inventoryIn("CSV")), h.start(t, retrieval(archive, "Bulk")), h.start(t, inventoryIn("JSON"))}
	h.store.beforePut(func(l label) error {
		if l.Job == broken {
			return full
		}
		return nil
	})
	for range 2 {
		if _, err := h.FinishJobs(t.Context(), AllJobs); !errors.Is(err, full) || !strings.Contains(err.Error(), broken) {
			t.Errorf("the error %v does not name the job %s and the cause", err, broken)
		}
	}
	for _, id := range others {
		if d := h.describe(t, id); d.StatusCode != "Succeeded" {
			t.Errorf("one of the other jobs: %+v", d)
		}
	}
	if d := h.describe(t, broken); d.StatusCode != "InProgress" || d.CompletionDate != nil || d.InventorySizeInBytes != nil {
		t.Errorf("the job that could not be finished: %+v", d)
	}
	h.store.beforePut(nil)
	h.clock.move(time.Minute)
	h.finish(t)
	if d := h.describe(t, broken); d.StatusCode != "Succeeded" || *d.CompletionDate != timestamp(h.clock.Now()) {
		t.Errorf("the job after the store worked again: %+v", d)
	}
	if got, want := string(h.output(t, broken)), string(h.output(t, others[2])); got != want {
		t.Errorf("its output is %s, want %s", got, want)
	}
}

// TestManyJobsFail has more jobs that cannot be finished than are looked at together: what is due after them must not wait for them.
func TestManyJobsFail(t *testing.T) {
	h := newHouse(t, inMemory, Defaults())
	archive := h.archive(t, []byte("x"))
	now := h.clock.Now()
	model := catalogue.Job{
		VaultID: h.vaultID(t), Action: inventoryRetrieval, Status: catalogue.InProgress, CreatedAt: now, DueAt: now, Format: new("JSON"),
		Snapshot: 1, SnapshotAt: now,
	}
	check(t, h.rows.Update(t.Context(), func(tx *catalogue.Tx) error {
		for range 2*batch + 1 {
			model.ID = h.newJobID()
			if err := tx.InsertJob(model); err != nil {
				return err
			}
		}
		return nil
	}))
	h.clock.move(time.Second)
	last := h.start(t, retrieval(archive, "Standard"))
	h.store.beforePut(func(label) error { return errors.New("no space left on device") })
	if _, err := h.FinishJobs(t.Context(), AllJobs); err == nil {
		t.Error("there is no error")
	}
	if d := h.describe(t, last); d.StatusCode != "Succeeded" {
		t.Errorf("a retrieval behind %d inventories that fail: %+v", 2*batch+1, d)
	}
	h.store.beforePut(nil)
	h.finish(t)
	if jobs := h.inProgress(t); len(jobs) != 0 {
		t.Errorf("%d jobs are still in progress", len(jobs))
	}
}

func TestVaultDeletedWhileItsInventoryIsWritten(t *testing.T) {
	h := newHouse(t, inMemory, Defaults())
	check(t, h.DeleteArchive(t.Context(), h.ref, h.archive(t, []byte("x"))))
	h.start(t, inventoryIn("JSON"))
	h.store.beforePut(func(label) error { return h.DeleteVault(t.Context(), h.ref) })
	h.finish(t)
	h.upkeep(t)
	h.wantKinds(t, "after the deletion", "")
}

// TestJobsSurviveRebuild makes a second service over the same catalogue.
func TestJobsSurviveRebuild(t *testing.T) {
	h := newHouse(t, inMemory, Glacier())
	kept, doomed := h.archive(t, []byte("kept")), h.archive(t, []byte("doomed"))
	h.clock.move(24 * time.Hour)
	check(t, h.TakeInventories(t.Context()))
	jobs := []string{h.start(t, retrieval(kept, "Expedited")), h.start(t, inventoryIn("JSON"))}
	h.clock.move(5 * time.Hour)
	h.finish(t)
	jobs = append(jobs, h.start(t, retrieval(doomed, "Bulk")), h.start(t, retrieval(kept, "Bulk")), h.start(t, inventoryIn("CSV")))
	check(t, h.DeleteArchive(t.Context(), h.ref, doomed))
	list := func() string {
		l, err := h.ListJobs(t.Context(), h.ref, "", "", nil, nil)
		check(t, err)
		b, err := json.Marshal(l)
		check(t, err)
		return string(b)
	}
	before, output, due := list(), string(h.output(t, jobs[1])), h.inProgress(t)

	h.reopen(t)
	if after := list(); after != before {
		t.Errorf("jobs before %s\nand after %s", before, after)
	}
	if got := string(h.output(t, jobs[1])); got != output {
		t.Errorf("output before %s\nand after %s", output, got)
	}
	if next := h.finish(t); !next.Equal(due[0].DueAt) {
		t.Errorf("the next job is due at %s, and was at %s", next, due[0].DueAt)
	}
	h.clock.move(12 * time.Hour)
	h.finish(t)
	var states []string
	for _, id := range jobs {
		states = append(states, h.describe(t, id).StatusCode)
	}
	if got, want := fmt.Sprint(states), "[Succeeded Succeeded Failed Succeeded Succeeded]"; got != want {
		t.Errorf("the jobs ended %s, want %s", got, want)
	}
	if got := string(h.output(t, jobs[3])); got != "kept" {
		t.Errorf("output %q", got)
	}
}
