package api

import (
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/protocol"
	"github.com/moraine-archive/moraine/internal/vault"
)

// payload returns the archive in the body. Its length has to be known beforehand.
func (c *call) payload() (vault.Upload, error) {
	if c.r.ContentLength < 0 || c.r.Header.Get("Content-Length") == "" {
		return vault.Upload{}, fault.New(fault.Missing, "Required parameter missing: Content-Length")
	}
	return vault.Upload{
		Body:       c.body,
		Size:       c.r.ContentLength,
		LinearHash: c.header(protocol.HeaderContentHash),
		TreeHash:   c.header(protocol.HeaderTreeHash),
	}, nil
}

func uploadArchive(c *call) (reply, error) {
	u, err := c.payload()
	if err != nil {
		return reply{}, err
	}
	id, tree, err := c.s.Service.UploadArchive(c.ctx, c.vault(), c.r.Header.Get(protocol.HeaderDescription), u)
	if err != nil {
		return reply{}, err
	}
	return created(c.location("/archives/"+id), header{protocol.HeaderArchiveID, id}, header{protocol.HeaderTreeHash, tree.String()}), nil
}

func deleteArchive(c *call) (reply, error) {
	return done(c.s.Service.DeleteArchive(c.ctx, c.vault(), c.path["archiveId"]))
}
