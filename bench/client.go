package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/moraine-archive/moraine/glacier/treehash"
)

// client speaks the API at as little cost as it can: what the client burns the server cannot have.
type client struct {
	endpoint string
	http     *http.Client
	signer   *v4.Signer
}

const vaultPath = "/-/vaults/bench"

func newClient(endpoint string, connections int) *client {
	return &client{endpoint, &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: connections,
		DisableCompression:  true,
		WriteBufferSize:     64 << 10,
		ReadBufferSize:      64 << 10,
	}}, v4.NewSigner()}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// archive is what is uploaded: a number of bytes of the pattern, with their hashes, computed once.
type archive struct {
	size         int64
	linear, tree string
}

func newArchive(p *pattern, size int64) (archive, error) {
	a := archive{size: size}
	s := treehash.NewStream(p.reader(size), size, func(linear, tree treehash.Hash) error {
		a.linear, a.tree = linear.String(), tree.String()
		return nil
	})
	return a, drainStream(s)
}

// pattern is what every archive consists of, again and again.
type pattern struct{ block [treehash.LeafSize]byte }

func newPattern() *pattern {
	p := new(pattern)
	var sum [sha256.Size]byte
	for b := p.block[:]; len(b) > 0; b = b[copy(b, sum[:]):] {
		sum = sha256.Sum256(sum[:])
	}
	return p
}

func (p *pattern) reader(size int64) *patternReader { return &patternReader{p: p, size: size} }

type patternReader struct {
	p        *pattern
	at, size int64
}

func (r *patternReader) Read(b []byte) (int, error) {
	if r.at == r.size {
		return 0, io.EOF
	}
	from := r.p.block[r.at%int64(len(r.p.block)):]
	n := copy(b, from[:min(int64(len(from)), r.size-r.at)])
	r.at += int64(n)
	return n, nil
}

// request is a request to be signed and sent.
type request struct {
	method, path string
	header       map[string]string
	body         io.Reader
	size         int64
	hash         string // of the body
	status       int    // that is wanted
}

// do sends a request. The caller reads and closes the body of the response.
func (c *client) do(ctx context.Context, r request) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, c.endpoint+r.path, r.body)
	if err != nil {
		return nil, err
	}
	req.ContentLength = r.size
	req.Header.Set("x-amz-glacier-version", "2012-06-01")
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	credentials := aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}
	if err := c.signer.SignHTTP(ctx, credentials, req, r.hash, "glacier", region, time.Now()); err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != r.status {
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		return nil, fmt.Errorf("%s %s: status %d, not %d: %s", r.method, r.path, res.StatusCode, r.status, text)
	}
	return res, nil
}

// small sends a request with a small body and returns the body of the response.
func (c *client) small(ctx context.Context, method, path, body string, status int) (http.Header, []byte, error) {
	hash := treehash.Hash(sha256.Sum256([]byte(body))).String()
	res, err := c.do(ctx, request{method: method, path: path, body: strings.NewReader(body), size: int64(len(body)), hash: hash, status: status})
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res.Header, text, err
}

func (c *client) createVault(ctx context.Context) error {
	_, _, err := c.small(ctx, "PUT", vaultPath, "", http.StatusCreated)
	return err
}

// upload uploads an archive and returns its id.
func (c *client) upload(ctx context.Context, p *pattern, a archive) (string, error) {
	res, err := c.do(ctx, request{
		method: "POST", path: vaultPath + "/archives", body: p.reader(a.size), size: a.size, hash: a.linear, status: http.StatusCreated,
		header: map[string]string{"x-amz-content-sha256": a.linear, "x-amz-sha256-tree-hash": a.tree},
	})
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.Header.Get("x-amz-archive-id"), err
}

// retrieve starts a job for an archive and returns its id.
func (c *client) retrieve(ctx context.Context, id string) (string, error) {
	body, err := json.Marshal(map[string]string{"Type": "archive-retrieval", "ArchiveId": id})
	if err != nil {
		return "", err
	}
	header, _, err := c.small(ctx, "POST", vaultPath+"/jobs", string(body), http.StatusAccepted)
	return header.Get("x-amz-job-id"), err
}

// wait waits until a job has ended.
func (c *client) wait(ctx context.Context, job string) error {
	for {
		_, text, err := c.small(ctx, "GET", vaultPath+"/jobs/"+job, "", http.StatusOK)
		if err != nil || bytes.Contains(text, []byte(`"Completed":true`)) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// download reads the output of a job into a buffer again and again. It counts the bytes and looks at none.
func (c *client) download(ctx context.Context, job string, size int64, buf []byte) error {
	hash := treehash.Empty().String()
	res, err := c.do(ctx, request{method: "GET", path: vaultPath + "/jobs/" + job + "/output", hash: hash, status: http.StatusOK})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	n, err := io.CopyBuffer(writerOnly{}, readerOnly{res.Body}, buf)
	if err == nil && n != size {
		err = fmt.Errorf("job %s: %d bytes came, not %d", job, n, size)
	}
	return err
}

// writerOnly and readerOnly hide the methods by which io.CopyBuffer would pass the buffer over.
type (
	writerOnly struct{}
	readerOnly struct{ io.Reader }
)

func (writerOnly) Write(b []byte) (int, error) { return len(b), nil }
