package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/notify"
)

const (
	restores = "arn:aws:sns:us-east-1:123456789012:restores"
	billing  = "arn:aws:sns:us-east-1:123456789012:billing"
)

// announce ends a job whose topic this is.
func (h *house) announce(t *testing.T, topic string) {
	t.Helper()
	h.start(t, JobParameters{Type: new("inventory-retrieval"), SNSTopic: &topic})
	h.finish(t)
}

// outbox is a house with an archive, and what was sent from it.
type outbox struct {
	*house
	mu   sync.Mutex
	sent []notify.Notice // guarded by mu
}

func newOutbox(t *testing.T, s Settings) *outbox {
	t.Helper()
	o := &outbox{house: newHouse(t, inMemory, s)}
	o.archive(t, []byte("x"))
	return o
}

// deliver delivers what is due; answer says how each attempt ends. It returns how many there were, and when the next one is due.
func (o *outbox) deliver(t *testing.T, answer func(notify.Notice) error) (attempts int, next time.Time) {
	t.Helper()
	o.mu.Lock()
	before := len(o.sent)
	o.mu.Unlock()
	next, err := o.Deliver(t.Context(), func(_ context.Context, n notify.Notice) error {
		o.mu.Lock()
		o.sent = append(o.sent, n)
		o.mu.Unlock()
		return answer(n)
	})
	check(t, err)
	return len(o.sent) - before, next
}

func taken(notify.Notice) error   { return nil }
func refused(notify.Notice) error { return errors.New("out of order") }

// waiting lists the messages that were not delivered.
func (o *outbox) waiting(t *testing.T) (list []Notice) {
	t.Helper()
	check(t, o.Notices(t.Context(), func(n Notice) error { list = append(list, n); return nil }))
	return list
}

// TestBackoff: the time to the next attempt doubles up to a quarter of an hour; after a day the message is given up. It is the same one every time.
func TestBackoff(t *testing.T) {
	o := newOutbox(t, Defaults())
	o.announce(t, restores)
	began := o.now()
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900} {
		want *= time.Second
		attempts, next := o.deliver(t, refused)
		if attempts != 1 || next.Sub(o.now()) != want {
			t.Fatalf("round %d: %d attempts, the next after %s; want one, and the next after %s", i+1, attempts, next.Sub(o.now()), want)
		}
		list := o.waiting(t)
		if len(list) != 1 || list[0].Attempts != int64(i+1) || list[0].Problem != "out of order" || list[0].NextAt == nil || *list[0].NextAt != timestamp(next) {
			t.Fatalf("round %d: the messages that wait are %+v", i+1, list)
		}
		o.clock.move(want - time.Millisecond)
		if attempts, again := o.deliver(t, taken); attempts != 0 || !again.Equal(next) {
			t.Fatalf("a millisecond before it is due there are %d attempts, and the next is due at %s, want %s", attempts, again, next)
		}
		o.clock.move(time.Millisecond)
	}
	o.clock.move(24*time.Hour - o.now().Sub(began) - time.Second)
	if _, next := o.deliver(t, refused); next.IsZero() {
		t.Error("a message is given up before its day is over")
	}
	o.clock.move(15 * time.Minute)
	if attempts, next := o.deliver(t, refused); attempts != 1 || !next.IsZero() {
		t.Errorf("after a day there are %d attempts, and the next is due at %s, want one, and none", attempts, next)
	}
	if list := o.waiting(t); len(list) != 1 || list[0].NextAt != nil || list[0].Attempts != 15 {
		t.Errorf("the message that is given up is listed as %+v", list)
	}
	for _, n := range o.sent {
		if n != o.sent[0] || !n.At.Equal(began) || n.Topic != restores || n.Subject != subject {
			t.Errorf("the message is sent as %+v, and was as %+v", n, o.sent[0])
		}
	}
}

// TestGivingUp says when, and that a message which was given up is begun with anew.
func TestGivingUp(t *testing.T) {
	noTarget := func(notify.Notice) error { return fmt.Errorf("%w %s", notify.ErrNoTarget, restores) }
	for name, c := range map[string]struct {
		giveUp, after time.Duration
		answer        func(notify.Notice) error
		want          bool
	}{
		"at once":                       {time.Hour, 0, refused, false},
		"a millisecond before":          {time.Hour, time.Hour - time.Millisecond, refused, false},
		"then":                          {time.Hour, time.Hour, refused, true},
		"later":                         {time.Hour, 5 * time.Hour, refused, true},
		"no target":                     {time.Hour, 0, noTarget, true},
		"at the first failure, by wish": {time.Nanosecond, time.Millisecond, refused, true},
	} {
		s := Defaults()
		s.NoticeGiveUp = c.giveUp
		o := newOutbox(t, s)
		o.announce(t, restores)
		o.clock.move(c.after)
		if _, next := o.deliver(t, c.answer); next.IsZero() != c.want {
			t.Errorf("%s: the next attempt is at %s; given up: want %t", name, next, c.want)
		}
		list := o.waiting(t)
		if len(list) != 1 || (list[0].NextAt == nil) != c.want {
			t.Fatalf("%s: the messages are %+v", name, list)
		}
		if !c.want {
			continue
		}
		if n, err := o.RetryNotices(t.Context(), ""); n != 1 || err != nil {
			t.Errorf("%s: %d messages are to be tried again, %v", name, n, err)
		}
		if attempts, next := o.deliver(t, taken); attempts != 1 || !next.IsZero() || len(o.waiting(t)) != 0 {
			t.Errorf("%s: when it is tried again there are %d attempts, and %d messages wait", name, attempts, len(o.waiting(t)))
		}
		if o.sent[0].ID != o.sent[1].ID || o.sent[0].Message != o.sent[1].Message {
			t.Errorf("%s: the message is sent as %+v, and was as %+v", name, o.sent[1], o.sent[0])
		}
	}
}

