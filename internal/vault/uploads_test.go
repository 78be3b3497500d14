package vault

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/protocol"
	"github.com/moraine-archive/moraine/internal/store"
)

// TestCompleteCopiesNothing completes an upload of 10,000 parts whose bytes the store does not even have.
func TestCompleteCopiesNothing(t *testing.T) {
	h := newHouse(t, inMemory, Defaults())
	upload := h.upload(t)
	tree := h.insertParts(t, upload, protocol.MaxParts)
	h.store.counts(store.Manifest)
	const size = protocol.MaxParts * protocol.MiB
	archive, sum, err := h.CompleteMultipartUpload(t.Context(), h.ref, upload, strconv.Itoa(size), tree.String())
	check(t, err)
	if sum != tree {
		t.Errorf("tree hash %s, want %s", sum, tree)
	}
	if puts, reads := h.store.counts(store.Manifest); puts != 1 || reads != 0 {
		t.Errorf("%d lists of parts were stored, %d records read; want 1 and 0", puts, reads)
	}
	h.wantKinds(t, "after the completion", "multipart:1")
	if n, held := h.held(t); n != 1 || held != size {
		t.Errorf("the vault has %d archives of %d bytes, want 1 of %d", n, held, size)
	}
	h.checkManifest(t, archive, tree)
}

// insertParts makes the rows of n full parts and returns the tree hash of the whole.
func (h *house) insertParts(t *testing.T, upload string, n int) treehash.Hash {
	t.Helper()
	var tree treehash.Tree
	check(t, h.rows.Update(t.Context(), func(tx *catalogue.Tx) error {
		tree = treehash.Tree{}
		for i := range n {
			hash := sha256.Sum256([]byte(strconv.Itoa(i)))
			tree.Add(hash)
			p := catalogue.Part{UploadID: upload, First: int64(i) * protocol.MiB, Size: protocol.MiB, TreeHash: hash[:], Place: fmt.Sprintf("part %d", i)}
			if _, err := tx.PutPart(p, h.now()); err != nil {
				return err
			}
		}
		return nil
	}))
	return tree.Sum()
}

// checkManifest holds the record of a multipart archive against what it is made of.
func (h *house) checkManifest(t *testing.T, archive string, tree treehash.Hash) {
	t.Helper()
	var a catalogue.Archive
	check(t, h.rows.View(t.Context(), func(tx *catalogue.Tx) (err error) {
		a, err = tx.Archive(archive)
		return err
	}))
	x, err := h.store.Stat(t.Context(), store.Place(a.Place))
	check(t, err)
	r, err := h.store.Open(t.Context(), x.Place, 0, x.Size)
	check(t, err)
	defer r.Close()
	type line struct {
		First    int64  `json:"first"`
		Size     int64  `json:"size"`
		TreeHash string `json:"tree_hash"`
	}
	lines := json.NewDecoder(r)
	var whole line
	check(t, lines.Decode(&whole))
	if want := (line{0, protocol.MaxParts * protocol.MiB, tree.String()}); whole != want {
		t.Errorf("the manifest begins with %+v, want %+v", whole, want)
	}
	for i := range protocol.MaxParts {
		var p line
		check(t, lines.Decode(&p))
		if want := (line{int64(i) * protocol.MiB, protocol.MiB, fmt.Sprintf("%x", sha256.Sum256([]byte(strconv.Itoa(i))))}); p != want {
			t.Fatalf("part %d is %+v, want %+v", i, p, want)
		}
	}
	if err := lines.Decode(&whole); err != io.EOF {
		t.Errorf("after the parts: %+v, %v", whole, err)
	}
}

// TestRetriedComplete completes uploads many times, at once and one after the other. There is one archive each, and one record.
func TestRetriedComplete(t *testing.T) {
	h := newHouse(t, inMemory, Defaults())
	const rounds, callers = 25, 6
	body := []byte("an archive in one part")
	for round := range rounds {
		upload := h.upload(t)
		h.part(t, upload, 0, body)
		made := make([]string, callers)
		var all sync.WaitGroup
		for i := range made {
			all.Go(func() {
				id, err := h.completeAs(context.Background(), upload, body)
				if err != nil {
					id = err.Error()
				}
				made[i] = id
			})
		}
		all.Wait()
		last, err := h.completeAs(t.Context(), upload, body)
		check(t, err)
		for _, id := range made {
			if id != last {
				t.Fatalf("round %d: one completion gave %s, the last one %s", round, id, last)
			}
		}
		if n, size := h.held(t); n != int64(round+1) || size != n*int64(len(body)) {
			t.Fatalf("round %d: the vault has %d archives of %d bytes", round, n, size)
		}
	}
	h.wantKinds(t, "after all completions", fmt.Sprintf("multipart:%d part:%d", rounds, rounds))
}

