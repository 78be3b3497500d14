package api_test

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/identity"
	"github.com/moraine-archive/moraine/internal/moraintest"
	"github.com/moraine-archive/moraine/internal/protocol"
)

// Predefined policies.
const (
	fullAccess = "AmazonGlacierFullAccess"
	readAccess = "AmazonGlacierReadOnlyAccess"
)

// Statements of users' policies.
func allow(action, resource string) string {
	return `{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}`
}

// crowd is a server with two accounts, everybody that can be in them, and a vault of the first.
type crowd struct {
	jobVault
	keys  map[string]moraintest.Key // by account, a or b, and name
	other string                    // id of the account b
}

func startCrowd(t *testing.T) crowd {
	t.Helper()
	s := moraintest.Start(t)
	b := s.AddAccount(t, "other")
	c := crowd{newJobVault(t, s, "v"), map[string]moraintest.Key{"a root": s.Key, "b root": b}, b.Account}
	for account, id := range map[string]string{"a ": s.Key.Account, "b ": b.Account} {
		for name, policies := range map[string][]string{"full": {fullAccess}, "reader": {readAccess}, "none": nil} {
			c.keys[account+name] = s.AddUser(t, id, name, policies...)
		}
		s.AddRole(t, id, "keeper")
		c.keys[account+"session"] = s.AddToken(t, identity.TokenOptions{Who: identity.Who{Account: id, Kind: identity.RoleKind, Name: "keeper"}, Session: "night"}, time.Time{})
	}
	return c
}

// as sends a request of somebody to the first account.
func (c crowd) as(t *testing.T, who, method, path, body string) moraintest.Response {
	t.Helper()
	key, ok := c.keys[who]
	if !ok {
		t.Fatalf("there is no %q", who)
	}
	return c.Do(t, moraintest.Request{Method: method, Path: "/" + c.Key.Account + path, Body: []byte(body), Key: key})
}

// admitted are those who get beyond the decision, joined with commas, each account by itself.
func (c crowd) admitted(t *testing.T, method, path string) string {
	t.Helper()
	var in []string
	for _, who := range slices.Sorted(maps.Keys(c.keys)) {
		if res := c.as(t, who, method, path, ""); res.Status != 403 {
			in = append(in, who)
		} else {
			wantError(t, res, 403, denied, "User: arn:aws:")
		}
	}
	return strings.Join(in, ", ")
}

