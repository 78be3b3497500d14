package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/moraine-archive/moraine/internal/moraintest"
)

// policyBody is the body that sets a policy document: a text within the JSON.
func policyBody(document string) []byte {
	b, err := json.Marshal(map[string]string{"Policy": document})
	if err != nil {
		panic(err)
	}
	return b
}

// policyOf is a document of statements.
func policyOf(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

// forAll is a statement of a vault's policy about everybody and the vault, with further elements.
func forAll(effect, action string, more ...string) string {
	return `{"Effect":"` + effect + `","Principal":"*","Action":"` + action + `","Resource":"*"` + strings.Join(append([]string{""}, more...), ",") + `}`
}

// harmless is a policy for any vault that concerns nobody.
const harmless = `{"Statement":{"Effect":"Deny","Principal":{"AWS":"999999999999"},"Action":"glacier:UploadArchive","Resource":"*"}}`

const (
	badAccess = "The specified vault access policy is invalid. Provide a valid policy."
	badLock   = "The specified vault lock policy is invalid. Provide a valid policy."
)

// setPolicy sends an access policy.
func (v jobVault) setPolicy(t *testing.T, document string) moraintest.Response {
	t.Helper()
	return v.Do(t, moraintest.Request{Method: "PUT", Path: v.path() + "/access-policy", Body: policyBody(document)})
}

// dropPolicy deletes the access policy.
func (v jobVault) dropPolicy(t *testing.T) moraintest.Response {
	t.Helper()
	return v.Do(t, moraintest.Request{Method: "DELETE", Path: v.path() + "/access-policy"})
}

// A badBody is a body that is refused, and how.
type badBody struct{ name, body, code, message string }

// notObjects are bodies that no operation takes.
func notObjects() []badBody {
	const wrong = "The body is not a JSON object..."
	return []badBody{
		{"no JSON", `Policy=x`, malformed, wrong}, {"half an object", `{"Policy":`, malformed, wrong}, {"list", `[]`, malformed, wrong}, {"text", `"x"`, malformed, wrong},
		{"number", `1`, malformed, wrong}, {"null", `null`, malformed, "The body is not a JSON object but null"}, {"two objects", `{}{}`, malformed, wrong},
		{"more behind it", `{}x`, malformed, wrong}, {"byte order mark", "\ufeff{}", malformed, wrong}, {"blank", ` `, malformed, wrong},
		{"not UTF-8", "{\"x\":\"\xff\"}", malformed, "The body is not a JSON object: it is not UTF-8"}, {"NUL", "{}\x00", malformed, wrong},
	}
}

// chunked sends a request with its body in chunks, whose sum nothing announces.
func chunked(t *testing.T, s *moraintest.Server, r rawRequest) moraintest.Response {
	t.Helper()
	body := r.body
	r.body, r.hash, r.loose = "", moraintest.Hex([]byte(body)), append(r.loose, "Transfer-Encoding: chunked")
	var chunks strings.Builder
	for from := 0; from < len(body); from += 1000 {
		part := body[from:min(len(body), from+1000)]
		fmt.Fprintf(&chunks, "%x\r\n%s\r\n", len(part), part)
	}
	return exchange(t, s, r.method, r.text(s)+chunks.String()+"0\r\n\r\n")
}

// wantBodiesRefused sends bodies that are refused, whole and in chunks, and holds that what state returns stays as it is.
func wantBodiesRefused(t *testing.T, s *moraintest.Server, r rawRequest, state func() string, rows ...badBody) {
	t.Helper()
	before := state()
	for _, row := range append(notObjects(), rows...) {
		t.Run(row.name, func(t *testing.T) {
			r := r
			r.body = row.body
			wantRefused(t, sendRaw(t, s, r), 400, row.code, row.message)
			wantRefused(t, chunked(t, s, r), 400, row.code, row.message)
			if after := state(); after != before {
				t.Errorf("it was %s and is %s", before, after)
			}
		})
	}
}

func TestAccessPolicy(t *testing.T) {
	v := newJobVault(t, moraintest.Start(t), "v")
	get := func() string { return v.get(t, "/access-policy").Body }
	none := func(t *testing.T) {
		t.Helper()
		wantRefused(t, v.get(t, "/access-policy"), 404, notFound, "No vault access policy is set for: v")
	}
	t.Run("edge 252 none", none)
	t.Run("edge 253 nothing to delete", func(t *testing.T) { wantNoContent(t, v.dropPolicy(t)) })
	t.Run("a policy is returned as it was set, and replaces the one before", func(t *testing.T) {
		for _, document := range []string{
			harmless, policyOf(forAll("Allow", "glacier:*")), " \r\n" + harmless + "\t", strings.Replace(harmless, "{", `{"Id":"\u00e9 é <&>  `+"\u2028"+` \\\" /","Version":"2012-10-17",`, 1),
		} {
			wantNoContent(t, v.setPolicy(t, document))
			res := v.get(t, "/access-policy")
			var got map[string]string
			must(t, json.Unmarshal([]byte(res.Body), &got))
			if res.Status != 200 || res.Header.Get("Content-Type") != "application/json" || len(got) != 1 || got["Policy"] != document {
				t.Errorf("status %d, %s; want the policy %s", res.Status, res.Body, document)
			}
		}
		wantNoContent(t, v.setPolicy(t, harmless))
		if want := string(policyBody(harmless)); get() != want {
			t.Errorf("got %s\nwant %s", get(), want)
		}
	})
	t.Run("edge 254, edge 256 refused bodies leave the old policy", func(t *testing.T) {
		wantNoContent(t, v.setPolicy(t, harmless))
		wantBodiesRefused(t, v.Server, rawRequest{method: "PUT", target: v.path() + "/access-policy"}, get,
			badBody{"object", `{"Policy":` + harmless + `}`, malformed, "Policy must be a string"}, badBody{"list", `{"Policy":["x"]}`, malformed, "Policy must be a string"},
			badBody{"number", `{"Policy":1}`, malformed, "Policy must be a string"}, badBody{"true", `{"Policy":true}`, malformed, "Policy must be a string"},
			badBody{"no body", ``, missing, "Required parameter missing: Policy"}, badBody{"no member", `{}`, missing, "Required parameter missing: Policy"},
			badBody{"null", `{"Policy":null}`, missing, "Required parameter missing: Policy"}, badBody{"small letters", `{"policy":"{}"}`, missing, "Required parameter missing: Policy"},
			badBody{"bare document", harmless, missing, "Required parameter missing: Policy"},
			badBody{"empty text", `{"Policy":""}`, invalid, badAccess + "..."}, badBody{"null as text", `{"Policy":"null"}`, invalid, badAccess + "..."},
			badBody{"lone surrogate", `{"Policy":"\ud800"}`, invalid, badAccess + "..."}, badBody{"NUL", `{"Policy":"\u0000"}`, invalid, badAccess + "..."},
			badBody{"the last of two counts", strings.TrimSuffix(string(policyBody(harmless)), "}") + `,"Policy":"x"}`, invalid, badAccess + "..."},
		)
		wantNoContent(t, sendRaw(t, v.Server, rawRequest{method: "PUT", target: v.path() + "/access-policy", body: `{"Policy":1,` + string(policyBody(harmless))[1:]}))
		wantNoContent(t, chunked(t, v.Server, rawRequest{method: "PUT", target: v.path() + "/access-policy", body: string(policyBody(harmless))}))
	})
	t.Run("edge 255 size", func(t *testing.T) {
		wantNoContent(t, v.setPolicy(t, harmless+strings.Repeat(" ", 20_480-len(harmless))))
		before := get()
		wantRefused(t, v.setPolicy(t, harmless+strings.Repeat(" ", 20_481-len(harmless))), 400, invalid, badAccess+" It has 20481 bytes, the limit is 20480")
		long := strings.Replace(harmless, "{", `{"Id":"`+strings.Repeat("é", 10_240)+`",`, 1) // of bytes, not of characters
		wantRefused(t, v.setPolicy(t, long), 400, invalid, badAccess+"...")
		if get() != before {
			t.Error("the policy has changed")
		}
	})
	t.Run("edge 253 deleted", func(t *testing.T) {
		wantNoContent(t, v.dropPolicy(t))
		none(t)
		wantNoContent(t, v.dropPolicy(t))
	})
	t.Run("vault that does not exist", func(t *testing.T) {
		absent := jobVault{v.Server, "absent"}
		message := "Vault not found for ARN: " + absent.arn()
		wantRefused(t, absent.get(t, "/access-policy"), 404, notFound, message)
		wantRefused(t, absent.dropPolicy(t), 404, notFound, message)
		wantRefused(t, absent.setPolicy(t, harmless), 404, notFound, message)
		wantRefused(t, absent.setPolicy(t, "{}"), 400, invalid, badAccess+"...") // syntax comes first
	})
	t.Run("survives a restart", func(t *testing.T) {
		wantNoContent(t, v.setPolicy(t, harmless))
		before := get()
		v.Restart(t)
		if get() != before {
			t.Errorf("the policy was %s and is %s", before, get())
		}
	})
}

// TestPolicyLanguage goes through the elements of the language (policies, sections 4 and 5): what can be a policy of a vault, of access or of a lock.
func TestPolicyLanguage(t *testing.T) {
	v := newJobVault(t, moraintest.Start(t), "v")
	const ok, bad = true, false
	with := func(old, new string) string {
		whole := policyOf(`{"Sid":"s","Effect":"Allow","Principal":"*","Action":"glacier:DeleteArchive","Resource":"` + v.arn() + `","Condition":{}}`)
		if !strings.Contains(whole, old) {
			panic(old)
		}
		return strings.Replace(whole, old, new, 1)
	}
	condition := func(text string) string { return with(`"Condition":{}`, `"Condition":`+text) }
	principal := func(text string) string { return with(`"Principal":"*"`, text) }
	action := func(text string) string { return with(`"Action":"glacier:DeleteArchive"`, text) }
	resource := func(text string) string { return with(`"Resource":"`+v.arn()+`"`, text) }
	for _, row := range []struct {
		name, document string
		valid          bool
	}{
		{"whole", with("", ""), ok},
		{"no document", ``, bad}, {"empty object", `{}`, bad}, {"list", `[]`, bad}, {"null", `null`, bad}, {"text", `"x"`, bad}, {"no JSON", `Effect: Deny`, bad}, {"two", harmless + harmless, bad},
		{"Version of 2008", with("2012-10-17", "2008-10-17"), ok}, {"no Version", with(`"Version":"2012-10-17",`, ``), ok}, {"unknown Version", with("2012-10-17", "2012-10-18"), bad},
		{"Version is a number", with(`"2012-10-17"`, `2012`), bad}, {"Id", with(`{"Version"`, `{"Id":"x","Version"`), ok}, {"Id is a number", with(`{"Version"`, `{"Id":1,"Version"`), bad},
		{"unknown element", with(`{"Version"`, `{"Owner":"x","Version"`), bad}, {"unknown element of a statement", with(`"Sid"`, `"sid":"x","Sid"`), bad},
		{"Statement is an object", harmless, ok}, {"no Statement", `{"Version":"2012-10-17"}`, bad}, {"no statements", `{"Statement":[]}`, bad}, {"Statement is a text", `{"Statement":"x"}`, bad},
		{"an element twice", with(`"Sid"`, `"Effect":"Allow","Sid"`), bad},
		{"Effect", with("Allow", "Deny"), ok}, {"no Effect", with(`"Effect":"Allow",`, ``), bad}, {"Effect in small letters", with("Allow", "allow"), bad}, {"Sid is a number", with(`"s"`, `1`), bad},
		{"edge 258 no Principal", principal(`"Sid2":"x"`), bad}, {"edge 258 neither, indeed", with(`"Principal":"*",`, ``), bad}, {"NotPrincipal", principal(`"NotPrincipal":{"AWS":"999999999999"}`), ok},
		{"Principal and NotPrincipal", principal(`"Principal":"*","NotPrincipal":"*"`), bad}, {"AWS of all", principal(`"Principal":{"AWS":"*"}`), ok},
		{"account", principal(`"Principal":{"AWS":"999999999999"}`), ok}, {"account root", principal(`"Principal":{"AWS":"arn:aws:iam::999999999999:root"}`), ok},
		{"user", principal(`"Principal":{"AWS":"arn:aws:iam::999999999999:user/a/b"}`), ok}, {"role", principal(`"Principal":{"AWS":"arn:aws:iam::999999999999:role/r"}`), ok},
		{"session", principal(`"Principal":{"AWS":"arn:aws:sts::999999999999:assumed-role/r/s"}`), ok}, {"several", principal(`"Principal":{"AWS":["*","999999999999"]}`), ok},
		{"none", principal(`"Principal":{"AWS":[]}`), bad}, {"no kind", principal(`"Principal":{}`), bad}, {"account of 11 digits", principal(`"Principal":{"AWS":"99999999999"}`), bad},
		{"part of an ARN", principal(`"Principal":{"AWS":"arn:aws:iam::999999999999:user/*"}`), bad}, {"Principal is another text", principal(`"Principal":"999999999999"`), bad},
		{"Service", principal(`"Principal":{"Service":"glacier.amazonaws.com"}`), ok}, {"Federated", principal(`"Principal":{"Federated":"x","CanonicalUser":"y"}`), ok}, {"unknown kind", principal(`"Principal":{"IAM":"*"}`), bad},
		{"actions", action(`"Action":["glacier:DeleteArchive","GLACIER:deletevault"]`), ok}, {"NotAction", action(`"NotAction":"glacier:DeleteArchive"`), ok}, {"both", action(`"Action":"*","NotAction":"*"`), bad},
		{"no action", with(`"Action":"glacier:DeleteArchive",`, ``), bad}, {"no actions", action(`"Action":[]`), bad}, {"wildcards", action(`"Action":["glacier:Delete*","glacier:*","*","glacier:GetVault?ock"]`), ok},
		{"unknown action", action(`"Action":"glacier:DeleteEverything"`), bad}, {"wildcard for nothing", action(`"Action":"glacier:Purge*"`), bad}, {"action of another service", action(`"Action":"s3:DeleteObject"`), bad},
		{"action without a service", action(`"Action":"DeleteArchive"`), bad}, {"action is a number", action(`"Action":1`), bad},
		{"CreateVault", action(`"Action":"glacier:CreateVault"`), bad}, {"SetDataRetrievalPolicy", action(`"Action":["glacier:DeleteVault","glacier:SetDataRetrievalPolicy"]`), bad},
		{"GetDataRetrievalPolicy", action(`"Action":"glacier:GetDataRetrievalPolicy"`), bad}, {"ListVaults", action(`"Action":"glacier:ListVaults"`), bad},
		{"ListProvisionedCapacity", action(`"Action":"glacier:ListProvisionedCapacity"`), bad}, {"PurchaseProvisionedCapacity", action(`"Action":"glacier:PurchaseProvisionedCapacity"`), bad},
		{"edge 257 another vault", resource(`"Resource":"` + v.arn() + `2"`), bad}, {"edge 257 another among them", resource(`"Resource":["` + v.arn() + `","` + v.arn() + `2"]`), bad},
		{"edge 257 another account", resource(`"Resource":"arn:aws:glacier:us-east-1:999999999999:vaults/v"`), bad}, {"edge 257 another region", resource(`"Resource":"arn:aws:glacier:eu-west-1:123456789012:vaults/v"`), bad},
		{"edge 257 in capitals", resource(`"Resource":"arn:aws:glacier:us-east-1:123456789012:vaults/V"`), bad}, {"all", resource(`"Resource":"*"`), ok},
		{"pattern", resource(`"Resource":"arn:aws:glacier:*:123456789012:vaults/?"`), ok}, {"pattern of others", resource(`"Resource":"arn:aws:glacier:us-east-1:123456789012:vaults/w*"`), bad},
		{"no Resource", with(`"Resource":"`+v.arn()+`",`, ``), bad}, {"no resources", resource(`"Resource":[]`), bad}, {"NotResource", resource(`"NotResource":"arn:aws:glacier:us-east-1:123456789012:vaults/w"`), ok},
		{"Resource is an object", resource(`"Resource":{}`), bad},
		{"no conditions", condition(`{}`), ok}, {"Condition is a list", condition(`[]`), bad}, {"unknown operator", condition(`{"StringMatches":{"aws:UserAgent":"x"}}`), bad},
		{"operator in small letters", condition(`{"stringequals":{"aws:UserAgent":"x"}}`), bad}, {"operator is a text", condition(`{"Bool":"true"}`), bad}, {"a key without a service", condition(`{"Bool":{"MultiFactorAuthPresent":"true"}}`), bad},
		{"unknown key of this service", condition(`{"Bool":{"glacier:Locked":"true"}}`), bad}, {"a key of another", condition(`{"StringEquals":{"s3:prefix":"x"}}`), ok},
		{"edge 265 number", condition(`{"NumericLessThan":{"glacier:ArchiveAgeInDays":365}}`), ok}, {"edge 265 text", condition(`{"NumericLessThan":{"glacier:ArchiveAgeInDays":"365"}}`), ok},
		{"no number", condition(`{"NumericLessThan":{"glacier:ArchiveAgeInDays":"a year"}}`), bad}, {"true", condition(`{"Bool":{"aws:SecureTransport":true}}`), ok}, {"yes", condition(`{"Bool":{"aws:SecureTransport":"yes"}}`), bad},
		{"null", condition(`{"Bool":{"aws:SecureTransport":null}}`), bad}, {"no date", condition(`{"DateLessThan":{"aws:CurrentTime":"soon"}}`), bad}, {"no network", condition(`{"IpAddress":{"aws:SourceIp":"10.0.0.0/33"}}`), bad},
		{"NullIfExists", condition(`{"NullIfExists":{"aws:UserAgent":"true"}}`), bad}, {"IfExists alone", condition(`{"IfExists":{"aws:UserAgent":"x"}}`), bad},
		{"every operator", condition(`{` + everyOperator() + `}`), ok},
	} {
		t.Run(row.name, func(t *testing.T) {
			wantNoContent(t, v.dropPolicy(t))
			wantNoContent(t, v.abort(t))
			set, lock := v.setPolicy(t, row.document), v.initiate(t, row.document)
			if row.valid {
				wantNoContent(t, set)
				wantStatus(t, lock, 201)
				return
			}
			wantRefused(t, set, 400, invalid, badAccess+"...")
			wantRefused(t, lock, 400, invalid, badLock+"...") // edge 280
			wantStatus(t, v.get(t, "/access-policy"), 404)
			wantStatus(t, v.get(t, "/lock-policy"), 404)
		})
	}
}

// everyOperator is a member for every condition operator, in all its forms.
func everyOperator() string {
	values := map[string]string{
		"String": `{"aws:UserAgent":["a","b"]}`, "Numeric": `{"glacier:archiveAgeinDays":[1,"2"]}`, "Date": `{"aws:CurrentTime":["2026-01-01T00:00:00Z","2026-01-01",1767225600]}`,
		"Bool": `{"aws:MultiFactorAuthPresent":[true,"false"]}`, "IpAddress": `{"aws:SourceIp":["10.0.0.0/8","2001:db8::/32","192.0.2.1"]}`, "NotIpAddress": `{"aws:SourceIp":"10.0.0.1"}`,
		"Arn": `{"aws:PrincipalArn":"arn:aws:iam::*:user/?"}`,
	}
	var members []string
	for kind, suffixes := range map[string][]string{
		"String": {"Equals", "NotEquals", "EqualsIgnoreCase", "NotEqualsIgnoreCase", "Like", "NotLike"}, "Arn": {"Equals", "NotEquals", "Like", "NotLike"}, "Bool": {""}, "IpAddress": {""}, "NotIpAddress": {""},
		"Numeric": {"Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals"}, "Date": {"Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals"},
	} {
		for _, suffix := range suffixes {
			for _, form := range []string{"%s", "%sIfExists", "ForAnyValue:%s", "ForAllValues:%sIfExists"} {
				members = append(members, `"`+fmt.Sprintf(form, kind+suffix)+`":`+values[kind])
			}
		}
	}
	return strings.Join(append(members, `"Null":{"aws:TokenIssueTime":true}`), ",")
}
