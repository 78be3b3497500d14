// Package index keeps on this machine what is known about the archives of a vault, so that a vault can be listed, searched and compared with a directory without
// the hours or the day that an inventory takes. It is a cache: it begins with an inventory (Replace), is amended by what this machine uploads and deletes, and the
// next inventory puts right what others did. All of it may vanish without harm but for the wait.
//
// Every vault has a file of its own, for which FileName has a name. One file for all vaults would be locked for all of them while the inventory of one is taken
// over, would need the vault in every key, and would be lost as a whole when it is damaged; and a million rows of one vault would have to be picked out and
// deleted one by one, where now a table is emptied at once.
//
// The file is an SQLite database in WAL mode. Several goroutines and several processes may use it at once.
package index

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

var (
	// ErrNotFound is returned when the index knows no such thing.
	ErrNotFound = errors.New("not in the index")
	// ErrAmbiguous is returned when several archives have ids that begin so.
	ErrAmbiguous = errors.New("several archives have ids that begin so")
	// ErrOlder is returned for an inventory that is older than the one the index has.
	ErrOlder = errors.New("the index has a later inventory")
	// ErrDamaged is returned when the file turns out to be damaged while it is in use. Discard it, and open it again.
	ErrDamaged = errors.New("the index is damaged")
)

// Disk is how the files of an index are moved out of the way. vfs.FS is one.
type Disk interface {
	// Rename gives a file another name, in place of a file that has it. A missing file is fs.ErrNotExist.
	Rename(from, to string) error
	// Lock takes a lock file, which it makes if it is missing. It is an error if another process has it.
	Lock(path string) (io.Closer, error)
}

// Index is what is known about a vault.
type Index struct {
	db        *sql.DB
	path      string
	disk      Disk
	restarted string

	byPath *sql.Stmt // prepared, for a sync asks for every file
	byID   *sql.Stmt
}

// FileName returns a name for the file of a vault's index: one that people recognise, that no two vaults have in common, also where file names are the same in
// both cases, and that changes with the layout of the file, so that programs of different versions do not disturb each other. The account is its number:
// what "-" means depends on the credentials. A vault of the same name that was created at another time is another one.
func FileName(endpoint, account, vault string, created time.Time) string {
	sum := sha256.Sum256([]byte(strings.ToLower(strings.TrimRight(endpoint, "/")) + "\x00" + account + "\x00" + vault + "\x00" + created.UTC().Format(time.RFC3339Nano)))
	readable := strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return '_'
	}, vault)
	return fmt.Sprintf("%.64s-%x.v%d.db", readable, sum[:8], schemaVersion)
}

// Open opens the index in a file, and makes it if it is missing; its directory has to be there. If the file is damaged or no index at all, it is moved out of the
// way, to the same name with .damaged after it; if it is of another version, it is emptied. Restarted says so.
func Open(ctx context.Context, path string, disk Disk) (*Index, error) {
	ix, err := open(ctx, path, disk)
	if errors.Is(err, ErrDamaged) {
		ix, err = beginAnew(ctx, path, disk)
	}
	if err != nil {
		return nil, fmt.Errorf("open the index %s: %w", path, err)
	}
	return ix, nil
}

// beginAnew opens an index whose file was found damaged. Of several processes that found it so, one moves the file away and makes a new one, and the others use that: to
// move away what another has open would do harm.
func beginAnew(ctx context.Context, path string, disk Disk) (*Index, error) {
	var lock io.Closer
	failed := func(err error) bool { return err != nil }
	err := patiently(ctx, failed, func() (err error) {
		lock, err = disk.Lock(path + ".lock")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("it is damaged, and cannot be locked to be moved out of the way: %w", err)
	}
	defer lock.Close()
	ix, damage := open(ctx, path, disk)
	if !errors.Is(damage, ErrDamaged) {
		return ix, damage
	}
	if err := setAside(path, disk); err != nil {
		return nil, fmt.Errorf("it is damaged, and cannot be moved out of the way: %w", err)
	}
	if ix, err = open(ctx, path, disk); err == nil {
		ix.restarted = fmt.Sprintf("%v; the file is now %s", damage, path+asideSuffix)
	}
	return ix, err
}

func open(ctx context.Context, path string, disk Disk) (*Index, error) {
	// busy_timeout comes first, so that the other pragmas wait for a second process too. It is as long as an inventory of many millions takes. The last changes
	// may be lost when the power fails (synchronous=NORMAL), but the file stays whole.
	options := url.Values{
		"_pragma": {"busy_timeout(60000)", "journal_mode(WAL)", "synchronous(NORMAL)", "cache_size(-65536)", "journal_size_limit(67108864)"},
		"_txlock": {"immediate"}, // of transactions that write; what only reads has none
	}
	db, err := sql.Open("sqlite", "file:"+url.PathEscape(path)+"?"+options.Encode())
	if err != nil {
		return nil, err
	}
	ix := &Index{db: db, path: path, disk: disk}
	if err := ix.prepare(ctx); err != nil {
		return nil, errors.Join(noted(err), ix.Close())
	}
	return ix, nil
}

func (ix *Index) prepare(ctx context.Context) error {
	// While another process changes the journal mode, the engine says that it is busy without waiting.
	busy := func(err error) bool { return is(err, sqlite3.SQLITE_BUSY) }
	err := patiently(ctx, busy, func() error { return ix.migrate(ctx) })
	if err != nil {
		return err
	}
	if ix.byPath, err = ix.db.PrepareContext(ctx, selectByPath); err != nil {
		return err
	}
	ix.byID, err = ix.db.PrepareContext(ctx, selectByID)
	return err
}

// patiently runs fn again while its error is a passing one, for about ten seconds.
func patiently(ctx context.Context, passing func(error) bool, fn func() error) error {
	for pause, tries := time.Millisecond, 200; ; pause, tries = min(2*pause, 50*time.Millisecond), tries-1 {
		err := fn()
		if !passing(err) || tries == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(pause):
		}
	}
}

// Restarted says why Open began the index anew, empty if it did not.
func (ix *Index) Restarted() string { return ix.restarted }

// Close closes the index.
func (ix *Index) Close() error {
	var err error
	for _, s := range []*sql.Stmt{ix.byPath, ix.byID} {
		if s != nil {
			err = errors.Join(err, s.Close())
		}
	}
	return errors.Join(err, ix.db.Close())
}

// Discard closes the index and moves its file out of the way, as Open does with one that is damaged. No other process should have it open.
func (ix *Index) Discard() error {
	ix.Close() // a damaged file may not let itself be closed properly
	if err := setAside(ix.path, ix.disk); err != nil {
		return fmt.Errorf("discard the index %s: %w", ix.path, err)
	}
	return nil
}

// update runs fn in a transaction that writes. Only one runs at a time; the others wait.
func (ix *Index) update(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := ix.db.BeginTx(ctx, nil)
	if err != nil {
		return noted(err)
	}
	defer tx.Rollback() // nothing after Commit
	if err := fn(tx); err != nil {
		return noted(err)
	}
	return noted(tx.Commit())
}

// noted returns err, as ErrDamaged if it means that.
func noted(err error) error {
	if is(err, sqlite3.SQLITE_CORRUPT) || is(err, sqlite3.SQLITE_NOTADB) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

func is(err error, code int) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == code
}