// TestCompleteAndDelete repeats a completion while its archive is deleted: it stays deleted.
func TestCompleteAndDelete(t *testing.T) {
	h := newHouse(t, inMemory, Defaults())
	body := []byte("an archive in one part")
	for range 25 {
		upload := h.upload(t)
		h.part(t, upload, 0, body)
		archive, err := h.completeAs(t.Context(), upload, body)
		check(t, err)
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				if id, err := h.completeAs(context.Background(), upload, body); err != nil || id != archive {
					t.Errorf("the repeated completion gave %s, %v; want %s", id, err, archive)
				}
			})
		}
		all.Go(func() {
			if err := h.DeleteArchive(context.Background(), h.ref, archive); err != nil {
				t.Errorf("delete: %v", err)
			}
		})
		all.Wait()
	}
	h.upkeep(t)
	h.wantKinds(t, "after all deletions", "")
	if n, size := h.held(t); n != 0 || size != 0 {
		t.Errorf("the vault has %d archives of %d bytes", n, size)
	}
}

// TestRepeatWindow repeats what ended an upload until exactly the end of the window, whether or not the upkeep has run.
func TestRepeatWindow(t *testing.T) {
	for name, upkeep := range map[string]func(*house, *testing.T){"before the upkeep": func(*house, *testing.T) {}, "after the upkeep": (*house).upkeep} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, inMemory, Defaults())
			completed, aborted := h.upload(t), h.upload(t)
			h.part(t, completed, 0, []byte("x"))
			archive, err := h.completeAs(t.Context(), completed, []byte("x"))
			check(t, err)
			check(t, h.AbortMultipartUpload(t.Context(), h.ref, aborted))
			h.clock.move(h.settings.RepeatWindow - time.Millisecond)
			upkeep(h, t)
			if again, err := h.completeAs(t.Context(), completed, []byte("x")); err != nil || again != archive {
				t.Errorf("within the window the completion gave %s, %v; want %s", again, err, archive)
			}
			check(t, h.AbortMultipartUpload(t.Context(), h.ref, aborted))
			h.clock.move(time.Millisecond)
			upkeep(h, t)
			_, err = h.completeAs(t.Context(), completed, []byte("x"))
			wantFault(t, "complete after the window", err, fault.NotFound)
			wantFault(t, "abort after the window", h.AbortMultipartUpload(t.Context(), h.ref, aborted), fault.NotFound)
			if got := h.retrieve(t, archive); string(got) != "x" {
				t.Errorf("retrieved %q", got)
			}
		})
	}
}

// TestPartReplacedDuringComplete stores a part again at the moment at which the list of parts is stored and the archive has no row yet.
func TestPartReplacedDuringComplete(t *testing.T) {
	first, second := bytes.Repeat([]byte("1"), 1<<20), []byte("the second part")
	whole := append(bytes.Clone(first), second...)
	for _, c := range []struct {
		name  string
		at    int
		with  []byte
		fault fault.Kind
		ok    bool
	}{
		{name: "by the same bytes", at: 1 << 20, with: second, ok: true},
		{name: "by other bytes", at: 1 << 20, with: []byte("another part !!"), fault: fault.Invalid},
		{name: "by a shorter one", at: 0, with: first[:100], fault: fault.Invalid},
		{name: "a further one", at: 2 << 20, with: second, fault: fault.Invalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t, inMemory, Defaults())
			upload := h.upload(t)
			h.part(t, upload, 0, first)
			h.part(t, upload, 1<<20, second)
			h.store.whenStored(store.Manifest, func() error { return h.putPart(context.Background(), upload, c.at, c.with) })
			archive, err := h.completeAs(t.Context(), upload, whole)
			h.upkeep(t)
			if !c.ok {
				wantFault(t, "complete", err, c.fault)
				if got := h.kinds(t); got != "part:2" && got != "part:3" {
					t.Errorf("after the failure the store has %q", got)
				}
				h.part(t, upload, c.at, c.with) // it is still open
				return
			}
			check(t, err)
			h.wantKinds(t, "after the completion", "multipart:1 part:2")
			if got := h.retrieve(t, archive); !bytes.Equal(got, whole) {
				t.Errorf("retrieved %d bytes", len(got))
			}
		})
	}
}

// TestPartsAlwaysReplaced is a completion that never finds the parts as they were: it gives up and can be repeated.
func TestPartsAlwaysReplaced(t *testing.T) {
	h := newHouse(t, inMemory, Defaults())
	upload, body := h.upload(t), []byte("x")
	h.part(t, upload, 0, body)
	var replace func() error
	replace = func() error {
		h.store.whenStored(store.Manifest, replace)
		return h.putPart(context.Background(), upload, 0, body)
	}
	h.store.whenStored(store.Manifest, replace)
	_, err := h.completeAs(t.Context(), upload, body)
	wantFault(t, "complete", err, fault.Internal)
	h.store.whenStored(store.Manifest, nil)
	h.upkeep(t)
	h.wantKinds(t, "after the failure", "part:1")
	archive, err := h.completeAs(t.Context(), upload, body)
	check(t, err)
	if got := h.retrieve(t, archive); string(got) != "x" {
		t.Errorf("retrieved %q", got)
	}
}

