package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/glacier/transfer"
)

// TestVictim is no test: it is the process that TestKill kills. It downloads an archive to a file, or uploads the file, with one MiB per request.
func TestVictim(t *testing.T) {
	job := strings.Fields(os.Getenv("MORAINE_TRANSFER_VICTIM"))
	if len(job) == 0 {
		t.Skip("started by TestKill")
	}
	c, err := glacier.New(context.Background(), glacier.Options{Endpoint: job[1], Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider(job[2], job[3], "")})
	if err != nil {
		t.Fatal(err)
	}
	path := job[4]
	fmt.Print(begun)
	if job[0] == "download" {
		_, err = (&transfer.Downloader{Client: c, RangeSize: mib}).Download(t.Context(), "v", job[5], path)
	} else {
		f, failed := os.Open(path)
		if failed != nil {
			t.Fatal(failed)
		}
		defer f.Close()
		_, err = (&transfer.Uploader{Client: c, PartSize: mib, Single: -1}).ResumeOrUpload(t.Context(), "v", f, 24*mib+1, "killed")
	}
	if err != nil {
		t.Fatal(err)
	}
}

// begun is what the process says when its transfer begins.
const begun = "begun"

// TestKill kills processes that upload and download, again and again at random moments, until one comes to its end.
func TestKill(t *testing.T) {
	r := start(t, 1)
	rnd := seeded(t, 0)
	body := data(24*mib + 1)
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	run := func(kind string, more ...string) (kills int) {
		t.Helper()
		for after := 30; ; after += after / 2 {
			victim := exec.Command(os.Args[0], "-test.run=^TestVictim$")
			victim.Env = append(os.Environ(), "MORAINE_TRANSFER_VICTIM="+strings.Join(append([]string{kind, r.Endpoint, r.Key.ID, r.Key.Secret, path}, more...), " "))
			out, err := victim.StdoutPipe()
			if err == nil {
				err = victim.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			io.ReadFull(out, make([]byte, len(begun)))
			timer := time.AfterFunc(time.Duration(rnd.IntN(after))*time.Millisecond, func() { victim.Process.Kill() })
			said, _ := io.ReadAll(out)
			err = victim.Wait()
			timer.Stop()
			if err == nil {
				return kills
			}
			if victim.ProcessState.Exited() {
				t.Fatalf("it has failed: %s", said)
			}
			kills++
		}
	}
	id := r.store(t, body)
	t.Logf("killed %d times while downloading", run("download", id))
	wantFile(t, path, body)
	t.Logf("killed %d times while uploading", run("upload"))
	for u, err := range r.client.MultipartUploads(t.Context(), "v") {
		if err != nil {
			t.Fatal(err)
		}
		parts := 0
		for range r.client.Parts(t.Context(), "v", u.ID) {
			parts++
		}
		if parts > 4 { // what was in flight when the first process was killed has arrived after the second has looked
			t.Errorf("an upload with %d parts is left", parts)
		}
	}
	if n := r.archives(t); n < 2 {
		t.Errorf("there are %d archives", n)
	}
}

// proxy is between clients and a server, and cuts every connection after so many bytes.
type proxy struct {
	net.Listener
	wg sync.WaitGroup
}

func startProxy(t *testing.T, target string, budget func() int64) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l}
	p.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.carry(c, target, budget()) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) carry(c net.Conn, target string, budget int64) {
	defer c.Close()
	s, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer s.Close()
	end := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{c, s}, {s, c}} {
		p.wg.Go(func() {
			io.CopyN(way[0], way[1], budget)
			end <- struct{}{}
		})
	}
	<-end
	c.(*net.TCPConn).SetLinger(0) // a reset, which throws away what is on its way
}

// TestCutConnections uploads and downloads through a proxy that cuts connections at random bytes.
func TestCutConnections(t *testing.T) {
	r := start(t, 5)
	rnd := seeded(t, 0)
	var mu sync.Mutex
	p := startProxy(t, strings.TrimPrefix(r.Endpoint, "http://"), func() int64 {
		mu.Lock()
		defer mu.Unlock()
		return 1000 + rnd.Int64N(5*mib)
	})
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c := r.connect(t, 5, func(o *glacier.Options) { o.Endpoint, o.Transport = "http://"+p.Addr().String(), transport })
	body := data(12*mib + rand.IntN(mib))
	up := transfer.Uploader{Client: c, PartSize: mib, Single: -1, Attempts: 10}.Hurry()
	var a *transfer.Archive
	var err error
	for range 20 {
		a, err = up.ResumeOrUpload(t.Context(), "v", bytes.NewReader(body), int64(len(body)), "cut")
		if _, interrupted := errors.AsType[*transfer.InterruptedError](err); !interrupted {
			break
		}
	}
	if err != nil || a.TreeHash != treeOf(t, body) {
		t.Fatalf("%+v, %v", a, err)
	}
	path := filepath.Join(t.TempDir(), "f")
	d, err := transfer.Downloader{Client: c, RangeSize: 2 * mib, Attempts: 10}.Hurry().Download(t.Context(), "v", a.ID, path)
	if err != nil || !d.Verified {
		t.Fatalf("%+v, %v", d, err)
	}
	wantFile(t, path, body)
}