// TestEvaluation goes through policies, section 3: who may describe the vault and delete from it, by the policies that it has.
func TestEvaluation(t *testing.T) {
	c := startCrowd(t)
	to := func(effect, principal string) string {
		principal = strings.NewReplacer("{a}", c.Key.Account, "{b}", c.other).Replace(principal)
		return `{"Effect":"` + effect + `","Principal":` + principal + `,"Action":["glacier:DescribeVault","glacier:DeleteArchive"],"Resource":"*"}`
	}
	const (
		own      = "a full, a reader, a root"
		everyA   = "a full, a none, a reader, a root, a session"
		everyone = everyA + ", b full, b reader, b root"
	)
	for _, row := range []struct {
		name         string
		access, lock string // "": none
		describe     string
		remove       string // "": as describe, without readers
	}{
		{"no policy", "", "", own, "a full, a root"},
		{"edge 260 all", to("Allow", `"*"`), "", everyone, everyA + ", b full, b root"},
		{"all, as AWS", to("Allow", `{"AWS":"*"}`), "", everyone, everyA + ", b full, b root"},
		{"edge 53, edge 54 the other account", to("Allow", `{"AWS":"{b}"}`), "", own + ", b full, b reader, b root", "a full, a root, b full, b root"},
		{"edge 53, edge 54 its root", to("Allow", `{"AWS":"arn:aws:iam::{b}:root"}`), "", own + ", b full, b reader, b root", "a full, a root, b full, b root"},
		{"the own account", to("Allow", `{"AWS":["{a}","arn:aws:iam::{a}:root"]}`), "", own, "a full, a root"},
		{"edge 260 a user", to("Allow", `{"AWS":"arn:aws:iam::{a}:user/none"}`), "", "a full, a none, a reader, a root", "a full, a none, a root"},
		{"a user of the other account", to("Allow", `{"AWS":"arn:aws:iam::{b}:user/full"}`), "", own + ", b full", "a full, a root, b full"},
		{"edge 54 one without a policy", to("Allow", `{"AWS":"arn:aws:iam::{b}:user/none"}`), "", own, "a full, a root"},
		{"a role", to("Allow", `{"AWS":"arn:aws:iam::{a}:role/keeper"}`), "", own + ", a session", "a full, a root, a session"},
		{"a session", to("Allow", `{"AWS":"arn:aws:sts::{a}:assumed-role/keeper/night"}`), "", own + ", a session", "a full, a root, a session"},
		{"another session", to("Allow", `{"AWS":"arn:aws:sts::{a}:assumed-role/keeper/day"}`), "", own, "a full, a root"},
		{"a user of the role's name", to("Allow", `{"AWS":"arn:aws:iam::{a}:user/keeper"}`), "", own, "a full, a root"},
		{"a service", to("Allow", `{"Service":"glacier.amazonaws.com"}`), "", own, "a full, a root"},
		{"edge 259 deny all", to("Deny", `"*"`), "", "", ""},
		{"edge 259 deny beats allow", policyOf(to("Allow", `"*"`), to("Deny", `"*"`)), "", "", ""},
		{"deny the own account", policyOf(to("Allow", `"*"`), to("Deny", `{"AWS":"{a}"}`)), "", "b full, b reader, b root", "b full, b root"},
		{"deny the other account", policyOf(to("Allow", `"*"`), to("Deny", `{"AWS":"{b}"}`)), "", everyA, everyA},
		{"deny a user", policyOf(to("Allow", `"*"`), to("Deny", `{"AWS":"arn:aws:iam::{a}:user/full"}`)), "",
			"a none, a reader, a root, a session, b full, b reader, b root", "a none, a reader, a root, a session, b full, b root"},
		{"deny a role", policyOf(to("Deny", `{"AWS":"arn:aws:iam::{a}:role/keeper"}`), to("Allow", `"*"`)), "",
			"a full, a none, a reader, a root, b full, b reader, b root", "a full, a none, a reader, a root, b full, b root"},
		{"an allowance in a lock counts", "", to("Allow", `{"AWS":["arn:aws:iam::{a}:user/none","{b}"]}`), "a full, a none, a reader, a root, b full, b reader, b root", "a full, a none, a root, b full, b root"},
		{"edge 281 a lock denies what a policy allows", to("Allow", `"*"`), to("Deny", `"*"`), "", ""},
		{"a policy denies what a lock allows", to("Deny", `"*"`), to("Allow", `"*"`), "", ""},
		{"another action", policyOf(forAll("Allow", "glacier:ListJobs"), forAll("Deny", "glacier:UploadArchive")), "", own, "a full, a root"},
		{"edge 261 actions in other case", strings.ReplaceAll(to("Deny", `"*"`), `"glacier:DeleteArchive"`, `"GLACIER:deletearc*"`), "", "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			for policy, set := range map[string]func(*testing.T, string) moraintest.Response{row.access: c.setPolicy, row.lock: c.initiate} {
				if policy == "" {
					continue
				}
				if !strings.Contains(policy, `"Statement"`) {
					policy = policyOf(policy)
				}
				if res := set(t, policy); res.Status >= 300 {
					t.Fatalf("status %d, %s", res.Status, res.Body)
				}
			}
			if got := c.admitted(t, "GET", "/vaults/v"); got != row.describe {
				t.Errorf("the vault can be described by %s\nwant %s", got, row.describe)
			}
			if got := c.admitted(t, "DELETE", "/vaults/v/archives/x"); got != row.remove {
				t.Errorf("archives can be deleted by %s\nwant %s", got, row.remove)
			}
			wantNoContent(t, c.dropPolicy(t)) // changes count for the next request
			wantNoContent(t, c.abort(t))
			if got := c.admitted(t, "GET", "/vaults/v"); got != own {
				t.Errorf("without policies the vault can be described by %s", got)
			}
		})
	}
}

