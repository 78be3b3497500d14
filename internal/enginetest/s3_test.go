package enginetest

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func TestBuckets(t *testing.T) {
	for name, open := range map[string]func(testing.TB) Bucket{"versitygw": S3, "moto": Moto, "minio": MinIO} {
		t.Run(name, func(t *testing.T) {
			first, second := open(t), open(t)
			if first.Endpoint != second.Endpoint || first.Name == second.Name {
				t.Errorf("buckets %+v and %+v: one server, two buckets are wanted", first, second)
			}
			key := "a/b"
			if _, err := first.Client().PutObject(t.Context(), &s3.PutObjectInput{Bucket: &first.Name, Key: &key, Body: strings.NewReader("hello")}); err != nil {
				t.Fatal(err)
			}
			out, err := second.Client().ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &second.Name})
			if err != nil || len(out.Contents) > 0 {
				t.Errorf("the other bucket has %d objects, %v", len(out.Contents), err)
			}
		})
	}
}

func TestMissing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(directory, dir)
	if err := os.WriteFile(filepath.Join(dir, "no-such-server.missing"), []byte("there is no Go\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := start("no-such-server", nil, nil)
	if !errors.Is(err, errMissing) || !strings.Contains(err.Error(), "there is no Go") {
		t.Errorf("error %v", err)
	}
	_, err = start("no-other-server", nil, nil)
	if !errors.Is(err, errMissing) || !strings.Contains(err.Error(), directory) {
		t.Errorf("error %v", err)
	}
}

// asVictim is in the environment of a process that starts a server and is killed.
const asVictim = "ENGINETEST_VICTIM"

func TestServerEndsWithTheProcess(t *testing.T) {
	if os.Getenv(asVictim) != "" {
		b := S3(t)
		s, _ := versitygw() // S3 has started it
		os.Stdout.WriteString("started " + strings.TrimPrefix(b.Endpoint, "http://") + " " + s.dir + "\n")
		time.Sleep(time.Hour)
	}
	S3(t) // or skip
	ctx, cancel := context.WithCancel(t.Context())
	victim := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestServerEndsWithTheProcess$")
	victim.Env = append(os.Environ(), asVictim+"=1")
	out, err := victim.StdoutPipe()
	if err == nil {
		err = victim.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 4096)
	n, err := io.ReadAtLeast(out, line, len("started 127.0.0.1:1 /x\n"))
	words := strings.Fields(string(line[:n]))
	if err != nil || len(words) != 3 {
		t.Fatalf("the process says %q, %v", line[:n], err)
	}
	cancel() // kills it
	victim.Wait()
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		c, dialled := net.Dial("tcp", words[1])
		if dialled == nil {
			c.Close()
		}
		_, there := os.Stat(words[2])
		if dialled != nil && os.IsNotExist(there) {
			return
		}
		if time.Since(begun) > 20*time.Second {
			t.Fatalf("the server is still there (%v), and its directory (%v)", dialled == nil, there == nil)
		}
	}
}
