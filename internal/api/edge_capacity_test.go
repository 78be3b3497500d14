package api_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

const (
	policyEnforced = "PolicyEnforcedException"
	noCapacity     = "InsufficientCapacityException"
	overBudget     = "InitiateJob request denied by current data retrieval policy."
)

// limit sets the data retrieval policy to one rule.
func (v jobVault) limit(t *testing.T, rule string, args ...any) {
	t.Helper()
	wantNoContent(t, v.Do(t, moraintest.Request{Method: "PUT", Path: "/-/policies/data-retrieval", Body: []byte(`{"Policy":{"Rules":[{` + fmt.Sprintf(rule, args...) + `}]}}`)}))
}

const bytesPerHour = `"Strategy":"BytesPerHour","BytesPerHour":%d`

// retrieve asks for an archive, or a range of it, in a tier.
func (v jobVault) retrieve(t *testing.T, archive, tier, byteRange string) moraintest.Response {
	t.Helper()
	return v.post(t, retrieval(archive, tier, byteRange))
}

func retrieval(archive, tier, byteRange string) string {
	body := `{"Type":"archive-retrieval","ArchiveId":"` + archive + `","Tier":"` + tier + `"`
	if byteRange != "" {
		body += `,"RetrievalByteRange":"` + byteRange + `"`
	}
	return body + "}"
}

