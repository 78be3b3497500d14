package access_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/moraine-archive/moraine/internal/access"
)

// TestOperators holds every operator against a value that matches, one that does not, and none, with every prefix and suffix.
func TestOperators(t *testing.T) {
	type outcomes struct{ match, other, absent, absentIfExists bool }
	type three struct{ one, anyOf, all outcomes }
	const yes, no = true, false
	positive := three{
		one:   outcomes{yes, no, no, yes},
		anyOf: outcomes{yes, no, no, yes},
		all:   outcomes{yes, no, yes, yes},
	}
	negated := three{
		one:   outcomes{no, yes, yes, yes},
		anyOf: outcomes{no, yes, no, yes},
		all:   outcomes{no, yes, yes, yes},
	}
	count := 0
	for _, test := range []struct {
		operator, want, match, other string
		holds                        three
	}{
		{"StringEquals", `"a"`, "a", "A", positive},
		{"StringNotEquals", `"a"`, "a", "A", negated},
		{"StringEqualsIgnoreCase", `"a"`, "A", "b", positive},
		{"StringNotEqualsIgnoreCase", `"a"`, "A", "b", negated},
		{"StringLike", `"a*c?"`, "abbcd", "abbc", positive},
		{"StringNotLike", `"a*c?"`, "abbcd", "abbc", negated},
		{"NumericEquals", `"10"`, "10.0", "11", positive},
		{"NumericNotEquals", `"10"`, "10.0", "11", negated},
		{"NumericLessThan", `"10"`, "9", "10", positive},
		{"NumericLessThanEquals", `"10"`, "10", "11", positive},
		{"NumericGreaterThan", `"10"`, "11", "10", positive},
		{"NumericGreaterThanEquals", `"10"`, "10", "9", positive},
		{"DateEquals", `"2026-05-01T00:00:00Z"`, "2026-05-01", "2026-05-02", positive},
		{"DateNotEquals", `"2026-05-01T00:00:00Z"`, "2026-05-01", "2026-05-02", negated},
		{"DateLessThan", `"2026-05-01T00:00:00Z"`, "2026-04-30T23:59:59Z", "2026-05-01T00:00:00Z", positive},
		{"DateLessThanEquals", `"2026-05-01T00:00:00Z"`, "2026-05-01T00:00:00Z", "2026-05-01T00:00:01Z", positive},
		{"DateGreaterThan", `"2026-05-01T00:00:00Z"`, "2026-05-01T00:00:01Z", "2026-05-01T00:00:00Z", positive},
		{"DateGreaterThanEquals", `"2026-05-01T00:00:00Z"`, "2026-05-01T00:00:00Z", "2026-04-30T23:59:59Z", positive},
		{"Bool", `"true"`, "TRUE", "false", positive},
		{"IpAddress", `"203.0.113.0/24"`, "203.0.113.255", "203.0.114.0", positive},
		{"NotIpAddress", `"203.0.113.0/24"`, "203.0.113.255", "203.0.114.0", negated},
		{"ArnEquals", `"arn:aws:iam::*:user/a?"`, "arn:aws:iam::1:user/ab", "arn:aws:iam::1:user/a", positive},
		{"ArnLike", `"arn:aws:iam::*:user/a?"`, "arn:aws:iam::1:user/ab", "arn:aws:iam::1:user/a", positive},
		{"ArnNotEquals", `"arn:aws:iam::*:user/a?"`, "arn:aws:iam::1:user/ab", "arn:aws:iam::1:user/a", negated},
		{"ArnNotLike", `"arn:aws:iam::*:user/a?"`, "arn:aws:iam::1:user/ab", "arn:aws:iam::1:user/a", negated},
	} {
		for prefix, want := range map[string]outcomes{"": test.holds.one, "ForAnyValue:": test.holds.anyOf, "ForAllValues:": test.holds.all} {
			condition := fmt.Sprintf(`{%q:{"glacier:ResourceTag/k":%s}}`, prefix+test.operator, test.want)
			ifExists := strings.Replace(condition, test.operator, test.operator+"IfExists", 1)
			holds(t, condition, "alice", "tag/k="+test.match, want.match)
			holds(t, condition, "alice", "tag/k="+test.other, want.other)
			holds(t, condition, "alice", "tag/K="+test.match, want.absent)
			holds(t, ifExists, "alice", "tag/k="+test.match, want.match)
			holds(t, ifExists, "alice", "tag/k="+test.other, want.other)
			holds(t, ifExists, "alice", "tag/K="+test.match, want.absentIfExists)
			count += 6
		}
	}
	t.Logf("%d conditions", count)
}

