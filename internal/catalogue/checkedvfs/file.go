package checkedvfs

import (
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// The types of the functions in SQLite's structures that are called or replaced here.
type (
	openFunc           = func(tls *libc.TLS, vfs, name, file uintptr, flags int32, outFlags uintptr) int32
	transferFunc       = func(tls *libc.TLS, file, buf uintptr, n int32, offset int64) int32
	sizeFunc           = func(tls *libc.TLS, file, size uintptr) int32
	controlFunc        = func(tls *libc.TLS, file uintptr, op int32, arg uintptr) int32
	characteristicFunc = func(tls *libc.TLS, file uintptr) int32
)

// What is known of a database file.
const (
	undecided int32 = iota // it had no header yet
	checked
	unchecked
)

// state is what the shim keeps of an open database file or WAL, behind the memory of the VFS below. That memory comes first, so the functions
// of the VFS below that are not replaced are called by SQLite directly, and do not notice the shim. SQLite lets only one
// thread at a time work on a file.
type state struct {
	methods uintptr // the Tsqlite3_io_methods of the VFS below

	checks int32 // of a database file

	wroteTo   int64 // of a WAL: where the last write ended
	staleFrom int64 // of a WAL: pages from this offset on may not match their frame headers for now; 0 if all do
}

func stateOf(file uintptr) *state { return at[state](file + stateOffset) }

func (s *state) below() *sqlite3.Tsqlite3_io_methods {
	return at[sqlite3.Tsqlite3_io_methods](s.methods)
}

func (s *state) read(tls *libc.TLS, file, buf uintptr, n int32, offset int64) int32 {
	return function[transferFunc](s.below().FxRead)(tls, file, buf, n, offset)
}

func (s *state) write(tls *libc.TLS, file, buf uintptr, n int32, offset int64) int32 {
	return function[transferFunc](s.below().FxWrite)(tls, file, buf, n, offset)
}

// open is xOpen: it lets the VFS below open the file, and puts itself in front of it if it is a database or a WAL.
func open(tls *libc.TLS, _, name, file uintptr, flags int32, outFlags uintptr) int32 {
	rc := function[openFunc](at[sqlite3.Tsqlite3_vfs](original).FxOpen)(tls, original, name, file, flags, outFlags)
	if rc != sqlite3.SQLITE_OK {
		return rc
	}
	var replace func(*sqlite3.Tsqlite3_io_methods)
	switch {
	case flags&sqlite3.SQLITE_OPEN_MAIN_DB != 0:
		replace = forDatabase
	case flags&sqlite3.SQLITE_OPEN_WAL != 0:
		replace = forWAL
	default:
		return sqlite3.SQLITE_OK
	}
	f := at[sqlite3.Tsqlite3_file](file)
	*stateOf(file) = state{methods: f.FpMethods}
	methods := methodsOver(tls, f.FpMethods, flags&sqlite3.SQLITE_OPEN_WAL != 0, replace)
	if methods == 0 {
		function[characteristicFunc](stateOf(file).below().FxClose)(tls, file)
		f.FpMethods = 0
		return sqlite3.SQLITE_NOMEM
	}
	f.FpMethods = methods
	return sqlite3.SQLITE_OK
}

type methodsKey struct {
	below uintptr
	wal   bool
}

var (
	methodsMu  sync.Mutex
	methodsFor = map[methodsKey]uintptr{} // few: the VFS below has a constant structure for each way of locking
)

// methodsOver is a copy of the methods of the VFS below in which some are replaced. It stays for ever.
func methodsOver(tls *libc.TLS, below uintptr, wal bool, replace func(*sqlite3.Tsqlite3_io_methods)) uintptr {
	methodsMu.Lock()
	defer methodsMu.Unlock()
	key := methodsKey{below, wal}
	if methodsFor[key] != 0 {
		return methodsFor[key]
	}
	address := sqlite3.Xsqlite3_malloc64(tls, uint64(unsafe.Sizeof(sqlite3.Tsqlite3_io_methods{})))
	if address == 0 {
		return 0
	}
	m := at[sqlite3.Tsqlite3_io_methods](address)
	*m = *at[sqlite3.Tsqlite3_io_methods](below)
	m.FiVersion = min(m.FiVersion, 2) // the version without xFetch: pages of a memory map would not be seen
	m.FxFetch, m.FxUnfetch = 0, 0
	replace(m)
	methodsFor[key] = address
	return address
}
