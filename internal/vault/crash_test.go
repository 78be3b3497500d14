package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/catalogue"
	times "github.com/moraine-archive/moraine/internal/clock"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/store/volume"
	"github.com/moraine-archive/moraine/internal/vfs/vfstest"
)

// The crash loop: a workload that a seed determines is run again and again; the power fails at its k-th operation for every k, the service starts
// anew on what is left, and everything that was acknowledged is checked, with the code of `moraine admin check` among others. An operation is one of the
// disk or a commit of the catalogue, which is real SQLite: a commit can fail, and it can happen and not be reported.
//
// MORAINE_CRASH says for how long (make crash); without it a part of the workload of a few seeds is tried. MORAINE_CRASH_SEED is the first seed.

// TestCrashAnywhere lets the power fail.
func TestCrashAnywhere(t *testing.T) {
	anywhere(t, func(t *testing.T, seed uint64, k int, random bool, s vfstest.Survival) (past bool, points int64) {
		c := newCrash(t, seed)
		defer c.close(t)
		for after := range 2 {
			if after == 1 {
				c.reset(t)
			}
			c.failAt(k, vfstest.Fault{Crash: true, After: after == 1})
			past = c.work(t.Context())
			c.reboot(t, s, random)
			c.checkPromises(t)
			points++
		}
		return past, points
	})
}

// TestFailAnywhere lets operations fail one at a time, without effect and after their effect. The service goes on, loses nothing, and needs no restart.
func TestFailAnywhere(t *testing.T) {
	faults := []vfstest.Fault{{Err: vfstest.ErrIO}, {Err: vfstest.ErrIO, After: true}, {Err: vfstest.ErrNoSpace, Short: true}}
	anywhere(t, func(t *testing.T, seed uint64, k int, random bool, s vfstest.Survival) (past bool, points int64) {
		c := newCrash(t, seed)
		defer c.close(t)
		c.failAt(k, faults[int(s)%len(faults)])
		past = c.work(t.Context())
		c.disk.Fault = nil
		if random {
			c.reboot(t, s, false)
		}
		c.checkPromises(t)
		return past, 1
	})
}

// attempt lets the workload of a seed fail at its k-th operation. It reports whether the workload was past before, and how many failures it tried.
type attempt func(t *testing.T, seed uint64, k int, random bool, s vfstest.Survival) (past bool, points int64)

