package daemon_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// TestMemory uploads four archives of 1 GiB at once, each in a single request, then downloads them at once. The server holds a few MiB for
// each, whatever their size.
func TestMemory(t *testing.T) {
	const archives, most = 4, 150 << 20
	needDisk(t)
	p := startProcess(t)
	c := &patternClient{endpoint: p.endpoint}
	c.hash()
	if _, err := c.send(t.Context(), "PUT", "/-/vaults/memory", nil, 201); err != nil {
		t.Fatal(err)
	}
	atRest := p.peak(t)
	jobs := make([]string, archives)
	err := atATime(archives, archives, func(i int) (err error) {
		jobs[i], err = c.upload(t.Context())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	uploaded := p.peak(t)
	if err := atATime(archives, archives, func(i int) error { return c.download(t.Context(), jobs[i]) }); err != nil {
		t.Fatal(err)
	}
	downloaded := p.peak(t)
	t.Logf("peak resident size: %d MiB at rest, %d MiB after %d uploads of 1 GiB at once, %d MiB after as many downloads",
		atRest>>20, uploaded>>20, archives, downloaded>>20)
	if downloaded > most {
		t.Errorf("the server's peak resident size is %d MiB, more than %d MiB", downloaded>>20, most>>20)
	}
}

// process is the server's real binary at work.
type process struct {
	endpoint string
	cmd      *exec.Cmd
}

// The first key of the process.
const (
	processKeyID  = "AKIAIOSFODNN7EXAMPLE"
	processSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

// startProcess builds the binary and starts it on an empty directory. It is stopped, in an orderly way, when the test ends.
func startProcess(t *testing.T) *process {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "moraine")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/moraine-archive/moraine/cmd/moraine").CombinedOutput(); err != nil {
		t.Fatalf("build the server: %v\n%s", err, out)
	}
	p := &process{cmd: exec.Command(binary, "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data", filepath.Join(dir, "data"))}
	// Nothing of the environment of the tests: what is meant for them, like MORAINE_CLIENTS, is no setting of the server.
	p.cmd.Env = []string{"MORAINE_ROOT_ACCESS_KEY_ID=" + processKeyID, "MORAINE_ROOT_SECRET_ACCESS_KEY=" + processSecret}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p.cmd.Stderr = log
	greeting, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.stop(t) })
	line, err := bufio.NewReader(greeting).ReadString('\n') // the rest of it fits into the pipe
	m := regexp.MustCompile(`API at (http://\S+)`).FindStringSubmatch(line)
	if m == nil {
		text, _ := os.ReadFile(log.Name())
		t.Fatalf("the server did not say where it listens, but %q (%v)\n%s", line, err, text)
	}
	p.endpoint = m[1]
	return p
}

func (p *process) stop(t *testing.T) {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	kill := time.AfterFunc(40*time.Second, func() { p.cmd.Process.Kill() })
	defer kill.Stop()
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the server did not stop well: %v", err)
	}
}

// peak returns the largest resident size so far, in bytes.
func (p *process) peak(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("/proc/PID/status has no VmHWM:\n%s", text)
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n << 10
}

// patternClient uploads and downloads an archive of 1 GiB that repeats one leaf, so that it costs the machine next to nothing.
type patternClient struct {
	endpoint     string
	leaf         []byte
	linear, tree string
}

const patternLeaves = 1 << 10

func (c *patternClient) hash() {
	c.leaf = make([]byte, 1<<20)
	newNoise(1, 0, 1<<20-1).Read(c.leaf)
	linear := sha256.New()
	leaves := make([][32]byte, patternLeaves)
	for i := range leaves {
		linear.Write(c.leaf)
		leaves[i] = sha256.Sum256(c.leaf)
	}
	c.linear, c.tree = hex.EncodeToString(linear.Sum(nil)), treeOf(leaves)
}

// reader returns the archive.
func (c *patternClient) reader() io.Reader {
	leaves := make([]io.Reader, patternLeaves)
	for i := range leaves {
		leaves[i] = bytes.NewReader(c.leaf)
	}
	return io.MultiReader(leaves...)
}

// send sends a request with a small body and returns the headers and the body of the answer.
func (c *patternClient) send(ctx context.Context, method, path string, body []byte, status int) (*answer, error) {
	sum := sha256.Sum256(body)
	req, err := http.NewRequestWithContext(ctx, method, c.endpoint+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	res, err := c.do(req, hex.EncodeToString(sum[:]), status)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return &answer{res.Header, string(text)}, err
}

type answer struct {
	header http.Header
	body   string
}

// do signs and sends a request. The caller closes the body of the answer.
func (c *patternClient) do(req *http.Request, hash string, status int) (*http.Response, error) {
	req.Header.Set("x-amz-glacier-version", "2012-06-01")
	key := aws.Credentials{AccessKeyID: processKeyID, SecretAccessKey: processSecret}
	if err := v4.NewSigner().SignHTTP(req.Context(), key, req, hash, "glacier", "us-east-1", time.Now()); err != nil {
		return nil, err
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != status {
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		return nil, fmt.Errorf("%s %s: status %d, want %d: %s", req.Method, req.URL.Path, res.StatusCode, status, text)
	}
	return res, nil
}

// upload uploads the archive and returns a job that retrieves it.
func (c *patternClient) upload(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, "POST", c.endpoint+"/-/vaults/memory/archives", c.reader())
	if err != nil {
		return "", err
	}
	req.ContentLength = patternLeaves << 20
	req.Header.Set("x-amz-content-sha256", c.linear)
	req.Header.Set("x-amz-sha256-tree-hash", c.tree)
	res, err := c.do(req, c.linear, 201)
	if err != nil {
		return "", err
	}
	res.Body.Close()
	parameters := fmt.Sprintf(`{"Type":"archive-retrieval","ArchiveId":"%s"}`, res.Header.Get("x-amz-archive-id"))
	job, err := c.send(ctx, "POST", "/-/vaults/memory/jobs", []byte(parameters), 202)
	if err != nil {
		return "", err
	}
	return job.header.Get("x-amz-job-id"), nil
}

// download waits for a job and compares its output with the archive.
func (c *patternClient) download(ctx context.Context, job string) error {
	path := "/-/vaults/memory/jobs/" + job
	for {
		described, err := c.send(ctx, "GET", path, nil, 200)
		if err != nil {
			return err
		}
		if strings.Contains(described.body, `"Completed":true`) {
			break
		}
		time.Sleep(10 * time.Millisecond) // the server is a process of its own and goes by real time
	}
	req, err := http.NewRequestWithContext(ctx, "GET", c.endpoint+path+"/output", nil)
	if err != nil {
		return err
	}
	res, err := c.do(req, hex.EncodeToString(sha256.New().Sum(nil)), 200)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	got := make([]byte, len(c.leaf))
	for i := range patternLeaves {
		if _, err := io.ReadFull(res.Body, got); err != nil {
			return fmt.Errorf("leaf %d of the output: %w", i, err)
		}
		if !bytes.Equal(got, c.leaf) {
			return fmt.Errorf("leaf %d of the output differs from what was uploaded", i)
		}
	}
	if n, err := res.Body.Read(got); n > 0 || !errors.Is(err, io.EOF) {
		return fmt.Errorf("after the output came %d more bytes, %v", n, err)
	}
	return nil
}
