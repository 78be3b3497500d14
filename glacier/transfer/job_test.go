package transfer_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"iter"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/glacier/transfer"
)

// desk is a client of a service that has jobs only.
type desk struct {
	transfer.DownloadClient
	jobs     []glacier.Job
	describe func() (*glacier.Job, error) // nil: as it is in the list
	initiate func() error                 // nil: it works
	started  []glacier.JobParameters
}

func (d *desk) Jobs(context.Context, string, glacier.JobFilter) iter.Seq2[glacier.Job, error] {
	return func(yield func(glacier.Job, error) bool) {
		for _, j := range d.jobs {
			if !yield(j, nil) {
				return
			}
		}
	}
}

func (d *desk) InitiateJob(_ context.Context, _ string, p glacier.JobParameters) (*glacier.InitiateJobOutput, error) {
	d.started = append(d.started, p)
	d.jobs = append(d.jobs, glacier.Job{ID: "new", Action: "ArchiveRetrieval", ArchiveID: p.ArchiveID, Completed: true, StatusCode: glacier.Succeeded, CompletionDate: time.Now()})
	if d.initiate != nil {
		if err := d.initiate(); err != nil {
			return nil, err
		}
	}
	return &glacier.InitiateJobOutput{JobID: "new"}, nil
}

func (d *desk) DescribeJob(_ context.Context, _, id string) (*glacier.Job, error) {
	if d.describe != nil {
		return d.describe()
	}
	i := slices.IndexFunc(d.jobs, func(j glacier.Job) bool { return j.ID == id })
	j := d.jobs[i]
	j.Completed = true
	return &j, nil
}

// TestAdopt takes over the best of the jobs that are there, if one will do.
func TestAdopt(t *testing.T) {
	now := time.Now()
	job := func(id string, change func(*glacier.Job)) glacier.Job {
		j := glacier.Job{
			ID: id, Action: "ArchiveRetrieval", ArchiveID: "a", StatusCode: glacier.Succeeded, Completed: true, CompletionDate: now.Add(-time.Hour),
			ArchiveSizeInBytes: 5 * mib, RetrievalByteRange: "0-5242879", Tier: glacier.Standard,
		}
		change(&j)
		return j
	}
	same := func(*glacier.Job) {}
	running := func(tier string, age time.Duration) func(*glacier.Job) {
		return func(j *glacier.Job) {
			j.Completed, j.StatusCode, j.CompletionDate, j.Tier, j.CreationDate = false, glacier.InProgress, time.Time{}, tier, now.Add(-age)
		}
	}
	done := func(age time.Duration) func(*glacier.Job) {
		return func(j *glacier.Job) { j.CompletionDate = now.Add(-age) }
	}
	part := &glacier.ByteRange{First: mib, Last: 2*mib - 1}
	for name, c := range map[string]struct {
		jobs []glacier.Job
		part *glacier.ByteRange
		tier string
		want string
	}{
		"none":              {nil, nil, "", "new"},
		"one":               {[]glacier.Job{job("x", same)}, nil, "", "x"},
		"another archive":   {[]glacier.Job{job("x", func(j *glacier.Job) { j.ArchiveID = "b" })}, nil, "", "new"},
		"an inventory":      {[]glacier.Job{job("x", func(j *glacier.Job) { j.Action = "InventoryRetrieval" })}, nil, "", "new"},
		"failed":            {[]glacier.Job{job("x", func(j *glacier.Job) { j.StatusCode = glacier.Failed })}, nil, "", "new"},
		"a part of it":      {[]glacier.Job{job("x", func(j *glacier.Job) { j.RetrievalByteRange = "0-1048575" })}, nil, "", "new"},
		"more than wanted":  {[]glacier.Job{job("x", same)}, part, "", "new"},
		"the part":          {[]glacier.Job{job("x", same), job("y", func(j *glacier.Job) { j.RetrievalByteRange = "1048576-2097151" })}, part, "", "y"},
		"whole by name":     {[]glacier.Job{job("x", same)}, &glacier.ByteRange{First: 0, Last: 5*mib - 1}, "", "x"},
		"about to expire":   {[]glacier.Job{job("x", done(23*time.Hour+time.Minute))}, nil, "", "new"},
		"the last done":     {[]glacier.Job{job("x", done(9*time.Hour)), job("y", done(2*time.Hour)), job("z", done(3*time.Hour))}, nil, "", "y"},
		"done over running": {[]glacier.Job{job("x", running(glacier.Expedited, 0)), job("y", same), job("z", running(glacier.Expedited, 0))}, nil, "", "y"},
		"the fastest":       {[]glacier.Job{job("x", running(glacier.Bulk, 0)), job("y", running(glacier.Expedited, 0)), job("z", running(glacier.Standard, 0))}, nil, "", "y"},
		"the first of two":  {[]glacier.Job{job("x", running(glacier.Bulk, time.Hour)), job("y", running(glacier.Bulk, 2*time.Hour))}, nil, "", "y"},
		"too slow":          {[]glacier.Job{job("x", running(glacier.Standard, 0))}, nil, glacier.Expedited, "new"},
		"faster":            {[]glacier.Job{job("x", running(glacier.Expedited, 0))}, nil, glacier.Bulk, "x"},
		"slow but done":     {[]glacier.Job{job("x", same)}, nil, glacier.Expedited, "x"},
	} {
		d := &desk{jobs: c.jobs}
		j, err := transfer.Downloader{Client: d, Tier: c.tier, Description: "d", SNSTopic: "arn"}.Hurry().Retrieve(t.Context(), "v", "a", c.part)
		if err != nil || j.ID != c.want || (len(d.started) == 1) != (c.want == "new") {
			t.Errorf("%s: %+v, want %s; %v", name, j, c.want, err)
			continue
		}
		if c.want != "new" {
			continue
		}
		want := glacier.JobParameters{Type: glacier.ArchiveRetrieval, ArchiveID: "a", Tier: c.tier, Description: "d", SNSTopic: "arn"}
		if c.part != nil {
			want.RetrievalByteRange = "1048576-2097151"
		}
		if got := d.started[0]; got.ArchiveID != want.ArchiveID || got.Tier != want.Tier || got.RetrievalByteRange != want.RetrievalByteRange || got.SNSTopic != want.SNSTopic {
			t.Errorf("%s: started %+v, want %+v", name, got, want)
		}
	}
	d := &desk{initiate: func() error { return &glacier.APIError{Status: 500} }} // which leaves open whether there is a job
	j, err := transfer.Downloader{Client: d}.Hurry().Retrieve(t.Context(), "v", "a", nil)
	if err != nil || j.ID != "new" || len(d.started) != 1 {
		t.Errorf("an answer that was lost: %+v, %v, %d jobs", j, err, len(d.started))
	}
	d.jobs, d.started, d.initiate = nil, nil, func() error { return &glacier.APIError{Status: 400, Code: "PolicyEnforcedException"} }
	if _, err = (transfer.Downloader{Client: d}).Hurry().Retrieve(t.Context(), "v", "a", nil); !errors.Is(err, glacier.ErrPolicyEnforced) || len(d.started) != 1 {
		t.Errorf("a refusal: %v, %d jobs", err, len(d.started))
	}
}

