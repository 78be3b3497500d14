package index

import (
	"errors"
	"testing"
	"time"
)

func TestUploads(t *testing.T) {
	ix := openNew(t)
	modified := noon.Add(123456789 * time.Nanosecond)
	first := Upload{ID: "u1", Path: "/home/a b", Size: 1 << 40, ModTime: modified, Description: "mt2 x", Started: noon, Completing: noon.Add(time.Minute)}
	second := first
	second.ID, second.Started, second.Completing = "u2", noon.Add(time.Hour), time.Time{}
	must(t, ix.AddUpload(t.Context(), second))
	must(t, ix.AddUpload(t.Context(), first))
	other := first // the newest, under another description
	other.ID, other.Description, other.Started = "u3", "mt2 y", noon.Add(2*time.Hour)
	must(t, ix.AddUpload(t.Context(), other))
	got, err := ix.UploadOf(t.Context(), first.Path, first.Size, modified.In(time.FixedZone("", 3600)), "mt2 x")
	if err != nil || got != second {
		t.Errorf("got %+v, %v, want %+v", got, err, second)
	}
	for _, changed := range []Upload{
		{Path: first.Path, Size: 1, ModTime: modified}, {Path: first.Path, Size: first.Size, ModTime: modified.Add(1)}, {Path: "/home/a", Size: first.Size, ModTime: modified},
	} {
		if got, err := ix.UploadOf(t.Context(), changed.Path, changed.Size, changed.ModTime, "mt2 x"); !errors.Is(err, ErrNotFound) {
			t.Errorf("a file that has changed to %+v: %+v, %v", changed, got, err)
		}
	}
	must(t, ix.ForgetUpload(t.Context(), "u2"))
	must(t, ix.ForgetUpload(t.Context(), "u3"))
	if all, err := ix.Uploads(t.Context()); err != nil || len(all) != 1 || all[0] != first {
		t.Errorf("there are %+v, %v", all, err)
	}
	must(t, ix.Add(t.Context(), archive("made", "mt2 x", noon.Add(time.Hour)), "u4"))
	must(t, ix.Replace(t.Context(), inventory(noon)))
	if all, err := ix.Uploads(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("after an inventory there are %+v, %v", all, err)
	}
	must(t, ix.Add(t.Context(), archive("made", "mt2 x", noon.Add(time.Hour)), first.ID))
	if all, err := ix.Uploads(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("of an upload that has become an archive there is %+v, %v", all, err)
	}
}
