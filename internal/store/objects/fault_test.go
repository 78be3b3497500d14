package objects

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/enginetest"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
)

// The kinds of requests of a Put.
const (
	putData    = "PUT data/"
	putMeta    = "PUT meta/"
	beginData  = "POST data/ uploads"
	sendPart   = "PUT data/ part"
	finishData = "POST data/ upload"
	abortData  = "DELETE data/ upload"
)

// sizesOfPuts are of a payload that shares an object, of one that does not, and of one that is sent in parts.
var sizesOfPuts = []int{1000, 2 * mib, 11 * mib} // read only

// wantOnly checks that a store, opened anew, has these records and nothing else, with these bytes.
func wantOnly(t *testing.T, b enginetest.Bucket, payloads map[store.Place][]byte) {
	t.Helper()
	s := openWith(t, optionsFor(b), startClock)
	all, remains := walk(t, s)
	if len(all) != len(payloads) || len(remains) > 0 {
		t.Errorf("there are %d records, want %d; remains %v", len(all), len(payloads), remains)
	}
	for at, payload := range payloads {
		x, ok := all[at]
		if !ok {
			t.Errorf("there is no record at %s", at)
			continue
		}
		if !bytes.Equal(read(t, s, x), payload) {
			t.Errorf("the record at %s has other bytes", at)
		}
	}
	want := 0
	for at := range payloads {
		if _, i, _ := parsePlace(at); i == 0 {
			want += 2
		}
	}
	if left, uploads := keys(t, b); len(left) != want || uploads > 0 {
		t.Errorf("there are %q and %d uploads", left, uploads)
	}
}

// TestPutIsRepeated checks that a Put survives servers that refuse for a while, and answers that are lost.
func TestPutIsRepeated(t *testing.T) {
	for _, kind := range []string{putData, putMeta, beginData, sendPart, finishData} {
		for what, m := range map[string]meddler{
			"refused": refuse(3, http.StatusServiceUnavailable, "SlowDown"), "failed": refuse(2, http.StatusInternalServerError, "InternalError"), "answer lost": loseAnswer(2),
		} {
			t.Run(kind+" "+what, func(t *testing.T) {
				if kind == beginData && what == "answer lost" {
					needsListsOfUploads(t)
				}
				s, p, b := openProxy(t)
				p.on(kind, m)
				payloads := make(map[store.Place][]byte)
				for _, size := range sizesOfPuts {
					payloads[put(t, s, "label", data(size)).Place] = data(size)
				}
				if p.requests(kind) < 3 {
					t.Errorf("%d requests", p.requests(kind))
				}
				// Of an upload whose beginning was not heard of the sweep finds what is left.
				_, remains := walk(t, openWith(t, optionsFor(b), startClock))
				if (len(remains) > 0) != (kind == beginData && what == "answer lost") {
					t.Errorf("remains %v", remains)
				}
				remove(t, s, remains...)
				wantOnly(t, b, payloads)
			})
		}
	}
}

// TestPutFails checks that a Put that fails for good leaves no record, and nothing else where that can be known.
func TestPutFails(t *testing.T) {
	for _, kind := range []string{putData, beginData, sendPart, finishData} {
		s, p, b := openProxy(t)
		p.on(kind, refuse(1000, http.StatusForbidden, "AccessDenied"))
		for _, size := range sizesOfPuts {
			if _, err := s.Put(t.Context(), store.Payload, nil, streamOf(data(size))); err != nil {
				wantDenied(t, err, b, p)
			} else if kind == putData && size < MinPartSize || kind != putData && size > MinPartSize {
				t.Errorf("%s: a Put of %d bytes succeeds", kind, size)
			}
		}
		p.on(kind, nil)
		all, remains := walk(t, s)
		if len(remains) > 0 {
			t.Errorf("%s: remains %v", kind, remains)
		}
		for _, x := range all {
			remove(t, s, x)
		}
		wantOnly(t, b, nil)
	}
}

// wantDenied checks that an error names what somebody needs who is to put it right.
func wantDenied(t *testing.T, err error, b enginetest.Bucket, p *proxy) {
	t.Helper()
	for _, say := range []string{b.Name, p.URL, "some/where", "AccessDenied", "object data/"} {
		if !strings.Contains(err.Error(), say) {
			t.Errorf("error %v: it does not say %q", err, say)
		}
	}
	if fault.KindOf(err) != fault.Internal {
		t.Errorf("error %v of kind %d", err, fault.KindOf(err))
	}
}

// TestCommitIsOpen checks that what a record consists of stays when nobody knows whether its description was written.
func TestCommitIsOpen(t *testing.T) {
	for _, size := range sizesOfPuts {
		s, p, b := openProxy(t)
		p.on(putMeta, loseAnswer(1000))
		if _, err := s.Put(t.Context(), store.Payload, []byte("label"), streamOf(data(size))); err == nil {
			t.Fatal("a Put succeeds of which nobody heard")
		}
		all, remains := walk(t, openWith(t, optionsFor(b), startClock))
		if len(all) != 1 || len(remains) > 0 {
			t.Fatalf("there are the records %v, remains %v", all, remains)
		}
		for at := range all {
			wantOnly(t, b, map[store.Place][]byte{at: data(size)})
		}
	}
}

