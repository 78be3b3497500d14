package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/glacier/treehash"
)

// upload is an upload under way.
type upload struct {
	Uploader // with its defaults

	vault, description string
	source             source
	size               int64 // -1: unknown
	id                 string
	partSize           int64
	meter              *meter

	have  map[int]stored        // by index: what the service has listed
	known map[int]treehash.Hash // by index: what was computed before parts are sent

	mu     sync.Mutex
	gone   bool                  // guarded by mu: the upload is not open any more
	hashes map[int]treehash.Hash // guarded by mu: of the parts that are done
	done   int64                 // guarded by mu: bytes of them
	reused int64                 // guarded by mu: bytes that were there
}

// stored is a part that the service has.
type stored struct {
	size int64
	hash treehash.Hash
}

// multipart sends what is not there, and completes.
func (t *upload) multipart(ctx context.Context) (*Archive, error) {
	if t.id == "" {
		out, err := steadily(ctx, newTries(t.Attempts, t.pause), t.Stall, func(ctx context.Context, _ *watchdog) (*glacier.InitiateMultipartUploadOutput, error) {
			return t.Client.InitiateMultipartUpload(ctx, t.vault, t.partSize, t.description)
		})
		if err != nil {
			return nil, err
		}
		t.id = out.UploadID
	}
	t.hashes = map[int]treehash.Hash{}
	t.meter.begin(Sending, t.id, t.size)
	err := t.run(ctx)
	if err == nil {
		err = t.complies()
	}
	var archive *Archive
	if err == nil {
		archive, err = t.complete(ctx)
	}
	switch {
	case err == nil:
		return archive, nil
	case errors.Is(err, ErrMismatch), errors.Is(err, glacier.ErrEmpty):
		return nil, err
	case t.gone && errors.Is(err, glacier.ErrNotFound):
		return nil, fmt.Errorf("the upload %s does not exist any more, and no archive was made of it lately: %w", t.id, err)
	case t.gone && errors.Is(err, glacier.ErrInvalidParameter):
		return nil, fmt.Errorf("%w: the upload %s was completed: %w", ErrMismatch, t.id, err)
	}
	return nil, t.interrupted(err)
}

// complies reports, when the end is reached, whether there is what can be completed.
func (t *upload) complies() error {
	if len(t.hashes) == 0 {
		return fmt.Errorf("upload: %w", glacier.ErrEmpty)
	}
	for i := range t.have {
		if _, sent := t.hashes[i]; !sent {
			return overrun(t.done)
		}
	}
	return t.source.unchanged()
}

// overrun is that an upload has more bytes than there are.
func overrun(size int64) error {
	return fmt.Errorf("%w: it has bytes behind the %d that are to be uploaded", ErrMismatch, size)
}

func (t *upload) interrupted(err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := &InterruptedError{Vault: t.vault, UploadID: t.id, Done: t.done, Total: t.size, Err: err}
	if t.gone {
		e.Done = 0 // nobody knows
	}
	return e
}

// run takes care of every part. If the source fails, parts in flight are sent to their end.
func (t *upload) run(ctx context.Context) error {
	g, within := errgroup.WithContext(ctx)
	g.SetLimit(t.Concurrency)
	for {
		p, err := t.source.next(within)
		if err != nil {
			failed := g.Wait()
			if failed == nil && !errors.Is(err, io.EOF) {
				failed = err
			}
			return failed
		}
		g.Go(func() error {
			defer p.free()
			return t.part(within, p)
		})
	}
}

// part sends a part, unless the service has it.
func (t *upload) part(ctx context.Context, p part) error {
	there, listed := t.have[p.index]
	if listed && there.size > p.size { // a stream that was longer: the part stays, so that the next one is held against it too
		return overrun(p.offset + p.size)
	}
	tree, known := t.known[p.index]
	gone := t.isGone()
	if !known && (gone || listed && there.size == p.size) {
		var err error
		if _, tree, err = p.hash(ctx, false, nil); err != nil {
			return err
		}
		known = true
	}
	switch {
	case known && (gone || there == stored{p.size, tree}):
		t.keep(p, tree, true)
		t.meter.finished(p.size)
		return nil
	case known:
		return t.send(ctx, p, &tree)
	}
	return t.send(ctx, p, nil)
}

