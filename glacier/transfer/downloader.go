package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/glacier/treehash"
)

// Downloader fetches what jobs offer: archives, parts of archives, inventories. Only Client has to be set. It can be used from several goroutines, and must not be
// changed meanwhile.
type Downloader struct {
	Client DownloadClient

	// Tier is that of the jobs that are started: Expedited, Standard or Bulk. A job in progress is taken over only if it is of this tier or a faster one. Empty: jobs
	// are started with the service's own, which is Standard, and any job in progress is taken over, also a Bulk one.
	Tier string
	// Description and SNSTopic are those of the jobs that are started.
	Description, SNSTopic string

	// RangeSize is how much is fetched with a request: 1 MiB times a power of two. Zero: 8 MiB. For a file it is doubled until there are at most 100,000 ranges.
	RangeSize int64
	// Concurrency is how many ranges are fetched at a time. Zero: 4. A download to a file takes one MiB of memory for each, one to a writer a whole range.
	Concurrency int
	// Attempts is how often a range is fetched if it comes damaged, and how often in a row a connection may break without bringing 64 KiB. Zero: 5.
	Attempts int
	// Stall is how long a request may stand still before it is given up and tried again. Zero: 2 minutes. Negative: for ever.
	Stall time.Duration

	// KeepExisting says that a file that has the path is not replaced: fs.ErrExist, before anything is asked for. If it came meanwhile it is so at the end, and what was
	// fetched is kept beside it.
	KeepExisting bool

	// PollInterval is the longest pause between two looks at a job that is not done. The first is a quarter of a second; they grow. Zero: 2 minutes.
	PollInterval time.Duration
	// Wake, if it is not nil, ends such a pause whenever something is received: it is for those who get the service's messages.
	Wake <-chan struct{}

	// Progress is told how far a download is. Nil: nobody is.
	Progress func(Event)
	// Now is the clock by which a job is about to expire. Nil: time.Now.
	Now func() time.Time

	pause time.Duration // before the second attempt
}

const (
	defaultRangeSize = 8 << 20
	defaultFetches   = 5
	defaultPoll      = 2 * time.Minute
	maxRanges        = 100_000
)

// Download is what was downloaded.
type Download struct {
	JobID string
	Size  int64
	// Verified says that the service has a tree hash of the whole, and that it is TreeHash. Inventories and ranges that are not tree-hash aligned have none: what is known
	// of them is that every byte of Size came.
	Verified bool
	TreeHash string // in hex, of what came
	Reused   int64  // bytes that were in the partial file
}

// Download fetches an archive to a file: it finds or starts a job (Retrieve), waits for it, and does what DownloadJob does. If the job expires meanwhile, it takes another one.
func (d *Downloader) Download(ctx context.Context, vault, archive, path string) (*Download, error) {
	t, err := d.toFile(vault, path)
	if err != nil {
		return nil, err
	}
	defer t.file.close()
	var expired []string
	for {
		t.job = ""
		done, err := t.downloadOnce(ctx, archive, expired)
		switch {
		case err == nil:
			return done, nil
		case t.job == "" || !errors.Is(err, glacier.ErrNotFound) || len(expired) == maxExpired:
			return nil, t.interrupted(err)
		}
		expired = append(expired, t.job)
	}
}

func (t *download) downloadOnce(ctx context.Context, archive string, expired []string) (*Download, error) {
	job, err := t.retrieve(ctx, archive, nil, expired)
	if err != nil {
		return nil, err
	}
	return t.save(ctx, job)
}

// maxExpired is after how many jobs that expired before all was fetched a download ends.
const maxExpired = 5

// DownloadJob waits for a job and fetches what it offers to a file. Until all is there and verified, it is in a file beside it, PartialPath; then that file
// takes the name, in place of one that has it, and is durable. A partial file of the same bytes is gone on with: what it has is read and held against
// hashes that are in it too. Two downloads to the same path at a time are ErrBusy.
//
// After an error what was fetched is kept: *InterruptedError.
func (d *Downloader) DownloadJob(ctx context.Context, vault, job, path string) (*Download, error) {
	t, err := d.toFile(vault, path)
	if err != nil {
		return nil, err
	}
	defer t.file.close()
	j, err := t.wait(ctx, job)
	if err != nil {
		return nil, t.interrupted(err)
	}
	done, err := t.save(ctx, j)
	if err != nil {
		return nil, t.interrupted(err)
	}
	return done, nil
}

