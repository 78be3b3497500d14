package volume

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/vfs"
)

// The worked example of docs/formats.md.
const (
	formatsDoc     = "../../../docs/formats.md"
	exampleName    = "17b84daee3f7bc79a1b2c3d4e5f60718"
	examplePayload = "A leap day archive\n"
	exampleLabel   = `{"what":"archive","account":"123456789012","vault":"photos",` +
		`"archive":"4vWCfiErj6_iC-iRzvCua8m_GDPvT-cgT8-SEvBrD6P43PB54uyV6Jjp3XwoGKI4DxsiisnHhyEGN-fLBRD4dSUBsYlrWJLPqw5omF2zt7pMLpq_lYV3-HMqMQ2yEXG8HrQea5GMqF",` +
		`"description":"29 February"}`
)

// exampleVolume returns the file of the worked example.
func exampleVolume(t *testing.T) []byte {
	t.Helper()
	id, err := parseVolumeID(exampleName)
	if err != nil {
		t.Fatal(err)
	}
	h := recordHeader{
		kind: store.Payload, created: time.Date(2024, 2, 29, 10, 11, 12, 987_000_000, time.UTC),
		id: [idSize]byte([]byte("\x5a\x01\x5a\x02\x5a\x03\x5a\x04\x5a\x05\x5a\x06\x5a\x07\x5a\x08")),
	}
	return append(encodeVolumeHeader(frame{id: id}), encoded(h, []byte(exampleLabel), []byte(examplePayload))...)
}

// field is a stretch of bytes with a name.
type field struct {
	size int
	what string
}

// listing shows a volume with the name of each field.
func listing(b []byte, fields []field) string {
	var text strings.Builder
	at := 0
	for _, f := range fields {
		what := f.what
		for line := range slices.Chunk(b[at:at+f.size], 16) {
			shown := what
			if f.what == "label" || f.what == "payload" {
				shown = fmt.Sprintf("%-9s%s", what, strings.ReplaceAll(string(line), "\n", "."))
			}
			fmt.Fprintln(&text, strings.TrimRight(fmt.Sprintf("%4d  %-47s  %s", at, fmt.Sprintf("% x", line), shown), " "))
			at += len(line)
			what = ""
		}
	}
	return text.String()
}

func exampleListing(b []byte) string {
	created := int64(binary.LittleEndian.Uint64(b[volumeHeaderSize+24:]))
	padding := len(b) - volumeHeaderSize - int(recordHeader{label: uint32(len(exampleLabel)), payload: int64(len(examplePayload))}.size())
	return listing(b, []field{
		{8, `volume: "MORAINEV"`},
		{4, "format 1"},
		{4, "length of the volume header: 64"},
		{16, "id of the volume"},
		{8, "begun at " + time.UnixMilli(int64(binary.LittleEndian.Uint64(b[32:]))).UTC().Format(time.RFC3339Nano)},
		{20, "reserved"},
		{4, "CRC-32 of the volume header"},
		{4, `record: "MREC"`},
		{1, "kind 1: payload"},
		{3, "reserved"},
		{4, fmt.Sprintf("length of the label: %d", len(exampleLabel))},
		{4, "number of the record in its volume: 0"},
		{8, fmt.Sprintf("length of the payload: %d", len(examplePayload))},
		{8, "complete at " + time.UnixMilli(created).UTC().Format(time.RFC3339Nano)},
		{16, "id of the record"},
		{12, "reserved"},
		{4, "CRC-32 of the record header"},
		{len(exampleLabel), "label"},
		{len(examplePayload), "payload"},
		{32, "trailer: leaf, the SHA-256 of the payload"},
		{32, "tree hash, of one leaf the leaf"},
		{32, "digest of header, label, leaf and tree hash"},
		{16, "id of the record"},
		{8, "end mark"},
		{padding, "padding"},
	})
}

