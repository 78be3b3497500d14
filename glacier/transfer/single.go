package transfer

import (
	"context"
	"fmt"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/glacier/treehash"
)

// maxSingle is the most that the service takes with one request.
const maxSingle = 4 << 30

// single reports whether a file is sent with one request.
func (t *upload) single() bool { return t.size <= min(t.Single, maxSingle) }

// sendWhole sends all of a file with one request.
func (t *upload) sendWhole(ctx context.Context) (*Archive, error) {
	f := t.source.(*file)
	f.part = f.size
	return t.sendOnce(ctx, f.partAt(0))
}

// sendOnce sends an archive with one request: again only if it cannot be there already.
func (t *upload) sendOnce(ctx context.Context, p part) (*Archive, error) {
	t.meter.begin(Sending, "", p.size)
	var before *treehash.Hash
	for again := newTries(t.Attempts, t.pause); ; {
		linear, tree, err := p.hash(ctx, true, nil)
		if err == nil && before != nil && *before != tree {
			err = fmt.Errorf("%w: they had the tree hash %s, and have %s", ErrChanged, *before, tree)
		}
		if err == nil && t.source != nil {
			err = t.source.unchanged()
		}
		if err != nil {
			return nil, fmt.Errorf("upload: %w", err)
		}
		before = &tree
		archive, err := t.post(ctx, p, linear, tree)
		switch {
		case archive != nil: // stored, and maybe not what was sent: a second one would not mend that
			return archive, err
		case glacier.MayHaveSucceeded(err):
			return nil, &UncertainError{Vault: t.vault, Description: t.description, TreeHash: tree.String(), Size: p.size, Err: err}
		case !again.again(ctx, err):
			return nil, err
		}
	}
}

func (t *upload) post(ctx context.Context, p part, linear, tree treehash.Hash) (*Archive, error) {
	ctx, dog := watch(ctx, t.Stall)
	defer dog.end()
	b := &body{SectionReader: p.reader(), meter: t.meter, dog: dog}
	out, err := t.Client.UploadArchive(ctx, t.vault, b, glacier.UploadArchiveOptions{
		Description: t.description, LinearHash: linear.String(), TreeHash: tree.String(),
	})
	if err != nil {
		b.forget()
		return nil, stalled(ctx, err)
	}
	t.meter.finished(p.size - b.read)
	t.id = out.ArchiveID // which the error names
	return &Archive{ID: out.ArchiveID, Location: out.Location, TreeHash: tree.String(), Size: p.size}, t.confirm(out.TreeHash, 0, p.size, tree)
}
