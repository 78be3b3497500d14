package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/glacier/transfer"
	"github.com/moraine-archive/moraine/internal/index"
)

// open returns a vault and what is known of it here. The caller closes the index.
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

// startStock returns a job for the inventory of a vault as it is now: one that is there, or a new one. ErrNotFound: the service has not taken one yet.
func (s *session) startStock(ctx context.Context, v *glacier.Vault) (string, error) {
	for j, err := range s.client.Jobs(ctx, v.Name, glacier.JobFilter{}) {
		if err != nil {
			return "", err
		}
		if wholeInventory(j) && j.CreationDate.After(v.LastInventoryDate) {
			return j.ID, nil
		}
	}
	out, err := s.client.InitiateJob(ctx, v.Name, glacier.JobParameters{Type: glacier.InventoryRetrieval, Description: "moraine"})
	if err != nil {
		return "", err
	}
	return out.JobID, nil
}

// wholeInventory reports whether a job offers, or will, all of an inventory in JSON.
func wholeInventory(j glacier.Job) bool {
	if j.Action != "InventoryRetrieval" || j.StatusCode == glacier.Failed {
		return false
	}
	p := j.InventoryRetrievalParameters
	return p == nil || (p.Format == "" || p.Format == "JSON") && p.StartDate == "" && p.EndDate == "" && p.Limit == "" && p.Marker == ""
}

// takeStock waits for such a job, and takes its inventory over into the index while it comes. It reports whether the inventory is current: a service that takes them at
// intervals has such a job take hours, one that looks into the vault is soon done.
func (s *session) takeStock(ctx context.Context, ix *index.Index, vault, job string) (current bool, err error) {
	down := &transfer.Downloader{Client: s.client}
	done, err := s.awaitStock(ctx, down, vault, job)
	if err != nil {
		return false, err
	}
	r, w := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, err := down.DownloadTo(ctx, vault, job, w)
		w.CloseWithError(err)
	}()
	err = replaceFrom(ctx, ix, r)
	r.CloseWithError(errors.New("the inventory is not read any more"))
	<-ended
	if errors.Is(err, index.ErrOlder) {
		err = nil
	}
	return done.CompletionDate.Sub(done.CreationDate) < soon, err
}

// awaitStock waits for a job, and says so if that is not done in a moment.
func (s *session) awaitStock(ctx context.Context, down *transfer.Downloader, vault, job string) (*glacier.Job, error) {
	moment, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	done, err := down.Wait(moment, vault, job)
	if err == nil || moment.Err() == nil || ctx.Err() != nil {
		return done, err
	}
	s.say("Waiting for the inventory of %s. It takes hours with Amazon; when interrupted, run the command again.", vault)
	return down.Wait(ctx, vault, job)
}

// soon is in what time no service that takes inventories at intervals has a job done.
const soon = 10 * time.Minute

func replaceFrom(ctx context.Context, ix *index.Index, r io.Reader) error {
	inventory, err := index.ReadInventory(r)
	if err != nil {
		return err
	}
	if err := ix.Replace(ctx, inventory); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	return err
}

// knowledge is what the index knows of a vault.
type knowledge struct {
	index.State
	current bool // it has an inventory of this moment
}

// known returns what the index knows of a vault. get says whether an inventory is to be had first, and waited for; without one it is an error if the index knows nothing.
func (s *session) known(ctx context.Context, ix *index.Index, v *glacier.Vault, get bool) (k knowledge, err error) {
	if get {
		if k.current, err = s.stocked(ctx, ix, v); err != nil {
			return k, err
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

func (s *session) stocked(ctx context.Context, ix *index.Index, v *glacier.Vault) (current bool, err error) {
	job, err := s.startStock(ctx, v)
	if errors.Is(err, glacier.ErrNotFound) {
		s.say("The service has not taken an inventory of %s yet.", v.Name)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return s.takeStock(ctx, ix, v.Name, job)
}