// TestWait looks at a job less and less often, puts up with a server that is away, and is woken.
func TestWait(t *testing.T) {
	looks := func(d transfer.Downloader, describe func(n int, since time.Duration) (*glacier.Job, error)) (at []time.Duration, err error) {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			d.Client = &desk{describe: func() (*glacier.Job, error) {
				at = append(at, time.Since(began))
				return describe(len(at), time.Since(began))
			}}
			_, err = d.Wait(t.Context(), "v", "j")
		})
		return at, err
	}
	within := func(hours time.Duration) func(int, time.Duration) (*glacier.Job, error) {
		return func(_ int, since time.Duration) (*glacier.Job, error) {
			return &glacier.Job{ID: "j", Completed: since >= hours, StatusCode: glacier.Succeeded}, nil
		}
	}
	at, err := looks(transfer.Downloader{}, within(4*time.Hour))
	if n := len(at); err != nil || n < 100 || n > 200 || at[0] != 0 || at[1] > time.Second || at[n-1] > 4*time.Hour+3*time.Minute {
		t.Errorf("%d looks, the last after %s: %v", n, at[n-1], err)
	}
	at, err = looks(transfer.Downloader{PollInterval: 10 * time.Minute}, within(4*time.Hour))
	if n := len(at); err != nil || n > 60 {
		t.Errorf("with long pauses: %d looks, %v", n, err)
	}

	away := func(d time.Duration) func(int, time.Duration) (*glacier.Job, error) {
		return func(n int, since time.Duration) (*glacier.Job, error) {
			if since > time.Hour && since < time.Hour+d {
				return nil, &glacier.SendError{Err: io.ErrUnexpectedEOF}
			}
			return within(4*time.Hour)(n, since)
		}
	}
	if _, err = looks(transfer.Downloader{}, away(10*time.Minute)); err != nil {
		t.Errorf("away for a while: %v", err)
	}
	if at, err = looks(transfer.Downloader{}, away(3*time.Hour)); !errors.Is(err, io.ErrUnexpectedEOF) || at[len(at)-1] > 2*time.Hour {
		t.Errorf("away for good: %v", err)
	}
	for _, final := range []error{
		&glacier.APIError{Status: 404, Code: "ResourceNotFoundException"},
		&glacier.APIError{Status: 403, Code: "InvalidSignatureException"},
		&glacier.SendError{Err: &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}},
	} {
		if at, err = looks(transfer.Downloader{}, func(int, time.Duration) (*glacier.Job, error) { return nil, final }); !errors.Is(err, final) || len(at) != 1 {
			t.Errorf("%v: %d looks, %v", final, len(at), err)
		}
	}
}

