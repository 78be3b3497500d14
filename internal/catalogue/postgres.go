package catalogue

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"golang.org/x/sys/unix"
)

// inPostgres is the engine of many machines. Updates are serialisable; reads see one moment. What collides with the changes of other nodes is run again.
var inPostgres = &engine{ // read only
	name: "postgres", driver: "pgx",
	change: `BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE`, view: `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`,
	again:    postgresCode("40001", "40P01", "55P03"), // serialization_failure, deadlock_detected, lock_not_available
	harmless: func(error) bool { return false },
	dooms:    true,
	lost:     postgresLost,
	ddl:      postgresTypes.Replace,
	within: func(conn any) bool {
		c, ok := conn.(*stdlib.Conn)
		return ok && c.Conn().PgConn().TxStatus() == 'T' // a commit of one that has failed rolls back and says that all is well
	},
	now:       `(EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint`,
	size:      `SELECT pg_database_size(current_database())`,
	shared:    true,
	lock:      `SELECT pg_advisory_lock(7310579622541516645)`, // a number of our own
	unlock:    `SELECT pg_advisory_unlock(7310579622541516645)`,
	patience:  20 * time.Second,
	statement: 30 * time.Second,
}

var postgresTypes = strings.NewReplacer(" TEXT ", ` TEXT COLLATE "C" `, " BLOB ", " BYTEA ") // read only

// postgresCode reports whether an error has one of some SQLSTATEs (PostgreSQL manual, appendix A).
func postgresCode(codes ...string) func(error) bool {
	return func(err error) bool {
		var e *pgconn.PgError
		return errors.As(err, &e) && slices.Contains(codes, e.Code)
	}
}

// postgresAway are classes and codes of a server that goes, comes, or became one that only reads: connection exceptions, admin_shutdown, crash_shutdown,
// cannot_connect_now, too_many_connections, read_only_sql_transaction.
var postgresAway = []string{"08", "57P01", "57P02", "57P03", "53300", "25006"} // read only

func postgresLost(err error) bool {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return slices.ContainsFunc(postgresAway, func(code string) bool { return strings.HasPrefix(e.Code, code) })
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.Is(err, driver.ErrBadConn) || errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		err != nil && strings.Contains(err.Error(), "conn closed")
}

// OpenPostgres opens the catalogue in a database of PostgreSQL 13 or later, or of what speaks its protocol, makes its tables if they are missing, and brings their schema up to date. The source is a
// connection URI (PostgreSQL manual, 34.1.1): several hosts, TLS (sslmode, sslrootcert) and application_name are given in it. pool_max_conns is how many connections
// read at a time; default 16. replica, if it is not empty, is the URI of a server that follows: lists are read there.
func OpenPostgres(ctx context.Context, source, replica string) (*DB, error) {
	config, reads, err := parsePostgres(source)
	if err != nil {
		return nil, err
	}
	db, err := inPostgres.open(ctx, config, config, reads)
	if err != nil {
		return nil, fmt.Errorf("open the catalogue in PostgreSQL at %s: %w", hostOf(source), err)
	}
	if replica == "" {
		return db, nil
	}
	follower, reads, err := parsePostgres(replica)
	if err == nil {
		db.follower, err = open(atOnce(inPostgres), follower, inPostgres.view, reads)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the replica of the catalogue at %s: %w", hostOf(replica), err), db.Close())
	}
	return db, nil
}

// goneAfter is for how long a machine may be silent that has something to answer, before a connection to it counts as lost. TCP by itself waits a quarter of an hour.
const goneAfter = 30 * time.Second

// dial connects to a server.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: goneAfter / 3, Interval: goneAfter / 3, Count: 2}, // for who only waits
		Control: func(network, _ string, c syscall.RawConn) (err error) { // for who has sent something
			if !strings.HasPrefix(network, "tcp") {
				return nil
			}
			failed := c.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(goneAfter.Milliseconds()))
			})
			return errors.Join(failed, err)
		},
	}
	return d.DialContext(ctx, network, address)
}

// atOnce is an engine for whom there is another: it is not waited for.
func atOnce(e *engine) *engine {
	hasty := *e
	hasty.patience, hasty.statement = 0, 10*time.Second
	return &hasty
}

// parsePostgres registers a connection URI with database/sql and returns the name that it has there.
func parsePostgres(source string) (name string, reads int, err error) {
	config, err := pgx.ParseConfig(source)
	if err != nil {
		return "", 0, fmt.Errorf("the catalogue: %w", err) // pgx leaves passwords out
	}
	reads = 16
	if n, ok := config.RuntimeParams["pool_max_conns"]; ok {
		delete(config.RuntimeParams, "pool_max_conns")
		if _, err := fmt.Sscan(n, &reads); err != nil || reads < 1 {
			return "", 0, fmt.Errorf("the catalogue: pool_max_conns=%q is not a number of connections", n)
		}
	}
	for name, value := range map[string]string{
		"application_name": "moraine",
		"timezone":         "UTC",
		// A node that is cut off must not hold up the others for longer than it is missed.
		"idle_in_transaction_session_timeout": "60000",
		"lock_timeout":                        "30000",
	} {
		if _, given := config.RuntimeParams[name]; !given {
			config.RuntimeParams[name] = value
		}
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 5 * time.Second
	}
	config.DialFunc = dial
	return stdlib.RegisterConnConfig(config), reads, nil
}

// hostOf is a connection URI without its user and password.
func hostOf(source string) string {
	config, err := pgx.ParseConfig(source)
	if err != nil {
		return "an address that cannot be read"
	}
	return fmt.Sprintf("%s:%d/%s", config.Host, config.Port, config.Database)
}
