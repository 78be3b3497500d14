// Package vfs is the one door to the disk: every other package that keeps data on files goes through an FS.
//
// What is durable when: the bytes of a file after File.Sync; the existence, name or absence of a file after SyncDir of the directory it is in.
// Neither implies the other (POSIX fsync(2), Linux manual, "Notes").
package vfs

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// File is an open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes the file's bytes and its length durable. It is an error if the file has no name any more. After an error nothing is known of what was written since
	// the last successful Sync, and another Sync will not tell (fsync reports an error once).
	Sync() error
	// Size returns the length of the file in bytes.
	Size() (int64, error)
	// Truncate cuts the file to a length. It is durable after Sync.
	Truncate(size int64) error
}

// FS is a file system. Paths are those of the operating system. All methods may be called from several goroutines.
type FS interface {
	// Create makes a new file for reading and writing. It is an error (fs.ErrExist) if the file exists.
	Create(path string) (File, error)
	// Open opens a file for reading. A missing file is fs.ErrNotExist.
	Open(path string) (File, error)
	// Reopen opens a file that exists for reading and writing. A missing file is fs.ErrNotExist.
	Reopen(path string) (File, error)
	// Remove removes a file. A missing file is fs.ErrNotExist.
	Remove(path string) error
	// Rename gives a file another name in the same directory, in place of a file that has it. It is durable after SyncDir.
	Rename(from, to string) error
	// MkdirAll makes a directory and its missing parents, and makes their existence durable.
	MkdirAll(path string) error
	// Mkdir makes a directory in one that exists; it is no error if it is there. It is durable after SyncDir of its parent.
	Mkdir(path string) error
	// List returns the names in a directory, sorted by byte value.
	List(path string) ([]string, error)
	// SyncDir makes the names in a directory durable as they are now.
	SyncDir(path string) error
	// ReadFile returns the contents of a small file.
	ReadFile(path string) ([]byte, error)
	// WriteFile makes a small file with these contents, durably and at once: the file is there whole or not at all. It
	// replaces a file of that name. Only the owner can read it.
	WriteFile(path string, data []byte) error
	// Space returns the number of bytes that can still be written to the file system of a directory, and the number that it has.
	Space(path string) (free, total int64, err error)
	// Lock takes the lock file at path until the closer is closed or the process ends. It returns ErrLocked when
	// another process has it.
	Lock(path string) (io.Closer, error)
}

// ErrLocked is returned by Lock when another process holds the lock.
var ErrLocked = errors.New("locked by another process")

// OS returns the file system of the operating system.
func OS() FS { return osFS{} }

type osFS struct{}

type osFile struct{ *os.File }

// writebackSize is how long a write is of which the disk is told at once.
const writebackSize = 1 << 20

// WriteAt writes, and lets the kernel begin to bring a large piece to the disk while the next one still comes: Sync then has less to wait for. It
// is a hint (sync_file_range(2)); nothing is durable before Sync.
func (f osFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	if err == nil && n >= writebackSize {
		unix.SyncFileRange(int(f.Fd()), off, int64(n), unix.SYNC_FILE_RANGE_WRITE)
	}
	return n, err
}

// Sync also fails when somebody has removed the file: what is written to it then is lost, though the disk takes it.
func (f osFile) Sync() error {
	if err := unix.Fdatasync(int(f.Fd())); err != nil {
		return &fs.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	var info unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &info); err != nil || info.Nlink == 0 {
		return &fs.PathError{Op: "fdatasync", Path: f.Name(), Err: cmp.Or(err, fs.ErrNotExist)}
	}
	return nil
}

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (osFS) Create(path string) (File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Open(path string) (File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Reopen(path string) (File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Remove(path string) error { return os.Remove(path) }

func (osFS) Rename(from, to string) error { return os.Rename(from, to) }

func (o osFS) MkdirAll(path string) error {
	path = filepath.Clean(path)
	if info, err := os.Stat(path); err == nil {
		if !info.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: path, Err: unix.ENOTDIR}
		}
		return nil
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := o.MkdirAll(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return o.SyncDir(parent)
}

func (osFS) Mkdir(path string) error {
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

func (osFS) List(path string) ([]string, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

func (osFS) SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (osFS) ReadFile(path string) ([]byte, error) { return os.ReadFile(path) }

func (o osFS) WriteFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	if err := writeAndClose(f, data); err != nil {
		os.Remove(f.Name())
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		os.Remove(f.Name())
		return err
	}
	return o.SyncDir(filepath.Dir(path))
}

func writeAndClose(f *os.File, data []byte) error {
	_, err := f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

func (osFS) Space(path string) (free, total int64, err error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return 0, 0, fmt.Errorf("statfs %s: %w", path, err)
	}
	return int64(fs.Bavail) * fs.Bsize, int64(fs.Blocks) * fs.Bsize, nil
}

func (osFS) Lock(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w", path, ErrLocked)
		}
		return nil, &fs.PathError{Op: "flock", Path: path, Err: err}
	}
	return f, nil
}
