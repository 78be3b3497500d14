package cli_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/cli"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

// TestNothingToRead ends commands that wait for somebody to write, when they are interrupted.
func TestNothingToRead(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	k := keeperOf(t, s)
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	defer func() { // nobody waits any more
		if f, err := os.OpenFile(pipe, os.O_RDWR, 0); err == nil {
			f.Close()
		}
	}()
	nothing, writer := io.Pipe()
	defer writer.Close()
	for _, c := range []struct {
		code int
		args []string
	}{
		{130, []string{"hash", "-"}}, {130, []string{"hash", pipe}}, {130, []string{"policy", "set", "--vault", "v", "-"}}, {130, []string{"policy", "set", "--vault", "v", pipe}},
		{130, []string{"lock", "initiate", "--vault", "v", "-"}}, {1, []string{"upload", "--vault", "v", pipe}},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		interrupted, stop := context.WithCancel(context.WithoutCancel(ctx))
		context.AfterFunc(ctx, stop)
		code := make(chan int, 1)
		go func() {
			code <- cli.Run(interrupted, cli.Process{Args: c.args, Environ: k.environ, Stdin: nothing, Stdout: new(bytes.Buffer), Stderr: new(bytes.Buffer)})
		}()
		select {
		case got := <-code:
			if got != c.code {
				t.Errorf("moraine %q: exit code %d, want %d", c.args, got, c.code)
			}
		case <-time.After(5 * time.Second):
			t.Errorf("moraine %q does not end", c.args)
		}
		cancel()
	}
}
