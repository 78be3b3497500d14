package daemon_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/glacier"
	"github.com/aws/aws-sdk-go-v2/service/glacier/types"
	"golang.org/x/sys/unix"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

// wantFree is what a disk must have free for the tests that store GiBs.
const wantFree = 8 << 30

// needDisk skips a test that would fill the disk.
func needDisk(t *testing.T) {
	t.Helper()
	var disk unix.Statfs_t
	dir := t.TempDir()
	if err := unix.Statfs(dir, &disk); err != nil {
		t.Fatal(err)
	}
	if free := int64(disk.Bavail) * disk.Bsize; free < wantFree {
		t.Skipf("%s has %d MiB free; this test wants %d MiB", dir, free>>20, wantFree>>20)
	}
}

const loadVault = "load"

// Sizes of the archive that is too big for memory. Its last part is short and ends within a leaf.
const (
	bigSize = 3<<29 + 5<<20 + 12345
	bigPart = 64 << 20
	bigSeed = 20240229
)

// TestRealInput stores the source of the Go toolchain, a tar of each directory, and an archive of 1.5 GiB in parts. Everything is there
// after a restart: in the inventory, and byte for byte.
func TestRealInput(t *testing.T) {
	needDisk(t)
	s := moraintest.Start(t)
	s.CreateVault(t, loadVault)
	c := s.Client(s.Key)
	sources := sourceDirectories(t)
	stored := map[string]listedArchive{} // by description
	for _, dir := range sources {
		stored[dir] = uploadTar(t, c, dir)
	}
	big := uploadBig(t, c)
	s.Restart(t)
	c = s.Client(s.Key)
	for _, dir := range sources {
		body := download(t, s, c, stored[dir].ArchiveID)
		if want := tarOf(t, dir); !bytes.Equal(body, want) {
			t.Errorf("the tar of %s has %d bytes and came back as %d other ones", dir, len(want), len(body))
		}
	}
	big.SHA256TreeHash = downloadBig(t, s, c, big.ArchiveID)
	stored[big.ArchiveDescription] = big
	checkInventory(t, s, c, stored)
}

// listedArchive is an item of an inventory.
type listedArchive struct {
	ArchiveID          string `json:"ArchiveId"`
	ArchiveDescription string
	CreationDate       string
	Size               int64
	SHA256TreeHash     string
}

func sourceDirectories(t *testing.T) []string {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatalf("go env GOROOT: %v", err)
	}
	src := filepath.Join(strings.TrimSpace(string(root)), "src")
	entries, err := os.ReadDir(src)
	if err != nil {
		t.Fatal(err)
	}
	var dirs []string
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, filepath.Join(src, e.Name()))
		}
	}
	if len(dirs) < 20 {
		t.Fatalf("%s has %d directories only", src, len(dirs))
	}
	return dirs
}

// tarOf returns a tar of a directory, the same each time.
func tarOf(t *testing.T, dir string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := errors.Join(w.AddFS(os.DirFS(dir)), w.Close()); err != nil {
		t.Fatalf("tar of %s: %v", dir, err)
	}
	return b.Bytes()
}

func uploadTar(t *testing.T, c *glacier.Client, dir string) listedArchive {
	t.Helper()
	b := tarOf(t, dir)
	out, err := c.UploadArchive(t.Context(), &glacier.UploadArchiveInput{
		AccountId: aws.String("-"), VaultName: aws.String(loadVault), ArchiveDescription: &dir, Body: bytes.NewReader(b),
	})
	if err != nil {
		t.Fatalf("upload the tar of %s, %d bytes: %v", dir, len(b), err)
	}
	return listedArchive{ArchiveID: *out.ArchiveId, ArchiveDescription: dir, Size: int64(len(b)), SHA256TreeHash: treeOf(leavesOf(b))}
}

// leavesOf and treeOf compute a tree hash by its definition, apart from the code that the server uses.
func leavesOf(b []byte) [][32]byte {
	leaves := make([][32]byte, 0, len(b)>>20+1)
	for len(b) > 1<<20 {
		leaves = append(leaves, sha256.Sum256(b[:1<<20]))
		b = b[1<<20:]
	}
	return append(leaves, sha256.Sum256(b))
}

func treeOf(leaves [][32]byte) string {
	root := rootOf(leaves)
	return hex.EncodeToString(root[:])
}

// rootOf splits at the largest power of two below the number of leaves.
func rootOf(leaves [][32]byte) [32]byte {
	if len(leaves) == 1 {
		return leaves[0]
	}
	split := 1 << (bits.Len(uint(len(leaves)-1)) - 1)
	left, right := rootOf(leaves[:split]), rootOf(leaves[split:])
	return sha256.Sum256(append(left[:], right[:]...))
}

