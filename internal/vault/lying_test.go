package vault

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/vfs/vfstest"
)

// TestLyingDisk has a disk that says of some syncs that they are done when they are not, and then the power fails. What was acknowledged can be lost, and nothing can be
// done about that; but no wrong byte is handed out, and the check names every archive that is lost.
func TestLyingDisk(t *testing.T) {
	first := uint64(time.Now().UnixNano())
	t.Logf("the first seed is %d", first)
	lost := 0
	for seed := first; seed < first+30; seed++ {
		c := newCrash(t, seed)
		lies := rand.New(rand.NewPCG(seed, 3))
		c.disk.Fault = func(op vfstest.Op) vfstest.Fault {
			return vfstest.Fault{Lie: (op.Name == "sync" || op.Name == "syncdir") && lies.IntN(4) == 0}
		}
		c.work(t.Context())
		c.reboot(t, vfstest.Anything, false)
		named := map[string]bool{}
		_, err := c.Check(t.Context(), Inspection{Data: true, Report: func(f Finding) error {
			named[f.Archive] = named[f.Archive] || f.Severity == Wrong
			return nil
		}})
		check(t, err)
		for id, want := range c.kept {
			if c.doubt[id] {
				continue
			}
			got, err := c.readAgain(t, id)
			switch {
			case err == nil && !bytes.Equal(got, want), err != nil && !bytes.HasPrefix(want, got):
				t.Errorf("seed %d: an archive of %d bytes is handed out with %d others, %v", seed, len(want), len(got), err)
			case err != nil && !named[id]:
				t.Errorf("seed %d: archive %.20s is lost (%v), and the check does not name it", seed, id, err)
			case err != nil:
				lost++
			}
		}
		c.close(t)
	}
	t.Logf("%d archives were lost", lost)
	if lost == 0 {
		t.Error("the disk has lied about nothing that matters: the test is worth nothing")
	}
}

// readAgain reads an archive by a job.
func (c *crash) readAgain(t *testing.T, archive string) ([]byte, error) {
	t.Helper()
	job, err := c.InitiateJob(t.Context(), c.ref, JobParameters{Type: new("archive-retrieval"), ArchiveID: &archive})
	check(t, err)
	_, err = c.FinishJobs(t.Context(), AllJobs)
	check(t, err)
	return c.read(t.Context(), job)
}
