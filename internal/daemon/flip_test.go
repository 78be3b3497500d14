package daemon

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/identity"
	"github.com/moraine-archive/moraine/internal/vault"
)

// kept is the data of a server that was stopped: its files, and what it promised.
type kept struct {
	config config.Config
	files  map[string][]byte // by path
	bodies map[string][]byte // of the archives, by id
	gone   string            // id of an archive that was deleted
	ref    vault.Ref
}

func testConfig(t testing.TB, data string) config.Config {
	t.Helper()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.Flags(flags)
	c, err := config.Load(flags, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Data = data
	return c
}

func openStores(t testing.TB, c config.Config) (*stores, error) {
	t.Helper()
	s := &stores{config: c, log: slog.New(slog.DiscardHandler), now: time.Now}
	if err := s.open(context.Background()); err != nil {
		if failed := s.close(); failed != nil {
			t.Log(failed)
		}
		return nil, err
	}
	return s, nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// upload returns an upload of bytes as it should be.
func upload(b []byte) vault.Upload {
	s := treehash.NewStream(bytes.NewReader(b), int64(len(b)), func(_, _ treehash.Hash) error { return nil })
	for {
		if _, _, err := s.Next(); err != nil {
			return vault.Upload{Body: bytes.NewReader(b), Size: int64(len(b)), LinearHash: fmt.Sprintf("%x", sha256.Sum256(b)), TreeHash: s.Sum().String()}
		}
	}
}

// keep fills a store with archives of every kind, deletions, a job, and a copy of the catalogue, and closes it.
func keep(t *testing.T) *kept {
	t.Helper()
	k := &kept{config: testConfig(t, t.TempDir()), files: map[string][]byte{}, bodies: map[string][]byte{}, ref: vault.Ref{Account: "123456789012", Name: "photos"}}
	k.config.ShareLimit = 5000
	s, err := openStores(t, k.config)
	must(t, err)
	ctx := t.Context()
	_, err = identity.FirstAccount(ctx, s.rows, s.disk, k.config, time.Now())
	must(t, err)
	must(t, s.service.CreateVault(ctx, k.ref))
	for i, size := range []int{1, 100, 4000, 9000, 70} {
		b := bytes.Repeat([]byte{byte(i), byte(size), 'x', 'y', 'z'}, size/5+1)
		id, _, err := s.service.UploadArchive(ctx, k.ref, fmt.Sprintf("archive %d", i), upload(b))
		must(t, err)
		if i < 4 {
			k.bodies[id] = b
		} else {
			must(t, s.service.DeleteArchive(ctx, k.ref, id))
			k.gone = id
		}
	}
	k.multipart(t, s)
	must(t, s.service.Release(ctx))
	_, err = s.backup(ctx)
	must(t, err)
	must(t, s.close())
	must(t, filepath.WalkDir(k.config.Data, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			k.files[path], err = os.ReadFile(path)
		}
		return err
	}))
	return k
}

func (k *kept) multipart(t *testing.T, s *stores) {
	t.Helper()
	ctx := t.Context()
	up, err := s.service.InitiateMultipartUpload(ctx, k.ref, "1048576", "in parts")
	must(t, err)
	b := bytes.Repeat([]byte("part"), 500)
	_, err = s.service.UploadMultipartPart(ctx, k.ref, up, fmt.Sprintf("bytes 0-%d/*", len(b)-1), upload(b))
	must(t, err)
	id, _, err := s.service.CompleteMultipartUpload(ctx, k.ref, up, fmt.Sprint(len(b)), upload(b).TreeHash)
	must(t, err)
	k.bodies[id] = b
}

// restore makes the files again what they were.
func (k *kept) restore(t *testing.T) {
	t.Helper()
	must(t, filepath.WalkDir(k.config.Data, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && k.files[path] == nil {
			err = os.Remove(path)
		}
		return err
	}))
	for path, want := range k.files {
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			must(t, os.WriteFile(path, want, 0o600))
		}
	}
}

// TestEveryFlippedByteIsNoticed flips single bytes anywhere under the data directory. The check, or the start of the server, notices; and no wrong byte
// reaches a client. MORAINE_FLIPS says how many (make flips).
func TestEveryFlippedByteIsNoticed(t *testing.T) {
	k := keep(t)
	flips, seed := 400, uint64(time.Now().UnixNano())
	if text := os.Getenv("MORAINE_FLIPS"); text != "" {
		var err error
		flips, err = strconv.Atoi(text)
		must(t, err)
	}
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	var paths []string
	for path, b := range k.files {
		if len(b) > 0 {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	for range flips {
		path := paths[rnd.IntN(len(paths))]
		at, xor := rnd.IntN(len(k.files[path])), byte(1)<<rnd.IntN(8)
		if k.isGone(path, at) {
			continue
		}
		damaged := bytes.Clone(k.files[path])
		damaged[at] ^= xor
		must(t, os.WriteFile(path, damaged, 0o600))
		if !k.notices(t, path, damaged) {
			t.Errorf("byte %d of %s, of %d, was flipped with %#x, and nothing notices", at, strings.TrimPrefix(path, k.config.Data), len(damaged), xor)
		}
		k.restore(t)
	}
}

// isGone reports whether a byte is of the record of the deleted archive, which means nothing any more: the space waits for a compaction.
func (k *kept) isGone(path string, at int) bool {
	b := k.files[path]
	named := bytes.Index(b, []byte(k.gone)) // its tombstone comes later
	if !strings.Contains(path, "shared") || named < 0 {
		return false
	}
	begins := bytes.LastIndex(b[:named], []byte("MREC"))
	ends := named + bytes.Index(b[named:], []byte("MRECEND\n")) + 16
	return at >= begins && at < ends
}

// notices reports whether anything notices the damage, and checks that no wrong byte is handed out. The end of a volume is mended by the next start, which reads the volume
// whole then and logs it.
func (k *kept) notices(t *testing.T, path string, damaged []byte) bool {
	t.Helper()
	s, err := openStores(t, k.config)
	if err != nil {
		return true
	}
	defer s.close() // what it has to say does not matter
	noticed := false
	err = s.maintain(t.Context(), Task{Name: "check", Data: true}, func(e Event) error {
		noticed = noticed || e.Finding != nil
		return nil
	})
	noticed = noticed || err != nil
	for id, want := range k.bodies {
		got, err := k.read(t.Context(), s, id)
		if err == nil && !bytes.Equal(got, want) || err != nil && !bytes.HasPrefix(want, got) {
			t.Errorf("after damage to %s an archive of %d bytes is handed out with %d others, %v", path, len(want), len(got), err)
		}
	}
	return noticed || strings.Contains(path, "shared") && !bytes.Equal(damaged, mustRead(t, path))
}

func mustRead(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return b
}

// read returns an archive by a job.
func (k *kept) read(ctx context.Context, s *stores, id string) ([]byte, error) {
	kind := "archive-retrieval"
	job, err := s.service.InitiateJob(ctx, k.ref, vault.JobParameters{Type: &kind, ArchiveID: &id})
	if err != nil {
		return nil, err
	}
	if _, err := s.service.FinishJobs(ctx, vault.AllJobs); err != nil {
		return nil, err
	}
	o, err := s.service.GetJobOutput(ctx, k.ref, job)
	if err != nil {
		return nil, err
	}
	r, err := o.Open(ctx, 0, o.Size-1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
