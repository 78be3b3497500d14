package glacier

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strconv"
	"time"

	"github.com/moraine-archive/moraine/internal/protocol"
)

// JobParameters say what a job is to make available. Members that are empty are not sent.
type JobParameters struct {
	Type        string // ArchiveRetrieval or InventoryRetrieval
	ArchiveID   string `json:"ArchiveId,omitempty"`
	Description string `json:",omitempty"`
	SNSTopic    string `json:",omitempty"` // ARN of a topic that is told when the job is done
	Tier        string `json:",omitempty"` // Expedited, Standard (the default) or Bulk
	// RetrievalByteRange is a part of an archive, "first-last", both inclusive: multiples of a MiB, but for the end of the archive.
	RetrievalByteRange string               `json:",omitempty"`
	Format             string               `json:",omitempty"` // of an inventory: JSON (the default) or CSV
	Inventory          *InventoryParameters `json:"InventoryRetrievalParameters,omitempty"`
	Select             json.RawMessage      `json:"SelectParameters,omitempty"` // of select jobs, which few servers have
	OutputLocation     json.RawMessage      `json:",omitempty"`
}

// The types of jobs.
const (
	ArchiveRetrieval   = "archive-retrieval"
	InventoryRetrieval = "inventory-retrieval"
)

// The tiers of archive retrievals.
const (
	Expedited = "Expedited"
	Standard  = "Standard"
	Bulk      = "Bulk"
)

// InventoryParameters restrict an inventory.
type InventoryParameters struct {
	StartDate string `json:",omitempty"` // archives created at or after; ISO 8601, like 2024-02-29T00:00:00Z
	EndDate   string `json:",omitempty"` // archives created before
	Limit     string `json:",omitempty"` // archives at most
	Marker    string `json:",omitempty"` // that the job before has in its description
}

// InitiateJobOutput is the answer to InitiateJob.
type InitiateJobOutput struct {
	Response
	JobID    string
	Location string // path of the job
	// JobOutputPath is where a select job writes to.
	JobOutputPath string
}

// InitiateJob starts a job. After a failure that leaves open whether it was started it is not tried again, unless the client allows duplicates (MayHaveSucceeded).
func (c *Client) InitiateJob(ctx context.Context, vault string, p JobParameters) (*InitiateJobOutput, error) {
	const operation = "InitiateJob"
	if err := checkDescription(operation, p.Description); err != nil {
		return nil, err
	}
	r := request{operation: operation, method: "POST", path: vaultPath(vault, "jobs"), ok: []int{202}, once: true, twice: true}
	r, err := r.withJSON(p)
	if err != nil {
		return nil, err
	}
	h, err := c.call(ctx, r, nil)
	if err != nil {
		return nil, err
	}
	return &InitiateJobOutput{Response{requestID(h)}, h.Get(protocol.HeaderJobID), h.Get("Location"), h.Get("x-amz-job-output-path")}, nil
}

// Job is the description of a job. Members that do not apply are zero.
type Job struct {
	Response
	ID                           string `json:"JobId"`
	Action                       string // "ArchiveRetrieval" or "InventoryRetrieval"
	VaultARN                     string
	JobDescription               string
	SNSTopic                     string
	Completed                    bool
	StatusCode                   string // InProgress, Succeeded or Failed
	StatusMessage                string
	CreationDate                 time.Time
	CompletionDate               time.Time
	Tier                         string
	ArchiveID                    string `json:"ArchiveId"`
	ArchiveSizeInBytes           int64
	ArchiveSHA256TreeHash        string
	RetrievalByteRange           string // "first-last", both inclusive
	SHA256TreeHash               string // of the range, "" if it has none
	InventorySizeInBytes         int64
	InventoryRetrievalParameters *InventoryJob // nil: the job is not about an inventory
	JobOutputPath                string
	SelectParameters             json.RawMessage
	OutputLocation               json.RawMessage
}

// InventoryJob is what an inventory job was asked for. Marker is where the next one has to begin if Limit has cut this one off.
type InventoryJob struct {
	Format, StartDate, EndDate, Limit, Marker string
}

