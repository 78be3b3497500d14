package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/moraine-archive/moraine/glacier/treehash"
)

// alone measures something that needs no server.
func (b *bench) alone(ctx context.Context, size int64, clients int, do func(client, i int) error) (measured, error) {
	return charged(nil, func() (measured, error) { return b.limit.run(ctx, size, clients, do) })
}

// hashLinear computes the SHA-256 of archives on one core, again and again.
func (b *bench) hashLinear(ctx context.Context, size int64) (measured, error) {
	return b.alone(ctx, size, 1, func(_, _ int) error {
		h := sha256.New()
		for left := size; left > 0; left -= treehash.LeafSize {
			h.Write(b.pattern.block[:min(left, treehash.LeafSize)])
		}
		if sum := fmt.Sprintf("%x", h.Sum(nil)); sum != b.archives[size].linear {
			return fmt.Errorf("the SHA-256 of %d bytes is %s, and was %s before", size, sum, b.archives[size].linear)
		}
		return nil
	})
}

// hashBoth computes what the server has to for each upload: the linear and the tree hash.
func (b *bench) hashBoth(ctx context.Context, size int64) (measured, error) {
	return b.alone(ctx, size, 1, func(_, _ int) error {
		check := func(treehash.Hash, treehash.Hash) error { return nil }
		return drainStream(treehash.NewStream(b.pattern.reader(size), size, check))
	})
}

// drainStream reads a stream to its end.
func drainStream(s *treehash.Stream) error {
	for {
		if _, _, err := s.Next(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// write makes files as plainly as it can be done durably, like dd with conv=fdatasync.
func (b *bench) write(ctx context.Context, size int64, clients int) (measured, error) {
	dir, err := os.MkdirTemp(b.dir, "files-")
	if err != nil {
		return measured{}, err
	}
	defer os.RemoveAll(dir)
	return b.alone(ctx, size, clients, func(_, i int) error {
		return b.writeFile(filepath.Join(dir, fmt.Sprint(i)), size)
	})
}

func (b *bench) writeFile(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for left := size; left > 0; left -= treehash.LeafSize {
		if _, err := f.Write(b.pattern.block[:min(left, treehash.LeafSize)]); err != nil {
			return err
		}
	}
	if err := unix.Fdatasync(int(f.Fd())); err != nil {
		return fmt.Errorf("fdatasync %s: %w", path, err)
	}
	return nil
}
