package transfer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/glacier/transfer"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

// wantFile fails unless a file has these bytes and there is no partial one.
func wantFile(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s has %d bytes, want %d; the same: %t; %v", filepath.Base(path), len(got), len(want), bytes.Equal(got, want), err)
	}
	if _, err := os.Stat(path + ".moraine-part"); err == nil {
		t.Error("the partial file is left")
	}
}

// TestDownload fetches archives whose sizes are at the borders of ranges.
func TestDownload(t *testing.T) {
	r := start(t, 3)
	all := data(5 * mib)
	path := filepath.Join(t.TempDir(), "f")
	down := transfer.Downloader{Client: r.client, RangeSize: mib}.Hurry()
	for _, size := range []int{1, mib - 1, mib, mib + 1, 2 * mib, 4*mib + 1, 5 * mib} {
		body := all[:size]
		id := r.store(t, body)
		outputs := r.wire.requests("output")
		d, err := down.Download(t.Context(), "v", id, path) // in place of the file before
		if err != nil || !d.Verified || d.Size != int64(size) || d.TreeHash != treeOf(t, body) || d.Reused != 0 {
			t.Fatalf("%d bytes: %+v, %v", size, d, err)
		}
		wantFile(t, path, body)
		if n := r.wire.requests("output") - outputs; n != (size+mib-1)/mib {
			t.Errorf("%d bytes: %d ranges", size, n)
		}
		var w bytes.Buffer
		to, err := down.DownloadTo(t.Context(), "v", d.JobID, &w)
		if err != nil || !to.Verified || to.TreeHash != d.TreeHash || !bytes.Equal(w.Bytes(), body) {
			t.Errorf("%d bytes to a writer: %+v, %v", size, to, err)
		}
	}
}

// TestDownloadFaults fetches over a wire that does harm.
func TestDownloadFaults(t *testing.T) {
	r := start(t, 1)
	body := data(6*mib + 12345)
	id := r.store(t, body)
	path := filepath.Join(t.TempDir(), "f")
	for name, harm := range map[string]func(n int) fault{
		"cut":       func(n int) fault { return fault{cutDown: 1 + 100_000 + int64(n*7919%500_000)} },
		"cut early": func(n int) fault { return fault{cutDown: int64(n%3/2) * 100} },
		"500":       func(n int) fault { return fault{status: n % 3 / 2 * 500} },
		"throttled": func(n int) fault { return fault{status: n % 3 / 2 * 400, code: "ThrottlingException"} },
		"lost":      func(n int) fault { return fault{lost: n%3 == 2} },
		"damaged":   func(n int) fault { return fault{flipDown: int64(n%3/2) * 500_000} },
		"stalled":   func(n int) fault { return fault{stall: n%3 == 2} },
		"slow":      func(n int) fault { return fault{wait: time.Duration(n%5) * 5 * time.Millisecond} },
	} {
		t.Run(name, func(t *testing.T) {
			r.wire.harm = func(op string, n int, _ *http.Request) fault {
				if op != "output" {
					return fault{}
				}
				return harm(n)
			}
			for _, concurrency := range []int{1, 3} {
				down := transfer.Downloader{Client: r.client, RangeSize: 2 * mib, Concurrency: concurrency, Attempts: 6, Stall: 200 * time.Millisecond}.Hurry()
				d, err := down.Download(t.Context(), "v", id, path)
				if err != nil || !d.Verified || d.Reused != 0 {
					t.Fatalf("%+v, %v", d, err)
				}
				wantFile(t, path, body)
				var w bytes.Buffer
				if d, err = down.DownloadTo(t.Context(), "v", d.JobID, &w); err != nil || !d.Verified || !bytes.Equal(w.Bytes(), body) {
					t.Errorf("to a writer: %+v, %v", d, err)
				}
			}
		})
	}
}

