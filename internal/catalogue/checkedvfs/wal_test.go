package checkedvfs_test

import (
	"database/sql"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

const (
	walHeader   = 32
	frameHeader = 24
	frame       = frameHeader + smallPage
)

// withWAL makes a database whose last transactions are in the WAL only, and which stays open.
func withWAL(t *testing.T) (path string, db *sql.DB) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "db")
	db = create(t, path, smallPage, "WAL", "wal_autocheckpoint(0)")
	exec(t, db, schema...)
	exec(t, db, "PRAGMA wal_checkpoint(TRUNCATE)")
	for i := range 5 {
		exec(t, db, rows("b", 1000*i+1000, 1000*i+1009, "'new', i"), fmt.Sprintf("UPDATE a SET body = randomblob(100) WHERE id = %d", i*20+1))
	}
	return path, db
}

// current is the set of frames of a WAL, from 0, that hold the newest version of their pages.
func current(wal []byte) map[int]bool {
	newest := map[uint32]int{}
	for i := range (len(wal) - walHeader) / frame {
		newest[binary.BigEndian.Uint32(wal[walHeader+i*frame:])] = i
	}
	frames := map[int]bool{}
	for _, i := range newest {
		frames[i] = true
	}
	return frames
}

// patch changes a byte of a file in place, and returns how to undo it. SQLite has no locks on a WAL that the close in the end could drop.
func patch(t *testing.T, path string, at int) (undo func()) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	flip := func() {
		var b [1]byte
		if _, err := f.ReadAt(b[:], int64(at)); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 1 << (at % 8)
		if _, err := f.WriteAt(b[:], int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	flip()
	return func() { flip(); f.Close() }
}

// TestFlipInWAL changes bytes of the WAL of a database that is open, and reads everything by a new connection. Unnoticed may go only what
// is in a frame whose page has a newer version further on, and not in the checksum of its header either, if the next frame is read.
func TestFlipInWAL(t *testing.T) {
	path, _ := withWAL(t)
	wal := read(t, path+"-wal")
	newest := current(wal)
	var noticed, unnoticed int
	for at := 0; at < len(wal); at++ {
		if at >= walHeader && at%31 != 0 && !*every {
			continue
		}
		undo := patch(t, path+"-wal", at)
		db := open(t, dsn(t, path, "wal_autocheckpoint(0)"))
		err := readAll(db)
		undo()
		db.Close()
		i, within := (at-walHeader)/frame, (at-walHeader)%frame
		switch {
		case err != nil: // by integrity_check, which says in words that it could not read a page, or by the read itself
			noticed++
		case at < walHeader || newest[i] || newest[i+1] && within >= 16 && within < frameHeader:
			t.Errorf("unnoticed: offset %d: frame %d, byte %d", at, i, within)
		default:
			unnoticed++
		}
	}
	t.Logf("a WAL of %d frames, %d of them current: %d flips noticed, %d in what nothing reads", (len(wal)-walHeader)/frame, len(newest), noticed, unnoticed)
}

// TestFlipInOwnFrames changes the frames of a transaction that wrote over them, and has the connection that wrote them read them.
func TestFlipInOwnFrames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	db := create(t, path, smallPage, "WAL", "cache_size(10)", "wal_autocheckpoint(0)")
	exec(t, db, schema...)
	exec(t, db, "PRAGMA wal_checkpoint(TRUNCATE)", "BEGIN", "UPDATE a SET name = name || 'x'", "UPDATE a SET name = name || 'y'", "COMMIT")
	wal := read(t, path+"-wal")
	inUse := map[uint32]bool{}
	result, err := db.Query("SELECT DISTINCT pageno FROM dbstat")
	if err != nil {
		t.Fatal(err)
	}
	for result.Next() {
		var page uint32
		if err := result.Scan(&page); err != nil {
			t.Fatal(err)
		}
		inUse[page] = true
	}
	for i := range current(wal) {
		start := walHeader + i*frame
		if !inUse[binary.BigEndian.Uint32(wal[start:])] {
			continue
		}
		exec(t, db, "PRAGMA shrink_memory")
		undo := patch(t, path+"-wal", start+16) // the checksum, so that only that can tell
		if err := readAll(db); err == nil {
			t.Errorf("unnoticed: frame %d", i)
		}
		undo()
	}
}

