package sigv4

import (
	"slices"
	"testing"
)

// TestPathForms signs the canonical URIs that clients make of a path. Those on one line must all do.
func TestPathForms(t *testing.T) {
	for _, test := range []struct {
		path string
		good []string
	}{
		{"/", []string{"/"}},
		{"/-/vaults/photos", []string{"/-/vaults/photos"}},
		{"/-/vaults/photos/", []string{"/-/vaults/photos/"}}, // edge 9
		{"/-/vaults/my:vault", []string{"/-/vaults/my%3Avault", "/-/vaults/my:vault"}},
		{"/-/vaults/my%3Avault", []string{"/-/vaults/my%253Avault", "/-/vaults/my%3Avault"}},
		{"/-/vaults/my%3avault", []string{"/-/vaults/my%253avault", "/-/vaults/my%3Avault", "/-/vaults/my%3avault"}},
		{"/-/vaults/%41", []string{"/-/vaults/%2541", "/-/vaults/A", "/-/vaults/%41"}},
		{"/-/vaults/a%2Fb", []string{"/-/vaults/a%252Fb", "/-/vaults/a%2Fb"}},
		{"/-/vaults/a%zz%", []string{"/-/vaults/a%25zz%25", "/-/vaults/a%zz%"}},
		{"/-/vaults/a+b", []string{"/-/vaults/a%2Bb", "/-/vaults/a+b"}},
		{"/-/vaults/a~b", []string{"/-/vaults/a~b", "/-/vaults/a%7Eb"}}, // Python 3.7 and later, older Pythons
		{"/-/vaults/caf\u00e9", []string{"/-/vaults/caf%C3%A9", "/-/vaults/caf\u00e9"}},
		{"/-/vaults/\xff", []string{"/-/vaults/%FF", "/-/vaults/\xff"}},
		{"/-//vaults/./x/../photos", []string{"/-/vaults/photos", "/-//vaults/./x/../photos"}},
		{"//-//vaults//", []string{"/-/vaults/", "//-//vaults//"}},
		{"/../../-/vaults", []string{"/-/vaults", "/../../-/vaults"}},
		{"/-/vaults/..", []string{"/-", "/-/vaults/.."}},
		{"/-/vaults/%2E%2E/x", []string{"/-/vaults/%252E%252E/x", "/-/vaults/../x", "/-/vaults/%2E%2E/x"}},
		{"/-/vaults/x//%41:", []string{"/-/vaults/x/%2541%3A", "/-/vaults/x//%2541%3A", "/-/vaults/x/A%3A", "/-/vaults/x//A%3A"}},
	} {
		for _, path := range test.good {
			c := sampleClient()
			c.target, c.path = test.path, path
			_, err := server(leapDay).Verify(c.request(), emptyHash, longTerm)
			if err != nil {
				t.Errorf("%q signed as %q: %v", test.path, path, err)
			}
		}
	}
}

// TestPathsApart holds the pairs of requests that must not share a signature.
func TestPathsApart(t *testing.T) {
	for _, test := range []struct{ sent, signed string }{
		{"/-/vaults/a%2Farchives", "/-/vaults/a/archives"}, // an encoded slash is part of a name
		{"/-/vaults/a/%2E%2E/b", "/-/vaults/b"},            // and so are encoded dots
		{"/-/vaults/a/%2e%2e/b", "/-/vaults/b"},
		{"/-/vaults/a/", "/-/vaults/a"},
		{"/-/vaults/A", "/-/vaults/a"},
		{"/-/vaults/a%00", "/-/vaults/a"},
		{"/-/vaults/%\x14\x11", "/-/vaults/A"},
	} {
		if forms := pathForms(test.sent); slices.Contains(forms, test.signed) {
			t.Errorf("%q passes for %q", test.sent, test.signed)
		}
	}
}

func TestOrdinaryRequestsHaveOneForm(t *testing.T) {
	for _, target := range []string{"/", "/-/vaults", "/123456789012/vaults/My_vault-1.x/", "/-/vaults?marker=a%2Fb"} {
		c := sampleClient()
		c.target = target
		if forms := canonicalHashes(c.request(), c.signed(), emptyHash); len(forms) != 1 {
			t.Errorf("%s has %d forms", target, len(forms))
		}
	}
}

func TestCanonicalQuery(t *testing.T) {
	for _, test := range []struct{ query, want string }{
		{"", ""},
		{"limit=2", "limit=2"},
		{"b=2&a=1", "a=1&b=2"},
		{"a=2&a=1&a", "a=&a=1&a=2"},
		{"a-b=1&a=2", "a=2&a-b=1"}, // the name alone is compared, not the pair
		{"a=x/y&a=x-y", "a=x%2Fy&a=x-y"},
		{"q=~*", "q=~%2A"},
		{"operation", "operation="},
		{"a=1&&b=2&", "a=1&b=2"},
		{"=1", "=1"},
		{"a=b=c", "a=b%3Dc"},
		{"marker=arn:aws:glacier", "marker=arn%3Aaws%3Aglacier"},
		{"a=%7e%2d%3a", "a=~-%3A"},
		{"a=x+y%20z%2B", "a=x%20y%20z%2B"},
		{"a=%zz%4", "a=%25zz%254"},
		{"a=caf\xc3\xa9&%E2%82%AC=\xff", "%E2%82%AC=%FF&a=caf%C3%A9"},
		{"a=?", "a=%3F"},
	} {
		if got := canonicalQuery(test.query); got != test.want {
			t.Errorf("canonicalQuery(%q) = %q, want %q", test.query, got, test.want)
		}
	}
}

