// Package moraintest starts a whole server in a temporary directory, for tests: real HTTP, real SQLite, real volume files.
package moraintest

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/moraine-archive/moraine/internal/access"
	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/daemon"
	"github.com/moraine-archive/moraine/internal/enginetest"
	"github.com/moraine-archive/moraine/internal/identity"
	"github.com/moraine-archive/moraine/internal/vault"
)

// Server is a running server.
type Server struct {
	Endpoint      string // changes with every Restart
	AdminEndpoint string
	Region        string
	Data          string
	Key           Key // of the first account

	config config.Config
	daemon *daemon.Daemon
	stop   func() error
	others []*Server // nodes of the same cluster
}

// Key is an access key of an account. Token is that of temporary credentials.
type Key struct{ Account, ID, Secret, Token string }

// The key of the first account of every test server.
const (
	rootAccount = "123456789012"
	rootKeyID   = "AKIAIOSFODNN7EXAMPLE"
	rootSecret  = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

// Emulate makes a server behave like the original service.
func Emulate(c *config.Config) { c.Emulate = "glacier" }

// Config is the configuration of a server with an empty data directory, at addresses that are free.
func Config(t testing.TB) config.Config {
	t.Helper()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.Flags(flags)
	c, err := config.Load(flags, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Listen, c.AdminListen, c.Data = "127.0.0.1:0", "127.0.0.1:0", t.TempDir()
	if OnSharedEngines() {
		SharedEngines(t)(&c)
	}
	return c
}

// SharedEngines returns an option: rows are in a new database of PostgreSQL, and bytes in a new bucket. All servers with it share them.
func SharedEngines(t testing.TB) func(*config.Config) {
	t.Helper()
	b := enginetest.S3(t)
	SetCredentials(b)
	database := enginetest.Database(t)
	return func(c *config.Config) { c.Catalogue, c.Store = database, b.URL() }
}

// SetCredentials has servers of this process find the credentials of a bucket. They are the same for every bucket of enginetest, and so for every test.
func SetCredentials(b enginetest.Bucket) {
	os.Setenv("AWS_ACCESS_KEY_ID", b.AccessKeyID)
	os.Setenv("AWS_SECRET_ACCESS_KEY", b.SecretAccessKey)
}

// sharedEngines in the environment has servers keep their rows in PostgreSQL and their bytes in a bucket, as `make cluster` does; its value is of no account.
const sharedEngines = "MORAINE_TEST_SHARED_ENGINES"

// OnSharedEngines reports whether servers keep their rows in PostgreSQL and their bytes in a bucket.
func OnSharedEngines() bool { return os.Getenv(sharedEngines) != "" }

// OnlyEmbedded skips a test that is about the files of a server.
func OnlyEmbedded(t testing.TB, why string) {
	t.Helper()
	if OnSharedEngines() {
		t.Skip("not for PostgreSQL and S3: " + why)
	}
}

// Start starts a server that is stopped when the test ends. Each option changes its configuration.
func Start(t testing.TB, options ...func(*config.Config)) *Server {
	t.Helper()
	c := Config(t)
	c.RootKeyID, c.RootSecret, c.RootAccount = rootKeyID, rootSecret, rootAccount
	for _, option := range options {
		option(&c)
	}
	s := &Server{Region: c.Region, Data: c.Data, Key: Key{rootAccount, rootKeyID, rootSecret, ""}, config: c}
	s.start(t)
	t.Cleanup(func() { s.Stop(t) })
	s.join(t, nodesOfServer(t))
	return s
}

func (s *Server) start(t testing.TB) {
	t.Helper()
	d, err := daemon.Open(context.Background(), s.config, slog.New(slog.NewTextHandler(logOutput(), nil)), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	s.daemon, s.Endpoint, s.AdminEndpoint = d, d.Endpoint(), d.AdminEndpoint()
	s.stop = func() error {
		cancel()
		http.DefaultClient.CloseIdleConnections()
		return <-ended
	}
}

// Stop stops the server in an orderly way. It may be called twice.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	for _, other := range s.others {
		other.Stop(t)
	}
	if s.stop == nil {
		return
	}
	if err := s.stop(); err != nil {
		t.Errorf("the server did not stop well: %v", err)
	}
	s.stop = nil
}

// Restart stops the server and starts it on the same data, at a new endpoint.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Stop(t)
	s.start(t)
	for _, other := range s.others {
		other.start(t)
	}
	if len(s.others) > 0 {
		s.balance(t)
	}
}

