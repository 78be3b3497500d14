package sigv4

import (
	"cmp"
	"errors"
	"strings"
	"testing"
)

// TestVerify goes by the numbers of the behaviour specification's list of edge cases.
func TestVerify(t *testing.T) {
	const (
		differs   = "The request signature we calculated does not match the signature you provided."
		badToken  = "The security token included in the request is invalid."
		tokenName = "x-amz-security-token"
	)
	unsign := func(name string) func(*client) { return func(c *client) { c.unsigned = []string{name} } }
	send := func(name, value string) func(*client) { return func(c *client) { c.headers[name] = value } }
	scope := func(host, service, region string) func(*client) {
		return func(c *client) { c.host, c.service, c.region = host, service, region }
	}
	onlyDate := func(value, signed string) func(*client) {
		return func(c *client) {
			delete(c.headers, "x-amz-date")
			c.headers["date"], c.date = value, signed
		}
	}
	for _, test := range []struct {
		name    string
		client  func(*client)  // what the client does
		arrives func(*Request) // what happens on the way
		now     string
		token   string // of the key
		reason  Reason
		message string
	}{
		{name: "ordinary request"},
		{name: "edge 30 no Authorization", arrives: func(r *Request) { r.Header.Del("Authorization") }, reason: MissingToken, message: "Missing Authentication Token"},
		{name: "edge 30 blank Authorization", arrives: setHeader("Authorization", " "), reason: MissingToken},
		{name: "edge 31 unknown key", arrives: replaceHeader("Authorization", keyID, "AKIAUNKNOWN"), reason: UnknownKey, message: badToken},
		{name: "edge 32 wrong secret", client: func(c *client) { c.secret = "guess" }, reason: BadSignature, message: differs},
		{
			name: "edge 33 clock 6 min behind", now: "20240229T101712Z", reason: BadSignature,
			message: "Signature expired: 20240229T101112Z is now earlier than 20240229T101212Z (20240229T101712Z - 5 min.)",
		},
		{
			name: "edge 33 the example of the specification", now: "20240229T102113Z", reason: BadSignature,
			message: "Signature expired: 20240229T101112Z is now earlier than 20240229T101613Z (20240229T102113Z - 5 min.)",
		},
		{
			name: "edge 34 clock 6 min ahead", now: "20240229T100512Z", reason: BadSignature,
			message: "Signature not yet current: 20240229T101112Z is still later than 20240229T101012Z (20240229T100512Z + 5 min.)",
		},
		{name: "edge 35 clock 4 min 59 s behind", now: "20240229T101611Z"},
		{name: "edge 35 clock 4 min 59 s ahead", now: "20240229T100613Z"},
		{name: "edge 35 exactly 5 min", now: "20240229T101612Z"},
		{name: "edge 36 both dates", client: send("date", "Mon, 01 Jan 2001 00:00:00 GMT")},
		{name: "edge 37 RFC 1123 date", client: onlyDate("Thu, 29 Feb 2024 10:11:12 GMT", leapDay)},
		{name: "edge 37 RFC 1123 date with numbers", client: onlyDate("Thu, 29 Feb 2024 10:11:12 -0000", leapDay)},
		{name: "edge 37 basic form", client: onlyDate(leapDay, leapDay)},
		{name: "date not signed", client: func(c *client) { onlyDate(leapDay, leapDay)(c); unsign("date")(c) }, reason: BadSignature, message: "'date' must be a 'SignedHeader'"},
		{name: "date in another zone", client: onlyDate("Thu, 29 Feb 2024 10:11:12 EST", leapDay), reason: Incomplete, message: "Date must"},
		{name: "no date", arrives: func(r *Request) { r.Header.Del("X-Amz-Date") }, reason: Incomplete, message: "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."},
		{name: "x-amz-date in another form", arrives: setHeader("X-Amz-Date", "Thu, 29 Feb 2024 10:11:12 GMT"), reason: Incomplete, message: "X-Amz-Date must"},
		{name: "x-amz-date with a fraction", arrives: setHeader("X-Amz-Date", "20240229T101112.5Z"), reason: Incomplete, message: "X-Amz-Date must"},
		{name: "edge 38 scope of another day", client: func(c *client) { c.day = "20240228" }, reason: BadSignature, message: "The date in 'Credential' does not match the date of the request: '20240228' != '20240229'"},
		{name: "edge 39 scope of another region", client: func(c *client) { c.region = "eu-west-2" }, reason: BadSignature, message: "Credential should be scoped to the region 'eu-west-1' or 'us-east-1', not \"eu-west-2\"."},
		{name: "edge 40 scope of another service", client: func(c *client) { c.service = "s3" }, reason: BadSignature, message: "Credential should be scoped to the service 'glacier', not \"s3\"."},
		{name: "alias of the region", client: func(c *client) { c.region = "us-east-1" }},
		{name: "ruling 2 scope of an address", client: scope("127.0.0.1:8080", "127", "0")},
		{name: "ruling 2 scope of localhost", client: scope("localhost:8080", "localhost", "localhost")},
		{name: "ruling 2 scope of another host", client: scope("10.0.0.1", "127", "0"), reason: BadSignature, message: "Credential should be scoped to the service 'glacier'"},
		{name: "edge 41 parts joined by a comma", client: func(c *client) { c.separator = "," }},
		{name: "edge 42 host not signed", client: unsign("host"), reason: BadSignature, message: "'host' must be a 'SignedHeader'"},
		{name: "x-amz-date not signed", client: func(c *client) { c.date = leapDay; unsign("x-amz-date")(c) }, reason: BadSignature, message: "'x-amz-date' must be a 'SignedHeader'"},
		{name: "temporary credentials", client: send(tokenName, "token"), token: "token"},
		{name: "edge 44 no token", token: "token", reason: UnknownKey, message: badToken},
		{name: "edge 44 another token", client: send(tokenName, "other"), token: "token", reason: UnknownKey, message: badToken},
		{name: "token not signed", client: func(c *client) { send(tokenName, "token")(c); unsign(tokenName)(c) }, token: "token", reason: BadSignature, message: "'x-amz-security-token' must be a 'SignedHeader'"},
		{name: "edge 46 stray token", client: send(tokenName, "token"), reason: UnknownKey, message: badToken},
		{name: "edge 46 stray token added on the way", arrives: setHeader(tokenName, "token"), reason: UnknownKey, message: badToken},
		{name: "edge 47 unsigned payload", client: func(c *client) { c.payloadHash = "UNSIGNED-PAYLOAD" }, reason: BadSignature, message: differs},
		{name: "edge 47 streaming payload", client: func(c *client) { c.payloadHash = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" }, reason: BadSignature, message: differs},
		{name: "payload hash in capitals", client: func(c *client) { c.payloadHash = strings.ToUpper(emptyHash) }, reason: BadSignature, message: differs},
		{
			name: "edge 48 presigned", reason: MissingToken, arrives: func(r *Request) {
				r.Header.Del("Authorization")
				r.Target += "&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00"
			},
		},
		{name: "signed header that did not arrive", client: send("content-range", "bytes 0-1/*"), arrives: func(r *Request) { r.Header.Del("Content-Range") }, reason: BadSignature, message: "The request has no header 'content-range'"},
		{name: "signature in capitals", arrives: upperSignature, reason: BadSignature, message: differs},
		{name: "host rewritten", arrives: func(r *Request) { r.Host = "backend:80" }, reason: BadSignature, message: differs + " Check your secret access key and signing method, and that no proxy rewrote the Host header (the server saw host \"backend:80\")."},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := sampleClient()
			if test.client != nil {
				test.client(c)
			}
			r := c.request()
			if test.arrives != nil {
				test.arrives(&r)
			}
			_, err := server(cmp.Or(test.now, leapDay)).Verify(r, c.hash(), temporary(test.token))
			wantError(t, err, test.reason, test.message)
		})
	}
}

