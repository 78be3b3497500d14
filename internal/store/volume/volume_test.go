package volume

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/store/storetest"
	"github.com/moraine-archive/moraine/internal/vfs"
)

func TestStore(t *testing.T) {
	for name, o := range map[string]Options{"as it is used": Defaults(), "alone": alone(), "small": small()} {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T, now func() time.Time) store.Store { return openWith(t, vfs.OS(), o, now) })
		})
	}
}

// alone has every record in a volume of its own.
func alone() Options {
	o := Defaults()
	o.ShareLimit = -1
	return o
}

// small has shared volumes of 64 KiB.
func small() Options {
	o := Defaults()
	o.VolumeSize, o.Ahead = 64<<10, 8<<10
	return o
}

const mib = treehash.LeafSize

// start is when tests happen. It has a fraction of a millisecond, which volume ids keep and records do not.
var start = time.Date(2024, 2, 29, 10, 11, 12, 131_415_161, time.UTC) // read only

func startClock() time.Time { return start }

// openAt opens a store in a new directory, in which every record has a volume of its own.
func openAt(t testing.TB, fsys vfs.FS, now func() time.Time) *Store {
	return openWith(t, fsys, alone(), now)
}

func openWith(t testing.TB, fsys vfs.FS, o Options, now func() time.Time) *Store {
	t.Helper()
	dir := t.TempDir()
	for i := range shards { // made here, they need not be synced one by one
		if err := os.Mkdir(filepath.Join(dir, fmt.Sprintf("%02x", i)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(fsys, dir, o, now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func open(t testing.TB) *Store { return openAt(t, vfs.OS(), startClock) }

// pattern returns size bytes: the byte at offset i is i mod 251.
func pattern(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

func payload(b []byte) *treehash.Stream {
	return treehash.NewStream(bytes.NewReader(b), int64(len(b)), nil)
}

func put(t testing.TB, s *Store, label string, b []byte) store.Extent {
	t.Helper()
	x, err := s.Put(t.Context(), store.Payload, []byte(label), payload(b))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// fileOf returns the path of the volume of a place.
func fileOf(t testing.TB, s *Store, at store.Place) string {
	t.Helper()
	id, _, err := parsePlace(at)
	if err != nil {
		t.Fatal(err)
	}
	return s.path(s.frame(id))
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// read returns what can be read of a payload, and the error that ends it.
func read(s *Store, at store.Place) ([]byte, error) {
	x, err := s.Stat(context.Background(), at)
	if err != nil {
		return nil, err
	}
	r, err := s.Open(context.Background(), at, 0, x.Size)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// walked returns all that Walk gives.
func walked(t testing.TB, s *Store) (all []store.Extent) {
	t.Helper()
	if err := s.Walk(t.Context(), func(x store.Extent) error { all = append(all, x); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestPutRefusesALabelThatIsTooLong(t *testing.T) {
	s := open(t)
	_, err := s.Put(t.Context(), store.Payload, make([]byte, maxLabel+1), payload(nil))
	if err == nil || !strings.Contains(err.Error(), "65537") {
		t.Errorf("a label of 65,537 bytes: error %v, want one that names the length", err)
	}
	if all := walked(t, s); len(all) > 0 {
		t.Errorf("it left %d volumes", len(all))
	}
}

func TestPlacesOfOthers(t *testing.T) {
	s := open(t)
	good := put(t, s, "label", pattern(10)).Place
	id, _, _ := strings.Cut(string(good), ":")
	for _, at := range []store.Place{
		"", "1", ":64", "nonsense", "../../etc/passwd:64", store.Place(id), store.Place(id + ":"), store.Place(id + ":63"), store.Place(id + ":-64"),
		store.Place(id[1:] + ":64"), store.Place(id + "00:64"), store.Place(id + ":64x"), store.Place(id + ":9223372036854775808"),
	} {
		_, err := s.Stat(t.Context(), at)
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), fmt.Sprintf("%q", at)) {
			t.Errorf("Stat(%q): %v, want an error that names the place", at, err)
		}
		if _, err := s.Open(t.Context(), at, 0, 1); !fault.Is(err, fault.Invalid) {
			t.Errorf("Open(%q): %v", at, err)
		}
		if err := s.Remove(t.Context(), at); !fault.Is(err, fault.Invalid) {
			t.Errorf("Remove(%q): %v", at, err)
		}
	}
	for _, off := range []string{"65", "72", "1000000", "9223372036854775807"} { // no record begins there
		if _, err := s.Stat(t.Context(), store.Place(id+":"+off)); !fault.Is(err, fault.Corrupt) {
			t.Errorf("Stat at offset %s: %v", off, err)
		}
	}
}

func TestReopen(t *testing.T) {
	s := open(t)
	x := put(t, s, "label", pattern(mib+10))
	again, err := Open(vfs.OS(), s.dir, s.options, startClock)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := read(again, x.Place); err != nil || !bytes.Equal(got, pattern(mib+10)) {
		t.Errorf("after another Open there are %d bytes, %v", len(got), err)
	}
}

func TestOpenMakesItsDirectories(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there")
	s, err := Open(vfs.OS(), dir, alone(), startClock)
	if err != nil {
		t.Fatal(err)
	}
	names, err := vfs.OS().List(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(names) != 257 || names[0] != "00" || names[255] != "ff" || names[256] != "shared" {
		t.Errorf("%d directories: %q", len(names), names)
	}
	put(t, s, "label", pattern(10))
}

// TestVolumeNames holds the layout of the directory (docs/formats.md): a volume is in the directory of its last byte, and
// its name begins with its time.
func TestVolumeNames(t *testing.T) {
	s := open(t)
	x := put(t, s, "label", nil)
	file, err := filepath.Rel(s.dir, fileOf(t, s, x.Place))
	if err != nil {
		t.Fatal(err)
	}
	shard, name := filepath.Split(file)
	if len(name) != 36 || !strings.HasPrefix(name, fmt.Sprintf("%016x", start.UnixNano())) || name[30:32]+"/" != shard || name[32:] != ".vol" {
		t.Errorf("a volume of %s is %s", start, file)
	}
	if string(x.Place) != name[:32]+":64" {
		t.Errorf("its place is %s", x.Place)
	}
}

func TestWalkPassesOverOtherFiles(t *testing.T) {
	s := open(t)
	x := put(t, s, "label", pattern(10))
	b := readFile(t, fileOf(t, s, x.Place))
	name := filepath.Base(fileOf(t, s, x.Place))
	for _, other := range []string{
		"00/README", "00/.vol", "00/1234.vol", "00/" + name + ".tmp", "00/" + name[1:], name, "lost+found",
		"00/" + strings.Repeat("z", 32) + ".vol",
	} {
		writeFile(t, filepath.Join(s.dir, other), b)
	}
	if all := walked(t, s); len(all) != 1 || all[0].Place != x.Place {
		t.Errorf("Walk gives %d records: %v", len(all), all)
	}
}

// A copy of one volume under the name of another would give one archive's bytes for the other's, every leaf of it verified.
func TestVolumeUnderAnotherName(t *testing.T) {
	s := open(t)
	x, y := put(t, s, "x", pattern(10)), put(t, s, "y", pattern(11))
	writeFile(t, fileOf(t, s, y.Place), readFile(t, fileOf(t, s, x.Place)))
	if got, err := read(s, y.Place); !fault.Is(err, fault.Corrupt) {
		t.Errorf("the volume of another record gives %d bytes and %v", len(got), err)
	}
}

// TestWalkPassesOverWhatIsBeingWritten walks in the middle of a Put: its volume is there and looks like one that was cut off.
func TestWalkPassesOverWhatIsBeingWritten(t *testing.T) {
	s := open(t)
	cut := put(t, s, "cut off", pattern(10))
	if err := os.Truncate(fileOf(t, s, cut.Place), 20); err != nil {
		t.Fatal(err)
	}
	rest := bytes.NewReader(pattern(2 * mib))
	looked := false
	_, err := s.Put(t.Context(), store.Payload, []byte("being written"), treehash.NewStream(readerFunc(func(b []byte) (int, error) {
		if rest.Len() == mib { // the first leaf is written, or will be before this Read returns
			looked = true
			if files := countFiles(t, s.dir); files != 2 {
				t.Errorf("there are %d volume files in the middle of the Put, want 2", files)
			}
			if all := walked(t, s); len(all) != 1 || all[0].Place != cut.Place {
				t.Errorf("in the middle of a Put, Walk gives %v", all)
			}
		}
		return rest.Read(b[:min(len(b), mib)])
	}), 2*mib, nil))
	if err != nil || !looked {
		t.Fatalf("Put: %v; looked in the middle: %t", err, looked)
	}
	if all := walked(t, s); len(all) != 2 {
		t.Errorf("after the Put, Walk gives %v", all)
	}
	if _, err := s.Put(t.Context(), store.Payload, nil, treehash.NewStream(readerFunc(func([]byte) (int, error) {
		return 0, errors.New("broken")
	}), -1, nil)); err == nil {
		t.Fatal("a broken payload was taken")
	}
	if len(s.writing) > 0 {
		t.Errorf("the store still takes %d volumes for being written", len(s.writing))
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func countFiles(t testing.TB, dir string) int {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}
