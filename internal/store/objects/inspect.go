package objects

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
)

// Inspect goes through one object and its meta. An object that is in a class from which it cannot be read at once is held against its length only.
func (s *Store) Inspect(ctx context.Context, volume string, i store.Inspection) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	n, err := parseVolume(volume)
	if err != nil || s.isWriting(n) {
		return err
	}
	in := &inspector{Inspection: i, ctx: ctx, s: s, name: n}
	m, err := s.readMeta(ctx, n) // not what is remembered of it
	if errors.Is(err, fs.ErrNotExist) {
		return in.remains()
	}
	if err != nil && !errors.Is(err, errMeta) {
		return err
	}
	gone, failed := s.goneNow(ctx, n)
	if failed != nil {
		return failed
	}
	in.gone = gone
	if err != nil {
		return in.damageAll(nil, err)
	}
	return in.records(m)
}

// inspector goes through one object.
type inspector struct {
	store.Inspection
	ctx  context.Context
	s    *Store
	name name
	gone goneSet
}

func (in *inspector) pace(n int64) error {
	if err := in.ctx.Err(); err != nil || in.Pace == nil || n == 0 {
		return err
	}
	return in.Pace(in.ctx, int(n))
}

// remains reports the bytes of an object without a meta. A Put that another node has just ended has left a meta meanwhile.
func (in *inspector) remains() error {
	_, err := in.s.bucket.head(in.ctx, in.name.data())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	exists, err := in.s.bucket.exists(in.ctx, in.name.meta())
	if err != nil || exists {
		return err
	}
	return in.damageAll(nil, errNoMeta)
}

// errNoMeta is what is wrong with bytes that nothing describes.
var errNoMeta = errors.New("there are bytes, and nothing that describes them: an interrupted request left them, or their description is lost") // read only

// damageAll reports that no record of the object can be read. m is nil if not even their labels can.
func (in *inspector) damageAll(m *meta, err error) error {
	for i := range in.name.records() {
		var label []byte
		if m != nil {
			label = m.records[i].Label
		}
		if err := in.damage(i, label, err); err != nil {
			return err
		}
	}
	return nil
}

// damage reports that a record is not as it was written, unless it was removed.
func (in *inspector) damage(record int, label []byte, err error) error {
	if in.gone.has(record) || in.s.goneHere(in.name, record) {
		return nil
	}
	return in.Damage(store.Damage{Volume: string(in.name), Place: in.name.place(record), Label: label, Err: err})
}

// records goes through the records of the object.
func (in *inspector) records(m *meta) error {
	readable, err := in.s.look(in.ctx, in.name, m)
	if errors.Is(err, errData) {
		return in.unlessRemoved(func() error { return in.damageAll(m, err) })
	}
	if err != nil {
		return err
	}
	var r *stream
	if in.Data && readable && m.size > 0 {
		r, err = in.s.openData(in.ctx, in.name, m, 0, m.size)
		switch {
		case errors.Is(err, fs.ErrNotExist), fault.Is(err, fault.Corrupt):
			return in.unlessRemoved(func() error { return in.damageAll(m, err) })
		case errors.Is(err, store.ErrCold):
			r = nil
		case err != nil:
			return err
		default:
			defer r.Close()
		}
	}
	for i, x := range m.records {
		if in.gone.has(i) {
			continue
		}
		if err := in.record(r, m, i, x); err != nil {
			return err
		}
	}
	return nil
}

// record reads a record, if there is something to read it from, and reports it.
func (in *inspector) record(r *stream, m *meta, i int, x store.Extent) error {
	if err := in.ctx.Err(); err != nil {
		return err
	}
	if r != nil {
		err := r.leaves(m, i, in.pace, func([]byte) {})
		switch {
		case errors.Is(err, errData):
			return in.damage(i, x.Label, err)
		case errors.Is(err, fs.ErrNotExist):
			return in.unlessRemoved(func() error { return in.damage(i, x.Label, err) })
		case err != nil:
			return err
		}
	}
	return in.Record(x)
}

// unlessRemoved reports that bytes are damaged, or gone, unless the object was removed meanwhile.
func (in *inspector) unlessRemoved(report func() error) error {
	exists, err := in.s.bucket.exists(in.ctx, in.name.meta())
	if err != nil || !exists {
		return err
	}
	return report()
}

// errData says that bytes are not as they were written.
var errData = errors.New("the bytes are damaged") // read only

// look asks for the bytes of an object without reading them. The error is errData if they are not there, or are not as many as were written.
func (s *Store) look(ctx context.Context, n name, m *meta) (readable bool, err error) {
	if m.size == 0 {
		return true, nil
	}
	h, err := s.bucket.head(ctx, n.data())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, fmt.Errorf("%w: they are not there: %w", errData, err)
	case err != nil:
		return false, err
	case h.size != m.size:
		return false, fmt.Errorf("%w: there are %d, and %d were written", errData, h.size, m.size)
	}
	return s.readable(h), nil
}

// leaves reads the record of a number and gives its leaves, each compared with its hash. The error is errData if one does not match.
func (r *stream) leaves(m *meta, record int, pace func(int64) error, each func(leaf []byte)) error {
	x := m.records[record]
	if x.Size == 0 {
		return nil
	}
	buf := make([]byte, min(x.Size, treehash.LeafSize))
	for i, hash := range x.Leaves {
		at := int64(i) * treehash.LeafSize
		leaf := buf[:min(treehash.LeafSize, x.Size-at)]
		err := pace(int64(len(leaf)))
		if err == nil {
			err = r.seek(m.offsets[record] + at)
		}
		if err == nil {
			err = r.fill(leaf)
		}
		if err != nil {
			return err
		}
		if sha256.Sum256(leaf) != hash {
			return fmt.Errorf("%w: leaf %d does not match its hash", errData, i)
		}
		each(leaf)
	}
	return nil
}
