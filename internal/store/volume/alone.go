package volume

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/vfs"
)

// putAlone writes a record into a volume of its own; begun is what was read of the payload already. The head of the volume is written last, when the
// payload has been verified and its length is known, and everything becomes durable together.
func (s *Store) putAlone(ctx context.Context, kind store.Kind, label, begun []byte, payload *treehash.Stream, stamp store.Stamp) (store.Extent, error) {
	if err := s.reserve(max(payload.Size(), int64(len(begun)))); err != nil {
		return store.Extent{}, err
	}
	f := s.begin()
	defer s.end(f.id)
	file, err := s.fs.Create(s.path(f))
	if err != nil {
		return store.Extent{}, fmt.Errorf("create a volume: %w", err)
	}
	x, err := s.write(ctx, file, f, kind, label, begun, payload, stamp)
	err = errors.Join(err, file.Close())
	if err == nil {
		err = s.fs.SyncDir(filepath.Dir(s.path(f)))
	}
	if err != nil {
		s.fs.Remove(s.path(f)) // best effort: what stays is removed by the sweep
		return store.Extent{}, err
	}
	return x, nil
}

// begin names a new volume. Until end, Walk passes over it: it looks like one that was cut off.
func (s *Store) begin() frame {
	f := frame{id: newVolumeID(s.now())}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing[f.id] = true
	return f
}

func (s *Store) end(id volumeID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.writing, id)
}

func (s *Store) isWriting(id volumeID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writing[id]
}

func (s *Store) write(ctx context.Context, file vfs.File, f frame, kind store.Kind, label, begun []byte, payload *treehash.Stream, stamp store.Stamp) (store.Extent, error) {
	start := int64(volumeHeaderSize + recordHeaderSize + len(label))
	end, err := s.copyPayload(ctx, file, start, begun, payload)
	if err != nil {
		return store.Extent{}, err
	}
	h := recordHeader{kind: kind, label: uint32(len(label)), payload: end - start}
	h.created, h.skew = stamp()
	rand.Read(h.id[:])
	x := store.Extent{
		Place: place(f.id, volumeHeaderSize), Kind: kind, Label: label, Size: h.payload,
		Tree: payload.Sum(), Leaves: payload.Leaves(), Created: h.created, Skew: h.skew,
	}
	if _, err := file.WriteAt(f.encodeTrailer(volumeHeaderSize, h, label, x.Leaves, x.Tree), end); err != nil {
		return store.Extent{}, fmt.Errorf("write a trailer: %w", err)
	}
	head := append(append(encodeVolumeHeader(f), h.encode()...), label...)
	if _, err := file.WriteAt(head, 0); err != nil {
		return store.Extent{}, fmt.Errorf("write a volume header: %w", err)
	}
	if err := file.Sync(); err != nil {
		return store.Extent{}, fmt.Errorf("sync a volume: %w", err)
	}
	return x, nil
}

// moment returns the time as records have it.
func (s *Store) moment() time.Time { return s.now().UTC().Truncate(time.Millisecond) }

// stamp returns the time as records have it, and by how much it is ahead of the lock time: both at the same moment, for either can be made to jump.
func (s *Store) stamp() (created time.Time, skew time.Duration) {
	now := s.now()
	if s.options.Stamp != nil {
		now, skew = s.options.Stamp()
	}
	created = now.UTC().Truncate(time.Millisecond)
	return created, created.Sub(now.Add(-skew).UTC().Truncate(time.Millisecond))
}

// copyPayload writes the payload, of which begun was read already, at an offset, and returns where it ends. The last chunk that the payload gave is
// not in begun.
func (s *Store) copyPayload(ctx context.Context, f vfs.File, at int64, begun []byte, payload *treehash.Stream) (int64, error) {
	if len(begun) > 0 {
		if _, err := f.WriteAt(begun, at); err != nil {
			return at, fmt.Errorf("write a payload: %w", err)
		}
		at += int64(len(begun))
	}
	for {
		chunk, _, err := payload.Next()
		if err == io.EOF { // and nothing that wraps it: that is a failure of the payload
			return at, nil
		}
		if err != nil {
			return at, fmt.Errorf("read the payload: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return at, err
		}
		if err := s.reserve(int64(len(chunk))); err != nil { // others write too
			return at, err
		}
		if _, err := f.WriteAt(chunk, at); err != nil {
			return at, fmt.Errorf("write a payload: %w", err)
		}
		at += int64(len(chunk))
	}
}

// removeVolume removes a volume. It is gone for good when its directory is synced.
func (s *Store) removeVolume(f frame) error {
	if err := s.fs.Remove(s.path(f)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove a volume: %w", err)
	}
	return nil
}
