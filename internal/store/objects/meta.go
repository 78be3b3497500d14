package objects

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/store"
)

// The format of the objects below meta/ is described in docs/formats.md; the numbers here are those there.
const (
	metaMagic     = "MORAINEM"
	metaFormat    = 1
	metaHeader    = 32
	metaEntry     = 72
	metaDigest    = sha256.Size
	maxMeta       = 1 << 30 // more than any object can have
	maxObjectSize = 1 << 50
	maxSkew       = math.MaxInt64 / int64(time.Millisecond) // 292 years
)

// Errors of decodeMeta.
var (
	errMeta   = errors.New("what describes the object is damaged") // read only
	errFormat = errors.New("a newer program wrote it")             // read only
)

// meta says what an object below data/ holds. It is not changed.
type meta struct {
	size    int64 // of the object
	records []store.Extent
	offsets []int64
	length  int64 // of the meta itself
}

// entryLength is how many bytes a record takes in a meta.
func entryLength(x store.Extent) int64 {
	return metaEntry + int64(len(x.Label)) + int64(len(x.Leaves))*treehash.Size
}

// newMeta describes an object that holds these records one behind the other.
func newMeta(n name, records []store.Extent) *meta {
	m := &meta{records: records, offsets: make([]int64, len(records)), length: metaHeader + metaDigest}
	for i := range records {
		records[i].Place = n.place(i)
		m.offsets[i] = m.size
		m.size += records[i].Size
		m.length += entryLength(records[i])
	}
	return m
}

func (m *meta) encode(n name) []byte {
	b := make([]byte, 0, m.length)
	b = append(b, metaMagic...)
	b = binary.LittleEndian.AppendUint32(b, metaFormat)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(m.records)))
	b = binary.LittleEndian.AppendUint64(b, uint64(m.size))
	b = binary.LittleEndian.AppendUint64(b, 0)
	for i, x := range m.records {
		b = append(b, byte(x.Kind), 0, 0, 0)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(x.Label)))
		b = binary.LittleEndian.AppendUint64(b, uint64(m.offsets[i]))
		b = binary.LittleEndian.AppendUint64(b, uint64(x.Size))
		b = binary.LittleEndian.AppendUint64(b, uint64(x.Created.UnixMilli()))
		b = binary.LittleEndian.AppendUint64(b, uint64(x.Skew.Milliseconds()))
		b = append(b, x.Tree[:]...)
		b = append(b, x.Label...)
		for _, leaf := range x.Leaves {
			b = append(b, leaf[:]...)
		}
	}
	sum := metaSum(n, b)
	return append(b, sum[:]...)
}

// metaSum returns the digest of a meta: it covers the name, so that a copy under another name is no meta.
func metaSum(n name, b []byte) (sum [metaDigest]byte) {
	h := sha256.New()
	h.Write([]byte(n))
	h.Write(b)
	h.Sum(sum[:0])
	return sum
}

// decodeMeta reads a meta. Every format has the magic, its number and the digest where this one has them: so a newer one is not taken for damage.
func decodeMeta(n name, b []byte) (*meta, error) {
	if len(b) < metaHeader+metaDigest || string(b[:8]) != metaMagic {
		return nil, fmt.Errorf("%w: it is none", errMeta)
	}
	body := b[:len(b)-metaDigest]
	if metaSum(n, body) != [metaDigest]byte(b[len(body):]) {
		return nil, fmt.Errorf("%w: it does not match its digest", errMeta)
	}
	if format := binary.LittleEndian.Uint32(body[8:]); format != metaFormat {
		return nil, fmt.Errorf("format %d of object %s is not known: %w", format, n, errFormat)
	}
	count := int64(binary.LittleEndian.Uint32(body[12:]))
	m := &meta{length: int64(len(b))}
	rest := body[metaHeader:]
	if count != int64(n.records()) || count*metaEntry > int64(len(rest)) {
		return nil, fmt.Errorf("%w: it has %d records in %d bytes, its name says %d", errMeta, count, len(rest), n.records())
	}
	for i := range int(count) {
		x, after, err := m.decodeEntry(rest)
		if err != nil {
			return nil, fmt.Errorf("%w: record %d: %w", errMeta, i, err)
		}
		x.Place = n.place(i)
		m.records, m.offsets = append(m.records, x), append(m.offsets, m.size)
		m.size += x.Size
		rest = after
	}
	if size := binary.LittleEndian.Uint64(body[16:]); len(rest) > 0 || size != uint64(m.size) || binary.LittleEndian.Uint64(body[24:]) != 0 {
		return nil, fmt.Errorf("%w: its records have %d bytes and it says %d; %d bytes are left over", errMeta, m.size, size, len(rest))
	}
	return m, nil
}

// decodeEntry reads the next record of a meta, and returns what is behind it.
func (m *meta) decodeEntry(b []byte) (x store.Extent, rest []byte, err error) {
	if len(b) < metaEntry {
		return x, nil, fmt.Errorf("%d bytes are left of the %d that it needs", len(b), metaEntry)
	}
	x.Kind = store.Kind(b[0])
	label, size := binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint64(b[16:])
	offset, skew := binary.LittleEndian.Uint64(b[8:]), int64(binary.LittleEndian.Uint64(b[32:]))
	switch {
	case x.Kind < store.Payload || x.Kind > store.Tombstone || b[1]|b[2]|b[3] != 0:
		return x, nil, fmt.Errorf("kind %d, reserved bytes %x", x.Kind, b[1:4])
	case label > maxLabel || size > maxObjectSize || offset != uint64(m.size) || m.size+int64(size) > maxObjectSize:
		return x, nil, fmt.Errorf("a label of %d bytes, a payload of %d from offset %d instead of %d", label, size, offset, m.size)
	case skew > maxSkew || skew < -maxSkew:
		return x, nil, fmt.Errorf("a skew of %d ms", skew)
	}
	x.Size = int64(size)
	x.Created = time.UnixMilli(int64(binary.LittleEndian.Uint64(b[24:]))).UTC()
	x.Skew = time.Duration(skew) * time.Millisecond
	x.Tree = treehash.Hash(b[40:72])
	leaves := treehash.Leaves(x.Size)
	if need := metaEntry + int64(label) + leaves*treehash.Size; need > int64(len(b)) {
		return x, nil, fmt.Errorf("%d bytes are left of the %d that it needs", len(b), need)
	}
	b = b[metaEntry:]
	x.Label, b = b[:label:label], b[label:]
	x.Leaves = make([]treehash.Hash, leaves)
	for i := range x.Leaves {
		x.Leaves[i], b = treehash.Hash(b[:treehash.Size]), b[treehash.Size:]
	}
	if treehash.Fold(x.Leaves) != x.Tree {
		return x, nil, errors.New("the leaves have another tree hash")
	}
	return x, b, nil
}
