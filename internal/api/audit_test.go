package api_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/identity"
	"github.com/moraine-archive/moraine/internal/moraintest"
	"github.com/moraine-archive/moraine/internal/protocol"
)

// trail reads the audit log of a server as it grows.
type trail struct {
	path string
	read int64
}

// next returns the lines since the last time. Every one has to be whole, in the order of docs/audit.md.
func (a *trail) next(t *testing.T) []map[string]any {
	t.Helper()
	f, err := os.Open(a.path)
	if os.IsNotExist(err) {
		return nil
	}
	must(t, err)
	defer f.Close()
	_, err = f.Seek(a.read, io.SeekStart)
	must(t, err)
	b, err := io.ReadAll(f)
	must(t, err)
	a.read += int64(len(b))
	return linesOf(t, b)
}

var auditFields = []string{ // read only
	"time", "request_id", "account", "caller", "access_key_id", "address", "user_agent", "action", "resource", "archive", "decision", "policy", "statement", "status", "error", "message",
}

func linesOf(t *testing.T, b []byte) (lines []map[string]any) {
	t.Helper()
	if len(b) > 0 && b[len(b)-1] != '\n' {
		t.Errorf("the last line does not end: %.200s", b[max(0, len(b)-200):])
	}
	scanner := bufio.NewScanner(bytes.NewReader(b))
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		var line map[string]any
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			t.Fatalf("line %q: %v", scanner.Text(), err)
		}
		names := memberNames(t, scanner.Text())
		if !slices.IsSortedFunc(names, func(a, b string) int { return slices.Index(auditFields, a) - slices.Index(auditFields, b) }) || !subset(names, auditFields) {
			t.Errorf("a line has the fields %q", names)
		}
		lines = append(lines, line)
	}
	must(t, scanner.Err())
	return lines
}

func subset(a, of []string) bool {
	return !slices.ContainsFunc(a, func(s string) bool { return !slices.Contains(of, s) })
}

// watch returns the audit log of a server, from now on.
func watch(t *testing.T, s *moraintest.Server) *trail {
	t.Helper()
	a := &trail{path: filepath.Join(s.Data, "audit.log")}
	a.next(t)
	return a
}

// wantLine fails the test unless a request left one line, which has these fields besides those that every line has.
func (a *trail) wantLine(t *testing.T, res moraintest.Response, want map[string]any) {
	t.Helper()
	lines := a.next(t)
	if len(lines) != 1 {
		t.Fatalf("there are %d lines, want 1: %v", len(lines), lines)
	}
	got := lines[0]
	at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(got["time"]))
	if err != nil || !strings.HasSuffix(fmt.Sprint(got["time"]), "Z") || time.Since(at).Abs() > time.Minute {
		t.Errorf("time %v: %v", got["time"], err)
	}
	if got["request_id"] != res.Header.Get(protocol.HeaderRequestID) {
		t.Errorf("request_id %v, the answer has %s", got["request_id"], res.Header.Get(protocol.HeaderRequestID))
	}
	if address := fmt.Sprint(got["address"]); !strings.HasPrefix(address, "127.0.0.1:") {
		t.Errorf("address %s", address)
	}
	want["status"], want["user_agent"] = float64(res.Status), "test/1.0"
	if res.Status >= 400 {
		want["error"], want["message"] = res.Code(), res.Message()
	}
	for _, name := range []string{"time", "request_id", "address"} {
		delete(got, name)
	}
	if !maps.Equal(got, want) {
		t.Errorf("the line has\n %v\nwant\n %v", got, want)
	}
}

// record sends a request as somebody and holds the line that it leaves.
func (c crowd) record(t *testing.T, who string, r rawRequest, status int, want map[string]any) moraintest.Response {
	t.Helper()
	a := watch(t, c.Server)
	res := c.sendAs(t, who, r)
	wantStatus(t, res, status)
	account := c.Key.Account
	if who[0] == 'b' {
		account = c.other
	}
	line := map[string]any{"account": account, "caller": arnOf(account, who), "access_key_id": c.keys[who].ID}
	maps.Copy(line, want)
	a.wantLine(t, res, line)
	return res
}

func (c crowd) sendAs(t *testing.T, who string, r rawRequest) moraintest.Response {
	t.Helper()
	r.key = c.keys[who]
	r.lines = append(r.lines, "User-Agent: test/1.0")
	if r.key.Token != "" {
		r.lines = append(r.lines, "x-amz-security-token: "+r.key.Token)
	}
	return sendRaw(t, c.Server, r)
}

