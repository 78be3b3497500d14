package access_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/moraine-archive/moraine/internal/access"
)

// FuzzParse reads any text as both kinds of policies. What is invalid names a place, always the same; what is valid is JSON, and can be decided with.
func FuzzParse(f *testing.F) {
	for _, test := range slices.Concat(sourceTable, accountTable, principalTable, actionTable, resourceTable, factTable, variableTable, clockTable) {
		for text := range strings.SplitSeq(test.own, " & ") {
			addDocument(f, text, false)
		}
		addDocument(f, test.access, true)
		addDocument(f, test.lock, true)
	}
	f.Add(`{": "0`) // the place is a name with a colon
	for _, test := range invalid {
		f.Add(short.Replace(test.text))
	}
	for _, test := range valid {
		f.Add(short.Replace(test.text))
	}
	for _, test := range invalidConditions {
		f.Add(`{"Statement":{"Effect":"Deny","Action":"glacier:*","Resource":"*","Condition":` + short.Replace(test.text) + `}}`)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for whose, parse := range parseBoth {
			p, err := parse(text)
			if err != nil {
				_, again := parse(text)
				if strings.LastIndex(err.Error(), ": ") <= 0 || again == nil || again.Error() != err.Error() {
					t.Errorf("as a policy of a %s: %v, and then %v", whose, err, again)
				}
				continue
			}
			if !json.Valid([]byte(text)) {
				t.Errorf("a policy of a %s is not JSON", whose)
			}
			decideWith(t, whose, p)
		}
	})
}

func addDocument(f *testing.F, text string, ofVault bool) {
	if text != "" {
		f.Add(document(f, text, ofVault))
	}
}

// decideWith decides on requests of everybody with one policy. Nobody but the root is allowed what no policy allows.
func decideWith(t *testing.T, whose string, p *access.Policy) {
	for _, who := range callerNames {
		r, _ := request(t, decision{who: who, facts: "age=364 tag/LegalHold=true ptag/team=ops ip=192.0.2.1 https agent=x referer=y mfa=60"})
		if whose == "user" {
			r.Caller.Policies = []access.Attached{{Name: "own", Policy: p}}
		} else {
			r.Lock = p
		}
		if d := access.Decide(r); d.Allowed && d.Policy == "" || !d.Allowed && d.Refusal(r) == nil {
			t.Errorf("%s: the decision is %+v", who, d)
		}
	}
}

// FuzzGlob holds the matching of wildcards against regular expressions.
func FuzzGlob(f *testing.F) {
	for _, pattern := range []string{"", "*", "?", "a*b?c", "**", "*ab*ab", "?*?", "ä*", "\xff*", "${*}", "*.\\?", "a\nb*"} {
		for _, text := range []string{"", "a", "ab", "abc", "a*b?c", "xabyabzab", "äö", "\xff\xfe", "a\nb", "${}"} {
			f.Add(pattern, text)
		}
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > 500 || len(text) > 500 {
			return
		}
		want := naiveMatch(string([]rune(pattern)), string([]rune(text)), true, false, nil) // what is no UTF-8 is U+FFFD
		if got := access.GlobMatches(pattern, text); got != want {
			t.Errorf("%q matches %q: %t, and the naive implementation says %t", pattern, text, got, want)
		}
	})
}

// FuzzDecide lets the bytes choose what TestWeb chooses at random.
func FuzzDecide(f *testing.F) {
	f.Add([]byte{})
	for seed := range uint64(50) {
		d, b := rand.New(rand.NewPCG(seed, 0)), make([]byte, 20+10*seed)
		for i := range b {
			b[i] = byte(d.IntN(256))
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d := bytesDice(b)
		agree(t, &d, "fuzz")
	})
}
