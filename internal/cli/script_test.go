package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/moraine-archive/moraine/internal/cli"
	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

// TestMain makes the program one that scripts can run: it is this binary, under its own name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"moraine": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		code := cli.Run(ctx, cli.Process{Args: os.Args[1:], Environ: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr})
		stop()
		os.Exit(code)
	}})
}

// TestScripts runs the commands as people and scripts do, in a pipe. Each script in testdata/script has the name of a command, and is about that command alone: what it prints, with
// --json too, its help, its exit codes and what it says about mistakes.
//
// Beside what testscript has (https://pkg.go.dev/github.com/rogpeppe/go-internal/testscript) there are
//
//	server [emulate]          start a server at $ADDRESS; the commands find it, and its data. In ~/.aws/credentials there are profiles for
//	                          the root of the account, for the user reader, who may read, and for the user nobody, who may nothing
//	stopserver                stop it in an orderly way
//	leaveupload VARIABLE VAULT DESCRIPTION
//	                          have an upload with one part of 1 MiB that is not complete, and its id in a variable
//	damage TEXT               change a byte of an archive with this text, in a volume of a server that is stopped
//	exits N COMMAND...        run a command, which has to end with this exit code
//	json PATH PATTERN         the output is one JSON document, and the pattern matches all of what it has at the path,
//	                          like 0.name; . is the document
//	jsonlen PATH N            it has an array of this length at the path
//	jsonkeys PATH NAME...     it has an object with these members at the path
//	jsonenv VARIABLE PATH     put what it has at the path into a variable
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Values[script{}] = &script{t: e.T().(testing.TB)}
			e.Setenv("HOME", e.WorkDir)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"server":      plainly(startServer),
			"stopserver":  plainly(stopServer),
			"leaveupload": plainly(leaveUpload),
			"damage":      plainly(damage),
			"exits":       plainly(exits),
			"json":        plainly(jsonMatches),
			"jsonlen":     plainly(jsonLength),
			"jsonkeys":    plainly(jsonKeys),
			"jsonenv":     plainly(jsonVariable),
		},
	})
}

// script is what a script has beside what testscript gives it.
type script struct {
	t      testing.TB
	server *moraintest.Server // nil: it has not started one
}

// plainly makes a command of a script of a function.
func plainly(run func(ts *testscript.TestScript, args []string) error) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg {
			ts.Fatalf("a ! has no meaning here")
		}
		ts.Check(run(ts, args))
	}
}

func startServer(ts *testscript.TestScript, args []string) error {
	script := ts.Value(script{}).(*script)
	t := script.t
	var options []func(*config.Config)
	if slices.Equal(args, []string{"emulate"}) {
		options = append(options, moraintest.Emulate)
	} else if len(args) > 0 {
		return errors.New("usage: server [emulate]")
	}
	s := moraintest.Start(t, options...)
	script.server = s
	ts.Setenv("ADDRESS", strings.TrimPrefix(s.Endpoint, "http://"))
	ts.Setenv("MORAINE_ENDPOINT", s.Endpoint)
	ts.Setenv("MORAINE_DATA", s.Data)
	var profiles strings.Builder
	for _, p := range []struct {
		name string
		key  moraintest.Key
	}{
		{"default", s.Key},
		{"reader", s.AddUser(t, "", "reader", "AmazonGlacierReadOnlyAccess")},
		{"nobody", s.AddUser(t, "", "nobody")},
	} {
		fmt.Fprintf(&profiles, "[%s]\naws_access_key_id = %s\naws_secret_access_key = %s\n", p.name, p.key.ID, p.key.Secret)
	}
	dir := filepath.Join(ts.Getenv("HOME"), ".aws")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "credentials"), []byte(profiles.String()), 0o600)
}

func stopServer(ts *testscript.TestScript, _ []string) error {
	script := ts.Value(script{}).(*script)
	if script.server == nil {
		return errors.New("there is no server")
	}
	script.server.Stop(script.t)
	return nil
}

