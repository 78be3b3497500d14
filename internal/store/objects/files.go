package objects

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// A file is an object that is no record: it has a name below the prefix of the store, and whoever wrote it knows what it is.

// maxFile is the longest file that is read at once.
const maxFile = 16 << 20

// checkFile refuses names that belong to records.
func checkFile(name string) error {
	for _, dir := range []string{dataDir, metaDir, goneDir} {
		if name == "" || strings.HasPrefix(name, dir) {
			return fmt.Errorf("%q is not the name of a file in a bucket", name)
		}
	}
	return nil
}

// ReadFile returns what is in a file. One that is missing is fs.ErrNotExist, wrapped.
func (s *Store) ReadFile(ctx context.Context, name string) ([]byte, error) {
	if err := checkFile(name); err != nil {
		return nil, err
	}
	return s.bucket.read(ctx, name, maxFile)
}

// CreateFile writes a file if there is none of the name. When it returns nil the file survives a power failure. If there is one, the error is fs.ErrExist, wrapped. Of several nodes that create one at the same time a
// single one does. A server that does not know conditional requests takes the last one for all of them.
func (s *Store) CreateFile(ctx context.Context, name string, b []byte) error {
	if err := checkFile(name); err != nil {
		return err
	}
	err := s.bucket.create(ctx, name, b)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if there, failed := s.bucket.read(ctx, name, maxFile); failed == nil && bytes.Equal(there, b) {
		return nil // an attempt whose answer was lost
	}
	return err
}

// DeleteFile deletes a file. That there is none is no error.
func (s *Store) DeleteFile(ctx context.Context, name string) error {
	if err := checkFile(name); err != nil {
		return err
	}
	return s.bucket.delete(ctx, name)
}

// ListFiles returns the names of the files that begin so, in their order.
func (s *Store) ListFiles(ctx context.Context, prefix string) (names []string, err error) {
	if err := checkFile(prefix); err != nil {
		return nil, err
	}
	l := s.bucket.list(ctx, prefix)
	for {
		o, err := l.next()
		if err != nil || o == nil {
			return names, err
		}
		names = append(names, o.key)
	}
}

// PutFile writes a file of size bytes, which may be many. The file is there when all of it is. A name is for one content: after an answer that was lost,
// a file of the name and the size is taken for this one.
func (s *Store) PutFile(ctx context.Context, name string, r io.ReadSeeker, size int64) error {
	if err := checkFile(name); err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.puts.Done()
	u := s.newUpload(ctx, name, "")
	defer u.release()
	err := sendFile(u, r, size)
	if err == nil {
		err = u.complete(true)
	}
	if err == nil {
		return nil
	}
	u.abandon()
	if u.id != "" {
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTimeout)
		defer cancel()
		if failed := s.bucket.abort(after, name, u.id); failed != nil {
			s.options.Log.Warn("what a failed upload left in the bucket cannot be removed", "object", name, "error", failed)
		}
	}
	return fmt.Errorf("write the file %s: %w", name, err)
}

func sendFile(u *upload, r io.ReadSeeker, size int64) error {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return err
	}
	buf := make([]byte, min(size, maxChunk))
	for u.size < size {
		n, err := io.ReadFull(r, buf[:min(size-u.size, maxChunk)])
		if err != nil {
			return fmt.Errorf("%d of %d bytes can be read: %w", u.size+int64(n), size, err)
		}
		if err := u.write(buf[:n]); err != nil {
			return err
		}
	}
	return nil
}

const maxChunk = 1 << 20 // of a file, that is read at once

// OpenFile returns a reader of a file, and how long it is. Nothing says whether the bytes are the right ones but what the caller knows of them.
func (s *Store) OpenFile(ctx context.Context, name string) (io.ReadCloser, int64, error) {
	if err := checkFile(name); err != nil {
		return nil, 0, err
	}
	r, err := s.bucket.stream(ctx, name, 0, -1)
	if err != nil {
		return nil, 0, err
	}
	return r, r.end, nil
}
