package access_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/moraine-archive/moraine/internal/access"
)

// The decision once more, naive and slow, written from the rules (IAM User Guide: "Policy evaluation logic", "IAM JSON policy elements: Condition
// operators") and not from the code: documents as encoding/json reads them, wildcards as regular expressions, numbers as fractions. What the tests hold
// against it is that both come to the same end. It takes only documents that are valid.
//
// Readings where the guide leaves room:
//   - A variable without a value: the text that has it matches nothing.
//   - NotPrincipal of a denial spares whom it names. An account that it names spares the root only, as the guide's example has it: "all but Bob" lists Bob
//     and his account, and denies the others in it. NotPrincipal of a permission leaves out everybody in an account that it names.
//   - IPv4 is not in IPv6 ranges, but for ranges of IPv4-mapped addresses.

// documents are the texts of the policies of a request.
type documents struct {
	own          []string
	access, lock string
}

// outcome is the beginning of what the function outcome says of the decision.
func (d documents) outcome(r access.Request) string {
	now, lockTime := naiveFacts(r, r.Now), naiveFacts(r, r.LockTime)
	own, vault := naiveEffects{}, naiveEffects{}
	for _, text := range d.own {
		own.add(r, text, now)
	}
	denied := own.deny
	vault.add(r, d.access, now)
	denied = denied || vault.deny
	vault.add(r, d.lock, now)
	denied = denied || vault.deny
	then := naiveEffects{}
	then.add(r, d.lock, lockTime)
	mine := own.allowCaller || r.Caller.Kind == access.Root
	switch {
	case slices.Contains(naiveIdentityOnly, r.Operation.Name):
		vault, denied, then = naiveEffects{}, own.deny, naiveEffects{}
	case slices.Contains(naiveOwnAccount, r.Operation.Name) && r.Caller.Account != r.Account:
		vault.allowCaller, vault.allowAccount = false, false
	}
	switch {
	case denied || then.deny:
		return "deny: "
	case r.Caller.Account == r.Account && (mine || vault.allowCaller):
		return "allow: "
	case r.Caller.Account != r.Account && mine && (vault.allowCaller || vault.allowAccount):
		return "allow: "
	}
	return "deny"
}

// What the specification says of operations (policies.md, sections 3 and 4; of those with tags, the guide: "Amazon Glacier API Permissions").
var (
	naiveIdentityOnly = []string{"CreateVault", "GetDataRetrievalPolicy", "SetDataRetrievalPolicy", "ListVaults", "ListProvisionedCapacity", "PurchaseProvisionedCapacity"}
	naiveOwnAccount   = []string{"InitiateVaultLock", "CompleteVaultLock", "AbortVaultLock", "AddTagsToVault", "ListTagsForVault", "RemoveTagsFromVault"}
	naiveTagged       = []string{
		"AddTagsToVault", "CompleteMultipartUpload", "CompleteVaultLock", "DeleteArchive", "DeleteVault", "DeleteVaultAccessPolicy", "DeleteVaultNotifications", "InitiateJob", "InitiateMultipartUpload", "InitiateVaultLock", "RemoveTagsFromVault", "SetVaultAccessPolicy", "SetVaultNotifications", "UploadArchive", "UploadMultipartPart",
	}
)

// naiveEffects are what statements do for a request.
type naiveEffects struct{ deny, allowCaller, allowAccount bool }

func (e *naiveEffects) add(r access.Request, text string, facts map[string][]string) {
	if text == "" {
		return
	}
	var document map[string]any
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.UseNumber()
	if err := dec.Decode(&document); err != nil {
		panic(err)
	}
	e2012 := document["Version"] == "2012-10-17"
	for _, s := range naiveList(document["Statement"]) {
		statement := s.(map[string]any)
		caller, account := naiveSpeaksOf(r.Caller, statement)
		if !caller && !account || !naiveApplies(r, statement, facts, e2012) {
			continue
		}
		if statement["Effect"] == "Deny" {
			e.deny = e.deny || caller || account
		} else {
			e.allowCaller, e.allowAccount = e.allowCaller || caller, e.allowAccount || account
		}
	}
}

// naiveSpeaksOf reports whether a statement speaks of the caller, and of the caller's account.
func naiveSpeaksOf(c access.Caller, statement map[string]any) (caller, account bool) {
	is, isNot := statement["Principal"], statement["NotPrincipal"]
	switch {
	case is == nil && isNot == nil:
		return true, false
	case is != nil:
		return naiveNamed(c, is)
	}
	caller, account = naiveNamed(c, isNot)
	if statement["Effect"] == "Allow" {
		caller = caller || account
	}
	return !caller, false
}

