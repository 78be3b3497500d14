package vault

import (
	"fmt"
	"slices"
	"testing"

	"github.com/moraine-archive/moraine/internal/catalogue"
)

// TestPages reads lists of 1,001 in pages: every item comes once, in order, and the last page says that it is the last.
func TestPages(t *testing.T) {
	const items = 1001
	h := newHouse(t, inMemory, Defaults())
	upload := h.upload(t)
	vault := h.vaultID(t)
	want := make(map[string][]string)
	want["uploads"] = []string{upload}
	check(t, h.rows.Update(t.Context(), func(tx *catalogue.Tx) error {
		want["parts"], want["uploads"], want["jobs"] = nil, want["uploads"][:1], nil
		for i := range items {
			first := int64(i) << 20
			want["parts"] = append(want["parts"], fmt.Sprintf("%d-%d", first, first))
			if _, err := tx.PutPart(catalogue.Part{UploadID: upload, First: first, Size: 1, TreeHash: make([]byte, 32), Place: fmt.Sprint(i)}, h.now()); err != nil {
				return err
			}
			j := catalogue.Job{
				ID: h.newJobID(), VaultID: vault, Action: inventoryRetrieval, Status: catalogue.InProgress,
				CreatedAt: h.now(), DueAt: h.now(), Format: new("JSON"),
			}
			want["jobs"] = append(want["jobs"], j.ID)
			if err := tx.InsertJob(j); err != nil {
				return err
			}
			if i == 0 {
				continue // there is one upload already
			}
			u := catalogue.Upload{ID: h.newUploadID(), VaultID: vault, CreatedAt: h.now(), PartSize: 1 << 20}
			want["uploads"] = append(want["uploads"], u.ID)
			if err := tx.InsertUpload(u); err != nil {
				return err
			}
		}
		return nil
	}))
	slices.Reverse(want["jobs"])
	for list, read := range map[string]func(limit, marker *string) ([]string, *string, error){
		"parts": func(limit, marker *string) (names []string, _ *string, _ error) {
			l, err := h.ListParts(t.Context(), h.ref, upload, limit, marker)
			for _, p := range l.Parts {
				names = append(names, p.RangeInBytes)
			}
			return names, l.Marker, err
		},
		"uploads": func(limit, marker *string) (names []string, _ *string, _ error) {
			l, err := h.ListMultipartUploads(t.Context(), h.ref, limit, marker)
			for _, u := range l.UploadsList {
				names = append(names, u.MultipartUploadID)
			}
			return names, l.Marker, err
		},
		"jobs": func(limit, marker *string) (names []string, _ *string, _ error) {
			l, err := h.ListJobs(t.Context(), h.ref, "", "", limit, marker)
			for _, j := range l.JobList {
				names = append(names, j.JobID)
			}
			return names, l.Marker, err
		},
	} {
		for _, c := range []struct {
			limit *string
			pages []int
		}{
			{nil, []int{1000, 1}},
			{new("1000000"), []int{1000, 1}},
			{new("99999999999999999999"), []int{1000, 1}},
			{new("500"), []int{500, 500, 1}},
			{new("143"), []int{143, 143, 143, 143, 143, 143, 143}}, // the last page is full
		} {
			checkPages(t, list, want[list], c.limit, c.pages, read)
		}
	}
}

// checkPages reads a list to its end.
func checkPages(t *testing.T, list string, want []string, limit *string, pages []int, read func(limit, marker *string) ([]string, *string, error)) {
	t.Helper()
	var all []string
	var sizes []int
	for marker := new(""); marker != nil; {
		names, next, err := read(limit, marker)
		check(t, err)
		all, sizes, marker = append(all, names...), append(sizes, len(names)), next
		if len(sizes) > len(pages) {
			break
		}
	}
	if !slices.Equal(all, want) || !slices.Equal(sizes, pages) {
		t.Errorf("%s: %d items in pages of %v; want %d in %v, in their order", list, len(all), sizes, len(want), pages)
	}
}
