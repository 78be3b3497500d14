package access_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/moraine-archive/moraine/internal/access"
	"github.com/moraine-archive/moraine/internal/fault"
)

func TestDecide(t *testing.T) {
	const own, other = "123456789012", "210987654321"
	request := access.Request{
		Caller: access.Caller{KeyID: "AKIAIOSFODNN7EXAMPLE", Account: own},
		Action: "DeleteVault", Resource: "arn:aws:glacier:us-east-1:210987654321:vaults/photos",
	}
	for account, allowed := range map[string]bool{own: true, other: false, "": false, own + "0": false} {
		request.Account = account
		err := access.Decide(request)
		if (err == nil) != allowed {
			t.Errorf("the root of %s in the account %q: %v", own, account, err)
		}
		if err == nil {
			continue
		}
		if !fault.Is(err, fault.Denied) {
			t.Errorf("the error is of kind %d", fault.KindOf(err))
		}
		for _, want := range []string{"arn:aws:iam::" + own + ":root", "glacier:DeleteVault", request.Resource} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("the error %q does not say %q", err, want)
			}
		}
	}
}

func TestNewAccountID(t *testing.T) {
	form := regexp.MustCompile(`^[1-9][0-9]{11}$`)
	seen := make(map[string]bool)
	for range 1000 {
		id, err := access.NewAccountID()
		if err != nil {
			t.Fatal(err)
		}
		if !form.MatchString(id) || seen[id] {
			t.Fatalf("%q is not a new account id", id)
		}
		seen[id] = true
	}
}

func TestNewKey(t *testing.T) {
	id, secret := regexp.MustCompile(`^AKIA[A-Z2-7]{16}$`), regexp.MustCompile(`^[A-Za-z0-9+/]{40}$`)
	seen := make(map[string]bool)
	for range 1000 {
		k := access.NewKey("123456789012")
		if !id.MatchString(k.ID) || !secret.MatchString(k.Secret) || k.Account != "123456789012" {
			t.Fatalf("the key is %+v", k)
		}
		if seen[k.ID] || seen[k.Secret] {
			t.Fatalf("the key %s or its secret was made before", k.ID)
		}
		seen[k.ID], seen[k.Secret] = true, true
	}
}
