package moraintest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/glacier"

	"github.com/moraine-archive/moraine/glacier/treehash"
)

// Client returns the AWS SDK's client for the server, with a key.
func (s *Server) Client(k Key) *glacier.Client {
	return glacier.New(glacier.Options{
		Region:       s.Region,
		BaseEndpoint: aws.String(s.Endpoint),
		Credentials:  credentials.NewStaticCredentialsProvider(k.ID, k.Secret, k.Token),
		Retryer:      aws.NopRetryer{},
	})
}

// Request is a request that is signed and sent as it is: for what no client would send.
type Request struct {
	Method string
	Path   string // as sent, with the query
	Header map[string]string
	Body   []byte
	Key    Key // the server's first, unless set

	// Change is called after the request is signed.
	Change func(*http.Request)
	// Time is when the request claims to be made; now, if zero.
	Time time.Time
}

// Response is what came back, read whole.
type Response struct {
	Status int
	Header http.Header
	Body   string
}

// Code returns the code of an error.
func (r Response) Code() string { return r.member("code") }

// Message returns the message of an error.
func (r Response) Message() string { return r.member("message") }

func (r Response) member(name string) string {
	var doc map[string]any
	if json.Unmarshal([]byte(r.Body), &doc) != nil {
		return ""
	}
	text, _ := doc[name].(string)
	return text
}

// JSON decodes the body, whose form must be right.
func (r Response) JSON(t testing.TB) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal([]byte(r.Body), &doc); err != nil {
		t.Fatalf("the body %q is not a JSON object: %v", r.Body, err)
	}
	return doc
}

// HTTPRequest returns the request, signed. Headers with an empty value are left out; the version header is there unless given.
func (s *Server) HTTPRequest(t testing.TB, r Request) *http.Request {
	t.Helper()
	req, err := http.NewRequest(r.Method, s.Endpoint+r.Path, bytes.NewReader(r.Body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("x-amz-glacier-version", "2012-06-01")
	hash := Hex(r.Body)
	for name, value := range r.Header {
		req.Header.Del(name)
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	if given := req.Header.Get("x-amz-content-sha256"); given != "" {
		hash = given
	}
	s.sign(t, req, r, hash)
	if r.Change != nil {
		r.Change(req)
	}
	return req
}

func (s *Server) sign(t testing.TB, req *http.Request, r Request, hash string) {
	t.Helper()
	key, at := r.Key, r.Time
	if key == (Key{}) {
		key = s.Key
	}
	if at.IsZero() {
		at = time.Now()
	}
	c := aws.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret, SessionToken: key.Token}
	if err := v4.NewSigner().SignHTTP(context.Background(), c, req, hash, "glacier", s.Region, at); err != nil {
		t.Fatal(err)
	}
}

// Do sends a request and reads the response.
func (s *Server) Do(t testing.TB, r Request) Response {
	t.Helper()
	res, err := http.DefaultTransport.RoundTrip(s.HTTPRequest(t, r))
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.Path, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: read the response: %v", r.Method, r.Path, err)
	}
	return Response{res.StatusCode, res.Header, string(body)}
}

// Hex returns the linear SHA-256 in the form of the API.
func Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// TreeHash returns the tree hash in the form of the API, computed apart from the server's streams.
func TreeHash(b []byte) string {
	var tree treehash.Tree
	for len(b) > treehash.LeafSize {
		tree.Add(sha256.Sum256(b[:treehash.LeafSize]))
		b = b[treehash.LeafSize:]
	}
	tree.Add(sha256.Sum256(b))
	return tree.Sum().String()
}

// Pattern returns n bytes whose value at offset i is i mod 251: the data of the specification's test vectors.
func Pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

// UploadHeaders returns the two hashes that an upload of b needs.
func UploadHeaders(b []byte) map[string]string {
	return map[string]string{"x-amz-content-sha256": Hex(b), "x-amz-sha256-tree-hash": TreeHash(b)}
}

// CreateVault makes a vault of the first account.
func (s *Server) CreateVault(t testing.TB, name string) {
	t.Helper()
	s.Want(t, 201, Request{Method: "PUT", Path: "/-/vaults/" + name})
}

// Upload uploads an archive to a vault of the first account and returns its id.
func (s *Server) Upload(t testing.TB, vault string, b []byte, description string) string {
	t.Helper()
	h := UploadHeaders(b)
	h["x-amz-archive-description"] = description
	return s.Want(t, 201, Request{Method: "POST", Path: "/-/vaults/" + vault + "/archives", Header: h, Body: b}).Header.Get("x-amz-archive-id")
}

// InitiateJob starts a job on a vault of the first account and returns its id.
func (s *Server) InitiateJob(t testing.TB, vault, parameters string) string {
	t.Helper()
	return s.Want(t, 202, Request{Method: "POST", Path: "/-/vaults/" + vault + "/jobs", Body: []byte(parameters)}).Header.Get("x-amz-job-id")
}

// WaitForJob waits until a job has ended and returns its description.
func (s *Server) WaitForJob(t testing.TB, vault, job string) map[string]any {
	t.Helper()
	var d map[string]any
	Eventually(t, "the end of job "+job, func() bool {
		d = s.Want(t, 200, Request{Method: "GET", Path: "/-/vaults/" + vault + "/jobs/" + job}).JSON(t)
		return d["Completed"] == true
	})
	return d
}

// Output returns the output of a new job, when it is done.
func (s *Server) Output(t testing.TB, vault, parameters string) []byte {
	t.Helper()
	job := s.InitiateJob(t, vault, parameters)
	s.WaitForJob(t, vault, job)
	return []byte(s.Want(t, 200, Request{Method: "GET", Path: "/-/vaults/" + vault + "/jobs/" + job + "/output"}).Body)
}

// Retrieve returns the bytes of an archive.
func (s *Server) Retrieve(t testing.TB, vault, archive string) []byte {
	t.Helper()
	return s.Output(t, vault, `{"Type":"archive-retrieval","ArchiveId":"`+archive+`"}`)
}

// Inventory returns the inventory of a vault as it is now.
func (s *Server) Inventory(t testing.TB, vault string) string {
	t.Helper()
	return string(s.Output(t, vault, `{"Type":"inventory-retrieval"}`))
}

// Want sends a request whose response must have a status.
func (s *Server) Want(t testing.TB, status int, r Request) Response {
	t.Helper()
	res := s.Do(t, r)
	if res.Status != status {
		t.Fatalf("%s %s: status %d, want %d: %s", r.Method, r.Path, res.Status, status, res.Body)
	}
	return res
}
