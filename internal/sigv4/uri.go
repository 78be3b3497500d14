package sigv4

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// splitTarget returns the path and query of a request target. A request sent through a proxy has the absolute form;
// its path and query count all the same (ruling 3).
func splitTarget(target string) (path, query string, absolute bool) {
	path, query, _ = strings.Cut(target, "?")
	if !strings.HasPrefix(path, "/") {
		var rest string
		if _, rest, absolute = strings.Cut(path, "://"); absolute {
			_, path, _ = strings.Cut(rest, "/")
			path = "/" + path
		}
	}
	return cmp.Or(path, "/"), query, absolute
}

// pathForms returns the canonical URIs that clients make of a path, likeliest first, without repetition.
func pathForms(raw string) []string {
	clean := normalise(raw)
	if clean == raw && !strings.ContainsFunc(raw, isOdd) {
		return []string{raw}
	}
	forms := []string{
		encodePath(clean),         // SigV4 as documented; botocore; boto 2 on Python 3.7 and later
		encodePath(raw),           // SDKs that do not normalise, such as that for Go
		reencode(clean, pathText), // clients that sign the path before it is escaped for the wire
		clean,                     // clients that sign the path as it is on the wire
		reencode(raw, pathText),
		raw,
		// The quote function of older Pythons encodes the tilde.
		strings.ReplaceAll(encodePath(clean), "~", "%7E"),
	}
	return unique(forms)
}

// isOdd is true for characters that some client encodes.
func isOdd(c rune) bool { return c == '~' || c >= 0x80 || c != '/' && !isUnreserved(byte(c)) }

func unique(forms []string) []string {
	kept := forms[:0]
	for _, form := range forms {
		if !slices.Contains(kept, form) {
			kept = append(kept, form)
		}
	}
	return kept
}

// normalise removes empty, "." and ".." segments and keeps a trailing slash. Segments are compared as sent: routing
// decodes a segment once it has been cut out, so that "%2E%2E" is a name there and must be one here.
func normalise(path string) string {
	if !strings.Contains(path, "//") && !strings.Contains(path, "/.") && strings.HasPrefix(path, "/") {
		return path
	}
	var kept []string
	for segment := range strings.SplitSeq(path, "/") {
		switch segment {
		case "", ".":
		case "..":
			kept = kept[:max(0, len(kept)-1)]
		default:
			kept = append(kept, segment)
		}
	}
	clean := "/" + strings.Join(kept, "/")
	if strings.HasSuffix(path, "/") && len(kept) > 0 {
		clean += "/"
	}
	return clean
}

// canonicalQuery decodes each parameter, encodes it the one way SigV4 has, and sorts the result. Sorting follows
// encoding, as documented; a parameter without a value gets its "=" all the same. What the server would not take for a
// parameter (the nothing between two ampersands) is left out.
func canonicalQuery(raw string) string {
	if raw == "" {
		return ""
	}
	type parameter struct{ name, value string }
	var parameters []parameter
	for pair := range strings.SplitSeq(raw, "&") {
		if name, value, _ := strings.Cut(pair, "="); pair != "" {
			parameters = append(parameters, parameter{reencode(name, queryText), reencode(value, queryText)})
		}
	}
	slices.SortFunc(parameters, func(a, b parameter) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.value, b.value))
	})
	pairs := make([]string, len(parameters))
	for i, p := range parameters {
		pairs[i] = p.name + "=" + p.value
	}
	return strings.Join(pairs, "&")
}

// encodePath encodes a path as if it never had been: a percent sign becomes %25.
func encodePath(path string) string {
	b := make([]byte, 0, len(path))
	for i := range len(path) {
		if path[i] == '/' {
			b = append(b, '/')
		} else {
			b = appendEncoded(b, path[i])
		}
	}
	return string(b)
}

// A place says which characters of a text stand for themselves.
type place int

const (
	pathText  place = iota // "/" separates segments
	queryText              // "+" is a space
)

// reencode decodes percent escapes and encodes everything outside the unreserved set. An escape that is none stands
// for itself. An escaped slash in a path stays escaped: decoded, it would cut its segment in two, and a signature for one
// resource would fit another.
func reencode(s string, in place) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c, ok := unescape(s[i:]); {
		case ok:
			b = appendEncoded(b, c)
			i += 2
		case in == pathText && s[i] == '/':
			b = append(b, '/')
		case in == queryText && s[i] == '+':
			b = appendEncoded(b, ' ')
		default:
			b = appendEncoded(b, s[i])
		}
	}
	return string(b)
}

// unescape returns the byte that a text starts with the percent escape of.
func unescape(s string) (byte, bool) {
	if len(s) < 3 || s[0] != '%' {
		return 0, false
	}
	c, err := strconv.ParseUint(s[1:3], 16, 8)
	return byte(c), err == nil
}

func appendEncoded(b []byte, c byte) []byte {
	if isUnreserved(c) {
		return append(b, c)
	}
	return append(b, '%', "0123456789ABCDEF"[c>>4], "0123456789ABCDEF"[c&15])
}

func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}
