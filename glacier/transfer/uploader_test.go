package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/glacier/transfer"
)

// TestUpload stores files and streams whose sizes are at the borders of parts, and gets them back.
func TestUpload(t *testing.T) {
	r := start(t, 3)
	all := data(6 * mib)
	down := transfer.Downloader{Client: r.client}.Hurry()
	for _, c := range []struct {
		size   int
		single int64
		parts  int // 0: one request
	}{
		{1, 0, 0}, {1, -1, 1}, {mib - 1, -1, 1}, {mib, -1, 1}, {mib + 1, -1, 2}, {4 * mib, -1, 4}, {4*mib + 1, -1, 5}, {5*mib - 1, -1, 5},
		{2 * mib, 2 * mib, 0}, {2*mib + 1, 2 * mib, 3}, {6 * mib, 0, 0},
	} {
		up := transfer.Uploader{Client: r.client, PartSize: mib, Single: c.single}.Hurry()
		body := all[:c.size]
		want := treeOf(t, body)
		for name, upload := range map[string]func() (*transfer.Archive, error){
			"file": func() (*transfer.Archive, error) {
				return up.Upload(t.Context(), "v", bytes.NewReader(body), int64(c.size), "d")
			},
			"stream": func() (*transfer.Archive, error) {
				return up.UploadStream(t.Context(), "v", iotest.HalfReader(bytes.NewReader(body)), "d")
			},
			"resume": func() (*transfer.Archive, error) {
				return up.ResumeOrUpload(t.Context(), "v", bytes.NewReader(body), int64(c.size), "d")
			},
		} {
			if name == "stream" && c.size > 2*mib && c.size != 4*mib {
				continue // which takes its time
			}
			before := r.wire.requests("part")
			a, err := upload()
			if err != nil || a.TreeHash != want || a.Size != int64(c.size) || a.Reused != 0 {
				t.Errorf("%s of %d bytes: %+v, %v", name, c.size, a, err)
				continue
			}
			parts := c.parts
			if name == "stream" && parts == 0 && c.size >= mib {
				parts = (c.size + mib - 1) / mib // it does not fit into one part less a byte
			}
			if got := r.wire.requests("part") - before; got != parts || (a.UploadID == "") != (parts == 0) {
				t.Errorf("%s of %d bytes: %d parts, want %d; upload %q", name, c.size, got, parts, a.UploadID)
			}
			var back bytes.Buffer
			job, err := down.Retrieve(t.Context(), "v", a.ID, nil)
			if err == nil {
				_, err = down.DownloadTo(t.Context(), "v", job.ID, &back)
			}
			if err != nil || !bytes.Equal(back.Bytes(), body) {
				t.Errorf("%s of %d bytes: what comes back has %d: %v", name, c.size, back.Len(), err)
			}
		}
	}
}

