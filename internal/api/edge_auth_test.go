package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/moraintest"
	"github.com/moraine-archive/moraine/internal/protocol"
)

// bodies are what operations with a JSON body are sent. They are right for any vault.
var bodies = map[string]string{ // read only
	protocol.InitiateJob: `{"Type":"inventory-retrieval"}`, protocol.SetVaultNotifications: topic,
	protocol.SetVaultAccessPolicy: string(policyBody(harmless)), protocol.InitiateVaultLock: string(policyBody(harmless)),
	protocol.AddTagsToVault: `{"Tags":{"other":"tag"}}`, protocol.RemoveTagsFromVault: `{"TagKeys":["k"]}`,
	protocol.SetDataRetrievalPolicy: `{"Policy":{"Rules":[{"Strategy":"FreeTier"}]}}`,
}

// ofVault reports whether an operation is about a vault that its path names.
func ofVault(op protocol.Operation) bool { return strings.Contains(op.Path, "{vaultName}") }

// plain returns a request for an operation that is right in all but what its target names.
func plain(op protocol.Operation, account, vault string) rawRequest {
	r := rawRequest{method: op.Method, target: targetOf(op, account, vault)}
	switch op.Body {
	case protocol.ArchiveBody:
		r.body, r.lines = small, append(hashLines(small), "Content-Range: "+contentRange(0, len(small)-1))
	case protocol.JSONBody:
		r.body = bodies[op.Name]
		if r.body == "" {
			panic(fmt.Sprintf("the tests know no body for %s", op.Name))
		}
	default:
		r.lines = []string{"x-amz-part-size: 1048576", "x-amz-archive-size: 15", hashLines(small)[1]}
	}
	return r
}

