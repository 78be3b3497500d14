package cli

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/internal/vfs"
)

// lock takes a lock of a vault on this machine, which is lost with the process: vfs.ErrLocked if another command has it.
func (s *session) lock(v *glacier.Vault, name string) (io.Closer, error) {
	dir, err := s.cache()
	if err != nil {
		return nil, err
	}
	return vfs.OS().Lock(filepath.Join(dir, s.indexName(v)+"."+name+".lock"))
}

// waitLock is lock, but waits for the command that has it. busy, if it is not nil, is called once when there is one.
func (s *session) waitLock(ctx context.Context, v *glacier.Vault, name string, busy func()) (io.Closer, error) {
	for {
		l, err := s.lock(v, name)
		if !errors.Is(err, vfs.ErrLocked) {
			return l, err
		}
		if busy != nil {
			busy()
			busy = nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// syncLock is the name of the lock of a directory that is synced.
func syncLock(root string) string { return fmt.Sprintf("sync-%x", sum(root, 8)) }

// beginLock is the name of the lock of a file whose upload is about to begin, and of some others.
func beginLock(path string) string { return fmt.Sprintf("begin-%x", sum(path, 1)) }

func sum(text string, n int) []byte {
	all := sha256.Sum256([]byte(text))
	return all[:n]
}
