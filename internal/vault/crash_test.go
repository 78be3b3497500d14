package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/store/volume"
	"github.com/moraine-archive/moraine/internal/vfs/vfstest"
)

// TestCrashAnywhere runs a workload again and again, lets the power fail at its k-th disk operation for every k, starts
// anew on what is left, and checks that everything acknowledged is there and nothing else. The catalogue is real SQLite, whose
// commits are durable; the volumes are on a disk that forgets what was not synced.
func TestCrashAnywhere(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	points := 0
	for k, past := 0, false; !past; k += stride() {
		for _, survival := range []vfstest.Survival{vfstest.Nothing, vfstest.Everything, vfstest.Anything} {
			c := newCrash(t, seed)
			past = c.runUntil(t, k)
			c.reboot(t, survival)
			if c.checkPromises(t); t.Failed() {
				t.Fatalf("at disk operation %d, survival %d, seed %d", k, survival, seed)
			}
			points++
		}
	}
	t.Logf("%d crash points passed", points)
}

// TestFailAnywhere fails each disk operation of the workload by itself, without effect and after its effect. The server goes on, and
// loses nothing.
func TestFailAnywhere(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for k, past := 0, false; !past; k += stride() {
		for _, f := range []vfstest.Fault{
			{Err: vfstest.ErrIO}, {Err: vfstest.ErrIO, After: true}, {Err: vfstest.ErrNoSpace, Short: true},
		} {
			c := newCrash(t, seed)
			first := c.disk.Ops() + k
			c.disk.Fault = func(op vfstest.Op) vfstest.Fault {
				if op.Number == first {
					return f
				}
				return vfstest.Fault{}
			}
			c.work(t.Context())
			past = c.disk.Ops() <= first
			c.disk.Fault = nil
			if c.checkPromises(t); t.Failed() {
				t.Fatalf("at disk operation %d, fault %+v, seed %d", k, f, seed)
			}
		}
	}
}

// stride is how far the loops go from one operation to the next: one with MORAINE_CRASH=all (make crash), otherwise some, by chance.
func stride() int {
	if os.Getenv("MORAINE_CRASH") == "all" {
		return 1
	}
	return 1 + rand.IntN(40)
}

// crash is a service whose disk can fail, and what it has promised.
type crash struct {
	*Service
	rows  *catalogue.DB
	disk  *vfstest.Disk
	rnd   *rand.Rand
	clock *stoppedClock
	ref   Ref

	kept    map[string][]byte // archives that were acknowledged, and not asked to be deleted
	doubt   map[string]bool   // archives whose deletion was not answered
	deleted []string          // archives whose deletion was acknowledged
	offered map[string][]byte // jobs that have succeeded, and what they offer
}

func newCrash(t *testing.T, seed uint64) *crash {
	t.Helper()
	rows, err := catalogue.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "catalogue.db"))
	check(t, err)
	t.Cleanup(func() { check(t, rows.Close()) })
	c := &crash{
		rows: rows, disk: vfstest.New(), rnd: rand.New(rand.NewPCG(seed, 1)),
		clock: &stoppedClock{now: time.Date(2024, 2, 29, 10, 11, 12, 0, time.UTC)}, ref: Ref{"123456789012", "v"},
		kept: map[string][]byte{}, doubt: map[string]bool{}, offered: map[string][]byte{},
	}
	c.start(t)
	check(t, c.CreateVault(t.Context(), c.ref))
	return c
}

func (c *crash) start(t *testing.T) {
	t.Helper()
	volumes, err := volume.Open(c.disk, "volumes", volume.Defaults(), c.clock.Now)
	check(t, err)
	c.Service = New(c.rows, volumes, Defaults(), c.clock.Now, slog.New(slog.DiscardHandler))
}

