package vault

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/moraine-archive/moraine/internal/fault"
)

func TestMarkers(t *testing.T) {
	for _, at := range []string{"", "0", "9999999999", "an id", strings.Repeat("x", 138)} {
		got, err := position(encodeMarker("jobs of vault 1", at), "jobs of vault 1")
		if err != nil || got != at {
			t.Errorf("position %q came back as %q, %v", at, got, err)
		}
	}
	for _, at := range []string{"with\na line", "\x00", "\xff"} { // the checksum is no secret, and not every database takes such text
		_, err := position(encodeMarker("jobs of vault 1", at), "jobs of vault 1")
		wantFault(t, at, err, fault.Invalid)
	}
	for _, none := range []*string{nil, new("")} {
		if at, err := position(none, "jobs of vault 1"); at != "" || err != nil {
			t.Errorf("no marker is position %q, %v", at, err)
		}
	}
}

func TestMarkersOfOtherLists(t *testing.T) {
	marker := encodeMarker("jobs of vault 1", "x")
	for _, list := range []string{"jobs of vault 2", "jobs of vault 11", "jobs of vault ", "uploads of vault 1", "jobs of vault 1\nx", ""} {
		_, err := position(marker, list)
		wantFault(t, "as a marker of "+list, err, fault.Invalid)
	}
}

// TestDamagedMarkers changes and cuts a marker everywhere. The last character of base64 may have bits that mean nothing.
func TestDamagedMarkers(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/ \n"
	list, at := "parts of upload x", "1048576"
	marker := *encodeMarker(list, at)
	for i := range marker {
		for _, c := range alphabet {
			damaged := marker[:i] + string(c) + marker[i+1:]
			got, err := position(&damaged, list)
			if err == nil && got != at {
				t.Fatalf("%s for %s is position %q", damaged, marker, got)
			}
			if err == nil && damaged != marker && i < len(marker)-1 {
				t.Errorf("%s is accepted for %s", damaged, marker)
			}
		}
		for _, cut := range []string{marker[:i], marker[i:][1:]} {
			if cut == "" {
				continue
			}
			if _, err := position(&cut, list); err == nil {
				t.Errorf("%s is accepted for %s", cut, marker)
			}
		}
	}
	for _, text := range []string{"x", "nonsense", "AAAAAA", "AAAAAAAAAAAA", marker + "A", marker + marker, "é"} {
		_, err := position(&text, list)
		wantFault(t, text, err, fault.Invalid)
	}
}

// TestForgedMarkers has markers with a right checksum and a position that no list gives.
func TestForgedMarkers(t *testing.T) {
	for _, at := range []string{"x", "1.5", "9223372036854775808", " 1"} {
		_, err := partPosition(encodeMarker("parts of upload u", at), "parts of upload u")
		wantFault(t, "part position "+at, err, fault.Invalid)
	}
	for _, at := range []string{"x id", " id", "id"} {
		_, _, err := inventoryPosition(7, encodeMarker(inventoryName(7), at))
		wantFault(t, "inventory position "+at, err, fault.Invalid)
	}
}

// TestMarkersBelongToTheirList gives every list the markers of others.
func TestMarkersBelongToTheirList(t *testing.T) {
	h := newHouse(t, inMemory, Defaults())
	h.settings.Page = 1
	other := Ref{h.ref.Account, "w"}
	check(t, h.CreateVault(t.Context(), other))
	uploads := []string{h.upload(t), h.upload(t)}
	for _, u := range uploads {
		h.part(t, u, 0, []byte("x"))
		h.part(t, u, 1<<20, []byte("y"))
	}
	h.archive(t, []byte("x"))
	h.archive(t, []byte("y"))
	h.job(t, "")
	inventory := h.limitedInventory(t)
	markers := make(map[string]*string)
	parts, err := h.ListParts(t.Context(), h.ref, uploads[0], nil, nil)
	check(t, err)
	open, err := h.ListMultipartUploads(t.Context(), h.ref, nil, nil)
	check(t, err)
	jobs, err := h.ListJobs(t.Context(), h.ref, "", "", nil, nil)
	check(t, err)
	described, err := h.DescribeJob(t.Context(), h.ref, inventory)
	check(t, err)
	markers["parts"], markers["uploads"], markers["jobs"] = parts.Marker, open.Marker, jobs.Marker
	markers["inventory"] = described.InventoryRetrievalParameters.Marker

	use := func(ref Ref, upload, list string, marker *string) (err error) {
		switch list {
		case "parts":
			_, err = h.ListParts(t.Context(), ref, upload, nil, marker)
		case "uploads":
			_, err = h.ListMultipartUploads(t.Context(), ref, nil, marker)
		case "jobs":
			_, err = h.ListJobs(t.Context(), ref, "", "", nil, marker)
		case "inventory":
			_, err = h.InitiateJob(t.Context(), ref, inventoryFrom(marker))
		}
		return err
	}
	for list := range markers {
		for of, marker := range markers {
			if marker == nil {
				t.Fatalf("there is no marker of %s", of)
			}
			err := use(h.ref, uploads[0], list, marker)
			if of != list {
				wantFault(t, list+" with the marker of "+of, err, fault.Invalid)
			} else if err != nil {
				t.Errorf("%s with its own marker: %v", list, err)
			}
		}
		if list == "parts" {
			wantFault(t, "parts of another upload", use(h.ref, uploads[1], list, markers[list]), fault.Invalid)
		} else {
			wantFault(t, list+" of another vault", use(other, "", list, markers[list]), fault.Invalid)
		}
	}
}

// limitedInventory finishes an inventory job that lists one archive.
func (h *house) limitedInventory(t *testing.T) string {
	t.Helper()
	p := inventoryFrom(nil)
	p.Inventory.Limit = new("1")
	id, err := h.InitiateJob(t.Context(), h.ref, p)
	check(t, err)
	_, err = h.FinishJobs(t.Context(), AllJobs)
	check(t, err)
	return id
}

func inventoryFrom(marker *string) JobParameters {
	p := JobParameters{Type: new("inventory-retrieval")}
	p.Inventory = &struct{ StartDate, EndDate, Limit, Marker *string }{Marker: marker}
	return p
}

func FuzzMarkers(f *testing.F) {
	f.Add("", "jobs of vault 1", "")
	f.Add(*encodeMarker("jobs of vault 1", "id"), "jobs of vault 1", "id")
	f.Add(*encodeMarker("", ""), "", "\n")
	f.Add("AAAA", "", "")
	f.Fuzz(func(t *testing.T, text, list, at string) {
		if got, err := position(&text, list); err == nil && text != "" {
			raw, _ := base64.RawURLEncoding.DecodeString(text)
			again, _ := base64.RawURLEncoding.DecodeString(*encodeMarker(list, got))
			if string(raw) != string(again) {
				t.Errorf("%q is accepted as position %q of %q, whose marker is another", text, got, list)
			}
		} else if err != nil && fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v", text, err)
		}
		if strings.Contains(list, "\n") || !printable(at) {
			return // no list has such a name, no item such a position
		}
		if got, err := position(encodeMarker(list, at), list); err != nil || got != at {
			t.Errorf("position %q of %q came back as %q, %v", at, list, got, err)
		}
	})
}
