package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/protocol"
)

// reply is what a handler says is to be sent.
type reply struct {
	status   int // 0: that of the operation
	headers  []header
	document any // JSON; nil for {} or nothing, as the status says
	output   *output
}

type header struct{ name, value string }

// output is a body that is not JSON.
type output struct {
	body io.ReadCloser
	size int64
}

func created(location string, headers ...header) reply {
	return reply{headers: append(headers, header{"Location", location})}
}

// send writes a reply.
func (c *call) send(r reply) error {
	if r.status == 0 {
		r.status = c.op.Status
	}
	for _, h := range r.headers {
		c.setHeader(h.name, h.value)
	}
	c.audit(r.status, errorDocument{})
	c.armWrite()
	if r.output != nil {
		return c.sendOutput(r)
	}
	if r.status == http.StatusNoContent {
		c.w.WriteHeader(r.status)
		return nil
	}
	if r.document == nil {
		r.document = struct{}{}
	}
	return c.sendJSON(r.status, r.document)
}

// setHeader sets a header whose name is spelled as the service spells it.
func (c *call) setHeader(name, value string) { c.w.Header()[name] = []string{value} }

// sendJSON writes a document in the compact form of the service, without a newline. The content type has no charset: boto 2 compares all of it.
func (c *call) sendJSON(status int, document any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(document); err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	text := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	c.setHeader("Content-Type", "application/json")
	c.setHeader("Content-Length", strconv.Itoa(len(text)))
	c.w.WriteHeader(status)
	_, err := c.w.Write(text)
	c.err = err // the client has gone; there is nobody to tell
	return nil
}

// sendOutput streams a body. The status goes out with the first verified bytes, so that damage found there is an error like any other. Damage found
// later cuts the connection: a client must not take for whole what is not.
func (c *call) sendOutput(r reply) error {
	defer r.output.body.Close()
	c.setHeader("Content-Length", strconv.FormatInt(r.output.size, 10))
	w := &outputWriter{c: c, status: r.status}
	n, err := io.Copy(w, r.output.body)
	if err == nil && n != r.output.size {
		err = fmt.Errorf("the output has %d bytes, not the %d that were announced", n, r.output.size)
	}
	if err == nil {
		return nil
	}
	if c.w.status != 0 {
		c.err = err
		panic(http.ErrAbortHandler) // net/http: closes the connection, quietly
	}
	for _, h := range append(r.headers, header{name: "Content-Length"}) {
		delete(c.w.Header(), h.name)
	}
	return err
}

// outputWriter writes a status before the first byte and gives up on a client that takes none for too long.
type outputWriter struct {
	c      *call
	status int
}

// Figures of what is sent: how long a client may take none of the bytes that it has asked for, and how many are given to it at once.
const (
	slowestClient = 5 * time.Minute
	piece         = 64 << 10
)

func (w *outputWriter) Write(b []byte) (n int, err error) {
	if w.c.w.status == 0 {
		w.c.w.WriteHeader(w.status)
	}
	for n < len(b) && err == nil {
		w.c.armWrite()
		var m int
		m, err = w.c.w.Write(b[n:min(n+piece, len(b))])
		n += m
	}
	if err != nil {
		err = fault.Wrap(fault.BadRequest, err, "The client went away after %d bytes of the output", w.c.w.written)
	}
	return n, err
}

// armWrite gives the client some time to take what is sent now. net/http takes the deadline back at the end of the request.
func (c *call) armWrite() { c.control.SetWriteDeadline(time.Now().Add(slowestClient)) }

// fail writes an error. A body that has not been read ends the connection.
func (c *call) fail(err error) {
	c.armWrite()
	status, doc := describe(err)
	unread := c.body.unread()
	if unread {
		c.w.Header().Set("Connection", "close")
	}
	c.audit(status, doc)
	if c.sts {
		c.failXML(status, doc)
	} else {
		c.setHeader(protocol.HeaderErrorType, doc.Code)
		c.sendJSON(status, doc)
	}
	c.err = err
	if unread {
		c.drain()
	}
}

// countingWriter remembers the status and counts the bytes of a response.
type countingWriter struct {
	http.ResponseWriter
	status  int
	written int64
}

func (w *countingWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *countingWriter) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	w.written += int64(n)
	return n, err
}
