package api_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/moraintest"
	"github.com/moraine-archive/moraine/internal/protocol"
)

// stall is how long an impatient server waits for bytes of a request.
const stall = time.Second

func impatient(c *config.Config) { c.StallTimeout = stall }

// TestDownloadLikeAnError downloads an archive that looks, at each MiB, like what net/http answers to a request that it cannot parse, which the listener
// replaces.
func TestDownloadLikeAnError(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	b := moraintest.Pattern(3<<20 + 100)
	for at := 0; at < len(b); at += 1 << 20 {
		copy(b[at:], "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request")
	}
	job := s.InitiateJob(t, "v", `{"Type":"archive-retrieval","ArchiveId":"`+s.Upload(t, "v", b, "")+`"}`)
	s.WaitForJob(t, "v", job)
	c := dialRaw(t, s)
	for range 2 { // the second on a connection that has been used
		c.write(t, rawRequest{method: "GET", target: "/-/vaults/v/jobs/" + job + "/output"}.text(s))
		if res := c.answer(t, "GET"); res.Status != 200 || res.Body != string(b) {
			t.Fatalf("status %d, %d bytes, which are not those that were uploaded", res.Status, len(res.Body))
		}
	}
	c.write(t, "nonsense\r\n\r\n")
	wantUnread(t, c.answer(t, "GET"))
	c.wantClosed(t)
}

// wantUnread fails the test unless a response says that a request is none. A control character in it counts as an invalid header.
func wantUnread(t testing.TB, res moraintest.Response) {
	t.Helper()
	if code := res.Code(); res.Status != 400 || code != unread && code != invalid || !strings.HasPrefix(res.Message(), "The request cannot be read") {
		t.Errorf("status %d, %s; want 400 %s", res.Status, res.Body, unread)
	}
	wantErrorForm(t, res)
}

func TestHostileNames(t *testing.T) {
	s := startEvery(t)
	files := s.Server.Records(t)
	for name, raw := range map[string]string{ // as sent, and as a message shows it
		"%2e%2e": "..", ".%2e": "..", "%2E": ".", "a%2fb": "a/b", "%2f": "/", "..%2f..%2fv": "../../v", "%5c..": `\..`, "%00": "\x00", "v%00": "v\x00",
		"my:vault": "my:vault", "my%20vault": "my vault", "%C3%A9": "é", "é": "é", "%ff": "\uFFFD", "a%0d%0aLocation:x": "a\r\nLocation:x", "%25": "%",
		"%2576": "%76", "a;b": "a;b", "a+b": "a+b", "*": "*", "~": "~", "'--": "'--", "%3Cb%3E": "<b>",
		strings.Repeat("n", 256): strings.Repeat("n", 256), strings.Repeat("n", 60_000): strings.Repeat("n", 60_000),
	} {
		t.Run(fmt.Sprintf("%.40s", name), func(t *testing.T) {
			for _, op := range protocol.Operations() {
				switch {
				case op.Name == protocol.CreateVault:
					wantError(t, sendRaw(t, s.Server, plain(op, "-", name)), 400, invalid, "Invalid vault name: "+raw)
				case !ofVault(op): // it has no name
				default:
					wantError(t, sendRaw(t, s.Server, plain(op, "-", name)), 404, notFound, "Vault not found for ARN: "+raw)
				}
			}
		})
	}
	for name, want := range map[string]struct {
		status int
		code   string
	}{
		"..": {404, unknown}, ".": {405, unknown}, "v/..": {405, unknown}, "%zz": {400, unread}, "%": {400, unread}, "%2": {400, unread}, "my vault": {400, unread},
		"a\tb": {400, unread}, "a\x00b": {400, invalid}, "a\x7fb": {400, invalid}, strings.Repeat("n", 100_000): {400, unread}, "a/b": {404, unknown},
	} {
		t.Run(fmt.Sprintf("raw %.40q", name), func(t *testing.T) {
			wantError(t, sendRaw(t, s.Server, rawRequest{method: "PUT", target: "/-/vaults/" + name}), want.status, want.code, "")
		})
	}
	t.Run("255 characters", func(t *testing.T) {
		wantStatus(t, sendRaw(t, s.Server, rawRequest{method: "PUT", target: "/-/vaults/" + strings.Repeat("n", 255)}), 201)
	})
	if body := s.Do(t, moraintest.Request{Method: "GET", Path: "/-/vaults"}).Body; strings.Count(body, `"VaultName"`) != 2 {
		t.Errorf("more vaults than two: %s", body)
	}
	if _, err := os.Stat(filepath.Join(s.Data, "..", "v")); !os.IsNotExist(err) {
		t.Errorf("a name left the data directory: %v", err)
	}
	wantWell(t, s.Server, files)
}

