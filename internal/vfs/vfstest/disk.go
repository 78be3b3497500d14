// Package vfstest is a disk for tests: in memory, it remembers what was synced, forgets the rest when the power fails, and fails on request.
package vfstest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"github.com/moraine-archive/moraine/internal/vfs"
)

// Disk is a vfs.FS in memory. The zero value is not ready; use New.
type Disk struct {
	mu    sync.Mutex
	nodes map[string]*node // by path, as the running system sees them; guarded by mu
	dirs  map[string]*dir  // guarded by mu
	locks map[string]bool  // guarded by mu
	ops   int              // guarded by mu
	limit int64            // of bytes in files; 0: none; guarded by mu
	down  bool             // the power has failed; guarded by mu

	// Fault decides what happens to each operation; nil: all is well. It is called with the disk locked.
	Fault func(Op) Fault

	// Room says how much is free; nil: a lot.
	Room func() int64
}

// Op is an operation that reaches the disk. Reads count too: they can fail.
type Op struct {
	Number int    // counted from 0
	Name   string // create, open, read, write, truncate, sync, rename, remove, syncdir, mkdir, list, readfile, writefile, lock
	Path   string
}

// Fault is what goes wrong with an operation.
type Fault struct {
	Err   error // nil: nothing, unless Lie or Crash
	After bool  // the operation has its effect, and fails all the same; a write has half of it when Short
	Short bool
	Lie   bool // a sync says that it is done and is not
	Crash bool // the power fails before the operation, or right after it when After
}

// Errors that disks have.
var (
	ErrIO      = syscall.EIO
	ErrNoSpace = syscall.ENOSPC
	// ErrCrashed is what every operation returns after the power has failed.
	ErrCrashed = errors.New("vfstest: the power has failed")
)

// node is a file: what programs see, and what is sure to survive.
type node struct {
	data    []byte
	synced  []byte
	pending []write // since the last sync, in order

	nameless bool // it was removed, or another file has its name
}

// write is a write, or with a nil data a truncation to off.
type write struct {
	off  int64
	data []byte
}

// dir is a directory: names whose existence is durable, and the changes since.
type dir struct {
	names   map[string]bool // of files and directories, as the running system sees them
	synced  map[string]*node
	pending []change
}

// change is a name that appeared, or vanished when node is nil. A renamed file has its old name too: a journal keeps the two together.
type change struct {
	name string
	node *node
	from string
}

// New returns an empty disk.
func New() *Disk {
	return &Disk{nodes: map[string]*node{}, dirs: map[string]*dir{".": newDir(), "/": newDir()}, locks: map[string]bool{}}
}

func newDir() *dir { return &dir{names: map[string]bool{}, synced: map[string]*node{}} }

// Ops returns the number of operations so far.
func (d *Disk) Ops() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ops
}

// Crash makes the power fail now.
func (d *Disk) Crash() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = true
}

// Clone returns a disk with what is on this one, all of it durable.
func (d *Disk) Clone() *Disk { return d.Snapshot(Everything, nil) }

// Limit makes the disk full when its files have so many bytes: a write for which there is no room does what it can, and fails. 0 stands for no limit.
func (d *Disk) Limit(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.limit = bytes
}

// Used returns the number of bytes in files.
func (d *Disk) Used() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used()
}

// used returns the number of bytes in files. mu is held.
func (d *Disk) used() (n int64) {
	for _, f := range d.nodes {
		n += int64(len(f.data))
	}
	return n
}

// Corrupt changes the byte at an offset of a file, as rot does: nothing is told of it, and it is there after a reboot too.
func (d *Disk) Corrupt(path string, off int64, xor byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.nodes[filepath.Clean(path)]
	n.data[off] ^= xor
	if off < int64(len(n.synced)) {
		n.synced[off] ^= xor
	}
	for _, w := range n.pending {
		if at := off - w.off; at >= 0 && at < int64(len(w.data)) {
			w.data[at] ^= xor
		}
	}
}

