package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/protocol"
	"github.com/moraine-archive/moraine/internal/store"
)

// TestDeleteVaultBeforeTheRow deletes a vault when bytes for it are stored and have no row yet.
func TestDeleteVaultBeforeTheRow(t *testing.T) {
	deletion := func(h *house) error { return h.DeleteVault(context.Background(), h.ref) }
	again := func(h *house) error {
		return errors.Join(deletion(h), h.CreateVault(context.Background(), h.ref))
	}
	for name, meanwhile := range map[string]func(*house) error{"deleted": deletion, "deleted and made again": again} {
		t.Run(name+" during UploadArchive", func(t *testing.T) {
			h := newHouse(t, inMemory, Defaults())
			h.store.whenStored(store.Payload, func() error { return meanwhile(h) })
			_, _, err := h.UploadArchive(t.Context(), h.ref, "", payloadOf([]byte("x")))
			h.wantLost(t, err)
		})
		t.Run(name+" during UploadMultipartPart", func(t *testing.T) {
			h := newHouse(t, inMemory, Defaults())
			upload := h.upload(t)
			h.part(t, upload, 0, []byte("x"))
			h.store.whenStored(store.Payload, func() error { return meanwhile(h) })
			h.wantLost(t, h.putPart(t.Context(), upload, 0, []byte("y")))
		})
		t.Run(name+" during CompleteMultipartUpload", func(t *testing.T) {
			h := newHouse(t, inMemory, Defaults())
			upload := h.upload(t)
			h.part(t, upload, 0, []byte("x"))
			h.store.whenStored(store.Manifest, func() error { return meanwhile(h) })
			_, err := h.completeAs(t.Context(), upload, []byte("x"))
			h.wantLost(t, err)
		})
	}
}

// wantLost checks the end of a request whose vault was deleted: not found, nothing stored, and a new vault of that name is empty.
func (h *house) wantLost(t *testing.T, err error) {
	t.Helper()
	wantFault(t, "the request", err, fault.NotFound)
	h.upkeep(t)
	h.wantKinds(t, "in the end", "")
	check(t, h.CreateVault(t.Context(), h.ref))
	if n, size := h.held(t); n != 0 || size != 0 {
		t.Errorf("the new vault has %d archives of %d bytes", n, size)
	}
	check(t, h.DeleteVault(t.Context(), h.ref))
}

// TestDeleteVaultWhileUploading holds uploads and deletions of a vault against each other: no acknowledged archive is lost.
func TestDeleteVaultWhileUploading(t *testing.T) {
	h := newHouse(t, inMemory, Defaults())
	body := []byte("may not be lost")
	for range 60 {
		upload := h.upload(t)
		h.part(t, upload, 0, body)
		ids, failed := make([]string, 3), make([]error, 3)
		var deleted error
		var all sync.WaitGroup
		all.Go(func() { ids[0], _, failed[0] = h.UploadArchive(context.Background(), h.ref, "", payloadOf(body)) })
		all.Go(func() { ids[1], _, failed[1] = h.UploadArchive(context.Background(), h.ref, "", payloadOf(body)) })
		all.Go(func() { ids[2], failed[2] = h.completeAs(context.Background(), upload, body) })
		all.Go(func() { deleted = h.DeleteVault(context.Background(), h.ref) })
		all.Wait()
		h.checkSurvivors(t, ids, failed, deleted, body)
	}
	h.upkeep(t)
	h.wantKinds(t, "in the end", "")
}

// checkSurvivors checks what is left after a race, and removes it for the next one.
func (h *house) checkSurvivors(t *testing.T, ids []string, failed []error, deleted error, body []byte) {
	t.Helper()
	for i, err := range failed {
		switch {
		case deleted == nil:
			wantFault(t, "an upload to a deleted vault", err, fault.NotFound)
		case !fault.Is(deleted, fault.Invalid):
			t.Fatalf("DeleteVault: %v", deleted)
		default:
			check(t, err)
			if got := h.retrieve(t, ids[i]); !bytes.Equal(got, body) {
				t.Fatalf("archive %d is %q", i, got)
			}
			check(t, h.DeleteArchive(t.Context(), h.ref, ids[i]))
		}
	}
	check(t, h.DeleteVault(t.Context(), h.ref))
	check(t, h.CreateVault(t.Context(), h.ref))
}