func TestCrossAccount(t *testing.T) {
	c := startCrowd(t)
	grant := policyOf(`{"Effect":"Allow","Principal":{"AWS":"` + c.other + `"},"Action":"glacier:*","Resource":"*"}`)
	wantNoContent(t, c.setPolicy(t, grant))
	t.Run("edge 53 archives belong to the owner of the vault", func(t *testing.T) {
		r := moraintest.Request{Method: "POST", Path: "/" + c.Key.Account + "/vaults/v/archives", Header: moraintest.UploadHeaders([]byte(small)), Body: []byte(small), Key: c.keys["b full"]}
		res := c.Want(t, 201, r)
		id := res.Header.Get("x-amz-archive-id")
		if got := res.Header.Get("Location"); got != "/"+c.Key.Account+"/vaults/v/archives/"+id {
			t.Errorf("Location %q", got)
		}
		if got := string(c.Retrieve(t, "v", id)); got != small {
			t.Errorf("the owner retrieves %q", got)
		}
		for _, who := range []string{"b none", "b session"} { // edge 54
			r.Key = c.keys[who]
			wantRefused(t, c.Do(t, r), 403, denied, "User: arn:aws:...")
		}
		job := c.InitiateJob(t, "v", `{"Type":"archive-retrieval","ArchiveId":"`+id+`"}`)
		c.WaitForJob(t, "v", job)
		for _, below := range []string{"/jobs", "/jobs/" + job, "/jobs/" + job + "/output"} { // whoever has initiated it
			wantStatus(t, c.as(t, "b root", "GET", "/vaults/v"+below, ""), 200)
			wantError(t, c.as(t, "b none", "GET", "/vaults/v"+below, ""), 403, denied, "User: ")
		}
	})
	for _, op := range protocol.Operations() {
		for _, who := range []string{"b root", "b full"} {
			r := plain(op, c.Key.Account, "v")
			r.key = c.keys[who]
			if op.Scope == protocol.OwnAccount {
				t.Run("edge 55 "+op.Name+" "+who, func(t *testing.T) {
					wantRefused(t, sendRaw(t, c.Server, r), 403, denied, "Access denied for account ID: "+c.Key.Account)
				})
				continue
			}
			t.Run("edge 53 "+op.Name+" "+who, func(t *testing.T) {
				wantNoContent(t, c.setPolicy(t, grant))
				if res := sendRaw(t, c.Server, r); res.Status == 403 || res.Status == 500 {
					t.Errorf("status %d, %s", res.Status, res.Body)
				}
				wantNoContent(t, c.setPolicy(t, harmless))
				wantRefused(t, sendRaw(t, c.Server, r), 403, denied, "User: "+arnOf(c.other, who)+" is not authorized to perform: glacier:"+op.Name+
					" on resource: "+c.arn()+" because no policy allows it")
			})
		}
	}
	t.Run("- is the caller's account", func(t *testing.T) {
		wantNoContent(t, c.setPolicy(t, grant))
		wantStatus(t, c.Do(t, moraintest.Request{Method: "GET", Path: "/-/vaults/v", Key: c.keys["b root"]}), 404)
		wantStatus(t, c.as(t, "b root", "GET", "/vaults/v", ""), 200)
	})
	t.Run("absent vault of the other account", func(t *testing.T) {
		wantRefused(t, c.as(t, "b root", "GET", "/vaults/absent", ""), 403, denied, "User: ...")
		wantRefused(t, c.as(t, "a reader", "GET", "/vaults/absent", ""), 404, notFound, "Vault not found for ARN: arn:aws:glacier:us-east-1:"+c.Key.Account+":vaults/absent")
	})
}

// arnOf is the ARN of one of the crowd.
func arnOf(account, who string) string {
	switch _, name, _ := strings.Cut(who, " "); name {
	case "root":
		return "arn:aws:iam::" + account + ":root"
	case "session":
		return "arn:aws:sts::" + account + ":assumed-role/keeper/night"
	default:
		return "arn:aws:iam::" + account + ":user/" + name
	}
}

// resourceOf is what policies call the thing that an operation on a vault of the first account is about (policies, section 4).
func resourceOf(op protocol.Operation, account, vault string) string {
	switch op.Name {
	case protocol.ListVaults:
		vault = ""
	case protocol.GetDataRetrievalPolicy, protocol.SetDataRetrievalPolicy:
		return "arn:aws:glacier:us-east-1:" + account + ":policies/retrieval-limit-policy"
	case protocol.ListProvisionedCapacity, protocol.PurchaseProvisionedCapacity:
		return "*"
	}
	return "arn:aws:glacier:us-east-1:" + account + ":vaults/" + vault
}

