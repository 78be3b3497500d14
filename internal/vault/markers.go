package vault

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"strings"

	"github.com/moraine-archive/moraine/internal/fault"
)

// A marker says where the next page of a list begins. To clients it is opaque: it holds the name of the list it belongs to,
// a position there, and a checksum that tells a damaged marker. It stays valid when the item at its position is gone.
func encodeMarker(list, position string) *string {
	b := []byte(list + "\n" + position)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	text := base64.RawURLEncoding.EncodeToString(b)
	return &text
}

// position reads a marker of a list; an absent or empty marker is the position before the first item.
func position(text *string, list string) (string, error) {
	if text == nil || *text == "" {
		return "", nil
	}
	b, err := base64.RawURLEncoding.DecodeString(*text)
	if err != nil || len(b) < 4 {
		return "", invalidMarker(*text)
	}
	b, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	of, at, found := strings.Cut(string(b), "\n")
	if crc32.ChecksumIEEE(b) != sum || !found || of != list || !printable(at) {
		return "", invalidMarker(*text)
	}
	return at, nil
}

func invalidMarker(text string) error { return fault.New(fault.Invalid, "Invalid marker: %s", text) }