func leaveUpload(ts *testscript.TestScript, args []string) error {
	if len(args) != 3 {
		return errors.New("usage: leaveupload VARIABLE VAULT DESCRIPTION")
	}
	script := ts.Value(script{}).(*script)
	uploads := "/-/vaults/" + args[1] + "/multipart-uploads"
	header := map[string]string{"x-amz-part-size": "1048576", "x-amz-archive-description": args[2]}
	id := script.server.Want(script.t, 201, moraintest.Request{Method: "POST", Path: uploads, Header: header}).Header.Get("x-amz-multipart-upload-id")
	body := moraintest.Pattern(1 << 20)
	header = moraintest.UploadHeaders(body)
	header["Content-Range"] = "bytes 0-1048575/*"
	script.server.Want(script.t, 204, moraintest.Request{Method: "PUT", Path: uploads + "/" + id, Header: header, Body: body})
	ts.Setenv(args[0], id)
	return nil
}

func damage(ts *testscript.TestScript, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: damage TEXT")
	}
	volumes, err := filepath.Glob(filepath.Join(ts.Getenv("MORAINE_DATA"), "volumes", "shared", "*.vol"))
	if err != nil {
		return err
	}
	for _, volume := range volumes {
		b, err := os.ReadFile(volume)
		if err != nil {
			return err
		}
		if i := strings.Index(string(b), "\"}"+args[0]); i >= 0 { // behind the label
			b[i+2] ^= 1
			return os.WriteFile(volume, b, 0o600)
		}
	}
	return fmt.Errorf("no archive in %q begins with %q", volumes, args[0])
}

func exits(ts *testscript.TestScript, args []string) error {
	if len(args) < 2 {
		return errors.New("usage: exits N COMMAND...")
	}
	code := 0
	err := ts.Exec(args[1], args[2:]...)
	if ended, ok := errors.AsType[*exec.ExitError](err); ok {
		code = ended.ExitCode()
	} else if err != nil {
		return err
	}
	if fmt.Sprint(code) != args[0] {
		return fmt.Errorf("the exit code is %d, want %s", code, args[0])
	}
	return nil
}

// printed returns what the last command printed at a path of its JSON.
func printed(ts *testscript.TestScript, path string) (any, error) {
	var v any
	if err := json.Unmarshal([]byte(ts.ReadFile("stdout")), &v); err != nil {
		return nil, fmt.Errorf("the output is not JSON: %w", err)
	}
	if path == "." {
		return v, nil
	}
	for name := range strings.SplitSeq(path, ".") {
		var ok bool
		switch in := v.(type) {
		case map[string]any:
			v, ok = in[name]
		case []any:
			i, err := strconv.Atoi(name)
			if ok = err == nil && i >= 0 && i < len(in); ok {
				v = in[i]
			}
		}
		if !ok {
			return nil, fmt.Errorf("the JSON has nothing at %s: there is no %s", path, name)
		}
	}
	return v, nil
}

// shown is a value as a script names it: a text without quotes, anything else as JSON.
func shown(v any) (string, error) {
	if text, ok := v.(string); ok {
		return text, nil
	}
	b, err := json.Marshal(v)
	return string(b), err
}

func jsonMatches(ts *testscript.TestScript, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: json PATH PATTERN")
	}
	v, err := printed(ts, args[0])
	if err != nil {
		return err
	}
	pattern, err := regexp.Compile(`^(?s:` + args[1] + `)$`)
	if err != nil {
		return err
	}
	text, err := shown(v)
	if err == nil && !pattern.MatchString(text) {
		err = fmt.Errorf("at %s there is %s, want %s", args[0], text, args[1])
	}
	return err
}

func jsonLength(ts *testscript.TestScript, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: jsonlen PATH N")
	}
	v, err := printed(ts, args[0])
	if err != nil {
		return err
	}
	if list, ok := v.([]any); !ok || fmt.Sprint(len(list)) != args[1] {
		return fmt.Errorf("at %s there is no array of the length %s: %v", args[0], args[1], v)
	}
	return nil
}

func jsonKeys(ts *testscript.TestScript, args []string) error {
	if len(args) == 0 {
		return errors.New("usage: jsonkeys PATH NAME...")
	}
	v, err := printed(ts, args[0])
	if err != nil {
		return err
	}
	object, ok := v.(map[string]any)
	if got := slices.Sorted(maps.Keys(object)); !ok || !slices.Equal(got, slices.Sorted(slices.Values(args[1:]))) {
		return fmt.Errorf("at %s there is no object with the members %q: %v", args[0], args[1:], v)
	}
	return nil
}

func jsonVariable(ts *testscript.TestScript, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: jsonenv VARIABLE PATH")
	}
	v, err := printed(ts, args[1])
	if err != nil {
		return err
	}
	text, err := shown(v)
	ts.Setenv(args[0], text)
	return err
}