// TestAuthenticationFails sends every operation in every way that authentication has to refuse, and holds that nothing happened.
func TestAuthenticationFails(t *testing.T) {
	s := startEvery(t)
	before, files := s.state(t), s.Server.Records(t)
	now := time.Now().UTC()
	rows := []struct {
		name          string
		change        func(*rawRequest)
		status        int
		code, message string
	}{
		{"edge 30 no Authorization", func(r *rawRequest) { r.without = []string{"authorization"} }, 400, noToken, "Missing Authentication Token"},
		{"edge 30 empty Authorization", func(r *rawRequest) { r.authorization = func(string) string { return "" } }, 400, noToken, ""},
		{"edge 31 unknown key", func(r *rawRequest) { r.key = moraintest.Key{ID: "AKIAIOSFODNN7EXAMPLF", Secret: s.Key.Secret} },
			400, unrecognized, "The security token included in the request is invalid."},
		{"edge 32 wrong secret", func(r *rawRequest) { r.key = moraintest.Key{ID: s.Key.ID, Secret: s.Key.Secret + "x"} },
			403, badSignature, "The request signature we calculated does not match the signature you provided."},
		{"edge 33 clock 6 minutes behind", func(r *rawRequest) { r.time = now.Add(-6 * time.Minute) },
			403, badSignature, "Signature expired: " + now.Add(-6*time.Minute).Format(basicDate) + " is now earlier than "},
		{"edge 34 clock 6 minutes ahead", func(r *rawRequest) { r.time = now.Add(6 * time.Minute) },
			403, badSignature, "Signature not yet current: " + now.Add(6*time.Minute).Format(basicDate) + " is still later than "},
		{"edge 36 old x-amz-date beside a good Date", func(r *rawRequest) {
			r.time, r.lines = now.Add(-time.Hour), append(r.lines, "Date: "+now.Format(http.TimeFormat))
		}, 403, badSignature, "Signature expired: "},
		{"edge 37 unsigned Date alone", func(r *rawRequest) {
			r.without, r.loose = []string{"x-amz-date"}, []string{"Date: " + now.Format(http.TimeFormat)}
		}, 403, badSignature, "'date' must be a 'SignedHeader'"},
		{"no date at all", func(r *rawRequest) { r.without = []string{"x-amz-date"} }, 400, incomplete, ""},
		{"edge 38 scope of another day", func(r *rawRequest) { r.day = "20120525" }, 403, badSignature, "The date in 'Credential' does not match"},
		{"edge 39 scope of another region", func(r *rawRequest) { r.region = "eu-west-1" }, 403, badSignature, "Credential should be scoped to the region 'us-east-1'"},
		{"edge 40 scope of another service", func(r *rawRequest) { r.service = "s3" }, 403, badSignature, "Credential should be scoped to the service 'glacier'"},
		{"edge 42 host not signed", func(r *rawRequest) { r.names = []string{"x-amz-date", "x-amz-glacier-version"} }, 403, badSignature, "'host' must be a 'SignedHeader'"},
		{"date not signed", func(r *rawRequest) { r.names = []string{"host"} }, 403, badSignature, "'x-amz-date' must be a 'SignedHeader'"},
		{"signed header that is not there", func(r *rawRequest) { r.names = []string{"host", "x-amz-date", "x-amz-meta"} }, 403, badSignature, ""},
		{"edge 46 stray token, signed", func(r *rawRequest) { r.lines = append(r.lines, "x-amz-security-token: abc") }, 400, unrecognized, "The security token included in the request is invalid."},
		{"edge 46 stray token, not signed", func(r *rawRequest) { r.loose = []string{"x-amz-security-token: abc"} }, 400, unrecognized, ""},
		{"edge 48 presigned", func(r *rawRequest) {
			r.without = []string{"authorization", "x-amz-date"}
			r.target += map[bool]string{true: "&", false: "?"}[strings.Contains(r.target, "?")] + "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" + s.Key.ID +
				"%2F20240229%2Fus-east-1%2Fglacier%2Faws4_request&X-Amz-Date=20240229T101112Z&X-Amz-Expires=300" +
				"&X-Amz-SignedHeaders=host&X-Amz-Signature=" + strings.Repeat("0", 64)
		}, 400, noToken, ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			for _, op := range protocol.Operations() {
				r := plain(op, "-", "v")
				row.change(&r)
				wantError(t, sendRaw(t, s.Server, r), row.status, row.code, row.message)
			}
		})
	}
	t.Run("edge 47 payload that is not hashed", func(t *testing.T) {
		for _, hash := range []string{
			"UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", strings.ToUpper(moraintest.Hex([]byte(small))),
		} {
			for _, op := range protocol.Operations() {
				r := plain(op, "-", "v")
				r.lines = append(slices.DeleteFunc(r.lines, func(l string) bool { return headerName(l) == "x-amz-content-sha256" }), "x-amz-content-sha256: "+hash)
				c := dialRaw(t, s.Server)
				if op.Body == protocol.ArchiveBody { // the answer comes before the body
					r.loose = []string{"Expect: 100-continue"}
					head, _, _ := strings.Cut(r.text(s.Server), "\r\n\r\n")
					c.write(t, head+"\r\n\r\n")
				} else {
					c.write(t, r.text(s.Server))
				}
				wantError(t, c.answer(t, r.method), 403, badSignature, "The request signature we calculated does not match the signature you provided.")
			}
		}
	})
	s.wantUnchanged(t, before)
	wantWell(t, s.Server, files)
}