func naiveNamed(c access.Caller, who any) (caller, account bool) {
	if who == "*" {
		return true, true
	}
	for _, name := range naiveList(who.(map[string]any)["AWS"]) {
		switch name {
		case "*", c.ARN(), c.PrincipalARN():
			caller, account = true, account || c.Kind == access.Root
		}
		if name == c.Account || name == "arn:aws:iam::"+c.Account+":root" {
			caller, account = caller || c.Kind == access.Root, true
		}
	}
	return caller, account
}

func naiveApplies(r access.Request, statement map[string]any, facts map[string][]string, variables bool) bool {
	if actions, ok := statement["Action"]; ok != naiveAny(actions, statement["NotAction"], func(text string) bool {
		return naiveMatch(strings.ToLower(text), strings.ToLower("glacier:"+r.Operation.Name), true, false, facts)
	}) {
		return false
	}
	if resources, ok := statement["Resource"]; ok != naiveAny(resources, statement["NotResource"], func(text string) bool {
		return naiveMatch(text, r.Resource, true, variables, facts)
	}) {
		return false
	}
	conditions, _ := statement["Condition"].(map[string]any)
	for operator, keys := range conditions {
		for key, values := range keys.(map[string]any) {
			if !naiveHolds(operator, key, naiveList(values), facts, variables) {
				return false
			}
		}
	}
	return true
}

// naiveAny reports whether any text of one list or of another matches. One of the two is nil.
func naiveAny(some, others any, match func(string) bool) bool {
	for _, text := range append(naiveList(some), naiveList(others)...) {
		if match(text.(string)) {
			return true
		}
	}
	return false
}

func naiveList(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{v}
}

// naiveHolds is the table of the guide for one key of one operator.
func naiveHolds(operator, key string, values []any, facts map[string][]string, variables bool) bool {
	got := facts[naiveKey(key)]
	if operator == "Null" {
		for _, v := range values {
			tokens, ok := naiveTokens(naiveText(v), false, variables, facts)
			if ok && strings.EqualFold(naiveLiteral(tokens), fmt.Sprint(len(got) == 0)) {
				return true
			}
		}
		return false
	}
	base, exists := strings.CutSuffix(operator, "IfExists")
	base, forAny := strings.CutPrefix(base, "ForAnyValue:")
	base, forAll := strings.CutPrefix(base, "ForAllValues:")
	negated := strings.Contains(base, "Not")
	if len(got) == 0 {
		return exists || forAll || negated && !forAny
	}
	matching := 0
	for _, g := range got {
		for _, v := range values {
			if naiveCompare(strings.Replace(base, "Not", "", 1), naiveText(v), g, facts, variables) {
				matching++
				break
			}
		}
	}
	switch {
	case forAny && negated:
		return matching < len(got)
	case forAny:
		return matching > 0
	case forAll && negated:
		return matching == 0
	case forAll:
		return matching == len(got)
	}
	return matching > 0 != negated
}

func naiveText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return fmt.Sprint(v)
}

func naiveKey(key string) string {
	if i := strings.IndexByte(key, '/'); i >= 0 {
		return strings.ToLower(key[:i]) + key[i:]
	}
	return strings.ToLower(key)
}

// naiveCompare holds a value of a policy against one of a request by a positive operator.
func naiveCompare(operator, want, got string, facts map[string][]string, variables bool) bool {
	switch operator {
	case "StringLike":
		return naiveMatch(want, got, true, variables, facts)
	case "ArnEquals", "ArnLike":
		return naiveARN(want, got, variables, facts)
	}
	tokens, ok := naiveTokens(want, false, variables, facts)
	if !ok {
		return false
	}
	want = naiveLiteral(tokens)
	switch operator {
	case "StringEquals":
		return want == got
	case "StringEqualsIgnoreCase", "Bool":
		return strings.EqualFold(want, got)
	case "IpAddress":
		return naiveInNetwork(want, got)
	}
	read := naiveNumber
	if strings.HasPrefix(operator, "Date") {
		read = naiveDate
	}
	w, g := read(want), read(got)
	if w == nil || g == nil {
		return false
	}
	switch order := g.Cmp(w); strings.TrimPrefix(strings.TrimPrefix(operator, "Date"), "Numeric") {
	case "Equals":
		return order == 0
	case "LessThan":
		return order < 0
	case "LessThanEquals":
		return order <= 0
	case "GreaterThan":
		return order > 0
	case "GreaterThanEquals":
		return order >= 0
	}
	panic("there is no operator " + operator)
}

