// Package api speaks the HTTP of the Amazon Glacier vault API: it finds the operation, verifies who calls, asks whether they may, decodes,
// calls the service, and encodes the answer.
package api

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/moraine-archive/moraine/internal/access"
	"github.com/moraine-archive/moraine/internal/audit"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/protocol"
	"github.com/moraine-archive/moraine/internal/sigv4"
	"github.com/moraine-archive/moraine/internal/vault"
)

// Config is what a Server is made of. All fields are needed.
type Config struct {
	Service  *vault.Service
	Verifier *sigv4.Verifier
	// Key returns an access key; ok is false for one that does not exist or must not be used.
	Key            func(ctx context.Context, id string) (k access.Key, ok bool, err error)
	Now            func() time.Time // keys expire by it
	Audit          func(audit.Entry) error
	Log            *slog.Logger
	StallTimeout   time.Duration // a body that brings no byte for so long is given up
	LongestRequest time.Duration // any request is given up after this
}

// Server answers the requests of the API.
type Server struct {
	Config
	routes   []route
	handlers map[string]handler
	sts      *sigv4.Verifier
}

// New returns a server.
func New(c Config) *Server {
	sts := *c.Verifier
	sts.Service = stsService
	if !slices.Contains(sts.Regions, stsRegion) {
		sts.Regions = append(slices.Clone(sts.Regions), stsRegion)
	}
	return &Server{Config: c, routes: routes(), handlers: handlers(), sts: &sts}
}

// ServeHTTP answers one request. This is the one way to a handler: match, authenticate, authorise, decode, call, reply.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	markAnswering(r.Context())
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), s.LongestRequest)
	defer cancel()
	c := &call{
		s: s, ctx: ctx, w: &countingWriter{ResponseWriter: w}, r: r, control: http.NewResponseController(w),
		id: newRequestID(), start: time.Now(), verifier: s.Verifier,
	}
	c.body = &bodyReader{c: c}
	defer c.log()
	c.w.Header()[protocol.HeaderRequestID] = []string{c.id}
	run := c.run
	if c.sts = isSTS(r); c.sts {
		c.verifier, run = s.sts, c.identify
	}
	if err := run(); err != nil {
		c.fail(err)
	}
}

// call is one request on its way.
type call struct {
	s       *Server
	ctx     context.Context // lives on when the client goes away: what it sent whole is stored
	w       *countingWriter
	r       *http.Request
	control *http.ResponseController
	id      string
	start   time.Time

	verifier *sigv4.Verifier
	sts      bool // the request is for the Security Token Service

	op       protocol.Operation
	noOp     error             // the query selects no operation; op is another one of the same path
	path     map[string]string // values of the path's variables
	account  string            // of the resource, 12 digits
	caller   access.Caller
	asked    vault.Asked // what was decided on
	decision access.Decision
	decided  bool
	json     []byte // the body, unless it is an archive
	body     *bodyReader
	err      error // for the log
}

// run carries the request out. The order of the steps decides which of several errors a client sees.
func (c *call) run() error {
	if err := c.match(); err != nil {
		return err
	}
	if err := c.checkVersion(); err != nil {
		return err
	}
	if err := c.authenticate(); err != nil {
		return err
	}
	if err := c.authorise(); err != nil {
		return err
	}
	if err := cmp.Or(c.checkQuery(), c.noOp); err != nil {
		return err
	}
	reply, err := c.s.handlers[c.op.Name](c)
	if err != nil {
		return err
	}
	return c.send(reply)
}

func (c *call) checkVersion() error {
	switch v := c.r.Header.Get(protocol.HeaderVersion); v {
	case protocol.Version:
		return nil
	case "":
		return fault.New(fault.Missing, "Required parameter missing: API version")
	default:
		return fault.New(fault.Invalid, "Invalid API version: %s; the only one is %s", v, protocol.Version)
	}
}

// authorise resolves the account of the URI and asks whether the caller may do this there.
func (c *call) authorise() error {
	c.account = c.path["accountId"]
	switch {
	case c.account == "-":
		c.account = c.caller.Account
	case !access.IsAccountID(c.account):
		return fault.New(fault.UnknownCaller, "No account found for the given parameters: %q is neither - nor 12 digits", c.account)
	}
	c.asked = vault.Asked{
		Request: access.Request{
			Caller: c.caller, Connection: c.connection(), Operation: c.op, Account: c.account, Resource: c.s.Service.Resource(c.op, c.vault()),
		},
		Vault: c.path["vaultName"], Archive: c.archive(),
	}
	var err error
	if c.asked, c.decision, err = c.s.Service.Authorise(c.ctx, c.asked); err != nil {
		return err
	}
	c.decided = true
	if !c.decision.Allowed {
		return c.decision.Refusal(c.asked.Request)
	}
	c.ctx = vault.WithAsked(c.ctx, c.asked)
	return nil
}

// archive returns the id of the archive that the request is about, "" if it is about none. The body is looked at before it is known to be well-formed; if it is not, that is
// said later.
func (c *call) archive() string {
	if c.op.Name == protocol.InitiateJob {
		if p, err := parseJobParameters(c.json); err == nil && p.ArchiveID != nil {
			return *p.ArchiveID
		}
	}
	return c.path["archiveId"]
}

// connection returns what policies can ask of the connection. Of a proxy in between nothing is believed.
func (c *call) connection() access.Connection {
	from, _ := netip.ParseAddrPort(c.r.RemoteAddr) // invalid: not there
	return access.Connection{Address: from.Addr(), Secure: c.r.TLS != nil, UserAgent: c.r.UserAgent(), Referer: c.r.Referer()}
}

// vault returns the vault that the URI names.
func (c *call) vault() vault.Ref { return vault.Ref{Account: c.account, Name: c.path["vaultName"]} }

// newRequestID returns 47 random characters of the base64url alphabet.
func newRequestID() string {
	var b [36]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b[:])[:protocol.RequestIDLength]
}

// log writes the line of the request.
func (c *call) log() {
	level, attrs := slog.LevelInfo, []slog.Attr{
		slog.String("request_id", c.id),
		slog.String("caller", c.caller.Account),
		slog.String("key", c.caller.KeyID),
		slog.String("operation", c.op.Name),
		slog.String("vault", c.path["vaultName"]),
		slog.Int("status", c.w.status),
		slog.Int64("bytes_in", c.body.read),
		slog.Int64("bytes_out", c.w.written),
		slog.Duration("duration", time.Since(c.start)),
		slog.String("remote", c.r.RemoteAddr),
	}
	if c.op.Name == "" {
		attrs = append(attrs, slog.String("request", c.r.Method+" "+c.r.URL.Path))
	}
	if c.err != nil {
		attrs = append(attrs, slog.String("error", c.err.Error()))
		if status, _ := describe(c.err); status >= 500 {
			level = slog.LevelError
		}
	}
	c.s.Log.LogAttrs(c.ctx, level, "request", attrs...)
}
