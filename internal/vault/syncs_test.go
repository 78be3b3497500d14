package vault

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/catalogue"
	times "github.com/moraine-archive/moraine/internal/clock"
	"github.com/moraine-archive/moraine/internal/store/volume"
	"github.com/moraine-archive/moraine/internal/vfs/vfstest"
)

// countedBody is a body of one read, and counts it.
type countedBody struct {
	io.Reader
	read *atomic.Int64
}

func (b countedBody) Read(p []byte) (int, error) {
	b.read.Add(1)
	return b.Reader.Read(p)
}

// TestUploadsShareSyncs uploads many small archives at once and counts: a sync of the volume and a commit of the catalogue are shared by all that wait.
func TestUploadsShareSyncs(t *testing.T) {
	const clients = 64
	rows, err := catalogue.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "catalogue.db"))
	check(t, err)
	defer rows.Close()
	disk, clock := vfstest.New(), &stoppedClock{now: time.Date(2024, 2, 29, 10, 11, 12, 0, time.UTC)}
	volumes, err := volume.Open(disk, "volumes", volume.Defaults(), clock.Now)
	check(t, err)
	s := New(rows, volumes, Defaults(), times.Of(clock.Now), slog.New(slog.DiscardHandler))
	ref := Ref{"123456789012", "v"}
	check(t, s.CreateVault(t.Context(), ref))
	_, _, err = s.UploadArchive(t.Context(), ref, "", payloadOf([]byte("begins the volume")))
	check(t, err)

	var read, syncs, commits atomic.Int64
	disk.Fault = func(op vfstest.Op) vfstest.Fault {
		if op.Name == "sync" && syncs.Add(1) == 1 {
			for read.Load() < clients { // while the first is synced, all others come
				runtime.Gosched()
			}
		}
		return vfstest.Fault{}
	}
	rows.FailCommits(func() catalogue.CommitFault {
		commits.Add(1)
		return catalogue.CommitWorks
	})
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			u := payloadOf([]byte{byte(i)})
			u.Body = countedBody{u.Body, &read}
			if _, _, err := s.UploadArchive(context.Background(), ref, "", u); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	t.Logf("%d uploads: %d syncs of the volume, %d commits of the catalogue", clients, syncs.Load(), commits.Load())
	if syncs.Load() > clients/8 || commits.Load() > clients/2 {
		t.Errorf("%d uploads at once took %d syncs and %d commits", clients, syncs.Load(), commits.Load())
	}
}
