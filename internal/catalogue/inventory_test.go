package catalogue

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// random returns a source of numbers whose seed is printed when the test fails.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %#x", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}

// history is a naive model of a vault: every archive it ever had, with the changes that added and removed it.
type history struct {
	vault    int64
	changes  int64
	archives []remembered
}

type remembered struct {
	Archive
	removed int64 // 0: it is there
}

// add makes a random archive. Creation dates collide often, and now and then one is earlier than the one before.
func (h *history) add(r *rand.Rand, tx *Tx) error {
	h.changes++
	id := fmt.Sprintf("%c%016x", "09AZ_az"[r.IntN(7)], r.Uint64())
	a := archiveRow(h.vault, id, r.Int64N(1000))
	a.CreatedAt = epoch.Add(time.Duration(h.changes/3-r.Int64N(3)) * time.Millisecond)
	a.Added = h.changes
	h.archives = append(h.archives, remembered{Archive: a})
	return tx.InsertArchive(a)
}

// remove deletes a random archive; half of the time its bytes are released at once.
func (h *history) remove(r *rand.Rand, tx *Tx) error {
	var there []*remembered
	for i := range h.archives {
		if h.archives[i].removed == 0 {
			there = append(there, &h.archives[i])
		}
	}
	if len(there) == 0 {
		return nil
	}
	h.changes++
	gone := there[r.IntN(len(there))]
	gone.removed = h.changes
	if err := tx.DeleteArchive(gone.Archive, epoch); err != nil || r.IntN(2) == 0 {
		return err
	}
	return tx.ReleaseDeleted(gone.ID)
}

