package api_test

import (
	"bufio"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/moraintest"
	"github.com/moraine-archive/moraine/internal/protocol"
)

// A rawRequest is signed by the letter of the documentation and written byte by byte: for what no HTTP client would send. A field that
// is not set stands for what an ordinary client does.
type rawRequest struct {
	method, target string   // as sent
	proto          string   // "HTTP/1.1"
	host           string   // the server's address
	signedHost     string   // host, unless set
	lines          []string // further header lines, "Name: value", as sent; all are signed
	loose          []string // further header lines that are not signed
	without        []string // what is left out, in lower case: of the headers that every request has
	body           string
	query          string // canonical form; that of the target, unless set

	key             moraintest.Key
	time            time.Time
	day             string // of the scope
	region, service string
	hash            string // the payload hash that is signed; that of the body, unless set
	separator       string // between the parts of Authorization
	names           []string
	authorization   func(string) string // changes the header
}

const basicDate = "20060102T150405Z"

// String returns the request as it goes over the wire. It is made for a server, whose key signs it unless there is another.
func (r rawRequest) text(s *moraintest.Server) string {
	r.host = cmp.Or(r.host, strings.TrimPrefix(s.Endpoint, "http://"))
	if r.key == (moraintest.Key{}) {
		r.key = s.Key
	}
	if r.time.IsZero() {
		r.time = time.Now()
	}
	r.time = r.time.UTC()
	r.region = cmp.Or(r.region, s.Region)
	lines := []string{"Host: " + r.host, "x-amz-date: " + r.time.Format(basicDate), "x-amz-glacier-version: 2012-06-01"}
	if r.body != "" {
		lines = append(lines, "Content-Length: "+strconv.Itoa(len(r.body)))
	}
	lines = append(lines, r.lines...)
	lines = slices.DeleteFunc(lines, func(line string) bool { return slices.Contains(r.without, headerName(line)) })
	authorization := r.authorise(lines)
	if r.authorization != nil {
		authorization = r.authorization(authorization)
	}
	lines = append(lines, r.loose...)
	if !slices.Contains(r.without, "authorization") {
		lines = append(lines, "Authorization: "+authorization)
	}
	return r.method + " " + r.target + " " + cmp.Or(r.proto, "HTTP/1.1") + "\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n" + r.body
}

func headerName(line string) string {
	name, _, _ := strings.Cut(line, ":")
	return strings.ToLower(strings.TrimSpace(name))
}

// authorise returns the value of Authorization for header lines.
func (r rawRequest) authorise(lines []string) string {
	values := map[string]string{}
	for _, line := range lines {
		_, value, _ := strings.Cut(line, ":")
		value = strings.Join(strings.FieldsFunc(value, func(c rune) bool { return c == ' ' }), " ")
		if before, again := values[headerName(line)]; again {
			value = before + "," + value
		}
		values[headerName(line)] = value
	}
	if r.signedHost != "" {
		values["host"] = r.signedHost
	}
	names := r.names
	if names == nil {
		names = slices.Sorted(maps.Keys(values))
	}
	path, query, _ := strings.Cut(r.target, "?")
	if _, rest, absolute := strings.Cut(path, "://"); absolute {
		_, path, _ = strings.Cut(rest, "/")
		path = "/" + path
	}
	canonical := r.method + "\n" + path + "\n" + cmp.Or(r.query, sortedQuery(query)) + "\n"
	for _, name := range names {
		canonical += name + ":" + values[name] + "\n"
	}
	canonical += "\n" + strings.Join(names, ";") + "\n" + cmp.Or(r.hash, values["x-amz-content-sha256"], moraintest.Hex([]byte(r.body)))
	date := r.time.Format(basicDate)
	scope := []string{cmp.Or(r.day, date[:8]), r.region, cmp.Or(r.service, "glacier"), "aws4_request"}
	signature := []byte("AWS4" + r.key.Secret)
	for _, part := range append(scope, "AWS4-HMAC-SHA256\n"+date+"\n"+strings.Join(scope, "/")+"\n"+moraintest.Hex([]byte(canonical))) {
		mac := hmac.New(sha256.New, signature)
		mac.Write([]byte(part))
		signature = mac.Sum(nil)
	}
	return "AWS4-HMAC-SHA256 " + strings.Join([]string{
		"Credential=" + r.key.ID + "/" + strings.Join(scope, "/"),
		"SignedHeaders=" + strings.Join(names, ";"),
		"Signature=" + hex.EncodeToString(signature),
	}, cmp.Or(r.separator, ", "))
}

