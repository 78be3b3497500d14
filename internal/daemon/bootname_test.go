package daemon

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestBootName holds that a process in another time namespace, whose uptime its maker has chosen, is not taken for one of the same start of the machine.
func TestBootName(t *testing.T) {
	if os.Getenv("MORAINE_TEST_BOOT") != "" {
		os.Stdout.WriteString("boot:" + bootName() + ":boot")
		return
	}
	name := func(with ...string) string {
		t.Helper()
		cmd := exec.Command(with[0], append(with[1:], "-test.run=^TestBootName$")...)
		cmd.Env = append(os.Environ(), "MORAINE_TEST_BOOT=1")
		out, err := cmd.CombinedOutput()
		_, after, found := strings.Cut(string(out), "boot:")
		if got, _, ended := strings.Cut(after, ":boot"); found && ended {
			return got
		}
		if with[0] == "unshare" {
			t.Skipf("no time namespace can be made here: %v: %s", err, out)
		}
		t.Fatalf("%v: %s", err, out)
		return ""
	}
	here := name(os.Args[0])
	if again := name(os.Args[0]); again != here || here != bootName() {
		t.Errorf("the start of this machine is called %q, %q and %q", here, again, bootName())
	}
	if there := name("unshare", "-U", "-r", "-T", "--boottime", "315360000", os.Args[0]); there == here {
		t.Errorf("the start is called %q in another time namespace too", there)
	}
}
