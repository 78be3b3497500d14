// Package fault says what kind of failure an error is, so that each layer can report one without knowing how the
// layers above will show it. The HTTP status and the error code of a kind are in package api and nowhere else.
package fault

import (
	"errors"
	"fmt"
)

// Kind is the class of a failure. The list is closed: a new kind needs a row in the error table of package api.
type Kind int

// The kinds of failure. Internal is the zero value, so that an error nobody classified is never shown to a client.
const (
	Internal             Kind = iota // ours: logged, shown as a fixed text
	Invalid                          // a value is wrong, or wrong in this state
	Missing                          // something required is absent
	Malformed                        // the body is not the JSON it should be
	NotFound                         // the vault, archive, upload, job or setting does not exist
	Denied                           // the caller may not do this
	LimitExceeded                    // one more would be too many
	NoToken                          // the request carries no authentication
	BadAuthorization                 // the Authorization header cannot be read
	UnknownCaller                    // the access key, token or account is not known
	BadSignature                     // the signature, its scope, its date or the payload hash is wrong
	ExpiredToken                     // the session token has expired
	TimedOut                         // the body did not arrive in time
	Throttled                        // too many requests
	PolicyEnforced                   // the data retrieval policy refuses the job
	InsufficientCapacity             // no capacity for an expedited retrieval
	UnknownOperation                 // no such resource
	WrongMethod                      // the resource exists, the method does not
	BadRequest                       // unreadable, and no other kind fits
	Corrupt                          // bytes on the medium do not match their hashes
	Unavailable                      // cannot be done at the moment, and will be possible again
)

// Error is a failure with its kind. Message is written for the person at the other end: it names the thing and the
// value that was wrong. Err is the cause, if any; it is logged and never shown.
type Error struct {
	Kind    Kind
	Message string
	Err     error
}

// Error returns the message and the cause.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return e.Message + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New returns an error of the given kind. The format is that of fmt.Sprintf.
func New(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Wrap returns an error of the given kind that was caused by err.
func Wrap(kind Kind, err error, format string, args ...any) error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...), Err: err}
}

// KindOf returns the kind of the outermost Error in err's chain, Internal if there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Is reports whether err is of the given kind. It is false for a nil error.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }
