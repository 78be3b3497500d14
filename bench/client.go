package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/moraine-archive/moraine/glacier/treehash"
)

// client makes requests of the API. What it burns the server cannot have: requests that are measured are signed beforehand, and sent and read with
// next to no work (wire.go).
type client struct {
	endpoint string
	http     *http.Client // for what is not measured
	signer   *v4.Signer
}

// vaultPath is where everything is stored when nothing else is said.
const vaultPath = "/-/vaults/bench"

func newClient(endpoint string) *client {
	return &client{endpoint, &http.Client{Transport: &http.Transport{DisableCompression: true}}, v4.NewSigner()}
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

// buffers returns an archive, behind something else, for a single vectored write.
func (p *pattern) buffers(head []byte, size int64) net.Buffers {
	b := make(net.Buffers, 1, 2+size/treehash.LeafSize)
	b[0] = head
	for ; size > 0; size -= treehash.LeafSize {
		b = append(b, p.block[:min(size, treehash.LeafSize)])
	}
	return b
}

func (p *pattern) reader(size int64) io.Reader {
	b := p.buffers(nil, size)
	return &b
}

// request is a request to be signed and sent.
type request struct {
	method, path string
	header       map[string]string
	body         io.Reader
	size         int64
	hash         string // of the body
}

// sign returns a signed request.
func (c *client) sign(ctx context.Context, r request) (*http.Request, error) {
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
	return req, c.signer.SignHTTP(ctx, credentials, req, r.hash, "glacier", region, time.Now())
}

// small sends a request with a small body and returns the headers and the body of the response.
func (c *client) small(ctx context.Context, method, path, body string, status int) (http.Header, []byte, error) {
	hash := treehash.Hash(sha256.Sum256([]byte(body))).String()
	req, err := c.sign(ctx, request{method: method, path: path, body: strings.NewReader(body), size: int64(len(body)), hash: hash})
	if err != nil {
		return nil, nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != status {
		err = fmt.Errorf("%s %s: status %d, not %d: %s", method, path, res.StatusCode, status, text)
	}
	return res.Header, text, err
}

func (c *client) createVault(ctx context.Context, vault string) error {
	_, _, err := c.small(ctx, "PUT", vault, "", http.StatusCreated)
	return err
}

// upload returns the request that uploads an archive. It can be sent again and again for some minutes: each time it makes another archive.
func (c *client) upload(ctx context.Context, vault string, a archive) ([]byte, error) {
	return c.prepare(ctx, request{
		method: "POST", path: vault + "/archives", size: a.size, hash: a.linear,
		header: map[string]string{"x-amz-content-sha256": a.linear, "x-amz-sha256-tree-hash": a.tree},
	})
}

// download returns the request for the output of a job.
func (c *client) download(ctx context.Context, job string) ([]byte, error) {
	return c.prepare(ctx, request{method: "GET", path: vaultPath + "/jobs/" + job + "/output", hash: treehash.Empty().String()})
}

// retrieve starts a job for an archive and returns its id.
func (c *client) retrieve(ctx context.Context, id string) (string, error) {
	return c.initiate(ctx, vaultPath, map[string]string{"Type": "archive-retrieval", "ArchiveId": id})
}

func (c *client) initiate(ctx context.Context, vault string, parameters map[string]string) (string, error) {
	body, err := json.Marshal(parameters)
	if err != nil {
		return "", err
	}
	header, _, err := c.small(ctx, "POST", vault+"/jobs", string(body), http.StatusAccepted)
	return header.Get("x-amz-job-id"), err
}

// inventory returns what a vault lists, and the rest of the document, but for the moment when it was made.
func (c *client) inventory(ctx context.Context, vault string) ([]byte, error) {
	job, err := c.initiate(ctx, vault, map[string]string{"Type": "inventory-retrieval"})
	if err == nil {
		err = c.wait(ctx, vault, job)
	}
	if err != nil {
		return nil, err
	}
	_, text, err := c.small(ctx, "GET", vault+"/jobs/"+job+"/output", "", http.StatusOK)
	return inventoryDate.ReplaceAll(text, nil), err
}

var inventoryDate = regexp.MustCompile(`"InventoryDate":"[^"]*",`) // read only

// wait waits until a job has ended.
func (c *client) wait(ctx context.Context, vault, job string) error {
	for {
		_, text, err := c.small(ctx, "GET", vault+"/jobs/"+job, "", http.StatusOK)
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
