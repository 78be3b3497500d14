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
	volumeMagic   = "MORAINEV"
	recordMagic   = "MREC"
	endMark       = "MRECEND\n"
	formatVersion = 1

	volumeHeaderSize = 64
	recordHeaderSize = 64
	idSize           = 16
	maxLabel         = 64 << 10
	alignment        = 8
)

// trailerTail is what follows the leaves in a trailer: tree hash, digest, record id, end mark.
const trailerTail = treehash.Size + sha256.Size + idSize + len(endMark)

// recordHeader is what stands before a label.
type recordHeader struct {
	kind    store.Kind
	label   uint32 // bytes
	payload int64  // bytes
	created time.Time
	id      [idSize]byte
}

// errNoRecord is wrapped when there is no complete record, errFormat when another program may know better.
var (
	errNoRecord = errors.New("no complete record")
	errFormat   = errors.New("unknown volume format")
)

func encodeVolumeHeader(id [idSize]byte, created time.Time) []byte {
	b := make([]byte, volumeHeaderSize)
	copy(b, volumeMagic)
	binary.LittleEndian.PutUint32(b[8:], formatVersion)
	binary.LittleEndian.PutUint32(b[12:], volumeHeaderSize)
	copy(b[16:], id[:])
	binary.LittleEndian.PutUint64(b[32:], uint64(created.UnixMilli()))
	return seal(b)
}

// decodeVolumeHeader checks the header of the volume with an id.
func decodeVolumeHeader(b []byte, id [idSize]byte) error {
	switch {
	case len(b) < volumeHeaderSize || string(b[:8]) != volumeMagic || !sealed(b[:volumeHeaderSize]):
		return fmt.Errorf("%w: the volume header is damaged or was never written", errNoRecord)
	case binary.LittleEndian.Uint32(b[8:]) != formatVersion:
		return fmt.Errorf("%w: the volume has format %d, this program reads format %d", errFormat, binary.LittleEndian.Uint32(b[8:]), formatVersion)
	case [idSize]byte(b[16:32]) != id:
		return fmt.Errorf("%w: the volume is %x, not the one that its file is named after", errNoRecord, b[16:32])
	}
	return nil
}

func (h recordHeader) encode() []byte {
	b := make([]byte, recordHeaderSize)
	copy(b, recordMagic)
	b[4] = byte(h.kind)
	binary.LittleEndian.PutUint32(b[8:], h.label)
	binary.LittleEndian.PutUint64(b[16:], uint64(h.payload))
	binary.LittleEndian.PutUint64(b[24:], uint64(h.created.UnixMilli()))
	copy(b[32:], h.id[:])
	return seal(b)
}

// decodeRecordHeader reads a record header. Lengths it returns are within what the format allows.
func decodeRecordHeader(b []byte) (recordHeader, error) {
	if len(b) < recordHeaderSize || string(b[:4]) != recordMagic || !sealed(b[:recordHeaderSize]) {
		return recordHeader{}, fmt.Errorf("%w: the record header is damaged or was never written", errNoRecord)
	}
	h := recordHeader{
		kind:    store.Kind(b[4]),
		label:   binary.LittleEndian.Uint32(b[8:]),
		payload: int64(binary.LittleEndian.Uint64(b[16:])),
		created: time.UnixMilli(int64(binary.LittleEndian.Uint64(b[24:]))).UTC(),
		id:      [idSize]byte(b[32:48]),
	}
	if h.kind < store.Payload || h.kind > store.Tombstone || h.label > maxLabel || h.payload < 0 || h.payload > maxPayload {
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

// encodeTrailer returns the trailer of a record and the padding that brings the record to a multiple of 8 bytes.
func encodeTrailer(h recordHeader, label []byte, leaves []treehash.Hash, tree treehash.Hash) []byte {
	padding := (alignment - h.size()%alignment) % alignment
	b := make([]byte, 0, trailerSize(h.payload)+padding)
	for i := range leaves {
		b = append(b, leaves[i][:]...)
	}
	b = append(b, tree[:]...)
	sum := digest(h.encode(), label, b)
	b = append(b, sum[:]...)
	b = append(b, h.id[:]...)
	b = append(b, endMark...)
	return append(b, make([]byte, padding)...)
}

// decodeTrailer checks a trailer against its header and label, and returns the leaves and the tree hash.
func decodeTrailer(h recordHeader, label, b []byte) ([]treehash.Hash, treehash.Hash, error) {
	n := treehash.Leaves(h.payload)
	hashed := int(n+1) * treehash.Size
	if len(b) < hashed+sha256.Size+idSize+len(endMark) {
		return nil, treehash.Hash{}, fmt.Errorf("%w: the trailer is cut off", errNoRecord)
	}
	rest := b[hashed:]
	sum := digest(h.encode(), label, b[:hashed])
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

// digest binds header, label and hashes together; the payload is bound by its leaves.
func digest(header, label, hashes []byte) [sha256.Size]byte {
	d := sha256.New()
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
