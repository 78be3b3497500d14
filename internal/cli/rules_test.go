package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
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
	k := &keeper{T: t}
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": s.Key.ID, "AWS_SECRET_ACCESS_KEY": s.Key.Secret, "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_REGION": s.Region,
		"AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "MORAINE_ENDPOINT": s.Endpoint, "XDG_CACHE_HOME": t.TempDir(),
	} {
		t.Setenv(name, value)
		k.environ = append(k.environ, name+"="+value)
	}
	return k
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

// file writes a file and returns its path.
func (k *keeper) file(text string) string {
	k.Helper()
	path := filepath.Join(k.TempDir(), "document.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		k.Fatal(err)
	}
	return path
}

const (
	keepAYear = `{"Version":"2012-10-17","Statement":[{"Sid":"keep","Effect":"Deny","Principal":"*","Action":"glacier:DeleteArchive",` +
		`"Resource":"arn:aws:glacier:us-east-1:123456789012:vaults/v","Condition":{"NumericLessThan":{"glacier:ArchiveAgeInDays":"365"}}}]}`
	letRead = `{"Version":"2012-10-17","Statement":[{"Sid":"read","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":"glacier:InitiateJob",` +
		`"Resource":"arn:aws:glacier:us-east-1:123456789012:vaults/v"}]}`
)

func TestAccessPolicyCommands(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	k := keeperOf(t, s)
	k.says(10, "policy show --vault v", "ResourceNotFoundException")
	k.says(10, "policy show --vault none")
	k.says(2, "policy show", "--vault is missing")
	k.says(2, "policy set --vault v", "FILE is missing")
	k.says(1, "policy set --vault v "+k.file(`{"a":`), "is not JSON")
	k.says(1, "policy set --vault v /nonexistent/file", "/nonexistent/file")
	k.says(0, "policy set --vault v "+k.file(letRead), "The vault v has the access policy of")
	if got, _ := k.wants(0, "policy", "show", "--vault", "v"); strings.TrimSpace(got) != letRead {
		t.Errorf("the policy is shown as %s, want %s", got, letRead)
	}
	var shown struct {
		Vault  string
		Policy struct{ Statement []struct{ Sid string } }
	}
	k.json(0, &shown, "policy", "show", "--vault", "v")
	if shown.Vault != "v" || len(shown.Policy.Statement) != 1 || shown.Policy.Statement[0].Sid != "read" {
		t.Errorf("with --json the policy is %+v", shown)
	}
	var out, talk bytes.Buffer
	if code := cli.Run(t.Context(), cli.Process{Args: []string{"policy", "set", "--vault", "v", "-", "--json"}, Environ: k.environ, Stdin: strings.NewReader(letRead), Stdout: &out, Stderr: &talk}); code != 0 {
		t.Errorf("from standard input: exit code %d: %s", code, &talk)
	}
	k.says(0, "policy remove --vault v", "has no access policy")
	k.says(10, "policy show --vault v")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	k.says(11, "policy show --vault v", "AWS_SECRET_ACCESS_KEY")
	k.says(12, "policy show --vault v --endpoint http://127.0.0.1:1", "Is there a server")
}

func TestLockCommands(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	k := keeperOf(t, s)
	policy := k.file(keepAYear)
	k.says(10, "lock show --vault v")
	k.says(0, "lock initiate --vault v "+policy, "lock id: ", "until 20", "moraine lock complete --vault v ")
	k.says(0, "lock show --vault v", "state:    InProgress", "expires:  20", `"Sid":"keep"`)
	k.says(0, "lock abort --vault v", "has no lock")
	k.says(10, "lock show --vault v")
	var begun struct {
		LockID  string `json:"lock_id"`
		Expires string `json:"expires_at"`
	}
	k.json(0, &begun, "lock", "initiate", "--vault", "v", policy)
	if begun.LockID == "" || begun.Expires == "" {
		t.Fatalf("the lock is %+v", begun)
	}
	k.says(2, "lock complete --vault v "+begun.LockID, "for ever", "--yes")
	k.says(0, "lock complete --vault v "+begun.LockID+" --yes", "locked, for ever")
	var shown struct {
		State   string
		Expires *string `json:"expires_at"`
		Policy  struct{ Statement []any }
	}
	k.json(0, &shown, "lock", "show", "--vault", "v")
	if shown.State != "Locked" || shown.Expires != nil || len(shown.Policy.Statement) != 1 {
		t.Errorf("the lock is shown as %+v", shown)
	}
	k.says(11, "lock abort --vault v")
	k.says(2, "lock complete --vault v", "LOCK-ID is missing")
}

