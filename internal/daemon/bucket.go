package daemon

import (
	"context"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"

	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/store/moving"
	"github.com/moraine-archive/moraine/internal/store/objects"
	"github.com/moraine-archive/moraine/internal/vfs"
)

// openBucket opens a store in a bucket. Several servers may have it open.
func (s *stores) openBucket(ctx context.Context, c config.Config) (moving.Side, medium, error) {
	options, err := objects.ParseURL(c.Store)
	if err != nil {
		return moving.Side{}, nil, fmt.Errorf("store: %w", err)
	}
	options.ShareLimit = int64(c.ShareLimit)
	options.Log, options.Stamp = s.log, s.times.Stamp
	bytes, err := objects.Open(ctx, options, s.now)
	if err != nil {
		return moving.Side{}, nil, err
	}
	s.closers = append(s.closers, bytes)
	return moving.Side{Store: bytes, IsPlace: objects.IsPlace}, bucket{bytes, s.disk, c.Data}, nil
}

// bucket is the medium of a store in a bucket.
type bucket struct {
	objects *objects.Store
	disk    vfs.FS
	data    string // where drafts are
}

// copiesPrefix is what the names of copies of the catalogue begin with in a bucket.
const copiesPrefix = "catalogue/"

func (b bucket) read(ctx context.Context, name string) ([]byte, error) {
	return b.objects.ReadFile(ctx, name)
}

func (b bucket) create(ctx context.Context, name string, text []byte) error {
	return b.objects.CreateFile(ctx, name, text)
}

func (b bucket) copies(ctx context.Context) ([]Backup, error) {
	names, err := b.objects.ListFiles(ctx, copiesPrefix)
	if err != nil {
		return nil, fmt.Errorf("list the copies of the catalogue: %w", err)
	}
	for i := range names {
		names[i] = strings.TrimPrefix(names[i], copiesPrefix)
	}
	return backupsNamed(names, func(name string) string { return copiesPrefix + name }), nil
}

func (b bucket) draft() string { return filepath.Join(b.data, "catalogue-copy."+unfinishedBackup) }

func (b bucket) keep(ctx context.Context, name string) (string, error) {
	f, err := b.disk.Open(b.draft())
	if err != nil {
		return "", err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return "", err
	}
	name = path.Join(copiesPrefix, name)
	if err := b.objects.PutFile(ctx, name, io.NewSectionReader(f, 0, size), size); err != nil {
		return "", err
	}
	return name, removeIfThere(b.disk, b.draft())
}

func (b bucket) open(ctx context.Context, copied Backup) (io.ReadCloser, int64, error) {
	return b.objects.OpenFile(ctx, copied.Path)
}

func (b bucket) remove(ctx context.Context, copied Backup) error {
	return b.objects.DeleteFile(ctx, copied.Path)
}
