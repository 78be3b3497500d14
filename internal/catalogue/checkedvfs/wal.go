package checkedvfs

import (
	"bytes"
	"encoding/binary"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// The parts of the format of a WAL that matter here: https://sqlite.org/fileformat2.html#the_write_ahead_log
const (
	walMagic        = 0x377f0682 // or this plus 1, which says that the checksums are over big-endian words
	walHeaderSize   = 32
	frameHeaderSize = 24
	walChecksumSize = 8
)

func forWAL(m *sqlite3.Tsqlite3_io_methods) {
	m.FxRead = pointer(readWAL)
	m.FxWrite = pointer(writeWAL)
}

// readWAL is xRead of a WAL.
func readWAL(tls *libc.TLS, file, buf uintptr, n int32, offset int64) int32 {
	s := stateOf(file)
	rc := s.read(tls, file, buf, n, offset)
	if rc != sqlite3.SQLITE_OK || !isFramePage(int64(n), offset) || s.staleFrom != 0 && offset >= s.staleFrom {
		return rc
	}
	return s.checkFrame(tls, file, bytesAt(buf, n), offset)
}

// isFramePage reports whether n bytes at an offset of a WAL are the page of a frame. Recovery reads frames whole, and checks them itself.
func isFramePage(n, offset int64) bool {
	first := int64(walHeaderSize + frameHeaderSize)
	return isPageSize(n) && offset >= first && (offset-first)%(n+frameHeaderSize) == 0
}

// checkFrame compares the page of a frame with the checksum in the header of the frame, which continues that of the frame before.
func (s *state) checkFrame(tls *libc.TLS, file uintptr, page []byte, offset int64) int32 {
	const walAt, frameAt, beforeAt, size = 0, walHeaderSize, walHeaderSize + frameHeaderSize, walHeaderSize + frameHeaderSize + walChecksumSize
	buf := tls.Alloc(size)
	defer tls.Free(size)
	b := bytesAt(buf, size)
	wal, frame, before := b[walAt:frameAt], b[frameAt:beforeAt], b[beforeAt:]

	if rc := s.read(tls, file, buf, walHeaderSize, 0); rc != sqlite3.SQLITE_OK {
		return damagedIfShort(rc)
	}
	start := offset - frameHeaderSize
	if rc := s.read(tls, file, buf+frameAt, frameHeaderSize, start); rc != sqlite3.SQLITE_OK {
		return damagedIfShort(rc)
	}
	if start == walHeaderSize {
		copy(before, wal[walHeaderSize-walChecksumSize:])
	} else if rc := s.read(tls, file, buf+beforeAt, walChecksumSize, start-int64(len(page))-walChecksumSize); rc != sqlite3.SQLITE_OK {
		return damagedIfShort(rc)
	}
	if !intactFrame(wal, before, frame, page) {
		return sqlite3.SQLITE_IOERR_DATA
	}
	return sqlite3.SQLITE_OK
}

func damagedIfShort(rc int32) int32 {
	if rc == sqlite3.SQLITE_IOERR_SHORT_READ {
		return sqlite3.SQLITE_IOERR_DATA
	}
	return rc
}

// intactFrame reports whether the headers of a WAL and of a frame and the page of the frame are as they were written. before is the checksum
// of what comes before the frame.
func intactFrame(wal, before, frame, page []byte) bool {
	m := binary.BigEndian.Uint32(wal)
	if m&^1 != walMagic || binary.BigEndian.Uint32(wal[8:]) != uint32(len(page)) || !bytes.Equal(wal[16:24], frame[8:16]) {
		return false
	}
	var order binary.ByteOrder = binary.LittleEndian
	if m&1 == 1 {
		order = binary.BigEndian
	}
	if (walChecksum{}).over(wal[:24], order) != readWALChecksum(wal[24:]) {
		return false
	}
	return readWALChecksum(before).over(frame[:8], order).over(page, order) == readWALChecksum(frame[16:])
}

// walChecksum is the checksum that SQLite defines for a WAL. Each step is one-to-one in what was before and in 8 bytes, so a
// change within 8 bytes is noticed for certain.
type walChecksum struct{ a, b uint32 }

func readWALChecksum(b []byte) walChecksum {
	return walChecksum{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])}
}

func (c walChecksum) over(data []byte, order binary.ByteOrder) walChecksum {
	if order == binary.BigEndian {
		for ; len(data) >= 8; data = data[8:] {
			c.a += binary.BigEndian.Uint32(data) + c.b
			c.b += binary.BigEndian.Uint32(data[4:]) + c.a
		}
		return c
	}
	for ; len(data) >= 8; data = data[8:] {
		c.a += binary.LittleEndian.Uint32(data) + c.b
		c.b += binary.LittleEndian.Uint32(data[4:]) + c.a
	}
	return c
}

// writeWAL is xWrite of a WAL. A transaction that spills a page twice writes it the second time over the first, without the header of the frame;
// it brings the headers up to date when it commits, from the first such frame to the last. Until then it must be able to
// read its own pages back.
func writeWAL(tls *libc.TLS, file, buf uintptr, n int32, offset int64) int32 {
	s := stateOf(file)
	switch {
	case isFramePage(int64(n), offset) && offset != s.wroteTo:
		if s.staleFrom == 0 || offset < s.staleFrom {
			s.staleFrom = offset
		}
	case n <= walHeaderSize && offset < s.staleFrom: // a header: of this frame or of one before, by the commit or by a later transaction
		s.staleFrom = 0
	}
	s.wroteTo = offset + int64(n)
	return s.write(tls, file, buf, n, offset)
}
