package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/protocol"
	"github.com/moraine-archive/moraine/internal/store"
)

// completion is what CompleteMultipartUpload is asked for.
type completion struct {
	size          int64
	tree          treehash.Hash
	asked, hashed string // as sent
}

func parseCompletion(size, tree string) (completion, error) {
	c := completion{asked: size, hashed: tree}
	if size == "" {
		return c, missing(protocol.HeaderArchiveSize)
	}
	if tree == "" {
		return c, missing(protocol.HeaderTreeHash)
	}
	n, err := strconv.ParseUint(size, 10, 63) // which takes no sign
	if err != nil {
		return c, c.wrongSize()
	}
	c.size = int64(n)
	if c.tree, err = treehash.Parse(tree); err != nil {
		return c, invalidTreeHash(c.hashed)
	}
	return c, nil
}

func (c completion) wrongSize() error {
	return fault.New(fault.Invalid, "Invalid x-amz-archive-size: %s", c.asked)
}

// maxCompletions bounds how often the completion of an upload whose parts keep changing is tried.
const maxCompletions = 10

// CompleteMultipartUpload makes an archive of the parts of an upload, copying none of them, and returns its id and tree
// hash. Repeating it for a while gives the same archive. A failure leaves the upload open.
func (s *Service) CompleteMultipartUpload(ctx context.Context, ref Ref, id, size, tree string) (string, treehash.Hash, error) {
	c, err := parseCompletion(size, tree)
	if err != nil {
		return "", treehash.Hash{}, err
	}
	for range maxCompletions {
		archive, err := s.complete(ctx, ref, id, c)
		if !errors.Is(err, errChanged) {
			return archive, c.tree, err
		}
	}
	return "", c.tree, fmt.Errorf("upload %s: parts were uploaded all the while it was being completed", id)
}

// complete writes the list of the parts as they are now, then makes it the archive if they still are.
func (s *Service) complete(ctx context.Context, ref Ref, id string, c completion) (string, error) {
	u, parts, err := s.assemble(ctx, ref, id, c)
	if err != nil || u.State == catalogue.UploadCompleted {
		return u.ArchiveID, err
	}
	l := label{What: isMultipart, Account: ref.Account, Vault: ref.Name, Archive: u.ArchiveID, Upload: id, Description: u.Description}
	x, err := s.bytes.Put(ctx, store.Manifest, l.encode(), treehash.NewStream(bytes.NewReader(manifest(c, parts)), -1, nil))
	if err != nil {
		return "", err
	}
	repeated := false
	err = s.rows.Update(ctx, func(tx *catalogue.Tx) error {
		repeated = false
		now, err := s.upload(tx, ref, id)
		switch {
		case err != nil:
			return err
		case now.State == catalogue.UploadCompleted:
			repeated = true
			return s.matches(now, c)
		case now.State != catalogue.UploadOpen:
			return uploadNotFound(id)
		case now.Revision != u.Revision:
			return errChanged
		}
		return s.finish(tx, now, c, x)
	})
	s.discardIf(repeated || errors.Is(err, errChanged) || fault.Is(err, fault.NotFound), x.Place)
	return u.ArchiveID, err
}

// finish makes the rows of an archive and its ended upload.
func (s *Service) finish(tx *catalogue.Tx, u catalogue.Upload, c completion, x store.Extent) error {
	u.State, u.EndedAt, u.Size, u.TreeHash = catalogue.UploadCompleted, x.Created, c.size, c.tree[:]
	if err := tx.EndUpload(u); err != nil {
		return err
	}
	return tx.InsertArchive(catalogue.Archive{
		ID: u.ArchiveID, VaultID: u.VaultID, CreatedAt: x.Created, Size: c.size, TreeHash: c.tree[:],
		Description: u.Description, Place: string(x.Place), UploadID: &u.ID, Skew: x.Skew,
	})
}

// assemble reads an upload and its parts and holds them against what was asked for. For a completed upload there are no parts to hold.
func (s *Service) assemble(ctx context.Context, ref Ref, id string, c completion) (u catalogue.Upload, parts []catalogue.Part, err error) {
	err = s.rows.View(ctx, func(tx *catalogue.Tx) error {
		if u, err = s.upload(tx, ref, id); err != nil {
			return err
		}
		switch u.State {
		case catalogue.UploadCompleted:
			return s.matches(u, c)
		case catalogue.UploadAborted:
			return uploadNotFound(id)
		}
		parts, err = tx.Parts(id, -1, protocol.MaxParts)
		return err
	})
	if err != nil || u.State == catalogue.UploadCompleted {
		return u, nil, err
	}
	return u, parts, c.check(u, parts)
}

// matches is the answer to a repeated completion.
func (s *Service) matches(u catalogue.Upload, c completion) error {
	switch {
	case !s.repeatable(u):
		return uploadNotFound(u.ID)
	case u.Size != c.size:
		return c.wrongSize()
	case !bytes.Equal(u.TreeHash, c.tree[:]):
		return invalidTreeHash(c.hashed)
	}
	return nil
}

// check holds the parts against each other and against what was asked for: no gaps, every part but the last of full size, the size
// and the tree hash of the whole.
func (c completion) check(u catalogue.Upload, parts []catalogue.Part) error {
	var tree treehash.Tree
	var size int64
	for i, p := range parts {
		hash, err := treehash.FromBytes(p.TreeHash)
		if err != nil {
			return err
		}
		if p.First != size || i < len(parts)-1 && p.Size != u.PartSize {
			return missingParts(u.ID)
		}
		tree.Add(hash)
		size += p.Size
	}
	switch {
	case len(parts) == 0:
		return missingParts(u.ID)
	case size != c.size:
		return c.wrongSize()
	case tree.Sum() != c.tree:
		return invalidTreeHash(c.hashed)
	}
	return nil
}

func missingParts(id string) error {
	return fault.New(fault.Invalid, "The multipart upload is missing parts: %s", id)
}

// manifestLine says something of the whole archive, or of a part.
type manifestLine struct {
	First    int64  `json:"first"`
	Size     int64  `json:"size"`
	TreeHash string `json:"tree_hash"`
}

// manifest is the payload of the record of a multipart archive: a line of JSON with its size and tree hash, then one for each part.
// The parts' records are found by upload, offset and tree hash, so that they can be moved.
func manifest(c completion, parts []catalogue.Part) []byte {
	var b bytes.Buffer
	lines := json.NewEncoder(&b)
	lines.Encode(manifestLine{0, c.size, c.tree.String()}) // to memory: cannot fail
	for _, p := range parts {
		lines.Encode(manifestLine{p.First, p.Size, fmt.Sprintf("%x", p.TreeHash)})
	}
	return b.Bytes()
}
