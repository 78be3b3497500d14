package daemon_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/daemon"
	"github.com/moraine-archive/moraine/internal/enginetest"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

// TestColdClass keeps archives in classes that have to be restored before they are read, in a server that has them: clients notice nothing but the time.
func TestColdClass(t *testing.T) {
	for _, class := range []string{"GLACIER", "DEEP_ARCHIVE"} {
		t.Run(class, func(t *testing.T) {
			b := enginetest.Moto(t)
			moraintest.SetCredentials(b)
			s := moraintest.Start(t, func(c *config.Config) { c.Store = b.URL() + "&class=" + class + "&restore-days=3" })
			s.CreateVault(t, "v")
			small, large := []byte("a small archive"), moraintest.Pattern(12<<20+5)
			bodies := map[string][]byte{s.Upload(t, "v", small, "small"): small, s.Upload(t, "v", large, "large"): large}
			if n := restored(t, b, class); n != 0 {
				t.Errorf("%d objects were restored before anybody asked", n)
			}
			for id, want := range bodies {
				if got := s.Retrieve(t, "v", id); string(got) != string(want) {
					t.Errorf("archive %s has %d bytes that are not its own", id, len(got))
				}
			}
			if n := restored(t, b, class); n != len(bodies) {
				t.Errorf("%d objects were restored, want %d", n, len(bodies))
			}
			if list := s.Inventory(t, "v"); strings.Count(list, `"ArchiveId"`) != len(bodies) { // of what can be read at any moment
				t.Errorf("the inventory is %s", list)
			}
			s.Restart(t)
			for _, task := range []daemon.Task{{Name: "scrub"}, {Name: "check", Data: true}, {Name: "compact"}} {
				if r, events := maintain(t, s.Config(), task); r.Check != nil && r.Check.Wrong > 0 {
					t.Errorf("%s: %+v, %v", task.Name, *r.Check, events)
				}
			}
		})
	}
}

// restored counts the objects that were asked for. All payloads have to be in the class.
func restored(t *testing.T, b enginetest.Bucket, class string) (n int) {
	t.Helper()
	client := b.Client()
	list, err := client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &b.Name})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range list.Contents {
		payload := strings.HasPrefix(*o.Key, "data/")
		if is := o.StorageClass == types.ObjectStorageClass(class); is && !payload {
			t.Errorf("%s is in the class %s", *o.Key, o.StorageClass)
		}
		if !payload || o.StorageClass != types.ObjectStorageClass(class) {
			continue // of an inventory, say
		}
		h, err := client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &b.Name, Key: o.Key})
		if err != nil {
			t.Fatal(err)
		}
		if aws.ToString(h.Restore) != "" {
			n++
		}
	}
	return n
}
