package volume

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/vfs"
)

// Compact copies the records of a shared volume that are needed to the one that is in use, and removes the volume.
func (s *Store) Compact(ctx context.Context, name string, c store.Compaction) (store.Compacted, error) {
	id, err := parseVolumeID(name)
	if err != nil {
		return store.Compacted{}, err
	}
	s.mu.Lock()
	v := s.shared[id]
	can := v != nil && !v.void && (v.closed || v.finished)
	if can {
		v.finished = true // so that nothing is appended to it from now on
	}
	s.mu.Unlock()
	switch {
	case !can:
		return store.Compacted{}, nil
	case v.partial != nil:
		return store.Compacted{Damaged: []store.Damage{{Volume: name, Err: v.partial}}}, nil
	}
	m := &mover{Compaction: c, ctx: ctx, s: s, v: v}
	gone, err := m.open()
	if !gone {
		err = errors.Join(err, m.forget())
	}
	return m.done, err
}

// mover empties a volume.
type mover struct {
	store.Compaction
	ctx  context.Context
	s    *Store
	v    *shared
	file vfs.File
	done store.Compacted

	waiting []store.Moved // copies to be made, and what is copied
	copies  []*record
	bytes   int
	left    []store.Place // whose copies something refers to now
	stays   bool          // something in the volume has to stay where it is
	unknown bool          // there are bytes in the volume that nobody can read
}

// moveBatch is how many bytes are copied between two transactions.
const moveBatch = 4 << 20

// open opens the volume, and empties it. It reports whether the volume is gone.
func (m *mover) open() (bool, error) {
	file, err := m.s.fs.Open(m.s.path(m.v.frame))
	if errors.Is(err, fs.ErrNotExist) {
		return true, m.remove() // a compaction before this one failed at its last step
	}
	if err != nil {
		return false, fmt.Errorf("open a volume: %w", err)
	}
	defer file.Close()
	m.file = file
	return m.run()
}

// run reports whether the volume is gone.
func (m *mover) run() (bool, error) {
	if err := m.s.roomFor(m.v); err != nil {
		return false, err
	}
	entries, removals, err := m.contents()
	if err != nil {
		return false, fmt.Errorf("volume %s: %w", m.v.id, err)
	}
	r := &window{r: m.file, buf: make([]byte, windowSize)}
	for _, e := range entries {
		if err := m.entry(r, e); err != nil {
			return false, err
		}
		if m.bytes > moveBatch {
			if err := m.flush(); err != nil {
				return false, err
			}
		}
	}
	if err := m.flush(); err != nil || m.stays {
		return false, err
	}
	if m.unknown {
		if needed, err := m.Refers(m.ctx, m.v.id.String()); err != nil || needed {
			return false, err
		}
	}
	if err := m.keepRemovals(removals); err != nil {
		return false, err
	}
	return true, m.remove()
}

// contents returns what is in the volume, also when its index is damaged.
func (m *mover) contents() ([]entry, []removal, error) {
	entries, err := m.s.entriesOf(m.file, m.v)
	if err == nil {
		removals, err := m.s.removalsOf(m.file, m.v)
		if err == nil {
			return entries, removals, nil
		}
	}
	size, err := m.file.Size()
	if err != nil {
		return nil, nil, err
	}
	found := scan(m.file, m.v.frame, size)
	m.unknown = true
	return found.entries, found.removals, found.partial()
}