// runUntil runs the workload with a power failure at its k-th operation. It reports whether it ended before.
func (c *crash) runUntil(t *testing.T, k int) bool {
	t.Helper()
	first := c.disk.Ops() + k
	c.disk.Fault = func(op vfstest.Op) vfstest.Fault { return vfstest.Fault{Crash: op.Number == first} }
	c.work(t.Context())
	return c.disk.Ops() < first+1
}

// work is the workload: uploads in one piece and in parts, a part replaced, an upload aborted, jobs, deletions of archives that a job offers
// and of others. What fails is left as it is.
func (c *crash) work(ctx context.Context) {
	small := c.upload(ctx, 1000)
	offered := c.upload(ctx, 1<<20+7)
	large := c.multipart(ctx, 3<<20-1)
	c.job(ctx, offered)
	c.job(ctx, large)
	c.inventory(ctx)
	c.delete(ctx, small)
	c.delete(ctx, large)
	c.delete(ctx, offered)
	c.delete(ctx, offered)
	if id, err := c.InitiateMultipartUpload(ctx, c.ref, "1048576", ""); err == nil {
		c.part(ctx, id, 0, c.bytes(100))
		c.AbortMultipartUpload(ctx, c.ref, id)
	}
	c.Release(ctx)
	c.upload(ctx, 10)
	c.delete(ctx, c.multipart(ctx, 2<<20))
	c.Release(ctx)
}

func (c *crash) bytes(n int) []byte {
	b := make([]byte, n)
	for i := 0; i < n; i += 64 {
		b[i] = byte(c.rnd.Uint32())
	}
	return b
}

func (c *crash) upload(ctx context.Context, n int) string {
	b := c.bytes(n)
	id, _, err := c.UploadArchive(ctx, c.ref, "d", payloadOf(b))
	if err != nil {
		return ""
	}
	c.kept[id] = b
	return id
}

func (c *crash) part(ctx context.Context, upload string, first int, b []byte) {
	c.UploadMultipartPart(ctx, c.ref, upload, fmt.Sprintf("bytes %d-%d/*", first, first+len(b)-1), payloadOf(b))
}

func (c *crash) multipart(ctx context.Context, n int) string {
	b := c.bytes(n)
	id, err := c.InitiateMultipartUpload(ctx, c.ref, "1048576", "d")
	if err != nil {
		return ""
	}
	c.part(ctx, id, 0, c.bytes(1<<20)) // replaced below
	for first := 0; first < n; first += 1 << 20 {
		c.part(ctx, id, first, b[first:min(n, first+1<<20)])
	}
	archive, _, err := c.CompleteMultipartUpload(ctx, c.ref, id, fmt.Sprint(n), payloadOf(b).TreeHash)
	if err != nil {
		return ""
	}
	c.kept[archive] = b
	return archive
}

func (c *crash) job(ctx context.Context, archive string) {
	id, err := c.InitiateJob(ctx, c.ref, JobParameters{Type: new("archive-retrieval"), ArchiveID: &archive})
	if err != nil {
		return
	}
	if _, err := c.FinishJobs(ctx, AllJobs); err == nil {
		c.offered[id] = c.kept[archive]
	}
}

func (c *crash) inventory(ctx context.Context) {
	id, err := c.InitiateJob(ctx, c.ref, JobParameters{Type: new("inventory-retrieval")})
	if err != nil {
		return
	}
	if _, err := c.FinishJobs(ctx, AllJobs); err != nil {
		return
	}
	if b, err := c.read(ctx, id); err == nil {
		c.offered[id] = b
	}
}

func (c *crash) delete(ctx context.Context, archive string) {
	if archive == "" {
		return
	}
	if c.DeleteArchive(ctx, c.ref, archive) == nil {
		delete(c.kept, archive)
		delete(c.doubt, archive)
		c.deleted = append(c.deleted, archive)
	} else if _, kept := c.kept[archive]; kept {
		c.doubt[archive] = true
	}
}

