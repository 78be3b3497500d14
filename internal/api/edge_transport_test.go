package api_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/moraintest"
	"github.com/moraine-archive/moraine/internal/protocol"
)

// An every is a server with one of everything that has an address.
type every struct {
	*moraintest.Server
	archive, upload, retrieval, inventory, lock string // ids, all in vault v
}

const topic = `{"SNSTopic":"arn:aws:sns:us-east-1:123456789012:t","Events":["ArchiveRetrievalCompleted"]}`

// small is an archive of 15 bytes.
const small = "hello, moraine!"

func startEvery(t *testing.T) every {
	t.Helper()
	s := every{Server: moraintest.Start(t)}
	s.CreateVault(t, "v")
	s.archive = s.Upload(t, "v", []byte(small), "fifteen bytes")
	s.upload = s.open(t)
	s.retrieval = s.InitiateJob(t, "v", s.retrieve())
	s.inventory = s.InitiateJob(t, "v", `{"Type":"inventory-retrieval"}`)
	s.WaitForJob(t, "v", s.retrieval)
	s.WaitForJob(t, "v", s.inventory)
	for _, r := range []moraintest.Request{
		{Method: "PUT", Path: "/-/vaults/v/notification-configuration", Body: []byte(topic)},
		{Method: "PUT", Path: "/-/vaults/v/access-policy", Body: policyBody(harmless)},
		{Method: "POST", Path: "/-/vaults/v/tags?operation=add", Body: []byte(`{"Tags":{"k":"v"}}`)},
	} {
		s.Want(t, 204, r)
	}
	s.lock = s.Want(t, 201, moraintest.Request{Method: "POST", Path: "/-/vaults/v/lock-policy", Body: policyBody(harmless)}).Header.Get("x-amz-lock-id")
	return s
}

// state is all that can be read of the server.
func (s every) state(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, path := range s.reads() {
		all[path] = s.Want(t, 200, moraintest.Request{Method: "GET", Path: path}).Body
	}
	return all
}

// wantUnchanged fails the test unless all is as it was before.
func (s every) wantUnchanged(t *testing.T, before map[string]string) {
	t.Helper()
	for path, body := range s.state(t) {
		if body != before[path] {
			t.Errorf("%s was %s and is %s", path, before[path], body)
		}
	}
}

// open begins an upload with parts of 1 MiB.
func (s every) open(t *testing.T) string {
	t.Helper()
	res := s.Do(t, moraintest.Request{Method: "POST", Path: "/-/vaults/v/multipart-uploads", Header: map[string]string{"x-amz-part-size": "1048576"}})
	wantStatus(t, res, 201)
	return res.Header.Get("x-amz-multipart-upload-id")
}

// retrieve is the body of a job for the archive.
func (s every) retrieve() string {
	return `{"Type":"archive-retrieval","ArchiveId":"` + s.archive + `"}`
}

// reads are the GET requests that succeed, those of archives last.
func (s every) reads() []string {
	return []string{
		"/-/policies/data-retrieval", "/-/provisioned-capacity", "/-/vaults/v/access-policy", "/-/vaults/v/lock-policy", "/-/vaults/v/tags",
		"/-/vaults", "/-/vaults/v", "/-/vaults/v/notification-configuration", "/-/vaults/v/multipart-uploads",
		"/-/vaults/v/multipart-uploads/" + s.upload, "/-/vaults/v/jobs", "/-/vaults/v/jobs/" + s.retrieval,
		"/-/vaults/v/jobs/" + s.inventory + "/output", "/-/vaults/v/jobs/" + s.retrieval + "/output",
	}
}

// creations are requests that create, with their status. The first of the headers is what names the new thing.
func (s every) creations() map[string]rawRequest {
	return map[string]rawRequest{
		"/vaults/w":             {method: "PUT", target: "/-/vaults/w"},
		"/vaults/v/archives/":   {method: "POST", target: "/-/vaults/v/archives", body: small, lines: hashLines(small)},
		"/vaults/v/multipart-u": {method: "POST", target: "/-/vaults/v/multipart-uploads", lines: []string{"x-amz-part-size: 1048576"}},
		"/vaults/v/jobs/":       {method: "POST", target: "/-/vaults/v/jobs", body: s.retrieve()},
	}
}