// TestLeftIsSwept checks that what a Put could not tidy up shows as what the sweep removes.
func TestLeftIsSwept(t *testing.T) {
	needsListsOfUploads(t)
	s, p, b := openProxy(t)
	p.on(sendPart, refuse(1000, http.StatusForbidden, "AccessDenied"))
	p.on(abortData, refuse(1000, http.StatusForbidden, "AccessDenied"))
	if _, err := s.Put(t.Context(), store.Payload, nil, streamOf(data(11*mib))); err == nil {
		t.Fatal("a Put succeeds")
	}
	p.on(abortData, nil)
	all, remains := walk(t, s)
	if len(all) > 0 || len(remains) != 1 || remains[0].Created.Year() < 2025 {
		t.Fatalf("there are the records %v, remains %v", all, remains)
	}
	remove(t, s, remains...)
	wantOnly(t, b, nil)
}

// TestReadGoesOn checks that a reader asks again from where a connection broke.
func TestReadGoesOn(t *testing.T) {
	const get = "GET data/"
	for what, m := range map[string]meddler{
		"cut early": cut(3, 10), "cut late": cut(3, 4*mib+17), "refused": refuse(3, http.StatusServiceUnavailable, "SlowDown"), "answer lost": loseAnswer(3),
	} {
		s, p, _ := openProxy(t)
		x := put(t, s, "label", data(11*mib))
		p.on(get, m)
		if !bytes.Equal(read(t, s, x), data(11*mib)) {
			t.Errorf("%s: the record has other bytes", what)
		}
		if n := p.requests(get); n != 4 && (what != "cut late" || n < 3) {
			t.Errorf("%s: %d requests", what, n)
		}
	}
}

// TestReadFails checks that no way of failing looks like damage, or like a record that is not there.
func TestReadFails(t *testing.T) {
	for what, m := range map[string]meddler{
		"cut": cut(1000, 10), "refused": refuse(1000, http.StatusServiceUnavailable, "SlowDown"), "denied": refuse(1000, http.StatusForbidden, "AccessDenied"),
		"no bucket": refuse(1000, http.StatusNotFound, "NoSuchBucket"), "answer lost": loseAnswer(1000),
	} {
		s, p, b := openProxy(t)
		x := put(t, s, "label", data(2*mib))
		for _, kind := range []string{"GET data/", "GET meta/", "HEAD meta/"} {
			p.on(kind, m)
		}
		r, err := s.Open(t.Context(), x.Place, 0, x.Size)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
			r.Close()
		}
		if fault.KindOf(err) != fault.Internal || !strings.Contains(err.Error(), b.Name) || !strings.Contains(err.Error(), p.URL) {
			t.Errorf("%s: reading fails with %v of kind %d", what, err, fault.KindOf(err))
		}
		s.metas.forget(nameOf(t, x))
		if _, err := s.Stat(t.Context(), x.Place); fault.KindOf(err) != fault.Internal {
			t.Errorf("%s: Stat fails with %v of kind %d", what, err, fault.KindOf(err))
		}
		if err := s.Walk(t.Context(), func(store.Extent) error { return nil }); fault.KindOf(err) != fault.Internal {
			t.Errorf("%s: Walk fails with %v of kind %d", what, err, fault.KindOf(err))
		}
		err = s.Inspect(t.Context(), string(nameOf(t, x)), store.Inspection{Damage: func(d store.Damage) error { t.Errorf("%s is reported as %v", what, d); return nil }})
		if err == nil {
			t.Errorf("%s: Inspect does not fail", what)
		}
	}
}

// TestBucketVanishes checks that a bucket that is not there does not look like one from which everything was removed.
func TestBucketVanishes(t *testing.T) {
	s, p, _ := openProxy(t)
	x := put(t, s, "label", data(10))
	gone := func(_ int, w http.ResponseWriter, _ func(http.ResponseWriter)) {
		refuse(1, http.StatusNotFound, "NoSuchBucket")(1, w, nil)
	}
	for _, kind := range []string{"GET data/", "GET meta/", "HEAD meta/", "HEAD data/", "DELETE data/", "DELETE meta/", "GET", "GET uploads"} {
		p.on(kind, gone)
	}
	s.metas.forget(nameOf(t, x))
	errs := map[string]error{"Remove": s.Remove(t.Context(), x.Place), "Walk": s.Walk(t.Context(), func(store.Extent) error { return nil })}
	_, errs["Stat"] = s.Stat(t.Context(), x.Place)
	_, errs["Open"] = s.Open(t.Context(), x.Place, 0, 1)
	_, errs["Volumes"] = s.Volumes(t.Context())
	_, errs["ReadFile"] = s.ReadFile(t.Context(), "identity")
	for what, err := range errs {
		if err == nil || fault.KindOf(err) != fault.Internal || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v of kind %d", what, err, fault.KindOf(err))
		}
	}
}

