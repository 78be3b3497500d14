// Package transfer uploads and downloads archives with many requests side by side, verifies every byte, and goes on after an interruption.
//
// # Uploads
//
// An Uploader sends a file in parts, several at once. A part that fails is read and sent again; if that does not help, the upload ends with an
// *InterruptedError that has its id. Nothing is thrown away then: the service keeps the parts, and what it has is all that Resume needs to know. There is no
// journal on the caller's side.
//
//	up := transfer.Uploader{Client: client}
//	archive, err := up.Upload(ctx, "photos", file, size, "holidays 2016")
//	if i, ok := errors.AsType[*transfer.InterruptedError](err); ok {
//		archive, err = up.Resume(ctx, "photos", i.UploadID, file, size)
//	}
//
// ResumeOrUpload finds by itself what an earlier run has left, if that run was killed and nobody knows the id. It finds uploads that are open only: after an *InterruptedError that has
// an id Resume is the way, since the upload may be complete and its answer lost.
//
// # Downloads
//
// A Downloader takes a job that offers the archive, or starts one, waits until it is done, and fetches ranges, several at once, to a file beside the target. Every
// range is held against the tree hash that the service promises, and all of them together against that of the archive; then the file gets its name. When it is called again
// it goes on with what is in that file, after having read it again: a download may be killed at any moment.
//
//	down := transfer.Downloader{Client: client}
//	_, err := down.Download(ctx, "photos", archive.ID, "holidays.tar")
//
// # Progress
//
// Both report to one plain function. It is called from several goroutines, but never twice at a time, and should return soon: the transfer waits for it.
package transfer
