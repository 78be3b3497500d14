package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/notify"
)

// endJob stores the end of a job, and the messages that say so: both happen or neither.
func (s *Service) endJob(tx *catalogue.Tx, ref Ref, v catalogue.Vault, j catalogue.Job) error {
	if err := tx.FinishJob(j); err != nil {
		return err
	}
	var topics []string
	if v.Topic != nil && v.Events != nil && slices.Contains(strings.Split(*v.Events, ","), j.Action+"Completed") {
		topics = append(topics, *v.Topic)
	}
	if j.Topic != nil {
		topics = append(topics, *j.Topic) // also if it is the vault's: both are sent (guide: "Initiate a Job", SNSTopic)
	}
	if len(topics) == 0 {
		return nil
	}
	message, err := s.jobMessage(ref, j)
	for _, topic := range topics {
		if err == nil {
			err = tx.InsertNotice(catalogue.Notice{
				ID: uuid.NewString(), AccountID: ref.Account, Topic: topic, Message: message, CreatedAt: j.CompletedAt, NextAt: j.CompletedAt,
			})
		}
	}
	return err
}

// jobMessage is the description of a job without the members of select jobs. Recorded messages have the others by name.
func (s *Service) jobMessage(ref Ref, j catalogue.Job) (string, error) {
	b, err := compact(s.describeJob(ref, j))
	if err != nil {
		return "", err
	}
	var members map[string]json.RawMessage // which are written by name
	if err := json.Unmarshal(b, &members); err != nil {
		return "", err
	}
	for _, name := range []string{"JobOutputPath", "OutputLocation", "SelectParameters"} {
		delete(members, name)
	}
	b, err = compact(members)
	return string(b), err
}

