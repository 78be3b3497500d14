package cli

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"time"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/glacier/transfer"
	"github.com/moraine-archive/moraine/internal/index"
	"github.com/moraine-archive/moraine/internal/names"
)

// neverAtOnce says that every file is sent in parts, also if it is one: then the upload has an id before it has bytes. If a single request is cut off, nobody knows whether
// there is an archive now, and to send it again may make a second one.
const neverAtOnce = -1

// file uploads a file, unless it is in the vault already.
func (u *uploading) file(ctx context.Context, f *regular) (uploadDocument, error) {
	d := uploadDocument{File: f.Name(), Size: f.size}
	description, err := u.describe(filepath.ToSlash(filepath.Clean(f.Name())))
	if err != nil {
		return d, err
	}
	if d.Description, err = u.described(ctx, description); err != nil {
		return d, err
	}
	v := u.watch(f.Name())
	defer v.end()
	if !u.again && u.resume == "" {
		a, err := u.same(ctx, f, description, v)
		if err != nil {
			return d, err
		}
		if a.ID != "" {
			d.ArchiveID, d.TreeHash, d.State = a.ID, a.TreeHash, stateThere
			return d, u.remembered(nil).forget(ctx, f.noteOf(description))
		}
	}
	a, err := u.send(ctx, f, description, v)
	return u.finish(ctx, d, a, err)
}

// described returns the description that the archive will have. That of an upload which --resume names was given when it was begun.
func (u *uploading) described(ctx context.Context, description string) (string, error) {
	if u.resume == "" {
		return description, nil
	}
	head, err := u.client.ListParts(ctx, u.vault, u.resume, glacier.Page{Limit: 1})
	switch {
	case errors.Is(err, glacier.ErrNotFound): // it may have become an archive
		u.ended = true
		return description, nil
	case err != nil:
		return "", err
	}
	return head.ArchiveDescription, nil
}

// same returns the archive of the vault that has what the file has, none if there is none.
func (u *uploading) same(ctx context.Context, f *regular, description string, v *view) (index.Archive, error) {
	versions, err := u.ix.ByPath(ctx, names.Parse(description).Path)
	if err != nil {
		return index.Archive{}, err
	}
	for _, a := range versions {
		if a.Description != description || a.Size != f.size || a.TreeHash == "" {
			continue
		}
		if f.tree == "" {
			if _, f.tree, err = hashesOf(ctx, io.NewSectionReader(f, 0, f.size), v, f.size); err != nil {
				return index.Archive{}, err
			}
		}
		if a.TreeHash == f.tree {
			return a, nil
		}
	}
	return index.Archive{}, nil
}

// noteOf says what the file is.
func (f *regular) noteOf(description string) index.Upload {
	return index.Upload{Path: f.path, Size: f.size, ModTime: f.modTime, Description: description}
}

// remembered returns what uploads in parts.
func (u *uploading) remembered(v *view) *remembered {
	return &remembered{session: u.session, ix: u.ix, vault: u.vault, again: u.again, up: u.uploader(v), known: u.known}
}

func (u *uploading) uploader(v *view) *transfer.Uploader {
	return &transfer.Uploader{Client: u.client, PartSize: int64(u.partSize), Single: neverAtOnce, Concurrency: u.parallel, Progress: v.show}
}

// send goes on with an upload that was begun before, or begins one.
func (u *uploading) send(ctx context.Context, f *regular, description string, v *view) (*transfer.Archive, error) {
	note := f.noteOf(description)
	switch {
	case u.resume == "":
		m := u.remembered(v)
		m.lock = func(ctx context.Context) (io.Closer, error) { return u.waitLock(ctx, u.of, beginLock(f.path), nil) }
		m.stored = func(ctx context.Context) (*transfer.Archive, error) {
			a, err := u.same(ctx, f, description, v)
			if err != nil || a.ID == "" {
				return nil, err
			}
			return &transfer.Archive{ID: a.ID, TreeHash: a.TreeHash, Size: a.Size}, nil
		}
		return m.send(ctx, f, note)
	case u.ended: // there is nothing to remember
		return u.uploader(v).Resume(ctx, u.vault, u.resume, f, f.size)
	}
	note.ID, note.Started = u.resume, time.Now()
	return u.remembered(v).resume(ctx, f, note)
}

// stream uploads standard input.
func (u *uploading) stream(ctx context.Context) (uploadDocument, error) {
	d := uploadDocument{File: "-"}
	description, err := u.describe("")
	if err != nil {
		return d, err
	}
	if d.Description, err = u.described(ctx, description); err != nil {
		return d, err
	}
	v := u.watch(u.name + u.description)
	defer v.end()
	up := u.uploader(v)
	var a *transfer.Archive
	if u.resume != "" {
		a, err = up.ResumeStream(ctx, u.vault, u.resume, u.Stdin)
	} else {
		a, err = up.UploadStream(ctx, u.vault, u.Stdin, description)
	}
	return u.finish(ctx, d, a, err)
}

// finish records an archive, so that it is known here, and forgets its upload. It is done also when the command is interrupted just now: the archive is there.
func (u *uploading) finish(ctx context.Context, d uploadDocument, a *transfer.Archive, err error) (uploadDocument, error) {
	if err != nil {
		var interrupted *transfer.InterruptedError
		if errors.As(err, &interrupted) {
			d.UploadID = interrupted.UploadID
		}
		return d, err
	}
	ctx = context.WithoutCancel(ctx)
	d.ArchiveID, d.Size, d.TreeHash, d.Reused, d.State = a.ID, a.Size, a.TreeHash, a.Reused, stateStored
	err = u.ix.Add(ctx, index.Archive{ID: a.ID, Description: d.Description, Created: u.now(ctx, d.Description), Size: a.Size, TreeHash: a.TreeHash}, a.UploadID)
	if err != nil { // the archive is stored all the same
		u.say("The archive %s is stored, but that could not be remembered here; the next inventory lists it: %v", a.ID, err)
	}
	return d, nil
}

// now is a time for an archive that was just made: after those of the others of its name, also if the clock of the service is ahead of that here.
func (u *uploading) now(ctx context.Context, description string) time.Time {
	now := time.Now()
	versions, err := u.ix.ByPath(ctx, names.Parse(description).Path)
	if err == nil && len(versions) > 0 && !now.After(versions[0].Created) {
		return versions[0].Created.Add(time.Millisecond)
	}
	return now
}
