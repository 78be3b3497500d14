package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// uploads is how long our command line takes for a file, and the aws CLI for the same file to an S3 server on the same disk.
type uploads struct {
	Bytes int64 `json:"bytes"`
	// Medians of the rounds. Times are of the whole command; CPU is that of the client.
	Moraine    float64 `json:"moraine_upload_seconds"`
	S3         float64 `json:"aws_s3_cp_seconds"`
	MoraineCPU float64 `json:"moraine_upload_cpu_seconds"`
	S3CPU      float64 `json:"aws_s3_cp_cpu_seconds"`
	// Ratio is how much longer aws s3 cp takes; CPURatio is how much more CPU.
	Ratio    float64 `json:"ratio"`
	CPURatio float64 `json:"cpu_ratio"`
}

// taken is one run of a client.
type taken struct{ elapsed, cpu time.Duration }

// measureUpload uploads a file by both, in turns, to servers that run side by side.
func (b *bench) measureUpload(ctx context.Context, size int64, stdout io.Writer) (err error) {
	aws, err := exec.LookPath("aws")
	if err != nil {
		return fmt.Errorf("--upload compares with the aws CLI: %w", err)
	}
	gateway, err := exec.LookPath("versitygw")
	if err != nil {
		return fmt.Errorf("--upload compares with an S3 server, versitygw (go install github.com/versity/versitygw/cmd/versitygw@v1.8.0): %w", err)
	}
	file := filepath.Join(b.dir, "file")
	if err := writeRandom(file, size); err != nil {
		return err
	}
	ours, err := startServer(b.binary, filepath.Join(b.dir, "data"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ours.stop()) }()
	theirs, err := startGateway(ctx, gateway, filepath.Join(b.dir, "s3"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, theirs.stop()) }()
	env := append(os.Environ(), "AWS_ACCESS_KEY_ID="+keyID, "AWS_SECRET_ACCESS_KEY="+secret, "AWS_REGION="+region, "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
		"XDG_CACHE_HOME="+filepath.Join(b.dir, "cache"), "AWS_EC2_METADATA_DISABLED=true")
	run := func(name string, args ...string) (taken, error) { return runClient(ctx, env, name, args...) }
	if _, err := run(b.binary, "vault", "create", "v", "--endpoint", ours.endpoint); err != nil {
		return err
	}
	if _, err := run(aws, "--endpoint-url", theirs.endpoint, "s3", "mb", "s3://bucket"); err != nil {
		return err
	}
	var moraine, s3 []taken
	for i := range b.rounds {
		fmt.Fprintf(b.progress, "round %d of %d\n", i+1, b.rounds)
		turns := []func() error{
			func() error {
				t, err := run(b.binary, "upload", "--vault", "v", "--endpoint", ours.endpoint, "--description", fmt.Sprint(i), file)
				moraine = append(moraine, t)
				return err
			},
			func() error {
				t, err := run(aws, "--endpoint-url", theirs.endpoint, "s3", "cp", "--quiet", file, fmt.Sprintf("s3://bucket/%d", i))
				s3 = append(s3, t)
				return err
			},
		}
		if i%2 == 1 {
			slices.Reverse(turns)
		}
		for _, turn := range turns {
			if err := turn(); err != nil {
				return err
			}
		}
	}
	return json.NewEncoder(stdout).Encode(compareUploads(size, moraine, s3))
}

func compareUploads(size int64, moraine, s3 []taken) uploads {
	middle := func(list []taken, of func(taken) time.Duration) float64 {
		var values []time.Duration
		for _, t := range list {
			values = append(values, of(t))
		}
		slices.Sort(values)
		return values[len(values)/2].Seconds()
	}
	elapsed, cpu := func(t taken) time.Duration { return t.elapsed }, func(t taken) time.Duration { return t.cpu }
	u := uploads{Bytes: size, Moraine: middle(moraine, elapsed), S3: middle(s3, elapsed), MoraineCPU: middle(moraine, cpu), S3CPU: middle(s3, cpu)}
	u.Ratio, u.CPURatio = u.S3/u.Moraine, u.S3CPU/u.MoraineCPU
	return u
}

// runClient runs a program and returns what it took.
func runClient(ctx context.Context, env []string, name string, args ...string) (taken, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = env
	began := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return taken{}, fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return taken{time.Since(began), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}, nil
}

// writeRandom makes a file of random bytes, on the disk.
func writeRandom(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, rand.Reader, size)
	return errors.Join(err, f.Sync(), f.Close())
}

// gateway is an S3 server that keeps objects as files.
type gateway struct {
	endpoint string
	cmd      *exec.Cmd
}

func startGateway(ctx context.Context, program, dir string, settings ...string) (*gateway, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	at, err := freeAddress()
	if err != nil {
		return nil, err
	}
	g := &gateway{endpoint: "http://" + at, cmd: exec.Command(program, append(settings, "--quiet", "--port", at, "posix", dir)...)}
	g.cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+keyID, "ROOT_SECRET_KEY="+secret)
	if err := g.cmd.Start(); err != nil {
		return nil, err
	}
	for ctx.Err() == nil {
		if c, err := net.DialTimeout("tcp", at, time.Second); err == nil {
			return g, c.Close()
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil, errors.Join(ctx.Err(), g.stop())
}

// freeAddress returns an address on which nobody listens.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (g *gateway) stop() error {
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	var exited *exec.ExitError
	if err := g.cmd.Wait(); !errors.As(err, &exited) { // by the signal
		return err
	}
	return nil
}
