package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
)

// TestBytesGo ends things in every way and looks at the volume files: what nothing needs any more goes with the next Release, and nothing else does.
func TestBytesGo(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 100_000) // two parts
	for _, c := range []struct {
		name    string
		make    func(*testing.T, *house) (id string)
		end     func(*testing.T, *house, string)
		atOnce  int // files that are left before Release, with the tombstone
		records int // files of the thing
	}{
		{"a deleted archive", func(t *testing.T, h *house) string { return h.archive(t, big) }, deleteArchive, 2, 1},
		{"a deleted multipart archive", func(t *testing.T, h *house) string { return h.inParts(t, big) }, deleteArchive, 4, 3},
		{"an aborted upload", startTwoParts, func(t *testing.T, h *house, id string) {
			check(t, h.AbortMultipartUpload(t.Context(), h.ref, id))
		}, 2, 2},
		{"an idle upload", startTwoParts, func(t *testing.T, h *house, _ string) {
			h.clock.move(h.settings.IdleUpload)
			check(t, h.Expire(t.Context()))
		}, 2, 2},
		{"a deleted archive with a failed job", func(t *testing.T, h *house) string {
			h.settings.Standard = Range{time.Hour, time.Hour}
			a := h.archive(t, big)
			h.job(t, a)
			return a
		}, deleteArchive, 2, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			h := newHouse(t, func(t testing.TB, now func() time.Time) store.Store { return aloneIn(t, dir, now) }, Defaults())
			h.archive(t, []byte("stays"))
			h.inParts(t, []byte("stays too"))
			before := files(t, dir)
			id := c.make(t, h)
			if n := len(files(t, dir)) - len(before); n != c.records {
				t.Fatalf("%d volumes were made, want %d", n, c.records)
			}
			c.end(t, h, id)
			if n := len(files(t, dir)) - len(before); n != c.atOnce {
				t.Errorf("%d volumes are left before the release, want %d", n, c.atOnce)
			}
			h.backUp(t)
			check(t, h.Release(t.Context()))
			if got := files(t, dir); !maps.Equal(got, before) {
				t.Errorf("after the release there is %v, want %v", got, before)
			}
			check(t, h.Release(t.Context())) // there is nothing more
		})
	}
}

func startTwoParts(t *testing.T, h *house) string {
	t.Helper()
	upload := h.upload(t)
	h.part(t, upload, 0, []byte("one"))
	h.part(t, upload, 5<<20, []byte("two"))
	return upload
}

func deleteArchive(t *testing.T, h *house, id string) {
	t.Helper()
	check(t, h.DeleteArchive(t.Context(), h.ref, id))
}

// files returns the volume files in a directory and their lengths.
func files(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*", "*.vol"))
	check(t, err)
	all := make(map[string]int64)
	for _, path := range paths {
		info, err := os.Stat(path)
		check(t, err)
		all[filepath.Base(path)] = info.Size()
	}
	return all
}

// TestReplacedPartsGo stores a part several times.
func TestReplacedPartsGo(t *testing.T) {
	h := newHouse(t, onDisk, Defaults())
	upload := h.upload(t)
	for _, text := range []string{"first", "second, longer", "3"} {
		h.part(t, upload, 0, []byte(text))
	}
	h.part(t, upload, 1<<20, []byte("another"))
	h.upkeep(t)
	h.wantKinds(t, "after the release", "part:2")
	list, err := h.ListParts(t.Context(), h.ref, upload, nil, nil)
	check(t, err)
	if got, want := list.Parts[0].SHA256TreeHash, payloadOf([]byte("3")).TreeHash; got != want {
		t.Errorf("the part has the tree hash %s, want %s", got, want)
	}
}

