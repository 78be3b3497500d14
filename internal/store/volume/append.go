package volume

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/vfs"
)

// record is a record that is going to be appended to a shared volume.
type record struct {
	h      recordHeader
	b      []byte // of its length: label and payload are in their places, the rest is when it is known where the record goes
	extent store.Extent
}

// newRecord reads a payload that may fit into a shared volume. rest is true if it does not: there may be more to read.
func (s *Store) newRecord(kind store.Kind, label []byte, payload *treehash.Stream, stamp store.Stamp) (r *record, rest bool, err error) {
	chunk, _, err := payload.Next()
	more := err == nil && (int64(len(chunk)) > s.options.ShareLimit)
	if err != nil && err != io.EOF { // and nothing that wraps it: that is a failure of the payload
		return nil, false, fmt.Errorf("read the payload: %w", err)
	}
	r = newRecord(recordHeader{kind: kind, label: uint32(len(label)), payload: int64(len(chunk))}, label, chunk)
	if more {
		return r, true, nil
	}
	switch chunk, _, err := payload.Next(); {
	case err == nil:
		r.b = append(r.b[:recordHeaderSize+len(label)+int(r.h.payload)], chunk...)
		r.h.payload += int64(len(chunk))
		return r, true, nil
	case err != io.EOF:
		return nil, false, fmt.Errorf("read the payload: %w", err)
	}
	r.h.created, r.h.skew = stamp()
	rand.Read(r.h.id[:])
	r.extent = store.Extent{
		Kind: kind, Label: label, Size: r.h.payload, Tree: payload.Sum(), Leaves: payload.Leaves(), Created: r.h.created, Skew: r.h.skew,
	}
	return r, false, nil
}

func newRecord(h recordHeader, label, payload []byte) *record {
	r := &record{h: h, b: make([]byte, h.length())}
	copy(r.b[recordHeaderSize:], label)
	copy(r.b[recordHeaderSize+len(label):], payload)
	return r
}

func (r *record) payload() []byte {
	return r.b[recordHeaderSize+int(r.h.label):][:r.h.payload]
}

// put completes a record for its place.
func (r *record) put(f frame, off int64, number uint32) {
	r.h.number = number
	r.extent.Place = place(f.id, off)
	copy(r.b, r.h.encode())
	trailerAt := recordHeaderSize + int64(r.h.label) + r.h.payload
	copy(r.b[trailerAt:], f.encodeTrailer(off, r.h, r.extent.Label, r.extent.Leaves, r.extent.Tree))
}

// addition is what one caller wants to be appended. All of it is, or err says why none of it may be.
type addition struct {
	records  []*record
	removals []removal
	last     bool // nothing comes after it: the store is closed
	vital    bool // it may use the reserve: it makes room, or is needed to make room
	err      error
}

// weight is about the number of bytes that an addition takes.
func (a *addition) weight() int {
	n := len(a.removals) * removalSize
	for _, r := range a.records {
		n += len(r.b)
	}
	return n
}

// Figures of appending.
const (
	maxGroup      = 4 << 20 // bytes that are written at once, if a single addition is no longer
	maxRecords    = 1 << 20 // in a volume, so that its index stays small
	removalRecord = recordHeaderSize + int64(trailerTail) + treehash.Size + alignment
	leastAhead    = 64 << 10
)

// groupSize returns how many bytes a group takes at most, and how many records it has at most.
func groupSize(group []*addition) (size int64, records uint32) {
	removals := 0
	for _, a := range group {
		size += int64(a.weight())
		records += uint32(len(a.records))
		removals += len(a.removals)
	}
	return size + removalRecord + treehash.Leaves(int64(removals)*removalSize)*treehash.Size, records + 1
}

// commit appends a group of additions with one write, and syncs once.
func (s *Store) commit(group []*addition) {
	group, last := withoutLast(group)
	if s.closed {
		fail(group, fs.ErrClosed)
		return
	}
	s.append(group)
	if last != nil {
		s.closed = true
		if s.current != nil {
			last.err = s.closeCurrent()
		}
	}
}

