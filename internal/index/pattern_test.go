package index

import (
	"path"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestPattern(t *testing.T) {
	for pattern, paths := range map[string]struct{ yes, no string }{
		"":             {"a a/b .a", ""},
		"a":            {"a", "b A aa a/ a/b"},
		"*":            {"a ab .a", "a/b /"},
		"*.jpg":        {"a.jpg .jpg", "a.JPG a.jpg/ a/b.jpg a.jpgx"},
		"a*c":          {"ac abc abbc", "a/c abcd"},
		"a?c":          {"abc aäc a?c", "ac a/c abbc"},
		"photos/":      {"photos/a photos/a/b", "photos photosa xphotos/a"},
		"photos/*/":    {"photos/a/b photos/a/b/c", "photos/a photos/a/b/../x/"[:8]},
		"**":           {"a a/b", ""},
		"**/a":         {"a b/a c/b/a", "ba b/aa"},
		"a/**":         {"a/b a/b/c", "a ab/c"},
		"a/**/b":       {"a/b a/c/b a/c/d/b", "ab a/cb a/b/c"},
		"a/**b":        {"a/b a/cb a/c/b", "a b"},
		"a**/b":        {"a/b ac/b a/c/b", "b ab"},
		"**/*.jpg":     {"a.jpg a/b.jpg", "a.png"},
		"***":          {"a/b/c", ""},
		"[abc]":        {"a b c", "d ab /"},
		"[a-c]x":       {"ax bx", "dx -x"},
		"[^a-c]":       {"d -", "a b /"},
		"[!a]":         {"b !", "a /"},
		"[]a]":         {"] a", "b"},
		"[a-]":         {"a -", "b"},
		"[a^!]":        {"a ^ !", "b"},
		`[\]\-z]`:      {"] - z", `\ a`},
		"[+-0]":        {"+ . 0", "/"},
		"[^b]x":        {"ax", "/x bx"},
		"[/]":          {"", "/ a"},
		"[ä-ö]":        {"ä ö", "a"},
		`\*`:           {"*", `a \*`},
		`a\[b\]`:       {"a[b]", "ab"},
		`\\`:           {`\`, `\\`},
		`a.b+c$(d)^|{`: {`a.b+c$(d)^|{`, `aXb+c$(d)^|{`},
		"März/*":       {"März/a", "Marz/a"},
	} {
		p, err := Compile(pattern)
		if err != nil {
			t.Errorf("%q: %v", pattern, err)
			continue
		}
		for _, path := range strings.Fields(paths.yes) {
			if !p.Match(path) || !strings.HasPrefix(path, p.prefix) {
				t.Errorf("%q does not match %q", pattern, path)
			}
		}
		for _, path := range strings.Fields(paths.no) {
			if p.Match(path) {
				t.Errorf("%q matches %q", pattern, path)
			}
		}
	}
	if p, err := Compile("a*"); err != nil || p.Match("a\xff/") || !p.Match("a\xff\n") {
		t.Errorf("bytes that are not UTF-8 are characters too: %v", err)
	}
}

func TestPatternRefuses(t *testing.T) {
	for pattern, says := range map[string]string{"[": "no ]", "[a": "no ]", "[]": "no ]", "[a-": "no ]", "[^": "no ]", `[\`: "no ]", "[b-a]": "backwards", `a\`: "follows", "\xff": "UTF-8"} {
		if p, err := Compile(pattern); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, %v, want an error with %q", pattern, p, err, says)
		}
	}
}

// Many stars take no more time than few.
func TestPatternTakesNoTime(t *testing.T) {
	p, err := Compile(strings.Repeat("**/*a", 30) + "b")
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if p.Match(strings.Repeat("a/a", 300)) {
		t.Error("it matches")
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

// Where path.Match knows a pattern, it says the same.
func FuzzPattern(f *testing.F) {
	for _, s := range [][2]string{{"a*", "abc"}, {"[a-c]?", "b/"}, {`\*x`, "*x"}, {"**/a", "b/a"}, {"[^a]", "/"}, {"[", ""}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		p, err := Compile(pattern)
		if err != nil {
			return
		}
		got := p.Match(name)
		if got && !strings.HasPrefix(name, p.prefix) {
			t.Errorf("%q matches %q without its prefix %q", pattern, name, p.prefix)
		}
		// There are no **, no directories as patterns and no [!; and classes may have / and differ in how they take ] and -.
		if pattern == "" || strings.HasSuffix(pattern, "/") || strings.Contains(pattern, "**") || strings.Contains(pattern, "[") || !utf8.ValidString(name) {
			return
		}
		if want, err := path.Match(pattern, name); err == nil && got != want {
			t.Errorf("Match(%q, %q) = %v, path.Match says %v", pattern, name, got, want)
		}
	})
}