// complete is the request that completes an upload whose only part is the small archive.
func complete(upload string) rawRequest {
	return rawRequest{method: "POST", target: "/-/vaults/v/multipart-uploads/" + upload, lines: []string{
		"x-amz-archive-size: " + strconv.Itoa(len(small)), "x-amz-sha256-tree-hash: " + moraintest.TreeHash([]byte(small)),
	}}
}

// part is the request that uploads the small archive as the only part of an upload.
func part(upload string) rawRequest {
	return rawRequest{
		method: "PUT", target: "/-/vaults/v/multipart-uploads/" + upload, body: small,
		lines: append(hashLines(small), "Content-Range: "+contentRange(0, len(small)-1)),
	}
}

func TestTransportVersion(t *testing.T) {
	s := startEvery(t)
	for _, op := range protocol.Operations() {
		target := targetOf(op, "-", "v")
		t.Run("edge 1 no version "+op.Name, func(t *testing.T) {
			for _, without := range [][]string{{"x-amz-glacier-version"}, {"x-amz-glacier-version", "authorization"}} {
				wantError(t, sendRaw(t, s.Server, rawRequest{method: op.Method, target: target, without: without}),
					400, "MissingParameterValueException", "Required parameter missing: API version")
			}
		})
		t.Run("edge 2 other version "+op.Name, func(t *testing.T) {
			for _, version := range []string{"2012-06-02", "2012-06-01x", "latest", "2012-06-01, 2012-06-01"} {
				wantError(t, sendRaw(t, s.Server, rawRequest{
					method: op.Method, target: target, without: []string{"x-amz-glacier-version", "authorization"},
					loose: []string{"x-amz-glacier-version: " + version},
				}), 400, "InvalidParameterValueException", "Invalid API version: "+version)
			}
		})
	}
	t.Run("edge 3 spelling of names", func(t *testing.T) {
		r := rawRequest{method: "GET", target: "/-/vaults/v"}
		text := r.text(s.Server)
		for old, spelled := range map[string]string{
			"x-amz-glacier-version": "X-AMZ-GLACIER-VERSION", "x-amz-date": "X-aMZ-dATE", "Authorization": "AUTHORIZATION", "Host": "hOST",
		} {
			wantStatus(t, exchange(t, s.Server, "GET", strings.Replace(text, old+":", spelled+":", 1)), 200)
		}
	})
}

