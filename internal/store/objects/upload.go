package objects

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"
)

// upload writes one object as its bytes come: with one request if they are few, otherwise in parts. It is for one goroutine.
type upload struct {
	s       *Store
	ctx     context.Context
	cancel  context.CancelFunc
	key     string
	class   string
	id      string // of the multipart upload; "" until a part is full
	size    int64
	part    *[]byte // that is being filled
	filled  int     // bytes of it
	number  int32   // of the last part that was begun
	sending *errgroup.Group
	failed  context.Context // is done when a part has failed

	mu    sync.Mutex
	parts []types.CompletedPart // guarded by mu: those that the server has
}

// Figures of uploads in parts.
const (
	partsInFlight = 2  // of an upload, besides the one that is being filled
	partsAtOnce   = 32 // of all uploads: more are no faster, and each is memory
	maxParts      = 10_000
)

func (s *Store) newUpload(ctx context.Context, key, class string) *upload {
	u := &upload{s: s, key: key, class: class}
	u.ctx, u.cancel = context.WithCancel(ctx)
	u.sending, u.failed = errgroup.WithContext(u.ctx)
	u.sending.SetLimit(partsInFlight)
	return u
}

// write adds bytes. It waits while as many parts are in flight as may be.
func (u *upload) write(b []byte) error {
	for len(b) > 0 {
		if err := u.context(); err != nil {
			return err
		}
		if u.part == nil {
			u.part = u.s.parts.Get().(*[]byte)
		}
		if u.filled == len(*u.part) { // only now: what fits into one part needs no upload in parts
			if err := u.flush(); err != nil {
				return err
			}
			continue
		}
		n := copy((*u.part)[u.filled:], b)
		b = b[n:]
		u.filled += n
		u.size += int64(n)
	}
	return u.context()
}

// context is the error of the context, or of the part that has failed.
func (u *upload) context() error {
	if err := u.ctx.Err(); err != nil {
		return err
	}
	if u.failed.Err() != nil {
		return u.sending.Wait()
	}
	return nil
}

// flush sends the part that is being filled, as soon as it is its turn.
func (u *upload) flush() error {
	if u.id == "" {
		id, err := u.s.bucket.begin(u.ctx, u.key, u.class)
		if err != nil {
			return err
		}
		u.id = id
	}
	if u.number++; u.number > maxParts {
		return fmt.Errorf("object %s is longer than %d parts of %d bytes", u.key, maxParts, u.s.options.PartSize)
	}
	part, b, number := u.part, (*u.part)[:u.filled], u.number
	u.part, u.filled = nil, 0
	select {
	case u.s.inFlight <- struct{}{}:
	case <-u.failed.Done():
		u.s.parts.Put(part)
		return u.context()
	}
	u.sending.Go(func() error {
		defer func() { u.s.parts.Put(part); <-u.s.inFlight }()
		done, err := u.s.bucket.sendPart(u.failed, u.key, u.id, number, b)
		if err == nil {
			u.mu.Lock()
			defer u.mu.Unlock()
			u.parts = append(u.parts, done)
		}
		return err
	})
	return nil
}

// complete makes the object exist, and makes sure that it has the bytes that were written. One without any is written only if it is wanted.
func (u *upload) complete(wanted bool) error {
	if u.id == "" {
		if !wanted {
			return nil
		}
		var b []byte
		if u.part != nil {
			b = (*u.part)[:u.filled]
		}
		return u.s.bucket.put(u.ctx, u.key, b, u.class)
	}
	if err := u.flush(); err != nil {
		return err
	}
	if err := u.sending.Wait(); err != nil {
		return err
	}
	slices.SortFunc(u.parts, func(a, b types.CompletedPart) int { return int(*a.PartNumber - *b.PartNumber) })
	err := u.s.bucket.complete(u.ctx, u.key, u.id, u.parts)
	h, asked := u.s.bucket.head(u.ctx, u.key)
	switch {
	case asked == nil && h.size == u.size:
		return nil // also if the answer was lost, and a repetition was told that there is no such upload
	case err == nil && asked == nil:
		err = fmt.Errorf("the server has made an object of %d bytes of an upload of %d: %s", h.size, u.size, u.key)
	}
	return errors.Join(err, asked)
}

// abandon ends what is in flight, and waits until it has ended: a part that arrives after its upload was aborted could stay.
func (u *upload) abandon() {
	u.cancel()
	u.sending.Wait()
}

// release gives back what the upload holds.
func (u *upload) release() {
	u.cancel()
	if u.part != nil {
		u.s.parts.Put(u.part)
		u.part = nil
	}
}

// begin begins an upload in parts.
func (b *bucket) begin(ctx context.Context, key, class string) (id string, err error) {
	out, err := b.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &b.name, Key: b.key(key), StorageClass: types.StorageClass(class)})
	if err != nil {
		return "", b.failed("begin an upload to", key, err)
	}
	return aws.ToString(out.UploadId), nil
}

func (b *bucket) sendPart(ctx context.Context, key, id string, number int32, body []byte) (types.CompletedPart, error) {
	out, err := b.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &b.name, Key: b.key(key), UploadId: &id, PartNumber: &number, Body: bytes.NewReader(body), ContentLength: aws.Int64(int64(len(body))),
	})
	if err != nil {
		return types.CompletedPart{}, b.failed(fmt.Sprintf("write part %d of", number), key, err)
	}
	return types.CompletedPart{PartNumber: &number, ETag: out.ETag}, nil
}

// complete makes an object of the parts of an upload: of all of them, for servers differ in what they do with others.
func (b *bucket) complete(ctx context.Context, key, id string, parts []types.CompletedPart) error {
	_, err := b.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &b.name, Key: b.key(key), UploadId: &id, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	}, func(o *s3.Options) { o.HTTPClient = b.patient })
	return b.failed("complete", key, err)
}

// abort ends an upload, and deletes its parts. That there is none is no error.
func (b *bucket) abort(ctx context.Context, key, id string) error {
	_, err := b.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &b.name, Key: b.key(key), UploadId: &id})
	if code := codeOf(err); code == "NoSuchUpload" || isMissing(err) {
		return nil
	}
	return b.failed("abort an upload to", key, err)
}

// pending is an upload that is not complete.
type pending struct {
	key   string // below the prefix
	id    string
	begun time.Time
}

// uploads lists the uploads that are not complete, to objects whose keys begin so.
func (b *bucket) uploads(ctx context.Context, prefix string) (list []pending, err error) {
	pages := s3.NewListMultipartUploadsPaginator(b.client, &s3.ListMultipartUploadsInput{Bucket: &b.name, Prefix: b.key(prefix)})
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list the uploads in %s: %w", b, err)
		}
		for _, u := range out.Uploads {
			list = append(list, pending{b.below(aws.ToString(u.Key)), aws.ToString(u.UploadId), aws.ToTime(u.Initiated)})
		}
	}
	return list, nil
}
