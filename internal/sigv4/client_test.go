package sigv4

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	keyID     = "AKIAIOSFODNN7EXAMPLE"
	secret    = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	leapDay   = "20240229T101112Z"
)

// A client signs requests by the letter of the documentation. It shares no code with the package, and leaves to each
// test how it canonicalises: what a field does not say is signed as it is sent.
type client struct {
	method, target, host string
	headers              map[string]string // all signed, unless in unsigned
	unsigned             []string

	path, query string            // canonical forms, if they differ from those sent
	values      map[string]string // canonical forms of header values, likewise

	date, day       string // of the string to sign and of the scope; by default from x-amz-date
	region, service string
	secret          string
	separator       string // between the parts of Authorization
	payloadHash     string
}

// sampleClient is an ordinary ListVaults.
func sampleClient() *client {
	return &client{
		method: "GET", target: "/-/vaults?limit=2&marker=photos", host: testHost,
		headers: map[string]string{"x-amz-date": leapDay, "x-amz-glacier-version": "2012-06-01"},
	}
}

// request returns the request as the server gets it.
func (c *client) request() Request {
	r := Request{Method: c.method, Target: c.target, Host: c.host, Header: http.Header{}, ContentLength: -1}
	for name, value := range c.headers {
		r.Header.Set(name, value)
	}
	r.Header.Set("Authorization", c.authorization())
	return r
}

func (c *client) authorization() string {
	date := cmp.Or(c.date, c.headers["x-amz-date"])
	scope := strings.Join([]string{
		cmp.Or(c.day, date[:8]), cmp.Or(c.region, "eu-west-1"), cmp.Or(c.service, "glacier"), "aws4_request",
	}, "/")
	sum := sha256.Sum256([]byte(c.canonicalRequest()))
	signature := []byte("AWS4" + cmp.Or(c.secret, secret))
	for part := range strings.SplitSeq(scope, "/") {
		signature = mac(signature, part)
	}
	signature = mac(signature, "AWS4-HMAC-SHA256\n"+date+"\n"+scope+"\n"+hex.EncodeToString(sum[:]))
	return "AWS4-HMAC-SHA256 " + strings.Join([]string{
		"Credential=" + keyID + "/" + scope,
		"SignedHeaders=" + strings.Join(c.signed(), ";"),
		"Signature=" + hex.EncodeToString(signature),
	}, cmp.Or(c.separator, ", "))
}

func (c *client) canonicalRequest() string {
	path, query, _ := strings.Cut(c.target, "?")
	lines := []string{c.method, cmp.Or(c.path, path), cmp.Or(c.query, query)}
	for _, name := range c.signed() {
		value := c.headers[name]
		if name == "host" {
			value = c.host
		}
		lines = append(lines, name+":"+cmp.Or(c.values[name], value))
	}
	return strings.Join(append(lines, "", strings.Join(c.signed(), ";"), c.hash()), "\n")
}

// hash returns the payload hash that the client claims.
func (c *client) hash() string { return cmp.Or(c.payloadHash, emptyHash) }

// signed returns the signed headers, sorted.
func (c *client) signed() []string {
	names := map[string]bool{"host": true}
	for name := range c.headers {
		names[name] = true
	}
	for _, name := range c.unsigned {
		delete(names, name)
	}
	return slices.Sorted(maps.Keys(names))
}

func mac(key []byte, message string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(message))
	return h.Sum(nil)
}

// server returns a verifier whose clock stands at a moment in basic form.
func server(now string) *Verifier {
	t, err := time.Parse("20060102T150405Z", now)
	if err != nil {
		panic(err)
	}
	return &Verifier{
		Regions: []string{"eu-west-1", "us-east-1"}, Service: "glacier",
		Skew: 5 * time.Minute, Now: func() time.Time { return t },
	}
}

// longTerm knows the example key.
func longTerm(id string) (Credential, bool, error) {
	return Credential{Secret: secret}, id == keyID, nil
}

// temporary knows the example key as one with a session token.
func temporary(token string) func(string) (Credential, bool, error) {
	return func(id string) (Credential, bool, error) {
		return Credential{Secret: secret, SessionToken: token}, id == keyID, nil
	}
}

// wantError checks reason and start of the message; reason 0 means success.
func wantError(t *testing.T, err error, reason Reason, message string) {
	t.Helper()
	var refusal *Error
	switch {
	case reason == 0 && err == nil:
	case reason == 0:
		t.Errorf("refused: %v", err)
	case !errors.As(err, &refusal):
		t.Errorf("got error %v, want reason %d", err, reason)
	case refusal.Reason != reason || !strings.HasPrefix(refusal.Message, message):
		t.Errorf("got reason %d, %q; want %d, %q", refusal.Reason, refusal.Message, reason, message)
	}
}
