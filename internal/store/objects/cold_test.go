package objects

import (
	"bytes"

	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/moraine-archive/moraine/internal/enginetest"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/store/storetest"
)

var _ store.Cold = (*Store)(nil)
var _ store.Volumes = (*Store)(nil)

// openCold opens a store with a class for payloads.
func openCold(t *testing.T, class string) (*Store, enginetest.Bucket) {
	t.Helper()
	b := enginetest.Moto(t)
	o := optionsFor(b)
	o.Class = class
	return openWith(t, o, startClock), b
}

// classOf asks the server for the class of the data of a record.
func classOf(t *testing.T, s *Store, b enginetest.Bucket, key string) string {
	t.Helper()
	out, err := b.Client().HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &b.Name, Key: s.bucket.key(key)})
	if err != nil {
		t.Fatal(err)
	}
	return string(out.StorageClass)
}

func TestStoreOnMoto(t *testing.T) {
	if !onMinIO() {
		t.Skip("for make test-minio: another server takes its time")
	}
	storetest.Run(t, func(t *testing.T, now func() time.Time) store.Store {
		return openWith(t, optionsFor(enginetest.Moto(t)), now)
	})
}

func TestClasses(t *testing.T) {
	for _, class := range []string{"GLACIER", "DEEP_ARCHIVE", "STANDARD_IA"} {
		s, b := openCold(t, class)
		for _, size := range []int{10, 2 * mib, 9 * mib} {
			cold := put(t, s, "cold", data(size))
			if got := classOf(t, s, b, nameOf(t, cold).data()); got != class {
				t.Errorf("a payload of %d bytes is in class %q, want %q", size, got, class)
			}
			if got := classOf(t, s, b, nameOf(t, cold).meta()); got != "" && got != "STANDARD" {
				t.Errorf("its description is in class %q", got)
			}
			warm, err := s.PutWarm(t.Context(), store.Payload, []byte("warm"), streamOf(data(size)))
			if err != nil {
				t.Fatal(err)
			}
			manifest, err := s.Put(t.Context(), store.Manifest, []byte("manifest"), streamOf(data(size)))
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range []store.Extent{warm, manifest} {
				if got := classOf(t, s, b, nameOf(t, x).data()); got != "" && got != "STANDARD" {
					t.Errorf("%s of %d bytes is in class %q", x.Label, size, got)
				}
				if !bytes.Equal(read(t, s, x), data(size)) {
					t.Errorf("%s of %d bytes has other bytes", x.Label, size)
				}
			}
		}
	}
}

func TestCold(t *testing.T) {
	s, b := openCold(t, "GLACIER")
	large, pack := put(t, s, "large", data(2*mib)), putPack(t, s, data(100), nil, data(300))
	all := []store.Place{large.Place, pack[0].Place, pack[1].Place, pack[2].Place}
	for _, x := range []store.Extent{large, pack[2]} {
		_, err := s.Open(t.Context(), x.Place, 0, x.Size)
		if !errors.Is(err, store.ErrCold) || fault.Is(err, fault.Corrupt) || fault.Is(err, fault.NotFound) {
			t.Errorf("open what is cold: %v", err)
		}
		if got, err := s.Stat(t.Context(), x.Place); err != nil || got.Tree != x.Tree {
			t.Errorf("Stat of what is cold: %+v, %v", got, err)
		}
	}
	for _, n := range []name{nameOf(t, large), nameOf(t, pack[0])} {
		records, damage := inspect(t, s, n, true)
		if len(records) != n.records() || len(damage) > 0 {
			t.Errorf("Inspect of what is cold: %v, %v", records, damage)
		}
	}
	if got, _ := walk(t, s); len(got) != 4 {
		t.Errorf("Walk gives %v", got)
	}
	fates := map[string]store.Fate{"label 0": store.Move, "label 1": store.Drop, "label 2": store.Drop}
	if c, moves := compact(t, s, nameOf(t, pack[0]), fates); c.Gone || len(moves) > 0 || len(c.Damaged) > 0 {
		t.Errorf("Compact of what is cold: %+v, %v", c, moves)
	}
	if h, err := s.bucket.head(t.Context(), nameOf(t, large).data()); err != nil || h.restore != "" {
		t.Errorf("something was asked for: %+v, %v", h, err)
	}
	for range 20 {
		ready, err := s.Warm(t.Context(), "Expedited", all...)
		if err != nil {
			t.Fatal(err)
		}
		if ready {
			break
		}
	}
	for i, x := range []store.Extent{large, pack[0], pack[2]} {
		if want := [][]byte{data(2 * mib), data(100), data(300)}[i]; !bytes.Equal(read(t, s, x), want) {
			t.Errorf("%s has other bytes", x.Label)
		}
	}
	c, moves := compact(t, s, nameOf(t, pack[0]), fates)
	if !c.Gone || len(moves) != 1 {
		t.Fatalf("Compact of what was restored: %+v, %v", c, moves)
	}
	if got := classOf(t, s, b, nameOf(t, moves[0].Extent).data()); got != "GLACIER" {
		t.Errorf("what was moved is in class %q", got)
	}
	if c, _ := compact(t, s, nameOf(t, putPack(t, s, data(1), data(2))[0]), map[string]store.Fate{"label 0": store.Drop, "label 1": store.Drop}); !c.Gone {
		t.Errorf("Compact of what is cold and not needed: %+v", c)
	}
}

