package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/moraine-archive/moraine/internal/cli"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

// run runs a command in this process.
func run(environ []string, args ...string) (code int, stdout, stderr string) {
	var out, talk bytes.Buffer
	code = cli.Run(context.Background(), cli.Process{Args: args, Environ: environ, Stdout: &out, Stderr: &talk})
	return code, out.String(), talk.String()
}

// write writes a file in a temporary directory and returns its path.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "moraine.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestUsage is about command lines and settings that cannot be: they exit with 2 and name what is wrong.
func TestUsage(t *testing.T) {
	key := "MORAINE_ROOT_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE"
	tests := []struct {
		args    string
		environ []string
		file    string // of --config; appended to args
		want    string // on standard error
	}{
		{args: "nonsense", want: `there is no command "moraine nonsense"`},
		{args: "admin nonsense", want: `there is no command "moraine admin nonsense"`},
		{args: "admin account nonsense", want: `there is no command "moraine admin account nonsense"`},
		{args: "--nonsense", want: "--nonsense"},
		{args: "serve --nonsense", want: "--nonsense"},
		{args: "serve here", want: `"here" is one argument too many`},
		{args: "serve --listen 2012", want: `listen: "2012" is not an address`},
		{args: "serve --admin-listen localhost", want: `admin-listen: "localhost" is not an address`},
		{args: "serve --data=", want: "data: a directory is needed"},
		{args: "serve --region=", want: "region: a name is needed"},
		{args: "serve --emulate s3", want: `emulate: "s3" is not known`},
		{args: "serve --clock", want: "clock: only together with emulate"},
		{args: "serve --clock=maybe", want: "maybe"},
		{args: "serve --tls-cert cert.pem", want: "tls-cert and tls-key: both are needed"},
		{args: "serve --log-format xml", want: `log-format: "xml" is neither`},
		{args: "serve --catalogue mysql:db", want: `catalogue: "mysql:db"`},
		{args: "serve --store tape:1", want: `store: "tape:1"`},
		{args: "serve --page x", want: `"x"`},
		{args: "serve --page -1", want: "page: -1 is negative"},
		{args: "serve --job-expiry 1", want: `"1"`},
		{args: "serve --job-expiry -1h", want: "job-expiry: -1h0m0s is negative"},
		{args: "serve --stall-timeout 0s", want: "stall-timeout: 0s is not positive"},
		{args: "serve --standard-time 5h-3h", want: `standard-time: "5h-3h" is not a range`},
		{args: "serve --listen 1 --emulate 2", want: "emulate"}, // everything that is wrong is said at once
		{args: "serve", environ: []string{"MORAINE_LISTEN=2012"}, want: `listen: "2012"`},
		{args: "serve", environ: []string{"MORAINE_LISTNE=127.0.0.1:0"}, want: "listne"},
		{args: "serve", environ: []string{"MORAINE_PAGE=x"}, want: "page"},
		{args: "serve", environ: []string{key}, want: "root-access-key-id and root-secret-access-key: both are needed"},
		{args: "serve", environ: []string{key, "MORAINE_ROOT_SECRET_ACCESS_KEY=s", "MORAINE_ROOT_ACCOUNT_ID=1"}, want: `root-account-id: "1" is not 12 digits`},
		{args: "serve --root-access-key-id x", want: "--root-access-key-id"}, // a command line can be read by others
		{args: "serve --config", file: "listne: 127.0.0.1:0\n", want: "listne"},
		{args: "serve --config", file: "listen: [\n", want: "moraine.yaml"},
		{args: "serve --config", file: "page: x\n", want: "page"},
		{args: "serve --config /nonexistent/moraine.yaml", want: "/nonexistent/moraine.yaml"},
		{args: "serve", environ: []string{"MORAINE_CONFIG=/nonexistent/moraine.yaml"}, want: "/nonexistent/moraine.yaml"},
		{args: "admin account add", want: "NAME is missing"},
		{args: "admin account add a b", want: `"b" is one argument too many`},
		{args: "admin account add a --nonsense", want: "--nonsense"},
		{args: "admin key add --account=", want: "--account"},
		{args: "admin key add --user=", want: "--user"},
		{args: "admin key disable", want: "KEY is missing"},
		{args: "admin token --user a --role b", want: "--user and --role"},
		{args: "admin token --duration 5m", want: "5m0s"},
		{args: "admin token --duration 37h", want: "37h0m0s"},
		{args: "admin token --role r", want: "--session is missing"},
		{args: "admin token --user u --session s1", want: "only a role has sessions"},
		{args: "admin user add", want: "NAME is missing"},
		{args: "admin user add a/b", want: `"a/b"`},
		{args: "admin user add a --tag team", want: `"team"`},
		{args: "admin user add a --tag k=1 --tag k=2", want: `"k=2"`},
		{args: "admin user add a --path ops", want: `"ops"`},
		{args: "admin role add a --no-key", want: "--no-key"},
		{args: "admin user policy set alice", want: "FILE is missing"},
		{args: "admin user policy remove alice", want: "--name is missing"},
		{args: "admin notifications retry", want: "ID is missing"},
		{args: "admin notifications retry a b", want: `"b" is one argument too many`},
		{args: "admin notifications retry --all a", want: `"a" and --all`},
		{args: "admin notifications list a", want: `"a" is one argument too many`},
		{args: "admin notifications retry --rate 5", want: "--rate"},
		{args: "admin key add --account 123456789012 x", want: `"x" is one argument too many`},
	}
	for _, test := range tests {
		name := strings.Join(append(test.environ, test.args, strings.TrimSpace(test.file)), " ")
		t.Run(name, func(t *testing.T) {
			args := strings.Fields(test.args)
			if test.file != "" {
				args = append(args, write(t, test.file))
			}
			t.Chdir(t.TempDir()) // a server that starts after all makes its data here
			code, stdout, stderr := run(test.environ, args...)
			if code != 2 || stdout != "" || !strings.Contains(stderr, test.want) || !strings.Contains(stderr, " --help` to see how it is used.") {
				t.Errorf("exit code %d, standard output %q, standard error %q; want 2, nothing, and %q with where to find help", code, stdout, stderr, test.want)
			}
		})
	}
}

