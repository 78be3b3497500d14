package volume

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/vfs"
	"github.com/moraine-archive/moraine/internal/vfs/vfstest"
)

func fateIs(f store.Fate) func(context.Context, store.Extent) (store.Fate, error) {
	return func(context.Context, store.Extent) (store.Fate, error) { return f, nil }
}

func movedTo(context.Context, []store.Moved) ([]store.Place, error) { return nil, nil }

// moveAll moves everything.
var moveAll = store.Compaction{Fate: fateIs(store.Move), Refers: refersNever, Moved: movedTo} // read only

func refersNever(context.Context, string) (bool, error) { return false, nil }

// rows are what refers to records, as a catalogue does: the records of a test by their places. They can be used by several goroutines.
type rows struct {
	mu sync.Mutex
	at map[store.Place]kept // guarded by mu
}

func rowsOf(list []kept) *rows {
	r := &rows{at: map[store.Place]kept{}}
	for _, k := range list {
		r.at[k.Place] = k
	}
	return r
}

func (r *rows) fate(_ context.Context, x store.Extent) (store.Fate, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, needed := r.at[x.Place]; needed {
		return store.Move, nil
	}
	return store.Drop, nil
}

func (r *rows) moved(_ context.Context, moves []store.Moved) (stale []store.Place, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range moves {
		k, needed := r.at[m.From]
		if !needed {
			stale = append(stale, m.To)
			continue
		}
		delete(r.at, m.From)
		k.Place = m.To
		if !same(k.Extent, m.Extent) {
			return nil, fmt.Errorf("%v was moved and is now %v", k.Extent, m.Extent)
		}
		r.at[m.To] = k
	}
	return stale, nil
}

func (r *rows) compaction() store.Compaction {
	return store.Compaction{Fate: r.fate, Refers: refersNever, Moved: r.moved}
}

// forget takes the row of a record away. It reports the record's place.
func (r *rows) forget(label string) store.Place {
	r.mu.Lock()
	defer r.mu.Unlock()
	for at, k := range r.at {
		if string(k.Label) == label {
			delete(r.at, at)
			return at
		}
	}
	return ""
}

func (r *rows) list() (list []kept) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range r.at {
		list = append(list, k)
	}
	return list
}

// compacted compacts the volume of a place.
func compacted(t testing.TB, s *Store, at store.Place, c store.Compaction) store.Compacted {
	t.Helper()
	if c.Refers == nil {
		c.Refers = refersNever
	}
	done, err := s.Compact(t.Context(), volumeName(at), c)
	if err != nil {
		t.Fatalf("Compact: %v", err)
	}
	return done
}

// total returns the length of all shared volumes.
func total(t testing.TB, s *Store) (n int64) {
	t.Helper()
	for _, v := range volumesOf(t, s) {
		n += v.Bytes
	}
	return n
}

// fullStore has 40 records of 4,000 bytes in three volumes, of which the first two are full.
func fullStore(t testing.TB) (*Store, []kept) {
	t.Helper()
	s := openWith(t, vfs.OS(), small(), ticking())
	return s, keepMany(t, s, 40, 4000)
}

// inFirst returns how many of the records are in the volume of the first.
func inFirst(list []kept) (n int) {
	for _, k := range list {
		if volumeName(k.Place) == volumeName(list[0].Place) {
			n++
		}
	}
	return n
}

func TestCompactionWinsSpaceBack(t *testing.T) {
	s, list := fullStore(t)
	n := inFirst(list)
	remove(t, s, list[1:n-1]...)
	left := slices.Concat(list[:1], list[n-1:])
	r := rowsOf(left)
	path, before, bytes := fileOf(t, s, list[0].Place), total(t, s), sizeOf(t, s, list[0].Place)
	done := compacted(t, s, list[0].Place, r.compaction())
	if want := (store.Compacted{Gone: true, Moved: 2, Bytes: bytes}); !sameCompacted(done, want) {
		t.Errorf("Compact gives %+v, want %+v", done, want)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the file of a compacted volume is there: %v", err)
	}
	if won := before - total(t, s); won < bytes-10_000 {
		t.Errorf("compacting %d bytes of which 2 records of 4,000 were needed has won %d", bytes, won)
	}
	for _, c := range comebacks {
		wantKept(t, s, c.name, r.list()...)
		wantRemoved(t, s, c.name, list[:n]...)
		wantSound(t, s, c.name)
		s = c.back(t, s)
	}
}

