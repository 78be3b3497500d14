// Package store says what keeps bytes: the Store interface, which the drivers below it implement and storetest tests.
//
// A store keeps records. A record is a payload with a label that says what it is, so that a catalogue can be made again
// from a store alone. The store reads nothing in a label.
package store

import (
	"context"
	"io"
	"time"

	"github.com/moraine-archive/moraine/glacier/treehash"
)

// Kind is the kind of a record.
type Kind uint8

// The kinds of record. The numbers are those of the format on disk (docs/formats.md).
const (
	Payload   Kind = 1 // bytes of an archive, of a part of one, or of a job's output
	Manifest  Kind = 2 // a multipart archive, as the list of its parts
	Tombstone Kind = 3 // an archive that was deleted; no payload
)

// Place says where a record is. Only the store that made it can read it; others keep it as it is.
type Place string

// Extent is a record that is stored.
type Extent struct {
	Place   Place
	Kind    Kind
	Label   []byte
	Size    int64           // bytes of payload
	Tree    treehash.Hash   // tree hash of the payload
	Leaves  []treehash.Hash // the SHA-256 of each MiB of it
	Created time.Time       // when the payload was complete and verified, in milliseconds
}

// Store keeps records. All methods may be called from several goroutines.
type Store interface {
	// Put stores a record. When it returns nil the record survives a power failure. When it returns an error the
	// record may or may not exist; a sweep removes it. An error of the payload is returned as it is, wrapped, and such a record
	// is never complete. Put reads the payload to its end, which is where a payload says that it is the right one.
	Put(ctx context.Context, kind Kind, label []byte, payload *treehash.Stream) (Extent, error)

	// Open returns n bytes of a payload from offset off. Every MiB is compared with its leaf before any byte of it is
	// handed out; one that does not match is an error of kind fault.Corrupt. A missing record is fault.NotFound.
	Open(ctx context.Context, at Place, off, n int64) (io.ReadCloser, error)

	// Stat returns what is known of a record without its payload. A missing record is fault.NotFound.
	Stat(ctx context.Context, at Place) (Extent, error)

	// Remove removes a record for good: when it returns nil the removal survives a power failure. A missing record is
	// no error.
	Remove(ctx context.Context, at Place) error

	// Walk calls fn for every record, in no order that is promised. Records that are not complete have a Kind of 0
	// and no label; they are given so that a sweep can remove them. What a Put of this process is writing at the moment is passed over.
	// fn may remove records. An error of fn ends the walk and is returned.
	Walk(ctx context.Context, fn func(Extent) error) error

	Close() error
}
