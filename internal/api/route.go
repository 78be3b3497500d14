package api

import (
	"net/url"
	"slices"
	"strings"

	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/protocol"
)

// route is a row of the table of operations with its path cut into segments. The patterns of http.ServeMux are not used: it answers
// unclean paths with a redirect, which clients of this API follow to nowhere, and HEAD as GET.
type route struct {
	op       protocol.Operation
	segments []string
}

func routes() []route {
	var list []route
	for _, op := range protocol.Operations() {
		list = append(list, route{op, strings.Split(op.Path[1:], "/")})
	}
	return list
}

// segments cuts a path as it was sent into decoded segments. Consecutive slashes and dot segments collapse, a slash at the end is ignored; what is
// encoded is decoded once and taken as it is.
func segments(escaped string) []string {
	var list []string
	for _, raw := range strings.Split(escaped, "/") {
		switch raw {
		case "", ".":
		case "..":
			list = list[:max(0, len(list)-1)]
		default:
			decoded, err := url.PathUnescape(raw)
			if err != nil {
				decoded = raw // net/http has refused it before
			}
			list = append(list, decoded)
		}
	}
	return list
}

// match holds the route against a path and returns the values of its variables.
func (r route) match(path []string) (map[string]string, bool) {
	if len(path) != len(r.segments) {
		return nil, false
	}
	values := make(map[string]string, 3)
	for i, want := range r.segments {
		if name, isVariable := strings.CutPrefix(want, "{"); isVariable {
			values[name[:len(name)-1]] = path[i]
		} else if want != path[i] {
			return nil, false
		}
	}
	return values, true
}

// match finds the operation of the request.
func (c *call) match() error {
	path := segments(c.r.URL.EscapedPath())
	var allowed []string
	for _, r := range c.s.routes {
		values, ok := r.match(path)
		if !ok {
			continue
		}
		if r.op.Method != c.r.Method {
			allowed = append(allowed, r.op.Method)
			continue
		}
		c.op, c.path = r.op, values
		if c.noOp = c.selects(r.op.Query); c.noOp == nil {
			return nil
		}
	}
	if c.noOp != nil {
		return nil // which is said when it is known who asks
	}
	if allowed == nil {
		return fault.New(fault.UnknownOperation, "There is no resource at %s", c.r.URL.Path)
	}
	slices.Sort(allowed)
	c.w.Header().Set("Allow", strings.Join(slices.Compact(allowed), ", "))
	return fault.New(fault.WrongMethod, "The method %s is not allowed at %s", c.r.Method, c.r.URL.Path)
}

// selects is nil if the query of the request is the one that an operation has.
func (c *call) selects(query string) error {
	name, want, _ := strings.Cut(query, "=")
	if name == "" {
		return nil
	}
	switch got := c.query(name); {
	case got == nil:
		return fault.New(fault.Missing, "Required parameter missing: %s", name)
	case *got != want:
		return fault.New(fault.Invalid, "Invalid %s: %q is neither add nor remove", name, *got)
	}
	return nil
}

// checkQuery refuses a query that cannot be decoded. Without it, what is wrong would count as absent, and a filter with it.
func (c *call) checkQuery() error {
	if _, err := url.ParseQuery(c.r.URL.RawQuery); err != nil {
		return fault.New(fault.Invalid, "Invalid query: %v", err)
	}
	return nil
}

// query returns a query parameter, nil if it is absent. Only its first value counts.
func (c *call) query(name string) *string {
	values, ok := c.r.URL.Query()[name]
	if !ok {
		return nil
	}
	return &values[0]
}

// header returns a header with spaces around it removed, "" if it is absent.
func (c *call) header(name string) string {
	return strings.TrimSpace(c.r.Header.Get(name))
}