// TestStalledRetrieve gives up each of the requests for a job that stands still, and makes it again. There is one job.
func TestStalledRetrieve(t *testing.T) {
	r := start(t, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, stands := range []string{"jobs", "job", "describe"} {
		id, n := r.store(t, []byte(stands)), r.wire.requests("job")
		stood := false
		r.wire.harm = func(op string, _ int, _ *http.Request) fault {
			if op != stands || stood {
				return fault{}
			}
			stood = true
			return fault{stall: true}
		}
		j, err := transfer.Downloader{Client: r.client, Stall: time.Second}.Hurry().Retrieve(ctx, "v", id, nil)
		want := 1
		if stands == "job" {
			want = 2
		}
		if err != nil || !j.Completed || r.wire.requests("job")-n != want {
			t.Errorf("%s stands still: %+v, %v; %d jobs were asked for", stands, j, err, r.wire.requests("job")-n)
		}
	}
}

// TestHungLook gives up a look at a job that gets no answer, and looks again.
func TestHungLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		j, err := (&transfer.Downloader{Client: &hung{}}).Wait(t.Context(), "v", "j")
		if took := time.Since(began); err != nil || j.ID != "j" || took < 2*time.Minute || took > 3*time.Minute {
			t.Errorf("%+v, %v after %s", j, err, took)
		}
	})
}

// hung is a client whose first look at a job gets no answer.
type hung struct {
	transfer.DownloadClient
	looks int
}

func (h *hung) DescribeJob(ctx context.Context, _, id string) (*glacier.Job, error) {
	if h.looks++; h.looks == 1 {
		<-ctx.Done()
		return nil, &glacier.SendError{Err: ctx.Err()}
	}
	return &glacier.Job{ID: id, Completed: true, StatusCode: glacier.Succeeded}, nil
}

// TestWake looks at a job as soon as something comes, and only once for a channel that was closed.
func TestWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wake := make(chan struct{})
		began, looks := time.Now(), 0
		client := &desk{describe: func() (*glacier.Job, error) {
			looks++
			return &glacier.Job{ID: "j", Completed: time.Since(began) > 90*time.Minute, StatusCode: glacier.Succeeded}, nil
		}}
		go func() {
			time.Sleep(time.Hour)
			wake <- struct{}{}
			time.Sleep(31 * time.Minute)
			close(wake)
		}()
		d := transfer.Downloader{Client: client, Wake: wake, PollInterval: 24 * time.Hour}
		if _, err := d.Wait(t.Context(), "v", "j"); err != nil || time.Since(began) != 91*time.Minute {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		began = time.Now()
		if _, err := d.Wait(t.Context(), "v", "j"); err != nil || looks > 60 {
			t.Errorf("with a closed channel: %d looks, %v", looks, err)
		}
	})
}

// hall is a client of a service that has one job, whose output is made up.
type hall struct {
	desk
	size int64
}

func (h *hall) GetJobOutput(_ context.Context, _, _ string, part *glacier.ByteRange) (*glacier.JobOutput, error) {
	r := io.NewSectionReader(pattern{}, part.First, part.Last-part.First+1)
	return &glacier.JobOutput{Status: 206, Body: io.NopCloser(r), ContentLength: r.Size(), ContentRange: contentRange(part, h.size)}, nil
}

// TestNoRangeHashes fetches from a service that gives a tree hash for the whole only.
func TestNoRangeHashes(t *testing.T) {
	const size = 3*mib + 5
	body, _ := io.ReadAll(io.NewSectionReader(pattern{}, 0, size))
	for _, hash := range []string{treeOf(t, body), treeOf(t, body[1:])} {
		h := &hall{size: size}
		h.describe = func() (*glacier.Job, error) {
			return &glacier.Job{ID: "j", ArchiveID: "a", Completed: true, StatusCode: glacier.Succeeded, ArchiveSizeInBytes: size, ArchiveSHA256TreeHash: hash}, nil
		}
		var w bytes.Buffer
		d, err := transfer.Downloader{Client: h, RangeSize: mib}.Hurry().DownloadTo(t.Context(), "v", "j", &w)
		_, damaged := errors.AsType[*transfer.DamagedError](err)
		if good := hash == treeOf(t, body); good != (err == nil) || good == damaged || good && (!d.Verified || !bytes.Equal(w.Bytes(), body)) {
			t.Errorf("%+v, %v", d, err)
		}
		path := t.TempDir() + "/f"
		_, err = transfer.Downloader{Client: h, RangeSize: mib}.Hurry().DownloadJob(t.Context(), "v", "j", path)
		if _, is := errors.AsType[*transfer.DamagedError](err); is != damaged {
			t.Errorf("to a file: %v", err)
		}
	}
}
