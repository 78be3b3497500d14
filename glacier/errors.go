package glacier

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// The kinds of failure that callers tell apart, for errors.Is. Every error of the service is an *APIError, which says more (errors.As).
var (
	ErrNotFound             = errors.New("not found")                         // the vault, archive, upload, job or setting does not exist
	ErrAccessDenied         = errors.New("access denied")                     // a policy, a lock or another account forbids it
	ErrInvalidParameter     = errors.New("a parameter is wrong or missing")   // or the body cannot be read
	ErrLimitExceeded        = errors.New("a limit would be exceeded")         //
	ErrPolicyEnforced       = errors.New("the data retrieval policy forbids") // more would be retrieved than it allows
	ErrInsufficientCapacity = errors.New("no capacity for an expedited retrieval")
	ErrThrottled            = errors.New("too many requests")
	ErrAuthentication       = errors.New("the credentials are not accepted")
	ErrExpiredToken         = errors.New("the session token has expired")
	ErrTimedOut             = errors.New("the body did not arrive in time")
	ErrServiceUnavailable   = errors.New("the service has failed")
)

// kinds are the kinds of failure by the code of the service (guide: "Error Responses").
var kinds = map[string]error{ // read only
	"ResourceNotFoundException":           ErrNotFound,
	"AccessDeniedException":               ErrAccessDenied,
	"NoLongerSupportedException":          ErrAccessDenied,
	"InvalidParameterValueException":      ErrInvalidParameter,
	"MissingParameterValueException":      ErrInvalidParameter,
	"SerializationException":              ErrInvalidParameter,
	"BadRequest":                          ErrInvalidParameter,
	"LimitExceededException":              ErrLimitExceeded,
	"PolicyEnforcedException":             ErrPolicyEnforced,
	"InsufficientCapacityException":       ErrInsufficientCapacity,
	"ThrottlingException":                 ErrThrottled,
	"MissingAuthenticationTokenException": ErrAuthentication,
	"IncompleteSignatureException":        ErrAuthentication,
	"UnrecognizedClientException":         ErrAuthentication,
	"InvalidSignatureException":           ErrAuthentication,
	"ExpiredTokenException":               ErrExpiredToken,
	"RequestTimeoutException":             ErrTimedOut,
	"ServiceUnavailableException":         ErrServiceUnavailable,
}

// APIError is an answer of the service that is an error, or one that is not what the operation answers with.
type APIError struct {
	Operation string // like DescribeVault
	Status    int    // of HTTP
	Code      string // like ResourceNotFoundException; "" if the body has none
	Message   string
	Type      string // Client, Server or Unknown
	RequestID string
	Body      []byte // as it came, at most 64 KiB

	date   string // of the answer
	unsent bool   // it came before all of the body was sent: nothing was carried out
}

// Error says what was asked, and what was answered.
func (e *APIError) Error() string {
	text := e.Message
	if text == "" {
		text = strings.TrimSpace(string(e.Body))
	}
	if len(text) > 500 {
		text = text[:500] + "..."
	}
	code := e.Code
	if code == "" {
		code = http.StatusText(e.Status)
	}
	return fmt.Sprintf("%s: %d %s: %s (request id %s)", e.Operation, e.Status, code, text, e.RequestID)
}

// Is reports whether the error is of a kind.
func (e *APIError) Is(target error) bool {
	kind := kinds[e.Code]
	if kind == nil { // what is between us and the service answers with a status only
		switch {
		case e.Status == http.StatusRequestTimeout:
			kind = ErrTimedOut
		case e.Status == http.StatusTooManyRequests:
			kind = ErrThrottled
		case e.Status >= 500:
			kind = ErrServiceUnavailable
		}
	}
	return kind != nil && kind == target
}

// maxErrorBody is how much of the body of an error is read.
const maxErrorBody = 64 << 10

// readError makes an error of an answer.
func readError(operation string, r *http.Response) *APIError {
	b, _ := io.ReadAll(io.LimitReader(r.Body, maxErrorBody)) // what is there
	e := &APIError{Operation: operation, Status: r.StatusCode, RequestID: requestID(r.Header), Body: b}
	var doc struct{ Code, Message, Type string }
	if json.Unmarshal(b, &doc) == nil {
		e.Code, e.Message, e.Type = doc.Code, doc.Message, doc.Type
	}
	if e.Code == "" {
		e.Code = r.Header.Get("x-amzn-ErrorType")
	}
	e.Code = bareCode(e.Code)
	return e
}

// bareCode returns a code without the name space and the address that other services of AWS put around it.
func bareCode(code string) string {
	code, _, _ = strings.Cut(code, ":")
	return code[strings.LastIndexByte(code, '#')+1:]
}

// SendError is a request that failed without an answer of the service.
type SendError struct {
	Operation string
	Err       error
	began     bool // all of the request may have reached the server
}

// Error says what was asked, and what went wrong.
func (e *SendError) Error() string { return e.Operation + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *SendError) Unwrap() error { return e.Err }

// credentialsError is that there is nothing to sign a request with. To send it again would not help.
type credentialsError struct {
	operation string
	err       error
}

func (e *credentialsError) Error() string {
	return fmt.Sprintf("%s: there are no credentials to sign with: %v", e.operation, e.err)
}

func (e *credentialsError) Unwrap() error { return e.err }

func (e *credentialsError) Is(target error) bool { return target == ErrAuthentication }

// MayHaveSucceeded reports whether the server may have carried out a request that ended with an error: the answer was lost, or it was one that leaves it open, like any 5xx that
// does not say what was wrong. To send an UploadArchive or InitiateJob again can make a second archive or job then.
func MayHaveSucceeded(err error) bool {
	var answer *APIError
	if errors.As(err, &answer) {
		return !answer.unsent && (answer.Status < 300 || answer.Status >= 500 && answer.Is(ErrServiceUnavailable))
	}
	var lost *SendError
	return errors.As(err, &lost) && lost.began
}
