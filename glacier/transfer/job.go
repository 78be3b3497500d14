package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/moraine-archive/moraine/glacier"
)

// Retrieve returns a job that offers an archive, or a part of it, when it is done. It takes over one that is there: of the same archive and the same part, not failed and
// not about to expire, one that is done rather than one in progress. Otherwise it starts one. A job that failed is a *JobFailedError.
func (d *Downloader) Retrieve(ctx context.Context, vault, archive string, part *glacier.ByteRange) (*glacier.Job, error) {
	t, err := d.begin(vault)
	if err != nil {
		return nil, err
	}
	return t.retrieve(ctx, archive, part, nil)
}

// Wait returns a job when it is done. One that failed is a *JobFailedError.
func (d *Downloader) Wait(ctx context.Context, vault, job string) (*glacier.Job, error) {
	t, err := d.begin(vault)
	if err != nil {
		return nil, err
	}
	return t.wait(ctx, job)
}

// retrieve does not take over jobs that have turned out to be gone.
func (t *download) retrieve(ctx context.Context, archive string, part *glacier.ByteRange, gone []string) (*glacier.Job, error) {
	p := glacier.JobParameters{Type: glacier.ArchiveRetrieval, ArchiveID: archive, Tier: t.Tier, Description: t.Description, SNSTopic: t.SNSTopic}
	if part != nil {
		p.RetrievalByteRange = fmt.Sprintf("%d-%d", part.First, part.Last)
	}
	for again := newTries(t.Attempts, t.pause); ; {
		job, err := t.adopt(ctx, p, gone)
		if err != nil {
			return nil, err
		}
		if job == "" {
			job, err = t.start(ctx, p)
		}
		if err == nil {
			return t.wait(ctx, job)
		}
		if !glacier.MayHaveSucceeded(err) && !errors.Is(err, ErrStalled) || !again.again(ctx, err) { // otherwise it may be there now
			return nil, err
		}
	}
}

func (t *download) start(ctx context.Context, p glacier.JobParameters) (string, error) {
	out, err := once(ctx, t.Stall, func(ctx context.Context, _ *watchdog) (*glacier.InitiateJobOutput, error) {
		return t.Client.InitiateJob(ctx, t.vault, p)
	})
	if err != nil {
		return "", err
	}
	return out.JobID, nil
}

// adopt returns the best of the jobs that offer what is wanted, "" if there is none.
func (t *download) adopt(ctx context.Context, p glacier.JobParameters, gone []string) (string, error) {
	return steadily(ctx, newTries(t.Attempts, t.pause), t.Stall, func(ctx context.Context, dog *watchdog) (string, error) {
		var best *glacier.Job
		for j, err := range t.Client.Jobs(ctx, t.vault, glacier.JobFilter{}) {
			if err != nil {
				return "", err
			}
			dog.moved()
			if t.suits(&j, p) && !slices.Contains(gone, j.ID) && (best == nil || better(&j, best)) {
				best = &j
			}
		}
		if best == nil {
			return "", nil
		}
		return best.ID, nil
	})
}

// Jobs are kept for a day after they are done. With less than an hour left one is not worth to begin with.
const jobLife, jobMargin = 24 * time.Hour, time.Hour

func (t *download) suits(j *glacier.Job, p glacier.JobParameters) bool {
	if j.Action != "ArchiveRetrieval" || j.ArchiveID != p.ArchiveID || j.StatusCode == glacier.Failed {
		return false
	}
	whole := fmt.Sprintf("0-%d", j.ArchiveSizeInBytes-1)
	if orWhole(j.RetrievalByteRange, whole) != orWhole(p.RetrievalByteRange, whole) {
		return false
	}
	if j.Completed {
		return t.Now().Before(j.CompletionDate.Add(jobLife - jobMargin))
	}
	return p.Tier == "" || speed(j.Tier) >= speed(p.Tier)
}

func orWhole(byteRange, whole string) string {
	if byteRange == "" {
		return whole
	}
	return byteRange
}

func speed(tier string) int {
	return slices.Index([]string{glacier.Bulk, glacier.Standard, glacier.Expedited}, tier)
}

// better reports whether a job is done, or will be, before another, or offers longer what both offer.
func better(j, than *glacier.Job) bool {
	switch {
	case j.Completed != than.Completed:
		return j.Completed
	case j.Completed:
		return j.CompletionDate.After(than.CompletionDate)
	case j.Tier != than.Tier:
		return speed(j.Tier) > speed(than.Tier)
	}
	return j.CreationDate.Before(than.CreationDate)
}

// patience is how often in a row a job may fail to be described: a server may be away for a while when a job takes hours.
const patience = 10

func (t *download) wait(ctx context.Context, job string) (*glacier.Job, error) {
	t.job = job
	t.meter.begin(Waiting, job, -1)
	pause := pauses(min(250*time.Millisecond, t.PollInterval), t.PollInterval)
	for failures := 0; ; {
		j, err := t.describe(ctx, job)
		switch {
		case err == nil && j.Completed && j.StatusCode == glacier.Failed:
			return nil, &JobFailedError{j}
		case err == nil && j.Completed:
			return j, nil
		case err == nil:
			failures = 0
		default: // ErrAuthentication is not damage on the way here, as it can be where there is a body
			if failures++; failures == patience || ctx.Err() != nil || !transient(err) || errors.Is(err, glacier.ErrAuthentication) {
				return nil, err
			}
		}
		if err := t.rest(ctx, pause.NextBackOff()); err != nil {
			return nil, fmt.Errorf("wait for the job %s: %w", job, err)
		}
	}
}

func (t *download) describe(ctx context.Context, job string) (*glacier.Job, error) {
	return once(ctx, t.Stall, func(ctx context.Context, _ *watchdog) (*glacier.Job, error) {
		return t.Client.DescribeJob(ctx, t.vault, job)
	})
}

// rest waits for a time, or until it is woken. A channel that was closed wakes once.
func (t *download) rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
	case _, open := <-t.Wake:
		if !open {
			t.Wake = nil
		}
	}
	return nil
}
