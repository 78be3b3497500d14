package daemon_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/daemon"
	"github.com/moraine-archive/moraine/internal/moraintest"
	"github.com/moraine-archive/moraine/internal/notify/notifytest"
)

const (
	restores = "arn:aws:sns:us-east-1:123456789012:restores"
	other    = "arn:aws:sns:us-east-1:123456789012:other"
)

// announced is a server whose vault "v" has an archive, and whose archive retrievals take an hour.
type announced struct {
	*moraintest.Server
	archive string
}

func announce(t *testing.T, targets string, options ...func(*config.Config)) announced {
	t.Helper()
	s := moraintest.Start(t, append(options, func(c *config.Config) { c.NotifyTarget, c.Standard = targets, "1h" })...)
	s.CreateVault(t, "v")
	return announced{s, s.Upload(t, "v", []byte("notice"), "")}
}

// tell sets the notification configuration of the vault; without events it is removed.
func (a announced) tell(t *testing.T, topic string, events ...string) {
	t.Helper()
	r := moraintest.Request{Method: "DELETE", Path: "/-/vaults/v/notification-configuration"}
	if len(events) > 0 {
		body, err := json.Marshal(map[string]any{"SNSTopic": topic, "Events": events})
		if err != nil {
			t.Fatal(err)
		}
		r.Method, r.Body = "PUT", body
	}
	a.Want(t, 204, r)
}

// start starts a job, on the archive or else for an inventory, with a topic of its own unless that is empty.
func (a announced) start(t *testing.T, kind, topic string) string {
	t.Helper()
	p := map[string]string{"Type": kind, "SNSTopic": topic, "Description": `say "when" & <then>`}
	if kind == "archive-retrieval" {
		p["ArchiveId"] = a.archive
	}
	body, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return a.InitiateJob(t, "v", string(body))
}

// end lets an hour pass, and returns the description of a job as it was answered.
func (a announced) end(t *testing.T, job string) moraintest.Response {
	t.Helper()
	a.Advance(time.Hour)
	a.WaitForJob(t, "v", job)
	return a.Want(t, 200, moraintest.Request{Method: "GET", Path: "/-/vaults/v/jobs/" + job})
}

// waiting returns the messages that were not delivered.
func waiting(t *testing.T, c config.Config) (list []daemon.Notice) {
	t.Helper()
	_, events := maintain(t, c, daemon.Task{Name: "notices"})
	for _, e := range events {
		if e.Notice != nil {
			list = append(list, *e.Notice)
		}
	}
	return list
}

// delivered waits until no message waits. A job that has ended and its messages are one: there are no others to come.
func (a announced) delivered(t *testing.T) {
	t.Helper()
	moraintest.Eventually(t, "the delivery of all messages", func() bool { return len(waiting(t, a.Config())) == 0 })
}

const (
	archives    = "ArchiveRetrievalCompleted"
	inventories = "InventoryRetrievalCompleted"
)

