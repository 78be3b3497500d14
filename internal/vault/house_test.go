package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/catalogue"
	times "github.com/moraine-archive/moraine/internal/clock"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/store/memory"
	"github.com/moraine-archive/moraine/internal/store/volume"
	"github.com/moraine-archive/moraine/internal/vfs"
)

// house is a service on a real catalogue, with a store that can be watched, a clock that stands still until it is moved, and
// one vault.
type house struct {
	*Service
	path  string // of the catalogue
	clock *stoppedClock
	store *watchedStore
	ref   Ref
}

// stoppedClock is a clock that tests move.
type stoppedClock struct {
	mu  sync.Mutex
	now time.Time // guarded by mu
}

func (c *stoppedClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *stoppedClock) move(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(by)
}

// watchedStore counts what is asked of a store, and lets tests act at the moment at which a record is stored and nothing refers
// to it yet.
type watchedStore struct {
	store.Store

	mu       sync.Mutex
	puts     map[store.Kind]int          // guarded by mu
	reads    int                         // guarded by mu: Open and Stat
	before   func(label) error           // guarded by mu: called before every Put, unless it is nil
	stored   map[store.Kind]func() error // guarded by mu: called once
	read     func()                      // guarded by mu: called once, before the next Stat
	stuck    store.Place                 // guarded by mu: its removal fails with stuckErr
	stuckErr error                       // guarded by mu
}

func (w *watchedStore) Put(ctx context.Context, kind store.Kind, text []byte, payload *treehash.Stream) (store.Extent, error) {
	if err := w.ask(text); err != nil {
		return store.Extent{}, err
	}
	x, err := w.Store.Put(ctx, kind, text, payload)
	w.mu.Lock()
	w.puts[kind]++
	then := w.stored[kind]
	delete(w.stored, kind)
	w.mu.Unlock()
	if err == nil && then != nil {
		err = then()
	}
	return x, err
}

// ask returns what the function given to beforePut says of a record with a label.
func (w *watchedStore) ask(text []byte) error {
	w.mu.Lock()
	before := w.before
	w.mu.Unlock()
	if before == nil {
		return nil
	}
	var l label
	if err := json.Unmarshal(text, &l); err != nil {
		return err
	}
	return before(l)
}

// refuse makes the removal of a place fail; the empty place stands for none.
func (w *watchedStore) refuse(at store.Place, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stuck, w.stuckErr = at, err
}

func (w *watchedStore) Remove(ctx context.Context, at ...store.Place) error {
	w.mu.Lock()
	stuck, err := w.stuck, w.stuckErr
	w.mu.Unlock()
	if slices.Contains(at, stuck) && err != nil {
		return err
	}
	return w.Store.Remove(ctx, at...)
}

func (w *watchedStore) Open(ctx context.Context, at store.Place, off, n int64) (io.ReadCloser, error) {
	w.mu.Lock()
	w.reads++
	w.mu.Unlock()
	return w.Store.Open(ctx, at, off, n)
}

func (w *watchedStore) Stat(ctx context.Context, at store.Place) (store.Extent, error) {
	w.mu.Lock()
	w.reads++
	first := w.read
	w.read = nil
	w.mu.Unlock()
	if first != nil {
		first()
	}
	return w.Store.Stat(ctx, at)
}

// beforePut lets fn run before every record that is stored from now on; its error becomes that of Put. With nil nothing runs.
func (w *watchedStore) beforePut(fn func(label) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.before = fn
}

// whenStored lets fn run when the next record of a kind is in the store, before Put returns; its error becomes that of Put.
func (w *watchedStore) whenStored(kind store.Kind, fn func() error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stored[kind] = fn
}

// beforeStat lets fn run before the next record is looked at.
func (w *watchedStore) beforeStat(fn func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.read = fn
}

// counts returns how many records of a kind were put and how often any was read since the last call.
func (w *watchedStore) counts(kind store.Kind) (puts, reads int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	puts, reads = w.puts[kind], w.reads
	clear(w.puts)
	w.reads = 0
	return puts, reads
}

