package identity_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/identity"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

// TestChangesCountAtOnce changes users, policies and keys beside a running server: the next request goes by it.
func TestChangesCountAtOnce(t *testing.T) {
	s := moraintest.Start(t)
	c, ctx := s.Config(), t.Context()
	s.CreateVault(t, "photos")
	alice := identity.Who{Account: s.Key.Account, Kind: identity.UserKind, Name: "alice"}
	k := s.AddUser(t, "", "alice")
	get := func(k moraintest.Key) string {
		r := s.Do(t, moraintest.Request{Method: "GET", Path: "/-/vaults/photos", Key: k})
		return strings.TrimSpace(fmt.Sprint(r.Status, " ", r.Code()))
	}
	put := func(k moraintest.Key) string {
		r := s.Do(t, moraintest.Request{Method: "PUT", Path: "/-/vaults/more", Key: k})
		return strings.TrimSpace(fmt.Sprint(r.Status, " ", r.Code()))
	}
	want := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	policy := func(source string) identity.PolicyText {
		p, err := identity.ReadPolicy(source, nil)
		must(err)
		return p
	}
	const denied, unknown = "403 AccessDeniedException", "400 UnrecognizedClientException"

	want("without a policy", get(k), denied)
	must(identity.SetPolicy(ctx, c, alice, policy("AmazonGlacierReadOnlyAccess")))
	want("with a policy to read", get(k), "200")
	want("with a policy to read, a write", put(k), denied)
	must(identity.SetPolicy(ctx, c, alice, policy("AmazonGlacierFullAccess")))
	want("with a policy for all", put(k), "201")
	must(identity.SetPolicy(ctx, c, alice, identity.PolicyText{Name: "no", Document: `{"Statement":{"Effect":"Deny","Action":"glacier:CreateVault","Resource":"*"}}`}))
	want("with one that denies", put(k), denied)
	must(identity.RemovePolicy(ctx, c, alice, "no"))
	want("without it", put(k), "201")

	token := s.AddToken(t, identity.TokenOptions{Who: alice}, time.Time{})
	want("a token", get(token), "200")
	stripped := token
	stripped.Token = ""
	want("a temporary key without its token", get(stripped), unknown)
	stripped.Token = token.Token + "x"
	want("a temporary key with another token", get(stripped), unknown)
	stripped = k
	stripped.Token = token.Token
	want("a key for good with a token", get(stripped), unknown)
	want("a token that has expired", get(s.AddToken(t, identity.TokenOptions{Who: alice}, time.Now().Add(-2*time.Hour))), "403 ExpiredTokenException")

	must(identity.DisableKey(ctx, c, k.ID, false))
	want("a disabled key", get(k), unknown)
	want("a token of its user", get(token), "200")
	must(identity.EnableKey(ctx, c, k.ID))
	want("the key enabled again", get(k), "200")
	_, err := identity.RemoveKey(ctx, c, k.ID, false)
	must(err)
	want("a removed key", get(k), unknown)
	must(identity.RemovePrincipal(ctx, c, alice))
	want("a token of a user that is gone", get(token), unknown)
	again := s.AddUser(t, "", "alice")
	want("a new user of the same name", get(again), denied)
	want("the token of the old one", get(token), unknown)
}

// TestFactor lets a policy ask for a second factor.
func TestFactor(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "photos")
	s.AddRole(t, "", "remover", "AmazonGlacierFullAccess",
		`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"glacier:Delete*","Resource":"*","Condition":{"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}}}}`)
	o := identity.TokenOptions{Who: identity.Who{Kind: identity.RoleKind, Name: "remover"}, Session: "night"}
	remove := moraintest.Request{Method: "DELETE", Path: "/-/vaults/photos", Key: s.AddToken(t, o, time.Time{})}
	if r := s.Want(t, 403, remove); !strings.Contains(r.Message(), "assumed-role/remover/night") {
		t.Errorf("the message does not name the session: %s", r.Body)
	}
	o.MFA = true
	remove.Key = s.AddToken(t, o, time.Time{})
	s.Want(t, 204, remove)
}

// TestPrincipalsAreOfTheirAccount uses one name in two accounts.
func TestPrincipalsAreOfTheirAccount(t *testing.T) {
	s := moraintest.Start(t)
	other := s.AddAccount(t, "other")
	s.CreateVault(t, "photos")
	first, second := s.AddUser(t, "", "alice", "AmazonGlacierFullAccess"), s.AddUser(t, "other", "alice", "AmazonGlacierFullAccess")
	if first.Account != s.Key.Account || second.Account != other.Account {
		t.Errorf("the users are of %s and %s", first.Account, second.Account)
	}
	s.Want(t, 200, moraintest.Request{Method: "GET", Path: "/-/vaults/photos", Key: first})
	s.Want(t, 403, moraintest.Request{Method: "GET", Path: "/" + s.Key.Account + "/vaults/photos", Key: second})
	if err := identity.RemovePrincipal(t.Context(), s.Config(), identity.Who{Account: "other", Kind: identity.UserKind, Name: "alice"}); err != nil {
		t.Fatal(err)
	}
	s.Want(t, 200, moraintest.Request{Method: "GET", Path: "/-/vaults/photos", Key: first})
}