func TestDataRetrievalPolicy(t *testing.T) {
	s := moraintest.Start(t)
	path := "/-/policies/data-retrieval"
	get := func() string { return s.Do(t, moraintest.Request{Method: "GET", Path: path}).Body }
	t.Run("edge 282 never set", func(t *testing.T) {
		res := s.Want(t, 200, moraintest.Request{Method: "GET", Path: path})
		if res.Body != `{"Policy":{"Rules":[{"Strategy":"None"}]}}` || res.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%v %s", res.Header, res.Body)
		}
	})
	for body, want := range map[string]string{
		`{"Policy":{"Rules":[{"Strategy":"FreeTier"}]}}`:                                                               `{"Strategy":"FreeTier"}`,
		`{"Policy":{"Rules":[{"Strategy":"None"}]}}`:                                                                   `{"Strategy":"None"}`,
		`{"Policy":{"Rules":[{"Strategy":"None","BytesPerHour":null}]}}`:                                               `{"Strategy":"None"}`,
		`{"Policy":{"Rules":[{"Strategy":"BytesPerHour","BytesPerHour":1}]}}`:                                          `{"BytesPerHour":1,"Strategy":"BytesPerHour"}`,
		`{"Policy":{"Rules":[{"BytesPerHour":9223372036854775807,"Strategy":"BytesPerHour"}]}}`:                        `{"BytesPerHour":9223372036854775807,"Strategy":"BytesPerHour"}`,
		`{"Policy":{"Rules":[{"Strategy":"BytesPerHour","BytesPerHour":10737418240}],"Name":"x"},"Other":[1]}`:         `{"BytesPerHour":10737418240,"Strategy":"BytesPerHour"}`,
		`{"Policy":1,"Policy":{"Rules":[],"Rules":[{"Strategy":"None","Strategy":"BytesPerHour","BytesPerHour":7}]}} `: `{"BytesPerHour":7,"Strategy":"BytesPerHour"}`,
	} {
		t.Run("set "+body, func(t *testing.T) {
			wantNoContent(t, s.Do(t, moraintest.Request{Method: "PUT", Path: path, Body: []byte(body)}))
			if got := get(); got != `{"Policy":{"Rules":[`+want+`]}}` {
				t.Errorf("got %s, want %s", got, want)
			}
			wantNoContent(t, chunked(t, s, rawRequest{method: "PUT", target: path, body: body}))
		})
	}
	jobVault{s, ""}.limit(t, bytesPerHour, 5)
	rows := []badBody{
		{"no body", ``, missing, "Required parameter missing: Policy"}, {"no Policy", `{}`, missing, "Required parameter missing: Policy"}, {"Policy null", `{"Policy":null}`, missing, "Required parameter missing: Policy"},
		{"no Rules", `{"Policy":{}}`, missing, "Required parameter missing: Rules"}, {"Rules null", `{"Policy":{"Rules":null}}`, missing, "Required parameter missing: Rules"},
		{"Rules empty", `{"Policy":{"Rules":[]}}`, missing, "Required parameter missing: Rules"}, {"bare rule", `{"Strategy":"None"}`, missing, "Required parameter missing: Policy"},
		{"Policy a text", `{"Policy":"x"}`, malformed, "Policy must be an object"}, {"Policy a list", `{"Policy":[]}`, malformed, "Policy must be an object"},
		{"Rules an object", `{"Policy":{"Rules":{"Strategy":"None"}}}`, malformed, "Rules must be a list of objects..."}, {"Rules of texts", `{"Policy":{"Rules":["None"]}}`, malformed, "Rules must be a list of objects..."},
		{"Rules of null", `{"Policy":{"Rules":[null]}}`, malformed, "Rules must be a list of objects..."}, {"Rules of lists", `{"Policy":{"Rules":[[]]}}`, malformed, "Rules must be a list of objects..."},
		{"edge 286 two rules", `{"Policy":{"Rules":[{"Strategy":"None"},{"Strategy":"None"}]}}`, invalid, "Invalid Rules: there are 2, a data retrieval policy has exactly one"},
	}
	for rule, want := range map[string]badBody{
		`{}`:                    {"", "", missing, "Required parameter missing: Strategy"},
		`{"Strategy":null}`:     {"", "", missing, "Required parameter missing: Strategy"},
		`{"strategy":"None"}`:   {"", "", missing, "Required parameter missing: Strategy"},
		`{"BytesPerHour":1}`:    {"", "", missing, "Required parameter missing: Strategy"},
		`{"Strategy":1}`:        {"", "", malformed, "Strategy must be a string"},
		`{"Strategy":["None"]}`: {"", "", malformed, "Strategy must be a string"},
		`{"Strategy":"none"}`:   {"287 ", "", invalid, `Invalid Strategy: "none" is none of BytesPerHour, FreeTier and None`},
		`{"Strategy":""}`:       {"287 ", "", invalid, `Invalid Strategy: "" is none of...`},
		`{"Strategy":"Freetier","BytesPerHour":1}`:                                      {"287 ", "", invalid, `Invalid Strategy: "Freetier" is none of...`},
		`{"Strategy":"BytesPerHour"}`:                                                   {"283 ", "", missing, "Required parameter missing: BytesPerHour"},
		`{"Strategy":"BytesPerHour","BytesPerHour":null}`:                               {"283 ", "", missing, "Required parameter missing: BytesPerHour"},
		`{"Strategy":"BytesPerHour","bytesPerHour":5}`:                                  {"283 ", "", missing, "Required parameter missing: BytesPerHour"},
		`{"Strategy":"FreeTier","BytesPerHour":1}`:                                      {"284 ", "", invalid, "Invalid BytesPerHour: 1: the strategy FreeTier has none"},
		`{"Strategy":"None","BytesPerHour":0}`:                                          {"284 ", "", invalid, "Invalid BytesPerHour: 0: the strategy None has none"},
		`{"Strategy":"BytesPerHour","BytesPerHour":0}`:                                  {"285 ", "", invalid, "Invalid BytesPerHour: 0 is not between 1 and 9223372036854775807"},
		`{"Strategy":"BytesPerHour","BytesPerHour":-1}`:                                 {"285 ", "", invalid, "Invalid BytesPerHour: -1 is not between 1 and 9223372036854775807"},
		`{"Strategy":"BytesPerHour","BytesPerHour":-0}`:                                 {"285 ", "", invalid, "Invalid BytesPerHour: -0 is not between..."},
		`{"Strategy":"BytesPerHour","BytesPerHour":9223372036854775808}`:                {"285 ", "", invalid, "Invalid BytesPerHour: 9223372036854775808 is not between..."},
		`{"Strategy":"BytesPerHour","BytesPerHour":1` + strings.Repeat("0", 1000) + `}`: {"285 ", "", invalid, "Invalid BytesPerHour: 1000..."},
		`{"Strategy":"BytesPerHour","BytesPerHour":"5"}`:                                {"", "", malformed, "BytesPerHour must be a whole number"},
		`{"Strategy":"BytesPerHour","BytesPerHour":5.5}`:                                {"", "", malformed, "BytesPerHour must be a whole number"},
		`{"Strategy":"BytesPerHour","BytesPerHour":5e3}`:                                {"", "", malformed, "BytesPerHour must be a whole number"},
		`{"Strategy":"BytesPerHour","BytesPerHour":true}`:                               {"", "", malformed, "BytesPerHour must be a whole number"},
		`{"Strategy":"None","BytesPerHour":{}}`:                                         {"", "", malformed, "BytesPerHour must be a whole number"},
	} {
		rows = append(rows, badBody{fmt.Sprintf("edge %s%.60s", want.name, rule), `{"Policy":{"Rules":[` + rule + `]}}`, want.code, want.message})
	}
	wantBodiesRefused(t, s, rawRequest{method: "PUT", target: path}, get, rows...)
	t.Run("each account has its own", func(t *testing.T) {
		other := s.AddAccount(t, "other")
		if got := s.Do(t, moraintest.Request{Method: "GET", Path: path, Key: other}).Body; got != `{"Policy":{"Rules":[{"Strategy":"None"}]}}` {
			t.Errorf("the other account has %s", got)
		}
		before := get()
		s.Restart(t)
		if got := get(); got != before {
			t.Errorf("after a restart it is %s", got)
		}
	})
}