func TestHostileHeaders(t *testing.T) {
	s := startEvery(t)
	files := s.Server.Records(t)
	many := func(n int, line string) (lines []string) {
		for i := range n {
			lines = append(lines, strings.ReplaceAll(line, "#", fmt.Sprint(i)))
		}
		return lines
	}
	for _, row := range []struct {
		name   string
		r      rawRequest
		status int
	}{
		{"query of 60,000 characters", rawRequest{target: "/-/vaults?foo=" + strings.Repeat("x", 60_000)}, 200},
		{"query of 100,000 characters", rawRequest{target: "/-/vaults?foo=" + strings.Repeat("x", 100_000)}, 400},
		{"query of 5,000 parameters", rawRequest{target: "/-/vaults?" + strings.Repeat("foo=1&", 4999) + "foo=1"}, 200},
		{"30 KB of headers", rawRequest{target: "/-/vaults", lines: many(30, "X-#: "+strings.Repeat("x", 1000))}, 200},
		{"70 KB of headers", rawRequest{target: "/-/vaults", lines: many(70, "X-#: "+strings.Repeat("x", 1024))}, 400},
		{"a header of 70 KB", rawRequest{target: "/-/vaults", lines: []string{"X: " + strings.Repeat("x", 70<<10)}}, 400},
		{"5,000 short headers", rawRequest{target: "/-/vaults", loose: many(5000, "X#:")}, 200},
		{"10,000 headers", rawRequest{target: "/-/vaults", loose: many(10_000, "X-Header-#: 1")}, 400},
		{"one header 5,000 times", rawRequest{target: "/-/vaults", loose: many(5000, "X: 1")}, 200},
		{"2,000 signed headers", rawRequest{target: "/-/vaults", lines: many(2000, "X#: 1")}, 200},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.r.method = "GET"
			res := sendRaw(t, s.Server, row.r)
			if row.status != 200 {
				wantError(t, res, row.status, unread, "The request cannot be read")
			}
			wantStatus(t, res, row.status)
		})
	}
	wantWell(t, s.Server, files)
}

