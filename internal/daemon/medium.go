package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/moraine-archive/moraine/internal/vfs"
)

// medium is where the store is, for what is kept beside its records: the name that it shares with its catalogue, and copies of that.
type medium interface {
	// read returns a small file; fs.ErrNotExist: there is none.
	read(ctx context.Context, name string) ([]byte, error)
	// create makes a small file durable. fs.ErrExist: there is one, where others may make one at the same moment.
	create(ctx context.Context, name string, b []byte) error

	// copies returns the copies of the catalogue, the newest first.
	copies(ctx context.Context) ([]Backup, error)
	// draft is the path of a file on this machine in which a copy is made.
	draft() string
	// keep makes the draft the copy with a name, durably, and returns where that is.
	keep(ctx context.Context, name string) (string, error)
	// open returns a copy to be read, and its length.
	open(ctx context.Context, b Backup) (io.ReadCloser, int64, error)
	// remove removes a copy. One that is missing is no error.
	remove(ctx context.Context, b Backup) error
}

// directory is the medium of a store in a directory.
type directory struct {
	disk   vfs.FS
	store  string
	backup string // the directory of the copies
}

func (d directory) read(_ context.Context, name string) ([]byte, error) {
	return d.disk.ReadFile(filepath.Join(d.store, name))
}

func (d directory) create(_ context.Context, name string, b []byte) error {
	return d.disk.WriteFile(filepath.Join(d.store, name), b)
}

func (d directory) copies(context.Context) ([]Backup, error) {
	names, err := d.disk.List(d.backup)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the copies of the catalogue: %w", err)
	}
	return backupsNamed(names, func(name string) string { return filepath.Join(d.backup, name) }), nil
}

func (d directory) draft() string { return filepath.Join(d.backup, unfinishedBackup) }

func (d directory) keep(_ context.Context, name string) (string, error) {
	if err := syncFile(d.disk, d.draft()); err != nil {
		return "", err
	}
	path := filepath.Join(d.backup, name)
	if err := d.disk.Rename(d.draft(), path); err != nil {
		return "", err
	}
	return path, d.disk.SyncDir(d.backup)
}

func (d directory) open(_ context.Context, b Backup) (io.ReadCloser, int64, error) {
	return openFile(d.disk, b.Path)
}

func (d directory) remove(_ context.Context, b Backup) error {
	return removeIfThere(d.disk, b.Path)
}

// openFile opens a file to be read from its beginning, and returns its length.
func openFile(disk vfs.FS, path string) (io.ReadCloser, int64, error) {
	f, err := disk.Open(path)
	if err != nil {
		return nil, 0, err
	}
	size, err := f.Size()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return section{io.NewSectionReader(f, 0, size), f}, size, nil
}

type section struct {
	io.Reader
	io.Closer
}

// backupsNamed returns the copies that have some of these names, the newest first.
func backupsNamed(names []string, path func(string) string) []Backup {
	var list []Backup
	for _, name := range names {
		if at, ok := backupTime(name); ok {
			list = append(list, Backup{Path: path(name), At: at})
		}
	}
	slices.SortFunc(list, func(a, b Backup) int { return b.At.Compare(a.At) })
	return list
}