// TestNoPermission sends every operation as those who may nothing.
func TestNoPermission(t *testing.T) {
	c := startCrowd(t)
	for _, op := range protocol.Operations() {
		t.Run("edge 56 "+op.Name, func(t *testing.T) {
			for _, who := range []string{"a none", "a session"} {
				for _, vault := range []string{"absent", "v", "my:vault"} {
					r := plain(op, "-", vault)
					r.key = c.keys[who]
					if who == "a session" {
						r.lines = append(r.lines, "x-amz-security-token: "+r.key.Token)
					}
					wantRefused(t, sendRaw(t, c.Server, r), 403, denied, "User: "+arnOf(c.Key.Account, who)+" is not authorized to perform: glacier:"+op.Name+
						" on resource: "+resourceOf(op, c.Key.Account, vault)+" because no policy allows it")
				}
			}
			r := plain(op, "-", "absent")
			r.key = c.keys["a reader"]
			reads := strings.HasPrefix(op.Name, "Get") || strings.HasPrefix(op.Name, "List") || strings.HasPrefix(op.Name, "Describe")
			if res := sendRaw(t, c.Server, r); (res.Status != 403) != reads {
				t.Errorf("AmazonGlacierReadOnlyAccess: status %d", res.Status)
			}
			r = plain(op, "-", "absent")
			r.key = c.keys["a full"]
			if res := sendRaw(t, c.Server, r); res.Status == 403 {
				t.Errorf("AmazonGlacierFullAccess: status %d, %s", res.Status, res.Body)
			}
		})
	}
}

// TestResources holds users' policies with resources against the operations.
func TestResources(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "example")
	arn := "arn:aws:glacier:us-east-1:" + s.Key.Account + ":"
	n := 0
	for _, row := range []struct{ name, resource, can, cannot string }{
		{"one vault", arn + "vaults/example", "GET /vaults/example, PUT /vaults/example, GET /vaults/example/tags", "GET /vaults/example2, GET /vaults, GET /policies/data-retrieval, GET /provisioned-capacity"},
		{"edge 262 in other case", arn + "vaults/Ex*", "PUT /vaults/Exit", "GET /vaults/example, PUT /vaults/example, GET /vaults"},
		{"vaults of a prefix", arn + "vaults/example*", "GET /vaults/example, PUT /vaults/example-2, GET /vaults/examples", "GET /vaults/exampl, GET /vaults"},
		{"one character", arn + "vaults/exampl?", "GET /vaults/example", "GET /vaults/exampl, GET /vaults/example2"},
		{"all vaults", arn + "vaults/*", "GET /vaults, GET /vaults/example, PUT /vaults/new", "GET /policies/data-retrieval, GET /provisioned-capacity"},
		{"list of vaults", arn + "vaults/", "GET /vaults", "GET /vaults/example"},
		{"data retrieval policy", arn + "policies/retrieval-limit-policy", "GET /policies/data-retrieval, PUT /policies/data-retrieval", "GET /vaults, GET /vaults/example, GET /provisioned-capacity"},
		{"of the service", "arn:aws:glacier:*:*:*", "GET /policies/data-retrieval, GET /vaults, GET /vaults/example", "GET /provisioned-capacity, POST /provisioned-capacity"},
		{"everything", "*", "GET /provisioned-capacity, POST /provisioned-capacity, GET /vaults, GET /vaults/example, GET /policies/data-retrieval", ""},
		{"another region", strings.Replace(arn, "us-east-1", "eu-west-1", 1) + "*", "", "GET /vaults, GET /vaults/example, GET /policies/data-retrieval"},
		{"a variable", arn + "vaults/${aws:username}-*", "GET /vaults/user12-x", "GET /vaults/user1-x, GET /vaults/example, GET /vaults/${aws:username}-x"},
	} {
		t.Run(row.name, func(t *testing.T) {
			key := s.AddUser(t, "", "user"+string(rune('0'+n/10))+string(rune('0'+n%10)), policyOf(allow("glacier:*", row.resource)))
			if row.name == "a variable" {
				key = s.AddUser(t, "", "user12", policyOf(allow("glacier:*", row.resource)))
			}
			n++
			for requests, allowed := range map[string]bool{row.can: true, row.cannot: false} {
				for _, r := range strings.Split(requests, ", ") {
					method, path, _ := strings.Cut(r, " ")
					if path == "" {
						continue
					}
					res := s.Do(t, moraintest.Request{Method: method, Path: "/-" + strings.NewReplacer("$", "%24", "{", "%7B", "}", "%7D").Replace(path), Key: key})
					if (res.Status != 403) != allowed || res.Status == 500 {
						t.Errorf("%s: status %d, %s", r, res.Status, res.Body)
					}
				}
			}
		})
	}
	t.Run("a vault's policy gives nothing of the account", func(t *testing.T) {
		v := jobVault{s, "example"}
		wantNoContent(t, v.setPolicy(t, policyOf(forAll("Allow", "*"))))
		key := s.AddUser(t, "", "nobody")
		for _, op := range protocol.Operations() {
			r := plain(op, "-", "example")
			if r.key = key; op.Name == protocol.DeleteVaultAccessPolicy || op.Name == protocol.SetVaultAccessPolicy || op.Name == protocol.DeleteVault {
				continue
			}
			identityOnly := !ofVault(op) || op.Name == protocol.CreateVault
			if res := sendRaw(t, s, r); (res.Status == 403) != identityOnly {
				t.Errorf("%s: status %d, %s", op.Name, res.Status, res.Body)
			}
		}
	})
}