// TestHelp holds that every command explains itself on standard output.
func TestHelp(t *testing.T) {
	for args, want := range map[string]string{
		"":                         "serve",
		"--help":                   "serve",
		"serve --help":             "--listen",
		"admin":                    "account",
		"admin account":            "add",
		"admin account add --help": "--json",
		"admin key add --help":     "--account",
		"admin user":               "policy",
		"admin user add --help":    "AmazonGlacierFullAccess",
		"admin role add --help":    "admin token",
		"admin token --help":       "credential_process",
		"admin notifications":      "retry",
		"help serve":               "MORAINE_ROOT_ACCESS_KEY_ID",
		"--version":                "moraine",
	} {
		code, stdout, stderr := run(nil, strings.Fields(args)...)
		if code != 0 || stderr != "" || !strings.Contains(stdout, want) {
			t.Errorf("moraine %s: exit code %d, standard error %q, standard output %q, which should have %q", args, code, stderr, stdout, want)
		}
	}
}

// TestAdmin makes accounts and keys beside a running server.
func TestAdmin(t *testing.T) {
	s := moraintest.Start(t)
	admin := func(code int, args ...string) string {
		t.Helper()
		got, stdout, stderr := run([]string{"MORAINE_DATA=" + s.Data}, append([]string{"admin"}, args...)...)
		if got != code || (stdout == "") == (code == 0) || (stderr == "") != (code == 0) {
			t.Fatalf("moraine admin %q: exit code %d, want %d; standard output %q, standard error %q", args, got, code, stdout, stderr)
		}
		return stdout + stderr
	}
	first := keyOf(t, admin(0, "account", "add", "alice", "--json"))
	second := keyOf(t, admin(0, "key", "add", "--account", first.Account, "--json"))
	if first.Account != second.Account || first.ID == second.ID || first.Secret == second.Secret {
		t.Errorf("the first key is of account %s with id %s, the second of %s with %s", first.Account, first.ID, second.Account, second.ID)
	}
	for _, k := range []moraintest.Key{first, second} {
		if r := s.Do(t, moraintest.Request{Method: "PUT", Path: "/" + first.Account + "/vaults/v", Key: k}); r.Status != 201 {
			t.Errorf("the key %s makes a vault: status %d, want 201: %s", k.ID, r.Status, r.Body)
		}
	}
	text := admin(0, "account", "add", "bob")
	form := regexp.MustCompile(`^account: +\d{12}\naccess key id: +[A-Z0-9]{20}\nsecret access key: +\S{40}\n$`)
	if !form.MatchString(text) {
		t.Errorf("without --json: %q is not of the form %s", text, form)
	}
	if said := admin(1, "account", "add", "alice"); !strings.Contains(said, `"alice"`) {
		t.Errorf("a name that is taken: %q does not say which", said)
	}
	if said := admin(10, "key", "add", "--account", "999999999999"); !strings.Contains(said, "999999999999") {
		t.Errorf("no such account: %q does not say which", said)
	}
	if said := admin(1, "account", "add", "carol", "--data", t.TempDir()); !strings.Contains(said, "--data") {
		t.Errorf("no server was ever started there: %q does not say what to do", said)
	}
}

// keyOf reads what the commands print with --json.
func keyOf(t *testing.T, text string) moraintest.Key {
	t.Helper()
	var doc map[string]string
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatalf("%q is not JSON: %v", text, err)
	}
	k := moraintest.Key{Account: doc["account_id"], ID: doc["access_key_id"], Secret: doc["secret_access_key"]}
	if len(doc) != 3 || len(k.Account) != 12 || len(k.ID) != 20 || len(k.Secret) != 40 {
		t.Fatalf("%v is not a key", doc)
	}
	return k
}
