// Package checkedvfs makes SQLite notice damaged bytes of a database. It registers a VFS, a shim over the default one, that keeps a checksum
// in the last 8 bytes of every page of a database file, and refuses to read what does not match: the statement fails with SQLITE_IOERR_DATA
// ("disk I/O error (8202)"). The idea is that of SQLite's own extension cksumvfs; the checksum and the treatment of the WAL differ, so neither
// reads the other's checksums.
//
// # Which databases
//
// A database that is made by a connection of this VFS gets the 8 reserved bytes at the end of each page that the checksums need; that is
// written in its header, and cannot be had later. A database without them opens and works, and its file is not checked. One gets a
// checked copy of it by VACUUM INTO on a connection with the parameter "checksums=on" in its DSN, as well as "vfs=". A new database made
// by ATTACH is not checked; the target of VACUUM INTO is like its source.
//
// A program that does not use this VFS, such as the sqlite3 shell, must open a checked database with "mode=ro" or not at all: the pages that
// it writes have no valid checksum, and are refused afterwards. Even a program that only queries writes: closing the database checkpoints it.
//
// # What is covered
//
//   - Every page of the database file, page 1 with its file header included, each time it is read: two CRC-32 by different polynomials,
//     seeded with the number of the page. Any change within a run of 32 bits is noticed for certain, and so is a page that is at the wrong
//     place or was never written.
//   - The size of the reserve in the file header. It says whether there are checksums at all, so that damage to it could switch them off;
//     page 1 tells.
//   - Every page that is read from the WAL, for a query or for a checkpoint, in any database: SQLite writes checksums of its own there, into the
//     header of each frame, chained to the frame before, and itself looks at them only in recovery. Here they are computed again at each
//     read, with the header of the frame and the header of the WAL. So a checkpoint fails rather than moves damage into the database
//     file under a valid checksum.
//
// # What is not covered
//
//   - Recovery of a WAL, which the first connection does after a crash. SQLite cannot tell a frame that is damaged from one that was
//     half written when the power failed: it ignores the first bad frame and everything behind it, and the whole WAL if its header is
//     bad. Transactions that were committed are then silently lost; what remains is an earlier state of the database, whole.
//   - The -shm file. It is an index of the WAL, made anew in recovery, and not durable. SQLite keeps a checksum of its header only.
//   - The rollback journal, and with it a rollback, of a database that is not in WAL mode; temporary files; memory.
//   - Pages that nothing reads: unused pages, and what is in the database file while a newer version is in the WAL. [Verify] reads the
//     file whole.
//   - An old version of a page where a write was lost: it has a valid checksum.
//   - A file that ends too early is left to SQLite, which compares its size with the header; with a WAL present it does not.
//   - Ill will: anyone can compute the checksums.
//
// # Limits
//
// Memory-mapped reading (PRAGMA mmap_size) has no effect. The backup interface of SQLite must not put an unchecked database in the place of
// a checked one, and VACUUM must not be used with "checksums=on" in place, unless in WAL mode: the cache may spill pages before the header.
package checkedvfs
