package vault

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/protocol"
)

// TestNextMonth goes through the calendar: the same day and time of the next month, or its last day.
func TestNextMonth(t *testing.T) {
	for from, want := range map[string]string{
		"2024-01-31T10:00:00Z": "2024-02-29T10:00:00Z", // edge case 291
		"2024-01-30T10:00:00Z": "2024-02-29T10:00:00Z", "2024-01-29T10:00:00Z": "2024-02-29T10:00:00Z", "2024-01-28T23:59:59Z": "2024-02-28T23:59:59Z",
		"2023-01-31T00:00:00Z": "2023-02-28T00:00:00Z", "2023-01-29T00:00:00Z": "2023-02-28T00:00:00Z", "2023-01-28T00:00:00Z": "2023-02-28T00:00:00Z",
		"2100-01-31T00:00:00Z": "2100-02-28T00:00:00Z", "2000-01-31T00:00:00Z": "2000-02-29T00:00:00Z",
		"2024-02-29T10:11:12Z": "2024-03-29T10:11:12Z", "2023-02-28T10:11:12Z": "2023-03-28T10:11:12Z", "2024-03-31T01:30:00Z": "2024-04-30T01:30:00Z", "2024-03-30T02:30:00Z": "2024-04-30T02:30:00Z",
		"2024-04-30T12:00:00Z": "2024-05-30T12:00:00Z", "2024-05-31T12:00:00Z": "2024-06-30T12:00:00Z", "2024-06-30T12:00:00Z": "2024-07-30T12:00:00Z", "2024-07-31T12:00:00Z": "2024-08-31T12:00:00Z",
		"2024-08-31T10:11:12Z": "2024-09-30T10:11:12Z", "2024-09-30T23:59:59Z": "2024-10-30T23:59:59Z", "2024-10-31T00:00:00Z": "2024-11-30T00:00:00Z", "2024-11-30T00:00:00Z": "2024-12-30T00:00:00Z",
		"2024-12-31T23:59:59Z": "2025-01-31T23:59:59Z", "2024-12-01T00:00:00Z": "2025-01-01T00:00:00Z",
	} {
		at, err := time.Parse(time.RFC3339, from)
		check(t, err)
		if got := nextMonth(at).Format(time.RFC3339); got != want {
			t.Errorf("from %s to %s, want %s", from, got, want)
		}
	}
}

// TestCapacityUnits holds that a unit lasts a month to the second, and then frees its place.
func TestCapacityUnits(t *testing.T) {
	h := newHouse(t, inMemory, Defaults())
	ctx, account := t.Context(), h.ref.Account
	var ids []string
	for range protocol.MaxCapacity {
		id, err := h.PurchaseProvisionedCapacity(ctx, account)
		check(t, err)
		ids = append(ids, id)
		h.clock.move(day)
	}
	_, err := h.PurchaseProvisionedCapacity(ctx, account)
	wantFault(t, "a third", err, fault.LimitExceeded)
	list, err := h.ListProvisionedCapacity(ctx, account)
	check(t, err)
	want := []protocol.ProvisionedCapacity{ // bought on 2024-02-29T10:11:12.345Z
		{CapacityID: ids[0], ExpirationDate: "2024-03-29T10:11:12.000Z", StartDate: "2024-02-29T10:11:12.000Z"},
		{CapacityID: ids[1], ExpirationDate: "2024-04-01T10:11:12.000Z", StartDate: "2024-03-01T10:11:12.000Z"},
	}
	if got := fmt.Sprint(list.ProvisionedCapacityList); got != fmt.Sprint(want) {
		t.Errorf("the units are %s, want %v", got, want)
	}
	h.clock.move(time.Date(2024, 3, 29, 10, 11, 11, 999e6, time.UTC).Sub(h.clock.Now()))
	_, err = h.PurchaseProvisionedCapacity(ctx, account)
	wantFault(t, "a millisecond before the first ends", err, fault.LimitExceeded)
	h.clock.move(time.Millisecond)
	list, err = h.ListProvisionedCapacity(ctx, account)
	check(t, err)
	if len(list.ProvisionedCapacityList) != 1 || list.ProvisionedCapacityList[0].CapacityID != ids[1] {
		t.Errorf("when the first has ended the units are %v", list)
	}
	_, err = h.PurchaseProvisionedCapacity(ctx, account) // edge case 292
	check(t, err)
	_, err = h.PurchaseProvisionedCapacity(ctx, "222222222222") // each account has its own
	check(t, err)
}