func TestWarm(t *testing.T) {
	s, _ := openCold(t, "DEEP_ARCHIVE")
	cold := put(t, s, "cold", data(10))
	warm, err := s.PutWarm(t.Context(), store.Payload, nil, streamOf(data(10)))
	if err != nil {
		t.Fatal(err)
	}
	if ready, err := s.Warm(t.Context(), "Standard", warm.Place); err != nil || !ready {
		t.Errorf("what is warm is ready: %v, %v", ready, err)
	}
	if ready, err := s.Warm(t.Context(), "Bulk"); err != nil || !ready {
		t.Errorf("nothing is ready: %v, %v", ready, err)
	}
	if _, err := s.Warm(t.Context(), "Fast", cold.Place); !fault.Is(err, fault.Invalid) {
		t.Errorf("a tier that does not exist: %v", err)
	}
	if _, err := s.Warm(t.Context(), "Bulk", newName(start, 1).place(0)); !fault.Is(err, fault.NotFound) {
		t.Errorf("a record that does not exist: %v", err)
	}
	s.bucket.delete(t.Context(), nameOf(t, cold).data())
	if _, err := s.Warm(t.Context(), "Bulk", cold.Place); !fault.Is(err, fault.Corrupt) {
		t.Errorf("a record without bytes: %v", err)
	}
}

// TestRestoreTakesTime asks a server that is not done at once.
func TestRestoreTakesTime(t *testing.T) {
	s, b := openCold(t, "GLACIER")
	transition := func(how string) {
		t.Helper()
		r, err := http.Post(b.Endpoint+"/moto-api/state-manager/set-transition", "application/json", strings.NewReader(`{"model_name":"s3::keyrestore","transition":`+how+`}`))
		if err != nil || r.StatusCode/100 != 2 {
			t.Fatalf("tell moto to take its time: %v, %v", r, err)
		}
		r.Body.Close()
	}
	transition(`{"progression":"manual","times":6}`)
	t.Cleanup(func() { transition(`{"progression":"immediate"}`) })
	first, second := put(t, s, "first", data(2*mib)), put(t, s, "second", data(10))
	tries := 0
	for ready := false; !ready; tries++ {
		if tries > 50 {
			t.Fatal("it is never ready")
		}
		if _, err := s.Open(t.Context(), first.Place, 0, 1); !errors.Is(err, store.ErrCold) && tries < 2 {
			t.Errorf("open what is not restored yet: %v", err)
		}
		var err error
		if ready, err = s.Warm(t.Context(), "Standard", first.Place, second.Place); err != nil {
			t.Fatal(err)
		}
	}
	if tries < 2 {
		t.Errorf("it was ready after %d times", tries)
	}
	if !bytes.Equal(read(t, s, first), data(2*mib)) || !bytes.Equal(read(t, s, second), data(10)) {
		t.Error("what was restored has other bytes")
	}
	longer := openWith(t, optionsFor(b), startClock)
	longer.options.RestoreDays = 10
	if ready, err := longer.Warm(t.Context(), "Standard", first.Place); err != nil || !ready {
		t.Errorf("asked for longer: %v, %v", ready, err)
	}
	h, err := s.bucket.head(t.Context(), nameOf(t, first).data())
	if until := restorationOf(h.restore).until; err != nil || time.Until(until) < 9*24*time.Hour {
		t.Errorf("it stays until %s, %v", until, err)
	}
}

func TestTiers(t *testing.T) {
	s := &Store{options: Options{RestoreTiers: map[string]string{"Bulk": "Slow"}}}
	for _, c := range []struct{ class, tier, want string }{
		{"GLACIER", "Expedited", "Expedited"}, {"DEEP_ARCHIVE", "Expedited", "Standard"}, {"DEEP_ARCHIVE", "Standard", "Standard"}, {"GLACIER", "Bulk", "Slow"},
	} {
		if got := s.tierFor(c.class, c.tier); got != c.want {
			t.Errorf("%s of class %s is %s, want %s", c.tier, c.class, got, c.want)
		}
	}
}

func TestNeedsRestore(t *testing.T) {
	yes, no := true, false
	for _, c := range []struct {
		class    string
		override *bool
		needs    []string
	}{
		{"", nil, []string{"GLACIER", "DEEP_ARCHIVE"}},
		{"TAPE", nil, []string{"GLACIER", "DEEP_ARCHIVE"}},
		{"TAPE", &yes, []string{"GLACIER", "DEEP_ARCHIVE", "TAPE"}},
		{"GLACIER", &no, []string{"DEEP_ARCHIVE"}},
	} {
		s := &Store{options: Options{Class: c.class, NeedsRestore: c.override}}
		for _, class := range []string{"", "STANDARD", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE", "TAPE"} {
			if got := s.needsRestore(class); got != slices.Contains(c.needs, class) {
				t.Errorf("with class %q: that %q needs to be restored is %v", c.class, class, got)
			}
		}
	}
}

func TestRestorationOf(t *testing.T) {
	for header, want := range map[string]restoration{
		"":                       {},
		`ongoing-request="true"`: {asked: true},
		`ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT"`: {true, true, time.Date(2012, 12, 21, 0, 0, 0, 0, time.UTC)},
		`ongoing-request="false"`:                     {asked: true, ready: true},
		`ongoing-request="false", expiry-date="soon"`: {asked: true, ready: true},
	} {
		if got := restorationOf(header); got.asked != want.asked || got.ready != want.ready || !got.until.Equal(want.until) {
			t.Errorf("%q is %+v, want %+v", header, got, want)
		}
	}
}
