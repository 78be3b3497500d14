package access

import "slices"

// GlobMatches reports whether a text is one that a pattern of wildcards describes.
func GlobMatches(pattern, text string) bool {
	p, _ := parsePattern(pattern, form{wildcards: true}) // only variables can be wrong
	g, _ := p.resolve(nil)
	return g.matches(text)
}

// Holds reports whether all conditions of the only statement of a policy of a user hold. No key of a real request has more than one value; here one can.
func Holds(p *Policy, values map[string][]string) bool {
	return !slices.ContainsFunc(p.statements[0].conditions, func(c condition) bool {
		return !c.holds(func(key string) []string { return values[key] })
	})
}