func TestTagCommands(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	k := keeperOf(t, s)
	k.says(2, "tag set --vault v owner", `"owner" is not like owner=ann`)
	k.says(2, "tag set --vault v", "KEY=VALUE is missing")
	k.says(0, "tag set --vault v owner=ann year=2016 empty= a=b=c", "owner=ann")
	if got, _ := k.wants(0, "tag", "list", "--vault", "v"); got != "a=b=c\nempty=\nowner=ann\nyear=2016\n" {
		t.Errorf("the tags are %q", got)
	}
	k.says(0, "tag remove --vault v owner empty nothing --json", `"removed"`)
	many := []string{"tag", "set", "--vault", "v"}
	for _, c := range "abcdefghijklmnopqrstuvwxyz" {
		many = append(many, string(c)+"=1")
	}
	k.wants(0, many...) // more than a request can have
	var tags map[string]string
	k.json(0, &tags, "tag", "list", "--vault", "v")
	if len(tags) != 27 || tags["year"] != "2016" || tags["a"] != "1" {
		t.Errorf("the tags are %v", tags)
	}
	k.says(10, "tag list --vault none")
}

func TestNotificationCommands(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	k := keeperOf(t, s)
	const topic = "arn:aws:sns:us-east-1:123456789012:archive"
	k.says(10, "notification show --vault v")
	k.says(2, "notification set --vault v", "--topic is missing")
	k.says(0, "notification set --vault v --topic "+topic+" --event ArchiveRetrievalCompleted", topic)
	k.says(0, "notification show --vault v", "topic:  "+topic, "event:  ArchiveRetrievalCompleted")
	k.says(1, "notification set --vault v --topic "+topic+" --event Nonsense", "Nonsense")
	k.says(0, "notification set --vault v --topic "+topic+" --json", `"set"`)
	var shown struct {
		Topic  string
		Events []string
	}
	k.json(0, &shown, "notification", "show", "--vault", "v")
	if shown.Topic != topic || len(shown.Events) != 2 {
		t.Errorf("the configuration is %+v", shown)
	}
	k.says(0, "notification remove --vault v", "Nobody is told")
	k.says(10, "notification show --vault v")
}

func TestRetrievalPolicyAndCapacityCommands(t *testing.T) {
	k := keeperOf(t, moraintest.Start(t))
	k.says(0, "retrieval-policy show", "None")
	for _, line := range []string{"", " --none --free-tier", " --bytes-per-hour x", " --bytes-per-hour 0", " --none --bytes-per-hour 1GiB"} {
		k.says(2, "retrieval-policy set"+line, "--bytes-per-hour")
	}
	k.says(0, "retrieval-policy set --bytes-per-hour 10GiB", "BytesPerHour 10737418240 (10 GiB)")
	var rules []struct {
		Strategy string
		Rate     int64 `json:"bytes_per_hour"`
	}
	k.json(0, &rules, "retrieval-policy", "show")
	if len(rules) != 1 || rules[0].Strategy != "BytesPerHour" || rules[0].Rate != 10<<30 {
		t.Errorf("the rules are %+v", rules)
	}
	k.says(0, "retrieval-policy set --free-tier", "FreeTier")
	k.says(0, "retrieval-policy set --none --json", `"strategy": "None"`)

	k.says(0, "capacity list --json", "[]")
	k.says(2, "capacity purchase", "costs money", "--yes")
	var unit struct{ ID string }
	k.json(0, &unit, "capacity", "purchase", "--yes")
	k.says(0, "capacity list", unit.ID, "until 20")
}
