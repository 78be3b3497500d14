package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/protocol"
)

// net/http answers by itself, in plain text, a request that it cannot parse. Clients of this API parse every error as JSON and look for
// a request id, so the listener replaces those answers. Each is one write at a time when no handler has a request, and the connection ends after
// it. What is written while a handler answers is never looked at: it may be the bytes of an archive, which may look like anything.

// Listener returns a listener whose connections give the errors of net/http in the form of the API. The http.Server has to have
// ConnContext and ConnState.
func Listener(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c}, nil
}

type conn struct {
	net.Conn
	answering atomic.Bool // from when a handler has a request until its whole answer is out
	control   atomic.Bool // the head of the request has a byte that no header value may have
}

type connKey struct{}

// ConnContext is for http.Server: it tells handlers their connection.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// ConnState is for http.Server: it tells a connection that an answer is out.
func ConnState(c net.Conn, state http.ConnState) {
	if c, ok := c.(*conn); ok && state == http.StateIdle {
		c.answering.Store(false)
		c.control.Store(false)
	}
}

// markAnswering tells the connection of a request that a handler has it. There is none behind another listener.
func markAnswering(ctx context.Context) {
	if c, ok := ctx.Value(connKey{}).(*conn); ok {
		c.answering.Store(true)
	}
}

// Read looks for control characters in the head of a request: net/http does not say that it refuses one for them.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if !c.answering.Load() {
		head, _, _ := bytes.Cut(b[:n], []byte("\r\n\r\n"))
		if bytes.ContainsFunc(head, func(r rune) bool { return r < ' ' && !strings.ContainsRune("\t\r\n", r) || r == 0x7f }) {
			c.control.Store(true)
		}
	}
	return n, err
}

func (c *conn) Write(b []byte) (int, error) {
	text, own := ownAnswer(b)
	if !own || c.answering.Load() {
		return c.Conn.Write(b)
	}
	if text == "400 Bad Request" && c.control.Load() {
		text += invalidValue
	}
	if _, err := c.Conn.Write(malformed(text)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// plainError is what net/http puts between the status line and the text of its own errors (net/http, errorHeaders).
const plainError = "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"

// ownAnswer returns the text of an answer of net/http itself, like "400 Bad Request: invalid header value". An Expect that it does not know
// is answered without a text.
func ownAnswer(b []byte) (text string, ok bool) {
	if bytes.HasPrefix(b, []byte("HTTP/1.1 417 ")) {
		return "417 the only known value of Expect is 100-continue", true
	}
	status, after, found := bytes.Cut(b[:min(len(b), 512)], []byte(plainError))
	return string(after), found && bytes.HasPrefix(status, []byte("HTTP/1.1 ")) && !bytes.ContainsAny(status, "\r\n")
}

// invalidValue ends the text for a header value with characters that none may have.
const invalidValue = ": invalid header value"

// malformed returns the whole answer to a request that net/http could not parse, from the text it has for it, like
// "400 Bad Request: invalid header value".
func malformed(text string) []byte {
	kind := fault.BadRequest
	if strings.HasSuffix(text, invalidValue) {
		kind = fault.Invalid
	}
	_, reason, _ := strings.Cut(text, " ")
	status, doc := describe(fault.New(kind, "The request cannot be read: %s", reason))
	body, err := json.Marshal(doc)
	if err != nil {
		panic(err) // strings only: cannot fail
	}
	return fmt.Appendf(nil, "HTTP/1.1 %d Bad Request\r\n%s: %s\r\n%s: %s\r\nDate: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		status, protocol.HeaderRequestID, newRequestID(), protocol.HeaderErrorType, doc.Code, time.Now().UTC().Format(http.TimeFormat), len(body), body)
}