// reserves notes a retrieval of so many bytes, as InitiateJob does.
func (h *house) reserves(t *testing.T, tier string, size int64) error {
	t.Helper()
	return h.rows.Update(t.Context(), func(tx *catalogue.Tx) error {
		return h.reserve(tx, h.ref.Account, catalogue.Job{ID: h.newJobID(), Tier: &tier, CreatedAt: h.now(), First: 7, Last: 6 + size})
	})
}

// limited sets the data retrieval policy to a number of bytes an hour.
func (h *house) limited(t *testing.T, limit int64) {
	t.Helper()
	strategy, text := protocol.StrategyBytesPerHour, strconv.FormatInt(limit, 10)
	check(t, h.SetDataRetrievalPolicy(t.Context(), h.ref.Account, []RetrievalRule{{&strategy, &text}}))
}

// TestBudgetSlides is about the moment at which there is room again.
func TestBudgetSlides(t *testing.T) {
	for name, of := range map[string]struct {
		settings Settings
		share    int64
	}{"as soon as possible": {Defaults(), 1}, "emulated": {Glacier(), 4}} {
		h := newHouse(t, inMemory, of.settings)
		h.limited(t, 10)
		check(t, h.reserves(t, "Standard", 10*of.share))
		h.clock.move(time.Duration(of.share)*time.Hour - time.Millisecond)
		wantFault(t, name, h.reserves(t, "Standard", 1), fault.PolicyEnforced)
		h.clock.move(time.Millisecond)
		check(t, h.reserves(t, "Standard", 10*of.share))
	}
}

// TestBudgetOfLongRetrievals sets a Standard retrieval to take longer than retrievals are remembered.
func TestBudgetOfLongRetrievals(t *testing.T) {
	settings := Defaults()
	settings.Standard = Range{100 * time.Hour, 100 * time.Hour}
	h := newHouse(t, inMemory, settings)
	h.limited(t, 1)
	wantFault(t, "49 bytes", h.reserves(t, "Standard", 49), fault.PolicyEnforced)
	check(t, h.reserves(t, "Standard", 48))
	h.clock.move(keepRetrievals - time.Millisecond)
	check(t, h.Expire(t.Context()))
	wantFault(t, "while they count", h.reserves(t, "Standard", 1), fault.PolicyEnforced)
	h.clock.move(time.Millisecond)
	check(t, h.Expire(t.Context()))
	check(t, h.reserves(t, "Standard", 48))
}

// fitting is what a refusal says of what would fit.
var fitting = regexp.MustCompile(`A RetrievalByteRange of up to (\d+) bytes fits now`) // read only

