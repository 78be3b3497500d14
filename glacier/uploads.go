package glacier

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strconv"
	"time"

	"github.com/moraine-archive/moraine/internal/protocol"
)

// InitiateMultipartUploadOutput is the answer to InitiateMultipartUpload.
type InitiateMultipartUploadOutput struct {
	Response
	UploadID string
	Location string // path of the upload
}

// InitiateMultipartUpload begins an upload in parts. The size of a part is 1 MiB times a power of two, up to 4 GiB; the last part may be shorter. There are at most 10,000.
func (c *Client) InitiateMultipartUpload(ctx context.Context, vault string, partSize int64, description string) (*InitiateMultipartUploadOutput, error) {
	const operation = "InitiateMultipartUpload"
	if err := checkDescription(operation, description); err != nil {
		return nil, err
	}
	r := request{
		operation: operation, method: "POST", path: vaultPath(vault, "multipart-uploads"), ok: []int{201},
		header: map[string]string{protocol.HeaderPartSize: strconv.FormatInt(partSize, 10)},
	}
	if description != "" {
		r.header[protocol.HeaderDescription] = description
	}
	h, err := c.call(ctx, r, nil)
	if err != nil {
		return nil, err
	}
	return &InitiateMultipartUploadOutput{Response{requestID(h)}, h.Get(protocol.HeaderUploadID), h.Get("Location")}, nil
}

// UploadMultipartPartOptions are what an upload of a part need not have.
type UploadMultipartPartOptions struct {
	LinearHash, TreeHash string // in hex; if one is empty, the body is read once more to compute both
}

// UploadMultipartPartOutput is the answer to UploadMultipartPart.
type UploadMultipartPartOutput struct {
	Response
	TreeHash string // that the service computed
}

// UploadMultipartPart stores a part, in place of one that was at the same offset. The offset is a multiple of the size of parts.
func (c *Client) UploadMultipartPart(ctx context.Context, vault, upload string, offset int64, body io.ReadSeeker, o UploadMultipartPartOptions) (*UploadMultipartPartOutput, error) {
	r := request{operation: "UploadMultipartPart", method: "PUT", path: vaultPath(vault, "multipart-uploads", upload), ok: []int{204}}
	r, err := r.withPayload(body, o.LinearHash, o.TreeHash)
	if err != nil {
		return nil, err
	}
	r.header[protocol.HeaderContentRange] = fmt.Sprintf("bytes %d-%d/*", offset, offset+r.size-1)
	h, err := c.call(ctx, r, nil)
	if err != nil {
		return nil, err
	}
	return &UploadMultipartPartOutput{Response{requestID(h)}, h.Get(protocol.HeaderTreeHash)}, nil
}

// CompleteMultipartUpload makes an archive of the parts of an upload. size and treeHash (in hex) are those of the whole. It can be repeated: there is one archive.
func (c *Client) CompleteMultipartUpload(ctx context.Context, vault, upload string, size int64, treeHash string) (*UploadArchiveOutput, error) {
	h, err := c.call(ctx, request{
		operation: "CompleteMultipartUpload", method: "POST", path: vaultPath(vault, "multipart-uploads", upload), ok: []int{201},
		header: map[string]string{protocol.HeaderTreeHash: treeHash, protocol.HeaderArchiveSize: strconv.FormatInt(size, 10)},
	}, nil)
	if err != nil {
		return nil, err
	}
	return &UploadArchiveOutput{Response{requestID(h)}, h.Get(protocol.HeaderArchiveID), h.Get("Location"), h.Get(protocol.HeaderTreeHash)}, nil
}

// AbortMultipartUpload gives an upload up; its parts are forgotten.
func (c *Client) AbortMultipartUpload(ctx context.Context, vault, upload string) (*Response, error) {
	return done(c.call(ctx, request{operation: "AbortMultipartUpload", method: "DELETE", path: vaultPath(vault, "multipart-uploads", upload), ok: []int{204}}, nil))
}

// Upload is a multipart upload that is not complete.
type Upload struct {
	ID                 string `json:"MultipartUploadId"`
	VaultARN           string
	ArchiveDescription string
	CreationDate       time.Time
	PartSizeInBytes    int64
}

// UploadList is a page of uploads.
type UploadList struct {
	Response
	Uploads []Upload `json:"UploadsList"`
	Marker  string   // of the next page; "": this is the last
}

// ListMultipartUploads returns a page of the uploads of a vault that are not complete.
func (c *Client) ListMultipartUploads(ctx context.Context, vault string, p Page) (*UploadList, error) {
	l := new(UploadList)
	h, err := c.call(ctx, request{operation: "ListMultipartUploads", method: "GET", path: vaultPath(vault, "multipart-uploads"), query: p.query(), ok: []int{200}}, l)
	return answered(l, h, err)
}

// MultipartUploads returns all uploads of a vault that are not complete. It ends after an error.
func (c *Client) MultipartUploads(ctx context.Context, vault string) iter.Seq2[Upload, error] {
	return pages(func(p Page) ([]Upload, string, error) {
		l, err := c.ListMultipartUploads(ctx, vault, p)
		if err != nil {
			return nil, "", err
		}
		return l.Uploads, l.Marker, nil
	})
}

// Part is a part of an upload that the service has.
type Part struct {
	RangeInBytes   string // "first-last" in the archive, both inclusive
	SHA256TreeHash string
}

// PartList is a page of the parts of an upload, and what the upload was begun with.
type PartList struct {
	Response
	UploadID           string `json:"MultipartUploadId"`
	VaultARN           string
	ArchiveDescription string
	CreationDate       time.Time
	PartSizeInBytes    int64
	Parts              []Part
	Marker             string // of the next page; "": this is the last
}

// ListParts returns a page of the parts of an upload, by offset.
func (c *Client) ListParts(ctx context.Context, vault, upload string, p Page) (*PartList, error) {
	l := new(PartList)
	h, err := c.call(ctx, request{operation: "ListParts", method: "GET", path: vaultPath(vault, "multipart-uploads", upload), query: p.query(), ok: []int{200}}, l)
	return answered(l, h, err)
}

// Parts returns all parts of an upload, by offset. It ends after an error.
func (c *Client) Parts(ctx context.Context, vault, upload string) iter.Seq2[Part, error] {
	return pages(func(p Page) ([]Part, string, error) {
		l, err := c.ListParts(ctx, vault, upload, p)
		if err != nil {
			return nil, "", err
		}
		return l.Parts, l.Marker, nil
	})
}