// TestNoticesInTheCloud reads what comes out of queues behind topics of SNS: the topic of the vault, and that of the job.
func TestNoticesInTheCloud(t *testing.T) {
	c := notifytest.StartCloud(t)
	ofVault, vaultQueue := c.Topic(t, "vault")
	ofJob, jobQueue := c.Topic(t, "job")
	a := announce(t, "*=sns:?endpoint="+c.Endpoint)
	for _, test := range []struct {
		name         string
		events       []string // of the vault's topic
		kind, topic  string
		meanwhile    func(t *testing.T)
		status       string
		vaults, jobs int // messages
	}{
		{"both topics", []string{archives, inventories}, "archive-retrieval", ofJob, nil, "Succeeded", 1, 1},
		{"both topics, an inventory", []string{archives, inventories}, "inventory-retrieval", ofJob, nil, "Succeeded", 1, 1},
		{"the vault's only", []string{archives}, "archive-retrieval", "", nil, "Succeeded", 1, 0},
		{"the job's only", nil, "archive-retrieval", ofJob, nil, "Succeeded", 0, 1},
		{"inventories only: an archive", []string{inventories}, "archive-retrieval", ofJob, nil, "Succeeded", 0, 1},
		{"inventories only: an inventory", []string{inventories}, "inventory-retrieval", "", nil, "Succeeded", 1, 0},
		{"one topic for both", []string{archives}, "archive-retrieval", ofVault, nil, "Succeeded", 2, 0},
		{"removed while the job ran", []string{archives}, "archive-retrieval", ofJob, func(t *testing.T) { a.tell(t, "") }, "Succeeded", 0, 1},
		{"set while the job ran", nil, "archive-retrieval", "", func(t *testing.T) { a.tell(t, ofVault, archives) }, "Succeeded", 1, 0},
		{"a job that fails", []string{archives}, "archive-retrieval", ofJob, func(t *testing.T) {
			a.Want(t, 204, moraintest.Request{Method: "DELETE", Path: "/-/vaults/v/archives/" + a.archive})
		}, "Failed", 1, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			a.tell(t, ofVault, test.events...)
			job := a.start(t, test.kind, test.topic)
			if test.meanwhile != nil {
				test.meanwhile(t)
			}
			described := a.end(t, job)
			if got := described.JSON(t)["StatusCode"]; got != test.status {
				t.Errorf("the job is %v, want it %s", got, test.status)
			}
			a.delivered(t)
			ids := map[string]bool{}
			for queue, want := range map[string]int{vaultQueue: test.vaults, jobQueue: test.jobs} {
				bodies := c.Take(t, queue)
				if len(bodies) != want {
					t.Errorf("%d messages came to %s, want %d", len(bodies), queue, want)
				}
				for _, body := range bodies {
					e := notifytest.Decode(t, body)
					ids[e["MessageId"]] = true
					if e["Type"] != "Notification" || e["Subject"] != "Notification From Amazon Glacier Service" || !strings.HasSuffix(queue, e["TopicArn"][strings.LastIndex(e["TopicArn"], ":")+1:]) {
						t.Errorf("the envelope is %v", e)
					}
					wantMessage(t, e["Message"], described)
				}
			}
			if len(ids) != test.vaults+test.jobs {
				t.Errorf("the messages have the ids %v, want %d", ids, test.vaults+test.jobs)
			}
		})
	}
}

// members are those of recorded messages, in their order.
const members = "Action ArchiveId ArchiveSHA256TreeHash ArchiveSizeInBytes Completed CompletionDate CreationDate InventoryRetrievalParameters InventorySizeInBytes " +
	"JobDescription JobId RetrievalByteRange SHA256TreeHash SNSTopic StatusCode StatusMessage Tier VaultARN"

// wantMessage wants a message to be what DescribeJob answers, compact, with these members.
func wantMessage(t *testing.T, message string, described moraintest.Response) {
	t.Helper()
	var values map[string]json.RawMessage
	if err := json.Unmarshal([]byte(described.Body), &values); err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for i, name := range strings.Fields(members) {
		fmt.Fprintf(&want, `%c"%s":%s`, "{,"[min(i, 1)], name, values[name])
	}
	want.WriteString("}")
	if message != want.String() {
		t.Errorf("the message is\n%s\nwant\n%s", message, &want)
	}
}

