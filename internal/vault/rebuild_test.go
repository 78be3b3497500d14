package vault

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/catalogue"
	times "github.com/moraine-archive/moraine/internal/clock"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/protocol"
	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/store/volume"
	"github.com/moraine-archive/moraine/internal/vfs"
)

// rebuilt returns a service over the same store whose catalogue is made anew: from nothing, or from a copy.
func (h *house) rebuilt(t *testing.T, copied string) (*house, Rebuilt, []Finding) {
	t.Helper()
	r := &house{path: filepath.Join(t.TempDir(), "rebuilt.db"), clock: h.clock, store: h.store, ref: h.ref}
	if copied != "" {
		copyFile(t, copied, r.path)
	}
	rows, err := catalogue.OpenSQLite(t.Context(), r.path)
	check(t, err)
	t.Cleanup(func() { check(t, r.rows.Close()) })
	r.Service = New(rows, h.store.Store, h.settings, times.Of(h.clock.Now), slog.New(slog.DiscardHandler)) // which can be gone through volume by volume
	var findings []Finding
	done, err := r.Rebuild(t.Context(), Inspection{Report: func(f Finding) error {
		findings = append(findings, f)
		return nil
	}})
	check(t, err)
	return r, done, findings
}

// copyCatalogue writes a copy of the catalogue.
func (h *house) copyCatalogue(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "copy.db")
	check(t, h.rows.Copy(t.Context(), path))
	return path
}

// wantNothingWrong checks a service as `moraine admin check` does.
func (h *house) wantNothingWrong(t *testing.T) {
	t.Helper()
	for _, f := range h.findings(t) {
		if f.Severity == Wrong {
			t.Errorf("the check finds: %s", f)
		}
	}
}

func (h *house) findings(t *testing.T) (findings []Finding) {
	t.Helper()
	_, err := h.Check(t.Context(), Inspection{Data: true, Report: func(f Finding) error {
		findings = append(findings, f)
		return nil
	}})
	check(t, err)
	return findings
}

// withVolumes is a house on shared volumes and others, in a directory.
func withVolumes(t *testing.T, dir string) *house {
	t.Helper()
	h := newHouse(t, func(t testing.TB, now func() time.Time) store.Store { return smallVolumes(t, dir, now) }, Defaults())
	h.Service.bytes = h.store.Store // the check goes through it volume by volume
	return h
}

func smallVolumes(t testing.TB, dir string, now func() time.Time) store.Store {
	t.Helper()
	o := volume.Defaults()
	o.ShareLimit, o.VolumeSize, o.Ahead = 10_000, 30_000, 1000
	s, err := volume.Open(vfs.OS(), dir, o, now)
	check(t, err)
	t.Cleanup(func() { check(t, s.Close()) })
	return s
}

// stocked is a house with everything that a rebuild has to bring back.
type stocked struct {
	*house
	bodies  map[string][]byte // archives
	deleted []string
	open    string // an upload that is not complete
	rest    []byte // and its bytes
}

func newStocked(t *testing.T) *stocked {
	t.Helper()
	s := &stocked{house: withVolumes(t, t.TempDir()), bodies: map[string][]byte{}}
	keep := func(upload func(*house, *testing.T, []byte) string, b []byte) string {
		id := upload(s.house, t, b)
		s.bodies[id] = b
		s.clock.move(1234 * time.Millisecond)
		return id
	}
	for i := range 40 {
		keep((*house).archive, fmt.Appendf(nil, "archive %d %s", i, strings.Repeat("x", i*50)))
	}
	keep((*house).archive, bytes.Repeat([]byte("0123456789abcdef"), 5000))    // a volume of its own
	keep((*house).inParts, bytes.Repeat([]byte("0123456789abcdef"), 100_000)) // two parts
	gone := keep((*house).archive, []byte("is deleted"))
	goneParts := keep((*house).inParts, []byte("is deleted, and had a part"))
	held := keep((*house).archive, []byte("is deleted while a job offers it"))
	s.job(t, held)
	for _, id := range []string{gone, goneParts, held} {
		s.remove(t, id)
	}
	s.open, s.rest = s.upload(t), bytes.Repeat([]byte("open"), 1<<18+1)
	s.part(t, s.open, 0, []byte("replaced"))
	s.clock.move(time.Second)
	s.part(t, s.open, 0, s.rest[:1<<20])
	s.clock.move(time.Second)
	return s
}

