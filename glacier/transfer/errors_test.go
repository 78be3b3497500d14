package transfer_test

import (
	"errors"
	"io"
	"testing"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/glacier/transfer"
)

// TestErrorTexts holds what people read.
func TestErrorTexts(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&transfer.InterruptedError{UploadID: "u", Done: 5, Total: 9, Err: io.EOF}, "the upload u was interrupted after 5 of 9 bytes: EOF"},
		{&transfer.InterruptedError{JobID: "j", Done: 5, Total: -1, Err: io.EOF}, "the download with job j was interrupted after 5 bytes: EOF"},
		{&transfer.InterruptedError{Total: -1, Err: io.EOF}, "the download was interrupted after 0 bytes: EOF"},
		{
			&transfer.UncertainError{TreeHash: "abc", Size: 7, Err: io.EOF},
			"it is not known whether the archive was stored (an inventory will tell: tree hash abc, 7 bytes): EOF",
		},
		{&transfer.DamagedError{ID: "j", First: 1, Last: 2, Want: "a", Got: "b"}, "bytes 1-2 of j are damaged: their tree hash is b, not a"},
		{&transfer.JobFailedError{Job: &glacier.Job{ID: "j", StatusMessage: "why"}}, "the job j has failed: why"},
	} {
		if c.err.Error() != c.want {
			t.Errorf("%q, want %q", c.err, c.want)
		}
		if wrapped := errors.Unwrap(c.err); wrapped != nil && wrapped != io.EOF {
			t.Errorf("%q unwraps to %v", c.err, wrapped)
		}
	}
}