// withoutLast takes what closes the store out of a group.
func withoutLast(group []*addition) (rest []*addition, last *addition) {
	for _, a := range group {
		if a.last {
			last = a
		} else {
			rest = append(rest, a)
		}
	}
	return rest, last
}

func (s *Store) append(group []*addition) {
	if group = s.admit(group); len(group) == 0 {
		return
	}
	size, records := groupSize(group)
	if err := s.ready(size, records); err != nil {
		fail(group, err)
		return
	}
	if err := s.allocate(size); err != nil {
		if group = s.fitting(group, err); len(group) == 0 {
			return
		}
	}
	b, added, removals := s.encode(group)
	if err := s.appendGroup(b); err != nil {
		s.retire()
		fail(group, err)
		return
	}
	s.mu.Lock()
	v := s.current
	v.end += int64(len(b))
	v.numbers += uint32(len(added))
	v.entries = append(v.entries, added...)
	if len(removals) > 0 {
		v.spare += int64(added[len(added)-1].length)
	}
	v.removals = append(v.removals, removals...)
	s.mu.Unlock()
	s.apply(removals)
}

// admit fails what would use the reserve and may not, and returns the rest of a group.
func (s *Store) admit(group []*addition) (rest []*addition) {
	if len(group) == 0 {
		return nil
	}
	size, _ := groupSize(group)
	err := s.reserve(size)
	if err == nil {
		return group
	}
	for _, a := range group {
		if a.vital {
			rest = append(rest, a)
		} else {
			a.err = err
		}
	}
	return rest
}

func fail(group []*addition, err error) {
	for _, a := range group {
		a.err = err
	}
}

// ready makes sure that a volume is in use which takes so much more.
func (s *Store) ready(size int64, records uint32) error {
	if v := s.current; v != nil && (v.end+size > s.options.VolumeSize || v.numbers+records > maxRecords) && len(v.entries) > 0 {
		s.mu.Lock()
		v.finished = true
		s.mu.Unlock()
		if err := s.closeCurrent(); err != nil {
			s.options.Log.Warn("a full volume cannot be closed; it will be at the next start", "volume", v.id, "error", err)
		}
	}
	if s.current != nil || s.resume(size, records) {
		return nil
	}
	return s.create()
}

// closeCurrent closes the volume that is in use.
func (s *Store) closeCurrent() error {
	err := errors.Join(s.writeClosing(s.file, s.current), s.file.Close())
	s.current, s.file = nil, nil
	return err
}

// retire gives up the volume that is in use: a write or a sync has failed, and nobody knows what of the last group is on the disk. What was synced before
// can be read as ever; the next compaction moves it elsewhere.
func (s *Store) retire() {
	s.options.Log.Error("a volume is given up after a failed write or sync; what was acknowledged will be verified and moved", "volume", s.current.id)
	s.mu.Lock()
	s.current.finished = true
	s.mu.Unlock()
	s.file.Close()
	s.current, s.file = nil, nil
}

// resume goes on with the youngest volume, if it was closed in good order and has room.
func (s *Store) resume(size int64, records uint32) bool {
	v := s.youngest()
	if v == nil || v.end+size > s.options.VolumeSize || v.numbers+records > maxRecords {
		return false
	}
	file, err := s.fs.Reopen(s.path(v.frame))
	if err == nil {
		if err = s.reopen(file, v); err != nil {
			file.Close()
		}
	}
	if err != nil {
		s.options.Log.Warn("a volume cannot be gone on with; another is begun", "volume", v.id, "error", err)
		return false
	}
	s.current, s.file = v, file
	return true
}