// anywhere tries every operation of the workload of many seeds, and every kind of survival.
func anywhere(t *testing.T, try attempt) {
	long, _ := time.ParseDuration(os.Getenv("MORAINE_CRASH"))
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("MORAINE_CRASH_SEED"); text != "" {
		fmt.Sscan(text, &seed)
	}
	t.Logf("the first seed is %d", seed)
	ends := time.Now().Add(long)
	var points, seeds atomic.Int64
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for {
				n := seeds.Add(1)
				if long == 0 && n > 2 || long > 0 && time.Now().After(ends) {
					return
				}
				points.Add(everyOperation(t, seed+uint64(n-1), long > 0, ends, try))
				if t.Failed() {
					return
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d crash points passed, with %d seeds from %d on", points.Load(), seeds.Load()-2, seed)
}

func everyOperation(t *testing.T, seed uint64, long bool, ends time.Time, try attempt) (points int64) {
	rnd := rand.New(rand.NewPCG(seed, 2))
	for k, past := 0, false; !past; k++ {
		for _, s := range []vfstest.Survival{vfstest.Nothing, vfstest.Everything, vfstest.Anything} {
			var n int64
			if past, n = try(t, seed, k, rnd.IntN(2) == 0, s); t.Failed() {
				t.Errorf("at operation %d, survival %d: MORAINE_CRASH_SEED=%d", k, s, seed)
				return points
			}
			points += n
		}
		if !long {
			k += rnd.IntN(60)
		} else if time.Now().After(ends) {
			return points
		}
	}
	return points
}

// crash is a service whose disk can fail, and what it has promised.
type crash struct {
	*Service
	seed    uint64
	rows    *catalogue.DB
	volumes *volume.Store
	disk    *vfstest.Disk
	rnd     *rand.Rand
	clock   *stoppedClock
	ref     Ref

	kept    map[string][]byte // archives that were acknowledged, and not asked to be deleted
	doubt   map[string]bool   // archives whose deletion was not answered
	deleted []string          // archives whose deletion was acknowledged
	offered map[string][]byte // jobs that have succeeded, and what they offer
	locked  map[string]string // vaults whose lock was acknowledged, and its policy
	tagged  map[string]string // the tag "a" of those, "" if the last change was not answered
	dir     string
}

// crashOptions are small, so that volumes fill, and are compacted.
func crashOptions() volume.Options {
	o := volume.Defaults()
	o.ShareLimit, o.VolumeSize, o.Ahead = 4<<10, 24<<10, 1<<10
	return o
}

func crashSettings() Settings {
	s := Defaults()
	s.LongestRequest, s.JobExpiry, s.IdleUpload, s.RepeatWindow, s.KeepOrphans = time.Hour, 2*time.Hour, 5*time.Hour, time.Hour, 3*time.Hour
	s.CompactShare = 0.3
	return s
}

// crashDir returns a directory for catalogues, in memory if there is a file system for that: what SQLite does to a disk is not at issue.
func crashDir() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return ""
}

var emptyCatalogue = sync.OnceValues(func() ([]byte, error) { // read only
	dir, err := os.MkdirTemp(crashDir(), "moraine-crash-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "catalogue.db")
	rows, err := catalogue.OpenSQLite(context.Background(), path)
	if err != nil {
		return nil, err
	}
	if err := rows.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

func newCrash(t *testing.T, seed uint64) *crash {
	t.Helper()
	dir, err := os.MkdirTemp(crashDir(), "moraine-crash-")
	check(t, err)
	c := &crash{seed: seed, ref: Ref{"123456789012", "v"}, dir: dir}
	c.reset(t)
	return c
}

func (c *crash) close(t *testing.T) {
	t.Helper()
	check(t, c.rows.Close())
	check(t, os.RemoveAll(c.dir))
}

// reset begins anew, with the same seed.
func (c *crash) reset(t *testing.T) {
	t.Helper()
	if c.rows != nil {
		check(t, c.rows.Close())
	}
	empty, err := emptyCatalogue()
	check(t, err)
	path := filepath.Join(c.dir, "catalogue.db")
	os.Remove(path + "-wal")
	os.Remove(path + "-shm")
	check(t, os.WriteFile(path, empty, 0o600))
	c.rows, err = catalogue.OpenSQLite(t.Context(), path)
	check(t, err)
	c.disk, c.rnd = vfstest.New(), rand.New(rand.NewPCG(c.seed, 1))
	c.clock = &stoppedClock{now: time.Date(2024, 2, 29, 10, 11, 12, 0, time.UTC)}
	c.kept, c.doubt, c.deleted, c.offered = map[string][]byte{}, map[string]bool{}, nil, map[string][]byte{}
	c.locked, c.tagged = map[string]string{}, map[string]string{}
	check(t, c.start())
	check(t, c.CreateVault(t.Context(), c.ref))
	c.rows.FailCommits(func() catalogue.CommitFault {
		switch f := c.disk.Operation("commit", "catalogue"); {
		case f.Err == nil:
			return catalogue.CommitWorks
		case f.After:
			return catalogue.CommitFailsAfter
		}
		return catalogue.CommitFails
	})
}

func (c *crash) start() error {
	volumes, err := volume.Open(c.disk, "volumes", crashOptions(), c.clock.Now)
	if err != nil {
		return err
	}
	c.volumes = volumes
	c.Service = New(c.rows, c.volumes, crashSettings(), times.Of(c.clock.Now), slog.New(slog.DiscardHandler))
	return nil
}

// failAt lets the k-th operation from now on fail. Directories are made at the start only; of operations that change nothing, those count that read files, and
// for a crash none.
func (c *crash) failAt(k int, f vfstest.Fault) {
	passedOver := []string{"mkdir", "list"}
	if f.Crash {
		passedOver = append(passedOver, "open", "read", "readfile", "lock")
	}
	c.disk.Fault = func(op vfstest.Op) vfstest.Fault {
		if slices.Contains(passedOver, op.Name) {
			return vfstest.Fault{}
		}
		if k--; k == -1 {
			return f
		}
		return vfstest.Fault{}
	}
}

// steps is how many steps a workload has.
const steps = 40

// work runs the workload. What fails is left as it is. It reports whether nothing failed.
func (c *crash) work(ctx context.Context) bool {
	failed := false
	watch := c.disk.Fault
	c.disk.Fault = func(op vfstest.Op) vfstest.Fault {
		f := watch(op)
		failed = failed || f != vfstest.Fault{}
		return f
	}
	actions := []func(context.Context){
		c.uploadSmall, c.uploadSmall, c.uploadSmall, c.uploadSmall, c.uploadLarge, c.multipart, c.multipartOfTwo, c.abort,
		c.deleteAny, c.deleteAny, c.deleteAny, c.deleteAgain, c.jobOnAny, c.inventory, c.timePasses, c.timePasses,
		c.upkeep, c.sweep, c.compact, c.compact, c.backedUp, c.restart, c.lockAny, c.tagAny,
	}
	for range steps {
		actions[c.rnd.IntN(len(actions))](ctx)
	}
	return !failed
}

func (c *crash) bytes(n int) []byte {
	b := make([]byte, n)
	for i := 0; i < n; i += 64 {
		b[i] = byte(c.rnd.Uint32())
	}
	return b
}

func (c *crash) uploadSmall(ctx context.Context) { c.upload(ctx, 1+c.rnd.IntN(3000)) }
func (c *crash) uploadLarge(ctx context.Context) { c.upload(ctx, 5000+c.rnd.IntN(5000)) }

func (c *crash) upload(ctx context.Context, n int) {
	b := c.bytes(n)
	id, _, err := c.UploadArchive(ctx, c.ref, "d", payloadOf(b))
	if err == nil {
		c.kept[id] = b
	}
}

func (c *crash) part(ctx context.Context, upload string, first int, b []byte) {
	c.UploadMultipartPart(ctx, c.ref, upload, fmt.Sprintf("bytes %d-%d/*", first, first+len(b)-1), payloadOf(b))
}

// multipart has one part, which replaces another.
func (c *crash) multipart(ctx context.Context) { c.assembleAfter(ctx, c.bytes(1+c.rnd.IntN(8000))) }

// multipartOfTwo has a whole MiB more.
func (c *crash) multipartOfTwo(ctx context.Context) {
	if c.rnd.IntN(4) == 0 {
		c.assembleAfter(ctx, c.bytes(1<<20+1+c.rnd.IntN(3000)))
	}
}

func (c *crash) assembleAfter(ctx context.Context, b []byte) {
	id, err := c.InitiateMultipartUpload(ctx, c.ref, "1048576", "d")
	if err != nil {
		return
	}
	c.part(ctx, id, 0, c.bytes(100)) // replaced below
	for first := 0; first < len(b); first += 1 << 20 {
		c.part(ctx, id, first, b[first:min(len(b), first+1<<20)])
	}
	archive, _, err := c.CompleteMultipartUpload(ctx, c.ref, id, fmt.Sprint(len(b)), payloadOf(b).TreeHash)
	if err == nil {
		c.kept[archive] = b
	}
}

func (c *crash) abort(ctx context.Context) {
	if id, err := c.InitiateMultipartUpload(ctx, c.ref, "1048576", ""); err == nil {
		c.part(ctx, id, 0, c.bytes(100))
		if c.rnd.IntN(2) == 0 { // otherwise it becomes idle
			c.AbortMultipartUpload(ctx, c.ref, id)
		}
	}
}

// anyKept returns the id of one of the archives, "" if there is none.
func (c *crash) anyKept() string {
	n := c.rnd.IntN(1 << 20)
	if len(c.kept) == 0 {
		return ""
	}
	return slices.Sorted(maps.Keys(c.kept))[n%len(c.kept)] // ids are in the order of creation
}

func (c *crash) jobOnAny(ctx context.Context) {
	archive := c.anyKept()
	if archive == "" || c.doubt[archive] {
		return
	}
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

func (c *crash) deleteAny(ctx context.Context) { c.delete(ctx, c.anyKept()) }

func (c *crash) deleteAgain(ctx context.Context) {
	if len(c.deleted) > 0 {
		c.delete(ctx, c.deleted[len(c.deleted)-1])
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

// timePasses lets outputs expire.
func (c *crash) timePasses(context.Context) {
	c.clock.move(time.Duration(c.rnd.IntN(120)) * time.Minute)
	clear(c.offered)
}

// lockAny puts a lock on another vault, for ever.
func (c *crash) lockAny(ctx context.Context) {
	ref := Ref{c.ref.Account, fmt.Sprintf("locked-%d", c.rnd.IntN(3))}
	policy := fmt.Sprintf(`{"Statement":{"Sid":"%d","Effect":"Deny","Principal":"*","Action":"glacier:DeleteVault","Resource":"*"}}`, c.rnd.IntN(1000))
	if c.CreateVault(ctx, ref) != nil || c.AbortVaultLock(ctx, ref) != nil {
		return
	}
	id, err := c.InitiateVaultLock(ctx, ref, &policy)
	if err == nil && c.CompleteVaultLock(ctx, ref, id) == nil {
		c.locked[ref.Name] = policy
	}
}

// tagAny changes a tag of a vault that is locked: it is on the medium with the lock.
func (c *crash) tagAny(ctx context.Context) {
	name, value := fmt.Sprintf("locked-%d", c.rnd.IntN(3)), fmt.Sprint(c.rnd.IntN(1000))
	if _, locked := c.locked[name]; !locked {
		return
	}
	c.tagged[name] = ""
	if c.AddTagsToVault(ctx, Ref{c.ref.Account, name}, map[string]string{"a": value}) == nil {
		c.tagged[name] = value
	}
}

// checkLocks holds the locks against those that were acknowledged.
func (c *crash) checkLocks(t *testing.T, when string, locked, tagged map[string]string) {
	t.Helper()
	for name, value := range tagged {
		if d, err := c.ListTagsForVault(t.Context(), Ref{c.ref.Account, name}); err != nil || value != "" && d.Tags["a"] != value {
			t.Errorf("%s the tags of %s are %v, want %s: %v", when, name, d.Tags, value, err)
		}
	}
	for name, policy := range locked {
		ref := Ref{c.ref.Account, name}
		if d, err := c.GetVaultLock(t.Context(), ref); err != nil || d.State != "Locked" || d.Policy != policy {
			t.Errorf("%s the lock of %s is %+v, want %s: %v", when, name, d, policy, err)
		}
		wantFault(t, when+" delete a locked vault", c.DeleteVault(t.Context(), ref), fault.Denied)
	}
}

func (c *crash) upkeep(ctx context.Context) {
	c.Expire(ctx)
	c.Release(ctx)
}

func (c *crash) sweep(ctx context.Context)   { c.Sweep(ctx) }
func (c *crash) compact(ctx context.Context) { c.Compact(ctx, nil) }
func (c *crash) backedUp(ctx context.Context) {
	c.Backup(ctx, func(context.Context) error { return nil })
}

// restart stops the store in good order, and starts it again, at the second try if need be.
func (c *crash) restart(context.Context) {
	c.volumes.Close()
	err := c.start()
	if err != nil {
		err = c.start()
	}
	if err != nil {
		c.disk.Crash() // a server that does not start answers nothing
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

// reboot starts a new service on what the disk has kept. With again the power fails another time meanwhile.
func (c *crash) reboot(t *testing.T, s vfstest.Survival, again bool) {
	t.Helper()
	c.disk = c.disk.Reboot(s, c.rnd)
	if again {
		c.failAt(c.rnd.IntN(12), vfstest.Fault{Crash: true})
		c.start()
		c.disk = c.disk.Reboot(s, c.rnd)
	}
	check(t, c.start())
}

// checkPromises checks everything that was acknowledged, and that after upkeep nothing is on the disk that no row needs.
func (c *crash) checkPromises(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	_, err := c.FinishJobs(ctx, AllJobs)
	check(t, err)
	c.wantSound(t, "after the failure")
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
	}
	c.checkLocks(t, "after the failure", c.locked, c.tagged)
	if c.rnd.IntN(4) == 0 {
		c.checkRebuild(t)
	}
	c.checkNothingElse(t)
}

// checkRebuild makes a catalogue from the disk alone: it has everything that was acknowledged, and nothing that was deleted comes back.
func (c *crash) checkRebuild(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	empty, err := emptyCatalogue()
	check(t, err)
	dir, err := os.MkdirTemp(crashDir(), "moraine-crash-")
	check(t, err)
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "catalogue.db")
	check(t, os.WriteFile(path, empty, 0o600))
	rows, err := catalogue.OpenSQLite(ctx, path)
	check(t, err)
	defer rows.Close()
	volumes, err := volume.Open(c.disk.Clone(), "volumes", crashOptions(), c.clock.Now)
	check(t, err)
	r := &crash{Service: New(rows, volumes, crashSettings(), times.Of(c.clock.Now), slog.New(slog.DiscardHandler)), rows: rows, ref: c.ref}
	_, err = r.Rebuild(ctx, Inspection{Report: func(Finding) error { return nil }})
	check(t, err)
	r.wantSound(t, "after a rebuild")
	r.checkLocks(t, "after a rebuild", c.locked, c.tagged)
	has := func(id string) (has bool) {
		check(t, rows.View(ctx, func(tx *catalogue.Tx) error {
			_, err := tx.Archive(id)
			has = err == nil
			return nil
		}))
		return has
	}
	for id, want := range c.kept {
		if has(id) {
			r.checkKept(t, id, want)
		} else if !c.doubt[id] {
			t.Errorf("archive %.12s, of %d bytes, is not in a catalogue that is made from the disk", id, len(want))
		}
	}
	for _, id := range c.deleted {
		if has(id) {
			t.Errorf("archive %.12s was deleted, and is in a catalogue that is made from the disk", id)
		}
	}
}

// wantSound runs the check of `moraine admin check`.
func (c *crash) wantSound(t *testing.T, when string) {
	t.Helper()
	_, err := c.Check(t.Context(), Inspection{Data: true, Report: func(f Finding) error {
		if f.Severity == Wrong {
			t.Errorf("%s the check finds: %s", when, f)
		}
		return nil
	}})
	check(t, err)
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

// checkNothingElse lets all jobs and requests end, and looks for records that no row needs, rows whose record is gone, and space that does not come back.
func (c *crash) checkNothingElse(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	c.clock.move(90 * 24 * time.Hour)
	check(t, c.Expire(ctx))
	check(t, c.Release(ctx))
	for range 2 { // the first finds orphans, the second removes them
		_, err := c.Sweep(ctx)
		check(t, err)
		c.clock.move(crashSettings().KeepOrphans)
	}
	check(t, c.Backup(ctx, func(context.Context) error { return nil }))
	check(t, c.Release(ctx))
	_, err := c.Compact(ctx, nil)
	check(t, err)
	c.wantSound(t, "in the end")
	var rows, records int64
	check(t, c.rows.View(ctx, func(tx *catalogue.Tx) (err error) {
		rows, err = tx.CountPlaces()
		return err
	}))
	var needed int64
	check(t, c.volumes.Walk(ctx, func(x store.Extent) error {
		records++
		needed += x.Size + 1000
		if fate, err := c.fate(ctx, x); err != nil || fate != store.Move {
			return errors.Join(err, fmt.Errorf("the record %s stays for ever", x.Label))
		}
		return nil
	}))
	if rows != records {
		t.Errorf("%d records are left, %d are needed", records, rows)
	}
	c.checkSpace(t, needed)
}

// checkSpace looks at what is on the disk: what is needed, as much again since a volume is compacted only then, and what the volume in use has ahead.
func (c *crash) checkSpace(t *testing.T, needed int64) {
	t.Helper()
	var shared, used int64
	for _, path := range c.disk.Files() {
		if strings.HasSuffix(path, ".vol") {
			used += c.disk.Size(path)
		}
		if strings.Contains(path, "shared") {
			shared++
		}
	}
	o := crashOptions()
	if limit := 2*needed + 2*o.VolumeSize + shared*1000; used > limit {
		t.Errorf("%d bytes are on the disk in %d shared volumes and others, for %d that are needed", used, shared, needed)
	}
}
