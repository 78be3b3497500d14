package cli_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/moraintest"
)

// makes reports whether a request makes an archive.
func makes(r *http.Request) bool {
	return r.Method == "POST" && (strings.HasSuffix(r.URL.Path, "/archives") || strings.Contains(r.URL.Path, "/multipart-uploads/"))
}

// TestSyncCarriedOutLate kills a sync whose request to make an archive is still under way, and has the service carry that out after the next run has come to its end.
func TestSyncCarriedOutLate(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	s.Upload(t, "v", []byte("other"), "other") // so that there is an inventory
	direct := s.Endpoint
	var isHeld atomic.Bool
	underWay, goOn, carriedOut := make(chan bool), make(chan bool), make(chan int, 1)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		late := makes(r) && isHeld.CompareAndSwap(false, true)
		if late {
			close(underWay)
			<-goOn
		}
		forward, err := http.NewRequest(r.Method, direct+r.URL.RequestURI(), bytes.NewReader(body)) // also if nobody waits for the answer any more
		if err != nil {
			t.Error(err)
			return
		}
		forward.Header, forward.Host = r.Header.Clone(), r.Host
		res, err := http.DefaultClient.Do(forward)
		if err != nil {
			t.Error(err)
			return
		}
		defer res.Body.Close()
		if late {
			carriedOut <- res.StatusCode
		}
		for name, values := range res.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(res.StatusCode)
		io.Copy(w, res.Body)
	}))
	defer front.Close()
	release := sync.OnceFunc(func() { close(goOn) })
	defer release()
	s.Endpoint = front.URL
	k := keeperOf(t, s)
	dir := t.TempDir()
	put(t, filepath.Join(dir, "a"), "contents")
	program, err := exec.LookPath("moraine") // that of TestMain
	if err != nil {
		t.Fatal(err)
	}
	p := launch(t, program, k.environ, "sync", dir, "v", "--inventory")
	select {
	case <-underWay:
	case <-p.ended:
		t.Fatal("no archive is made")
	}
	p.cmd.Process.Kill()
	<-p.ended
	k.sync(0, "+1 ~0 -0 =0 skipped 0 failed 0", dir, "v", "--inventory")
	release()
	select {
	case status := <-carriedOut:
		t.Logf("the late request was answered with %d", status)
	case <-time.After(time.Minute):
		t.Fatal("the late request is not carried out")
	}
	k.sync(0, "+0 ~0 -0 =1 skipped 0 failed 0", dir, "v", "--inventory")
	if n := held(t, s); n != 2 {
		t.Errorf("the vault has %d archives, want 2: the other and that of the file", n)
	}
}

// TestSyncFirstIsLost loses the request that would have made the first archive of a vault, of which there is no inventory that could tell.
func TestSyncFirstIsLost(t *testing.T) {
	for _, again := range [][]string{nil, {"--inventory"}} {
		s := moraintest.Start(t)
		k, d := vaultOf(t, s)
		dir := t.TempDir()
		put(t, filepath.Join(dir, "a"), "contents")
		d.set(func(d *door) { d.arrived = makes })
		k.says(3, "sync "+dir+" v", "moraine sync "+dir+" v")
		d.set(func(d *door) { d.arrived = nil })
		k.sync(0, "+1 ~0 -0 =0 skipped 0 failed 0", append([]string{dir, "v"}, again...)...)
		k.sync(0, "+0 ~0 -0 =1 skipped 0 failed 0", dir, "v")
		if n := held(t, s); n != 1 {
			t.Errorf("the vault has %d archives, want 1", n)
		}
	}
}

// TestSyncForgetsItsUpload stores a file again after its archive was deleted, though the upload that had made the archive was never seen to end.
func TestSyncForgetsItsUpload(t *testing.T) {
	s := moraintest.Start(t)
	k, d := vaultOf(t, s)
	dir := t.TempDir()
	file := filepath.Join(dir, "a")
	put(t, file, "contents")
	put(t, filepath.Join(dir, "b"), "other contents")
	d.set(func(d *door) { d.answered = func(r *http.Response) bool { return makes(r.Request) } })
	k.wants(3, "sync", dir, "v")
	d.set(func(d *door) { d.answered = nil })
	k.sync(0, "+0 ~0 -0 =2 skipped 0 failed 0", dir, "v", "--inventory")
	if err := os.Rename(file, dir+".aside"); err != nil {
		t.Fatal(err)
	}
	k.sync(0, "+0 ~0 -1 =1 skipped 0 failed 0", dir, "v", "--delete")
	if err := os.Rename(dir+".aside", file); err != nil {
		t.Fatal(err)
	}
	k.sync(0, "+1 ~0 -0 =1 skipped 0 failed 0", dir, "v")
	if n := held(t, s); n != 2 {
		t.Errorf("the vault has %d archives, want 2", n)
	}
}

// TestSyncUncertain makes no second archive when the service has forgotten an upload whose completion it never answered, and says what will tell.
func TestSyncUncertain(t *testing.T) {
	s := moraintest.Start(t)
	k, d := vaultOf(t, s)
	dir := t.TempDir()
	put(t, filepath.Join(dir, "a"), "contents")
	d.set(func(d *door) { d.answered = func(r *http.Response) bool { return makes(r.Request) } })
	k.wants(3, "sync", dir, "v")
	d.set(func(d *door) { d.answered = nil })
	s.Advance(26 * time.Hour) // it is remembered for a day
	k.says(3, "sync "+dir+" v", "a new inventory will tell", "moraine sync "+dir+" v --inventory")
	k.sync(0, "+0 ~0 -0 =1 skipped 0 failed 0", dir, "v", "--inventory")
	if n := held(t, s); n != 1 {
		t.Errorf("the vault has %d archives, want 1", n)
	}
}
