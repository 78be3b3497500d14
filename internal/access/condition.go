package access

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// lookup returns the values of a condition key of a request, nil if it has none. The name of the key is normal.
type lookup func(key string) []string

// condition is one key of one operator in a Condition block (IAM User Guide: "IAM JSON policy elements: Condition operators").
type condition struct {
	operator
	quantifier string // anyValue, allValues, or "": the key has one value
	ifExists   bool
	key        string
	values     []pattern
}

const (
	anyValue  = "ForAnyValue:"
	allValues = "ForAllValues:"
	ifExists  = "IfExists"
)

// operator is how a value of a request is held against one of a policy.
type operator struct {
	matches   func(want glob, got string) bool
	valid     func(want string) error // nil: any text
	negated   bool                    // holds if the request's value matches none of the policy's
	wildcards bool                    // in the policy's values
	null      bool                    // asks only whether the request has the key
}

// parseOperator reads the name of an operator, with what may be before and behind it.
func parseOperator(name string) (c condition, err error) {
	base := name
	for _, q := range []string{anyValue, allValues} {
		if rest, ok := strings.CutPrefix(name, q); ok {
			c.quantifier, base = q, rest
		}
	}
	base, c.ifExists = strings.CutSuffix(base, ifExists)
	op, known := operators[base]
	if !known || op.null && base != name {
		return c, fmt.Errorf("there is no condition operator %q", name)
	}
	c.operator = op
	return c, nil
}

// holds reports whether the condition is met. A request without the key meets what is negated, what says IfExists, and what is to hold for all
// values: there are none.
func (c condition) holds(values lookup) bool {
	got := values(c.key)
	switch {
	case c.null:
		return slices.ContainsFunc(c.values, func(p pattern) bool {
			want, ok := p.resolve(values)
			return ok && strings.EqualFold(string(want), strconv.FormatBool(len(got) == 0))
		})
	case len(got) == 0:
		return c.ifExists || c.quantifier == allValues || c.quantifier == "" && c.negated
	case c.quantifier == anyValue:
		return slices.ContainsFunc(got, func(g string) bool { return c.isOne(g, values) != c.negated })
	case c.quantifier == allValues:
		return !slices.ContainsFunc(got, func(g string) bool { return c.isOne(g, values) == c.negated })
	}
	return slices.ContainsFunc(got, func(g string) bool { return c.isOne(g, values) }) != c.negated
}

// isOne reports whether a value of the request matches one of the policy's.
func (c condition) isOne(got string, values lookup) bool {
	return slices.ContainsFunc(c.values, func(p pattern) bool {
		want, ok := p.resolve(values)
		return ok && c.matches(want, got)
	})
}

// operators are all there are.
var operators = map[string]operator{ // read only
	"StringEquals":              {matches: isSame},
	"StringNotEquals":           {matches: isSame, negated: true},
	"StringEqualsIgnoreCase":    {matches: isSameText},
	"StringNotEqualsIgnoreCase": {matches: isSameText, negated: true},
	"StringLike":                {matches: glob.matches, wildcards: true},
	"StringNotLike":             {matches: glob.matches, wildcards: true, negated: true},

	"NumericEquals":            {matches: number(equal), valid: readable(parseNumber)},
	"NumericNotEquals":         {matches: number(equal), valid: readable(parseNumber), negated: true},
	"NumericLessThan":          {matches: number(less), valid: readable(parseNumber)},
	"NumericLessThanEquals":    {matches: number(lessOrEqual), valid: readable(parseNumber)},
	"NumericGreaterThan":       {matches: number(greater), valid: readable(parseNumber)},
	"NumericGreaterThanEquals": {matches: number(greaterOrEqual), valid: readable(parseNumber)},

	"DateEquals":            {matches: date(equal), valid: readable(parseDate)},
	"DateNotEquals":         {matches: date(equal), valid: readable(parseDate), negated: true},
	"DateLessThan":          {matches: date(less), valid: readable(parseDate)},
	"DateLessThanEquals":    {matches: date(lessOrEqual), valid: readable(parseDate)},
	"DateGreaterThan":       {matches: date(greater), valid: readable(parseDate)},
	"DateGreaterThanEquals": {matches: date(greaterOrEqual), valid: readable(parseDate)},

	"Bool": {matches: isSameText, valid: validBool},
	"Null": {null: true, valid: validBool},

	"IpAddress":    {matches: isInNetwork, valid: readable(parseNetwork)},
	"NotIpAddress": {matches: isInNetwork, valid: readable(parseNetwork), negated: true},

	"ArnEquals":    {matches: isARN, valid: validARN, wildcards: true},
	"ArnLike":      {matches: isARN, valid: validARN, wildcards: true},
	"ArnNotEquals": {matches: isARN, valid: validARN, wildcards: true, negated: true},
	"ArnNotLike":   {matches: isARN, valid: validARN, wildcards: true, negated: true},
}

