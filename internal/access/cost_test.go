package access_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/access"
)

// TestCost reads 20 KB that were written to be slow, and decides with them on a request that was sent to be slow. The limits are far above what it takes,
// and far below what it would take if time or memory grew with the product of two lengths that strangers choose.
func TestCost(t *testing.T) {
	const size = 20_000
	const limit, memory = 2 * time.Second, 500 << 20
	condition := func(value string) string {
		return `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*","Condition":{"StringLike":{"aws:UserAgent":` + value + `}}}}`
	}
	statement := func(action, resource string) string {
		return `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":` + action + `,"Resource":` + resource + `}}`
	}
	repeat := func(s string) string { return strings.Repeat(s, size/len(s)) }
	for name, text := range map[string]string{
		"lists in lists":           repeat("["),
		"objects in objects":       repeat(`{"a":`),
		"many members":             `{` + repeat(`"Version":1,`) + `}`,
		"stars":                    condition(`"` + repeat("*") + `"`),
		"stars in an action":       statement(`"glacier:`+repeat("*?*")+`"`, `"*"`),
		"stars in a resource":      statement(`"*"`, `"arn:aws:glacier:*:*:`+repeat("*")+`"`),
		"many actions":             statement(`["*"`+repeat(`,"glacier:*"`)+`]`, `"*"`),
		"dollars":                  condition(`"` + repeat("$*") + `"`),
		"variables":                condition(`"` + repeat("${x:y}") + `"`),
		"variables of a header":    condition(`"` + repeat("${aws:UserAgent}") + `"`),
		"variables in many values": condition(`["x"` + repeat(`,"${aws:UserAgent}"`) + `]`),
		"a long pattern":           condition(`"*` + repeat("a") + `b"`),
		"many patterns":            condition(`["x"` + repeat(`,"*aaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"`) + `]`),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		for _, parse := range parseBoth {
			p, err := parse(text)
			if err != nil {
				continue
			}
			r, _ := request(t, decision{who: "root"})
			r.Lock, r.Connection.UserAgent = p, strings.Repeat("a", 64<<10)
			access.Decide(r)
		}
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; took > limit || used > memory {
			t.Errorf("%s: %s and %d MB", name, took, used>>20)
		}
	}
}

// TestLongHeader is about what of a header conditions see: the first KiB.
func TestLongHeader(t *testing.T) {
	for length, want := range map[int]bool{1023: true, 1024: false} {
		r, _ := request(t, decision{who: "root", lock: `{"Effect":"Deny","Condition":{"StringLike":{"aws:UserAgent":"*x"}}}`})
		r.Connection.UserAgent = strings.Repeat("a", length) + "x"
		if d := access.Decide(r); d.Allowed == want {
			t.Errorf("an x after %d bytes: %+v", length, d)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	for name, test := range map[string]decision{
		"root": {who: "root"},
		"user with three statements and a lock": {
			who: "alice", facts: "age=400 tag/LegalHold=false ip=203.0.113.7 https mfa=60",
			own: `[{"Effect":"Allow","Action":["glacier:Describe*","glacier:Get*","glacier:List*"]},` +
				`{"Effect":"Allow","Action":"glacier:DeleteArchive","Resource":"@vaults/${aws:username, 'none'}"},` +
				`{"Effect":"Allow","Action":"glacier:*","Resource":"@vaults/p*","Condition":{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}}]`,
			lock: `[` + keepYear + `,` + hold + `]`,
		},
	} {
		b.Run(name, func(b *testing.B) {
			r, _ := request(b, test)
			b.ReportAllocs()
			for b.Loop() {
				if !access.Decide(r).Allowed {
					b.Fatal("denied")
				}
			}
		})
	}
	b.Run("parsing 20 KB", func(b *testing.B) {
		one := document(b, `{"Sid":"keep","Effect":"Deny","Principal":{"AWS":["@alice","@backup"]},"Action":["glacier:DeleteArchive","glacier:DeleteVault"],"Resource":"@photos",`+
			`"Condition":{"NumericLessThan":{"glacier:ArchiveAgeInDays":365},"StringLike":{"glacier:ResourceTag/LegalHold":["true",""]}}}`, true)
		_, one, _ = strings.Cut(strings.TrimSuffix(one, `,"Version":"2012-10-17"}`), `"Statement":`)
		text := `{"Version":"2012-10-17","Statement":[` + one + strings.Repeat(","+one, 20_480/len(one)-1) + `]}`
		b.ReportAllocs()
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			if _, err := access.ParseVaultPolicy(text, photos); err != nil {
				b.Fatal(err)
			}
		}
	})
}
