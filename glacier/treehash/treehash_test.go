package treehash_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/moraine-archive/moraine/glacier/treehash"
)

const mib = treehash.LeafSize

// vectors is testdata/vectors.json. It stands apart from the code so that other implementations can use it.
type vectors struct {
	Vectors []struct {
		Data         string
		Size         int
		Linear, Tree string
	}
	Leaves struct {
		Size   int
		Hashes []string
	}
	Ranges []struct {
		Size, First, Last int64
		Aligned           bool
		Tree              string
	}
}

func readVectors(t *testing.T) (v vectors) {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Vectors) == 0 || len(v.Leaves.Hashes) == 0 || len(v.Ranges) == 0 {
		t.Fatal("testdata/vectors.json lacks a list")
	}
	return v
}

// mod251 is the data of most vectors: the byte at offset i is i mod 251.
func mod251(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

func vectorData(t *testing.T, name string, size int) []byte {
	t.Helper()
	switch name {
	case "mod251":
		return mod251(size)
	case "0":
		return bytes.Repeat([]byte("0"), size)
	}
	t.Fatalf("testdata/vectors.json names unknown data: %q", name)
	return nil
}

func TestVectors(t *testing.T) {
	for _, v := range readVectors(t).Vectors {
		t.Run(fmt.Sprintf("%s %d", v.Data, v.Size), func(t *testing.T) {
			data := vectorData(t, v.Data, v.Size)
			var linear, tree treehash.Hash
			s := treehash.NewStream(bytes.NewReader(data), int64(v.Size), func(l, h treehash.Hash) error {
				linear, tree = l, h
				return nil
			})
			if _, err := readAll(s); err != nil {
				t.Fatal(err)
			}
			if linear.String() != v.Linear || tree.String() != v.Tree {
				t.Errorf("linear %s, tree %s; want %s and %s", linear, tree, v.Linear, v.Tree)
			}
		})
	}
}

func TestVectorLeaves(t *testing.T) {
	v := readVectors(t)
	s := treehash.NewStream(bytes.NewReader(mod251(v.Leaves.Size)), -1, nil)
	if _, err := readAll(s); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, h := range s.Leaves() {
		got = append(got, h.String())
	}
	if !slices.Equal(got, v.Leaves.Hashes) {
		t.Errorf("leaves %q, want %q", got, v.Leaves.Hashes)
	}
}

func TestVectorRanges(t *testing.T) {
	for _, r := range readVectors(t).Ranges {
		if got := treehash.Aligned(r.First, r.Last, r.Size); got != r.Aligned {
			t.Errorf("Aligned(%d, %d, %d) = %t, want %t", r.First, r.Last, r.Size, got, r.Aligned)
		}
		if !r.Aligned {
			continue
		}
		leaves := leavesOf(mod251(int(r.Size)))
		if got := treehash.Fold(leaves[r.First/mib : treehash.Leaves(r.Last+1)]); got.String() != r.Tree {
			t.Errorf("bytes %d to %d of %d have the tree hash %s, want %s", r.First, r.Last, r.Size, got, r.Tree)
		}
	}
}

func leavesOf(data []byte) (leaves []treehash.Hash) {
	for chunk := range slices.Chunk(data, mib) {
		leaves = append(leaves, sha256.Sum256(chunk))
	}
	return leaves
}

// naive is the algorithm as the guide tells it: level by level.
func naive(nodes []treehash.Hash) treehash.Hash {
	if len(nodes) == 0 {
		return sha256.Sum256(nil)
	}
	for len(nodes) > 1 {
		var parents []treehash.Hash
		for pair := range slices.Chunk(nodes, 2) {
			if len(pair) == 1 {
				parents = append(parents, pair[0])
				continue
			}
			parents = append(parents, sha256.Sum256(slices.Concat(pair[0][:], pair[1][:])))
		}
		nodes = parents
	}
	return nodes[0]
}

// random returns a source of numbers whose seed is printed when the test fails.
func random(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %#x", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}

func randomHashes(r *rand.Rand, n int) []treehash.Hash {
	hashes := make([]treehash.Hash, n)
	for i := range hashes {
		for j := range hashes[i] {
			hashes[i][j] = byte(r.Uint32())
		}
	}
	return hashes
}

func TestTreeIsTheNaiveTree(t *testing.T) {
	leaves := randomHashes(random(t), 300)
	var tree treehash.Tree
	for n := range len(leaves) + 1 {
		want := naive(leaves[:n])
		if got := tree.Sum(); got != want {
			t.Fatalf("%d leaves: %s, want %s", n, got, want)
		}
		if got := treehash.Fold(leaves[:n]); got != want {
			t.Fatalf("Fold of %d leaves: %s, want %s", n, got, want)
		}
		if n < len(leaves) {
			tree.Add(leaves[n]) // after Sum, which must not have changed the tree
		}
	}
}

func TestTreeOfRandomData(t *testing.T) {
	r := random(t)
	for range 20 {
		data := make([]byte, r.IntN(5*mib))
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		s := treehash.NewStream(bytes.NewReader(data), -1, nil)
		if _, err := readAll(s); err != nil {
			t.Fatal(err)
		}
		if want := naive(leavesOf(data)); s.Sum() != want {
			t.Fatalf("%d bytes: %s, want %s", len(data), s.Sum(), want)
		}
	}
}

// A part of a multipart upload is a node of the archive's tree: all parts have 2^k MiB, the last may have less.
func TestFoldOfPartsIsTheWhole(t *testing.T) {
	leaves := randomHashes(random(t), 130)
	for n := 1; n <= len(leaves); n++ {
		whole := treehash.Fold(leaves[:n])
		for part := 1; part <= 256; part *= 2 {
			var parts []treehash.Hash
			for p := range slices.Chunk(leaves[:n], part) {
				parts = append(parts, treehash.Fold(p))
			}
			if got := treehash.Fold(parts); got != whole {
				t.Fatalf("%d leaves in parts of %d: %s, want %s", n, part, got, whole)
			}
		}
	}
}

type span struct{ first, last int64 }

// nodes returns the byte ranges of all nodes of the tree of size bytes.
func nodes(size int64) map[span]bool {
	all := make(map[span]bool)
	var level []span
	for at := int64(0); at < size; at += mib {
		level = append(level, span{at, min(at+mib, size) - 1})
	}
	for {
		var parents []span
		for pair := range slices.Chunk(level, 2) {
			for _, node := range pair {
				all[node] = true
			}
			parents = append(parents, span{pair[0].first, pair[len(pair)-1].last})
		}
		if len(level) <= 1 {
			return all
		}
		level = parents
	}
}

// boundaries returns the offsets around every MiB of size bytes, and some that are outside.
func boundaries(size int64) []int64 {
	offsets := []int64{-mib, size - 2, size - 1, size, size + mib - 1}
	for at := int64(0); at <= size+mib; at += mib {
		offsets = append(offsets, at-1, at, at+1)
	}
	slices.Sort(offsets)
	return slices.Compact(offsets)
}

func TestAlignedIsANodeOfTheTree(t *testing.T) {
	for n := int64(0); n <= 17; n++ {
		for _, size := range []int64{n*mib - 1, n * mib, n*mib + 1, n*mib + mib/2} {
			if size < 0 {
				continue
			}
			nodes := nodes(size)
			for _, first := range boundaries(size) {
				for _, last := range boundaries(size) {
					if got, want := treehash.Aligned(first, last, size), nodes[span{first, last}]; got != want {
						t.Fatalf("Aligned(%d, %d, %d) = %t, want %t", first, last, size, got, want)
					}
				}
			}
		}
	}
}

func TestMiBAligned(t *testing.T) {
	for _, size := range []int64{0, 1, mib - 1, mib, mib + 1, 3 * mib, 3*mib + 5} {
		for _, first := range boundaries(size) {
			for _, last := range boundaries(size) {
				within := first >= 0 && first <= last && last < size
				want := within && first%mib == 0 && ((last+1)%mib == 0 || last+1 == size)
				if got := treehash.MiBAligned(first, last, size); got != want {
					t.Fatalf("MiBAligned(%d, %d, %d) = %t, want %t", first, last, size, got, want)
				}
			}
		}
	}
}

func TestLeaves(t *testing.T) {
	for size, want := range map[int64]int64{0: 0, 1: 1, mib - 1: 1, mib: 1, mib + 1: 2, 10*mib + 1: 11, 40_000 << 30: 40_000 << 10} {
		if got := treehash.Leaves(size); got != want {
			t.Errorf("Leaves(%d) = %d, want %d", size, got, want)
		}
	}
}

func TestParse(t *testing.T) {
	const lower = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for _, text := range []string{lower, strings.ToUpper(lower), lower[:10] + strings.ToUpper(lower[10:])} {
		h, err := treehash.Parse(text)
		if err != nil || h.String() != lower {
			t.Errorf("Parse(%q) = %s, %v, want %s", text, h, err, lower)
		}
	}
	for _, text := range []string{"", lower[1:], lower + "0", "0x" + lower[2:], lower[:63] + "g", " " + lower[1:], lower[:62] + "é"} {
		if h, err := treehash.Parse(text); err == nil {
			t.Errorf("Parse(%q) = %s, want an error", text, h)
		}
	}
}

func TestFromBytes(t *testing.T) {
	want := treehash.Empty()
	if h, err := treehash.FromBytes(want[:]); err != nil || h != want {
		t.Errorf("FromBytes of 32 bytes = %s, %v", h, err)
	}
	for _, n := range []int{0, 31, 33} {
		if _, err := treehash.FromBytes(make([]byte, n)); err == nil {
			t.Errorf("FromBytes of %d bytes gives no error", n)
		}
	}
}
