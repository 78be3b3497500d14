package catalogue

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moraine-archive/moraine/internal/enginetest"
)

func openPostgres(t *testing.T, source string) *DB {
	t.Helper()
	db, err := OpenPostgres(t.Context(), source, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// onlyPostgres skips a test that is about PostgreSQL in the other run of the tests.
func onlyPostgres(t *testing.T) {
	t.Helper()
	if os.Getenv(inDatabase) == "" {
		t.Skip("it runs with the tests in PostgreSQL")
	}
}

// insertInto adds an archive of a byte to a vault.
func insertInto(vault int64, id string) func(*Tx) error {
	return func(tx *Tx) error {
		return tx.InsertArchive(Archive{ID: id, VaultID: vault, CreatedAt: epoch, Size: 1, TreeHash: make([]byte, 32)})
	}
}

// TestNodesInConflict has several nodes change the same row at once: each change happens once.
func TestNodesInConflict(t *testing.T) {
	onlyPostgres(t)
	source := enginetest.Database(t)
	nodes := []*DB{openPostgres(t, source), openPostgres(t, source), openPostgres(t, source)}
	vault := newVault(t, nodes[0], "photos")
	var all sync.WaitGroup
	const clients, each = 8, 10
	for n, db := range nodes {
		for c := range clients {
			all.Go(func() {
				for i := range each {
					if err := db.Update(context.Background(), insertInto(vault, fmt.Sprint(n, c, i))); err != nil {
						t.Errorf("node %d: %v", n, err)
					}
				}
			})
		}
	}
	all.Wait()
	view(t, nodes[0], func(tx *Tx) error {
		v, err := tx.VaultByID(vault)
		if want := int64(len(nodes) * clients * each); v.Archives != want || v.Bytes != want || v.Changes != want {
			t.Errorf("the vault has %d archives of %d bytes after %d changes, want %d", v.Archives, v.Bytes, v.Changes, want)
		}
		return err
	})
}

// TestNodesOpenAtOnce has several nodes make the tables of a new database at the same moment.
func TestNodesOpenAtOnce(t *testing.T) {
	onlyPostgres(t)
	source := enginetest.Database(t)
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			db, err := OpenPostgres(t.Context(), source, "")
			if err != nil {
				t.Error(err)
				return
			}
			db.Close()
		})
	}
	all.Wait()
}

// TestAServerThatRestarts is killed and started again under load: what is acknowledged is there, and nothing twice.
func TestAServerThatRestarts(t *testing.T) {
	onlyPostgres(t)
	p := enginetest.NewPostgres(t)
	db := openPostgres(t, p.Database(t))
	vault := newVault(t, db, "photos")
	var all sync.WaitGroup
	var stop atomic.Bool
	var mu sync.Mutex
	acknowledged, failures := []string{}, 0
	for c := range 4 {
		all.Go(func() {
			for i := 0; !stop.Load(); i++ {
				id := fmt.Sprintf("%d-%d", c, i)
				err := db.Update(context.Background(), insertInto(vault, id))
				mu.Lock()
				if err == nil {
					acknowledged = append(acknowledged, id)
				} else {
					failures++
					t.Logf("update: %v", err)
				}
				mu.Unlock()
				if err := db.View(context.Background(), func(tx *Tx) error { _, err := tx.VaultByID(vault); return err }); err != nil && !db.engine.lost(err) {
					t.Errorf("view: %v", err)
				}
			}
		})
	}
	for _, mode := range []string{"immediate", "fast", "immediate"} {
		time.Sleep(300 * time.Millisecond)
		p.Stop(t, mode)
		time.Sleep(300 * time.Millisecond)
		p.Start(t)
	}
	time.Sleep(300 * time.Millisecond)
	stop.Store(true)
	all.Wait()
	view(t, db, func(tx *Tx) error {
		v, err := tx.VaultByID(vault)
		if err != nil {
			return err
		}
		for _, id := range acknowledged {
			if _, err := tx.Archive(id); err != nil {
				t.Errorf("the archive %s is acknowledged: %v", id, err)
			}
		}
		if v.Archives < int64(len(acknowledged)) || v.Archives > int64(len(acknowledged)+failures) {
			t.Errorf("the vault has %d archives, %d are acknowledged, %d updates failed", v.Archives, len(acknowledged), failures)
		}
		return nil
	})
	if len(acknowledged) == 0 || failures > 0 {
		t.Errorf("%d updates were acknowledged, %d failed, though the server was soon back", len(acknowledged), failures)
	}
}

