package access

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/moraine-archive/moraine/internal/protocol"
)

// Policy is a policy document (IAM User Guide: "IAM JSON policy elements reference").
type Policy struct {
	statements []statement
}

// statement is one statement. The lists of not... say what it does not apply to.
type statement struct {
	name          string // how messages call it
	deny          bool
	principals    []principal // nil: the policy is the caller's own
	notPrincipals bool
	actions       []pattern // in lower case
	notActions    bool
	resources     []pattern
	notResources  bool
	conditions    []condition
}

// kind says whose policy a document is, and how its texts are read.
type kind struct {
	vault     string // ARN of the vault; "": it is the policy of an identity
	variables bool   // there are some in its texts
}

// ParseIdentityPolicy reads a policy that belongs to a user or role. What is wrong with one that cannot be used, and where, is in the error.
func ParseIdentityPolicy(text string) (*Policy, error) { return parse(text, "") }

// ParseVaultPolicy reads an access or lock policy of the vault with an ARN. It may speak of nothing but this vault.
func ParseVaultPolicy(text, vault string) (*Policy, error) { return parse(text, vault) }

// The versions of the language. Only the later one has variables.
const (
	version2008 = "2008-10-17"
	version2012 = "2012-10-17"
)

func parse(text, vault string) (*Policy, error) {
	document, err := parseJSON(text)
	if err != nil {
		return nil, err
	}
	o, err := document.object("Version", "Id", "Statement")
	if err != nil {
		return nil, err
	}
	version, err := o.textOr("Version", version2008)
	if err != nil {
		return nil, err
	}
	if _, err := o.textOr("Id", ""); err != nil {
		return nil, err
	}
	if version != version2008 && version != version2012 {
		n, _ := o.get("Version")
		return nil, n.wrong("%q is neither %s nor %s", version, version2012, version2008)
	}
	return parseStatements(document, o, kind{vault, version == version2012})
}

func parseStatements(document node, o object, k kind) (*Policy, error) {
	all, ok := o.get("Statement")
	if !ok {
		return nil, document.wrong("it has no Statement")
	}
	list, err := all.list()
	if err != nil {
		return nil, err
	}
	p := new(Policy)
	for i, n := range list {
		s := statement{name: strconv.Itoa(i + 1)}
		if err := s.parse(n, k); err != nil {
			return nil, err
		}
		p.statements = append(p.statements, s)
	}
	return p, nil
}

func (s *statement) parse(n node, k kind) error {
	o, err := n.object("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition")
	if err != nil {
		return err
	}
	sid, err := o.textOr("Sid", "")
	if err != nil {
		return err
	}
	if sid != "" {
		s.name = strconv.Quote(sid)
	}
	return cmp.Or(s.parseEffect(n, o), s.parsePrincipals(n, o, k), s.parseActions(n, o, k), s.parseResources(n, o, k), s.parseConditions(o, k))
}

func (s *statement) parseEffect(n node, o object) error {
	effect, ok := o.get("Effect")
	if !ok {
		return n.wrong("it has no Effect")
	}
	s.deny = effect.value == "Deny"
	if !s.deny && effect.value != "Allow" {
		return effect.wrong("it is neither \"Allow\" nor \"Deny\"")
	}
	return nil
}

// either returns the one of two elements that is there. There has to be exactly one.
func either(n node, o object, name string) (found node, negated bool, err error) {
	positive, isPositive := o.get(name)
	negative, isNegative := o.get("Not" + name)
	switch {
	case isPositive == isNegative:
		return n, false, n.wrong("it has to have either %s or Not%s", name, name)
	case isNegative:
		return negative, true, nil
	}
	return positive, false, nil
}

func (s *statement) parseActions(n node, o object, k kind) error {
	all, negated, err := either(n, o, "Action")
	if err != nil {
		return err
	}
	s.notActions = negated
	list, err := all.list()
	if err != nil {
		return err
	}
	for _, a := range list {
		text, err := a.text()
		if err != nil {
			return err
		}
		p, _ := parsePattern(strings.ToLower(text), form{wildcards: true}) // only variables can be wrong
		if problem := wrongAction(text, p, k); problem != "" {
			return a.wrong("%s", problem)
		}
		s.actions = append(s.actions, p)
	}
	return nil
}

// wrongAction says what is wrong with an action, "" if nothing is. The policy of a vault has to speak of actions that it can decide on.
func wrongAction(text string, p pattern, k kind) string {
	service, name, ok := strings.Cut(text, ":")
	if text != "*" && (!ok || service == "" || name == "") {
		return fmt.Sprintf("%q is not an action like glacier:UploadArchive", text)
	}
	if k.vault == "" {
		return ""
	}
	g, known := p.loosened(), false
	for _, op := range protocol.Operations() {
		if !g.matches(strings.ToLower(Action(op.Name))) {
			continue
		}
		if !op.ForIdentities() {
			return ""
		}
		known = true
	}
	if known {
		return fmt.Sprintf("%q can only be allowed or denied in the policies of users: it is not done to a vault", text)
	}
	return fmt.Sprintf("%q is no action of this service", text)
}

