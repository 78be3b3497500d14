// Package volume keeps records in append-only files on a local disk. docs/formats.md describes the files.
//
// A small record shares a volume with others: what comes at the same time is written and synced together. A large one has a volume of its
// own. A record without a valid trailer never happened: that is what makes a crash in the middle of a write harmless.
package volume

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/group"
	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/vfs"
)

// Options are the figures of a store. Defaults gives those that are meant to be used.
type Options struct {
	ShareLimit int64 // payloads of up to so many bytes share volumes: at most MaxShareLimit
	VolumeSize int64 // a shared volume is closed when the next record would make it longer, in bytes
	Reserve    int64 // bytes of the disk that are left for removals, tombstones, compaction and the catalogue; at most an eighth of the disk
	Ahead      int64 // how far zeros are written ahead of the end of a shared volume, in bytes
	Log        *slog.Logger

	// Stamp returns the time, and by how much it is ahead of the time that nobody can set. Nil: it is not.
	Stamp func() (now time.Time, skew time.Duration)
}

// MaxShareLimit is the greatest ShareLimit: one leaf of the tree hash.
const MaxShareLimit = treehash.LeafSize

// Defaults returns the figures of a store that is used.
func Defaults() Options {
	return Options{ShareLimit: MaxShareLimit, VolumeSize: 1 << 30, Reserve: 256 << 20, Ahead: 4 << 20, Log: slog.New(slog.DiscardHandler)}
}

// Store is a store.Store on volume files.
type Store struct {
	fs      vfs.FS
	dir     string
	options Options
	now     func() time.Time
	appends *group.Committer[*addition]
	current *shared  // that is being appended to; only for what appends commits, and for Close
	file    vfs.File // of current; likewise
	buffer  []byte   // of the last group; likewise
	closed  bool     // likewise

	mu      sync.Mutex
	writing map[volumeID]bool    // guarded by mu: volumes of one record that a Put of this process has not done with
	shared  map[volumeID]*shared // guarded by mu
}

// shards is the number of directories that volumes of one record are spread over, so that none grows too long to list.
const shards = 256

// sharedDir is the directory of the shared volumes.
const sharedDir = "shared"

const suffix = ".vol"

