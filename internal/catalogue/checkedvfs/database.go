package checkedvfs

import (
	"time"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

func forDatabase(m *sqlite3.Tsqlite3_io_methods) {
	m.FxRead = pointer(readDatabase)
	m.FxWrite = pointer(writeDatabase)
	m.FxFileControl = pointer(controlDatabase)
	m.FxDeviceCharacteristics = pointer(databaseCharacteristics)
}

// rereads is how often a page that seems damaged is read again. A connection that opens a database while there is no WAL reads page 1
// under a lock that does not keep a new WAL from being checkpointed, so it can meet a page that is half written.
const rereads = 3

// readDatabase is xRead of a database file.
func readDatabase(tls *libc.TLS, file, buf uintptr, n int32, offset int64) int32 {
	s := stateOf(file)
	for attempt := 0; ; attempt++ {
		rc := s.read(tls, file, buf, n, offset)
		if rc != sqlite3.SQLITE_OK && rc != sqlite3.SQLITE_IOERR_SHORT_READ {
			return rc
		}
		if s.acceptable(tls, file, bytesAt(buf, n), offset, rc) {
			return rc
		}
		if attempt == rereads {
			return sqlite3.SQLITE_IOERR_DATA
		}
		time.Sleep(time.Millisecond)
	}
}

// acceptable reports whether what was read at an offset with the result rc is no damaged page.
func (s *state) acceptable(tls *libc.TLS, file uintptr, b []byte, offset int64, rc int32) bool {
	n := int64(len(b))
	switch {
	case !isPage(n, offset):
		if offset == 0 && s.checks != checked {
			s.learn(b)
		}
		return true
	case offset == 0:
		return s.acceptableFirst(b)
	case s.checks == undecided:
		s.learnFromFile(tls, file) // another connection has made it
	}
	switch {
	case s.checks != checked:
		return true
	case rc == sqlite3.SQLITE_IOERR_SHORT_READ && allZero(b):
		return true // behind the end of the file
	}
	return intact(b, offset/n+1)
}

// acceptableFirst is acceptable for page 1, which says of itself whether it has a checksum.
func (s *state) acceptableFirst(page []byte) bool {
	if !isHeader(page) {
		return s.checks != checked // SQLite says that it is no database
	}
	if hidesChecksum(page) {
		return false
	}
	s.learn(page)
	return s.checks != checked || intact(page, 1)
}

// learn takes from a file header whether pages have checksums.
func (s *state) learn(b []byte) {
	switch {
	case !isHeader(b):
	case b[reserveAt] == checksumSize:
		s.checks = checked
	default:
		s.checks = unchecked
	}
}

func (s *state) learnFromFile(tls *libc.TLS, file uintptr) {
	header := tls.Alloc(headerSize)
	defer tls.Free(headerSize)
	if s.read(tls, file, header, headerSize, 0) == sqlite3.SQLITE_OK {
		s.learn(bytesAt(header, headerSize))
	}
}

// writeDatabase is xWrite of a database file. It writes the checksum into the buffer itself: it belongs to SQLite's cache, or is a scratch
// buffer, and SQLite does not use the reserved bytes.
func writeDatabase(tls *libc.TLS, file, buf uintptr, n int32, offset int64) int32 {
	s := stateOf(file)
	size := int64(n)
	if !isPage(size, offset) {
		return s.write(tls, file, buf, n, offset)
	}
	page := bytesAt(buf, n)
	rc := int32(sqlite3.SQLITE_OK)
	if offset == 0 {
		before := s.checks
		s.learn(page)
		if before == undecided && s.checks == checked {
			rc = s.sealEarlier(tls, file, size)
		}
	} else if s.checks == checked {
		rc = s.fillGap(tls, file, size, offset)
	}
	if rc != sqlite3.SQLITE_OK {
		return rc
	}
	if s.checks == checked {
		seal(page, offset/size+1)
	}
	return s.write(tls, file, buf, n, offset)
}

// sealEarlier writes the checksums of the pages that were written before page 1 of a new database, when it was not known whether there are
// checksums: the cache spills pages in any order.
func (s *state) sealEarlier(tls *libc.TLS, file uintptr, pageSize int64) int32 {
	end, rc := s.size(tls, file)
	if rc != sqlite3.SQLITE_OK || end <= pageSize {
		return rc
	}
	buf := sqlite3.Xsqlite3_malloc64(tls, uint64(pageSize))
	if buf == 0 {
		return sqlite3.SQLITE_IOERR_NOMEM
	}
	defer sqlite3.Xsqlite3_free(tls, buf)
	for offset := pageSize; offset+pageSize <= end; offset += pageSize {
		if rc := s.read(tls, file, buf, int32(pageSize), offset); rc != sqlite3.SQLITE_OK {
			return rc
		}
		if rc := s.writeSealed(tls, file, buf, pageSize, offset); rc != sqlite3.SQLITE_OK {
			return rc
		}
	}
	return sqlite3.SQLITE_OK
}

// fillGap writes pages of zeros, with checksums, from the end of the file to an offset at which a page is about to be written. SQLite leaves
// such gaps where a page was used and freed within one transaction, and may read them later.
func (s *state) fillGap(tls *libc.TLS, file uintptr, pageSize, offset int64) int32 {
	end, rc := s.size(tls, file)
	if rc != sqlite3.SQLITE_OK || end >= offset {
		return rc
	}
	buf := sqlite3.Xsqlite3_malloc64(tls, uint64(pageSize))
	if buf == 0 {
		return sqlite3.SQLITE_IOERR_NOMEM
	}
	defer sqlite3.Xsqlite3_free(tls, buf)
	clear(bytesAt(buf, int32(pageSize)))
	for end = (end + pageSize - 1) / pageSize * pageSize; end < offset; end += pageSize {
		if rc := s.writeSealed(tls, file, buf, pageSize, end); rc != sqlite3.SQLITE_OK {
			return rc
		}
	}
	return sqlite3.SQLITE_OK
}

// writeSealed writes a page with its checksum, unless it is the page that is for locks.
func (s *state) writeSealed(tls *libc.TLS, file, buf uintptr, pageSize, offset int64) int32 {
	number := offset/pageSize + 1
	if isLockPage(number, pageSize) {
		return sqlite3.SQLITE_OK
	}
	seal(bytesAt(buf, int32(pageSize)), number)
	return s.write(tls, file, buf, int32(pageSize), offset)
}

func (s *state) size(tls *libc.TLS, file uintptr) (size int64, rc int32) {
	p := tls.Alloc(8)
	defer tls.Free(8)
	rc = function[sizeFunc](s.below().FxFileSize)(tls, file, p)
	return *at[int64](p), rc
}

// controlDatabase is xFileControl of a database file. A checkpoint may begin behind page 1, and may be the first that this connection has to do
// with a database that another one has made.
func controlDatabase(tls *libc.TLS, file uintptr, op int32, arg uintptr) int32 {
	s := stateOf(file)
	if op == sqlite3.SQLITE_FCNTL_CKPT_START && s.checks != checked {
		s.learnFromFile(tls, file)
	}
	return function[controlFunc](s.below().FxFileControl)(tls, file, op, arg)
}

// databaseCharacteristics is xDeviceCharacteristics of a database file. Without SUBPAGE_READ, SQLite reads whole pages only.
func databaseCharacteristics(tls *libc.TLS, file uintptr) int32 {
	return function[characteristicFunc](stateOf(file).below().FxDeviceCharacteristics)(tls, file) &^ sqlite3.SQLITE_IOCAP_SUBPAGE_READ
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
