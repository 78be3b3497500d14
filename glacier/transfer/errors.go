package transfer

import (
	"errors"
	"fmt"

	"github.com/moraine-archive/moraine/glacier"
)

// What can go wrong beside the service's own errors, for errors.Is.
var (
	ErrChanged  = errors.New("the bytes have changed during the upload")
	ErrMismatch = errors.New("the upload has parts of other bytes")
	ErrTooLarge = errors.New("there are more bytes than an upload can have")
	ErrStalled  = errors.New("no byte has moved for too long")
	ErrReading  = errors.New("a read of the stream has not returned yet")
	ErrBusy     = errors.New("another download writes to the same file")
)

// InterruptedError is a transfer that has ended before its end. What was transferred is kept. An upload goes on with Resume (or ResumeStream) and UploadID, whatever
// had begun it: it may be complete, and only its answer lost, and then every other way makes a second archive. A download goes on when it is called again.
type InterruptedError struct {
	Vault    string
	UploadID string // "": it is a download
	JobID    string // "": it is an upload, or no job has been found or started
	Partial  string // path of the file that a download has come to; "": there is none

	Done  int64 // bytes that are safe
	Total int64 // -1: unknown
	Err   error
}

// Error says what is there, and what went wrong.
func (e *InterruptedError) Error() string {
	what := "the download with job " + e.JobID
	if e.UploadID != "" {
		what = "the upload " + e.UploadID
	} else if e.JobID == "" {
		what = "the download"
	}
	of := ""
	if e.Total >= 0 {
		of = fmt.Sprintf(" of %d", e.Total)
	}
	return fmt.Sprintf("%s was interrupted after %d%s bytes: %v", what, e.Done, of, e.Err)
}

// Unwrap returns the cause.
func (e *InterruptedError) Unwrap() error { return e.Err }

// UncertainError is an upload with a single request whose answer was lost. The archive may be stored or not, and only an inventory can tell: one made later lists it,
// if it is there, with this size, tree hash and description. To upload again may make a second archive.
type UncertainError struct {
	Vault, Description, TreeHash string
	Size                         int64
	Err                          error
}

// Error says what is open.
func (e *UncertainError) Error() string {
	return fmt.Sprintf("it is not known whether the archive was stored (an inventory will tell: tree hash %s, %d bytes): %v", e.TreeHash, e.Size, e.Err)
}

// Unwrap returns the cause.
func (e *UncertainError) Unwrap() error { return e.Err }

// DamagedError are bytes that are not what their hash says, each time they were transferred.
type DamagedError struct {
	ID          string // of the upload or job, or of an archive that was sent with one request
	First, Last int64
	Want, Got   string // tree hashes
}

// Error names the bytes and both hashes.
func (e *DamagedError) Error() string {
	return fmt.Sprintf("bytes %d-%d of %s are damaged: their tree hash is %s, not %s", e.First, e.Last, e.ID, e.Got, e.Want)
}

// JobFailedError is a job that the service could not do.
type JobFailedError struct{ Job *glacier.Job }

// Error is what the service says about it.
func (e *JobFailedError) Error() string {
	return fmt.Sprintf("the job %s has failed: %s", e.Job.ID, e.Job.StatusMessage)
}