func (s *stocked) remove(t *testing.T, id string) {
	t.Helper()
	check(t, s.DeleteArchive(t.Context(), s.ref, id))
	delete(s.bodies, id)
	s.deleted = append(s.deleted, id)
	s.clock.move(1100 * time.Millisecond)
}

// inventoryNow returns the inventory as it is now.
func (h *house) inventoryNow(t *testing.T) string {
	t.Helper()
	return string(h.output(t, h.job(t, "")))
}

// wantAll checks that a rebuilt service has what the first one had.
func (s *stocked) wantAll(t *testing.T, r *house, inventory string) {
	t.Helper()
	r.wantNothingWrong(t)
	for id, want := range s.bodies {
		if got := r.retrieve(t, id); !bytes.Equal(got, want) {
			t.Errorf("archive %.20s has %d bytes that are not its %d", id, len(got), len(want))
		}
	}
	for _, id := range s.deleted {
		_, err := r.InitiateJob(t.Context(), r.ref, JobParameters{Type: new("archive-retrieval"), ArchiveID: &id})
		wantFault(t, "a job on a deleted archive", err, fault.NotFound)
		check(t, r.DeleteArchive(t.Context(), r.ref, id)) // a second deletion succeeds still
	}
	if got := r.inventoryNow(t); got != inventory {
		at := 0
		for at < min(len(got), len(inventory)) && got[at] == inventory[at] {
			at++
		}
		t.Errorf("the inventory has %d bytes, had %d; they differ from byte %d on:\n%.300s\n%.300s", len(got), len(inventory), at, got[max(0, at-50):], inventory[max(0, at-50):])
	}
	r.part(t, s.open, 1<<20, s.rest[1<<20:])
	if _, err := r.completeAs(t.Context(), s.open, s.rest); err != nil {
		t.Errorf("the open upload cannot be gone on with: %v", err)
	}
	r.wantNothingWrong(t)
}

// TestRebuild loses the catalogue, with no copy of it.
func TestRebuild(t *testing.T) {
	s := newStocked(t)
	inventory := s.inventoryNow(t)
	r, done, findings := s.rebuilt(t, "")
	if len(findings) > 0 {
		t.Errorf("the rebuild reports %v", findings)
	}
	if done.Archives != int64(len(s.bodies)) || done.Deleted != int64(len(s.deleted)) || done.Uploads != 1 || done.Vaults != 1 ||
		!slices.Equal(done.NewVaults, []string{s.ARN(s.ref)}) || !slices.Equal(done.Accounts, []string{s.ref.Account}) ||
		done.Missing+done.Incomplete+done.Strays+done.Unreadable != 0 {
		t.Errorf("the rebuild reports %+v", done)
	}
	s.wantAll(t, r, inventory)
}

// TestRebuildFromACopy has a copy of the catalogue from before some uploads and deletions.
func TestRebuildFromACopy(t *testing.T) {
	s := newStocked(t)
	check(t, s.SetVaultNotifications(t.Context(), s.ref, protocol.NotificationConfiguration{SNSTopic: new("arn:aws:sns:us-east-1:123456789012:t"), Events: []string{"ArchiveRetrievalCompleted"}}))
	check(t, s.CreateVault(t.Context(), Ref{s.ref.Account, "empty"}))
	early := s.archive(t, []byte("is in the copy, and deleted after it"))
	var copied string
	check(t, s.Backup(t.Context(), func(context.Context) error { copied = s.copyCatalogue(t); return nil }))
	s.upkeep(t) // tombstones that the copy knows of go
	s.remove(t, early)
	s.bodies[s.archive(t, []byte("after the copy"))] = []byte("after the copy")
	s.clock.move(time.Second)
	inventory := s.inventoryNow(t)
	r, done, findings := s.rebuilt(t, copied)
	if len(findings) > 0 || done.Missing != 0 || len(done.NewVaults) != 0 || done.Vaults != 2 {
		t.Errorf("the rebuild reports %+v, %v", done, findings)
	}
	if n, err := r.GetVaultNotifications(t.Context(), s.ref); err != nil || *n.SNSTopic != "arn:aws:sns:us-east-1:123456789012:t" {
		t.Errorf("the notification configuration is %+v, %v", n, err)
	}
	s.wantAll(t, r, inventory)
}

