package api

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/moraine-archive/moraine/internal/access"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/protocol"
	"github.com/moraine-archive/moraine/internal/sigv4"
)

// authenticate verifies the signature, before the body is read if the request says what hash was signed. A small body is read and
// hashed here; that of an archive is compared with the hash that was signed while it is stored.
func (c *call) authenticate() error {
	signed := c.header(protocol.HeaderContentHash)
	if c.op.Body == protocol.ArchiveBody {
		if signed == "" && c.r.Header.Get("Authorization") != "" { // without it nothing can be verified before all is read
			return fault.New(fault.Missing, "Required parameter missing: %s", protocol.HeaderContentHash)
		}
		return c.verify(signed)
	}
	early := signed != "" || c.r.Header.Get("Authorization") == ""
	if early {
		if err := c.verify(signed); err != nil {
			return err
		}
	}
	if err := c.readBody(); err != nil {
		return err
	}
	sum := sha256.Sum256(c.json)
	computed := hex.EncodeToString(sum[:])
	if !early {
		return c.verify(computed)
	}
	if signed != computed {
		return fault.New(fault.BadSignature, "The value passed in as x-amz-content-sha256 does not match the computed payload hash. "+
			"Computed digest: %s expected hash: %s", computed, signed)
	}
	return nil
}

// readBody reads a body that is not an archive.
func (c *call) readBody() error {
	if c.r.ContentLength > protocol.MaxJSONBody {
		return bodyTooLong()
	}
	b, err := io.ReadAll(io.LimitReader(c.body, protocol.MaxJSONBody+1))
	if err != nil {
		return err
	}
	if len(b) > protocol.MaxJSONBody {
		return bodyTooLong()
	}
	c.json = b
	return nil
}

func bodyTooLong() error {
	return fault.New(fault.Malformed, "The body exceeds the limit of %d bytes", protocol.MaxJSONBody)
}

// verify checks the signature over a payload hash and sets the caller.
func (c *call) verify(payloadHash string) error {
	request := sigv4.Request{
		Method: c.r.Method, Target: c.r.RequestURI, Host: c.r.Host, Header: c.r.Header,
		ContentLength: c.r.ContentLength, TransferEncoding: c.r.TransferEncoding,
	}
	var key access.Key
	find := func(id string) (sigv4.Credential, bool, error) {
		k, ok, err := c.s.Key(c.ctx, id)
		key = k
		return sigv4.Credential{Secret: k.Secret, SessionToken: k.Token}, ok, err
	}
	_, err := c.verifier.Verify(request, payloadHash, find)
	if host := c.proxiedHost(); host != "" && isBadSignature(err) {
		request.Host = host
		if _, again := c.verifier.Verify(request, payloadHash, find); again == nil {
			err = nil
		}
	}
	if err != nil {
		return unauthenticated(err)
	}
	if !key.Expires.IsZero() && !c.s.Now().Before(key.Expires) {
		return fault.New(fault.ExpiredToken, "The security token included in the request is expired: it was valid until %s.", key.Expires.UTC().Format(time.RFC3339))
	}
	c.caller = key.Caller
	return nil
}

// proxiedHost returns the Host that a request whose target has the absolute form may have been signed with, if the target names no port. boto 2
// behind a proxy signs the host with its port, and net/http drops the Host header in favour of the target.
func (c *call) proxiedHost() string {
	at, ok := c.r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok || strings.HasPrefix(c.r.RequestURI, "/") || c.r.URL.Host == "" || c.r.URL.Port() != "" {
		return ""
	}
	return c.r.URL.Host + ":" + strconv.Itoa(at.Port)
}

func isBadSignature(err error) bool {
	var reason *sigv4.Error
	return errors.As(err, &reason) && reason.Reason == sigv4.BadSignature
}

// unauthenticated gives the reasons of the verifier their kinds.
func unauthenticated(err error) error {
	var reason *sigv4.Error
	if !errors.As(err, &reason) {
		return err
	}
	kind := fault.BadSignature
	switch reason.Reason {
	case sigv4.MissingToken:
		kind = fault.NoToken
	case sigv4.Incomplete:
		kind = fault.BadAuthorization
	case sigv4.UnknownKey:
		kind = fault.UnknownCaller
	case sigv4.Expired:
		kind = fault.ExpiredToken
	}
	return fault.New(kind, "%s", reason.Message)
}
