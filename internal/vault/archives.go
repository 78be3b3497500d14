package vault

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/protocol"
	"github.com/moraine-archive/moraine/internal/store"
)

// Upload is the payload of an UploadArchive or UploadMultipartPart request.
type Upload struct {
	Body       io.Reader
	Size       int64  // the Content-Length
	LinearHash string // 64 lower-case hexadecimal digits: the signature has covered it
	TreeHash   string // as sent
}

// stream returns the body as a stream that ends well only if both hashes are right. When both are wrong the linear one is reported.
func (u Upload) stream() (*treehash.Stream, error) {
	if u.TreeHash == "" {
		return nil, missing(protocol.HeaderTreeHash)
	}
	want, err := treehash.Parse(u.TreeHash)
	if err != nil {
		return nil, invalidTreeHash(u.TreeHash)
	}
	return treehash.NewStream(u.Body, u.Size, func(linear, tree treehash.Hash) error {
		if linear.String() != u.LinearHash {
			return fault.New(fault.BadSignature, "The value passed in as x-amz-content-sha256 does not match the computed payload hash. "+
				"Computed digest: %s expected hash: %s", linear, u.LinearHash)
		}
		if tree != want {
			return fault.New(fault.Invalid, "Checksum mismatch: expected %s, computed %s", u.TreeHash, tree)
		}
		return nil
	}), nil
}

func invalidTreeHash(text string) error {
	return fault.New(fault.Invalid, "Invalid x-amz-sha256-tree-hash: %s", text)
}

func missing(name string) error {
	return fault.New(fault.Missing, "Required parameter missing: %s", name)
}

// UploadArchive stores an archive and returns its id and tree hash. The body is not touched before everything else is right.
func (s *Service) UploadArchive(ctx context.Context, ref Ref, description string, u Upload) (string, treehash.Hash, error) {
	payload, err := u.stream()
	if err != nil {
		return "", treehash.Hash{}, err
	}
	if description, err = archiveDescription(description); err != nil {
		return "", treehash.Hash{}, err
	}
	if u.Size < 1 || u.Size > protocol.MaxUpload {
		return "", treehash.Hash{}, fault.New(fault.Invalid, "Invalid Content-Length: %d", u.Size)
	}
	vault, err := s.vaultID(ctx, ref)
	if err != nil {
		return "", treehash.Hash{}, err
	}
	id := s.newArchiveID()
	l := label{What: isArchive, Account: ref.Account, Vault: ref.Name, Archive: id, Description: description}
	x, err := s.bytes.Put(ctx, store.Payload, l.encode(), payload)
	if err != nil {
		return "", treehash.Hash{}, err
	}
	err = s.rows.Update(ctx, func(tx *catalogue.Tx) error {
		return s.orVaultNotFound(tx.InsertArchive(catalogue.Archive{
			ID: id, VaultID: vault, CreatedAt: x.Created, Size: x.Size, TreeHash: x.Tree[:],
			Description: description, Place: string(x.Place), Skew: x.Skew,
		}), ref)
	})
	s.discardIf(fault.Is(err, fault.NotFound), x.Place) // the vault was deleted meanwhile
	return id, x.Tree, err
}

// discardIf removes bytes whose row was refused. After any other failure the row may exist, and the bytes stay.
func (s *Service) discardIf(refused bool, at store.Place) {
	if refused {
		s.discard(at)
	}
}

// lookUp returns a vault in a transaction of its own.
func (s *Service) lookUp(ctx context.Context, ref Ref) (v catalogue.Vault, err error) {
	err = s.rows.View(ctx, func(tx *catalogue.Tx) error {
		v, err = s.vault(tx, ref)
		return err
	})
	return v, err
}

// vaultID returns the number of a vault, in a transaction of its own.
func (s *Service) vaultID(ctx context.Context, ref Ref) (id int64, err error) {
	if !legalVaultName(ref.Name) {
		return 0, vaultNotFound(ref.Name)
	}
	err = s.rows.View(ctx, func(tx *catalogue.Tx) error {
		id, err = tx.VaultID(ref.Account, ref.Name)
		return s.orVaultNotFound(err, ref)
	})
	return id, err
}