func TestAuditAllowed(t *testing.T) {
	c := startCrowd(t)
	const root = "root of the account"
	archive := c.Upload(t, "v", []byte(small), "")
	lock := c.begin(t, harmless)
	for _, row := range []struct {
		who, method, target, body string
		status                    int
		action, resource, policy  string
		more                      map[string]any
	}{
		{"a root", "PUT", "/-/vaults/new", "", 201, "CreateVault", "vaults/new", root, nil},
		{"a full", "PUT", "/-/vaults/new", "", 201, "CreateVault", "vaults/new", "identity policy AmazonGlacierFullAccess", map[string]any{"statement": "1"}},
		{"a root", "DELETE", "/-/vaults/new", "", 204, "DeleteVault", "vaults/new", root, nil},
		{"a root", "POST", "/-/vaults/v/jobs", `{"Type":"archive-retrieval","ArchiveId":"` + archive + `"}`, 202, "InitiateJob", "vaults/v", root, map[string]any{"archive": archive}},
		{"a root", "POST", "/-/vaults/v/jobs", `{"Type":"inventory-retrieval"}`, 202, "InitiateJob", "vaults/v", root, nil},
		{"a root", "DELETE", "/-/vaults/v/archives/" + archive, "", 204, "DeleteArchive", "vaults/v", root, map[string]any{"archive": archive}},
		{"a root", "PUT", "/-/vaults/v/access-policy", string(policyBody(harmless)), 204, "SetVaultAccessPolicy", "vaults/v", root, nil},
		{"a root", "POST", "/-/vaults/v/tags?operation=add", `{"Tags":{"k":"v"}}`, 204, "AddTagsToVault", "vaults/v", root, nil},
		{"a root", "POST", "/-/vaults/v/tags?operation=remove", `{"TagKeys":["k"]}`, 204, "RemoveTagsFromVault", "vaults/v", root, nil},
		{"a root", "PUT", "/-/policies/data-retrieval", `{"Policy":{"Rules":[{"Strategy":"None"}]}}`, 204, "SetDataRetrievalPolicy", "policies/retrieval-limit-policy", root, nil},
		{"a root", "POST", "/-/provisioned-capacity", "", 201, "PurchaseProvisionedCapacity", "*", root, nil},
		{"a root", "POST", "/-/vaults/v/lock-policy/" + lock, "", 204, "CompleteVaultLock", "vaults/v", root, nil},
		// What was allowed can still fail.
		{"a root", "PUT", "/-/vaults/my:vault", "", 400, "CreateVault", "vaults/my:vault", root, nil},
		{"a root", "DELETE", "/-/vaults/v/archives/unknown", "", 404, "DeleteArchive", "vaults/v", root, map[string]any{"archive": "unknown"}},
		{"a full", "POST", "/-/vaults/absent/jobs", "{", 400, "InitiateJob", "vaults/absent", "identity policy AmazonGlacierFullAccess", map[string]any{"statement": "1"}},
		{"a full", "POST", "/-/vaults/v/archives", "x", 400, "UploadArchive", "vaults/v", "", nil}, // nobody vouches for the body
	} {
		t.Run(row.action+" "+row.who, func(t *testing.T) {
			want := map[string]any{"decision": "allowed", "action": "glacier:" + row.action, "resource": "arn:aws:glacier:us-east-1:123456789012:" + row.resource, "policy": row.policy}
			if row.resource == "*" {
				want["resource"] = "*"
			}
			r := rawRequest{method: row.method, target: row.target, body: row.body}
			if row.policy != "" {
				maps.Copy(want, row.more)
				c.record(t, row.who, r, row.status, want)
				return
			}
			a := watch(t, c.Server)
			res := c.sendAs(t, row.who, r)
			wantStatus(t, res, row.status)
			a.wantLine(t, res, map[string]any{"decision": "unauthenticated", "action": "glacier:" + row.action, "access_key_id": c.keys[row.who].ID})
		})
	}
	t.Run("in the vault of another account", func(t *testing.T) {
		wantNoContent(t, c.setPolicy(t, policyOf(harmless[len(`{"Statement":`):len(harmless)-1], forAll("Allow", "glacier:UploadArchive", `"Sid":"everybody"`))))
		r := rawRequest{method: "POST", target: "/" + c.Key.Account + "/vaults/v/archives", body: small, lines: hashLines(small)}
		c.record(t, "b full", r, 201, map[string]any{
			"decision": "allowed", "action": "glacier:UploadArchive", "resource": c.arn(), "policy": "vault access policy", "statement": "everybody",
		})
		c.record(t, "a session", r, 201, map[string]any{
			"decision": "allowed", "action": "glacier:UploadArchive", "resource": c.arn(), "policy": "vault access policy", "statement": "everybody",
		})
	})
	t.Run("reading leaves no line", func(t *testing.T) {
		a := watch(t, c.Server)
		for _, op := range protocol.Operations() {
			if op.Method == "GET" {
				c.sendAs(t, "a root", plain(op, "-", "v"))
			}
		}
		c.sendAs(t, "a reader", rawRequest{method: "GET", target: "/-/vaults/absent"})
		for _, r := range []rawRequest{{method: "GET", target: "/nowhere"}, {method: "PATCH", target: "/-/vaults"}, {method: "GET", target: "/%zz"}, whoAmI(moraintest.Key{})} {
			r.lines = append(r.lines, "X: y")
			c.sendAs(t, "a root", r)
		}
		if lines := a.next(t); len(lines) > 0 {
			t.Errorf("%v", lines)
		}
	})
}

