package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/protocol"
)

// bodyReader reads a request body and gives up when it brings no byte for too long.
type bodyReader struct {
	c     *call
	read  int64
	armed time.Time // when the deadline was set
	ended bool      // all of it was read, or it broke
}

// rearm is how old a deadline may get: setting it on every read would cost more than it is worth.
const rearm = time.Second

func (b *bodyReader) Read(p []byte) (int, error) {
	if err := b.c.ctx.Err(); err != nil {
		return 0, fault.Wrap(fault.TimedOut, err, "Request timed out.")
	}
	if now := time.Now(); now.Sub(b.armed) > min(rearm, b.c.s.StallTimeout/4) {
		b.armed = now
		if err := b.c.control.SetReadDeadline(b.deadline(now)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return 0, fmt.Errorf("set a read deadline: %w", err)
		}
	}
	n, err := b.c.r.Body.Read(p)
	b.read += int64(n)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		b.ended = true
		return n, io.EOF
	case errors.Is(err, os.ErrDeadlineExceeded):
		return n, fault.Wrap(fault.TimedOut, err, "Request timed out.")
	default:
		b.ended = true
		return n, fault.Wrap(fault.BadRequest, err, "The connection broke after %d of %d bytes of the body", b.read, b.c.r.ContentLength)
	}
}

// deadline returns when the next byte has to be there. Small bodies are read before it is known who sends them, so all of one has to come within
// two stall timeouts; an archive may come slowly.
func (b *bodyReader) deadline(now time.Time) time.Time {
	at := now.Add(b.c.s.StallTimeout)
	if last := b.c.start.Add(2 * b.c.s.StallTimeout); b.c.op.Body != protocol.ArchiveBody && at.After(last) {
		return last
	}
	return at
}

// unread reports whether there may be bytes of the body that were not read.
func (b *bodyReader) unread() bool {
	return b.c.r.ContentLength != 0 && !b.ended && b.read != b.c.r.ContentLength
}

// Limits of what is read of a body after it has been refused.
const (
	drainTime  = 5 * time.Second
	drainBytes = 64 << 20
)

// drain reads on for a while after an error was sent. Old clients send all before they read: they would see a broken connection
// instead of the error if it was closed on them.
func (c *call) drain() {
	if c.r.Header.Get("Expect") != "" {
		// The client waits, and sends nothing after a refusal: net/http is not to wait for it when it ends the request.
		c.control.SetReadDeadline(time.Now())
		return
	}
	if c.control.Flush() != nil || c.control.SetReadDeadline(time.Now().Add(drainTime)) != nil {
		return
	}
	io.CopyN(io.Discard, c.r.Body, drainBytes) // what goes wrong now does not matter
}
