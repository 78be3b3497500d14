package cli_test

import (
	"bytes"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/moraintest"
)

// TestUploadKilled kills the program at random moments of an upload, and then after the service has made the archive but before anybody knows.
func TestUploadKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	program := build(t) // before the environment is another one, in which nothing is built yet
	s := moraintest.Start(t)
	k, d := vaultOf(t, s)
	const parallel = 4
	body := noise(8, 64*mib+7)
	inDirectory(t, map[string][]byte{"big.bin": body})
	path, err := filepath.Abs("big.bin")
	if err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	args := []string{"upload", "--vault", "v", "--part-size", "1MiB", "--name", "big.bin", path}
	kills := 0
	var progress atomic.Int64
	d.set(func(d *door) { d.moved = func(up, _ int64) { progress.Store(up) } })
	kill := func(when func(ended <-chan struct{})) {
		p := launch(t, program, k.environ, args...)
		when(p.ended)
		p.cmd.Process.Kill()
		<-p.ended
		kills++
	}
	for i := range 10 {
		from, enough := progress.Load(), int64(rnd.IntN(5*mib))
		kill(func(ended <-chan struct{}) {
			if i%5 == 4 { // wherever it is
				time.Sleep(time.Duration(rnd.IntN(60)) * time.Millisecond)
				return
			}
			for progress.Load() < from+enough {
				select {
				case <-ended:
					return
				case <-time.After(time.Millisecond): // another process, real time
				}
			}
		})
	}
	made := make(chan struct{})
	d.set(func(d *door) {
		d.answered = func(r *http.Response) bool {
			if r.Request.Method != "POST" || !strings.Contains(r.Request.URL.Path, "/multipart-uploads/") {
				return false
			}
			close(made)
			return true
		}
	})
	kill(func(ended <-chan struct{}) {
		select {
		case <-made:
		case <-ended:
		}
	})
	d.set(func(d *door) { d.answered = nil })
	sent := progress.Load()
	var list []uploaded
	k.json(0, &list, args...)
	if up := progress.Load(); up != sent || list[0].Reused != int64(len(body)) {
		t.Errorf("%d bytes were sent when all were there: %+v", up-sent, list[0])
	}
	if limit := int64(len(body)) + int64(kills)*parallel*mib; sent > limit {
		t.Errorf("%d bytes were sent in all, want no more than %d", sent, limit)
	}
	if n := archives(t, k); n != 1 || !bytes.Equal(s.Retrieve(t, "v", list[0].ArchiveID), body) {
		t.Errorf("there are %d archives, or other bytes", n)
	}
	var again []uploaded
	k.json(0, &again, args...)
	if again[0].ArchiveID != list[0].ArchiveID || again[0].State != "already stored" {
		t.Errorf("%+v", again[0])
	}
	t.Logf("%d kills, %d bytes sent for %d", kills, sent, len(body))
}

// TestDownloadKilled kills the program at random moments of a download.
func TestDownloadKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	program := build(t)
	s := moraintest.Start(t)
	k, d := vaultOf(t, s)
	body := noise(9, 64*mib+7)
	inDirectory(t, nil)
	path, err := filepath.Abs("big.bin")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"download", "--vault", "v", "--parallel", "2", s.Upload(t, "v", body, "big.bin"), path}
	var progress atomic.Int64
	d.set(func(d *door) { d.moved = func(_, down int64) { progress.Store(down) } })
	for range 5 {
		from, enough := progress.Load(), 8*mib+rand.Int64N(16*mib)
		p := launch(t, program, k.environ, args...)
		for ended := false; !ended && progress.Load() < from+enough; {
			select {
			case <-p.ended:
				ended = true
			case <-time.After(time.Millisecond): // another process, real time
			}
		}
		p.cmd.Process.Kill()
		<-p.ended
	}
	if _, err := os.Stat(path); err != nil {
		k.wants(0, args...)
	}
	holds(t, path, body)
	if got := progress.Load(); got > int64(len(body))+5*3*8*mib {
		t.Errorf("%d bytes came in all", got)
	}
}
