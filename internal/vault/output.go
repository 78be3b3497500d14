package vault

import (
	"context"
	"errors"
	"io"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
)

// Output is what a finished job offers for download.
type Output struct {
	Size        int64
	MediaType   string
	Description string // of the archive

	s       *Service
	job     catalogue.Job
	content content
	base    int64 // where in content the output begins
}

// GetJobOutput returns the output of a finished job. Nothing is read yet.
func (s *Service) GetJobOutput(ctx context.Context, ref Ref, id string) (*Output, error) {
	var o *Output
	err := s.rows.View(ctx, func(tx *catalogue.Tx) error {
		j, err := s.job(tx, ref, id)
		if err != nil {
			return err
		}
		if j.Status != catalogue.Succeeded {
			return fault.New(fault.Invalid, "The job is not currently available for download: %s", id)
		}
		o, err = s.output(tx, j)
		return err
	})
	return o, err
}

func (s *Service) output(tx *catalogue.Tx, j catalogue.Job) (*Output, error) {
	if j.Action == inventoryRetrieval {
		c := content{place: store.Place(*j.OutputPlace), again: finderOfOutput(j.ID)}
		o := &Output{Size: *j.OutputSize, MediaType: "application/json", s: s, job: j, content: c}
		if *j.Format == "CSV" {
			o.MediaType = "text/csv"
		}
		return o, nil
	}
	c, err := contentOf(tx, *j.ArchiveID)
	if err != nil {
		return nil, err
	}
	o := &Output{Size: j.Last - j.First + 1, MediaType: "application/octet-stream", s: s, job: j, content: c, base: j.First}
	if j.ArchiveDescription != nil {
		o.Description = *j.ArchiveDescription
	}
	return o, nil
}

func finderOfOutput(job string) finder {
	return func(tx *catalogue.Tx) (store.Place, error) {
		w, err := tx.WhereOutput(job)
		return store.Place(w.Place), err
	}
}

// Open returns the bytes of the output from first to last, both inclusive, verified.
func (o *Output) Open(ctx context.Context, first, last int64) (io.ReadCloser, error) {
	r, err := o.s.open(ctx, o.content, o.base+first, last-first+1)
	if errors.Is(err, store.ErrCold) {
		err = o.bringBack(ctx, err)
	}
	return r, err
}

// TreeHash returns the tree hash of the bytes from first to last. There is one only if both the job's range and this one are nodes of the archive's tree.
func (o *Output) TreeHash(ctx context.Context, first, last int64) (hash treehash.Hash, ok bool, err error) {
	if o.job.TreeHash == nil || !treehash.Aligned(o.base+first, o.base+last, o.job.ArchiveSize) {
		return hash, false, nil
	}
	if first == 0 && last == o.Size-1 {
		hash, err = treehash.FromBytes(o.job.TreeHash)
	} else {
		hash, err = o.s.treeHash(ctx, o.content, o.base+first, o.base+last)
	}
	return hash, err == nil, err
}
