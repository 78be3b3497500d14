package treehash_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/moraine-archive/moraine/glacier/treehash"
)

// The tree hash of an archive is made of the tree hashes of its parts: no byte of the archive is needed.
func ExampleTree() {
	var whole treehash.Tree
	for _, part := range []string{"the first MiB", "the second MiB", "the rest"} { // stand for 1 MiB each, but the last
		whole.Add(sha256.Sum256([]byte(part)))
	}
	fmt.Println(whole.Sum())
	// Output: 0a8a67e10e9c959d9b7b0686640fe65be8d46a190cc840a2e2ff10c4d606e235
}

// A stream computes both hashes while the data is on its way, and refuses at the end what is not what it should be.
func ExampleStream() {
	want, err := treehash.Parse("b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9")
	if err != nil {
		fmt.Println(err)
		return
	}
	body := strings.NewReader("hello world")
	stream := treehash.NewStream(body, body.Size(), func(_, tree treehash.Hash) error {
		if tree != want {
			return errors.New("damaged on the way")
		}
		return nil
	})
	defer stream.Close()
	for {
		leaf, hash, err := stream.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%d bytes, leaf %.8s...\n", len(leaf), hash.String())
	}
	fmt.Println("verified", stream.Read(), "bytes")
	// Output:
	// 11 bytes, leaf b94d27b9...
	// verified 11 bytes
}

// Only a range that is a node of the tree has a tree hash of its own.
func ExampleAligned() {
	const size = 7 << 20
	for _, r := range [][2]int64{{4, 7}, {5, 7}} {
		first, last := r[0]<<20, r[1]<<20-1
		fmt.Printf("bytes %d-%d of %d: %t\n", first, last, int64(size), treehash.Aligned(first, last, size))
	}
	// Output:
	// bytes 4194304-7340031 of 7340032: true
	// bytes 5242880-7340031 of 7340032: false
}
