package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/glacier/treehash"
)

// join takes an upload that was begun before, and what the service has of it. One that is not open is taken too: it may have been completed.
func (t *upload) join(ctx context.Context, id string) error {
	t.id = id
	head, err := steadily(ctx, newTries(t.Attempts, t.pause), t.Stall, func(ctx context.Context, _ *watchdog) (*glacier.PartList, error) {
		return t.Client.ListParts(ctx, t.vault, id, glacier.Page{Limit: 1})
	})
	if errors.Is(err, glacier.ErrNotFound) {
		t.gone = true
		return nil
	}
	if err != nil {
		return t.interrupted(err)
	}
	if t.have, err = t.list(ctx, id, head.PartSizeInBytes); err != nil {
		return t.interrupted(err)
	}
	return t.cut(head.PartSizeInBytes)
}

// cut cuts the file into parts of a size.
func (t *upload) cut(size int64) error {
	if t.size > 0 && partCount(t.size, size) > maxParts {
		return fmt.Errorf("%w: its parts have %d bytes, and %d bytes would be more than %d parts", ErrMismatch, size, t.size, maxParts)
	}
	t.partSize = size
	if f, ok := t.source.(*file); ok {
		f.part = size
	}
	return checkPartSize(size)
}

// list returns the parts that the service has.
func (t *upload) list(ctx context.Context, id string, partSize int64) (map[int]stored, error) {
	return steadily(ctx, newTries(t.Attempts, t.pause), t.Stall, func(ctx context.Context, dog *watchdog) (map[int]stored, error) {
		have := map[int]stored{}
		for p, err := range t.Client.Parts(ctx, t.vault, id) {
			if err != nil {
				return nil, err
			}
			dog.moved()
			var first, last int64
			if n, err := fmt.Sscanf(p.RangeInBytes, "%d-%d", &first, &last); n != 2 || first < 0 || last < first || partSize <= 0 || first%partSize != 0 {
				return nil, fmt.Errorf("the service lists a part with the range %q (%v)", p.RangeInBytes, err)
			}
			hash, err := treehash.Parse(p.SHA256TreeHash)
			if err != nil {
				return nil, fmt.Errorf("the service lists a part with the tree hash %q: %w", p.SHA256TreeHash, err)
			}
			have[int(first/partSize)] = stored{last - first + 1, hash}
		}
		return have, nil
	})
}

// recognise holds the parts that the service has against the file, which is refused if it is another one.
func (t *upload) recognise(ctx context.Context) error {
	if t.gone || len(t.have) == 0 {
		return nil
	}
	for i, s := range t.have {
		if int64(i)*t.partSize+s.size > t.size {
			return overrun(t.size)
		}
	}
	same, err := t.compare(ctx, t.have, false)
	switch {
	case err != nil:
		return t.interrupted(err)
	case same == 0:
		return fmt.Errorf("%w: of %d parts none is the same", ErrMismatch, len(t.have))
	}
	return nil
}

// errDiffers ends a comparison.
var errDiffers = errors.New("a part differs")

// compare reads what the service has from the file, several parts at once, and returns how many parts are the same. It remembers the hashes. A strict comparison
// ends at the first part that differs.
func (t *upload) compare(ctx context.Context, have map[int]stored, strict bool) (int, error) {
	f := t.source.(*file)
	var total int64
	for i, s := range have {
		if f.partAt(i).size == s.size {
			total += s.size
		} else if strict {
			return 0, errDiffers
		}
	}
	t.meter.begin(Hashing, t.id, total)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(t.Concurrency)
	same := 0
	for _, i := range slices.Sorted(maps.Keys(have)) {
		p, s := f.partAt(i), have[i]
		if p.size != s.size {
			continue
		}
		g.Go(func() error {
			tree, err := t.remember(ctx, p)
			switch {
			case err != nil:
				return err
			case tree == s.hash:
				t.mu.Lock()
				defer t.mu.Unlock()
				same++
			case strict:
				return errDiffers
			}
			return nil
		})
	}
	err := g.Wait()
	return same, err
}

// remember returns the tree hash of a part, which is computed once.
func (t *upload) remember(ctx context.Context, p part) (treehash.Hash, error) {
	t.mu.Lock()
	tree, known := t.known[p.index]
	t.mu.Unlock()
	if known {
		t.meter.finished(p.size)
		return tree, nil
	}
	_, tree, err := p.hash(ctx, false, t.meter.moved)
	if err != nil {
		return tree, err
	}
	t.meter.finished(0)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil {
		t.known = map[int]treehash.Hash{}
	}
	t.known[p.index] = tree
	return tree, nil
}

// candidate is an upload that may be one of the file.
type candidate struct {
	glacier.Upload
	have map[int]stored
}

// find looks for an open upload of the same bytes, and joins it. If there is none, it changes nothing.
func (t *upload) find(ctx context.Context) error {
	all, err := t.candidates(ctx)
	if err != nil {
		return err
	}
	own := t.partSize
	for _, c := range all {
		if c.PartSizeInBytes != t.partSize {
			t.known = nil // they are of other parts
		}
		if err := t.cut(c.PartSizeInBytes); err != nil {
			continue
		}
		_, err := t.compare(ctx, c.have, true)
		switch {
		case err == nil:
			t.id, t.have = c.ID, c.have
			return nil
		case !errors.Is(err, errDiffers):
			return err
		}
	}
	if own != t.partSize {
		t.known = nil
	}
	return t.cut(own)
}

// candidates are the open uploads with the description and with parts that are where those of the file would be; those with most of the file first.
func (t *upload) candidates(ctx context.Context) (all []candidate, err error) {
	open, err := t.open(ctx)
	if err != nil {
		return nil, err
	}
	for _, u := range open {
		if checkPartSize(u.PartSizeInBytes) != nil {
			continue
		}
		have, err := t.list(ctx, u.ID, u.PartSizeInBytes)
		if errors.Is(err, glacier.ErrNotFound) {
			continue // it has ended since
		}
		if err != nil {
			return nil, err
		}
		if t.plausible(u.PartSizeInBytes, have) {
			all = append(all, candidate{u, have})
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int {
		return cmp.Compare(int64(len(b.have))*b.PartSizeInBytes, int64(len(a.have))*a.PartSizeInBytes)
	})
	return all, nil
}

// open returns the uploads of the vault that are open and that have the description.
func (t *upload) open(ctx context.Context) ([]glacier.Upload, error) {
	return steadily(ctx, newTries(t.Attempts, t.pause), t.Stall, func(ctx context.Context, dog *watchdog) (all []glacier.Upload, err error) {
		for u, err := range t.Client.MultipartUploads(ctx, t.vault) {
			if err != nil {
				return nil, err
			}
			dog.moved()
			if strings.TrimSpace(u.ArchiveDescription) == strings.TrimSpace(t.description) {
				all = append(all, u)
			}
		}
		return all, nil
	})
}

// plausible reports whether the file can have the parts. An upload without a part says nothing: it may be one of another file that somebody has just begun.
func (t *upload) plausible(size int64, have map[int]stored) bool {
	n := partCount(t.size, size)
	if n > maxParts || len(have) == 0 {
		return false
	}
	for i, s := range have {
		if int64(i) >= n || s.size != min(size, t.size-int64(i)*size) {
			return false
		}
	}
	return true
}
