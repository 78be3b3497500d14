package objects

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/store"
)

var update = flag.Bool("update", false, "write docs/formats.md anew")

// The worked example of docs/formats.md.
const (
	formatsDoc     = "../../../docs/formats.md"
	exampleName    = "0000018df458ba83-0001-5a015a025a035a045a055a06"
	examplePayload = "A leap day archive\n"
	exampleLabel   = `{"what":"archive","account":"123456789012","vault":"photos",` +
		`"archive":"4vWCfiErj6_iC-iRzvCua8m_GDPvT-cgT8-SEvBrD6P43PB54uyV6Jjp3XwoGKI4DxsiisnHhyEGN-fLBRD4dSUBsYlrWJLPqw5omF2zt7pMLpq_lYV3-HMqMQ2yEXG8HrQea5GMqF",` +
		`"description":"29 February"}`
	exampleMarker = "<!-- worked example of a bucket -->\n```\n"
)

func exampleExtent(kind store.Kind, label, payload string) store.Extent {
	s := streamOf([]byte(payload))
	for {
		if _, _, err := s.Next(); err != nil {
			break
		}
	}
	return store.Extent{
		Kind: kind, Label: []byte(label), Size: int64(len(payload)), Tree: s.Sum(), Leaves: s.Leaves(),
		Created: time.Date(2024, 2, 29, 10, 11, 12, 987_000_000, time.UTC),
	}
}

// exampleMeta returns what describes the object of the worked example, and one of three records.
func exampleMeta() (one, three []byte) {
	x := exampleExtent(store.Payload, exampleLabel, examplePayload)
	one = newMeta(exampleName, []store.Extent{x}).encode(exampleName)
	n := name(strings.Replace(exampleName, "-0001-", "-0003-", 1))
	others := []store.Extent{x, exampleExtent(store.Tombstone, `{"what":"deleted"}`, ""), exampleExtent(store.Manifest, "", strings.Repeat("x", mib+1))}
	others[1].Skew = -time.Hour
	return one, newMeta(n, others).encode(n)
}

// exampleListing shows a meta with the name of each field.
func exampleListing(b []byte) string {
	var text strings.Builder
	at := 0
	for _, f := range []struct {
		size int
		what string
	}{
		{8, `"MORAINEM"`},
		{4, "format 1"},
		{4, "records: 1"},
		{8, fmt.Sprintf("length of the object below data/: %d", len(examplePayload))},
		{8, "reserved"},
		{1, "record 0: kind 1, payload"},
		{3, "reserved"},
		{4, fmt.Sprintf("length of the label: %d", len(exampleLabel))},
		{8, "offset of the payload: 0"},
		{8, fmt.Sprintf("length of the payload: %d", len(examplePayload))},
		{8, "complete at 2024-02-29T10:11:12.987Z"},
		{8, "skew: 0"},
		{32, "tree hash, of one leaf the leaf"},
		{len(exampleLabel), "label"},
		{32, "leaf, the SHA-256 of the payload"},
		{32, "digest of the name and all before"},
	} {
		what := f.what
		for line := range slices.Chunk(b[at:at+f.size], 16) {
			shown := what
			if f.what == "label" {
				shown = fmt.Sprintf("%-9s%s", what, line)
			}
			fmt.Fprintln(&text, strings.TrimRight(fmt.Sprintf("%4d  %-47s  %s", at, fmt.Sprintf("% x", line), shown), " "))
			at += len(line)
			what = ""
		}
	}
	if at != len(b) {
		fmt.Fprintf(&text, "and %d bytes\n", len(b)-at)
	}
	return text.String()
}

// TestWorkedExample holds docs/formats.md against what is written.
func TestWorkedExample(t *testing.T) {
	read, err := os.ReadFile(formatsDoc)
	if err != nil {
		t.Fatal(err)
	}
	doc := string(read)
	_, after, found := strings.Cut(doc, exampleMarker)
	shown, _, closed := strings.Cut(after, "```\n")
	if !found || !closed {
		t.Fatalf("%s has no worked example of a bucket", formatsDoc)
	}
	b, _ := exampleMeta()
	want := exampleListing(b)
	if *update {
		if err := os.WriteFile(formatsDoc, []byte(strings.Replace(doc, exampleMarker+shown, exampleMarker+want, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
		shown = want
	}
	if shown != want {
		t.Errorf("the worked example of %s is not what is written (go test -update writes it anew). Now:\n%s", formatsDoc, want)
	}
	for _, say := range []string{
		fmt.Sprintf("`data/%s` has the %d bytes, and `meta/%s` has %d", exampleName, len(examplePayload), exampleName, len(b)),
		fmt.Sprintf("up to %d records", maxRecords), fmt.Sprintf("at most %d characters", maxIndexes),
	} {
		if !strings.Contains(doc, say) {
			t.Errorf("%s does not say %q", formatsDoc, say)
		}
	}
	m, err := decodeMeta(exampleName, b)
	if err != nil || string(m.records[0].Label) != exampleLabel {
		t.Errorf("the worked example is read as %+v, %v", m, err)
	}
}

// TestMetaIsHeldAgainstItsDigest flips every bit of a meta, and gives it every other length and another name.
func TestMetaIsHeldAgainstItsDigest(t *testing.T) {
	b, _ := exampleMeta()
	for i := range len(b) * 8 {
		changed := slices.Clone(b)
		changed[i/8] ^= 1 << (i % 8)
		if _, err := decodeMeta(exampleName, changed); err == nil {
			t.Errorf("bit %d of byte %d may be another", i%8, i/8)
		}
	}
	for n := range b {
		if _, err := decodeMeta(exampleName, b[:n]); err == nil {
			t.Errorf("%d bytes are enough", n)
		}
	}
	if _, err := decodeMeta(newName(start, 1), b); err == nil {
		t.Error("it may have another name")
	}
}
