package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/internal/index"
)

// open returns a vault and what is known of it here.
func (s *session) open(ctx context.Context, vault string) (*glacier.Vault, *index.Index, error) {
	v, err := s.vault(ctx, vault)
	if err != nil {
		return nil, nil, err
	}
	ix, err := s.index(ctx, v)
	return v, ix, err
}

// blind reports whether there may be archives in a vault of which the index does not know, because it has no inventory. An upload whose end this machine has not seen may be one of
// them.
func blind(ctx context.Context, v *glacier.Vault, ix *index.Index, known index.State) (bool, error) {
	if !known.InventoryDate.IsZero() {
		return false, nil
	}
	begun, err := ix.Uploads(ctx)
	return v.NumberOfArchives > known.Archives+int64(len(begun)), err
}

// clockSkew is by how much the clock here and that of the service may differ.
const clockSkew = 15 * time.Minute

// noInventory is why nothing can be compared with a vault.
func noInventory(vault string) error {
	return &exitError{exitFailed, fmt.Sprintf("`moraine inventory --vault %s` gets one; so does --inventory here. It takes hours with Amazon, and a moment with Moraine.", quoted(vault)),
		fmt.Errorf("what is in the vault %s is not known here: there was no inventory yet", vault)}
}

// knowledge is what the index knows of a vault.
type knowledge struct {
	index.State
	asked bool // the service was asked for an inventory just now
}

// settles reports whether an upload that was being completed at that time, and that the service does not know any more, would be known here if it had become an archive.
func (k knowledge) settles(completing time.Time) bool {
	return k.InventoryDate.After(completing.Add(clockSkew)) || k.asked && time.Since(completing) > twoInventories
}

// twoInventories is in what time Amazon takes an inventory of a vault that was written to, and one more for good measure. It takes none of a vault that was not.
const twoInventories = 48 * time.Hour

// known returns what the index knows of a vault. get says whether an inventory is to be had first, and waited for; without one it is an error if the index knows nothing.
func (s *session) known(ctx context.Context, ix *index.Index, v *glacier.Vault, get bool) (k knowledge, err error) {
	if k.asked = get; get {
		job, err := s.startStock(ctx, stock{of: v, format: "JSON"})
		switch {
		case errors.Is(err, glacier.ErrNotFound):
			s.say("The service has not taken an inventory of %s yet.", v.Name)
		case err != nil:
			return k, err
		default:
			if err := s.takeStock(ctx, ix, v.Name, job); err != nil {
				return k, err
			}
		}
	}
	if k.State, err = ix.State(ctx); err != nil || get {
		return k, err
	}
	missing, err := blind(ctx, v, ix, k.State)
	if err == nil && missing {
		err = noInventory(v.Name)
	}
	return k, err
}