// entry decides on a record, and makes a copy of one that is needed.
func (m *mover) entry(r io.ReaderAt, e entry) error {
	if err := m.ctx.Err(); err != nil {
		return err
	}
	if e.number == noRecord {
		return m.remains(r, e)
	}
	if m.s.isRemoved(m.v.id, e.number) {
		return nil
	}
	if m.Pace != nil {
		if err := m.Pace(m.ctx, int(e.length)); err != nil {
			return err
		}
	}
	h, x, payloadAt, err := readEntry(r, m.v.frame, e)
	if err == nil && h.kind > store.Tombstone {
		return nil
	}
	var payload bytes.Buffer
	if err == nil {
		err = eachLeaf(r, payloadAt, x, func(leaf []byte) error {
			payload.Write(leaf)
			return nil
		})
	}
	if err != nil {
		return m.damaged(e, x, err)
	}
	fate, err := m.Fate(m.ctx, x)
	switch {
	case err != nil:
		return err
	case fate == store.Wait:
		m.stays = true
	case fate == store.Drop:
		m.done.Dropped++
	default:
		c := newRecord(h, x.Label, payload.Bytes())
		c.extent = x
		m.copies = append(m.copies, c)
		m.waiting = append(m.waiting, store.Moved{From: x.Place, Fate: fate})
		m.bytes += len(c.b)
	}
	return nil
}

// remains decides on what a crash left. It never happened, and goes with the volume; but a record that was damaged in just the volume that was in use
// looks the same, and stays for as long as somebody may know it.
func (m *mover) remains(r io.ReaderAt, e entry) error {
	m.unknown = true
	h, x, _, err := readRecord(r, m.v.frame, e.off)
	if err == nil && (h.kind > store.Tombstone || m.s.isRemoved(m.v.id, h.number)) {
		return nil
	}
	return m.damaged(e, x, fmt.Errorf("%w: what is needed was damaged when the server was killed", errNoRecord))
}

// damaged decides on a record that is not whole: it cannot be moved, and the volume stays while anybody needs it.
func (m *mover) damaged(e entry, x store.Extent, err error) error {
	if x.Kind == 0 { // nothing of it can be read
		x = store.Extent{Place: place(m.v.id, e.off), Created: m.v.id.time()}
	}
	fate, failed := m.Fate(m.ctx, x)
	if failed != nil || fate == store.Drop {
		return failed
	}
	m.stays = true
	if fate == store.Move {
		m.done.Damaged = append(m.done.Damaged, store.Damage{Volume: m.v.id.String(), Place: x.Place, Label: x.Label, Err: err})
	}
	return nil
}

// flush makes the copies durable, and has what refers to the records refer to them.
func (m *mover) flush() error {
	if len(m.copies) == 0 {
		return nil
	}
	a := &addition{records: m.copies, vital: true}
	if m.s.appends.Do(a); a.err != nil {
		return a.err
	}
	for i, c := range m.copies {
		m.waiting[i].To, m.waiting[i].Extent = c.extent.Place, c.extent
	}
	stale, err := m.Moved(context.WithoutCancel(m.ctx), m.waiting) // who stops now would leave copies
	if err != nil {
		return err // whether the rows refer to the old places or to the new ones is open: both stay, for the sweep
	}
	if len(stale) > 0 {
		if err := m.s.Remove(m.ctx, stale...); err != nil {
			return err
		}
	}
	for _, w := range m.waiting {
		m.left = append(m.left, w.From)
	}
	m.done.Moved += len(m.copies) - len(stale)
	m.copies, m.waiting, m.bytes = nil, nil, 0
	return nil
}

// forget notes the removal of what was moved from a volume that stays.
func (m *mover) forget() error {
	if len(m.left) == 0 {
		return nil
	}
	return m.s.Remove(context.WithoutCancel(m.ctx), m.left...)
}

// keepRemovals writes again the removals that the volume holds, of records that are still on the disk: with the volume they would be forgotten.
func (m *mover) keepRemovals(removals []removal) error {
	m.s.mu.Lock()
	kept := slices.DeleteFunc(slices.Clone(removals), func(r removal) bool {
		return r.volume == m.v.id || m.s.shared[r.volume] == nil
	})
	m.s.mu.Unlock()
	if len(kept) == 0 {
		return nil
	}
	return m.s.appendRemovals(kept)
}

// remove removes the volume.
func (m *mover) remove() error {
	if err := m.s.removeVolume(m.v.frame); err != nil {
		return err
	}
	if err := m.s.fs.SyncDir(filepath.Join(m.s.dir, sharedDir)); err != nil {
		return err
	}
	m.s.drop(m.v.id)
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	m.done.Gone, m.done.Bytes = true, m.v.end
	return nil
}