func TestAuthenticationPasses(t *testing.T) {
	s := startEvery(t)
	now := time.Now().UTC()
	list := rawRequest{method: "GET", target: "/-/vaults"}
	rows := []struct {
		name   string
		change func(*rawRequest)
	}{
		{"edge 35 clock 4 min 59 s ahead", func(r *rawRequest) { r.time = now.Add(299 * time.Second) }},
		{"edge 36 good x-amz-date beside an old Date", func(r *rawRequest) { r.lines = []string{"Date: Mon, 02 Jan 2006 15:04:05 GMT"} }},
		{"edge 36 good x-amz-date beside an unsigned Date", func(r *rawRequest) { r.loose = []string{"Date: nonsense"} }},
		{"edge 37 Date of RFC 1123", func(r *rawRequest) {
			r.time, r.without, r.lines = now, []string{"x-amz-date"}, []string{"Date: " + now.Format(http.TimeFormat)}
		}},
		{"edge 37 Date in basic form", func(r *rawRequest) {
			r.time, r.without, r.lines = now, []string{"x-amz-date"}, []string{"Date: " + now.Format(basicDate)}
		}},
		{"edge 41 bare commas", func(r *rawRequest) { r.separator = "," }},
		{"many spaces", func(r *rawRequest) { r.separator = " ,   " }},
		{"more headers signed than needed", func(r *rawRequest) {
			r.lines = []string{"Content-Length: 0", "Content-Type: x", "Accept: */*", "x-amz-archive-description: a", "User-Agent: u"}
		}},
		{"few headers signed", func(r *rawRequest) { r.names = []string{"host", "x-amz-date"} }},
		{"ruling 2 scope of boto 2 for an address", func(r *rawRequest) { r.service, r.region = "127", "0" }},
		{"ruling 2 scope of boto 2 for localhost", func(r *rawRequest) { r.host, r.service, r.region = "localhost:2012", "localhost", "localhost" }},
		{"ruling 2 scope of boto 2 for a name", func(r *rawRequest) { r.host, r.region = "glacier.nowhere-9.example.org", "nowhere-9" }},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			r := list
			row.change(&r)
			wantStatus(t, sendRaw(t, s.Server, r), 200)
		})
	}
	t.Run("edge 35 clock 4 min 59 s behind", func(t *testing.T) {
		for {
			r, start := list, time.Now()
			r.time = start.Add(-299 * time.Second)
			if res := sendRaw(t, s.Server, r); time.Since(start) < time.Second { // else it was too late indeed
				wantStatus(t, res, 200)
				return
			}
		}
	})
	t.Run("ruling 2 scope of another host", func(t *testing.T) {
		r := list
		r.host, r.service, r.region = "glacier.us-east-1.example.org", "127", "0"
		wantError(t, sendRaw(t, s.Server, r), 403, badSignature, "Credential should be scoped to the service 'glacier'")
	})
	t.Run("edge 43 inner spaces of a description", func(t *testing.T) {
		const description = `two  and   three    spaces, "quoted  so"`
		r := s.creations()["/vaults/v/archives/"]
		r.lines = append(r.lines, "x-amz-archive-description:   "+description+"  ")
		res := sendRaw(t, s.Server, r)
		wantStatus(t, res, 201)
		job := s.InitiateJob(t, "v", `{"Type":"archive-retrieval","ArchiveId":"`+res.Header.Get("x-amz-archive-id")+`"}`)
		s.WaitForJob(t, "v", job)
		out := sendRaw(t, s.Server, rawRequest{method: "GET", target: "/-/vaults/v/jobs/" + job + "/output"})
		if got := out.Header.Get("x-amz-archive-description"); got != description {
			t.Errorf("description %q, want %q", got, description)
		}
	})
}

func TestAbsoluteTarget(t *testing.T) {
	s := startEvery(t)
	const name = "glacier.us-east-1.amazonaws.com"
	_, port, _ := strings.Cut(strings.TrimPrefix(s.Endpoint, "http://"), ":")
	for _, row := range []struct {
		title, target, host, signed string
		status                      int
	}{
		{"host as in the target", "http://" + name + "/-/vaults/v", name, name, 200},
		{"https", "https://" + name + "/-/vaults/v", name, name, 200},
		{"port in all three", "http://" + name + ":99/-/vaults/v", name + ":99", name + ":99", 200},
		{"port not signed", "http://" + name + ":99/-/vaults/v", name, name, 200},
		{"port not in the target", "http://" + name + "/-/vaults/v", name + ":" + port, name + ":" + port, 200},
		{"address", "http://[::1]/-/vaults/v", "[::1]:" + port, "[::1]:" + port, 200},
		{"no path", "http://" + name, name, name, 404},
		{"port of another server", "http://" + name + "/-/vaults/v", name + ":1", name + ":1", 403},
		{"host that differs", "http://" + name + "/-/vaults/v", "glacier.example.org", "glacier.example.org", 403},
		{"port signed that is not in Host", "/-/vaults/v", name, name + ":" + port, 403},
	} {
		t.Run("ruling 3 "+row.title, func(t *testing.T) {
			wantStatus(t, sendRaw(t, s.Server, rawRequest{method: "GET", target: row.target, host: row.host, signedHost: row.signed}), row.status)
		})
	}
	t.Run("ruling 3 upload and wrong secret", func(t *testing.T) {
		r := s.creations()["/vaults/v/archives/"]
		r.target, r.host = "http://"+name+r.target, name+":"+port
		wantStatus(t, sendRaw(t, s.Server, r), 201)
		r.key = moraintest.Key{ID: s.Key.ID, Secret: "x"}
		wantError(t, sendRaw(t, s.Server, r), 403, badSignature, "The request signature we calculated does not match the signature you provided.")
	})
}