func TestHostileRequests(t *testing.T) {
	s := startEvery(t)
	files := s.Server.Records(t)
	const ok = "GET /-/vaults HTTP/1.1\r\nHost: x\r\n"
	for _, text := range []string{
		"\x00\x01\x02\r\n\r\n", "GET\r\n\r\n", "GET /-/vaults\r\n\r\n", "GET  /-/vaults HTTP/1.1\r\nHost: x\r\n\r\n", "GET /-/vaults HTTP/1.1 \r\nHost: x\r\n\r\n",
		" GET /-/vaults HTTP/1.1\r\nHost: x\r\n\r\n", "GET /-/vaults HTTP/9.9\r\nHost: x\r\n\r\n", "GET /-/vaults HTTP/2.0\r\nHost: x\r\n\r\n", "GET /-/vaults http/1.1\r\nHost: x\r\n\r\n",
		"GE(T /-/vaults HTTP/1.1\r\nHost: x\r\n\r\n", "GET vaults HTTP/1.1\r\nHost: x\r\n\r\n", "GET http://[::1/ HTTP/1.1\r\nHost: x\r\n\r\n", "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "GET /-/vaults HTTP/1.1\r\n\r\n", ok + "Host: y\r\n\r\n", "GET /-/vaults HTTP/1.1\r\nHost: a b\r\n\r\n",
		ok + "no colon\r\n\r\n", ok + ": no name\r\n\r\n", ok + "x-amz-date : 20240229T101112Z\r\n\r\n", ok + "X-\xc3\xa9: 1\r\n\r\n", ok + " continued: x\r\n\r\n",
		ok + "Content-Length: -1\r\n\r\n", ok + "Content-Length: +1\r\n\r\nx", ok + "Content-Length: 1, 2\r\n\r\n", ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
		ok + "Content-Length: 99999999999999999999\r\n\r\n", ok + "Content-Length: 0x1\r\n\r\n", ok + "Content-Length: one\r\n\r\n", ok + "Transfer-Encoding: gzip\r\n\r\n",
		ok + "Transfer-Encoding: chunked, chunked\r\n\r\n", ok + "Transfer-Encoding: identity\r\n\r\n",
	} {
		t.Run(fmt.Sprintf("%.70q", text), func(t *testing.T) {
			c := dialRaw(t, s.Server)
			c.write(t, text)
			wantUnread(t, c.answer(t, "GET"))
			c.wantClosed(t)
		})
	}
	for _, value := range []string{"a\x00b", "a\x7fb", "a\x01b"} {
		t.Run(fmt.Sprintf("header %q", value), func(t *testing.T) {
			res := exchange(t, s.Server, "GET", ok+"x-amz-archive-description: "+value+"\r\n\r\n")
			wantError(t, res, 400, invalid, "The request cannot be read: Bad Request: invalid header value")
		})
	}
	t.Run("preface of HTTP/2", func(t *testing.T) {
		wantErrorForm(t, exchange(t, s.Server, "PRI", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
	})
	t.Run("garbage behind a request", func(t *testing.T) {
		c := dialRaw(t, s.Server)
		c.write(t, rawRequest{method: "GET", target: "/-/vaults"}.text(s.Server)+"\x00garbage\r\n\r\n")
		wantStatus(t, c.answer(t, "GET"), 200)
		wantUnread(t, c.answer(t, "GET"))
		c.wantClosed(t)
	})
	t.Run("a body longer than its Content-Length", func(t *testing.T) {
		c := dialRaw(t, s.Server)
		c.write(t, s.creations()["/vaults/v/archives/"].text(s.Server)+"and more\r\n\r\n")
		wantStatus(t, c.answer(t, "POST"), 201)
		wantUnread(t, c.answer(t, "GET"))
		c.wantClosed(t)
	})
	wantWell(t, s.Server, files+1)
}

func TestHostileAuthorization(t *testing.T) {
	s := startEvery(t)
	files := s.Server.Records(t)
	replace := func(old, now string) func(string) string {
		return func(a string) string { return strings.Replace(a, old, now, 1) }
	}
	is := func(text string) func(string) string { return func(string) string { return text } }
	for name, row := range map[string]struct {
		change func(string) string
		status int
		code   string
	}{
		"other scheme":            {is("Basic eDp5"), 400, incomplete},
		"bearer":                  {is("Bearer x"), 400, incomplete},
		"old signature":           {is("AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg="), 400, incomplete},
		"other algorithm":         {replace("HMAC-SHA256", "ECDSA-P256-SHA256"), 400, incomplete},
		"algorithm alone":         {is("AWS4-HMAC-SHA256"), 400, incomplete},
		"no values":               {is("AWS4-HMAC-SHA256 Credential=, SignedHeaders=, Signature="), 400, incomplete},
		"commas":                  {is(",,,"), 400, noToken},
		"no credential":           {replace("Credential", "X"), 400, incomplete},
		"no signed headers":       {replace("SignedHeaders", "X"), 400, incomplete},
		"no signature":            {replace("Signature", "X"), 400, incomplete},
		"two credentials":         {replace(", Sig", ", Credential=a/20240229/b/glacier/aws4_request, Sig"), 400, incomplete},
		"scope of three parts":    {replace("/glacier/aws4_request", ""), 400, incomplete},
		"scope of six parts":      {replace("/glacier/", "/glacier/x/"), 400, incomplete},
		"empty part":              {replace("/glacier/", "//"), 400, incomplete},
		"other end":               {replace("aws4_request", "aws5_request"), 400, incomplete},
		"no key id":               {replace(s.Key.ID, ""), 400, incomplete},
		"capitals":                {replace("Headers=", "Headers=Accept;"), 400, incomplete},
		"header named twice":      {replace("Headers=", "Headers=host;"), 400, incomplete},
		"10,000 header names":     {replace("Headers=", "Headers="+strings.Repeat("x;", 10_000)), 400, incomplete},
		"no name between":         {replace("Headers=", "Headers=;"), 400, incomplete},
		"a name that is none":     {replace("Headers=", "Headers=a b;"), 400, incomplete},
		"key id of SQL":           {replace(s.Key.ID, "' OR 1=1 --"), 400, unrecognized},
		"key id in small letters": {replace(s.Key.ID, strings.ToLower(s.Key.ID)), 400, unrecognized},
		"key id of 10,000 bytes":  {replace(s.Key.ID, strings.Repeat("A", 10_000)), 400, unrecognized},
		"key id of UTF-8":         {replace(s.Key.ID, "\u00e9\xff"), 400, unrecognized},
		"signature of one digit":  {func(a string) string { return a[:len(a)-63] }, 403, badSignature},
		"signature in capitals": {func(a string) string {
			head, signature, _ := strings.Cut(a, "Signature=")
			return head + "Signature=" + strings.ToUpper(signature)
		}, 403, badSignature},
		"signature of 10,000 digits": {func(a string) string { return a + strings.Repeat("0", 10_000) }, 403, badSignature},
		"signature and more":         {func(a string) string { return a + "\u00e9" }, 403, badSignature},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []rawRequest{{method: "GET", target: "/-/vaults"}, s.creations()["/vaults/v/archives/"]} {
				r.authorization = row.change
				wantError(t, sendRaw(t, s.Server, r), row.status, row.code, "")
			}
		})
	}
	t.Run("two headers", func(t *testing.T) {
		wantError(t, sendRaw(t, s.Server, rawRequest{method: "GET", target: "/-/vaults", loose: []string{"Authorization: Basic eDp5"}}), 400, incomplete, "")
	})
	for _, date := range []string{"yesterday", "2024-02-29T10:11:12Z", "20240230T101112Z", "20240229T101112.5Z", "20240229T101112", strings.Repeat("2", 10_000)} {
		t.Run(fmt.Sprintf("date %.30s", date), func(t *testing.T) {
			r := rawRequest{method: "GET", target: "/-/vaults", without: []string{"x-amz-date"}, loose: []string{"x-amz-date: " + date}}
			wantError(t, sendRaw(t, s.Server, r), 400, incomplete, "X-Amz-Date must have the form YYYYMMDDThhmmssZ.")
		})
	}
	wantWell(t, s.Server, files)
}