// TestHeaderForms signs a description in the forms that clients make of it.
func TestHeaderForms(t *testing.T) {
	for _, test := range []struct {
		name, value, signed string
		reason              Reason
	}{
		{name: "as is", value: "a b", signed: "a b"},
		{name: "trimmed", value: " \ta b\t ", signed: "a b"},
		{name: "collapsed", value: "a   b  c", signed: "a b c"},
		{name: "not collapsed", value: "a  b", signed: "a  b", reason: BadSignature},
		{name: "quotation marks, collapsed", value: `{"a":  1}`, signed: `{"a": 1}`},
		{name: "quotation marks, boto 2", value: ` {"a":  1} `, signed: `{"a":  1}`},
		{name: "tab inside", value: "a\tb", signed: "a\tb"},
		{name: "Latin-1", value: "caf\xe9  \xa0", signed: "caf\xe9 \xa0"},
		{name: "UTF-8", value: "\u20ac", signed: "\u20ac"},
		{name: "UTF-8 blank at the end", value: "a\u00a0", signed: "a\u00a0"},
		{name: "blank lost", value: "a b", signed: "ab", reason: BadSignature},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := sampleClient()
			c.headers["x-amz-archive-description"] = test.value
			c.values = map[string]string{"x-amz-archive-description": test.signed}
			_, err := server(leapDay).Verify(c.request(), emptyHash, longTerm)
			wantError(t, err, test.reason, "")
		})
	}
}

// TestHeadersOutsideTheMap covers what net/http keeps elsewhere, and repeated headers.
func TestHeadersOutsideTheMap(t *testing.T) {
	for _, test := range []struct {
		name, header, signed string
		arrives              func(*Request)
		reason               Reason
	}{
		{name: "content-length", header: "content-length", signed: "12", arrives: func(r *Request) { r.ContentLength = 12 }},
		{name: "content-length in the map", header: "content-length", signed: "12", arrives: setHeader("Content-Length", "12")},
		{name: "content-length unknown", header: "content-length", signed: "12", reason: BadSignature},
		{name: "transfer-encoding", header: "transfer-encoding", signed: "chunked", arrives: func(r *Request) { r.TransferEncoding = []string{"chunked"} }},
		{name: "transfer-encoding unknown", header: "transfer-encoding", signed: "chunked", reason: BadSignature},
		{name: "repeated", header: "x-amz-meta", signed: "a b,c", arrives: func(r *Request) { r.Header["X-Amz-Meta"] = []string{" a  b", "c "} }},
		{name: "empty", header: "x-amz-meta", signed: "", arrives: setHeader("X-Amz-Meta", "")},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := sampleClient()
			c.headers[test.header] = test.signed
			r := c.request()
			r.Header.Del(test.header)
			if test.arrives != nil {
				test.arrives(&r)
			}
			_, err := server(leapDay).Verify(r, emptyHash, longTerm)
			wantError(t, err, test.reason, "")
		})
	}
}

// TestAbsoluteTargets sends requests as through a proxy (ruling 3).
func TestAbsoluteTargets(t *testing.T) {
	for _, test := range []struct {
		name, target, host, signedHost string
		path, query                    string
		reason                         Reason
	}{
		{name: "host", target: "http://glacier.eu-west-1.x.org/-/vaults?limit=1", host: "glacier.eu-west-1.x.org", path: "/-/vaults", query: "limit=1"},
		{name: "host and port", target: "http://glacier.eu-west-1.x.org/-/vaults", host: "glacier.eu-west-1.x.org:8443", path: "/-/vaults"},
		{name: "port not signed", target: "HTTPS://glacier.eu-west-1.x.org:8443/-/vaults", host: "glacier.eu-west-1.x.org:8443", signedHost: "glacier.eu-west-1.x.org", path: "/-/vaults"},
		{name: "no path", target: "http://localhost", host: "localhost", path: "/"},
		{name: "no path but a query", target: "http://localhost?a=b://c/d", host: "localhost", path: "/", query: "a=b%3A%2F%2Fc%2Fd"},
		{name: "origin form, port not signed", target: "/-/vaults", host: "glacier.eu-west-1.x.org:8443", signedHost: "glacier.eu-west-1.x.org", path: "/-/vaults", reason: BadSignature},
		{name: "origin form with what looks like a scheme", target: "/-/http://x/y", host: "localhost", path: "/-/http%3A/x/y"},
		{name: "neither form", target: "*", host: "localhost", path: "/%2A"},
		{name: "empty", target: "", host: "localhost", path: "/"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := sampleClient()
			c.target, c.path, c.query, c.host = test.target, test.path, test.query, test.host
			if test.signedHost != "" {
				c.host = test.signedHost
			}
			r := c.request()
			r.Host = test.host
			_, err := server(leapDay).Verify(r, emptyHash, longTerm)
			wantError(t, err, test.reason, "")
		})
	}
}
