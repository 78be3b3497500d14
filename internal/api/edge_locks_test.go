package api_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/moraintest"
)

// initiate sends a lock policy.
func (v jobVault) initiate(t *testing.T, document string) moraintest.Response {
	t.Helper()
	return v.Do(t, moraintest.Request{Method: "POST", Path: v.path() + "/lock-policy", Body: policyBody(document)})
}

// completeLock sends the id of a lock.
func (v jobVault) completeLock(t *testing.T, id string) moraintest.Response {
	t.Helper()
	return v.Do(t, moraintest.Request{Method: "POST", Path: v.path() + "/lock-policy/" + id})
}

// abort takes a lock off.
func (v jobVault) abort(t *testing.T) moraintest.Response {
	t.Helper()
	return v.Do(t, moraintest.Request{Method: "DELETE", Path: v.path() + "/lock-policy"})
}

var lockIDForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]{23}$`) // read only

// begin initiates a lock, which has to succeed, and returns its id.
func (v jobVault) begin(t *testing.T, document string) string {
	t.Helper()
	res := v.initiate(t, document)
	id := res.Header.Get("x-amz-lock-id")
	if res.Status != 201 || res.Body != "{}" || res.Header.Get("Content-Type") != "application/json" || !lockIDForm.MatchString(id) || res.Header.Get("Location") != "" {
		t.Fatalf("status %d, %v, %q", res.Status, res.Header, res.Body)
	}
	return id
}

// wantLock holds the answer to GetVaultLock, to the letter, and returns the dates.
func (v jobVault) wantLock(t *testing.T, state, document string) (created, expires string) {
	t.Helper()
	res := v.get(t, "/lock-policy")
	var d struct{ CreationDate, ExpirationDate string }
	must(t, json.Unmarshal([]byte(res.Body), &d))
	expiration := `"` + d.ExpirationDate + `"`
	if state == "Locked" {
		expiration = "null"
	}
	text, _ := strings.CutPrefix(string(policyBody(document)), `{"Policy":`)
	want := `{"CreationDate":"` + d.CreationDate + `","ExpirationDate":` + expiration + `,"Policy":` + strings.TrimSuffix(text, "}") + `,"State":"` + state + `"}`
	if res.Status != 200 || res.Header.Get("Content-Type") != "application/json" || res.Body != want || !apiDate.MatchString(d.CreationDate) {
		t.Errorf("status %d\n got %s\nwant %s", res.Status, res.Body, want)
	}
	return d.CreationDate, d.ExpirationDate
}

// wantNoLock fails the test if the vault has a lock.
func (v jobVault) wantNoLock(t *testing.T) {
	t.Helper()
	wantRefused(t, v.get(t, "/lock-policy"), 404, notFound, "No vault lock policy is set for: "+v.name)
}

// TestLockStates goes through the table of policies, section 7: every call in every state.
func TestLockStates(t *testing.T) {
	s := moraintest.Start(t)
	const none, inProgress, locked = "none", "InProgress", "Locked"
	type want struct {
		status        int
		code, message string // of an error
		then          string
	}
	const fixed = "Access denied: the vault lock policy of v cannot be changed: "
	for _, call := range []struct {
		name  string
		do    func(t *testing.T, v jobVault, id string) moraintest.Response
		wants map[string]want
	}{
		{"InitiateVaultLock", func(t *testing.T, v jobVault, _ string) moraintest.Response { return v.initiate(t, harmless) }, map[string]want{
			"edge 266 " + none: {201, "", "", inProgress}, "edge 267 " + inProgress: {403, denied, fixed + "...", inProgress}, "edge 268 " + locked: {403, denied, fixed + "it is locked for ever", locked},
		}},
		{"CompleteVaultLock wrong id", func(t *testing.T, v jobVault, _ string) moraintest.Response { return v.completeLock(t, "another") }, map[string]want{
			"edge 272 " + none: {404, notFound, "No vault lock policy is set for: v", none}, "edge 269 " + inProgress: {400, invalid, "Invalid lock ID: another...", inProgress},
			"edge 270 " + locked: {403, denied, fixed + "...", locked},
		}},
		{"CompleteVaultLock right id", func(t *testing.T, v jobVault, id string) moraintest.Response { return v.completeLock(t, id) }, map[string]want{
			"edge 272 " + none: {404, notFound, "No vault lock policy is set for: v", none}, inProgress: {204, "", "", locked}, "edge 271 " + locked: {204, "", "", locked},
		}},
		{"AbortVaultLock", func(t *testing.T, v jobVault, _ string) moraintest.Response { return v.abort(t) }, map[string]want{
			"edge 273 " + none: {204, "", "", none}, inProgress: {204, "", "", none}, "edge 274 " + locked: {403, denied, fixed + "it is locked for ever", locked},
		}},
		{"a day", func(t *testing.T, v jobVault, _ string) moraintest.Response {
			v.Advance(day)
			return moraintest.Response{Status: 204}
		}, map[string]want{none: {204, "", "", none}, "edge 276 " + inProgress: {204, "", "", none}, locked: {204, "", "", locked}}},
	} {
		for row, want := range call.wants {
			t.Run(call.name+" "+row, func(t *testing.T) {
				v := newJobVault(t, s, "v")
				defer func() { wantNoContent(t, s.Do(t, moraintest.Request{Method: "DELETE", Path: v.path()})) }() // which ends every lock
				id, created := "none", ""
				if !strings.Contains(row, none) {
					id = v.begin(t, harmless)
					created, _ = v.wantLock(t, inProgress, harmless)
				}
				if strings.Contains(row, locked) {
					wantNoContent(t, v.completeLock(t, id))
				}
				switch res := call.do(t, v, id); want.status {
				case 204:
					wantNoContent(t, res)
				case 201:
					wantStatus(t, res, 201)
				default:
					wantRefused(t, res, want.status, want.code, want.message)
				}
				if want.then == none {
					v.wantNoLock(t)
					return
				}
				if got, _ := v.wantLock(t, want.then, harmless); created != "" && got != created { // edge 279
					t.Errorf("CreationDate was %s and is %s", created, got)
				}
			})
		}
	}
}

func TestLockExpires(t *testing.T) {
	v := newJobVault(t, moraintest.Start(t), "v")
	archive := v.Upload(t, "v", []byte("kept"), "")
	deletion := moraintest.Request{Method: "DELETE", Path: v.path() + "/archives/" + archive}
	first := v.begin(t, policyOf(forAll("Deny", "glacier:DeleteArchive")))
	created, expires := v.wantLock(t, "InProgress", policyOf(forAll("Deny", "glacier:DeleteArchive")))
	from, err := time.Parse(time.RFC3339, created)
	must(t, err)
	to, err := time.Parse(time.RFC3339, expires)
	must(t, err)
	if to.Sub(from) != day || !apiDate.MatchString(expires) {
		t.Errorf("created %s, expires %s", created, expires)
	}
	v.Advance(day - time.Minute)
	t.Run("edge 278 in force", func(t *testing.T) { wantError(t, v.Do(t, deletion), 403, denied, "User: ") })
	v.Advance(time.Minute)
	t.Run("edge 276 expired", func(t *testing.T) { v.wantNoLock(t) })
	t.Run("edge 277 completed too late", func(t *testing.T) {
		wantRefused(t, v.completeLock(t, first), 404, notFound, "No vault lock policy is set for: v")
	})
	t.Run("edge 277 while a new lock runs", func(t *testing.T) {
		second := v.begin(t, harmless)
		if second == first {
			t.Error("the new lock has the id of the old one")
		}
		wantRefused(t, v.completeLock(t, first), 400, invalid, "Invalid lock ID: "+first+"...")
		wantNoContent(t, v.abort(t))
		third := v.begin(t, harmless)
		wantRefused(t, v.completeLock(t, second), 400, invalid, "Invalid lock ID: "+second+"...") // aborted: wrong for ever
		wantNoContent(t, v.completeLock(t, third))
	})
	t.Run("edge 276 no longer enforced", func(t *testing.T) { wantNoContent(t, v.Do(t, deletion)) })
	t.Run("expires while the server is down", func(t *testing.T) {
		w := newJobVault(t, v.Server, "w")
		id := w.begin(t, harmless)
		w.Restart(t)
		w.wantLock(t, "InProgress", harmless)
		w.Advance(day)
		wantRefused(t, w.completeLock(t, id), 404, notFound, "No vault lock policy is set for: w")
		w.wantNoLock(t)
	})
}

func TestLockBodies(t *testing.T) {
	v := newJobVault(t, moraintest.Start(t), "v")
	target := rawRequest{method: "POST", target: v.path() + "/lock-policy"}
	t.Run("edge 280 nothing is installed", func(t *testing.T) {
		wantBodiesRefused(t, v.Server, target, func() string { return v.get(t, "/lock-policy").Body },
			badBody{"object", `{"Policy":` + harmless + `}`, malformed, "Policy must be a string"}, badBody{"number", `{"Policy":1}`, malformed, "Policy must be a string"},
			badBody{"no body", ``, missing, "Required parameter missing: Policy"}, badBody{"no member", `{}`, missing, "Required parameter missing: Policy"},
			badBody{"null", `{"Policy":null}`, missing, "Required parameter missing: Policy"}, badBody{"bare document", harmless, missing, "Required parameter missing: Policy"},
			badBody{"empty text", `{"Policy":""}`, invalid, badLock + "..."}, badBody{"the last of two counts", strings.TrimSuffix(string(policyBody(harmless)), "}") + `,"Policy":"x"}`, invalid, badLock + "..."},
			badBody{"20,481 bytes", string(policyBody(harmless + strings.Repeat(" ", 20_481-len(harmless)))), invalid, badLock + " It has 20481 bytes, the limit is 20480"},
		)
		v.wantNoLock(t)
	})
	t.Run("edge 266 in chunks, 20,480 bytes", func(t *testing.T) {
		target.body = string(policyBody(harmless + strings.Repeat(" ", 20_480-len(harmless))))
		wantStatus(t, chunked(t, v.Server, target), 201)
		wantNoContent(t, v.abort(t))
	})
	t.Run("the body of CompleteVaultLock is ignored", func(t *testing.T) {
		id := v.begin(t, harmless)
		wantNoContent(t, sendRaw(t, v.Server, rawRequest{method: "POST", target: v.path() + "/lock-policy/" + id, lines: []string{"Content-Length: 0"}}))
		wantNoContent(t, sendRaw(t, v.Server, rawRequest{method: "POST", target: v.path() + "/lock-policy/" + id, body: "x"}))
	})
	t.Run("ids that cannot be", func(t *testing.T) {
		w := newJobVault(t, v.Server, "w")
		id := w.begin(t, harmless)
		for _, wrong := range []string{"x", "%00", "%FF", "..%2F", strings.ToUpper(id) + "x", id[:23], strings.Repeat("x", 10_000)} {
			wantError(t, w.completeLock(t, wrong), 400, invalid, "Invalid lock ID: ")
		}
		w.wantLock(t, "InProgress", harmless)
	})
	t.Run("vault that does not exist", func(t *testing.T) {
		absent := jobVault{v.Server, "absent"}
		message := "Vault not found for ARN: " + absent.arn()
		for _, res := range []moraintest.Response{absent.get(t, "/lock-policy"), absent.initiate(t, harmless), absent.completeLock(t, "x"), absent.abort(t)} {
			wantRefused(t, res, 404, notFound, message)
		}
		wantRefused(t, absent.initiate(t, "{}"), 400, invalid, badLock+"...") // syntax comes first
	})
}

// TestLockRace initiates locks at once: one of them comes to be.
func TestLockRace(t *testing.T) {
	v := newJobVault(t, moraintest.Start(t), "v")
	const n = 20
	answers := make([]moraintest.Response, n)
	var all sync.WaitGroup
	for i := range n {
		req := v.HTTPRequest(t, moraintest.Request{Method: "POST", Path: v.path() + "/lock-policy", Body: policyBody(harmless)})
		all.Go(func() { answers[i] = roundTrip(req) })
	}
	all.Wait()
	var ids []string
	for _, res := range answers {
		if res.Status == 201 {
			ids = append(ids, res.Header.Get("x-amz-lock-id"))
		} else {
			wantError(t, res, 403, denied, "Access denied: ")
		}
	}
	if len(ids) != 1 {
		t.Fatalf("%d locks: %q", len(ids), ids)
	}
	wantNoContent(t, v.completeLock(t, ids[0]))
}

// TestLockHolds is what a lock does to the operations of the vault.
func TestLockHolds(t *testing.T) {
	s := moraintest.Start(t)
	deletion := func(v jobVault, archive string) moraintest.Response {
		t.Helper()
		return v.Do(t, moraintest.Request{Method: "DELETE", Path: v.path() + "/archives/" + archive})
	}
	refusal := func(v jobVault, action string) string {
		return "User: arn:aws:iam::123456789012:root is not authorized to perform: glacier:" + action + " on resource: " + v.arn() +
			` with an explicit deny in the vault lock policy, statement `
	}
	t.Run("edge 87 deny DeleteVault", func(t *testing.T) {
		v := newJobVault(t, s, "v87")
		wantNoContent(t, v.completeLock(t, v.begin(t, policyOf(forAll("Deny", "glacier:DeleteVault", `"Sid":"keep"`)))))
		for range 2 {
			wantRefused(t, s.Do(t, moraintest.Request{Method: "DELETE", Path: v.path()}), 403, denied, refusal(v, "DeleteVault")+`"keep"`)
			s.Restart(t)
		}
		s.Advance(1000 * day)
		wantError(t, s.Do(t, moraintest.Request{Method: "DELETE", Path: v.path()}), 403, denied, refusal(v, "DeleteVault"))
		s.Want(t, 201, moraintest.Request{Method: "PUT", Path: v.path()}) // which changes nothing
		v.wantLock(t, "Locked", policyOf(forAll("Deny", "glacier:DeleteVault", `"Sid":"keep"`)))
	})
	for _, condition := range []string{
		`{"NumericLessThan":{"glacier:ArchiveAgeInDays":"365"}}`, `{"NumericLessThan":{"glacier:archiveageindays":365}}`, `{"NumericLessThanEquals":{"GLACIER:ArchiveAgeinDays":[364]}}`,
	} {
		t.Run("edge 114, edge 115, edge 263, edge 265 "+condition, func(t *testing.T) {
			v := newJobVault(t, s, "v114")
			wantNoContent(t, v.completeLock(t, v.begin(t, policyOf(forAll("Deny", "glacier:deletearchive", `"Condition":`+condition)))))
			archive := s.Upload(t, v.name, []byte("kept"), "")
			for _, by := range []time.Duration{0, 364*day + 23*time.Hour, 59 * time.Minute} {
				s.Advance(by)
				wantRefused(t, deletion(v, archive), 403, denied, refusal(v, "DeleteArchive")+"1")
			}
			wantError(t, deletion(v, "unknown"), 404, notFound, "") // it has no age
			s.Advance(time.Minute)
			wantNoContent(t, deletion(v, archive))
			wantNoContent(t, s.Do(t, moraintest.Request{Method: "DELETE", Path: v.path()}))
		})
	}
	t.Run("the age of what a job retrieves", func(t *testing.T) {
		v := newJobVault(t, s, "aged")
		v.begin(t, policyOf(forAll("Deny", "glacier:InitiateJob", `"Condition":{"NumericGreaterThanEquals":{"glacier:ArchiveAgeInDays":0}}`)))
		archive := s.Upload(t, v.name, []byte("kept"), "")
		wantRefused(t, v.post(t, `{"Type":"archive-retrieval","ArchiveId":"`+archive+`"}`), 403, denied, refusal(v, "InitiateJob")+"1")
		wantRefused(t, v.post(t, `{"jobParameters":{"ArchiveId":"`+archive+`","Type":"archive-retrieval"}}`), 403, denied, refusal(v, "InitiateJob")+"1")
		wantError(t, v.post(t, `{"Type":"archive-retrieval","ArchiveId":"unknown"}`), 404, notFound, "")
		wantStatus(t, v.post(t, `{"Type":"inventory-retrieval"}`), 202)
		wantError(t, v.post(t, `{"ArchiveId":`), 400, malformed, "")
		if ids, _ := v.listed(t, ""); len(ids) != 1 {
			t.Errorf("there are the jobs %q, want the one for an inventory", ids)
		}
	})
	t.Run("edge 116 legal hold", func(t *testing.T) {
		v := newJobVault(t, s, "v116")
		archive := s.Upload(t, v.name, []byte("kept"), "")
		hold := forAll("Deny", "glacier:DeleteArchive", `"Sid":"hold"`, `"Condition":{"StringLike":{"glacier:ResourceTag/LegalHold":["true",""]}}`)
		wantNoContent(t, v.completeLock(t, v.begin(t, policyOf(hold))))
		for _, value := range []string{"true", ""} {
			wantNoContent(t, v.tag(t, "add", `{"Tags":{"LegalHold":"`+value+`"}}`))
			wantRefused(t, deletion(v, archive), 403, denied, refusal(v, "DeleteArchive")+`"hold"`)
		}
		for _, body := range []string{`{"Tags":{"LegalHold":"false"}}`, `{"Tags":{"LegalHold":"True"}}`, `{"Tags":{"legalhold":"true","Hold":"true"}}`} {
			wantNoContent(t, v.tag(t, "remove", `{"TagKeys":["LegalHold"]}`))
			wantNoContent(t, v.tag(t, "add", body))
			wantError(t, deletion(v, "unknown"), 404, notFound, "") // allowed
		}
		wantNoContent(t, v.tag(t, "add", `{"Tags":{"LegalHold":"true"}}`))
		wantRefused(t, deletion(v, archive), 403, denied, refusal(v, "DeleteArchive")+`"hold"`)
		wantNoContent(t, v.tag(t, "remove", `{"TagKeys":["LegalHold"]}`))
		wantNoContent(t, deletion(v, archive))
	})
	t.Run("edge 281 an access policy allows what the lock denies", func(t *testing.T) {
		v := newJobVault(t, s, "v281")
		archive := s.Upload(t, v.name, []byte("kept"), "")
		wantNoContent(t, v.completeLock(t, v.begin(t, policyOf(forAll("Deny", "glacier:DeleteArchive")))))
		wantNoContent(t, v.setPolicy(t, policyOf(forAll("Allow", "glacier:DeleteArchive"))))
		wantRefused(t, deletion(v, archive), 403, denied, refusal(v, "DeleteArchive")+"1")
		wantNoContent(t, v.dropPolicy(t)) // access policy and tags can be changed, locked or not
		wantNoContent(t, v.tag(t, "add", `{"Tags":{"k":"v"}}`))
		wantNoContent(t, v.tag(t, "remove", `{"TagKeys":["k"]}`))
	})
	t.Run("unless the lock denies that", func(t *testing.T) {
		v := newJobVault(t, s, "shut")
		v.begin(t, policyOf(forAll("Deny", "glacier:SetVaultAccessPolicy"), forAll("Deny", "glacier:*Tags*"), forAll("Deny", "glacier:AbortVaultLock")))
		wantRefused(t, v.setPolicy(t, harmless), 403, denied, refusal(v, "SetVaultAccessPolicy")+"1")
		wantRefused(t, v.tag(t, "add", `{"Tags":{"k":"v"}}`), 403, denied, refusal(v, "AddTagsToVault")+"2")
		wantRefused(t, v.tag(t, "remove", `{"TagKeys":["k"]}`), 403, denied, refusal(v, "RemoveTagsFromVault")+"2")
		wantRefused(t, v.get(t, "/tags"), 403, denied, refusal(v, "ListTagsForVault")+"2")
		wantRefused(t, v.abort(t), 403, denied, refusal(v, "AbortVaultLock")+"3")
		s.Advance(day)
		wantNoContent(t, v.abort(t))
		wantNoContent(t, v.setPolicy(t, harmless))
	})
	t.Run("deny everything, while testing", func(t *testing.T) {
		v := newJobVault(t, s, "dark")
		id := v.begin(t, policyOf(forAll("Deny", "*")))
		for _, below := range []string{"", "/lock-policy", "/access-policy", "/tags", "/jobs"} {
			wantError(t, v.get(t, below), 403, denied, "User: ")
		}
		wantError(t, v.completeLock(t, id), 403, denied, "User: ")
		wantError(t, v.initiate(t, harmless), 403, denied, "User: ")
		s.Advance(day)
		v.wantNoLock(t)
	})
	t.Run("edge 86 nothing is inherited", func(t *testing.T) {
		v := newJobVault(t, s, "v86")
		wantNoContent(t, v.completeLock(t, v.begin(t, policyOf(forAll("Deny", "glacier:DeleteArchive")))))
		wantNoContent(t, v.setPolicy(t, harmless))
		wantNoContent(t, v.tag(t, "add", `{"Tags":{"k":"v"}}`))
		wantNoContent(t, s.Do(t, moraintest.Request{Method: "DELETE", Path: v.path()}))
		s.CreateVault(t, v.name)
		v.wantNoLock(t)
		wantStatus(t, v.get(t, "/access-policy"), 404)
		v.wantTags(t, `{}`)
		wantNoContent(t, deletion(v, s.Upload(t, v.name, []byte("free"), "")))
	})
}

const day = 24 * time.Hour
