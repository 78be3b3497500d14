package sigv4

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// TestSDKRequests signs with the AWS SDK for Go, sends the request through the encoding and the parser of net/http, and
// verifies what comes out.
func TestSDKRequests(t *testing.T) {
	const base = "http://glacier.eu-west-1.example.test"
	for _, test := range []struct {
		name, method, url, body string
		header                  http.Header
		token                   string
	}{
		{name: "list", method: "GET", url: base + "/-/vaults?limit=2"},
		{name: "no path", method: "GET", url: base},
		{name: "port", method: "GET", url: base + ":8443/-/vaults"},
		{name: "default port", method: "GET", url: base + ":80/-/vaults"},
		{name: "body", method: "POST", url: base + "/-/vaults/photos/jobs", body: `{"Type":"inventory-retrieval"}`},
		{name: "token", method: "GET", url: base + "/-/vaults", token: "TOKEN/abc+def=="},
		{name: "query: space and plus", method: "GET", url: base + "/-/vaults?marker=a+b%20c%2Bd"},
		{name: "query: Unicode", method: "GET", url: base + "/-/vaults?%E2%82%AC=caf%C3%A9&a=\u20ac"},
		{name: "query: repeated names", method: "GET", url: base + "/-/vaults?a=x%2Fy&b=1&a=x-y&a=&a"},
		{name: "query: no value", method: "POST", url: base + "/-/vaults/photos/tags?operation"},
		{name: "query: reserved characters", method: "GET", url: base + "/-/vaults?m=arn:aws:glacier/*~!'()&a==&%26=%3D"},
		{name: "query: broken escape", method: "GET", url: base + "/-/vaults?a=%zz&b=1"},
		{name: "path: escaped letter", method: "GET", url: base + "/-/vaults/%41"},
		{name: "path: escaped slash", method: "GET", url: base + "/-/vaults/a%2Fb"},
		{name: "path: escaped percent sign", method: "GET", url: base + "/-/vaults/a%25b"},
		{name: "path: double slashes", method: "GET", url: base + "//-//vaults//photos"},
		{name: "path: dots", method: "GET", url: base + "/-/x/../vaults/./photos"},
		{name: "path: trailing slash", method: "GET", url: base + "/-/vaults/photos/"},
		{name: "path: reserved characters", method: "GET", url: base + "/-/vaults/a:b@c+d~e!f$g,h;i=j"},
		{name: "path: space and Unicode", method: "GET", url: base + "/-/vaults/my caf\u00e9"},
		{name: "header: spaces", method: "GET", url: base + "/", header: http.Header{"X-Amz-Archive-Description": {"  two   spaces "}}},
		{name: "header: quotation marks", method: "GET", url: base + "/", header: http.Header{"X-Amz-Archive-Description": {`{"a":   "b"}`}}},
		{name: "header: repeated", method: "GET", url: base + "/", header: http.Header{"X-Amz-Meta": {"b", " a  a ", ""}}},
		{name: "header: Unicode", method: "GET", url: base + "/", header: http.Header{"X-Amz-Archive-Description": {"caf\u00e9 \xff"}}},
		{name: "header: empty tree hash", method: "GET", url: base + "/", header: http.Header{"X-Amz-Sha256-Tree-Hash": {""}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, err := http.NewRequest(test.method, test.url, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			for name, values := range test.header {
				out.Header[name] = values
			}
			signSDK(t, out, test.token)
			direct := overTheWire(t, out.Write)
			out.Body = io.NopCloser(strings.NewReader(test.body))
			proxied := overTheWire(t, out.WriteProxy)
			for _, r := range []Request{direct, proxied} {
				_, err = server(leapDay).Verify(r, emptyHash, temporary(test.token))
				wantError(t, err, 0, "")
			}
		})
	}
}

func signSDK(t *testing.T, r *http.Request, token string) {
	t.Helper()
	now, err := time.Parse(basicFormat, leapDay)
	if err != nil {
		t.Fatal(err)
	}
	credentials := aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret, SessionToken: token}
	if err := v4.NewSigner().SignHTTP(t.Context(), credentials, r, emptyHash, "glacier", "eu-west-1", now); err != nil {
		t.Fatal(err)
	}
}

// overTheWire returns what a server sees of a request that is sent to it.
func overTheWire(t *testing.T, send func(io.Writer) error) Request {
	t.Helper()
	var wire bytes.Buffer
	if err := send(&wire); err != nil {
		t.Fatal(err)
	}
	r, err := http.ReadRequest(bufio.NewReader(&wire))
	if err != nil {
		t.Fatal(err)
	}
	return Request{
		Method: r.Method, Target: r.RequestURI, Host: r.Host, Header: r.Header,
		ContentLength: r.ContentLength, TransferEncoding: r.TransferEncoding,
	}
}
