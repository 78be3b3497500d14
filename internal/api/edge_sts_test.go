package api_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/identity"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

// whoAmI is the request that clients of the Security Token Service send: ruling 4.
func whoAmI(key moraintest.Key) rawRequest {
	r := rawRequest{
		method: "POST", target: "/", service: "sts", key: key, without: []string{"x-amz-glacier-version"}, body: "Action=GetCallerIdentity&Version=2011-06-15",
		lines: []string{"Content-Type: application/x-www-form-urlencoded; charset=utf-8"},
	}
	if key.Token != "" {
		r.lines = append(r.lines, "X-Amz-Security-Token: "+key.Token)
	}
	return r
}

// wantXML fails the test unless a response is a document of the Security Token Service. {id} stands for the id of the request.
func wantXML(t *testing.T, res moraintest.Response, status int, want string) {
	t.Helper()
	id := res.Header.Get("x-amzn-RequestId")
	if want = strings.Replace(want, "{id}", id, 1); res.Status != status || res.Body != want || !requestIDForm.MatchString(id) {
		t.Errorf("status %d\n got %s\nwant %s", res.Status, res.Body, want)
	}
	if res.Header.Get("Content-Type") != "text/xml" || res.Header.Get("Content-Length") != strconv.Itoa(len(res.Body)) {
		t.Errorf("%v", res.Header)
	}
}

// wantIdentity fails the test unless a response says who asked.
func wantIdentity(t *testing.T, res moraintest.Response, account, arn, user string) {
	t.Helper()
	wantXML(t, res, 200, `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>`+arn+`</Arn><UserId>`+user+`</UserId><Account>`+
		account+`</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></GetCallerIdentityResponse>`)
}

