package access_test

import (
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/access"
	"github.com/moraine-archive/moraine/internal/protocol"
)

// TestPredefined asks the predefined policies about every operation.
func TestPredefined(t *testing.T) {
	for name, allows := range map[string]func(operation string) bool{
		access.FullAccess: func(string) bool { return true },
		access.ReadOnlyAccess: func(operation string) bool {
			return strings.HasPrefix(operation, "Describe") || strings.HasPrefix(operation, "Get") || strings.HasPrefix(operation, "List")
		},
	} {
		document, ok := access.Predefined(name)
		p, err := access.ParseIdentityPolicy(document)
		if !ok || err != nil {
			t.Fatalf("%s: %t, %v", name, ok, err)
		}
		caller := access.Caller{Account: "123456789012", Kind: access.User, Path: "/", Name: "alice", Policies: []access.Attached{{Name: name, Policy: p}}}
		for _, op := range protocol.Operations() {
			d := access.Decide(access.Request{
				Caller: caller, Operation: op, Account: "123456789012", Resource: "arn:aws:glacier:us-east-1:123456789012:vaults/photos", Now: time.Now(),
			})
			if d.Allowed != allows(op.Name) {
				t.Errorf("%s allows %s: %t", name, op.Name, d.Allowed)
			}
		}
	}
	if _, ok := access.Predefined("AdministratorAccess"); ok {
		t.Error("there is a policy that nobody has written")
	}
}