// The states of jobs.
const (
	InProgress = "InProgress"
	Succeeded  = "Succeeded"
	Failed     = "Failed"
)

// OutputSize returns how many bytes a job offers: of an archive retrieval those of its range.
func (j *Job) OutputSize() (int64, error) {
	if j.Action == "InventoryRetrieval" {
		return j.InventorySizeInBytes, nil
	}
	if j.RetrievalByteRange == "" {
		return j.ArchiveSizeInBytes, nil
	}
	var first, last int64
	if _, err := fmt.Sscanf(j.RetrievalByteRange, "%d-%d", &first, &last); err != nil || last < first {
		return 0, fmt.Errorf("the job %s has the byte range %q", j.ID, j.RetrievalByteRange)
	}
	return last - first + 1, nil
}

// DescribeJob returns the description of a job.
func (c *Client) DescribeJob(ctx context.Context, vault, job string) (*Job, error) {
	j := new(Job)
	h, err := c.call(ctx, request{operation: "DescribeJob", method: "GET", path: vaultPath(vault, "jobs", job), ok: []int{200}}, j)
	return answered(j, h, err)
}

// JobFilter selects jobs. Empty members select all.
type JobFilter struct {
	StatusCode string // InProgress, Succeeded or Failed
	Completed  *bool
}

// JobList is a page of jobs.
type JobList struct {
	Response
	Jobs   []Job  `json:"JobList"`
	Marker string // of the next page; "": this is the last
}

// ListJobs returns a page of the jobs of a vault that are in progress or were completed in the last 24 hours.
func (c *Client) ListJobs(ctx context.Context, vault string, f JobFilter, p Page) (*JobList, error) {
	q := p.query()
	if f.StatusCode != "" {
		q.Set("statuscode", f.StatusCode)
	}
	if f.Completed != nil {
		q.Set("completed", strconv.FormatBool(*f.Completed))
	}
	l := new(JobList)
	h, err := c.call(ctx, request{operation: "ListJobs", method: "GET", path: vaultPath(vault, "jobs"), query: q, ok: []int{200}}, l)
	return answered(l, h, err)
}

// Jobs returns all jobs of a vault that ListJobs lists. It ends after an error.
func (c *Client) Jobs(ctx context.Context, vault string, f JobFilter) iter.Seq2[Job, error] {
	return pages(func(p Page) ([]Job, string, error) {
		l, err := c.ListJobs(ctx, vault, f, p)
		if err != nil {
			return nil, "", err
		}
		return l.Jobs, l.Marker, nil
	})
}

// ByteRange is a part of an output, both ends inclusive.
type ByteRange struct{ First, Last int64 }

// JobOutput is what a job offers. The caller reads and closes Body.
type JobOutput struct {
	Response
	Status             int // 200, or 206 for a range
	Body               io.ReadCloser
	ContentLength      int64
	ContentRange       string // "bytes first-last/size"; "" without a range
	ContentType        string
	AcceptRanges       string
	ArchiveDescription string
	TreeHash           string // of the bytes in Body; "": they are not such that they have one
}

// GetJobOutput returns what a job offers, or a part of it. What is read of Body is not verified: package transfer does.
func (c *Client) GetJobOutput(ctx context.Context, vault, job string, part *ByteRange) (*JobOutput, error) {
	r := request{operation: "GetJobOutput", method: "GET", path: vaultPath(vault, "jobs", job, "output"), ok: []int{200, 206}}
	if part != nil {
		r.header = map[string]string{"Range": fmt.Sprintf("bytes=%d-%d", part.First, part.Last)}
	}
	res, err := c.send(ctx, r)
	if err != nil {
		return nil, err
	}
	h := res.Header
	return &JobOutput{
		Response: Response{requestID(h)}, Status: res.StatusCode, Body: res.Body, ContentLength: res.ContentLength, ContentRange: h.Get("Content-Range"),
		ContentType: h.Get("Content-Type"), AcceptRanges: h.Get("Accept-Ranges"), ArchiveDescription: h.Get(protocol.HeaderDescription), TreeHash: h.Get(protocol.HeaderTreeHash),
	}, nil
}