// inventory is the naive answer.
func (h *history) inventory(s Snapshot) (list []Archive) {
	for _, a := range h.archives {
		switch at := a.CreatedAt; {
		case a.Added > s.Change, a.removed != 0 && a.removed <= s.Change:
		case !s.From.IsZero() && at.Before(s.From), !s.To.IsZero() && !at.Before(s.To):
		case !s.After.IsZero() && (at.Before(s.After) || at.Equal(s.After) && a.ID <= s.AfterID):
		default:
			list = append(list, a.Archive)
		}
	}
	slices.SortFunc(list, func(a, b Archive) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return list
}

// someSnapshot asks for a random part of a history.
func (h *history) someSnapshot(r *rand.Rand) Snapshot {
	s := Snapshot{VaultID: h.vault, Change: r.Int64N(h.changes + 2)}
	moment := func() time.Time { return epoch.Add(time.Duration(r.Int64N(h.changes/3+6)-3) * time.Millisecond) }
	if r.IntN(3) == 0 {
		s.From = moment()
	}
	if r.IntN(3) == 0 {
		s.To = moment()
	}
	switch r.IntN(4) {
	case 0:
		s.After, s.AfterID = moment(), "M" // there need not be such an archive
	case 1:
		if len(h.archives) > 0 {
			a := h.archives[r.IntN(len(h.archives))]
			s.After, s.AfterID = a.CreatedAt, a.ID
		}
	}
	return s
}

func TestInventoryIsThatOfTheModel(t *testing.T) {
	r := random(t)
	for range 4 {
		db := openNew(t)
		histories := []*history{{vault: newVault(t, db, "a")}, {vault: newVault(t, db, "b")}}
		update(t, db, func(tx *Tx) error {
			for range 150 {
				h := histories[r.IntN(2)]
				do := h.add
				if r.IntN(5) < 2 {
					do = h.remove
				}
				if err := do(r, tx); err != nil {
					return err
				}
			}
			return nil
		})
		view(t, db, func(tx *Tx) error {
			for range 300 {
				h := histories[r.IntN(2)]
				compareInventory(t, tx, h, h.someSnapshot(r))
			}
			return nil
		})
		for _, h := range histories {
			h.compareCounters(t, db)
		}
	}
}

func compareInventory(t *testing.T, tx *Tx, h *history, s Snapshot) {
	t.Helper()
	var got []Archive
	if err := tx.Inventory(s, func(a Archive) error { got = append(got, a); return nil }); err != nil {
		t.Fatal(err)
	}
	same := func(a, b Archive) bool {
		return a.ID == b.ID && a.VaultID == b.VaultID && a.CreatedAt.Equal(b.CreatedAt) && a.Size == b.Size &&
			bytes.Equal(a.TreeHash, b.TreeHash) && a.Description == b.Description && a.Added == b.Added
	}
	if want := h.inventory(s); !slices.EqualFunc(got, want, same) {
		t.Fatalf("of %+v there are %d archives, want %d:\n%s\n%s", s, len(got), len(want), ids(got), ids(want))
	}
}

func ids(archives []Archive) (list []string) {
	for _, a := range archives {
		list = append(list, fmt.Sprintf("%s %s", a.CreatedAt.Format("05.000"), a.ID))
	}
	return list
}

func (h *history) compareCounters(t *testing.T, db *DB) {
	t.Helper()
	var archives, size int64
	for _, a := range h.inventory(Snapshot{Change: h.changes}) {
		archives++
		size += a.Size
	}
	if v := getVault(t, db, h.vault); v.Archives != archives || v.Bytes != size || v.Changes != h.changes {
		t.Errorf("the vault counts %d archives, %d bytes, %d changes, want %d, %d, %d", v.Archives, v.Bytes, v.Changes, archives, size, h.changes)
	}
}

func TestInventoryStops(t *testing.T) {
	db := openNew(t)
	id := newVault(t, db, "photos")
	enough := errors.New("enough")
	update(t, db, func(tx *Tx) error {
		return errors.Join(tx.InsertArchive(archiveRow(id, "a", 1)), tx.InsertArchive(archiveRow(id, "b", 2)))
	})
	calls := 0
	err := db.View(t.Context(), func(tx *Tx) error {
		return tx.Inventory(Snapshot{VaultID: id, Change: 2}, func(Archive) error { calls++; return enough })
	})
	if !errors.Is(err, enough) || calls != 1 {
		t.Errorf("Inventory called the function %d times and gave %v", calls, err)
	}
}

// Archives that an import or a wrong clock dates before 1970, or far ahead, are in the inventory too.
func TestInventoryOfOddDates(t *testing.T) {
	db := openNew(t)
	id := newVault(t, db, "photos")
	var want []string
	update(t, db, func(tx *Tx) error {
		for _, year := range []int{1, 1910, 1969, 1970, 2024, 9999} {
			a := archiveRow(id, fmt.Sprintf("%04d", year), 1)
			a.CreatedAt = time.Date(year, 6, 1, 0, 0, 0, 1_000_000, time.UTC)
			want = append(want, a.ID)
			if err := tx.InsertArchive(a); err != nil {
				return err
			}
		}
		return nil
	})
	var got []string
	view(t, db, func(tx *Tx) error {
		return tx.Inventory(Snapshot{VaultID: id, Change: 10}, func(a Archive) error {
			got = append(got, a.CreatedAt.Format("2006"))
			return nil
		})
	})
	if !slices.Equal(got, want) {
		t.Errorf("the inventory has archives of %q, want %q", got, want)
	}
}

func TestInventoryOfPartsOfAHistoryIsTheWhole(t *testing.T) {
	r := random(t)
	db := openNew(t)
	h := &history{vault: newVault(t, db, "photos")}
	update(t, db, func(tx *Tx) error {
		for range 100 {
			if err := h.add(r, tx); err != nil {
				return err
			}
		}
		return nil
	})
	want := h.inventory(Snapshot{Change: 80})
	for _, size := range []int{1, 7, 100} {
		var got []Archive
		s := Snapshot{VaultID: h.vault, Change: 80}
		for more := true; more; {
			more = false
			view(t, db, func(tx *Tx) error {
				left := size
				err := tx.Inventory(s, func(a Archive) error {
					if left == 0 {
						more = true
						return errPage
					}
					left--
					got = append(got, a)
					s.After, s.AfterID = a.CreatedAt, a.ID
					return nil
				})
				if errors.Is(err, errPage) {
					return nil
				}
				return err
			})
		}
		if !slices.Equal(ids(got), ids(want)) {
			t.Errorf("in pages of %d: %d archives, want %d:\n%s\n%s", size, len(got), len(want), ids(got), ids(want))
		}
	}
}

var errPage = errors.New("the page is full")
