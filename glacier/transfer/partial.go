package transfer

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/moraine-archive/moraine/glacier/treehash"
)

// partial is the file that a download has come to. Its bytes are where they will be. Behind them, until the end, is a trailer that says what they are of, and for each range
// that is there its tree hash:
//
//	0   32  identifies the contents
//	32   8  size of ranges, big endian
//	40  24  zero
//	64  32  tree hash of each range, zero if it is not there
//
// Nothing is synced before the end, so that after a crash anything can be missing. That is no harm, since a range counts only if its bytes have the hash.
type partial struct {
	f          *os.File // nil: it is not open
	dir        *os.File // where it is
	path, temp string
	contents   [treehash.Size]byte
	size       int64 // of the contents
	rangeSize  int64
	whole      bool // it has all bytes and no trailer: a download has ended before it gave it its name
	done       bool // it has its name
	keep       bool // a file that has the name is not replaced

	mu     sync.Mutex
	there  int64           // guarded by mu: bytes of ranges that are there
	hashes []treehash.Hash // by range, zero if it is not there; each is written by who takes care of the range
}

const trailerHead = 64

// PartialSuffix is behind the names of files that are not complete. No download ends in a file that has such a name.
const PartialSuffix = ".moraine-part"

// maxName is how many bytes the name of a file may have.
const maxName = 255

// PartialPath returns where what is downloaded to a path is until all of it is there: beside it, under a name that ends with PartialSuffix.
func PartialPath(path string) string {
	dir, name := filepath.Split(path)
	if len(name)+len(PartialSuffix) > maxName {
		name = fmt.Sprintf("%x", sha256.Sum256([]byte(name)))
	}
	return dir + name + PartialSuffix
}

// openPartial opens or creates the file, and locks it: another download would write to a file that has got its name already.
func openPartial(path string, keep bool) (*partial, error) {
	if strings.HasSuffix(path, PartialSuffix) {
		return nil, fmt.Errorf("%s: the name ends as those of files that are not complete do (%s)", path, PartialSuffix)
	}
	p := &partial{path: path, temp: PartialPath(path), keep: keep}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil, fmt.Errorf("%s is a directory", path)
	}
	var err error
	if p.dir, err = os.Open(filepath.Dir(path)); err != nil { // it has to be synced at the end
		return nil, err
	}
	err = p.open()
	if _, there := os.Lstat(path); err == nil && keep && there == nil {
		err = p.exists()
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *partial) open() error {
	for {
		f, err := os.OpenFile(p.temp, os.O_RDWR|os.O_CREATE, 0o666)
		if err != nil {
			return err
		}
		if err := lockFile(f); err != nil {
			f.Close()
			return fmt.Errorf("%s: %w", p.temp, err)
		}
		ours, err := p.claim(f)
		if ours {
			p.f = f
			return nil
		}
		f.Close()
		if err != nil {
			return err
		}
	}
}

// claim reports whether a file that had the temporary name when it was opened, and is locked now, can be written to. Otherwise there is another one, or none.
func (p *partial) claim(f *os.File) (bool, error) {
	switch {
	case !sameFile(f, p.temp): // a download has ended in between: what has the name now is another's
		return false, nil
	case sameFile(f, p.path): // a download was killed when it had given the file its name
		return false, os.Remove(p.temp)
	}
	return true, nil
}

// exists is that there is a file that is not to be replaced.
func (p *partial) exists() error {
	return &fs.PathError{Op: "download", Path: p.path, Err: fs.ErrExist}
}

func sameFile(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Stat(path)
	return err == nil && os.SameFile(a, b)
}

// close lets others have the file. If nothing is in it, it is removed.
func (p *partial) close() {
	if info, err := p.f.Stat(); err == nil && !p.done && info.Size() == 0 {
		os.Remove(p.temp)
	}
	p.f.Close()
	p.dir.Close()
}

// begin takes what is in the file, if it is of the contents. Otherwise it begins anew.
func (p *partial) begin(contents [treehash.Size]byte, size, rangeSize int64) error {
	p.contents, p.size, p.there, p.whole = contents, size, 0, false
	if p.resume() {
		return nil
	}
	p.rangeSize = rangeSize
	p.hashes = make([]treehash.Hash, partCount(size, rangeSize))
	if info, err := p.f.Stat(); err == nil && info.Size() == size {
		p.whole = true
		return nil
	}
	return p.anew()
}