// TestKeepExisting replaces no file, also not one that came while the download went on, nor one that another process has as its partial file.
func TestKeepExisting(t *testing.T) {
	r := start(t, 1)
	body := data(2*mib + 7)
	id := r.store(t, body)
	path := filepath.Join(t.TempDir(), "f")
	down := transfer.Downloader{Client: r.client, KeepExisting: true}.Hurry()
	r.wire.harm = func(op string, _ int, _ *http.Request) fault {
		if op == "output" {
			os.WriteFile(path, []byte("mine"), 0o600)
		}
		return fault{}
	}
	if _, err := down.Download(t.Context(), "v", id, path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a file that came meanwhile: %v", err)
	}
	r.wire.harm = nil
	outputs := r.wire.requests("output") + r.wire.requests("jobs")
	if _, err := down.Download(t.Context(), "v", id, path); !errors.Is(err, fs.ErrExist) || r.wire.requests("output")+r.wire.requests("jobs") != outputs {
		t.Errorf("a file that is there: %v", err)
	}
	if mine, err := os.ReadFile(path); string(mine) != "mine" {
		t.Errorf("it has become %q, %v", mine, err)
	}
	down.KeepExisting = false
	d, err := down.Download(t.Context(), "v", id, path)
	if err != nil || d.Reused != int64(len(body)) {
		t.Errorf("what was fetched is not used: %+v, %v", d, err)
	}
	wantFile(t, path, body)

	// A download that was killed when the file had both of its names.
	if err := os.Link(path, transfer.PartialPath(path)); err != nil {
		t.Fatal(err)
	}
	other := r.store(t, data(100))
	r.wire.harm = func(op string, _ int, _ *http.Request) fault {
		return fault{status: 403, code: "AccessDeniedException"}
	}
	if _, err := down.Download(t.Context(), "v", other, path); !errors.Is(err, glacier.ErrAccessDenied) {
		t.Errorf("denied: %v", err)
	}
	wantFile(t, path, body)
	r.wire.harm = nil
	if _, err := down.Download(t.Context(), "v", other, path); err != nil {
		t.Error(err)
	}
	wantFile(t, path, data(100))
	if _, err := os.Stat(transfer.PartialPath(path)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the partial file is still there: %v", err)
	}

	if _, err := down.Download(t.Context(), "v", id, path+transfer.PartialSuffix); err == nil {
		t.Error("a file that has the name of a partial one was made")
	}
	long := filepath.Join(t.TempDir(), strings.Repeat("n", 255))
	if _, err := down.Download(t.Context(), "v", id, long); err != nil {
		t.Errorf("the longest name: %v", err)
	}
}

// TestClaim holds which file a download writes to, of those that were opened as the partial one.
func TestClaim(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	temp := transfer.PartialPath(path)
	claim := func(want bool, left string, meanwhile func() error) {
		t.Helper()
		f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := meanwhile(); err != nil {
			t.Fatal(err)
		}
		ours, err := transfer.Claim(path, f)
		if b, _ := os.ReadFile(temp); err != nil || ours != want || string(b) != left {
			t.Errorf("%t, %v; the partial file has %q, want %q", ours, err, b, left)
		}
	}
	another := func() error { return os.WriteFile(temp, []byte("another"), 0o600) }
	claim(true, "another", another)
	claim(false, "", func() error { return os.Rename(temp, path) })
	claim(false, "another", func() error { return errors.Join(os.Rename(temp, path), another()) }) // which a third download has begun
	claim(false, "", func() error { return errors.Join(os.Remove(path), os.Link(temp, path)) })
	if _, err := os.Stat(temp); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the second name of the file is left: %v", err)
	}
}

// TestReplacedPartial gives no other file the name: somebody put one in the place of the partial one.
func TestReplacedPartial(t *testing.T) {
	r := start(t, 1)
	id := r.store(t, data(mib))
	path := filepath.Join(t.TempDir(), "f")
	r.wire.harm = func(op string, _ int, _ *http.Request) fault {
		if op == "output" {
			os.Remove(transfer.PartialPath(path))
			os.WriteFile(transfer.PartialPath(path), []byte("another"), 0o600)
		}
		return fault{}
	}
	if _, err := (transfer.Downloader{Client: r.client}.Hurry()).Download(t.Context(), "v", id, path); err == nil {
		t.Error("it is reported as downloaded")
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a file: %v", err)
	}
}