// TestBudgetOfMany lets 50 clients retrieve at once, of a budget for half of it.
func TestBudgetOfMany(t *testing.T) {
	for _, mode := range []struct {
		name  string
		share int // of a retrieval's bytes one in so many counts for an hour
		of    []func(*config.Config)
	}{{"as soon as possible", 1, nil}, {"emulated", 4, []func(*config.Config){moraintest.Emulate}}} {
		t.Run(mode.name, func(t *testing.T) {
			v := newJobVault(t, moraintest.Start(t, mode.of...), "v")
			const n = 50
			var requests [n]moraintest.Request
			sizes, whole := [n]int{}, 0
			for i := range n {
				b := moraintest.Pattern(1 + i*i*7 + i%3)
				archive := v.Upload(t, "v", b, "")
				requests[i] = moraintest.Request{Method: "POST", Path: v.path() + "/jobs", Body: []byte(retrieval(archive, "Standard", ""))}
				sizes[i] = (len(b) + mode.share - 1) / mode.share
				whole += sizes[i]
			}
			limit := whole/2 + 1
			v.limit(t, bytesPerHour, limit)
			var answers [n]moraintest.Response
			var all sync.WaitGroup
			for i, r := range requests {
				req := v.HTTPRequest(t, r)
				all.Go(func() { answers[i] = roundTrip(req) })
			}
			all.Wait()
			taken, accepted := 0, 0
			for i, res := range answers {
				if res.Status == 202 {
					taken += sizes[i]
					accepted++
				} else {
					wantRefused(t, res, 400, policyEnforced, overBudget+" It allows "+strconv.Itoa(limit)+" bytes an hour, of which...")
				}
			}
			if taken > limit || accepted == 0 || accepted == n {
				t.Errorf("%d bytes of %d were let through, in %d jobs", taken, limit, accepted)
			}
			for i, res := range answers {
				if res.Status == 400 && sizes[i] <= limit-taken {
					t.Errorf("%d bytes were refused, and %d are left", sizes[i], limit-taken)
				}
			}
			if ids, _ := v.listed(t, ""); len(ids) != accepted { // edge 183
				t.Errorf("%d jobs are listed, %d were accepted", len(ids), accepted)
			}
			for i, res := range answers { // what was refused does not fit until something ends
				if res.Status == 400 {
					wantStatus(t, v.Do(t, requests[i]), 400)
				}
			}
			v.Advance(time.Duration(mode.share) * time.Hour)
			again := 0
			for i, res := range answers {
				if again+sizes[i] <= limit && res.Status == 400 {
					wantStatus(t, v.Do(t, requests[i]), 202)
					again += sizes[i]
				}
			}
		})
	}
}

// fits is what a refusal says of what would fit.
var fits = regexp.MustCompile(`A RetrievalByteRange of up to (\d+) bytes fits now`) // read only

// later is what a refusal says of when the whole will.
var later = regexp.MustCompile(`all \d+ bytes do at (\S+Z)$`) // read only

