package notify_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/moraine-archive/moraine/internal/notify/notifytest"
)

// TestCloud delivers to SNS and to SQS, and reads what comes out of the queues.
func TestCloud(t *testing.T) {
	c := notifytest.StartCloud(t)
	s, _ := signer(t)
	t.Run("SNS", func(t *testing.T) {
		for _, name := range []string{"restores", "restores.fifo"} {
			topic, queue := c.Topic(t, name)
			out := sender(t, nil, "*=sns:?endpoint="+c.Endpoint)
			noError(t, out.Send(t.Context(), notice(topic)))
			bodies := c.Take(t, queue)
			if len(bodies) != 1 {
				t.Fatalf("%d messages have come to %s, want 1", len(bodies), name)
			}
			e := notifytest.Decode(t, bodies[0])
			for member, want := range map[string]string{"Type": "Notification", "TopicArn": topic, "Subject": notice(topic).Subject, "Message": notice(topic).Message} {
				if e[member] != want {
					t.Errorf("the %s is %q, want %q", member, e[member], want)
				}
			}
		}
	})
	t.Run("SNS without such a topic", func(t *testing.T) {
		err := sender(t, nil, "*=sns:?endpoint="+c.Endpoint).Send(t.Context(), notice(inventories))
		wantError(t, err, "publish to "+inventories+" by sns:?endpoint="+c.Endpoint+": ", "NotFound")
	})
	t.Run("SQS", func(t *testing.T) {
		for name, parameters := range map[string]string{"direct": "", "direct.fifo": "&region=eu-west-1&endpoint=" + c.Endpoint} {
			queue := c.Queue(t, name)
			out := sender(t, s, "*=sqs:?queue="+url.QueryEscape(queue)+parameters)
			noError(t, out.Send(t.Context(), notice(restores)))
			bodies := c.Take(t, queue)
			if len(bodies) != 1 {
				t.Fatalf("%d messages have come to %s, want 1", len(bodies), name)
			}
			open(t, bodies[0], s.Certificate(), notice(restores))
		}
	})
	t.Run("SQS without such a queue", func(t *testing.T) {
		err := sender(t, s, "*=sqs:?queue="+c.Endpoint+"/123456789012/absent").Send(t.Context(), notice(restores))
		wantError(t, err, "send to the queue by sqs:?queue="+c.Endpoint+"/123456789012/absent: ", "NonExistentQueue")
	})
}

// TestOneAttemptOfTheSDK: a service that fails is asked once, whatever the environment says. What it is asked shows whom the SDK signs for.
func TestOneAttemptOfTheSDK(t *testing.T) {
	notifytest.Isolate(t)
	s, _ := signer(t)
	for name, test := range map[string]struct{ target, scope string }{
		"SNS":                      {"sns:?endpoint=URL", "/eu-west-1/sns/"},
		"SNS with a region":        {"sns:?endpoint=URL&region=us-east-2", "/us-east-2/sns/"},
		"SQS":                      {"sqs:?queue=URL/1/a", "/eu-west-1/sqs/"},
		"SQS with a region":        {"sqs:?queue=URL/1/a&region=us-east-2", "/us-east-2/sqs/"},
		"SQS with AWS's own queue": {"sqs:?queue=https://sqs.us-gov-west-1.amazonaws.com/1/a&endpoint=URL", "/us-gov-west-1/sqs/"},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			var scope atomic.Value
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				scope.Store(r.Header.Get("Authorization"))
				io.Copy(io.Discard, r.Body)
				http.Error(w, "{}", http.StatusInternalServerError)
			}))
			defer server.Close()
			err := sender(t, s, "*="+strings.ReplaceAll(test.target, "URL", server.URL)).Send(t.Context(), notice(restores))
			wantError(t, err, "StatusCode: 500")
			if n := asked.Load(); n != 1 || !strings.Contains(scope.Load().(string), test.scope) {
				t.Errorf("the service was asked %d times, with %q, want once, with %q", n, scope.Load(), test.scope)
			}
		})
	}
}

// TestProfile takes credentials from a profile.
func TestProfile(t *testing.T) {
	notifytest.Isolate(t)
	file := filepath.Join(t.TempDir(), "credentials")
	noError(t, os.WriteFile(file, []byte("[ops]\naws_access_key_id = AKIDOFPROFILE\naws_secret_access_key = secret\n"), 0o600))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	var authorization atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		authorization.Store(r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer server.Close()
	wantError(t, sender(t, nil, "*=sns:?profile=ops&endpoint="+server.URL).Send(t.Context(), notice(restores)), "StatusCode: 500")
	if got := authorization.Load().(string); !strings.Contains(got, "Credential=AKIDOFPROFILE/") {
		t.Errorf("the request is signed with %q, want the profile's key", got)
	}
}