// Advance lets time pass for the service. Signatures go by the real clock.
func (s *Server) Advance(by time.Duration) {
	for _, node := range s.all() {
		node.daemon.Advance(by)
	}
}

// Config returns the configuration of the server.
func (s *Server) Config() config.Config { return s.config }

// Service returns the service inside the server.
func (s *Server) Service() *vault.Service { return s.daemon.Service() }

// Records returns the number of records in the store. Tombstones that only remember deletions are on their way out.
func (s *Server) Records(t testing.TB) int {
	t.Helper()
	ctx := context.Background()
	if err := s.Service().Backup(ctx, func(context.Context) error { return nil }); err != nil {
		t.Fatal(err)
	}
	found, err := s.Service().Check(ctx, vault.Inspection{Report: func(vault.Finding) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	return int(found.Records)
}

// AddAccount makes a further account, as `moraine admin account add` does.
func (s *Server) AddAccount(t testing.TB, name string) Key {
	t.Helper()
	k, err := identity.NewAccount(context.Background(), s.config, name, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return keyOf(k)
}

func keyOf(k access.Key) Key { return Key{k.Caller.Account, k.Caller.KeyID, k.Secret, k.Token} }

// AddUser makes a user of an account with a key, as `moraine admin user add` does. "" is the first account. A policy is the name of a predefined one, or a document.
func (s *Server) AddUser(t testing.TB, account, name string, policies ...string) Key {
	t.Helper()
	return s.addPrincipal(t, identity.Who{Account: account, Kind: identity.UserKind, Name: name}, policies)
}

// AddRole makes a role, as AddUser makes a user. It has no key: AddToken makes sessions.
func (s *Server) AddRole(t testing.TB, account, name string, policies ...string) {
	t.Helper()
	s.addPrincipal(t, identity.Who{Account: account, Kind: identity.RoleKind, Name: name}, policies)
}

func (s *Server) addPrincipal(t testing.TB, who identity.Who, policies []string) Key {
	t.Helper()
	who.Account = cmp.Or(who.Account, s.Key.Account)
	n := identity.NewPrincipal{Who: who, Key: who.Kind == identity.UserKind}
	for i, text := range policies {
		p := identity.PolicyText{Name: fmt.Sprintf("policy%d", i+1), Document: text}
		if !strings.HasPrefix(text, "{") {
			var err error
			if p, err = identity.ReadPolicy(text, nil); err != nil {
				t.Fatal(err)
			}
		}
		n.Policies = append(n.Policies, p)
	}
	_, k, err := identity.AddPrincipal(context.Background(), s.config, n, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return keyOf(k)
}

// AddToken makes temporary credentials, as `moraine admin token` does, as of a moment: now, if it is zero. They last an hour unless the options say otherwise.
func (s *Server) AddToken(t testing.TB, o identity.TokenOptions, made time.Time) Key {
	t.Helper()
	o.Account, o.Duration = cmp.Or(o.Account, s.Key.Account), cmp.Or(o.Duration, time.Hour)
	if made.IsZero() {
		made = time.Now()
	}
	k, err := identity.NewToken(context.Background(), s.config, o, made)
	if err != nil {
		t.Fatal(err)
	}
	return keyOf(k)
}

// logOutput is where the server's log goes: nowhere, unless MORAINE_TEST_LOG is set. It does not go to t.Log: requests may end after
// their test.
func logOutput() io.Writer {
	if os.Getenv("MORAINE_TEST_LOG") == "" {
		return io.Discard
	}
	return os.Stderr
}

// Eventually waits until done reports true, and fails the test if that takes too long. It is for what a server does beside its answers,
// in real time: the work of its worker, and noticing that a connection broke.
func Eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for range 2000 {
		if done() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("waited in vain for %s", what)
}
