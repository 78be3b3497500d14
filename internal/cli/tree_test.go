package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// every calls a function for a command and all below it.
func every(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, sub := range cmd.Commands() {
		every(sub, visit)
	}
}

// words are what a command is called with.
func words(cmd *cobra.Command) []string { return strings.Fields(cmd.CommandPath())[1:] }

// TestEveryCommandHasAScript holds that every command has a script of its name, which is about what a script and a person have to know of it.
func TestEveryCommandHasAScript(t *testing.T) {
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	every(rootCommand(Process{}), func(cmd *cobra.Command) {
		if cmd.HasParent() && cmd.HasSubCommands() {
			return // all are alike: TestGroups
		}
		path := cmd.CommandPath()
		name := filepath.Join("testdata", "script", strings.Join(strings.Fields(path), "_")+".txtar")
		name = strings.Replace(name, "moraine_", "", 1)
		text, err := os.ReadFile(name)
		if err != nil {
			t.Errorf("%s has no script: %v", path, err)
			return
		}
		scripts = slices.DeleteFunc(scripts, func(s string) bool { return s == name })
		about := []string{"exec " + path, "exec " + path + " --help\n", "exits 2 " + path}
		if cmd.Flags().Lookup("json") != nil {
			about = append(about, " --json")
		}
		for _, line := range about {
			if !strings.Contains(string(text), line) {
				t.Errorf("%s has no line with %q", name, line)
			}
		}
	})
	if len(scripts) > 0 {
		t.Errorf("there is no command for %q", scripts)
	}
}

// TestEveryCommandIsExplained holds that help says of every command what it is for, how it is used, and gives an example.
func TestEveryCommandIsExplained(t *testing.T) {
	every(rootCommand(Process{}), func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		code, stdout, stderr := inPipe(append(words(cmd), "--help")...)
		if code != 0 || stderr != "" || !strings.Contains(stdout, "Usage:\n  "+path) {
			t.Errorf("%s --help: exit code %d, standard output %q, standard error %q", path, code, stdout, stderr)
		}
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: the short help is %q", path, cmd.Short)
		}
		ours := !strings.HasPrefix(path, "moraine completion") // whose long help has lines to paste
		if !cmd.HasSubCommands() && ours && !strings.Contains(cmd.Example, path) {
			t.Errorf("%s has no example: %q", path, cmd.Example)
		}
		if json := cmd.Flags().Lookup("json"); json == nil && !cmd.HasSubCommands() && ours && !slices.Contains([]string{"serve", "help"}, cmd.Name()) {
			t.Errorf("%s has no --json", path)
		}
	})
}

// TestGroups holds that a command which only has others below it lists them, and says so if there is none of a name.
func TestGroups(t *testing.T) {
	every(rootCommand(Process{}), func(cmd *cobra.Command) {
		if !cmd.HasSubCommands() {
			return
		}
		path := cmd.CommandPath()
		code, stdout, stderr := inPipe(words(cmd)...)
		for _, sub := range cmd.Commands() {
			if code != 0 || stderr != "" || !strings.Contains(stdout, "\n  "+sub.Name()+" ") {
				t.Errorf("%s: exit code %d, standard error %q; %s is not in %q", path, code, stderr, sub.Name(), stdout)
			}
		}
		for _, args := range [][]string{append(words(cmd), "nonsense"), append(append([]string{"help"}, words(cmd)...), "nonsense")} {
			code, stdout, stderr := inPipe(args...)
			if code != 2 || stdout != "" || stderr != "moraine: there is no command \""+path+" nonsense\"\nRun `"+path+" --help` to see how it is used.\n" {
				t.Errorf("moraine %q: exit code %d, standard output %q, standard error %q", args, code, stdout, stderr)
			}
		}
	})
}

// inPipe runs a command that needs nothing.
func inPipe(args ...string) (code int, stdout, stderr string) {
	var out, talk bytes.Buffer
	code = Run(context.Background(), Process{Args: args, Stdout: &out, Stderr: &talk})
	return code, out.String(), talk.String()
}