func TestTransportResponses(t *testing.T) {
	s := startEvery(t)
	ids := map[string]bool{}
	see := func(t *testing.T, res moraintest.Response) moraintest.Response {
		t.Helper()
		id := res.Header.Get(protocol.HeaderRequestID)
		if !requestIDForm.MatchString(id) || ids[id] {
			t.Errorf("request id %q, seen before: %t", id, ids[id])
		}
		ids[id] = true
		if _, err := http.ParseTime(res.Header.Get("Date")); err != nil {
			t.Errorf("Date: %v", err)
		}
		return res
	}
	t.Run("edge 4, edge 5 errors", func(t *testing.T) {
		for _, e := range s.errors() {
			res := see(t, exchange(t, s.Server, "GET", e.request.text(s.Server)))
			wantError(t, res, e.status, e.code, "")
		}
	})
	t.Run("edge 4, edge 6 answers without a body", func(t *testing.T) {
		upload := s.open(t)
		id := s.Upload(t, "v", []byte("x"), "")
		s.CreateVault(t, "empty")
		for _, r := range []rawRequest{
			{method: "PUT", target: "/-/vaults/v/notification-configuration", body: topic},
			{method: "DELETE", target: "/-/vaults/v/notification-configuration"},
			{method: "PUT", target: "/-/vaults/v/access-policy", body: string(policyBody(harmless))},
			{method: "DELETE", target: "/-/vaults/v/access-policy"},
			{method: "POST", target: "/-/vaults/v/tags?operation=add", body: `{"Tags":{"k":"v"}}`},
			{method: "POST", target: "/-/vaults/v/tags?operation=remove", body: `{"TagKeys":["k"]}`},
			{method: "PUT", target: "/-/policies/data-retrieval", body: `{"Policy":{"Rules":[{"Strategy":"None"}]}}`},
			{method: "DELETE", target: "/-/vaults/v/lock-policy"},
			{method: "DELETE", target: "/-/vaults/v/archives/" + id},
			{method: "DELETE", target: "/-/vaults/empty"},
			part(upload),
			{method: "DELETE", target: "/-/vaults/v/multipart-uploads/" + upload},
		} {
			c := dialRaw(t, s.Server)
			c.write(t, r.text(s.Server))
			res := see(t, c.answer(t, r.method))
			wantStatus(t, res, 204)
			for _, name := range []string{"Content-Type", "Content-Length", "Transfer-Encoding"} {
				if v, ok := res.Header[name]; ok {
					t.Errorf("%s %s: %s: %s", r.method, r.target, name, v)
				}
			}
			c.write(t, rawRequest{method: "GET", target: "/-/vaults/v"}.text(s.Server)) // a body would be in its way
			wantStatus(t, c.answer(t, "GET"), 200)
		}
	})
	created := func(t *testing.T, r rawRequest, location string) {
		t.Helper()
		res := see(t, sendRaw(t, s.Server, r))
		if res.Status != 201 && res.Status != 202 || res.Header.Get("Content-Type") != "application/json" ||
			res.Header.Get("Content-Length") != "2" || res.Body != "{}" {
			t.Errorf("%s %s: %d %v %q", r.method, r.target, res.Status, res.Header, res.Body)
		}
		if got := res.Header.Get("Location"); !strings.HasPrefix(got, location) {
			t.Errorf("Location %q, want %q...", got, location)
		}
	}
	t.Run("edge 4, edge 7, edge 15, edge 16 creations", func(t *testing.T) {
		for location, r := range s.creations() {
			created(t, r, "/123456789012"+location)
		}
		upload := s.open(t)
		wantStatus(t, sendRaw(t, s.Server, part(upload)), 204)
		created(t, complete(upload), "/123456789012/vaults/v/archives/")
		wantStatus(t, s.Do(t, moraintest.Request{Method: "DELETE", Path: "/-/vaults/v/lock-policy"}), 204)
		for _, target := range []string{"/-/vaults/v/lock-policy", "/-/provisioned-capacity"} { // what they create has no address
			created(t, rawRequest{method: "POST", target: target, body: string(policyBody(harmless))}, "")
		}
	})
	t.Run("edge 4, edge 8 JSON", func(t *testing.T) {
		wantStatus(t, s.Do(t, moraintest.Request{Method: "PUT", Path: "/-/vaults/v/notification-configuration", Body: []byte(topic)}), 204)
		wantStatus(t, s.Do(t, moraintest.Request{Method: "PUT", Path: "/-/vaults/v/access-policy", Body: policyBody(harmless)}), 204)
		for _, path := range s.reads()[:13] {
			res := see(t, s.Do(t, moraintest.Request{Method: "GET", Path: path}))
			wantStatus(t, res, 200)
			if got := res.Header["Content-Type"]; !slices.Equal(got, []string{"application/json"}) || !json.Valid([]byte(res.Body)) {
				t.Errorf("%s: Content-Type %q, body %.100s", path, got, res.Body)
			}
		}
	})
}

type wrongRequest struct {
	request rawRequest
	status  int
	code    string
}

// errors are requests that fail, one for each way to fail that needs no special server.
func (s every) errors() []wrongRequest {
	return []wrongRequest{
		{rawRequest{method: "GET", target: "/-/vaults", without: []string{"x-amz-glacier-version"}}, 400, "MissingParameterValueException"},
		{rawRequest{method: "GET", target: "/-/vaults?limit=0"}, 400, "InvalidParameterValueException"},
		{rawRequest{method: "GET", target: "/-/vaults", without: []string{"authorization"}}, 400, "MissingAuthenticationTokenException"},
		{rawRequest{method: "GET", target: "/-/vaults", loose: []string{"Authorization: Basic eDp5"}, without: []string{"authorization"}}, 400, "IncompleteSignatureException"},
		{rawRequest{method: "GET", target: "/-/vaults", key: moraintest.Key{ID: "AKIDNOBODY", Secret: "x"}}, 400, "UnrecognizedClientException"},
		{rawRequest{method: "GET", target: "/-/vaults", key: moraintest.Key{ID: s.Key.ID, Secret: "x"}}, 403, "InvalidSignatureException"},
		{rawRequest{method: "GET", target: "/222222222222/vaults"}, 403, "AccessDeniedException"},
		{rawRequest{method: "GET", target: "/-/vaults/absent"}, 404, "ResourceNotFoundException"},
		{rawRequest{method: "GET", target: "/-/absent"}, 404, "UnknownOperationException"},
		{rawRequest{method: "PATCH", target: "/-/vaults"}, 405, "UnknownOperationException"},
		{rawRequest{method: "POST", target: "/-/vaults/v/jobs", body: "{"}, 400, "SerializationException"},
		{rawRequest{method: "POST", target: "/-/vaults/v/jobs"}, 400, "MissingParameterValueException"},
		{rawRequest{method: "POST", target: "/-/vaults/v/archives", body: "x"}, 400, "MissingParameterValueException"},
		{rawRequest{method: "GET", target: "/%zz"}, 400, "BadRequest"},
		{rawRequest{method: "GET", target: "/-/vaults", loose: []string{"bad header: x"}}, 400, "BadRequest"},
		{rawRequest{method: "GET", target: "/-/vaults", loose: []string{"Expect: a miracle"}}, 400, "BadRequest"},
	}
}