func TestAccounts(t *testing.T) {
	s := startEvery(t)
	other := s.AddAccount(t, "other")
	wantStatus(t, s.Do(t, moraintest.Request{Method: "PUT", Path: "/-/vaults/theirs", Key: other}), 201)
	for _, op := range protocol.Operations() {
		if op.Scope == protocol.OwnAccount {
			t.Run("edge 49 "+op.Name, func(t *testing.T) {
				for _, account := range []string{"222222222222", other.Account, "000000000000"} {
					res := sendRaw(t, s.Server, plain(op, account, "theirs"))
					wantError(t, res, 403, denied, "Access denied for account ID: "+account)
				}
			})
			continue
		}
		t.Run("edge 52 "+op.Name, func(t *testing.T) {
			for _, vault := range []string{"theirs", "absent", "my:vault"} {
				r := plain(op, other.Account, vault)
				if op.Body == protocol.ArchiveBody { // it is refused before the body is asked for
					r.loose, r.body = []string{"Expect: 100-continue"}, ""
					r.lines = append(r.lines, "Content-Length: 1000000")
				}
				wantError(t, sendRaw(t, s.Server, r), 403, denied, "User: arn:aws:iam::123456789012:root is not authorized to perform: glacier:"+op.Name+
					" on resource: arn:aws:glacier:us-east-1:"+other.Account+":vaults/"+vault)
			}
		})
	}
	for _, account := range []string{"1111-1111-1111", "abcmnoxyz", "12345678901", "1234567890123", "--", "%00", "12345678901%D9%A1", "*", "-1", "%2d%2d"} {
		t.Run("edge 50 "+account, func(t *testing.T) {
			for _, op := range protocol.Operations() {
				wantError(t, sendRaw(t, s.Server, plain(op, account, "v")), 400, unrecognized, "No account found for the given parameters")
			}
		})
	}
	t.Run("edge 51 own id", func(t *testing.T) {
		for _, path := range s.reads() {
			want := s.Do(t, moraintest.Request{Method: "GET", Path: path})
			res := s.Do(t, moraintest.Request{Method: "GET", Path: strings.Replace(path, "/-/", "/123456789012/", 1)})
			if res.Status != 200 || res.Status != want.Status || res.Body != want.Body {
				t.Errorf("%s: status %d, %s; want %d, %s", path, res.Status, res.Body, want.Status, want.Body)
			}
		}
		for location, r := range s.creations() {
			r.target = strings.Replace(r.target, "/-/", "/123456789012/", 1)
			if got := sendRaw(t, s.Server, r).Header.Get("Location"); !strings.HasPrefix(got, "/123456789012"+location) {
				t.Errorf("%s: Location %q", r.target, got)
			}
		}
	})
	body := s.Do(t, moraintest.Request{Method: "GET", Path: "/-/vaults", Key: other}).Body
	if strings.Count(body, `"VaultName"`) != 1 || !strings.Contains(body, "theirs") {
		t.Errorf("the other account has %s", body)
	}
}