// Files returns the paths of all files, sorted.
func (d *Disk) Files() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.nodes))
}

// begin counts an operation and returns what goes wrong with it. mu is held.
func (d *Disk) begin(name, path string) Fault {
	if d.down {
		return Fault{Err: ErrCrashed}
	}
	op := Op{d.ops, name, path}
	d.ops++
	if d.Fault == nil {
		return Fault{}
	}
	f := d.Fault(op)
	if f.Crash {
		d.down = true
		return Fault{Err: ErrCrashed, After: f.After}
	}
	if f.Err != nil {
		f.Err = &fs.PathError{Op: name, Path: path, Err: f.Err}
	}
	return f
}

// Operation counts an operation of something else that keeps data, a database's commit say, and returns what goes wrong with it.
func (d *Disk) Operation(name, path string) Fault {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.begin(name, path)
}

// do runs an operation with its fault. mu is taken.
func (d *Disk) do(name, path string, effect func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.begin(name, path)
	if f.Err != nil && !f.After {
		return f.Err
	}
	if f.Lie {
		return nil
	}
	if err := effect(); err != nil {
		return err
	}
	return f.Err
}

func notExist(op, path string) error { return &fs.PathError{Op: op, Path: path, Err: fs.ErrNotExist} }

// Create makes a file.
func (d *Disk) Create(path string) (vfs.File, error) {
	path = filepath.Clean(path)
	f := &file{disk: d, path: path, node: &node{}}
	return f, d.do("create", path, func() error {
		parent, ok := d.dirs[filepath.Dir(path)]
		if !ok {
			return notExist("create", path)
		}
		if _, ok := d.nodes[path]; ok {
			return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
		}
		d.nodes[path] = f.node
		parent.names[filepath.Base(path)] = true
		parent.pending = append(parent.pending, change{name: filepath.Base(path), node: f.node})
		return nil
	})
}

// Open opens a file.
func (d *Disk) Open(path string) (vfs.File, error) {
	path = filepath.Clean(path)
	f := &file{disk: d, path: path}
	return f, d.do("open", path, func() (err error) {
		f.node, err = d.node("open", path)
		return err
	})
}

func (d *Disk) node(op, path string) (*node, error) {
	n, ok := d.nodes[path]
	if !ok {
		return nil, notExist(op, path)
	}
	return n, nil
}

// Reopen opens a file for reading and writing.
func (d *Disk) Reopen(path string) (vfs.File, error) { return d.Open(path) }

// Rename gives a file another name in its directory.
func (d *Disk) Rename(from, to string) error {
	from, to = filepath.Clean(from), filepath.Clean(to)
	return d.do("rename", from, func() error {
		n, err := d.node("rename", from)
		if err != nil {
			return err
		}
		if filepath.Dir(from) != filepath.Dir(to) {
			return fmt.Errorf("vfstest: %s is renamed to another directory: %s", from, to)
		}
		if from == to {
			return nil
		}
		delete(d.nodes, from)
		d.unlink(to)
		d.nodes[to] = n
		parent := d.dirs[filepath.Dir(to)]
		delete(parent.names, filepath.Base(from))
		parent.names[filepath.Base(to)] = true
		parent.pending = append(parent.pending, change{name: filepath.Base(to), node: n, from: filepath.Base(from)})
		return nil
	})
}

// Remove removes a file.
func (d *Disk) Remove(path string) error {
	path = filepath.Clean(path)
	return d.do("remove", path, func() error {
		if _, err := d.node("remove", path); err != nil {
			return err
		}
		d.unlink(path)
		parent := d.dirs[filepath.Dir(path)]
		delete(parent.names, filepath.Base(path))
		parent.pending = append(parent.pending, change{name: filepath.Base(path)})
		return nil
	})
}

