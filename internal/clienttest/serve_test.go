package clienttest

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestPaste runs what people paste: the commands that `moraine serve` prints on its start, and those of the README.
func TestPaste(t *testing.T) {
	dir := clients(t)
	client{name: "awscli"}.require(t, dir)
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skipf("the greeting has a command for curl: %v", err)
	}
	home := filepath.Join(t.TempDir(), "it's a home")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(home, "moraine")
	if out, err := exec.Command("go", "build", "-o", program, "../../cmd/moraine").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	greeting := start(t, program, home)
	shell := func(commands string) string {
		t.Helper()
		cmd := exec.Command("bash", "-euo", "pipefail", "-c", commands)
		cmd.Dir = home
		cmd.Env = []string{"PATH=" + filepath.Join(dir, "python", "bin") + string(os.PathListSeparator) + os.Getenv("PATH"), "HOME=" + home, "AWS_PAGER="}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s\n%v\n%s", commands, err, out)
		}
		return string(out)
	}
	for _, command := range []struct{ has, says string }{
		{"/health/ready", "ready\n"},
		{" create-vault ", "/vaults/photos\""},
		{" list-vaults ", `"VaultName": "photos"`},
	} {
		line := find(t, greeting, command.has)
		if said := shell(line); !strings.Contains(said, command.says) {
			t.Errorf("%s\nsaid %q, which lacks %q", line, said, command.says)
		}
	}
	endpoint := strings.Fields(find(t, greeting, "Moraine serves "))[6]
	tour := strings.ReplaceAll(readme(t, "Five minutes with the aws CLI"), "http://127.0.0.1:2012", endpoint)
	if said := shell("head -c 3000000 /dev/urandom >2016.tar\n" + tour); !strings.Contains(said, "\nsame\n") {
		t.Errorf("the archive of the README does not come back as it was:\n%s", said)
	}
}

// start starts a server in a directory and returns what it prints until there are commands to paste. The server is stopped when the test ends.
func start(t *testing.T, program, home string) string {
	t.Helper()
	cmd := exec.Command(program, "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
	cmd.Dir, cmd.Env = home, []string{}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(30*time.Second, func() { cmd.Process.Kill() })
		defer kill.Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server did not stop well: %v", err)
		}
	})
	var greeting strings.Builder
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		greeting.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), " list-vaults ") {
			return greeting.String()
		}
	}
	t.Fatalf("the server ended after it had said %q", greeting.String())
	return ""
}

// find returns the line of a text that has something in it.
func find(t *testing.T, text, part string) string {
	t.Helper()
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			return strings.TrimSpace(line)
		}
	}
	t.Fatalf("%q has no line with %q", text, part)
	return ""
}

// readme returns the commands of a section of the README: the lines with a prompt.
func readme(t *testing.T, section string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(b), "\n## "+section+"\n")
	if !found {
		t.Fatalf("the README has no section %q", section)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	var commands strings.Builder
	for line := range strings.Lines(text) {
		if command, ok := strings.CutPrefix(line, "    $ "); ok {
			commands.WriteString(command)
		}
	}
	return commands.String()
}