// wire is a connection between a node and the server that can be cut.
type wire struct {
	net.Listener
	to string

	mu    sync.Mutex
	conns []net.Conn // guarded by mu
	// after is how many messages of the node still pass, with their answers. The next one passes, and its answer does not; then it is negative, and the wire whole.
	after int
	armed bool // guarded by mu, as is after
}

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{Listener: l, to: to}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go w.carry(c)
		}
	}()
	t.Cleanup(func() { l.Close(); w.cut() })
	return w
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		c.Close()
	}
	w.conns = nil
}

func (w *wire) arm(after int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.after, w.armed = after, true
}

// last reports whether a message of the node is the one whose answer is lost.
func (w *wire) last() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.armed {
		return false
	}
	w.after--
	w.armed = w.after >= 0
	return !w.armed
}

func (w *wire) carry(node net.Conn) {
	server, err := net.Dial("tcp", w.to)
	if err != nil {
		node.Close()
		return
	}
	w.mu.Lock()
	w.conns = append(w.conns, node, server)
	w.mu.Unlock()
	lost := make(chan bool, 1)
	go func() {
		defer server.Close()
		buffer := make([]byte, 64<<10)
		for {
			n, err := node.Read(buffer)
			if err != nil {
				return
			}
			if w.last() {
				lost <- true
			}
			if _, err := server.Write(buffer[:n]); err != nil {
				return
			}
		}
	}()
	defer node.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := server.Read(buffer)
		if err != nil {
			return
		}
		select {
		case <-lost:
			return
		default:
		}
		if _, err := node.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// through is a source that goes through the wire.
func (w *wire) through(source string) string {
	return strings.Replace(source, w.to, w.Addr().String(), 1)
}

// TestLostAnswers cuts the connection after each message of a change and its commit: each change happens once, and is known to have.
func TestLostAnswers(t *testing.T) {
	onlyPostgres(t)
	source := enginetest.Database(t)
	host := strings.Split(strings.SplitAfter(source, "@")[1], "/")[0]
	w := newWire(t, host)
	db := openPostgres(t, w.through(source))
	vault := newVault(t, db, "photos")
	for i := range 3 {
		update(t, db, insertInto(vault, fmt.Sprint("warm", i)))
	}
	for after := range 8 {
		w.arm(after) // begin, change, insert, number of the transaction, commit
		if err := db.Update(t.Context(), insertInto(vault, fmt.Sprint("cut", after))); err != nil {
			t.Errorf("cut after %d messages: %v", after, err)
		}
	}
	w.arm(1 << 20)
	view(t, db, func(tx *Tx) error {
		v, err := tx.VaultByID(vault)
		if v.Archives != 11 {
			t.Errorf("the vault has %d archives, want 11", v.Archives)
		}
		return err
	})
}

// TestAwayForLong gives up when the engine does not come back, and says what is away, but not the password.
func TestAwayForLong(t *testing.T) {
	onlyPostgres(t)
	impatient := *inPostgres
	impatient.patience = 100 * time.Millisecond
	source, _, err := parsePostgres("postgres://moraine:hush@127.0.0.1:1/x?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	_, err = impatient.open(t.Context(), source, source, 1)
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1") || strings.Contains(err.Error(), "hush") {
		t.Errorf("a server that is not there: %v", err)
	}
	for _, bad := range []string{"postgres://127.0.0.1:1/x?pool_max_conns=0", "postgres://127.0.0.1:x/y", "postgres://127.0.0.1/x?sslmode=odd"} {
		if _, err := OpenPostgres(t.Context(), bad, ""); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

// TestReplica reads lists where they may be old, and elsewhere when that does not answer.
func TestReplica(t *testing.T) {
	onlyPostgres(t)
	source, other := enginetest.Database(t), enginetest.Database(t) // two databases, so that it shows which is read
	newVault(t, openPostgres(t, other), "follows")
	host := strings.Split(strings.SplitAfter(other, "@")[1], "/")[0]
	w := newWire(t, host)
	db, err := OpenPostgres(t.Context(), source, w.through(other))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	newVault(t, db, "leads")
	names := func() (names []string) {
		err := db.List(t.Context(), func(tx *Tx) error {
			list, err := tx.Vaults(account, "", 10)
			for _, v := range list {
				names = append(names, v.Name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	if got := names(); !slices.Equal(got, []string{"follows"}) {
		t.Errorf("with a replica: %q", got)
	}
	w.Close()
	w.cut()
	began := time.Now()
	for range 3 {
		if got := names(); !slices.Equal(got, []string{"leads"}) {
			t.Errorf("without it: %q", got)
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("three lists without it take %s", took)
	}
}

// TestHangingServer has a server answer no more in the middle of a change: the change does not wait for ever, nor do those behind it.
func TestHangingServer(t *testing.T) {
	onlyPostgres(t)
	address := enginetest.Database(t)
	openPostgres(t, address) // makes the tables, with patience
	source, _, err := parsePostgres(address)
	if err != nil {
		t.Fatal(err)
	}
	hasty := *inPostgres
	hasty.patience, hasty.statement = 0, 300*time.Millisecond
	db, err := hasty.open(t.Context(), source, source, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for what, hang := range map[string]func(*Tx) error{
		"a row": func(tx *Tx) error {
			_, err := scalar[int64](tx, `SELECT 1 FROM pg_sleep(8)`)
			return err
		},
		"rows": func(tx *Tx) error {
			_, err := all[problem](tx, `SELECT 'x' FROM pg_sleep(8)`)
			return err
		},
	} {
		began := time.Now()
		err := db.Update(t.Context(), hang)
		if took := time.Since(began); err == nil || took > 5*time.Second {
			t.Errorf("a change that waits for %s ends after %s with %v", what, took, err)
		}
	}
	newVault(t, db, "goes on")
}

// TestDeadPeer holds how long a connection to a server stays whose machine is gone, and says nothing: TCP by itself has a quarter of an hour of patience.
func TestDeadPeer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := dial(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		unanswered, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
		if err != nil || unanswered < 10_000 || unanswered > 60_000 {
			t.Errorf("what is sent may be unanswered for %d ms, %v", unanswered, err)
		}
		idle, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPIDLE)
		if err != nil || idle > 30 {
			t.Errorf("a peer that says nothing is asked after %d s, %v", idle, err)
		}
	})
}

// column is what both engines say of a column.
type column struct {
	Table, Name, Type, Default string
	NotNull                    bool
	Key                        int64 // place in the primary key
}

func (c *column) fields() []any {
	return []any{&c.Table, &c.Name, &c.Type, nullable{&c.Default}, &c.NotNull, &c.Key}
}

// indexed is what both engines say of an index.
type indexed struct {
	Table, Name, Columns string
	Unique, Partial      bool
}

func (i *indexed) fields() []any { return []any{&i.Table, &i.Name, &i.Columns, &i.Unique, &i.Partial} }

// TestSchemasAgree compares the tables of both engines.
func TestSchemasAgree(t *testing.T) {
	onlyPostgres(t)
	small := openPath(t, t.TempDir()+"/catalogue.db")
	large := openPostgres(t, enginetest.Database(t))
	var columns, pgColumns []column
	var indexes, pgIndexes []indexed
	read := func(db *DB, of *[]column, in *[]indexed, columns, indexes string) {
		view(t, db, func(tx *Tx) (err error) {
			if *of, err = all[column](tx, columns); err != nil {
				return err
			}
			*in, err = all[indexed](tx, indexes)
			return err
		})
	}
	read(small, &columns, &indexes, `SELECT m.name, c.name, LOWER(c.type), c.dflt_value, c."notnull", c.pk FROM sqlite_schema m JOIN pragma_table_info(m.name) c
		WHERE m.type = 'table' ORDER BY m.name, c.name`,
		`SELECT m.name, i.name, (SELECT group_concat(name, ',') FROM (SELECT name FROM pragma_index_info(i.name) ORDER BY seqno)), i."unique", i.partial
		FROM sqlite_schema m JOIN pragma_index_list(m.name) i WHERE m.type = 'table' AND i.origin = 'c' ORDER BY m.name, i.name`)
	read(large, &pgColumns, &pgIndexes, `SELECT c.table_name::text, c.column_name::text, CASE c.data_type WHEN 'bytea' THEN 'blob' ELSE c.data_type END::text, c.column_default::text,
		c.is_nullable = 'NO', COALESCE((SELECT k.ordinal_position FROM information_schema.key_column_usage k JOIN information_schema.table_constraints t
			ON t.constraint_name = k.constraint_name AND t.constraint_type = 'PRIMARY KEY' WHERE k.table_name = c.table_name AND k.column_name = c.column_name), 0)::bigint
		FROM information_schema.columns c WHERE c.table_schema = 'public' ORDER BY c.table_name::text COLLATE "C", c.column_name::text COLLATE "C"`,
		`SELECT t.relname::text, i.relname::text, (SELECT string_agg(a.attname, ',' ORDER BY k.n) FROM unnest(x.indkey) WITH ORDINALITY k(attnum, n)
			JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.attnum)::text, x.indisunique, x.indpred IS NOT NULL
		FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
		WHERE n.nspname = 'public' AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = i.oid) ORDER BY t.relname::text COLLATE "C", i.relname::text COLLATE "C"`)
	if len(columns) < 100 || len(indexes) < 20 {
		t.Errorf("%d columns and %d indexes were compared", len(columns), len(indexes))
	}
	differ(t, "column", columns, pgColumns)
	differ(t, "index", indexes, pgIndexes)
}

// differ reports what only one of two lists has.
func differ[T comparable](t *testing.T, what string, sqlite, postgres []T) {
	t.Helper()
	for _, a := range sqlite {
		if !slices.Contains(postgres, a) {
			t.Errorf("only SQLite has the %s %+v", what, a)
		}
	}
	for _, b := range postgres {
		if !slices.Contains(sqlite, b) {
			t.Errorf("only PostgreSQL has the %s %+v", what, b)
		}
	}
}

// TestLostIsTold holds which errors mean that the connection is gone.
func TestLostIsTold(t *testing.T) {
	for err, want := range map[error]bool{io.EOF: true, net.ErrClosed: true, errors.New("conn closed"): true, ErrNotFound: false} {
		if got := postgresLost(err); got != want {
			t.Errorf("%v: %t", err, got)
		}
	}
}

// TestTLS holds that a catalogue is reached through TLS, that the certificate is verified, and that a server without TLS is refused when that is asked for.
func TestTLS(t *testing.T) {
	onlyPostgres(t)
	server := httptest.NewTLSServer(nil) // whose certificate is for 127.0.0.1
	defer server.Close()
	key, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	root := filepath.Join(t.TempDir(), "root.crt")
	if err := os.WriteFile(root, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	p := enginetest.NewPostgres(t)
	source := strings.Replace(p.Database(t), "sslmode=disable", "sslmode=verify-full&sslrootcert="+root, 1)
	if _, err := OpenPostgres(t.Context(), source, ""); err == nil || !strings.Contains(err.Error(), "TLS") {
		t.Errorf("of a server without TLS: %v", err)
	}
	p.UseTLS(t, certificate, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	db := openPostgres(t, source)
	encrypted := false
	view(t, db, func(tx *Tx) (err error) {
		encrypted, err = scalar[bool](tx, `SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()`)
		return err
	})
	if !encrypted {
		t.Error("the connection is not encrypted")
	}
	if _, err := OpenPostgres(t.Context(), strings.Replace(source, "sslrootcert="+root, "", 1), ""); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("of a server whose certificate nobody has signed: %v", err)
	}
}
