package vault

import (
	"context"
	"strconv"
	"time"

	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/protocol"
)

// PurchaseProvisionedCapacity gives an account a unit of provisioned capacity for a month and returns its id.
func (s *Service) PurchaseProvisionedCapacity(ctx context.Context, account string) (string, error) {
	now := s.now().UTC().Truncate(time.Second)
	u := catalogue.CapacityUnit{ID: s.ids.make(now, protocol.LockIDLength), StartedAt: now, ExpiresAt: nextMonth(now)}
	err := s.rows.Update(ctx, func(tx *catalogue.Tx) error {
		units, err := tx.CapacityUnits(account, now)
		if err != nil {
			return err
		}
		if len(units) >= protocol.MaxCapacity {
			return fault.New(fault.LimitExceeded, "The account %s has %d units of provisioned capacity, which is the limit. The first of them ends at %s",
				account, len(units), timestamp(units[0].ExpiresAt))
		}
		return tx.InsertCapacityUnit(account, u)
	})
	return u.ID, err
}

// nextMonth returns the same day and time of the next month, or the last day if it has no such day (guide: "Purchase Provisioned Capacity").
func nextMonth(t time.Time) time.Time {
	next := t.AddDate(0, 1, 0)
	if next.Day() != t.Day() {
		next = next.AddDate(0, 0, -next.Day())
	}
	return next
}

// ListProvisionedCapacity returns the units of an account that have not ended.
func (s *Service) ListProvisionedCapacity(ctx context.Context, account string) (protocol.ProvisionedCapacityList, error) {
	list := protocol.ProvisionedCapacityList{ProvisionedCapacityList: []protocol.ProvisionedCapacity{}}
	err := s.rows.View(ctx, func(tx *catalogue.Tx) error {
		units, err := tx.CapacityUnits(account, s.now())
		for _, u := range units {
			list.ProvisionedCapacityList = append(list.ProvisionedCapacityList,
				protocol.ProvisionedCapacity{CapacityID: u.ID, ExpirationDate: timestamp(u.ExpiresAt), StartDate: timestamp(u.StartedAt)})
		}
		return err
	})
	return list, err
}

// Figures of expedited retrievals (guide: "Provisioned Capacity").
const (
	perUnit         = 3 // retrievals ...
	expeditedWindow = 5 * time.Minute
)

// reserve holds a retrieval against the limits of its account, and notes it. It is in the transaction that makes the job, so that no two retrievals take
// the same.
func (s *Service) reserve(tx *catalogue.Tx, account string, j catalogue.Job) error {
	r := catalogue.Retrieval{JobID: j.ID, AccountID: account, Tier: *j.Tier, StartedAt: j.CreatedAt, Bytes: j.Last - j.First + 1}
	var err error
	switch r.Tier {
	case "Expedited":
		err = s.checkExpedited(tx, r)
	case "Standard":
		err = s.checkBudget(tx, r)
	default:
		return nil // nothing limits the tier Bulk
	}
	if err != nil {
		return err
	}
	return tx.InsertRetrieval(r)
}

// checkExpedited is the rule for expedited retrievals: with provisioned capacity all are served from it, without as many as the server is set to.
func (s *Service) checkExpedited(tx *catalogue.Tx, r catalogue.Retrieval) error {
	units, err := tx.CapacityUnits(r.AccountID, r.StartedAt)
	if err != nil {
		return err
	}
	limit := perUnit * len(units)
	if len(units) == 0 {
		limit = s.settings.ExpeditedLimit
	}
	if limit < 0 {
		return nil
	}
	since := r.StartedAt.Add(-expeditedWindow)
	n, _, err := tx.Retrieved(r.AccountID, r.Tier, since, 1)
	if err != nil || n < int64(limit) {
		return err
	}
	running, err := tx.Retrievals(r.AccountID, r.Tier, since, maxNamed)
	if err != nil {
		return err
	}
	next := "another tier, or provisioned capacity, serves it"
	if first := int(n) - limit; limit > 0 && first < len(running) {
		next = "the next one can start at " + timestamp(running[first].StartedAt.Add(expeditedWindow))
	}
	return fault.New(fault.InsufficientCapacity, "Insufficient capacity for an Expedited retrieval: %d were started in the last 5 minutes and %d can be; %s", n, limit, next)
}