func TestAuditDenied(t *testing.T) {
	c := startCrowd(t)
	c.keys["a strict"] = c.AddUser(t, "", "strict", policyOf(allow("glacier:*", "*"), `{"Sid":"no \"gold\"","Effect":"Deny","Action":"glacier:ListVaults","Resource":"*"}`))
	archive := c.Upload(t, "v", []byte(small), "")
	get := rawRequest{method: "GET", target: "/-/vaults/v"}
	line := func(action string, more ...any) map[string]any {
		m := map[string]any{"decision": "denied", "action": "glacier:" + action, "resource": c.arn()}
		for i := 0; i < len(more); i += 2 {
			m[more[i].(string)] = more[i+1]
		}
		return m
	}
	t.Run("no policy allows it", func(t *testing.T) {
		c.record(t, "a none", get, 403, line("DescribeVault"))
		c.record(t, "a session", rawRequest{method: "PUT", target: "/-/vaults/v"}, 403, line("CreateVault"))
		c.record(t, "a reader", rawRequest{method: "DELETE", target: "/-/vaults/v/archives/" + archive}, 403, line("DeleteArchive", "archive", archive))
		c.record(t, "b root", rawRequest{method: "GET", target: "/" + c.Key.Account + "/vaults/v"}, 403, line("DescribeVault"))
		c.record(t, "a none", rawRequest{method: "GET", target: "/-/provisioned-capacity"}, 403, line("ListProvisionedCapacity", "resource", "*"))
	})
	t.Run("edge 49 another account", func(t *testing.T) {
		c.record(t, "b root", rawRequest{method: "GET", target: "/" + c.Key.Account + "/vaults/v/tags"}, 403, line("ListTagsForVault"))
	})
	t.Run("identity policy", func(t *testing.T) {
		c.record(t, "a strict", rawRequest{method: "GET", target: "/-/vaults"}, 403,
			line("ListVaults", "resource", "arn:aws:glacier:us-east-1:123456789012:vaults/", "policy", "identity policy policy1", "statement", `no "gold"`))
	})
	t.Run("vault access policy", func(t *testing.T) {
		wantNoContent(t, c.setPolicy(t, policyOf(forAll("Allow", "glacier:*"), forAll("Deny", "glacier:DescribeVault"))))
		c.record(t, "a root", get, 403, line("DescribeVault", "policy", "vault access policy", "statement", "2"))
		c.record(t, "b root", rawRequest{method: "GET", target: "/" + c.Key.Account + "/vaults/v"}, 403, line("DescribeVault", "policy", "vault access policy", "statement", "2"))
		wantNoContent(t, c.dropPolicy(t))
	})
	t.Run("vault lock policy", func(t *testing.T) {
		lock := c.begin(t, policyOf(forAll("Deny", "glacier:DeleteArchive", `"Sid":"keep"`)))
		deletion := rawRequest{method: "DELETE", target: "/-/vaults/v/archives/" + archive}
		c.record(t, "a root", deletion, 403, line("DeleteArchive", "archive", archive, "policy", "vault lock policy", "statement", "keep"))
		initiate := rawRequest{method: "POST", target: "/-/vaults/v/lock-policy", body: string(policyBody(harmless))}
		c.record(t, "a root", initiate, 403, line("InitiateVaultLock")) // by the transaction: no policy has decided
		wantNoContent(t, c.completeLock(t, lock))
		c.record(t, "a root", initiate, 403, line("InitiateVaultLock"))
		c.record(t, "a full", rawRequest{method: "POST", target: "/-/vaults/v/lock-policy/x"}, 403, line("CompleteVaultLock"))
		c.record(t, "a root", rawRequest{method: "DELETE", target: "/-/vaults/v/lock-policy"}, 403, line("AbortVaultLock"))
	})
	t.Run("before anything is read of the body", func(t *testing.T) {
		r := rawRequest{method: "POST", target: "/-/vaults/v/archives", lines: append(hashLines("x"), "Content-Length: 1000000"), loose: []string{"Expect: 100-continue"}}
		c.record(t, "a none", r, 403, line("UploadArchive"))
	})
}