// TestCompleteWhilePartsChange lets a part go back and forth while a completion is tried: the archive is always what was declared.
func TestCompleteWhilePartsChange(t *testing.T) {
	h := newHouse(t, inMemory, Defaults())
	versions := [][]byte{[]byte("what is declared"), []byte("other bytes, and more")}
	for round := range 15 {
		upload := h.upload(t)
		h.part(t, upload, 0, versions[0])
		var writer sync.WaitGroup
		writer.Go(func() {
			for i := range 12 { // the last one is what is declared
				err := h.putPart(context.Background(), upload, 0, versions[(i+1)%2])
				if fault.Is(err, fault.NotFound) {
					return // completed
				}
				if err != nil {
					t.Errorf("round %d: store a part: %v", round, err)
				}
			}
		})
		archive := ""
		for archive == "" {
			id, err := h.completeAs(t.Context(), upload, versions[0])
			if err != nil && !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.Internal) {
				t.Fatalf("round %d: complete: %v", round, err)
			}
			archive = id
			if err != nil {
				archive = ""
			}
		}
		writer.Wait()
		if got := h.retrieve(t, archive); !bytes.Equal(got, versions[0]) {
			t.Fatalf("round %d: the archive is %q", round, got)
		}
	}
	h.upkeep(t)
	h.wantKinds(t, "in the end", "multipart:15 part:15")
}

// TestAbortAtAnyMoment aborts an upload while parts arrive and while it is completed. What was refused or aborted leaves nothing.
func TestAbortAtAnyMoment(t *testing.T) {
	t.Run("before the row of a part", func(t *testing.T) {
		h := newHouse(t, inMemory, Defaults())
		upload := h.upload(t)
		h.part(t, upload, 0, []byte("early"))
		h.store.whenStored(store.Payload, func() error { return h.AbortMultipartUpload(context.Background(), h.ref, upload) })
		wantFault(t, "a part", h.putPart(t.Context(), upload, 1<<20, []byte("late")), fault.NotFound)
		h.upkeep(t)
		h.wantKinds(t, "in the end", "")
	})
	t.Run("before the row of an archive", func(t *testing.T) {
		h := newHouse(t, inMemory, Defaults())
		upload := h.upload(t)
		h.part(t, upload, 0, []byte("x"))
		h.store.whenStored(store.Manifest, func() error { return h.AbortMultipartUpload(context.Background(), h.ref, upload) })
		_, err := h.completeAs(t.Context(), upload, []byte("x"))
		wantFault(t, "complete", err, fault.NotFound)
		h.upkeep(t)
		h.wantKinds(t, "in the end", "")
		if n, _ := h.held(t); n != 0 {
			t.Errorf("the vault has %d archives", n)
		}
	})
	t.Run("with parts at once", abortWhileUploading)
	t.Run("with a completion at once", abortWhileCompleting)
}

func abortWhileUploading(t *testing.T) {
	h := newHouse(t, inMemory, Defaults())
	for range 40 {
		upload := h.upload(t)
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				if err := h.putPart(context.Background(), upload, i/2<<20, []byte{byte(i)}); err != nil && !fault.Is(err, fault.NotFound) {
					t.Errorf("a part: %v", err)
				}
			})
		}
		all.Go(func() {
			if err := h.AbortMultipartUpload(context.Background(), h.ref, upload); err != nil {
				t.Errorf("abort: %v", err)
			}
		})
		all.Wait()
		wantFault(t, "a part after the abortion", h.putPart(t.Context(), upload, 0, []byte("late")), fault.NotFound)
	}
	h.upkeep(t)
	h.wantKinds(t, "in the end", "")
}

func abortWhileCompleting(t *testing.T) {
	h := newHouse(t, inMemory, Defaults())
	body, completed := []byte("x"), int64(0)
	for range 40 {
		upload := h.upload(t)
		h.part(t, upload, 0, body)
		var archive string
		var failed, kept error
		var both sync.WaitGroup
		both.Go(func() { archive, failed = h.completeAs(context.Background(), upload, body) })
		both.Go(func() { kept = h.AbortMultipartUpload(context.Background(), h.ref, upload) })
		both.Wait()
		switch {
		case failed == nil && fault.Is(kept, fault.NotFound):
			completed++
			if got := h.retrieve(t, archive); string(got) != "x" {
				t.Errorf("retrieved %q", got)
			}
		case !fault.Is(failed, fault.NotFound) || kept != nil:
			t.Fatalf("complete: %v, abort: %v; want one of them not found", failed, kept)
		}
	}
	if n, _ := h.held(t); n != completed {
		t.Errorf("the vault has %d archives, %d were completed", n, completed)
	}
	h.upkeep(t)
	want := ""
	if completed > 0 {
		want = fmt.Sprintf("multipart:%d part:%d", completed, completed)
	}
	h.wantKinds(t, "in the end", want)
}