// sortedQuery is the canonical form of a query that needs no other encoding.
func sortedQuery(query string) string {
	if query == "" {
		return ""
	}
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		if !strings.Contains(pair, "=") {
			pairs[i] += "="
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

// A rawConn is a connection to a server without an HTTP client in between.
type rawConn struct {
	net.Conn
	r *bufio.Reader
}

func dialRaw(t testing.TB, s *moraintest.Server) *rawConn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(s.Endpoint, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second)) // so that a server that does not answer fails the test
	return &rawConn{c, bufio.NewReader(c)}
}

// write sends text. That the server has closed the connection already is no failure: it may have refused what came first.
func (c *rawConn) write(t testing.TB, text string) {
	t.Helper()
	if _, err := io.WriteString(c.Conn, text); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("write: %v", err)
	}
}

// answer reads the response to a request.
func (c *rawConn) answer(t testing.TB, method string) moraintest.Response {
	t.Helper()
	res, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("read the response: %v", err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("read the response's body: %v", err)
	}
	if res.Close {
		res.Header.Set("Connection", "close") // net/http takes it out
	}
	return moraintest.Response{Status: res.StatusCode, Header: res.Header, Body: string(body)}
}

// wantClosed fails the test unless the server closes the connection without another byte.
func (c *rawConn) wantClosed(t testing.TB) {
	t.Helper()
	rest, err := io.ReadAll(c.r)
	if len(rest) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after the response: %.200q, %v; want the end of the connection", rest, err)
	}
}

// sendRaw sends a request on a connection of its own and returns the response.
func sendRaw(t testing.TB, s *moraintest.Server, r rawRequest) moraintest.Response {
	t.Helper()
	return exchange(t, s, r.method, r.text(s))
}

// exchange sends text on a connection of its own and returns the response.
func exchange(t testing.TB, s *moraintest.Server, method, text string) moraintest.Response {
	t.Helper()
	c := dialRaw(t, s)
	defer c.Close()
	c.write(t, text)
	return c.answer(t, method)
}

// contentRange returns the Content-Range of a part.
func contentRange(first, last int) string { return fmt.Sprintf("bytes %d-%d/*", first, last) }

// hashLines are the header lines with the two hashes that an upload of a body needs.
func hashLines(body string) []string {
	return []string{
		"x-amz-content-sha256: " + moraintest.Hex([]byte(body)),
		"x-amz-sha256-tree-hash: " + moraintest.TreeHash([]byte(body)),
	}
}

// The codes of errors.
const (
	invalid       = "InvalidParameterValueException"
	missing       = "MissingParameterValueException"
	malformed     = "SerializationException"
	notFound      = "ResourceNotFoundException"
	unknown       = "UnknownOperationException"
	unread        = "BadRequest"
	timedOut      = "RequestTimeoutException"
	limitExceeded = "LimitExceededException"

	noToken      = "MissingAuthenticationTokenException"
	incomplete   = "IncompleteSignatureException"
	unrecognized = "UnrecognizedClientException"
	badSignature = "InvalidSignatureException"
	denied       = "AccessDeniedException"
)

// requestIDForm is the form of request ids (edge 4).
var requestIDForm = regexp.MustCompile(`^[A-Za-z0-9_-]{47}$`)

