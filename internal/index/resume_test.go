package index

import (
	"errors"
	"testing"
	"time"
)

func TestJobs(t *testing.T) {
	ix := openNew(t)
	a := Job{ID: "j1", ArchiveID: "a", Tier: "Bulk", Started: noon}
	later := Job{ID: "j2", ArchiveID: "a", Range: "0-1048575", Tier: "Standard", Started: noon.Add(time.Hour)}
	inventory := Job{ID: "j3", Started: noon.Add(time.Minute)}
	for _, j := range []Job{a, later, inventory, a} {
		must(t, ix.AddJob(t.Context(), j))
	}
	check := func(what string, got []Job, err error, want ...Job) {
		t.Helper()
		same := err == nil && len(got) == len(want)
		for i := range want {
			same = same && got[i] == want[i]
		}
		if !same {
			t.Errorf("%s: %+v, %v, want %+v", what, got, err, want)
		}
	}
	all, err := ix.Jobs(t.Context())
	check("all", all, err, later, inventory, a)
	of, err := ix.JobsFor(t.Context(), "a")
	check("of an archive", of, err, later, a)
	of, err = ix.JobsFor(t.Context(), "")
	check("of inventories", of, err, inventory)
	must(t, ix.ForgetJob(t.Context(), "j2"))
	must(t, ix.ForgetJob(t.Context(), "unknown"))
	of, err = ix.JobsFor(t.Context(), "a")
	check("after one is forgotten", of, err, a)
}

func TestUploads(t *testing.T) {
	ix := openNew(t)
	modified := noon.Add(123456789 * time.Nanosecond)
	first := Upload{ID: "u1", Path: "/home/a b", Size: 1 << 40, ModTime: modified, PartSize: 1 << 20, Description: "mt2 x", Started: noon}
	second := first
	second.ID, second.Started = "u2", noon.Add(time.Hour)
	must(t, ix.AddUpload(t.Context(), second))
	must(t, ix.AddUpload(t.Context(), first))
	got, err := ix.UploadOf(t.Context(), first.Path, first.Size, modified.In(time.FixedZone("", 3600)))
	if err != nil || got != second {
		t.Errorf("got %+v, %v, want %+v", got, err, second)
	}
	for _, changed := range []Upload{
		{Path: first.Path, Size: 1, ModTime: modified}, {Path: first.Path, Size: first.Size, ModTime: modified.Add(1)}, {Path: "/home/a", Size: first.Size, ModTime: modified},
	} {
		if got, err := ix.UploadOf(t.Context(), changed.Path, changed.Size, changed.ModTime); !errors.Is(err, ErrNotFound) {
			t.Errorf("a file that has changed to %+v: %+v, %v", changed, got, err)
		}
	}
	must(t, ix.ForgetUpload(t.Context(), "u2"))
	if all, err := ix.Uploads(t.Context()); err != nil || len(all) != 1 || all[0] != first {
		t.Errorf("there are %+v, %v", all, err)
	}
	must(t, ix.Replace(t.Context(), inventory(noon)))
	if all, err := ix.Uploads(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("after an inventory there are %+v, %v", all, err)
	}
}
