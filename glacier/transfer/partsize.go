package transfer

import (
	"fmt"
	"math/bits"

	"github.com/moraine-archive/moraine/glacier/treehash"
)

// Limits of the service (guide: "Uploading Large Archives in Parts").
const (
	minPartSize = 1 << 20
	maxPartSize = 4 << 30
	maxParts    = 10_000
	// MaxSize is the size of the largest archive, 40,000 GiB.
	MaxSize = maxParts * maxPartSize
)

// The defaults of an Uploader.
const (
	defaultPartSize       = 16 << 20
	defaultStreamPartSize = 64 << 20
	defaultSingle         = 16 << 20
	defaultConcurrency    = 4
	defaultAttempts       = 3
)

// PartSize returns the size of the parts of an upload of size bytes: 16 MiB up to 156 GiB, and above that the smallest power of two with which there are at most
// 10,000 parts. More than MaxSize is ErrTooLarge.
func PartSize(size int64) (int64, error) { return partSize(defaultPartSize, size) }

// partSize returns the smallest size of parts that is at least the wanted one.
func partSize(wanted, size int64) (int64, error) {
	if err := checkPartSize(wanted); err != nil {
		return 0, err
	}
	if size > MaxSize {
		return 0, fmt.Errorf("%w: %d, the limit is %d", ErrTooLarge, size, int64(MaxSize))
	}
	for partCount(size, wanted) > maxParts {
		wanted *= 2
	}
	return wanted, nil
}

func checkPartSize(n int64) error {
	if n < minPartSize || n > maxPartSize || bits.OnesCount64(uint64(n)) != 1 {
		return fmt.Errorf("the part size %d is not 1 MiB times a power of two, up to 4 GiB", n)
	}
	return nil
}

// partCount returns how many pieces of a size there are.
func partCount(size, piece int64) int64 { return (size + piece - 1) / piece }

// leafSize is that of the tree hash.
const leafSize = treehash.LeafSize
