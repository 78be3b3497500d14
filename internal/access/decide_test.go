package access_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/access"
	"github.com/moraine-archive/moraine/internal/protocol"
)

// The accounts and what they own. Everything in the tables is about the vault photos of the account 111122223333.
const (
	home   = "111122223333"
	away   = "444455556666"
	photos = "arn:aws:glacier:us-east-1:111122223333:vaults/photos"
)

// noon is when everything in the tables happens, if they do not say otherwise.
var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// callers are who asks. Those of the second group are of the other account.
var callers = map[string]access.Caller{
	"root":    {Account: home, Kind: access.Root},
	"alice":   {Account: home, Kind: access.User, Path: "/", Name: "alice", ID: "AIDAALICE"},
	"bob":     {Account: home, Kind: access.User, Path: "/team/", Name: "bob", ID: "AIDABOB"},
	"*":       {Account: home, Kind: access.User, Path: "/", Name: "*", ID: "AIDASTAR"},
	"photos":  {Account: home, Kind: access.User, Path: "/", Name: "photos", ID: "AIDAPHOTOS"},
	"nightly": {Account: home, Kind: access.Role, Path: "/ops/", Name: "backup", ID: "AROABACKUP", Session: "nightly"},

	"owner":   {Account: away, Kind: access.Root},
	"mallory": {Account: away, Kind: access.User, Path: "/", Name: "mallory", ID: "AIDAMALLORY"},
	"audit":   {Account: away, Kind: access.Role, Path: "/", Name: "auditor", ID: "AROAAUDITOR", Session: "audit"},
}

// short are the abbreviations in documents of the tables.
var short = strings.NewReplacer(
	"@home", home, "@away", away, "@photos", photos,
	"@root", "arn:aws:iam::111122223333:root",
	"@alice", "arn:aws:iam::111122223333:user/alice",
	"@bob", "arn:aws:iam::111122223333:user/team/bob",
	"@backup", "arn:aws:iam::111122223333:role/ops/backup",
	"@nightly", "arn:aws:sts::111122223333:assumed-role/backup/nightly",
	"@owner", "arn:aws:iam::444455556666:root",
	"@mallory", "arn:aws:iam::444455556666:user/mallory",
	"@auditor", "arn:aws:iam::444455556666:role/auditor",
	"@audit", "arn:aws:sts::444455556666:assumed-role/auditor/audit",
	"@vaults", "arn:aws:glacier:us-east-1:111122223333:vaults",
)

// decision is a row of a table of decisions. Documents may be a statement or a list of them, and leave out what the row is not about (see document);
// several policies of the caller have & between them. The facts are those of facts.
type decision struct{ name, who, action, own, access, lock, facts, want string }

func TestDecide(t *testing.T) {
	count := 0
	for part, table := range map[string][]decision{
		"sources": sourceTable, "accounts": accountTable, "principals": principalTable, "actions": actionTable, "resources": resourceTable,
		"facts": factTable, "variables": variableTable, "clocks": clockTable,
	} {
		count += len(table)
		for _, test := range table {
			t.Run(part+"/"+test.name, func(t *testing.T) {
				r, d := request(t, test)
				got := outcome(access.Decide(r))
				if got != short.Replace(test.want) {
					t.Errorf("%s, want %s", got, test.want)
				}
				if again := d.outcome(r); !strings.HasPrefix(got, again) {
					t.Errorf("%s, and the naive implementation says %s", got, again)
				}
			})
		}
	}
	t.Logf("%d decisions", count)
}

// outcome writes a decision as the tables do: "deny: lock 1" is a denial by the first statement of the lock.
func outcome(d access.Decision) string {
	verb := "deny"
	if d.Allowed {
		verb = "allow"
	}
	if d.Policy == "" {
		return verb
	}
	name := strings.NewReplacer("identity policy ", "", "vault ", "", " policy", "", " of the account", "").Replace(d.Policy)
	return strings.TrimSpace(verb + ": " + name + " " + d.Statement)
}

// request makes a row a request.
// operation returns the operation with a name, or for a name that none has one of a vault.
func operation(name string) protocol.Operation {
	op, known := protocol.OperationNamed(name)
	if !known {
		op = protocol.Operation{Name: name, Scope: protocol.AnyAccount}
	}
	return op
}