// actionPrefix is what the actions of the service begin with.
const actionPrefix = "glacier:"

func (s *statement) parseResources(n node, o object, k kind) error {
	all, negated, err := either(n, o, "Resource")
	if err != nil {
		return err
	}
	s.notResources = negated
	list, err := all.list()
	if err != nil {
		return err
	}
	for _, r := range list {
		text, err := r.text()
		if err != nil {
			return err
		}
		p, err := parsePattern(text, form{wildcards: true, variables: k.variables})
		if err != nil {
			return r.wrong("%v", err)
		}
		if err := validARN(text); err != nil {
			return r.wrong("%v", err)
		}
		if k.vault != "" && !negated && !p.loosened().matches(k.vault) {
			return r.wrong("%q is not this vault, which is %s", text, k.vault)
		}
		s.resources = append(s.resources, p)
	}
	return nil
}

func (s *statement) parseConditions(o object, k kind) error {
	block, ok := o.get("Condition")
	if !ok {
		return nil
	}
	byOperator, ok := block.value.(object)
	if !ok {
		return block.wrong("it has to be an object")
	}
	for _, op := range byOperator {
		c, err := parseOperator(op.name)
		if err != nil {
			return op.wrong("%v", err)
		}
		keys, err := op.object()
		if err != nil {
			return err
		}
		seen := map[string]bool{}
		for _, key := range keys {
			name := normalKey(key.name)
			if seen[name] {
				return op.wrong("it has %q twice, in different spellings", name)
			}
			seen[name] = true
			if err := c.parse(key, k); err != nil {
				return err
			}
			s.conditions = append(s.conditions, c)
		}
	}
	return nil
}

var conditionKey = regexp.MustCompile(`^[A-Za-z0-9-]+:[^/\s]+(/.+)?$`) // read only

// parse reads a key and its values.
func (c *condition) parse(key member, k kind) error {
	c.key, c.values = normalKey(key.name), nil
	switch {
	case !conditionKey.MatchString(key.name):
		return key.wrong("%q is not a condition key like aws:SourceIp", key.name)
	case strings.HasPrefix(c.key, actionPrefix) && c.key != keyAge && !strings.HasPrefix(c.key, keyTag):
		return key.wrong("%q is no condition key of this service; there are glacier:ArchiveAgeInDays and glacier:ResourceTag/{key}", key.name)
	}
	list, err := key.list()
	if err != nil {
		return err
	}
	for _, v := range list {
		text, err := v.scalar()
		if err != nil {
			return err
		}
		p, err := parsePattern(text, form{wildcards: c.wildcards, variables: k.variables})
		if err == nil && c.valid != nil && !p.hasVariables() {
			err = c.valid(text)
		}
		if err != nil {
			return v.wrong("%v", err)
		}
		c.values = append(c.values, p)
	}
	return nil
}

// principal is whom a statement of a vault's policy speaks of. One member is set; none: nobody that is known here.
type principal struct {
	everybody bool
	account   string // everybody in it
	arn       string
}

var (
	accountRoot  = regexp.MustCompile(`^arn:aws:iam::([0-9]{12}):root$`)                                           // read only
	principalARN = regexp.MustCompile(`^arn:aws:(iam::[0-9]{12}:(user|role)|sts::[0-9]{12}:assumed-role)/[^*?]+$`) // read only
)

func (s *statement) parsePrincipals(n node, o object, k kind) error {
	if k.vault == "" {
		for _, name := range []string{"Principal", "NotPrincipal"} {
			if p, ok := o.get(name); ok {
				return p.wrong("the policy of a user or role speaks of nobody else")
			}
		}
		return nil
	}
	all, negated, err := either(n, o, "Principal")
	if err != nil {
		return err
	}
	s.notPrincipals = negated
	if all.value == "*" {
		s.principals = []principal{{everybody: true}}
		return nil
	}
	if _, isText := all.value.(string); isText {
		return all.wrong(`it has to be "*" or an object like {"AWS": "arn:aws:iam::123456789012:user/alice"}`)
	}
	kinds, err := all.object("AWS", "Service", "Federated", "CanonicalUser")
	if err != nil {
		return err
	}
	for _, of := range kinds {
		list, err := of.list()
		if err != nil {
			return err
		}
		for _, entry := range list {
			p, err := parsePrincipal(entry, of.name)
			if err != nil {
				return err
			}
			s.principals = append(s.principals, p)
		}
	}
	return nil
}

func parsePrincipal(n node, of string) (p principal, err error) {
	text, err := n.text()
	switch root := accountRoot.FindStringSubmatch(text); {
	case err != nil || of != "AWS":
		return p, err
	case text == "*":
		return principal{everybody: true}, nil
	case IsAccountID(text):
		return principal{account: text}, nil
	case root != nil:
		return principal{account: root[1]}, nil
	case principalARN.MatchString(text):
		return principal{arn: text}, nil
	}
	return p, n.wrong("%q is neither *, nor an account of 12 digits, nor the ARN of an account's root, a user, a role or an assumed role", text)
}