// Open opens the store in a directory and makes what is missing of it. It reads little: the end of each shared volume, and the whole of those
// that were in use when a process was killed.
func Open(fsys vfs.FS, dir string, options Options, now func() time.Time) (*Store, error) {
	s := &Store{
		fs: fsys, dir: dir, options: options, now: now,
		writing: make(map[volumeID]bool), shared: make(map[volumeID]*shared),
	}
	s.appends = group.New(s.commit, (*addition).weight, maxGroup)
	err := fsys.MkdirAll(dir)
	for i := range shards {
		if err == nil {
			err = fsys.Mkdir(s.shard(byte(i)))
		}
	}
	if err == nil {
		err = fsys.Mkdir(filepath.Join(dir, sharedDir))
	}
	if err == nil {
		err = fsys.SyncDir(dir) // also for what a process made that was killed before it came to this
	}
	if err == nil {
		err = s.load()
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

// volumeOf returns the id in the name of a file, false if it is not that of a volume.
func volumeOf(name string) (volumeID, bool) {
	base, isVolume := strings.CutSuffix(name, suffix)
	id, err := parseVolumeID(base)
	return id, isVolume && err == nil && id.String() == base // which has no capitals
}

// frame says which kind of volume has an id.
func (s *Store) frame(id volumeID) frame {
	s.mu.Lock()
	defer s.mu.Unlock()
	return frame{id, s.shared[id] != nil}
}

// removable says which kind of volume has an id, and whether it is removed as a whole: it has one record, or none.
func (s *Store) removable(id volumeID) (f frame, whole bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.shared[id]
	return frame{id, v != nil}, v == nil || v.void
}

func (s *Store) path(f frame) string {
	if f.shared {
		return filepath.Join(s.dir, sharedDir, f.id.String()+suffix)
	}
	return filepath.Join(s.shard(f.id[idSize-1]), f.id.String()+suffix)
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

// IsPlace reports whether a place is one of this package's.
func IsPlace(at store.Place) bool {
	_, _, err := parsePlace(at)
	return err == nil
}

// Put writes a record: a small one into a shared volume, another into one of its own.
func (s *Store) Put(ctx context.Context, kind store.Kind, label []byte, payload *treehash.Stream) (store.Extent, error) {
	return s.put(ctx, kind, label, payload, s.stamp)
}

// Adopt is Put for a record of another store. All that is here can be read at any moment.
func (s *Store) Adopt(ctx context.Context, x store.Extent, payload *treehash.Stream, _ bool) (store.Extent, error) {
	return s.put(ctx, x.Kind, x.Label, payload, x.Stamp)
}

func (s *Store) put(ctx context.Context, kind store.Kind, label []byte, payload *treehash.Stream, stamp store.Stamp) (store.Extent, error) {
	defer payload.Close()
	if len(label) > maxLabel {
		return store.Extent{}, fault.New(fault.Internal, "a label of %d bytes exceeds the limit of %d", len(label), maxLabel)
	}
	if payload.Size() > s.options.ShareLimit {
		return s.putAlone(ctx, kind, label, nil, payload, stamp)
	}
	r, rest, err := s.newRecord(kind, label, payload, stamp)
	switch {
	case err != nil:
		return store.Extent{}, err
	case rest:
		return s.putAlone(ctx, kind, label, r.payload(), payload, stamp)
	case ctx.Err() != nil:
		return store.Extent{}, ctx.Err()
	}
	a := &addition{records: []*record{r}, vital: kind == store.Tombstone}
	s.appends.Do(a)
	if a.err != nil {
		return store.Extent{}, a.err
	}
	return r.extent, nil
}

// ErrFull says that what is left of the disk is reserved.
var ErrFull = fmt.Errorf("the rest of the disk is reserved for deletions and the catalogue: %w", syscall.ENOSPC) // read only

// reserve is ErrFull if so many bytes more would use the reserve of the disk: on a disk without any room, nothing could be deleted. A disk that does not say how much room it has is left to
// say so when it is written to.
func (s *Store) reserve(size int64) error {
	free, total, err := s.fs.Space(s.dir)
	if err == nil && free-size < min(s.options.Reserve, total/8) {
		return ErrFull
	}
	return nil
}

// roomFor is ErrFull if a copy of what a volume still holds would use more than half of the reserve.
func (s *Store) roomFor(v *shared) error {
	s.mu.Lock()
	live := v.live()
	s.mu.Unlock()
	free, total, err := s.fs.Space(s.dir)
	if err == nil && free-live < min(s.options.Reserve, total/8)/2 {
		err = ErrFull
	}
	return err
}

// Remove removes records: a volume of one record goes, in a shared one a removal is noted.
func (s *Store) Remove(ctx context.Context, at ...store.Place) error {
	var removals []removal
	dirs := make(map[string]bool) // in which a volume is removed
	for _, p := range at {
		id, off, err := parsePlace(p)
		if err != nil {
			return err
		}
		f, whole := s.removable(id)
		if whole {
			if err := s.removeVolume(f); err != nil {
				return err
			}
			s.drop(id)
			dirs[filepath.Dir(s.path(f))] = true
			continue
		}
		r, found, err := s.findRemoval(f, off)
		if err != nil {
			return err
		}
		if found {
			removals = append(removals, r)
		}
	}
	for dir := range dirs {
		if err := s.fs.SyncDir(dir); err != nil {
			return err
		}
	}
	return s.appendRemovals(removals)
}

// maxRemovals is how many removals a record has at most: those of one leaf.
const maxRemovals = treehash.LeafSize / removalSize

func (s *Store) appendRemovals(removals []removal) error {
	for some := range slices.Chunk(removals, maxRemovals) {
		a := &addition{removals: some, vital: true}
		if s.appends.Do(a); a.err != nil {
			return a.err
		}
	}
	return nil
}

// drop forgets a shared volume whose file is gone.
func (s *Store) drop(id volumeID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.shared, id)
}

// Close closes the shared volume that is in use, so that the next Open need not read it. Nothing can be added to the store afterwards.
func (s *Store) Close() error {
	a := &addition{last: true}
	s.appends.Do(a)
	return a.err
}

// readFull reads len(b) bytes. That they are the last of the file is no error, whether or not ReadAt says so (io.ReaderAt).
func readFull(r io.ReaderAt, b []byte, off int64) error {
	m, err := r.ReadAt(b, off)
	switch {
	case m == len(b):
		return nil
	case err == io.EOF:
		return fmt.Errorf("%w: %d bytes of %d at offset %d are there", errNoRecord, m, len(b), off)
	}
	return fmt.Errorf("%w: %d bytes of %d at offset %d can be read: %w", errNoRecord, m, len(b), off, err)
}
