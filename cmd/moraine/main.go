// Command moraine is the archive server, its administrator's tool, and the commands for those who keep archives.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/moraine-archive/moraine/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, cli.Process{Args: os.Args[1:], Environ: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr})
	stop()
	os.Exit(code)
}