// TestNoticesOnceMore: a webhook that fails at first gets the same message again, after longer and longer, until it takes it. It is signed, and the certificate is where it says.
func TestNoticesOnceMore(t *testing.T) {
	const failures = 3
	r := notifytest.StartReceiver(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n <= failures {
			http.Error(w, "not yet", http.StatusServiceUnavailable)
		}
	})
	a := announce(t, restores+"="+r.URL)
	described := a.end(t, a.start(t, "archive-retrieval", restores))
	for attempt := 1; attempt <= failures; attempt++ {
		moraintest.Eventually(t, fmt.Sprintf("failure %d", attempt), func() bool {
			list := waiting(t, a.Config())
			return len(list) == 1 && list[0].Attempts == int64(attempt) && list[0].NextAt != nil && strings.Contains(list[0].Problem, "503 Service Unavailable")
		})
		a.Advance(10 * time.Second)
	}
	a.delivered(t)
	requests, bodies := r.Got()
	if len(bodies) != failures+1 {
		t.Fatalf("there were %d attempts, want %d", len(bodies), failures+1)
	}
	e := notifytest.Decode(t, bodies[0])
	for i, body := range bodies {
		if string(body) != string(bodies[0]) || requests[i].Header.Get("x-amz-sns-message-id") != e["MessageId"] {
			t.Errorf("attempt %d is %s, the first was %s", i+1, body, bodies[0])
		}
	}
	if want := a.AdminEndpoint + "/notifications/certificate.pem"; e["SigningCertURL"] != want || e["TopicArn"] != restores {
		t.Errorf("the envelope is %v, want a certificate at %s", e, want)
	}
	e.Verify(t, certificateOf(t, e))
	wantMessage(t, e["Message"], described)
	if got, want := e["Timestamp"], described.JSON(t)["CompletionDate"]; got != want {
		t.Errorf("the message is of %s, the job ended at %v", got, want)
	}
}

// certificateOf fetches the certificate that an envelope names.
func certificateOf(t *testing.T, e notifytest.Envelope) []byte {
	t.Helper()
	res, err := http.Get(e["SigningCertURL"])
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	certificate, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("the certificate: %s, %v", res.Status, err)
	}
	return certificate
}

