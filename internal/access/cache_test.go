package access_test

import (
	"fmt"
	"testing"

	"github.com/moraine-archive/moraine/internal/access"
)

// TestCache reads more policies than are kept, each twice, for vaults and for users: what is kept is what was asked for.
func TestCache(t *testing.T) {
	var c access.Cache
	op := operation("DeleteArchive")
	for i := range 600 {
		for range 2 {
			effect, vault := []string{"Allow", "Deny"}[i%2], fmt.Sprintf("arn:aws:glacier:us-east-1:%s:vaults/v%d", home, i)
			p, err := c.Vault(fmt.Sprintf(`{"Statement":{"Sid":"s%d","Effect":"%s","Principal":"*","Action":"*","Resource":"*"}}`, i, effect), vault)
			if err != nil {
				t.Fatal(err)
			}
			d := access.Decide(access.Request{Caller: callers["alice"], Operation: op, Account: home, Resource: vault, Access: p, Now: noon})
			if want := fmt.Sprintf(`"s%d"`, i); d.Statement != want || d.Allowed != (effect == "Allow") {
				t.Fatalf("policy %d gives %+v", i, d)
			}
		}
	}
	text := `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`
	if _, err := c.Identity(text); err != nil {
		t.Error(err)
	}
	if _, err := c.Vault(text, photos); err == nil {
		t.Error("the policy of a user is taken for one of a vault")
	}
}
