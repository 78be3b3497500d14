package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/moraine-archive/moraine/internal/cli"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

// keeper runs commands for people who have vaults on a server.
type keeper struct {
	*testing.T
	environ []string
}

// keeperOf makes the environment one in which a server is known. The index is in a directory of its own.
func keeperOf(t *testing.T, s *moraintest.Server) *keeper {
	t.Helper()
	k := &keeper{T: t, environ: environOf(t, s)}
	for _, variable := range k.environ {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	return k
}

// environOf returns an environment in which a server is known.
func environOf(t *testing.T, s *moraintest.Server) []string {
	t.Helper()
	return []string{
		"AWS_ACCESS_KEY_ID=" + s.Key.ID, "AWS_SECRET_ACCESS_KEY=" + s.Key.Secret, "AWS_SESSION_TOKEN=", "AWS_PROFILE=", "AWS_REGION=" + s.Region,
		"AWS_CONFIG_FILE=/nonexistent", "AWS_SHARED_CREDENTIALS_FILE=/nonexistent", "MORAINE_ENDPOINT=" + s.Endpoint, "XDG_CACHE_HOME=" + t.TempDir(),
	}
}

// wants runs a command, which has to end with an exit code, and returns what it printed to standard output and standard error.
func (k *keeper) wants(code int, args ...string) (stdout, stderr string) {
	k.Helper()
	return k.wantsWithin(context.Background(), code, args...)
}

func (k *keeper) wantsWithin(ctx context.Context, code int, args ...string) (stdout, stderr string) {
	k.Helper()
	var out, talk bytes.Buffer
	got := cli.Run(ctx, cli.Process{Args: args, Environ: k.environ, Stdout: &out, Stderr: &talk})
	if got != code {
		k.Fatalf("moraine %q: exit code %d, want %d\nstandard output:\n%s\nstandard error:\n%s", args, got, code, &out, &talk)
	}
	return out.String(), talk.String()
}

// says runs a command that has to print texts, on whichever of the two.
func (k *keeper) says(code int, line string, texts ...string) {
	k.Helper()
	stdout, stderr := k.wants(code, strings.Fields(line)...)
	for _, text := range texts {
		if !strings.Contains(stdout+stderr, text) {
			k.Errorf("moraine %s: standard output %q, standard error %q, want %q", line, stdout, stderr, text)
		}
	}
}

// json runs a command with --json and reads what it prints.
func (k *keeper) json(code int, into any, args ...string) {
	k.Helper()
	stdout, _ := k.wants(code, append(args, "--json")...)
	if err := json.Unmarshal([]byte(stdout), into); err != nil {
		k.Fatalf("moraine %q --json: %v\n%s", args, err, stdout)
	}
}

// keepAYear is the policy of a lock for the vault v.
const keepAYear = `{"Version":"2012-10-17","Statement":[{"Sid":"keep","Effect":"Deny","Principal":"*","Action":"glacier:DeleteArchive",` +
	`"Resource":"arn:aws:glacier:us-east-1:123456789012:vaults/v","Condition":{"NumericLessThan":{"glacier:ArchiveAgeInDays":"365"}}}]}`