// TestDenialMessages holds that those of the owner's account learn which statement denies, and nobody else.
func TestDenialMessages(t *testing.T) {
	c := startCrowd(t)
	c.keys["a strict"] = c.AddUser(t, "", "strict", policyOf(allow("glacier:*", "*"), `{"Effect":"Deny","Action":"glacier:DescribeVault","Resource":"*"}`))
	c.keys["b strict"] = c.AddUser(t, c.other, "strict", policyOf(allow("glacier:*", "*"), `{"Sid":"no","Effect":"Deny","Action":"glacier:DescribeVault","Resource":"*"}`))
	describe := forAll("Deny", "glacier:DescribeVault")
	named := forAll("Deny", "glacier:DescribeVault", `"Sid":"not \"you\""`)
	for _, row := range []struct{ name, access, lock, who, why string }{
		{"nothing allows it", "", "", "a none", " because no policy allows it"},
		{"nothing allows it, other account", "", "", "b root", " because no policy allows it"},
		{"own policy", "", "", "a strict", ` with an explicit deny in the identity policy policy1, statement 2`},
		{"own policy in the other account", "", "", "b strict", ` with an explicit deny`},
		{"edge 259 access policy", policyOf(forAll("Allow", "glacier:*"), describe), "", "a root", ` with an explicit deny in the vault access policy, statement 2`},
		{"access policy, named", policyOf(named), "", "a full", ` with an explicit deny in the vault access policy, statement "not \"you\""`},
		{"access policy, other account", policyOf(forAll("Allow", "glacier:*"), named), "", "b root", " with an explicit deny"},
		{"lock", "", policyOf(describe), "a session", ` with an explicit deny in the vault lock policy, statement 1`},
		{"lock, other account", "", policyOf(named), "b full", " with an explicit deny"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.access != "" {
				wantNoContent(t, c.setPolicy(t, row.access))
			}
			if row.lock != "" {
				wantStatus(t, c.initiate(t, row.lock), 201)
			}
			account := c.Key.Account
			if strings.HasPrefix(row.who, "b") {
				account = c.other
			}
			wantRefused(t, c.as(t, row.who, "GET", "/vaults/v", ""), 403, denied,
				"User: "+arnOf(account, row.who)+" is not authorized to perform: glacier:DescribeVault on resource: "+c.arn()+row.why)
			wantNoContent(t, c.dropPolicy(t))
			wantNoContent(t, c.abort(t))
		})
	}
}

