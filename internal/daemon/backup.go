package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"time"

	"github.com/moraine-archive/moraine/internal/vfs"
)

// A copy of the catalogue lies beside the records, in a file or an object that is named after the moment and the SHA-256 of its bytes: whether it is whole can be told from it alone.

// Backup is a copy of the catalogue.
type Backup struct {
	Path  string    `json:"path"` // of the file, or the key in the bucket below the prefix of the store
	At    time.Time `json:"at"`
	Bytes int64     `json:"bytes"` // 0 in a list: not asked for
}

const backupLayout = "20060102T150405.000Z"

// unfinishedBackup is the name of a copy while it is written.
const unfinishedBackup = "unfinished"

var backupName = regexp.MustCompile(`^catalogue-([0-9]{8}T[0-9]{6}\.[0-9]{3}Z)-([0-9a-f]{64})\.db$`) // read only

// backupTime returns when the copy with a name was made.
func backupTime(name string) (time.Time, bool) {
	m := backupName.FindStringSubmatch(name)
	if m == nil {
		return time.Time{}, false
	}
	at, err := time.Parse(backupLayout, m[1])
	return at, err == nil
}

// isWhole reports whether a copy has the bytes that its name promises.
func (s *stores) isWhole(ctx context.Context, b Backup) (bool, error) {
	r, _, err := s.medium.open(ctx, b)
	if err != nil {
		return false, err
	}
	sum, err := sumOf(r)
	return err == nil && backupName.FindStringSubmatch(path.Base(filepath.ToSlash(b.Path)))[2] == sum, err
}

// sumOf returns the SHA-256 of what there is to read, and closes it.
func sumOf(r io.ReadCloser) (string, error) {
	h := sha256.New()
	_, err := io.Copy(h, r)
	return hex.EncodeToString(h.Sum(nil)), errors.Join(err, r.Close())
}

// scheduledBackup is backup, unless another node has made one meanwhile.
func (s *stores) scheduledBackup(ctx context.Context) error {
	if s.rows.Shared() {
		list, err := s.medium.copies(ctx)
		if err != nil || len(list) > 0 && s.now().Sub(list[0].At) < s.config.BackupInterval/2 {
			return err
		}
	}
	_, err := s.backup(ctx)
	return err
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
		err = s.prune(ctx, b)
	}
	return b, err
}

func (s *stores) writeBackup(ctx context.Context) (Backup, error) {
	b, draft := Backup{At: s.now().UTC().Truncate(time.Millisecond)}, s.medium.draft()
	if err := s.disk.MkdirAll(filepath.Dir(draft)); err != nil {
		return b, err
	}
	if err := removeIfThere(s.disk, draft); err != nil {
		return b, err
	}
	if err := private(s.disk, draft); err != nil { // the copy has all that the catalogue has
		return b, err
	}
	if err := s.rows.Copy(ctx, draft); err != nil {
		return b, errors.Join(err, s.disk.Remove(draft))
	}
	r, size, err := openFile(s.disk, draft)
	if err != nil {
		return b, err
	}
	sum, err := sumOf(r)
	if err != nil {
		return b, err
	}
	b.Bytes = size
	b.Path, err = s.medium.keep(ctx, fmt.Sprintf("catalogue-%s-%s.db", b.At.Format(backupLayout), sum))
	return b, err
}

// removeIfThere removes a file, if there is one.
func removeIfThere(disk vfs.FS, path string) error {
	if err := disk.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func syncFile(disk vfs.FS, path string) error {
	f, err := disk.Reopen(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// prune removes the oldest copies, but for one that was just made: the clock of this node may be behind that of others.
func (s *stores) prune(ctx context.Context, made Backup) error {
	list, err := s.medium.copies(ctx)
	if err != nil {
		return err
	}
	for _, b := range list[min(len(list), s.config.BackupKeep):] {
		if b.Path == made.Path {
			continue
		}
		if err := s.medium.remove(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// largeCatalogue is a length from which on a catalogue is not copied when a server stops: that has to be quick.
const largeCatalogue = 64 << 20

// lastBackup is made when a server stops in good order, unless others go on.
func (s *stores) lastBackup(ctx context.Context) error {
	if s.rows.Shared() {
		return nil
	}
	size, err := s.rows.Size(ctx)
	if err != nil || size > largeCatalogue {
		return err
	}
	_, err = s.backup(ctx)
	return err
}
