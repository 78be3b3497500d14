package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/moraine-archive/moraine/internal/access"
	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/seal"
)

// KeyFinder returns how access keys are looked up: in the catalogue at every request, so that what another process changes counts at once. A key
// that is disabled is not found, one that has expired is.
func KeyFinder(rows *catalogue.DB, secrets seal.Key) func(context.Context, string) (access.Key, bool, error) {
	policies := new(access.Cache)
	return func(ctx context.Context, id string) (k access.Key, found bool, err error) {
		if strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r > '~' }) {
			return access.Key{}, false, nil // no key has such an id, and not every database takes the text
		}
		err = rows.View(ctx, func(tx *catalogue.Tx) error {
			k, err = findKey(tx, secrets, policies, id)
			return err
		})
		if errors.Is(err, catalogue.ErrNotFound) {
			return access.Key{}, false, nil
		}
		return k, err == nil, err
	}
}

// findKey returns the key with an id, ErrNotFound of the catalogue if there is none or it is disabled.
func findKey(tx *catalogue.Tx, secrets seal.Key, policies *access.Cache, id string) (access.Key, error) {
	s := catalogue.Signer{AccessKey: catalogue.AccessKey{ID: id}}
	var err error
	s.AccountID, s.Secret, err = tx.RootKey(id)
	if errors.Is(err, catalogue.ErrNotFound) {
		s, err = tx.Signer(id)
	}
	if err == nil && s.Disabled {
		err = catalogue.ErrNotFound
	}
	if err != nil {
		return access.Key{}, err
	}
	return keyOf(tx, secrets, policies, s)
}

// keyOf returns the key that a row describes, with who signs with it. A policy that cannot be read is an error: it might deny.
func keyOf(tx *catalogue.Tx, secrets seal.Key, policies *access.Cache, s catalogue.Signer) (k access.Key, err error) {
	if k.Secret, k.Token, err = opened(secrets, s.AccessKey); err != nil {
		return access.Key{}, err
	}
	k.Caller, k.Expires = callerOf(s), s.ExpiresAt
	if s.PrincipalID == "" {
		return k, nil
	}
	if s.Principal.ID == "" {
		return access.Key{}, fmt.Errorf("the access key %s is of a user or role with the id %s, which the catalogue does not have", s.ID, s.PrincipalID)
	}
	list, err := tx.PrincipalPolicies(s.PrincipalID)
	for _, p := range list {
		policy, err := policies.Identity(p.Document)
		if err != nil {
			return access.Key{}, fmt.Errorf("the policy %q of %s cannot be read: %w", p.Name, k.Caller.PrincipalARN(), err)
		}
		k.Caller.Policies = append(k.Caller.Policies, access.Attached{Name: p.Name, Policy: policy})
	}
	return k, err
}

// callerOf returns who signs with a key, but for policies.
func callerOf(s catalogue.Signer) access.Caller {
	c := access.Caller{
		KeyID: s.ID, Account: s.AccountID, Path: s.Principal.Path, Name: s.Principal.Name, ID: s.Principal.ID, Tags: s.Principal.Tags, Session: s.Session,
	}
	switch {
	case s.PrincipalID == "":
		c.Kind = access.Root
	case s.Principal.Kind == RoleKind:
		c.Kind = access.Role
	default:
		c.Kind = access.User
	}
	if s.Token != "" {
		c.Issued, c.MFA = s.CreatedAt, s.MFAAt
	}
	return c
}
