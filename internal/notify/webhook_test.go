package notify_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/notify"
	"github.com/moraine-archive/moraine/internal/notify/notifytest"
)

func TestWebhook(t *testing.T) {
	s, _ := signer(t)
	r := notifytest.StartReceiver(t, func(n int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader([]int{200, 202, 204}[n-1]) })
	address := strings.Replace(r.URL, "http://", "http://me:p%40ss@", 1) + "/hook/a%2Fb?key=secret"
	out := sender(t, s, restores+"="+address)
	n := notice(restores)
	noError(t, out.Send(t.Context(), n))
	n.Subject = ""
	noError(t, out.Send(t.Context(), n))
	noError(t, out.Send(t.Context(), n))
	requests, bodies := r.Got()
	for name, want := range map[string]string{
		"Content-Type": "text/plain; charset=UTF-8", "User-Agent": "Moraine", "X-Amz-Sns-Message-Type": "Notification",
		"X-Amz-Sns-Message-Id": n.ID, "X-Amz-Sns-Topic-Arn": restores,
	} {
		if got := requests[0].Header[name]; len(got) != 1 || got[0] != want {
			t.Errorf("the header %s is %q, want %q", name, got, want)
		}
	}
	user, password, _ := requests[0].BasicAuth()
	if requests[0].Method != "POST" || requests[0].RequestURI != "/hook/a%2Fb?key=secret" || user != "me" || password != "p@ss" {
		t.Errorf("the request is %s %s of %q with %q", requests[0].Method, requests[0].RequestURI, user, password)
	}
	open(t, bodies[0], s.Certificate(), notice(restores)).withOpenSSL(t, s.Certificate())
	open(t, bodies[1], s.Certificate(), n)
	if string(bodies[1]) != string(bodies[2]) {
		t.Errorf("the same notice is sent as\n%s\nand\n%s", bodies[1], bodies[2])
	}
}

// TestFetchedCertificate verifies a message as a receiver does: with the certificate from the URL in the message.
func TestFetchedCertificate(t *testing.T) {
	_, text := signer(t)
	var certificate []byte
	r := notifytest.StartReceiver(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Write(certificate)
		}
	})
	s, err := notify.LoadSigner(text, r.URL+"/notifications.pem")
	noError(t, err)
	certificate = s.Certificate()
	noError(t, sender(t, s, "*="+r.URL).Send(t.Context(), notice(restores)))
	_, bodies := r.Got()
	e := notifytest.Decode(t, bodies[0])
	resp, err := http.Get(e["SigningCertURL"])
	noError(t, err)
	defer resp.Body.Close()
	fetched, err := io.ReadAll(resp.Body)
	noError(t, err)
	e.Verify(t, fetched)
}

// TestInvalidText: what is signed is what a receiver reads, also when a notice is not UTF-8.
func TestInvalidText(t *testing.T) {
	s, _ := signer(t)
	r := notifytest.StartReceiver(t, func(int, http.ResponseWriter, *http.Request) {})
	n := notice(restores)
	n.Message = "a \xff\xfe b"
	noError(t, sender(t, s, "*="+r.URL).Send(t.Context(), n))
	_, bodies := r.Got()
	n.Message = "a \uFFFD b"
	open(t, bodies[0], s.Certificate(), n)
}

func TestRoutes(t *testing.T) {
	s, _ := signer(t)
	one := notifytest.StartReceiver(t, func(int, http.ResponseWriter, *http.Request) {})
	rest := notifytest.StartReceiver(t, func(int, http.ResponseWriter, *http.Request) {})
	out := sender(t, s, "*="+rest.URL, restores+"="+one.URL)
	for _, topic := range []string{restores, inventories, restores + ".fifo", restores} {
		noError(t, out.Send(t.Context(), notice(topic)))
	}
	_, toOne := one.Got()
	_, toRest := rest.Got()
	if len(toOne) != 2 || len(toRest) != 2 {
		t.Errorf("%d messages went to the topic's own target and %d to the other, want 2 and 2", len(toOne), len(toRest))
	}
}

// TestOneAttempt: an attempt that fails says why, and is not repeated.
func TestOneAttempt(t *testing.T) {
	s, _ := signer(t)
	elsewhere := notifytest.StartReceiver(t, func(int, http.ResponseWriter, *http.Request) {})
	long := strings.Repeat("x", 150) + strings.Repeat("\n", 150)
	for name, test := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request)
		says   string
	}{
		"500":       {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "out of \"order\"", 500) }, `/hook: the answer is 500 Internal Server Error: "out of \"order\"\n"`},
		"404, long": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, long, 404) }, `: "` + long[:150] + strings.Repeat(`\n`, 50) + `"`},
		"401":       {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, `the answer is 401 Unauthorized: ""`},
		"not HTTP":  {func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }, "/hook: EOF"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, "307 Temporary Redirect (redirects are not followed: the target has to be the final URL)"},
		"another one": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusSeeOther) }, "303 See Other (redirects are not followed"},
	} {
		t.Run(name, func(t *testing.T) {
			r := notifytest.StartReceiver(t, func(n int, w http.ResponseWriter, r *http.Request) {
				if n == 1 {
					test.answer(w, r)
				}
			})
			address := strings.Replace(r.URL, "http://", "http://me:secret@", 1) + "/hook?key=secret"
			out := sender(t, s, "*="+address)
			err := out.Send(t.Context(), notice(restores))
			wantError(t, err, "POST "+r.URL, test.says)
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error is %q, which tells a secret", err)
			}
			noError(t, out.Send(t.Context(), notice(restores)))
			if _, bodies := r.Got(); len(bodies) != 2 {
				t.Errorf("there were %d requests, want one for each attempt", len(bodies))
			}
		})
	}
	if _, bodies := elsewhere.Got(); len(bodies) != 0 {
		t.Errorf("a redirect was followed")
	}
}

// TestHangs: neither a receiver that says nothing nor one that does not come to an end holds an attempt for ever.
func TestHangs(t *testing.T) {
	s, _ := signer(t)
	end := make(chan struct{})
	r := notifytest.StartReceiver(t, func(_ int, _ http.ResponseWriter, r *http.Request) {
		select {
		case <-end:
		case <-r.Context().Done():
		}
	})
	defer close(end) // before the receiver waits for its requests
	targets, err := notify.ParseTargets([]string{"*=" + r.URL + "?key=secret"})
	noError(t, err)
	out, err := notify.New(notify.Config{Targets: targets, Signer: s, Timeout: 50 * time.Millisecond})
	noError(t, err)
	err = out.Send(t.Context(), notice(restores))
	wantError(t, err, "not done within 50ms: POST "+r.URL)
	if !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "secret") {
		t.Errorf("the error is %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = out.Send(ctx, notice(restores))
	if !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "not done within") {
		t.Errorf("the error of a canceled attempt is %v", err)
	}
}

// TestNobodyListens: the error does not repeat the query of the target.
func TestNobodyListens(t *testing.T) {
	s, _ := signer(t)
	r := httptest.NewServer(nil)
	r.Close()
	err := sender(t, s, "*="+r.URL+"/hook?key=secret").Send(t.Context(), notice(restores))
	wantError(t, err, "POST "+r.URL+"/hook: dial tcp ")
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the error is %q, which tells a secret", err)
	}
}