// TestRefused holds what is refused before anything is sent: there is no client.
func TestRefused(t *testing.T) {
	noLeak(t)
	up, ctx := &transfer.Uploader{}, t.Context()
	nothing, some := bytes.NewReader(nil), strings.NewReader("x")
	odd := &transfer.Uploader{PartSize: 3 * mib}
	for name, call := range map[string]func() (*transfer.Archive, error){
		"empty file":        func() (*transfer.Archive, error) { return up.Upload(ctx, "v", nothing, 0, "") },
		"empty again":       func() (*transfer.Archive, error) { return up.ResumeOrUpload(ctx, "v", nothing, 0, "") },
		"empty resumed":     func() (*transfer.Archive, error) { return up.Resume(ctx, "v", "id", nothing, 0) },
		"empty stream":      func() (*transfer.Archive, error) { return up.UploadStream(ctx, "v", nothing, "") },
		"too large":         func() (*transfer.Archive, error) { return up.Upload(ctx, "v", some, transfer.MaxSize+1, "") },
		"odd parts":         func() (*transfer.Archive, error) { return odd.Upload(ctx, "v", some, 1, "") },
		"stream, odd parts": func() (*transfer.Archive, error) { return odd.UploadStream(ctx, "v", some, "") },
		"shorter than said": func() (*transfer.Archive, error) { return up.Upload(ctx, "v", some, 2, "") },
		"unreadable": func() (*transfer.Archive, error) {
			return up.UploadStream(ctx, "v", iotest.ErrReader(io.ErrNoProgress), "")
		},
	} {
		want := map[string]error{"too large": transfer.ErrTooLarge, "shorter than said": transfer.ErrChanged, "unreadable": io.ErrNoProgress}[name]
		if strings.HasPrefix(name, "empty") {
			want = glacier.ErrEmpty
		}
		if _, err := call(); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
}

func TestPartSize(t *testing.T) {
	const gib, tib = 1 << 30, 1 << 40
	for _, c := range []struct{ size, want int64 }{
		{1, 16 * mib}, {100 * gib, 16 * mib}, {16 * mib * 10_000, 16 * mib}, {16*mib*10_000 + 1, 32 * mib}, {tib, 128 * mib},
		{10 * tib, 2 * gib}, {2 * gib * 10_000, 2 * gib}, {2*gib*10_000 + 1, 4 * gib}, {40e12, 4 * gib}, {transfer.MaxSize, 4 * gib}, {42_949_672_960_000, 4 * gib},
	} {
		got, err := transfer.PartSize(c.size)
		if parts := (c.size + got - 1) / got; err != nil || got != c.want || parts > 10_000 {
			t.Errorf("%d bytes: parts of %d (%d parts), want %d: %v", c.size, got, parts, c.want, err)
		}
	}
	if _, err := transfer.PartSize(transfer.MaxSize + 1); !errors.Is(err, transfer.ErrTooLarge) {
		t.Errorf("a byte too many: %v", err)
	}
}

// TestTooManyParts ends a stream that has more parts than an upload can have.
func TestTooManyParts(t *testing.T) {
	noLeak(t)
	n, err := transfer.CountParts(t.Context(), bytes.NewReader(make([]byte, 10_000)), 1)
	if n != 10_000 || err != io.EOF {
		t.Errorf("the most: %d parts, %v", n, err)
	}
	n, err = transfer.CountParts(t.Context(), bytes.NewReader(make([]byte, 10_001)), 1)
	if n != 10_000 || !errors.Is(err, transfer.ErrTooLarge) {
		t.Errorf("one more: %d parts, %v", n, err)
	}
}

// TestUploadFaults sends parts over a wire that does harm.
func TestUploadFaults(t *testing.T) {
	body := data(6*mib + 12345)
	for name, harm := range map[string]func(op string, n int, r *http.Request) fault{
		"cut once": func(op string, n int, _ *http.Request) fault { return fault{cutUp: int64(n%4/3) * (1 + 300_000)} },
		"500":      func(op string, n int, _ *http.Request) fault { return fault{status: n % 3 / 2 * 500} },
		"throttled": func(op string, n int, _ *http.Request) fault {
			return fault{status: n % 3 / 2 * 400, code: "ThrottlingException"}
		},
		"timed out": func(op string, n int, _ *http.Request) fault {
			return fault{status: n % 3 / 2 * 408, code: "RequestTimeoutException"}
		},
		"answers lost": func(op string, n int, _ *http.Request) fault { return fault{lost: n%3 == 2} },
		"damaged":      func(op string, n int, _ *http.Request) fault { return fault{flipUp: int64(n%3/2) * 500_000} },
		"bad gateway, slow": func(op string, n int, _ *http.Request) fault {
			return fault{status: n % 3 / 2 * 502, wait: 10 * time.Millisecond}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, 1)
			r.wire.harm = func(op string, n int, req *http.Request) fault {
				if op != "part" {
					return fault{}
				}
				return harm(op, n, req)
			}
			for _, concurrency := range []int{1, 3} {
				up := transfer.Uploader{Client: r.client, PartSize: mib, Single: -1, Concurrency: concurrency, Attempts: 6}.Hurry()
				a, err := up.Upload(t.Context(), "v", bytes.NewReader(body), int64(len(body)), "")
				if err != nil || a.TreeHash != treeOf(t, body) {
					t.Errorf("file: %+v, %v", a, err)
				}
				a, err = up.UploadStream(t.Context(), "v", bytes.NewReader(body), "")
				if err != nil || a.TreeHash != treeOf(t, body) {
					t.Errorf("stream: %+v, %v", a, err)
				}
			}
			if n := r.archives(t); n != 4 {
				t.Errorf("there are %d archives, want 4", n)
			}
		})
	}
}

