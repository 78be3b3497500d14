package sigv4

import (
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestEveryByteCounts changes each byte of what is signed to each other value. The request holds all that has more than
// one canonical form, so that a form which is too generous shows.
func TestEveryByteCounts(t *testing.T) {
	c := sampleClient()
	c.target = "/-/vaults/my%3Avault~/x?limit=2&marker=arn%3Aaws+glacier%2Fa"
	c.path, c.query = "/-/vaults/my%253Avault~/x", "limit=2&marker=arn%3Aaws%20glacier%2Fa"
	c.headers["x-amz-archive-description"] = `say  "two   words"`
	c.values = map[string]string{"x-amz-archive-description": `say "two words"`}
	original := c.request()
	v := server(leapDay)
	if _, err := v.Verify(original, emptyHash, longTerm); err != nil {
		t.Fatal(err)
	}

	refuse := func(place string, changed Request) {
		if _, err := v.Verify(changed, emptyHash, longTerm); err == nil && !sameTarget(original, changed) {
			t.Errorf("accepted with %s: %+v", place, changed)
		}
	}
	eachChange(original.Method, func(s string) { r := original; r.Method = s; refuse("method", r) })
	eachChange(original.Target, func(s string) { r := original; r.Target = s; refuse("target", r) })
	eachChange(original.Host, func(s string) { r := original; r.Host = s; refuse("host", r) })
	eachChange(emptyHash, func(s string) {
		if _, err := v.Verify(original, s, longTerm); err == nil {
			t.Errorf("accepted with payload hash %q", s)
		}
	})
	for name := range original.Header {
		value := original.Header.Get(name)
		eachChange(value, func(s string) {
			if !sameHeader(name, value, s) {
				refuse(name, withHeader(original, name, s))
			}
		})
		eachChange(name, func(s string) {
			r := withHeader(original, name, "")
			delete(r.Header, name)
			r.Header[s] = []string{value}
			refuse("header name "+s, r)
		})
	}
}

// eachChange calls try with each text that differs from s in one byte.
func eachChange(s string, try func(string)) {
	b := []byte(s)
	for i, original := range b {
		for c := range 256 {
			if b[i] = byte(c); b[i] != original {
				try(string(b))
			}
		}
		b[i] = original
	}
}

// sameTarget is true if only the spelling of the query differs, such as %3a for %3A.
func sameTarget(a, b Request) bool {
	pathA, queryA, _ := strings.Cut(a.Target, "?")
	pathB, queryB, _ := strings.Cut(b.Target, "?")
	valuesA, errA := url.ParseQuery(queryA)
	valuesB, errB := url.ParseQuery(queryB)
	return a.Target != b.Target && pathA == pathB && errA == nil && errB == nil && reflect.DeepEqual(valuesA, valuesB)
}

// sameHeader is true if two values differ in blanks that mean nothing, or in how Authorization separates its parts.
func sameHeader(name, a, b string) bool {
	if name == "Authorization" {
		authA, errA := ParseAuthorization(a)
		authB, errB := ParseAuthorization(b)
		return errA == nil && errB == nil && reflect.DeepEqual(authA, authB)
	}
	blank := func(c rune) bool { return c == ' ' }
	return slices.Equal(strings.FieldsFunc(a, blank), strings.FieldsFunc(b, blank))
}

func withHeader(r Request, name, value string) Request {
	r.Header = r.Header.Clone()
	r.Header[name] = []string{value}
	return r
}