// TestFlipBehindTheWAL changes a page of the database file that is read by a connection that has read page 1 from the WAL only.
func TestFlipBehindTheWAL(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	reader := open(t, dsn(t, path))
	exec(t, reader, "PRAGMA cache_size") // it opens the file, which is empty
	writer := create(t, path, smallPage, "WAL", "wal_autocheckpoint(0)")
	exec(t, writer, schema...)
	exec(t, writer, "PRAGMA wal_checkpoint(TRUNCATE)", "CREATE TABLE more (x)")
	var root int
	if err := writer.QueryRow("SELECT rootpage FROM sqlite_schema WHERE name = 'b'").Scan(&root); err != nil {
		t.Fatal(err)
	}
	defer patch(t, path, root*smallPage-1)() // the checksum
	if _, err := reader.Exec("SELECT * FROM b"); !isDamage(err) {
		t.Fatal(err)
	}
}

// TestCheckpointOfDamage wants a checkpoint to fail rather than move damage into the database, and the database to be as before when the
// damage is undone.
func TestCheckpointOfDamage(t *testing.T) {
	path, db := withWAL(t)
	wal := read(t, path+"-wal")
	for i := range current(wal) {
		undo := patch(t, path+"-wal", walHeader+i*frame+frameHeader+100)
		_, err := db.Exec("PRAGMA wal_checkpoint(TRUNCATE)")
		undo()
		if !isDamage(err) {
			t.Errorf("frame %d: %v", i, err)
		}
	}
	exec(t, db, "PRAGMA wal_checkpoint(TRUNCATE)")
	mustReadAll(t, db)
	db.Close()
	mustVerify(t, path)
}

// TestFlipBeforeRecovery changes bytes of a WAL that a crash has left behind. That is not noticed, by SQLite's design; what it may not do
// is to bring a database that is neither an earlier state nor an error.
func TestFlipBeforeRecovery(t *testing.T) {
	path, _ := withWAL(t)
	b, wal := read(t, path), read(t, path+"-wal")
	states := map[[2]int]bool{}
	for frames := range (len(wal)-walHeader)/frame + 1 { // the states after each transaction
		s, err := recovered(t, b, wal[:walHeader+frames*frame])
		if err != nil {
			t.Fatal(err)
		}
		states[s] = true
	}
	last, _ := recovered(t, b, wal)
	step := 199
	if *every {
		step = 7
	}
	var whole, lost, refused int
	for at := 0; at < len(wal); at += step {
		damaged := append([]byte(nil), wal...)
		damaged[at] ^= 1 << (at % 8)
		s, err := recovered(t, b, damaged)
		switch {
		case err != nil:
			refused++
		case !states[s]:
			t.Errorf("offset %d: %v", at, s)
		case s == last:
			whole++
		default:
			lost++
		}
	}
	t.Logf("%d states; of %d flips %d were refused, %d lost transactions silently, %d lost nothing", len(states), refused+lost+whole, refused, lost, whole)
}

// recovered opens a database with a WAL that was left behind, and says how much is in it.
func recovered(t *testing.T, b, wal []byte) (state [2]int, err error) {
	path := filepath.Join(t.TempDir(), "db")
	write(t, path, b)
	write(t, path+"-wal", wal)
	db := open(t, dsn(t, path))
	defer db.Close()
	if err := readAll(db); err != nil {
		return state, err
	}
	err = db.QueryRow(`SELECT (SELECT count(*) FROM b), (SELECT sum(length(body)) FROM a)`).Scan(&state[0], &state[1])
	return state, err
}