// TestNoticesGivenUp: what nobody takes is given up after a while, and stays to be seen; what has no target is at once. The job has nothing to do with it.
// When the target is there, all is delivered that was given up.
func TestNoticesGivenUp(t *testing.T) {
	var works atomic.Bool
	r := notifytest.StartReceiver(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		if !works.Load() {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	a := announce(t, restores+"="+r.URL, func(c *config.Config) { c.NotifyGiveUp = 2 * time.Hour })
	a.tell(t, other, archives)
	job := a.start(t, "archive-retrieval", restores)
	a.end(t, job)
	state := func(topic string) (givenUp bool, problem string, attempts int64) {
		for _, n := range waiting(t, a.Config()) {
			if n.Topic == topic {
				return n.NextAt == nil, n.Problem, n.Attempts
			}
		}
		return false, "", 0
	}
	moraintest.Eventually(t, "the message without a target to be given up", func() bool {
		givenUp, problem, _ := state(other)
		return givenUp && strings.Contains(problem, "no target is configured for the topic "+other)
	})
	moraintest.Eventually(t, "an attempt", func() bool { _, problem, _ := state(restores); return strings.Contains(problem, "502") })
	if givenUp, problem, _ := state(restores); givenUp {
		t.Errorf("a message is given up at once: %s", problem)
	}
	a.Advance(2 * time.Hour)
	moraintest.Eventually(t, "the message that nobody takes to be given up", func() bool { givenUp, _, attempts := state(restores); return givenUp && attempts > 1 })
	if got := a.Want(t, 200, moraintest.Request{Method: "GET", Path: "/-/vaults/v/jobs/" + job}).JSON(t)["StatusCode"]; got != "Succeeded" {
		t.Errorf("the job is %v", got)
	}
	before := waiting(t, a.Config())
	a.Stop(t)
	works.Store(true)
	s := moraintest.Start(t, func(c *config.Config) { c.Data, c.NotifyTarget = a.Data, "*="+r.URL })
	if list := waiting(t, s.Config()); len(list) != 2 || list[0].NextAt != nil || list[1].NextAt != nil {
		t.Errorf("after a restart the messages are %v, want both given up", list)
	}
	if done, _ := maintain(t, s.Config(), daemon.Task{Name: "retry"}); *done.Notices != 2 {
		t.Errorf("%d messages are tried again, want 2", *done.Notices)
	}
	announced{s, ""}.delivered(t)
	_, bodies := r.Got()
	var topics []string
	for _, body := range bodies[len(bodies)-2:] {
		e := notifytest.Decode(t, body)
		topics = append(topics, e["TopicArn"])
		if !slices.ContainsFunc(before, func(n daemon.Notice) bool {
			return n.ID == e["MessageId"] && n.Message == e["Message"] && n.Topic == e["TopicArn"]
		}) {
			t.Errorf("%s was delivered, which was not among %v", body, before)
		}
	}
	if slices.Sort(topics); !slices.Equal(topics, []string{other, restores}) {
		t.Errorf("messages came to %v", topics)
	}
}

// TestSlowTopic: a receiver that does not answer keeps the messages to another from nothing.
func TestSlowTopic(t *testing.T) {
	let := make(chan struct{})
	slow := notifytest.StartReceiver(t, func(_ int, _ http.ResponseWriter, r *http.Request) {
		select {
		case <-let:
		case <-r.Context().Done():
		}
	})
	quick := notifytest.StartReceiver(t, func(int, http.ResponseWriter, *http.Request) {})
	a := announce(t, restores+"="+slow.URL+" "+other+"="+quick.URL)
	a.tell(t, restores, archives)
	a.end(t, a.start(t, "archive-retrieval", other))
	moraintest.Eventually(t, "the message to the topic that is not slow", func() bool { _, got := quick.Got(); return len(got) == 1 })
	moraintest.Eventually(t, "only the message to the slow topic to wait, in its first attempt", func() bool {
		list := waiting(t, a.Config())
		return len(list) == 1 && list[0].Topic == restores && list[0].Attempts == 0
	})
	close(let)
	a.delivered(t)
}

// TestNoticesOutliveAKill kills the server when a job has ended and nobody has taken the message: once after an attempt that failed, and once while an attempt is under way.
// After a start it comes, with the id that it had.
func TestNoticesOutliveAKill(t *testing.T) {
	held := make(chan struct{})
	r := notifytest.StartReceiver(t, func(n int, w http.ResponseWriter, r *http.Request) {
		switch n {
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 2:
			close(held)
			<-r.Context().Done() // the connection breaks
		}
	})
	l := newLauncher(t, "MORAINE_NOTIFY_TARGET=*="+r.URL, "MORAINE_ROOT_ACCOUNT_ID=123456789012")
	p := l.start(t)
	s := &moraintest.Server{Endpoint: p.endpoint, Region: "us-east-1", Key: moraintest.Key{Account: "123456789012", ID: processKeyID, Secret: processSecret}}
	s.CreateVault(t, "v")
	a := announced{s, s.Upload(t, "v", []byte("notice"), "")}
	job := a.start(t, "archive-retrieval", restores)
	a.WaitForJob(t, "v", job)
	kill := func() {
		p.cmd.Process.Kill()
		p.cmd.Wait() // it was killed
		http.DefaultClient.CloseIdleConnections()
	}
	moraintest.Eventually(t, "an attempt", func() bool { _, got := r.Got(); return len(got) > 0 })
	kill()
	p = l.start(t)
	select {
	case <-held:
	case <-time.After(time.Minute):
		t.Fatal("there is no other attempt")
	}
	kill()
	p = l.start(t)
	var doc []daemon.Notice
	moraintest.Eventually(t, "the delivery", func() bool { l.admin(t, &doc, "notifications", "list"); return len(doc) == 0 })
	s.Endpoint = p.endpoint
	described := s.Want(t, 200, moraintest.Request{Method: "GET", Path: "/-/vaults/v/jobs/" + job})
	_, bodies := r.Got()
	if len(bodies) < 3 {
		t.Errorf("there were %d attempts, want three", len(bodies))
	}
	first := notifytest.Decode(t, bodies[0])
	certificate := certificateOf(t, notifytest.Decode(t, bodies[len(bodies)-1])) // which is the same after every start
	for _, body := range bodies {
		e := notifytest.Decode(t, body)
		e.Verify(t, certificate)
		if e["MessageId"] != first["MessageId"] {
			t.Errorf("a message came with the ids %s and %s", first["MessageId"], e["MessageId"])
		}
		wantMessage(t, e["Message"], described)
	}
	p.stop(t)
}