// cut sends most of a request's body, waits until the server has it, and ends the connection.
func cut(t *testing.T, s *moraintest.Server, r rawRequest, records int) {
	t.Helper()
	files := func() int {
		found, err := filepath.Glob(filepath.Join(s.Data, "volumes", "??", "*.vol"))
		must(t, err)
		return len(found)
	}
	before := files()
	text := r.text(s)
	c := dialRaw(t, s)
	c.write(t, text[:len(text)-len(r.body)/4])
	if len(r.body) > mib && !moraintest.OnSharedEngines() { // the server stores while it receives what is too long for a shared volume; in a bucket that cannot be seen
		moraintest.Eventually(t, "the file of an upload", func() bool { return files() == before+1 })
	}
	c.Close()
	moraintest.Eventually(t, "the file to go", func() bool { return files() == before })
	waitForRecords(t, s, records)
}

func TestHostileBodies(t *testing.T) {
	s := startEvery(t)
	files := s.Server.Records(t)
	big := string(moraintest.Pattern(1 << 20))
	upload := rawRequest{method: "POST", target: "/-/vaults/v/archives", body: big, lines: hashLines(big)}
	bigPart := rawRequest{
		method: "PUT", target: "/-/vaults/v/multipart-uploads/" + s.upload,
		body: big, lines: append(hashLines(big), "Content-Range: "+contentRange(0, 1<<20-1)),
	}
	t.Run("edge 101 connection cut in mid-body", func(t *testing.T) {
		large := string(moraintest.Pattern(3 * mib))
		cut(t, s.Server, rawRequest{method: "POST", target: "/-/vaults/v/archives", body: large, lines: hashLines(large)}, files)
		cut(t, s.Server, upload, files)
		cut(t, s.Server, bigPart, files)
	})
	t.Run("edge 101 body shorter than its Content-Length", func(t *testing.T) {
		for _, r := range []rawRequest{upload, bigPart, {method: "POST", target: "/-/vaults/v/jobs", body: s.retrieve()}} {
			text := r.text(s.Server)
			c := dialRaw(t, s.Server)
			c.write(t, text[:len(text)-1])
			must(t, c.Conn.(*net.TCPConn).CloseWrite())
			wantError(t, c.answer(t, r.method), 400, unread, "The connection broke after ")
			c.wantClosed(t)
		}
	})
	t.Run("edge 93 chunked upload", func(t *testing.T) {
		for _, r := range []rawRequest{upload, bigPart} {
			for _, more := range [][]string{nil, {"Content-Length: 1048576"}} {
				r.body, r.loose = "", append([]string{"Transfer-Encoding: chunked"}, more...)
				res := exchange(t, s.Server, r.method, r.text(s.Server)+"100000\r\n"+big+"\r\n0\r\n\r\n")
				wantError(t, res, 400, missing, "Required parameter missing: Content-Length")
			}
		}
	})
	t.Run("chunks that are none", func(t *testing.T) {
		for _, chunks := range []string{"x\r\n", "-1\r\n", "FFFFFFFFFFFFFFFFF\r\n", "5\r\nabcdefgh\r\n", "5;" + strings.Repeat("x", 100_000) + "\r\n"} {
			r := rawRequest{method: "POST", target: "/-/vaults/v/jobs", loose: []string{"Transfer-Encoding: chunked"}}
			wantError(t, exchange(t, s.Server, "POST", r.text(s.Server)+chunks), 400, unread, "")
		}
	})
	t.Run("a body that nobody vouches for is not read", func(t *testing.T) {
		for _, r := range []rawRequest{
			{without: []string{"authorization"}, loose: []string{"Content-Length: 10000000"}},
			{key: moraintest.Key{ID: s.Key.ID, Secret: "x"}, lines: append(hashLines("x")[:1], "Content-Length: 10000000")},
		} {
			r.method, r.target, r.loose = "POST", "/-/vaults/v/jobs", append(r.loose, "Expect: 100-continue")
			res := sendRaw(t, s.Server, r)
			wantErrorForm(t, res)
			if res.Code() != noToken && res.Code() != badSignature {
				t.Errorf("status %d, %s", res.Status, res.Body)
			}
		}
	})
	wantWell(t, s.Server, files)
	if n := s.Do(t, moraintest.Request{Method: "GET", Path: "/-/vaults/v"}).JSON(t)["NumberOfArchives"]; n != 1.0 {
		t.Errorf("the vault has %v archives, not the one from before", n)
	}
	if body := s.Do(t, moraintest.Request{Method: "GET", Path: "/-/vaults/v/multipart-uploads/" + s.upload}).Body; !strings.Contains(body, `"Parts":[]`) {
		t.Errorf("the upload has parts: %s", body)
	}
}

