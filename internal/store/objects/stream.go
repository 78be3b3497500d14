package objects

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/moraine-archive/moraine/internal/fault"
)

// stream reads bytes of an object in their order, with one request for as long as the connection lasts. It is for one goroutine.
type stream struct {
	ctx    context.Context
	cancel context.CancelFunc
	b      *bucket
	key    string
	next   int64 // offset of the next byte
	end    int64 // behind the last one
	whole  int64 // bytes that the object has
	body   io.ReadCloser
	err    error // what has ended it
}

// Figures of reading on after a connection broke.
const (
	reconnects = 4 // before the bytes that are asked for at once have come
	firstPause = 100 * time.Millisecond
)

// stream begins to read an object from an offset to another; -1 stands for its end. An object that is missing is fs.ErrNotExist, wrapped.
func (b *bucket) stream(ctx context.Context, key string, from, end int64) (*stream, error) {
	r := &stream{b: b, key: key, next: from, end: end}
	r.ctx, r.cancel = context.WithCancel(ctx)
	if err := r.connect(); err != nil {
		r.cancel()
		return nil, err
	}
	return r, nil
}

// connect asks for the bytes from next on.
func (r *stream) connect() error {
	in := &s3.GetObjectInput{Bucket: &r.b.name, Key: r.b.key(r.key)}
	ranged := r.next > 0 || r.end >= 0
	if ranged {
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%s", r.next, lastByte(r.end)))
	}
	out, err := r.b.client.GetObject(r.ctx, in)
	if codeOf(err) == "InvalidRange" {
		return fault.Wrap(fault.Corrupt, err, "object %s in %s ends before offset %d", r.key, r.b, r.next)
	}
	if err != nil {
		return r.b.failed("read", r.key, err)
	}
	if err := r.learn(out, ranged); err != nil {
		out.Body.Close()
		return err
	}
	r.body = out.Body
	return nil
}

func lastByte(end int64) string {
	if end < 0 {
		return ""
	}
	return strconv.FormatInt(end-1, 10)
}

// learn takes from an answer how long the object is, and makes sure that it has the bytes that were asked for.
func (r *stream) learn(out *s3.GetObjectOutput, ranged bool) error {
	r.whole = aws.ToInt64(out.ContentLength)
	if ranged {
		var first, last int64
		text := aws.ToString(out.ContentRange)
		if _, err := fmt.Sscanf(text, "bytes %d-%d/%d", &first, &last, &r.whole); err != nil || first != r.next {
			return fmt.Errorf("%s answers with %q when asked for object %s from byte %d", r.b, text, r.key, r.next)
		}
	}
	if r.end < 0 {
		r.end = r.whole
	}
	if r.whole < r.end {
		return fault.New(fault.Corrupt, "object %s in %s has %d bytes, not the %d that it should have at least", r.key, r.b, r.whole, r.end)
	}
	return nil
}

// fill reads so many bytes. It asks again from where a connection broke.
func (r *stream) fill(p []byte) error {
	if r.err != nil {
		return r.err
	}
	if left := r.end - r.next; int64(len(p)) > left {
		return r.fail(fmt.Errorf("%d bytes are wanted and %d are left", len(p), left))
	}
	for try := 0; len(p) > 0; try++ {
		if r.body == nil {
			if err := r.connect(); err != nil { // the SDK has tried often enough
				return r.fail(err)
			}
		}
		n, err := r.read(p)
		p, r.next = p[n:], r.next+int64(n)
		if err == nil {
			return nil
		}
		r.disconnect()
		if err = r.pause(err, try); err != nil {
			return r.fail(err)
		}
	}
	return nil
}

// read reads what comes of so many bytes. A server from which they do not come for long is as good as gone.
func (r *stream) read(p []byte) (int, error) {
	body := r.body
	var stalled atomic.Bool
	watch := time.AfterFunc(longestStall, func() { stalled.Store(true); body.Close() })
	defer watch.Stop()
	n, err := io.ReadFull(body, p)
	if err != nil && stalled.Load() {
		err = fmt.Errorf("%d bytes have not come in %s", len(p), longestStall)
	}
	return n, err
}

// pause waits before a connection that broke is made again, and returns the error it broke with if it is not to be.
func (r *stream) pause(broke error, try int) error {
	if try == reconnects || r.ctx.Err() != nil {
		return broke
	}
	select {
	case <-time.After(min(firstPause<<try, r.b.longest)):
		return nil
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}

// fail ends the stream with an error. That its context was cancelled is what the caller wants to know then, not what came of it.
func (r *stream) fail(err error) error {
	if ended := r.ctx.Err(); ended != nil {
		err = ended
	}
	if fault.KindOf(err) == fault.Internal {
		err = fmt.Errorf("read object %s in %s at offset %d: %w", r.key, r.b, r.next, err)
	}
	r.err = err
	return err
}

// seek goes to an offset. What lies between is read if it is little.
func (r *stream) seek(off int64) error {
	if r.err != nil || off == r.next {
		return r.err
	}
	gap := off - r.next
	if gap < 0 || gap > shortGap || r.body == nil {
		r.disconnect()
		r.next = off
		return nil
	}
	return r.fill(make([]byte, gap))
}

// shortGap is how many bytes are read to get past them: asking again would take as long.
const shortGap = 256 << 10

func (r *stream) disconnect() {
	if r.body != nil {
		r.body.Close()
		r.body = nil
	}
}

// Read reads what comes next; it makes a whole object an io.Reader.
func (r *stream) Read(p []byte) (int, error) {
	p = p[:min(int64(len(p)), r.end-r.next)]
	if len(p) == 0 {
		return 0, io.EOF
	}
	before := r.next
	err := r.fill(p)
	return int(r.next - before), err
}

// Close ends the stream. A read after that is an error.
func (r *stream) Close() error {
	r.cancel()
	r.disconnect()
	if r.err == nil {
		r.err = fs.ErrClosed
	}
	return nil
}
