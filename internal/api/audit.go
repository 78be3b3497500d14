package api

import (
	"net/http"
	"strconv"

	"github.com/moraine-archive/moraine/internal/access"
	"github.com/moraine-archive/moraine/internal/audit"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/sigv4"
)

// audit writes the line of a request that changes something or is denied, before the answer is sent. What becomes of a request does not depend on it: that there is no room for
// the line is logged.
func (c *call) audit(status int, failure errorDocument) {
	decision := c.outcome(failure)
	if decision == "" {
		return
	}
	e := audit.Entry{
		Time: c.s.Now(), RequestID: c.id, Account: c.caller.Account, KeyID: c.caller.KeyID, Address: c.r.RemoteAddr, UserAgent: c.r.UserAgent(),
		Resource: c.asked.Resource, Archive: c.asked.Archive, Decision: decision, Policy: c.decision.Policy, Statement: c.decision.Statement,
		Status: status, Error: failure.Code, Message: failure.Message,
	}
	switch auth, err := sigv4.ParseAuthorization(c.r.Header.Get("Authorization")); {
	case c.caller.Account != "":
		e.Caller = c.caller.ARN()
	case err == nil:
		e.KeyID = auth.KeyID // that the request names
	}
	if sid, err := strconv.Unquote(e.Statement); err == nil {
		e.Statement = sid
	}
	if decision == audit.Denied && c.decision.Allowed {
		e.Policy, e.Statement = "", "" // the transaction has decided otherwise; the message says how
	}
	switch {
	case c.sts:
		e.Action = stsAction
	case c.op.Name != "":
		e.Action = access.Action(c.op.Name)
	}
	if err := c.s.Audit(e); err != nil {
		c.s.Log.ErrorContext(c.ctx, "a line of the audit log could not be written", "request_id", c.id, "error", err)
	}
}

// outcome says what is written of the decision on a request, "" if nothing is.
func (c *call) outcome(failure errorDocument) string {
	denied := errorTable[fault.Denied].code
	switch {
	case failure.Code == denied:
		return audit.Denied // also by the transaction that was to make the change, or for the account in the path
	case c.caller.Account == "" && failure.Code != "" && (c.op.Name != "" || c.sts):
		return audit.Unauthenticated
	case c.decided && c.r.Method != http.MethodGet:
		return audit.Allowed
	}
	return ""
}