// TestDownloadGivesUp ends with what does not pass, writes nothing that is damaged, and keeps what was fetched.
func TestDownloadGivesUp(t *testing.T) {
	r := start(t, 1)
	body := data(5 * mib)
	id := r.store(t, body)
	for name, c := range map[string]struct {
		fault   fault
		is      func(error) bool
		fetches int   // of the fourth range
		first   fault // of the first fetch, if it is another one
	}{
		"always damaged": {fault{flipDown: 1000}, func(err error) bool {
			d, ok := errors.AsType[*transfer.DamagedError](err)
			return ok && d.First == 3*mib && d.Last == 4*mib-1 && d.Want == treeOf(t, body[3*mib:4*mib]) && d.Got != d.Want
		}, 3, fault{}},
		"always cut":       {fault{cutDown: 1000}, func(err error) bool { return errors.Is(err, errCut) }, 3, fault{}},
		"denied":           {fault{status: 403, code: "AccessDeniedException"}, func(err error) bool { return errors.Is(err, glacier.ErrAccessDenied) }, 1, fault{}},
		"cut, then denied": {fault{status: 403, code: "AccessDeniedException"}, func(err error) bool { return errors.Is(err, glacier.ErrAccessDenied) }, 2, fault{cutDown: 700_000}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "f")
			fourth := 0
			r.wire.harm = func(op string, _ int, req *http.Request) fault {
				if first := req.Header.Get("Range"); op != "output" || !strings.HasSuffix(first, "-4194303") {
					return fault{}
				}
				if fourth++; fourth == 1 && c.first != (fault{}) {
					return c.first
				}
				return c.fault
			}
			down := transfer.Downloader{Client: r.client, RangeSize: mib, Concurrency: 1, Attempts: 3}.Hurry()
			down.Progress = func(e transfer.Event) {
				if e.Done < int64(e.Parts)*mib { // what is taken back was not counted
					t.Errorf("%+v", e)
				}
			}
			_, err := down.Download(t.Context(), "v", id, path)
			i, ok := errors.AsType[*transfer.InterruptedError](err)
			if !ok || !c.is(err) || i.JobID == "" || i.Done != 3*mib || i.Total != 5*mib || i.Partial != path+".moraine-part" || fourth != c.fetches {
				t.Fatalf("after %d fetches: %+v, %v", fourth, i, err)
			}
			var w bytes.Buffer
			_, err = down.DownloadTo(t.Context(), "v", i.JobID, &w)
			if j, ok := errors.AsType[*transfer.InterruptedError](err); !ok || !c.is(err) || j.Done != 3*mib || !bytes.Equal(w.Bytes(), body[:3*mib]) {
				t.Errorf("to a writer: %d bytes, %v", w.Len(), err)
			}
			r.wire.harm = nil
			d, err := down.Download(t.Context(), "v", id, path)
			if err != nil || d.Reused != 3*mib || d.JobID != i.JobID {
				t.Fatalf("again: %+v, %v", d, err)
			}
			wantFile(t, path, body)
		})
	}
}

// TestInterruptDownload cancels downloads at random moments and goes on with them. No more is fetched again than was in flight.
func TestInterruptDownload(t *testing.T) {
	r := start(t, 1)
	rnd := seeded(t, 0)
	const concurrency = 3
	body := data(12*mib - 1000)
	id := r.store(t, body)
	path := filepath.Join(t.TempDir(), "f")
	for range 12 {
		ctx, cancel := context.WithCancel(t.Context())
		at := int64(rnd.IntN(len(body)))
		down := transfer.Downloader{Client: r.client, RangeSize: mib, Concurrency: concurrency}.Hurry()
		down.Progress = func(e transfer.Event) {
			if e.Phase == transfer.Receiving && e.Done >= at {
				cancel()
			}
		}
		before, began := r.wire.received("output"), time.Now()
		_, err := down.Download(ctx, "v", id, path)
		i, ok := errors.AsType[*transfer.InterruptedError](err)
		if !ok || !errors.Is(err, context.Canceled) || time.Since(began) > 10*time.Second {
			t.Fatalf("cancelled after %d bytes: %v", at, err)
		}
		down.Progress = nil
		d, err := down.Download(t.Context(), "v", id, path)
		if err != nil || d.Reused != i.Done || !d.Verified {
			t.Fatalf("cancelled after %d bytes, %d done: %+v, %v", at, i.Done, d, err)
		}
		wantFile(t, path, body)
		if n := r.wire.received("output") - before; n > int64(len(body))+concurrency*mib {
			t.Errorf("%d bytes were received, %d are in the file", n, len(body))
		}
		cancel()
	}
	if n := r.wire.requests("job"); n != 1 {
		t.Errorf("%d jobs were started", n)
	}
}