// TestUploadGivesUp ends at once with what does not pass, and after some attempts with what might, and throws nothing away.
func TestUploadGivesUp(t *testing.T) {
	body := data(5 * mib)
	for name, c := range map[string]struct {
		fault fault
		want  error
		parts int // requests for the third part
	}{
		"denied":         {fault{status: 403, code: "AccessDeniedException"}, glacier.ErrAccessDenied, 1},
		"500":            {fault{status: 500}, glacier.ErrServiceUnavailable, 3},
		"always damaged": {fault{flipUp: 10}, glacier.ErrAuthentication, 3},
		"stalled":        {fault{stall: true}, transfer.ErrStalled, 3},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, 1)
			third := 0
			r.wire.harm = func(op string, _ int, req *http.Request) fault {
				if op != "part" || !strings.HasPrefix(req.Header.Get("Content-Range"), "bytes 2097152-") {
					return fault{}
				}
				third++
				return c.fault
			}
			up := transfer.Uploader{Client: r.client, PartSize: mib, Single: -1, Concurrency: 1, Stall: time.Second}.Hurry() // a busy machine stands still for long
			_, err := up.Upload(t.Context(), "v", bytes.NewReader(body), int64(len(body)), "d")
			i, ok := errors.AsType[*transfer.InterruptedError](err)
			if !ok || !errors.Is(err, c.want) || i.Vault != "v" || i.UploadID == "" || i.Done != 2*mib || i.Total != 5*mib || third != c.parts {
				t.Fatalf("after %d requests: %#v, %v", third, i, err)
			}
			r.wire.harm = nil
			a, err := up.Resume(t.Context(), "v", i.UploadID, bytes.NewReader(body), int64(len(body)))
			if err != nil || a.Reused != 2*mib || a.TreeHash != treeOf(t, body) {
				t.Errorf("resumed: %+v, %v", a, err)
			}
		})
	}
}

// TestChangedFile makes no archive of a file that changes.
func TestChangedFile(t *testing.T) {
	r := start(t, 1)
	body := data(4 * mib)
	path := filepath.Join(t.TempDir(), "f")
	for name, change := range map[string]func(f *os.File) error{
		"longer":      func(f *os.File) error { _, err := f.WriteAt([]byte("x"), 4*mib); return err },
		"shorter":     func(f *os.File) error { return f.Truncate(3 * mib) },
		"touched":     func(_ *os.File) error { return os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)) },
		"other bytes": func(f *os.File) error { _, err := f.WriteAt([]byte("xyz"), 3*mib); return err },
	} {
		for _, single := range []int64{-1, 8 * mib} {
			if err := os.WriteFile(path, body, 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			changed := false
			r.wire.harm = func(op string, _ int, req *http.Request) fault {
				if changed || op != "archive" && !strings.HasPrefix(req.Header.Get("Content-Range"), "bytes 3145728-") {
					return fault{}
				}
				changed = true
				if err := change(f); err != nil {
					t.Error(err)
				}
				return fault{status: 503} // which lets a single request be sent again, too
			}
			up := transfer.Uploader{Client: r.client, PartSize: mib, Single: single, Concurrency: 1}.Hurry()
			_, err = up.Upload(t.Context(), "v", f, 4*mib, "")
			if !errors.Is(err, transfer.ErrChanged) {
				t.Errorf("%s, single %d: %v", name, single, err)
			}
			f.Close()
		}
	}
	r.wire.harm = nil
	if n := r.archives(t); n != 0 {
		t.Errorf("there are %d archives", n)
	}
}

