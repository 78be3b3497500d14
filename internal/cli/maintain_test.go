package cli_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moraine-archive/moraine/internal/cli"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

// stocked is a server with a few archives, stopped.
func stocked(t *testing.T) *moraintest.Server {
	t.Helper()
	s := moraintest.Start(t)
	s.CreateVault(t, "photos")
	for _, text := range []string{"one", "two", "three"} {
		s.Upload(t, "photos", []byte(text), text)
	}
	s.Stop(t)
	return s
}

// TestMaintenance runs the commands: what they print, and their exit codes.
func TestMaintenance(t *testing.T) {
	s := stocked(t)
	for _, c := range []struct {
		args string
		code int
		want []string // on standard output
	}{
		{"check", 0, []string{"3 rows, 3 records in 1 volumes, 11 B read: 0 wrong, 0 notes"}},
		{"check --quick", 0, []string{"0 B read: 0 wrong"}},
		{"check --json", 0, []string{`"findings": []`, `"wrong": 0`, `"records": 3`}},
		{"scrub --rate 1GiB", 0, []string{"scrub 1: 1 volumes, 3 records, 11 B verified, 0 faults, finished 20"}},
		{"volumes", 0, []string{"shared", "verified 20", "scrub 1:"}},
		{"volumes --json", 0, []string{`"verified_at": "20`, `"shared": true`, `"scrub": {`}},
		{"sweep", 0, []string{"3 records: 0 removed (0 B), 0 kept"}},
		{"sweep --json", 0, []string{`"orphans": 0`}},
		{"backup", 0, []string{filepath.Join(s.Data, "volumes", "catalogue", "catalogue-20")}},
		{"backup --json", 0, []string{`"path": "` + s.Data}},
		{"compact", 0, []string{" volumes removed ("}},
		{"compact --json", 0, []string{`"moved": `}},
		{"check --rate fast", 2, nil},
		{"check it", 2, nil},
		{"rebuild", 1, nil}, // there is a catalogue
		{"rebuild --replace", 0, []string{"archives:    3 (11 B) in 1 vaults", "copy used:", "the old one:", "What could not be known:", "jobs: start them again"}},
		{"rebuild --replace --no-backup --json", 0, []string{`"archives": 3`, `"backup": null`, `"new_vaults": [`}},
		{"check", 0, []string{"0 wrong"}},
	} {
		code, stdout, stderr := run(nil, append(append([]string{"admin"}, strings.Fields(c.args)...), "--data", s.Data)...)
		if code != c.code {
			t.Errorf("%s: exit code %d, want %d: %s", c.args, code, c.code, stderr)
		}
		for _, want := range c.want {
			if !strings.Contains(stdout, want) {
				t.Errorf("%s does not print %q:\n%s", c.args, want, stdout)
			}
		}
		if strings.Contains(c.args, "--json") && !json.Valid([]byte(stdout)) {
			t.Errorf("%s does not print JSON: %s", c.args, stdout)
		}
		if code == 0 && stderr != "" {
			t.Errorf("%s talks in a pipe: %s", c.args, stderr)
		}
	}
}

// TestMaintenanceOfDamage names what is damaged, and exits with 1.
func TestMaintenanceOfDamage(t *testing.T) {
	s := stocked(t)
	files, err := filepath.Glob(filepath.Join(s.Data, "volumes", "shared", "*.vol"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%q, %v", files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	b[strings.Index(string(b), `"}two`)+3] ^= 1
	if err := os.WriteFile(files[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	name := strings.TrimSuffix(filepath.Base(files[0]), ".vol")
	for _, args := range []string{"check", "scrub", "check --json", "scrub --json"} {
		code, stdout, stderr := run(nil, append(append([]string{"admin"}, strings.Fields(args)...), "--data", s.Data)...)
		if code != 1 || !strings.Contains(stdout, name+":") || !strings.Contains(stdout, "photos") || !strings.Contains(stderr, "1 things") {
			t.Errorf("%s: exit code %d, %s, %s", args, code, stdout, stderr)
		}
	}
	if code, stdout, stderr := run(nil, "admin", "check", "--quick", "--data", s.Data); code != 0 {
		t.Errorf("check --quick: exit code %d, %s, %s", code, stdout, stderr)
	}
}

// TestMaintenanceStopped interrupts a command.
func TestMaintenanceStopped(t *testing.T) {
	s := stocked(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, talk strings.Builder
	code := cli.Run(ctx, cli.Process{Args: []string{"admin", "scrub", "--data", s.Data}, Stdout: &out, Stderr: &talk})
	if code != 130 || out.String() != "" {
		t.Errorf("exit code %d, %s, %s", code, &out, &talk)
	}
}
