package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/clock"
	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/store/moving"
	"github.com/moraine-archive/moraine/internal/store/volume"
	"github.com/moraine-archive/moraine/internal/vault"
	"github.com/moraine-archive/moraine/internal/vfs"
)

// stores is the data of a configuration, locked and open.
type stores struct {
	config config.Config
	disk   vfs.FS
	rows   *catalogue.DB
	bytes  store.Store
	medium medium // of bytes

	next      store.Store // while bytes are moved: the store that they are moved to. Otherwise nil
	oldMedium medium      // likewise: of the store that is left

	settings vault.Settings
	service  *vault.Service
	log      *slog.Logger
	now      func() time.Time // of the machine; of times from when the stores are open
	times    *clock.Clock
	closers  []io.Closer // in the order they were opened

	copying       sync.Mutex // held while the catalogue is copied or its file looked at
	catalogueFile vfs.File   // guarded by copying: opened by a check, until everything is closed
}

// open takes the directories for this process, and opens the catalogue and the store. On an error the caller closes what was opened.
func (s *stores) open(ctx context.Context) (err error) {
	if s.settings, err = settings(s.config); err != nil {
		return err
	}
	if err := s.openBytes(ctx); err != nil {
		return err
	}
	rows, err := s.openRows(ctx)
	if err != nil {
		return err
	}
	if err := s.useRows(ctx, rows); err != nil {
		return err
	}
	return s.checkIdentity(ctx)
}

// openBytes locks the data directory and opens the store.
func (s *stores) openBytes(ctx context.Context) error {
	s.disk = vfs.OS()
	if s.times == nil { // a test may have another machine
		s.times = clock.New(machine(s.now))
	}
	s.now = s.times.Now
	if err := s.own(s.config.Data); err != nil {
		return err
	}
	side, m, err := s.openStore(ctx, s.config)
	if err != nil {
		return err
	}
	s.bytes, s.medium = side.Store, m
	if s.config.OldStore == "" {
		return nil
	}
	s.next = side.Store
	old, m, err := s.openStore(ctx, s.config.Old())
	if err != nil {
		return fmt.Errorf("old-store: %w", err)
	}
	s.bytes, s.oldMedium = moving.New(old, side), m
	return nil
}

// openStore opens the store of a configuration.
func (s *stores) openStore(ctx context.Context, c config.Config) (moving.Side, medium, error) {
	if c.InBucket() {
		return s.openBucket(ctx, c)
	}
	if err := s.own(c.StoreDir()); err != nil { // it can be outside of the data directory
		return moving.Side{}, nil, err
	}
	options := volume.Defaults()
	options.ShareLimit, options.VolumeSize, options.Reserve = int64(c.ShareLimit), int64(c.VolumeSize), int64(c.Reserve)
	options.Log, options.Stamp = s.log, s.times.Stamp
	bytes, err := volume.Open(s.disk, c.StoreDir(), options, s.now)
	if err != nil {
		return moving.Side{}, nil, err
	}
	s.closers = append(s.closers, bytes)
	return moving.Side{Store: bytes, IsPlace: volume.IsPlace}, directory{s.disk, c.StoreDir(), c.BackupDir()}, nil
}

// own makes a directory if it is missing, and takes it for this process.
func (s *stores) own(dir string) error {
	if err := s.disk.MkdirAll(dir); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	return s.lock(dir)
}

// openRows opens the catalogue of the configuration.
func (s *stores) openRows(ctx context.Context) (*catalogue.DB, error) {
	if s.config.InPostgres() {
		return s.openDatabase(ctx)
	}
	return s.openFileOfRows(ctx, s.config.CataloguePath())
}

// useRows has the service work on a catalogue, which is closed with the rest.
func (s *stores) useRows(ctx context.Context, rows *catalogue.DB) error {
	s.rows = rows
	s.closers = append(s.closers, rows)
	if s.config.CommitLimit > 0 {
		rows.ShareCommits(s.config.CommitLimit)
	}
	if err := s.restoreTime(ctx); err != nil {
		return err
	}
	s.service = vault.New(s.rows, s.bytes, s.settings, s.times, s.log)
	return nil
}

// openDatabase opens the catalogue in PostgreSQL. One that is half a copy is refused.
func (s *stores) openDatabase(ctx context.Context) (*catalogue.DB, error) {
	rows, err := catalogue.OpenPostgres(ctx, s.config.Catalogue, s.config.Replica)
	if err != nil {
		return nil, err
	}
	err = rows.View(ctx, func(tx *catalogue.Tx) error {
		half, err := tx.HalfCopied()
		if err == nil && half {
			err = fmt.Errorf("the database %s has half a catalogue: `moraine admin migrate-catalogue` or a rebuild was interrupted; run it again", s.config.CatalogueName())
		}
		return err
	})
	if err != nil {
		return nil, errors.Join(err, rows.Close())
	}
	return rows, nil
}

// openFileOfRows opens a catalogue in SQLite, and makes it if it is missing.
func (s *stores) openFileOfRows(ctx context.Context, path string) (*catalogue.DB, error) {
	if err := private(s.disk, path); err != nil {
		return nil, err
	}
	return catalogue.OpenSQLite(ctx, path)
}

// errInUse says that another process has the data.
var errInUse = errors.New("in use by another server")

func (s *stores) lock(dir string) error {
	lock, err := s.disk.Lock(filepath.Join(dir, "lock"))
	if errors.Is(err, vfs.ErrLocked) {
		return fmt.Errorf("the directory %s is %w: stop it, or choose another with --data or --store", dir, errInUse)
	}
	if err == nil {
		s.closers = append(s.closers, lock)
	}
	return err
}

// private makes an empty file that only the owner can read, unless there is one: SQLite would let others read the keys in the catalogue, and gives
// its other files the mode of the first.
func private(disk vfs.FS, path string) error {
	f, err := disk.Create(path)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("make the catalogue: %w", err)
	}
	return f.Close()
}

// close closes what was opened, the last first.
func (s *stores) close() error {
	var err error
	for i := len(s.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, s.closers[i].Close())
	}
	s.closers = nil
	return err
}

// pace returns what holds reading to a number of bytes a second; nil: there is no limit.
func pace(perSecond config.Bytes) func(context.Context, int) error {
	if perSecond <= 0 {
		return nil
	}
	burst := max(int(perSecond), 4<<20)
	limit := rate.NewLimiter(rate.Limit(perSecond), burst)
	return func(ctx context.Context, n int) error { return limit.WaitN(ctx, min(n, burst)) }
}
