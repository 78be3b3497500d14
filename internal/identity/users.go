package identity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"
	"unicode/utf8"

	"github.com/moraine-archive/moraine/internal/access"
	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/protocol"
	"github.com/moraine-archive/moraine/internal/vfs"
)

// The kinds of principals: what is not the root of an account.
const (
	UserKind = catalogue.UserKind
	RoleKind = catalogue.RoleKind
)

// Who names a user or role, or the root of an account.
type Who struct {
	Account string // id or name; "": the only account
	Kind    string // UserKind, RoleKind; "" with a name that is "" too: the root
	Name    string
}

// Principal is a user or role as administrators see it.
type Principal struct {
	AccountID string            `json:"account_id"`
	Kind      string            `json:"kind"`
	Name      string            `json:"name"`
	ID        string            `json:"id"`
	ARN       string            `json:"arn"`
	Path      string            `json:"path"`
	Tags      map[string]string `json:"tags"`
	Policies  []string          `json:"policies"` // names
	CreatedAt time.Time         `json:"created_at"`
}

// PolicyText is a policy with its name.
type PolicyText struct{ Name, Document string }

// NewPrincipal is what a user or role is made of.
type NewPrincipal struct {
	Who
	Path     string // "": "/"
	Tags     map[string]string
	Policies []PolicyText
	Key      bool // with an access key; of users only
}

// What names and paths can be (IAM User Guide: "IAM and AWS STS quotas"). A path has fewer characters here than there: those that mean nothing in a pattern.
var (
	principalName = regexp.MustCompile(`^[A-Za-z0-9+=,.@_-]{1,64}$`)  // read only
	sessionName   = regexp.MustCompile(`^[A-Za-z0-9+=,.@_-]{2,64}$`)  // read only
	policyName    = regexp.MustCompile(`^[A-Za-z0-9+=,.@_-]{1,128}$`) // read only
	principalPath = regexp.MustCompile(`^/([A-Za-z0-9+=,.@_-]+/)*$`)  // read only
)

const letters = "letters, digits and +=,.@_-"

// Limits of what belongs to a user or role. All of it is read at every request.
const (
	maxPolicies = 10
	maxPath     = 512
	maxTags     = 50
	maxTagKey   = 128 // characters
	maxTagValue = 256 // characters
)

func (n NewPrincipal) validate() error {
	if !principalName.MatchString(n.Name) {
		return wrongArgument("%q cannot be the name of a %s: it has 1 to 64 %s", n.Name, n.Kind, letters)
	}
	if !principalPath.MatchString(n.Path) || len(n.Path) > maxPath {
		return wrongArgument("the path %q is not like /backup/daily/: names of %s with a / before and after each, in all up to %d characters", n.Path, letters, maxPath)
	}
	if len(n.Tags) > maxTags {
		return wrongArgument("%d tags are more than %d", len(n.Tags), maxTags)
	}
	for k, v := range n.Tags {
		if length := utf8.RuneCountInString(k); length == 0 || length > maxTagKey || utf8.RuneCountInString(v) > maxTagValue || !utf8.ValidString(k+v) {
			return wrongArgument("the tag %q cannot be %q: a key has 1 to %d characters, a value up to %d", k, v, maxTagKey, maxTagValue)
		}
	}
	for _, policy := range n.Policies {
		if err := policy.validate(); err != nil {
			return err
		}
	}
	return nil
}

func (p PolicyText) validate() error {
	if !policyName.MatchString(p.Name) {
		return wrongArgument("%q cannot be the name of a policy: it has 1 to 128 %s", p.Name, letters)
	}
	if len(p.Document) > protocol.MaxPolicy {
		return fmt.Errorf("the policy %q of %d bytes is longer than %d", p.Name, len(p.Document), protocol.MaxPolicy)
	}
	if _, err := access.ParseIdentityPolicy(p.Document); err != nil {
		return fmt.Errorf("the policy %q cannot be used: %w", p.Name, err)
	}
	return nil
}

// AddPrincipal makes a user or role, and a key for it if that is wanted. The server may be running.
func AddPrincipal(ctx context.Context, c config.Config, n NewPrincipal, now time.Time) (made Principal, key access.Key, err error) {
	if n.Path == "" {
		n.Path = "/"
	}
	if err := n.validate(); err != nil {
		return made, key, err
	}
	err = changeCatalogue(ctx, c, func(tx *catalogue.Tx) error {
		p, err := n.insert(tx, now)
		if err != nil {
			return err
		}
		if made, err = describe(tx, p); err != nil || !n.Key {
			return err
		}
		secrets, err := secretKey(tx, vfs.OS(), c)
		if err != nil {
			return err
		}
		key = newKey(access.Caller{Account: p.AccountID})
		return tx.PutAccessKey(sealed(secrets, key, catalogue.AccessKey{PrincipalID: p.ID, CreatedAt: now}))
	})
	return made, key, err
}

func (n NewPrincipal) insert(tx *catalogue.Tx, now time.Time) (catalogue.Principal, error) {
	account, err := findAccount(tx, n.Account)
	if err != nil {
		return catalogue.Principal{}, err
	}
	if _, err := tx.PrincipalNamed(account.ID, n.Kind, n.Name); !errors.Is(err, catalogue.ErrNotFound) {
		if err == nil {
			err = fmt.Errorf("the account %s has a %s named %q already", account.ID, n.Kind, n.Name)
		}
		return catalogue.Principal{}, err
	}
	prefix := access.UserPrefix
	if n.Kind == RoleKind {
		prefix = access.RolePrefix
	}
	p := catalogue.Principal{ID: access.NewID(prefix), AccountID: account.ID, Kind: n.Kind, Path: n.Path, Name: n.Name, Tags: n.Tags, CreatedAt: now}
	if err := tx.InsertPrincipal(p); err != nil {
		return p, err
	}
	for _, policy := range n.Policies {
		if err := putPolicy(tx, p, policy); err != nil {
			return p, err
		}
	}
	return p, nil
}

