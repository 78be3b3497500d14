package checkedvfs

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

const vfsName = "checked"

// Register makes the VFS known to SQLite, and returns the name that a DSN takes: "file:PATH?vfs=NAME". It may be called several times.
func Register() (name string, err error) {
	if err := register(); err != nil {
		return "", err
	}
	return vfsName, nil
}

var (
	original     uintptr // the VFS below, a Tsqlite3_vfs
	shim         uintptr // this VFS, a Tsqlite3_vfs
	stateOffset  uintptr // where the state is in the memory of an open file: behind what the VFS below keeps there
	reserveParam uintptr // the C string "checksums"
)

var errNoMemory = errors.New("register a VFS: out of memory")

// register sets the variables above, before SQLite can call anything that reads them.
var register = sync.OnceValue(func() error {
	tls := libc.NewTLS()
	defer tls.Close()
	if original = sqlite3.Xsqlite3_vfs_find(tls, 0); original == 0 {
		return errors.New("register a VFS: SQLite has no default VFS")
	}
	below := at[sqlite3.Tsqlite3_vfs](original)
	align := unsafe.Alignof(state{})
	stateOffset = (uintptr(below.FszOsFile) + align - 1) / align * align

	name, err := libc.CString(vfsName)
	if err != nil {
		return errNoMemory
	}
	if reserveParam, err = libc.CString("checksums"); err != nil {
		return errNoMemory
	}
	if shim = sqlite3.Xsqlite3_malloc64(tls, uint64(unsafe.Sizeof(*below))); shim == 0 {
		return errNoMemory
	}
	// All but xOpen is the original's, which keeps no data of its own in a VFS that these functions would miss in a copy.
	vfs := at[sqlite3.Tsqlite3_vfs](shim)
	*vfs = *below
	vfs.FpNext = 0
	vfs.FzName = name
	vfs.FszOsFile = int32(stateOffset + unsafe.Sizeof(state{}))
	vfs.FxOpen = pointer(open)
	if rc := sqlite3.Xsqlite3_vfs_register(tls, shim, 0); rc != sqlite3.SQLITE_OK {
		return fmt.Errorf("register a VFS: SQLite error %d", rc)
	}
	if rc := sqlite3.Xsqlite3_auto_extension(tls, pointer(reserve)); rc != sqlite3.SQLITE_OK {
		return fmt.Errorf("register what prepares new databases: SQLite error %d", rc)
	}
	return nil
})

// reserve is called by SQLite for each new connection of any VFS. It asks for reserved bytes in databases that are still to be made.
func reserve(tls *libc.TLS, db, _, _ uintptr) int32 {
	arg := tls.Alloc(8)
	defer tls.Free(8)
	control := func(op int32) bool { return sqlite3.Xsqlite3_file_control(tls, db, 0, op, arg) == sqlite3.SQLITE_OK }

	if !control(sqlite3.SQLITE_FCNTL_VFS_POINTER) || *at[uintptr](arg) != shim {
		return sqlite3.SQLITE_OK
	}
	if !control(sqlite3.SQLITE_FCNTL_FILE_POINTER) {
		return sqlite3.SQLITE_OK
	}
	file := *at[uintptr](arg)
	if file == 0 || at[sqlite3.Tsqlite3_file](file).FpMethods == 0 {
		return sqlite3.SQLITE_OK // in memory
	}
	if stateOf(file).checks != undecided && sqlite3.Xsqlite3_uri_boolean(tls, sqlite3.Xsqlite3_db_filename(tls, db, 0), reserveParam, 0) == 0 {
		return sqlite3.SQLITE_OK // it exists
	}
	*at[int32](arg) = checksumSize
	control(sqlite3.SQLITE_FCNTL_RESERVE_BYTES)
	return sqlite3.SQLITE_OK
}
