package volume

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/store"
)

// entry says where a record of a shared volume is. Its form on disk is that of an index record's payload.
type entry struct {
	off    int64
	length uint32 // with padding
	number uint32 // noRecord: what a crash left there
}

const (
	entrySize = 16
	noRecord  = 1<<32 - 1
)

func encodeEntries(entries []entry) []byte {
	b := make([]byte, 0, len(entries)*entrySize)
	for _, e := range entries {
		b = binary.LittleEndian.AppendUint64(b, uint64(e.off))
		b = binary.LittleEndian.AppendUint32(b, e.length)
		b = binary.LittleEndian.AppendUint32(b, e.number)
	}
	return b
}

func decodeEntries(b []byte) []entry {
	entries := make([]entry, 0, len(b)/entrySize)
	for e := range slices.Chunk(b[:len(b)/entrySize*entrySize], entrySize) {
		entries = append(entries, entry{
			int64(binary.LittleEndian.Uint64(e)), binary.LittleEndian.Uint32(e[8:]), binary.LittleEndian.Uint32(e[12:]),
		})
	}
	return entries
}

// removal says that a record of a shared volume was removed. Its form on disk is that of a removal record's payload.
type removal struct {
	volume volumeID
	off    int64
	length uint32
	number uint32
}

const removalSize = idSize + entrySize

func encodeRemovals(removals []removal) []byte {
	b := make([]byte, 0, len(removals)*removalSize)
	for _, r := range removals {
		b = append(append(b, r.volume[:]...), encodeEntries([]entry{{r.off, r.length, r.number}})...)
	}
	return b
}

func decodeRemovals(b []byte) []removal {
	removals := make([]removal, 0, len(b)/removalSize)
	for r := range slices.Chunk(b[:len(b)/removalSize*removalSize], removalSize) {
		e := decodeEntries(r[idSize:])[0]
		removals = append(removals, removal{volumeID(r[:idSize]), e.off, e.length, e.number})
	}
	return removals
}

// closing is the block at the end of a volume that was closed: it says where the index is, and what Open has to know.
type closing struct {
	indexAt    int64
	removalsAt int64 // of a record with all removals in the volume; 0: there are none
	numbers    uint32
	finished   bool // nothing is appended behind it
	spare      int64
}

const (
	closingMagic = "MORAINEE"
	closingSize  = 64
)

func (c closing) encode(f frame) []byte {
	b := make([]byte, closingSize)
	copy(b, closingMagic)
	binary.LittleEndian.PutUint64(b[8:], uint64(c.indexAt))
	copy(b[16:], f.id[:])
	binary.LittleEndian.PutUint64(b[32:], uint64(c.removalsAt))
	binary.LittleEndian.PutUint32(b[40:], c.numbers)
	if c.finished {
		b[44] = 1
	}
	binary.LittleEndian.PutUint64(b[48:], uint64(c.spare))
	return seal(b)
}

// decodeClosing reads the block at an offset of a volume.
func decodeClosing(b []byte, f frame, off int64) (closing, error) {
	if len(b) < closingSize || string(b[:8]) != closingMagic || !sealed(b[:closingSize]) {
		return closing{}, fmt.Errorf("%w: the end of the volume is damaged or was never written", errNoRecord)
	}
	c := closing{
		indexAt:    int64(binary.LittleEndian.Uint64(b[8:])),
		removalsAt: int64(binary.LittleEndian.Uint64(b[32:])),
		numbers:    binary.LittleEndian.Uint32(b[40:]),
		finished:   b[44] == 1,
		spare:      int64(binary.LittleEndian.Uint64(b[48:])),
	}
	if !bytes.Equal(c.encode(f), b[:closingSize]) || c.indexAt < volumeHeaderSize || c.indexAt >= off ||
		c.removalsAt != 0 && (c.removalsAt < volumeHeaderSize || c.removalsAt >= c.indexAt) || c.spare < 0 || c.spare > off+closingSize {
		return closing{}, fmt.Errorf("%w: the end of the volume has impossible values", errNoRecord)
	}
	return c, nil
}