// describe returns a user or role as administrators see it.
func describe(tx *catalogue.Tx, p catalogue.Principal) (Principal, error) {
	d := Principal{
		AccountID: p.AccountID, Kind: p.Kind, Name: p.Name, ID: p.ID, Path: p.Path, Tags: p.Tags, Policies: []string{}, CreatedAt: p.CreatedAt.UTC(),
		ARN: callerOf(catalogue.Signer{AccessKey: catalogue.AccessKey{AccountID: p.AccountID, PrincipalID: p.ID}, Principal: p}).PrincipalARN(),
	}
	if d.Tags == nil {
		d.Tags = map[string]string{}
	}
	policies, err := tx.PrincipalPolicies(p.ID)
	for _, policy := range policies {
		d.Policies = append(d.Policies, policy.Name)
	}
	return d, err
}

// find returns the account and the user or role; of the root, the zero Principal.
func (w Who) find(tx *catalogue.Tx) (catalogue.Account, catalogue.Principal, error) {
	account, err := findAccount(tx, w.Account)
	if err != nil || w.Kind == "" {
		return account, catalogue.Principal{}, err
	}
	p, err := tx.PrincipalNamed(account.ID, w.Kind, w.Name)
	if errors.Is(err, catalogue.ErrNotFound) {
		err = notFound("the account %s has no %s named %q", account.ID, w.Kind, w.Name)
	}
	return account, p, err
}

// Principals returns the users or roles of an account, or of all if none is given, by name.
func Principals(ctx context.Context, c config.Config, account, kind string) ([]Principal, error) {
	list := []Principal{}
	err := readCatalogue(ctx, c, func(tx *catalogue.Tx) error {
		of := func(a catalogue.Account) error {
			return pages(func(after string) ([]catalogue.Principal, error) { return tx.Principals(a.ID, kind, after, page) },
				func(p catalogue.Principal) (string, error) {
					d, err := describe(tx, p)
					list = append(list, d)
					return p.Name, err
				})
		}
		if account == "" {
			return eachAccount(tx, of)
		}
		a, err := findAccount(tx, account)
		if err != nil {
			return err
		}
		return of(a)
	})
	return list, err
}

// RemovePrincipal removes a user or role, its policies and its keys, temporary ones too.
func RemovePrincipal(ctx context.Context, c config.Config, who Who) error {
	return changeCatalogue(ctx, c, func(tx *catalogue.Tx) error {
		_, p, err := who.find(tx)
		if err != nil {
			return err
		}
		return tx.RemovePrincipal(p.ID)
	})
}

// SetPolicy gives a user or role a policy, in place of the one of that name.
func SetPolicy(ctx context.Context, c config.Config, who Who, policy PolicyText) error {
	if err := policy.validate(); err != nil {
		return err
	}
	return changeCatalogue(ctx, c, func(tx *catalogue.Tx) error {
		_, p, err := who.find(tx)
		if err != nil {
			return err
		}
		return putPolicy(tx, p, policy)
	})
}

func putPolicy(tx *catalogue.Tx, p catalogue.Principal, policy PolicyText) error {
	if err := tx.PutPrincipalPolicy(catalogue.PrincipalPolicy{PrincipalID: p.ID, Name: policy.Name, Document: policy.Document}); err != nil {
		return err
	}
	all, err := tx.PrincipalPolicies(p.ID)
	if err == nil && len(all) > maxPolicies {
		err = fmt.Errorf("the %s %q has %d policies already, which is the limit: write what they say into fewer", p.Kind, p.Name, maxPolicies)
	}
	return err
}

// Policies returns the policies of a user or role as they were set, by name.
func Policies(ctx context.Context, c config.Config, who Who) ([]PolicyText, error) {
	var list []PolicyText
	err := readCatalogue(ctx, c, func(tx *catalogue.Tx) error {
		_, p, err := who.find(tx)
		if err != nil {
			return err
		}
		policies, err := tx.PrincipalPolicies(p.ID)
		for _, policy := range policies {
			list = append(list, PolicyText{policy.Name, policy.Document})
		}
		return err
	})
	return list, err
}

// NoPolicy is the error about a policy that a user or role has not.
func NoPolicy(who Who, name string) error {
	return notFound("the %s %q has no policy named %q", who.Kind, who.Name, name)
}

// RemovePolicy removes a policy from a user or role.
func RemovePolicy(ctx context.Context, c config.Config, who Who, name string) error {
	return changeCatalogue(ctx, c, func(tx *catalogue.Tx) error {
		_, p, err := who.find(tx)
		if err != nil {
			return err
		}
		err = tx.RemovePrincipalPolicy(p.ID, name)
		if errors.Is(err, catalogue.ErrNotFound) {
			return NoPolicy(who, name)
		}
		return err
	})
}

// ReadPolicy returns a predefined policy, of its own name, or what is in a file, or in stdin for "-".
func ReadPolicy(source string, stdin io.Reader) (PolicyText, error) {
	if document, ok := access.Predefined(source); ok {
		return PolicyText{source, document}, nil
	}
	var b []byte
	var err error
	if source == "-" {
		b, err = io.ReadAll(io.LimitReader(stdin, protocol.MaxPolicy+1))
	} else {
		b, err = vfs.OS().ReadFile(source)
	}
	if err != nil {
		return PolicyText{}, fmt.Errorf("read the policy, which is a file, - for standard input, %s or %s: %w", access.ReadOnlyAccess, access.FullAccess, err)
	}
	return PolicyText{"policy", string(b)}, nil
}