// TestBudgetIsHeld asks for retrievals at random and holds each answer against a list of what was let through: what takes more than the limit in any hour is refused, what
// fits is not, and what a refusal says of what fits is true.
func TestBudgetIsHeld(t *testing.T) {
	for _, of := range []struct {
		settings Settings
		share    int64
	}{{Defaults(), 1}, {Glacier(), 4}} {
		const limit = 20*protocol.MiB + 12345
		h := newHouse(t, inMemory, of.settings)
		h.limited(t, limit)
		random := rand.New(rand.NewPCG(1, uint64(of.share)))
		type taken struct {
			at    time.Time
			bytes int64
		}
		var through []taken
		left := func() int64 {
			free := int64(limit)
			for _, r := range through {
				if h.clock.Now().Sub(r.at) < time.Duration(of.share)*time.Hour {
					free -= r.bytes
				}
			}
			return free
		}
		refused := 0
		for range 400 {
			h.clock.move(time.Duration(random.Int64N(int64(of.share * int64(10*time.Minute)))).Truncate(time.Millisecond))
			size := 1 + random.Int64N(of.share*8*protocol.MiB)
			if random.IntN(4) == 0 {
				size = max(1, left()*of.share-random.Int64N(3)) // about what is left
			}
			counts := (size + of.share - 1) / of.share
			free := left()
			err := h.reserves(t, "Standard", size)
			if (err == nil) != (counts <= free) {
				t.Fatalf("%d bytes count as %d, %d are left: %v", size, counts, free, err)
			}
			if err == nil {
				through = append(through, taken{h.clock.Now(), counts})
				continue
			}
			refused++
			wantFault(t, "too much", err, fault.PolicyEnforced)
			part := int64(0)
			if m := fitting.FindStringSubmatch(err.Error()); m != nil {
				part, _ = strconv.ParseInt(m[1], 10, 64)
			}
			if part%protocol.MiB != 0 || part/of.share > free || (part+protocol.MiB)/of.share <= free {
				t.Fatalf("%d are left, and the refusal says %q", free, err)
			}
		}
		if refused < 50 || refused > 350 {
			t.Errorf("%d of 400 were refused: that says little", refused)
		}
	}
}

// TestFreeTierDays is about the day in UTC and the length of months.
func TestFreeTierDays(t *testing.T) {
	settings := Defaults()
	settings.FreeTier = 29 * 31 * 30 // 930 bytes a day in February 2024, 870 in March, 899 in April
	h := newHouse(t, inMemory, settings)
	strategy := protocol.StrategyFreeTier
	check(t, h.SetDataRetrievalPolicy(t.Context(), h.ref.Account, []RetrievalRule{{Strategy: &strategy}}))
	for _, of := range []struct {
		from  time.Time
		bytes int64
	}{
		{time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC), 930}, {time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC), 870}, {time.Date(2024, 3, 31, 23, 59, 59, 999e6, time.UTC), 870},
		{time.Date(2024, 4, 1, 0, 0, 0, 0, time.UTC), 899}, {time.Date(2024, 4, 2, 0, 0, 0, 0, time.UTC), 899},
	} {
		h.clock.move(of.from.Sub(h.clock.Now()))
		check(t, h.Expire(t.Context()))
		wantFault(t, of.from.String(), h.reserves(t, "Standard", of.bytes+1), fault.PolicyEnforced)
		check(t, h.reserves(t, "Standard", of.bytes))
		wantFault(t, of.from.String(), h.reserves(t, "Standard", 1), fault.PolicyEnforced)
		check(t, h.reserves(t, "Bulk", 1<<40))
		check(t, h.reserves(t, "Expedited", 1<<40))
	}
}

// TestExpeditedSlides is about the five minutes.
func TestExpeditedSlides(t *testing.T) {
	for _, of := range []struct{ limit, units, want int }{{0, 0, 0}, {2, 0, 2}, {2, 1, 3}, {-1, 1, 3}, {0, 2, 6}, {-1, 0, 20}} {
		settings := Defaults()
		settings.ExpeditedLimit = of.limit
		h := newHouse(t, inMemory, settings)
		for range of.units {
			_, err := h.PurchaseProvisionedCapacity(t.Context(), h.ref.Account)
			check(t, err)
		}
		served := func() (n int) {
			for n < 20 && h.reserves(t, "Expedited", 1) == nil {
				n++
			}
			return n
		}
		if n := served(); n != of.want {
			t.Errorf("%+v: %d were served", of, n)
		}
		if of.want == 20 {
			continue
		}
		wantFault(t, "one more", h.reserves(t, "Expedited", 1), fault.InsufficientCapacity)
		h.clock.move(expeditedWindow - time.Millisecond)
		if n := served(); n != 0 {
			t.Errorf("%+v: %d were served before five minutes had passed", of, n)
		}
		h.clock.move(time.Millisecond)
		if n := served(); n != of.want {
			t.Errorf("%+v: %d were served after five minutes", of, n)
		}
	}
}
