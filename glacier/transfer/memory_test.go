package transfer_test

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/glacier/transfer"
)

// pattern is endless bytes that take no memory.
type pattern struct{}

var patternBytes = data(mib + 7) // read only

func (pattern) ReadAt(p []byte, off int64) (n int, _ error) {
	for n < len(p) {
		n += copy(p[n:], patternBytes[(off+int64(n))%int64(len(patternBytes)):])
	}
	return n, nil
}

// sink is a client of a service that takes parts and forgets them.
type sink struct {
	transfer.UploadClient
	parts atomic.Int64
}

func (s *sink) InitiateMultipartUpload(context.Context, string, int64, string) (*glacier.InitiateMultipartUploadOutput, error) {
	return &glacier.InitiateMultipartUploadOutput{UploadID: "u"}, nil
}

func (s *sink) UploadMultipartPart(_ context.Context, _, _ string, _ int64, b io.ReadSeeker, o glacier.UploadMultipartPartOptions) (*glacier.UploadMultipartPartOutput, error) {
	time.Sleep(20 * time.Millisecond) // so that others wait
	io.Copy(io.Discard, b)
	s.parts.Add(1)
	return &glacier.UploadMultipartPartOutput{TreeHash: o.TreeHash}, nil
}

func (s *sink) CompleteMultipartUpload(_ context.Context, _, _ string, _ int64, tree string) (*glacier.UploadArchiveOutput, error) {
	return &glacier.UploadArchiveOutput{ArchiveID: "a", TreeHash: tree}, nil
}

func contentRange(part *glacier.ByteRange, size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", part.First, part.Last, size)
}

// peak returns by how many bytes the heap grows while f runs.
func peak(f func()) int64 {
	defer debug.SetGCPercent(debug.SetGCPercent(5))
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before, most := int64(m.HeapAlloc), int64(0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	for {
		select {
		case <-done:
			return most - before
		case <-time.After(5 * time.Millisecond):
			runtime.ReadMemStats(&m)
			most = max(most, int64(m.HeapAlloc))
		}
	}
}

// TestMemory holds what transfers of 300 MiB take.
func TestMemory(t *testing.T) {
	const size = 300 * mib
	want := func(what string, limit int64, f func() error) {
		t.Helper()
		var err error
		got := peak(func() { err = f() })
		t.Logf("%s: %.1f MiB", what, float64(got)/mib)
		if err != nil || got > limit {
			t.Errorf("%s: the heap grows by %d MiB, the limit is %d: %v", what, got/mib, limit/mib, err)
		}
	}
	up := transfer.Uploader{Client: &sink{}, PartSize: 16 * mib}
	want("a file", (4+6)*mib, func() error {
		_, err := up.Upload(t.Context(), "v", pattern{}, size, "")
		return err
	})
	want("a stream", (4*16+8)*mib, func() error {
		_, err := up.UploadStream(t.Context(), "v", io.NewSectionReader(pattern{}, 0, size), "")
		return err
	})
	up.PartSize, up.Single = 64*mib, -1
	want("a short stream with large parts", 12*mib, func() error {
		_, err := up.UploadStream(t.Context(), "v", io.NewSectionReader(pattern{}, 0, 6*mib), "")
		return err
	})
	h := &hall{size: size}
	h.describe = func() (*glacier.Job, error) {
		return &glacier.Job{ID: "j", ArchiveID: "a", Completed: true, StatusCode: glacier.Succeeded, ArchiveSizeInBytes: size}, nil
	}
	down := transfer.Downloader{Client: h}
	want("to a file", (4+6)*mib, func() error {
		_, err := down.DownloadJob(t.Context(), "v", "j", filepath.Join(t.TempDir(), "f"))
		return err
	})
	want("to a writer", (4*8+4+6)*mib, func() error {
		_, err := down.DownloadTo(t.Context(), "v", "j", io.Discard)
		return err
	})
}