// archive returns the row of an archive that a request names. deleted is set when it was in the vault once.
func (s *Service) archive(tx *catalogue.Tx, ref Ref, v catalogue.Vault, id string) (a catalogue.Archive, deleted bool, err error) {
	if !printable(id) {
		return a, false, archiveNotFound(id)
	}
	a, err = tx.Archive(id)
	if errors.Is(err, catalogue.ErrNotFound) {
		d, err := tx.DeletedArchive(id)
		if errors.Is(err, catalogue.ErrNotFound) || err == nil && d.VaultID != v.ID {
			return a, false, archiveNotFound(id)
		}
		return a, err == nil, err
	}
	if err != nil || a.VaultID == v.ID {
		return a, false, err
	}
	other, err := tx.VaultByID(a.VaultID)
	if err != nil {
		return a, false, err
	}
	if other.AccountID != ref.Account {
		return a, false, archiveNotFound(id) // the archives of others are invisible
	}
	return a, false, fault.New(fault.Invalid, "Invalid vault name: %s", s.ARN(ref))
}

// DeleteArchive removes an archive. Deleting it again succeeds. When it returns nil the deletion is on the medium too, so
// that a catalogue made from the medium would not bring the archive back. A finished job goes on to offer it.
func (s *Service) DeleteArchive(ctx context.Context, ref Ref, id string) error {
	var held bool
	err := s.rows.Update(ctx, func(tx *catalogue.Tx) error {
		v, err := s.vault(tx, ref)
		if err != nil {
			return err
		}
		if err := s.permit(ctx, tx, ref, protocol.DeleteArchive, id); err != nil {
			return err
		}
		a, deleted, err := s.archive(tx, ref, v, id)
		if err != nil || deleted {
			return err
		}
		now := s.now()
		if held, err = s.failJobs(tx, ref, v, id, now); err != nil {
			return err
		}
		if err := tx.DeleteArchive(a, now); err != nil || held {
			return err
		}
		return tx.ReleaseDeleted(id)
	})
	if err != nil {
		return err
	}
	defer s.Poke()
	return s.bury(ctx, ref, id)
}

// failJobs ends the jobs in progress on an archive that goes, and reports whether others still offer it.
func (s *Service) failJobs(tx *catalogue.Tx, ref Ref, v catalogue.Vault, archive string, now time.Time) (held bool, err error) {
	jobs, err := tx.JobsOfArchive(archive)
	for _, j := range jobs {
		if j.Status != catalogue.InProgress {
			held = true
			continue
		}
		if err := s.endJob(tx, ref, v, s.ended(j, catalogue.Failed, archiveNotFound(archive).Error(), now)); err != nil {
			return false, err
		}
	}
	return held, err
}

// bury says on the medium that an archive was deleted, unless that is there from an earlier request.
func (s *Service) bury(ctx context.Context, ref Ref, id string) error {
	var d catalogue.DeletedArchive
	err := s.rows.View(ctx, func(tx *catalogue.Tx) (err error) {
		d, err = tx.DeletedArchive(id)
		return err
	})
	if errors.Is(err, catalogue.ErrNotFound) || err == nil && d.Tombstone != nil {
		return nil // the vault was deleted meanwhile, or it is there
	}
	if err != nil {
		return err
	}
	l := label{What: isDeleted, Account: ref.Account, Vault: ref.Name, Archive: id}
	if !d.At.IsZero() { // catalogues of before did not note it
		l.At = d.At.UnixMilli()
	}
	x, err := s.bytes.Put(ctx, store.Tombstone, l.encode(), treehash.NewStream(strings.NewReader(""), 0, nil))
	if err != nil {
		if d.Released && s.bytes.Remove(ctx, store.Place(d.Place)) == nil {
			return nil // a full disk has no room for a tombstone; without the record that names it, there is no archive either
		}
		return err
	}
	err = s.rows.Update(ctx, func(tx *catalogue.Tx) error { return tx.Bury(id, string(x.Place)) })
	if errors.Is(err, catalogue.ErrNotFound) { // another request was faster, or the vault was deleted and the records are still to go
		err = s.rows.Update(ctx, func(tx *catalogue.Tx) error { return tx.ReleaseTombstone(string(x.Place)) })
	}
	return err
}
