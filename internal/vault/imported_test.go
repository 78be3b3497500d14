package vault

import (
	"fmt"
	"strings"
	"testing"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
)

// TestImportedIDs is edge 110, and more: archives from elsewhere keep their ids, which may begin with a hyphen and have any length.
func TestImportedIDs(t *testing.T) {
	for _, id := range []string{"-" + strings.Repeat("x", 137), "--help", "-", "_", strings.Repeat("Z", 400)} {
		t.Run(fmt.Sprintf("edge 110 an id of %d characters that begins with %q", len(id), id[0]), func(t *testing.T) {
			h := newHouse(t, onDisk, Defaults())
			own := h.archive(t, []byte("own"))
			h.imported(t, id, []byte("imported"))
			if got := h.retrieve(t, id); string(got) != "imported" {
				t.Errorf("retrieved %q", got)
			}
			inventory := string(h.output(t, h.job(t, "")))
			if !strings.Contains(inventory, `"ArchiveId":"`+id+`"`) || !strings.Contains(inventory, own) {
				t.Errorf("the inventory is %s", inventory)
			}
			h.clock.move(h.settings.LongestRequest)
			if swept := h.sweep(t); swept.Removed != 0 {
				t.Errorf("the sweep removed %d records", swept.Removed)
			}
			h.clock.move(h.settings.JobExpiry)
			h.upkeep(t)
			check(t, h.DeleteArchive(t.Context(), h.ref, id))
			check(t, h.DeleteArchive(t.Context(), h.ref, id))
			h.upkeep(t)
			h.wantKinds(t, "after the deletion", "archive:1")
			if n, size := h.held(t); n != 1 || size != 3 {
				t.Errorf("the vault has %d archives of %d bytes, want 1 of 3", n, size)
			}
			_, err := h.InitiateJob(t.Context(), h.ref, JobParameters{Type: new("archive-retrieval"), ArchiveID: &id})
			wantFault(t, "a job on the deleted archive", err, fault.NotFound)
		})
	}
}

// imported makes an archive as an import does: with the id that it has.
func (h *house) imported(t *testing.T, id string, b []byte) {
	t.Helper()
	l := label{What: isArchive, Account: h.ref.Account, Vault: h.ref.Name, Archive: id}
	x, err := h.bytes.Put(t.Context(), store.Payload, l.encode(), treehash.NewStream(payloadOf(b).Body, int64(len(b)), nil))
	check(t, err)
	vault := h.vaultID(t)
	check(t, h.rows.Update(t.Context(), func(tx *catalogue.Tx) error {
		return tx.InsertArchive(catalogue.Archive{ID: id, VaultID: vault, CreatedAt: x.Created, Size: x.Size, TreeHash: x.Tree[:], Place: string(x.Place)})
	}))
}