func TestStalls(t *testing.T) {
	s := moraintest.Start(t, impatient)
	s.CreateVault(t, "v")
	t.Run("at the same time", func(t *testing.T) { stalls(t, s) })
	wantWell(t, s, 1)
}

func stalls(t *testing.T, s *moraintest.Server) {
	big := string(moraintest.Pattern(1 << 20))
	for _, r := range []rawRequest{
		{method: "POST", target: "/-/vaults/v/archives", body: big, lines: hashLines(big)},
		{method: "POST", target: "/-/vaults/v/jobs", body: `{"Type":"inventory-retrieval"}`},
	} {
		t.Run("edge 102 body stalls "+r.target, func(t *testing.T) {
			t.Parallel()
			text := r.text(s)
			c := dialRaw(t, s)
			c.write(t, text[:len(text)-1])
			res := c.answer(t, r.method)
			wantError(t, res, 408, timedOut, "Request timed out.")
			if res.Header.Get("Connection") != "close" {
				t.Errorf("the connection stays open: %v", res.Header)
			}
		})
	}
	t.Run("edge 102 stalls at once, after 100 Continue", func(t *testing.T) {
		t.Parallel()
		r := rawRequest{
			method: "POST", target: "/-/vaults/v/archives",
			lines: append(hashLines(small), "Content-Length: 15"), loose: []string{"Expect: 100-continue"},
		}
		c := dialRaw(t, s)
		c.write(t, r.text(s))
		if res := c.answer(t, "POST"); res.Status != 100 {
			t.Fatalf("status %d", res.Status)
		}
		wantError(t, c.answer(t, "POST"), 408, timedOut, "Request timed out.")
	})
	t.Run("a body that comes slowly", func(t *testing.T) {
		t.Parallel()
		text := rawRequest{method: "POST", target: "/-/vaults/v/archives", body: small, lines: hashLines(small)}.text(s)
		c := dialRaw(t, s)
		c.write(t, text[:len(text)-len(small)])
		for i := range small {
			time.Sleep(stall / 10) // far less than the server bears, and more than it in sum
			c.write(t, small[i:i+1])
		}
		wantStatus(t, c.answer(t, "POST"), 201)
	})
	t.Run("a refused client that waits for 100 Continue", func(t *testing.T) {
		t.Parallel()
		c := dialRaw(t, s)
		c.write(t, "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
		if res := c.answer(t, "POST"); res.Status != 404 {
			t.Errorf("status %d", res.Status)
		}
		c.wantClosed(t) // and is not waited for: nobody knows who it is
	})
	t.Run("a small body that trickles", func(t *testing.T) {
		t.Parallel()
		body := strings.Repeat(" ", 1000)
		text := rawRequest{method: "POST", target: "/-/vaults/v/jobs", body: body}.text(s)
		c := dialRaw(t, s)
		c.write(t, text[:len(text)-len(body)])
		for range 25 { // less than the server bears each time, and more than it bears of a body that is read before the signature is known
			time.Sleep(stall / 10)
			c.write(t, " ")
		}
		wantError(t, c.answer(t, "POST"), 408, timedOut, "Request timed out.")
	})
	for _, text := range []string{"", "GET /-/vaults HTTP/1.1\r\nHost: x\r\n", "GET /-/vau", "GET /-/vaults HTTP/1.1\r\nHost: x\r\nx-amz-"} {
		t.Run(fmt.Sprintf("header stalls %q", text), func(t *testing.T) {
			t.Parallel()
			c := dialRaw(t, s)
			c.write(t, text)
			if text != "" && !strings.HasSuffix(text, "\n") { // net/http takes half a line for a line
				wantUnread(t, c.answer(t, "GET"))
			}
			c.wantClosed(t)
		})
	}
}

func TestHostileJSON(t *testing.T) {
	s := startEvery(t)
	jobs, notifications := "/-/vaults/v/jobs", "/-/vaults/v/notification-configuration"
	padded := func(n int) string {
		const o = `{"Type":"inventory-retrieval"}`
		return o + strings.Repeat(" ", n-len(o))
	}
	for _, row := range []struct {
		name, target, body string
		status             int
		code, message      string
	}{
		{"deep list", jobs, strings.Repeat("[", 100_000), 400, malformed, "The body is not a JSON object"},
		{"deep object", jobs, strings.Repeat(`{"Type":`, 100_000), 400, malformed, "The body is not a JSON object"},
		{"deep unknown member", jobs, `{"x":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `,"Type":"inventory-retrieval"}`, 400, malformed, ""},
		{"same member twice", jobs, `{"Type":"nonsense","Type":"inventory-retrieval"}`, 202, "", ""},
		{"100,000 members", jobs, `{"Type":"inventory-retrieval"` + strings.Repeat(`,"x":0`, 100_000) + `}`, 202, "", ""},
		{"trailing garbage", jobs, `{"Type":"inventory-retrieval"}}`, 400, malformed, ""},
		{"byte order mark", jobs, "\ufeff" + `{"Type":"inventory-retrieval"}`, 400, malformed, ""},
		{"NUL behind", jobs, `{"Type":"inventory-retrieval"}` + "\x00", 400, malformed, ""},
		{"NUL in a string", jobs, "{\"Type\":\"inventory\x00-retrieval\"}", 400, malformed, ""},
		{"new line in a string", jobs, "{\"Type\":\"inventory\n-retrieval\"}", 400, malformed, ""},
		{"not UTF-8", jobs, "{\"Type\":\"inventory-retrieval\",\"x\":\"\xff\"}", 400, malformed, "The body is not a JSON object: it is not UTF-8"},
		{"UTF-16", jobs, "{\x00\"\x00T\x00", 400, malformed, ""},
		{"blank", jobs, " \r\n\t ", 400, malformed, ""},
		{"comment", jobs, `{"Type":"inventory-retrieval"}//`, 400, malformed, ""},
		{"NaN", jobs, `{"Type":NaN}`, 400, malformed, ""},
		{"huge number", jobs, `{"Type":1` + strings.Repeat("0", 10_000) + `}`, 400, malformed, "Type must be a string"},
		{"number", jobs, `{"Type":1e999}`, 400, malformed, "Type must be a string"},
		{"list", jobs, `{"Type":["inventory-retrieval"]}`, 400, malformed, "Type must be a string"},
		{"object", jobs, `{"Type":{}}`, 400, malformed, "Type must be a string"},
		{"bool", jobs, `{"Type":true}`, 400, malformed, "Type must be a string"},
		{"wrapper is a list", jobs, `{"jobParameters":[]}`, 400, malformed, "jobParameters must be an object"},
		{"wrapper in a wrapper", jobs, `{"jobParameters":{"jobParameters":{"Type":"inventory-retrieval"}}}`, 400, missing, "Required parameter missing: type"},
		{"parameters are a list", jobs, `{"Type":"inventory-retrieval","InventoryRetrievalParameters":[]}`, 400, malformed, "InventoryRetrievalParameters must be an object"},
		{"limit beyond every number", jobs, `{"Type":"inventory-retrieval","InventoryRetrievalParameters":{"Limit":1e999}}`, 400, invalid, "Invalid"},
		{"limit below every number", jobs, `{"Type":"inventory-retrieval","InventoryRetrievalParameters":{"Limit":-99999999999999999999}}`, 400, invalid, "Invalid"},
		{"limit with a fraction", jobs, `{"Type":"inventory-retrieval","InventoryRetrievalParameters":{"Limit":1.5}}`, 400, invalid, "Invalid"},
		{"limit is a list", jobs, `{"Type":"inventory-retrieval","InventoryRetrievalParameters":{"Limit":[]}}`, 400, malformed, "Limit must be a string or a number"},
		{"description of UTF-8", jobs, `{"Type":"inventory-retrieval","Description":"é"}`, 400, invalid, "Invalid job description: "},
		{"description of a lone surrogate", jobs, `{"Type":"inventory-retrieval","Description":"\ud800"}`, 400, invalid, "Invalid job description: "},
		{"description with a tab", jobs, `{"Type":"inventory-retrieval","Description":"a\tb"}`, 400, invalid, "Invalid job description: "},
		{"description with 0x7F", jobs, `{"Type":"inventory-retrieval","Description":"a\u007fb"}`, 400, invalid, "Invalid job description: "},
		{"description of 1,025", jobs, `{"Type":"inventory-retrieval","Description":"` + strings.Repeat("d", 1025) + `"}`, 400, invalid, "Invalid job description: "},
		{"description of 1,024", jobs, `{"Type":"inventory-retrieval","Description":"` + strings.Repeat("d", 1024) + `"}`, 202, "", ""},
		{"1 MiB", jobs, padded(1 << 20), 202, "", ""},
		{"1 MiB + 1", jobs, padded(1<<20 + 1), 400, malformed, "The body exceeds the limit of 1048576 bytes"},
		{"2 MiB without an end", jobs, strings.Repeat("[", 2<<20), 400, malformed, "The body exceeds the limit of 1048576 bytes"},
		{"null in the events", notifications, `{"SNSTopic":"arn:aws:sns:us-east-1:123456789012:t","Events":[null]}`, 400, malformed, "Events must be a list of strings"},
		{"events are a string", notifications, `{"SNSTopic":"arn:aws:sns:us-east-1:123456789012:t","Events":"ArchiveRetrievalCompleted"}`, 400, malformed, "Events must be a list of strings"},
		{"topic is a number", notifications, `{"SNSTopic":1,"Events":["ArchiveRetrievalCompleted"]}`, 400, malformed, "SNSTopic must be a string"},
		{"100,000 events", notifications, `{"SNSTopic":"arn:aws:sns:us-east-1:123456789012:t","Events":["ArchiveRetrievalCompleted"` + strings.Repeat(`,""`, 100_000) + `]}`, 400, invalid, "Invalid event: "},
		{"no body", notifications, "", 400, missing, "Required parameter missing: "},
	} {
		t.Run(row.name, func(t *testing.T) {
			method := map[string]string{jobs: "POST", notifications: "PUT"}[row.target]
			// A job that was begun before may end meanwhile.
			held := func() (int, string) {
				body := s.Do(t, moraintest.Request{Method: "GET", Path: row.target}).Body
				return strings.Count(body, `"JobId"`), body[strings.LastIndex(body, "{"):]
			}
			jobs, last := held()
			res := sendRaw(t, s.Server, rawRequest{method: method, target: row.target, body: row.body})
			if row.status < 300 {
				wantStatus(t, res, row.status)
				return
			}
			wantError(t, res, row.status, row.code, row.message)
			if n, now := held(); n != jobs || row.target == notifications && now != last {
				t.Errorf("the refused body changed something: %d jobs, before %d; %s, before %s", n, jobs, now, last)
			}
		})
	}
	t.Run("1 MiB + 1 in chunks", func(t *testing.T) {
		body := padded(1<<20 + 1)
		r := rawRequest{method: "POST", target: jobs, hash: moraintest.Hex([]byte(body)), loose: []string{"Transfer-Encoding: chunked"}}
		res := exchange(t, s.Server, "POST", r.text(s.Server)+"100001\r\n"+body+"\r\n0\r\n\r\n")
		wantError(t, res, 400, malformed, "The body exceeds the limit of 1048576 bytes")
	})
}