// naiveToken is a piece of a pattern: literal text, or a wildcard.
type naiveToken struct {
	text     string
	wildcard bool
}

var naivePieces = regexp.MustCompile(`\$\{[^}]*\}|(?s:.)`)

// naiveTokens cuts a pattern into characters and replaces its variables. ok is false if one has no value.
func naiveTokens(pattern string, wildcards, variables bool, facts map[string][]string) (tokens []naiveToken, ok bool) {
	for len(pattern) > 0 {
		piece := naivePieces.FindString(pattern)
		if !variables && len(piece) > 1 && piece[0] == '$' {
			piece = "$"
		}
		pattern = pattern[len(piece):]
		inner, isVariable := strings.CutPrefix(piece, "${")
		if !isVariable {
			tokens = append(tokens, naiveToken{piece, wildcards && (piece == "*" || piece == "?")})
			continue
		}
		name, standard, hasStandard := strings.Cut(strings.TrimSuffix(inner, "}"), ",")
		name = strings.TrimSpace(name)
		switch values := facts[naiveKey(name)]; {
		case name == "*", name == "?", name == "$":
			tokens = append(tokens, naiveToken{text: name})
		case len(values) == 1:
			tokens = append(tokens, naiveToken{text: values[0]})
		case hasStandard:
			tokens = append(tokens, naiveToken{text: strings.Trim(strings.TrimSpace(standard), "'")})
		default:
			return nil, false
		}
	}
	return tokens, true
}

func naiveLiteral(tokens []naiveToken) string {
	var b strings.Builder
	for _, t := range tokens {
		b.WriteString(t.text)
	}
	return b.String()
}

// naiveMatch matches by a regular expression.
func naiveMatch(pattern, text string, wildcards, variables bool, facts map[string][]string) bool {
	tokens, ok := naiveTokens(pattern, wildcards, variables, facts)
	return ok && naiveRegexp(tokens).MatchString(text)
}

func naiveRegexp(tokens []naiveToken) *regexp.Regexp {
	expression := `(?s)\A`
	for _, t := range tokens {
		switch {
		case t.wildcard && t.text == "*":
			expression += `.*`
		case t.wildcard:
			expression += `.`
		default:
			expression += regexp.QuoteMeta(t.text)
		}
	}
	return regexp.MustCompile(expression + `\z`)
}

// naiveARN matches each of the six parts by itself. Only the last may have colons.
func naiveARN(want, got string, variables bool, facts map[string][]string) bool {
	if want == "*" {
		want = "arn:*:*:*:*:*"
	}
	tokens, ok := naiveTokens(want, true, variables, facts)
	if !ok {
		return false
	}
	parts := [][]naiveToken{nil}
	for _, t := range tokens {
		if t.wildcard {
			parts[len(parts)-1] = append(parts[len(parts)-1], t)
			continue
		}
		for i, text := range strings.SplitN(t.text, ":", 7-len(parts)) {
			if i > 0 {
				parts = append(parts, nil)
			}
			parts[len(parts)-1] = append(parts[len(parts)-1], naiveToken{text: text})
		}
	}
	texts := strings.SplitN(got, ":", 6)
	if len(parts) != 6 || len(texts) != 6 {
		return false
	}
	for i, text := range texts {
		if !naiveRegexp(parts[i]).MatchString(text) {
			return false
		}
	}
	return true
}

// naiveNumber reads a decimal number, nil if it is none.
func naiveNumber(text string) *big.Rat {
	if strings.Trim(text, "0123456789+-.eE") != "" || strings.HasPrefix(text, ".") || strings.HasSuffix(text, ".") {
		return nil
	}
	n, ok := new(big.Rat).SetString(text)
	if !ok {
		return nil
	}
	return n
}

var naiveDateForm = regexp.MustCompile(`\A(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d(?:\.\d+)?))?(?:Z|([+-])(\d\d):(\d\d)))?)?)?\z`)