// send sends a part until it has arrived. Each attempt reads it again; a hash other than the one before is a change of the file.
func (t *upload) send(ctx context.Context, p part, before *treehash.Hash) error {
	for again := newTries(t.Attempts, t.pause); ; {
		linear, tree, err := p.hash(ctx, true, nil)
		if err != nil {
			return err
		}
		if before != nil && *before != tree {
			return localError{fmt.Errorf("%w: bytes %d-%d had the tree hash %s, and have %s", ErrChanged, p.offset, p.offset+p.size-1, *before, tree)}
		}
		before = &tree
		err = t.put(ctx, p, linear, tree)
		switch {
		case err == nil:
			t.keep(p, tree, false)
			return nil
		case errors.Is(err, glacier.ErrNotFound):
			t.lose(p, tree)
			return nil
		case !again.again(ctx, err):
			return err
		}
	}
}

// put sends a part once, as far as the client does.
func (t *upload) put(ctx context.Context, p part, linear, tree treehash.Hash) error {
	ctx, dog := watch(ctx, t.Stall)
	defer dog.end()
	b := &body{SectionReader: p.reader(), meter: t.meter, dog: dog}
	out, err := t.Client.UploadMultipartPart(ctx, t.vault, t.id, p.offset, b, glacier.UploadMultipartPartOptions{LinearHash: linear.String(), TreeHash: tree.String()})
	if err == nil {
		err = t.confirm(out.TreeHash, p.offset, p.size, tree)
	}
	if err != nil {
		b.forget()
		return stalled(ctx, err)
	}
	t.meter.finished(p.size - b.read)
	return nil
}

// confirm holds what the service says that it has against what was sent.
func (t *upload) confirm(answer string, offset, size int64, tree treehash.Hash) error {
	if got, err := treehash.Parse(answer); answer != "" && (err != nil || got != tree) {
		return &DamagedError{ID: t.id, First: offset, Last: offset + size - 1, Want: tree.String(), Got: answer}
	}
	return nil
}

// keep remembers a part that is where it belongs.
func (t *upload) keep(p part, tree treehash.Hash, there bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hashes[p.index] = tree
	t.done += p.size
	if there {
		t.reused += p.size
	}
}

// lose notes that the upload is not open any more. It may be that somebody has completed it, with the same bytes: CompleteMultipartUpload will tell, and it needs only the hash.
func (t *upload) lose(p part, tree treehash.Hash) {
	t.mu.Lock()
	t.gone = true
	t.mu.Unlock()
	t.keep(p, tree, true)
	t.meter.finished(p.size)
}

func (t *upload) isGone() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.gone
}

// complete makes the archive.
func (t *upload) complete(ctx context.Context) (*Archive, error) {
	var whole treehash.Tree
	for i := range len(t.hashes) {
		whole.Add(t.hashes[i])
	}
	tree := whole.Sum()
	t.meter.begin(Completing, t.id, t.done)
	t.meter.moved(t.done)
	out, err := steadily(ctx, newTries(t.Attempts, t.pause), t.Stall, func(ctx context.Context, _ *watchdog) (*glacier.UploadArchiveOutput, error) {
		return t.Client.CompleteMultipartUpload(ctx, t.vault, t.id, t.done, tree.String())
	})
	if err == nil {
		err = t.confirm(out.TreeHash, 0, t.done, tree)
	}
	if err != nil {
		return nil, err
	}
	return &Archive{ID: out.ArchiveID, Location: out.Location, TreeHash: tree.String(), Size: t.done, UploadID: t.id, Reused: t.reused}, nil
}

// body counts what is read of a part, and keeps the watchdog quiet. It is read from the beginning for each request.
type body struct {
	*io.SectionReader
	meter *meter
	dog   *watchdog
	read  int64
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.SectionReader.Read(p)
	b.read += int64(n)
	b.meter.moved(int64(n))
	b.dog.moved()
	return n, err
}

func (b *body) Seek(offset int64, whence int) (int64, error) {
	b.forget()
	return b.SectionReader.Seek(offset, whence)
}

// forget takes back what was counted.
func (b *body) forget() {
	b.meter.moved(-b.read)
	b.read = 0
}

// stalled adds to an error that the watchdog has ended the request, if so.
func stalled(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), ErrStalled) && !errors.Is(err, ErrStalled) {
		return errors.Join(err, ErrStalled)
	}
	return err
}
