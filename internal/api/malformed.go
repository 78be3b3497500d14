package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"strings"

	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/protocol"
)

// net/http answers by itself, in plain text, a request that it cannot parse. Clients of this API parse every error as JSON and look for
// a request id, so the listener replaces those answers. They are easily told: net/http writes each with one call, it begins like no answer of ours, and
// the connection ends after it.

// Listener returns a listener whose connections give the errors of net/http in the form of the API.
func Listener(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return conn{c}, nil
}

type conn struct{ net.Conn }

// plainError is what net/http puts between the status line and the text of its own errors (net/http, errorHeaders).
const plainError = "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"

func (c conn) Write(b []byte) (int, error) {
	status, text, found := bytes.Cut(b[:min(len(b), 512)], []byte(plainError))
	if !found || !bytes.HasPrefix(status, []byte("HTTP/1.1 ")) || bytes.ContainsAny(status, "\r\n") {
		return c.Conn.Write(b)
	}
	if _, err := c.Conn.Write(malformed(string(text))); err != nil {
		return 0, err
	}
	return len(b), nil
}

// malformed returns the whole answer to a request that net/http could not parse, from the text it has for it, like
// "400 Bad Request: invalid header value".
func malformed(text string) []byte {
	kind := fault.BadRequest
	if strings.HasSuffix(text, "invalid header value") {
		kind = fault.Invalid
	}
	_, reason, _ := strings.Cut(text, " ")
	status, doc := describe(fault.New(kind, "The request cannot be read: %s", reason))
	body, err := json.Marshal(doc)
	if err != nil {
		panic(err) // strings only: cannot fail
	}
	return fmt.Appendf(nil, "HTTP/1.1 %d Bad Request\r\n%s: %s\r\n%s: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		status, protocol.HeaderRequestID, newRequestID(), protocol.HeaderErrorType, doc.Code, len(body), body)
}