// TestRebuildNamesWhatIsMissing has a copy of the catalogue with archives that the medium has not, and a manifest without a part.
func TestRebuildNamesWhatIsMissing(t *testing.T) {
	s := newStocked(t)
	copied := s.copyCatalogue(t)
	var lost, incomplete string
	for place, label := range s.records(t) {
		switch {
		case lost == "" && strings.HasPrefix(label, `"archive"`):
			lost = labelOf(t, s.house, place).Archive
		case strings.HasPrefix(label, `"part"`) && labelOf(t, s.house, place).First > 0:
			incomplete = labelOf(t, s.house, place).Archive
		default:
			continue
		}
		check(t, s.store.Store.Remove(t.Context(), place))
	}
	_, done, findings := s.rebuilt(t, copied)
	if done.Missing != 1 || done.Incomplete != 1 {
		t.Errorf("the rebuild reports %+v", done)
	}
	var named []string
	for _, f := range findings {
		named = append(named, f.Archive)
	}
	for _, id := range []string{lost, incomplete} {
		if !slices.Contains(named, id) {
			t.Errorf("the rebuild does not name the archive %s: %v", id, findings)
		}
	}
}

func labelOf(t *testing.T, h *house, at store.Place) label {
	t.Helper()
	x, err := h.store.Store.Stat(t.Context(), at)
	check(t, err)
	l, err := parseLabel(x.Label)
	check(t, err)
	return l
}

// TestRebuildOfAnEmptyStore makes an empty catalogue.
func TestRebuildOfAnEmptyStore(t *testing.T) {
	h := withVolumes(t, t.TempDir())
	r, done, findings := h.rebuilt(t, "")
	if done.Archives != 0 || done.Records != 0 || len(findings) != 0 {
		t.Errorf("the rebuild reports %+v, %v", done, findings)
	}
	r.wantNothingWrong(t)
}

// TestCheckNamesDamage damages things in every way: the check names the archive and the place.
func TestCheckNamesDamage(t *testing.T) {
	dir := t.TempDir()
	h := withVolumes(t, dir)
	small, large, parts := h.archive(t, []byte("a small archive")), h.archive(t, bytes.Repeat([]byte("0123456789abcdef"), 5000)), h.inParts(t, []byte("a part"))
	h.wantNothingWrong(t)
	for name, c := range map[string]struct {
		archive string
		damage  func(*testing.T)
		problem string
	}{
		"a byte of a small archive": {small, func(t *testing.T) { flip(t, dir, "a small archive") }, "damaged"},
		"a byte of a large archive": {large, func(t *testing.T) { flip(t, dir, "0123456789abcdef") }, "damaged"},
		"a byte of a label":         {small, func(t *testing.T) { flip(t, dir, small) }, "damaged"},
		"a byte of a part":          {parts, func(t *testing.T) { flip(t, dir, "a part") }, "damaged"},
		"a lost record": {large, func(t *testing.T) {
			files, err := filepath.Glob(filepath.Join(dir, "??", "*.vol"))
			check(t, err)
			moveAway(t, files[0])
		}, "lost"},
		"another size in the row": {small, func(t *testing.T) { change(t, h, small, "size", 16) }, "the catalogue says"},
		"another hash in the row": {small, func(t *testing.T) { change(t, h, small, "tree_hash", make([]byte, 32)) }, "tree hash"},
		"another description":     {small, func(t *testing.T) { change(t, h, small, "description", "else") }, "another"},
		"another date":            {small, func(t *testing.T) { change(t, h, small, "created_at", 1_700_000_000_000) }, "is of"},
		"the place of another":    {small, func(t *testing.T) { change(t, h, small, "place", place(t, h, large)) }, "another"},
	} {
		t.Run(name, func(t *testing.T) {
			c.damage(t)
			found := false
			for _, f := range h.findings(t) {
				found = found || f.Severity == Wrong && f.Archive == c.archive && f.Place != "" && strings.Contains(f.Problem, c.problem)
			}
			if !found {
				t.Errorf("the check does not name the archive: %v", h.findings(t))
			}
		})
	}
	h.wantNothingWrong(t) // all of it was undone
}

// flip changes a byte in the middle of a text in one of the volumes, until the test ends.
func flip(t *testing.T, dir, text string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.vol"))
	check(t, err)
	for _, path := range files {
		b, err := os.ReadFile(path)
		check(t, err)
		if at := bytes.Index(b, []byte(text)); at >= 0 {
			overwrite(t, path, at+len(text)/2, b[at+len(text)/2]^0x10)
			t.Cleanup(func() { overwrite(t, path, at+len(text)/2, b[at+len(text)/2]) })
			return
		}
	}
	t.Fatalf("no volume has the text %q", text)
}

