// Package objects keeps records in a bucket of any S3-compatible server. docs/formats.md describes the objects.
//
// A record is bytes in an object below data/, and what they are in an object of the same name below meta/, which is written last: a record exists
// if that does. Small records that come at the same time share an object. No object is ever changed, so that several nodes can work in one bucket.
package objects

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
)

// Options say where a store is, and how it is used. Defaults gives the figures that are meant to be used.
type Options struct {
	Bucket    string // which exists
	Prefix    string // of every key, without a slash at its end; "" for a bucket that holds nothing else
	Endpoint  string // URL of the server; "": that of AWS
	Region    string // "": what the AWS configuration says, or us-east-1
	PathStyle bool   // the bucket is named in the path, not in the host

	Class        string            // storage class of payloads; "": what the bucket gives
	RestoreDays  int               // for how long a payload that was made readable stays so
	RestoreTiers map[string]string // by which tier of the server a tier of ours is served, where it is another one
	NeedsRestore *bool             // payloads of Class have to be made readable before they are read; nil: the names of the classes say so

	ShareLimit int64 // payloads of up to so many bytes share objects: at most MaxShareLimit
	PartSize   int64 // a longer payload is uploaded in parts of so many bytes: at least MinPartSize
	Log        *slog.Logger

	// Credentials are those for the bucket. Nil: the chain of AWS finds them, in the environment first.
	Credentials aws.CredentialsProvider

	// Stamp returns the time, and by how much it is ahead of the time that nobody can set. Nil: it is not.
	Stamp func() (now time.Time, skew time.Duration)

	longestWait time.Duration // before a request is tried again; 0: what servers in trouble need
}

// Limits of Options.
const (
	MaxShareLimit = treehash.LeafSize // one leaf of the tree hash
	MinPartSize   = 5 << 20           // what S3 takes
)

// Defaults returns the figures of a store that is used.
func Defaults() Options {
	return Options{ShareLimit: MaxShareLimit, PartSize: 8 << 20, RestoreDays: 2, Log: slog.New(slog.DiscardHandler)}
}

func (o Options) check() error {
	switch {
	case o.Bucket == "":
		return fmt.Errorf("no bucket is named")
	case o.ShareLimit > MaxShareLimit:
		return fmt.Errorf("a share limit of %d bytes exceeds %d", o.ShareLimit, MaxShareLimit)
	case o.PartSize < MinPartSize:
		return fmt.Errorf("parts of %d bytes are shorter than the %d that servers take", o.PartSize, MinPartSize)
	case o.RestoreDays < 1:
		return fmt.Errorf("restored for %d days: it must be 1 at least", o.RestoreDays)
	}
	return nil
}

// Store is a store.Store in a bucket.
type Store struct {
	bucket   *bucket
	options  Options
	now      func() time.Time
	fresh    time.Duration // for so long what a server said is believed without asking again
	warm     *packer       // of records that can be read at any moment
	cold     *packer       // of payloads in the storage class of the options, if there is one
	metas    *cache[*known]
	gones    *cache[goneSet]
	parts    sync.Pool     // of *[]byte, as long as a part
	inFlight chan struct{} // has one for each part that is being sent

	mu      sync.Mutex
	writing map[name]bool  // guarded by mu: objects that a Put of this process has not done with
	closed  bool           // guarded by mu
	puts    sync.WaitGroup // those that Close waits for; added to under mu
}

// Open opens the store in a bucket. It writes nothing.
func Open(ctx context.Context, options Options, now func() time.Time) (*Store, error) {
	if err := options.check(); err != nil {
		return nil, fmt.Errorf("open the store in a bucket: %w", err)
	}
	b, err := openBucket(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("open the store in a bucket: %w", err)
	}
	s := &Store{
		bucket: b, options: options, now: now, fresh: freshFor, writing: make(map[name]bool),
		metas: newCache[*known](metaCache), gones: newCache[goneSet](goneCache), inFlight: make(chan struct{}, partsAtOnce),
	}
	s.parts.New = func() any { part := make([]byte, options.PartSize); return &part }
	s.warm = newPacker(func(items []*small) error { return s.writePack(items, "") })
	s.cold = newPacker(func(items []*small) error { return s.writePack(items, options.Class) })
	return s, nil
}

// maxLabel is the longest label that is kept.
const maxLabel = 64 << 10

