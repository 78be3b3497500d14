// Package store says what keeps bytes: the Store interface, which the drivers below it implement and storetest tests.
//
// A store keeps records. A record is a payload with a label that says what it is, so that a catalogue can be made again
// from a store alone. The store reads nothing in a label.
package store

import (
	"context"
	"errors"
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
	Skew    time.Duration   // by how much Created is ahead of the time that nobody can set, in milliseconds
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

	// Remove removes records for good: when it returns nil the removals survive a power failure. A missing record is
	// no error. After an error some may be removed.
	Remove(ctx context.Context, at ...Place) error

	// Walk calls fn for every record, in no order that is promised. Records that are not complete have a Kind of 0
	// and no label; they are given so that a sweep can remove them. What a Put of this process is writing at the moment is passed over.
	// fn may remove records. An error of fn ends the walk and is returned.
	Walk(ctx context.Context, fn func(Extent) error) error

	Close() error
}

// Adopter is a Store that takes over records of another store.
type Adopter interface {
	Store
	// Adopt is Put for a record of another store: the new one has its kind, its label and its date. warm is true for what must be readable at any moment.
	Adopt(ctx context.Context, x Extent, payload *treehash.Stream, warm bool) (Extent, error)
}

// Moving is a Store that is on its way from one store to another. New records are in the new one.
type Moving interface {
	Adopter
	Old() Store          // the store that is left
	IsOld(at Place) bool // reports whether a place is in it
}

// Stamp says when a record was complete, and by how much that is ahead of the time that nobody can set (Extent).
type Stamp func() (created time.Time, skew time.Duration)

// Stamp returns the moment of a record as it is.
func (x Extent) Stamp() (created time.Time, skew time.Duration) { return x.Created, x.Skew }

// Cold is a Store whose payloads may be where they cannot be read at once.
type Cold interface {
	Store
	// PutWarm is Put for what must be readable at any moment.
	PutWarm(ctx context.Context, kind Kind, label []byte, payload *treehash.Stream) (Extent, error)
	// Warm asks for payloads to be made readable, as soon as a tier (Expedited, Standard, Bulk) promises, and reports whether all of them are: for long
	// enough to be read. It never waits, and may be called again and again: what was asked for is not asked for twice. Until it says so, to open one is ErrCold.
	// A missing record is fault.NotFound, a tier that has no capacity at the moment fault.InsufficientCapacity.
	Warm(ctx context.Context, tier string, at ...Place) (ready bool, err error)
}

// PutWarm is PutWarm of a Cold store, and Put of another, where everything can be read at any moment.
func PutWarm(ctx context.Context, s Store, kind Kind, label []byte, payload *treehash.Stream) (Extent, error) {
	if cold, ok := s.(Cold); ok {
		return cold.PutWarm(ctx, kind, label, payload)
	}
	return s.Put(ctx, kind, label, payload)
}

// ErrCold says that a payload is where it cannot be read before it was asked for.
var ErrCold = errors.New("the payload is where it cannot be read at once, and has to be made readable first") // read only

// Volumes is a Store that keeps its records in volumes: pieces that are verified, and compacted, one at a time.
type Volumes interface {
	Store
	// Volumes returns the volumes that are not being written, by name, which is by age.
	Volumes(ctx context.Context) ([]Volume, error)
	// Inspect goes through one volume. A volume that is gone holds nothing.
	Inspect(ctx context.Context, name string, i Inspection) error
	// Compact moves what is needed of a volume elsewhere, and removes the volume. It reports whether the volume is gone: it stays when
	// something in it is damaged, or has to wait. Whatever interrupts it, every record that is needed is whole at its old place or its new
	// one, and Moved has said which.
	Compact(ctx context.Context, name string, c Compaction) (Compacted, error)
}

// Volume is what is known of a volume without reading it.
type Volume struct {
	Name   string
	Since  time.Time // when it was begun
	Bytes  int64     // length
	Dead   int64     // bytes that compacting it would win
	Shared bool      // it may have many records, and can be compacted
	InUse  bool      // records are still added to it
	Failed bool      // a write or a sync failed: nothing is added to it, and what it holds is to be verified and moved
	// Recovered says that the volume was in use when a process was killed, before this one opened the store.
	Recovered bool
}

// Inspection is how a volume is gone through, and who hears of what is found.
type Inspection struct {
	Data   bool                                   // read everything, not only what describes the records
	Pace   func(ctx context.Context, n int) error // called before n bytes are read; nil: no limit
	Record func(Extent) error                     // called for every whole record that was not removed
	Damage func(Damage) error                     // called for what is not as it was written
}

// Damage is something in a volume that is not as it was written.
type Damage struct {
	Volume string // the name of the volume
	Place  Place  // of the record; empty when it is not a record that is damaged
	Label  []byte // nil when it cannot be read
	Err    error  // what is wrong
}

// Fate is what becomes of a record when its volume is compacted.
type Fate int

// The fates of records.
const (
	Wait  Fate = iota // nobody can say yet: the volume stays
	Move              // something refers to it
	Carry             // nothing refers to it, but it is kept for a while
	Drop              // nobody needs it
)

// Compaction decides on the records of a volume.
type Compaction struct {
	Pace func(ctx context.Context, n int) error
	Fate func(ctx context.Context, x Extent) (Fate, error)
	// Refers reports whether anything refers to a record of a volume. It is asked before a volume goes in which there are bytes that cannot be read.
	Refers func(ctx context.Context, volume string) (bool, error)
	Moved  func(ctx context.Context, moves []Moved) (stale []Place, err error) // makes what refers to the old places refer to the new ones; stale are new places that nothing refers to
}

// Moved is a record that has a copy.
type Moved struct {
	From, To Place
	Fate     Fate   // Move or Carry
	Extent   Extent // at To
}

// Compacted is what a compaction did.
type Compacted struct {
	Gone    bool  // the volume is
	Moved   int   // records
	Dropped int   // records
	Bytes   int64 // that were won
	Damaged []Damage
}
