package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moraine-archive/moraine/internal/moraintest"
)

// TestChangesAreRecorded holds the audit log against what an administrator did: what changed something is in it, without secrets; what failed, and what only reads, is not.
func TestChangesAreRecorded(t *testing.T) {
	s := moraintest.Start(t)
	admin := func(args ...string) string {
		t.Helper()
		_, stdout, _ := run([]string{"MORAINE_DATA=" + s.Data}, append([]string{"admin"}, args...)...)
		return stdout
	}
	admin("user", "add", "bob", "--no-key", "--account", "root")
	k := keyOf(t, admin("account", "add", "alice", "--json"))
	admin("account", "add", "alice")
	admin("key", "disable", k.ID, "--force")
	for _, reading := range []string{"account list", "user list", "role list", "user policy get bob --account root", "key list", "notifications list", "check", "volumes"} {
		if code, _, stderr := run([]string{"MORAINE_DATA=" + s.Data}, append([]string{"admin"}, strings.Fields(reading)...)...); code != 0 {
			t.Errorf("%s: exit code %d: %s", reading, code, stderr)
		}
	}
	b, err := os.ReadFile(filepath.Join(s.Data, "audit.log"))
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for line := range strings.Lines(string(b)) {
		var e struct{ Address, Action, Resource string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		said = append(said, strings.Join([]string{e.Address, e.Action, e.Resource}, " "))
	}
	want := []string{"local admin:user add bob --account=root --no-key=true", "local admin:account add alice --json=true", "local admin:key disable " + k.ID + " --force=true"}
	if strings.Join(said, "\n") != strings.Join(want, "\n") || strings.Contains(string(b), k.Secret) {
		t.Errorf("the audit log has\n%s\nwant\n%s\nand no secret", b, strings.Join(want, "\n"))
	}
}
