package volume_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/moraintest"
	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/store/volume"
	"github.com/moraine-archive/moraine/internal/vfs"
)

// readerProgram is a reader of volumes that knows nothing of Moraine but docs/formats.md.
const readerProgram = "../../../contrib/read_volume.py"

// readVolumes runs the reader. It returns what it prints, what it complains of, and its exit code.
func readVolumes(t *testing.T, args ...string) (out, complaints string, code int) {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skipf("the reader of volumes cannot be run: there is no python3: %v", err)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(python, append([]string{readerProgram}, args...)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if strings.Contains(stderr.String(), "Traceback") {
		t.Fatalf("%q breaks the reader: %s", args, &stderr)
	}
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

// archives are what a server was told to keep, by id, and what it was told to delete.
type archives struct {
	kept    map[string][]byte
	deleted []string
}

// fill gives a server one archive of every kind.
func fill(t *testing.T, s *moraintest.Server) archives {
	t.Helper()
	s.CreateVault(t, "photos")
	a := archives{kept: make(map[string][]byte)}
	for _, size := range []int{1, 1 << 20, 2<<20 + 5} {
		a.kept[s.Upload(t, "photos", moraintest.Pattern(size), fmt.Sprintf(`"%d" bytes <&>`, size))] = moraintest.Pattern(size)
	}
	for _, size := range []int{7, 2<<20 + 1<<19} {
		a.kept[multipart(t, s, moraintest.Pattern(size))] = moraintest.Pattern(size)
	}
	upload(t, s) // is never completed

	gone := s.Upload(t, "photos", []byte("goes at once"), "")
	held := s.Upload(t, "photos", []byte("is held by a job"), "")
	heldParts := multipart(t, s, moraintest.Pattern(1<<20+1))
	for _, id := range []string{held, heldParts} {
		s.WaitForJob(t, "photos", s.InitiateJob(t, "photos", `{"Type":"archive-retrieval","ArchiveId":"`+id+`"}`))
	}
	s.WaitForJob(t, "photos", s.InitiateJob(t, "photos", `{"Type":"inventory-retrieval"}`))
	a.deleted = []string{gone, held, heldParts}
	for _, id := range a.deleted {
		if r := s.Do(t, moraintest.Request{Method: "DELETE", Path: "/-/vaults/photos/archives/" + id}); r.Status != 204 {
			t.Fatalf("DeleteArchive: %d %s", r.Status, r.Body)
		}
	}
	return a
}

// upload opens an upload in parts of 1 MiB and gives it a part.
func upload(t *testing.T, s *moraintest.Server) string {
	t.Helper()
	r := s.Do(t, moraintest.Request{Method: "POST", Path: "/-/vaults/photos/multipart-uploads", Header: map[string]string{
		"x-amz-part-size": fmt.Sprint(1 << 20), "x-amz-archive-description": "in parts",
	}})
	if r.Status != 201 {
		t.Fatalf("InitiateMultipartUpload: %d %s", r.Status, r.Body)
	}
	id := r.Header.Get("x-amz-multipart-upload-id")
	putPart(t, s, id, 0, bytes.Repeat([]byte("replaced"), 1<<17))
	return id
}

func putPart(t *testing.T, s *moraintest.Server, upload string, first int, b []byte) {
	t.Helper()
	h := moraintest.UploadHeaders(b)
	h["Content-Range"] = fmt.Sprintf("bytes %d-%d/*", first, first+len(b)-1)
	if r := s.Do(t, moraintest.Request{Method: "PUT", Path: "/-/vaults/photos/multipart-uploads/" + upload, Header: h, Body: b}); r.Status != 204 {
		t.Fatalf("UploadMultipartPart: %d %s", r.Status, r.Body)
	}
}

func multipart(t *testing.T, s *moraintest.Server, b []byte) string {
	t.Helper()
	id, at := upload(t, s), 0
	for part := range slices.Chunk(b, 1<<20) {
		putPart(t, s, id, at, part)
		at += len(part)
	}
	r := s.Do(t, moraintest.Request{Method: "POST", Path: "/-/vaults/photos/multipart-uploads/" + id, Header: map[string]string{
		"x-amz-archive-size": fmt.Sprint(len(b)), "x-amz-sha256-tree-hash": moraintest.TreeHash(b),
	}})
	if r.Status != 201 {
		t.Fatalf("CompleteMultipartUpload: %d %s", r.Status, r.Body)
	}
	return r.Header.Get("x-amz-archive-id")
}

// TestReaderGivesBackEveryArchive has the reader look at what a server wrote: it finds every archive and none that was deleted.
func TestReaderGivesBackEveryArchive(t *testing.T) {
	s := moraintest.Start(t)
	want := fill(t, s)
	s.Stop(t)
	volumes := filepath.Join(s.Data, "volumes")

	out, complaints, code := readVolumes(t, "verify", volumes)
	if code != 0 || complaints != "" || !strings.Contains(out, fmt.Sprintf(" %d archives,", len(want.kept))) {
		t.Errorf("verify: exit code %d, %q, %q, want %d archives", code, out, complaints, len(want.kept))
	}
	file := filepath.Join(t.TempDir(), "archive")
	for id, b := range want.kept {
		_, complaints, code := readVolumes(t, "extract", volumes, id, file)
		if code != 0 {
			t.Errorf("extract of an archive of %d bytes: exit code %d, %q", len(b), code, complaints)
			continue
		}
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, b) {
			t.Errorf("extract of an archive of %d bytes gives %d others, %v", len(b), len(got), err)
		}
	}
	for _, id := range want.deleted {
		if _, complaints, code := readVolumes(t, "extract", volumes, id, file); code != 1 || !strings.Contains(complaints, id) {
			t.Errorf("extract of an archive that was deleted: exit code %d, %q", code, complaints)
		}
	}
}

// TestReaderListsWhatWalkGives holds the reader and the store against each other, record by record.
func TestReaderListsWhatWalkGives(t *testing.T) {
	s := moraintest.Start(t)
	fill(t, s)
	s.Stop(t)
	volumes := filepath.Join(s.Data, "volumes")
	rows, err := volume.Open(vfs.OS(), volumes, volume.Defaults(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[store.Kind]string{store.Payload: "payload", store.Manifest: "manifest", store.Tombstone: "tombstone"}
	var want []string
	err = rows.Walk(t.Context(), func(x store.Extent) error {
		want = append(want, strings.Join([]string{
			string(x.Place), kinds[x.Kind], x.Created.Format("2006-01-02T15:04:05.000+00:00"), fmt.Sprint(x.Size), x.Tree.String(),
		}, "\t"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	out, complaints, code := readVolumes(t, "list", volumes)
	if code != 0 || complaints != "" {
		t.Errorf("list: exit code %d, %q", code, complaints)
	}
	var got []string
	for line := range strings.Lines(out) {
		got = append(got, line[:strings.LastIndex(line, "\t")])
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the reader lists\n%s\nWalk gives\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, label := range []string{
		`"vault": "photos"`, `"account": "` + s.Key.Account + `"`, `"description": "\"1\" bytes <&>"`, `"first": 1048576`, `"what": "deleted"`,
	} {
		if !strings.Contains(out, label) {
			t.Errorf("no record has %s in its label", label)
		}
	}
}

func TestReaderUsage(t *testing.T) {
	dir := t.TempDir()
	for _, args := range [][]string{{}, {"list"}, {"verify", dir, "x"}, {"extract", dir, "x"}, {"nonsense", dir}, {"list", filepath.Join(dir, "missing")}} {
		if _, complaints, code := readVolumes(t, args...); code != 2 || !strings.Contains(complaints, "usage:") {
			t.Errorf("%q: exit code %d, %q", args, code, complaints)
		}
	}
}
