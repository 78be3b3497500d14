package notify_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/notify"
	"github.com/moraine-archive/moraine/internal/notify/notifytest"
)

const (
	restores    = "arn:aws:sns:eu-west-1:123456789012:restores"
	inventories = "arn:aws:sns:eu-west-1:123456789012:inventories"
	certURL     = "https://archive.example.com/notifications.pem"
)

// leapDay is a whole second, whose milliseconds have to be there all the same.
func leapDay() time.Time { return time.Date(2024, 2, 29, 15, 2, 3, 0, time.FixedZone("CET", 3600)) }

// notice returns a message with all that is hard to encode.
func notice(topic string) notify.Notice {
	return notify.Notice{
		ID: "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", Topic: topic, Subject: "Notification From Amazon Glacier Service",
		Message: `{"JobDescription":"a \"quote\" & <b>, 100%+1=\\ caf` + "\u00e9 \u20ac \U0001F9CA \u2028 \u007f" + `","InventorySizeInBytes":450}`, At: leapDay(),
	}
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantError wants an error with all these parts.
func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("there is no error, want one with %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("the error is %q, which lacks %q", err, p)
		}
	}
}

// signer returns a new signer and its text.
func signer(t *testing.T) (*notify.Signer, []byte) {
	t.Helper()
	text, err := notify.GenerateSigner(time.Now())
	noError(t, err)
	s, err := notify.LoadSigner(text, certURL)
	noError(t, err)
	return s, text
}

// sender returns a sender with these targets. Its time is longer than any test takes.
func sender(t *testing.T, s *notify.Signer, rows ...string) *notify.Sender {
	t.Helper()
	targets, err := notify.ParseTargets(rows)
	noError(t, err)
	out, err := notify.New(notify.Config{Targets: targets, Signer: s, Timeout: time.Minute})
	noError(t, err)
	return out
}

func TestNoTarget(t *testing.T) {
	s, _ := signer(t)
	targets, err := notify.ParseTargets([]string{inventories + "=http://127.0.0.1:1/"})
	noError(t, err)
	for setting, named := range map[string]string{"": "notify-target", "--notify": "--notify"} {
		out, err := notify.New(notify.Config{Targets: targets, Signer: s, Setting: setting})
		noError(t, err)
		err = out.Send(t.Context(), notice(restores))
		if !errors.Is(err, notify.ErrNoTarget) {
			t.Errorf("the error is %v, want ErrNoTarget", err)
		}
		wantError(t, err, `add "`+restores+`=URL" or "*=URL" to `+named)
	}
}

func TestNewRefuses(t *testing.T) {
	notifytest.Isolate(t)
	s, _ := signer(t)
	parse := func(row string) notify.Target {
		t.Helper()
		targets, err := notify.ParseTargets([]string{row})
		noError(t, err)
		return targets[0]
	}
	hook, topic := parse("*=https://me:secret@example.com/?key=secret"), parse("*=sns:")
	for name, test := range map[string]struct {
		config notify.Config
		says   string
	}{
		"two rows for all topics":     {notify.Config{Targets: []notify.Target{topic, topic}, Signer: s}, "the topic * has two targets"},
		"a target of nobody":          {notify.Config{Targets: []notify.Target{{Topic: restores}}, Signer: s}, `of "` + restores + `" was not made by ParseTargets`},
		"a webhook without signer":    {notify.Config{Targets: []notify.Target{hook}}, "the target *=https://example.com/ needs a key to sign with"},
		"a queue without signer":      {notify.Config{Targets: []notify.Target{parse("*=sqs:?queue=http://127.0.0.1:1/a/b")}}, "needs a key to sign with"},
		"a profile that nobody wrote": {notify.Config{Targets: []notify.Target{parse("*=sns:?profile=absent")}}, "the AWS configuration for the target *=sns:?profile=absent cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := notify.New(test.config)
			wantError(t, err, test.says)
		})
	}
	if _, err := notify.New(notify.Config{Targets: []notify.Target{topic}}); err != nil {
		t.Errorf("SNS signs by itself, but without a signer New says %v", err)
	}
}