func overwrite(t *testing.T, path string, at int, b byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	check(t, err)
	_, err = f.WriteAt([]byte{b}, int64(at))
	check(t, err)
	check(t, f.Close())
}

// moveAway hides a file until the test ends.
func moveAway(t *testing.T, path string) {
	t.Helper()
	check(t, os.Rename(path, path+".away"))
	t.Cleanup(func() { check(t, os.Rename(path+".away", path)) })
}

func place(t *testing.T, h *house, archive string) (place string) {
	t.Helper()
	check(t, h.rows.View(t.Context(), func(tx *catalogue.Tx) error {
		w, err := tx.WhereArchive(archive)
		place = w.Place
		return err
	}))
	return place
}

// change changes a column of the row of an archive until the test ends.
func change(t *testing.T, h *house, archive, column string, value any) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+h.path+"?vfs=checked&_pragma=busy_timeout(10000)")
	check(t, err)
	var before any
	check(t, db.QueryRow(`SELECT `+column+` FROM archives WHERE archive_id = $1`, archive).Scan(&before))
	set := func(v any) {
		_, err := db.Exec(`UPDATE archives SET `+column+` = $1 WHERE archive_id = $2`, v, archive)
		check(t, err)
	}
	set(value)
	t.Cleanup(func() {
		set(before)
		check(t, db.Close())
	})
}

// many uploads small archives, a second apart.
func (h *house) many(t *testing.T, n int) (ids []string) {
	t.Helper()
	for i := range n {
		ids = append(ids, h.archive(t, fmt.Appendf(nil, "archive %d %s", i, strings.Repeat("x", 2000))))
		h.clock.move(time.Second)
	}
	return ids
}

// thin deletes three of four archives, so that their volumes are worth compacting. It returns the ids of the others.
func (h *house) thin(t *testing.T, ids []string) (left []string) {
	t.Helper()
	for i, id := range ids {
		if i%4 == 0 {
			left = append(left, id)
			continue
		}
		check(t, h.DeleteArchive(t.Context(), h.ref, id))
	}
	h.upkeep(t)
	return left
}

// TestOldCatalogueAfterACompaction puts a catalogue back that refers to volumes which have been compacted since. The copies that nothing refers to are all there is.
func TestOldCatalogueAfterACompaction(t *testing.T) {
	h := withVolumes(t, t.TempDir())
	ids := h.many(t, 40)
	h.clock.move(40 * 24 * time.Hour)
	old := h.copyCatalogue(t)
	left := h.thin(t, ids)
	if c, err := h.Compact(t.Context(), nil); err != nil || c.Volumes == 0 {
		t.Fatalf("the compaction: %+v, %v", c, err)
	}
	check(t, h.rows.Close())
	h.path = old
	h.open(t, h.settings)
	h.Service.bytes = h.store.Store
	for range 3 {
		h.clock.move(25 * time.Hour)
		h.sweep(t)
		_, err := h.Compact(t.Context(), nil)
		check(t, err)
	}
	if _, done, _ := h.rebuilt(t, ""); done.Archives < int64(len(left)) {
		t.Errorf("%d of %d archives are left on the medium", done.Archives, len(left))
	}
}

// TestCopiesOfDeletedArchivesGo is killed in a compaction, between the copies and their rows. What is deleted afterwards stays deleted, also for a rebuild.
func TestCopiesOfDeletedArchivesGo(t *testing.T) {
	h := withVolumes(t, t.TempDir())
	left := h.thin(t, h.many(t, 40))
	h.clock.move(25 * time.Hour)
	volumes := h.Service.bytes.(store.Volumes)
	list, err := volumes.Volumes(t.Context())
	check(t, err)
	killed := errors.New("killed")
	for _, v := range list {
		if h.worthCompacting(v) {
			_, err = volumes.Compact(t.Context(), v.Name, store.Compaction{Fate: h.fate, Refers: h.refersInto, Moved: func(context.Context, []store.Moved) ([]store.Place, error) {
				return nil, killed
			}})
			break
		}
	}
	if !errors.Is(err, killed) {
		t.Fatalf("the compaction was not killed: %v", err)
	}
	for _, id := range left {
		check(t, h.DeleteArchive(t.Context(), h.ref, id))
	}
	h.clock.move(25 * time.Hour)
	h.upkeep(t)
	h.sweep(t)
	if _, done, _ := h.rebuilt(t, ""); done.Archives != 0 {
		t.Errorf("%d deleted archives come back", done.Archives)
	}
}

