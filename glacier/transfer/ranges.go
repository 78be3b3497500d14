package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/glacier/treehash"
)

// fetch fetches a range and hands its MiBs on, with their offsets in the range, from the beginning again if it comes damaged. What was handed on is good when fetch
// returns without an error. It returns the tree hash.
func (t *download) fetch(ctx context.Context, first, last int64, keep func(int64, []byte) error) (treehash.Hash, error) {
	for again := newTries(t.Attempts, t.pause); ; {
		got, want, err := t.read(ctx, first, last, keep)
		if err != nil {
			return got, err
		}
		if hash, err := treehash.Parse(want); want == "" || err == nil && hash == got {
			t.meter.finished(0)
			return got, nil
		}
		t.meter.moved(first - last - 1)
		err = &DamagedError{ID: t.job, First: first, Last: last, Want: want, Got: got.String()}
		if !again.again(ctx, err) {
			return got, err
		}
	}
}

// read reads a range once. want is the tree hash that the service says it has, "" if it says nothing.
func (t *download) read(ctx context.Context, first, last int64, keep func(int64, []byte) error) (got treehash.Hash, want string, err error) {
	r := &rangeReader{ctx: ctx, t: t, first: first, at: first, last: last, again: newTries(t.Attempts, t.pause)}
	defer r.close()
	s := treehash.NewStream(r, last-first+1, nil)
	defer s.Close()
	var counted int64
	for {
		at := s.Read()
		leaf, _, err := s.Next()
		if errors.Is(err, io.EOF) {
			return s.Sum(), r.hash, nil
		}
		if err == nil {
			counted += int64(len(leaf))
			t.meter.moved(int64(len(leaf)))
			err = keep(at, leaf)
		}
		if err != nil {
			t.meter.moved(-counted)
			return got, "", err
		}
	}
}

// rangeReader reads a range. When the connection breaks it goes on where it was.
type rangeReader struct {
	ctx             context.Context
	t               *download
	first, at, last int64
	hash            string // that the service says the whole range has
	again           *tries // without progress

	body   io.ReadCloser // nil: there is no connection
	dog    *watchdog
	within context.Context // of the connection
	opened int64           // where it began
}

// enough is how many bytes a connection has to bring so that it is not counted as a failure.
const enough = 64 << 10

func (r *rangeReader) Read(p []byte) (int, error) {
	for {
		if r.at > r.last {
			return 0, io.EOF
		}
		n, err := r.readOnce(p)
		if n > 0 {
			r.at += int64(n)
			return n, nil // the error comes again
		}
		if err == nil {
			continue
		}
		r.close()
		if r.at-r.opened >= enough {
			r.again = newTries(r.t.Attempts, r.t.pause)
		}
		if !r.again.again(r.ctx, err) {
			return 0, err
		}
	}
}

func (r *rangeReader) readOnce(p []byte) (int, error) {
	if r.body == nil {
		if err := r.open(); err != nil {
			return 0, stalled(r.within, err)
		}
	}
	n, err := r.body.Read(p[:min(int64(len(p)), r.last-r.at+1)])
	if n > 0 {
		r.dog.moved()
	}
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("the output of the job ends after byte %d: %w", r.at+int64(n)-1, io.ErrUnexpectedEOF)
	}
	if err != nil {
		err = stalled(r.within, err)
	}
	return n, err
}

// open asks for what is missing.
func (r *rangeReader) open() error {
	r.within, r.dog = watch(r.ctx, r.t.Stall)
	r.opened = r.at
	out, err := r.t.Client.GetJobOutput(r.within, r.t.vault, r.t.job, &glacier.ByteRange{First: r.at, Last: r.last})
	if err != nil {
		return err
	}
	r.body = out.Body
	want := fmt.Sprintf("bytes %d-%d/%d", r.at, r.last, r.t.size)
	whole := r.at == 0 && r.last == r.t.size-1
	if out.ContentRange != want && !(whole && out.ContentRange == "") || out.ContentLength >= 0 && out.ContentLength != r.last-r.at+1 {
		return fmt.Errorf("asked for %s, the answer is %q with %d bytes (request id %s)", want, out.ContentRange, out.ContentLength, out.RequestID)
	}
	if r.at == r.first {
		r.hash = out.TreeHash
	}
	return nil
}

func (r *rangeReader) close() {
	if r.body != nil {
		r.body.Close()
		r.body = nil
	}
	if r.dog != nil {
		r.dog.end()
		r.dog = nil
	}
}
