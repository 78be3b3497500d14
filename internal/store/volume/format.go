package volume

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/store"
)

// The format on disk. docs/formats.md describes it for strangers; both change together, with formatVersion. All
// numbers are little-endian.
const (
	volumeMagic = "MORAINEV"
	recordMagic = "MREC"
	endMark     = "MRECEND\n"

	formatAlone  = 1 // a volume of one record
	formatShared = 2 // a volume of many

	volumeHeaderSize = 64
	recordHeaderSize = 64
	idSize           = 16
	maxLabel         = 64 << 10
	alignment        = 8
)

// trailerTail is what follows the leaves in a trailer: tree hash, digest, record id, end mark.
const trailerTail = treehash.Size + sha256.Size + idSize + len(endMark)

// Kinds of record that only shared volumes have, and that nobody else gets to see.
const (
	removalKind store.Kind = 4 // says which records were removed
	indexKind   store.Kind = 5 // lists the records before it
)

// frame is the volume that a record is in. What is in a shared volume counts only at its own place: the payload of a record can be anything, also
// a copy of a volume, and is not to be taken for records when those before it are damaged.
type frame struct {
	id     volumeID
	shared bool
}

// at returns what the digest of a record at an offset begins with.
func (f frame) at(off int64) []byte {
	if !f.shared {
		return nil
	}
	return binary.LittleEndian.AppendUint64(bytes.Clone(f.id[:]), uint64(off))
}

func (f frame) format() uint32 {
	if f.shared {
		return formatShared
	}
	return formatAlone
}

// lastKind is the greatest kind that a record of the volume can have.
func (f frame) lastKind() store.Kind {
	if f.shared {
		return indexKind
	}
	return store.Tombstone
}

// recordHeader is what stands before a label.
type recordHeader struct {
	kind    store.Kind
	label   uint32 // bytes
	number  uint32 // of the record in its volume, from 0
	payload int64  // bytes
	created time.Time
	id      [idSize]byte
	skew    time.Duration // by how much created is ahead of the lock time
}

// errNoRecord is wrapped when there is no complete record, errFormat when another program may know better.
var (
	errNoRecord = errors.New("no complete record")
	errFormat   = errors.New("unknown volume format")
)

func encodeVolumeHeader(f frame) []byte {
	b := make([]byte, volumeHeaderSize)
	copy(b, volumeMagic)
	binary.LittleEndian.PutUint32(b[8:], f.format())
	binary.LittleEndian.PutUint32(b[12:], volumeHeaderSize)
	copy(b[16:], f.id[:])
	binary.LittleEndian.PutUint64(b[32:], uint64(f.id.time().UnixMilli()))
	return seal(b)
}

// decodeVolumeHeader checks the header of a volume.
func decodeVolumeHeader(b []byte, f frame) error {
	switch {
	case len(b) < volumeHeaderSize || string(b[:8]) != volumeMagic || !sealed(b[:volumeHeaderSize]):
		return fmt.Errorf("%w: the volume header is damaged or was never written", errNoRecord)
	case binary.LittleEndian.Uint32(b[8:]) != f.format():
		return fmt.Errorf("%w: the volume has format %d, this program reads format %d here", errFormat, binary.LittleEndian.Uint32(b[8:]), f.format())
	case volumeID(b[16:32]) != f.id:
		return fmt.Errorf("%w: the volume is %x, not the one that its file is named after", errNoRecord, b[16:32])
	case !bytes.Equal(b[:volumeHeaderSize], encodeVolumeHeader(f)):
		return fmt.Errorf("%w: the volume header has impossible values", errNoRecord)
	}
	return nil
}

func (h recordHeader) encode() []byte {
	b := make([]byte, recordHeaderSize)
	copy(b, recordMagic)
	b[4] = byte(h.kind)
	binary.LittleEndian.PutUint32(b[8:], h.label)
	binary.LittleEndian.PutUint32(b[12:], h.number)
	binary.LittleEndian.PutUint64(b[16:], uint64(h.payload))
	binary.LittleEndian.PutUint64(b[24:], uint64(h.created.UnixMilli()))
	copy(b[32:], h.id[:])
	binary.LittleEndian.PutUint64(b[48:], uint64(h.skew.Milliseconds()))
	return seal(b)
}