// inMemory is the house's store when bytes do not matter.
func inMemory(_ testing.TB, now func() time.Time) store.Store { return memory.New(now) }

// onDisk is a volume store in a temporary directory.
func onDisk(t testing.TB, now func() time.Time) store.Store {
	t.Helper()
	return volumesIn(t, t.TempDir(), now)
}

func volumesIn(t testing.TB, dir string, now func() time.Time) store.Store {
	t.Helper()
	s, err := volume.Open(vfs.OS(), dir, volume.Defaults(), now)
	check(t, err)
	return s
}

// aloneIn is a volume store in which every record has a volume of its own.
func aloneIn(t testing.TB, dir string, now func() time.Time) store.Store {
	t.Helper()
	o := volume.Defaults()
	o.ShareLimit = -1
	s, err := volume.Open(vfs.OS(), dir, o, now)
	check(t, err)
	return s
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newHouse(t testing.TB, open func(testing.TB, func() time.Time) store.Store, settings Settings) *house {
	t.Helper()
	clock := &stoppedClock{now: time.Date(2024, 2, 29, 10, 11, 12, 345e6, time.UTC)}
	watched := &watchedStore{Store: open(t, clock.Now), puts: make(map[store.Kind]int), stored: make(map[store.Kind]func() error)}
	h := &house{path: filepath.Join(t.TempDir(), "catalogue.db"), clock: clock, store: watched, ref: Ref{"123456789012", "v"}}
	h.open(t, settings)
	t.Cleanup(func() { check(t, h.rows.Close()) })
	check(t, h.CreateVault(t.Context(), h.ref))
	return h
}

// open makes the service over the catalogue and the store.
func (h *house) open(t testing.TB, settings Settings) {
	t.Helper()
	rows, err := catalogue.OpenSQLite(t.Context(), h.path)
	check(t, err)
	h.Service = New(rows, h.store, settings, times.Of(h.clock.Now), slog.New(slog.DiscardHandler))
}

// reopen closes the catalogue and makes a second service over it, as a restart does.
func (h *house) reopen(t *testing.T) {
	t.Helper()
	check(t, h.rows.Close())
	h.open(t, h.settings)
}

// vaultID returns the key of the vault in the catalogue.
func (h *house) vaultID(t *testing.T) int64 {
	t.Helper()
	v, err := h.lookUp(t.Context(), h.ref)
	check(t, err)
	return v.ID
}

// payloadOf is an upload of b as it should be.
func payloadOf(b []byte) Upload {
	s := treehash.NewStream(bytes.NewReader(b), int64(len(b)), func(_, _ treehash.Hash) error { return nil })
	for {
		if _, _, err := s.Next(); err != nil {
			return Upload{Body: bytes.NewReader(b), Size: int64(len(b)), LinearHash: s.Linear().String(), TreeHash: s.Sum().String()}
		}
	}
}

// archive uploads an archive and returns its id.
func (h *house) archive(t *testing.T, b []byte) string {
	t.Helper()
	id, _, err := h.UploadArchive(t.Context(), h.ref, "d", payloadOf(b))
	check(t, err)
	return id
}

// upload opens an upload with parts of 1 MiB.
func (h *house) upload(t *testing.T) string {
	t.Helper()
	id, err := h.InitiateMultipartUpload(t.Context(), h.ref, "1048576", "")
	check(t, err)
	return id
}

// putPart stores the bytes of a part at an offset.
func (h *house) putPart(ctx context.Context, upload string, first int, b []byte) error {
	_, err := h.UploadMultipartPart(ctx, h.ref, upload, fmt.Sprintf("bytes %d-%d/*", first, first+len(b)-1), payloadOf(b))
	return err
}

func (h *house) part(t *testing.T, upload string, first int, b []byte) {
	t.Helper()
	check(t, h.putPart(t.Context(), upload, first, b))
}

// completeAs completes an upload of b and returns the archive's id.
func (h *house) completeAs(ctx context.Context, upload string, b []byte) (string, error) {
	id, _, err := h.CompleteMultipartUpload(ctx, h.ref, upload, fmt.Sprint(len(b)), payloadOf(b).TreeHash)
	return id, err
}

// inParts uploads an archive in parts of 1 MiB and returns its id.
func (h *house) inParts(t *testing.T, b []byte) string {
	t.Helper()
	upload := h.upload(t)
	for first := 0; first < len(b); first += 1 << 20 {
		h.part(t, upload, first, b[first:min(first+1<<20, len(b))])
	}
	id, err := h.completeAs(t.Context(), upload, b)
	check(t, err)
	return id
}

// job starts a job, on an archive or with "" for an inventory, and finishes it.
func (h *house) job(t *testing.T, archive string) string {
	t.Helper()
	p := JobParameters{Type: new("inventory-retrieval")}
	if archive != "" {
		p = JobParameters{Type: new("archive-retrieval"), ArchiveID: &archive}
	}
	id := h.start(t, p)
	h.finish(t)
	return id
}

// output returns the bytes that a job offers.
func (h *house) output(t *testing.T, job string) []byte {
	t.Helper()
	o, err := h.GetJobOutput(t.Context(), h.ref, job)
	check(t, err)
	r, err := o.Open(t.Context(), 0, o.Size-1)
	check(t, err)
	defer r.Close()
	b, err := io.ReadAll(r)
	check(t, err)
	return b
}

// retrieve returns the bytes of an archive.
func (h *house) retrieve(t *testing.T, archive string) []byte {
	t.Helper()
	return h.output(t, h.job(t, archive))
}

// records returns where every record is, and the beginning of its label.
func (h *house) records(t *testing.T) map[store.Place]string {
	t.Helper()
	all := make(map[store.Place]string)
	check(t, h.store.Walk(t.Context(), func(x store.Extent) error {
		all[x.Place] = strings.TrimPrefix(string(x.Label), `{"what":`)
		return nil
	}))
	return all
}

// kinds returns how many records there are of each kind, like "archive:1 part:2".
func (h *house) kinds(t *testing.T) string {
	t.Helper()
	n := make(map[string]int)
	for _, label := range h.records(t) {
		what, _, _ := strings.Cut(label, ",")
		n[strings.Trim(what, `"`)]++
	}
	var list []string
	for _, what := range slices.Sorted(maps.Keys(n)) {
		list = append(list, fmt.Sprintf("%s:%d", what, n[what]))
	}
	return strings.Join(list, " ")
}

// wantKinds holds the records in the store against a list like "archive:1 part:2".
func (h *house) wantKinds(t *testing.T, when, want string) {
	t.Helper()
	if got := h.kinds(t); got != want {
		t.Errorf("%s the store has %q, want %q", when, got, want)
	}
}

// upkeep does what the worker does.
func (h *house) upkeep(t *testing.T) {
	t.Helper()
	check(t, h.Expire(t.Context()))
	h.backUp(t)
	check(t, h.Release(t.Context()))
}

// backUp has the service believe that a copy of the catalogue is on the medium.
func (h *house) backUp(t *testing.T) {
	t.Helper()
	check(t, h.Backup(t.Context(), func(context.Context) error { return nil }))
}

// held returns the number of archives and bytes that the vault has.
func (h *house) held(t *testing.T) (archives, size int64) {
	t.Helper()
	d, err := h.DescribeVault(t.Context(), h.ref)
	check(t, err)
	return d.NumberOfArchives, d.SizeInBytes
}

// wantFault fails the test unless an error is of a kind.
func wantFault(t testing.TB, what string, err error, kind fault.Kind) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind {
		t.Errorf("%s: error %v of kind %d, want kind %d", what, err, fault.KindOf(err), kind)
	}
}