// TestWrongPrincipals is about what is refused, and what is said of it.
func TestWrongPrincipals(t *testing.T) {
	s := moraintest.Start(t)
	s.AddUser(t, "", "alice")
	c := s.Config()
	long := strings.Repeat("x", 65)
	for name, test := range map[string]struct {
		n     identity.NewPrincipal
		want  string
		wrong bool // whatever is in the catalogue
	}{
		"no name":            {identity.NewPrincipal{}, `""`, true},
		"a name too long":    {identity.NewPrincipal{Who: identity.Who{Name: long}}, long, true},
		"a name with /":      {identity.NewPrincipal{Who: identity.Who{Name: "a/b"}}, `"a/b"`, true},
		"a name with *":      {identity.NewPrincipal{Who: identity.Who{Name: "a*"}}, `"a*"`, true},
		"a path without /":   {identity.NewPrincipal{Who: identity.Who{Name: "bob"}, Path: "/ops"}, `"/ops"`, true},
		"a path with *":      {identity.NewPrincipal{Who: identity.Who{Name: "bob"}, Path: "/*/"}, `"/*/"`, true},
		"an empty tag":       {identity.NewPrincipal{Who: identity.Who{Name: "bob"}, Tags: map[string]string{"": "x"}}, `"x"`, true},
		"a name taken":       {identity.NewPrincipal{Who: identity.Who{Name: "alice"}}, `"alice" already`, false},
		"no such account":    {identity.NewPrincipal{Who: identity.Who{Account: "none", Name: "bob"}}, `"none"`, false},
		"a name of a policy": {identity.NewPrincipal{Who: identity.Who{Name: "bob"}, Policies: []identity.PolicyText{{Name: "a b", Document: "{}"}}}, `"a b"`, true},
		"a policy":           {identity.NewPrincipal{Who: identity.Who{Name: "bob"}, Policies: []identity.PolicyText{{Name: "p", Document: `{"Statement":[{"Effect":"Allow","Action":"glacier:*"}]}`}}}, "Statement[0]", false},
		"a long policy":      {identity.NewPrincipal{Who: identity.Who{Name: "bob"}, Policies: []identity.PolicyText{{Name: "p", Document: strings.Repeat(" ", 20481)}}}, "20480", false},
	} {
		test.n.Kind = identity.UserKind
		_, _, err := identity.AddPrincipal(t.Context(), c, test.n, time.Now())
		if err == nil || !strings.Contains(err.Error(), test.want) || fault.Is(err, fault.Invalid) != test.wrong {
			t.Errorf("%s: %v", name, err)
		}
	}
	alice := identity.Who{Kind: identity.UserKind, Name: "alice"}
	document := `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`
	var err error
	for i := range 11 {
		err = identity.SetPolicy(t.Context(), c, alice, identity.PolicyText{Name: fmt.Sprint("p", i), Document: document})
		if i < 10 && err != nil {
			t.Fatal(err)
		}
	}
	if err == nil || !strings.Contains(err.Error(), "10 policies") {
		t.Errorf("one policy too many: %v", err)
	}
	list, err := identity.Policies(t.Context(), c, alice)
	if err != nil || len(list) != 10 {
		t.Errorf("there are %d policies, %v", len(list), err)
	}
}

// TestAdministratorsAtOnce has many make the same user, and users of their own, at the same time.
func TestAdministratorsAtOnce(t *testing.T) {
	s := moraintest.Start(t)
	var done sync.WaitGroup
	made := make(chan bool, 16)
	for i := range 16 {
		done.Go(func() {
			_, _, err := identity.AddPrincipal(t.Context(), s.Config(), identity.NewPrincipal{Who: identity.Who{Kind: identity.UserKind, Name: "same"}}, time.Now())
			if err == nil {
				made <- true
			} else if !strings.Contains(err.Error(), "already") {
				t.Error(err)
			}
			own := identity.NewPrincipal{Who: identity.Who{Kind: identity.UserKind, Name: fmt.Sprint("user", i)}, Key: true}
			_, k, err := identity.AddPrincipal(t.Context(), s.Config(), own, time.Now())
			r := s.Do(t, moraintest.Request{Method: "GET", Path: "/-/vaults", Key: moraintest.Key{ID: k.Caller.KeyID, Secret: k.Secret}})
			if err != nil || r.Code() != "AccessDeniedException" { // known, and nothing is allowed
				t.Errorf("%d %s, %v", r.Status, r.Body, err)
			}
		})
	}
	done.Wait()
	users, err := identity.Principals(t.Context(), s.Config(), "", identity.UserKind)
	if err != nil || len(users) != 17 || len(made) != 1 {
		t.Errorf("there are %d users, one of them made %d times, %v", len(users), len(made), err)
	}
}
