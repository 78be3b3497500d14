package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/glacier/transfer"
	"github.com/moraine-archive/moraine/internal/index"
	"github.com/moraine-archive/moraine/internal/names"
)

// uploadOptions are the flags of an upload.
type uploadOptions struct {
	description, name, resume string
	again                     bool
	partSize                  byteSize
	parallel                  int
}

func uploadCommand(p Process) *cobra.Command {
	o := &uploadOptions{}
	cmd := &cobra.Command{
		Use:   "upload FILE...",
		Short: "Store files as archives",
		Long: `Store files as archives of a vault, each under its path as it is given here; - is standard input, which needs a --name. An archive has no name for the service, only a
description that never changes: the path is put there.

What was interrupted is gone on with by the same command: parts that the service has are not sent again, and there is never a second archive. A file that is in the vault
already, as far as it is known on this machine, is not uploaded again: one of the same description, size and tree hash.`,
		Example: `  moraine upload --vault photos 2016.tar 2017.tar
  moraine upload --vault photos --description "holidays, the good ones" best.tar
  tar c photos | moraine upload --vault photos --name photos.tar -`,
		Args: arguments("FILE..."),
	}
	text(cmd, &o.description, "description", "description of the archive, in place of the path: up to 1,024 printable ASCII characters (one FILE)")
	text(cmd, &o.name, "name", "name of the archive, in place of the path (one FILE, or standard input)")
	text(cmd, &o.resume, "resume", "id of an upload to go on with (one FILE, or standard input, which has to have the same bytes as before)")
	f := cmd.Flags()
	f.BoolVar(&o.again, "again", false, "upload also what is in the vault already")
	f.Var(&o.partSize, "part-size", "size of the parts, like 64MiB: a MiB times a power of two, up to 4GiB (default: by the size of the file, at least 16MiB)")
	atOnce(cmd, &o.parallel, "parallel", 4, mostParallel, "how many parts are sent at a time")
	return inVault(p, cmd, func(ctx context.Context, s *session, vault string, args []string) error {
		if err := o.check(args); err != nil {
			return usage(cmd, err)
		}
		u := &uploading{session: s, uploadOptions: *o, vault: vault, list: []uploadDocument{}}
		return u.run(ctx, args)
	})
}

func (o *uploadOptions) check(files []string) error {
	stdin := slices.Contains(files, "-")
	switch {
	case stdin && len(files) > 1:
		return errors.New("- has to be alone")
	case stdin && o.name == "" && o.description == "":
		return errors.New("--name is missing: standard input has none")
	case len(files) > 1 && (o.name != "" || o.description != "" || o.resume != ""):
		return errors.New("--name, --description and --resume are for one FILE")
	case o.name != "" && o.description != "":
		return errors.New("--name and --description exclude each other")
	}
	return nil
}

// describe returns the description of the archive of a file.
func (o *uploadOptions) describe(path string) (string, error) {
	if o.description != "" {
		return o.description, nil
	}
	if o.name != "" {
		path = o.name
	}
	return names.Plain(path)
}

// uploadDocument is what became of a file, for scripts.
type uploadDocument struct {
	File        string `json:"file"`
	Description string `json:"description"`
	ArchiveID   string `json:"archive_id,omitempty"`
	Size        int64  `json:"size"`
	TreeHash    string `json:"tree_hash,omitempty"`
	UploadID    string `json:"upload_id,omitempty"`    // of an upload that can be gone on with
	Reused      int64  `json:"reused_bytes,omitempty"` // that the service had from an earlier run
	State       string `json:"state"`                  // stored, already stored, or failed
	Error       string `json:"error,omitempty"`
}

// uploading uploads files, one after the other.
type uploading struct {
	*session
	uploadOptions
	vault  string
	of     *glacier.Vault
	ended  bool // what --resume names is not open (any more)
	ix     *index.Index
	known  knowledge
	list   []uploadDocument
	failed []string
	first  error // of a file that failed
}

func (u *uploading) run(ctx context.Context, files []string) error {
	of, ix, err := u.open(ctx, u.vault)
	if err != nil {
		return err
	}
	u.of, u.ix = of, ix
	if u.known.State, err = ix.State(ctx); err != nil {
		return err
	}
	for i, name := range files {
		d, err := u.one(ctx, name)
		switch {
		case err == nil:
			err = u.stored(d)
			if err != nil {
				return err
			}
			continue
		case ctx.Err() != nil:
			u.failed = append(u.failed, files[i:]...)
			return u.outcome(ctx, files, err)
		}
		u.fail(name, d, err)
		if !ofFile(err) {
			u.failed = append(u.failed, files[i+1:]...) // they would fail too
			break
		}
	}
	return u.outcome(ctx, files, nil)
}