func request(t testing.TB, test decision) (access.Request, documents) {
	t.Helper()
	caller, ok := callers[test.who]
	if !ok {
		t.Fatalf("nobody is called %q", test.who)
	}
	r := access.Request{Caller: caller, Operation: operation(cmp.Or(test.action, "DeleteArchive")), Account: home, Resource: photos, Now: noon}
	facts(t, &r, test.facts)
	var d documents
	if test.own != "" {
		for text := range strings.SplitSeq(test.own, " & ") {
			d.own = append(d.own, document(t, text, false))
		}
	}
	if test.access != "" {
		d.access = document(t, test.access, true)
	}
	if test.lock != "" {
		d.lock = document(t, test.lock, true)
	}
	d.parse(t, &r)
	return r, d
}

// parse gives a request its policies. Those of the caller are called own, own2, ...
func (d documents) parse(t testing.TB, r *access.Request) {
	t.Helper()
	must := func(text string, p *access.Policy, err error) *access.Policy {
		t.Helper()
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		return p
	}
	for i, text := range d.own {
		name := "own"
		if i > 0 {
			name += strconv.Itoa(i + 1)
		}
		p, err := access.ParseIdentityPolicy(text)
		r.Caller.Policies = append(r.Caller.Policies, access.Attached{Name: name, Policy: must(text, p, err)})
	}
	if d.access != "" {
		p, err := access.ParseVaultPolicy(d.access, photos)
		r.Access = must(d.access, p, err)
	}
	if d.lock != "" {
		p, err := access.ParseVaultPolicy(d.lock, photos)
		r.Lock = must(d.lock, p, err)
	}
}

// document fills in what a short document leaves out: the version, that every action and resource is meant, and that everybody is.
func document(t testing.TB, text string, ofVault bool) string {
	t.Helper()
	var value any
	dec := json.NewDecoder(strings.NewReader(short.Replace(text)))
	dec.UseNumber()
	if err := dec.Decode(&value); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	whole, ok := value.(map[string]any)
	if !ok || whole["Statement"] == nil {
		whole = map[string]any{"Version": "2012-10-17", "Statement": value}
	}
	list, ok := whole["Statement"].([]any)
	if !ok {
		list = []any{whole["Statement"]}
	}
	for _, s := range list {
		fill(s.(map[string]any), "Action", "glacier:*")
		fill(s.(map[string]any), "Resource", "*")
		if ofVault {
			fill(s.(map[string]any), "Principal", "*")
		}
	}
	b, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func fill(statement map[string]any, name string, value any) {
	if statement[name] == nil && statement["Not"+name] == nil {
		statement[name] = value
	}
}

// facts reads what a row says of a request, words like age=364. mfa says how many seconds ago the second factor was shown; temporary is a key that ends.
func facts(t testing.TB, r *access.Request, text string) {
	t.Helper()
	for word := range strings.FieldsSeq(text) {
		key, value, _ := strings.Cut(word, "=")
		var err error
		switch kind, name, _ := strings.Cut(key, "/"); kind {
		case "age":
			r.Age = new(int64)
			*r.Age, err = strconv.ParseInt(value, 10, 64)
		case "tag":
			r.Tags = with(r.Tags, name, value)
		case "ptag":
			r.Caller.Tags = with(r.Caller.Tags, name, value)
		case "now":
			r.Now, err = time.Parse(time.RFC3339, value)
		case "lock":
			r.LockTime, err = time.Parse(time.RFC3339, value)
		case "ip":
			r.Connection.Address, err = netip.ParseAddr(value)
		case "https":
			r.Connection.Secure = true
		case "agent":
			r.Connection.UserAgent = value
		case "referer":
			r.Connection.Referer = value
		case "temporary":
			r.Caller.Issued = noon.Add(-time.Hour)
		case "mfa":
			var age time.Duration
			age, err = time.ParseDuration(value + "s")
			r.Caller.Issued, r.Caller.MFA = noon.Add(-age), noon.Add(-age)
		case "resource":
			r.Resource = short.Replace(value)
		default:
			err = fmt.Errorf("there is no such fact")
		}
		if err != nil {
			t.Fatalf("%q: %v", word, err)
		}
	}
	if r.LockTime.IsZero() {
		r.LockTime = r.Now
	}
}

func with(m map[string]string, key, value string) map[string]string {
	if m == nil {
		m = make(map[string]string)
	}
	m[key] = value
	return m
}