// TestGivenUpIsForgotten: what nobody looked after for two weeks goes, what still waits does not.
func TestGivenUpIsForgotten(t *testing.T) {
	s := Defaults()
	s.NoticeGiveUp = 30 * day
	o := newOutbox(t, s)
	o.announce(t, restores)
	o.announce(t, billing)
	o.deliver(t, func(n notify.Notice) error {
		if n.Topic == billing {
			return notify.ErrNoTarget
		}
		return refused(n)
	})
	for _, c := range []struct {
		pass time.Duration
		want int
	}{{keepGivenUp + s.NoticeGiveUp, 2}, {time.Second, 1}} {
		o.clock.move(c.pass)
		check(t, o.Expire(t.Context()))
		if list := o.waiting(t); len(list) != c.want {
			t.Errorf("%s later the messages are %+v, want %d", c.pass, list, c.want)
		}
	}
}

// TestRetryNotices is about which messages are tried again.
func TestRetryNotices(t *testing.T) {
	o := newOutbox(t, Defaults())
	for _, topic := range []string{restores, billing} {
		o.announce(t, topic)
	}
	o.deliver(t, func(n notify.Notice) error {
		if n.Topic == billing {
			return notify.ErrNoTarget
		}
		return refused(n)
	})
	ids := map[string]string{}
	for _, n := range o.waiting(t) {
		ids[n.Topic] = n.ID
	}
	if _, err := o.RetryNotices(t.Context(), "absent"); !errors.Is(err, ErrNoNotice) || !strings.Contains(err.Error(), `"absent"`) {
		t.Errorf("a message that is not there: %v", err)
	}
	for _, id := range []string{ids[restores], ids[billing]} {
		if n, err := o.RetryNotices(t.Context(), id); n != 1 || err != nil {
			t.Errorf("one message: %d, %v", n, err)
		}
	}
	if attempts, _ := o.deliver(t, taken); attempts != 2 {
		t.Errorf("there are %d attempts, want one for each message", attempts)
	}
	if n, err := o.RetryNotices(t.Context(), ""); n != 0 || err != nil {
		t.Errorf("when all are delivered, %d are tried again, %v", n, err)
	}
	if _, err := o.RetryNotices(t.Context(), ids[restores]); !errors.Is(err, ErrNoNotice) {
		t.Errorf("a message that was delivered: %v", err)
	}
}

// TestTopicsAreApart: one that does not answer, and one with very many messages, hold up no other.
func TestTopicsAreApart(t *testing.T) {
	o := newOutbox(t, Defaults())
	for range 2*perTurn + 5 {
		o.announce(t, restores)
	}
	o.announce(t, billing)
	others := make(chan struct{})
	attempts, next := o.deliver(t, func(n notify.Notice) error {
		if n.Topic == billing {
			close(others)
			return nil
		}
		<-others // what has no answer until the other topic has had its message
		return nil
	})
	if attempts != 2*perTurn+6 || !next.IsZero() {
		t.Errorf("there were %d attempts, the next is at %s", attempts, next)
	}
	if i := slices.IndexFunc(o.sent, func(n notify.Notice) bool { return n.Topic == billing }); i > perTurn {
		t.Errorf("the other topic had its message after %d of the first", i)
	}
}

// TestDeliveryInterrupted: an attempt whose end nobody knows has not happened. The same message is sent again.
func TestDeliveryInterrupted(t *testing.T) {
	o := newOutbox(t, Defaults())
	o.announce(t, restores)
	ctx, cancel := context.WithCancel(t.Context())
	var id string
	_, err := o.Deliver(ctx, func(_ context.Context, n notify.Notice) error {
		id = n.ID
		cancel()
		return nil // it has arrived
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupted delivery: %v", err)
	}
	o.reopen(t)
	if list := o.waiting(t); len(list) != 1 || list[0].Attempts != 0 || list[0].ID != id {
		t.Errorf("the messages are %+v", list)
	}
	if attempts, _ := o.deliver(t, taken); attempts != 1 || o.sent[0].ID != id {
		t.Errorf("after a restart %d messages are sent, with the id %s, want %s", attempts, o.sent[0].ID, id)
	}
}
