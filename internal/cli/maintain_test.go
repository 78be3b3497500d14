package cli_test

import (
	"context"
	"strings"
	"testing"

	"github.com/moraine-archive/moraine/internal/cli"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

// TestMaintenanceStopped interrupts a command.
func TestMaintenanceStopped(t *testing.T) {
	s := moraintest.Start(t)
	s.Stop(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, talk strings.Builder
	code := cli.Run(ctx, cli.Process{Args: []string{"admin", "scrub", "--data", s.Data}, Stdout: &out, Stderr: &talk})
	if code != 130 || out.String() != "" {
		t.Errorf("exit code %d, %s, %s", code, &out, &talk)
	}
}