func TestBytesPerHour(t *testing.T) {
	for name, of := range map[string][]func(*config.Config){"as soon as possible": nil, "emulated": {moraintest.Emulate}} {
		t.Run(name, func(t *testing.T) {
			v := newJobVault(t, moraintest.Start(t, of...), "v")
			share, hours := int64(1), time.Hour
			if of != nil {
				share, hours = 4, 4*time.Hour
			}
			const size = 24*mib + 123
			archive := v.Upload(t, "v", moraintest.Pattern(size), "")
			last := func(n int64) string { return fmt.Sprintf("0-%d", n-1) }
			room := 5*mib + int64(100)
			v.limit(t, bytesPerHour, room)
			var part int64
			t.Run("edge 183 what the refusal says fits", func(t *testing.T) {
				res := v.retrieve(t, archive, "Standard", "")
				if share == 1 {
					wantRefused(t, res, 400, policyEnforced, overBudget+" It allows 5242980 bytes an hour, of which 0 are taken. A RetrievalByteRange of up to 5242880 bytes fits now; "+
						"all 25165947 bytes at once never do: retrieve them in ranges, or in the tier Bulk")
				}
				wantRefused(t, res, 400, policyEnforced, overBudget+"...")
				m := fits.FindStringSubmatch(res.Message())
				if m == nil {
					t.Fatalf("message %q", res.Message())
				}
				part, _ = strconv.ParseInt(m[1], 10, 64)
				if ids, _ := v.listed(t, ""); len(ids) != 0 {
					t.Errorf("there are the jobs %q", ids)
				}
				wantRefused(t, v.retrieve(t, archive, "", last(part+mib)), 400, policyEnforced, overBudget+"...")
				wantStatus(t, v.retrieve(t, archive, "Standard", last(part)), 202) // counts by its length
			})
			t.Run("edge 184 other tiers and inventories", func(t *testing.T) {
				wantStatus(t, v.retrieve(t, archive, "Bulk", ""), 202)
				wantStatus(t, v.retrieve(t, archive, "Expedited", ""), 202)
				if share == 1 {
					wantStatus(t, v.post(t, `{"Type":"inventory-retrieval"}`), 202)
				}
			})
			left := room - (part+share-1)/share
			tiny := v.Upload(t, "v", moraintest.Pattern(int(left*share)), "")
			t.Run("to the byte", func(t *testing.T) {
				over := v.Upload(t, "v", moraintest.Pattern(int(left*share)+1), "")
				wantRefused(t, v.retrieve(t, over, "Standard", ""), 400, policyEnforced, fmt.Sprintf("%s It allows %d bytes an hour, of which %d are taken. Nothing more fits now; all...", overBudget, room, room-left))
				wantStatus(t, v.retrieve(t, tiny, "Standard", ""), 202)
				wantRefused(t, v.retrieve(t, v.Upload(t, "v", []byte("x"), ""), "Standard", ""), 400, policyEnforced,
					fmt.Sprintf("%s It allows %d bytes an hour, of which %d are taken. Nothing more fits now; all 1 bytes do at ...", overBudget, room, room))
			})
			t.Run("when the refusal says it does", func(t *testing.T) {
				v.Advance(hours / 2)
				res := v.retrieve(t, archive, "Standard", last(part))
				wantRefused(t, res, 400, policyEnforced, overBudget+"...")
				m := later.FindStringSubmatch(res.Message())
				if m == nil {
					t.Fatalf("message %q", res.Message())
				}
				at, err := time.Parse(time.RFC3339, m[1])
				must(t, err)
				v.Advance(at.Sub(v.now(t)) - time.Minute)
				wantRefused(t, v.retrieve(t, archive, "Standard", last(part)), 400, policyEnforced, overBudget+"...")
				v.Advance(time.Minute)
				wantStatus(t, v.retrieve(t, archive, "Standard", last(part)), 202)
			})
			t.Run("a restart and a deletion make no room", func(t *testing.T) {
				v.remove(t, archive)
				v.Restart(t)
				other := v.Upload(t, "v", moraintest.Pattern(int(left*share)+1), "")
				wantRefused(t, v.retrieve(t, other, "Standard", ""), 400, policyEnforced, overBudget+"...")
			})
			t.Run("edge 288 another policy counts at once", func(t *testing.T) {
				one := v.Upload(t, "v", []byte("one"), "")
				v.limit(t, `"Strategy":"None"`)
				job := v.start(t, `{"Type":"archive-retrieval","ArchiveId":"%s"}`, one)
				v.limit(t, bytesPerHour, 1)
				wantRefused(t, v.retrieve(t, one, "Standard", ""), 400, policyEnforced, overBudget+"...")
				v.Advance(6 * time.Hour) // as long as it may take
				if d := v.WaitForJob(t, "v", job); d["StatusCode"] != "Succeeded" {
					t.Errorf("the job that was accepted before ended %v", d)
				}
			})
			t.Run("refused requests count for nothing", func(t *testing.T) {
				two := v.Upload(t, "v", moraintest.Pattern(int(2*share)), "")
				v.Advance(5 * time.Hour)
				v.limit(t, bytesPerHour, 2)
				for range 3 {
					wantStatus(t, v.retrieve(t, "unknown", "Standard", ""), 404)
					wantStatus(t, v.retrieve(t, two, "Standard", "1-2"), 400)
				}
				wantStatus(t, v.retrieve(t, two, "Standard", ""), 202)
			})
		})
	}
}

