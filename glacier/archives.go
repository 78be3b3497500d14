package glacier

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/protocol"
)

// UploadArchiveOptions are what an upload need not have.
type UploadArchiveOptions struct {
	Description string // at most 1,024 printable ASCII characters
	// LinearHash and TreeHash are the SHA-256 of the body and its tree hash, in hex. If one is empty, the body is read once more to compute both.
	LinearHash, TreeHash string
}

// UploadArchiveOutput is the answer to UploadArchive and CompleteMultipartUpload.
type UploadArchiveOutput struct {
	Response
	ArchiveID string
	Location  string // path of the archive
	TreeHash  string // that the service computed
}

// UploadArchive stores an archive of up to 4 GiB with one request. For large ones package transfer is better. The body is sent from its beginning to its end, and from the beginning
// again if need be; an empty body is refused before anything is sent. A read of the body that is under way is waited for, also when the context has ended: then nobody reads it any more.
//
// After a failure that leaves open whether the archive was stored it is not sent again, unless the client allows duplicates (MayHaveSucceeded).
func (c *Client) UploadArchive(ctx context.Context, vault string, body io.ReadSeeker, o UploadArchiveOptions) (*UploadArchiveOutput, error) {
	const operation = "UploadArchive"
	if err := checkDescription(operation, o.Description); err != nil {
		return nil, err
	}
	r := request{operation: operation, method: "POST", path: vaultPath(vault, "archives"), ok: []int{201}, once: true, twice: true}
	r, err := r.withPayload(body, o.LinearHash, o.TreeHash)
	if err != nil {
		return nil, err
	}
	if o.Description != "" {
		r.header[protocol.HeaderDescription] = o.Description
	}
	h, err := c.call(ctx, r, nil)
	if err != nil {
		return nil, err
	}
	return &UploadArchiveOutput{Response{requestID(h)}, h.Get(protocol.HeaderArchiveID), h.Get("Location"), h.Get(protocol.HeaderTreeHash)}, nil
}

// withPayload gives a request bytes of an archive as its body, with both hashes.
func (r request) withPayload(body io.ReadSeeker, linear, tree string) (request, error) {
	size, err := body.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = body.Seek(0, io.SeekStart)
	}
	if err != nil {
		return r, fmt.Errorf("%s: find out the size of the body: %w", r.operation, err)
	}
	if size == 0 {
		return r, fmt.Errorf("%s: %w", r.operation, ErrEmpty)
	}
	if linear == "" || tree == "" {
		if linear, tree, err = Hashes(body); err != nil {
			return r, fmt.Errorf("%s: read the body for its hashes: %w", r.operation, err)
		}
	}
	r.body, r.size, r.hash, r.header = body, size, linear, map[string]string{protocol.HeaderTreeHash: tree}
	return r, nil
}

// ErrEmpty says that there are no bytes to upload: an archive has at least one.
var ErrEmpty = errors.New("an archive cannot be empty")

// Hashes reads bytes to their end and returns their SHA-256 and their tree hash, in hex (guide: "Computing Checksums").
func Hashes(r io.Reader) (linear, tree string, err error) {
	s := treehash.NewStream(r, -1, func(l, t treehash.Hash) error {
		linear, tree = l.String(), t.String()
		return nil
	})
	defer s.Close()
	for {
		if _, _, err = s.Next(); errors.Is(err, io.EOF) {
			return linear, tree, nil
		} else if err != nil {
			return "", "", err
		}
	}
}

// checkDescription is the rule for descriptions (guide: "Upload Archive", "Initiate a Job"). It is checked here because it cannot be a header otherwise.
func checkDescription(operation, text string) error {
	if len(text) > protocol.MaxDescription {
		return fmt.Errorf("%s: the description has %d characters, the limit is %d", operation, len(text), protocol.MaxDescription)
	}
	for i := range len(text) {
		if text[i] < 0x20 || text[i] > 0x7e {
			return fmt.Errorf("%s: the description %q has a character that is not printable ASCII", operation, text)
		}
	}
	return nil
}

// DeleteArchive removes an archive. Deleting it again does no harm.
func (c *Client) DeleteArchive(ctx context.Context, vault, archive string) (*Response, error) {
	return done(c.call(ctx, request{operation: "DeleteArchive", method: "DELETE", path: vaultPath(vault, "archives", archive), ok: []int{204}}, nil))
}