func TestTransportRouting(t *testing.T) {
	s := startEvery(t)
	want := s.Do(t, moraintest.Request{Method: "GET", Path: "/-/vaults/v"})
	t.Run("edge 9 slash at the end", func(t *testing.T) {
		for _, target := range []string{"/-/vaults/v/", "/-/vaults/v//", "//-/vaults/v", "/-//vaults/./v", "/-/vaults/w/../v", "/%2D/vaults/%76"} {
			if res := sendRaw(t, s.Server, rawRequest{method: "GET", target: target}); res.Status != 200 || res.Body != want.Body {
				t.Errorf("%s: status %d, %s", target, res.Status, res.Body)
			}
		}
		signed := rawRequest{method: "GET", target: "/-/vaults/v"}.text(s.Server)
		res := exchange(t, s.Server, "GET", strings.Replace(signed, "/v HTTP", "/v/ HTTP", 1))
		wantError(t, res, 403, badSignature, "The request signature we calculated does not match")
	})
	t.Run("edge 10 unknown resource", func(t *testing.T) {
		for _, target := range []string{
			"/-/unknown", "/", "/-", "/-/vaults/v/unknown", "/-/Vaults", "/-/vaults/v/jobs/j/output/more", "/-/vaults/v/archives/a/b", "*",
			"/-/vaults%2Fv", "/-/vaults/..",
		} {
			for _, without := range [][]string{nil, {"authorization", "x-amz-glacier-version"}} {
				res := sendRaw(t, s.Server, rawRequest{method: "GET", target: target, without: without})
				wantError(t, res, 404, unknown, "There is no resource at ")
			}
		}
	})
	t.Run("edge 11 methods", func(t *testing.T) {
		methods, targets := map[string][]string{}, map[string]bool{}
		for _, op := range protocol.Operations() {
			target := targetOf(op, "-", "v")
			path, _, _ := strings.Cut(target, "?")
			methods[path] = append(methods[path], op.Method)
			targets[target], targets[path] = true, true // a query selects among operations, not among methods
		}
		for target := range targets {
			path, _, _ := strings.Cut(target, "?")
			allowed := slices.Compact(slices.Sorted(slices.Values(methods[path])))
			for _, method := range []string{"HEAD", "OPTIONS", "GET", "PUT", "POST", "DELETE", "PATCH", "TRACE", "get", "MOVE"} {
				if slices.Contains(allowed, method) {
					continue
				}
				res := sendRaw(t, s.Server, rawRequest{method: method, target: target})
				if got := res.Header.Get("Allow"); got != strings.Join(allowed, ", ") {
					t.Errorf("%s %s: Allow %q, want %q", method, target, got, allowed)
				}
				if method != "HEAD" {
					wantError(t, res, 405, unknown, "The method "+method+" is not allowed at ")
				} else if res.Status != 405 || res.Body != "" {
					t.Errorf("HEAD %s: status %d, body %q", target, res.Status, res.Body)
				}
			}
		}
	})
	t.Run("edge 14 unknown parameter", func(t *testing.T) {
		for _, query := range []string{"?foo=1", "?foo", "?Limit=0", "?", "?&&", "?prefix=x&limit=3&x-id=ListVaults"} {
			res := s.Do(t, moraintest.Request{Method: "GET", Path: "/-/vaults" + query})
			if list, _ := res.JSON(t)["VaultList"].([]any); res.Status != 200 || len(list) != 1 {
				t.Errorf("%s: status %d, %s", query, res.Status, res.Body)
			}
		}
	})
}

