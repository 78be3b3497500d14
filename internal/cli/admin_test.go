package cli_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

// administrator runs `moraine admin` on the data of a server.
type administrator struct {
	t    *testing.T
	data string
}

func (a administrator) run(args ...string) (code int, stdout, stderr string) {
	return run([]string{"MORAINE_DATA=" + a.data}, append([]string{"admin"}, args...)...)
}

// does runs a command that succeeds, and returns what it prints.
func (a administrator) does(args ...string) string {
	a.t.Helper()
	code, stdout, stderr := a.run(args...)
	if code != 0 || stderr != "" {
		a.t.Fatalf("moraine admin %q: exit code %d: %s", args, code, stderr)
	}
	return stdout
}

// prints runs a command whose output has a form.
func (a administrator) prints(form string, args ...string) {
	a.t.Helper()
	if got := a.does(args...); !regexp.MustCompile(`^(?:` + form + `)$`).MatchString(got) {
		a.t.Errorf("moraine admin %q prints\n%s\nwhich is not of the form %s", args, got, form)
	}
}

// fails runs a command that fails with a code, and says some things.
func (a administrator) fails(code int, command string, says ...string) {
	a.t.Helper()
	got, stdout, stderr := a.run(strings.Fields(command)...)
	if got != code || stdout != "" {
		a.t.Errorf("moraine admin %s: exit code %d, want %d; it prints %q, and says %s", command, got, code, stdout, stderr)
	}
	for _, want := range says {
		if !strings.Contains(stderr, want) {
			a.t.Errorf("moraine admin %s says %q, without %q", command, stderr, want)
		}
	}
}

// document runs a command with --json and decodes what it prints. The members are exactly those that are named.
func (a administrator) document(members string, args ...string) map[string]any {
	a.t.Helper()
	var doc map[string]any
	a.decode(&doc, args)
	if got := strings.Join(slices.Sorted(maps.Keys(doc)), " "); got != members {
		a.t.Errorf("moraine admin %q has the members %q, want %q", args, got, members)
	}
	return doc
}

// list is document for an array.
func (a administrator) list(members string, args ...string) []map[string]any {
	a.t.Helper()
	var list []map[string]any
	a.decode(&list, args)
	if list == nil {
		a.t.Errorf("moraine admin %q prints no array", args)
	}
	for _, doc := range list {
		if got := strings.Join(slices.Sorted(maps.Keys(doc)), " "); got != members {
			a.t.Errorf("an element of moraine admin %q has the members %q, want %q", args, got, members)
		}
	}
	return list
}

func (a administrator) decode(into any, args []string) {
	a.t.Helper()
	text := a.does(append(args, "--json")...)
	if err := json.Unmarshal([]byte(text), into); err != nil {
		a.t.Fatalf("moraine admin %q prints %s, which cannot be decoded: %v", args, text, err)
	}
}

// administrators runs many commands at once, on the data of an earlier program, while no server has made the key of the secrets yet, and then while one runs.
func administrators(t *testing.T, program string) {
	s := moraintest.Start(t)
	s.Stop(t)
	plain(t, s)
	var done sync.WaitGroup
	for i := range 6 {
		done.Go(func() {
			if code, _, stderr := command(t, program, nil, "admin", "user", "add", fmt.Sprint("user", i), "--data", s.Data); code != 0 {
				t.Errorf("exit code %d: %s", code, stderr)
			}
		})
	}
	done.Wait()
	p := serve(t, program, s.Data, nil)
	p.Key = s.Key
	for i := range 6 {
		done.Go(func() {
			if code, _, stderr := command(t, program, nil, "admin", "key", "add", "--user", fmt.Sprint("user", i), "--data", s.Data); code != 0 {
				t.Errorf("exit code %d: %s", code, stderr)
			}
		})
	}
	done.Wait()
	if got := p.vaults(t, p.Key); got != "" {
		t.Errorf("the key of before sees %q", got)
	}
	_, stdout, stderr := command(t, program, nil, "admin", "check", "--data", s.Data)
	if !strings.Contains(stdout, " 0 wrong") {
		t.Errorf("the check says %s%s", stdout, stderr)
	}
	p.stop(t)
}

// plain makes the data of a server like that of an earlier program: the secret of its key is not encrypted, and there is no key file.
func plain(t *testing.T, s *moraintest.Server) {
	t.Helper()
	if err := os.Remove(s.Config().SecretKeyPath()); err != nil {
		t.Fatal(err)
	}
	db, err := catalogue.OpenSQLite(t.Context(), s.Config().CataloguePath())
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(t.Context(), func(tx *catalogue.Tx) error {
		return tx.PutAccessKey(catalogue.AccessKey{ID: s.Key.ID, AccountID: s.Key.Account, Secret: s.Key.Secret, CreatedAt: time.Now()})
	})
	if err != nil || db.Close() != nil {
		t.Fatal(err)
	}
}