// TestPartialFile goes on with files as they can be after the process was killed or the machine has lost power, and with files that are something else.
func TestPartialFile(t *testing.T) {
	r := start(t, 1)
	const size = 5*mib + 100
	body := data(size)
	id, other := r.store(t, body), r.store(t, data(size + 1)[1:])
	path := filepath.Join(t.TempDir(), "f")
	down := transfer.Downloader{Client: r.client, RangeSize: mib, Concurrency: 1}.Hurry()
	r.wire.harm = func(op string, _ int, req *http.Request) fault {
		if op == "output" && strings.HasPrefix(req.Header.Get("Range"), "bytes=4194304-") {
			return fault{status: 403, code: "AccessDeniedException"}
		}
		return fault{}
	}
	if _, err := down.Download(t.Context(), "v", id, path); !errors.Is(err, glacier.ErrAccessDenied) {
		t.Fatal(err)
	}
	partial, err := os.ReadFile(path + ".moraine-part") // with the first four of six ranges
	if err != nil {
		t.Fatal(err)
	}
	r.wire.harm = nil
	const trailer = size + 64
	change := func(f func(b []byte) []byte) []byte { return f(slices.Clone(partial)) }
	for name, c := range map[string]struct {
		file    []byte
		archive string
		reused  int64
	}{
		"as it was":                {partial, id, 4 * mib},
		"bytes are missing":        {change(func(b []byte) []byte { clear(b[mib+10 : mib+20]); return b }), id, 3 * mib},
		"a bit is another":         {change(func(b []byte) []byte { b[0] ^= 1; return b }), id, 3 * mib},
		"cut in the trailer":       {partial[:trailer+2*32+5], id, 2 * mib},
		"cut before the trailer":   {partial[:size+10], id, 0},
		"cut in the bytes":         {partial[:3*mib], id, 0},
		"a hash is missing":        {change(func(b []byte) []byte { clear(b[trailer : trailer+32]); return b }), id, 3 * mib},
		"a hash is wrong":          {change(func(b []byte) []byte { b[trailer] ^= 1; return b }), id, 3 * mib},
		"claims what is not there": {change(func(b []byte) []byte { b[trailer+5*32] = 1; return b }), id, 4 * mib},
		"no trailer yet":           {change(func(b []byte) []byte { clear(b[size:]); return b }), id, 0},
		"odd ranges":               {change(func(b []byte) []byte { b[size+39] = 1; return b }), id, 0},
		"tiny ranges":              {change(func(b []byte) []byte { clear(b[size+32 : size+40]); return b }), id, 0},
		"of another archive":       {partial, other, 0},
		"whole, without a name":    {body, id, size},
		"as long, of another":      {body, other, 0},
		"longer":                   {append(slices.Clone(body), make([]byte, mib)...), id, 0},
		"empty":                    {nil, id, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path+".moraine-part", c.file, 0o600); err != nil {
				t.Fatal(err)
			}
			want := body
			if c.archive == other {
				want = data(size + 1)[1:]
			}
			d, err := down.Download(t.Context(), "v", c.archive, path)
			if err != nil || d.Reused != c.reused || !d.Verified || d.TreeHash != treeOf(t, want) {
				t.Fatalf("%+v, want %d bytes: %v", d, c.reused, err)
			}
			wantFile(t, path, want)
		})
	}
	if err := os.WriteFile(path+".moraine-part", partial, 0o600); err != nil {
		t.Fatal(err)
	}
	down.RangeSize = 4 * mib // those of the file count
	if d, err := down.Download(t.Context(), "v", id, path); err != nil || d.Reused != 4*mib {
		t.Errorf("other ranges: %+v, %v", d, err)
	}
}

