package vault

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/store"
)

// rowCount is how many archives the big inventory has.
const rowCount = 100_000

// bigRow is archive number i of the big inventory in inventory order. Three in a row have the same date; all of a second print the same.
func bigRow(vault int64, i int) catalogue.Archive {
	hash := sha256.Sum256(fmt.Append(nil, i))
	return catalogue.Archive{
		ID: fmt.Sprintf("%0138d", i), VaultID: vault, CreatedAt: time.UnixMilli(1_700_000_000_000 + int64(i/3)*7).UTC(),
		Size: int64(i)*int64(i)*1000 + 1, TreeHash: hash[:], Description: fmt.Sprintf(`no. %d, "%s", C:\%s`, i, strings.Repeat("x", i%200), strings.Repeat("y", i%3)),
		Place: "nowhere",
	}
}

// insertBig inserts the big inventory's rows: blocks in their order, the rows of a block backwards.
func insertBig(t *testing.T, h *house) {
	t.Helper()
	const block = 1000
	vault := h.vaultID(t)
	for from := 0; from < rowCount; from += block {
		check(t, h.rows.Update(t.Context(), func(tx *catalogue.Tx) error {
			for i := from + block - 1; i >= from; i-- {
				if err := tx.InsertArchive(bigRow(vault, i)); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

// expected is a reader that makes the big inventory piece by piece.
type expected struct {
	head, tail string
	piece      func(i int) string
	next       int
	ready      []byte
}

func (e *expected) Read(p []byte) (int, error) {
	for len(e.ready) == 0 {
		switch {
		case e.next == 0:
			e.ready = append(e.ready, e.head...)
		case e.next <= rowCount:
			e.ready = append(e.ready, e.piece(e.next-1)...)
		case e.next == rowCount+1:
			e.ready = append(e.ready, e.tail...)
		default:
			return 0, io.EOF
		}
		e.next++
	}
	n := copy(p, e.ready)
	e.ready = e.ready[n:]
	if len(e.ready) == 0 {
		e.ready = e.ready[:0:0]
	}
	return n, nil
}

func expectedCSV() *expected {
	return &expected{head: "ArchiveId,ArchiveDescription,CreationDate,Size,SHA256TreeHash\n", piece: func(i int) string {
		a := bigRow(0, i)
		return fmt.Sprintf("%s,\"%s\",%s,%d,%x\n", a.ID, strings.ReplaceAll(a.Description, `"`, `\"`), a.CreatedAt.Format(time.RFC3339[:19]+"Z"), a.Size, a.TreeHash)
	}}
}

func expectedJSON(head string) *expected {
	return &expected{head: head, tail: "]}", piece: func(i int) string {
		a := bigRow(0, i)
		description, _ := json.Marshal(a.Description) // a string cannot fail
		comma := ","
		if i == 0 {
			comma = ""
		}
		return fmt.Sprintf(`%s{"ArchiveId":"%s","ArchiveDescription":%s,"CreationDate":"%s","Size":%d,"SHA256TreeHash":"%x"}`,
			comma, a.ID, description, a.CreatedAt.Format(time.RFC3339[:19]+"Z"), a.Size, a.TreeHash)
	}}
}

// comparingStore keeps nothing: it compares the payload with what is expected, and watches the memory of the process.
type comparingStore struct {
	store.Store
	want   io.Reader
	peak   footprint
	stored int64
}

func (s *comparingStore) Put(_ context.Context, kind store.Kind, text []byte, payload *treehash.Stream) (store.Extent, error) {
	defer payload.Close()
	buf := make([]byte, treehash.LeafSize)
	for {
		chunk, _, err := payload.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return store.Extent{}, err
		}
		if _, err := io.ReadFull(s.want, buf[:len(chunk)]); err != nil || !bytes.Equal(chunk, buf[:len(chunk)]) {
			return store.Extent{}, fmt.Errorf("the output differs: %v: %s", err, firstDifference(chunk, buf))
		}
		s.stored += int64(len(chunk))
		s.peak = s.peak.max(measure())
	}
	if n, err := s.want.Read(buf); err != io.EOF {
		return store.Extent{}, fmt.Errorf("the output ends after %d bytes, but this is still to come: %q, %v", s.stored, buf[:n], err)
	}
	return store.Extent{Place: "compared", Kind: kind, Label: text, Size: s.stored, Tree: payload.Sum(), Leaves: payload.Leaves()}, nil
}

func firstDifference(got, want []byte) string {
	i := 0
	for i < len(got) && got[i] == want[i] {
		i++
	}
	from := max(0, i-100)
	return fmt.Sprintf("at %d of this MiB:\n got %q\nwant %q", i, got[from:min(len(got), i+100)], want[from:min(len(got), i+100)])
}

// footprint is memory of the process in bytes.
type footprint struct{ heap, resident int64 }

// measure returns what is in use after a collection. Where the system does not tell, resident is 0.
func measure() footprint {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	f := footprint{heap: int64(m.HeapAlloc)}
	var pages int64
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		fmt.Sscan(string(text), new(int64), &pages)
	}
	f.resident = pages * int64(os.Getpagesize())
	return f
}

func (f footprint) max(g footprint) footprint {
	return footprint{max(f.heap, g.heap), max(f.resident, g.resident)}
}

// TestBigInventory writes an inventory of many archives and compares every byte, in memory that does not grow with it.
func TestBigInventory(t *testing.T) {
	if testing.Short() {
		t.Skipf("-short is set, and inserting %d rows takes a while", rowCount)
	}
	h := newHouse(t, inMemory, Defaults())
	insertBig(t, h)
	head := `{"VaultARN":"arn:aws:glacier:us-east-1:123456789012:vaults/v","InventoryDate":"2023-11-14T22:17:13Z","ArchiveList":[` // of the last change
	var took time.Duration
	for _, tt := range []struct {
		format string
		want   *expected
	}{{"JSON", expectedJSON(head)}, {"CSV", expectedCSV()}} {
		t.Run(tt.format, func(t *testing.T) {
			s := &comparingStore{Store: h.store, want: tt.want}
			h.bytes = s
			job := h.start(t, inventoryIn(tt.format))
			before, from := measure(), time.Now()
			h.finish(t)
			took = time.Since(from)
			if d := h.describe(t, job); d.StatusCode != "Succeeded" || *d.InventorySizeInBytes != s.stored {
				t.Errorf("%d bytes were stored: %+v", s.stored, d)
			}
			const bound = 8 << 20
			if heap, resident := s.peak.heap-before.heap, s.peak.resident-before.resident; heap > bound || resident > bound || s.stored < 4*bound {
				t.Errorf("an inventory of %d bytes took %d bytes of heap and %d of the process, the bound is %d", s.stored, heap, resident, bound)
			}
			if before.resident == 0 {
				t.Log("the memory of the process is not known on this system; only the heap was measured")
			}
		})
	}
	h.bytes = h.store
	h.wantDeepPage(t, took)
}

// wantDeepPage checks a page far down in the big inventory, which must not cost more than a page: what is before it is not read again.
func (h *house) wantDeepPage(t *testing.T, whole time.Duration) {
	t.Helper()
	const at, limit = rowCount - 1000, 10
	vault, fastest := h.vaultID(t), whole
	for range 3 {
		job := h.start(t, limited(limit, inventoryMarker(bigRow(vault, at))))
		from := time.Now()
		h.finish(t)
		fastest = min(fastest, time.Since(from))
		for i, id := range h.list(t, job) {
			if want := bigRow(vault, at+1+i).ID; id != want || i >= limit {
				t.Errorf("archive %d of the page is %s, want %s", i, id, want)
			}
		}
	}
	if fastest > whole/40 {
		t.Errorf("a page of %d archives took %s, the whole inventory of %d took %s", limit, fastest, rowCount, whole)
	}
}

// items are the archives of a document, as an inventory in JSON has them.
type items []struct {
	ArchiveID string `json:"ArchiveId"`
}

// list returns the ids in the output of an inventory job.
func (h *house) list(t *testing.T, job string) []string {
	t.Helper()
	var doc struct{ ArchiveList items }
	check(t, json.Unmarshal(h.output(t, job), &doc))
	var ids []string
	for _, a := range doc.ArchiveList {
		ids = append(ids, a.ArchiveID)
	}
	return ids
}

// limited returns the parameters of a job with a limit and a marker.
func limited(limit int, marker *string) JobParameters {
	p, text := inventoryIn("JSON"), fmt.Sprint(limit)
	p.Inventory = &struct{ StartDate, EndDate, Limit, Marker *string }{Limit: &text, Marker: marker}
	return p
}

// TestPagesOfOneDate cuts an inventory into pages where all archives have the same date, so that only their ids order them.
func TestPagesOfOneDate(t *testing.T) {
	h := newHouse(t, inMemory, Defaults())
	var want []string
	for range 23 {
		want = append(want, h.archive(t, []byte("x")))
	}
	for _, limit := range []int{1, 2, 5, 22, 23, 24} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			var got []string
			for marker, more := (*string)(nil), true; more; more = marker != nil {
				job := h.start(t, limited(limit, marker))
				h.finish(t)
				page := h.list(t, job)
				if len(page) == 0 || len(page) > limit || len(got) > len(want) {
					t.Fatalf("a page of %d archives after %d", len(page), len(got))
				}
				got, marker = append(got, page...), h.describe(t, job).InventoryRetrievalParameters.Marker
			}
			if !slices.Equal(got, want) {
				t.Errorf("%q\nwant %q", got, want)
			}
		})
	}
}

// TestInventoriesOfThePast starts inventory jobs between random changes of a vault and finishes them when all is over: each shows
// what was there when it was initiated, and goes on to show that after everything was removed.
func TestInventoriesOfThePast(t *testing.T) {
	settings := Defaults()
	settings.InventoryRetrieval = Range{time.Hour, time.Hour}
	random := rand.New(rand.NewPCG(1, 2))
	h := newHouse(t, inMemory, settings)
	var there []string
	want := map[string][]string{}
	for range 150 {
		switch {
		case random.IntN(3) == 0 && len(there) > 0:
			i := random.IntN(len(there))
			check(t, h.DeleteArchive(t.Context(), h.ref, there[i]))
			there = slices.Delete(slices.Clone(there), i, i+1)
		default:
			there = append(slices.Clip(there), h.archive(t, []byte("x")))
		}
		h.clock.move(time.Duration(random.IntN(3)) * time.Millisecond)
		if random.IntN(4) == 0 {
			want[h.start(t, inventoryIn("JSON"))] = there
		}
		if random.IntN(10) == 0 {
			check(t, h.Release(t.Context()))
		}
	}
	h.clock.move(time.Hour)
	h.finish(t)
	outputs := map[string]string{}
	for job, ids := range want {
		if got := h.list(t, job); !slices.Equal(got, ids) {
			t.Errorf("job %s lists %q\nwant %q", job, got, ids)
		}
		outputs[job] = string(h.output(t, job))
	}
	for _, id := range there {
		check(t, h.DeleteArchive(t.Context(), h.ref, id))
	}
	h.clock.move(settings.JobExpiry - time.Second)
	h.finish(t)
	h.upkeep(t)
	h.sweep(t)
	for job, output := range outputs {
		if got := string(h.output(t, job)); got != output {
			t.Errorf("the output of job %s was %s\nand is %s", job, output, got)
		}
	}
	h.clock.move(settings.LongestRequest + time.Second)
	h.upkeep(t)
	h.wantKinds(t, "with the vault empty and its jobs expired", "")
}
