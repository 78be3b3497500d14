package access

import (
	"fmt"
	"regexp"
	"slices"
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

// kind says whose policy a document is.
type kind struct {
	vault      string // ARN of the vault; "": it is the policy of an identity
	operations []protocol.Operation
}

// ParseIdentityPolicy reads a policy that belongs to a user or role. What is wrong with one that cannot be used, and where, is in the error.
func ParseIdentityPolicy(text string) (*Policy, error) { return parse(text, kind{}) }

// ParseVaultPolicy reads an access or lock policy of the vault with an ARN. It may speak of nothing but this vault.
func ParseVaultPolicy(text, vault string) (*Policy, error) {
	return parse(text, kind{vault, protocol.Operations()})
}

// The versions of the language. Only the later one has variables.
const (
	version2008 = "2008-10-17"
	version2012 = "2012-10-17"
)

func parse(text string, k kind) (*Policy, error) {
	document, err := parseJSON(text)
	if err != nil {
		return nil, err
	}
	if err := document.only("Version", "Id", "Statement"); err != nil {
		return nil, err
	}
	o, _ := document.object()
	version := version2008
	for _, element := range []struct {
		name string
		into *string
	}{{"Version", &version}, {"Id", new(string)}} {
		if n, ok := o.get(element.name); ok {
			if *element.into, err = n.text(); err != nil {
				return nil, err
			}
		}
	}
	if version != version2008 && version != version2012 {
		n, _ := o.get("Version")
		return nil, n.wrong("%q is neither %s nor %s", version, version2012, version2008)
	}
	return parseStatements(document, o, k, version == version2012)
}

func parseStatements(document node, o object, k kind, variables bool) (*Policy, error) {
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
		s := statement{name: fmt.Sprintf("%d", i+1)}
		if err := s.parse(n, k, variables); err != nil {
			return nil, err
		}
		p.statements = append(p.statements, s)
	}
	return p, nil
}

func (s *statement) parse(n node, k kind, variables bool) error {
	if err := n.only("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"); err != nil {
		return err
	}
	o, _ := n.object()
	if sid, ok := o.get("Sid"); ok {
		text, err := sid.text()
		if err != nil {
			return err
		}
		if text != "" {
			s.name = fmt.Sprintf("%q", text)
		}
	}
	for _, step := range []func(node, object, kind, bool) error{s.parseEffect, s.parsePrincipals, s.parseActions, s.parseResources, s.parseConditions} {
		if err := step(n, o, k, variables); err != nil {
			return err
		}
	}
	return nil
}

func (s *statement) parseEffect(n node, o object, _ kind, _ bool) error {
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

func (s *statement) parseActions(n node, o object, k kind, _ bool) error {
	all, negated, err := either(n, o, "Action")
	if err != nil {
		return err
	}
	s.notActions = negated
	list, err := all.list()
	for _, a := range list {
		text, wrong := a.text()
		if wrong != nil {
			return wrong
		}
		p, _ := parsePattern(strings.ToLower(text), form{wildcards: true}) // only variables can be wrong
		if problem := wrongAction(text, p, k); problem != "" {
			return a.wrong("%s", problem)
		}
		s.actions = append(s.actions, p)
	}
	return err
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
	for _, op := range k.operations {
		if !g.matches(strings.ToLower(actionPrefix + op.Name)) {
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

func (s *statement) parseResources(n node, o object, k kind, variables bool) error {
	all, negated, err := either(n, o, "Resource")
	if err != nil {
		return err
	}
	s.notResources = negated
	list, err := all.list()
	for _, r := range list {
		text, wrong := r.text()
		if wrong != nil {
			return wrong
		}
		p, wrong := parsePattern(text, form{wildcards: true, variables: variables})
		if wrong != nil {
			return r.wrong("%v", wrong)
		}
		if wrong := validARN(text); wrong != nil {
			return r.wrong("%v", wrong)
		}
		if k.vault != "" && !negated && !p.loosened().matches(k.vault) {
			return r.wrong("%q is not this vault, which is %s", text, k.vault)
		}
		s.resources = append(s.resources, p)
	}
	return err
}

func (s *statement) parseConditions(_ node, o object, _ kind, variables bool) error {
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
		for i, key := range keys {
			if slices.ContainsFunc(keys[:i], func(k member) bool { return normalKey(k.name) == normalKey(key.name) }) {
				return op.wrong("it has %q twice, in different spellings", normalKey(key.name))
			}
			if err := c.parse(key, variables); err != nil {
				return err
			}
			s.conditions = append(s.conditions, c)
		}
	}
	return nil
}

var conditionKey = regexp.MustCompile(`^[A-Za-z0-9-]+:[^/\s]+(/.+)?$`) // read only

// parse reads a key and its values.
func (c *condition) parse(key member, variables bool) error {
	c.key, c.values = normalKey(key.name), nil
	switch {
	case !conditionKey.MatchString(key.name):
		return key.wrong("%q is not a condition key like aws:SourceIp", key.name)
	case strings.HasPrefix(c.key, actionPrefix) && c.key != keyAge && !strings.HasPrefix(c.key, keyTag):
		return key.wrong("%q is no condition key of this service; there are glacier:ArchiveAgeInDays and glacier:ResourceTag/{key}", key.name)
	}
	list, err := key.list()
	for _, v := range list {
		text, wrong := v.scalar()
		if wrong != nil {
			return wrong
		}
		p, wrong := parsePattern(text, form{wildcards: c.wildcards, variables: variables})
		if wrong == nil && c.valid != nil && !p.hasVariables() {
			wrong = c.valid(text)
		}
		if wrong != nil {
			return v.wrong("%v", wrong)
		}
		c.values = append(c.values, p)
	}
	return err
}

// principal is whom a statement of a vault's policy speaks of. One member is set; none: nobody that is known here.
type principal struct {
	everybody bool
	account   string // everybody in it
	arn       string
}

var (
	accountID    = regexp.MustCompile(`^[0-9]{12}$`)                                                               // read only
	accountRoot  = regexp.MustCompile(`^arn:aws:iam::([0-9]{12}):root$`)                                           // read only
	principalARN = regexp.MustCompile(`^arn:aws:(iam::[0-9]{12}:(user|role)|sts::[0-9]{12}:assumed-role)/[^*?]+$`) // read only
)

func (s *statement) parsePrincipals(n node, o object, k kind, _ bool) error {
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
	if err := all.only("AWS", "Service", "Federated", "CanonicalUser"); err != nil {
		return err
	}
	kinds, _ := all.object()
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
	case accountID.MatchString(text):
		return principal{account: text}, nil
	case root != nil:
		return principal{account: root[1]}, nil
	case principalARN.MatchString(text):
		return principal{arn: text}, nil
	}
	return p, n.wrong("%q is neither *, nor an account of 12 digits, nor the ARN of an account's root, a user, a role or an assumed role", text)
}

// matchesAny reports whether one of several patterns matches.
func matchesAny(list []pattern, text string, values lookup) bool {
	return slices.ContainsFunc(list, func(p pattern) bool {
		g, ok := p.resolve(values)
		return ok && g.matches(text)
	})
}