// holds holds a condition against a request: as one under which a user of the vault's account may do something, and as one under which a lock forbids it.
func holds(t *testing.T, condition, who, facts string, want bool) {
	t.Helper()
	for effect, test := range map[string]decision{
		"allows": {who: who, own: `{"Effect":"Allow","Condition":` + condition + `}`, facts: facts},
		"denies": {who: who, own: allows, lock: `{"Effect":"Deny","Condition":` + condition + `}`, facts: facts},
	} {
		r, d := request(t, test)
		if who == "root" && effect == "allows" {
			continue // needs no permission
		}
		got := outcome(access.Decide(r))
		if strings.HasPrefix(got, "allow: ") != (want == (effect == "allows")) {
			t.Errorf("%s with %q: what it %s is decided %q", condition, facts, effect, got)
		}
		if naive := d.outcome(r); !strings.HasPrefix(got, naive) {
			t.Errorf("%s with %q: %q, and the naive implementation says %q", condition, facts, got, naive)
		}
	}
}

func TestConditions(t *testing.T) {
	for _, test := range []struct {
		condition, facts string
		want             bool
	}{
		// Several values: one that matches is enough, and none may for what is negated.
		{`{"StringEquals":{"aws:UserAgent":["a","b"]}}`, "agent=b", true},
		{`{"StringEquals":{"aws:UserAgent":["a","b"]}}`, "agent=c", false},
		{`{"StringNotEquals":{"aws:UserAgent":["a","b"]}}`, "agent=b", false},
		{`{"StringNotEquals":{"aws:UserAgent":["a","b"]}}`, "agent=c", true},
		{`{"StringNotLike":{"aws:UserAgent":["a*","b*"]}}`, "agent=bc", false},
		{`{"NumericNotEquals":{"glacier:ArchiveAgeInDays":[1,2]}}`, "age=2", false},
		{`{"NumericNotEquals":{"glacier:ArchiveAgeInDays":[1,2]}}`, "age=3", true},
		{`{"NotIpAddress":{"aws:SourceIp":["10.0.0.0/8","192.0.2.1"]}}`, "ip=192.0.2.1", false},
		{`{"NumericLessThan":{"glacier:ArchiveAgeInDays":[1,10]}}`, "age=5", true},

		// Texts.
		{`{"StringEquals":{"aws:UserAgent":"a*"}}`, "agent=a*", true},
		{`{"StringEquals":{"aws:UserAgent":"a*"}}`, "agent=ab", false},
		{`{"StringEquals":{"glacier:ResourceTag/k":""}}`, "tag/k=", true},
		{`{"StringEquals":{"glacier:ResourceTag/k":""}}`, "", false},
		{`{"StringNotEquals":{"glacier:ResourceTag/k":""}}`, "tag/k=", false},
		{`{"StringEqualsIgnoreCase":{"aws:UserAgent":"ÄB"}}`, "agent=äb", true},
		{`{"StringLike":{"aws:UserAgent":"*"}}`, "agent=a", true},
		{`{"StringLike":{"aws:UserAgent":"*"}}`, "", false},
		{`{"StringLike":{"glacier:ResourceTag/k":"*"}}`, "tag/k=", true},
		{`{"StringLike":{"glacier:ResourceTag/k":"?"}}`, "tag/k=", false},
		{`{"StringLike":{"aws:UserAgent":"?"}}`, "agent=ä", true},
		{`{"StringLike":{"aws:UserAgent":"A"}}`, "agent=a", false},
		{`{"StringLike":{"aws:UserAgent":"*ab*ab"}}`, "agent=xabyabzab", true},
		{`{"StringLike":{"aws:UserAgent":"*ab*ab"}}`, "agent=ab", false},
		{`{"StringLike":{"aws:UserAgent":"a.c"}}`, "agent=abc", false},
		{`{"StringLike":{"aws:UserAgent":"**a**"}}`, "agent=a", true},

		// JSON writes values as texts, numbers and booleans.
		{`{"StringEquals":{"glacier:ArchiveAgeInDays":365}}`, "age=365", true},
		{`{"NumericEquals":{"glacier:ArchiveAgeInDays":365}}`, "age=365", true},
		{`{"NumericEquals":{"glacier:ArchiveAgeInDays":"365"}}`, "age=365", true},
		{`{"NumericEquals":{"glacier:ArchiveAgeInDays":3.65e2}}`, "age=365", true},
		{`{"NumericEquals":{"glacier:ArchiveAgeInDays":[1,"365"]}}`, "age=365", true},
		{`{"Bool":{"aws:SecureTransport":true}}`, "https", true},
		{`{"Bool":{"aws:SecureTransport":"true"}}`, "https", true},
		{`{"Bool":{"aws:SecureTransport":false}}`, "https", false},
		{`{"StringEquals":{"aws:SecureTransport":true}}`, "https", true},

		// Names of keys are compared without case, those of tags exactly (edge cases 263 and 299).
		{`{"NumericEquals":{"glacier:archiveageindays":1}}`, "age=1", true},
		{`{"NumericEquals":{"glacier:ArchiveAgeinDays":1}}`, "age=1", true},
		{`{"NumericEquals":{"GLACIER:ARCHIVEAGEINDAYS":1}}`, "age=1", true},
		{`{"Bool":{"AWS:securetransport":true}}`, "https", true},
		{`{"StringEquals":{"glacier:resourcetag/Name":"a"}}`, "tag/Name=a", true},
		{`{"StringEquals":{"GLACIER:RESOURCETAG/Name":"a"}}`, "tag/Name=a", true},
		{`{"StringEquals":{"glacier:ResourceTag/name":"a"}}`, "tag/Name=a", false},
		{`{"StringEquals":{"glacier:ResourceTag/name":"a"}}`, "tag/Name=b tag/name=a", true},
		{`{"StringEquals":{"glacier:ResourceTag/a/b":"c"}}`, "tag/a/b=c", true},
		{`{"StringEquals":{"aws:principaltag/Team":"a"}}`, "ptag/Team=a", true},
		{`{"StringEquals":{"aws:PrincipalTag/team":"a"}}`, "ptag/Team=a", false},

		// Numbers.
		{`{"NumericEquals":{"glacier:ResourceTag/k":"+1"}}`, "tag/k=1", true},
		{`{"NumericEquals":{"glacier:ResourceTag/k":"-1"}}`, "tag/k=-1.00", true},
		{`{"NumericEquals":{"glacier:ResourceTag/k":"0.1"}}`, "tag/k=1e-1", true},
		{`{"NumericLessThan":{"glacier:ResourceTag/k":"0"}}`, "tag/k=-0.5", true},
		{`{"NumericLessThan":{"glacier:ResourceTag/k":"10"}}`, "tag/k=9", true},
		{`{"NumericEquals":{"glacier:ResourceTag/k":"1"}}`, "tag/k=one", false},
		{`{"NumericNotEquals":{"glacier:ResourceTag/k":"1"}}`, "tag/k=one", true},
		{`{"NumericGreaterThan":{"glacier:ResourceTag/k":"1"}}`, "tag/k=", false},
		{`{"NumericEquals":{"glacier:ResourceTag/k":"16"}}`, "tag/k=0x10", false},
		{`{"NumericGreaterThan":{"glacier:ResourceTag/k":"1"}}`, "tag/k=Inf", false},
		{`{"NumericNotEquals":{"glacier:ResourceTag/k":"1"}}`, "tag/k=NaN", true},

		// Dates.
		{`{"DateEquals":{"aws:CurrentTime":"2026-05-01T12:00:00Z"}}`, "", true},
		{`{"DateEquals":{"aws:CurrentTime":"2026-05-01T14:00:00+02:00"}}`, "", true},
		{`{"DateEquals":{"aws:CurrentTime":"2026-05-01T14:00+02:00"}}`, "", true},
		{`{"DateEquals":{"aws:CurrentTime":"2026-05-01T12:00:00.000Z"}}`, "", true},
		{`{"DateEquals":{"aws:CurrentTime":"1777636800"}}`, "", true},
		{`{"DateEquals":{"aws:CurrentTime":1777636800}}`, "", true},
		{`{"DateEquals":{"aws:EpochTime":"2026-05-01T12:00:00Z"}}`, "", true},
		{`{"NumericEquals":{"aws:EpochTime":1777636800}}`, "", true},
		{`{"DateGreaterThan":{"aws:CurrentTime":"2026-05-01"}}`, "", true},
		{`{"DateGreaterThan":{"aws:CurrentTime":"2026-05"}}`, "", true},
		{`{"DateLessThan":{"aws:CurrentTime":"2027"}}`, "", true},
		{`{"DateLessThan":{"aws:CurrentTime":"2026"}}`, "", false},
		{`{"DateGreaterThan":{"aws:CurrentTime":0}}`, "", true},
		{`{"DateGreaterThan":{"aws:CurrentTime":"1969-12-31"}}`, "now=1970-01-01T00:00:00Z", true},
		{`{"DateEquals":{"aws:CurrentTime":"0"}}`, "now=1970-01-01T00:00:00Z", true},
		{`{"DateEquals":{"aws:CurrentTime":"2028-02-29"}}`, "now=2028-02-29T00:00:00Z", true},
		{`{"DateGreaterThan":{"aws:TokenIssueTime":"2026-05-01T10:59:59Z"}}`, "temporary", true},
		{`{"DateGreaterThan":{"aws:TokenIssueTime":"2026-05-01T11:00:00Z"}}`, "temporary", false},
		{`{"DateGreaterThan":{"aws:TokenIssueTime":"2026-01-01"}}`, "", false},
		{`{"DateLessThan":{"glacier:ResourceTag/k":"2027-01-01"}}`, "tag/k=soon", false},
		{`{"DateNotEquals":{"glacier:ResourceTag/k":"2027-01-01"}}`, "tag/k=soon", true},

		// Booleans.
		{`{"Bool":{"aws:SecureTransport":"True"}}`, "https", true},
		{`{"Bool":{"aws:SecureTransport":["true","false"]}}`, "", true},
		{`{"Bool":{"glacier:ResourceTag/k":"true"}}`, "tag/k=yes", false},

		// Addresses.
		{`{"IpAddress":{"aws:SourceIp":"192.0.2.1"}}`, "ip=192.0.2.1", true},
		{`{"IpAddress":{"aws:SourceIp":"192.0.2.1"}}`, "ip=192.0.2.2", false},
		{`{"IpAddress":{"aws:SourceIp":"192.0.2.1/32"}}`, "ip=192.0.2.1", true},
		{`{"IpAddress":{"aws:SourceIp":"192.0.2.77/24"}}`, "ip=192.0.2.1", true},
		{`{"IpAddress":{"aws:SourceIp":"192.0.2.0/25"}}`, "ip=192.0.2.128", false},
		{`{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}`, "ip=192.0.2.1", true},
		{`{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}`, "ip=2001:db8::1", false},
		{`{"IpAddress":{"aws:SourceIp":"2001:db8::/32"}}`, "ip=2001:db8:1::1", true},
		{`{"IpAddress":{"aws:SourceIp":"2001:db8::/32"}}`, "ip=2001:db9::1", false},
		{`{"IpAddress":{"aws:SourceIp":"2001:DB8:0::1"}}`, "ip=2001:db8::1", true},
		{`{"IpAddress":{"aws:SourceIp":"::/0"}}`, "ip=192.0.2.1", false},
		{`{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`, "ip=::ffff:192.0.2.1", true},
		{`{"IpAddress":{"aws:SourceIp":"::ffff:192.0.2.1"}}`, "ip=192.0.2.1", true},
		{`{"IpAddress":{"aws:SourceIp":"::ffff:192.0.2.1"}}`, "ip=::ffff:192.0.2.1", true},
		{`{"IpAddress":{"aws:SourceIp":"::ffff:192.0.2.0/120"}}`, "ip=192.0.2.1", true},
		{`{"IpAddress":{"aws:SourceIp":"::ffff:192.0.2.0/120"}}`, "ip=192.0.3.1", false},
		{`{"NotIpAddress":{"aws:SourceIp":"::ffff:0:0/96"}}`, "ip=192.0.2.1", false},
		{`{"IpAddress":{"aws:SourceIp":"fe80::/10"}}`, "ip=fe80::1%eth0", true},
		{`{"StringEquals":{"aws:SourceIp":"192.0.2.1"}}`, "ip=::ffff:192.0.2.1", true},
		{`{"IpAddress":{"glacier:ResourceTag/k":"192.0.2.0/24"}}`, "tag/k=office", false},
		{`{"NotIpAddress":{"glacier:ResourceTag/k":"192.0.2.0/24"}}`, "tag/k=office", true},
		{`{"IpAddress":{"glacier:ResourceTag/k":"192.0.2.0/24"}}`, "tag/k=192.0.2.0/24", false},

		// ARNs are compared part by part.
		{`{"ArnEquals":{"aws:PrincipalArn":"@alice"}}`, "", true},
		{`{"ArnLike":{"aws:PrincipalArn":"@bob"}}`, "", false},
		{`{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::@home:user/*"}}`, "", true},
		{`{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::@home:*"}}`, "", true},
		{`{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/alice"}}`, "", true},
		{`{"ArnLike":{"aws:PrincipalArn":"arn:*:*:*:*:*"}}`, "", true},
		{`{"ArnLike":{"aws:PrincipalArn":"*"}}`, "", true},
		{`{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::@home:user/?lice"}}`, "", true},
		{`{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam:*:user/alice:x"}}`, "", false},
		{`{"ArnLike":{"glacier:ResourceTag/k":"arn:aws:s3:*:*:b"}}`, "tag/k=arn:aws:s3:x:y:z:b", false},
		{`{"ArnLike":{"glacier:ResourceTag/k":"arn:aws:s3:::*"}}`, "tag/k=arn:aws:s3:::a:b", true},
		{`{"ArnLike":{"glacier:ResourceTag/k":"arn:aws:s3:::a:*"}}`, "tag/k=arn:aws:s3:::a:b", true},
		{`{"StringLike":{"glacier:ResourceTag/k":"arn:aws:s3:*:b"}}`, "tag/k=arn:aws:s3:x:y:z:b", true},
		{`{"ArnLike":{"glacier:ResourceTag/k":"*"}}`, "tag/k=alice", false},
		{`{"ArnNotLike":{"glacier:ResourceTag/k":"arn:*:*:*:*:*"}}`, "tag/k=alice", true},
		{`{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::${aws:PrincipalAccount}:user/${aws:username}"}}`, "", true},
		{`{"ArnLike":{"aws:PrincipalArn":"${aws:PrincipalArn}"}}`, "", true},
		{`{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::@home:user/${aws:PrincipalTag/k}"}}`, "ptag/k=*", false},

		// Null asks whether there is none.
		{`{"Null":{"glacier:ResourceTag/k":true}}`, "", true},
		{`{"Null":{"glacier:ResourceTag/k":"true"}}`, "tag/k=", false},
		{`{"Null":{"glacier:ResourceTag/k":false}}`, "", false},
		{`{"Null":{"glacier:ResourceTag/k":"FALSE"}}`, "tag/k=a", true},
		{`{"Null":{"glacier:ResourceTag/k":[true,false]}}`, "", true},
		{`{"Null":{"glacier:ResourceTag/k":[true,false]}}`, "tag/k=a", true},
		{`{"Null":{"aws:MultiFactorAuthPresent":true}}`, "", true},
		{`{"Null":{"aws:MultiFactorAuthPresent":true}}`, "temporary", false},
		{`{"Null":{"aws:MultiFactorAuthAge":true}}`, "temporary", true},
		{`{"Null":{"aws:MultiFactorAuthAge":false}}`, "mfa=1", true},
		{`{"Null":{"aws:SourceVpc":true}}`, "", true},
		{`{"Null":{"aws:SourceVpc":"${aws:PrincipalTag/absent}"}}`, "ptag/absent=true", true},
		{`{"Null":{"aws:SourceVpc":"${aws:PrincipalTag/absent}"}}`, "", false},

		// Facts about the caller and the connection.
		{`{"StringEquals":{"aws:username":"alice"}}`, "", true},
		{`{"StringEquals":{"aws:userid":"AIDAALICE"}}`, "", true},
		{`{"StringEquals":{"aws:PrincipalAccount":"@home"}}`, "", true},
		{`{"StringEquals":{"aws:PrincipalType":"User"}}`, "", true},
		{`{"StringEquals":{"aws:Referer":"a"}}`, "referer=a", true},
		{`{"Null":{"aws:Referer":true,"aws:UserAgent":true,"aws:SourceIp":true,"aws:TokenIssueTime":true,"aws:PrincipalTag/a":true}}`, "", true},
		{`{"Null":{"aws:CurrentTime":false,"aws:EpochTime":false,"aws:SecureTransport":false}}`, "", true},
		{`{"Bool":{"aws:SecureTransport":false}}`, "", true},
	} {
		holds(t, test.condition, "alice", test.facts, test.want)
	}
}

// TestCallers is about the keys that callers differ in.
func TestCallers(t *testing.T) {
	for _, test := range []struct {
		who, condition string
		want           bool
	}{
		{"root", `{"Null":{"aws:username":true}}`, true},
		{"root", `{"StringEquals":{"aws:userid":"@home"}}`, true},
		{"root", `{"StringEquals":{"aws:PrincipalType":"Account"}}`, true},
		{"root", `{"ArnEquals":{"aws:PrincipalArn":"@root"}}`, true},
		{"bob", `{"StringEquals":{"aws:username":"bob"}}`, true},
		{"bob", `{"ArnEquals":{"aws:PrincipalArn":"@bob"}}`, true},
		{"nightly", `{"Null":{"aws:username":true}}`, true},
		{"nightly", `{"StringEquals":{"aws:userid":"AROABACKUP:nightly"}}`, true},
		{"nightly", `{"StringLike":{"aws:userid":"AROABACKUP:*"}}`, true},
		{"nightly", `{"StringEquals":{"aws:PrincipalType":"AssumedRole"}}`, true},
		{"nightly", `{"ArnEquals":{"aws:PrincipalArn":"@backup"}}`, true},
		{"nightly", `{"ArnEquals":{"aws:PrincipalArn":"@nightly"}}`, false},
	} {
		holds(t, test.condition, test.who, "", test.want)
	}
}

// TestManyValues is about keys with several values, which no request of today has.
func TestManyValues(t *testing.T) {
	for _, test := range []struct {
		operator, want string
		got            []string
		holds          bool
	}{
		{"StringEquals", `"a"`, []string{"a", "b"}, true},
		{"StringEquals", `"c"`, []string{"a", "b"}, false},
		{"StringNotEquals", `"a"`, []string{"a", "b"}, false},
		{"StringNotEquals", `"c"`, []string{"a", "b"}, true},
		{"ForAnyValue:StringEquals", `"a"`, []string{"a", "b"}, true},
		{"ForAnyValue:StringEquals", `"c"`, []string{"a", "b"}, false},
		{"ForAnyValue:StringNotEquals", `"a"`, []string{"a", "b"}, true},
		{"ForAnyValue:StringNotEquals", `["a","b"]`, []string{"a", "b"}, false},
		{"ForAllValues:StringEquals", `"a"`, []string{"a", "b"}, false},
		{"ForAllValues:StringEquals", `["a","b","c"]`, []string{"a", "b"}, true},
		{"ForAllValues:StringNotEquals", `"a"`, []string{"a", "b"}, false},
		{"ForAllValues:StringNotEquals", `"c"`, []string{"a", "b"}, true},
		{"ForAllValues:StringLike", `"a*"`, []string{"a", "ab"}, true},
		{"ForAllValues:StringLikeIfExists", `"a*"`, []string{"a", "b"}, false},
		{"StringLike", `"${x:many}"`, []string{"a", "b"}, false},
		{"StringLike", `"${x:many, 'a'}"`, []string{"a", "b"}, true},
		{"Null", `false`, []string{"a", "b"}, true},
	} {
		p, err := access.ParseIdentityPolicy(document(t, fmt.Sprintf(`{"Effect":"Allow","Condition":{%q:{"x:many":%s}}}`, test.operator, test.want), false))
		if err != nil {
			t.Fatal(err)
		}
		if got := access.Holds(p, map[string][]string{"x:many": test.got}); got != test.holds {
			t.Errorf("%s %s of %q is %t", test.operator, test.want, test.got, got)
		}
	}
}
