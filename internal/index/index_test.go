package index

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/names"
	"github.com/moraine-archive/moraine/internal/vfs"
)

var noon = time.Date(2024, 2, 28, 12, 0, 0, 0, time.UTC)

func openAt(t testing.TB, path string) *Index {
	t.Helper()
	ix, err := Open(t.Context(), path, vfs.OS())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ix.Close(); err != nil {
			t.Error(err)
		}
	})
	return ix
}

func openNew(t testing.TB) *Index {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "a vault's #1 index?.db"))
}

// archive has an id like those of Glacier, that begins with a name.
func archive(name, description string, created time.Time) Archive {
	const fill = "_x9Kf03-"
	id := name + strings.Repeat(fill, 138/len(fill)+1)
	return Archive{ID: id[:138], Description: description, Created: created, Size: int64(len(description)) + 1, TreeHash: strings.Repeat("0a", 32)}
}

func inventory(date time.Time, archives ...Archive) *Inventory {
	return &Inventory{Date: date, Archives: func(yield func(Archive, error) bool) {
		for _, a := range archives {
			if !yield(a, nil) {
				return
			}
		}
	}}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func collect(t testing.TB, archives iter.Seq2[Archive, error]) []Archive {
	t.Helper()
	var list []Archive
	for a, err := range archives {
		must(t, err)
		list = append(list, a)
	}
	return list
}

// wantPaths checks which paths a pattern finds, in their order; several times if there are several archives.
func wantPaths(t testing.TB, ix *Index, pattern string, want ...string) {
	t.Helper()
	var got []string
	for _, a := range collect(t, ix.Archives(t.Context(), pattern)) {
		got = append(got, a.Name.Path)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q finds %q, want %q", pattern, got, want)
	}
}

func TestArchives(t *testing.T) {
	ix := openNew(t)
	wantPaths(t, ix, "")
	b := archive("b", "photos/b.jpg", noon)
	described, err := names.Format("photos/März.jpg", noon.Add(-time.Hour))
	must(t, err)
	must(t, ix.Replace(t.Context(), inventory(noon,
		b,
		archive("c", "photos/sub/c.jpg", noon),
		archive("d", described, noon),
		archive("v2", "photos/b.jpg", noon.Add(time.Second)),
		archive("e", "", noon),
	)))
	wantPaths(t, ix, "", "", "photos/März.jpg", "photos/b.jpg", "photos/b.jpg", "photos/sub/c.jpg")
	wantPaths(t, ix, "photos/*.jpg", "photos/März.jpg", "photos/b.jpg", "photos/b.jpg")
	wantPaths(t, ix, "photos/sub/", "photos/sub/c.jpg")
	wantPaths(t, ix, "photos/b.jpg", "photos/b.jpg", "photos/b.jpg")
	wantPaths(t, ix, "photos")
	versions, err := ix.ByPath(t.Context(), "photos/b.jpg")
	if err != nil || len(versions) != 2 || versions[0].ID[:2] != "v2" || versions[1] != b.as("photos/b.jpg") {
		t.Errorf("the versions are %+v, %v", versions, err)
	}
	for a, err := range ix.Archives(t.Context(), "[") {
		if err == nil || !strings.Contains(err.Error(), `"["`) {
			t.Errorf("a bad pattern gives %v, %v", a, err)
		}
	}
	found, err := ix.ByID(t.Context(), "d")
	if want := (names.Name{Path: "photos/März.jpg", ModTime: noon.Add(-time.Hour), Form: names.FormMT2}); err != nil || found.Name != want || found.Description != described {
		t.Errorf("got %+v, %v, want the name %+v", found, err, want)
	}
	for range ix.Archives(t.Context(), "") {
		break // does not hang on to the connection
	}
	state, err := ix.State(t.Context())
	if err != nil || state.Archives != 5 || !state.InventoryDate.Equal(noon) || state.Bytes != 13+17+int64(len(described))+1+13+1 {
		t.Errorf("the state is %+v, %v", state, err)
	}
}

// as is an archive as the index gives it.
func (a Archive) as(path string) Archive {
	a.Name = names.Name{Path: path, Form: names.FormPlain}
	return a
}

func TestByID(t *testing.T) {
	ix := openNew(t)
	long := strings.Repeat("same", 10)
	must(t, ix.Replace(t.Context(), inventory(noon, archive("abc", "1", noon), archive("abd", "2", noon), archive("x", "3", noon),
		archive(long+"1", "4", noon), archive(long+"2", "5", noon), Archive{ID: "short"}, Archive{ID: "shorter"}, Archive{ID: "\xff\xff"})))
	for id, want := range map[string]any{
		"abc": "1", "ab": ErrAmbiguous, "a": ErrAmbiguous, "x": "3", "y": ErrNotFound, "": ErrNotFound, "abcd": ErrNotFound, "X": ErrNotFound,
		long: ErrAmbiguous, long + "1": "4", long[:20]: ErrAmbiguous, long + "2": "5", long + "3": ErrNotFound,
		archive("x", "", noon).ID: "3", archive("x", "", noon).ID + "x": ErrNotFound, "short": "", "shor": ErrAmbiguous, "shorte": "", "\xff": "",
	} {
		got, err := ix.ByID(t.Context(), id)
		if wanted, fails := want.(error); fails && !errors.Is(err, wanted) || !fails && (err != nil || got.Description != want) {
			t.Errorf("ByID(%q) = %q, %v, want %v", id, got.Description, err, want)
		}
	}
}

func TestAdd(t *testing.T) {
	ix := openNew(t)
	a := archive("a", "a.txt", noon)
	must(t, ix.Add(t.Context(), a))
	again := a
	again.Size = 99
	must(t, ix.Add(t.Context(), again))
	got, err := ix.ByID(t.Context(), a.ID)
	if want := a.as("a.txt"); err != nil || !got.Local || got.Size != want.Size || got.TreeHash != want.TreeHash || !got.Created.Equal(noon) {
		t.Errorf("got %+v, %v", got, err)
	}
	if s, err := ix.State(t.Context()); err != nil || s != (State{Archives: 1, Bytes: a.Size, Local: 1}) {
		t.Errorf("the state is %+v, %v", s, err)
	}
	for _, bad := range []Archive{{ID: "x"}, {Created: noon}} {
		if err := ix.Add(t.Context(), bad); err == nil {
			t.Errorf("%+v was added", bad)
		}
	}
}

// What this machine did after an inventory was taken, the inventory does not know.
func TestReplaceKeepsWhatIsNewer(t *testing.T) {
	ix := openNew(t)
	day := 24 * time.Hour
	confirmed, lost, fresh := archive("confirmed", "confirmed", noon.Add(-day)), archive("lost", "lost", noon.Add(-day)), archive("fresh", "fresh", noon.Add(time.Hour))
	for _, a := range []Archive{confirmed, lost, fresh} {
		must(t, ix.Add(t.Context(), a))
	}
	gone, deleted := archive("gone", "gone", noon.Add(-day)), archive("deleted", "deleted", noon.Add(-day))
	early := archive("early", "early", noon.Add(-day))
	must(t, ix.Delete(t.Context(), gone.ID, noon.Add(-2*time.Hour)))
	must(t, ix.Delete(t.Context(), early.ID, noon.Add(time.Hour)))
	must(t, ix.Delete(t.Context(), deleted.ID, noon.Add(time.Hour)))

	must(t, ix.Replace(t.Context(), inventory(noon, confirmed, deleted, archive("other", "other", noon.Add(-day)))))
	wantPaths(t, ix, "", "confirmed", "fresh", "other") // lost was deleted by somebody else
	s, err := ix.State(t.Context())
	if want := (State{InventoryDate: noon, Archives: 3, Bytes: 10 + 6 + 6, Local: 1, Deleted: 2}); err != nil || s != want {
		t.Errorf("the state is %+v, %v, want %+v", s, err, want) // gone is forgotten; early was not in the inventory, but may be in one of half an hour later
	}

	must(t, ix.Replace(t.Context(), inventory(noon.Add(day), deleted, fresh)))
	wantPaths(t, ix, "", "fresh")
	s, err = ix.State(t.Context())
	if want := (State{InventoryDate: noon.Add(day), Archives: 1, Bytes: 6, Deleted: 1}); err != nil || s != want {
		t.Errorf("the state is %+v, %v, want %+v", s, err, want)
	}

	must(t, ix.Replace(t.Context(), inventory(noon.Add(2*day))))
	if s, err := ix.State(t.Context()); err != nil || s != (State{InventoryDate: noon.Add(2 * day)}) {
		t.Errorf("the state is %+v, %v", s, err)
	}
}

func TestReplaceAllowsForSkew(t *testing.T) {
	ix := openNew(t)
	must(t, ix.Add(t.Context(), archive("a", "a", noon.Add(-skew+time.Second))))
	must(t, ix.Add(t.Context(), archive("b", "b", noon.Add(-skew))))
	must(t, ix.Replace(t.Context(), inventory(noon)))
	wantPaths(t, ix, "", "a")
}

func TestReplaceFails(t *testing.T) {
	ix := openNew(t)
	must(t, ix.Replace(t.Context(), inventory(noon, archive("a", "a", noon))))
	broken := errors.New("the line is broken")
	for what, c := range map[string]struct {
		inventory *Inventory
		want      error
	}{
		"an inventory that is cut short": {&Inventory{Date: noon.Add(time.Hour), Archives: func(yield func(Archive, error) bool) {
			for i := range 10_000 {
				if !yield(archive(fmt.Sprintf("new%05d", i), "new", noon), nil) {
					return
				}
			}
			yield(Archive{}, broken)
		}}, broken},
		"an older inventory":          {inventory(noon.Add(-time.Second), archive("old", "old", noon)), ErrOlder},
		"an inventory without a date": {inventory(time.Time{}, archive("old", "old", noon)), nil},
	} {
		if err := ix.Replace(t.Context(), c.inventory); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
		wantPaths(t, ix, "", "a")
	}
	must(t, ix.Replace(t.Context(), inventory(noon, archive("b", "b", noon)))) // the same date again
	wantPaths(t, ix, "", "b")
}

// An inventory should list no archive twice. If it does, the last counts, also among ids that begin alike.
func TestReplaceRepetitions(t *testing.T) {
	ix := openNew(t)
	long := strings.Repeat("same", 10)
	must(t, ix.Replace(t.Context(), inventory(noon, archive("a", "first", noon), archive(long+"1", "1", noon), archive("b", "b", noon), archive("a", "second", noon),
		archive(long+"2", "2", noon), archive(long+"2", "3", noon), archive("a", "third", noon))))
	wantPaths(t, ix, "", "1", "3", "b", "third")
	if s, err := ix.State(t.Context()); err != nil || s.Archives != 4 {
		t.Errorf("the state is %+v, %v", s, err)
	}
}

// Readers and other changes go on while an inventory comes in, and see it when it is whole.
func TestReplaceLocksNobodyOut(t *testing.T) {
	ix := openNew(t)
	must(t, ix.Replace(t.Context(), inventory(noon, archive("a", "a", noon))))
	other := openAt(t, ix.path)
	slow := &Inventory{Date: noon.Add(time.Hour)}
	slow.Archives = func(yield func(Archive, error) bool) {
		for i := range 3000 {
			if i == 2000 {
				must(t, other.Add(t.Context(), archive("mine", "mine", noon.Add(2*time.Hour))))
				must(t, ix.Delete(t.Context(), archive("new00007", "", noon).ID, noon.Add(2*time.Hour)))
				wantPaths(t, other, "", "a", "mine")
				wantPaths(t, ix, "", "a", "mine")
			}
			if !yield(archive(fmt.Sprintf("new%05d", i), "new", noon), nil) {
				return
			}
		}
	}
	must(t, ix.Replace(t.Context(), slow))
	for _, ix := range []*Index{ix, other} {
		if found := collect(t, ix.Archives(t.Context(), "")); len(found) != 3000 || found[0].Name.Path != "mine" {
			t.Errorf("there are %d archives", len(found))
		}
	}
}

// model is the index as a map.
type model struct {
	archives map[string]Archive
	deleted  map[string]time.Time
	date     time.Time
}

func (m *model) replace(date time.Time, list []Archive) {
	if date.Before(m.date) {
		return
	}
	settled, old := date.Add(-skew), m.archives
	m.date, m.archives = date, make(map[string]Archive)
	for _, a := range list {
		m.archives[a.ID] = a
	}
	for _, a := range old {
		if _, listed := m.archives[a.ID]; a.Local && !listed && a.Created.After(settled) {
			m.archives[a.ID] = a
		}
	}
	for id, at := range m.deleted {
		if _, listed := m.archives[id]; !listed && !at.After(settled) {
			delete(m.deleted, id)
		}
		delete(m.archives, id)
	}
}

// The index does what a map does, whatever comes in whatever order.
func TestModel(t *testing.T) {
	for seed := range uint64(8) {
		random := rand.New(rand.NewPCG(seed, 0))
		ix := openNew(t)
		m := model{archives: make(map[string]Archive), deleted: make(map[string]time.Time)}
		some := func() Archive {
			n := random.IntN(30)
			return archive(fmt.Sprintf("%02d", n), fmt.Sprintf("dir%d/%d", n%3, n%10), noon.Add(time.Duration(n)*time.Minute))
		}
		for range 60 {
			at := noon.Add(time.Duration(random.IntN(60)) * time.Minute)
			switch random.IntN(5) {
			case 0, 1:
				a := some()
				must(t, ix.Add(t.Context(), a))
				delete(m.deleted, a.ID)
				if _, there := m.archives[a.ID]; !there {
					a.Local = true
					m.archives[a.ID] = a
				}
			case 2, 3:
				a := some()
				must(t, ix.Delete(t.Context(), a.ID, at))
				delete(m.archives, a.ID)
				if at.After(m.deleted[a.ID]) {
					m.deleted[a.ID] = at
				}
			case 4:
				var list []Archive
				for range random.IntN(20) {
					list = append(list, some())
				}
				if err := ix.Replace(t.Context(), inventory(at, list...)); err != nil && !errors.Is(err, ErrOlder) {
					t.Fatal(err)
				}
				m.replace(at, list)
			}
			compare(t, ix, m)
		}
	}
}

func compare(t *testing.T, ix *Index, m model) {
	t.Helper()
	want := State{InventoryDate: m.date, Archives: int64(len(m.archives)), Deleted: int64(len(m.deleted))}
	for id, a := range m.archives {
		want.Bytes += a.Size
		if a.Local {
			want.Local++
		}
		if got, err := ix.ByID(t.Context(), id[:3]); err != nil || got != a.withName() {
			t.Fatalf("got %+v, %v, want %+v", got, err, a)
		}
		versions, err := ix.ByPath(t.Context(), a.Description)
		must(t, err)
		if !slices.ContainsFunc(versions, func(v Archive) bool { return v.ID == id }) {
			t.Fatalf("%s is not among the versions of its path", id)
		}
		if !slices.IsSortedFunc(versions, func(a, b Archive) int { return b.Created.Compare(a.Created) }) {
			t.Fatal("the newest version is not first")
		}
	}
	if got, err := ix.State(t.Context()); err != nil || got != want {
		t.Fatalf("the state is %+v, %v, want %+v", got, err, want)
	}
	for pattern, prefix := range map[string]string{"": "", "dir1/": "dir1/", "dir2/*": "dir2/"} {
		count := 0
		last := Archive{}
		for a, err := range ix.Archives(t.Context(), pattern) {
			must(t, err)
			if a.Name.Path < last.Name.Path || a.Name.Path == last.Name.Path && a.Created.Before(last.Created) {
				t.Fatalf("%s comes after %s", a.Name.Path, last.Name.Path)
			}
			count, last = count+1, a
		}
		expected := 0
		for a := range maps.Values(m.archives) {
			if strings.HasPrefix(a.Description, prefix) {
				expected++
			}
		}
		if count != expected {
			t.Fatalf("%q finds %d, want %d", pattern, count, expected)
		}
	}
}

func (a Archive) withName() Archive {
	a.Name = names.Parse(a.Description)
	return a
}

func TestFileName(t *testing.T) {
	name := FileName("https://glacier.us-east-1.amazonaws.com/", "123456789012", "photos.2012:ä", noon)
	if !strings.HasPrefix(name, "photos_2012__-") || !strings.HasSuffix(name, fmt.Sprintf(".v%d.db", schemaVersion)) {
		t.Errorf("the name is %s", name)
	}
	if name != FileName("https://Glacier.us-east-1.amazonaws.com", "123456789012", "photos.2012:ä", noon) {
		t.Error("the same endpoint has two names")
	}
	for _, other := range []string{FileName("https://glacier.us-east-1.amazonaws.com", "123456789012", "Photos", noon), FileName("https://glacier.us-east-1.amazonaws.com", "12345678901", "2photos", noon),
		FileName("http://glacier.us-east-1.amazonaws.com", "123456789012", "photos", noon),
		FileName("https://glacier.us-east-1.amazonaws.com", "123456789012", "photos", noon.Add(time.Millisecond))} {
		if strings.EqualFold(other, FileName("https://glacier.us-east-1.amazonaws.com", "123456789012", "photos", noon)) {
			t.Errorf("two vaults have the name %s", other)
		}
	}
}