// Put writes a record: a small one into an object that it shares, another into one of its own.
func (s *Store) Put(ctx context.Context, kind store.Kind, label []byte, payload *treehash.Stream) (store.Extent, error) {
	return s.put(ctx, incoming{kind, label, payload, s.classOf(kind), s.stamp})
}

// PutWarm is Put for what must be readable at any moment.
func (s *Store) PutWarm(ctx context.Context, kind store.Kind, label []byte, payload *treehash.Stream) (store.Extent, error) {
	return s.put(ctx, incoming{kind, label, payload, "", s.stamp})
}

// Adopt is Put, or PutWarm, for a record of another store.
func (s *Store) Adopt(ctx context.Context, x store.Extent, payload *treehash.Stream, warm bool) (store.Extent, error) {
	in := incoming{x.Kind, x.Label, payload, s.classOf(x.Kind), x.Stamp}
	if warm {
		in.class = ""
	}
	return s.put(ctx, in)
}

// classOf is the storage class of records of a kind, "" for that which the bucket gives.
func (s *Store) classOf(kind store.Kind) string {
	if kind == store.Payload {
		return s.options.Class
	}
	return ""
}

// incoming is a record that is being put.
type incoming struct {
	kind    store.Kind
	label   []byte
	payload *treehash.Stream
	class   string      // storage class of the payload
	stamp   store.Stamp // asked when the payload has been read
}

// extent describes the record when its payload was read to its end. Where it will be is not known yet.
func (in incoming) extent() store.Extent {
	x := store.Extent{Kind: in.kind, Label: in.label, Size: in.payload.Read(), Tree: in.payload.Sum(), Leaves: in.payload.Leaves()}
	x.Created, x.Skew = in.stamp()
	return x
}

func (s *Store) put(ctx context.Context, in incoming) (store.Extent, error) {
	defer in.payload.Close()
	if len(in.label) > maxLabel {
		return store.Extent{}, fault.New(fault.Internal, "a label of %d bytes exceeds the limit of %d", len(in.label), maxLabel)
	}
	if err := s.enter(); err != nil {
		return store.Extent{}, err
	}
	defer s.puts.Done()
	if in.payload.Size() > s.options.ShareLimit {
		return s.putLarge(ctx, in, nil)
	}
	begun, rest, err := s.readSmall(in.payload)
	switch {
	case err != nil:
		return store.Extent{}, err
	case rest:
		return s.putLarge(ctx, in, begun)
	case ctx.Err() != nil:
		return store.Extent{}, ctx.Err()
	}
	pack := s.warm
	if in.class != "" {
		pack = s.cold
	}
	item := &small{payload: begun, extent: in.extent()}
	if err := pack.do(item); err != nil {
		return store.Extent{}, err
	}
	return item.extent, nil
}

// readSmall reads a payload that may share an object. rest is true if it cannot: there may be more to read.
func (s *Store) readSmall(payload *treehash.Stream) (begun []byte, rest bool, err error) {
	for {
		chunk, _, err := payload.Next()
		if err == io.EOF { // and nothing that wraps it: that is a failure of the payload
			return begun, s.options.ShareLimit < 0, nil
		}
		if err != nil {
			return nil, false, fmt.Errorf("read the payload: %w", err)
		}
		begun = append(begun, chunk...)
		if int64(len(begun)) > s.options.ShareLimit {
			return begun, true, nil
		}
	}
}

// stamp returns the time as records have it, and by how much it is ahead of the lock time: both at the same moment, for either can be made to jump.
func (s *Store) stamp() (created time.Time, skew time.Duration) {
	now := s.now()
	if s.options.Stamp != nil {
		now, skew = s.options.Stamp()
	}
	created = now.UTC().Truncate(time.Millisecond)
	return created, created.Sub(now.Add(-skew).UTC().Truncate(time.Millisecond))
}

// enter begins something that Close waits for.
func (s *Store) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("the store in %s: %w", s.bucket, fs.ErrClosed)
	}
	s.puts.Add(1)
	return nil
}

// begin names a new object of so many records. Until end, Walk passes over it: it looks like one that was cut off.
func (s *Store) begin(records int) name {
	n := newName(s.now(), records)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing[n] = true
	return n
}

func (s *Store) end(n name) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.writing, n)
}

func (s *Store) isWriting(n name) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writing[n]
}

// Close waits for what is being put. Nothing can be put afterwards.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.puts.Wait()
	return nil
}