func TestAuditUnauthenticated(t *testing.T) {
	c := startCrowd(t)
	expired := c.AddToken(t, identity.TokenOptions{}, time.Now().Add(-2*time.Hour))
	agent := "User-Agent: test/1.0"
	for name, row := range map[string]struct {
		r rawRequest
		m map[string]any
	}{
		"no Authorization": {rawRequest{without: []string{"authorization"}}, nil},
		"unknown key":      {rawRequest{key: moraintest.Key{ID: "AKIDNOBODY", Secret: "x"}}, map[string]any{"access_key_id": "AKIDNOBODY"}},
		"wrong secret":     {rawRequest{key: moraintest.Key{ID: c.Key.ID, Secret: "x"}}, map[string]any{"access_key_id": c.Key.ID}},
		"expired":          {rawRequest{key: expired, lines: []string{"x-amz-security-token: " + expired.Token}}, map[string]any{"access_key_id": expired.ID}},
		"no signature":     {rawRequest{authorization: func(string) string { return "Basic eDp5" }}, nil},
	} {
		for _, op := range []protocol.Operation{operation(protocol.DeleteArchive), operation(protocol.DescribeVault), operation(protocol.AddTagsToVault)} {
			t.Run(name+" "+op.Name, func(t *testing.T) {
				r := row.r
				r.method, r.target, r.lines = op.Method, targetOf(op, "-", "v"), append(slices.Clone(r.lines), agent)
				a := watch(t, c.Server)
				res := sendRaw(t, c.Server, r)
				want := map[string]any{"decision": "unauthenticated", "action": "glacier:" + op.Name}
				maps.Copy(want, row.m)
				a.wantLine(t, res, want)
			})
		}
		t.Run(name+" of the Security Token Service", func(t *testing.T) {
			r := whoAmI(row.r.key)
			r.authorization, r.without, r.lines = row.r.authorization, append(r.without, row.r.without...), append(r.lines, agent)
			a := watch(t, c.Server)
			res := sendRaw(t, c.Server, r)
			lines := a.next(t)
			if len(lines) != 1 || lines[0]["decision"] != "unauthenticated" || lines[0]["action"] != "sts:GetCallerIdentity" || lines[0]["status"] != float64(res.Status) ||
				lines[0]["access_key_id"] != row.m["access_key_id"] {
				t.Errorf("status %d, the lines %v", res.Status, lines)
			}
		})
	}
}

// TestAuditFile is about the file: who can read it, what is not in it, and that it may be left out.
func TestAuditFile(t *testing.T) {
	c := startCrowd(t)
	c.sendAs(t, "a none", rawRequest{method: "GET", target: "/-/vaults"})
	c.sendAs(t, "a session", rawRequest{method: "PUT", target: "/-/vaults/x"})
	path := filepath.Join(c.Data, "audit.log")
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode() != 0o600 {
		t.Errorf("mode %s", info.Mode())
	}
	c.Restart(t)
	wantStatus(t, c.sendAs(t, "a session", rawRequest{method: "DELETE", target: "/-/vaults/y"}), 403)
	b, err := os.ReadFile(path)
	must(t, err)
	if lines := linesOf(t, b); len(lines) != 4 || lines[0]["action"] != "glacier:CreateVault" || lines[3]["action"] != "glacier:DeleteVault" {
		t.Errorf("the lines are %v", lines)
	}
	for who, key := range c.keys {
		if bytes.Contains(b, []byte(key.Secret)) || key.Token != "" && bytes.Contains(b, []byte(key.Token)) {
			t.Errorf("a secret of %s is in the log", who)
		}
	}
	t.Run("none", func(t *testing.T) {
		s := moraintest.Start(t, func(c *config.Config) { c.AuditLog = "none" })
		s.CreateVault(t, "v")
		if found, _ := filepath.Glob(filepath.Join(s.Data, "audit*")); len(found) > 0 {
			t.Errorf("there is %q", found)
		}
	})
	t.Run("elsewhere, and not to be written", func(t *testing.T) {
		elsewhere := filepath.Join(t.TempDir(), "sub", "log")
		s := moraintest.Start(t, func(c *config.Config) { c.AuditLog = elsewhere })
		s.CreateVault(t, "v")
		b, err := os.ReadFile(elsewhere)
		must(t, err)
		if lines := linesOf(t, b); len(lines) != 1 {
			t.Errorf("the lines are %v", lines)
		}
		s = moraintest.Start(t, func(c *config.Config) { c.AuditLog = t.TempDir() })
		s.CreateVault(t, "v") // goes on
	})
}