// now returns the time of the service.
func (v jobVault) now(t *testing.T) time.Time {
	t.Helper()
	v.CreateVault(t, "clock")
	defer v.Want(t, 204, moraintest.Request{Method: "DELETE", Path: "/-/vaults/clock"})
	at, err := time.Parse(time.RFC3339, jobVault{v.Server, "clock"}.get(t, "").JSON(t)["CreationDate"].(string))
	must(t, err)
	return at
}

func TestFreeTier(t *testing.T) {
	now := time.Now().UTC()
	noon := time.Date(now.Year(), now.Month()+1, 1, 12, 0, 0, 0, time.UTC)
	days := noon.AddDate(0, 1, -1).Day()
	v := newJobVault(t, moraintest.Start(t, func(c *config.Config) { c.FreeTier = config.Bytes(days*10 + days - 1) }), "v") // 10 bytes a day
	v.Advance(time.Until(noon))
	v.limit(t, `"Strategy":"FreeTier"`)
	six, four, one, eleven := v.Upload(t, "v", []byte("123456"), ""), v.Upload(t, "v", []byte("1234"), ""), v.Upload(t, "v", []byte("1"), ""), v.Upload(t, "v", []byte("12345678901"), "")
	daily := func(taken int, more string) string {
		return fmt.Sprintf("%s It allows 10 bytes a day (UTC), of which %d are taken. %s", overBudget, taken, more)
	}
	tomorrow := noon.Add(12 * time.Hour).Format("2006-01-02T15:04:05.000Z")
	wantRefused(t, v.retrieve(t, eleven, "Standard", ""), 400, policyEnforced, daily(0, "Nothing more fits now; all 11 bytes at once never do: retrieve them in ranges, or in the tier Bulk"))
	wantStatus(t, v.retrieve(t, six, "Standard", ""), 202)
	wantRefused(t, v.retrieve(t, six, "Standard", ""), 400, policyEnforced, daily(6, "Nothing more fits now; all 6 bytes do at "+tomorrow))
	wantStatus(t, v.retrieve(t, four, "Standard", ""), 202)
	wantRefused(t, v.retrieve(t, one, "Standard", ""), 400, policyEnforced, daily(10, "Nothing more fits now; all 1 bytes do at "+tomorrow))
	for _, tier := range []string{"Bulk", "Expedited"} {
		wantStatus(t, v.retrieve(t, eleven, tier, ""), 202)
	}
	wantStatus(t, v.post(t, `{"Type":"inventory-retrieval"}`), 202)
	v.Advance(11*time.Hour + 58*time.Minute)
	wantStatus(t, v.retrieve(t, one, "Standard", ""), 400)
	v.Advance(2 * time.Minute) // midnight
	wantStatus(t, v.retrieve(t, six, "Standard", ""), 202)
	wantStatus(t, v.retrieve(t, six, "Standard", ""), 400)
	t.Run("the whole month over", func(t *testing.T) {
		w := newJobVault(t, moraintest.Start(t), "w") // 10 GiB a month
		w.Advance(time.Until(noon))
		w.limit(t, `"Strategy":"FreeTier"`)
		wantStatus(t, w.retrieve(t, w.Upload(t, "w", moraintest.Pattern(mib), ""), "Standard", ""), 202)
	})
}

var capacityIDForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]{23}$`) // read only

// purchase asks for a unit of provisioned capacity.
func (v jobVault) purchase(t *testing.T) moraintest.Response {
	t.Helper()
	return v.Do(t, moraintest.Request{Method: "POST", Path: "/-/provisioned-capacity"})
}

// buy gets a unit and returns its id.
func (v jobVault) buy(t *testing.T) string {
	t.Helper()
	res := v.purchase(t)
	id := res.Header.Get("x-amz-capacity-id")
	if res.Status != 201 || res.Body != "{}" || res.Header.Get("Content-Type") != "application/json" || !capacityIDForm.MatchString(id) || res.Header.Get("Location") != "" {
		t.Fatalf("status %d, %v, %q", res.Status, res.Header, res.Body)
	}
	return id
}

// capacity returns the answer to ListProvisionedCapacity.
func (v jobVault) capacity(t *testing.T) string {
	t.Helper()
	res := v.Want(t, 200, moraintest.Request{Method: "GET", Path: "/-/provisioned-capacity"})
	if res.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%v", res.Header)
	}
	return res.Body
}

func TestProvisionedCapacity(t *testing.T) {
	v := newJobVault(t, moraintest.Start(t), "v")
	const none = `{"ProvisionedCapacityList":[]}`
	t.Run("edge 289 no units", func(t *testing.T) {
		if got := v.capacity(t); got != none {
			t.Errorf("%s", got)
		}
	})
	unit := regexp.MustCompile(`\{"CapacityId":"([^"]*)","ExpirationDate":"2024-02-29T10:00:(\d\d\.000Z)","StartDate":"2024-01-31T10:00:(\d\d\.000Z)"\}`)
	t.Run("edge 290, edge 291 two units of January 31", func(t *testing.T) {
		v.Advance(time.Until(time.Date(2024, 1, 31, 10, 0, 0, 0, time.UTC)))
		first := v.buy(t)
		v.Advance(5 * time.Second)
		second := v.buy(t)
		list := v.capacity(t)
		units := unit.FindAllStringSubmatch(list, -1)
		if len(units) != 2 || units[0][1] != first || units[1][1] != second || units[0][2] != units[0][3] || units[1][2] != units[1][3] ||
			list != `{"ProvisionedCapacityList":[`+units[0][0]+`,`+units[1][0]+`]}` {
			t.Fatalf("the units are %s", list)
		}
		wantRefused(t, v.purchase(t), 400, limitExceeded, "The account 123456789012 has 2 units of provisioned capacity, which is the limit. The first of them ends at 2024-02-29T10:00:"+units[0][2])
		if got := v.capacity(t); got != list {
			t.Errorf("the units were %s and are %s", list, got)
		}
		v.Restart(t) // which ends what Advance did
		v.Advance(time.Until(time.Date(2024, 2, 29, 9, 59, 50, 0, time.UTC)))
		if got := v.capacity(t); got != list {
			t.Errorf("after a restart the units are %s", got)
		}
		wantStatus(t, v.purchase(t), 400)
	})
	t.Run("edge 292 the first has expired", func(t *testing.T) {
		v.Advance(30 * time.Second)
		if got := v.capacity(t); got != none {
			t.Errorf("the units are %s", got)
		}
		v.buy(t)
		v.buy(t)
		wantStatus(t, v.purchase(t), 400)
		v.Advance(29*day - 20*time.Second) // they are good until March 29
		wantStatus(t, v.purchase(t), 400)
		v.Advance(time.Minute)
		v.buy(t)
	})
	t.Run("each account has its own, and a body is ignored", func(t *testing.T) {
		other := v.AddAccount(t, "other")
		for range 2 {
			wantStatus(t, sendRaw(t, v.Server, rawRequest{method: "POST", target: "/-/provisioned-capacity", key: other, body: "x"}), 201)
		}
		wantStatus(t, sendRaw(t, v.Server, rawRequest{method: "POST", target: "/-/provisioned-capacity", key: other, lines: []string{"Content-Length: 0"}}), 400)
		if n := strings.Count(v.capacity(t), "CapacityId"); n != 1 {
			t.Errorf("the first account has %d units", n)
		}
	})
}

