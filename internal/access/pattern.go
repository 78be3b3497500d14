package access

import (
	"errors"
	"fmt"
	"strings"
)

// pattern is a text of a policy with the wildcards and variables in it.
type pattern []piece

// piece is literal characters, a wildcard, or a variable.
type piece struct {
	literal  string
	wildcard rune    // anything or one; 0: none
	variable string  // name of a key; "": none
	fallback *string // in place of the variable when the request has no such key; nil: none
}

// glob is a pattern after its variables have been replaced. Characters stand for themselves, but for these.
type glob []rune

const (
	anything rune = -1 // *
	one      rune = -2 // ?
)

// form says what is special in a text.
type form struct {
	wildcards bool // * stands for any characters, ? for one
	variables bool // ${key}, ${key, 'fallback'}, and ${*}, ${?}, ${$} for the characters
}

var errOpenVariable = errors.New(`"${" has no "}" after it`) // read only

// parsePattern reads a text.
func parsePattern(text string, f form) (pattern, error) {
	var p pattern
	for text != "" {
		if special := f.special(text); special > 0 {
			p, text = append(p, piece{literal: text[:special]}), text[special:]
			continue
		}
		switch text[0] {
		case '*':
			p, text = append(p, piece{wildcard: anything}), text[1:]
		case '?':
			p, text = append(p, piece{wildcard: one}), text[1:]
		default:
			name, rest, closed := strings.Cut(text[2:], "}")
			if !closed {
				return nil, errOpenVariable
			}
			v, err := parseVariable(name)
			if err != nil {
				return nil, err
			}
			p, text = append(p, v), rest
		}
	}
	return p, nil
}

// special returns where the first wildcard or variable of a text begins, the text's length if it has none.
func (f form) special(text string) int {
	for i := range len(text) {
		c := text[i]
		if f.wildcards && (c == '*' || c == '?') || f.variables && strings.HasPrefix(text[i:], "${") {
			return i
		}
	}
	return len(text)
}

// parseVariable reads what is between the braces (IAM User Guide: "IAM policy elements: Variables and tags").
func parseVariable(text string) (piece, error) {
	if text == "*" || text == "?" || text == "$" {
		return piece{literal: text}, nil
	}
	name, quoted, has := strings.Cut(text, ",")
	v := piece{variable: normalKey(strings.TrimSpace(name))}
	if !strings.Contains(v.variable, ":") {
		return v, fmt.Errorf("the variable ${%s} does not name a condition key, like ${aws:username}", text)
	}
	if !has {
		return v, nil
	}
	quoted = strings.TrimSpace(quoted)
	if len(quoted) < 2 || quoted[0] != '\'' || quoted[len(quoted)-1] != '\'' {
		return v, fmt.Errorf("the default value in ${%s} is not in single quotes", text)
	}
	quoted = quoted[1 : len(quoted)-1]
	v.fallback = &quoted
	return v, nil
}

// resolve replaces the variables. ok is false if the request lacks one: then the pattern matches nothing. What a variable stands for is literal: a
// user named * is not everybody.
func (p pattern) resolve(values lookup) (g glob, ok bool) {
	for _, part := range p {
		switch {
		case part.wildcard != 0:
			g = append(g, part.wildcard)
		case part.variable == "":
			g = append(g, []rune(part.literal)...)
		default:
			if got := values(part.variable); len(got) == 1 {
				g = append(g, []rune(got[0])...)
			} else if part.fallback != nil {
				g = append(g, []rune(*part.fallback)...)
			} else {
				return nil, false
			}
		}
	}
	return g, true
}

// loosened is the pattern with a wildcard in place of every variable.
func (p pattern) loosened() glob {
	loose := make(pattern, len(p))
	for i, part := range p {
		if loose[i] = part; part.variable != "" {
			loose[i] = piece{wildcard: anything}
		}
	}
	g, _ := loose.resolve(nil) // there is no variable any more
	return g
}

// hasVariables reports whether what the pattern matches depends on the request.
func (p pattern) hasVariables() bool {
	for _, part := range p {
		if part.variable != "" {
			return true
		}
	}
	return false
}

// matches reports whether a text is one that the glob describes. It takes no more than len(g) * len(text) steps.
func (g glob) matches(text string) bool {
	t := []rune(text)
	i, j := 0, 0
	star, resume := -1, 0 // the last * in g, and where in t it would next end
	for j < len(t) {
		switch {
		case i < len(g) && g[i] == anything:
			star, resume = i, j
			i++
		case i < len(g) && (g[i] == one || g[i] == t[j]):
			i++
			j++
		case star >= 0: // let the last * take one more
			resume++
			i, j = star+1, resume
		default:
			return false
		}
	}
	for i < len(g) && g[i] == anything {
		i++
	}
	return i == len(g)
}

// split cuts the glob at colons, into at most n parts, as strings.SplitN does.
func (g glob) split(n int) []glob {
	parts := []glob{nil}
	for _, r := range g {
		if r == ':' && len(parts) < n {
			parts = append(parts, nil)
			continue
		}
		parts[len(parts)-1] = append(parts[len(parts)-1], r)
	}
	return parts
}
