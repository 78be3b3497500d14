package volume

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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
	if !can {
		return store.Compacted{}, nil
	}
	file, err := s.fs.Open(s.path(v.frame))
	if err != nil {
		return store.Compacted{}, fmt.Errorf("open a volume: %w", err)
	}
	defer file.Close()
	m := &mover{Compaction: c, ctx: ctx, s: s, v: v, file: file}
	gone, err := m.run()
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
}

// moveBatch is how many bytes are copied between two transactions.
const moveBatch = 4 << 20

// run reports whether the volume is gone.
func (m *mover) run() (bool, error) {
	entries, err := m.s.entriesOf(m.file, m.v)
	if err != nil {
		return false, fmt.Errorf("volume %s: %w", m.v.id, err)
	}
	removals, err := m.s.removalsOf(m.file, m.v)
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
	if err := m.keepRemovals(removals); err != nil {
		return false, err
	}
	return true, m.remove()
}

// entry decides on a record, and makes a copy of one that is needed.
func (m *mover) entry(r io.ReaderAt, e entry) error {
	if err := m.ctx.Err(); err != nil {
		return err
	}
	if e.number == noRecord || m.s.isRemoved(m.v.id, e.number) {
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
		m.stays = true
		m.done.Damaged = append(m.done.Damaged, store.Damage{Place: place(m.v.id, e.off), Label: x.Label, Err: err})
		return nil
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
		h.number = 0
		c := newRecord(h, x.Label, payload.Bytes())
		c.extent = x
		m.copies = append(m.copies, c)
		m.waiting = append(m.waiting, store.Moved{From: x.Place, Fate: fate})
		m.bytes += len(c.b)
	}
	return nil
}

// flush makes the copies durable, and has what refers to the records refer to them.
func (m *mover) flush() error {
	if len(m.copies) == 0 {
		return nil
	}
	a := &addition{records: m.copies}
	if m.s.appends.Do(a); a.err != nil {
		return a.err
	}
	for i, c := range m.copies {
		m.waiting[i].To, m.waiting[i].Extent = c.extent.Place, c.extent
	}
	stale, err := m.Moved(m.ctx, m.waiting)
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
	a := &addition{removals: kept}
	m.s.appends.Do(a)
	return a.err
}

// remove removes the volume.
func (m *mover) remove() error {
	if err := m.s.removeVolume(m.v.frame); err != nil {
		return err
	}
	if err := m.s.fs.SyncDir(filepath.Join(m.s.dir, sharedDir)); err != nil {
		return err
	}
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	delete(m.s.shared, m.v.id)
	m.done.Gone, m.done.Bytes = true, m.v.end
	return nil
}