// TestOrderOfChecks sends requests with several faults. Each row mends the fault that the row before was refused for.
func TestOrderOfChecks(t *testing.T) {
	s := startEvery(t)
	other := s.AddAccount(t, "other")
	nothing, noAuthorization := []string{"authorization", "x-amz-glacier-version"}, []string{"authorization"}
	wrong, nobody := moraintest.Key{ID: s.Key.ID, Secret: "wrong"}, s.AddUser(t, "", "nobody")
	for _, row := range []struct {
		name   string
		r      rawRequest
		status int
		code   string
	}{
		{"request line", rawRequest{method: "PATCH", target: "/x/none/%zz", without: nothing}, 400, unread},
		{"resource", rawRequest{method: "PATCH", target: "/x/none", without: nothing}, 404, unknown},
		{"method", rawRequest{method: "PATCH", target: "/x/vaults/my:vault/jobs?limit=0", without: nothing}, 405, unknown},
		{"version", rawRequest{method: "GET", target: "/x/vaults/my:vault/jobs?limit=0", without: nothing}, 400, missing},
		{"authorization", rawRequest{method: "GET", target: "/x/vaults/my:vault/jobs?limit=0", without: noAuthorization}, 400, noToken},
		{"signature", rawRequest{method: "GET", target: "/x/vaults/my:vault/jobs?limit=0", key: wrong}, 403, badSignature},
		{"account", rawRequest{method: "GET", target: "/x/vaults/my:vault/jobs?limit=0"}, 400, unrecognized},
		{"access", rawRequest{method: "GET", target: "/" + other.Account + "/vaults/my:vault/jobs?limit=0"}, 403, denied},
		{"syntax of the query", rawRequest{method: "GET", target: "/-/vaults/my:vault/jobs?limit=0"}, 400, invalid},
		{"vault", rawRequest{method: "GET", target: "/-/vaults/my:vault/jobs?limit=1"}, 404, notFound},
		{"syntax of a body", rawRequest{method: "POST", target: "/-/vaults/absent/jobs", body: "{"}, 400, malformed},
		{"syntax of job parameters", rawRequest{method: "POST", target: "/-/vaults/absent/jobs", body: `{"Type":"x"}`}, 400, invalid},
		{"vault of a job", rawRequest{method: "POST", target: "/-/vaults/absent/jobs", body: `{"Type":"archive-retrieval","ArchiveId":"x"}`}, 404, notFound},
		{"archive of a job", rawRequest{method: "POST", target: "/-/vaults/v/jobs", body: `{"Type":"archive-retrieval","ArchiveId":"x"}`}, 404, notFound},
		{"content hash of an upload", rawRequest{method: "POST", target: "/-/vaults/absent/archives", body: "x", lines: []string{"x-amz-sha256-tree-hash: x"}}, 400, missing},
		{"tree hash of an upload", rawRequest{method: "POST", target: "/-/vaults/absent/archives", body: "x", lines: []string{hashLines("y")[0], "x-amz-sha256-tree-hash: x"}}, 400, invalid},
		{"vault of an upload", rawRequest{method: "POST", target: "/-/vaults/absent/archives", body: "x", lines: hashLines("y")}, 404, notFound},
		{"access to the tags of an absent vault", rawRequest{method: "POST", target: "/-/vaults/absent/tags?operation=%zz", query: "operation=%25zz", body: "{", key: nobody}, 403, denied},
		{"query of tags", rawRequest{method: "POST", target: "/-/vaults/absent/tags?operation=%zz", query: "operation=%25zz", body: "{"}, 400, invalid},
		{"operation on tags", rawRequest{method: "POST", target: "/-/vaults/absent/tags", body: "{"}, 400, missing},
		{"which operation on tags", rawRequest{method: "POST", target: "/-/vaults/absent/tags?operation=x", body: "{"}, 400, invalid},
		{"syntax of tags", rawRequest{method: "POST", target: "/-/vaults/absent/tags?operation=add", body: "{"}, 400, malformed},
		{"values of tags", rawRequest{method: "POST", target: "/-/vaults/absent/tags?operation=add", body: `{"Tags":{}}`}, 400, invalid},
		{"vault of tags", rawRequest{method: "POST", target: "/-/vaults/absent/tags?operation=add", body: `{"Tags":{"k":"v"}}`}, 404, notFound},
		{"access to a lock", rawRequest{method: "POST", target: "/-/vaults/v/lock-policy", body: "{", key: nobody}, 403, denied},
		{"syntax of a lock", rawRequest{method: "POST", target: "/-/vaults/v/lock-policy", body: "{"}, 400, malformed},
		{"policy of a lock", rawRequest{method: "POST", target: "/-/vaults/v/lock-policy", body: string(policyBody("{}"))}, 400, invalid},
		{"state of a lock", rawRequest{method: "POST", target: "/-/vaults/v/lock-policy", body: string(policyBody(harmless))}, 403, denied},
		{"hashes of an upload", rawRequest{method: "POST", target: "/-/vaults/v/archives", body: "x", lines: hashLines("y")}, 403, badSignature},
	} {
		t.Run(row.name, func(t *testing.T) {
			wantError(t, sendRaw(t, s.Server, row.r), row.status, row.code, "")
		})
	}
}
