package transfer

import (
	"context"
	"io"
	"os"
	"time"
)

// Hurry makes the pauses between attempts short.
func (u Uploader) Hurry() *Uploader {
	u.pause = time.Millisecond
	return &u
}

// Hurry makes the pauses between attempts short.
func (d Downloader) Hurry() *Downloader {
	d.pause, d.PollInterval = time.Millisecond, 20*time.Millisecond
	return &d
}

// Claim takes a file that was opened as the partial one of a path.
func Claim(path string, f *os.File) (bool, error) {
	return (&partial{path: path, temp: PartialPath(path)}).claim(f)
}

// CountParts reads a stream in parts of a size, which may be as small as a byte.
func CountParts(ctx context.Context, r io.Reader, size int64) (n int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for s := readStream(ctx, r, size, 2); ; n++ {
		p, err := s.next(ctx)
		if err != nil {
			return n, err
		}
		p.free()
	}
}
