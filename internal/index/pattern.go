package index

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Pattern matches paths as shells match the names of files:
//
//	?      any character but /
//	*      any characters but /
//	**     any characters, also /; as a name of its own also no name, so that a/**/b matches a/b
//	[a-z]  one of these characters; [^a-z] and [!a-z] any other; never /
//	\x     the character x itself
//
// All of the path has to match. A pattern that ends in / matches all that is below that directory, and the empty pattern matches every path. Upper and lower case
// differ, and a leading dot is a character like others.
//
// It is made into a regular expression, which takes time in proportion to the path whatever the pattern is; a matcher that tries every way, as those of most
// libraries do, can be kept busy for ever by a few stars.
type Pattern struct {
	prefix     string // that all paths that match have
	exact      bool   // only the prefix itself matches
	expression *regexp.Regexp
}

// Compile reads a pattern.
func Compile(pattern string) (*Pattern, error) {
	rest := pattern
	if rest == "" || strings.HasSuffix(rest, "/") {
		rest += "**"
	}
	p := &Pattern{exact: true}
	var expression strings.Builder
	for begins := true; rest != ""; { // begins: rest begins a name
		t := next(rest, begins)
		if t.wrong != "" {
			return nil, fmt.Errorf("the pattern %q: %s", pattern, t.wrong)
		}
		p.exact = p.exact && t.expression == ""
		if p.exact {
			p.prefix += t.literal
		}
		expression.WriteString(t.expression + regexp.QuoteMeta(t.literal))
		begins = rest[t.length-1] == '/'
		rest = rest[t.length:]
	}
	compiled, err := regexp.Compile(`^(?s:` + expression.String() + `)$`)
	if err != nil {
		return nil, fmt.Errorf("the pattern %q: %w", pattern, err)
	}
	p.expression = compiled
	return p, nil
}

// Match reports whether a path matches.
func (p *Pattern) Match(path string) bool {
	if p.exact {
		return path == p.prefix
	}
	return strings.HasPrefix(path, p.prefix) && p.expression.MatchString(path)
}

// token is the first part of a pattern: a character that stands for itself, or something else as a regular expression.
type token struct {
	literal, expression string
	length              int    // bytes of the pattern
	wrong               string // what is wrong with it
}

// next is the first token of a pattern. At the beginning of a name, ** means more.
func next(pattern string, begins bool) token {
	switch pattern[0] {
	case '*':
		return star(pattern, begins)
	case '?':
		return token{expression: `[^/]`, length: 1}
	case '[':
		return class(pattern)
	case '\\':
		if pattern == `\` {
			return token{wrong: `nothing follows the last \`}
		}
		_, n := utf8.DecodeRuneInString(pattern[1:])
		return token{literal: pattern[1 : 1+n], length: 1 + n}
	}
	_, n := utf8.DecodeRuneInString(pattern)
	return token{literal: pattern[:n], length: n}
}

func star(pattern string, begins bool) token {
	stars := len(pattern) - len(strings.TrimLeft(pattern, "*"))
	switch {
	case stars == 1:
		return token{expression: `[^/]*`, length: 1}
	case begins && strings.HasPrefix(pattern[stars:], "/"):
		return token{expression: `(?:.*/)?`, length: stars + 1}
	}
	return token{expression: `.*`, length: stars}
}

func class(pattern string) token {
	rest := pattern[1:]
	negated := strings.HasPrefix(rest, "^") || strings.HasPrefix(rest, "!")
	if negated {
		rest = rest[1:]
	}
	var ranges strings.Builder
	for first := true; first || !strings.HasPrefix(rest, "]"); first = false {
		var low, high rune
		low, rest = member(rest)
		if high = low; strings.HasPrefix(rest, "-") && !strings.HasPrefix(rest, "-]") {
			high, rest = member(rest[1:])
		}
		switch {
		case low < 0 || high < 0:
			return token{wrong: "a [ has no ]"}
		case low > high:
			return token{wrong: fmt.Sprintf("the range %c-%c is backwards", low, high)}
		}
		writeRange(&ranges, low, min(high, '/'-1))
		writeRange(&ranges, max(low, '/'+1), high)
	}
	t := token{expression: `[` + ranges.String() + `]`, length: len(pattern) - len(rest) + 1}
	switch {
	case negated:
		t.expression = `[^/` + ranges.String() + `]`
	case ranges.Len() == 0: // of / alone, which it never matches
		t.expression = `[^\x{0}-\x{10ffff}]`
	}
	return t
}

// writeRange writes a range of a class, unless it is empty.
func writeRange(to *strings.Builder, low, high rune) {
	if low <= high {
		fmt.Fprintf(to, `\x{%x}-\x{%x}`, low, high)
	}
}

// member takes a character of a class, -1 if there is none.
func member(s string) (rune, string) {
	s = strings.TrimPrefix(s, `\`)
	if s == "" {
		return -1, s
	}
	r, n := utf8.DecodeRuneInString(s)
	return r, s[n:]
}
