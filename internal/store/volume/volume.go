// Package volume keeps records in append-only files on a local disk. docs/formats.md describes the files.
//
// A record without a valid trailer never happened: that is what makes a crash in the middle of a write harmless. For now
// every record has a volume of its own.
package volume

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/vfs"
)

// Store is a store.Store on volume files.
type Store struct {
	fs  vfs.FS
	dir string
	now func() time.Time

	mu      sync.Mutex
	writing map[volumeID]bool // guarded by mu: volumes that a Put of this process has not done with
}

// shards is the number of directories that volumes are spread over, so that none grows too long to list.
const shards = 256

const suffix = ".vol"

// Open opens the store in a directory and makes what is missing of it.
func Open(fsys vfs.FS, dir string, now func() time.Time) (*Store, error) {
	s := &Store{fs: fsys, dir: dir, now: now, writing: make(map[volumeID]bool)}
	err := fsys.MkdirAll(dir)
	for i := range shards {
		if err == nil {
			err = fsys.Mkdir(s.shard(byte(i)))
		}
	}
	if err == nil {
		err = fsys.SyncDir(dir) // also for what a process made that was killed before it came to this
	}
	if err != nil {
		return nil, fmt.Errorf("open the volume store: %w", err)
	}
	return s, nil
}

func (s *Store) shard(b byte) string { return filepath.Join(s.dir, hex.EncodeToString([]byte{b})) }

// volumeID is eight bytes of time in nanoseconds and eight random ones. Its name is its hexadecimal form.
type volumeID [idSize]byte

func newVolumeID(now time.Time) volumeID {
	var id volumeID
	binary.BigEndian.PutUint64(id[:], uint64(now.UnixNano()))
	rand.Read(id[8:])
	return id
}

func parseVolumeID(s string) (volumeID, error) {
	var id volumeID
	if n, err := hex.Decode(id[:], []byte(s[:min(len(s), hex.EncodedLen(idSize))])); err != nil || n != idSize || len(s) != hex.EncodedLen(idSize) {
		return id, fmt.Errorf("%q is not the name of a volume", s)
	}
	return id, nil
}

func (id volumeID) String() string { return hex.EncodeToString(id[:]) }

func (id volumeID) time() time.Time {
	return time.Unix(0, int64(binary.BigEndian.Uint64(id[:]))).UTC()
}

func (s *Store) path(id volumeID) string {
	return filepath.Join(s.shard(id[idSize-1]), id.String()+suffix)
}

// place names the record at an offset of a volume.
func place(id volumeID, off int64) store.Place {
	return store.Place(id.String() + ":" + strconv.FormatInt(off, 10))
}

func parsePlace(at store.Place) (volumeID, int64, error) {
	name, off, _ := strings.Cut(string(at), ":")
	id, err := parseVolumeID(name)
	if err != nil {
		return id, 0, fault.New(fault.Invalid, "%q is not a place in a volume store", at)
	}
	n, err := strconv.ParseInt(off, 10, 64)
	if err != nil || n < volumeHeaderSize {
		return id, 0, fault.New(fault.Invalid, "%q is not a place in a volume store", at)
	}
	return id, n, nil
}

// Put writes a record into a volume of its own. The head of the volume is written last, when the payload has been
// verified and its length is known, and everything becomes durable together.
func (s *Store) Put(ctx context.Context, kind store.Kind, label []byte, payload *treehash.Stream) (store.Extent, error) {
	defer payload.Close()
	if len(label) > maxLabel {
		return store.Extent{}, fault.New(fault.Internal, "a label of %d bytes exceeds the limit of %d", len(label), maxLabel)
	}
	id := s.begin()
	defer s.end(id)
	f, err := s.fs.Create(s.path(id))
	if err != nil {
		return store.Extent{}, fmt.Errorf("create a volume: %w", err)
	}
	x, err := s.write(ctx, f, id, kind, label, payload)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = s.fs.SyncDir(filepath.Dir(s.path(id)))
	}
	if err != nil {
		s.fs.Remove(s.path(id)) // best effort: what stays is removed by the sweep
		return store.Extent{}, err
	}
	return x, nil
}

// begin names a new volume. Until end, Walk passes over it: it looks like one that was cut off.
func (s *Store) begin() volumeID {
	id := newVolumeID(s.now())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing[id] = true
	return id
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

func (s *Store) write(ctx context.Context, f vfs.File, id volumeID, kind store.Kind, label []byte, payload *treehash.Stream) (store.Extent, error) {
	start := int64(volumeHeaderSize + recordHeaderSize + len(label))
	end, err := copyPayload(ctx, f, start, payload)
	if err != nil {
		return store.Extent{}, err
	}
	h := recordHeader{kind: kind, label: uint32(len(label)), payload: end - start, created: s.now().UTC().Truncate(time.Millisecond)}
	rand.Read(h.id[:])
	x := store.Extent{
		Place: place(id, volumeHeaderSize), Kind: kind, Label: label, Size: h.payload,
		Tree: payload.Sum(), Leaves: payload.Leaves(), Created: h.created,
	}
	if _, err := f.WriteAt(encodeTrailer(h, label, x.Leaves, x.Tree), end); err != nil {
		return store.Extent{}, fmt.Errorf("write a trailer: %w", err)
	}
	head := append(append(encodeVolumeHeader(id, id.time()), h.encode()...), label...)
	if _, err := f.WriteAt(head, 0); err != nil {
		return store.Extent{}, fmt.Errorf("write a volume header: %w", err)
	}
	if err := f.Sync(); err != nil {
		return store.Extent{}, fmt.Errorf("sync a volume: %w", err)
	}
	return x, nil
}

// copyPayload writes the payload at an offset and returns where it ends.
func copyPayload(ctx context.Context, f vfs.File, at int64, payload *treehash.Stream) (int64, error) {
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
		if _, err := f.WriteAt(chunk, at); err != nil {
			return at, fmt.Errorf("write a payload: %w", err)
		}
		at += int64(len(chunk))
	}
}

// Remove removes a record by removing its volume.
func (s *Store) Remove(_ context.Context, at store.Place) error {
	id, _, err := parsePlace(at)
	if err != nil {
		return err
	}
	if err := s.fs.Remove(s.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove a volume: %w", err)
	}
	return s.fs.SyncDir(filepath.Dir(s.path(id)))
}

// Close does nothing: files are open only while they are used.
func (s *Store) Close() error { return nil }
