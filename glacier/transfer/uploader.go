package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/moraine-archive/moraine/glacier"
)

// Uploader stores archives. Only Client has to be set. It can be used from several goroutines, and must not be changed meanwhile.
//
// A file takes one MiB of memory for each part in flight, whatever the size of parts; its bytes are read once for both hashes and once more, mostly from the cache of the operating
// system, when they are sent. A stream takes Concurrency times PartSize, or as much as it has.
type Uploader struct {
	Client UploadClient

	// PartSize is that of uploads in parts: 1 MiB times a power of two, up to 4 GiB. It is doubled for a file that would have more than 10,000 parts. Zero: 16 MiB for
	// files. For streams, whose length nobody knows when the size has to be chosen, 64 MiB: they can have 625 GiB then, and take 256 MiB of memory.
	PartSize int64
	// Single is the size up to which an archive is sent with a single request. Such a request cannot go on after an interruption, and if its answer is lost nobody knows whether
	// the archive was stored (UncertainError). Zero: 16 MiB. Negative: never. The service takes up to 4 GiB, a stream no more than one part less a byte.
	Single int64
	// Concurrency is how many parts are in flight. Zero: 4.
	Concurrency int
	// Attempts is how often a part is read and given to the client, which sends it again after failures by itself. Zero: 3.
	Attempts int
	// Stall is how long a request may stand still before it is given up and tried again. Zero: 2 minutes. Negative: for ever.
	Stall time.Duration
	// Progress is told how far an upload is. Nil: nobody is.
	Progress func(Event)

	pause time.Duration // before the second attempt
}

// Archive is an archive that was stored.
type Archive struct {
	ID       string
	Location string // path of the archive
	TreeHash string // in hex: computed here, and confirmed by the service
	Size     int64
	UploadID string // "": it was sent with a single request
	Reused   int64  // bytes that the service had already
}

// Upload stores the first size bytes of r, a file mostly. If r has a method Stat, like *os.File, it is an error (ErrChanged) if its size or modification time is
// another one at the end; so it is in any case if bytes are read twice and differ. No archive is made then.
//
// After an error the parts that were sent are kept: *InterruptedError.
func (u *Uploader) Upload(ctx context.Context, vault string, r io.ReaderAt, size int64, description string) (*Archive, error) {
	t, err := u.ofFile(vault, r, size, description)
	if err != nil {
		return nil, err
	}
	if t.single() {
		return t.sendWhole(ctx)
	}
	return t.multipart(ctx)
}

// ResumeOrUpload is Upload, but goes on with an upload of the vault that is open, if it has the same description, at least one part, and no part that is not of these
// bytes. That may be one that another process is busy with: if both send the same bytes, both end with the same archive. Small files, which are sent with a single request, have
// nothing to go on with.
//
// An upload that was completed, but whose answer was lost, is not open any more, and this makes a second archive. Who has its id, from an *InterruptedError or an Event, calls Resume.
func (u *Uploader) ResumeOrUpload(ctx context.Context, vault string, r io.ReaderAt, size int64, description string) (*Archive, error) {
	t, err := u.ofFile(vault, r, size, description)
	if err != nil {
		return nil, err
	}
	if t.single() {
		return t.sendWhole(ctx)
	}
	if err := t.find(ctx); err != nil {
		return nil, err
	}
	return t.multipart(ctx)
}

// Resume goes on with an upload. What the service has is held against the bytes: parts that are the same are not sent again, others are replaced. If none is the same, or if there are
// bytes behind the end, the upload is one of other bytes: ErrMismatch.
//
// If the upload was completed, but the answer was lost, this reads all the bytes and returns the archive that there is: there is never a second one. An upload that does not exist is
// told by the same way: glacier.ErrNotFound.
func (u *Uploader) Resume(ctx context.Context, vault, upload string, r io.ReaderAt, size int64) (*Archive, error) {
	t, err := u.ofFile(vault, r, size, "")
	if err != nil {
		return nil, err
	}
	if err := t.join(ctx, upload); err != nil {
		return nil, err
	}
	if err := t.recognise(ctx); err != nil {
		return nil, err
	}
	return t.multipart(ctx)
}

// UploadStream stores all that r has. Parts that are in flight are kept in memory, so that they can be sent again. A stream that has more than 10,000 parts is ErrTooLarge.
//
// When it has returned, nothing reads from r any more, unless it fails, or the context ends, during a read that does not return within a second: then the error is ErrReading too,
// and what that read gets is lost, whenever it returns. Until then r must not be used again.
func (u *Uploader) UploadStream(ctx context.Context, vault string, r io.Reader, description string) (_ *Archive, err error) {
	t, err := u.ofStream(vault, description, cmp.Or(u.PartSize, defaultStreamPartSize))
	if err != nil {
		return nil, err
	}
	s, end := readUntil(ctx, r, t.partSize, t.Concurrency)
	defer func() { err = end(err) }()
	first, err := s.next(ctx)
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("upload: %w", glacier.ErrEmpty)
	} else if err != nil {
		return nil, err
	}
	if first.size < t.partSize && first.size <= t.Single {
		return t.sendOnce(ctx, first)
	}
	t.source = &pushedBack{s, &first}
	return t.multipart(ctx)
}

// ResumeStream goes on with an upload of a stream that is read again from its beginning, as Resume does for a file, and reads as UploadStream does. Parts that differ are replaced,
// even if all do. A stream that ends before what the service has is ErrMismatch.
func (u *Uploader) ResumeStream(ctx context.Context, vault, upload string, r io.Reader) (_ *Archive, err error) {
	t, err := u.ofStream(vault, "", cmp.Or(u.PartSize, defaultStreamPartSize))
	if err != nil {
		return nil, err
	}
	if err := t.join(ctx, upload); err != nil {
		return nil, err
	}
	s, end := readUntil(ctx, r, t.partSize, t.Concurrency)
	defer func() { err = end(err) }()
	t.source = s
	return t.multipart(ctx)
}

// ofFile begins an upload of a file.
func (u *Uploader) ofFile(vault string, r io.ReaderAt, size int64, description string) (*upload, error) {
	if size <= 0 {
		return nil, fmt.Errorf("upload: %w", glacier.ErrEmpty)
	}
	part, err := partSize(cmp.Or(u.PartSize, defaultPartSize), size)
	if err != nil {
		return nil, err
	}
	t := u.begin(vault, description, part)
	t.source, t.size, err = openFile(r, size, part)
	return t, err
}

func (u *Uploader) ofStream(vault, description string, part int64) (*upload, error) {
	if err := checkPartSize(part); err != nil {
		return nil, err
	}
	t := u.begin(vault, description, part)
	t.size = -1
	return t, nil
}

// begin fills in what the zero values mean.
func (u *Uploader) begin(vault, description string, part int64) *upload {
	t := &upload{Uploader: *u, vault: vault, description: description, partSize: part, meter: &meter{report: u.Progress}}
	t.Single = cmp.Or(t.Single, defaultSingle)
	t.Concurrency = cmp.Or(max(t.Concurrency, 0), defaultConcurrency)
	t.Attempts = cmp.Or(max(t.Attempts, 0), defaultAttempts)
	t.Stall = cmp.Or(t.Stall, defaultStall)
	t.pause = cmp.Or(t.pause, defaultPause)
	return t
}

const (
	defaultStall = 2 * time.Minute
	defaultPause = time.Second
)
