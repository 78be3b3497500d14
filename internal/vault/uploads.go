package vault

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"regexp"
	"strconv"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/protocol"
	"github.com/moraine-archive/moraine/internal/store"
)

// InitiateMultipartUpload opens an upload and returns its id.
func (s *Service) InitiateMultipartUpload(ctx context.Context, ref Ref, partSize, description string) (string, error) {
	size, err := parsePartSize(partSize)
	if err != nil {
		return "", err
	}
	if description, err = archiveDescription(description); err != nil {
		return "", err
	}
	id, archive := s.newUploadID(), s.newArchiveID()
	err = s.rows.Update(ctx, func(tx *catalogue.Tx) error {
		v, err := s.vault(tx, ref)
		if err != nil {
			return err
		}
		return tx.InsertUpload(catalogue.Upload{
			ID: id, VaultID: v.ID, ArchiveID: archive, CreatedAt: s.now(), PartSize: size, Description: description,
		})
	})
	return id, err
}

// parsePartSize reads a part size: a power of two from 1 MiB to 4 GiB, in bytes.
func parsePartSize(text string) (int64, error) {
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || bits.OnesCount64(n) != 1 || n < protocol.MinPartSize || n > protocol.MaxPartSize {
		return 0, fault.New(fault.Invalid, "Invalid part size: %s. Part size must not be null, must be a power of two and be between "+
			"1048576 and 4294967296 bytes.", text)
	}
	return int64(n), nil
}

// upload returns the row of an upload of a vault, in any state.
func (s *Service) upload(tx *catalogue.Tx, ref Ref, id string) (catalogue.Upload, error) {
	v, err := s.vault(tx, ref)
	if err != nil {
		return catalogue.Upload{}, err
	}
	if !printable(id) {
		return catalogue.Upload{}, uploadNotFound(id)
	}
	u, err := tx.Upload(id)
	if err == nil && u.VaultID != v.ID {
		err = catalogue.ErrNotFound
	}
	return u, absent(err, uploadNotFound(id))
}

// openUpload returns the row of an open upload of a vault.
func (s *Service) openUpload(tx *catalogue.Tx, ref Ref, id string) (catalogue.Upload, error) {
	u, err := s.upload(tx, ref, id)
	if err == nil && u.State != catalogue.UploadOpen {
		return u, uploadNotFound(id)
	}
	return u, err
}

// contentRange is the form of the Content-Range of a part. The total after the slash is not looked at.
var contentRange = regexp.MustCompile(`^bytes ([0-9]{1,15})-([0-9]{1,15})/(\*|[0-9]+)$`) // read only

// parseContentRange returns the first and last offset of a part.
func parseContentRange(text string, length int64) (first, last int64, err error) {
	if text == "" {
		return 0, 0, missing(protocol.HeaderContentRange)
	}
	m := contentRange.FindStringSubmatch(text)
	if m == nil {
		return 0, 0, invalidContentRange(text)
	}
	first, _ = strconv.ParseInt(m[1], 10, 64) // at most 15 digits
	last, _ = strconv.ParseInt(m[2], 10, 64)
	if last < first {
		return 0, 0, invalidContentRange(text)
	}
	if last-first+1 != length {
		return 0, 0, fault.New(fault.Invalid, "Content-Range: %s is incompatible with Content-Length: %d", text, length)
	}
	return first, last, nil
}

func invalidContentRange(text string) error {
	return fault.New(fault.Invalid, "Invalid Content-Range: %s", text)
}

// checkPart holds a part against the part size of its upload.
func checkPart(first, last, partSize int64, text string) error {
	if first%partSize != 0 || last-first+1 > partSize {
		return invalidContentRange(text)
	}
	if number := first/partSize + 1; number > protocol.MaxParts {
		return fault.New(fault.Invalid, "This is part number %d for the current multipart upload. It exceeds the limit of %d parts.",
			number, protocol.MaxParts)
	}
	return nil
}

// UploadMultipartPart stores a part, replacing the one in its place, and returns its tree hash. The body is not touched before everything else is right.
func (s *Service) UploadMultipartPart(ctx context.Context, ref Ref, id, contentRange string, u Upload) (treehash.Hash, error) {
	payload, err := u.stream()
	if err != nil {
		return treehash.Hash{}, err
	}
	first, last, err := parseContentRange(contentRange, u.Size)
	if err != nil {
		return treehash.Hash{}, err
	}
	upload, err := s.lookUpOpen(ctx, ref, id)
	if err != nil {
		return treehash.Hash{}, err
	}
	if err := checkPart(first, last, upload.PartSize, contentRange); err != nil {
		return treehash.Hash{}, err
	}
	l := label{
		What: isPart, Account: ref.Account, Vault: ref.Name, Archive: upload.ArchiveID, Upload: id, First: first,
		PartSize: upload.PartSize, Description: upload.Description,
	}
	x, err := s.bytes.Put(ctx, store.Payload, l.encode(), payload)
	if err != nil {
		return treehash.Hash{}, err
	}
	replaced := false
	err = s.rows.Update(ctx, func(tx *catalogue.Tx) (err error) {
		p := catalogue.Part{UploadID: id, First: first, Size: x.Size, TreeHash: x.Tree[:], Place: string(x.Place)}
		replaced, err = tx.PutPart(p, s.now())
		return absent(err, uploadNotFound(id))
	})
	s.discardIf(fault.Is(err, fault.NotFound), x.Place) // the upload ended meanwhile
	if replaced {
		s.Poke()
	}
	return x.Tree, err
}