func isSame(want glob, got string) bool     { return string(want) == got }
func isSameText(want glob, got string) bool { return strings.EqualFold(string(want), got) }

// How a number or a moment of a request can stand to one of a policy, by what compares them.
func equal(c int) bool          { return c == 0 }
func less(c int) bool           { return c < 0 }
func lessOrEqual(c int) bool    { return c <= 0 }
func greater(c int) bool        { return c > 0 }
func greaterOrEqual(c int) bool { return c >= 0 }

func number(order func(int) bool) func(glob, string) bool {
	return compared(parseNumber, func(got, want float64) bool { return order(cmp.Compare(got, want)) })
}

func date(order func(int) bool) func(glob, string) bool {
	return compared(parseDate, func(got, want time.Time) bool { return order(got.Compare(want)) })
}

// compared holds values against each other that are not texts. What cannot be read as such a value matches nothing.
func compared[T any](parse func(string) (T, error), matches func(got, want T) bool) func(glob, string) bool {
	return func(want glob, got string) bool {
		w, wrong := parse(string(want))
		g, alsoWrong := parse(got)
		return wrong == nil && alsoWrong == nil && matches(g, w)
	}
}

// readable makes the check of a policy's values of what reads them.
func readable[T any](parse func(string) (T, error)) func(string) error {
	return func(text string) error {
		_, err := parse(text)
		return err
	}
}

var decimal = regexp.MustCompile(`^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$`) // read only

func parseNumber(text string) (float64, error) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !decimal.MatchString(text) {
		return 0, fmt.Errorf("%q is not a number", text)
	}
	return n, nil
}

// parseDate reads a date of ISO 8601 in one of the forms of https://www.w3.org/TR/NOTE-datetime, or seconds since 1970.
func parseDate(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02", "2006-01", "2006"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	seconds, err := parseNumber(text)
	if err != nil || seconds < 0 || seconds > 1e11 {
		return time.Time{}, fmt.Errorf("%q is neither a date like 2030-12-31T00:00:00Z nor seconds since 1970", text)
	}
	return time.UnixMilli(int64(seconds * 1000)), nil
}

func validBool(text string) error {
	if !strings.EqualFold(text, "true") && !strings.EqualFold(text, "false") {
		return fmt.Errorf("%q is neither true nor false", text)
	}
	return nil
}

func isInNetwork(want glob, got string) bool {
	network, wrong := parseNetwork(string(want))
	address, alsoWrong := netip.ParseAddr(got)
	return wrong == nil && alsoWrong == nil && network.Contains(address.Unmap().WithZone(""))
}

// parseNetwork reads an address or a range of addresses in the notation of RFC 4632.
func parseNetwork(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil {
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return network, fmt.Errorf("%q is neither an IP address nor a range like 203.0.113.0/24", text)
	}
	if address := network.Addr(); address.Is4In6() && network.Bits() >= 96 {
		network = netip.PrefixFrom(address.Unmap(), network.Bits()-96)
	}
	return network.Masked(), nil
}

// arnParts is how many parts an ARN has: arn:partition:service:region:account:resource.
const arnParts = 6

// isARN compares two ARNs part by part, so that a wildcard does not reach beyond its own.
func isARN(want glob, got string) bool {
	if len(want) == 1 && want[0] == anything {
		return strings.HasPrefix(got, "arn:")
	}
	w, g := want.split(arnParts), strings.SplitN(got, ":", arnParts)
	if len(w) != arnParts || len(g) != arnParts {
		return false
	}
	for i := range w {
		if !w[i].matches(g[i]) {
			return false
		}
	}
	return true
}

var errNoARN = errors.New("an ARN has six parts, like arn:aws:iam::123456789012:user/alice") // read only

func validARN(text string) error {
	if text != "*" && (!strings.HasPrefix(text, "arn:") || strings.Count(text, ":") < arnParts-1) {
		return fmt.Errorf("%q is not an ARN: %w", text, errNoARN)
	}
	return nil
}

// normalKey is the name of a condition key as it is compared: without regard to case, but for the name of a tag.
func normalKey(name string) string {
	prefix, tag, tagged := strings.Cut(name, "/")
	if !tagged {
		return strings.ToLower(name)
	}
	return strings.ToLower(prefix) + "/" + tag
}