// DownloadTo waits for a job and writes what it offers, from the beginning to the end. A range is written when all of it is there and verified; if the
// service has a tree hash of the whole but gives none of ranges, damage is found at the end. Concurrency ranges are in memory. A write is waited for, also when the context has ended.
func (d *Downloader) DownloadTo(ctx context.Context, vault, job string, w io.Writer) (*Download, error) {
	t, err := d.begin(vault)
	if err != nil {
		return nil, err
	}
	j, err := t.wait(ctx, job)
	if err != nil {
		return nil, t.interrupted(err)
	}
	done, err := t.copy(ctx, j, w)
	if err != nil {
		return nil, t.interrupted(err)
	}
	return done, nil
}

// toFile begins a download to a file. What cannot work is found out now, not when the job is done.
func (d *Downloader) toFile(vault, path string) (t *download, err error) {
	if t, err = d.begin(vault); err == nil {
		t.file, err = openPartial(path, d.KeepExisting)
	}
	return t, err
}

// begin fills in what the zero values mean.
func (d *Downloader) begin(vault string) (*download, error) {
	t := &download{Downloader: *d, vault: vault, meter: &meter{report: d.Progress}}
	t.RangeSize = cmp.Or(t.RangeSize, defaultRangeSize)
	t.Concurrency = cmp.Or(max(t.Concurrency, 0), defaultConcurrency)
	t.Attempts = cmp.Or(max(t.Attempts, 0), defaultFetches)
	t.Stall = cmp.Or(t.Stall, defaultStall)
	t.PollInterval = cmp.Or(max(t.PollInterval, 0), defaultPoll)
	t.pause = cmp.Or(t.pause, defaultPause)
	if t.Now == nil {
		t.Now = time.Now
	}
	if err := checkPartSize(t.RangeSize); err != nil {
		return nil, fmt.Errorf("ranges: %w", err)
	}
	return t, nil
}

// download is a download under way.
type download struct {
	Downloader // with its defaults

	vault string
	meter *meter
	file  *partial // nil: to a writer

	// Of the job, once it is done.
	job  string
	size int64
	hash string // "": it has none
	safe int64  // bytes that are in the file, or written
}

func (t *download) interrupted(err error) error {
	e := &InterruptedError{Vault: t.vault, JobID: t.job, Done: t.safe, Total: t.size, Err: err}
	if t.size == 0 {
		e.Total = -1
	}
	if t.file != nil {
		e.Partial = t.file.temp
		e.Done = t.file.bytes()
	}
	return e
}

// of takes from a job that is done what it offers.
func (t *download) of(job *glacier.Job) error {
	size, err := job.OutputSize()
	if err != nil {
		return err
	}
	if size <= 0 {
		return fmt.Errorf("the job %s offers nothing", job.ID)
	}
	t.job, t.size, t.hash = job.ID, size, job.SHA256TreeHash
	if t.hash == "" && size == job.ArchiveSizeInBytes {
		t.hash = job.ArchiveSHA256TreeHash
	}
	if _, err := treehash.Parse(t.hash); err != nil && t.hash != "" {
		return fmt.Errorf("the job %s has the tree hash %q: %w", job.ID, t.hash, err)
	}
	return nil
}

// verdict holds the tree hash of what came against that of the job.
func (t *download) verdict(tree treehash.Hash) (*Download, error) {
	done := &Download{JobID: t.job, Size: t.size, TreeHash: tree.String()}
	if t.hash == "" {
		return done, nil
	}
	if want, err := treehash.Parse(t.hash); err != nil || want != tree {
		return nil, &DamagedError{ID: t.job, First: 0, Last: t.size - 1, Want: t.hash, Got: tree.String()}
	}
	done.Verified = true
	return done, nil
}
