package vault

import (
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/access"
	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/protocol"
)

// asks is a request of a caller about the vault of a house.
func (h *house) asks(c access.Caller, operation, archive string) Asked {
	op, known := protocol.OperationNamed(operation)
	if !known {
		panic("there is no operation " + operation)
	}
	return Asked{
		Request: access.Request{Caller: c, Operation: op, Account: h.ref.Account, Resource: h.Resource(op, h.ref)},
		Vault:   h.ref.Name, Archive: archive,
	}
}

// TestFacts looks at what the decision gets to know of the vault and the archive.
func TestFacts(t *testing.T) {
	h := newHouse(t, inMemory, Defaults())
	root := access.Caller{Account: h.ref.Account, Kind: access.Root}
	id := h.archive(t, []byte("x"))
	other := Ref{h.ref.Account, "other"}
	check(t, h.CreateVault(t.Context(), other))
	elsewhere, _, err := h.UploadArchive(t.Context(), other, "", payloadOf([]byte("y")))
	check(t, err)
	check(t, h.AddTagsToVault(t.Context(), h.ref, map[string]string{"Kind": "tax"}))
	h.clock.move(10*day + time.Hour)
	allow := `{"Statement":{"Effect":"Allow","Principal":"*","Action":"glacier:*","Resource":"*"}}`
	check(t, h.SetVaultAccessPolicy(t.Context(), h.ref, &allow))
	for name, c := range map[string]struct {
		asked  Asked
		age    int64 // -1: not known
		tagged bool
	}{
		"delete":                       {h.asks(root, protocol.DeleteArchive, id), 10, true},
		"retrieve":                     {h.asks(root, protocol.InitiateJob, id), 10, true},
		"an inventory":                 {h.asks(root, protocol.InitiateJob, ""), -1, true},
		"an archive that is not there": {h.asks(root, protocol.DeleteArchive, "nothing"), -1, true},
		"an archive of another vault":  {h.asks(root, protocol.DeleteArchive, elsewhere), -1, true},
		"an id that no archive has":    {h.asks(root, protocol.DeleteArchive, "\x00"), -1, true},
		"an operation without facts":   {h.asks(root, protocol.DescribeVault, ""), -1, false},
	} {
		a, d, err := h.Authorise(t.Context(), c.asked)
		check(t, err)
		if !d.Allowed || (a.Age == nil) != (c.age < 0) || a.Age != nil && *a.Age != c.age || (a.Tags["Kind"] == "tax") != c.tagged {
			t.Errorf("%s: allowed %t, age %v, tags %v; want %d days, tags %t", name, d.Allowed, a.Age, a.Tags, c.age, c.tagged)
		}
	}
	damaged := strings.Replace(allow, "Allow", "allow", 1)
	check(t, h.rows.Update(t.Context(), func(tx *catalogue.Tx) error { return tx.SetAccessPolicy(h.vaultID(t), damaged) }))
	if _, _, err := h.Authorise(t.Context(), h.asks(root, protocol.DescribeVault, "")); fault.KindOf(err) != fault.Internal {
		t.Errorf("with a policy that cannot be read the decision ends with %v, want an internal error", err)
	}
}

// TestResources holds the names that policies have for what operations work on.
func TestResources(t *testing.T) {
	h := newHouse(t, inMemory, Defaults())
	for name, want := range map[string]string{
		protocol.DeleteVault:                 "arn:aws:glacier:us-east-1:123456789012:vaults/v",
		protocol.CreateVault:                 "arn:aws:glacier:us-east-1:123456789012:vaults/v",
		protocol.ListVaults:                  "arn:aws:glacier:us-east-1:123456789012:vaults/",
		protocol.SetDataRetrievalPolicy:      "arn:aws:glacier:us-east-1:123456789012:policies/retrieval-limit-policy",
		protocol.PurchaseProvisionedCapacity: "*",
	} {
		op, _ := protocol.OperationNamed(name)
		if got := h.Resource(op, h.ref); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// BenchmarkAuthorise is what a decision costs with its look-ups: for the root of an account and a vault without rules, and with a lock on it.
func BenchmarkAuthorise(b *testing.B) {
	for _, locked := range []bool{false, true} {
		name := "plain"
		if locked {
			name = "locked"
		}
		b.Run(name, func(b *testing.B) {
			h := newHouse(b, inMemory, Defaults())
			id, _, err := h.UploadArchive(b.Context(), h.ref, "", payloadOf([]byte("x")))
			check(b, err)
			if locked {
				policy := retention
				lock, err := h.InitiateVaultLock(b.Context(), h.ref, &policy)
				check(b, err)
				check(b, h.CompleteVaultLock(b.Context(), h.ref, lock))
			}
			asked := h.asks(access.Caller{Account: h.ref.Account, Kind: access.Root}, protocol.DeleteArchive, id)
			for b.Loop() {
				if _, _, err := h.Authorise(b.Context(), asked); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