func (c *crash) read(ctx context.Context, job string) ([]byte, error) {
	o, err := c.GetJobOutput(ctx, c.ref, job)
	if err != nil {
		return nil, err
	}
	r, err := o.Open(ctx, 0, o.Size-1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// reboot starts a new service on what the disk has kept.
func (c *crash) reboot(t *testing.T, s vfstest.Survival) {
	t.Helper()
	c.disk = c.disk.Reboot(s, c.rnd)
	c.start(t)
}

// checkPromises checks everything that was acknowledged, and that after upkeep and a sweep nothing is on the disk that no row needs.
func (c *crash) checkPromises(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	_, err := c.FinishJobs(ctx, AllJobs)
	check(t, err)
	for job, want := range c.offered {
		if got, err := c.read(ctx, job); err != nil || !bytes.Equal(got, want) {
			t.Errorf("a job's output has %d bytes, want %d: %v", len(got), len(want), err)
		}
	}
	for id, want := range c.kept {
		c.checkKept(t, id, want)
	}
	for _, id := range slices.Compact(c.deleted) {
		_, err := c.InitiateJob(ctx, c.ref, JobParameters{Type: new("archive-retrieval"), ArchiveID: &id})
		wantFault(t, "retrieve a deleted archive", err, fault.NotFound)
		if !c.goneFromMedium(t, id) {
			t.Errorf("archive %.12s was deleted, and a catalogue made from the medium would have it again", id)
		}
	}
	c.checkNothingElse(t)
}

// checkKept reads an archive by a job.
func (c *crash) checkKept(t *testing.T, id string, want []byte) {
	t.Helper()
	job, err := c.InitiateJob(t.Context(), c.ref, JobParameters{Type: new("archive-retrieval"), ArchiveID: &id})
	if c.doubt[id] && fault.Is(err, fault.NotFound) {
		return // the deletion that was not answered has happened
	}
	check(t, err)
	_, err = c.FinishJobs(t.Context(), AllJobs)
	check(t, err)
	if got, err := c.read(t.Context(), job); err != nil || !bytes.Equal(got, want) {
		t.Errorf("archive %.12s has %d bytes, want %d: %v", id, len(got), len(want), err)
	}
}

// goneFromMedium reports whether the records on the disk say that an archive was deleted: none names it, or a tombstone does too.
func (c *crash) goneFromMedium(t *testing.T, id string) bool {
	t.Helper()
	named, buried := false, false
	check(t, c.Service.bytes.Walk(t.Context(), func(x store.Extent) error {
		if !bytes.Contains(x.Label, []byte(id)) || bytes.Contains(x.Label, []byte(`"what":"part"`)) {
			return nil // a part is no archive without the list that names it
		}
		named = named || x.Kind != store.Tombstone
		buried = buried || x.Kind == store.Tombstone
		return nil
	}))
	return !named || buried
}

// checkNothingElse lets all jobs and requests end, sweeps, and looks for records that no row needs and rows whose record is gone.
func (c *crash) checkNothingElse(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	c.clock.move(90 * 24 * time.Hour)
	check(t, c.Expire(ctx))
	check(t, c.Release(ctx))
	_, err := c.Sweep(ctx)
	check(t, err)
	left := 0
	check(t, c.Service.bytes.Walk(ctx, func(x store.Extent) error {
		left++
		if needed, err := c.needed(ctx, x); err != nil || !needed {
			return errors.Join(err, fmt.Errorf("the record %s stays for ever", x.Label))
		}
		return nil
	}))
	want := 0
	for id := range c.kept {
		err := c.rows.View(ctx, func(tx *catalogue.Tx) error {
			a, err := tx.Archive(id)
			if err == nil && a.UploadID != nil {
				parts, _ := tx.Parts(*a.UploadID, -1, 100)
				want += len(parts)
			}
			if err == nil {
				want++
			}
			return nil
		})
		check(t, err)
	}
	if left != want {
		t.Errorf("%d records are left, %d are needed", left, want)
	}
}