// TestConditions goes through the condition keys (policies, section 5): a vault's policy denies under a condition, and it does or does not.
func TestConditions(t *testing.T) {
	c := startCrowd(t)
	s, ctx := c.Server, context.Background()
	alice := identity.Who{Account: s.Key.Account, Kind: identity.UserKind, Name: "alice"}
	made, key, err := identity.AddPrincipal(ctx, s.Config(), identity.NewPrincipal{
		Who: alice, Path: "/team/", Tags: map[string]string{"Team": "blue"}, Key: true, Policies: []identity.PolicyText{{Name: "p", Document: policyOf(allow("glacier:*", "*"))}},
	}, time.Now())
	must(t, err)
	c.keys["alice"] = moraintest.Key{Account: s.Key.Account, ID: key.Caller.KeyID, Secret: key.Secret}
	c.keys["alice's token"] = s.AddToken(t, identity.TokenOptions{Who: alice}, time.Time{})
	c.keys["alice with MFA"] = s.AddToken(t, identity.TokenOptions{Who: alice, MFA: true, Duration: 24 * time.Hour}, time.Now().Add(-time.Hour))
	wantNoContent(t, c.tag(t, "add", `{"Tags":{"Class":"gold","Hold":""}}`))
	year := time.Now().UTC().Format("2006")
	for _, row := range []struct {
		who, condition string
		holds          bool
	}{
		{"edge 264 alice", `"Bool":{"aws:MultiFactorAuthPresent":"true"}`, false}, {"alice", `"Bool":{"aws:MultiFactorAuthPresent":"false"}`, false}, {"alice", `"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}`, true},
		{"alice's token", `"Bool":{"aws:MultiFactorAuthPresent":"false"}`, true}, {"alice's token", `"Bool":{"aws:MultiFactorAuthPresent":"true"}`, false}, {"alice with MFA", `"Bool":{"aws:MultiFactorAuthPresent":true}`, true},
		{"alice with MFA", `"NumericGreaterThan":{"aws:MultiFactorAuthAge":3000}`, true}, {"alice with MFA", `"NumericGreaterThan":{"aws:MultiFactorAuthAge":"4000"}`, false}, {"alice's token", `"NumericGreaterThan":{"aws:MultiFactorAuthAge":0}`, false},
		{"alice", `"Null":{"aws:MultiFactorAuthAge":"true"}`, true}, {"alice", `"Null":{"aws:TokenIssueTime":"true"}`, true}, {"alice's token", `"DateGreaterThan":{"aws:TokenIssueTime":"2024-01-01T00:00:00Z"}`, true},
		{"alice", `"StringEquals":{"aws:username":"alice"}`, true}, {"alice", `"StringEquals":{"aws:Username":["bob","alice"]}`, true}, {"alice", `"StringEquals":{"aws:username":"Alice"}`, false}, {"a root", `"StringEquals":{"aws:username":"root"}`, false},
		{"alice", `"StringNotEquals":{"aws:username":["bob","alice"]}`, false}, {"a root", `"StringNotEquals":{"aws:username":"alice"}`, true}, {"alice", `"StringEquals":{"aws:userid":"` + made.ID + `"}`, true},
		{"a root", `"StringEquals":{"aws:userid":"` + s.Key.Account + `"}`, true}, {"a session", `"StringLike":{"aws:userid":"AROA*:night"}`, true}, {"alice's token", `"StringEquals":{"aws:userid":"` + made.ID + `"}`, true},
		{"alice", `"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::*:user/team/*"}`, true}, {"a session", `"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::` + s.Key.Account + `:role/keeper"}`, true},
		{"alice", `"StringEquals":{"aws:PrincipalAccount":"` + s.Key.Account + `"}`, true}, {"alice", `"StringEquals":{"aws:PrincipalType":"User"}`, true}, {"a root", `"StringEquals":{"aws:PrincipalType":"Account"}`, true},
		{"a session", `"StringEquals":{"aws:PrincipalType":"AssumedRole"}`, true}, {"alice", `"StringEquals":{"aws:PrincipalTag/Team":"blue"}`, true}, {"a root", `"StringEquals":{"aws:PrincipalTag/Team":"blue"}`, false},
		{"alice", `"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}`, true}, {"alice", `"IpAddress":{"aws:SourceIp":["10.0.0.0/8","::1"]}`, false}, {"alice", `"NotIpAddress":{"aws:SourceIp":"127.0.0.1"}`, false},
		{"alice", `"Bool":{"aws:SecureTransport":"false"}`, true}, {"alice", `"Bool":{"aws:SecureTransport":true}`, false}, {"alice", `"StringLike":{"aws:UserAgent":"test/*"}`, true}, {"alice", `"StringEquals":{"aws:Referer":"http://x/"}`, true},
		{"alice", `"DateGreaterThan":{"aws:CurrentTime":"` + year + `-01-01T00:00:00Z"}`, true}, {"alice", `"DateLessThan":{"aws:CurrentTime":"2020-01-01"}`, false}, {"alice", `"NumericGreaterThan":{"aws:EpochTime":1700000000}`, true},
		{"alice", `"StringEquals":{"glacier:ResourceTag/Class":"gold"}`, true}, {"alice", `"StringEquals":{"glacier:ResourceTag/class":"gold"}`, false}, {"alice", `"StringEquals":{"glacier:resourcetag/Hold":""}`, true},
		{"alice", `"Null":{"glacier:ResourceTag/Other":true}`, true}, {"alice", `"Null":{"glacier:ArchiveAgeInDays":true}`, true},
		{"alice", `"StringEquals":{"aws:username":"${aws:username}"}`, true}, {"alice", `"StringEquals":{"aws:username":"alice","aws:PrincipalType":"Account"}`, false},
		{"alice", `"StringEquals":{"aws:username":"alice"},"Bool":{"aws:SecureTransport":"true"}`, false}, {"alice", `"StringEquals":{"s3:prefix":"x"}`, false}, {"alice", `"StringNotEquals":{"s3:prefix":"x"}`, true},
	} {
		t.Run(row.who+" "+row.condition, func(t *testing.T) {
			wantNoContent(t, c.setPolicy(t, policyOf(forAll("Deny", "glacier:DeleteArchive", `"Condition":{`+row.condition+`}`))))
			res := s.Do(t, moraintest.Request{
				Method: "DELETE", Path: c.path() + "/archives/x", Key: c.keys[strings.TrimPrefix(row.who, "edge 264 ")],
				Header: map[string]string{"User-Agent": "test/1.0", "Referer": "http://x/"},
			})
			if want := map[bool]int{true: 403, false: 404}[row.holds]; row.who != "a session" {
				wantStatus(t, res, want)
			} else if got := strings.Contains(res.Message(), "explicit deny"); got != row.holds {
				t.Errorf("denied explicitly: %t; %s", got, res.Body)
			}
		})
	}
	t.Run("tags are a fact for writes only", func(t *testing.T) {
		condition := `"Condition":{"Null":{"glacier:ResourceTag/Class":"false"}}`
		wantNoContent(t, c.setPolicy(t, policyOf(forAll("Deny", "glacier:DescribeVault", condition), forAll("Deny", "glacier:UploadArchive", condition))))
		wantStatus(t, c.get(t, ""), 200)
		r := plain(operation(protocol.UploadArchive), "-", "v")
		wantError(t, sendRaw(t, s, r), 403, denied, "User: ")
		wantNoContent(t, c.tag(t, "remove", `{"TagKeys":["Class"]}`))
		wantStatus(t, sendRaw(t, s, r), 201)
	})
	t.Run("the service's time", func(t *testing.T) {
		from := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
		wantNoContent(t, c.setPolicy(t, policyOf(forAll("Deny", "glacier:DescribeVault", `"Condition":{"DateGreaterThanEquals":{"aws:CurrentTime":"`+from+`"}}`))))
		wantStatus(t, c.get(t, ""), 200)
		s.Advance(time.Hour)
		wantError(t, c.get(t, ""), 403, denied, "User: ")
	})
}