// maxNamed is how many retrievals a refusal looks at, to say when there will be room.
const maxNamed = 1000

// keepRetrievals is farther back than any limit looks.
const keepRetrievals = 48 * time.Hour

// budget is what the data retrieval policy of an account leaves of a span of time.
type budget struct {
	limit int64         // bytes
	span  time.Duration // a retrieval counts for so long; zero: until the day ends
	share int64         // of a retrieval's bytes one in so many counts: it is spread over its duration
	since time.Time     // what started later counts
	what  string
}

// checkBudget is the rule of the data retrieval policy. Of BytesPerHour the formula is not published. A retrieval takes its bytes evenly over the nominal
// duration of the tier, at least an hour; what the retrievals of an account take in any hour together does not exceed the limit.
func (s *Service) checkBudget(tx *catalogue.Tx, r catalogue.Retrieval) error {
	p, err := retrievalPolicy(tx, r.AccountID)
	if err != nil || p.Strategy == protocol.StrategyNone {
		return err
	}
	b := s.freeTier(r.StartedAt)
	if p.Strategy == protocol.StrategyBytesPerHour {
		nominal := ((s.settings.Standard.Min + s.settings.Standard.Max) / 2).Truncate(time.Hour)
		nominal = min(max(time.Hour, nominal), keepRetrievals) // what is forgotten cannot count
		b = budget{limit: *p.BytesPerHour, span: nominal, share: int64(nominal / time.Hour), since: r.StartedAt.Add(-nominal), what: "an hour"}
	}
	return b.check(tx, r)
}

// freeTier is the budget of a day in UTC.
func (s *Service) freeTier(now time.Time) budget {
	year, month, day := now.UTC().Date()
	midnight := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	days := time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
	return budget{limit: s.settings.FreeTier / int64(days), share: 1, since: midnight.Add(-time.Millisecond), what: "a day (UTC)"}
}

// ends returns when a retrieval ceases to count.
func (b budget) ends(r catalogue.Retrieval) time.Time {
	if b.span == 0 {
		return b.since.Add(24*time.Hour + time.Millisecond)
	}
	return r.StartedAt.Add(b.span)
}

// counts returns how many bytes of a retrieval count.
func (b budget) counts(bytes int64) int64 { return (bytes + b.share - 1) / b.share }

func (b budget) check(tx *catalogue.Tx, r catalogue.Retrieval) error {
	_, taken, err := tx.Retrieved(r.AccountID, r.Tier, b.since, b.share)
	if err != nil || b.counts(r.Bytes) <= b.limit-taken {
		return err
	}
	running, err := tx.Retrievals(r.AccountID, r.Tier, b.since, maxNamed)
	if err != nil {
		return err
	}
	return fault.New(fault.PolicyEnforced, "InitiateJob request denied by current data retrieval policy. It allows %d bytes %s, of which %d are taken. %s",
		b.limit, b.what, taken, b.wouldFit(r, running, max(0, b.limit-taken)))
}

// wouldFit says what could be retrieved now, and when the whole could.
func (b budget) wouldFit(r catalogue.Retrieval, running []catalogue.Retrieval, free int64) string {
	now := "Nothing more fits now"
	if part := min(free, 1<<46) * b.share / protocol.MiB * protocol.MiB; part > 0 { // no archive has more, and the product overflows no int64
		now = "A RetrievalByteRange of up to " + strconv.FormatInt(part, 10) + " bytes fits now"
	}
	if b.counts(r.Bytes) > b.limit {
		return now + "; all " + strconv.FormatInt(r.Bytes, 10) + " bytes at once never do: retrieve them in ranges, or in the tier Bulk"
	}
	for _, o := range running {
		if free += b.counts(o.Bytes); b.counts(r.Bytes) <= free {
			return now + "; all " + strconv.FormatInt(r.Bytes, 10) + " bytes do at " + timestamp(b.ends(o))
		}
	}
	return now
}