// TestPaths holds what is found out before a job is started.
func TestPaths(t *testing.T) {
	r := start(t, 1)
	dir := t.TempDir()
	down := transfer.Downloader{Client: r.client}.Hurry()
	if _, err := down.Download(t.Context(), "v", "id", filepath.Join(dir, "no", "f")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	if _, err := down.Download(t.Context(), "v", "id", dir); err == nil || !strings.Contains(err.Error(), "directory") {
		t.Errorf("a directory: %v", err)
	}
	blind := filepath.Join(dir, "blind") // its names cannot be made durable
	if err := os.Mkdir(blind, 0o300); err != nil {
		t.Fatal(err)
	}
	if d, err := os.Open(blind); err == nil { // root can open everything
		d.Close()
	} else if _, err := down.Download(t.Context(), "v", "id", filepath.Join(blind, "f")); !errors.Is(err, os.ErrPermission) {
		t.Errorf("a directory that cannot be opened: %v", err)
	}
	if err := os.Remove(blind); err != nil {
		t.Fatal(err)
	}
	odd := transfer.Downloader{Client: r.client, RangeSize: 3}
	if _, err := odd.Download(t.Context(), "v", "id", filepath.Join(dir, "f")); err == nil {
		t.Error("odd ranges: no error")
	}
	if n := r.wire.requests("job") + r.wire.requests("jobs"); n != 0 {
		t.Errorf("%d requests", n)
	}
	if _, err := down.Download(t.Context(), "v", "no-such-id", filepath.Join(dir, "f")); !errors.Is(err, glacier.ErrNotFound) {
		t.Errorf("no archive: %v", err)
	}
	if names, _ := os.ReadDir(dir); len(names) != 0 {
		t.Errorf("there are files left: %v", names)
	}
}

// TestBusy lets one of two downloads to the same file go on.
func TestBusy(t *testing.T) {
	r := start(t, 1)
	body := data(3 * mib)
	id := r.store(t, body)
	path := filepath.Join(t.TempDir(), "f")
	down := transfer.Downloader{Client: r.client, RangeSize: mib}.Hurry()
	var second error
	r.wire.harm = func(op string, n int, _ *http.Request) fault {
		if op == "describe" && n == 0 {
			_, second = down.Download(t.Context(), "v", id, path)
		}
		return fault{}
	}
	if _, err := down.Download(t.Context(), "v", id, path); err != nil || !errors.Is(second, transfer.ErrBusy) {
		t.Errorf("the first %v, the second %v", err, second)
	}
	wantFile(t, path, body)
}

// TestRanges fetches parts of archives, with a tree hash and without one.
func TestRanges(t *testing.T) {
	r := start(t, 1)
	body := data(7 * mib)
	id := r.store(t, body)
	path := filepath.Join(t.TempDir(), "f")
	down := transfer.Downloader{Client: r.client, RangeSize: mib}.Hurry()
	for _, c := range []struct {
		first, last int64
		verified    bool
	}{{0, 7*mib - 1, true}, {4 * mib, 7*mib - 1, true}, {2 * mib, 4*mib - 1, true}, {mib, 3*mib - 1, false}, {3 * mib, 7*mib - 1, false}} {
		job, err := down.Retrieve(t.Context(), "v", id, &glacier.ByteRange{First: c.first, Last: c.last})
		if err != nil {
			t.Fatal(err)
		}
		want := body[c.first : c.last+1]
		d, err := down.DownloadJob(t.Context(), "v", job.ID, path)
		if err != nil || d.Verified != c.verified || d.Size != int64(len(want)) || d.TreeHash != treeOf(t, want) {
			t.Errorf("%d-%d: %+v, %v", c.first, c.last, d, err)
		}
		wantFile(t, path, want)
	}
}

// TestInventory fetches what has no tree hash.
func TestInventory(t *testing.T) {
	r := start(t, 1)
	id := r.store(t, []byte("x"))
	out, err := r.client.InitiateJob(t.Context(), "v", glacier.JobParameters{Type: glacier.InventoryRetrieval})
	if err != nil {
		t.Fatal(err)
	}
	down := transfer.Downloader{Client: r.client}.Hurry()
	var w bytes.Buffer
	d, err := down.DownloadTo(t.Context(), "v", out.JobID, &w)
	if err != nil || d.Verified || d.Size != int64(w.Len()) || !json.Valid(w.Bytes()) || !strings.Contains(w.String(), id) {
		t.Errorf("%+v, %v: %s", d, err, w.String())
	}
	path := filepath.Join(t.TempDir(), "f")
	if _, err := down.DownloadJob(t.Context(), "v", out.JobID, path); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, w.Bytes())
	r.wire.harm = func(op string, _ int, _ *http.Request) fault {
		if op == "output" {
			return fault{cutDown: 50}
		}
		return fault{}
	}
	if _, err := down.DownloadTo(t.Context(), "v", out.JobID, io.Discard); !errors.Is(err, errCut) {
		t.Errorf("a short inventory: %v", err)
	}
}

