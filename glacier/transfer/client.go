package transfer

import (
	"context"
	"io"
	"iter"

	"github.com/moraine-archive/moraine/glacier"
)

// UploadClient are the operations that uploads need. *glacier.Client has them. Calls come from several goroutines; the body of a request is not read any more
// when its call has returned.
type UploadClient interface {
	UploadArchive(ctx context.Context, vault string, body io.ReadSeeker, o glacier.UploadArchiveOptions) (*glacier.UploadArchiveOutput, error)
	InitiateMultipartUpload(ctx context.Context, vault string, partSize int64, description string) (*glacier.InitiateMultipartUploadOutput, error)
	UploadMultipartPart(ctx context.Context, vault, upload string, offset int64, body io.ReadSeeker, o glacier.UploadMultipartPartOptions) (*glacier.UploadMultipartPartOutput, error)
	CompleteMultipartUpload(ctx context.Context, vault, upload string, size int64, treeHash string) (*glacier.UploadArchiveOutput, error)
	MultipartUploads(ctx context.Context, vault string) iter.Seq2[glacier.Upload, error]
	ListParts(ctx context.Context, vault, upload string, p glacier.Page) (*glacier.PartList, error)
	Parts(ctx context.Context, vault, upload string) iter.Seq2[glacier.Part, error]
}

// DownloadClient are the operations that downloads need. *glacier.Client has them. Calls come from several goroutines.
type DownloadClient interface {
	InitiateJob(ctx context.Context, vault string, p glacier.JobParameters) (*glacier.InitiateJobOutput, error)
	DescribeJob(ctx context.Context, vault, job string) (*glacier.Job, error)
	Jobs(ctx context.Context, vault string, f glacier.JobFilter) iter.Seq2[glacier.Job, error]
	GetJobOutput(ctx context.Context, vault, job string, part *glacier.ByteRange) (*glacier.JobOutput, error)
}

var (
	_ UploadClient   = (*glacier.Client)(nil)
	_ DownloadClient = (*glacier.Client)(nil)
)