func sameCompacted(a, b store.Compacted) bool {
	return a.Gone == b.Gone && a.Moved == b.Moved && a.Dropped == b.Dropped && a.Bytes == b.Bytes && len(a.Damaged) == len(b.Damaged)
}

// TestMoved holds what Moved is told: from where, to where, and that a copy is the same record, kind and date included.
func TestMoved(t *testing.T) {
	s := openWith(t, vfs.OS(), small(), ticking())
	list := everyKind(t, s)
	for _, name := range sharedNames(list) {
		var moves []store.Moved
		done, err := s.Compact(t.Context(), name, store.Compaction{
			Fate: func(_ context.Context, x store.Extent) (store.Fate, error) {
				if x.Size%2 == 1 {
					return store.Carry, nil
				}
				return store.Move, nil
			},
			Moved: func(_ context.Context, m []store.Moved) ([]store.Place, error) {
				moves = append(moves, m...)
				return nil, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if done.Gone == (len(moves) == 0) || done.Moved != len(moves) {
			t.Errorf("volume %s: %+v, and %d moves", name, done, len(moves))
		}
		for _, m := range moves {
			i := slices.IndexFunc(list, func(k kept) bool { return k.Place == m.From })
			if i < 0 {
				t.Fatalf("%s is none of the records", m.From)
			}
			want := list[i].Extent
			if want.Place = m.To; !same(m.Extent, want) || m.To == m.From || (m.Fate == store.Carry) != (want.Size%2 == 1) {
				t.Errorf("%q: Moved is told %+v, want %+v", want.Label, m, want)
			}
			list[i].Extent = want
		}
	}
	for _, c := range comebacks {
		wantKept(t, s, c.name, list...)
		s = c.back(t, s)
	}
}

// sharedNames returns the names of the volumes of records that were small enough to share them.
func sharedNames(list []kept) (names []string) {
	for _, k := range list {
		if k.Size <= MaxShareLimit {
			names = append(names, volumeName(k.Place))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func TestFates(t *testing.T) {
	for _, c := range []struct {
		name           string
		fate           store.Fate
		gone           bool
		moved, dropped int
	}{
		{"Wait", store.Wait, false, 0, 0},
		{"Move", store.Move, true, 1, 0},
		{"Carry", store.Carry, true, 1, 0},
		{"Drop", store.Drop, true, 0, 1},
	} {
		s, list := fullStore(t)
		n := inFirst(list)
		moves := map[store.Place]store.Place{}
		done := compacted(t, s, list[0].Place, store.Compaction{
			Fate: func(_ context.Context, x store.Extent) (store.Fate, error) {
				if x.Place == list[3].Place {
					return c.fate, nil
				}
				return store.Move, nil
			},
			Moved: func(_ context.Context, m []store.Moved) ([]store.Place, error) {
				for _, m := range m {
					moves[m.From] = m.To
				}
				return nil, nil
			},
		})
		if done.Gone != c.gone || done.Moved != n-1+c.moved || done.Dropped != c.dropped || len(done.Damaged) > 0 {
			t.Errorf("%s: %+v", c.name, done)
		}
		var want []kept
		for _, k := range list {
			if to, moved := moves[k.Place]; moved {
				k.Place = to
			} else if k.Place == list[3].Place && c.fate == store.Drop {
				continue
			}
			want = append(want, k)
		}
		for _, back := range comebacks {
			wantKept(t, s, c.name+" "+back.name, want...)
			wantSound(t, s, c.name)
			s = back.back(t, s)
		}
	}
}

// A record that is damaged keeps its volume, with everything that is known of it; the others are moved, and marked removed where they were.
func TestCompactionOfADamagedVolume(t *testing.T) {
	for _, c := range []struct {
		name  string
		at    int64 // in the record
		label string
	}{
		{"header", 20, ""},
		{"payload", recordHeaderSize + 20 + 100, "record 3 of 40"},
		{"trailer", recordHeaderSize + 14 + 4000 + 10, ""},
	} {
		s, list := fullStore(t)
		n := inFirst(list)
		flip(t, s, list[3].Place, c.at)
		r := rowsOf(list)
		for _, moved := range []int{n - 1, 0} { // the second time only the damaged one is there
			done := compacted(t, s, list[0].Place, r.compaction())
			if done.Gone || done.Moved != moved || len(done.Damaged) != 1 {
				t.Fatalf("%s: %+v, want %d moved", c.name, done, moved)
			}
			if d := done.Damaged[0]; d.Place != list[3].Place || string(d.Label) != c.label || d.Err == nil {
				t.Errorf("%s: the damage is %+v", c.name, d)
			}
			s = restarted(t, s)
		}
		wantRemoved(t, s, c.name, slices.Concat(list[:3], list[4:n])...)
		for _, k := range r.list() {
			if k.Place != list[3].Place {
				wantRead(t, s, c.name, k)
			}
		}
		if v := state(t, s, list[3].Place); v.Bytes-v.Dead > 5000+volumeHeaderSize {
			t.Errorf("%s: the volume has %d bytes, of which %d are dead", c.name, v.Bytes, v.Dead)
		}
	}
}

// flip changes a byte of a record.
func flip(t testing.TB, s *Store, at store.Place, i int64) {
	t.Helper()
	_, off, err := parsePlace(at)
	if err != nil {
		t.Fatal(err)
	}
	if disk, simulated := s.fs.(*vfstest.Disk); simulated {
		disk.Corrupt(fileOf(t, s, at), off+i, 0x10)
		return
	}
	b := readFile(t, fileOf(t, s, at))
	b[off+i] ^= 0x10
	writeFile(t, fileOf(t, s, at), b)
}

// TestCompactionOfWhatAKillLeft damages a record of the volume that was in use when the process was killed. For the scan it is what a crash left; who knows
// that it was acknowledged can tell, and then the volume stays.
func TestCompactionOfWhatAKillLeft(t *testing.T) {
	for _, part := range []struct {
		name string
		at   int64
	}{{"header", 20}, {"payload", recordHeaderSize + 20 + 100}, {"trailer", recordHeaderSize + 14 + 4000 + 10}} {
		for _, c := range []struct {
			name          string
			fate          store.Fate
			gone, damaged bool
		}{
			{"needed", store.Move, false, true},
			{"nobody can say", store.Wait, false, false},
			{"kept for a while", store.Carry, false, false},
			{"needed by nobody", store.Drop, true, false},
		} {
			s := onDisk(t, vfstest.New(), Defaults(), ticking())
			list := keepMany(t, s, 5, 4000)
			flip(t, s, list[2].Place, part.at)
			s = killed(t, s)
			done := compacted(t, s, list[2].Place, store.Compaction{Moved: movedTo, Fate: func(_ context.Context, x store.Extent) (store.Fate, error) {
				if x.Place == list[2].Place {
					return c.fate, nil
				}
				return store.Move, nil
			}})
			if done.Gone != c.gone || done.Moved != 4 || (len(done.Damaged) == 1) != c.damaged {
				t.Errorf("%s, %s: %+v", part.name, c.name, done)
			}
			if c.damaged && done.Damaged[0].Place != list[2].Place {
				t.Errorf("%s: the damage is %+v", part.name, done.Damaged[0])
			}
		}
	}
}

// TestCompactionIsInterrupted cancels the context, or lets a callback fail. What was moved before is marked removed; everything is at one place at least.
func TestCompactionIsInterrupted(t *testing.T) {
	errStop := errors.New("stop")
	for _, c := range []struct {
		name string
		stop func(c *store.Compaction, cancel func())
		want error
	}{
		{"context", func(c *store.Compaction, cancel func()) { c.Moved = after(c.Moved, cancel) }, context.Canceled},
		{"pace", func(c *store.Compaction, _ func()) {
			left := 6
			c.Pace = func(context.Context, int) error {
				if left--; left < 0 {
					return errStop
				}
				return nil
			}
		}, errStop},
		{"fate", func(c *store.Compaction, _ func()) {
			left, fate := 6, c.Fate
			c.Fate = func(ctx context.Context, x store.Extent) (store.Fate, error) {
				if left--; left < 0 {
					return store.Wait, errStop
				}
				return fate(ctx, x)
			}
		}, errStop},
		{"moved", func(c *store.Compaction, _ func()) {
			moved, again := c.Moved, false
			c.Moved = func(ctx context.Context, m []store.Moved) ([]store.Place, error) {
				if again {
					return nil, errStop
				}
				again = true
				return moved(ctx, m)
			}
		}, errStop},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := Defaults()
			o.VolumeSize = 8 << 20
			s := onDisk(t, vfstest.New(), o, ticking())
			list := keepMany(t, s, 10, mib) // four are moved at a time
			n := inFirst(list)
			r := rowsOf(list)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			what := r.compaction()
			c.stop(&what, cancel)
			done, err := s.Compact(ctx, volumeName(list[0].Place), what)
			if !errors.Is(err, c.want) || done.Gone || done.Moved == 0 || done.Moved >= n {
				t.Fatalf("%+v, %v", done, err)
			}
			for _, k := range r.list() {
				wantRead(t, s, "when it was interrupted", k)
			}
			wantRemoved(t, s, "what was moved", list[:done.Moved]...)
			s = killed(t, s)
			wantRemoved(t, s, "what was moved, after a kill", list[:done.Moved]...)
			again := compacted(t, s, list[0].Place, r.compaction())
			if !again.Gone || again.Moved != n-done.Moved {
				t.Errorf("the second time: %+v, after %+v", again, done)
			}
			for _, k := range r.list() {
				wantRead(t, s, "in the end", k)
			}
		})
	}
}

// after calls fn when the first call of moved is done.
func after(moved func(context.Context, []store.Moved) ([]store.Place, error), fn func()) func(context.Context, []store.Moved) ([]store.Place, error) {
	return func(ctx context.Context, m []store.Moved) ([]store.Place, error) {
		defer fn()
		return moved(ctx, m)
	}
}

// A record that is deleted while it is copied has a copy that nothing refers to.
func TestStaleCopiesAreRemoved(t *testing.T) {
	s, list := fullStore(t)
	n := inFirst(list)
	r := rowsOf(list)
	c := r.compaction()
	c.Moved = func(ctx context.Context, m []store.Moved) ([]store.Place, error) {
		r.forget(string(list[2].Label))
		return r.moved(ctx, m)
	}
	if done := compacted(t, s, list[0].Place, c); !done.Gone || done.Moved != n-1 {
		t.Errorf("%+v", done)
	}
	for _, c := range comebacks {
		wantKept(t, s, c.name, r.list()...)
		s = c.back(t, s)
	}
}

// TestRemovalsAreCarriedOver compacts the volume that holds the removal of a record of another one, which must not come back.
func TestRemovalsAreCarriedOver(t *testing.T) {
	s, list := fullStore(t)
	n := inFirst(list)
	second := list[n]
	remove(t, s, list[1], second)
	holder := s.current.id.String()
	list = slices.Concat(list[:1], list[2:n], list[n+1:], keepMany(t, s, 20, 4000)) // the holder is full
	if holder == s.current.id.String() {
		t.Fatal("the volume that holds the removals is not full")
	}
	r := rowsOf(list)
	done, err := s.Compact(t.Context(), holder, r.compaction())
	if err != nil || !done.Gone {
		t.Fatalf("%+v, %v", done, err)
	}
	for _, c := range comebacks {
		wantKept(t, s, c.name, r.list()...)
		wantRemoved(t, s, c.name, second)
		wantSound(t, s, c.name)
		s = c.back(t, s)
	}
}

// What is being appended to is not compacted; what is neither there nor a volume is no work.
func TestCompactionOfWhatCannotBe(t *testing.T) {
	s, list := fullStore(t)
	in := list[len(list)-1]
	alone := keep(t, s, "alone", mib+1)
	for what, name := range map[string]string{
		"a volume in use": volumeName(in.Place), "a volume of one record": volumeName(alone.Place), "a volume that is not there": strings.Repeat("0", 32),
	} {
		if done, err := s.Compact(t.Context(), name, moveAll); err != nil || !sameCompacted(done, store.Compacted{}) {
			t.Errorf("%s: %+v, %v", what, done, err)
		}
	}
	if _, err := s.Compact(t.Context(), "nonsense", moveAll); err == nil {
		t.Error("a name that is none: no error")
	}
	wantKept(t, s, "in the end", append(list, alone)...)
}

// A volume that is compacted is not gone on with meanwhile: what came behind what is copied would be lost with it.
func TestCompactedVolumeIsNotGoneOnWith(t *testing.T) {
	s := openWith(t, vfs.OS(), Defaults(), ticking())
	old := keepMany(t, s, 3, 100)
	s = restarted(t, s)
	r := rowsOf(old)
	c := r.compaction()
	var during []kept
	c.Fate = func(ctx context.Context, x store.Extent) (store.Fate, error) {
		during = append(during, keep(t, s, fmt.Sprintf("during %d", len(during)), 100))
		return r.fate(ctx, x)
	}
	if done := compacted(t, s, old[0].Place, c); !done.Gone || done.Moved != 3 {
		t.Errorf("%+v", done)
	}
	for _, back := range comebacks {
		wantKept(t, s, back.name, append(r.list(), during...)...)
		s = back.back(t, s)
	}
}

// The other way round: a volume that was gone on with a moment before is in use, and is not compacted.
func TestVolumeThatIsGoneOnWithIsNotCompacted(t *testing.T) {
	s := openWith(t, vfs.OS(), Defaults(), ticking())
	x := keep(t, s, "before", 100)
	s = restarted(t, s)
	if volumesOf(t, s)[0].InUse {
		t.Fatal("the volume is in use before a Put")
	}
	y := keep(t, s, "after", 100)
	if done := compacted(t, s, x.Place, moveAll); done.Gone || volumeName(x.Place) != volumeName(y.Place) {
		t.Errorf("%+v; the records are at %s and %s", done, x.Place, y.Place)
	}
	wantKept(t, s, "in the end", x, y)
}

// TestCompactionAmongOthers lets Puts, reads and removals go on while volumes are compacted. Run it with -race.
func TestCompactionAmongOthers(t *testing.T) {
	s, list := fullStore(t)
	r := rowsOf(list)
	var all sync.WaitGroup
	stop := make(chan struct{})
	all.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			k := list[i%len(list)]
			if got, err := read(s, k.Place); err == nil && string(got) != string(k.payload) || err != nil && !fault.Is(err, fault.NotFound) {
				t.Errorf("%q gives %d bytes, %v", k.Label, len(got), err)
			}
		}
	})
	all.Go(func() {
		for i := range 40 {
			k := keep(t, s, fmt.Sprintf("new %d", i), 3000)
			r.mu.Lock()
			r.at[k.Place] = k
			r.mu.Unlock()
		}
	})
	all.Go(func() {
		for i := 0; i < 40; i += 3 {
			at := r.forget(string(list[i].Label))
			if err := s.Remove(t.Context(), at); err != nil {
				t.Errorf("Remove: %v", err)
			}
		}
	})
	for range 4 {
		for _, v := range volumesOf(t, s) {
			c := r.compaction()
			c.Fate = func(ctx context.Context, x store.Extent) (store.Fate, error) {
				fate, err := r.fate(ctx, x)
				if fate == store.Drop {
					fate = store.Wait // it was put a moment ago, and its row is on its way
				}
				return fate, err
			}
			if _, err := s.Compact(t.Context(), v.Name, c); err != nil {
				t.Errorf("Compact: %v", err)
			}
		}
	}
	close(stop)
	all.Wait()
	for _, back := range comebacks {
		for _, k := range r.list() {
			wantRead(t, s, back.name, k)
		}
		wantSound(t, s, back.name)
		s = back.back(t, s)
	}
}

// A compaction whose last step fails, in which the volume's name goes, is done by the next one.
func TestCompactionWhoseLastStepFails(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault vfstest.Fault
	}{
		{"remove", vfstest.Fault{Err: vfstest.ErrIO}}, {"remove", vfstest.Fault{Err: vfstest.ErrIO, After: true}},
		{"syncdir", vfstest.Fault{Err: vfstest.ErrIO}}, {"syncdir", vfstest.Fault{Err: vfstest.ErrIO, After: true}},
	} {
		disk := vfstest.New()
		s := onDisk(t, disk, small(), ticking())
		list := keepMany(t, s, 20, 4000)
		n := inFirst(list)
		remove(t, s, list[2:n]...)
		list = slices.Delete(list, 2, n) // what is left fits into the volume in use
		r := rowsOf(list)
		faultOnce(disk, c.name, c.fault)
		if done, err := s.Compact(t.Context(), volumeName(list[0].Place), r.compaction()); !errors.Is(err, vfstest.ErrIO) || done.Gone {
			t.Errorf("%s (after its effect: %t): %+v, %v", c.name, c.fault.After, done, err)
		}
		if disk.Fault != nil {
			t.Fatalf("there was no %s", c.name)
		}
		for _, k := range r.list() {
			wantRead(t, s, c.name, k)
		}
		if err := s.Remove(t.Context(), list[0].Place); err != nil {
			t.Errorf("%s (after its effect: %t): to remove a record that was moved: %v", c.name, c.fault.After, err)
		}
		if done, err := s.Compact(t.Context(), volumeName(list[0].Place), r.compaction()); err != nil || !done.Gone || done.Moved != 0 {
			t.Errorf("%s (after its effect: %t), the second time: %+v, %v", c.name, c.fault.After, done, err)
		}
		wantKept(t, s, c.name, r.list()...)
		disk.Crash()
		wantKept(t, onDisk(t, disk.Reboot(vfstest.Nothing, nil), small(), s.now), c.name+", after a crash", r.list()...)
	}
}