// TestIdleUploads expires uploads exactly when their time is over. Every part is activity.
func TestIdleUploads(t *testing.T) {
	h := newHouse(t, inMemory, Defaults())
	idle, active := h.upload(t), h.upload(t)
	h.clock.move(h.settings.IdleUpload - time.Millisecond)
	h.part(t, active, 0, []byte("x"))
	h.upkeep(t)
	for _, id := range []string{idle, active} {
		if _, err := h.ListParts(t.Context(), h.ref, id, nil, nil); err != nil {
			t.Errorf("before the time is over: %v", err)
		}
	}
	h.clock.move(time.Millisecond)
	h.upkeep(t)
	_, err := h.ListParts(t.Context(), h.ref, idle, nil, nil)
	wantFault(t, "parts of an idle upload", err, fault.NotFound)
	wantFault(t, "abort an idle upload", h.AbortMultipartUpload(t.Context(), h.ref, idle), fault.NotFound)
	h.part(t, active, 0, []byte("y"))
}

// TestManyIdleUploads has more to expire and to release than one step takes.
func TestManyIdleUploads(t *testing.T) {
	h := newHouse(t, inMemory, Defaults())
	for range 2*batch + 1 {
		h.part(t, h.upload(t), 0, []byte("x"))
	}
	h.clock.move(h.settings.IdleUpload)
	check(t, h.Expire(t.Context()))
	h.wantKinds(t, "before the release", fmt.Sprintf("part:%d", 2*batch+1))
	check(t, h.Release(t.Context()))
	h.wantKinds(t, "after the release", "")
}

// TestDeletedVaultGoes deletes a vault that still has all that does not forbid it: open uploads, jobs, and archives that jobs offer.
func TestDeletedVaultGoes(t *testing.T) {
	f := newFull(t, onDisk)
	other := &house{Service: f.Service, clock: f.clock, store: f.store, ref: Ref{f.ref.Account, "w"}}
	check(t, f.CreateVault(t.Context(), other.ref))
	kept := other.archive(t, []byte("kept"))
	part := other.upload(t)
	other.part(t, part, 0, []byte("kept part"))
	for _, a := range []string{f.single, f.multipart} {
		check(t, f.DeleteArchive(t.Context(), f.ref, a))
	}
	check(t, f.DeleteVault(t.Context(), f.ref))
	f.upkeep(t)
	f.wantKinds(t, "after the deletion", "archive:1 part:1")
	if got := other.retrieve(t, kept); string(got) != "kept" {
		t.Errorf("the archive of another vault is %q", got)
	}
	check(t, f.CreateVault(t.Context(), f.ref))
	for job := range f.jobs {
		_, err := f.DescribeJob(t.Context(), f.ref, job)
		wantFault(t, "a job of the vault before", err, fault.NotFound)
	}
	wantFault(t, "an archive of the vault before", f.DeleteArchive(t.Context(), f.ref, f.single), fault.NotFound)
}

// TestDeletedArchiveStaysForItsJobs deletes archives that finished jobs offer, and lets time pass: the bytes stay until the last
// download that the jobs allow may have ended. Then everything goes, the tombstone too.
func TestDeletedArchiveStaysForItsJobs(t *testing.T) {
	for name, upload := range map[string]func(*house, *testing.T, []byte) string{"in one piece": (*house).archive, "in parts": (*house).inParts} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, onDisk, Defaults())
			body := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
			archive := upload(h, t, body)
			stored := h.records(t)
			first := h.job(t, archive)
			h.clock.move(time.Hour)
			last := h.job(t, archive)
			check(t, h.DeleteArchive(t.Context(), h.ref, archive))
			check(t, h.DeleteArchive(t.Context(), h.ref, archive)) // again: no second tombstone
			expiry, longest := h.settings.JobExpiry, h.settings.LongestRequest

			h.clock.move(expiry - time.Hour) // the first has expired
			h.wantHeld(t, "when one job is left", stored)
			_, err := h.GetJobOutput(t.Context(), h.ref, first)
			wantFault(t, "the output of an expired job", err, fault.NotFound)
			if got := h.output(t, last); !bytes.Equal(got, body) {
				t.Errorf("the job offers %d bytes that are not those of the archive", len(got))
			}
			o, err := h.GetJobOutput(t.Context(), h.ref, last)
			check(t, err)
			r, err := o.Open(t.Context(), 0, o.Size-1)
			check(t, err)

			h.clock.move(time.Hour)
			h.wantHeld(t, "when both have expired", stored)
			h.clock.move(longest - time.Millisecond)
			h.wantHeld(t, "while a download may still run", stored)
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, body) {
				t.Errorf("the download that began before has %d bytes, %v", len(got), err)
			}
			check(t, r.Close())
			h.clock.move(time.Millisecond)
			h.upkeep(t)
			h.wantKinds(t, "after that", "")
			check(t, h.DeleteArchive(t.Context(), h.ref, archive)) // it is remembered still
			h.wantKinds(t, "after a further deletion", "")
		})
	}
}

