package access

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/protocol"
)

// Request is what a caller wants to do, and everything that the decision depends on.
type Request struct {
	Caller     Caller
	Connection Connection
	Operation  protocol.Operation // what is asked for
	Account    string             // that owns the resource
	Resource   string             // ARN

	// Of the vault, if there is one and it has them.
	Access *Policy
	Lock   *Policy // in force: completed or being tested
	Tags   map[string]string
	Age    *int64 // of the archive, in whole days; nil: the request is not about one that exists

	Now time.Time
	// LockTime is the time that nobody can set (package clock). What a lock policy denies at either time is denied: who sets the clock of the machine
	// wins nothing.
	LockTime time.Time
}

// Decision is the answer to a Request.
type Decision struct {
	Allowed   bool
	Policy    string // that decided: "identity policy NAME", "vault access policy", "vault lock policy", "root of the account"; "": none
	Statement string // in it: its Sid in quotes, or its number from 1
}

// Decide is the only place where it is decided whether a request may be carried out:
//
//  1. What any statement of any policy denies is denied. That binds the root of the account too. So is what can only be asked of one's own account, in another.
//  2. In the caller's own account a policy of the caller or one of the vault has to allow it. The root of the account needs none.
//  3. In another account both have to: the caller's side, as in 2, and a policy of the vault that names the caller or the caller's account.
//  4. Everything else is denied.
//
// A vault's policy that names an account leaves it to that account which of its users may: for them it allows nothing by itself.
func Decide(r Request) Decision {
	ofCaller, ofVault := r.sources()
	if d, denied := r.find(slices.Concat(ofCaller, ofVault), deny); denied {
		return d
	}
	identity, ok := r.find(ofCaller, allow)
	if r.Caller.Kind == Root {
		identity, ok = Decision{Allowed: true, Policy: "root of the account"}, true
	}
	switch own := r.Caller.Account == r.Account && r.Account != ""; {
	case own && ok:
		return identity
	case own:
		d, _ := r.find(ofVault, allowNamed)
		return d
	case ok && r.Operation.Scope == protocol.AnyAccount:
		d, _ := r.find(ofVault, allow)
		return d
	}
	return Decision{}
}

// source is a policy and what it is called.
type source struct {
	name   string
	policy *Policy
	also   time.Time // a second time at which its denials are looked at; zero: none
}

// sources returns the policies that have a say.
func (r *Request) sources() (ofCaller, ofVault []source) {
	for _, p := range r.Caller.Policies {
		ofCaller = append(ofCaller, source{"identity policy " + p.Name, p.Policy, time.Time{}})
	}
	if r.Operation.ForIdentities() {
		return ofCaller, nil
	}
	if r.Access != nil {
		ofVault = append(ofVault, source{"vault access policy", r.Access, time.Time{}})
	}
	if r.Lock != nil {
		ofVault = append(ofVault, source{"vault lock policy", r.Lock, r.LockTime})
	}
	return ofCaller, ofVault
}

// purpose is what a statement is looked for.
type purpose int

const (
	deny       purpose = iota
	allow              // for the caller or the whole account
	allowNamed         // for the caller
)

// find returns the decision of the first statement that serves a purpose and applies to the request.
func (r *Request) find(sources []source, what purpose) (d Decision, ok bool) {
	for _, s := range sources {
		for _, st := range s.policy.statements {
			if st.deny != (what == deny) {
				continue
			}
			if st.applies(r, r.Now, what) || st.deny && !s.also.IsZero() && !s.also.Equal(r.Now) && st.applies(r, s.also, what) {
				return Decision{Allowed: !st.deny, Policy: s.name, Statement: st.name}, true
			}
		}
	}
	return Decision{}, false
}

// applies reports whether a statement speaks of the request at a moment.
func (s *statement) applies(r *Request, now time.Time, what purpose) bool {
	values := r.values(now)
	return s.isFor(r.Caller, what == allowNamed) &&
		matchesAny(s.actions, strings.ToLower(Action(r.Operation.Name)), values) != s.notActions &&
		matchesAny(s.resources, r.Resource, values) != s.notResources &&
		!slices.ContainsFunc(s.conditions, func(c condition) bool { return !c.holds(values) })
}

// matchesAny reports whether one of several patterns matches.
func matchesAny(list []pattern, text string, values lookup) bool {
	return slices.ContainsFunc(list, func(p pattern) bool {
		g, ok := p.resolve(values)
		return ok && g.matches(text)
	})
}

// isFor reports whether a statement speaks of a caller. byName leaves out that it speaks of the caller's whole account. A denial of all but an account
// spares its root, and of its users those that are named too (IAM User Guide: "NotPrincipal": all but Bob are denied, and the list is Bob and his account).
// What all but an account may do, nobody in it may by that.
func (s *statement) isFor(c Caller, byName bool) bool {
	if s.principals == nil {
		return true
	}
	whole := !byName
	if s.notPrincipals {
		whole = !s.deny
	}
	named := slices.ContainsFunc(s.principals, func(p principal) bool {
		switch {
		case p.everybody:
			return true
		case p.account != "":
			return p.account == c.Account && (whole || c.Kind == Root)
		}
		return p.arn != "" && (p.arn == c.ARN() || p.arn == c.PrincipalARN())
	})
	return named != s.notPrincipals
}

// Action returns the name that policies have for an operation.
func Action(operation string) string { return actionPrefix + operation }

// Refusal returns the error for a request that is not allowed. Callers of another account do not learn how the vault's policies are made.
func (d Decision) Refusal(r Request) error {
	if r.Operation.Scope == protocol.OwnAccount && r.Caller.Account != r.Account {
		return fault.New(fault.Denied, "Access denied for account ID: %s", r.Account)
	}
	why := " because no policy allows it"
	switch {
	case d.Policy != "" && r.Caller.Account == r.Account:
		why = fmt.Sprintf(" with an explicit deny in the %s, statement %s", d.Policy, d.Statement)
	case d.Policy != "":
		why = " with an explicit deny"
	}
	return fault.New(fault.Denied, "User: %s is not authorized to perform: %s on resource: %s%s", r.Caller.ARN(), Action(r.Operation.Name), r.Resource, why)
}