func (s *Service) lookUpOpen(ctx context.Context, ref Ref, id string) (u catalogue.Upload, err error) {
	err = s.rows.View(ctx, func(tx *catalogue.Tx) error {
		u, err = s.openUpload(tx, ref, id)
		return err
	})
	return u, err
}

// AbortMultipartUpload ends an upload without an archive. It can be repeated for a while.
func (s *Service) AbortMultipartUpload(ctx context.Context, ref Ref, id string) error {
	defer s.Poke()
	return s.rows.Update(ctx, func(tx *catalogue.Tx) error {
		u, err := s.upload(tx, ref, id)
		if err != nil {
			return err
		}
		switch {
		case u.State == catalogue.UploadAborted && s.repeatable(u):
			return nil
		case u.State != catalogue.UploadOpen:
			return uploadNotFound(id)
		}
		u.State, u.EndedAt = catalogue.UploadAborted, s.now()
		if err := tx.EndUpload(u); err != nil {
			return err
		}
		return tx.ReleaseParts(id)
	})
}

// repeatable reports whether the call that ended an upload may still be repeated.
func (s *Service) repeatable(u catalogue.Upload) bool {
	return s.now().Before(u.EndedAt.Add(s.settings.RepeatWindow))
}

// ListMultipartUploads lists the open uploads of a vault, the oldest first.
func (s *Service) ListMultipartUploads(ctx context.Context, ref Ref, limit, marker *string) (protocol.UploadsList, error) {
	list := protocol.UploadsList{UploadsList: []protocol.UploadDescription{}}
	size, err := pageSize(limit, s.settings.Page)
	if err != nil {
		return list, err
	}
	err = s.list(ctx, func(tx *catalogue.Tx) error {
		v, err := s.vault(tx, ref)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("uploads of vault %d", v.ID)
		after, err := position(marker, name)
		if err != nil {
			return err
		}
		uploads, err := tx.OpenUploads(v.ID, after, size+1)
		if err != nil {
			return err
		}
		uploads, more := page(uploads, size)
		for _, u := range uploads {
			list.UploadsList = append(list.UploadsList, protocol.UploadDescription{
				ArchiveDescription: textOrNil(u.Description), CreationDate: timestamp(u.CreatedAt),
				MultipartUploadID: u.ID, PartSizeInBytes: u.PartSize, VaultARN: s.ARN(ref),
			})
		}
		if more {
			list.Marker = encodeMarker(name, uploads[size-1].ID)
		}
		return nil
	})
	return list, err
}

// ListParts lists the parts of an open upload by their offset.
func (s *Service) ListParts(ctx context.Context, ref Ref, id string, limit, marker *string) (protocol.PartList, error) {
	list := protocol.PartList{Parts: []protocol.PartDescription{}, MultipartUploadID: id, VaultARN: s.ARN(ref)}
	size, err := pageSize(limit, s.settings.Page)
	if err != nil {
		return list, err
	}
	name := "parts of upload " + id
	after, err := partPosition(marker, name)
	if err != nil {
		return list, err
	}
	err = s.list(ctx, func(tx *catalogue.Tx) error {
		u, err := s.openUpload(tx, ref, id)
		if err != nil {
			return err
		}
		list.ArchiveDescription, list.CreationDate, list.PartSizeInBytes = textOrNil(u.Description), timestamp(u.CreatedAt), u.PartSize
		parts, err := tx.Parts(id, after, size+1)
		if err != nil {
			return err
		}
		parts, more := page(parts, size)
		for _, p := range parts {
			list.Parts = append(list.Parts, describePart(p))
		}
		if more {
			list.Marker = encodeMarker(name, strconv.FormatInt(parts[size-1].First, 10))
		}
		return nil
	})
	return list, err
}

func describePart(p catalogue.Part) protocol.PartDescription {
	return protocol.PartDescription{
		RangeInBytes:   fmt.Sprintf("%d-%d", p.First, p.First+p.Size-1),
		SHA256TreeHash: fmt.Sprintf("%x", p.TreeHash),
	}
}

// partPosition reads a marker of ListParts; -1 is before the first part.
func partPosition(marker *string, name string) (int64, error) {
	at, err := position(marker, name)
	if err != nil || at == "" {
		return -1, err
	}
	n, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return 0, invalidMarker(*marker)
	}
	return n, nil
}

// errChanged says that the parts of an upload changed while it was being completed.
var errChanged = errors.New("the parts changed")