// TestRebuildKeepsWhatIsDamaged has a record whose header cannot be read, and a multipart archive without a part: a rebuild that knows them from a copy keeps what there is of them.
func TestRebuildKeepsWhatIsDamaged(t *testing.T) {
	dir := t.TempDir()
	h := withVolumes(t, dir)
	small := h.archive(t, []byte("an archive with a damaged header"))
	body := bytes.Repeat([]byte("0123456789abcdef"), 200_000) // four parts
	parts := h.inParts(t, body)
	h.clock.move(10 * 24 * time.Hour)
	check(t, h.Expire(t.Context())) // the upload is forgotten
	copied := h.copyCatalogue(t)
	flip(t, dir, small)
	for at, text := range h.records(t) {
		if strings.Contains(text, `"first":1048576`) {
			check(t, h.store.Store.Remove(t.Context(), at))
		}
	}
	r, done, _ := h.rebuilt(t, copied)
	if done.Archives != 2 || done.Incomplete != 1 || done.Missing != 0 {
		t.Errorf("the rebuild reports %+v", done)
	}
	before := len(r.kept(t))
	check(t, r.Expire(t.Context()))
	check(t, r.Release(t.Context()))
	r.clock.move(60 * 24 * time.Hour)
	for range 2 {
		_, err := r.Sweep(t.Context())
		check(t, err)
		r.clock.move(60 * 24 * time.Hour)
	}
	if after := len(r.kept(t)); after != before {
		t.Errorf("of %d records %d are left", before, after)
	}
	id := r.start(t, JobParameters{Type: new("archive-retrieval"), ArchiveID: &parts, RetrievalByteRange: new("0-1048575")})
	r.finish(t)
	if got := r.output(t, id); !bytes.Equal(got, body[:1<<20]) {
		t.Errorf("the first part cannot be read: %d bytes", len(got))
	}
}

// kept returns the places of all records.
func (h *house) kept(t *testing.T) (places []store.Place) {
	t.Helper()
	check(t, h.bytes.Walk(t.Context(), func(x store.Extent) error {
		places = append(places, x.Place)
		return nil
	}))
	return places
}

// TestCheckOnABusyServer looks at a service with deletions that wait to be carried out.
func TestCheckOnABusyServer(t *testing.T) {
	h := withVolumes(t, t.TempDir())
	ids := h.many(t, 10)
	h.clock.move(25 * time.Hour)
	for _, id := range ids[:5] {
		check(t, h.DeleteArchive(t.Context(), h.ref, id))
	}
	for _, f := range h.findings(t) {
		t.Errorf("the check finds: %s %s", f.Severity, f)
	}
}

// TestOrphansAgeThroughCompactions has compactions carry a record that no row refers to: its time goes on from when it was first found so.
func TestOrphansAgeThroughCompactions(t *testing.T) {
	h := withVolumes(t, t.TempDir())
	ids := h.many(t, 40)
	l := label{What: isArchive, Account: h.ref.Account, Vault: h.ref.Name, Archive: h.newArchiveID()}
	orphan, err := h.store.Store.Put(t.Context(), store.Payload, l.encode(), treehash.NewStream(strings.NewReader("never acknowledged"), 18, nil))
	check(t, err)
	ids = append(ids, h.many(t, 40)...)
	h.clock.move(25 * time.Hour)
	h.sweep(t) // finds it
	h.thin(t, ids)
	h.clock.move(h.settings.KeepOrphans - time.Hour)
	c, err := h.Compact(t.Context(), nil)
	check(t, err)
	if _, err := h.store.Store.Stat(t.Context(), orphan.Place); !fault.Is(err, fault.NotFound) {
		t.Fatalf("the compaction did not move the record: %+v, %v", c, err)
	}
	if swept := h.sweep(t); swept.Orphans != 1 || swept.Removed != 0 {
		t.Errorf("before its time is over: %+v", swept)
	}
	h.clock.move(time.Hour)
	if swept := h.sweep(t); swept.Orphans != 0 || swept.Removed != 1 {
		t.Errorf("when its time is over: %+v", swept)
	}
}