// atATime calls do for each number below n, a few at a time, and returns the errors.
func atATime(n, workers int, do func(i int) error) error {
	var next atomic.Int64
	errs := make([]error, n)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				errs[i] = do(int(i))
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// uploadBig uploads the big archive in parts, four at a time, from a stream that can be generated again.
func uploadBig(t *testing.T, c *glacier.Client) listedArchive {
	t.Helper()
	account, vault, description := aws.String("-"), aws.String(loadVault), "big"
	up, err := c.InitiateMultipartUpload(t.Context(), &glacier.InitiateMultipartUploadInput{
		AccountId: account, VaultName: vault, PartSize: aws.String(strconv.Itoa(bigPart)), ArchiveDescription: &description,
	})
	if err != nil {
		t.Fatal(err)
	}
	hashes := make([]string, (bigSize+bigPart-1)/bigPart)
	err = atATime(len(hashes), 4, func(i int) error {
		first := int64(i) * bigPart
		last := min(first+bigPart, bigSize) - 1
		out, err := c.UploadMultipartPart(t.Context(), &glacier.UploadMultipartPartInput{
			AccountId: account, VaultName: vault, UploadId: up.UploadId, Body: newNoise(bigSeed, first, last),
			Range: aws.String(fmt.Sprintf("bytes %d-%d/*", first, last)),
		})
		if err == nil {
			hashes[i] = *out.Checksum
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	whole, err := foldHex(hashes)
	if err != nil {
		t.Fatal(err)
	}
	done, err := c.CompleteMultipartUpload(t.Context(), &glacier.CompleteMultipartUploadInput{
		AccountId: account, VaultName: vault, UploadId: up.UploadId, ArchiveSize: aws.String(strconv.Itoa(bigSize)), Checksum: &whole,
	})
	if err != nil {
		t.Fatal(err)
	}
	return listedArchive{ArchiveID: *done.ArchiveId, ArchiveDescription: description, Size: bigSize}
}

// foldHex returns the tree hash of parts from their tree hashes.
func foldHex(parts []string) (string, error) {
	var tree treehash.Tree
	for _, p := range parts {
		h, err := treehash.Parse(p)
		if err != nil {
			return "", err
		}
		tree.Add(h)
	}
	return tree.Sum().String(), nil
}

// noise is a range of an endless random stream that a seed determines. It can be read from anywhere, so that no test holds much of it.
type noise struct {
	seed, first, end int64
	at               int64         // offset in the stream of the next byte
	key              cipher.Stream // from at on; nil before the first byte and after Seek
}

// newNoise returns the bytes from first to last, both inclusive.
func newNoise(seed, first, last int64) *noise {
	return &noise{seed: seed, first: first, end: last + 1, at: first}
}

func (n *noise) Read(b []byte) (int, error) {
	if n.at >= n.end {
		return 0, io.EOF
	}
	if n.key == nil {
		if err := n.position(); err != nil {
			return 0, err
		}
	}
	b = b[:min(int64(len(b)), n.end-n.at)]
	clear(b)
	n.key.XORKeyStream(b, b)
	n.at += int64(len(b))
	return len(b), nil
}

// position makes the key stream that begins at n.at: AES in counter mode counts in blocks of 16 bytes.
func (n *noise) position() error {
	var seed, counter, skipped [aes.BlockSize]byte
	binary.BigEndian.PutUint64(seed[:], uint64(n.seed))
	binary.BigEndian.PutUint64(counter[8:], uint64(n.at/aes.BlockSize))
	block, err := aes.NewCipher(seed[:])
	if err != nil {
		return err
	}
	n.key = cipher.NewCTR(block, counter[:])
	skip := skipped[:n.at%aes.BlockSize]
	n.key.XORKeyStream(skip, skip)
	return nil
}

// Seek is for clients that hash before they send.
func (n *noise) Seek(offset int64, whence int) (int64, error) {
	n.at = [...]int64{io.SeekStart: n.first, io.SeekCurrent: n.at, io.SeekEnd: n.end}[whence] + offset
	n.key = nil
	return n.at - n.first, nil
}

// TestNoise reads the stream whole and in pieces: a piece of it is that piece whoever reads it, and no other.
func TestNoise(t *testing.T) {
	whole, err := io.ReadAll(newNoise(1, 0, 9999))
	if err != nil || len(whole) != 10000 {
		t.Fatalf("%d bytes, %v", len(whole), err)
	}
	for _, at := range [][2]int64{{0, 0}, {1, 9999}, {16, 31}, {4095, 4097}, {9999, 9999}} {
		n := newNoise(1, at[0], at[1])
		for range 2 {
			if piece, err := io.ReadAll(iotest.HalfReader(n)); err != nil || !bytes.Equal(piece, whole[at[0]:at[1]+1]) {
				t.Errorf("the bytes from %d to %d differ: %v", at[0], at[1], err)
			}
			n.Seek(0, io.SeekStart)
		}
	}
	if at := bytes.Index(whole[1:], whole[:16]); at >= 0 {
		t.Errorf("the stream repeats itself after %d bytes", at+1)
	}
	if other, _ := io.ReadAll(newNoise(2, 0, 9999)); bytes.Equal(other, whole) {
		t.Error("two seeds give the same stream")
	}
}

// retrieve makes a job, waits for it, and returns its id.
func retrieve(t *testing.T, s *moraintest.Server, c *glacier.Client, p types.JobParameters) *string {
	t.Helper()
	out, err := c.InitiateJob(t.Context(), &glacier.InitiateJobInput{AccountId: aws.String("-"), VaultName: aws.String(loadVault), JobParameters: &p})
	if err != nil {
		t.Fatal(err)
	}
	if d := s.WaitForJob(t, loadVault, *out.JobId); d["StatusCode"] != "Succeeded" {
		t.Fatalf("the job ended as %v", d)
	}
	return out.JobId
}

// download returns an archive that fits into memory.
func download(t *testing.T, s *moraintest.Server, c *glacier.Client, archive string) []byte {
	t.Helper()
	job := retrieve(t, s, c, types.JobParameters{Type: aws.String("archive-retrieval"), ArchiveId: &archive})
	body, err := readOutput(t.Context(), c, job)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func readOutput(ctx context.Context, c *glacier.Client, job *string) ([]byte, error) {
	out, err := c.GetJobOutput(ctx, &glacier.GetJobOutputInput{AccountId: aws.String("-"), VaultName: aws.String(loadVault), JobId: job})
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	return io.ReadAll(out.Body)
}

// downloadBig compares the big archive with what was uploaded, in ranges, four at a time, and returns its tree hash.
func downloadBig(t *testing.T, s *moraintest.Server, c *glacier.Client, archive string) string {
	t.Helper()
	job := retrieve(t, s, c, types.JobParameters{Type: aws.String("archive-retrieval"), ArchiveId: &archive})
	leaves := make([][32]byte, (bigSize+1<<20-1)>>20)
	// Three leaves less than a part: every range but the first crosses from one part into the next sooner or later, and most have no tree hash.
	const step = bigPart - 3<<20
	err := atATime((bigSize+step-1)/step, 4, func(i int) error {
		first := int64(i) * step
		last := min(first+step, bigSize) - 1
		return compareRange(t.Context(), c, job, first, last, leaves[first>>20:(last>>20)+1])
	})
	if err != nil {
		t.Fatal(err)
	}
	return treeOf(leaves)
}

// compareRange downloads a range that begins with a leaf, compares it with the noise, and fills in the hashes of its leaves.
func compareRange(ctx context.Context, c *glacier.Client, job *string, first, last int64, leaves [][32]byte) error {
	out, err := c.GetJobOutput(ctx, &glacier.GetJobOutputInput{
		AccountId: aws.String("-"), VaultName: aws.String(loadVault), JobId: job, Range: aws.String(fmt.Sprintf("bytes=%d-%d", first, last)),
	})
	if err != nil {
		return err
	}
	defer out.Body.Close()
	if want := fmt.Sprintf("bytes %d-%d/%d", first, last, bigSize); aws.ToString(out.ContentRange) != want {
		return fmt.Errorf("Content-Range %q, want %q", aws.ToString(out.ContentRange), want)
	}
	want := newNoise(bigSeed, first, last)
	got, expected := make([]byte, 1<<20), make([]byte, 1<<20)
	for i := range leaves {
		n, err := io.ReadFull(out.Body, got)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("leaf %d of the bytes from %d: %w", i, first, err)
		}
		if m, _ := io.ReadFull(want, expected); n != m || !bytes.Equal(got[:n], expected[:m]) {
			return fmt.Errorf("leaf %d of the bytes from %d to %d: %d bytes differ from the %d uploaded", i, first, last, n, m)
		}
		leaves[i] = sha256.Sum256(got[:n])
	}
	if n, err := out.Body.Read(got); n > 0 || !errors.Is(err, io.EOF) {
		return fmt.Errorf("after the bytes from %d to %d came %d more, %v", first, last, n, err)
	}
	if sum := aws.ToString(out.Checksum); sum != "" && sum != treeOf(leaves) {
		return fmt.Errorf("the bytes from %d to %d came with the tree hash %s, and have %s", first, last, sum, treeOf(leaves))
	}
	return nil
}

// checkInventory holds the vault's inventory against what is stored.
func checkInventory(t *testing.T, s *moraintest.Server, c *glacier.Client, stored map[string]listedArchive) {
	t.Helper()
	text, err := readOutput(t.Context(), c, retrieve(t, s, c, types.JobParameters{Type: aws.String("inventory-retrieval")}))
	if err != nil {
		t.Fatal(err)
	}
	var inventory struct{ ArchiveList []listedArchive }
	if err := json.Unmarshal(text, &inventory); err != nil {
		t.Fatal(err)
	}
	if len(inventory.ArchiveList) != len(stored) {
		t.Errorf("the inventory lists %d archives, and %d were stored", len(inventory.ArchiveList), len(stored))
	}
	var size int64
	for _, a := range inventory.ArchiveList {
		a.CreationDate = ""
		if want := stored[a.ArchiveDescription]; a != want {
			t.Errorf("the inventory lists %+v, want %+v", a, want)
		}
		size += a.Size
	}
	t.Logf("%d archives with %d MiB", len(inventory.ArchiveList), size>>20)
}