// naiveDate reads a date as seconds since 1970, which is also how it may be written. It is nil if it is none.
func naiveDate(text string) *big.Rat {
	m := naiveDateForm.FindStringSubmatch(text)
	if m == nil {
		seconds := naiveNumber(text)
		if seconds == nil || seconds.Sign() < 0 {
			return nil // nothing is before 1970
		}
		return seconds
	}
	part := func(i int, otherwise int64) int64 {
		if m[i] == "" {
			return otherwise
		}
		n, _ := new(big.Int).SetString(m[i], 10)
		return n.Int64()
	}
	minutes := part(4, 0)*60 + part(5, 0)
	switch offset := part(8, 0)*60 + part(9, 0); m[7] {
	case "+":
		minutes -= offset
	case "-":
		minutes += offset
	}
	seconds := new(big.Rat)
	if m[6] != "" {
		seconds.SetString(m[6])
	}
	return seconds.Add(seconds, new(big.Rat).SetInt64((naiveDay(part(1, 0), part(2, 1), part(3, 1))*24*60+minutes)*60))
}

// naiveDay counts the days since 1970.
func naiveDay(year, month, day int64) int64 {
	days := day - 1
	for y := min(year, 1970); y < max(year, 1970); y++ {
		length := int64(365)
		if y%4 == 0 && (y%100 != 0 || y%400 == 0) {
			length++
		}
		if year < 1970 {
			length = -length
		}
		days += length
	}
	lengths := [...]int64{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}
	if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
		lengths[1]++
	}
	for _, length := range lengths[:month-1] {
		days += length
	}
	return days
}

// naiveInNetwork compares addresses bit by bit.
func naiveInNetwork(want, got string) bool {
	network, length, _ := strings.Cut(want, "/")
	got, _, _ = strings.Cut(got, "%") // the zone
	w, g := net.ParseIP(network), net.ParseIP(got)
	if w == nil || g == nil {
		return false
	}
	bits := 128
	if length != "" {
		bits = int(naiveNumber(length).Num().Int64())
		if !strings.Contains(network, ":") {
			bits += 96
		}
	}
	if bits < 96 && g.To4() != nil {
		return false // IPv4 is in no range of IPv6
	}
	for i := range bits {
		if (w.To16()[i/8]^g.To16()[i/8])<<(i%8)&0x80 != 0 {
			return false
		}
	}
	return true
}

// naiveFacts are the condition keys of a request (policies.md: "Condition keys").
func naiveFacts(r access.Request, now time.Time) map[string][]string {
	c, facts := r.Caller, make(map[string][]string)
	set := func(key string, has bool, value any) {
		if has {
			facts[key] = []string{fmt.Sprint(value)}
		}
	}
	set("aws:currenttime", true, now.UTC().Format("2006-01-02T15:04:05Z"))
	set("aws:epochtime", true, now.Unix())
	set("aws:securetransport", true, r.Connection.Secure)
	set("aws:sourceip", r.Connection.Address.IsValid(), r.Connection.Address.Unmap())
	set("aws:useragent", r.Connection.UserAgent != "", r.Connection.UserAgent)
	set("aws:referer", r.Connection.Referer != "", r.Connection.Referer)
	set("aws:userid", true, map[access.Kind]string{access.Root: c.Account, access.User: c.ID, access.Role: c.ID + ":" + c.Session}[c.Kind])
	set("aws:username", c.Kind == access.User, c.Name)
	set("aws:principalarn", true, c.PrincipalARN())
	set("aws:principalaccount", true, c.Account)
	set("aws:principaltype", true, map[access.Kind]string{access.Root: "Account", access.User: "User", access.Role: "AssumedRole"}[c.Kind])
	temporary := !c.Issued.IsZero()
	set("aws:tokenissuetime", temporary, c.Issued.UTC().Format("2006-01-02T15:04:05Z"))
	set("aws:multifactorauthpresent", temporary, !c.MFA.IsZero())
	set("aws:multifactorauthage", temporary && !c.MFA.IsZero(), max(0, int64(now.Sub(c.MFA).Seconds())))
	if r.Age != nil && slices.Contains([]string{"DeleteArchive", "InitiateJob"}, r.Operation.Name) {
		set("glacier:archiveageindays", true, *r.Age)
	}
	for key, value := range r.Tags {
		set("glacier:resourcetag/"+key, slices.Contains(naiveTagged, r.Operation.Name), value)
	}
	for key, value := range c.Tags {
		set("aws:principaltag/"+key, true, value)
	}
	return facts
}
