package vault

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/moraine-archive/moraine/internal/access"
	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/protocol"
)

// checkPolicy holds the text of a policy for a vault against the language and the limits. what is "access" or "lock".
func (s *Service) checkPolicy(ref Ref, text *string, what string) error {
	if text == nil {
		return missing("Policy")
	}
	invalid := fmt.Sprintf("The specified vault %s policy is invalid. Provide a valid policy.", what)
	if len(*text) > protocol.MaxPolicy {
		return fault.New(fault.Invalid, "%s It has %d bytes, the limit is %d", invalid, len(*text), protocol.MaxPolicy)
	}
	if _, err := access.ParseVaultPolicy(*text, s.ARN(ref)); err != nil {
		return fault.New(fault.Invalid, "%s %v", invalid, err)
	}
	return nil
}

// SetVaultAccessPolicy replaces the access policy of a vault. A policy that is not valid changes nothing.
func (s *Service) SetVaultAccessPolicy(ctx context.Context, ref Ref, policy *string) error {
	if err := s.checkPolicy(ref, policy, "access"); err != nil {
		return err
	}
	return s.change(ctx, ref, protocol.SetVaultAccessPolicy, func(tx *catalogue.Tx, v catalogue.Vault) error {
		return tx.SetAccessPolicy(v.ID, *policy)
	})
}

// GetVaultAccessPolicy returns the access policy of a vault as it was set.
func (s *Service) GetVaultAccessPolicy(ctx context.Context, ref Ref) (d protocol.PolicyDocument, err error) {
	err = s.rows.View(ctx, func(tx *catalogue.Tx) error {
		v, err := s.vault(tx, ref)
		if err != nil {
			return err
		}
		text, err := tx.AccessPolicy(v.ID)
		d.Policy = &text
		return absent(err, fault.New(fault.NotFound, "No vault access policy is set for: %s", ref.Name))
	})
	return d, err
}

// DeleteVaultAccessPolicy removes the access policy of a vault, if there is one.
func (s *Service) DeleteVaultAccessPolicy(ctx context.Context, ref Ref) error {
	return s.change(ctx, ref, protocol.DeleteVaultAccessPolicy, func(tx *catalogue.Tx, v catalogue.Vault) error {
		return tx.DeleteAccessPolicy(v.ID)
	})
}

// SetDataRetrievalPolicy replaces the data retrieval policy of an account. It counts for the next retrieval.
func (s *Service) SetDataRetrievalPolicy(ctx context.Context, account string, rules []RetrievalRule) error {
	p, err := checkRetrievalPolicy(rules)
	if err != nil {
		return err
	}
	return s.rows.Update(ctx, func(tx *catalogue.Tx) error { return tx.SetRetrievalPolicy(account, p) })
}

// RetrievalRule is a rule as it was sent. Nil members are absent.
type RetrievalRule struct {
	Strategy     *string
	BytesPerHour *string // text of a JSON number without fraction
}

func checkRetrievalPolicy(rules []RetrievalRule) (p catalogue.RetrievalPolicy, err error) {
	if len(rules) == 0 {
		return p, missing("Rules")
	}
	if len(rules) > 1 {
		return p, fault.New(fault.Invalid, "Invalid Rules: there are %d, a data retrieval policy has exactly one", len(rules))
	}
	strategy, limit := rules[0].Strategy, rules[0].BytesPerHour
	switch {
	case strategy == nil:
		return p, missing("Strategy")
	case *strategy == protocol.StrategyBytesPerHour && limit == nil:
		return p, missing("BytesPerHour")
	case *strategy == protocol.StrategyBytesPerHour:
		n, err := strconv.ParseInt(*limit, 10, 64)
		if err != nil || n < 1 {
			return p, fault.New(fault.Invalid, "Invalid BytesPerHour: %s is not between 1 and 9223372036854775807", *limit)
		}
		return catalogue.RetrievalPolicy{Strategy: *strategy, BytesPerHour: &n}, nil
	case *strategy != protocol.StrategyFreeTier && *strategy != protocol.StrategyNone:
		return p, fault.New(fault.Invalid, "Invalid Strategy: %q is none of BytesPerHour, FreeTier and None", *strategy)
	case limit != nil:
		return p, fault.New(fault.Invalid, "Invalid BytesPerHour: %s: the strategy %s has none", *limit, *strategy)
	}
	return catalogue.RetrievalPolicy{Strategy: *strategy}, nil
}

// GetDataRetrievalPolicy returns the data retrieval policy of an account. Where none was set, nothing is limited.
func (s *Service) GetDataRetrievalPolicy(ctx context.Context, account string) (d protocol.DataRetrievalPolicy, err error) {
	err = s.rows.View(ctx, func(tx *catalogue.Tx) error {
		p, err := retrievalPolicy(tx, account)
		d.Policy.Rules = []protocol.DataRetrievalRule{{BytesPerHour: p.BytesPerHour, Strategy: p.Strategy}}
		return err
	})
	return d, err
}

func retrievalPolicy(tx *catalogue.Tx, account string) (catalogue.RetrievalPolicy, error) {
	p, err := tx.RetrievalPolicy(account)
	if errors.Is(err, catalogue.ErrNotFound) {
		return catalogue.RetrievalPolicy{Strategy: protocol.StrategyNone}, nil
	}
	return p, err
}
