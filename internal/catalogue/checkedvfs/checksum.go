package checkedvfs

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// The parts of the file format that matter here: https://sqlite.org/fileformat2.html
const (
	checksumSize = 8 // also the number of reserved bytes that tells a checked database

	magic         = "SQLite format 3\x00"
	pageSizeAt    = 16 // in the file header: the page size, two bytes; 1 means 65536
	reserveAt     = 20 // in the file header: the number of reserved bytes of each page
	headerSize    = 100
	minPageSize   = 512
	maxPageSize   = 65536
	pendingByteAt = 0x40000000 // the page with this byte is for locks: it is never written
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is the checksum that belongs at the end of a page. Both halves are one-to-one in the number of the page, and notice every
// change within 32 bits.
func checksum(page []byte, number int64) (sum [checksumSize]byte) {
	body := page[:len(page)-checksumSize]
	binary.BigEndian.PutUint32(sum[:4], crc32.Update(uint32(number), castagnoli, body))
	binary.BigEndian.PutUint32(sum[4:], crc32.Update(^uint32(number), crc32.IEEETable, body))
	return sum
}

// seal puts the checksum of a page into its last bytes.
func seal(page []byte, number int64) {
	sum := checksum(page, number)
	copy(page[len(page)-checksumSize:], sum[:])
}

// intact reports whether a page carries its checksum.
func intact(page []byte, number int64) bool {
	sum := checksum(page, number)
	return bytes.Equal(page[len(page)-checksumSize:], sum[:])
}

// hidesChecksum reports whether page 1 would carry its checksum if its header had not lost the right size of the reserve.
func hidesChecksum(page []byte) bool {
	reserve := page[reserveAt]
	defer func() { page[reserveAt] = reserve }()
	page[reserveAt] = checksumSize
	return reserve != checksumSize && intact(page, 1)
}

// isPageSize reports whether pages may have this size.
func isPageSize(n int64) bool { return n >= minPageSize && n <= maxPageSize && n&(n-1) == 0 }

// isPage reports whether n bytes at an offset of a database file are a page.
func isPage(n, offset int64) bool { return isPageSize(n) && offset%n == 0 }

// isHeader reports whether b begins with a file header.
func isHeader(b []byte) bool { return len(b) >= headerSize && string(b[:len(magic)]) == magic }

// isLockPage reports whether a page is the one that is never written.
func isLockPage(number, pageSize int64) bool { return number == pendingByteAt/pageSize+1 }