// wantError fails the test unless a response is an error in the form of the API. message is how its message begins.
func wantError(t testing.TB, res moraintest.Response, status int, code, message string) {
	t.Helper()
	if res.Status != status || res.Code() != code || !strings.HasPrefix(res.Message(), message) {
		t.Errorf("status %d, body %.500s; want %d %s %q", res.Status, res.Body, status, code, message)
	}
	wantErrorForm(t, res)
}

// wantRefused fails the test unless a response is an error with exactly this message; one that ends in "..." may go on.
func wantRefused(t testing.TB, res moraintest.Response, status int, code, message string) {
	t.Helper()
	begin, open := strings.CutSuffix(message, "...")
	wantError(t, res, status, code, begin)
	if got := res.Message(); !open && got != begin {
		t.Errorf("message %q, want %q", got, begin)
	}
}

// wantErrorForm is what holds for every error (edges 4 and 5).
func wantErrorForm(t testing.TB, res moraintest.Response) {
	t.Helper()
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Content-Length": strconv.Itoa(len(res.Body)), "X-Amzn-Errortype": res.Code(),
	} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if id := res.Header.Get(protocol.HeaderRequestID); !requestIDForm.MatchString(id) {
		t.Errorf("request id %q", id)
	}
	if _, err := http.ParseTime(res.Header.Get("Date")); err != nil {
		t.Errorf("Date: %v", err)
	}
	var doc map[string]string
	if err := json.Unmarshal([]byte(res.Body), &doc); err != nil {
		t.Errorf("the body %.500q is not an object of strings: %v", res.Body, err)
	}
	kind := "Client"
	if res.Status >= 500 {
		kind = "Server"
	}
	if names := slices.Sorted(maps.Keys(doc)); !slices.Equal(names, []string{"code", "message", "type"}) || doc["type"] != kind || doc["message"] == "" {
		t.Errorf("the body is %.500s; want code, message and type %s", res.Body, kind)
	}
}

// wantStatus fails the test unless a response has a status.
func wantStatus(t testing.TB, res moraintest.Response, status int) {
	t.Helper()
	if res.Status != status {
		t.Errorf("status %d, want %d: %.500s", res.Status, status, res.Body)
	}
}

// waitForRecords waits until the store holds a number of records.
func waitForRecords(t testing.TB, s *moraintest.Server, want int) {
	t.Helper()
	moraintest.Eventually(t, fmt.Sprintf("%d records", want), func() bool { return s.Records(t) == want })
}

// waitForFile waits until a volume of one record is being written.
func waitForFile(t testing.TB, s *moraintest.Server) {
	t.Helper()
	moraintest.OnlyEmbedded(t, "nothing shows that a part is on its way into a bucket")
	moraintest.Eventually(t, "the file of an upload", func() bool {
		found, err := filepath.Glob(filepath.Join(s.Data, "volumes", "??", "*.vol"))
		return err == nil && len(found) > 0
	})
}

// wantWell fails the test unless the server works and its store holds a number of records.
func wantWell(t testing.TB, s *moraintest.Server, records int) {
	t.Helper()
	waitForRecords(t, s, records)
	s.CreateVault(t, "well")
	id := s.Upload(t, "well", []byte("still here"), "")
	wantStatus(t, s.Do(t, moraintest.Request{Method: "DELETE", Path: "/-/vaults/well/archives/" + id}), 204)
	wantStatus(t, s.Do(t, moraintest.Request{Method: "DELETE", Path: "/-/vaults/well"}), 204)
	waitForRecords(t, s, records)
}

// targetOf returns a target for an operation: of the caller's own account, a vault, and ids that do not exist.
func targetOf(op protocol.Operation, account, vault string) string {
	target := strings.NewReplacer("{accountId}", account, "{vaultName}", vault, "{archiveId}", "a", "{uploadId}", "u", "{jobId}", "j", "{lockId}", "l").Replace(op.Path)
	if strings.Contains(target, "{") {
		panic(fmt.Sprintf("the path %s has a variable that tests do not know", op.Path))
	}
	if op.Query != "" {
		target += "?" + op.Query
	}
	return target
}
