package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/cli"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

// administrator runs `moraine admin` on the data of a server.
type administrator struct {
	t    *testing.T
	data string
}

func (a administrator) run(args ...string) (code int, stdout, stderr string) {
	return a.give("", args...)
}

// give is run with something on standard input.
func (a administrator) give(stdin string, args ...string) (code int, stdout, stderr string) {
	var out, talk bytes.Buffer
	code = cli.Run(context.Background(), cli.Process{
		Args: append([]string{"admin"}, args...), Environ: []string{"MORAINE_DATA=" + a.data}, Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &talk,
	})
	return code, out.String(), talk.String()
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

// The forms of what commands print.
const (
	timeForm   = `20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ`
	keyForm    = `AKIA[A-Z2-7]{16}`
	tokenForm  = `ASIA[A-Z2-7]{16}`
	secretForm = `[A-Za-z0-9+/]{40}`
	userARN    = `arn:aws:iam::123456789012:user`
)

// TestUsers makes users, roles and their policies on a running server.
func TestUsers(t *testing.T) {
	s := moraintest.Start(t)
	a := administrator{t, s.Data}
	file := filepath.Join(t.TempDir(), "audit.json")
	const document = "{ \"Statement\": {\"Effect\": \"Allow\", \"Action\": \"glacier:List*\", \"Resource\": \"*\"} }\n"
	if err := os.WriteFile(file, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}

	a.prints(`123456789012  root  `+timeForm+`\n`, "account", "list")
	a.list("account_id created_at name", "account", "list")
	a.prints(`user: +`+userARN+`/ops/alice\nid: +AIDA\w{16}\naccount: +123456789012\naccess key id: +`+keyForm+`\nsecret access key: +`+secretForm+`\n`,
		"user", "add", "alice", "--path", "/ops/", "--tag", "team=ops", "--tag", "empty=", "--policy", "AmazonGlacierReadOnlyAccess")
	a.prints(`user: +`+userARN+`/bob\nid: +AIDA\w{16}\n`, "user", "add", "bob", "--no-key")
	a.prints(`role: +arn:aws:iam::123456789012:role/restorer\nid: +AROA\w{16}\n`, "role", "add", "restorer")
	carol := a.document("access_key_id account_id arn created_at id kind name path policies secret_access_key tags", "user", "add", "carol", "--policy", file, "--account", "root")
	a.document("account_id arn created_at id kind name path policies tags", "role", "add", "auditor", "--policy", file, "--policy", "AmazonGlacierReadOnlyAccess")
	if r := s.Do(t, moraintest.Request{Method: "GET", Path: "/-/vaults", Key: moraintest.Key{ID: carol["access_key_id"].(string), Secret: carol["secret_access_key"].(string)}}); r.Status != 200 {
		t.Errorf("the new user lists vaults: %d %s", r.Status, r.Body)
	}

	a.prints(userARN+`/ops/alice  AIDA\w{16}  `+timeForm+`  AmazonGlacierReadOnlyAccess\n`+userARN+`/bob +AIDA\w{16}  `+timeForm+` *\n`+userARN+`/carol +AIDA\w{16}  `+timeForm+`  policy\n`, "user", "list")
	users := a.list("account_id arn created_at id kind name path policies tags", "user", "list", "--account", "123456789012")
	if fmt.Sprint(users[0]["tags"]) != "map[empty: team:ops]" || fmt.Sprint(users[1]["policies"]) != "[]" || fmt.Sprint(users[1]["tags"]) != "map[]" {
		t.Errorf("the users are %v", users)
	}
	if roles := a.list("account_id arn created_at id kind name path policies tags", "role", "list"); len(roles) != 2 || fmt.Sprint(roles[0]["policies"]) != "[AmazonGlacierReadOnlyAccess policy]" {
		t.Errorf("the roles are %v", roles)
	}

	a.prints("The user bob has the policy AmazonGlacierFullAccess.\n", "user", "policy", "set", "bob", "AmazonGlacierFullAccess")
	a.prints("The user bob has the policy audit.\n", "user", "policy", "set", "bob", file, "--name", "audit")
	if code, stdout, stderr := a.give(document, "role", "policy", "set", "restorer", "-"); code != 0 || stdout != "The role restorer has the policy policy.\n" {
		t.Errorf("a policy from standard input: %d, %s%s", code, stdout, stderr)
	}
	if got := a.does("user", "policy", "get", "bob", "--name", "audit"); got != document {
		t.Errorf("the policy that was set as %q comes back as %q", document, got)
	}
	a.document("AmazonGlacierFullAccess audit", "user", "policy", "get", "bob")
	a.document("audit", "user", "policy", "get", "bob", "--name", "audit")
	a.document("policy state user", "user", "policy", "remove", "bob", "--name", "audit")
	a.document("AmazonGlacierFullAccess", "user", "policy", "get", "bob")
	a.document("role state", "role", "remove", "restorer")
	a.prints("The user alice is removed, with its policies and keys.\n", "user", "remove", "alice")

	for command, says := range map[string]string{
		"user remove alice":                             `no user named "alice"`,
		"user remove bob --account 999999999999":        `"999999999999"`,
		"user list --account nobody":                    `"nobody"`,
		"user policy get restorer":                      `no user named "restorer"`,
		"user policy get bob --name audit":              `no policy named "audit"`,
		"user policy remove bob --name audit":           `no policy named "audit"`,
		"role policy set alice AmazonGlacierFullAccess": `no role named "alice"`,
		"key add --user alice":                          `no user named "alice"`,
		"key list --role alice":                         `no role named "alice"`,
		"token --role restorer --session s1":            `no role named "restorer"`,
		"key disable AKIAIOSFODNN7EXAMPLF":              `"AKIAIOSFODNN7EXAMPLF"`,
		"key remove AKIAIOSFODNN7EXAMPLF":               `"AKIAIOSFODNN7EXAMPLF"`,
		"key enable AKIAIOSFODNN7EXAMPLF":               `"AKIAIOSFODNN7EXAMPLF"`,
	} {
		a.fails(10, command, says)
	}
	a.fails(1, "user add bob", `"bob" already`)
	a.fails(1, "user policy set bob /none.json", "/none.json", "AmazonGlacierFullAccess")
	if code, _, stderr := a.give(`{"Statement":[{"Effect":"Allow","Action":"glacier:*","Resource":"*","Conditions":{}}]}`, "user", "policy", "set", "bob", "-"); code != 1 || !strings.Contains(stderr, "Statement[0].Conditions") {
		t.Errorf("a policy that cannot be used: %d, %s", code, stderr)
	}
	s.AddAccount(t, "other")
	a.fails(2, "user add dave", "--account", "moraine admin account list", "--help")
	a.prints(`(?s:.*)`, "user", "add", "dave", "--account", "other")
}

// TestKeys makes, lists and retires keys and tokens on a running server.
func TestKeys(t *testing.T) {
	s := moraintest.Start(t)
	a := administrator{t, s.Data}
	a.does("user", "add", "alice", "--no-key")
	a.does("role", "add", "restorer", "--policy", "AmazonGlacierFullAccess")
	a.prints(`account: +123456789012\naccess key id: +`+keyForm+`\nsecret access key: +`+secretForm+`\n`, "key", "add", "--user", "alice")
	root := a.document("access_key_id account_id secret_access_key", "key", "add")["access_key_id"].(string)
	a.fails(2, "key add --role restorer", "--role")

	token := a.document("AccessKeyId Expiration SecretAccessKey SessionToken Version", "token", "--role", "restorer", "--session", "night", "--duration", "15m", "--mfa")
	expires, err := time.Parse(time.RFC3339, token["Expiration"].(string))
	if left := time.Until(expires); err != nil || left < 14*time.Minute || left > 15*time.Minute || token["Version"] != 1.0 {
		t.Errorf("the token is %v, %v", token, err)
	}
	k := moraintest.Key{ID: token["AccessKeyId"].(string), Secret: token["SecretAccessKey"].(string), Token: token["SessionToken"].(string)}
	if r := s.Do(t, moraintest.Request{Method: "PUT", Path: "/-/vaults/v", Key: k}); r.Status != 201 {
		t.Errorf("with the token a vault is made: %d %s", r.Status, r.Body)
	}
	a.prints(`export AWS_ACCESS_KEY_ID=`+tokenForm+`\nexport AWS_SECRET_ACCESS_KEY='?`+secretForm+`'?\nexport AWS_SESSION_TOKEN='?`+secretForm+`'?\nexport AWS_CREDENTIAL_EXPIRATION='?`+timeForm+`'?\n`,
		"token", "--user", "alice", "--duration", "36h")

	line := func(id, state, expires, arn string) string {
		return id + `  ` + state + ` +made ` + timeForm + `  expires ` + expires + ` +` + arn + `\n`
	}
	a.prints(line(`AKIAIOSFODNN7EXAMPLE`, "active", "never", `arn:aws:iam::123456789012:root`)+line(root, "active", "never", `arn:aws:iam::123456789012:root`)+
		line(keyForm, "active", "never", userARN+`/alice`)+line(tokenForm, "active", timeForm, userARN+`/alice`)+
		line(tokenForm, "active", timeForm, `arn:aws:sts::123456789012:assumed-role/restorer/night`), "key", "list")
	a.prints(line(keyForm, "active", "never", userARN+`/alice`)+line(tokenForm, "active", timeForm, userARN+`/alice`), "key", "list", "--user", "alice")
	for _, doc := range a.list("access_key_id account_id arn configured created_at expires_at state", "key", "list", "--role", "restorer") {
		if doc["access_key_id"] != k.ID || doc["expires_at"] != token["Expiration"] {
			t.Errorf("the key of the role is listed as %v", doc)
		}
	}
	if text := a.does("key", "list", "--json"); strings.Contains(text, k.Secret) || strings.Contains(text, k.Token) || strings.Contains(text, "v1:") {
		t.Errorf("a list of keys shows secrets: %s", text)
	}
	a.prints("The access key "+k.ID+" is disabled.\n", "key", "disable", k.ID)
	if r := s.Do(t, moraintest.Request{Method: "GET", Path: "/-/vaults", Key: k}); r.Status != 400 {
		t.Errorf("with a disabled key: %d %s", r.Status, r.Body)
	}
	a.document("access_key_id state", "key", "enable", k.ID)
	a.fails(1, "key disable AKIAIOSFODNN7EXAMPLE", "MORAINE_ROOT_ACCESS_KEY_ID", "--force")
	a.does("key", "disable", "AKIAIOSFODNN7EXAMPLE", "--force")
	a.fails(1, "key remove "+root, "only one", "--force", "moraine admin key add --account 123456789012")
	a.prints("The access key "+root+" is removed.\n", "key", "remove", root, "--force")
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
