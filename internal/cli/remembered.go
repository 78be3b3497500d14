package cli

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/glacier/transfer"
	"github.com/moraine-archive/moraine/internal/index"
)

// remembered uploads files in parts. What is begun is noted in the index as soon as it has an id, because after that the process may be killed: the next run goes on
// with it, and there is never a second archive of the same state of a file.
type remembered struct {
	*session
	ix    *index.Index
	vault string
	up    *transfer.Uploader
	again bool // an archive of the file that is known here already does not count
	// lock, if it is not nil, is held while an upload begins, so that of two commands with the same file one begins it, and the other goes on with it.
	lock func(context.Context) (io.Closer, error)
	// stored, if it is not nil, returns the archive of the file that is known here, nil if there is none.
	stored func(context.Context) (*transfer.Archive, error)
	known  knowledge
}

// errUncertain says that a request was sent whose answer never came.
var errUncertain = errors.New("it is not known whether an earlier run has stored it; a new inventory will tell")

// send goes on with the upload of a file that was begun before, or begins one. The note says what the file is.
func (m *remembered) send(ctx context.Context, file io.ReaderAt, note index.Upload) (*transfer.Archive, error) {
	begun, err := m.begun(ctx, note)
	if err != nil {
		return nil, err
	}
	if begun.ID != "" {
		a, err := m.resume(ctx, file, begun)
		if err == nil {
			a.UploadID = begun.ID
		}
		if ended, uncertain := m.ended(ctx, begun, a, err); uncertain != nil {
			return nil, uncertain
		} else if !ended {
			return a, err
		}
		if err := m.ix.ForgetUpload(ctx, begun.ID); err != nil {
			return nil, err
		}
	}
	return m.begin(ctx, file, note)
}

// begin begins an upload, unless another command has done so just now.
func (m *remembered) begin(ctx context.Context, file io.ReaderAt, note index.Upload) (*transfer.Archive, error) {
	release := func() {}
	if m.lock != nil {
		lock, err := m.lock(ctx)
		if err != nil {
			return nil, err
		}
		release = sync.OnceFunc(func() { lock.Close() })
		defer release()
	}
	begun, err := m.begun(ctx, note)
	if err != nil {
		return nil, err
	}
	if begun.ID != "" {
		release()
		a, err := m.resume(ctx, file, begun)
		if err == nil {
			a.UploadID = begun.ID
		}
		return a, err
	}
	if m.stored != nil && !m.again { // it is known at the moment at which its upload is forgotten
		if a, err := m.stored(ctx); a != nil || err != nil {
			return a, err
		}
	}
	up := m.noting(ctx, note, release)
	if note.Size <= worthFinding {
		return up.Upload(ctx, m.vault, file, note.Size, note.Description)
	}
	return up.ResumeOrUpload(ctx, m.vault, file, note.Size, note.Description)
}

// worthFinding is up to what size an upload that was forgotten here is not looked for: the list of those that are open would be asked for with every file of a sync, to save one part.
const worthFinding = 16 << 20

// resume goes on with an upload.
func (m *remembered) resume(ctx context.Context, file io.ReaderAt, note index.Upload) (*transfer.Archive, error) {
	return m.noting(ctx, note, func() {}).Resume(ctx, m.vault, note.ID, file, note.Size)
}

// noting returns what uploads, and has the index know of the upload, and that it is about to end: one that is no more and never was has not become an archive.
// noted is called when the index knows of it.
func (m *remembered) noting(ctx context.Context, note index.Upload, noted func()) *transfer.Uploader {
	up := *m.up
	up.Progress = func(e transfer.Event) {
		begins := e.ID != "" && e.ID != note.ID
		ends := e.Phase == transfer.Completing && note.Completing.IsZero()
		if begins {
			note.ID, note.Started, note.Completing = e.ID, time.Now(), time.Time{}
		}
		if ends {
			note.Completing = time.Now()
		}
		if begins || ends {
			if err := m.ix.AddUpload(context.WithoutCancel(ctx), note); err != nil {
				m.say("The upload %s could not be remembered, `moraine upload --resume` goes on with it: %v", note.ID, err)
			}
			noted()
		}
		if m.up.Progress != nil {
			m.up.Progress(e)
		}
	}
	return &up
}

// begun returns the upload of the file that was begun here; without an id if there is none.
func (m *remembered) begun(ctx context.Context, note index.Upload) (index.Upload, error) {
	known, err := m.ix.UploadOf(ctx, note.Path, note.Size, note.ModTime, note.Description)
	if errors.Is(err, index.ErrNotFound) {
		return index.Upload{}, nil
	}
	return known, err
}

// forget forgets the upload of a file that is an archive, as somebody else has told.
func (m *remembered) forget(ctx context.Context, note index.Upload) error {
	begun, err := m.begun(ctx, note)
	if err != nil || begun.ID == "" {
		return err
	}
	return m.ix.ForgetUpload(ctx, begun.ID)
}

// ended reports whether an upload that was remembered is of no use: it is no more, or it has become an archive before, and another one is wanted. If it may have become
// an archive that nobody knows of here, that is an error.
func (m *remembered) ended(ctx context.Context, begun index.Upload, a *transfer.Archive, err error) (bool, error) {
	switch {
	case err == nil:
		_, unknown := m.ix.ByID(ctx, a.ID)
		return m.again && unknown == nil, nil
	case errors.Is(err, glacier.ErrNotFound) && !begun.Completing.IsZero() && !m.known.settles(begun.Completing):
		return false, errUncertain
	}
	return errors.Is(err, glacier.ErrNotFound) || errors.Is(err, transfer.ErrMismatch), nil
}
