package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/internal/names"
)

func partsCommand(p Process) *cobra.Command {
	return below(&cobra.Command{Use: "parts", Short: "List and abort uploads that are not complete"}, partsListCommand(p), partsAbortCommand(p))
}

// openUpload is an upload that is not complete, for scripts.
type openUpload struct {
	ID          string    `json:"upload_id"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Created     time.Time `json:"created_at"`
	PartSize    int64     `json:"part_size"`
	Parts       int       `json:"parts"`
	Bytes       int64     `json:"bytes"`
}

// storedPart is a part of one, for scripts.
type storedPart struct {
	First    int64  `json:"first"`
	Last     int64  `json:"last"`
	TreeHash string `json:"tree_hash"`
}

func partsListCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list [UPLOAD]",
		Short: "List the uploads of a vault that are not complete, or the parts of one",
		Long: `List the uploads of a vault that are not complete: date, the beginning of the id, how many parts and bytes the service has, the size of the parts, and name. With UPLOAD, list its parts with
their tree hashes. The service keeps such uploads until they are completed or aborted; moraine upload goes on with one when it is given the same file.`,
		Example: "  moraine parts list --vault photos\n  moraine parts list --vault photos UPLOAD --json",
		Args:    arguments("[UPLOAD]"),
	}
	long := cmd.Flags().Bool("long", false, "print whole ids")
	return inVault(p, cmd, func(ctx context.Context, s *session, vault string, args []string) error {
		if len(args) == 1 {
			return s.listParts(ctx, vault, args[0])
		}
		return s.listUploads(ctx, vault, *long)
	})
}

func (s *session) listUploads(ctx context.Context, vault string, long bool) error {
	list := []openUpload{}
	for u, err := range s.client.MultipartUploads(ctx, vault) {
		if err != nil {
			return err
		}
		d := openUpload{ID: u.ID, Name: names.Parse(u.ArchiveDescription).Path, Description: u.ArchiveDescription, Created: u.CreationDate, PartSize: u.PartSizeInBytes}
		parts, err := s.parts(ctx, vault, u.ID)
		if errors.Is(err, glacier.ErrNotFound) {
			continue // it has ended since
		} else if err != nil {
			return err
		}
		for _, p := range parts {
			d.Parts++
			d.Bytes += p.Last - p.First + 1
		}
		list = append(list, d)
	}
	return printList(s.output, list, func(d openUpload) []string {
		id := start(d.ID)
		if long {
			id = d.ID
		}
		return []string{moment(d.Created), id, fmt.Sprintf("%d parts", d.Parts), size(d.Bytes), "of " + size(d.PartSize), cmp.Or(printable(d.Name), "(no description)")}
	})
}

// parts returns the parts that the service has of an upload.
func (s *session) parts(ctx context.Context, vault, upload string) ([]storedPart, error) {
	list := []storedPart{}
	for p, err := range s.client.Parts(ctx, vault, upload) {
		if err != nil {
			return nil, err
		}
		part := storedPart{TreeHash: p.SHA256TreeHash}
		if _, err := fmt.Sscanf(p.RangeInBytes, "%d-%d", &part.First, &part.Last); err != nil {
			return nil, fmt.Errorf("the service lists a part with the range %q: %w", p.RangeInBytes, err)
		}
		list = append(list, part)
	}
	return list, nil
}

func (s *session) listParts(ctx context.Context, vault, id string) error {
	u, err := s.findUpload(ctx, vault, id)
	if err != nil {
		return err
	}
	list, err := s.parts(ctx, vault, u)
	if err != nil {
		return err
	}
	return printList(s.output, list, func(p storedPart) []string { return []string{fmt.Sprintf("%d-%d", p.First, p.Last), p.TreeHash} })
}

// findUpload returns the id that is given, or that of the only upload whose id begins so.
func (s *session) findUpload(ctx context.Context, vault, id string) (string, error) {
	if wholeID.MatchString(id) {
		return id, nil
	}
	var found []string
	for u, err := range s.client.MultipartUploads(ctx, vault) {
		if err != nil {
			return "", err
		}
		if strings.HasPrefix(u.ID, id) {
			found = append(found, u.ID)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	list := fmt.Sprintf("`moraine parts list --vault %s --long` lists them.", quoted(vault))
	if len(found) == 0 {
		return "", &exitError{exitNotFound, list, fmt.Errorf("there is no upload whose id begins with %q", id)}
	}
	return "", &exitError{exitFailed, list, fmt.Errorf("the ids of %d uploads begin with %q", len(found), id)}
}

func partsAbortCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "abort UPLOAD | --all",
		Short:   "Give uploads up that are not complete",
		Long:    "Give an upload up that is not complete: its parts are forgotten, and to upload the file again begins at its beginning. --all gives up all of the vault, also those that are in progress just now.",
		Example: "  moraine parts abort --vault photos UPLOAD\n  moraine parts abort --vault photos --all",
	}
	all := cmd.Flags().Bool("all", false, "give up all uploads of the vault")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		switch {
		case *all && len(args) > 0:
			return usage(cmd, errors.New("UPLOAD and --all exclude each other"))
		case !*all && len(args) == 0:
			return usage(cmd, errors.New("UPLOAD or --all is missing"))
		}
		return arguments("[UPLOAD]")(cmd, args)
	}
	return inVault(p, cmd, func(ctx context.Context, s *session, vault string, args []string) error {
		return s.abort(ctx, vault, args)
	})
}

// abort gives up one upload, or without an argument all of them, and prints the ids.
func (s *session) abort(ctx context.Context, vault string, args []string) error {
	_, ix, err := s.open(ctx, vault)
	if err != nil {
		return err
	}
	ids, err := s.toAbort(ctx, vault, args)
	if err != nil {
		return err
	}
	gone := []string{}
	for _, id := range ids {
		if _, err = s.client.AbortMultipartUpload(ctx, vault, id); err != nil && !(len(args) == 0 && errors.Is(err, glacier.ErrNotFound)) {
			break
		}
		if err = ix.ForgetUpload(ctx, id); err != nil {
			break
		}
		gone = append(gone, id)
	}
	if printed := printList(s.output, gone, func(id string) []string { return []string{"aborted: " + id} }); printed != nil && err == nil {
		err = printed
	}
	return err
}

func (s *session) toAbort(ctx context.Context, vault string, args []string) ([]string, error) {
	if len(args) == 1 {
		id, err := s.findUpload(ctx, vault, args[0])
		return []string{id}, err
	}
	var ids []string
	for u, err := range s.client.MultipartUploads(ctx, vault) {
		if err != nil {
			return nil, err
		}
		ids = append(ids, u.ID)
	}
	return ids, nil
}