// unlink takes the name of a file away, if there is one. mu is held.
func (d *Disk) unlink(path string) {
	if n, ok := d.nodes[path]; ok {
		n.nameless = true
		delete(d.nodes, path)
	}
}

// MkdirAll makes a directory and its parents. They are durable when it returns.
func (d *Disk) MkdirAll(path string) error {
	path = filepath.Clean(path)
	return d.do("mkdir", path, func() error {
		var missing []string
		for ; d.dirs[path] == nil; path = filepath.Dir(path) {
			missing = append(missing, path)
		}
		for _, path := range slices.Backward(missing) {
			d.dirs[path] = newDir()
			d.dirs[filepath.Dir(path)].names[filepath.Base(path)] = true
		}
		return nil
	})
}

// Mkdir makes a directory. It is durable when it returns: tests are about files.
func (d *Disk) Mkdir(path string) error { return d.MkdirAll(path) }

// List returns the names in a directory.
func (d *Disk) List(path string) (names []string, err error) {
	path = filepath.Clean(path)
	err = d.do("list", path, func() error {
		if d.dirs[path] == nil {
			return notExist("list", path)
		}
		names = slices.AppendSeq(names, maps.Keys(d.dirs[path].names))
		slices.Sort(names)
		return nil
	})
	return names, err
}

// SyncDir makes the names in a directory durable.
func (d *Disk) SyncDir(path string) error {
	path = filepath.Clean(path)
	return d.do("syncdir", path, func() error {
		parent, ok := d.dirs[path]
		if !ok {
			return notExist("syncdir", path)
		}
		parent.sync()
		return nil
	})
}

// sync makes the names durable.
func (p *dir) sync() {
	for _, c := range p.pending {
		p.apply(c)
	}
	p.pending = nil
}

func (p *dir) apply(c change) {
	if c.from != "" {
		delete(p.synced, c.from)
	}
	if c.node == nil {
		delete(p.synced, c.name)
	} else {
		p.synced[c.name] = c.node
	}
}

// ReadFile returns the contents of a file.
func (d *Disk) ReadFile(path string) (data []byte, err error) {
	path = filepath.Clean(path)
	err = d.do("readfile", path, func() error {
		n, err := d.node("readfile", path)
		if err == nil {
			data = bytes.Clone(n.data)
		}
		return err
	})
	return data, err
}

// WriteFile makes a small file, durably and at once. It syncs the directory, as the file system of the operating system does.
func (d *Disk) WriteFile(path string, data []byte) error {
	path = filepath.Clean(path)
	return d.do("writefile", path, func() error {
		parent, ok := d.dirs[filepath.Dir(path)]
		if !ok {
			return notExist("writefile", path)
		}
		n := &node{data: bytes.Clone(data), synced: bytes.Clone(data)}
		d.unlink(path)
		d.nodes[path] = n
		parent.names[filepath.Base(path)] = true
		parent.sync()
		parent.synced[filepath.Base(path)] = n
		return nil
	})
}

// Space returns that there is a lot, unless Room says otherwise.
func (d *Disk) Space(string) (free, total int64, err error) {
	const size = 1 << 50
	if d.Room != nil {
		return d.Room(), size, nil
	}
	return size, size, nil
}

// Lock takes a lock that a reboot frees.
func (d *Disk) Lock(path string) (io.Closer, error) {
	path = filepath.Clean(path)
	return lock{d, path}, d.do("lock", path, func() error {
		if d.locks[path] {
			return fmt.Errorf("%s: %w", path, vfs.ErrLocked)
		}
		d.locks[path] = true
		return nil
	})
}

type lock struct {
	disk *Disk
	path string
}

func (l lock) Close() error {
	l.disk.mu.Lock()
	defer l.disk.mu.Unlock()
	delete(l.disk.locks, l.path)
	return nil
}

// Size returns the length of a file.
func (d *Disk) Size(path string) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return int64(len(d.nodes[path].data))
}
