// Package sigv4 verifies AWS Signature Version 4 on HTTP requests.
//
// It knows the Authorization header form only, and accepts the canonical forms that existing clients of the
// Amazon Glacier API sign: those of the current AWS SDKs and those of boto 2. The rules are those of the
// behaviour specification, wire, sections 1, 2 and 4, and its rulings 2 and 3.
//
// The package does no I/O and keeps no state. It does not read the body: the caller passes the payload hash that the
// client claims and compares it with the body afterwards.
package sigv4

import (
	"crypto/hmac"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The names of the headers that authentication itself reads, in the lower case that SignedHeaders uses.
const (
	hostHeader    = "host"
	dateHeader    = "date"
	amzDateHeader = "x-amz-date"
	tokenHeader   = "x-amz-security-token"
)

// Request is what of an HTTP request a signature covers. A server built on net/http fills it from the fields of
// http.Request with the same names, and Target from RequestURI: URL has lost the spelling that was signed.
type Request struct {
	// Method is the request method as sent.
	Method string
	// Target is the request target as sent: origin form ("/-/vaults?limit=2") or absolute form
	// ("http://host/-/vaults").
	Target string
	// Host is the Host header as the server saw it, with its port if it had one.
	Host string
	// Header holds all other headers under their canonical keys.
	Header http.Header
	// ContentLength stands in for a signed content-length that is not in Header, where net/http may have left it
	// out. -1 means unknown.
	ContentLength int64
	// TransferEncoding stands in for a signed transfer-encoding, which net/http always takes out of Header.
	TransferEncoding []string
}

// Credential is what a key id stands for.
type Credential struct {
	Secret string
	// SessionToken belongs to temporary credentials; it is "" for long-term keys.
	SessionToken string
}

// Verifier checks signatures for one server. It is safe for concurrent use as long as nobody changes its fields.
type Verifier struct {
	// Regions are the accepted regions, the server's own first, aliases after.
	Regions []string
	// Service is the accepted service name, "glacier".
	Service string
	// Skew is how far a request's date may lie from Now in either direction. Zero means 5 minutes, the window of
	// the original service.
	Skew time.Duration
	// Now is the wall clock. Nil means time.Now.
	Now func() time.Time
}

// Reason is the class of an authentication failure. Each stands for one error code of the API.
type Reason int

const (
	// MissingToken is MissingAuthenticationTokenException: there is no Authorization header. A presigned query
	// counts as none, since this API has no such form.
	MissingToken Reason = iota + 1
	// Incomplete is IncompleteSignatureException: a part of the authentication data is missing or malformed.
	Incomplete
	// UnknownKey is UnrecognizedClientException: the key id or the session token is not valid.
	UnknownKey
	// BadSignature is InvalidSignatureException: the signature differs, the date is outside the window, the scope
	// is another server's, or a header that must be signed is not.
	BadSignature
	// Expired is ExpiredTokenException: the session token has ended. Verify has no knowledge of it; a find function
	// that has returns an *Error with this reason, and errors.As finds it in what Verify returns.
	Expired
)

// Error says why a request was not authenticated. Message is meant for the client: it never holds a secret, an
// expected signature or a canonical request.
type Error struct {
	Reason  Reason
	Message string
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

func incomplete(format string, args ...any) error {
	return &Error{Reason: Incomplete, Message: fmt.Sprintf(format, args...)}
}

func badSignature(format string, args ...any) error {
	return &Error{Reason: BadSignature, Message: fmt.Sprintf(format, args...)}
}

func unknownKey() error {
	return &Error{Reason: UnknownKey, Message: "The security token included in the request is invalid."}
}

// Verify checks that r was signed with the secret of the key it names, for this service and region, at about this
// time. payloadHash is the lower-case hex SHA-256 of the body that the client claims; anything else, such as
// UNSIGNED-PAYLOAD, is a BadSignature. find looks a key up; it returns false for an unknown, disabled or deleted one.
//
// A refusal is an *Error. An error of find is returned wrapped. The Authorization is empty unless the error is nil, so
// that nobody takes an unproven key id for a caller.
func (v *Verifier) Verify(
	r Request, payloadHash string, find func(keyID string) (Credential, bool, error),
) (Authorization, error) {
	auth, err := authorizationOf(r)
	if err != nil {
		return Authorization{}, err
	}
	signed, err := signingDate(r)
	if err != nil {
		return Authorization{}, err
	}
	credential, err := lookUp(auth.KeyID, find)
	if err != nil {
		return Authorization{}, err
	}
	if err := v.check(r, auth, signed, credential, payloadHash); err != nil {
		return Authorization{}, err
	}
	return auth, nil
}

// check goes from the cheap and telling to the costly and mute: a mismatch can have a hundred causes, so each cause
// that has a name is looked for before the signature is computed.
func (v *Verifier) check(r Request, auth Authorization, signed date, credential Credential, payloadHash string) error {
	if err := v.checkScope(auth, signed, r.Host); err != nil {
		return err
	}
	if err := checkToken(r, credential); err != nil {
		return err
	}
	if err := checkSignedHeaders(r, auth, signed); err != nil {
		return err
	}
	if err := v.checkSkew(signed); err != nil {
		return err
	}
	return checkSignature(r, auth, signed, credential.Secret, payloadHash)
}

func authorizationOf(r Request) (Authorization, error) {
	header := strings.Join(r.Header.Values("Authorization"), ",")
	if strings.Trim(header, " \t,") == "" {
		return Authorization{}, &Error{Reason: MissingToken, Message: "Missing Authentication Token"}
	}
	return ParseAuthorization(header)
}

// lookUp takes an empty secret for no key: anybody can sign with it.
func lookUp(keyID string, find func(string) (Credential, bool, error)) (Credential, error) {
	credential, ok, err := find(keyID)
	if err != nil {
		return Credential{}, fmt.Errorf("look up access key %.128q: %w", keyID, err)
	}
	if !ok || credential.Secret == "" {
		return Credential{}, unknownKey()
	}
	return credential, nil
}

// checkToken holds the token of the request against the one the key was issued with. One comparison serves all cases,
// because "" means both «not sent» and «long-term key». It comes before checkSignedHeaders so that a stray token is an
// invalid token whether or not the client signed it (edge case 46).
func checkToken(r Request, credential Credential) error {
	sent, _ := r.value(tokenHeader)
	if !hmac.Equal([]byte(sent), []byte(credential.SessionToken)) {
		return unknownKey()
	}
	return nil
}

// checkSignedHeaders refuses a signature that leaves out what makes it ours: the host, the date that was used, and the
// session token. Other x-amz headers may stay unsigned, as they do in the guide's own example of an upload.
func checkSignedHeaders(r Request, auth Authorization, signed date) error {
	required := []string{hostHeader, signed.header}
	if _, ok := r.value(tokenHeader); ok {
		required = append(required, tokenHeader)
	}
	for _, name := range required {
		if !slices.Contains(auth.SignedHeaders, name) {
			return badSignature("'%s' must be a 'SignedHeader' in the AWS Authorization.", name)
		}
	}
	for _, name := range auth.SignedHeaders {
		if _, ok := r.values(name); !ok {
			return badSignature("The request has no header '%.128s', which is listed in 'SignedHeaders'.", name)
		}
	}
	return nil
}

// mismatch opens with the text that clients match on.
const mismatch = "The request signature we calculated does not match the signature you provided. "

// checkSignature tries the canonical forms of r until one gives the signature of the client.
func checkSignature(r Request, auth Authorization, signed date, secret, payloadHash string) error {
	if !isPayloadHash(payloadHash) {
		return badSignature(mismatch + "The payload hash must be the SHA-256 of the body in lower-case hex; " +
			"unsigned and streaming payloads are not supported.")
	}
	key := auth.signingKey(secret)
	for canonical := range newMessage(r, auth.SignedHeaders, payloadHash).canonicalRequests() {
		if hmac.Equal(auth.signature(key, signed, canonical), []byte(auth.Signature)) {
			return nil
		}
	}
	return badSignature(mismatch+"Check your secret access key and signing method, and that no proxy rewrote the "+
		"Host header (the server saw host %.255q).", r.Host)
}

func isPayloadHash(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}
