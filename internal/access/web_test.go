package access_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/access"
)

// TestWeb lets both implementations decide on random requests under random policies. MORAINE_ACCESS_SEED is the seed.
func TestWeb(t *testing.T) {
	const requests = 10_000
	seed, count := seedOf(t), make(map[string]int)
	for i := range uint64(requests) {
		count[agree(t, rand.New(rand.NewPCG(seed, i)), fmt.Sprintf("seed %d, request %d", seed, i))]++
		if t.Failed() {
			return
		}
	}
	t.Logf("allowed %d, denied %d, explicitly denied %d", count["allow: "], count["deny"], count["deny: "])
	for _, class := range []string{"allow: ", "deny", "deny: "} {
		if count[class] < requests/20 {
			t.Errorf("seed %d: only %d of %d requests end in %q", seed, count[class], requests, class)
		}
	}
}

// TestConditionWeb does the same for conditions, with keys of several values.
func TestConditionWeb(t *testing.T) {
	seed, held := seedOf(t), 0
	const conditions = 10_000
	for i := range uint64(conditions) {
		d := rand.New(rand.NewPCG(seed, i))
		block := map[string]any{}
		randomCondition(d, block, true)
		facts := make(map[string][]string)
		for _, name := range slices.Sorted(maps.Keys(families)) {
			for _, key := range families[name].keys {
				for range d.IntN(4) {
					facts[naiveKey(key)] = append(facts[naiveKey(key)], pick(d, families[name].facts...))
				}
			}
		}
		p, err := access.ParseIdentityPolicy(encode(t, map[string]any{
			"Version": "2012-10-17", "Statement": map[string]any{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": block},
		}))
		if err != nil {
			t.Fatalf("seed %d, condition %d: %v", seed, i, err)
		}
		want := naiveApplies(access.Request{}, map[string]any{"Action": "*", "Resource": "*", "Condition": decode(t, encode(t, block))}, facts, true)
		if want {
			held++
		}
		if got := access.Holds(p, facts); got != want {
			t.Fatalf("seed %d, condition %d: %s of %q is %t, and the naive implementation says %t", seed, i, encode(t, block), facts, got, want)
		}
	}
	t.Logf("%d of %d conditions held", held, conditions)
	if held < conditions/5 || held > conditions*4/5 {
		t.Errorf("seed %d: %d of %d conditions held", seed, held, conditions)
	}
}

func seedOf(t *testing.T) uint64 {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("MORAINE_ACCESS_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed %d", seed)
	return seed
}

// dice choose a number below n.
type dice interface{ IntN(n int) int }

// bytesDice choose by bytes that are given, and the first when there are no more.
type bytesDice []byte

func (d *bytesDice) IntN(n int) int {
	if len(*d) == 0 {
		return 0
	}
	b := (*d)[0]
	*d = (*d)[1:]
	return int(b) % n
}

func pick[T any](d dice, from ...T) T { return from[d.IntN(len(from))] }

func chance(d dice, percent int) bool { return d.IntN(100) >= 100-percent }

// agree makes a request and lets both implementations decide. It returns the outcome.
func agree(t *testing.T, d dice, name string) string {
	t.Helper()
	r, docs := randomRequest(d), documents{}
	for range pick(d, 1, 0, 1, 2) {
		docs.own = append(docs.own, randomDocument(t, d, false))
	}
	if chance(d, 60) {
		docs.access = randomDocument(t, d, true)
	}
	if chance(d, 40) {
		docs.lock = randomDocument(t, d, true)
	}
	if docs.access == "" && docs.lock == "" {
		r.Resource = pick(d, photos, short.Replace("@vaults/films"), short.Replace("@vaults/"))
	}
	docs.parse(t, &r)
	want, got := docs.outcome(r), outcome(access.Decide(r))
	if (want == "deny") != (got == "deny") || !strings.HasPrefix(got, want) {
		age := "none"
		if r.Age != nil {
			age = fmt.Sprint(*r.Age)
		}
		t.Errorf("%s: %q, and the naive implementation says %q\n%+v\nage %s\nown %s\naccess %s\nlock %s", name, got, want, r, age, docs.own, docs.access, docs.lock)
	}
	return want
}

var callerNames = slices.Sorted(maps.Keys(callers))

func randomRequest(d dice) access.Request {
	r := access.Request{
		Caller: callers[pick(d, callerNames...)], Account: home, Resource: photos,
		Operation: operation(pick(d, "DeleteArchive", "DeleteArchive", "InitiateJob", "DescribeVault", "UploadArchive", "CreateVault", "AddTagsToVault")),
		Now:       pick(d, noon, noon.AddDate(1, 0, 0), time.Unix(0, 0)),
	}
	r.LockTime = pick(d, r.Now, noon, noon.AddDate(1, 0, 0))
	r.Connection.Secure = chance(d, 50)
	r.Connection.UserAgent = pick(d, "", "alice", "a*c", "aws-cli/2")
	r.Connection.Referer = pick(d, "", "photos")
	if text := pick(d, families["address"].facts...); text != "" {
		r.Connection.Address = netip.MustParseAddr(text)
	}
	if age := pick(d, -1, 0, 364, 365, 366); age >= 0 {
		r.Age = new(int64)
		*r.Age = int64(age)
	}
	for _, key := range []string{"hold", "Hold", "team", "days", "arn"} {
		if chance(d, 50) {
			r.Tags = with(r.Tags, key, pick(d, "true", "", "false", "ops", "365", "7", "arn:aws:iam::1:user/alice"))
		}
	}
	if chance(d, 50) {
		r.Caller.Tags = with(nil, "team", pick(d, "ops", "photos", "*", ""))
	}
	if chance(d, 50) {
		r.Caller.Issued = noon.Add(-time.Hour)
		r.Caller.MFA = pick(d, time.Time{}, noon.Add(-300*time.Second), noon.Add(-time.Minute))
	}
	return r
}

func randomDocument(t *testing.T, d dice, ofVault bool) string {
	t.Helper()
	document, variables := map[string]any{}, true
	switch d.IntN(10) {
	case 8:
		variables = false // no version
	case 9:
		document["Version"], variables = "2008-10-17", false
	default:
		document["Version"] = "2012-10-17"
	}
	statements := []any{randomStatement(d, ofVault, variables)}
	for range d.IntN(4) {
		statements = append(statements, randomStatement(d, ofVault, variables))
	}
	document["Statement"] = oneOrList(d, statements)
	return encode(t, document)
}

func randomStatement(d dice, ofVault, variables bool) map[string]any {
	s := map[string]any{"Effect": "Allow"}
	if chance(d, 25) {
		s["Effect"] = "Deny"
	}
	actions := []any{
		"glacier:*", "*", "glacier:Delete*", "glacier:DeleteArchive", "glacier:deletearchive", "glacier:*Archive", "glacier:Describe*", "glacier:?nitiateJob",
		"GLACIER:UPLOADARCHIVE", "gl*:*job*",
	}
	resources := []any{"*", photos, short.Replace("@vaults/*"), short.Replace("@vaults/p?o*s"), "arn:aws:glacier:*:" + home + ":*"}
	if variables {
		for _, end := range []string{"${aws:username}", "${aws:PrincipalTag/team}", "${aws:PrincipalTag/team, 'photos'}", "*${aws:username, 's'}"} {
			resources = append(resources, short.Replace("@vaults/"+end))
		}
	}
	if !ofVault {
		actions = append(actions, "s3:*", "glacier:ListVaults")
		resources = append(resources, short.Replace("@vaults/films"), short.Replace("@vaults/Photos"), "arn:aws:glacier:eu-west-1:*:vaults/*", short.Replace("@vaults/${aws:username}"))
	} else {
		who := any("*")
		if chance(d, 75) {
			who = randomPrincipals(d)
		}
		s[not(d, 15)+"Principal"] = who
	}
	s[not(d, 10)+"Action"] = some(d, 3, actions...)
	s[not(d, 10)+"Resource"] = some(d, 2, resources...)
	if n := pick(d, 0, 0, 1, 1, 2); n > 0 {
		block := map[string]any{}
		for range n {
			randomCondition(d, block, variables)
		}
		s["Condition"] = block
	}
	return s
}

func not(d dice, percent int) string {
	if chance(d, percent) {
		return "Not"
	}
	return ""
}

func randomPrincipals(d dice) map[string]any {
	var names []any
	for _, name := range []string{
		"*", "@home", "@root", "@alice", "@bob", "@backup", "@nightly", "@away", "@owner", "@mallory", "@auditor", "@audit",
		"arn:aws:iam::@away:user/alice", "arn:aws:sts::@home:assumed-role/backup/weekly",
	} {
		names = append(names, short.Replace(name))
	}
	who := map[string]any{"AWS": some(d, 4, names...)}
	if chance(d, 10) {
		who["Service"] = "glacier.amazonaws.com"
	}
	return who
}

// families are operators, and keys and values that they are about. Facts are values that requests have.
var families = map[string]struct {
	operators, keys []string
	values          []any
	facts           []string
}{
	"text": {
		[]string{"StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike", "StringNotLike"},
		[]string{
			"glacier:ResourceTag/hold", "glacier:ResourceTag/Hold", "glacier:ResourceTag/team", "aws:PrincipalTag/team", "aws:UserAgent", "aws:Referer", "aws:username",
			"aws:userid", "aws:PrincipalType", "aws:PrincipalAccount", "aws:PrincipalArn", "aws:SecureTransport", "aws:SourceVpc", "glacier:ArchiveAgeInDays",
		},
		[]any{
			"true", "", "ops", "photos", "alice", "*", "a*", "?lice", "a?c", "aws-cli*", "User", "*ser", "TRUE", home, true, 365, "*:*",
			"${aws:username}", "${aws:PrincipalTag/team}", "${AWS:principaltag/team, 'ops'}", "${*}", "a${*}c", "${aws:UserAgent}", "*${aws:username,''}*", "$",
		},
		[]string{"true", "", "ops", "photos", "alice", "a*c", "TRUE", "*", "365"},
	},
	"number": {
		[]string{"NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan", "NumericGreaterThanEquals"},
		[]string{"glacier:ArchiveAgeInDays", "aws:MultiFactorAuthAge", "aws:EpochTime", "glacier:ResourceTag/days", "glacier:ResourceTag/hold"},
		[]any{0, 1, 364, 365, "365", "365.0", json.Number("3.65e2"), 366, 300, "60", 7.5, "-1", "+7", 1777636800, "${glacier:ResourceTag/days}", "${glacier:ResourceTag/hold, '365'}"},
		[]string{"0", "365", "365.00", "364", "7", "-1", "ten", ""},
	},
	"date": {
		[]string{"DateEquals", "DateNotEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan", "DateGreaterThanEquals"},
		[]string{"aws:CurrentTime", "aws:EpochTime", "aws:TokenIssueTime"},
		[]any{
			"2026-05-01T12:00:00Z", "2026-05-01T13:00:00+01:00", "2026-05-01T12:00Z", "2026-05-01", "2027-05", "2027", "1970-01-01", 0, "1777636800", 1809172800,
			"2026-05-01T11:00:00.000Z", "2026-05-01T07:00:00-04:00", "${aws:TokenIssueTime}",
		},
		[]string{"2026-05-01T12:00:00Z", "1777636800", "2027-05-01T12:00:00Z", "1970-01-01", "soon"},
	},
	"truth": {
		[]string{"Bool"},
		[]string{"aws:SecureTransport", "aws:MultiFactorAuthPresent", "glacier:ResourceTag/Hold", "aws:ViaAWSService"},
		[]any{true, false, "true", "false", "True"},
		[]string{"true", "false", "TRUE", ""},
	},
	"address": {
		[]string{"IpAddress", "NotIpAddress"},
		[]string{"aws:SourceIp"},
		[]any{"192.0.2.1", "192.0.2.0/24", "192.0.2.0/31", "0.0.0.0/0", "10.1.2.3/8", "2001:db8::/32", "::/0", "2001:db8::1", "::ffff:192.0.2.0/120", "::ffff:10.0.0.1"},
		[]string{"192.0.2.1", "192.0.2.2", "10.0.0.1", "2001:db8::1", "::ffff:192.0.2.1", ""},
	},
	"arn": {
		[]string{"ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"},
		[]string{"aws:PrincipalArn", "glacier:ResourceTag/arn", "aws:SourceArn"},
		[]any{
			"arn:aws:iam::" + home + ":user/alice", "arn:aws:iam::*:user/*", "arn:aws:iam::" + home + ":*", "arn:aws:iam:*:user/alice:x", "*", "arn:*:*:*:*:*", "arn:*:*:*:*:root",
			"${aws:PrincipalArn}", "arn:aws:iam::${aws:PrincipalAccount}:user/${aws:username}", "arn:aws:iam::?:user/a*",
		},
		[]string{"arn:aws:iam::" + home + ":user/alice", "arn:aws:iam::1:user/alice", "arn:a:b:c:d:root", "arn:aws:s3:::a:b", "alice", ""},
	},
	"null": {
		[]string{"Null"},
		[]string{"glacier:ResourceTag/hold", "aws:username", "aws:MultiFactorAuthPresent", "aws:MultiFactorAuthAge", "glacier:ArchiveAgeInDays", "aws:SourceIp", "aws:UserAgent"},
		[]any{true, false, "true", "false", "TRUE"},
		[]string{"true", "false"},
	},
}

// randomCondition adds one to a block. It may take the place of one that is there.
func randomCondition(d dice, block map[string]any, variables bool) {
	name := pick(d, "text", "text", "number", "date", "truth", "address", "arn", "null")
	f := families[name]
	operator := pick(d, f.operators...)
	if name != "null" {
		operator = pick(d, "", "", "", "", "ForAnyValue:", "ForAllValues:") + operator + pick(d, "", "", "", "IfExists")
	}
	values := f.values
	if !variables && name != "text" { // without variables they are texts, and no number or date is like that
		values = slices.DeleteFunc(slices.Clone(values), func(v any) bool { return strings.HasPrefix(fmt.Sprint(v), "${") })
	}
	key := pick(d, f.keys...)
	if space, rest, _ := strings.Cut(key, "/"); chance(d, 20) {
		key = strings.TrimSuffix(pick(d, strings.ToLower(space), strings.ToUpper(space))+"/"+rest, "/")
	}
	keys, _ := block[operator].(map[string]any)
	if keys == nil {
		keys = map[string]any{}
		block[operator] = keys
	}
	maps.DeleteFunc(keys, func(k string, _ any) bool { return strings.EqualFold(k, key) }) // one that is spelled otherwise would be the same
	keys[key] = some(d, 3, values...)
}

// some returns one to n values, one of them as a list or by itself.
func some(d dice, n int, from ...any) any {
	list := []any{pick(d, from...)}
	for range d.IntN(n) {
		list = append(list, pick(d, from...))
	}
	return oneOrList(d, list)
}

func oneOrList(d dice, list []any) any {
	if len(list) == 1 && chance(d, 70) {
		return list[0]
	}
	return list
}

func encode(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func decode(t testing.TB, text string) (object map[string]any) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&object); err != nil {
		t.Fatal(err)
	}
	return object
}