// compact is JSON as answers have it too: with < > and & as they are.
func compact(document any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(document)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// subject is what the original service sends. Receivers do not depend on it.
const subject = "Notification From Amazon Glacier Service"

// Deliver sends the messages that are due. What cannot be sent is tried again later, and given up after a time. It returns when the next one is due, the zero time if none
// is waiting. A topic whose target is slow, or does not answer, keeps others waiting for no longer than a turn. One call at a time.
func (s *Service) Deliver(ctx context.Context, send func(context.Context, notify.Notice) error) (next time.Time, err error) {
	waiting, err := s.nextNotice(ctx)
	if err != nil || waiting.IsZero() || waiting.After(s.now()) {
		return waiting, err // without a lease, for that is the rule
	}
	err = s.leased(ctx, leaseNotices, func(ctx context.Context, _ *lease) (err error) {
		next, err = s.deliverDue(ctx, send)
		return err
	})
	return next, err
}

func (s *Service) deliverDue(ctx context.Context, send func(context.Context, notify.Notice) error) (time.Time, error) {
	for {
		due, err := s.dueNotices(ctx)
		if err != nil {
			return time.Time{}, err
		}
		if len(due) == 0 {
			return s.nextNotice(ctx)
		}
		var topics sync.WaitGroup
		errs := make(chan error, len(due))
		for _, list := range due {
			topics.Go(func() { errs <- s.deliver(ctx, list, send) })
		}
		topics.Wait()
		close(errs)
		for failed := range errs {
			err = errors.Join(err, failed)
		}
		if err != nil {
			return time.Time{}, err
		}
	}
}

// dueNotices returns what is due, by topic.
func (s *Service) dueNotices(ctx context.Context) (due [][]catalogue.Notice, err error) {
	now := s.now()
	never := now.Add(2 * longestRetry)
	err = s.rows.View(ctx, func(tx *catalogue.Tx) error {
		topics, err := tx.DueTopics(now, never, "", batch)
		for _, topic := range topics {
			if err != nil {
				break
			}
			var list []catalogue.Notice
			list, err = tx.DueNotices(topic, now, never, perTurn)
			due = append(due, list)
		}
		return err
	})
	return due, err
}

func (s *Service) nextNotice(ctx context.Context) (next time.Time, err error) {
	err = s.rows.View(ctx, func(tx *catalogue.Tx) error {
		next, err = tx.NextNotice()
		return err
	})
	return next, err
}

// A turn of a topic ends after so many messages, or so much time: what is left is due in the next.
const (
	perTurn = 20
	turn    = 10 * time.Second
)

// deliver sends messages to one topic, one after the other.
func (s *Service) deliver(ctx context.Context, list []catalogue.Notice, send func(context.Context, notify.Notice) error) error {
	began := time.Now()
	for _, n := range list {
		if time.Since(began) > turn {
			return nil
		}
		failed := send(ctx, notify.Notice{ID: n.ID, Topic: n.Topic, Subject: subject, Message: n.Message, At: n.CreatedAt})
		if ctx.Err() != nil {
			return ctx.Err() // it may have arrived; it is sent again with the same id
		}
		err := s.rows.Update(ctx, func(tx *catalogue.Tx) error {
			if failed == nil {
				return tx.DeleteNotice(n.ID)
			}
			return tx.NoticeFailed(n.ID, failed.Error(), s.nextAttempt(n, failed))
		})
		if err != nil {
			return err
		}
		if failed != nil {
			s.log.Warn("a message could not be delivered", "notice", n.ID, "topic", n.Topic, "attempt", n.Attempts+1, "error", failed)
		}
	}
	return nil
}

// Figures of retries.
const (
	firstRetry   = time.Second
	longestRetry = 15 * time.Minute
	keepGivenUp  = 14 * 24 * time.Hour // messages that were given up
)

// nextAttempt returns when a message is tried again after a failure: each time after twice as long. The zero time gives it up.
func (s *Service) nextAttempt(n catalogue.Notice, failed error) time.Time {
	now := s.now()
	if errors.Is(failed, notify.ErrNoTarget) || !now.Before(n.CreatedAt.Add(s.settings.NoticeGiveUp)) {
		s.log.Error("a message is given up; `moraine admin notifications` lists and retries those", "notice", n.ID, "topic", n.Topic, "error", failed)
		return time.Time{}
	}
	return now.Add(min(longestRetry, firstRetry<<min(n.Attempts, 20)))
}

// Notice is a message that was not delivered yet, or was given up.
type Notice struct {
	ID        string    `json:"id"`
	Topic     string    `json:"topic"`
	Account   string    `json:"account"`
	CreatedAt time.Time `json:"created_at"`
	Attempts  int64     `json:"attempts"`
	NextAt    *string   `json:"next_attempt_at"` // nil: given up
	Problem   string    `json:"problem,omitempty"`
	Message   string    `json:"message"`
}

// Notices calls fn for every message that was not delivered, the oldest first.
func (s *Service) Notices(ctx context.Context, fn func(Notice) error) error {
	view := func(read func(*catalogue.Tx) error) error { return s.rows.View(ctx, read) }
	return eachRow(view, (*catalogue.Tx).NoticesAfter, func(n catalogue.Notice) error { return fn(describeNotice(n)) })
}

func describeNotice(n catalogue.Notice) Notice {
	d := Notice{ID: n.ID, Topic: n.Topic, Account: n.AccountID, CreatedAt: n.CreatedAt, Attempts: n.Attempts, NextAt: timestampOrNil(n.NextAt), Message: n.Message}
	if n.LastError != nil {
		d.Problem = *n.LastError
	}
	return d
}

// ErrNoNotice says that a message does not exist, or is delivered.
var ErrNoNotice = errors.New("there is no message that was not delivered")

// RetryNotices has a message delivered now, or with an empty id all that were given up. It returns how many.
func (s *Service) RetryNotices(ctx context.Context, id string) (n int64, err error) {
	err = s.rows.Update(ctx, func(tx *catalogue.Tx) error {
		n, err = tx.RetryNotices(id, s.now())
		return err
	})
	if err == nil && n == 0 && id != "" {
		err = fmt.Errorf("%w with the ID %q", ErrNoNotice, id)
	}
	poke(s.wakes.Notices)
	return n, err
}
