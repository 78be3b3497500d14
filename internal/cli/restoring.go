package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/glacier/transfer"
	"github.com/moraine-archive/moraine/internal/index"
)

// restoring is a restore to a directory.
type restoring struct {
	*session
	*restoreOptions
	ix     *index.Index
	vault  string
	dir    string
	places map[string]bool // that are taken
	wanted []wanted
	bytes  int64 // of wanted

	present []wanted // files that are there already

	slots *semaphore.Weighted // of downloads

	begun atomic.Bool // a job is waited for, or was

	mu      sync.Mutex
	done    restoreDocument // guarded by mu, as are the others
	fetched int64
	limit   error // why no more jobs can be begun for now
	left    int64 // files that had to be left for it
}

func (r *restoring) skip(path, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done.Skipped = append(r.done.Skipped, syncProblem{path, reason})
	r.say("skipped %s: %s", printable(path), reason)
}

func (r *restoring) fail(w wanted, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done.Failed = append(r.done.Failed, syncProblem{w.path, err.Error()})
	r.say("failed: %s: %v", printable(w.path), err)
}

// run fetches what is wanted. Many jobs are waited for at once, and few files come at once.
func (r *restoring) run(ctx context.Context) error {
	for _, w := range r.present {
		if err := r.setTime(w); err != nil { // it may be somebody else's
			r.say("The time of %s stays as it is: %v", printable(w.path), err)
		}
	}
	if len(r.wanted) == 0 {
		return nil
	}
	if err := os.MkdirAll(r.dir, 0o777); err != nil {
		return err
	}
	jobs, err := r.listed(ctx)
	if err != nil {
		return err
	}
	r.slots = semaphore.NewWeighted(int64(r.parallel))
	g, within := errgroup.WithContext(ctx)
	g.SetLimit(r.jobs)
	for _, w := range r.wanted {
		if within.Err() != nil {
			break
		}
		of := jobs[w.id]
		delete(jobs, w.id) // there may be a million
		g.Go(func() error {
			err := r.fetch(within, w, of)
			switch {
			case err == nil:
			case errors.Is(err, glacier.ErrPolicyEnforced):
				r.leave(err)
			case within.Err() != nil || hopeless(err):
				return err
			default:
				r.fail(w, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if r.limit != nil {
		return fmt.Errorf("%d files are left for later: %w", r.left, r.limit)
	}
	return ctx.Err()
}

// leave notes that a file has to wait because of the data retrieval policy. Those that have a job come all the same.
func (r *restoring) leave(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left++
	if r.limit == nil {
		r.limit = err
	}
}

// listed returns the retrievals that the vault has, by archive. They are listed once: as many times as there are archives would take hours.
func (r *restoring) listed(ctx context.Context) (map[string][]glacier.Job, error) {
	jobs := map[string][]glacier.Job{}
	for j, err := range r.client.Jobs(ctx, r.vault, glacier.JobFilter{}) {
		if err != nil {
			return nil, err
		}
		if j.ArchiveID != "" {
			jobs[j.ArchiveID] = append(jobs[j.ArchiveID], j)
		}
	}
	return jobs, nil
}

// retriever is the client for one archive. What it lists first are the jobs that were listed for all.
type retriever struct {
	*glacier.Client
	r      *restoring
	listed iter.Seq2[glacier.Job, error] // nil: no more
}

// Jobs is the Client's from the second time on.
func (c *retriever) Jobs(ctx context.Context, vault string, f glacier.JobFilter) iter.Seq2[glacier.Job, error] {
	if listed := c.listed; listed != nil {
		c.listed = nil
		return listed
	}
	return c.Client.Jobs(ctx, vault, f)
}

// InitiateJob is the Client's, unless it would be refused.
func (c *retriever) InitiateJob(ctx context.Context, vault string, p glacier.JobParameters) (*glacier.InitiateJobOutput, error) {
	c.r.mu.Lock()
	limit := c.r.limit
	c.r.mu.Unlock()
	if limit != nil {
		return nil, limit
	}
	return c.Client.InitiateJob(ctx, vault, p)
}

// DescribeJob is the Client's: there is a job.
func (c *retriever) DescribeJob(ctx context.Context, vault, job string) (*glacier.Job, error) {
	c.r.begun.Store(true)
	return c.Client.DescribeJob(ctx, vault, job)
}

// fetch fetches an archive to its place.
func (r *restoring) fetch(ctx context.Context, w wanted, jobs []glacier.Job) error {
	if _, err := r.prepare(w); err != nil { // what cannot work is found out now
		return err
	}
	listed := func(yield func(glacier.Job, error) bool) {
		for _, j := range jobs {
			if !yield(j, nil) {
				return
			}
		}
	}
	down := &transfer.Downloader{Client: &retriever{r.client, r, listed}, Tier: string(r.tier), Description: "moraine", KeepExisting: !r.overwrite}
	job, err := down.Retrieve(ctx, r.vault, w.id, nil)
	if len(jobs) > 0 && errors.Is(err, glacier.ErrNotFound) { // the job has expired
		job, err = down.Retrieve(ctx, r.vault, w.id, nil)
	}
	if err != nil {
		return err
	}
	if err := r.slots.Acquire(ctx, 1); err != nil {
		return err
	}
	defer r.slots.Release(1)
	path, err := r.prepare(w) // again: hours may have passed
	if err != nil {
		return err
	}
	down.Progress = r.pace(w.path)
	_, err = down.DownloadJob(ctx, r.vault, job.ID, path)
	if errors.Is(err, glacier.ErrNotFound) { // the job has expired
		_, err = down.Download(ctx, r.vault, w.id, path)
	}
	if err == nil {
		err = r.finish(w, path)
	}
	return err
}

// prepare makes the directories of a file. No symbolic link can lead out of the directory.
func (r *restoring) prepare(w wanted) (string, error) {
	root, err := os.OpenRoot(r.dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	if err := root.MkdirAll(filepath.Dir(w.place), 0o777); err != nil {
		return "", err
	}
	partial := transfer.PartialPath(w.place)
	part, err := root.Lstat(partial)
	if err == nil && !part.Mode().IsRegular() {
		return "", fmt.Errorf("%s is there, and is not a regular file", partial)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return filepath.Join(r.dir, w.place), nil
}

func (r *restoring) finish(w wanted, path string) error {
	if err := r.setTime(w); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fetched += w.size
	r.done.Restored = append(r.done.Restored, restoredFile{w.path, path, w.id, w.size})
	if r.asJSON {
		return nil
	}
	_, err := fmt.Fprintln(r.Stdout, printable(path))
	return err
}
