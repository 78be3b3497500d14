package objects

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
)

// Compact copies the records of an object of many that are needed to new objects, in the storage class of the old one, and removes the old one. An object in a class
// from which it cannot be read at once stays as it is while anything in it is needed.
func (s *Store) Compact(ctx context.Context, volume string, c store.Compaction) (store.Compacted, error) {
	n, err := parseVolume(volume)
	if err != nil || n.records() == 1 || s.isWriting(n) {
		return store.Compacted{}, err
	}
	if err := s.enter(); err != nil {
		return store.Compacted{}, err
	}
	defer s.puts.Done()
	mv := &mover{Compaction: c, ctx: ctx, s: s, name: n}
	err = mv.run()
	if !mv.done.Gone && len(mv.left) > 0 {
		err = errors.Join(err, s.Remove(context.WithoutCancel(ctx), mv.left...))
	}
	return mv.done, err
}

// mover empties an object.
type mover struct {
	store.Compaction
	ctx  context.Context
	s    *Store
	name name
	meta *meta
	gone goneSet
	done store.Compacted

	data    *stream // nil until something is read
	class   string  // of the copies
	waiting []store.Moved
	copies  []*small
	weight  int
	left    []store.Place // whose copies something refers to now
	stays   bool          // something in the object has to stay where it is
}

func (mv *mover) run() error {
	m, err := mv.s.readMeta(mv.ctx, mv.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		mv.done.Gone = true // what is left of it, if anything, is the sweep's
		return nil
	case errors.Is(err, errMeta):
		mv.done.Damaged = []store.Damage{{Volume: string(mv.name), Err: err}}
		return nil
	case err != nil:
		return err
	}
	mv.meta = m
	if mv.gone, err = mv.s.goneNow(mv.ctx, mv.name); err != nil {
		return err
	}
	needed, err := mv.decide()
	if err != nil {
		return err
	}
	if len(needed) > 0 {
		if can, err := mv.open(needed); err != nil || !can {
			return err
		}
		if mv.data != nil {
			defer mv.data.Close()
		}
		if err := mv.moveAll(needed); err != nil {
			return err
		}
	}
	if mv.stays {
		return nil
	}
	return mv.remove()
}

// needs is a record that is to be moved.
type needs struct {
	record int
	fate   store.Fate
}

// decide asks what becomes of each record.
func (mv *mover) decide() (needed []needs, err error) {
	for i, x := range mv.meta.records {
		if mv.gone.has(i) {
			continue
		}
		if err := mv.ctx.Err(); err != nil {
			return nil, err
		}
		fate, err := mv.Fate(mv.ctx, x)
		switch {
		case err != nil:
			return nil, err
		case fate == store.Wait:
			mv.stays = true
		case fate == store.Drop:
			mv.done.Dropped++
		default:
			needed = append(needed, needs{i, fate})
		}
	}
	return needed, nil
}

// open begins to read the object. It reports whether that can be done: not if the class of the object forbids it, or if the bytes are lost.
func (mv *mover) open(needed []needs) (bool, error) {
	if mv.meta.size == 0 {
		return true, nil
	}
	h, err := mv.s.bucket.head(mv.ctx, mv.name.data())
	if err == nil && !mv.s.readable(h) {
		mv.s.options.Log.Info("an object is not compacted while it cannot be read", "object", mv.name, "class", h.class)
		return false, nil
	}
	if err == nil {
		mv.class = h.classOfCopies()
		mv.data, err = mv.s.openData(mv.ctx, mv.name, mv.meta, 0, mv.meta.size)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), fault.Is(err, fault.Corrupt):
		for _, n := range needed {
			mv.damaged(n, err)
		}
		return false, nil
	case errors.Is(err, store.ErrCold):
		return false, nil
	}
	return err == nil, err
}

// damaged notes that a record is not whole: it cannot be moved, and the object stays.
func (mv *mover) damaged(n needs, err error) {
	mv.stays = true
	x := mv.meta.records[n.record]
	if n.fate == store.Move {
		mv.done.Damaged = append(mv.done.Damaged, store.Damage{Volume: string(mv.name), Place: x.Place, Label: x.Label, Err: err})
	}
}

// moveAll copies records, in batches of what fits into an object.
func (mv *mover) moveAll(needed []needs) error {
	for _, n := range needed {
		x := mv.meta.records[n.record]
		c := &small{extent: x, payload: make([]byte, 0, x.Size)}
		weight := int(x.Size + entryLength(x))
		if mv.weight+weight > packBytes || len(mv.copies) == maxRecords {
			if err := mv.flush(); err != nil {
				return err
			}
		}
		if mv.data != nil {
			err := mv.data.leaves(mv.meta, n.record, mv.pace, func(leaf []byte) { c.payload = append(c.payload, leaf...) })
			if errors.Is(err, errData) {
				mv.damaged(n, err)
				continue
			}
			if err != nil {
				return err
			}
		}
		mv.copies = append(mv.copies, c)
		mv.waiting = append(mv.waiting, store.Moved{From: x.Place, Fate: n.fate})
		mv.weight += weight
	}
	return mv.flush()
}

func (mv *mover) pace(n int64) error {
	if err := mv.ctx.Err(); err != nil || mv.Pace == nil {
		return err
	}
	return mv.Pace(mv.ctx, int(n))
}

// flush makes the copies durable, and has what refers to the records refer to them.
func (mv *mover) flush() error {
	if len(mv.copies) == 0 {
		return nil
	}
	if err := mv.s.writePack(mv.copies, mv.class); err != nil {
		return fmt.Errorf("copy records of object %s: %w", mv.name, err)
	}
	for i, c := range mv.copies {
		mv.waiting[i].To, mv.waiting[i].Extent = c.extent.Place, c.extent
	}
	stale, err := mv.Moved(context.WithoutCancel(mv.ctx), mv.waiting) // who stops now would leave copies
	if err != nil {
		return err // whether the rows refer to the old places or to the new ones is open: both stay, for the sweep
	}
	if len(stale) > 0 {
		if err := mv.s.Remove(mv.ctx, stale...); err != nil {
			return err
		}
	}
	for _, w := range mv.waiting {
		mv.left = append(mv.left, w.From)
	}
	mv.done.Moved += len(mv.copies) - len(stale)
	mv.copies, mv.waiting, mv.weight = nil, nil, 0
	return nil
}

// remove removes the object.
func (mv *mover) remove() error {
	if err := mv.s.removeObject(mv.ctx, mv.name); err != nil {
		return err
	}
	mv.done.Gone, mv.done.Bytes = true, mv.meta.size+mv.meta.length
	return nil
}
