package objects

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/moraine-archive/moraine/internal/store"
)

// putLarge writes a record into an object of its own, while the payload comes in; begun is what was read of it already. Before the payload has been
// verified nothing is there but an upload that is not complete, or nothing at all.
func (s *Store) putLarge(ctx context.Context, in incoming, begun []byte) (store.Extent, error) {
	n := s.begin(1)
	defer s.end(n)
	u := s.newUpload(ctx, n.data(), in.class)
	defer u.release()
	x, err := send(u, in, begun)
	if err == nil {
		err = u.complete(x.Size > 0)
	}
	if err != nil {
		u.abandon()
		s.discard(n, u.id)
		return store.Extent{}, err
	}
	records := []store.Extent{x}
	commit, cancel := context.WithTimeout(context.WithoutCancel(ctx), packTimeout)
	defer cancel()
	if err := s.commit(commit, n, newMeta(n, records)); err != nil {
		return store.Extent{}, err
	}
	return records[0], nil
}

// send uploads a payload to its end.
func send(u *upload, in incoming, begun []byte) (store.Extent, error) {
	if err := u.write(begun); err != nil {
		return store.Extent{}, err
	}
	for {
		chunk, _, err := in.payload.Next()
		if err == io.EOF { // and nothing that wraps it: that is a failure of the payload
			return in.extent(), nil
		}
		if err != nil {
			return store.Extent{}, fmt.Errorf("read the payload: %w", err)
		}
		if err := u.write(chunk); err != nil {
			return store.Extent{}, err
		}
	}
}

// discard removes what a Put leaves that failed before it wrote a meta. What cannot be removed now is left to the sweep.
func (s *Store) discard(n name, uploadID string) {
	ctx, cancel := context.WithTimeout(context.Background(), discardTimeout)
	defer cancel()
	var err error
	if uploadID != "" {
		err = s.bucket.abort(ctx, n.data(), uploadID)
	}
	if err == nil {
		err = s.bucket.delete(ctx, n.data())
	}
	if err != nil {
		s.options.Log.Warn("what a failed upload left in the bucket cannot be removed now; the sweep will", "object", n, "error", err)
	}
}

const discardTimeout = 30 * time.Second