// anew makes the file one without a range.
func (p *partial) anew() error {
	clear(p.hashes)
	p.whole = false
	if err := p.reset(p.trailer(len(p.hashes))); err != nil {
		return err
	}
	head := make([]byte, trailerHead)
	copy(head, p.contents[:])
	binary.BigEndian.PutUint64(head[treehash.Size:], uint64(p.rangeSize))
	return p.write(p.size, head)
}

// reset makes the file one of zeros.
func (p *partial) reset(size int64) error {
	p.mu.Lock()
	p.there = 0
	p.mu.Unlock()
	if err := p.f.Truncate(0); err != nil {
		return localError{err}
	}
	if err := p.f.Truncate(size); err != nil {
		return localError{err}
	}
	return nil
}

// resume reads the trailer, and reports whether it is one of the contents.
func (p *partial) resume() bool {
	info, err := p.f.Stat()
	if err != nil || info.Size() < p.trailer(0) {
		return false
	}
	head := make([]byte, trailerHead)
	if _, err := p.f.ReadAt(head, p.size); err != nil || [treehash.Size]byte(head) != p.contents {
		return false
	}
	p.rangeSize = int64(binary.BigEndian.Uint64(head[treehash.Size:]))
	if checkPartSize(p.rangeSize) != nil || partCount(p.size, p.rangeSize) > maxRanges {
		return false
	}
	p.hashes = make([]treehash.Hash, partCount(p.size, p.rangeSize))
	all := make([]byte, len(p.hashes)*treehash.Size)
	n, _ := p.f.ReadAt(all, p.trailer(0)) // what is missing is zero
	clear(all[n:])
	for i := range p.hashes {
		p.hashes[i] = treehash.Hash(all[i*treehash.Size:])
		if p.has(i) {
			p.there += p.part(i).size
		}
	}
	return true
}

// trailer returns the offset of the hash of a range.
func (p *partial) trailer(i int) int64 { return p.size + trailerHead + int64(i)*treehash.Size }

func (p *partial) has(i int) bool { return p.hashes[i] != treehash.Hash{} }

// claimed are the ranges that the file says it has.
func (p *partial) claimed() (all []int) {
	for i := range p.hashes {
		if p.whole || p.has(i) {
			all = append(all, i)
		}
	}
	return all
}

// part returns a range.
func (p *partial) part(i int) part {
	at := int64(i) * p.rangeSize
	size := min(p.rangeSize, p.size-at)
	return part{i, at, size, io.NewSectionReader(p.f, at, size), func() {}}
}

// bytes returns how much is there.
func (p *partial) bytes() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.there
}

// write stores bytes. A failure is one of this side.
func (p *partial) write(off int64, b []byte) error {
	if _, err := p.f.WriteAt(b, off); err != nil {
		return localError{err}
	}
	return nil
}

// record notes that a range is there.
func (p *partial) record(i int, tree treehash.Hash) error { return p.set(i, tree, p.part(i).size) }

// forget notes that a range is not there.
func (p *partial) forget(i int) error { return p.set(i, treehash.Hash{}, -p.part(i).size) }

func (p *partial) set(i int, tree treehash.Hash, more int64) error {
	p.hashes[i] = tree
	p.mu.Lock()
	p.there += more
	p.mu.Unlock()
	if p.whole {
		return nil
	}
	return p.write(p.trailer(i), tree[:])
}

// finish makes the bytes durable, cuts the trailer off, and gives the file its name. The first sync may take long; there is little that can come between the rest.
func (p *partial) finish() error {
	if err := p.f.Sync(); err != nil {
		return localError{err}
	}
	if err := p.f.Truncate(p.size); err != nil {
		return localError{err}
	}
	if err := p.f.Sync(); err != nil {
		return localError{err}
	}
	if err := p.name(); err != nil {
		return localError{err}
	}
	p.done = true
	return syncDir(p.dir)
}

// name gives the file its name.
func (p *partial) name() error {
	if !sameFile(p.f, p.temp) {
		return fmt.Errorf("%s was replaced while it was written to", p.temp)
	}
	if err := beforeRename(p.f); err != nil {
		return err
	}
	if !p.keep {
		return os.Rename(p.temp, p.path)
	}
	err := os.Link(p.temp, p.path) // which replaces nothing
	if err == nil {
		return os.Remove(p.temp)
	}
	if _, there := os.Lstat(p.path); errors.Is(err, fs.ErrExist) || !errors.Is(there, fs.ErrNotExist) {
		return p.exists()
	}
	return os.Rename(p.temp, p.path) // the file system has no links
}
