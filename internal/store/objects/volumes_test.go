package objects

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
)

// raw returns the bytes of an object of a store.
func raw(t *testing.T, s *Store, key string) []byte {
	t.Helper()
	b, err := s.bucket.read(t.Context(), key, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// overwrite puts other bytes in place of an object.
func overwrite(t *testing.T, s *Store, key string, b []byte) {
	t.Helper()
	if err := s.bucket.put(t.Context(), key, b, ""); err != nil {
		t.Fatal(err)
	}
}

func flip(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

func nameOf(t *testing.T, x store.Extent) name {
	t.Helper()
	n, _, err := parsePlace(x.Place)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func remove(t *testing.T, s *Store, all ...store.Extent) {
	t.Helper()
	var places []store.Place
	for _, x := range all {
		places = append(places, x.Place)
	}
	if err := s.Remove(t.Context(), places...); err != nil {
		t.Fatal(err)
	}
}

func volumes(t *testing.T, s *Store) []store.Volume {
	t.Helper()
	list, err := s.Volumes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestVolumes(t *testing.T) {
	s, b := openNew(t)
	large := put(t, s, "large", data(2*mib))
	pack := putPack(t, s, data(100), nil, data(300), data(70_000))
	m, err := s.readMeta(t.Context(), nameOf(t, pack[0]))
	if err != nil {
		t.Fatal(err)
	}
	want := func(dead int64) {
		t.Helper()
		for _, s := range []*Store{s, openWith(t, optionsFor(b), startClock)} { // which has removed nothing
			list := volumes(t, s)
			if len(list) != 2 {
				t.Fatalf("%d volumes, want 2", len(list))
			}
			for _, v := range list {
				switch v.Name {
				case string(nameOf(t, large)):
					if v.Shared || v.Dead != 0 || v.InUse || v.Bytes <= 2*mib || !v.Since.Equal(start.Truncate(1e6)) {
						t.Errorf("the large one is %+v", v)
					}
				case string(nameOf(t, pack[0])):
					if !v.Shared || v.Dead != dead || v.InUse || v.Bytes != m.size+m.length {
						t.Errorf("the pack is %+v, want %d bytes, %d dead", v, m.size+m.length, dead)
					}
				}
			}
		}
	}
	want(0)
	remove(t, s, pack[3])
	want(pack[3].Size + entryLength(pack[3]))
	remove(t, s, pack[0], pack[1])
	want(70_100 + entryLength(pack[3]) + entryLength(pack[0]) + entryLength(pack[1]))
	remove(t, s, pack[2], large)
	if left, uploads := keys(t, b); len(left) > 0 || uploads > 0 {
		t.Errorf("when everything was removed there are still %q and %d uploads", left, uploads)
	}
}

// inspect returns the places of the records, and the damage, that Inspect finds.
func inspect(t *testing.T, s *Store, n name, whole bool) (records []store.Place, damage []store.Damage) {
	t.Helper()
	err := s.Inspect(t.Context(), string(n), store.Inspection{
		Data:   whole,
		Record: func(x store.Extent) error { records = append(records, x.Place); return nil },
		Damage: func(d store.Damage) error { damage = append(damage, d); return nil },
	})
	if err != nil {
		t.Fatalf("Inspect %s: %v", n, err)
	}
	return records, damage
}

func TestInspect(t *testing.T) {
	for _, c := range []struct {
		name         string
		change       func(t *testing.T, s *Store, n name)
		meta, data   int // damaged records that are found without and with Data, of the four that were not removed
		unlabelled   bool
		openFails    bool
		statSurvives bool
	}{
		{"nothing", func(*testing.T, *Store, name) {}, 0, 0, false, false, true},
		{"a byte of one", func(t *testing.T, s *Store, n name) { overwrite(t, s, n.data(), flip(raw(t, s, n.data()), 200)) }, 0, 1, false, true, true},
		{"a byte of a removed one", func(t *testing.T, s *Store, n name) { overwrite(t, s, n.data(), flip(raw(t, s, n.data()), 50)) }, 0, 0, false, false, true},
		{"too short", func(t *testing.T, s *Store, n name) { overwrite(t, s, n.data(), raw(t, s, n.data())[:1000]) }, 4, 4, false, true, true},
		{"too long", func(t *testing.T, s *Store, n name) { overwrite(t, s, n.data(), append(raw(t, s, n.data()), 0)) }, 4, 4, false, true, true},
		{"no data", func(t *testing.T, s *Store, n name) { s.bucket.delete(t.Context(), n.data()) }, 4, 4, false, true, true},
		{"a byte of the meta", func(t *testing.T, s *Store, n name) { overwrite(t, s, n.meta(), flip(raw(t, s, n.meta()), 99)) }, 4, 4, true, true, false},
		{"an empty meta", func(t *testing.T, s *Store, n name) { overwrite(t, s, n.meta(), nil) }, 4, 4, true, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			writer, b := openNew(t)
			pack := putPack(t, writer, data(100), data(300), nil, data(70_000), data(mib))
			n := nameOf(t, pack[0])
			remove(t, writer, pack[0])
			c.change(t, writer, n)
			s := openWith(t, optionsFor(b), startClock) // which remembers nothing
			for whole, want := range map[bool]int{false: c.meta, true: c.data} {
				records, damage := inspect(t, s, n, whole)
				if len(damage) != want || len(records) != 4-want {
					t.Errorf("Data %v: %d records, damage %v; want %d damaged", whole, len(records), damage, want)
				}
				for _, d := range damage {
					if d.Volume != string(n) || d.Err == nil || (d.Label == nil) != c.unlabelled || !IsPlace(d.Place) {
						t.Errorf("damage is reported as %+v", d)
					}
				}
			}
			if _, err := s.Stat(t.Context(), pack[1].Place); c.statSurvives != (err == nil) || err != nil && !fault.Is(err, fault.Corrupt) {
				t.Errorf("Stat: %v", err)
			}
			r, err := s.Open(t.Context(), pack[1].Place, 0, 300)
			if err == nil {
				_, err = bytes.NewBuffer(nil).ReadFrom(r)
				r.Close()
			}
			if c.openFails != (err != nil) || err != nil && !fault.Is(err, fault.Corrupt) {
				t.Errorf("reading a record: %v", err)
			}
		})
	}
}

func TestInspectWhatIsNotThere(t *testing.T) {
	s, _ := openNew(t)
	records, damage := inspect(t, s, newName(start, 3), true)
	if len(records)+len(damage) > 0 {
		t.Errorf("an object that is not there has %v, %v", records, damage)
	}
	err := s.Inspect(t.Context(), "17b84daee3f7bc79a1b2c3d4e5f60718", store.Inspection{})
	if !fault.Is(err, fault.Invalid) {
		t.Errorf("the name of a volume is taken for one of an object: %v", err)
	}
}

func TestNewerFormat(t *testing.T) {
	s, b := openNew(t)
	x := put(t, s, "label", data(10))
	n := nameOf(t, x)
	m := raw(t, s, n.meta())
	body := m[:len(m)-metaDigest]
	body[8] = 2
	sum := metaSum(n, body)
	overwrite(t, s, n.meta(), append(body, sum[:]...))
	s = openWith(t, optionsFor(b), startClock)
	errs := map[string]error{
		"Walk":    s.Walk(t.Context(), func(store.Extent) error { return nil }),
		"Inspect": s.Inspect(t.Context(), string(n), store.Inspection{}),
	}
	_, errs["Stat"] = s.Stat(t.Context(), x.Place)
	for what, err := range errs {
		if !errors.Is(err, errFormat) || fault.Is(err, fault.Corrupt) || fault.Is(err, fault.NotFound) {
			t.Errorf("%s: error %v: it must not look like damage", what, err)
		}
	}
}

// compact compacts with fates by label, and returns what was moved.
func compact(t *testing.T, s *Store, n name, fates map[string]store.Fate) (store.Compacted, []store.Moved) {
	t.Helper()
	var moves []store.Moved
	c, err := s.Compact(t.Context(), string(n), store.Compaction{
		Fate:   func(_ context.Context, x store.Extent) (store.Fate, error) { return fates[string(x.Label)], nil },
		Refers: func(context.Context, string) (bool, error) { return true, nil },
		Moved: func(_ context.Context, some []store.Moved) ([]store.Place, error) {
			moves = append(moves, some...)
			return nil, nil
		},
	})
	if err != nil {
		t.Fatalf("Compact: %v", err)
	}
	return c, moves
}

func TestCompact(t *testing.T) {
	s, b := openNew(t)
	payloads := [][]byte{data(100), data(200), data(mib), nil, data(70_000)}
	pack := putPack(t, s, payloads...)
	n := nameOf(t, pack[0])
	remove(t, s, pack[1])
	c, moves := compact(t, s, n, map[string]store.Fate{"label 0": store.Move, "label 2": store.Carry, "label 3": store.Move, "label 4": store.Drop})
	if !c.Gone || c.Moved != 3 || c.Dropped != 1 || len(c.Damaged) > 0 || c.Bytes < mib {
		t.Errorf("compacted: %+v", c)
	}
	for i, from := range []int{0, 2, 3} {
		m := moves[i]
		x, err := s.Stat(t.Context(), m.To)
		if err != nil || m.From != pack[from].Place || string(x.Label) != string(pack[from].Label) || !x.Created.Equal(pack[from].Created) || x.Tree != pack[from].Tree {
			t.Errorf("moved %+v: %+v, %v", m, x, err)
		}
		if !bytes.Equal(read(t, s, m.Extent), payloads[from]) {
			t.Errorf("the copy of record %d has other bytes", from)
		}
	}
	all, remains := walk(t, s)
	if len(all) != 3 || len(remains) > 0 {
		t.Errorf("after the compaction there are %d records, and remains %v", len(all), remains)
	}
	if left, _ := keys(t, b); len(left) != 2 {
		t.Errorf("after the compaction there are the objects %q", left)
	}
	_, err := s.Stat(t.Context(), pack[0].Place)
	if !fault.Is(err, fault.NotFound) {
		t.Errorf("the old record: %v", err)
	}
}

func TestCompactStays(t *testing.T) {
	s, _ := openNew(t)
	pack := putPack(t, s, data(100), data(200), data(300))
	n := nameOf(t, pack[0])
	c, moves := compact(t, s, n, map[string]store.Fate{"label 0": store.Move, "label 1": store.Wait, "label 2": store.Drop})
	if c.Gone || c.Moved != 1 || len(moves) != 1 {
		t.Errorf("compacted: %+v", c)
	}
	all, _ := walk(t, s)
	if len(all) != 3 || all[pack[0].Place].Kind != 0 || all[moves[0].To].Kind == 0 {
		t.Errorf("the records are now %v", all)
	}
	overwrite(t, s, n.data(), flip(raw(t, s, n.data()), 150))
	c, moves = compact(t, s, n, map[string]store.Fate{"label 1": store.Move, "label 2": store.Drop})
	if c.Gone || len(moves) > 0 || len(c.Damaged) != 1 || string(c.Damaged[0].Label) != "label 1" {
		t.Errorf("with a damaged record: %+v", c)
	}
	if c, _ = compact(t, s, n, map[string]store.Fate{"label 1": store.Drop, "label 2": store.Drop}); !c.Gone {
		t.Errorf("when nothing is needed: %+v", c)
	}
	if all, _ := walk(t, s); len(all) != 1 {
		t.Errorf("the records are now %v", all)
	}
}

func TestCompactFails(t *testing.T) {
	s, _ := openNew(t)
	pack := putPack(t, s, data(100), data(200))
	full := errors.New("the catalogue cannot be written")
	_, err := s.Compact(t.Context(), string(nameOf(t, pack[0])), store.Compaction{
		Fate:  func(context.Context, store.Extent) (store.Fate, error) { return store.Move, nil },
		Moved: func(context.Context, []store.Moved) ([]store.Place, error) { return nil, full },
	})
	if !errors.Is(err, full) {
		t.Errorf("error %v", err)
	}
	for _, x := range pack {
		read(t, s, x)
	}
	_, err = s.Compact(t.Context(), string(nameOf(t, pack[0])), store.Compaction{
		Fate:  func(context.Context, store.Extent) (store.Fate, error) { return store.Move, nil },
		Moved: func(_ context.Context, m []store.Moved) ([]store.Place, error) { return []store.Place{m[0].To}, nil },
	})
	if all, _ := walk(t, s); err != nil || len(all) != 3 { // two of the compaction that failed, one of this one
		t.Errorf("%v; there are the records %v", err, all)
	}
}

func TestWalkFindsRemains(t *testing.T) {
	needsListsOfUploads(t)
	s, b := openNew(t)
	kept := put(t, s, "kept", data(2*mib))
	n := newName(start, 3)
	overwrite(t, s, n.data(), data(100))
	overwrite(t, s, newName(start, 1).data(), data(100))
	overwrite(t, s, newName(start, 70).gone()+"3,5-9", nil)
	finished := putPack(t, s, data(1), data(2))
	overwrite(t, s, nameOf(t, finished[0]).gone()+"0-1", nil)
	for range 2 {
		if _, err := s.bucket.begin(t.Context(), newName(start, 1).data(), ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.bucket.begin(t.Context(), nameOf(t, kept).data(), ""); err != nil { // a request that was repeated
		t.Fatal(err)
	}
	overwrite(t, s, "data/not-ours", data(1))
	overwrite(t, s, "identity", data(1))
	s = openWith(t, optionsFor(b), startClock)
	all, remains := walk(t, s)
	if len(all) != 1 || all[kept.Place].Kind == 0 || len(remains) != 3+1+70+2+3 {
		t.Errorf("there are the records %v, and %d remains", all, len(remains))
	}
	slices.SortFunc(remains, func(a, b store.Extent) int { return strings.Compare(string(b.Place), string(a.Place)) })
	for _, x := range remains {
		if x.Created.Year() < 2025 || len(x.Label) > 0 {
			t.Errorf("remains %+v: not of the time when they were written", x)
		}
		remove(t, s, x)
	}
	all, remains = walk(t, s)
	left, uploads := keys(t, b)
	if len(all) != 1 || len(remains) > 0 || len(left) != 4 || uploads > 0 {
		t.Errorf("then there are the records %v, remains %v, the objects %q and %d uploads", all, remains, left, uploads)
	}
	if !bytes.Equal(read(t, s, kept), data(2*mib)) {
		t.Error("the record that was kept has other bytes")
	}
}

// TestRemainsStay checks that bytes whose description is lost stay while something refers to one of their records.
func TestRemainsStay(t *testing.T) {
	s, b := openNew(t)
	pack := putPack(t, s, data(100), data(200), data(300))
	n := nameOf(t, pack[0])
	if err := s.bucket.delete(t.Context(), n.meta()); err != nil {
		t.Fatal(err)
	}
	s = openWith(t, optionsFor(b), startClock)
	for range 2 {
		_, remains := walk(t, s)
		if len(remains) != 3 {
			t.Fatalf("remains %v", remains)
		}
		remove(t, s, remains[0], remains[2]) // a row refers to the other
	}
	if _, damage := inspect(t, s, n, true); len(damage) == 0 {
		t.Error("Inspect does not see that the description is lost")
	}
	if got := raw(t, s, n.data()); len(got) != 600 {
		t.Errorf("there are %d bytes", len(got))
	}
}

func TestWalkPassesOverWhatIsWritten(t *testing.T) {
	needsListsOfUploads(t)
	s, _ := openNew(t)
	n := s.begin(2)
	overwrite(t, s, n.data(), data(10))
	if _, err := s.bucket.begin(t.Context(), n.data(), ""); err != nil {
		t.Fatal(err)
	}
	if all, remains := walk(t, s); len(all)+len(remains) > 0 {
		t.Errorf("Walk gives %v, %v of what is being written", all, remains)
	}
	if list := volumes(t, s); len(list) > 0 {
		t.Errorf("volumes %v", list)
	}
	s.end(n)
	if _, remains := walk(t, s); len(remains) != 3 {
		t.Errorf("Walk gives %v of what is not written any more", remains)
	}
}

func TestLongLists(t *testing.T) {
	if testing.Short() {
		t.Skip("more than a page of objects")
	}
	s, b := openNew(t)
	const many = 1100 // a page has 1000
	want := make(map[string]bool)
	for i := range many {
		n := newName(start, 1)
		m := newMeta(n, []store.Extent{{Kind: store.Tombstone, Label: fmt.Append(nil, i), Tree: streamOf(nil).Sum(), Created: start}})
		overwrite(t, s, n.meta(), m.encode(n))
		want[fmt.Sprint(i)] = true
	}
	pack := putPack(t, s, make([][]byte, maxRecords)...)
	for i := range pack {
		if i%2 == 1 {
			want[string(pack[i].Label)+"!"] = true
		}
	}
	var even []store.Extent
	for i := 0; i < len(pack); i += 2 {
		even = append(even, pack[i])
	}
	remove(t, s, even...)
	all, _ := walk(t, openWith(t, optionsFor(b), startClock))
	for _, x := range all {
		label := string(x.Label)
		if strings.HasPrefix(label, "label") {
			label += "!"
		}
		delete(want, label)
	}
	if len(all) != many+maxRecords/2 || len(want) > 0 {
		t.Errorf("Walk gives %d records; %d are missing", len(all), len(want))
	}
	if list := volumes(t, s); len(list) != many+1 {
		t.Errorf("%d volumes", len(list))
	}
}
