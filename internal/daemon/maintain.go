package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/catalogue/checkedvfs"
	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/identity"
	"github.com/moraine-archive/moraine/internal/vault"
)

// What maintenance finds.
type (
	Finding = vault.Finding
	Volume  = vault.Volume
	Rebuilt = vault.Rebuilt
	Notice  = vault.Notice
)

// Wrong is the severity of a finding that something is lost, damaged, or contradicts something else.
const Wrong = vault.Wrong

// Task is something that an administrator has a server do, or a command if no server runs.
type Task struct {
	Name string       `json:"name"` // check, scrub, sweep, compact, backup, volumes, notices, retry, migrate-store, migrate-catalogue
	Data bool         `json:"data"` // of a check: read every byte
	Rate config.Bytes `json:"rate"` // bytes read in a second; 0: no limit
	ID   string       `json:"id"`   // of the message to retry; empty: all that were given up
	To   string       `json:"to"`   // of a migration of the catalogue: postgres://...
}

// Event is something that happens while a task runs. One member is set; NotFound goes with Error.
type Event struct {
	Progress *Progress `json:"progress,omitempty"`
	Finding  *Finding  `json:"finding,omitempty"`
	Volume   *Volume   `json:"volume,omitempty"`
	Notice   *Notice   `json:"notice,omitempty"`
	Result   *Result   `json:"result,omitempty"`
	Error    string    `json:"error,omitempty"`
	NotFound bool      `json:"not_found,omitempty"` // the error is of the kind fault.NotFound
}

// Progress is how far a task has come.
type Progress struct {
	What  string `json:"what"`
	Done  int64  `json:"done"`
	Total int64  `json:"total"` // 0: nobody knows
}

// Result is what a task has done. The member of the task is set.
type Result struct {
	Check   *vault.Checked   `json:"check,omitempty"`
	Scrub   *vault.Scrubbed  `json:"scrub,omitempty"`
	Sweep   *vault.Swept     `json:"sweep,omitempty"`
	Compact *vault.Compacted `json:"compact,omitempty"`
	Backup  *Backup          `json:"backup,omitempty"`
	Migrate *vault.Migrated  `json:"migrate,omitempty"`
	Rows    *int64           `json:"rows,omitempty"`    // of a migration of the catalogue: that were copied
	Notices *int64           `json:"notices,omitempty"` // listed, or to be tried again
}

// Maintain runs a task on the data of a configuration: in the server that runs on it, otherwise here. An error of fn ends the task.
func Maintain(ctx context.Context, c config.Config, t Task, logger *slog.Logger, now func() time.Time, fn func(Event) error) error {
	s := &stores{config: c, log: logger, now: now}
	if err := identity.HasCatalogue(c); err != nil {
		return err
	}
	running, err := askServer(ctx, c, t, fn)
	if running {
		return err
	}
	if err := s.open(ctx); err != nil {
		return errors.Join(err, s.close())
	}
	return errors.Join(s.maintain(ctx, t, fn), s.close())
}

// maintain runs a task here.
func (s *stores) maintain(ctx context.Context, t Task, fn func(Event) error) error {
	run, known := map[string]func(context.Context, Task, func(Event) error) (Result, error){
		"check": s.check, "scrub": s.scrub, "sweep": s.sweep, "compact": s.compact, "backup": s.copyCatalogue, "volumes": s.volumes,
		"notices": s.notices, "retry": s.retryNotices, "migrate-store": s.migrateStore, "migrate-catalogue": s.migrateCatalogue,
	}[t.Name]
	if !known {
		return fmt.Errorf("there is no task %q", t.Name)
	}
	r, err := run(ctx, t, fn)
	if err != nil {
		return err
	}
	return fn(Event{Result: &r})
}

// inspection passes on what is found. How far it is, is said a few times a second.
func inspection(t Task, fn func(Event) error) vault.Inspection {
	var last time.Time
	what := ""
	return vault.Inspection{
		Data: t.Data, Pace: pace(t.Rate),
		Progress: func(now string, done, total int64) {
			if now == what && time.Since(last) < progressInterval && done < total {
				return
			}
			last, what = time.Now(), now
			fn(Event{Progress: &Progress{now, done, total}}) // if nobody listens any more, the next finding or the result says so
		},
		Report: func(f vault.Finding) error { return fn(Event{Finding: &f}) },
	}
}

const progressInterval = 200 * time.Millisecond

func (s *stores) check(ctx context.Context, t Task, fn func(Event) error) (Result, error) {
	in := inspection(t, fn)
	damaged, err := s.checkFiles(ctx, t, in.Report)
	if err != nil {
		return Result{}, err
	}
	c, err := s.service.Check(ctx, in)
	c.Wrong += damaged
	return Result{Check: &c}, err
}

