package vault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moraine-archive/moraine/internal/access"
	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/protocol"
)

// Resource returns the name that policies have for what an operation works on.
func (s *Service) Resource(op protocol.Operation, ref Ref) string {
	switch op.Resource {
	case "":
		if len(ref.Name) > protocol.MaxVaultName { // no vault has such a name, and to compare it could take long
			ref.Name = ref.Name[:protocol.MaxVaultName]
		}
		return s.ARN(ref)
	case "*":
		return op.Resource
	}
	return fmt.Sprintf("arn:aws:glacier:%s:%s:%s", s.settings.Region, ref.Account, op.Resource)
}

// Asked is a request on which it is to be decided: who asks, and for what.
type Asked struct {
	access.Request        // Caller, Connection, Operation, Account and Resource
	Vault          string // name of the vault as it was sent, if the operation is about one
	Archive        string // id of the archive, if the operation is about one
}

// Authorise decides on a request. Whether the vault exists plays no part, but for what its policies say. What it returns says all that the decision was made on.
func (s *Service) Authorise(ctx context.Context, a Asked) (Asked, access.Decision, error) {
	var d access.Decision
	err := s.rows.View(ctx, func(tx *catalogue.Tx) (err error) {
		d, err = s.decide(tx, &a)
		return err
	})
	return a, d, err
}

// decide looks up what the decision depends on, and has it made.
func (s *Service) decide(tx *catalogue.Tx, a *Asked) (access.Decision, error) {
	a.Now, a.LockTime = s.now(), s.times.LockTime()
	a.Access, a.Lock, a.Tags, a.Age = nil, nil, nil, nil
	if !a.Operation.ForIdentities() && legalVaultName(a.Vault) {
		rules, err := tx.Rules(a.Account, a.Vault)
		if err == nil {
			err = s.lookUpRules(tx, rules, a)
		}
		if err != nil && !errors.Is(err, catalogue.ErrNotFound) {
			return access.Decision{}, err
		}
	}
	return access.Decide(a.Request), nil
}

// lookUpRules fills in what a vault has to say.
func (s *Service) lookUpRules(tx *catalogue.Tx, r catalogue.Rules, a *Asked) (err error) {
	arn := s.ARN(Ref{a.Account, a.Vault})
	if r.Access != nil {
		if a.Access, err = s.policies.Vault(*r.Access, arn); err != nil {
			return fmt.Errorf("the access policy of %s in the catalogue cannot be used: %w", arn, err)
		}
	}
	if r.Lock != nil && (r.Place != nil || !s.lockOver(r.LockedAt, r.LockTime)) {
		if a.Lock, err = s.policies.Vault(*r.Lock, arn); err != nil {
			return fmt.Errorf("the lock policy of %s in the catalogue cannot be used: %w", arn, err)
		}
	}
	if a.Access == nil && a.Lock == nil && len(a.Caller.Policies) == 0 {
		return nil // nobody asks for more
	}
	if a.Operation.Facts&protocol.TagFacts != 0 {
		if a.Tags, err = tx.Tags(r.VaultID); err != nil {
			return err
		}
	}
	if a.Operation.Facts&protocol.AgeFacts != 0 && a.Archive != "" && printable(a.Archive) {
		archive, err := tx.Archive(a.Archive)
		if err == nil && archive.VaultID == r.VaultID {
			age := s.age(archive)
			a.Age = &age
		}
		return err // ErrNotFound: it has no age
	}
	return nil
}

// age returns how many whole days of lock time an archive has been kept.
func (s *Service) age(a catalogue.Archive) int64 {
	return max(0, int64(s.times.LockTime().Sub(a.CreatedAt.Add(-a.Skew))/(24*time.Hour)))
}

type askedKey struct{}

// WithAsked returns a context for the methods that carry a request out.
func WithAsked(ctx context.Context, a Asked) context.Context {
	return context.WithValue(ctx, askedKey{}, a)
}

// permit decides again, inside the transaction that changes something: between the first decision and this one a lock may have been put on the vault, or a
// tag. Without a request in the context it is the root of the account that asks, so that a lock holds whoever calls.
func (s *Service) permit(ctx context.Context, tx *catalogue.Tx, ref Ref, operation, archive string) error {
	a, ok := ctx.Value(askedKey{}).(Asked)
	if !ok || a.Operation.Name != operation {
		op, known := protocol.OperationNamed(operation)
		if !known {
			return fmt.Errorf("there is no operation %q", operation)
		}
		root := access.Caller{Account: ref.Account, Kind: access.Root}
		a = Asked{Request: access.Request{Caller: root, Operation: op, Resource: s.Resource(op, ref)}}
	}
	a.Account, a.Vault, a.Archive = ref.Account, ref.Name, archive
	d, err := s.decide(tx, &a)
	if err == nil && !d.Allowed {
		err = d.Refusal(a.Request)
	}
	return err
}

// change makes a change to what belongs to a vault, if the request may.
func (s *Service) change(ctx context.Context, ref Ref, operation string, fn func(*catalogue.Tx, catalogue.Vault) error) error {
	return s.rows.Update(ctx, func(tx *catalogue.Tx) error {
		v, err := s.vault(tx, ref)
		if err != nil {
			return err
		}
		if err := s.permit(ctx, tx, ref, operation, ""); err != nil {
			return err
		}
		return fn(tx, v)
	})
}