func TestTransportBodies(t *testing.T) {
	s := startEvery(t)
	t.Run("edge 17 Content-Length: 0", func(t *testing.T) {
		zero := []string{"Content-Length: 0"}
		for _, path := range s.reads() {
			wantStatus(t, sendRaw(t, s.Server, rawRequest{method: "GET", target: path, lines: zero}), 200)
		}
		for _, path := range []string{"/-/vaults/none", "/-/vaults/v/notification-configuration", "/-/vaults/v/multipart-uploads/" + s.open(t)} {
			wantStatus(t, sendRaw(t, s.Server, rawRequest{method: "DELETE", target: path, lines: zero}), 204)
		}
		wantStatus(t, sendRaw(t, s.Server, rawRequest{method: "PUT", target: "/-/vaults/w", lines: zero}), 201)
	})
	t.Run("edge 18 POST without Content-Length", func(t *testing.T) {
		res := sendRaw(t, s.Server, s.creations()["/vaults/v/multipart-u"])
		wantStatus(t, res, 201)
		upload := res.Header.Get("x-amz-multipart-upload-id")
		wantStatus(t, sendRaw(t, s.Server, part(upload)), 204)
		wantStatus(t, sendRaw(t, s.Server, complete(upload)), 201)
	})
	t.Run("an upload without Content-Length", func(t *testing.T) {
		for _, r := range []rawRequest{s.creations()["/vaults/v/archives/"], part(s.upload)} {
			r.body = ""
			res := sendRaw(t, s.Server, r)
			wantError(t, res, 400, missing, "Required parameter missing: Content-Length")
		}
	})
	for _, op := range protocol.Operations() {
		if op.Body != protocol.JSONBody {
			continue
		}
		r := plain(op, "-", "v")
		accepted := func(t *testing.T, r rawRequest) {
			t.Helper()
			wantStatus(t, s.Do(t, moraintest.Request{Method: "DELETE", Path: "/-/vaults/v/lock-policy"}), 204) // which only one can be in progress of
			wantStatus(t, sendRaw(t, s.Server, r), op.Status)
		}
		t.Run("edge 19 content types "+op.Name, func(t *testing.T) {
			for _, line := range []string{
				"", "Content-Type: application/json", "Content-Type: application/x-amz-json-1.0", "Content-Type: application/x-www-form-urlencoded",
				"Content-Type: application/x-www-form-urlencoded; charset=utf-8", "Content-Type: multipart/form-data", "Content-Type: ;;",
			} {
				r := r
				r.lines = slices.DeleteFunc([]string{line}, func(s string) bool { return s == "" })
				accepted(t, r)
			}
		})
		t.Run("edge 20, edge 21 malformed "+op.Name, func(t *testing.T) {
			for _, body := range []string{`{"Type":`, `[]`, `"x"`, `null`, `1`, `true`, `{"Type":"archive-retrieval"}x`, `{} {}`, `{'a':1}`, `{"a":1,}`} {
				r := r
				r.body = body
				wantError(t, sendRaw(t, s.Server, r), 400, malformed, "The body is not a JSON object")
			}
		})
		t.Run("edge 22 unknown member "+op.Name, func(t *testing.T) {
			r := r
			r.body = `{"Zzz":{"a":[1,null]},"type":7,"snstopic":[],"policy":1,"tags":0,"tagkeys":0,` + r.body[1:]
			accepted(t, r)
		})
	}
	t.Run("edge 23 tree hash of no upload", func(t *testing.T) {
		for _, line := range []string{"x-amz-sha256-tree-hash: ", "x-amz-sha256-tree-hash: nonsense", "x-amz-sha256-tree-hash: " + strings.Repeat("0", 64)} {
			for _, r := range []rawRequest{
				{method: "PUT", target: "/-/vaults/w"},
				{method: "GET", target: "/-/vaults"},
				{method: "POST", target: "/-/vaults/v/jobs", body: s.retrieve()},
				s.creations()["/vaults/v/multipart-u"],
				{method: "GET", target: "/-/vaults/v/jobs/" + s.retrieval + "/output"},
				{method: "DELETE", target: "/-/vaults/none"},
			} {
				r.lines = append(r.lines, line)
				if res := sendRaw(t, s.Server, r); res.Status >= 300 {
					t.Errorf("%s %s with %q: %d %s", r.method, r.target, line, res.Status, res.Body)
				}
			}
		}
	})
	t.Run("edge 24 content hash that does not match", func(t *testing.T) {
		for _, hash := range []string{moraintest.Hex([]byte("other")), strings.Repeat("0", 64)} {
			for _, r := range []rawRequest{
				{method: "PUT", target: "/-/vaults/mismatch"},
				{method: "GET", target: "/-/vaults"},
				{method: "DELETE", target: "/-/vaults/w"},
				{method: "POST", target: "/-/vaults/v/jobs", body: s.retrieve()},
			} {
				r.lines = []string{"x-amz-content-sha256: " + hash}
				wantError(t, sendRaw(t, s.Server, r), 403, badSignature, "The value passed in as x-amz-content-sha256 does not match the computed payload hash. "+
					"Computed digest: "+moraintest.Hex([]byte(r.body))+" expected hash: "+hash)
			}
		}
		wantStatus(t, s.Do(t, moraintest.Request{Method: "GET", Path: "/-/vaults/mismatch"}), 404)
		wantStatus(t, s.Do(t, moraintest.Request{Method: "GET", Path: "/-/vaults/w"}), 200)
	})
	t.Run("a body where none is needed", func(t *testing.T) {
		wantStatus(t, sendRaw(t, s.Server, rawRequest{method: "GET", target: "/-/vaults", body: "ignored"}), 200)
		res := exchange(t, s.Server, "GET", rawRequest{method: "GET", target: "/-/vaults", body: "ignored", hash: moraintest.Hex(nil)}.text(s.Server))
		wantError(t, res, 403, badSignature, "")
	})
}