func TestHostileQueries(t *testing.T) {
	s := startEvery(t)
	files := s.Server.Records(t)
	lists := []string{"/-/vaults", "/-/vaults/v/jobs", "/-/vaults/v/multipart-uploads", "/-/vaults/v/multipart-uploads/" + s.upload}
	for _, list := range lists {
		t.Run(list[:min(len(list), 30)], func(t *testing.T) {
			for _, limit := range []string{"0", "-1", "", "x", "1.5", "1e3", "0x10", "-99999999999999999999", "%20", "1%00", "%D9%A1", "1%2C000", "%2B"} {
				r := rawRequest{method: "GET", target: list + "?limit=" + limit}
				wantError(t, sendRaw(t, s.Server, r), 400, invalid, "Invalid limit: ")
			}
			for _, limit := range []string{"1", "1001", "9223372036854775807", "9223372036854775808", strings.Repeat("9", 10_000)} {
				wantStatus(t, sendRaw(t, s.Server, rawRequest{method: "GET", target: list + "?limit=" + limit}), 200)
			}
			for _, marker := range []string{
				"nonsense", "%00", "AAAA", "%C3%A9", strings.Repeat("A", 10_000), "arn%3Aaws%3Aglacier%3Aus-east-1%3A222222222222%3Avaults%2Fv", "arn%3Aaws%3Aglacier%3Aus-east-1%3A123456789012%3Avaults%2F",
				"arn%3Aaws%3Aglacier%3Aeu-west-1%3A123456789012%3Avaults%2Fv", "arn%3Aaws%3Aglacier%3Aus-east-1%3A123456789012%3Avaults%2Fa%2Fb",
			} {
				r := rawRequest{method: "GET", target: list + "?marker=" + marker}
				wantError(t, sendRaw(t, s.Server, r), 400, invalid, "Invalid marker: ")
			}
			for query, canonical := range map[string]string{"limit=%zz": "limit=%25zz", "limit=5;6": "limit=5%3B6", "%zz=1": "%25zz=1", "marker=%": "marker=%25"} {
				r := rawRequest{method: "GET", target: list + "?" + query, query: canonical}
				wantError(t, sendRaw(t, s.Server, r), 400, invalid, "Invalid query: ")
			}
			wantStatus(t, sendRaw(t, s.Server, rawRequest{method: "GET", target: list + "?marker="}), 200)
		})
	}
	for query, message := range map[string]string{
		"statuscode=finished": "The job status code is not valid: finished", "statuscode=succeeded": "The job status code is not valid: succeeded",
		"statuscode=%00": "The job status code is not valid: \x00", "completed=yes": "Invalid completed: yes", "completed=True": "Invalid completed: True",
	} {
		t.Run(query, func(t *testing.T) {
			wantError(t, sendRaw(t, s.Server, rawRequest{method: "GET", target: "/-/vaults/v/jobs?" + query}), 400, invalid, message)
		})
	}
	wantWell(t, s.Server, files)
}

