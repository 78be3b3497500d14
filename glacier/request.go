package glacier

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/moraine-archive/moraine/internal/protocol"
)

// request is what an operation sends.
type request struct {
	operation string
	method    string
	path      []string // segments behind the account
	query     url.Values
	header    map[string]string
	body      io.ReadSeeker // nil: none
	size      int64         // of the body
	hash      string        // SHA-256 of the body in hex
	ok        []int         // statuses of a success
	once      bool          // to send it twice may do it twice, or fail the second time
	twice     bool          // it is sent twice all the same if the client allows duplicates
	document  any           // what the JSON of an answer is read into; nil: nothing
}

// expectFrom is the size from which on a body waits for the server to want it.
const expectFrom = 1 << 20

// emptyHash is the SHA-256 of nothing.
const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// vaultPath are the segments of a vault and what is below it.
func vaultPath(vault string, below ...string) []string {
	return append([]string{"vaults", vault}, below...)
}

// withJSON gives a request a document as its body.
func (r request) withJSON(document any) (request, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(document); err != nil {
		return r, fmt.Errorf("%s: %w", r.operation, err)
	}
	text := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	sum := sha256.Sum256(text)
	r.body, r.size, r.hash = bytes.NewReader(text), int64(len(text)), hex.EncodeToString(sum[:])
	return r, nil
}

// call sends a request and reads the JSON of the answer into a document, unless that is nil. It returns the headers of the answer.
func (c *Client) call(ctx context.Context, r request, document any) (http.Header, error) {
	r.document = document
	res, err := c.send(ctx, r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if document == nil {
		io.Copy(io.Discard, io.LimitReader(res.Body, maxErrorBody)) // so that the connection can be used again
	}
	return res.Header, nil
}

// read reads the JSON of an answer, all of it before any goes into the document.
func (c *Client) read(r request, res *http.Response) error {
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil {
		err = json.Unmarshal(text, r.document)
	}
	if err != nil {
		return &SendError{r.operation, fmt.Errorf("the answer of %s is not the JSON that it should be (request id %s): %w", c.endpoint.Host, requestID(res.Header), err), true}
	}
	return nil
}

// send sends a request, again if need be, and returns the answer of a success. The caller closes its body.
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	for _, s := range r.path {
		switch s {
		case "":
			return nil, fmt.Errorf("%s: the name of the vault, or an id, is empty", r.operation)
		case ".", "..": // which servers and proxies take for steps in the path: an archive .. would be the vault
			return nil, fmt.Errorf("%s: %q is no name of a vault, and no id", r.operation, s)
		}
	}
	wait := &backoff.ExponentialBackOff{InitialInterval: 200 * time.Millisecond, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: 20 * time.Second}
	wait.Reset()
	skewed := false
	for attempt := 1; ; attempt++ {
		res, err := c.attempt(ctx, r, attempt)
		if err == nil {
			return res, nil
		}
		switch {
		case ctx.Err() != nil:
			return nil, errors.Join(err, context.Cause(ctx))
		case !skewed && c.correctSkew(err):
			skewed = true // at once, and once
			continue
		case c.options.Attempts > 0 && attempt >= c.options.Attempts || !c.retryable(r, err):
			return nil, err
		}
		if failed := c.sleep(ctx, wait.NextBackOff()); failed != nil {
			return nil, errors.Join(err, failed)
		}
	}
}

// attempt sends a request once.
func (c *Client) attempt(ctx context.Context, r request, number int) (*http.Response, error) {
	began := time.Now()
	req, body, err := c.build(ctx, r)
	if err != nil {
		return nil, err
	}
	connected, req := c.traced(req)
	res, err := c.http.Do(req)
	body.detach()
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // whose text would repeat the URL
		}
		err = &SendError{r.operation, fmt.Errorf("%s %s: %w", r.method, req.URL.Redacted(), err), connected(err) && body.sent()}
	} else if !slices.Contains(r.ok, res.StatusCode) {
		answer := readError(r.operation, res)
		answer.date, answer.unsent = res.Header.Get("Date"), r.size > 0 && !body.sent()
		res.Body.Close()
		err = answer
	} else if r.document != nil && res.StatusCode != http.StatusNoContent {
		err = c.read(r, res)
	}
	if log := c.options.Log; log != nil {
		attrs := []slog.Attr{slog.String("operation", r.operation), slog.String("url", req.URL.Redacted()), slog.Int("attempt", number), slog.Duration("duration", time.Since(began))}
		if res != nil {
			attrs = append(attrs, slog.Int("status", res.StatusCode), slog.String("request_id", requestID(res.Header)))
		}
		if err != nil {
			attrs = append(attrs, slog.String("error", err.Error()))
		}
		log.LogAttrs(ctx, slog.LevelDebug, "glacier request", attrs...)
	}
	if err != nil {
		return nil, err
	}
	return res, nil
}