// TestExpired takes another job when the one expires while its output is fetched, and keeps what is there.
func TestExpired(t *testing.T) {
	r := start(t, 1)
	body := data(4 * mib)
	id := r.store(t, body)
	path := filepath.Join(t.TempDir(), "f")
	down := transfer.Downloader{Client: r.client, RangeSize: mib, Concurrency: 1}.Hurry()
	var passed atomic.Bool
	r.wire.harm = func(op string, _ int, req *http.Request) fault {
		if op == "output" && strings.HasPrefix(req.Header.Get("Range"), "bytes=2097152-") && !passed.Swap(true) {
			r.Advance(25 * time.Hour)
		}
		return fault{}
	}
	d, err := down.Download(t.Context(), "v", id, path)
	if err != nil || d.Reused != 2*mib || r.wire.requests("job") != 2 {
		t.Fatalf("%+v after %d jobs, %v", d, r.wire.requests("job"), err)
	}
	wantFile(t, path, body)
	r.Advance(25 * time.Hour)
	if _, err := down.DownloadJob(t.Context(), "v", d.JobID, path); !errors.Is(err, glacier.ErrNotFound) {
		t.Errorf("a job that has expired: %v", err)
	}
}

// TestFailedJob says why a job has failed.
func TestFailedJob(t *testing.T) {
	r := start(t, 1, moraintest.Emulate)
	id := r.store(t, []byte("x"))
	out, err := r.client.InitiateJob(t.Context(), "v", glacier.JobParameters{Type: glacier.ArchiveRetrieval, ArchiveID: id})
	if err == nil {
		_, err = r.client.DeleteArchive(t.Context(), "v", id)
	}
	if err != nil {
		t.Fatal(err)
	}
	down := transfer.Downloader{Client: r.client}.Hurry()
	_, err = down.Wait(t.Context(), "v", out.JobID)
	f, ok := errors.AsType[*transfer.JobFailedError](err)
	if !ok || f.Job.ID != out.JobID || !strings.Contains(err.Error(), "not found") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	id = r.store(t, []byte("x"))
	path := filepath.Join(t.TempDir(), "f")
	_, err = down.Download(ctx, "v", id, path) // takes hours
	if i, ok := errors.AsType[*transfer.InterruptedError](err); !ok || i.JobID == "" || i.Total != -1 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(path + ".moraine-part"); err == nil {
		t.Error("an empty partial file is left")
	}
}

// failingWriter fails after some bytes.
type failingWriter struct{ left int }

func (w *failingWriter) Write(p []byte) (int, error) {
	n := min(len(p), w.left)
	if w.left -= n; n < len(p) {
		return n, io.ErrShortBuffer
	}
	return n, nil
}

func TestWriterFails(t *testing.T) {
	r := start(t, 1)
	id := r.store(t, data(6*mib))
	down := transfer.Downloader{Client: r.client, RangeSize: mib, Concurrency: 2}.Hurry()
	job, err := down.Retrieve(t.Context(), "v", id, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = down.DownloadTo(t.Context(), "v", job.ID, &failingWriter{2*mib + 10})
	if i, ok := errors.AsType[*transfer.InterruptedError](err); !ok || !errors.Is(err, io.ErrShortBuffer) || i.Done != 2*mib+10 {
		t.Errorf("%v", err)
	}
}