// fickle is a file without Stat whose bytes are others from a moment on.
type fickle struct {
	b, then []byte
	changed atomic.Bool
}

func (f *fickle) ReadAt(p []byte, off int64) (int, error) {
	if f.changed.Load() {
		return bytes.NewReader(f.then).ReadAt(p, off)
	}
	return bytes.NewReader(f.b).ReadAt(p, off)
}

// TestChangedBytes makes no archive of bytes that are others when they are sent again.
func TestChangedBytes(t *testing.T) {
	r := start(t, 1)
	for _, single := range []int64{-1, 8 * mib} {
		f := &fickle{b: data(4 * mib), then: data(4*mib + 1)[1:]}
		r.wire.harm = func(op string, _ int, req *http.Request) fault {
			if f.changed.Load() || op != "archive" && !strings.HasPrefix(req.Header.Get("Content-Range"), "bytes 3145728-") {
				return fault{}
			}
			f.changed.Store(true)
			return fault{status: 503}
		}
		up := transfer.Uploader{Client: r.client, PartSize: mib, Single: single, Concurrency: 1}.Hurry()
		if _, err := up.Upload(t.Context(), "v", f, 4*mib, ""); !errors.Is(err, transfer.ErrChanged) {
			t.Errorf("single %d: %v", single, err)
		}
	}
	r.wire.harm = nil
	if n := r.archives(t); n != 0 {
		t.Errorf("there are %d archives", n)
	}
}

// TestStalledUpload gives up each of the requests of an upload that stands still, and makes it again.
func TestStalledUpload(t *testing.T) {
	r := start(t, 1)
	body := data(3 * mib)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for stands, how := range map[string]string{"initiate": "new", "complete": "new", "uploads": "find", "parts": "find", "parts ": "resume"} {
		up := transfer.Uploader{Client: r.client, PartSize: mib, Single: -1, Stall: time.Second}.Hurry()
		id := ""
		if how != "new" {
			id = r.begin(t, stands, mib, body, 0)
		}
		var stood atomic.Bool
		r.wire.harm = func(op string, _ int, _ *http.Request) fault {
			return fault{stall: op == strings.TrimSpace(stands) && !stood.Swap(true)}
		}
		var a *transfer.Archive
		var err error
		if how == "resume" {
			a, err = up.Resume(ctx, "v", id, bytes.NewReader(body), 3*mib)
		} else {
			a, err = up.ResumeOrUpload(ctx, "v", bytes.NewReader(body), 3*mib, stands)
		}
		if err != nil || a.TreeHash != treeOf(t, body) || id != "" && a.UploadID != id || !stood.Load() {
			t.Errorf("%s stands still, %s: %+v, %v", stands, how, a, err)
		}
		r.wire.harm = nil
	}
}

