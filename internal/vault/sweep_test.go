package vault

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/store"
)

// full is a house whose store has a record of every kind that a row refers to.
type full struct {
	*house
	single, multipart string            // archives
	held, heldParts   string            // deleted archives that jobs still offer
	open              string            // an upload with parts
	jobs              map[string][]byte // and what they offer
}

func newFull(t *testing.T, open func(testing.TB, func() time.Time) store.Store) *full {
	t.Helper()
	big := bytes.Repeat([]byte("0123456789abcdef"), 100_000) // two parts
	f := &full{house: newHouse(t, open, Defaults()), jobs: make(map[string][]byte)}
	f.single, f.multipart = f.archive(t, []byte("single")), f.inParts(t, big)
	f.held, f.heldParts = f.archive(t, []byte("held")), f.inParts(t, big)
	f.jobs[f.job(t, f.held)] = []byte("held")
	f.jobs[f.job(t, f.heldParts)] = big
	for _, a := range []string{f.held, f.heldParts} {
		check(t, f.DeleteArchive(t.Context(), f.ref, a))
	}
	inventory := f.job(t, "")
	f.jobs[inventory] = f.output(t, inventory)
	f.open = f.upload(t)
	f.part(t, f.open, 0, []byte("replaced"))
	f.part(t, f.open, 0, []byte("open"))
	f.part(t, f.open, 1<<20, []byte("open too"))
	f.upkeep(t)
	return f
}

// fullKinds is what the store of a full house has.
const fullKinds = "archive:2 deleted:2 multipart:2 output:1 part:6"

// checkAll reads everything that a full house promises to have.
func (f *full) checkAll(t *testing.T) {
	t.Helper()
	for job, want := range f.jobs {
		if got := f.output(t, job); !bytes.Equal(got, want) {
			t.Errorf("job %s offers %d bytes that are not the %d of its output", job, len(got), len(want))
		}
	}
	for a, want := range map[string]int{f.single: len("single"), f.multipart: 1_600_000} {
		if got := f.retrieve(t, a); len(got) != want {
			t.Errorf("archive %s has %d bytes, want %d", a, len(got), want)
		}
	}
	body := append(append([]byte("open"), make([]byte, 1<<20-4)...), "open too"...)
	f.part(t, f.open, 0, body[:1<<20])
	if _, err := f.completeAs(t.Context(), f.open, body); err != nil {
		t.Errorf("the open upload cannot be completed: %v", err)
	}
}

// orphan stores a record that no row refers to.
func (f *full) orphan(t *testing.T, kind store.Kind, l label, body string) store.Place {
	t.Helper()
	l.Account, l.Vault = f.ref.Account, f.ref.Name
	x, err := f.store.Store.Put(t.Context(), kind, l.encode(), treehash.NewStream(bytes.NewReader([]byte(body)), -1, nil))
	check(t, err)
	return x.Place
}

// orphans stores what interrupted requests leave: for each kind of record one whose row was never made, and one beside a row that
// refers to another.
func (f *full) orphans(t *testing.T) []store.Place {
	t.Helper()
	return []store.Place{
		f.orphan(t, store.Payload, label{What: isArchive, Archive: f.newArchiveID()}, "never acknowledged"),
		f.orphan(t, store.Payload, label{What: isArchive, Archive: f.single}, "beside its row"),
		f.orphan(t, store.Payload, label{What: isArchive, Archive: f.single, Description: "d"}, "single"), // a copy
		f.orphan(t, store.Payload, label{What: isArchive, Archive: f.held}, "beside the row of a deleted one"),
		f.orphan(t, store.Manifest, label{What: isMultipart, Archive: f.newArchiveID(), Upload: f.open}, "never acknowledged"),
		f.orphan(t, store.Manifest, label{What: isMultipart, Archive: f.multipart}, "of a completion that came second"),
		f.orphan(t, store.Payload, label{What: isPart, Upload: f.newUploadID()}, "of no upload"),
		f.orphan(t, store.Payload, label{What: isPart, Upload: f.open, First: 1 << 20}, "replaced"),
		f.orphan(t, store.Payload, label{What: isPart, Upload: f.open, First: 2 << 20}, "never acknowledged"),
		f.orphan(t, store.Payload, label{What: isOutput, Job: f.newJobID()}, "of no job"),
		f.orphan(t, store.Payload, label{What: isOutput, Job: slices.Collect(maps.Keys(f.jobs))[0]}, "of a job whose output is another"),
		f.orphan(t, store.Tombstone, label{What: isDeleted, Archive: f.newArchiveID()}, ""),
		f.orphan(t, store.Tombstone, label{What: isDeleted, Archive: f.held}, ""),
		f.orphan(t, store.Tombstone, label{What: isDeleted, Archive: f.single}, ""),
	}
}