// checkFiles looks at the files that are no volumes: the catalogue page by page, and its copies.
func (s *stores) checkFiles(ctx context.Context, t Task, report func(Finding) error) (wrong int, err error) {
	found := func(path, format string, args ...any) error {
		wrong++
		return report(Finding{Severity: Wrong, Place: path, Problem: fmt.Sprintf(format, args...)})
	}
	bad, err := s.badPages(ctx)
	if errors.Is(err, checkedvfs.ErrUnchecked) {
		err = report(Finding{Severity: vault.Note, Place: s.config.CataloguePath(), Problem: "the pages of this catalogue have no checksums: it was made by an earlier program. `moraine admin rebuild --replace` makes one that has them"})
	}
	if err != nil {
		return wrong, err
	}
	for _, page := range bad {
		if err := found(s.config.CataloguePath(), "page %d of the catalogue does not match its checksum", page); err != nil {
			return wrong, err
		}
	}
	if err := s.checkSigner(); err != nil {
		if err := found(s.config.NotifyKeyPath(), "the key that messages are signed with cannot be used: %v", err); err != nil {
			return wrong, err
		}
	}
	if err := s.checkSecrets(ctx, found, report); err != nil {
		return wrong, err
	}
	if !t.Data {
		return wrong, nil
	}
	list, err := s.medium.copies(ctx)
	for _, b := range list {
		if err != nil || ctx.Err() != nil {
			break
		}
		var whole bool
		if whole, err = s.isWhole(ctx, b); err == nil && !whole {
			err = found(b.Path, "the copy of the catalogue is damaged")
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = nil // a newer one has taken its place
		}
	}
	return wrong, errors.Join(err, ctx.Err())
}

// badPages returns the pages of the catalogue that do not match their checksums, also when the log has been written into the file: a crash may have left pages half written, of which the log
// has the whole. The file stays open as long as the catalogue: closing it would drop the
// locks that SQLite has on it (fcntl(2)).
func (s *stores) badPages(ctx context.Context) ([]int64, error) {
	if s.config.InPostgres() {
		return nil, nil // the server has checksums of its own
	}
	s.copying.Lock()
	defer s.copying.Unlock()
	if s.catalogueFile == nil {
		f, err := s.disk.Open(s.config.CataloguePath())
		if err != nil {
			return nil, err
		}
		s.catalogueFile = f
		s.closers = append([]io.Closer{f}, s.closers...) // closed last
	}
	for left := checkpoints; ; left-- {
		size, err := s.catalogueFile.Size()
		if err != nil {
			return nil, err
		}
		bad, err := checkedvfs.Verify(s.catalogueFile, size)
		if err != nil || len(bad) == 0 || left == 0 {
			return bad, err
		}
		if err := s.rows.Checkpoint(ctx); err != nil {
			return nil, err
		}
	}
}

// checkpoints is how often the log is written into the file before a page is called damaged: others may be writing.
const checkpoints = 3

func (s *stores) scrub(ctx context.Context, t Task, fn func(Event) error) (Result, error) {
	done, err := s.service.Scrub(ctx, inspection(t, fn))
	return Result{Scrub: &done}, err
}

func (s *stores) sweep(ctx context.Context, _ Task, _ func(Event) error) (Result, error) {
	done, err := s.service.Sweep(ctx)
	return Result{Sweep: &done}, err
}

func (s *stores) compact(ctx context.Context, t Task, _ func(Event) error) (Result, error) {
	done, err := s.service.Compact(ctx, pace(t.Rate))
	return Result{Compact: &done}, err
}

func (s *stores) migrateStore(ctx context.Context, t Task, fn func(Event) error) (Result, error) {
	m, err := s.service.Migrate(ctx, inspection(t, fn))
	return Result{Migrate: &m}, err
}

// migrateCatalogue copies the catalogue to PostgreSQL. Changes wait meanwhile, and are refused afterwards.
func (s *stores) migrateCatalogue(ctx context.Context, t Task, fn func(Event) error) (Result, error) {
	if !config.IsPostgres(t.To) {
		return Result{}, fault.New(fault.Invalid, "a catalogue is moved to a database that is named postgres://USER@HOST/DATABASE")
	}
	if s.config.InPostgres() {
		return Result{}, fault.New(fault.Invalid, "the catalogue %s is in PostgreSQL already", s.config.CatalogueName())
	}
	to, err := catalogue.OpenPostgres(ctx, t.To, "")
	if err != nil {
		return Result{}, err
	}
	rows, err := catalogue.Move(ctx, s.rows, to, transferProgress(fn))
	return Result{Rows: &rows}, errors.Join(err, to.Close())
}

func (s *stores) copyCatalogue(ctx context.Context, _ Task, _ func(Event) error) (Result, error) {
	b, err := s.backup(ctx)
	if path, failed := filepath.Abs(b.Path); failed == nil && !s.config.InBucket() {
		b.Path = path
	}
	return Result{Backup: &b}, err
}

func (s *stores) volumes(ctx context.Context, _ Task, fn func(Event) error) (Result, error) {
	if err := s.service.Volumes(ctx, func(v Volume) error { return fn(Event{Volume: &v}) }); err != nil {
		return Result{}, err
	}
	last, any, err := s.service.LastScrub(ctx)
	if !any {
		return Result{}, err
	}
	return Result{Scrub: &last}, err
}
