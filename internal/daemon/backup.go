package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/moraine-archive/moraine/internal/vfs"
)

// A copy of the catalogue lies beside the volumes, in a file that is named after the moment and the SHA-256 of its bytes: whether it is whole can be told from it alone.

// Backup is a copy of the catalogue.
type Backup struct {
	Path  string    `json:"path"`
	At    time.Time `json:"at"`
	Bytes int64     `json:"bytes"`
}

const backupLayout = "20060102T150405.000Z"

// unfinishedBackup is the name of a copy while it is written.
const unfinishedBackup = "unfinished"

var backupName = regexp.MustCompile(`^catalogue-([0-9]{8}T[0-9]{6}\.[0-9]{3}Z)-([0-9a-f]{64})\.db$`) // read only

// backups returns the copies, the newest first.
func backups(disk vfs.FS, dir string) ([]Backup, error) {
	names, err := disk.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the copies of the catalogue: %w", err)
	}
	var list []Backup
	for _, name := range slices.Backward(names) {
		m := backupName.FindStringSubmatch(name)
		if m == nil {
			continue
		}
		if at, err := time.Parse(backupLayout, m[1]); err == nil {
			list = append(list, Backup{Path: filepath.Join(dir, name), At: at})
		}
	}
	return list, nil
}

// isWhole reports whether a copy has the bytes that its name promises.
func (b Backup) isWhole(disk vfs.FS) (bool, error) {
	sum, _, err := sumOf(disk, b.Path)
	return err == nil && backupName.FindStringSubmatch(filepath.Base(b.Path))[2] == sum, err
}

// sumOf returns the SHA-256 of a file and its length.
func sumOf(disk vfs.FS, path string) (string, int64, error) {
	f, err := disk.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return "", 0, err
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, size)); err != nil {
		return "", 0, err
	}
	return hex.EncodeToString(h.Sum(nil)), size, nil
}

// backup writes a copy of the catalogue, and removes those that are too many.
func (s *stores) backup(ctx context.Context) (b Backup, err error) {
	s.copying.Lock()
	defer s.copying.Unlock()
	err = s.service.Backup(ctx, func(ctx context.Context) error {
		b, err = s.writeBackup(ctx)
		return err
	})
	if err == nil {
		err = s.prune()
	}
	return b, err
}

func (s *stores) writeBackup(ctx context.Context) (Backup, error) {
	dir := s.config.BackupDir()
	if err := s.disk.MkdirAll(dir); err != nil {
		return Backup{}, err
	}
	b, unfinished := Backup{At: s.now().UTC().Truncate(time.Millisecond)}, filepath.Join(dir, unfinishedBackup)
	if err := s.disk.Remove(unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	if err := private(s.disk, unfinished); err != nil { // the copy has all that the catalogue has
		return b, err
	}
	if err := s.rows.Copy(ctx, unfinished); err != nil {
		return b, errors.Join(err, s.disk.Remove(unfinished))
	}
	if err := syncFile(s.disk, unfinished); err != nil {
		return b, err
	}
	sum, size, err := sumOf(s.disk, unfinished)
	if err != nil {
		return b, err
	}
	b.Path, b.Bytes = filepath.Join(dir, fmt.Sprintf("catalogue-%s-%s.db", b.At.Format(backupLayout), sum)), size
	if err := s.disk.Rename(unfinished, b.Path); err != nil {
		return b, err
	}
	return b, s.disk.SyncDir(dir)
}

func syncFile(disk vfs.FS, path string) error {
	f, err := disk.Reopen(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// prune removes the oldest copies.
func (s *stores) prune() error {
	list, err := backups(s.disk, s.config.BackupDir())
	if err != nil {
		return err
	}
	for _, b := range list[min(len(list), s.config.BackupKeep):] {
		if err := s.disk.Remove(b.Path); err != nil {
			return err
		}
	}
	return nil
}

// largeCatalogue is a length from which on a catalogue is not copied when a server stops: that has to be quick.
const largeCatalogue = 64 << 20

// lastBackup is made when a server stops in good order.
func (s *stores) lastBackup(ctx context.Context) error {
	size, err := s.rows.Size(ctx)
	if err != nil || size > largeCatalogue {
		return err
	}
	_, err = s.backup(ctx)
	return err
}