// traced returns what tells, when a request has failed, whether there was a connection to the server before: behind the proxy, and with TLS.
func (c *Client) traced(req *http.Request) (connected func(error) bool, _ *http.Request) {
	if _, traces := c.options.Transport.(*http.Transport); !traces {
		return func(err error) bool {
			var dial *net.OpError
			return !errors.As(err, &dial) || dial.Op != "dial"
		}, req
	}
	var got atomic.Bool
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { got.Store(true) }}
	return func(error) bool { return got.Load() }, req.WithContext(httptrace.WithClientTrace(req.Context(), trace))
}

// build makes and signs the HTTP request, with its body from the beginning.
func (c *Client) build(ctx context.Context, r request) (*http.Request, *countedBody, error) {
	u := *c.endpoint
	segments := append([]string{c.options.AccountID}, r.path...)
	u.Path += "/" + strings.Join(segments, "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	u.RawPath = c.endpoint.EscapedPath() + "/" + strings.Join(segments, "/")
	u.RawQuery = r.query.Encode()
	body := &countedBody{size: r.size}
	if r.body != nil {
		if _, err := r.body.Seek(0, io.SeekStart); err != nil {
			return nil, nil, fmt.Errorf("%s: go back to the beginning of the body: %w", r.operation, err)
		}
		body.r = io.LimitReader(r.body, r.size)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), nil)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", r.operation, err)
	}
	if r.size > 0 {
		req.Body, req.ContentLength = io.NopCloser(body), r.size
	}
	hash := r.hash
	if hash == "" {
		hash = emptyHash
	}
	req.Header.Set(protocol.HeaderVersion, protocol.Version)
	req.Header.Set(protocol.HeaderContentHash, hash)
	req.Header.Set("User-Agent", strings.TrimSpace(c.options.UserAgent+" "+userAgent()))
	if r.size > expectFrom {
		req.Header.Set("Expect", "100-continue") // a refusal comes before the body is sent
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	credentials, err := c.options.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, nil, &credentialsError{r.operation, err}
	}
	now := time.Now().Add(time.Duration(c.skew.Load()))
	if err := c.signer.SignHTTP(ctx, credentials, req, hash, protocol.Service, c.options.Region, now); err != nil {
		return nil, nil, fmt.Errorf("%s: sign the request: %w", r.operation, err)
	}
	return req, body, nil
}

// countedBody knows whether all of it was read, and so may have reached the server. It is read in a goroutine of net/http, which may go on with it after the answer has
// come or the request has failed; once detached, nothing reads from the caller's body any more, which can be sent again or given back.
type countedBody struct {
	size int64

	mu   sync.Mutex
	r    io.Reader // guarded by mu; nil: detached
	read int64     // guarded by mu
}

var errDetached = errors.New("the request has ended")

func (b *countedBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.r == nil {
		return 0, errDetached
	}
	n, err := b.r.Read(p)
	b.read += int64(n)
	return n, err
}

func (b *countedBody) detach() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.r = nil
}

func (b *countedBody) sent() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.read == b.size
}

// retryable reports whether a failure may be gone the next time, and the request can be sent again.
func (c *Client) retryable(r request, err error) bool {
	if r.once && !(r.twice && c.options.AllowDuplicates) && MayHaveSucceeded(err) {
		return false
	}
	var answer *APIError
	if errors.As(err, &answer) {
		switch answer.Status {
		case 408, 429, 500, 502, 503, 504, 509:
			return !answer.Is(ErrInsufficientCapacity)
		}
		return answer.Is(ErrThrottled) || answer.Is(ErrTimedOut)
	}
	var lost *SendError
	return errors.As(err, &lost) && !errors.Is(err, context.Canceled) && !errors.As(err, new(*tls.CertificateVerificationError))
}

// correctSkew goes by the server's clock from now on, if it says that ours is wrong.
func (c *Client) correctSkew(err error) bool {
	var answer *APIError
	if !errors.As(err, &answer) || answer.Status != http.StatusForbidden {
		return false
	}
	if !strings.Contains(answer.Message, "Signature expired") && !strings.Contains(answer.Message, "not yet current") {
		return false
	}
	now, err := http.ParseTime(answer.date)
	if err != nil {
		return false
	}
	c.skew.Store(int64(time.Until(now)))
	return true
}

func requestID(h http.Header) string { return h.Get(protocol.HeaderRequestID) }

// userAgent names the package and its version.
func userAgent() string {
	version := "devel"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = strings.Trim(info.Main.Version, "()")
	}
	return "moraine-glacier/" + version
}