// reopen reads what has to be known of a volume to append to it.
func (s *Store) reopen(file vfs.File, v *shared) error {
	entries, err := s.entriesOf(file, v)
	if err != nil {
		return err
	}
	removals, err := s.removalsOf(file, v)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.finished {
		return errors.New("the volume is being compacted")
	}
	v.closed, v.entries, v.removals, v.allocated = false, entries, removals, v.end
	return nil
}

// youngest returns the youngest of the volumes that can be gone on with, nil if there is none.
func (s *Store) youngest() (youngest *shared) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.shared {
		if v.closed && !v.finished && (youngest == nil || string(v.id[:]) > string(youngest.id[:])) {
			youngest = v
		}
	}
	return youngest
}

// create begins a volume. Its name is synced now, its header together with the first group.
func (s *Store) create() error {
	v := &shared{frame: frame{newVolumeID(s.now()), true}, end: volumeHeaderSize, allocated: volumeHeaderSize}
	file, err := s.fs.Create(s.path(v.frame))
	if err != nil {
		return fmt.Errorf("create a volume: %w", err)
	}
	_, err = file.WriteAt(encodeVolumeHeader(v.frame), 0)
	if err == nil {
		err = s.fs.SyncDir(filepath.Join(s.dir, sharedDir))
	}
	if err != nil {
		file.Close()
		s.fs.Remove(s.path(v.frame)) // best effort: what stays is a volume without records
		return fmt.Errorf("begin a volume: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shared[v.id] = v
	s.current, s.file = v, file
	return nil
}

// allocate writes zeros ahead, so that appending changes no length, which would have to be synced too. The step grows with the volume.
func (s *Store) allocate(size int64) error {
	v := s.current
	if v.end+size <= v.allocated {
		return nil
	}
	end := v.end + size + min(max(v.end, leastAhead), s.options.Ahead)
	from := max(v.allocated, v.end)
	for at := from; at < end; {
		n, err := s.file.WriteAt(zeros[:min(end-at, int64(len(zeros)))], at)
		if err != nil {
			s.file.Truncate(from) // best effort: a part of it may be there, on a disk that has no room to give away
			return fmt.Errorf("extend a volume: %w", err)
		}
		at += int64(n)
	}
	v.allocated = end
	return nil
}

var zeros [1 << 20]byte // read only

// fitting returns the part of a group that fits into what is allocated already, and fails the rest: on a full disk, removals can go on.
func (s *Store) fitting(group []*addition, err error) (fits []*addition) {
	left := s.current.allocated - s.current.end - removalRecord
	for _, a := range group {
		if n := int64(a.weight()); n <= left {
			fits = append(fits, a)
			left -= n
		} else {
			a.err = err
		}
	}
	return fits
}

// encode completes the records of a group for their places, and returns what is to be written, until the next call. The removals of a group share a record, the last.
func (s *Store) encode(group []*addition) (b []byte, added []entry, removals []removal) {
	v := s.current
	b = s.buffer[:0]
	defer func() {
		if s.buffer = b; cap(b) > 2*maxGroup { // a single addition can be longer
			s.buffer = nil
		}
	}()
	for _, a := range group {
		for _, r := range a.records {
			e := entry{v.end + int64(len(b)), uint32(len(r.b)), v.numbers + uint32(len(added))}
			r.put(v.frame, e.off, e.number)
			b = append(b, r.b...)
			added = append(added, e)
		}
		removals = append(removals, a.removals...)
	}
	if len(removals) > 0 {
		e := entry{off: v.end + int64(len(b)), number: v.numbers + uint32(len(added))}
		r := encodeInternal(v.frame, e.off, e.number, removalKind, encodeRemovals(removals), s.moment())
		e.length = uint32(len(r))
		b = append(b, r...)
		added = append(added, e)
	}
	return b, added, removals
}

// appendGroup writes a group behind the records, and syncs it.
func (s *Store) appendGroup(b []byte) error {
	if _, err := s.file.WriteAt(b, s.current.end); err != nil {
		return fmt.Errorf("write to a volume: %w", err)
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("sync a volume: %w", err)
	}
	return nil
}
