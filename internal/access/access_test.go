package access_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/access"
	"github.com/moraine-archive/moraine/internal/fault"
)

func TestNames(t *testing.T) {
	for _, test := range []struct{ who, kind, arn, principal, id string }{
		{"root", "Account", "arn:aws:iam::111122223333:root", "arn:aws:iam::111122223333:root", "111122223333"},
		{"alice", "User", "arn:aws:iam::111122223333:user/alice", "arn:aws:iam::111122223333:user/alice", "AIDAALICE"},
		{"bob", "User", "arn:aws:iam::111122223333:user/team/bob", "arn:aws:iam::111122223333:user/team/bob", "AIDABOB"},
		{"nightly", "AssumedRole", "arn:aws:sts::111122223333:assumed-role/backup/nightly", "arn:aws:iam::111122223333:role/ops/backup", "AROABACKUP:nightly"},
	} {
		c := callers[test.who]
		if c.Kind.String() != test.kind || c.ARN() != test.arn || c.PrincipalARN() != test.principal || c.UserID() != test.id {
			t.Errorf("%s is a %s, %s of %s, id %s", test.who, c.Kind, c.ARN(), c.PrincipalARN(), c.UserID())
		}
	}
	if c := (access.Caller{Issued: time.Unix(1, 0)}); !c.Temporary() || callers["root"].Temporary() {
		t.Error("a key is temporary if and only if it says when it was issued")
	}
}

func TestNewAccountID(t *testing.T) { neverTwice(t, `^[1-9][0-9]{11}$`, access.NewAccountID) }

func TestIsAccountID(t *testing.T) {
	for text, want := range map[string]bool{
		"123456789012": true, "000000000000": true, "": false, "12345678901": false, "1234567890123": false, "12345678901a": false, "12345a789012": false,
		"-12345678901": false, " 12345678901": false, "12345678901\n": false, "１２３４": false,
	} {
		if got := access.IsAccountID(text); got != want {
			t.Errorf("%q: %t, want %t", text, got, want)
		}
	}
}

func TestNewID(t *testing.T) {
	for _, prefix := range []string{access.LongTermKeyPrefix, access.TemporaryKeyPrefix, access.UserPrefix, access.RolePrefix} {
		neverTwice(t, `^`+prefix+`[A-Z2-7]{16}$`, func() (string, error) { return access.NewID(prefix), nil })
	}
}

func TestNewSecret(t *testing.T) {
	neverTwice(t, `^[A-Za-z0-9+/]{40}$`, func() (string, error) { return access.NewSecret(), nil })
}

// neverTwice holds a thousand new names against their form and each other.
func neverTwice(t *testing.T, form string, next func() (string, error)) {
	t.Helper()
	seen, want := make(map[string]bool), regexp.MustCompile(form)
	for range 1000 {
		name, err := next()
		if err != nil {
			t.Fatal(err)
		}
		if !want.MatchString(name) || seen[name] {
			t.Fatalf("%q is not new, or not like %s", name, form)
		}
		seen[name] = true
	}
}

func TestRefusal(t *testing.T) {
	for _, test := range []struct{ name, who, own, access, lock, want string }{
		{"nothing allows it", "alice", "", "", "", " because no policy allows it"},
		{"a policy of the caller", "alice", `{"Effect":"Deny","Sid":"no"}`, "", "", ` with an explicit deny in the identity policy own, statement "no"`},
		{"the vault's access policy", "root", "", `[{"Effect":"Allow"},{"Effect":"Deny"}]`, "", " with an explicit deny in the vault access policy, statement 2"},
		{"the lock", "root", "", "", `{"Effect":"Deny","Sid":"hold"}`, ` with an explicit deny in the vault lock policy, statement "hold"`},
		{"nothing, in another account", "mallory", `{"Effect":"Allow"}`, "", "", " because no policy allows it"},
		{"the lock, in another account", "mallory", `{"Effect":"Allow"}`, "", `{"Effect":"Deny","Sid":"hold"}`, " with an explicit deny"},
	} {
		r, _ := request(t, decision{name: test.name, who: test.who, action: "DeleteVault", own: test.own, access: test.access, lock: test.lock})
		err := access.Decide(r).Refusal(r)
		want := "User: " + r.Caller.ARN() + " is not authorized to perform: glacier:DeleteVault on resource: " + photos + test.want
		if !fault.Is(err, fault.Denied) || err.Error() != want {
			t.Errorf("%s: the error is of kind %d:\n%v\nwant\n%s", test.name, fault.KindOf(err), err, want)
		}
	}
}

// TestRefusalIsShort sees to it that a caller of another account does not learn the names that the vault's owner has given.
func TestRefusalIsShort(t *testing.T) {
	r, _ := request(t, decision{who: "mallory", own: `{"Effect":"Allow"}`, lock: `{"Effect":"Deny","Sid":"ProjectX"}`})
	if text := access.Decide(r).Refusal(r).Error(); strings.Contains(text, "ProjectX") || strings.Contains(text, "lock") {
		t.Errorf("a stranger reads %q", text)
	}
}