// TestAuditHostile sends what clients choose: it neither makes lines nor loses one, however long it is.
func TestAuditHostile(t *testing.T) {
	c := startCrowd(t)
	c.Stop(t)
	s := moraintest.Start(t, func(c *config.Config) { c.AuditSize = 1 << 20 })
	c.Server, c.keys = s, map[string]moraintest.Key{"a root": s.Key, "a none": s.AddUser(t, "", "none")}
	s.CreateVault(t, "v")
	long := strings.Repeat("<", 900_000) // six bytes each in JSON
	for name, r := range map[string]rawRequest{
		"new line in a name": {method: "PUT", target: "/-/vaults/a%0a%7B%22decision%22:%22allowed%22%7D"}, "not UTF-8": {method: "DELETE", target: "/-/vaults/v/archives/%ff%00"},
		"long name": {method: "PUT", target: "/-/vaults/" + strings.Repeat("%3C", 15_000)}, "long archive": {method: "POST", target: "/-/vaults/v/jobs", body: `{"Type":"archive-retrieval","ArchiveId":"` + long + `"}`},
		"long agent": {method: "PUT", target: "/-/vaults/v", lines: []string{"User-Agent: " + strings.Repeat("<", 50_000)}}, "long type": {method: "POST", target: "/-/vaults/v/jobs", body: `{"Type":"` + long + `"}`},
		"agent not of ASCII": {method: "PUT", target: "/-/vaults/v", lines: []string{"User-Agent: \xff\xfe é \u2028"}},
	} {
		for _, who := range []string{"a root", "a none"} {
			t.Run(name+" "+who, func(t *testing.T) {
				a := watch(t, s)
				r.key = c.keys[who]
				res := sendRaw(t, s, r)
				if res.Status == 400 && res.Code() == unread {
					t.Fatalf("%s", res.Body)
				}
				lines := a.next(t)
				if len(lines) != 1 || lines[0]["request_id"] != res.Header.Get(protocol.HeaderRequestID) || lines[0]["status"] != float64(res.Status) {
					t.Fatalf("status %d, %d lines", res.Status, len(lines))
				}
				if b, err := json.Marshal(lines[0]); err != nil || len(b) > 64<<10 {
					t.Errorf("the line has %d bytes, %v", len(b), err)
				}
			})
		}
	}
}

// TestAuditRotation fills the log more than twice, from several clients.
func TestAuditRotation(t *testing.T) {
	s := moraintest.Start(t, func(c *config.Config) { c.AuditSize = 1 << 20 })
	const clients, each = 8, 400
	agent := strings.Repeat("a", 500)
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			for n := range each {
				s.Do(t, moraintest.Request{Method: "DELETE", Path: fmt.Sprintf("/-/vaults/v/archives/%d-%d", i, n), Header: map[string]string{"User-Agent": agent}})
			}
		})
	}
	all.Wait()
	files, err := filepath.Glob(filepath.Join(s.Data, "audit*.log"))
	must(t, err)
	if len(files) < 3 {
		t.Errorf("there are the files %q", files)
	}
	seen := map[string]bool{}
	for _, file := range files {
		info, err := os.Stat(file)
		must(t, err)
		if info.Mode() != 0o600 || info.Size() > 1<<20 {
			t.Errorf("%s: mode %s, %d bytes", file, info.Mode(), info.Size())
		}
		b, err := os.ReadFile(file)
		must(t, err)
		for _, line := range linesOf(t, b) {
			seen[line["request_id"].(string)] = true
		}
	}
	if len(seen) != clients*each {
		t.Errorf("%d of %d requests are in the log", len(seen), clients*each)
	}
}
