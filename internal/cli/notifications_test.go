package cli_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

const (
	noticeID      = `[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`
	noticeMembers = "account attempts created_at id message next_attempt_at problem topic"

	restores = "arn:aws:sns:us-east-1:123456789012:restores"
	unmapped = "arn:aws:sns:us-east-1:123456789012:nobody"
)

// TestNotifications lists and retries messages, of a running server and of a stopped one: one whose receiver fails, and one without a target.
func TestNotifications(t *testing.T) {
	var down atomic.Bool
	var came atomic.Int32
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			http.Error(w, "down for\n\tmaintenance", http.StatusServiceUnavailable)
			return
		}
		came.Add(1)
	}))
	defer hook.Close()
	down.Store(true)
	s := moraintest.Start(t, func(c *config.Config) { c.NotifyTarget = restores + "=" + hook.URL + "/hook?key=secret" })
	s.CreateVault(t, "v")
	s.Upload(t, "v", []byte("x"), "")
	a := administrator{t, s.Data}
	a.prints("", "notifications", "list")
	if list := a.list("", "notifications", "list"); len(list) != 0 {
		t.Errorf("the messages at first are %v", list)
	}
	job := s.InitiateJob(t, "v", `{"Type":"inventory-retrieval","SNSTopic":"`+restores+`"}`)
	listed := func(what string) func() bool {
		return func() bool { return strings.Contains(a.does("notifications", "list"), what) }
	}
	moraintest.Eventually(t, "a failed attempt", listed(" next 20"))
	s.InitiateJob(t, "v", `{"Type":"inventory-retrieval","SNSTopic":"`+unmapped+`"}`)
	moraintest.Eventually(t, "a message that is given up", listed(" given up "))
	moraintest.Eventually(t, "its problem", listed(" 503 "))

	line := func(topic, next, problem string) string {
		return noticeID + `  ` + regexp.QuoteMeta(topic) + `  +(now|\d+ \w+ old)  +\d+ attempts?  +` + next + `  +` + problem + `\n`
	}
	both := line(restores, `next 20[0-9TZ:.-]+`, `POST `+regexp.QuoteMeta(hook.URL)+`/hook: the answer is 503 .*`) +
		line(unmapped, `given up`, `no target is configured for the topic .*notify-target`)
	tried := func(t *testing.T, a administrator) {
		a.prints(both, "notifications", "list")
		list := a.list(noticeMembers, "notifications", "list")
		if len(list) != 2 || list[0]["topic"] != restores || list[0]["next_attempt_at"] == nil || list[1]["next_attempt_at"] != nil ||
			!strings.Contains(list[0]["message"].(string), `"JobId":"`+job+`"`) || list[0]["account"] != s.Key.Account {
			t.Fatalf("the messages are %v", list)
		}
		a.fails(10, "notifications retry 0b6f6f5e-5a0c-4d0e-8b7e-0a3c7a3f9a11", "not found: there is no message", "0b6f6f5e-5a0c-4d0e-8b7e-0a3c7a3f9a11")
		a.fails(10, "notifications retry --json absent", `"absent"`)
		if code, _, stderr := a.run("notifications", "retry", ""); code != 2 || !strings.Contains(stderr, "ID is empty") {
			t.Errorf("an empty ID: %d, %s", code, stderr)
		}
		a.prints(`Messages to be delivered now: 1\.\n`, "notifications", "retry", list[0]["id"].(string))
		if got := a.document("retried", "notifications", "retry", "--all")["retried"]; got != 1.0 {
			t.Errorf("%v messages are retried, want the one that was given up", got)
		}
	}
	t.Run("of a running server", func(t *testing.T) { tried(t, administrator{t, s.Data}) })
	moraintest.Eventually(t, "another attempt at each", func() bool {
		list := a.list(noticeMembers, "notifications", "list")
		return list[0]["attempts"].(float64) >= 1 && list[1]["attempts"].(float64) >= 1 // a retry begins to count anew
	})
	s.Stop(t)
	t.Run("of a stopped server", func(t *testing.T) { tried(t, administrator{t, s.Data}) })
	if said := a.does("notifications", "list", "--json") + a.does("notifications", "list"); strings.Contains(said, "secret") {
		t.Errorf("a list tells a secret: %s", said)
	}
	down.Store(false)
	s.Restart(t)
	moraintest.Eventually(t, "the message that waited", func() bool { return came.Load() == 1 && len(a.list(noticeMembers, "notifications", "list")) == 1 })
	a.fails(1, "notifications list --data "+t.TempDir(), "there is no catalogue", "--data")
}