// isCopy reports whether a block is not where it closes the volume, right behind its index: a payload can hold a copy of one. An index that cannot be read says nothing
// about that; who needs it will notice.
func (c closing) isCopy(r io.ReaderAt, f frame, off int64) bool {
	head, err := readSome(r, c.indexAt, recordHeaderSize)
	if err != nil {
		return false
	}
	h, err := f.decodeRecordHeader(head)
	return err == nil && c.indexAt+h.length() != off
}

// encodeClosing returns what closes a volume: a record with all its removals, and one with its index; and the block that says where they are.
func (v *shared) encodeClosing(now time.Time) ([]byte, closing) {
	var b []byte
	c := closing{numbers: v.numbers, finished: v.finished, spare: v.spare}
	entries := slices.Clip(v.entries)
	add := func(kind store.Kind, payload []byte) int64 {
		at := v.end + int64(len(b))
		r := encodeInternal(v.frame, at, c.numbers, kind, payload, now)
		entries = append(entries, entry{at, uint32(len(r)), c.numbers})
		b = append(b, r...)
		c.numbers++
		return at
	}
	if len(v.removals) > 0 {
		c.removalsAt = add(removalKind, encodeRemovals(v.removals))
	}
	c.indexAt = add(indexKind, encodeEntries(entries))
	c.spare += int64(len(b)) + closingSize
	return b, c
}

// encodeInternal returns a record of a kind that only shared volumes have.
func encodeInternal(f frame, off int64, number uint32, kind store.Kind, payload []byte, now time.Time) []byte {
	h := recordHeader{kind: kind, number: number, payload: int64(len(payload)), created: now}
	rand.Read(h.id[:])
	var leaves []treehash.Hash
	for leaf := range slices.Chunk(payload, treehash.LeafSize) {
		leaves = append(leaves, sha256.Sum256(leaf))
	}
	return slices.Concat(h.encode(), payload, f.encodeTrailer(off, h, nil, leaves, treehash.Fold(leaves)))
}

// readIndex returns the entries of a closed volume, with that of the index itself.
func readIndex(r io.ReaderAt, f frame, c closing) ([]entry, error) {
	b, h, err := readInternal(r, f, c.indexAt, indexKind)
	if err != nil {
		return nil, err
	}
	return append(decodeEntries(b), entry{c.indexAt, uint32(h.length()), h.number}), nil
}

func readRemovals(r io.ReaderAt, f frame, at int64) ([]removal, error) {
	b, _, err := readInternal(r, f, at, removalKind)
	return decodeRemovals(b), err
}

// readInternal reads a record of a kind that only shared volumes have, and verifies its payload.
func readInternal(r io.ReaderAt, f frame, off int64, kind store.Kind) ([]byte, recordHeader, error) {
	h, x, payloadAt, err := readRecord(r, f, off)
	if err != nil {
		return nil, h, err
	}
	if h.kind != kind {
		return nil, h, fmt.Errorf("%w: the record at offset %d has the kind %d, not %d", errNoRecord, off, h.kind, kind)
	}
	b := make([]byte, 0, h.payload)
	err = eachLeaf(r, payloadAt, x, func(leaf []byte) error {
		b = append(b, leaf...)
		return nil
	})
	return b, h, err
}

// eachLeaf reads a payload leaf by leaf, and compares each with its hash before it is given to fn.
func eachLeaf(r io.ReaderAt, at int64, x store.Extent, fn func([]byte) error) error {
	buf := make([]byte, min(x.Size, treehash.LeafSize))
	for i, want := range x.Leaves {
		leaf := buf[:min(treehash.LeafSize, x.Size-int64(i)*treehash.LeafSize)]
		if err := readFull(r, leaf, at+int64(i)*treehash.LeafSize); err != nil {
			return err
		}
		if sha256.Sum256(leaf) != [sha256.Size]byte(want) {
			return fmt.Errorf("%w: MiB %d of the payload does not match its hash", errNoRecord, i)
		}
		if err := fn(leaf); err != nil {
			return err
		}
	}
	return nil
}