func TestHostileRanges(t *testing.T) {
	s := startEvery(t)
	target := "/-/vaults/v/jobs/" + s.retrieval + "/output"
	digits := strings.Repeat("9", 30)
	for text, want := range map[string]string{ // "" is the whole, without Content-Range
		"": "", "bytes=": "", "bytes=-": "", "bytes=a-b": "", "bytes=1-0": "", "bytes=-0": "", "bytes=0-1,4-5": "", "bytes=0-1,": "", "bytes 0-9/100": "", "0-9": "", "0-100/493": "",
		"octets=0-1": "", "bytes=0x1-0x2": "", "bytes=+1-2": "", "bytes=1 - 2": "", "bytes = 0-1": "", "bytes=--1": "", "bytes=0-1-2": "", "bytes=1.0-2": "", "bytes": "",
		"bytes=\u0661-\u0662": "", "bytes=\xff-\xfe": "", "bytes=0-1;": "", strings.Repeat("bytes=0-1,", 5000): "",
		"bytes=0-0": "0-0", "bytes=0-14": "0-14", "bytes=0-15": "0-14", "bytes=0-": "0-14", "bytes=14-": "14-14", "bytes=-1": "14-14", "bytes=-15": "0-14", "bytes=-16": "0-14",
		"bytes=3-1014": "3-14", "bytes=00003-04": "3-4", "bytes=0-" + digits: "0-14", "bytes=-" + digits: "0-14", "bytes=2-9223372036854775807": "2-14", "bytes=2-9223372036854775808": "2-14",
		"bytes=15-": "400", "bytes=15-20": "400", "bytes=9223372036854775807-": "400", "bytes=9223372036854775808-": "400", "bytes=" + digits + "-": "400", "bytes=" + digits + "-" + digits: "400",
	} {
		t.Run(fmt.Sprintf("%.60q", text), func(t *testing.T) {
			r := rawRequest{method: "GET", target: target, lines: []string{"Range: " + text}, loose: []string{`If-Range: "x"`, "If-None-Match: *"}}
			res := sendRaw(t, s.Server, r)
			var first, last int
			switch n, _ := fmt.Sscanf(want, "%d-%d", &first, &last); {
			case want == "400":
				wantError(t, res, 400, invalid, "The start of the range is larger than size of retrieved data: "+text)
			case n == 0:
				if res.Status != 200 || res.Body != small || res.Header.Get("Content-Range") != "" {
					t.Errorf("status %d, %v, %q", res.Status, res.Header, res.Body)
				}
			default:
				if res.Status != 206 || res.Body != small[first:last+1] || res.Header.Get("Content-Range") != "bytes "+want+"/15" {
					t.Errorf("status %d, %v, %q", res.Status, res.Header, res.Body)
				}
			}
		})
	}
}

