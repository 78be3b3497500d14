package objects

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/enginetest"
	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/store/storetest"
)

const mib = treehash.LeafSize

func TestStore(t *testing.T) {
	for name, limit := range map[string]int64{"as it is used": MaxShareLimit, "nothing shares": -1, "little shares": 1000} {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T, now func() time.Time) store.Store {
				o := optionsFor(newBucket(t))
				o.ShareLimit = limit
				return openWith(t, o, now)
			})
		})
	}
}

// onMinIO is that the tests run on MinIO, as make test-minio has it, and are to take their time.
func onMinIO() bool { return os.Getenv("MORAINE_MINIO") != "" }

// newBucket returns an empty bucket: of versitygw, or of MinIO.
func newBucket(t testing.TB) enginetest.Bucket {
	t.Helper()
	if onMinIO() {
		return enginetest.MinIO(t)
	}
	return enginetest.S3(t)
}

// needsListsOfUploads skips a test on MinIO, which lists the uploads to one object but not those below a prefix. It removes them by itself, after a day.
func needsListsOfUploads(t *testing.T) {
	t.Helper()
	if onMinIO() {
		t.Skip("MinIO does not list the uploads below a prefix")
	}
}

// optionsFor are those of a store in a bucket of a test.
func optionsFor(b enginetest.Bucket) Options {
	o := Defaults()
	o.Bucket, o.Endpoint, o.Region, o.PathStyle, o.Credentials = b.Name, b.Endpoint, b.Region, true, b.Credentials()
	o.Prefix = "some/where"
	return o
}

// start is when tests happen.
var start = time.Date(2024, 2, 29, 10, 11, 12, 131_415_161, time.UTC) // read only

func startClock() time.Time { return start }

func openWith(t testing.TB, o Options, now func() time.Time) *Store {
	t.Helper()
	s, err := Open(context.Background(), o, now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func openNew(t testing.TB) (*Store, enginetest.Bucket) {
	t.Helper()
	b := newBucket(t)
	return openWith(t, optionsFor(b), startClock), b
}

// data returns bytes of which no two leaves are equal.
func data(size int) []byte {
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(size), byte(size >> 8), byte(size >> 16)}).Read(b)
	return b
}

func streamOf(payload []byte) *treehash.Stream {
	return treehash.NewStream(bytes.NewReader(payload), int64(len(payload)), nil)
}

func put(t testing.TB, s *Store, label string, payload []byte) store.Extent {
	t.Helper()
	x, err := s.Put(t.Context(), store.Payload, []byte(label), streamOf(payload))
	if err != nil {
		t.Fatalf("Put of %d bytes: %v", len(payload), err)
	}
	return x
}

// putPack puts records into one object.
func putPack(t testing.TB, s *Store, payloads ...[]byte) []store.Extent {
	t.Helper()
	var items []*small
	for i, p := range payloads {
		stream := streamOf(p)
		begun, rest, err := s.readSmall(stream)
		if err != nil || rest {
			t.Fatalf("a payload of %d bytes: too long %v, %v", len(p), rest, err)
		}
		items = append(items, &small{payload: begun, extent: incoming{kind: store.Payload, label: fmt.Appendf(nil, "label %d", i), payload: stream, stamp: s.stamp}.extent()})
	}
	if err := s.writePack(items, s.options.Class); err != nil {
		t.Fatal(err)
	}
	var all []store.Extent
	for _, x := range items {
		all = append(all, x.extent)
	}
	return all
}

func read(t testing.TB, s *Store, x store.Extent) []byte {
	t.Helper()
	r, err := s.Open(t.Context(), x.Place, 0, x.Size)
	if err != nil {
		t.Fatalf("open the record at %s: %v", x.Place, err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("read the record at %s: %v", x.Place, err)
	}
	return b
}

// walk returns what Walk gives: complete records, and others.
func walk(t testing.TB, s *Store) (complete map[store.Place]store.Extent, remains []store.Extent) {
	t.Helper()
	complete = make(map[store.Place]store.Extent)
	err := s.Walk(t.Context(), func(x store.Extent) error {
		if x.Kind == 0 {
			remains = append(remains, x)
		} else {
			complete[x.Place] = x
		}
		return nil
	})
	if err != nil {
		t.Fatalf("Walk: %v", err)
	}
	return complete, remains
}

// keys returns the keys of all objects in a bucket, and how many uploads are not complete.
func keys(t testing.TB, b enginetest.Bucket) (keys []string, uploads int) {
	t.Helper()
	pages := s3.NewListObjectsV2Paginator(b.Client(), &s3.ListObjectsV2Input{Bucket: &b.Name})
	for pages.HasMorePages() {
		out, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range out.Contents {
			keys = append(keys, aws.ToString(o.Key))
		}
	}
	if onMinIO() {
		return keys, 0 // see needsListsOfUploads
	}
	out, err := b.Client().ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &b.Name})
	if err != nil {
		t.Fatal(err)
	}
	return keys, len(out.Uploads)
}
