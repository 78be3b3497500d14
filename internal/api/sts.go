package api

import (
	"bytes"
	"encoding/xml"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/moraine-archive/moraine/internal/fault"
)

// Some tools for the Glacier API first ask the Security Token Service who they are, at the same endpoint. That one operation is answered, in the form of
// that service (STS API Reference: "GetCallerIdentity"); it needs no permission.

const (
	stsService   = "sts"
	stsRegion    = "us-east-1" // of the endpoint that has no region in its name
	stsNamespace = "https://sts.amazonaws.com/doc/2011-06-15/"
	stsAction    = "sts:GetCallerIdentity"
)

// isSTS reports whether a request speaks the form of the Security Token Service.
func isSTS(r *http.Request) bool {
	return r.Method == http.MethodPost && len(segments(r.URL.EscapedPath())) == 0 &&
		strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
}

type callerIdentity struct {
	XMLName   xml.Name `xml:"GetCallerIdentityResponse"`
	Namespace string   `xml:"xmlns,attr"`
	ARN       string   `xml:"GetCallerIdentityResult>Arn"`
	UserID    string   `xml:"GetCallerIdentityResult>UserId"`
	Account   string   `xml:"GetCallerIdentityResult>Account"`
	RequestID string   `xml:"ResponseMetadata>RequestId"`
}

type stsError struct {
	XMLName   xml.Name `xml:"ErrorResponse"`
	Namespace string   `xml:"xmlns,attr"`
	Type      string   `xml:"Error>Type"` // Sender or Receiver
	Code      string   `xml:"Error>Code"`
	Message   string   `xml:"Error>Message"`
	RequestID string   `xml:"RequestId"`
}

// identify answers GetCallerIdentity.
func (c *call) identify() error {
	if err := c.authenticate(); err != nil {
		return err
	}
	form, err := url.ParseQuery(string(c.json))
	if action := form.Get("Action"); err != nil || action != "GetCallerIdentity" {
		return fault.New(fault.UnknownOperation, "Of the Security Token Service there is only GetCallerIdentity here, not %q", action)
	}
	c.op.Name = stsAction // for the log
	return c.sendXML(http.StatusOK, callerIdentity{
		Namespace: stsNamespace, ARN: c.caller.ARN(), UserID: c.caller.UserID(), Account: c.caller.Account, RequestID: c.id,
	})
}

// failXML is the form of errors for such a request.
func (c *call) failXML(status int, doc errorDocument) error {
	e := stsError{Namespace: stsNamespace, Type: "Sender", Code: doc.Code, Message: doc.Message, RequestID: c.id}
	if status >= http.StatusInternalServerError {
		e.Type = "Receiver"
	}
	return c.sendXML(status, e)
}

func (c *call) sendXML(status int, document any) error {
	var b bytes.Buffer
	if err := xml.NewEncoder(&b).Encode(document); err != nil {
		return err
	}
	c.armWrite()
	c.setHeader("Content-Type", "text/xml")
	c.setHeader("Content-Length", strconv.Itoa(b.Len()))
	c.w.WriteHeader(status)
	_, c.err = c.w.Write(b.Bytes()) // if the client has gone there is nobody to tell
	return nil
}
