package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

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

	jobOf map[string]string   // jobs that are there, by archive
	slots *semaphore.Weighted // of downloads

	mu      sync.Mutex
	done    restoreDocument // guarded by mu, as are the others
	fetched int64
	begun   int64 // jobs
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
	var err error
	if r.jobOf, err = r.adoptable(ctx); err != nil {
		return err
	}
	r.slots = semaphore.NewWeighted(int64(max(r.parallel, 1)))
	g, within := errgroup.WithContext(ctx)
	g.SetLimit(max(r.jobs, 1))
	for _, w := range r.wanted {
		if within.Err() != nil {
			break
		}
		g.Go(func() error {
			err := r.fetch(within, w)
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

func (r *restoring) limited() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.limit
}

func (r *restoring) started() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun++
}

// adoptable returns the best job for each archive, of those that offer all of it or will, and sooner or as soon as a new one.
func (r *restoring) adoptable(ctx context.Context) (map[string]string, error) {
	best := map[string]glacier.Job{}
	for j, err := range r.client.Jobs(ctx, r.vault, glacier.JobFilter{}) {
		if err != nil {
			return nil, err
		}
		if !r.adopts(j) {
			continue
		}
		if b, ok := best[j.ArchiveID]; !ok || j.Completed && (!b.Completed || j.CompletionDate.After(b.CompletionDate)) {
			best[j.ArchiveID] = j
		}
	}
	ids := map[string]string{}
	for archive, j := range best {
		ids[archive] = j.ID
	}
	return ids, nil
}

func (r *restoring) adopts(j glacier.Job) bool {
	if j.Action != "ArchiveRetrieval" || j.StatusCode == glacier.Failed || j.RetrievalByteRange != "" && j.RetrievalByteRange != fmt.Sprintf("0-%d", j.ArchiveSizeInBytes-1) {
		return false
	}
	tiers := []string{glacier.Bulk, glacier.Standard, glacier.Expedited}
	return j.Completed || slices.Index(tiers, j.Tier) >= slices.Index(tiers, r.tier)
}

// fetch fetches an archive to its place.
func (r *restoring) fetch(ctx context.Context, w wanted) error {
	path, err := r.prepare(w)
	if err != nil {
		return err
	}
	down := &transfer.Downloader{Client: r.client, Tier: r.tier, KeepExisting: !r.overwrite}
	id, err := r.job(ctx, w)
	if err != nil {
		return err
	}
	if _, err := down.Wait(ctx, r.vault, id); err != nil && !errors.Is(err, glacier.ErrNotFound) {
		return err
	}
	if err := r.slots.Acquire(ctx, 1); err != nil {
		return err
	}
	defer r.slots.Release(1)
	if path, err = r.prepare(w); err != nil { // again: hours may have passed
		return err
	}
	down.Progress = r.pace(w.path)
	_, err = down.DownloadJob(ctx, r.vault, id, path)
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

// job returns a job that offers an archive, or will.
func (r *restoring) job(ctx context.Context, w wanted) (string, error) {
	if id, ok := r.jobOf[w.id]; ok {
		r.started()
		return id, nil
	}
	if err := r.limited(); err != nil {
		return "", err
	}
	out, err := r.client.InitiateJob(ctx, r.vault, glacier.JobParameters{Type: glacier.ArchiveRetrieval, ArchiveID: w.id, Tier: r.tier, Description: "moraine"})
	id := ""
	switch {
	case err == nil:
		id = out.JobID
	case glacier.MayHaveSucceeded(err) && ctx.Err() == nil:
		down := &transfer.Downloader{Client: r.client, Tier: r.tier}
		job, err := down.Retrieve(ctx, r.vault, w.id, nil) // takes over the one that may be there
		if err != nil {
			return "", err
		}
		id = job.ID
	default:
		return "", err
	}
	r.started()
	return id, nil
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
