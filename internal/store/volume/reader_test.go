package volume_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/moraintest"
	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/store/volume"
	"github.com/moraine-archive/moraine/internal/vfs"
)

// readerProgram is a reader of volumes that knows nothing of Moraine but docs/formats.md.
const readerProgram = "../../../contrib/read_volumes.py"

// readVolumes runs the reader. It returns what it prints, what it complains of, and its exit code.
func readVolumes(t *testing.T, args ...string) (out, complaints string, code int) {
	t.Helper()
	return python(t, append([]string{readerProgram}, args...)...)
}

// python runs a program with nothing but the standard library.
func python(t *testing.T, args ...string) (out, complaints string, code int) {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skipf("the reader of volumes cannot be run: there is no python3: %v", err)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(python, append([]string{"-I", "-S"}, args...)...)
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

// fill gives a server one archive of every kind: small ones, which share a volume, large ones, and some in parts of either size.
func fill(t *testing.T, s *moraintest.Server) archives {
	t.Helper()
	s.CreateVault(t, "photos")
	a := archives{kept: make(map[string][]byte)}
	for _, size := range []int{1, 1 << 20, 2<<20 + 5} {
		a.kept[s.Upload(t, "photos", moraintest.Pattern(size), fmt.Sprintf(`"%d" bytes <&>`, size))] = moraintest.Pattern(size)
	}
	for _, size := range []int{7, 2<<20 + 1<<19} {
		a.kept[multipart(t, s, 1<<20, moraintest.Pattern(size))] = moraintest.Pattern(size)
		a.kept[multipart(t, s, 2<<20, moraintest.Pattern(size))] = moraintest.Pattern(size)
	}
	upload(t, s, 1<<20) // is never completed

	gone := s.Upload(t, "photos", []byte("goes at once"), "")
	goneLarge := s.Upload(t, "photos", moraintest.Pattern(1<<20+1), "")
	held := s.Upload(t, "photos", []byte("is held by a job"), "")
	heldParts := multipart(t, s, 1<<20, moraintest.Pattern(1<<20+1))
	for _, id := range []string{held, heldParts} {
		s.WaitForJob(t, "photos", s.InitiateJob(t, "photos", `{"Type":"archive-retrieval","ArchiveId":"`+id+`"}`))
	}
	s.WaitForJob(t, "photos", s.InitiateJob(t, "photos", `{"Type":"inventory-retrieval"}`))
	a.deleted = []string{gone, goneLarge, held, heldParts}
	for _, id := range a.deleted {
		if r := s.Do(t, moraintest.Request{Method: "DELETE", Path: "/-/vaults/photos/archives/" + id}); r.Status != 204 {
			t.Fatalf("DeleteArchive: %d %s", r.Status, r.Body)
		}
	}
	return a
}

// upload opens an upload in parts and gives it a part that is a MiB long.
func upload(t *testing.T, s *moraintest.Server, partSize int) string {
	t.Helper()
	r := s.Do(t, moraintest.Request{Method: "POST", Path: "/-/vaults/photos/multipart-uploads", Header: map[string]string{
		"x-amz-part-size": fmt.Sprint(partSize), "x-amz-archive-description": "in parts",
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

func multipart(t *testing.T, s *moraintest.Server, partSize int, b []byte) string {
	t.Helper()
	id, at := upload(t, s, partSize), 0
	for part := range slices.Chunk(b, partSize) {
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

// forms gives a test the volumes of a server, as they are after a stop in good order and as a kill would leave them: what is in use then has no index.
func forms(t *testing.T, s *moraintest.Server, test func(t *testing.T, volumes string)) {
	t.Helper()
	volumes := filepath.Join(s.Data, "volumes")
	running := copied(t, volumes)
	s.Stop(t)
	t.Run("killed", func(t *testing.T) { test(t, running) })
	t.Run("stopped", func(t *testing.T) { test(t, volumes) })
}

func copied(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "volumes")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func openStore(t *testing.T, dir string, o volume.Options) *volume.Store {
	t.Helper()
	s, err := volume.Open(vfs.OS(), dir, o, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// wantVerified has the reader verify a directory in which all is well.
func wantVerified(t *testing.T, volumes string, archives int) {
	t.Helper()
	out, complaints, code := readVolumes(t, "verify", volumes)
	if code != 0 || complaints != "" || !strings.Contains(out, fmt.Sprintf(" %d archives,", archives)) {
		t.Errorf("verify: exit code %d, %q, %q, want %d archives", code, out, complaints, archives)
	}
}

// wantFault has the reader verify a directory in which there is one thing wrong.
func wantFault(t *testing.T, volumes, where string) {
	t.Helper()
	_, complaints, code := readVolumes(t, "verify", volumes)
	if code != 1 || !strings.HasPrefix(complaints, where+": ") || strings.Count(complaints, "\n") != 1 {
		t.Errorf("verify: exit code %d, %q, want one complaint of %s", code, complaints, where)
	}
}

// extractAll returns what extract-all extracts, by the names of the files.
func extractAll(t *testing.T, volumes string) map[string][]byte {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "archives")
	out, complaints, code := readVolumes(t, "extract-all", volumes, dir)
	files, err := os.ReadDir(dir)
	if want := fmt.Sprintf("%d of %[1]d archives, 0 faults\n", len(files)); err != nil || code != 0 || complaints != "" || out != want {
		t.Errorf("extract-all: exit code %d, %q, %q, want %q, %v", code, complaints, out, want, err)
	}
	got := make(map[string][]byte)
	for _, f := range files {
		got[f.Name()] = contents(t, filepath.Join(dir, f.Name()))
	}
	return got
}

func contents(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestReaderGivesBackEveryArchive has the reader look at what a server wrote: it finds every archive and none that was deleted.
func TestReaderGivesBackEveryArchive(t *testing.T) {
	t.Parallel()
	s := moraintest.Start(t)
	want := fill(t, s)
	forms(t, s, func(t *testing.T, volumes string) {
		wantVerified(t, volumes, len(want.kept))
		if got := extractAll(t, volumes); !maps.EqualFunc(got, want.kept, bytes.Equal) {
			t.Errorf("extract-all gives %d archives, not the %d that are kept", len(got), len(want.kept))
		}
		file := filepath.Join(t.TempDir(), "archive")
		for id, b := range want.kept {
			_, complaints, code := readVolumes(t, "extract", volumes, id, file)
			if code != 0 {
				t.Errorf("extract of an archive of %d bytes: exit code %d, %q", len(b), code, complaints)
			} else if got := contents(t, file); !bytes.Equal(got, b) {
				t.Errorf("extract of an archive of %d bytes gives %d others", len(b), len(got))
			}
		}
		for _, id := range want.deleted {
			if _, complaints, code := readVolumes(t, "extract", volumes, id, file); code != 1 || !strings.Contains(complaints, id) {
				t.Errorf("extract of an archive that was deleted: exit code %d, %q", code, complaints)
			}
		}
	})
}

// wantListed holds the reader and the store against each other, record by record. It returns what the reader lists.
func wantListed(t *testing.T, volumes string, o volume.Options) string {
	t.Helper()
	out, complaints, code := readVolumes(t, "list", volumes)
	if code != 0 || complaints != "" {
		t.Errorf("list: exit code %d, %q", code, complaints)
	}
	var got, want []string
	for line := range strings.Lines(out) {
		got = append(got, line[:strings.LastIndex(line, "\t")])
	}
	for _, x := range extents(t, volumes, o) {
		kind := map[store.Kind]string{store.Payload: "payload", store.Manifest: "manifest", store.Tombstone: "tombstone"}[x.Kind]
		created := x.Created.Format("2006-01-02T15:04:05.000+00:00")
		want = append(want, strings.Join([]string{string(x.Place), kind, created, fmt.Sprint(x.Size), x.Tree.String()}, "\t"))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the reader lists\n%s\nWalk gives\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	return out
}

// extents returns what Walk gives for a copy of a directory: a store closes what was in use.
func extents(t *testing.T, volumes string, o volume.Options) (all []store.Extent) {
	t.Helper()
	err := openStore(t, copied(t, volumes), o).Walk(t.Context(), func(x store.Extent) error {
		all = append(all, x)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestReaderListsWhatWalkGives(t *testing.T) {
	t.Parallel()
	s := moraintest.Start(t)
	fill(t, s)
	forms(t, s, func(t *testing.T, volumes string) {
		out := wantListed(t, volumes, volume.Defaults())
		for _, label := range []string{
			`"vault": "photos"`, `"account": "` + s.Key.Account + `"`, `"description": "\"1\" bytes <&>"`, `"first": 1048576`, `"what": "deleted"`,
		} {
			if !strings.Contains(out, label) {
				t.Errorf("no record has %s in its label", label)
			}
		}
	})
}

// small has volumes so small that a test fills many.
func small() volume.Options {
	o := volume.Defaults()
	o.VolumeSize, o.Ahead = 16<<10, 4<<10
	return o
}

func putArchive(t *testing.T, s *volume.Store, id string, b []byte) store.Place {
	t.Helper()
	label := fmt.Sprintf(`{"what":"archive","archive":%q}`, id)
	x, err := s.Put(t.Context(), store.Payload, []byte(label), treehash.NewStream(bytes.NewReader(b), int64(len(b)), nil))
	if err != nil {
		t.Fatal(err)
	}
	return x.Place
}

// TestReaderFollowsRemovals removes records of many volumes; the removals are in later ones.
func TestReaderFollowsRemovals(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStore(t, dir, small())
	want := make(map[string][]byte)
	var gone []store.Place
	for i := range 200 {
		id, b := fmt.Sprintf("archive-%d", i), moraintest.Pattern(i)
		at := putArchive(t, s, id, b)
		if i%3 == 0 {
			gone = append(gone, at)
		} else {
			want[id] = b
		}
		if i == 100 {
			if err := errors.Join(s.Remove(t.Context(), gone[0], gone[1]), s.Close()); err != nil {
				t.Fatal(err)
			}
			s = openStore(t, dir, small())
		}
	}
	if err := s.Remove(t.Context(), gone...); err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		t.Helper()
		wantVerified(t, dir, len(want))
		wantListed(t, dir, small())
		if got := extractAll(t, dir); !maps.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("%s, extract-all gives %d archives, want %d", when, len(got), len(want))
		}
	}
	check("in use")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	check("closed")
	if files, err := filepath.Glob(filepath.Join(dir, "shared", "*.vol")); err != nil || len(files) < 5 {
		t.Errorf("there are %d volumes, %v: too few for this test", len(files), err)
	}
	for _, at := range gone[:3] {
		if _, complaints, code := readVolumes(t, "extract", dir, string(at), filepath.Join(t.TempDir(), "x")); code != 1 || !strings.Contains(complaints, string(at)) {
			t.Errorf("extract of a record that was removed: exit code %d, %q", code, complaints)
		}
		damage(t, dir, at, 10) // does not matter any more
	}
	check("with damage to records that were removed")
}

// fileOf returns the file of the shared volume of a place, and the offset.
func fileOf(t *testing.T, dir string, at store.Place) (string, int) {
	t.Helper()
	name, off, _ := strings.Cut(string(at), ":")
	n, err := strconv.Atoi(off)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "shared", name+".vol"), n
}

// damage changes a byte of a record in a shared volume.
func damage(t *testing.T, dir string, at store.Place, off int) {
	t.Helper()
	file, start := fileOf(t, dir, at)
	b := contents(t, file)
	b[start+off] ^= 0x20
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestReaderNamesWhatIsDamaged damages one thing at a time in a shared volume. The rest is still found.
func TestReaderNamesWhatIsDamaged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStore(t, dir, volume.Defaults())
	var at []store.Place
	for i := range 3 {
		at = append(at, putArchive(t, s, fmt.Sprint(i), moraintest.Pattern(1000)))
	}
	inUse := copied(t, dir)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file, _ := fileOf(t, dir, at[0])
	name, size := strings.TrimSuffix(filepath.Base(file), ".vol"), len(contents(t, file))
	last := extents(t, dir, volume.Defaults())[2]
	_, lastAt := fileOf(t, dir, at[2])
	index := lastAt + (64+len(last.Label)+int(last.Size)+32+88+7)&^7
	middle := string(at[1])
	for _, c := range []struct {
		what   string
		offset int // in the middle record, or in the file
		where  string
		listed bool // the middle record is
		inUse  bool // the volume has it also when it is in use
	}{
		{"record header", 20, middle, false, true},
		{"magic of a record", 1, middle, false, true},
		{"label", 70, middle, false, true},
		{"payload", 64 + len(last.Label) + 500, middle, true, true},
		{"leaf", 64 + len(last.Label) + 1000, middle, false, true},
		{"end mark", 64 + len(last.Label) + 1000 + 64 + 32 + 20, middle, false, true},
		{"volume header", -1, name + ":0", true, true},
		{"header of the index", index + 20, fmt.Sprintf("%s:%d", name, index), true, false},
		{"payload of the index", index + 70, fmt.Sprintf("%s:%d", name, index), true, false},
		{"closing block", size - 10, fmt.Sprintf("%s:%d", name, size-64), true, false},
	} {
		for _, from := range []string{inUse, dir} {
			if from == inUse && !c.inUse {
				continue
			}
			t.Run(fmt.Sprintf("%s/in use: %t", c.what, from == inUse), func(t *testing.T) {
				volumes := copied(t, from)
				switch {
				case c.where == middle:
					damage(t, volumes, at[1], c.offset)
				case c.offset < 0:
					damage(t, volumes, store.Place(name+":0"), 40)
				default:
					damage(t, volumes, store.Place(name+":0"), c.offset)
				}
				wantFault(t, volumes, c.where)
				out, _, _ := readVolumes(t, "list", volumes)
				for i, place := range at {
					if listed := strings.Contains(out, string(place)+"\t"); listed != (i != 1 || c.listed) {
						t.Errorf("record %d is listed: %t", i, listed)
					}
				}
			})
		}
	}
}

// TestReaderPassesOverWhatACrashLeft has a server that was killed in the middle of a write. When the volume is closed, its index says so.
func TestReaderPassesOverWhatACrashLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStore(t, dir, volume.Defaults())
	whole, torn := putArchive(t, s, "whole", moraintest.Pattern(1000)), putArchive(t, s, "torn", moraintest.Pattern(5000))
	flipped := copied(t, dir)
	file, off := fileOf(t, dir, torn)
	b := contents(t, file)
	clear(b[off+4096:])
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	wantFault(t, dir, string(torn)) // it might be damage
	s = openStore(t, dir, volume.Defaults())
	wantVerified(t, dir, 1)
	wantListed(t, dir, volume.Defaults())
	putArchive(t, s, "later", moraintest.Pattern(10))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantVerified(t, dir, 2)
	damage(t, dir, whole, 20)
	wantFault(t, dir, string(whole))

	// What was acknowledged and then damaged is not what a crash left, whatever the index says.
	damage(t, flipped, torn, 2000)
	openStore(t, flipped, volume.Defaults())
	wantFault(t, flipped, string(torn))
}

// TestReaderAndACopyOfAVolume keeps a copy of a shared volume as an archive in the same volume: what is in it is no record.
func TestReaderAndACopyOfAVolume(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStore(t, dir, volume.Defaults())
	first := putArchive(t, s, "first", moraintest.Pattern(1000))
	if err := errors.Join(s.Remove(t.Context(), putArchive(t, s, "removed", nil)), s.Close()); err != nil {
		t.Fatal(err)
	}
	file, _ := fileOf(t, dir, first)
	s = openStore(t, dir, volume.Defaults())
	copyAt := putArchive(t, s, "copy", contents(t, file))
	last := putArchive(t, s, "last", moraintest.Pattern(2000))
	inUse := copied(t, dir)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if contained, _ := fileOf(t, dir, last); contained != file {
		t.Fatal("the copy of the volume is in another volume")
	}
	for _, volumes := range []string{inUse, dir} {
		wantVerified(t, volumes, 3)
		if out := wantListed(t, volumes, volume.Defaults()); strings.Count(out, "\n") != 3 {
			t.Errorf("the reader lists\n%s", out)
		}
		for _, off := range []int{20, 70} {
			damaged := copied(t, volumes)
			damage(t, damaged, copyAt, off)
			wantFault(t, damaged, string(copyAt))
			out, _, _ := readVolumes(t, "list", damaged)
			if strings.Count(out, "\n") != 2 || !strings.Contains(out, string(first)+"\t") || !strings.Contains(out, string(last)+"\t") {
				t.Errorf("with damage in front of the copy, the reader lists\n%s", out)
			}
		}
	}
}

// TestReaderTakesTwoCopiesForOneArchive interrupts a compaction. If one of the copies is damaged, the other serves.
func TestReaderTakesTwoCopiesForOneArchive(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStore(t, dir, volume.Defaults())
	want := map[string][]byte{"a": moraintest.Pattern(1000), "b": moraintest.Pattern(2000)}
	a := putArchive(t, s, "a", want["a"])
	putArchive(t, s, "b", want["b"])
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir, volume.Defaults())
	name, _, _ := strings.Cut(string(a), ":")
	broken := errors.New("interrupted")
	if _, err := s.Compact(t.Context(), name, store.Compaction{
		Fate:  func(context.Context, store.Extent) (store.Fate, error) { return store.Move, nil },
		Moved: func(context.Context, []store.Moved) ([]store.Place, error) { return nil, broken },
	}); !errors.Is(err, broken) {
		t.Fatalf("Compact: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantVerified(t, dir, 2)
	if out := wantListed(t, dir, volume.Defaults()); strings.Count(out, "\n") != 4 {
		t.Errorf("the reader lists\n%s\nwant four records", out)
	}
	if got := extractAll(t, dir); !maps.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("extract-all gives %d archives", len(got))
	}
	for _, x := range extents(t, dir, volume.Defaults()) {
		damaged := copied(t, dir)
		damage(t, damaged, x.Place, 64+len(x.Label)+500)
		wantFault(t, damaged, string(x.Place))
		if got := extractAll(t, damaged); !maps.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("with a damaged copy, extract-all gives %d archives", len(got))
		}
	}
}

// TestReaderExtractsWhatIsWhole damages an archive: the others are extracted, and nothing has the name of the damaged one.
func TestReaderExtractsWhatIsWhole(t *testing.T) {
	t.Parallel()
	dir, to := t.TempDir(), t.TempDir()
	s := openStore(t, dir, volume.Defaults())
	bad := putArchive(t, s, "bad", moraintest.Pattern(1000))
	putArchive(t, s, "good", moraintest.Pattern(1000))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	damage(t, dir, bad, 600)
	out, complaints, code := readVolumes(t, "extract-all", dir, to)
	if code != 1 || out != "1 of 2 archives, 1 faults\n" || !strings.HasPrefix(complaints, "archive bad: ") {
		t.Errorf("extract-all: exit code %d, %q, %q", code, out, complaints)
	}
	if _, err := os.Stat(filepath.Join(to, "bad")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file has the name of the damaged archive: %v", err)
	}
	if !bytes.Equal(contents(t, filepath.Join(to, "good")), moraintest.Pattern(1000)) {
		t.Error("the other archive has other bytes")
	}
}

// TestReaderOfAnotherFormat has a volume of a later format, which is not taken for a damaged one.
func TestReaderOfAnotherFormat(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStore(t, dir, volume.Defaults())
	at := putArchive(t, s, "archive", moraintest.Pattern(1000))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file, _ := fileOf(t, dir, at)
	b := contents(t, file)
	b[8] = 9
	binary.LittleEndian.PutUint32(b[60:], crc32.ChecksumIEEE(b[:60]))
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, complaints, code := readVolumes(t, "verify", dir)
	if code != 1 || !strings.Contains(out, "0 records") || strings.Count(complaints, "\n") != 1 || !strings.Contains(complaints, "format of a volume: 9") {
		t.Errorf("verify: exit code %d, %q, %q", code, out, complaints)
	}
}

// TestReaderIsShort holds what docs/formats.md says of the reader. That it needs nothing but the standard library, every test of it shows.
func TestReaderIsShort(t *testing.T) {
	if lines := bytes.Count(contents(t, readerProgram), []byte("\n")); lines > 200 {
		t.Errorf("the reader has %d lines, more than 200", lines)
	}
	const parse = "import ast, sys; ast.parse(open(sys.argv[1]).read(), feature_version=(3, 8))"
	if _, complaints, code := python(t, "-c", parse, readerProgram); code != 0 {
		t.Errorf("the reader is no program of Python 3.8: %s", complaints)
	}
}

func TestReaderUsage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, args := range [][]string{{}, {"list"}, {"verify", dir, "x"}, {"extract", dir, "x"}, {"extract-all", dir}, {"nonsense", dir}, {"list", filepath.Join(dir, "missing")}} {
		if _, complaints, code := readVolumes(t, args...); code != 2 || !strings.Contains(complaints, "usage:") {
			t.Errorf("%q: exit code %d, %q", args, code, complaints)
		}
	}
}