func TestHostileDescriptions(t *testing.T) {
	s := startEvery(t)
	files := s.Server.Records(t)
	for _, kind := range []string{"/vaults/v/archives/", "/vaults/v/multipart-u"} {
		send := func(t *testing.T, description string) moraintest.Response {
			r := s.creations()[kind]
			r.lines = append(slices.Clone(r.lines), "x-amz-archive-description: "+description)
			return sendRaw(t, s.Server, r)
		}
		all := make([]byte, 0, 1024)
		for len(all) < 1024 {
			all = append(all, byte('!'+len(all)%('~'-'!'+1)))
		}
		t.Run("edge 103 1,024 characters "+kind, func(t *testing.T) {
			wantStatus(t, send(t, string(all)), 201)
		})
		t.Run("edge 104 1,025 characters "+kind, func(t *testing.T) {
			wantError(t, send(t, string(all)+"x"), 400, invalid, "Invalid archive description: ")
		})
		for _, description := range []string{"a\tb", "é", "a\xe9b", "\u00a0", "a\x80", "\ufeffa"} {
			t.Run(fmt.Sprintf("edge 105 %q %s", description, kind), func(t *testing.T) {
				wantError(t, send(t, description), 400, invalid, "Invalid archive description: ")
			})
		}
		for _, description := range []string{"a\x7fb", "a\x00b", "a\x1fb"} {
			t.Run(fmt.Sprintf("edge 105 %q %s", description, kind), func(t *testing.T) {
				wantError(t, send(t, description), 400, invalid, "The request cannot be read")
			})
		}
	}
	wantWell(t, s.Server, files+1)
}

// TestHostileIDs names what cannot be: bytes that are in no id, and that not every database would take.
func TestHostileIDs(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	for _, id := range []string{"%00", "%ff%fe", "a%00b", "%C3%A9", "%0A", strings.Repeat("x", 10_000)} {
		for target, method := range map[string]string{
			"/-/vaults/v/archives/" + id: "DELETE", "/-/vaults/v/multipart-uploads/" + id: "GET", "/-/vaults/v/jobs/" + id: "GET",
		} {
			wantError(t, sendRaw(t, s, rawRequest{method: method, target: target}), 404, notFound, "")
		}
	}
	for _, id := range []string{"\x80\xff", "AKIA\xc3\xa9"} {
		r := rawRequest{method: "GET", target: "/-/vaults", key: moraintest.Key{ID: id, Secret: "x"}}
		wantError(t, sendRaw(t, s, r), 400, unrecognized, "")
	}
	wantWell(t, s, 0)
}
