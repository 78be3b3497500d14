package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/vfs"
)

// shared is what is known of a shared volume. Nothing of it grows with the number of its records but a bit for each that was removed, and
// the entries of the one volume that is in use.
type shared struct {
	frame // never changes

	// The rest is guarded by Store.mu.
	end       int64 // what lies before it is written and synced
	numbers   uint32
	dead      bits  // by number: the records that were removed
	deadBytes int64 // in those
	spare     int64 // bytes that nobody reads: removals, indexes, ends, and what a crash left
	closed    bool  // its index is on disk
	finished  bool  // nothing is ever appended to it again
	recovered bool  // it was in use when a process was killed; never changes
	void      bool  // there is no record in it: a crash came before the first one was synced
	partial   error // why there may be more in it than is known: it stays as it is; never changes
	index     closing
	entries   []entry   // of a volume that is not closed
	removals  []removal // that a volume holds which is not closed
	allocated int64     // length of the file; only of the volume in use
}

// live returns the bytes of records that were not removed.
func (v *shared) live() int64 { return v.end - volumeHeaderSize - v.deadBytes - v.spare }

// remove notes that a record of the volume was removed.
func (v *shared) remove(r removal) {
	if !v.dead.has(r.number) {
		v.dead.set(r.number)
		v.deadBytes += int64(r.length)
	}
}

// bits is a set of small numbers.
type bits []uint64

func (b bits) has(n uint32) bool { return int(n/64) < len(b) && b[n/64]>>(n%64)&1 == 1 }

func (b *bits) set(n uint32) {
	if need := int(n/64) + 1; need > len(*b) {
		*b = append(*b, make([]uint64, need-len(*b))...)
	}
	(*b)[n/64] |= 1 << (n % 64)
}

// load finds the shared volumes, and the records in them that were removed.
func (s *Store) load() error {
	names, err := s.fs.List(filepath.Join(s.dir, sharedDir))
	if err != nil {
		return err
	}
	var gone []removal
	for _, name := range names {
		id, ok := volumeOf(name)
		if !ok {
			continue
		}
		v, removals, err := s.loadVolume(frame{id, true})
		if err != nil {
			return fmt.Errorf("volume %s: %w", id, err)
		}
		s.shared[id] = v
		gone = append(gone, removals...)
	}
	s.apply(gone)
	return nil
}

// apply notes removals. A volume that is not there any more has been compacted.
func (s *Store) apply(removals []removal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range removals {
		if v := s.shared[r.volume]; v != nil {
			v.remove(r)
		}
	}
}

// loadVolume reads the end of a volume that was closed, or the whole of one that was not. It returns the removals that the volume holds.
func (s *Store) loadVolume(f frame) (*shared, []removal, error) {
	file, err := s.fs.Open(s.path(f))
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	head, err := readSome(file, 0, volumeHeaderSize)
	if err != nil {
		s.options.Log.Error("the header of a shared volume cannot be read; its records do not need it", "volume", f.id, "error", err)
	} else if err := decodeVolumeHeader(head, f); errors.Is(err, errFormat) {
		return nil, nil, err
	}
	size, err := file.Size()
	if err != nil {
		return nil, nil, err
	}
	if v, removals, err := readClosed(file, f, size); err == nil {
		return v, removals, nil
	}
	return s.recover(file, f, size)
}

// readClosed reads the end of a volume that was closed, and its removals.
func readClosed(file vfs.File, f frame, size int64) (*shared, []removal, error) {
	if size < volumeHeaderSize+closingSize {
		return nil, nil, fmt.Errorf("%w: the volume is too short for an end", errNoRecord)
	}
	b := make([]byte, closingSize)
	if err := readFull(file, b, size-closingSize); err != nil {
		return nil, nil, err
	}
	c, err := decodeClosing(b, f, size-closingSize)
	if err == nil && c.isCopy(file, f, size-closingSize) {
		err = fmt.Errorf("%w: the end of the volume is a copy", errNoRecord)
	}
	if err != nil {
		return nil, nil, err
	}
	v := &shared{frame: f, end: size, numbers: c.numbers, spare: c.spare, closed: true, finished: c.finished, index: c}
	if c.removalsAt == 0 {
		return v, nil, nil
	}
	removals, err := readRemovals(file, f, c.removalsAt)
	return v, removals, err
}

// maxVoid is the length up to which a volume without any record is taken for one whose first group was not synced when the power failed. A
// longer one has lost what it had, and is left for people to look at.
const maxVoid = 64 << 20

