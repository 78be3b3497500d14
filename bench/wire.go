package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// prepare returns the head of a signed request, as it goes over the wire. The signature is good for some minutes, and the server verifies it
// every time: that it is computed once spares the client, not the server.
func (c *client) prepare(ctx context.Context, r request) ([]byte, error) {
	req, err := c.sign(ctx, r)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", r.method, req.URL.RequestURI(), req.URL.Host, r.size)
	if err := req.Header.Write(&b); err != nil {
		return nil, err
	}
	b.WriteString("\r\n")
	return b.Bytes(), nil
}

// wire is a connection that one client at a time uses. It stays open from one request to the next.
type wire struct {
	conn net.Conn
	in   *bufio.Reader
	free func() bool
}

// dial opens a connection, which is closed at the latest when ctx ends.
func (c *client) dial(ctx context.Context) (*wire, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(c.endpoint, "http://"))
	if err != nil {
		return nil, err
	}
	return &wire{conn, bufio.NewReaderSize(conn, 64<<10), context.AfterFunc(ctx, func() { conn.Close() })}, nil
}

func (w *wire) close() {
	w.free()
	w.conn.Close()
}

// ask sends a request whose body is an archive, or empty, and returns the response.
func (w *wire) ask(head []byte, body *pattern, size int64, status int) (*http.Response, error) {
	b := body.buffers(head, size)
	_, unsent := b.WriteTo(w.conn) // a server that refuses says why
	res, err := http.ReadResponse(w.in, nil)
	if err != nil {
		return nil, errors.Join(unsent, err)
	}
	if res.StatusCode != status {
		text, _ := io.ReadAll(res.Body)
		request, _, _ := bytes.Cut(head, []byte("\r\n"))
		return nil, errors.Join(unsent, fmt.Errorf("%s: status %d, not %d: %s", request, res.StatusCode, status, text))
	}
	return res, nil
}

// upload sends an archive and returns its id.
func (w *wire) upload(head []byte, p *pattern, a archive) (string, error) {
	res, err := w.ask(head, p, a.size, http.StatusCreated)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return res.Header.Get("x-amz-archive-id"), err
}

// download reads the output of a job into a buffer again and again. It counts the bytes and looks at none.
func (w *wire) download(head []byte, size int64, buf []byte) error {
	res, err := w.ask(head, nil, 0, http.StatusOK)
	if err != nil {
		return err
	}
	n, err := io.CopyBuffer(writerOnly{}, readerOnly{res.Body}, buf)
	if err == nil && n != size {
		err = fmt.Errorf("%d bytes came, not %d", n, size)
	}
	return err
}

// writerOnly and readerOnly hide the methods by which io.CopyBuffer would pass the buffer over.
type (
	writerOnly struct{}
	readerOnly struct{ io.Reader }
)

func (writerOnly) Write(b []byte) (int, error) { return len(b), nil }