// TestDeleteArchiveAtAnyMoment deletes an archive, and its vault, while other requests are about it.
func TestDeleteArchiveAtAnyMoment(t *testing.T) {
	t.Run("before the hash of a range is read", func(t *testing.T) {
		h := newHouse(t, inMemory, Defaults())
		archive := h.archive(t, bytes.Repeat([]byte("x"), 3<<20))
		h.store.beforeStat(func() { check(t, h.DeleteArchive(context.Background(), h.ref, archive)) })
		_, err := h.InitiateJob(t.Context(), h.ref, JobParameters{
			Type: new("archive-retrieval"), ArchiveID: &archive, RetrievalByteRange: new("0-1048575"),
		})
		wantFault(t, "a job", err, fault.NotFound)
	})
	t.Run("with its vault at once", func(t *testing.T) {
		h := newHouse(t, inMemory, Defaults())
		for range 100 {
			archive := h.archive(t, []byte("x"))
			failed := make([]error, 4)
			var all sync.WaitGroup
			for i := range 3 {
				all.Go(func() { failed[i] = h.DeleteArchive(context.Background(), h.ref, archive) })
			}
			all.Go(func() { failed[3] = h.DeleteVault(context.Background(), h.ref) })
			all.Wait()
			for i, err := range failed[:3] {
				if err != nil && !fault.Is(err, fault.NotFound) {
					t.Errorf("deletion %d: %v", i, err)
				}
			}
			if err := failed[3]; err != nil && !fault.Is(err, fault.Invalid) {
				t.Errorf("DeleteVault: %v", err)
			}
			check(t, h.DeleteVault(t.Context(), h.ref))
			check(t, h.CreateVault(t.Context(), h.ref))
		}
		h.upkeep(t)
		h.wantKinds(t, "in the end", "")
	})
}

// TestDateOfTheLastChange lets an archive be stored before another and get its row after it, and the clock go back: the date of a vault's
// last change does not.
func TestDateOfTheLastChange(t *testing.T) {
	h := newHouse(t, inMemory, Defaults())
	date := func() string {
		d, err := h.DescribeVault(t.Context(), h.ref)
		check(t, err)
		return *d.LastInventoryDate
	}
	var second string
	h.store.whenStored(store.Payload, func() error {
		h.clock.move(time.Second)
		h.archive(t, []byte("stored second"))
		second = date()
		return nil
	})
	archive := h.archive(t, []byte("stored first"))
	if got := date(); got != second {
		t.Errorf("the date is %s after the first row, %s after the second", second, got)
	}
	h.clock.move(-time.Hour)
	h.archive(t, []byte("stored when the clock had gone back"))
	check(t, h.DeleteArchive(t.Context(), h.ref, archive))
	if got := date(); got != second {
		t.Errorf("the date went from %s to %s", second, got)
	}
}

// TestRefusedUploadsLeaveNothing refuses archives and parts for every reason that shows only with the body.
func TestRefusedUploadsLeaveNothing(t *testing.T) {
	wrong := strings.Repeat("0", 64)
	for storeName, open := range map[string]func(testing.TB, func() time.Time) store.Store{"memory": inMemory, "volume": onDisk} {
		h := newHouse(t, open, Defaults())
		upload, err := h.InitiateMultipartUpload(t.Context(), h.ref, "4194304", "")
		check(t, err)
		for name, spoil := range map[string]func(*Upload, []byte){
			"a wrong tree hash":     func(u *Upload, _ []byte) { u.TreeHash = wrong },
			"a wrong linear hash":   func(u *Upload, _ []byte) { u.LinearHash = wrong },
			"two wrong hashes":      func(u *Upload, _ []byte) { u.LinearHash, u.TreeHash = wrong, wrong },
			"one byte that differs": func(u *Upload, b []byte) { u.Body = bytes.NewReader(append(bytes.Clone(b[:len(b)-1]), '!')) },
			"a body that ends":      func(u *Upload, b []byte) { u.Body = bytes.NewReader(b[:len(b)-1]) },
			"no body":               func(u *Upload, _ []byte) { u.Body = strings.NewReader("") },
			"a body that breaks": func(u *Upload, b []byte) {
				u.Body = io.MultiReader(bytes.NewReader(b[:2<<20]), iotest.ErrReader(errors.New("the connection broke")))
			},
		} {
			t.Run(storeName+", "+name, func(t *testing.T) { h.refuse(t, upload, spoil) })
		}
	}
}

