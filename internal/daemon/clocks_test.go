package daemon_test

import (
	"bytes"
	"fmt"
	"path"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/daemon"
	"github.com/moraine-archive/moraine/internal/enginetest"
	"github.com/moraine-archive/moraine/internal/moraintest"
	"github.com/moraine-archive/moraine/internal/store/objects"
)

// TestSweepOfAnotherClock has a node sweep whose clock is ahead by more than the longest request. What another node is writing has its bytes in the bucket already, and will be there as a whole in
// a moment: its bytes stay. Those that were left over long ago go.
func TestSweepOfAnotherClock(t *testing.T) {
	n := nodes(t, 2, func(c *config.Config) { c.LongestRequest = time.Minute })
	o, err := objects.ParseURL(n[0].Config().Store)
	if err != nil {
		t.Fatal(err)
	}
	b := enginetest.S3(t).Client() // of the same server
	key := path.Join(o.Prefix, "data", fmt.Sprintf("%016x-0001-%024x", time.Now().UnixMilli(), 1))
	if _, err := b.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &o.Bucket, Key: &key, Body: bytes.NewReader([]byte("x")), ContentLength: aws.Int64(1)}); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		ahead time.Duration
		gone  int
	}{{5 * time.Minute, 0}, {2 * time.Hour, 1}} {
		n[1].Advance(step.ahead)
		if r := sweepOf(t, n[1]); r != step.gone {
			t.Errorf("a node that is %s ahead removes %d records, want %d", step.ahead, r, step.gone)
		}
	}
}

func sweepOf(t *testing.T, s *moraintest.Server) int {
	t.Helper()
	r, _ := maintain(t, s.Config(), daemon.Task{Name: "sweep"})
	return r.Sweep.Removed
}
