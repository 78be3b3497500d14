// Package notify delivers the messages that say that a job is done. The original service publishes them to Amazon SNS; a server of one's own has a
// list of targets instead: for each topic a webhook, a queue, or SNS itself. Receivers get what they would get from SNS, so that consumers that
// exist already go on working.
//
// The package tries once. What is on its way, when to try again and when to give up is kept by those who call it. A message may therefore
// arrive more than once; its id is the same every time, except where SNS gives it one of its own.
package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// DefaultTimeout is how long an attempt may take unless the configuration says otherwise.
const DefaultTimeout = 10 * time.Second

// defaultSetting is the name of the list of targets, unless the configuration says otherwise.
const defaultSetting = "notify-target"

// ErrNoTarget says that no target is configured for a topic: trying again is of no use until the configuration has changed.
var ErrNoTarget = errors.New("no target is configured for the topic")

// Notice is a message on its way to a topic.
type Notice struct {
	ID      string // a UUID, the same on every attempt
	Topic   string // ARN
	Subject string // may be empty
	Message string
	At      time.Time // when what it tells of happened
}

// Config is what a Sender needs.
type Config struct {
	Targets []Target
	Signer  *Signer       // signs what webhooks and queues get; may be nil if there are none
	Timeout time.Duration // of a whole attempt; zero: DefaultTimeout
	Setting string        // what people call the list of targets, for messages; empty: notify-target
}

// Sender delivers notices. It may be used by many goroutines at once.
type Sender struct {
	timeout time.Duration
	setting string
	routes  map[string]route // by topic; read only
}

// route tries once to deliver a notice.
type route func(context.Context, Notice) error

// New returns a Sender. It connects to nothing; what the AWS SDK keeps in files and in the environment (profiles, credentials) is looked up here
// for targets that need it.
func New(c Config) (*Sender, error) {
	s := &Sender{timeout: DefaultTimeout, setting: cmp.Or(c.Setting, defaultSetting), routes: map[string]route{}}
	if c.Timeout > 0 {
		s.timeout = c.Timeout
	}
	hooks := webhookClient()
	for _, t := range c.Targets {
		if _, taken := s.routes[t.Topic]; taken {
			return nil, secondRow(t.Topic)
		}
		r, err := open(t, c.Signer, hooks)
		if err != nil {
			return nil, err
		}
		s.routes[t.Topic] = r
	}
	return s, nil
}

// open returns the way to a target.
func open(t Target, signer *Signer, hooks *http.Client) (route, error) {
	switch {
	case t.scheme == "":
		return nil, fmt.Errorf("the target of %q was not made by ParseTargets", t.Topic)
	case t.scheme == schemeSNS:
		return openTopics(t)
	case signer == nil:
		return nil, fmt.Errorf("the target %v needs a key to sign with, and there is none", t)
	case t.scheme == schemeSQS:
		return openQueue(t, signer)
	}
	return webhook{t, signer, hooks}.send, nil
}

// Send tries once to deliver a notice, to the target of its topic or else to that of all topics. It returns nil when the target has taken it. The
// error is ErrNoTarget if there is no target; whatever else it is, it may be another time.
func (s *Sender) Send(ctx context.Context, n Notice) error {
	send, ok := s.routes[n.Topic]
	if !ok {
		send, ok = s.routes[Any]
	}
	if !ok {
		return fmt.Errorf("%w %s: add %q or %q to %s", ErrNoTarget, n.Topic, n.Topic+"=URL", Any+"=URL", s.setting)
	}
	attempt, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err := send(attempt, n)
	if err != nil && attempt.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("not done within %v: %w", s.timeout, err)
	}
	return err
}