// refuse uploads an archive and a part in a way that must fail, and looks at what is left of them.
func (h *house) refuse(t *testing.T, upload string, spoil func(*Upload, []byte)) {
	t.Helper()
	body := bytes.Repeat([]byte("moraine "), 300_000) // three leaves
	u := payloadOf(body)
	spoil(&u, body)
	if _, _, err := h.UploadArchive(t.Context(), h.ref, "", u); err == nil {
		t.Error("the archive was accepted")
	}
	u = payloadOf(body)
	spoil(&u, body)
	if _, err := h.UploadMultipartPart(t.Context(), h.ref, upload, fmt.Sprintf("bytes 0-%d/*", len(body)-1), u); err == nil {
		t.Error("the part was accepted")
	}
	h.wantKinds(t, "after that", "")
	if n, size := h.held(t); n != 0 || size != 0 {
		t.Errorf("the vault has %d archives of %d bytes", n, size)
	}
	if list, err := h.ListParts(t.Context(), h.ref, upload, nil, nil); err != nil || len(list.Parts) != 0 {
		t.Errorf("the upload has the parts %v, %v", list.Parts, err)
	}
}

// TestRefusedBeforeTheBody refuses uploads without touching the body.
func TestRefusedBeforeTheBody(t *testing.T) {
	h := newHouse(t, inMemory, Defaults())
	upload := h.upload(t)
	ended := h.upload(t)
	check(t, h.AbortMultipartUpload(t.Context(), h.ref, ended))
	part := func(id, contentRange string, size int64) func(Upload) error {
		return func(u Upload) error {
			u.Size = size
			_, err := h.UploadMultipartPart(t.Context(), h.ref, id, contentRange, u)
			return err
		}
	}
	archive := func(ref Ref, description string, change func(*Upload)) func(Upload) error {
		return func(u Upload) error {
			change(&u)
			_, _, err := h.UploadArchive(t.Context(), ref, description, u)
			return err
		}
	}
	unchanged := func(*Upload) {}
	for name, c := range map[string]struct {
		send func(Upload) error
		kind fault.Kind
	}{
		"no tree hash":                      {archive(h.ref, "", func(u *Upload) { u.TreeHash = "" }), fault.Missing},
		"a tree hash that is none":          {archive(h.ref, "", func(u *Upload) { u.TreeHash = "x" }), fault.Invalid},
		"no bytes":                          {archive(h.ref, "", func(u *Upload) { u.Size = 0 }), fault.Invalid},
		"too many bytes":                    {archive(h.ref, "", func(u *Upload) { u.Size = protocol.MaxUpload + 1 }), fault.Invalid},
		"as many bytes as can be":           {archive(h.ref, "", func(u *Upload) { u.Size = 1<<63 - 1 }), fault.Invalid},
		"a long description":                {archive(h.ref, strings.Repeat("x", 1025), unchanged), fault.Invalid},
		"a description in other characters": {archive(h.ref, "é", unchanged), fault.Invalid},
		"no such vault":                     {archive(Ref{h.ref.Account, "absent"}, "", unchanged), fault.NotFound},
		"a part without a range":            {part(upload, "", 10), fault.Missing},
		"a part of another length":          {part(upload, "bytes 0-9/*", 1<<63-1), fault.Invalid},
		"a part that is not aligned":        {part(upload, "bytes 1-10/*", 10), fault.Invalid},
		"a part that is too long":           {part(upload, "bytes 0-1048576/*", 1<<20+1), fault.Invalid},
		"a part for an ended upload":        {part(ended, "bytes 0-9/*", 10), fault.NotFound},
		"a part for no upload":              {part("x", "bytes 0-9/*", 10), fault.NotFound},
	} {
		u := payloadOf([]byte("0123456789"))
		u.Body = iotest.ErrReader(errors.New("the body was read"))
		wantFault(t, name, c.send(u), c.kind)
	}
	if puts, _ := h.store.counts(store.Payload); puts != 0 {
		t.Errorf("the store was given %d payloads", puts)
	}
}