// decodeRecordHeader reads a record header. Lengths it returns are within what the format allows.
func (f frame) decodeRecordHeader(b []byte) (recordHeader, error) {
	if len(b) < recordHeaderSize || string(b[:4]) != recordMagic || !sealed(b[:recordHeaderSize]) {
		return recordHeader{}, fmt.Errorf("%w: the record header is damaged or was never written", errNoRecord)
	}
	h := recordHeader{
		kind:    store.Kind(b[4]),
		label:   binary.LittleEndian.Uint32(b[8:]),
		number:  binary.LittleEndian.Uint32(b[12:]),
		payload: int64(binary.LittleEndian.Uint64(b[16:])),
		created: time.UnixMilli(int64(binary.LittleEndian.Uint64(b[24:]))).UTC(),
		id:      [idSize]byte(b[32:48]),
		skew:    time.Duration(int64(binary.LittleEndian.Uint64(b[48:]))) * time.Millisecond,
	}
	if h.kind < store.Payload || h.kind > f.lastKind() || h.number > 0 && !f.shared || h.label > maxLabel || h.payload < 0 || h.payload > maxPayload {
		return recordHeader{}, fmt.Errorf("%w: the record header has impossible values", errNoRecord)
	}
	if !bytes.Equal(h.encode(), b[:recordHeaderSize]) { // the digest in the trailer is that of the header as it is
		return recordHeader{}, fmt.Errorf("%w: reserved bytes of the record header are not zero", errNoRecord)
	}
	return h, nil
}

// maxPayload bounds what a header may claim: more than any archive (40,000 GiB), and small enough that sums of offsets do
// not overflow.
const maxPayload = 1 << 50

// trailerSize returns the length of the trailer of a payload.
func trailerSize(payload int64) int64 {
	return treehash.Leaves(payload)*treehash.Size + int64(trailerTail)
}

// size returns the length of the whole record without padding.
func (h recordHeader) size() int64 {
	return recordHeaderSize + int64(h.label) + h.payload + trailerSize(h.payload)
}

// padding returns the number of bytes that bring the record to a multiple of 8.
func (h recordHeader) padding() int64 { return -h.size() & (alignment - 1) }

// length returns the length of the whole record with its padding.
func (h recordHeader) length() int64 { return h.size() + h.padding() }

// encodeTrailer returns the trailer of a record at an offset, and its padding.
func (f frame) encodeTrailer(off int64, h recordHeader, label []byte, leaves []treehash.Hash, tree treehash.Hash) []byte {
	b := make([]byte, 0, trailerSize(h.payload)+h.padding())
	for i := range leaves {
		b = append(b, leaves[i][:]...)
	}
	b = append(b, tree[:]...)
	sum := digest(f.at(off), h.encode(), label, b)
	b = append(b, sum[:]...)
	b = append(b, h.id[:]...)
	b = append(b, endMark...)
	return append(b, make([]byte, h.padding())...)
}

// decodeTrailer checks a trailer against its place, header and label, and returns the leaves and the tree hash.
func (f frame) decodeTrailer(off int64, h recordHeader, label, b []byte) ([]treehash.Hash, treehash.Hash, error) {
	n := treehash.Leaves(h.payload)
	hashed := int(n+1) * treehash.Size
	if len(b) < hashed+sha256.Size+idSize+len(endMark) {
		return nil, treehash.Hash{}, fmt.Errorf("%w: the trailer is cut off", errNoRecord)
	}
	rest := b[hashed:]
	sum := digest(f.at(off), h.encode(), label, b[:hashed])
	if !bytes.Equal(rest[:sha256.Size], sum[:]) ||
		!bytes.Equal(rest[sha256.Size:sha256.Size+idSize], h.id[:]) ||
		string(rest[sha256.Size+idSize:][:len(endMark)]) != endMark {
		return nil, treehash.Hash{}, fmt.Errorf("%w: the trailer is damaged or was never written", errNoRecord)
	}
	leaves := make([]treehash.Hash, n)
	for i := range leaves {
		leaves[i] = treehash.Hash(b[i*treehash.Size:][:treehash.Size])
	}
	return leaves, treehash.Hash(b[hashed-treehash.Size : hashed]), nil
}

// digest binds place, header, label and hashes together; the payload is bound by its leaves.
func digest(at, header, label, hashes []byte) [sha256.Size]byte {
	d := sha256.New()
	d.Write(at)
	d.Write(header)
	d.Write(label)
	d.Write(hashes)
	return [sha256.Size]byte(d.Sum(nil))
}

// seal puts the CRC-32 (IEEE) of a header into its last four bytes.
func seal(b []byte) []byte {
	binary.LittleEndian.PutUint32(b[len(b)-4:], crc32.ChecksumIEEE(b[:len(b)-4]))
	return b
}

func sealed(b []byte) bool {
	return binary.LittleEndian.Uint32(b[len(b)-4:]) == crc32.ChecksumIEEE(b[:len(b)-4])
}
