package moving_test

import (
	"bytes"
	"context"
	"io"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/enginetest"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/store/moving"
	"github.com/moraine-archive/moraine/internal/store/objects"
	"github.com/moraine-archive/moraine/internal/store/storetest"
	"github.com/moraine-archive/moraine/internal/store/volume"
	"github.com/moraine-archive/moraine/internal/vfs"
)

// files is a side in a new directory.
func files(t *testing.T, now func() time.Time) moving.Side {
	t.Helper()
	s, err := volume.Open(vfs.OS(), t.TempDir(), volume.Defaults(), now)
	if err != nil {
		t.Fatal(err)
	}
	return moving.Side{Store: s, IsPlace: volume.IsPlace}
}

// bucket is a side in a new bucket.
func bucket(t *testing.T, now func() time.Time) moving.Side {
	t.Helper()
	b := enginetest.S3(t)
	o := objects.Defaults()
	o.Bucket, o.Endpoint, o.Region, o.PathStyle, o.Credentials = b.Name, b.Endpoint, b.Region, true, b.Credentials()
	s, err := objects.Open(t.Context(), o, now)
	if err != nil {
		t.Fatal(err)
	}
	return moving.Side{Store: s, IsPlace: objects.IsPlace}
}

func TestStore(t *testing.T) {
	t.Run("to files", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T, now func() time.Time) store.Store { return moving.New(bucket(t, now), files(t, now)) })
	})
	t.Run("to a bucket", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T, now func() time.Time) store.Store { return moving.New(files(t, now), bucket(t, now)) })
	})
}

// TestBothSides holds that what is in the old store is read, listed and removed as ever, that nothing is added to it, and that its volumes are gone through and not compacted.
func TestBothSides(t *testing.T) {
	old, next := files(t, time.Now), bucket(t, time.Now)
	put := func(s store.Store, text string) store.Extent {
		x, err := s.Put(t.Context(), store.Payload, []byte(text), treehash.NewStream(bytes.NewReader([]byte(text)), int64(len(text)), nil))
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	before := put(old.Store, "before")
	s := moving.New(old, next)
	t.Cleanup(func() { s.Close() })
	after := put(s, "after")
	if !s.IsOld(before.Place) || s.IsOld(after.Place) {
		t.Errorf("%s and %s are taken for each other's", before.Place, after.Place)
	}
	for _, x := range []store.Extent{before, after} {
		r, err := s.Open(t.Context(), x.Place, 0, x.Size)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil || string(b) != string(x.Label) || r.Close() != nil {
			t.Errorf("%s has %q, %v", x.Place, b, err)
		}
	}
	seen := map[string]int{}
	count := func(x store.Extent) error { seen[string(x.Label)]++; return nil }
	if err := s.Walk(t.Context(), count); err != nil || seen["before"] != 1 || seen["after"] != 1 {
		t.Errorf("Walk gives %v, %v", seen, err)
	}
	clear(seen)
	list, err := s.Volumes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range list {
		if err := s.Inspect(t.Context(), v.Name, store.Inspection{Data: true, Record: count, Damage: func(d store.Damage) error { t.Error(d); return nil }}); err != nil {
			t.Error(err)
		}
		c := store.Compaction{Fate: func(context.Context, store.Extent) (store.Fate, error) { return store.Drop, nil }}
		if done, err := s.Compact(t.Context(), v.Name, c); err != nil || done.Gone && v.Name[:4] == "old/" {
			t.Errorf("compacting %s: %+v, %v", v.Name, done, err)
		}
	}
	if seen["before"] != 1 || seen["after"] != 1 {
		t.Errorf("the volumes have %v", seen)
	}
	if err := s.Remove(t.Context(), before.Place); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stat(t.Context(), before.Place); !fault.Is(err, fault.NotFound) {
		t.Errorf("what was removed: %v", err)
	}
	if err := s.Remove(t.Context(), "nowhere"); !fault.Is(err, fault.Invalid) {
		t.Errorf("a place of nobody: %v", err)
	}
}
