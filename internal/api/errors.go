package api

import (
	"errors"
	"net/http"

	"github.com/moraine-archive/moraine/internal/fault"
)

// row is how a kind of failure is shown to a client.
type row struct {
	status int
	code   string
}

// errorTable is the only place where a failure gets a status and a code (guide: "Error Responses"; where the guide and the service model differ, the guide).
var errorTable = map[fault.Kind]row{ // read only
	fault.Internal:             {http.StatusInternalServerError, "ServiceUnavailableException"},
	fault.Corrupt:              {http.StatusInternalServerError, "ServiceUnavailableException"},
	fault.Unavailable:          {http.StatusInternalServerError, "ServiceUnavailableException"},
	fault.Invalid:              {http.StatusBadRequest, "InvalidParameterValueException"},
	fault.Missing:              {http.StatusBadRequest, "MissingParameterValueException"},
	fault.Malformed:            {http.StatusBadRequest, "SerializationException"},
	fault.NotFound:             {http.StatusNotFound, "ResourceNotFoundException"},
	fault.Denied:               {http.StatusForbidden, "AccessDeniedException"},
	fault.LimitExceeded:        {http.StatusBadRequest, "LimitExceededException"},
	fault.NoToken:              {http.StatusBadRequest, "MissingAuthenticationTokenException"},
	fault.BadAuthorization:     {http.StatusBadRequest, "IncompleteSignatureException"},
	fault.UnknownCaller:        {http.StatusBadRequest, "UnrecognizedClientException"},
	fault.BadSignature:         {http.StatusForbidden, "InvalidSignatureException"},
	fault.ExpiredToken:         {http.StatusForbidden, "ExpiredTokenException"},
	fault.TimedOut:             {http.StatusRequestTimeout, "RequestTimeoutException"},
	fault.Throttled:            {http.StatusBadRequest, "ThrottlingException"},
	fault.PolicyEnforced:       {http.StatusBadRequest, "PolicyEnforcedException"},
	fault.InsufficientCapacity: {http.StatusServiceUnavailable, "InsufficientCapacityException"},
	fault.UnknownOperation:     {http.StatusNotFound, "UnknownOperationException"},
	fault.WrongMethod:          {http.StatusMethodNotAllowed, "UnknownOperationException"},
	fault.BadRequest:           {http.StatusBadRequest, "BadRequest"},
}

// errorDocument is the body of every error.
type errorDocument struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Type    string `json:"type"`
}

// internalMessage is what a client is told of a failure that is ours.
const internalMessage = "The request could not be carried out because of an internal failure. Try again; " +
	"the request id helps to find the cause in the server's log."

// describe returns how an error is shown.
func describe(err error) (int, errorDocument) {
	f := new(fault.Error) // of kind Internal
	errors.As(err, &f)
	r, known := errorTable[f.Kind]
	if !known {
		r = errorTable[fault.Internal]
	}
	doc := errorDocument{Code: r.code, Message: f.Message, Type: "Client"}
	if r.status >= 500 {
		doc.Type = "Server"
	}
	if f.Kind == fault.Internal || f.Kind == fault.Corrupt || f.Message == "" {
		doc.Message = internalMessage
	}
	return r.status, doc
}