// recover finds what is in a volume that was in use when a process was killed, and closes it. Nothing is appended to it again: after a sync that failed
// nobody knows what is on the disk.
func (s *Store) recover(file vfs.File, f frame, size int64) (*shared, []removal, error) {
	v := &shared{frame: f, finished: true, recovered: true}
	found := scan(file, f, size)
	whole := len(found.entries)
	if whole > 0 && found.bad == 0 {
		found.gap(lastByte(file, found.end, size)) // it may have been a record that was acknowledged: nothing is overwritten or cut off but zeros
	}
	v.end, v.entries, v.removals, v.numbers, v.spare = found.end, found.entries, found.removals, found.numbers, found.spare
	if v.void = whole == 0 && found.bad == 0 && size <= maxVoid; v.void {
		s.options.Log.Info("a shared volume has no record: it was begun when the server was killed", "volume", f.id)
		return v, nil, nil
	}
	s.options.Log.Info("a shared volume was not closed; it was read whole", "volume", f.id, "records", len(v.entries), "bytes", v.end)
	removals := v.removals
	if v.partial = found.partial(); v.partial != nil {
		s.options.Log.Error("a shared volume is left as it is", "volume", f.id, "error", v.partial)
	} else if err := s.finish(v); err != nil { // a full disk, or one that cannot be written to: what was found is enough
		s.options.Log.Warn("a shared volume cannot be closed, and will be read whole at the next start too", "volume", f.id, "error", err)
	}
	return v, removals, nil
}

// finish closes a volume that is not in use. Its header is written again: it may not have reached the disk when the first records did.
func (s *Store) finish(v *shared) error {
	file, err := s.fs.Reopen(s.path(v.frame))
	if err != nil {
		return err
	}
	_, err = file.WriteAt(encodeVolumeHeader(v.frame), 0)
	if err == nil {
		err = s.writeClosing(file, v)
	}
	return errors.Join(err, file.Close())
}

// writeClosing writes the index of a volume behind its records, cuts off what is behind that, and closes the volume with the block that says where the index is. The block
// comes after the sync of the index: who finds it need not read the index to know that it is there.
func (s *Store) writeClosing(file vfs.File, v *shared) error {
	index, c := v.encodeClosing(s.moment())
	if _, err := file.WriteAt(index, v.end); err != nil {
		return fmt.Errorf("write the index of a volume: %w", err)
	}
	end := v.end + int64(len(index))
	if err := file.Truncate(end); err != nil {
		return fmt.Errorf("cut off the zeros of a volume: %w", err)
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("sync a volume: %w", err)
	}
	if _, err := file.WriteAt(c.encode(v.frame), end); err != nil {
		return fmt.Errorf("close a volume: %w", err)
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("sync a volume: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v.end, v.numbers, v.spare = end+closingSize, c.numbers, c.spare
	v.closed, v.index, v.entries, v.removals = true, c, nil, nil
	return nil
}

// entriesOf returns where the records of a volume are, and what else is between them.
func (s *Store) entriesOf(file vfs.File, v *shared) ([]entry, error) {
	s.mu.Lock()
	closed, c, entries := v.closed, v.index, v.entries
	s.mu.Unlock()
	if !closed {
		return slices.Clip(entries), nil
	}
	return readIndex(file, v.frame, c)
}

// removalsOf returns the removals that a volume holds.
func (s *Store) removalsOf(file vfs.File, v *shared) ([]removal, error) {
	s.mu.Lock()
	closed, c, removals := v.closed, v.index, v.removals
	s.mu.Unlock()
	if !closed || c.removalsAt == 0 {
		return slices.Clip(removals), nil
	}
	return readRemovals(file, v.frame, c.removalsAt)
}

// findRemoval returns the removal of the record at an offset, false if there is none to remove.
func (s *Store) findRemoval(f frame, off int64) (removal, bool, error) {
	file, err := s.fs.Open(s.path(f))
	if errors.Is(err, fs.ErrNotExist) {
		return removal{}, false, nil // compacted meanwhile; if that failed at its last step, the next compaction makes it durable
	}
	if err != nil {
		return removal{}, false, fmt.Errorf("open a volume: %w", err)
	}
	defer file.Close()
	s.mu.Lock()
	v := s.shared[f.id]
	s.mu.Unlock()
	if v == nil {
		return removal{}, false, nil // compacted meanwhile
	}
	r := removal{volume: f.id, off: off}
	head, err := readSome(file, off, recordHeaderSize)
	if err != nil {
		return r, false, err
	}
	if h, err := f.decodeRecordHeader(head); err == nil && h.kind > store.Tombstone {
		return r, false, nil // it keeps account of others
	} else if err == nil {
		r.number, r.length = h.number, uint32(h.length())
	} else {
		entries, err := s.entriesOf(file, v)
		if err != nil {
			return r, false, err
		}
		i := slices.IndexFunc(entries, func(e entry) bool { return e.off == off && e.number != noRecord })
		if i < 0 {
			return r, false, nil
		}
		r.number, r.length = entries[i].number, entries[i].length
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return r, off < v.end && !v.dead.has(r.number), nil
}

// isRemoved reports whether a record of a shared volume was removed.
func (s *Store) isRemoved(id volumeID, number uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.shared[id]
	return v == nil || v.dead.has(number)
}