func TestSweep(t *testing.T) {
	for name, open := range map[string]func(testing.TB, func() time.Time) store.Store{"memory": inMemory, "volume": onDisk} {
		t.Run(name, func(t *testing.T) {
			f := newFull(t, open)
			f.wantKinds(t, "before the orphans", fullKinds)
			f.clock.move(time.Minute)
			orphans := f.orphans(t)
			before := f.records(t)
			f.clock.move(f.settings.LongestRequest - time.Millisecond)
			if swept := f.sweep(t); swept.Removed != 0 || swept.Records != len(before) {
				t.Errorf("a sweep before the time of the longest request: %+v", swept)
			}
			f.clock.move(time.Millisecond)
			if swept := f.sweep(t); swept.Removed != copies || swept.Orphans != len(orphans)-copies {
				t.Errorf("a sweep while complete records are kept: %+v, want %d orphans, and the copies removed", swept, len(orphans)-copies)
			}
			f.settings.KeepOrphans = f.settings.LongestRequest
			f.clock.move(f.settings.KeepOrphans - time.Millisecond) // from when they were found so
			if swept := f.sweep(t); swept.Removed != 0 {
				t.Errorf("a sweep while complete records are still kept: %+v", swept)
			}
			f.clock.move(time.Millisecond)
			swept := f.sweep(t)
			if swept.Removed != len(orphans)-copies || swept.Records != len(before)-copies {
				t.Errorf("the sweep: %+v; want %d of %d removed", swept, len(orphans), len(before))
			}
			for _, at := range orphans {
				delete(before, at)
			}
			if got := f.records(t); !maps.Equal(got, before) {
				t.Errorf("the sweep left %v, want %v", got, before)
			}
			if swept := f.sweep(t); swept.Removed != 0 || swept.Bytes != 0 {
				t.Errorf("a second sweep: %+v", swept)
			}
			f.clock.move(-2 * f.settings.LongestRequest) // before the jobs expire
			f.checkAll(t)
		})
	}
}

// copies is how many of the orphans are equal to the record that their row refers to: what an interrupted compaction leaves. They need not be kept.
const copies = 1

func (h *house) sweep(t *testing.T) Swept {
	t.Helper()
	swept, err := h.Sweep(t.Context())
	check(t, err)
	return swept
}

// TestSweepSparesDamage damages records that rows refer to, so that they do not say any more what they are: they stay, for whoever
// repairs them. An unreadable volume that nothing refers to goes.
func TestSweepSparesDamage(t *testing.T) {
	dir := t.TempDir()
	f := newFull(t, func(t testing.TB, now func() time.Time) store.Store { return aloneIn(t, dir, now) })
	volumes, err := filepath.Glob(filepath.Join(dir, "*", "*.vol"))
	check(t, err)
	for _, path := range volumes {
		b, err := os.ReadFile(path)
		check(t, err)
		b[0] ^= 0xff
		check(t, os.WriteFile(path, b, 0o600))
	}
	garbage := fmt.Sprintf("%016x%016x.vol", f.clock.Now().UnixNano(), 0x2a)
	check(t, os.WriteFile(filepath.Join(dir, "2a", garbage), []byte("a volume that was being written when the server stopped"), 0o600))
	f.clock.move(f.settings.LongestRequest)
	if swept := f.sweep(t); swept.Records != len(volumes)+1 || swept.Removed != 1 {
		t.Errorf("the sweep: %+v; want 1 of %d removed", swept, len(volumes)+1)
	}
	if _, err := os.Stat(filepath.Join(dir, "2a", garbage)); !os.IsNotExist(err) {
		t.Errorf("the volume that nothing refers to: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*", "*.vol"))
	check(t, err)
	if !slices.Equal(left, volumes) {
		t.Errorf("the sweep left %q, want %q", left, volumes)
	}
}

// TestSweepAfterAFailedRow lets the row of every kind of record fail in a way that leaves open whether it exists. The bytes stay until the sweep.
func TestSweepAfterAFailedRow(t *testing.T) {
	settings := Defaults()
	settings.KeepOrphans = settings.LongestRequest
	h := newHouse(t, inMemory, settings)
	upload := h.upload(t)
	for name, request := range map[string]func(context.Context) error{
		"archive": func(ctx context.Context) error {
			_, _, err := h.UploadArchive(ctx, h.ref, "", payloadOf([]byte("x")))
			return err
		},
		"part": func(ctx context.Context) error { return h.putPart(ctx, upload, 1<<20, []byte("x")) },
		"multipart": func(ctx context.Context) error {
			h.part(t, upload, 0, []byte("kept"))
			_, err := h.completeAs(ctx, upload, []byte("kept"))
			return err
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		kind := store.Payload
		if name == "multipart" {
			kind = store.Manifest
		}
		h.store.whenStored(kind, func() error { cancel(); return nil })
		if err := request(ctx); err == nil {
			t.Errorf("%s: the request succeeded without its row", name)
		}
		h.store.whenStored(kind, nil)
	}
	h.clock.move(h.settings.LongestRequest)
	h.sweep(t)
	h.clock.move(h.settings.KeepOrphans)
	h.sweep(t)
	if err := h.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if n, _ := h.held(t); n != 0 {
		t.Errorf("the vault has %d archives", n)
	}
	h.part(t, upload, 0, []byte("kept"))
	h.upkeep(t)
	h.wantKinds(t, "in the end", "part:1")
}

// TestOldCatalogue puts an old copy of the catalogue back: what was acknowledged since is unknown to it. The sweep must not destroy what a rebuild could bring back.
func TestOldCatalogue(t *testing.T) {
	h := newHouse(t, onDisk, Defaults())
	old := filepath.Join(t.TempDir(), "old.db")
	check(t, h.rows.Close())
	copyFile(t, h.path, old)
	h.open(t, h.settings)
	h.archive(t, []byte("acknowledged"))
	h.inParts(t, []byte("acknowledged too"))
	check(t, h.rows.Close())
	for _, f := range []string{"", "-wal", "-shm"} {
		os.Remove(h.path + f)
	}
	copyFile(t, old, h.path)
	h.open(t, h.settings)
	h.clock.move(h.settings.KeepOrphans - time.Millisecond)
	if swept := h.sweep(t); swept.Removed != 0 || swept.Orphans != 3 {
		t.Errorf("the sweep: %+v", swept)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	check(t, err)
	check(t, os.WriteFile(to, b, 0o600))
}
