// Package treehash computes the SHA-256 tree hash of the Amazon Glacier API (guide: "Computing Checksums").
//
// Data is cut into leaves of 1 MiB, the last one may be shorter; the hash of each leaf is its SHA-256. Neighbours are
// joined in pairs, left to right, by the SHA-256 of their two hashes; a node without a partner goes up unchanged. The
// last node left is the tree hash. A node of height h covers 2^h leaves (fewer at the end of the data), and its hash is
// the tree hash of exactly those bytes: that is what lets a range be verified alone.
package treehash

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/bits"
)

// LeafSize is the number of bytes in a leaf.
const LeafSize = 1 << 20

// Size is the number of bytes in a Hash.
const Size = sha256.Size

// Hash is a SHA-256: of a leaf, of a node, or the linear hash of the whole.
type Hash [Size]byte

// String returns the hash as 64 lower-case hexadecimal digits, the form of the API.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Parse reads 64 hexadecimal digits of either case.
func Parse(s string) (Hash, error) {
	var h Hash
	if len(s) != hex.EncodedLen(Size) {
		return h, fmt.Errorf("treehash: a hash has 64 hexadecimal digits, not %d characters", len(s))
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		return h, fmt.Errorf("treehash: a hash has hexadecimal digits only: %w", err)
	}
	return h, nil
}

// FromBytes returns the hash whose bytes are b.
func FromBytes(b []byte) (Hash, error) {
	if len(b) != Size {
		return Hash{}, fmt.Errorf("treehash: a hash has %d bytes, not %d", Size, len(b))
	}
	return Hash(b), nil
}

// Empty returns the hash of no data: the SHA-256 of the empty string.
func Empty() Hash { return sha256.Sum256(nil) }

// Join returns the parent of two neighbours.
func Join(left, right Hash) Hash {
	var b [2 * Size]byte
	copy(b[:Size], left[:])
	copy(b[Size:], right[:])
	return sha256.Sum256(b[:])
}

// Leaves returns the number of leaves of size bytes.
func Leaves(size int64) int64 { return (size + LeafSize - 1) / LeafSize }

// A Tree folds the hashes of equal nodes, given from left to right, into their tree hash. The nodes may be leaves, or
// parts of a multipart upload: all of one height, the last may cover less. The zero value is ready to use. It holds at most
// one hash for each level.
type Tree struct {
	levels [64]Hash
	n      uint64 // bit i is set when levels[i] waits for its right neighbour
}

// Add appends the next node.
func (t *Tree) Add(h Hash) {
	level := 0
	for ; t.n>>level&1 == 1; level++ {
		h = Join(t.levels[level], h)
	}
	t.levels[level] = h
	t.n++
}

// Sum returns the tree hash of the nodes added so far, Empty if there are none. It does not change the tree.
func (t *Tree) Sum() Hash {
	if t.n == 0 {
		return Empty()
	}
	level := bits.TrailingZeros64(t.n)
	h := t.levels[level]
	for level++; t.n>>level != 0; level++ {
		if t.n>>level&1 == 1 {
			h = Join(t.levels[level], h)
		}
	}
	return h
}

// Fold returns the tree hash of equal nodes in their order.
func Fold(nodes []Hash) Hash {
	var t Tree
	for _, h := range nodes {
		t.Add(h)
	}
	return t.Sum()
}

// MiBAligned reports whether the inclusive range [first, last] of size bytes begins at a multiple of 1 MiB and ends
// at one or at the end of the data (guide: "Range retrievals").
func MiBAligned(first, last, size int64) bool {
	return 0 <= first && first <= last && last < size && first%LeafSize == 0 && ((last+1)%LeafSize == 0 || last == size-1)
}

// Aligned reports whether the inclusive range [first, last] of size bytes is exactly one node of the tree of the
// whole: only such a range has a tree hash that can be compared with the whole's (guide: "Receiving Checksums When Downloading Data").
func Aligned(first, last, size int64) bool {
	if !MiBAligned(first, last, size) {
		return false
	}
	at, length, total := first/LeafSize, Leaves(last+1-first), Leaves(size)
	height := bits.Len64(uint64(length - 1))
	width := int64(1) << height
	return at%width == 0 && (length == width || at+length == total)
}