// operation is the one of a name.
func operation(name string) protocol.Operation {
	op, ok := protocol.OperationNamed(name)
	if !ok {
		panic(name)
	}
	return op
}

// TestPolicyOfUser changes the policies of a user, which counts for the next request, and disables the key.
func TestPolicyOfUser(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	who := identity.Who{Account: s.Key.Account, Kind: identity.UserKind, Name: "alice"}
	key := s.AddUser(t, "", "alice")
	token := s.AddToken(t, identity.TokenOptions{Who: who}, time.Time{})
	status := func(t *testing.T, want int) {
		t.Helper()
		for _, k := range []moraintest.Key{key, token} {
			wantStatus(t, s.Do(t, moraintest.Request{Method: "GET", Path: "/-/vaults/v", Key: k}), want)
		}
	}
	ctx, config := context.Background(), s.Config()
	status(t, 403)
	must(t, identity.SetPolicy(ctx, config, who, identity.PolicyText{Name: "p", Document: policyOf(allow("glacier:DescribeVault", "*"))}))
	status(t, 200)
	must(t, identity.SetPolicy(ctx, config, who, identity.PolicyText{Name: "p", Document: policyOf(allow("glacier:ListVaults", "*"))}))
	status(t, 403)
	must(t, identity.SetPolicy(ctx, config, who, identity.PolicyText{Name: "q", Document: policyOf(allow("glacier:Describe*", "*"))}))
	status(t, 200)
	must(t, identity.RemovePolicy(ctx, config, who, "q"))
	status(t, 403)
	must(t, identity.DisableKey(ctx, config, key.ID, false))
	wantError(t, s.Do(t, moraintest.Request{Method: "GET", Path: "/-/vaults/v", Key: key}), 400, unrecognized, "The security token included in the request is invalid.")
	must(t, identity.RemovePrincipal(ctx, config, who))
	status(t, 400)
}

