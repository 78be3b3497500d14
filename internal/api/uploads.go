package api

import (
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/protocol"
)

func initiateMultipartUpload(c *call) (reply, error) {
	if c.r.Header.Values(protocol.HeaderPartSize) == nil { // an empty one is a wrong one
		return reply{}, fault.New(fault.Missing, "Required parameter missing: %s", protocol.HeaderPartSize)
	}
	id, err := c.s.Service.InitiateMultipartUpload(c.ctx, c.vault(), c.header(protocol.HeaderPartSize), c.r.Header.Get(protocol.HeaderDescription))
	if err != nil {
		return reply{}, err
	}
	return created(c.location("/multipart-uploads/"+id), header{protocol.HeaderUploadID, id}), nil
}

func uploadMultipartPart(c *call) (reply, error) {
	u, err := c.payload()
	if err != nil {
		return reply{}, err
	}
	tree, err := c.s.Service.UploadMultipartPart(c.ctx, c.vault(), c.path["uploadId"], c.r.Header.Get(protocol.HeaderContentRange), u)
	return reply{headers: []header{{protocol.HeaderTreeHash, tree.String()}}}, err
}

func completeMultipartUpload(c *call) (reply, error) {
	id, tree, err := c.s.Service.CompleteMultipartUpload(c.ctx, c.vault(), c.path["uploadId"],
		c.header(protocol.HeaderArchiveSize), c.header(protocol.HeaderTreeHash))
	if err != nil {
		return reply{}, err
	}
	return created(c.location("/archives/"+id), header{protocol.HeaderArchiveID, id}, header{protocol.HeaderTreeHash, tree.String()}), nil
}

func abortMultipartUpload(c *call) (reply, error) {
	return done(c.s.Service.AbortMultipartUpload(c.ctx, c.vault(), c.path["uploadId"]))
}

func listParts(c *call) (reply, error) {
	return answer(c.s.Service.ListParts(c.ctx, c.vault(), c.path["uploadId"], c.query("limit"), c.query("marker")))
}

func listMultipartUploads(c *call) (reply, error) {
	return answer(c.s.Service.ListMultipartUploads(c.ctx, c.vault(), c.query("limit"), c.query("marker")))
}
