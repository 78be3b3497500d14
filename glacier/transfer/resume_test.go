package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/glacier/transfer"
	"github.com/moraine-archive/moraine/internal/config"
)

// begin begins an upload and stores the parts of a body that are named. It returns the id.
func (r *rig) begin(t *testing.T, description string, partSize int, body []byte, parts ...int) string {
	t.Helper()
	out, err := r.client.InitiateMultipartUpload(t.Context(), "v", int64(partSize), description)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range parts {
		b := body[i*partSize : min(len(body), (i+1)*partSize)]
		if _, err := r.client.UploadMultipartPart(t.Context(), "v", out.UploadID, int64(i*partSize), bytes.NewReader(b), glacier.UploadMultipartPartOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return out.UploadID
}

// TestInterruptUpload cancels uploads at random moments and goes on with them, by the id or without it. No more is sent again than was in flight.
func TestInterruptUpload(t *testing.T) {
	r := start(t, 1, func(c *config.Config) { c.Page = 3 })
	rnd := seeded(t, 0)
	const parts, concurrency = 12, 3
	body := data(parts*mib - 1000)
	want := treeOf(t, body)
	for round := range 12 {
		ctx, cancel := context.WithCancel(t.Context())
		at := int64(rnd.IntN(len(body)))
		r.wire.harm = func(_ string, n int, _ *http.Request) fault {
			return fault{wait: time.Duration(n*7%4) * time.Millisecond}
		}
		description := fmt.Sprint("round ", round)
		up := transfer.Uploader{Client: r.client, PartSize: mib, Single: -1, Concurrency: concurrency}.Hurry()
		up.Progress = func(e transfer.Event) {
			if e.Phase == transfer.Sending && e.Done >= at {
				cancel()
			}
		}
		before, sent := r.wire.requests("part"), r.wire.sent("part")
		began := time.Now()
		a, err := up.Upload(ctx, "v", bytes.NewReader(body), int64(len(body)), description)
		i, ok := errors.AsType[*transfer.InterruptedError](err)
		if !ok || !errors.Is(err, context.Canceled) || i.UploadID == "" || time.Since(began) > 10*time.Second {
			t.Fatalf("cancelled after %d bytes: %+v, %v", at, a, err)
		}
		cancel()
		up.Progress = nil
		if round%2 == 0 {
			a, err = up.Resume(t.Context(), "v", i.UploadID, bytes.NewReader(body), int64(len(body)))
		} else {
			a, err = up.ResumeOrUpload(t.Context(), "v", bytes.NewReader(body), int64(len(body)), description)
		}
		if err != nil || a.TreeHash != want || a.Reused < i.Done {
			t.Fatalf("cancelled after %d bytes, %d done, then: %+v, %v", at, i.Done, a, err)
		}
		if i.Done > 0 && a.UploadID != i.UploadID {
			t.Errorf("cancelled after %d bytes, %d done: another upload was begun", at, i.Done)
		}
		if n := r.wire.requests("part") - before; n > parts+concurrency {
			t.Errorf("%d parts were sent, %d are in the file", n, parts)
		}
		if n := r.wire.sent("part") - sent; n > int64(len(body))+concurrency*mib {
			t.Errorf("%d bytes were sent, %d are in the file", n, len(body))
		}
	}
	if n := r.archives(t); n != 12 {
		t.Errorf("there are %d archives, want 12", n)
	}
}

// TestLostComplete completes an upload whose answer is lost, and then gets the archive that there is.
func TestLostComplete(t *testing.T) {
	r := start(t, 1)
	body := data(3*mib + 1)
	size := int64(len(body))
	up := transfer.Uploader{Client: r.client, PartSize: mib, Single: -1}.Hurry()
	r.wire.harm = func(op string, _ int, _ *http.Request) fault { return fault{lost: op == "complete"} }
	_, err := up.Upload(t.Context(), "v", bytes.NewReader(body), size, "")
	i, ok := errors.AsType[*transfer.InterruptedError](err)
	if !ok || i.Done != size {
		t.Fatal(err)
	}
	r.wire.harm = nil
	sent := r.wire.requests("part")
	var ids []string
	for range 2 {
		a, err := up.Resume(t.Context(), "v", i.UploadID, bytes.NewReader(body), size)
		if err != nil || a.TreeHash != treeOf(t, body) || a.Reused != size {
			t.Fatalf("%+v, %v", a, err)
		}
		b, err := up.ResumeStream(t.Context(), "v", i.UploadID, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, a.ID, b.ID)
	}
	if slices.Sort(ids); len(slices.Compact(ids)) != 1 || r.archives(t) != 1 || r.wire.requests("part") != sent {
		t.Errorf("the ids are %q, and there are %d archives", ids, r.archives(t))
	}
	_, err = up.Resume(t.Context(), "v", i.UploadID, bytes.NewReader(body[1:]), size-1)
	if !errors.Is(err, transfer.ErrMismatch) {
		t.Errorf("with other bytes: %v", err)
	}
	open := r.begin(t, "", mib, body)
	if _, err := r.client.AbortMultipartUpload(t.Context(), "v", open); err != nil {
		t.Fatal(err)
	}
	_, err = up.Resume(t.Context(), "v", open, bytes.NewReader(body), size)
	if _, interrupted := errors.AsType[*transfer.InterruptedError](err); !errors.Is(err, glacier.ErrNotFound) || interrupted {
		t.Errorf("an upload that was aborted: %v", err)
	}
}

// TestAborted ends an upload that somebody gives up meanwhile.
func TestAborted(t *testing.T) {
	r := start(t, 1)
	body := data(6 * mib)
	up := transfer.Uploader{Client: r.client, PartSize: mib, Single: -1, Concurrency: 2}.Hurry()
	up.Progress = func(e transfer.Event) {
		if e.Parts == 2 {
			r.client.AbortMultipartUpload(t.Context(), "v", e.ID)
		}
	}
	_, err := up.Upload(t.Context(), "v", bytes.NewReader(body), 6*mib, "")
	if !errors.Is(err, glacier.ErrNotFound) || r.archives(t) != 0 {
		t.Errorf("%v", err)
	}
}

// TestFind goes on with the right one of the uploads that are open, or with none.
func TestFind(t *testing.T) {
	body := data(5*mib + 7)
	other := slices.Clone(body)
	other[4*mib+3] ^= 1
	longer := append(slices.Clone(body), make([]byte, 2*mib)...)
	for name, c := range map[string]struct {
		begun  func(r *rig) string // the id that is gone on with
		reused int64
	}{
		"nothing": {func(*rig) string { return "" }, 0},
		"another description": {func(r *rig) string {
			r.begin(t, "e", mib, body, 0, 1)
			r.begin(t, "", mib, body, 0, 1)
			return ""
		}, 0},
		"one without parts": {func(r *rig) string { r.begin(t, "d", mib, body); return "" }, 0},
		"other bytes":       {func(r *rig) string { r.begin(t, "d", mib, other, 0, 4); return "" }, 0},
		"a longer file":     {func(r *rig) string { r.begin(t, "d", mib, longer, 0, 5); return "" }, 0},
		"one that fits":     {func(r *rig) string { return r.begin(t, "d", mib, body, 1, 5) }, mib + 7},
		"other part size":   {func(r *rig) string { return r.begin(t, "d", 2*mib, body, 0, 2) }, 3*mib + 7},
		"the fullest": {func(r *rig) string {
			r.begin(t, "d", mib, body, 0)
			id := r.begin(t, "d", mib, body, 0, 2, 3)
			r.begin(t, "d", mib, body, 1, 2)
			return id
		}, 3 * mib},
		"not the fullest, which differs": {func(r *rig) string {
			r.begin(t, "d", mib, other, 0, 1, 2, 3, 4)
			r.begin(t, "d", 4*mib, other, 0, 1)
			return r.begin(t, "d", mib, body, 0)
		}, mib},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, 1, func(c *config.Config) { c.Page = 2 })
			id := c.begun(r)
			before := r.wire.requests("part")
			up := transfer.Uploader{Client: r.client, PartSize: mib, Single: -1}.Hurry()
			a, err := up.ResumeOrUpload(t.Context(), "v", bytes.NewReader(body), int64(len(body)), "d")
			if err != nil || a.TreeHash != treeOf(t, body) || a.Reused != c.reused || id != "" && a.UploadID != id {
				t.Fatalf("%+v, %v; want the upload %q", a, err, id)
			}
			if id == "" && r.wire.requests("part")-before != 6 {
				t.Errorf("%d parts were sent, want 6", r.wire.requests("part")-before)
			}
		})
	}
}

