// Package clienttest runs clients that other people wrote against a server: boto 2, boto3, the aws CLI and the SDK for JavaScript.
// scripts/setup-clients installs them; the tests of a client that could not be had are skipped with the reason.
package clienttest

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/cli"
	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

// asProgram is in the environment of a process that is to be the program `moraine`, not the tests: they are linked with all of it.
const asProgram = "CLIENTTEST_IS_MORAINE"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) == "" {
		os.Exit(m.Run())
	}
	environ := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, asProgram) })
	os.Exit(cli.Run(context.Background(), cli.Process{Args: os.Args[1:], Environ: environ, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}))
}

// program writes a command `moraine` for the data of a server, and returns its directory. What the scripts have in their environment is not for it.
func program(t *testing.T, s *moraintest.Server) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	settings := fmt.Sprintf("MORAINE_DATA='%s'", s.Data)
	if c := s.Config(); moraintest.OnSharedEngines() {
		settings += fmt.Sprintf(" MORAINE_CATALOGUE='%s' MORAINE_STORE='%s' AWS_ACCESS_KEY_ID='%s' AWS_SECRET_ACCESS_KEY='%s'",
			c.Catalogue, c.Store, os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"))
	}
	text := fmt.Sprintf("#!/bin/sh\nexec env -i %s=1 %s '%s' \"$@\"\n", asProgram, settings, self)
	if err := os.WriteFile(filepath.Join(dir, "moraine"), []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A client is something that setup-clients installs.
type client struct {
	name    string // as in setup-clients
	program string // that runs its scripts; @ is the directory of the clients
	scripts string // their directory below testdata
	env     []string
}

// An option changes the configuration of a script's server.
type option = func(*config.Config)

// small makes every list come in pages of two.
func small(c *config.Config) { c.VaultPage, c.Page = 2, 2 }

// few lets an account have three vaults.
func few(c *config.Config) { c.MaxVaults = 3 }

// clock lets a script set the time of a server that emulates the original.
func clock(c *config.Config) { moraintest.Emulate(c); c.Clock = true }

// limit is more than any script takes on a busy machine, and less than what makes `go test` give up.
const limit = 8 * time.Minute

// run runs every script of a client against a server of its own, some of them with an option.
func run(t *testing.T, c client, options map[string]option) {
	dir := clients(t)
	c.require(t, dir)
	for _, script := range files(t, c.scripts) {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			var chosen []option
			if o := options[script]; o != nil {
				chosen = append(chosen, o)
			}
			c.tell(t, dir, script, environment(t, dir, moraintest.Start(t, chosen...)))
		})
	}
}

// files returns the names of the files in a directory of testdata. The list is read even where the names are known: what a test
// reads itself is what tells `go test` that an earlier result no longer counts.
func files(t *testing.T, below string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join("testdata", below))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// clients returns the directory that setup-clients filled.
func clients(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("MORAINE_CLIENTS")
	if dir == "" {
		dir = filepath.Join("..", "..", ".cache", "clients")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the clients are not installed: run `make test`, or scripts/setup-clients and set MORAINE_CLIENTS: %v", err)
	}
	return dir
}

// require skips the test if the client could not be had.
func (c client) require(t *testing.T, dir string) {
	t.Helper()
	reason, err := os.ReadFile(filepath.Join(dir, c.name+".missing"))
	if err == nil {
		t.Skipf("%s is not installed: %s", c.name, reason)
	}
	if _, err := os.Stat(filepath.Join(dir, c.name+".stamp")); err != nil {
		t.Skipf("%s is not installed: scripts/setup-clients did not get so far: %v", c.name, err)
	}
}

// tell runs a script. It has to print nothing and exit with 0; otherwise it says what was not as it should be.
func (c client) tell(t *testing.T, dir, script string, env []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, strings.ReplaceAll(c.program, "@", dir), filepath.Join("testdata", c.scripts, script))
	cmd.Env = env
	for _, e := range c.env {
		cmd.Env = append(cmd.Env, strings.ReplaceAll(e, "@", dir))
	}
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("%s took longer than %s; it said:\n%s", script, limit, out)
	}
	if err != nil || len(out) > 0 {
		t.Errorf("%s: %v\n%s", script, err, out)
	}
}

// environment is all that a script gets to see. Nothing of the environment of the test is in it that could lead a client to
// another server or another key.
func environment(t *testing.T, dir string, s *moraintest.Server) []string {
	t.Helper()
	u, err := url.Parse(s.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(u.Host)
	if err != nil {
		t.Fatal(err)
	}
	other := s.AddAccount(t, "other")
	home := t.TempDir()
	return []string{
		"PATH=" + strings.Join([]string{program(t, s), filepath.Join(dir, "python", "bin"), os.Getenv("PATH")}, string(os.PathListSeparator)),
		"HOME=" + home,
		"TMPDIR=" + home,
		"MORAINE_ENDPOINT=" + s.Endpoint,
		"MORAINE_ADMIN_ENDPOINT=" + s.AdminEndpoint,
		"MORAINE_HOST=" + host,
		"MORAINE_PORT=" + port,
		"MORAINE_ACCOUNT=" + s.Key.Account,
		"MORAINE_OTHER_ACCOUNT=" + other.Account,
		"MORAINE_OTHER_KEY_ID=" + other.ID,
		"MORAINE_OTHER_SECRET=" + other.Secret,
		"AWS_ACCESS_KEY_ID=" + s.Key.ID,
		"AWS_SECRET_ACCESS_KEY=" + s.Key.Secret,
		"AWS_DEFAULT_REGION=" + s.Region,
		"AWS_REGION=" + s.Region,
		"AWS_EC2_METADATA_DISABLED=true",
		"AWS_PAGER=",
	}
}

// python is the environment of scripts in Python: the modules in testdata/python are known, nothing is written beside them, and
// warnings about old code are not for us.
func python(t *testing.T) []string {
	t.Helper()
	files(t, "python")
	return []string{"PYTHONPATH=" + filepath.Join("testdata", "python"), "PYTHONDONTWRITEBYTECODE=1", "PYTHONWARNINGS=ignore"}
}