func TestTransportConnections(t *testing.T) {
	s := startEvery(t)
	list := rawRequest{method: "GET", target: "/-/vaults/v"}
	t.Run("edge 25 Host of the original", func(t *testing.T) {
		for _, host := range []string{"glacier.us-east-1.amazonaws.com", "glacier.us-east-1.amazonaws.com:443", "[::1]:8080", "x"} {
			r := list
			r.host = host
			wantStatus(t, sendRaw(t, s.Server, r), 200)
		}
	})
	t.Run("edge 26 two requests on one connection", func(t *testing.T) {
		c := dialRaw(t, s.Server)
		for _, r := range []rawRequest{
			list, {method: "GET", target: "/-/vaults/absent"}, {method: "HEAD", target: "/-/vaults"}, s.creations()["/vaults/v/archives/"], list,
		} {
			c.write(t, r.text(s.Server))
			wantStatus(t, c.answer(t, r.method), map[string]int{"/-/vaults/v": 200, "/-/vaults/absent": 404, "/-/vaults": 405, "/-/vaults/v/archives": 201}[r.target])
		}
		c.write(t, list.text(s.Server)+list.text(s.Server)) // both at once
		wantStatus(t, c.answer(t, "GET"), 200)
		wantStatus(t, c.answer(t, "GET"), 200)
	})
	t.Run("edge 27 Accept-Encoding", func(t *testing.T) {
		for _, path := range s.reads() {
			res := sendRaw(t, s.Server, rawRequest{method: "GET", target: path, loose: []string{"Accept-Encoding: gzip, deflate, br, zstd, *;q=0.1"}})
			wantStatus(t, res, 200)
			if got := res.Header.Get("Content-Encoding"); got != "" || res.Header.Get("Content-Length") != strconv.Itoa(len(res.Body)) {
				t.Errorf("%s: Content-Encoding %q, Content-Length %q for %d bytes", path, got, res.Header.Get("Content-Length"), len(res.Body))
			}
		}
	})
	t.Run("HTTP/1.0", func(t *testing.T) {
		r := list
		r.proto = "HTTP/1.0"
		c := dialRaw(t, s.Server)
		c.write(t, r.text(s.Server))
		wantStatus(t, c.answer(t, "GET"), 200)
		c.wantClosed(t)
		r.without = []string{"host"}
		wantError(t, sendRaw(t, s.Server, r), 403, badSignature, "")
	})
	t.Run("chunked JSON", func(t *testing.T) {
		body := s.retrieve()
		r := rawRequest{method: "POST", target: "/-/vaults/v/jobs", hash: moraintest.Hex([]byte(body)), loose: []string{"Transfer-Encoding: chunked"}}
		text := r.text(s.Server) + "10\r\n" + body[:16] + "\r\n" + strconv.FormatInt(int64(len(body)-16), 16) + "\r\n" + body[16:] + "\r\n0\r\n\r\n"
		wantStatus(t, exchange(t, s.Server, "POST", text), 202)
	})
	t.Run("a download that takes longer than the server waits for bodies", func(t *testing.T) {
		slow := moraintest.Start(t, impatient)
		slow.CreateVault(t, "v")
		b := moraintest.Pattern(16 << 20) // more than fits between the two
		job := slow.InitiateJob(t, "v", `{"Type":"archive-retrieval","ArchiveId":"`+slow.Upload(t, "v", b, "")+`"}`)
		slow.WaitForJob(t, "v", job)
		c := dialRaw(t, slow)
		c.write(t, rawRequest{method: "GET", target: "/-/vaults/v/jobs/" + job + "/output"}.text(slow))
		time.Sleep(stall * 3 / 2) // that is what is tested
		if res := c.answer(t, "GET"); res.Body != string(b) {
			t.Errorf("status %d, %d bytes, want %d", res.Status, len(res.Body), len(b))
		}
		c.write(t, rawRequest{method: "GET", target: "/-/vaults/v"}.text(slow))
		wantStatus(t, c.answer(t, "GET"), 200)
	})
}