// TestResume replaces parts that differ, and refuses an upload of another file.
func TestResume(t *testing.T) {
	r := start(t, 1)
	body := data(4*mib + 7)
	size := int64(len(body))
	other := slices.Clone(body)
	for i := range 4 {
		other[i*mib+5] ^= 1
	}
	up := transfer.Uploader{Client: r.client, PartSize: 8 * mib, Single: -1}.Hurry()

	mixed := r.begin(t, "", mib, body, 0, 1, 2, 3)
	for i, b := range map[int][]byte{1: other[mib : 2*mib], 4: body[4*mib : 4*mib+3]} {
		if _, err := r.client.UploadMultipartPart(t.Context(), "v", mixed, int64(i)*mib, bytes.NewReader(b), glacier.UploadMultipartPartOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	before := r.wire.requests("part")
	a, err := up.Resume(t.Context(), "v", mixed, bytes.NewReader(body), size)
	if err != nil || a.TreeHash != treeOf(t, body) || a.Reused != 3*mib || r.wire.requests("part")-before != 2 {
		t.Errorf("some parts differ: %+v, %v", a, err)
	}

	for name, id := range map[string]string{"other bytes": r.begin(t, "", mib, other, 0, 2), "bytes behind": r.begin(t, "", mib, append(body, other...), 0, 6)} {
		before := r.wire.requests("part")
		if _, err := up.Resume(t.Context(), "v", id, bytes.NewReader(body), size); !errors.Is(err, transfer.ErrMismatch) || r.wire.requests("part") != before {
			t.Errorf("%s: %v", name, err)
		}
	}
	empty := r.begin(t, "", 2*mib, body)
	if a, err := up.Resume(t.Context(), "v", empty, bytes.NewReader(body), size); err != nil || a.UploadID != empty || a.Reused != 0 {
		t.Errorf("without a part: %+v, %v", a, err)
	}
}

// TestShorterStream makes no archive of a stream that ends before what the service has, and leaves that as it is.
func TestShorterStream(t *testing.T) {
	r := start(t, 1)
	body := data(4 * mib)
	up := transfer.Uploader{Client: r.client, PartSize: mib, Single: -1}.Hurry()
	id := r.begin(t, "", mib, body, 0, 1, 2)
	for _, n := range []int{0, mib, 2 * mib, 2*mib + 7, 3*mib - 1} {
		if _, err := up.ResumeStream(t.Context(), "v", id, bytes.NewReader(body[:n])); n > 0 && !errors.Is(err, transfer.ErrMismatch) || n == 0 && !errors.Is(err, glacier.ErrEmpty) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	a, err := up.ResumeStream(t.Context(), "v", id, bytes.NewReader(body))
	if err != nil || a.Reused != 3*mib || a.TreeHash != treeOf(t, body) || r.archives(t) != 1 {
		t.Errorf("all of it: %+v, %v", a, err)
	}
	if _, err := up.ResumeStream(t.Context(), "v", r.begin(t, "", mib, body), bytes.NewReader(nil)); !errors.Is(err, glacier.ErrEmpty) {
		t.Errorf("nothing for an upload without a part: %v", err)
	}
	id = r.begin(t, "", mib, body, 0, 1, 2)
	if _, err := up.Resume(t.Context(), "v", id, bytes.NewReader(body), 3*mib-1); !errors.Is(err, transfer.ErrMismatch) {
		t.Errorf("a file with a byte less: %v", err)
	}
}

// TestNoCredentials does not try a part again that there is nothing to sign with.
func TestNoCredentials(t *testing.T) {
	r := start(t, 1)
	body := data(2 * mib)
	id := r.begin(t, "", mib, body, 0)
	asked := 0
	c := r.connect(t, 5, func(o *glacier.Options) {
		valid := o.Credentials
		o.Credentials = aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
			if asked++; asked > 2 { // the parts were listed
				return aws.Credentials{}, errors.New("the session has ended")
			}
			return valid.Retrieve(ctx)
		})
	})
	_, err := transfer.Uploader{Client: c, Concurrency: 1}.Hurry().Resume(t.Context(), "v", id, bytes.NewReader(body), 2*mib)
	if i, ok := errors.AsType[*transfer.InterruptedError](err); !ok || i.Done != mib || !errors.Is(err, glacier.ErrAuthentication) || asked != 3 {
		t.Errorf("asked %d times: %v", asked, err)
	}
}

// TestSameFileAtOnce uploads a file several times at once: by themselves they make archives of their own, and all that go on with one upload make one.
func TestSameFileAtOnce(t *testing.T) {
	r := start(t, 3)
	body := data(8*mib + 1)
	size := int64(len(body))
	up := transfer.Uploader{Client: r.client, PartSize: mib, Single: -1, Concurrency: 2, Attempts: 5}.Hurry()
	all := func(n int, upload func() (*transfer.Archive, error)) map[string]int {
		var mu sync.Mutex
		ids := map[string]int{}
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				a, err := upload()
				if err != nil {
					t.Errorf("%v", err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				ids[a.ID]++
			})
		}
		wg.Wait()
		return ids
	}
	if ids := all(3, func() (*transfer.Archive, error) {
		return up.Upload(t.Context(), "v", bytes.NewReader(body), size, "d")
	}); len(ids) != 3 {
		t.Errorf("Upload: %v", ids)
	}
	for range 5 {
		id := r.begin(t, "d", mib, body, 3)
		if ids := all(4, func() (*transfer.Archive, error) { return up.Resume(t.Context(), "v", id, bytes.NewReader(body), size) }); len(ids) != 1 {
			t.Errorf("Resume: %v", ids)
		}
	}
	if n := r.archives(t); n != 8 {
		t.Errorf("there are %d archives, want 8", n)
	}
}