// ofFile reports whether a failure is one of a file, so that others may do well.
func ofFile(err error) bool {
	return errors.As(err, new(*fs.PathError)) || errors.As(err, new(*fileError)) ||
		errors.Is(err, transfer.ErrChanged) || errors.Is(err, names.ErrTooLong) || errors.Is(err, names.ErrNotUTF8) || errors.Is(err, errUncertain) || errors.Is(err, transfer.ErrMismatch)
}

// fileError is why a file cannot be an archive.
type fileError struct{ name, why string }

func (e *fileError) Error() string { return printable(e.name) + " " + e.why }

// one uploads a file, or standard input. What it returns beside an error says how far it came.
func (u *uploading) one(ctx context.Context, name string) (uploadDocument, error) {
	if name == "-" {
		return u.stream(ctx)
	}
	f, err := openRegular(name)
	if err != nil {
		return uploadDocument{File: name}, err
	}
	defer f.Close()
	return u.file(ctx, f)
}

func notRegular(name string) error {
	return &fileError{name, "is not a regular file; standard input (-) can be anything"}
}

// regular is a file that is to be uploaded.
type regular struct {
	*os.File
	path    string // absolute: by it an upload is found again
	size    int64
	modTime time.Time
	tree    string // its tree hash, once it is computed
}

func openRegular(name string) (*regular, error) {
	if info, err := os.Stat(name); err == nil && !info.IsDir() && !info.Mode().IsRegular() { // to open a pipe would wait for who writes to it
		return nil, notRegular(name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	r := &regular{File: f}
	if err == nil {
		r.size, r.modTime = info.Size(), info.ModTime()
		switch {
		case info.IsDir():
			err = &fileError{name, "is a directory: `moraine sync` uploads what is in it, and tar makes one file of it"}
		case !info.Mode().IsRegular():
			err = notRegular(name)
		case r.size == 0:
			err = &fileError{name, "is empty, which an archive cannot be"}
		}
	}
	if err == nil {
		r.path, err = filepath.Abs(name)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return r, nil
}

// stored prints an archive.
func (u *uploading) stored(d uploadDocument) error {
	u.list = append(u.list, d)
	if u.asJSON {
		return nil
	}
	if d.State == stateThere {
		u.say("%s is in the vault already, so it was not uploaded; --again uploads it all the same.", printable(d.File))
	}
	_, err := fmt.Fprintf(u.Stdout, "%s  %s  %s\n", printable(d.File), size(d.Size), d.ArchiveID)
	return err
}

// The states of an uploadDocument.
const (
	stateStored = "stored"
	stateThere  = "already stored"
	stateFailed = "failed"
)

func (u *uploading) fail(name string, d uploadDocument, err error) {
	d.State, d.Error = stateFailed, err.Error()
	u.list = append(u.list, d)
	u.failed = append(u.failed, name)
	if u.first == nil {
		u.first = err
	}
	if len(u.failed) > 1 || len(u.list) > 1 { // otherwise it may be the only one, and comes at the end
		u.say("%s was not uploaded: %v", printable(name), err)
	}
}

// outcome ends the command; stopped is why not all files were tried.
func (u *uploading) outcome(ctx context.Context, files []string, stopped error) error {
	if u.asJSON {
		if err := printJSON(u.Stdout, u.list); err != nil {
			return err
		}
	}
	switch {
	case stopped != nil:
		return u.stopped(ctx, stopped, "upload", u.kept(files, u.failed, stopped))
	case len(u.failed) == 0:
		return nil
	case len(u.failed) < len(files):
		return &exitError{exitPartly, "This uploads the rest:\n  " + u.repeat(files, u.failed),
			fmt.Errorf("%d of %d files were not uploaded: %w", len(u.failed), len(files), u.first)}
	case errors.As(u.first, new(*transfer.InterruptedError)):
		return u.hinted(u.first, u.kept(files, files, u.first))
	case errors.Is(u.first, errUncertain):
		return u.hinted(u.first, fmt.Sprintf("`moraine inventory --vault %s` gets one; then upload it again.", quoted(u.vault)))
	case errors.Is(u.first, transfer.ErrChanged):
		return u.hinted(u.first, "Upload it again when nothing writes to it any more.")
	}
	return u.first
}

// kept says how to go on with the files that are left. Standard input has no path by which its upload would be found again.
func (u *uploading) kept(files, left []string, err error) string {
	if i, ok := errors.AsType[*transfer.InterruptedError](err); ok && i.UploadID != "" && files[0] == "-" && u.resume == "" {
		left = []string{"--resume", i.UploadID, "-"}
	}
	return "What was sent is kept. This goes on with it:\n  " + u.repeat(files, left)
}