func TestExpectContinue(t *testing.T) {
	s := startEvery(t)
	before := s.Server.Records(t)
	for _, op := range protocol.Operations() {
		if op.Body != protocol.ArchiveBody {
			continue
		}
		t.Run("refused "+op.Name, func(t *testing.T) {
			for _, vault := range []string{"absent", "v"} { // no such vault; no such upload, or no tree hash
				r := rawRequest{method: op.Method, target: targetOf(op, "-", vault), lines: []string{"Content-Length: 10485760"}, loose: []string{"Expect: 100-continue"}}
				r.lines = append(r.lines, hashLines("x")[:1]...)
				if op.Name == protocol.UploadMultipartPart || vault == "absent" {
					r.lines = append(r.lines, hashLines("x")[1], "Content-Range: "+contentRange(0, 10<<20-1))
				}
				c := dialRaw(t, s.Server)
				c.write(t, r.text(s.Server))
				res := c.answer(t, r.method)
				wantErrorForm(t, res)
				if res.Status != 404 && res.Status != 400 || res.Header.Get("Connection") != "close" {
					t.Errorf("%s: status %d, %v", r.target, res.Status, res.Header)
				}
				c.wantClosed(t)
			}
		})
	}
	t.Run("continued", func(t *testing.T) {
		r := s.creations()["/vaults/v/archives/"]
		r.loose = []string{"Expect: 100-continue"}
		head, body, _ := strings.Cut(r.text(s.Server), "\r\n\r\n")
		c := dialRaw(t, s.Server)
		c.write(t, head+"\r\n\r\n")
		if line, err := c.r.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
			t.Fatalf("%q, %v", line, err)
		}
		if line, err := c.r.ReadString('\n'); line != "\r\n" {
			t.Fatalf("%q, %v", line, err)
		}
		c.write(t, body)
		wantStatus(t, c.answer(t, "POST"), 201)
	})
	wantWell(t, s.Server, before+1)
}

func TestInternalFault(t *testing.T) {
	moraintest.OnlyEmbedded(t, "it takes the volumes away")
	s := startEvery(t)
	must(t, os.RemoveAll(filepath.Join(s.Data, "volumes")))
	t.Run("edge 29 store is gone", func(t *testing.T) {
		for _, r := range []rawRequest{
			s.creations()["/vaults/v/archives/"], part(s.upload), {method: "GET", target: "/-/vaults/v/jobs/" + s.retrieval + "/output"},
		} {
			res := sendRaw(t, s.Server, r)
			wantError(t, res, 500, "ServiceUnavailableException", "The request could not be carried out because of an internal failure.")
			if strings.Contains(res.Body, s.Data) || strings.Contains(res.Body, "volumes") {
				t.Errorf("the answer shows the inside: %s", res.Body)
			}
			for _, name := range []string{"Accept-Ranges", "X-Amz-Sha256-Tree-Hash", "Content-Range", "Location"} {
				if got := res.Header.Get(name); got != "" {
					t.Errorf("the error has %s: %s", name, got)
				}
			}
		}
	})
	wantStatus(t, s.Do(t, moraintest.Request{Method: "GET", Path: "/-/vaults/v"}), 200)
}