// wantHeld does the upkeep and checks that there are records as they were and a tombstone.
func (h *house) wantHeld(t *testing.T, when string, stored map[store.Place]string) {
	t.Helper()
	h.upkeep(t)
	tombstones := 0
	got := h.records(t)
	for at, label := range got {
		if strings.HasPrefix(label, `"deleted"`) {
			tombstones++
			delete(got, at)
		}
	}
	if tombstones != 1 || !maps.Equal(got, stored) {
		t.Errorf("%s there are %d tombstones and %v, want one and %v", when, tombstones, got, stored)
	}
}

// TestOutputsGo lets the output of inventory jobs expire.
func TestOutputsGo(t *testing.T) {
	h := newHouse(t, inMemory, Defaults())
	h.archive(t, []byte("x"))
	h.job(t, "")
	h.wantKinds(t, "after the job", "archive:1 output:1")
	h.clock.move(h.settings.JobExpiry + h.settings.LongestRequest - time.Millisecond)
	h.upkeep(t)
	h.wantKinds(t, "while a download may run", "archive:1 output:1")
	h.clock.move(time.Millisecond)
	h.upkeep(t)
	h.wantKinds(t, "after that", "archive:1")
}

// TestTombstoneFails lets the tombstone of a deletion fail: the deletion is not acknowledged, and repeating it makes up for it.
func TestTombstoneFails(t *testing.T) {
	h := newHouse(t, inMemory, Defaults())
	archive := h.archive(t, []byte("x"))
	job := h.job(t, archive)
	full := errors.New("no space left")
	h.store.whenStored(store.Tombstone, func() error {
		for at, label := range h.records(t) {
			if strings.HasPrefix(label, `"deleted"`) {
				check(t, h.store.Remove(context.Background(), at))
			}
		}
		return full
	})
	if err := h.DeleteArchive(t.Context(), h.ref, archive); !errors.Is(err, full) {
		t.Errorf("delete: %v, want %v", err, full)
	}
	h.wantKinds(t, "after the failure", "archive:1")
	check(t, h.DeleteArchive(t.Context(), h.ref, archive))
	h.wantKinds(t, "after the second try", "archive:1 deleted:1")
	if got := h.output(t, job); string(got) != "x" {
		t.Errorf("the job offers %q", got)
	}
}

// TestReleaseGoesOn has a place that cannot be removed, among others that can: it stays on the list, and they go.
func TestReleaseGoesOn(t *testing.T) {
	h := newHouse(t, inMemory, Defaults())
	var stuck store.Place
	for i := range 2*batch + 1 {
		id := h.archive(t, fmt.Appendf(nil, "%d", i))
		if i == 0 {
			for stuck = range h.records(t) {
			}
		}
		h.job(t, id)
		check(t, h.DeleteArchive(t.Context(), h.ref, id))
	}
	h.clock.move(h.settings.JobExpiry + h.settings.LongestRequest)
	check(t, h.Expire(t.Context()))
	h.backUp(t)
	h.store.refuse(stuck, errors.New("it does not go"))
	if err := h.Release(t.Context()); err == nil {
		t.Error("the place that could not be removed was not reported")
	}
	// The tombstones wait: one of them may stand against the archive that is still there.
	h.wantKinds(t, "after a release with one that does not go", fmt.Sprintf("archive:1 deleted:%d", 2*batch+1))
	h.store.refuse("", nil)
	check(t, h.Release(t.Context()))
	h.wantKinds(t, "after the next release", "")
}