func setHeader(name, value string) func(*Request) {
	return func(r *Request) { r.Header.Set(name, value) }
}

func replaceHeader(name, old, new string) func(*Request) {
	return func(r *Request) { r.Header.Set(name, strings.Replace(r.Header.Get(name), old, new, 1)) }
}

func upperSignature(r *Request) {
	head, signature, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
	r.Header.Set("Authorization", head+"Signature="+strings.ToUpper(signature))
}

func TestFindErrors(t *testing.T) {
	down := errors.New("catalogue is down")
	_, err := server(leapDay).Verify(sampleClient().request(), emptyHash, func(string) (Credential, bool, error) {
		return Credential{}, false, down
	})
	if refusal := (*Error)(nil); !errors.Is(err, down) || errors.As(err, &refusal) {
		t.Errorf("got %v, want the error of find, wrapped", err)
	}

	_, err = server(leapDay).Verify(sampleClient().request(), emptyHash, func(string) (Credential, bool, error) {
		return Credential{}, false, &Error{Reason: Expired, Message: "expired"} // edge 45
	})
	wantError(t, err, Expired, "expired")
}

func TestEmptySecretIsNoKey(t *testing.T) {
	_, err := server(leapDay).Verify(sampleClient().request(), emptyHash, func(string) (Credential, bool, error) {
		return Credential{}, true, nil
	})
	wantError(t, err, UnknownKey, "")
}

func TestZeroVerifierHasTheOriginalWindow(t *testing.T) {
	v := server("20240229T101612Z")
	v.Skew = 0
	_, err := v.Verify(sampleClient().request(), emptyHash, longTerm)
	wantError(t, err, 0, "")

	v.Now = nil
	_, err = v.Verify(sampleClient().request(), emptyHash, longTerm)
	wantError(t, err, BadSignature, "Signature expired")
}
