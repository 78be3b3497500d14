package checkedvfs_test

import (
	"encoding/binary"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const (
	smallPage = 512
	reserveAt = 20 // in the file header: the size of the reserve
)

var every = flag.Bool("every", false, "change every byte of a database in TestEveryFlip, which takes minutes, and of a WAL in TestFlipInWAL")

// small makes a database in WAL mode that is closed, and returns its path and its bytes.
func small(tb testing.TB) (path string, b []byte) {
	tb.Helper()
	path = filepath.Join(tb.TempDir(), "small")
	db := create(tb, path, smallPage, "WAL")
	exec(tb, db, schema...)
	db.Close()
	mustVerify(tb, path)
	return path, read(tb, path)
}

// freeLeaves is the set of pages of a database that nothing reads: those on the list of free pages, without those that hold the list.
func freeLeaves(b []byte) map[int]bool {
	leaves := map[int]bool{}
	for trunk := binary.BigEndian.Uint32(b[32:]); trunk != 0; {
		page := b[(trunk-1)*smallPage:]
		for i := range binary.BigEndian.Uint32(page[4:]) {
			leaves[int(binary.BigEndian.Uint32(page[8+4*i:]))] = true
		}
		trunk = binary.BigEndian.Uint32(page)
	}
	return leaves
}

// TestEveryFlip changes a byte of a database and reads everything; then the next. Every byte of page 1 has its turn, and of others a
// part that is chosen at random; with -every all of them. Unnoticed may go only what is on a page that is free and holds no part of the list
// of free pages, since SQLite does not read it. Verify notices it.
func TestEveryFlip(t *testing.T) {
	_, b := small(t)
	unread := freeLeaves(b)
	if len(unread) == 0 {
		t.Fatal("no free pages")
	}
	seed := rand.Uint64()
	t.Logf("seed %d, %d bytes, %d pages, of which nothing reads %d", seed, len(b), len(b)/smallPage, len(unread))
	random := rand.New(rand.NewPCG(seed, 0))
	var flips [][2]int // offset, what is changed
	for at := range len(b) {
		switch {
		case at < smallPage:
			flips = append(flips, [2]int{at, 1 << random.IntN(8)}, [2]int{at, 1 + random.IntN(255)})
		case *every || random.IntN(200) == 0:
			flips = append(flips, [2]int{at, 1 + random.IntN(255)})
		}
	}
	for bit := range 8 { // whether there are checksums must not depend on the byte that says so
		flips = append(flips, [2]int{reserveAt, 1 << bit})
	}
	for other := range 256 {
		if other != 8 && *every {
			flips = append(flips, [2]int{reserveAt, 8 ^ other})
		}
	}
	var (
		mu        sync.Mutex
		unnoticed = map[int]int{}
		byOther   = map[string]int{}
		group     sync.WaitGroup
	)
	const workers = 2
	for w := range workers {
		group.Go(func() {
			path := filepath.Join(t.TempDir(), "copy")
			for i := w; i < len(flips); i += workers {
				err := withFlip(t, path, b, flips[i][0], byte(flips[i][1]))
				page := flips[i][0]/smallPage + 1
				mu.Lock()
				switch {
				case err == nil && unread[page]:
					unnoticed[page]++
				case err == nil:
					t.Errorf("unnoticed: offset %d (page %d), %#x", flips[i][0], page, flips[i][1])
				case flips[i][0] == reserveAt && !isDamage(err):
					t.Errorf("the size of the reserve, %#x: %v", flips[i][1], err)
				case !isDamage(err):
					byOther[firstLine(err)]++
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	t.Logf("%d flips; on free pages that nothing reads: %d; noticed otherwise than by a checksum: %v", len(flips), sum(unnoticed), byOther)
}

// firstLine is an error without the details of integrity_check, which finds more that follows from a page it could not read.
func firstLine(err error) string {
	line, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "*** in database main ***\n"), "\n")
	return line
}

func sum(m map[int]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}

// withFlip reads everything in a copy of a database with one byte changed, and lets Verify find the page.
func withFlip(t *testing.T, path string, b []byte, at int, change byte) error {
	damaged := append([]byte(nil), b...)
	damaged[at] ^= change
	write(t, path, damaged)
	if bad, err := verify(t, path); err != nil || len(bad) == 0 || bad[0] != int64(at/smallPage+1) && at >= smallPage {
		t.Errorf("Verify, offset %d, %#x: %d, %v", at, change, bad, err)
	}
	db := open(t, dsn(t, path))
	err := readAll(db)
	db.Close()
	for _, suffix := range []string{"-wal", "-shm"} {
		os.Remove(path + suffix)
	}
	return err
}
