package volume

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/vfs"
)

// Volumes returns the volumes by name. One that a Put is writing is passed over; files that are not volumes are too.
func (s *Store) Volumes(ctx context.Context) ([]store.Volume, error) {
	list := s.sharedVolumes()
	for i := range shards {
		names, err := s.fs.List(s.shard(byte(i)))
		if err != nil {
			return nil, fmt.Errorf("list volumes: %w", err)
		}
		for _, name := range names {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if id, ok := volumeOf(name); ok && id[idSize-1] == byte(i) && !s.isWriting(id) { // asked before it is opened: it may be complete the moment after
				list = append(list, store.Volume{Name: id.String(), Since: id.time()})
			}
		}
	}
	slices.SortFunc(list, func(a, b store.Volume) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

func (s *Store) sharedVolumes() (list []store.Volume) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, v := range s.shared {
		list = append(list, store.Volume{
			Name: id.String(), Since: id.time(), Bytes: v.end, Dead: v.end - volumeHeaderSize - v.live(), Shared: true,
			InUse: !v.closed && !v.finished, Failed: !v.closed && v.finished, Recovered: v.recovered,
		})
	}
	return list
}

// Walk gives every record. A volume of another format ends the walk: what this program cannot read must not be taken for something to remove.
func (s *Store) Walk(ctx context.Context, fn func(store.Extent) error) error {
	volumes, err := s.Volumes(ctx)
	if err != nil {
		return err
	}
	for _, v := range volumes {
		err := s.Inspect(ctx, v.Name, store.Inspection{Record: fn, Damage: func(d store.Damage) error {
			if d.Place == "" {
				return nil
			}
			return fn(store.Extent{Place: d.Place, Created: v.Since})
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

// Inspect goes through a volume.
func (s *Store) Inspect(ctx context.Context, name string, i store.Inspection) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	id, err := parseVolumeID(name)
	if err != nil {
		return err
	}
	s.mu.Lock()
	v := s.shared[id]
	s.mu.Unlock()
	f := frame{id, v != nil}
	file, err := s.fs.Open(s.path(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed meanwhile
	}
	if err != nil {
		return fmt.Errorf("open a volume: %w", err)
	}
	defer file.Close()
	in := &inspector{Inspection: i, ctx: ctx, s: s, f: f, file: file}
	if v != nil {
		return in.shared(v)
	}
	return in.alone()
}

// inspector goes through one volume.
type inspector struct {
	store.Inspection
	ctx  context.Context
	s    *Store
	f    frame
	file vfs.File
}

// damage reports what is wrong with the record at an offset; at offset 0, with the volume itself.
func (in *inspector) damage(off int64, label []byte, err error) error {
	if errors.Is(err, errFormat) {
		return fmt.Errorf("volume %s: %w", in.f.id, err)
	}
	d := store.Damage{Volume: in.f.id.String(), Label: label, Err: err}
	if off >= volumeHeaderSize {
		d.Place = place(in.f.id, off)
	}
	return in.Damage(d)
}

func (in *inspector) pace(n int64) error {
	if err := in.ctx.Err(); err != nil || in.Pace == nil || n == 0 {
		return err
	}
	return in.Pace(in.ctx, int(min(n, 1<<30)))
}

// alone goes through a volume of one record.
func (in *inspector) alone() error {
	h, x, payloadAt, err := readVolume(in.file, in.f, volumeHeaderSize)
	if err != nil {
		return in.damage(volumeHeaderSize, nil, err)
	}
	if in.Data {
		err := in.payload(in.file, x, payloadAt)
		if err == nil {
			err = in.padding(in.file, volumeHeaderSize, h)
		}
		if err != nil && in.ctx.Err() == nil {
			return in.damage(volumeHeaderSize, x.Label, err)
		}
		if err != nil {
			return err
		}
	}
	return in.Record(x)
}

// payload reads a payload and compares it with its leaves.
func (in *inspector) payload(r io.ReaderAt, x store.Extent, at int64) error {
	first := true
	if err := in.pace(min(x.Size, windowSize)); err != nil {
		return err
	}
	return eachLeaf(r, at, x, func([]byte) error {
		if first {
			first = false
			return nil
		}
		return in.pace(windowSize)
	})
}

// padding checks that what follows the end mark is zero, and the end of the file if the volume has one record.
func (in *inspector) padding(r io.ReaderAt, off int64, h recordHeader) error {
	end := off + h.size()
	b, err := readSome(r, end, int(h.padding()))
	if err == nil && !bytes.Equal(b, make([]byte, h.padding())) {
		err = fmt.Errorf("%w: the padding is not zero", errNoRecord)
	}
	if err != nil || in.f.shared {
		return err
	}
	size, err := in.file.Size()
	if err == nil && size != off+h.length() {
		err = fmt.Errorf("%w: the file has %d bytes, its record ends at %d", errNoRecord, size, off+h.length())
	}
	return err
}

// shared goes through a volume of many records.
func (in *inspector) shared(v *shared) error {
	if v.void {
		return in.damage(volumeHeaderSize, nil, fmt.Errorf("%w: the volume was begun when the server was killed", errNoRecord))
	}
	head, err := readSome(in.file, 0, volumeHeaderSize)
	if err == nil {
		err = decodeVolumeHeader(head, in.f)
	}
	if err != nil {
		if err := in.damage(0, nil, err); err != nil {
			return err
		}
	}
	if v.partial != nil {
		if err := in.damage(0, nil, v.partial); err != nil {
			return err
		}
	}
	in.s.mu.Lock()
	closed, end := v.closed, v.end // before the entries are read: what is added meanwhile is none of them
	in.s.mu.Unlock()
	entries, err := in.s.entriesOf(in.file, v)
	if err != nil {
		if err := in.damage(0, nil, fmt.Errorf("the index: %w", err)); err != nil {
			return err
		}
		size, err := in.file.Size()
		if err != nil {
			return err
		}
		entries = scan(in.file, in.f, size).entries
	}
	r := &window{r: in.file, buf: make([]byte, in.windowSize())}
	at := int64(volumeHeaderSize)
	for _, e := range entries {
		if err := in.between(r, at, e.off); err != nil {
			return err
		}
		if err := in.entry(r, e); err != nil {
			return err
		}
		at = e.off + int64(e.length)
	}
	if closed {
		return in.between(r, at, end)
	}
	return nil
}

// windowSize is how much is read at once. Who does not want the payloads is better served with little: they are passed over where they are larger than that.
func (in *inspector) windowSize() int {
	if in.Data {
		return windowSize
	}
	return 4 * firstRead
}

// between checks what lies between two records: blocks that closed the volume for a time.
func (in *inspector) between(r io.ReaderAt, at, next int64) error {
	for ; in.Data && at < next; at += closingSize {
		b, err := readSome(r, at, closingSize)
		if err == nil {
			_, err = decodeClosing(b, in.f, at)
		}
		if err != nil {
			return in.damage(0, nil, fmt.Errorf("between offset %d and %d: %w", at, next, err))
		}
	}
	return nil
}

// entry looks at one record.
func (in *inspector) entry(r io.ReaderAt, e entry) error {
	if err := in.ctx.Err(); err != nil {
		return err
	}
	if e.number == noRecord {
		return in.remains(r, e)
	}
	if in.s.isRemoved(in.f.id, e.number) {
		return nil
	}
	h, x, payloadAt, err := readEntry(r, in.f, e)
	if err == nil && in.Data {
		if err = in.payload(r, x, payloadAt); err == nil {
			err = in.padding(r, e.off, h)
		}
	}
	switch {
	case in.ctx.Err() != nil:
		return in.ctx.Err()
	case err != nil && in.s.isRemoved(in.f.id, e.number):
		return nil // meanwhile
	case err != nil && h.kind > store.Tombstone:
		return in.damage(0, nil, fmt.Errorf("what keeps account of the records, at offset %d: %w", e.off, err))
	case err != nil:
		return in.damage(e.off, x.Label, err)
	case h.kind > store.Tombstone:
		return nil
	}
	return in.Record(x)
}

// remains looks at what a crash left. It never happened, unless it is a record whose payload was damaged in just the volume that was in use: who
// knows what was acknowledged can tell.
func (in *inspector) remains(r io.ReaderAt, e entry) error {
	if !in.Data {
		return nil
	}
	h, x, _, err := readRecord(r, in.f, e.off)
	if err != nil || h.kind > store.Tombstone || in.s.isRemoved(in.f.id, h.number) {
		return nil
	}
	return in.damage(e.off, x.Label, fmt.Errorf("%w: the payload does not match its hash", errNoRecord))
}