func TestRemoveIsRepeated(t *testing.T) {
	for _, kind := range []string{"DELETE data/", "DELETE meta/", "PUT gone/", "DELETE gone/"} {
		s, p, b := openProxy(t)
		large, pack := put(t, s, "large", data(2*mib)), putPack(t, s, data(1), data(2), data(3))
		p.on(kind, loseAnswer(2))
		remove(t, s, large, pack[1])
		if all, _ := walk(t, openWith(t, optionsFor(b), startClock)); len(all) != 2 {
			t.Errorf("%s: there are the records %v", kind, all)
		}
		remove(t, s, pack[0], pack[2])
		wantOnly(t, b, nil)
	}
}

// TestRemoveFails checks that a removal that was cut off goes on where it was, also by another process.
func TestRemoveFails(t *testing.T) {
	for _, kind := range []string{"DELETE data/", "DELETE meta/", "PUT gone/", "DELETE gone/"} {
		s, p, b := openProxy(t)
		large, pack := put(t, s, "large", data(2*mib)), putPack(t, s, data(1), data(2), data(3))
		p.on(kind, refuse(1000, http.StatusForbidden, "AccessDenied"))
		err := s.Remove(t.Context(), large.Place)
		for _, x := range pack {
			err = errors.Join(err, s.Remove(t.Context(), x.Place))
		}
		if err == nil {
			t.Errorf("%s: it is refused, and Remove succeeds", kind)
		}
		s = openWith(t, optionsFor(b), startClock)
		all, remains := walk(t, s)
		for _, x := range all {
			remains = append(remains, x)
		}
		remove(t, s, remains...)
		wantOnly(t, b, nil)
	}
}

func TestArchivedByTheServer(t *testing.T) {
	s, p, _ := openProxy(t)
	x := put(t, s, "label", data(2*mib))
	archived := http.Header{"X-Amz-Archive-Status": {"ARCHIVE_ACCESS"}}
	p.on("HEAD data/", say(archived))
	p.on("POST data/", func(_ int, w http.ResponseWriter, _ func(http.ResponseWriter)) {
		archived["X-Amz-Restore"] = []string{`ongoing-request="true"`}
		w.WriteHeader(http.StatusAccepted)
	})
	for range 3 {
		if ready, err := s.Warm(t.Context(), "Expedited", x.Place); ready || err != nil {
			t.Errorf("ready %v, %v", ready, err)
		}
	}
	if n := p.requests("POST data/"); n != 1 {
		t.Errorf("it was asked for %d times", n)
	}
	p.on("HEAD data/", nil)
	if ready, err := s.Warm(t.Context(), "Expedited", x.Place); !ready || err != nil {
		t.Errorf("then ready %v, %v", ready, err)
	}
	p.on("HEAD data/", say(http.Header{"X-Amz-Storage-Class": {"GLACIER"}}))
	p.on("POST data/", refuse(1000, http.StatusServiceUnavailable, "GlacierExpeditedRetrievalNotAvailable"))
	if _, err := s.Warm(t.Context(), "Expedited", x.Place); !fault.Is(err, fault.InsufficientCapacity) {
		t.Errorf("without capacity: %v", err)
	}
}

// TestPayloadsAreSigned checks that the server can hold every body against its hash, also behind TLS, where the SDK would leave that out.
func TestPayloadsAreSigned(t *testing.T) {
	s, p, _ := openProxy(t)
	var unsigned atomic.Int64
	tls := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header.Get("X-Amz-Content-Sha256")) != 64 {
			unsigned.Add(1)
		}
		p.ServeHTTP(w, r)
	}))
	t.Cleanup(tls.Close)
	authority := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tls.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CA_BUNDLE", authority)
	o := s.options
	o.Endpoint = tls.URL
	s = openWith(t, o, startClock)
	for _, size := range sizesOfPuts {
		x := put(t, s, "label", data(size))
		if !bytes.Equal(read(t, s, x), data(size)) {
			t.Error("the record has other bytes")
		}
	}
	if n := unsigned.Load(); n > 0 {
		t.Errorf("the bodies of %d requests are not signed", n)
	}
}

// TestCancelledWhileItIsSent checks that a Put ends when its request does, though the server does not answer.
func TestCancelledWhileItIsSent(t *testing.T) {
	s, p, b := openProxy(t)
	held := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	p.on(sendPart, func(_ int, w http.ResponseWriter, pass func(http.ResponseWriter)) { cancel(); <-held; pass(w) })
	_, err := s.Put(ctx, store.Payload, nil, treehash.NewStream(bytes.NewReader(data(11*mib)), -1, nil))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	close(held)
	p.Server.Config.SetKeepAlivesEnabled(false)
	p.Server.Close() // waits for the parts that were on their way
	s = openWith(t, optionsFor(b), startClock)
	_, remains := walk(t, s)
	remove(t, s, remains...)
	wantOnly(t, b, nil)
}