func TestWorkedExample(t *testing.T) {
	doc := string(readFile(t, formatsDoc))
	_, after, found := strings.Cut(doc, "<!-- worked example -->\n```\n")
	shown, _, closed := strings.Cut(after, "```\n")
	if !found || !closed {
		t.Fatalf("%s has no worked example", formatsDoc)
	}
	b := exampleVolume(t)
	want := exampleListing(b)
	if *update {
		writeFile(t, formatsDoc, []byte(strings.Replace(doc, "<!-- worked example -->\n```\n"+shown, "<!-- worked example -->\n```\n"+want, 1)))
		shown = want
	}
	if shown != want {
		t.Errorf("the worked example of %s is not what is written (go test -update writes it anew). Now:\n%s", formatsDoc, want)
	}
	for _, say := range []string{
		fmt.Sprintf("An archive of %d bytes in a volume of %d.", len(examplePayload), len(b)),
		fmt.Sprintf("`%s/%s.vol`", exampleName[30:], exampleName),
	} {
		if !strings.Contains(doc, say) {
			t.Errorf("%s does not say %q", formatsDoc, say)
		}
	}
	checkExample(t, b)
}

// checkExample has the store read the worked example.
func checkExample(t *testing.T, b []byte) {
	t.Helper()
	s := open(t)
	at := store.Place(exampleName + ":64")
	writeFile(t, fileOf(t, s, at), b)
	got, err := read(s, at)
	if err != nil || string(got) != examplePayload {
		t.Errorf("the store reads %q, %v from the worked example", got, err)
	}
	if x, err := s.Stat(t.Context(), at); err != nil || string(x.Label) != exampleLabel {
		t.Errorf("the label of the worked example is %s, %v", x.Label, err)
	}
}

// What Put writes is what the worked example is made of.
func TestPutWritesTheFormat(t *testing.T) {
	now := start
	s := openWith(t, vfs.OS(), alone(), func() time.Time { return now })
	x, err := s.Put(t.Context(), store.Payload, []byte(exampleLabel), payload([]byte(examplePayload)))
	if err != nil {
		t.Fatal(err)
	}
	b := readFile(t, fileOf(t, s, x.Place))
	id, _, _ := parsePlace(x.Place)
	h := recordHeader{kind: store.Payload, created: start.Truncate(time.Millisecond), id: [idSize]byte(b[volumeHeaderSize+32:][:idSize])}
	want := append(encodeVolumeHeader(frame{id: id}), encoded(h, []byte(exampleLabel), []byte(examplePayload))...)
	if !bytes.Equal(b, want) {
		t.Errorf("Put writes\n%s, want\n%s", hex.Dump(b), hex.Dump(want))
	}
}

func TestFormatsNamesItsReader(t *testing.T) {
	doc := string(readFile(t, formatsDoc))
	const reader = "../contrib/read_volumes.py"
	if _, err := os.Stat(filepath.Join(filepath.Dir(formatsDoc), reader)); err != nil || !strings.Contains(doc, "("+reader+")") {
		t.Errorf("%s names no reader that is there: %v", formatsDoc, err)
	}
}

// TestReaderNoticesWhatTheStoreNotices damages a byte of each of many volumes, another in each. The reader that docs/formats.md
// names must find the same volumes damaged as the store.
func TestReaderNoticesWhatTheStoreNotices(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skipf("the reader of volumes cannot be run: there is no python3: %v", err)
	}
	s := open(t)
	good := exampleVolume(t)
	var want []string
	for at := range len(good) + 20 {
		id := volumeID(good[16:32])
		binary.BigEndian.PutUint32(id[8:], uint32(at))
		b := append(encodeVolumeHeader(frame{id: id}), good[volumeHeaderSize:]...)
		if at < len(b) {
			b[at] ^= 0x20
		} else {
			b = b[:len(b)-(at-len(b))] // with as many bytes less
		}
		writeFile(t, s.path(frame{id: id}), b)
		if _, err := read(s, place(id, volumeHeaderSize)); err != nil {
			want = append(want, string(place(id, volumeHeaderSize)))
		}
	}
	var complaints bytes.Buffer
	cmd := exec.Command(python, filepath.Join(filepath.Dir(formatsDoc), "../contrib/read_volumes.py"), "verify", s.dir)
	cmd.Stderr = &complaints
	if err := cmd.Run(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Fatalf("verify: %v, %s", err, &complaints)
	}
	var got []string
	for line := range strings.Lines(complaints.String()) {
		id, off, _ := strings.Cut(line, ":")
		off, _, _ = strings.Cut(off, ":")
		got = append(got, id+":"+off)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the reader complains of %d volumes, the store of %d:\n%s", len(got), len(want), &complaints)
	}
}
