package catalogue

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/moraine-archive/moraine/internal/catalogue/checkedvfs"
)

// inSQLite is the engine of one machine. It has one writer, which is why nothing is ever in conflict but with another process.
var inSQLite = &engine{ // read only
	name: "sqlite", driver: "sqlite", change: `BEGIN IMMEDIATE`, view: `BEGIN`,
	again: sqliteCode(sqlite3.SQLITE_BUSY),
	harmless: func(err error) bool {
		var e *sqlite.Error
		return !errors.As(err, &e) || e.Code()&0xff == sqlite3.SQLITE_CONSTRAINT
	},
	lost: func(error) bool { return false },
	now:  `CAST(unixepoch('subsec') * 1000 AS INTEGER)`,
	size: `SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()`,
	ddl:  func(text string) string { return text },
}

// sqliteCode reports whether an error is one of SQLite with a primary result code.
func sqliteCode(code int) func(error) bool {
	return func(err error) bool {
		var e *sqlite.Error
		return errors.As(err, &e) && e.Code()&0xff == code
	}
}

// readers is the number of connections that read. Each may hold a snapshot of its own for as long as an inventory takes.
const readers = 8

// OpenSQLite opens the catalogue in a file, makes it if it is missing, and brings its schema up to date.
func OpenSQLite(ctx context.Context, path string) (*DB, error) {
	// busy_timeout comes first, so that the other pragmas wait for a second process too. synchronous=FULL makes every
	// commit in WAL mode durable before it returns.
	pragmas := url.Values{"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)"}}
	checked, err := checkedvfs.Register()
	if err != nil {
		return nil, fmt.Errorf("open the catalogue %s: %w", path, err)
	}
	source := "file:" + url.PathEscape(path) + "?vfs=" + checked + "&" + pragmas.Encode()
	db, err := inSQLite.open(ctx, source, source+"&_pragma=query_only(ON)", readers)
	if err != nil {
		return nil, fmt.Errorf("open the catalogue %s: %w", path, err)
	}
	return db, nil
}