// TestTemporaryCredentials is for tokens that are missing, wrong or too old.
func TestTemporaryCredentials(t *testing.T) {
	s := startEvery(t)
	const invalidToken = "The security token included in the request is invalid."
	token := func(o identity.TokenOptions, made time.Time) moraintest.Key { return s.AddToken(t, o, made) }
	fresh := token(identity.TokenOptions{}, time.Time{})
	old := token(identity.TokenOptions{Duration: time.Hour}, time.Now().Add(-2*time.Hour))
	before := s.state(t)
	send := func(op protocol.Operation, key moraintest.Key, lines, loose []string) moraintest.Response {
		r := plain(op, "-", "v")
		r.key, r.lines, r.loose = key, append(r.lines, lines...), loose
		return sendRaw(t, s.Server, r)
	}
	header := func(k moraintest.Key) []string { return []string{"x-amz-security-token: " + k.Token} }
	for _, op := range protocol.Operations() {
		t.Run("edge 44 "+op.Name, func(t *testing.T) {
			wantRefused(t, send(op, fresh, nil, nil), 400, unrecognized, invalidToken)
			wantRefused(t, send(op, fresh, []string{"x-amz-security-token: " + fresh.Token + "x"}, nil), 400, unrecognized, invalidToken)
			wantRefused(t, send(op, fresh, []string{"x-amz-security-token: "}, nil), 400, unrecognized, invalidToken)
			wantRefused(t, send(op, fresh, header(old), nil), 400, unrecognized, invalidToken)
			wantRefused(t, send(op, s.Key, header(fresh), nil), 400, unrecognized, invalidToken) // edge 46
			wantError(t, send(op, fresh, nil, header(fresh)), 403, badSignature, "'x-amz-security-token' must be a 'SignedHeader'")
			wrong := fresh
			wrong.Secret = "x"
			wantError(t, send(op, wrong, header(fresh), nil), 403, badSignature, "The request signature we calculated does not match")
		})
		t.Run("edge 45 "+op.Name, func(t *testing.T) {
			wantRefused(t, send(op, old, header(old), nil), 403, "ExpiredTokenException", "The security token included in the request is expired...")
			wantRefused(t, send(op, old, nil, nil), 400, unrecognized, invalidToken)
		})
	}
	s.wantUnchanged(t, before)
	t.Run("a token is good until it expires", func(t *testing.T) {
		short := token(identity.TokenOptions{Duration: 15 * time.Minute}, time.Time{})
		list := moraintest.Request{Method: "GET", Path: "/-/vaults/v", Key: short}
		wantStatus(t, s.Do(t, list), 200)
		s.Advance(14 * time.Minute)
		wantStatus(t, s.Do(t, list), 200)
		s.Advance(time.Minute)
		wantRefused(t, s.Do(t, list), 403, "ExpiredTokenException", "The security token included in the request is expired...")
		list.Key = fresh
		wantStatus(t, s.Do(t, list), 200)
	})
	t.Run("the token is nowhere in the answer", func(t *testing.T) {
		b, err := json.Marshal(s.Do(t, moraintest.Request{Method: "GET", Path: "/-/vaults/v", Key: fresh}))
		must(t, err)
		if strings.Contains(string(b), fresh.Token) {
			t.Errorf("%s", b)
		}
	})
}
