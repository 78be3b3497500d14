package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The libraries that rotate logs take a file for their own: they write where they believe its end to be. Here the server and administrators' commands append to one, so that every line is written
// at its end, under a lock (flock(2)), after a look whether it is still the one.

// append writes a line at the end of the file. mu is held.
func (l *Log) append(line []byte) error {
	if err := l.lock(); err != nil {
		return err
	}
	defer func() { unix.Flock(int(l.file.Fd()), unix.LOCK_UN) }() // which the end of the process does too
	info, err := l.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() > 0 && info.Size()+int64(len(line)) > l.size {
		if err := l.setAside(); err != nil {
			return err
		}
	}
	_, err = l.file.Write(line)
	return err
}

// lock opens the file, if it is not open or another has taken its place, and locks it.
func (l *Log) lock() error {
	for {
		if l.file == nil {
			if err := l.open(); err != nil {
				return err
			}
		}
		if err := unix.Flock(int(l.file.Fd()), unix.LOCK_EX); err != nil {
			return fmt.Errorf("lock %s: %w", l.path, err)
		}
		ours, err := l.file.Stat()
		if err != nil {
			return err
		}
		if there, err := os.Stat(l.path); err == nil && os.SameFile(ours, there) {
			return nil
		}
		if err := l.closeFile(); err != nil { // it was set aside, or removed
			return err
		}
	}
}

// open opens the file, or makes it. One that root makes belongs to the owner of its directory: the server may be another user.
func (l *Log) open() (err error) {
	if err := os.MkdirAll(filepath.Dir(l.path), 0o700); err != nil {
		return err
	}
	if l.file, err = os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	dir, err := os.Stat(filepath.Dir(l.path))
	if owner, ok := dir.Sys().(*syscall.Stat_t); err == nil && ok && os.Geteuid() == 0 {
		err = l.file.Chown(int(owner.Uid), int(owner.Gid))
	}
	return err
}

func (l *Log) closeFile() error {
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}

const asideLayout = "2006-01-02T15-04-05.000000"

// setAside gives the file, which is locked, a name with the date, and begins another, which it locks.
func (l *Log) setAside() error {
	ext := filepath.Ext(l.path)
	stem := strings.TrimSuffix(l.path, ext)
	if err := os.Rename(l.path, stem+"-"+time.Now().UTC().Format(asideLayout)+ext); err != nil {
		return err
	}
	if err := l.closeFile(); err != nil {
		return err
	}
	return errors.Join(l.lock(), l.prune(stem, ext))
}

// prune removes the oldest of the files that were set aside.
func (l *Log) prune(stem, ext string) error {
	if l.keep == 0 {
		return nil
	}
	list, err := filepath.Glob(stem + "-????-??-??T??-??-??.*" + ext)
	if err != nil {
		return err
	}
	slices.Sort(list)
	for _, path := range list[:max(0, len(list)-l.keep)] {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}
