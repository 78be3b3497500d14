package vfstest

import (
	"io"
	"io/fs"
	"math"
)

// file is an open file. It works on after its name is removed.
type file struct {
	disk   *Disk
	path   string
	node   *node
	closed bool // guarded by disk.mu
}

func (f *file) do(name string, effect func() error) error {
	return f.disk.do(name, f.path, func() error {
		if f.closed {
			return &fs.PathError{Op: name, Path: f.path, Err: fs.ErrClosed}
		}
		return effect()
	})
}

func (f *file) ReadAt(p []byte, off int64) (n int, err error) {
	err = f.do("read", func() error {
		if off >= int64(len(f.node.data)) {
			return io.EOF
		}
		if n = copy(p, f.node.data[off:]); n < len(p) {
			return io.EOF
		}
		return nil
	})
	return n, err
}

func (f *file) WriteAt(p []byte, off int64) (n int, err error) {
	d := f.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	fault := d.begin("write", f.path)
	switch {
	case f.closed:
		return 0, &fs.PathError{Op: "write", Path: f.path, Err: fs.ErrClosed}
	case fault.Err != nil && fault.Short:
		f.node.write(p[:len(p)/2], off)
		return len(p) / 2, fault.Err
	case fault.Err != nil && !fault.After:
		return 0, fault.Err
	}
	if room := f.room(off); room < int64(len(p)) {
		f.node.write(p[:room], off)
		return int(room), &fs.PathError{Op: "write", Path: f.path, Err: ErrNoSpace}
	}
	f.node.write(p, off)
	return len(p), fault.Err
}

// room returns how many bytes can be written at an offset. The disk is locked.
func (f *file) room(off int64) int64 {
	if f.disk.limit == 0 {
		return math.MaxInt64
	}
	end := int64(len(f.node.data)) + max(0, f.disk.limit-f.disk.used())
	return max(0, end-off)
}

func (n *node) write(p []byte, off int64) {
	n.data = overwrite(n.data, p, off)
	n.pending = append(n.pending, write{off, append([]byte{}, p...)})
}

// Truncate cuts the file.
func (f *file) Truncate(size int64) error {
	return f.do("truncate", func() error {
		w := write{off: size}
		f.node.data = w.apply(f.node.data)
		f.node.pending = append(f.node.pending, w)
		return nil
	})
}

// apply returns data with the write in it.
func (w write) apply(data []byte) []byte {
	if w.data != nil {
		return overwrite(data, w.data, w.off)
	}
	if w.off > int64(len(data)) {
		return append(data, make([]byte, w.off-int64(len(data)))...)
	}
	return data[:w.off:w.off]
}

// overwrite puts p at an offset of data, with zeros in between if it is behind the end.
func overwrite(data, p []byte, off int64) []byte {
	if end := off + int64(len(p)); end > int64(len(data)) {
		data = append(data, make([]byte, end-int64(len(data)))...)
	}
	copy(data[off:], p)
	return data
}

func (f *file) Sync() error {
	return f.do("sync", func() error {
		if f.node.nameless {
			return notExist("sync", f.path)
		}
		for _, w := range f.node.pending {
			f.node.synced = w.apply(f.node.synced)
		}
		f.node.pending = nil
		return nil
	})
}

func (f *file) Size() (size int64, err error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return int64(len(f.node.data)), nil
}

func (f *file) Close() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.closed = true
	return nil
}