// TestSingle holds when one request is sent again: only if it cannot be there. Otherwise the error says what to look for.
func TestSingle(t *testing.T) {
	body := data(2 * mib)
	for name, c := range map[string]struct {
		fault     fault
		requests  int
		uncertain bool
		archives  int64
	}{
		"fine":              {fault{}, 1, false, 1},
		"throttled":         {fault{status: 400, code: "ThrottlingException"}, 2, false, 1},
		"damaged":           {fault{flipUp: 99}, 2, false, 1},
		"cut in the middle": {fault{cutUp: mib}, 2, false, 1},
		"500, nothing sent": {fault{status: 500}, 2, false, 1},
		"500, all sent":     {fault{instead: 500}, 1, true, 1},
		"503, all sent":     {fault{instead: 503}, 1, true, 1},
		"another success":   {fault{instead: 200}, 1, true, 1},
		"answer lost":       {fault{lost: true}, 1, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, 1)
			r.wire.harm = func(op string, n int, _ *http.Request) fault {
				if op == "archive" && n == 0 {
					return c.fault
				}
				return fault{}
			}
			a, err := transfer.Uploader{Client: r.client}.Hurry().Upload(t.Context(), "v", bytes.NewReader(body), int64(len(body)), "d")
			u, uncertain := errors.AsType[*transfer.UncertainError](err)
			if uncertain != c.uncertain || !uncertain && (err != nil || a.TreeHash != treeOf(t, body)) {
				t.Fatalf("%+v, %v", a, err)
			}
			if uncertain && (u.TreeHash != treeOf(t, body) || u.Size != 2*mib || u.Description != "d" || u.Vault != "v" || !glacier.MayHaveSucceeded(err)) {
				t.Errorf("the error is %#v", u)
			}
			if n := r.archives(t); n != c.archives || r.wire.requests("archive") != c.requests {
				t.Errorf("%d archives, want %d; %d requests, want %d", n, c.archives, r.wire.requests("archive"), c.requests)
			}
		})
	}
}

// TestStreamEnds ends an upload whose stream fails or blocks.
func TestStreamEnds(t *testing.T) {
	r := start(t, 1)
	up := transfer.Uploader{Client: r.client, PartSize: mib, Single: -1}.Hurry()
	body := data(3*mib + 5)
	failing := io.MultiReader(bytes.NewReader(body), iotest.ErrReader(io.ErrNoProgress))
	_, err := up.UploadStream(t.Context(), "v", failing, "")
	i, ok := errors.AsType[*transfer.InterruptedError](err)
	if !ok || !errors.Is(err, io.ErrNoProgress) || i.Done != 3*mib || i.Total != -1 {
		t.Fatalf("a stream that fails: %+v, %v", i, err)
	}
	a, err := up.ResumeStream(t.Context(), "v", i.UploadID, bytes.NewReader(body))
	if err != nil || a.Reused != 3*mib || a.TreeHash != treeOf(t, body) {
		t.Errorf("resumed: %+v, %v", a, err)
	}

	for name, fails := range map[string]error{"cancelled": context.Canceled, "denied": glacier.ErrAccessDenied} {
		ctx, cancel := context.WithCancel(t.Context())
		block := &plug{entered: make(chan struct{}), free: make(chan struct{})}
		r.wire.harm = func(op string, _ int, _ *http.Request) fault {
			if op != "part" {
				return fault{}
			}
			<-block.entered
			if name == "cancelled" {
				cancel()
			}
			return fault{status: 403, code: "AccessDeniedException"}
		}
		began := time.Now()
		_, err = up.UploadStream(ctx, "v", io.MultiReader(bytes.NewReader(body[:2*mib+100]), block), "")
		if _, ok := errors.AsType[*transfer.InterruptedError](err); !ok || !errors.Is(err, fails) || !errors.Is(err, transfer.ErrReading) || time.Since(began) > 5*time.Second {
			t.Errorf("%s while a read blocks: %v after %s", name, err, time.Since(began))
		}
		close(block.free)
		cancel()
	}
}

// plug is a stream that blocks.
type plug struct{ entered, free chan struct{} }

func (p *plug) Read([]byte) (int, error) {
	close(p.entered)
	<-p.free
	return 0, io.EOF
}

// film is a stream that can be read again. Its reads take a while.
type film struct {
	body    []byte
	at      int // not guarded: nobody reads when an upload has returned
	reading atomic.Bool
}