// wantXMLError fails the test unless a response is an error in that form. message is how its message begins, as it is in XML.
func wantXMLError(t *testing.T, res moraintest.Response, status int, code, message string) {
	t.Helper()
	_, text, _ := strings.Cut(res.Body, "<Message>")
	text, _, _ = strings.Cut(text, "</Message>")
	if !strings.HasPrefix(text, message) || text == "" {
		t.Errorf("message %q, want %q", text, message)
	}
	wantXML(t, res, status, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>`+code+`</Code><Message>`+text+`</Message></Error><RequestId>{id}</RequestId></ErrorResponse>`)
}

func TestCallerIdentity(t *testing.T) {
	s := moraintest.Start(t, func(c *config.Config) { c.Region = "eu-moraine-1" })
	account := s.Key.Account
	_, key, err := identity.AddPrincipal(t.Context(), s.Config(), identity.NewPrincipal{Who: identity.Who{Account: account, Kind: identity.UserKind, Name: "a+b=c,d.e@f_g-h"}, Path: "/x/", Key: true}, time.Now())
	must(t, err)
	users, err := identity.Principals(t.Context(), s.Config(), account, identity.UserKind)
	must(t, err)
	s.AddRole(t, "", "keeper")
	roles, err := identity.Principals(t.Context(), s.Config(), account, identity.RoleKind)
	must(t, err)
	session := s.AddToken(t, identity.TokenOptions{Who: identity.Who{Account: account, Kind: identity.RoleKind, Name: "keeper"}, Session: "night"}, time.Time{})
	user := moraintest.Key{Account: account, ID: key.Caller.KeyID, Secret: key.Secret}
	token := s.AddToken(t, identity.TokenOptions{Who: identity.Who{Account: account, Kind: identity.UserKind, Name: users[0].Name}}, time.Time{})
	other := s.AddAccount(t, "other")
	for _, row := range []struct {
		name string
		key  moraintest.Key
		arn  string
		id   string
	}{
		{"root", s.Key, "arn:aws:iam::" + account + ":root", account},
		{"root of another account", other, "arn:aws:iam::" + other.Account + ":root", other.Account},
		{"root with a token", s.AddToken(t, identity.TokenOptions{}, time.Time{}), "arn:aws:iam::" + account + ":root", account},
		{"user, who may nothing", user, "arn:aws:iam::" + account + ":user/x/a+b=c,d.e@f_g-h", users[0].ID},
		{"user with a token", token, "arn:aws:iam::" + account + ":user/x/a+b=c,d.e@f_g-h", users[0].ID},
		{"session of a role", session, "arn:aws:sts::" + account + ":assumed-role/keeper/night", roles[0].ID + ":night"},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, region := range []string{"eu-moraine-1", "us-east-1"} {
				for _, target := range []string{"/", "//", "/?"} {
					r := whoAmI(row.key)
					r.region, r.target = region, target
					wantIdentity(t, sendRaw(t, s, r), row.key.Account, row.arn, row.id)
				}
			}
		})
	}
	t.Run("as it may come", func(t *testing.T) {
		for _, body := range []string{"Version=2011-06-15&Action=GetCallerIdentity", "Action=GetCallerIdentity", "Action=Get%43aller%49dentity&Action=x"} {
			r := whoAmI(s.Key)
			r.body = body
			wantIdentity(t, sendRaw(t, s, r), account, "arn:aws:iam::"+account+":root", account)
			r.lines = append(r.lines, "x-amz-content-sha256: "+moraintest.Hex([]byte(body)))
			wantIdentity(t, sendRaw(t, s, r), account, "arn:aws:iam::"+account+":root", account)
			wantIdentity(t, chunked(t, s, whoAmI(s.Key)), account, "arn:aws:iam::"+account+":root", account)
		}
	})
	for _, row := range []struct {
		name          string
		change        func(*rawRequest)
		status        int
		code, message string
	}{
		{"no Authorization", func(r *rawRequest) { r.without = append(r.without, "authorization") }, 400, noToken, "Missing Authentication Token"},
		{"unknown key", func(r *rawRequest) { r.key.ID = "AKIAIOSFODNN7EXAMPLF" }, 400, unrecognized, "The security token included in the request is invalid."},
		{"edge 44 token missing", func(r *rawRequest) { r.key = session }, 400, unrecognized, "The security token included in the request is invalid."},
		{"wrong secret", func(r *rawRequest) { r.key.Secret += "x" }, 403, badSignature, "The request signature we calculated does not match"},
		{"body that was not signed", func(r *rawRequest) { r.hash = moraintest.Hex(nil) }, 403, badSignature, "The request signature we calculated does not match"},
		{"too old", func(r *rawRequest) { r.time = time.Now().Add(-6 * time.Minute) }, 403, badSignature, "Signature expired: "},
		{"another region", func(r *rawRequest) { r.region = "eu-west-1" }, 403, badSignature, "Credential should be scoped to the region &#39;eu-moraine-1&#39; or &#39;us-east-1&#39;, not "},
		{"of this service", func(r *rawRequest) { r.service = "glacier" }, 403, badSignature, "Credential should be scoped to the service &#39;sts&#39;"},
		{"another action", func(r *rawRequest) { r.body = "Action=AssumeRole" }, 404, unknown, "Of the Security Token Service there is only GetCallerIdentity here, not &#34;AssumeRole&#34;"},
		{"no action", func(r *rawRequest) { r.body = "Version=2011-06-15" }, 404, unknown, "Of the Security Token Service "},
		{"no body", func(r *rawRequest) { r.body = "" }, 404, unknown, "Of the Security Token Service "},
		{"action in other case", func(r *rawRequest) { r.body = "action=GetCallerIdentity" }, 404, unknown, "Of the Security Token Service "},
		{"no form", func(r *rawRequest) { r.body = "Action=GetCallerIdentity&%zz" }, 404, unknown, "Of the Security Token Service "},
		{"XML in it", func(r *rawRequest) { r.body = "Action=%00%3C/Message%3E%FF]]%3E" }, 404, unknown, "Of the Security Token Service "},
		{"too long", func(r *rawRequest) { r.body = "Action=" + strings.Repeat("x", 1<<20) }, 400, malformed, "The body exceeds the limit of 1048576 bytes"},
	} {
		t.Run("refused "+row.name, func(t *testing.T) {
			r := whoAmI(s.Key)
			row.change(&r)
			wantXMLError(t, sendRaw(t, s, r), row.status, row.code, row.message)
		})
	}
	t.Run("edge 45 expired", func(t *testing.T) {
		r := whoAmI(s.AddToken(t, identity.TokenOptions{}, time.Now().Add(-2*time.Hour)))
		wantXMLError(t, sendRaw(t, s, r), 403, "ExpiredTokenException", "The security token included in the request is expired")
	})
	t.Run("another region, where ours is that of the service", func(t *testing.T) {
		home := moraintest.Start(t)
		r := whoAmI(home.Key)
		r.region = "eu-west-1"
		wantXMLError(t, sendRaw(t, home, r), 403, badSignature, "Credential should be scoped to the region &#39;us-east-1&#39;, not ")
	})
	t.Run("what is not of that form", func(t *testing.T) {
		for _, change := range []func(*rawRequest){
			func(r *rawRequest) { r.lines = nil }, func(r *rawRequest) { r.lines = []string{"Content-Type: application/json"} }, func(r *rawRequest) { r.method = "GET" },
			func(r *rawRequest) { r.target = "/-" }, func(r *rawRequest) { r.method = "PUT" },
		} {
			r := whoAmI(s.Key)
			change(&r)
			wantError(t, sendRaw(t, s, r), 404, unknown, "There is no resource at ")
		}
	})
	t.Run("a scope of that service is for nothing else", func(t *testing.T) {
		for _, region := range []string{"eu-moraine-1", "us-east-1"} {
			wantError(t, sendRaw(t, s, rawRequest{method: "GET", target: "/-/vaults", service: "sts", region: region}), 403, badSignature, "Credential should be scoped to ")
		}
		wantError(t, sendRaw(t, s, rawRequest{method: "GET", target: "/-/vaults", region: "us-east-1"}), 403, badSignature, "Credential should be scoped to the region 'eu-moraine-1'")
	})
	t.Run("two on one connection, and the vaults", func(t *testing.T) {
		c := dialRaw(t, s)
		for i := range 3 {
			c.write(t, whoAmI(s.Key).text(s)+rawRequest{method: "GET", target: fmt.Sprintf("/-/vaults?x=%d", i)}.text(s))
			wantStatus(t, c.answer(t, "POST"), 200)
			wantStatus(t, c.answer(t, "GET"), 200)
		}
	})
}
