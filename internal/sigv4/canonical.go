package sigv4

import (
	"iter"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
)

// Clients differ in how they canonicalise a request, mostly where it holds something unusual. So a request has a list
// of canonical forms, likeliest first, and a signature over any of them is good: each is computed from the request that
// arrived, and each tells apart any two requests that this API treats as different and does not refuse. (Some forms
// confuse a percent sign with its own encoding; no legal account id, vault name or other id holds one.)
// An ordinary request has one form only.

// A message is a request taken apart for canonicalRequests.
type message struct {
	method      string
	paths       []string // forms of the canonical URI
	query       string
	hosts       []string // forms of the value of host
	names       []string // signed headers
	values      [][]string
	spacings    []bool // forms of the other values: whether boto 2's exemption applies
	payloadHash string
}

func newMessage(r Request, names []string, payloadHash string) *message {
	path, query, absolute := splitTarget(r.Target)
	m := &message{
		method: r.Method, paths: pathForms(path), query: canonicalQuery(query), hosts: []string{r.Host},
		names: names, values: make([][]string, len(names)), spacings: []bool{false}, payloadHash: payloadHash,
	}
	if host := withoutPort(r.Host); absolute && host != r.Host {
		m.hosts = append(m.hosts, host)
	}
	for i, name := range names {
		m.values[i], _ = r.values(name)
	}
	if slices.ContainsFunc(m.values, hasExempt) {
		m.spacings = append(m.spacings, true)
	}
	return m
}

// canonicalRequests yields the forms one by one, all in the same buffer: a form is valid until the next is asked for.
func (m *message) canonicalRequests() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		var b []byte
		for _, host := range m.hosts {
			for _, exempt := range m.spacings {
				for _, path := range m.paths {
					b = m.append(b[:0], path, host, exempt)
					if !yield(b) {
						return
					}
				}
			}
		}
	}
}

func (m *message) append(b []byte, path, host string, exempt bool) []byte {
	for _, line := range []string{m.method, path, m.query} {
		b = append(append(b, line...), '\n')
	}
	for i, name := range m.names {
		b = append(append(b, name...), ':')
		if name == hostHeader {
			b = appendCollapsed(b, host)
		} else {
			b = appendValues(b, m.values[i], exempt)
		}
		b = append(b, '\n')
	}
	b = append(b, '\n')
	for i, name := range m.names {
		if i > 0 {
			b = append(b, ';')
		}
		b = append(b, name...)
	}
	return append(append(b, '\n'), m.payloadHash...)
}

// value returns the value of a header as one line: a header may be sent several times, and the signature covers all
// of them joined.
func (r Request) value(name string) (string, bool) {
	values, ok := r.values(name)
	return string(appendValues(nil, values, false)), ok
}

// values returns the values of the header with this lower-case name, and whether the request has it. Three headers
// are looked for elsewhere, as net/http takes them out of the header map.
func (r Request) values(name string) ([]string, bool) {
	if name == hostHeader {
		return []string{r.Host}, r.Host != ""
	}
	values := r.Header[textproto.CanonicalMIMEHeaderKey(name)]
	switch {
	case len(values) > 0:
	case name == "content-length" && r.ContentLength >= 0:
		values = []string{strconv.FormatInt(r.ContentLength, 10)}
	case name == "transfer-encoding":
		values = r.TransferEncoding
	}
	return values, len(values) > 0
}

func appendValues(b []byte, values []string, exempt bool) []byte {
	for i, value := range values {
		if i > 0 {
			b = append(b, ',')
		}
		if exempt && isExempt(value) {
			b = append(b, trim(value)...)
		} else {
			b = appendCollapsed(b, value)
		}
	}
	return b
}

// appendCollapsed trims a value and makes one space of each run of spaces. Bytes outside ASCII stay as they are,
// whatever character set they are meant in.
func appendCollapsed(b []byte, value string) []byte {
	value = trim(value)
	for i := range len(value) {
		if value[i] != ' ' || value[i-1] != ' ' {
			b = append(b, value[i])
		}
	}
	return b
}

// trim removes what HTTP calls optional white space. Unlike strings.TrimSpace it keeps a final U+0085 or U+00A0.
func trim(value string) string { return strings.Trim(value, " \t") }

// isExempt is true for the values in which boto 2 leaves runs of spaces alone: it takes a quotation mark for the start
// of a quoted string.
func isExempt(value string) bool {
	return strings.Contains(value, `"`) && strings.Contains(value, "  ")
}

func hasExempt(values []string) bool { return slices.ContainsFunc(values, isExempt) }