func (f *film) Read(p []byte) (int, error) {
	f.reading.Store(true)
	defer f.reading.Store(false)
	time.Sleep(5 * time.Millisecond)
	n := copy(p[:min(len(p), mib/8)], f.body[f.at:])
	if f.at += n; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// TestStreamAgain reads a stream again from its beginning as soon as an upload of it has ended, while much of it was not read.
func TestStreamAgain(t *testing.T) {
	r := start(t, 1)
	f := &film{body: data(8 * mib)}
	up := transfer.Uploader{Client: r.client, PartSize: mib, Single: -1, Concurrency: 2}.Hurry()
	for name, c := range map[string]struct {
		fault  fault
		cancel bool
	}{
		"denied":    {fault{status: 403, code: "AccessDeniedException"}, false},
		"cancelled": {fault{}, true},
	} {
		f.at = 0
		ctx, cancel := context.WithCancel(t.Context())
		r.wire.harm = func(op string, _ int, req *http.Request) fault {
			if op != "part" || !strings.HasPrefix(req.Header.Get("Content-Range"), "bytes 2097152-") {
				return fault{}
			}
			if c.cancel {
				cancel()
			}
			return c.fault
		}
		_, err := up.UploadStream(ctx, "v", f, "")
		if f.reading.Load() {
			t.Errorf("%s: it is still being read", name)
		}
		at := f.at
		i, ok := errors.AsType[*transfer.InterruptedError](err)
		if !ok || errors.Is(err, transfer.ErrReading) || at == len(f.body) {
			t.Fatalf("%s after %d bytes: %v", name, at, err)
		}
		f.at, r.wire.harm = 0, nil
		a, err := up.ResumeStream(t.Context(), "v", i.UploadID, f)
		if err != nil || a.TreeHash != treeOf(t, f.body) {
			t.Errorf("%s, resumed: %+v, %v", name, a, err)
		}
		cancel()
	}
}

// TestUploadProgress holds what the callback gets.
func TestUploadProgress(t *testing.T) {
	r := start(t, 1)
	body := data(8 * mib)
	var busy atomic.Int32
	var events []transfer.Event
	up := transfer.Uploader{Client: r.client, PartSize: mib, Single: -1}.Hurry()
	up.Progress = func(e transfer.Event) {
		if busy.Add(1) != 1 {
			t.Error("called twice at a time")
		}
		events = append(events, e)
		busy.Add(-1)
	}
	r.wire.harm = func(op string, n int, _ *http.Request) fault {
		if op == "part" && n > 3 {
			return fault{cutUp: 700_000}
		}
		return fault{}
	}
	_, err := up.Upload(t.Context(), "v", bytes.NewReader(body), 8*mib, "")
	i, ok := errors.AsType[*transfer.InterruptedError](err)
	if !ok {
		t.Fatal(err)
	}
	if first := events[0]; first != (transfer.Event{Phase: transfer.Sending, ID: i.UploadID, Total: 8 * mib}) {
		t.Errorf("the first event is %+v", first)
	}
	r.wire.harm, events = nil, nil
	if _, err := up.Resume(t.Context(), "v", i.UploadID, bytes.NewReader(body), 8*mib); err != nil {
		t.Fatal(err)
	}
	last := map[transfer.Phase]transfer.Event{}
	for _, e := range events {
		if before := last[e.Phase]; e.Done < before.Done || e.Parts < before.Parts {
			t.Errorf("%+v after %+v", e, before)
		}
		last[e.Phase] = e
	}
	if h := last[transfer.Hashing]; h.Done < i.Done || h.Done != h.Total || h.Done != int64(h.Parts)*mib { // some have arrived without an answer
		t.Errorf("the last of hashing is %+v, want %d bytes at least", h, i.Done)
	}
	if s := last[transfer.Sending]; s.Parts != 8 || s.Done != 8*mib {
		t.Errorf("the last of sending is %+v", s)
	}
	if fmt.Sprint(transfer.Hashing, transfer.Sending, transfer.Waiting, transfer.Receiving) != "hashing sending waiting receiving" {
		t.Error("the names of the phases")
	}
}