// TestCapacityRace purchases at once: two units come of it.
func TestCapacityRace(t *testing.T) {
	v := newJobVault(t, moraintest.Start(t), "v")
	const n = 20
	var statuses [n]int
	var all sync.WaitGroup
	for i := range n {
		req := v.HTTPRequest(t, moraintest.Request{Method: "POST", Path: "/-/provisioned-capacity"})
		all.Go(func() { statuses[i] = roundTrip(req).Status })
	}
	all.Wait()
	counts := map[int]int{}
	for _, status := range statuses {
		counts[status]++
	}
	if counts[201] != 2 || counts[400] != n-2 || strings.Count(v.capacity(t), "CapacityId") != 2 {
		t.Errorf("answers %v, units %s", counts, v.capacity(t))
	}
}

func TestExpedited(t *testing.T) {
	const perFive = "Insufficient capacity for an Expedited retrieval: %d were started in the last 5 minutes and %d can be; ..."
	t.Run("edge 185 on demand, none", func(t *testing.T) {
		v := newJobVault(t, moraintest.Start(t, func(c *config.Config) { c.ExpeditedLimit = 0 }), "v")
		archive := v.Upload(t, "v", []byte("x"), "")
		wantRefused(t, v.retrieve(t, archive, "Expedited", ""), 503, noCapacity,
			"Insufficient capacity for an Expedited retrieval: 0 were started in the last 5 minutes and 0 can be; another tier, or provisioned capacity, serves it")
		if ids, _ := v.listed(t, ""); len(ids) != 0 {
			t.Errorf("there are the jobs %q", ids)
		}
		for _, tier := range []string{"Standard", "Bulk"} {
			wantStatus(t, v.retrieve(t, archive, tier, ""), 202)
		}
		wantStatus(t, v.post(t, `{"Type":"inventory-retrieval","Tier":"Expedited"}`), 202)
		v.buy(t)
		wantStatus(t, v.retrieve(t, archive, "Expedited", ""), 202)
	})
	t.Run("on demand, two", func(t *testing.T) {
		v := newJobVault(t, moraintest.Start(t, func(c *config.Config) { c.ExpeditedLimit = 2 }), "v")
		archive := v.Upload(t, "v", []byte("x"), "")
		for range 2 {
			wantStatus(t, v.retrieve(t, archive, "Expedited", ""), 202)
			v.Advance(time.Minute)
		}
		res := v.retrieve(t, archive, "Expedited", "")
		wantRefused(t, res, 503, noCapacity, fmt.Sprintf(perFive, 2, 2))
		_, text, _ := strings.Cut(res.Message(), "the next one can start at ")
		at, err := time.Parse(time.RFC3339, text)
		must(t, err)
		v.Advance(at.Sub(v.now(t)) - 10*time.Second)
		wantStatus(t, v.retrieve(t, archive, "Expedited", ""), 503)
		v.Advance(11 * time.Second)
		wantStatus(t, v.retrieve(t, archive, "Expedited", ""), 202)
		wantStatus(t, v.retrieve(t, archive, "Expedited", ""), 503)
	})
	t.Run("units serve three each, in five minutes", func(t *testing.T) {
		v := newJobVault(t, moraintest.Start(t), "v")
		archive := v.Upload(t, "v", []byte("x"), "")
		for range 10 { // on demand, as many as wanted
			wantStatus(t, v.retrieve(t, archive, "Expedited", ""), 202)
		}
		v.Advance(5 * time.Minute)
		for units := 1; units <= 2; units++ {
			v.buy(t)
			for range 3 {
				wantStatus(t, v.retrieve(t, archive, "Expedited", ""), 202)
			}
			wantRefused(t, v.retrieve(t, archive, "Expedited", ""), 503, noCapacity, fmt.Sprintf(perFive, 3*units, 3*units))
			wantStatus(t, v.retrieve(t, archive, "Standard", ""), 202)
		}
		v.Advance(5 * time.Minute)
		const n = 30
		var statuses [n]int
		var all sync.WaitGroup
		for i := range n {
			req := v.HTTPRequest(t, moraintest.Request{Method: "POST", Path: v.path() + "/jobs", Body: []byte(retrieval(archive, "Expedited", ""))})
			all.Go(func() { statuses[i] = roundTrip(req).Status })
		}
		all.Wait()
		counts := map[int]int{}
		for _, status := range statuses {
			counts[status]++
		}
		if counts[202] != 6 || counts[503] != n-6 {
			t.Errorf("answers to %d at once: %v", n, counts)
		}
		v.Advance(32 * day) // the units have ended
		for range 7 {
			wantStatus(t, v.retrieve(t, archive, "Expedited", ""), 202)
		}
	})
}
