package api

import (
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/vault"
)

// required parses a body that has to be there.
func (c *call) required(what string) (object, error) {
	if len(c.json) == 0 {
		return nil, fault.New(fault.Missing, "Required parameter missing: %s", what)
	}
	return parseObject(c.json)
}

// policy returns the policy document in the body, a text within the JSON; nil if it is absent.
func (c *call) policy() (*string, error) {
	o, err := c.required("Policy")
	if err != nil {
		return nil, err
	}
	return o.text("Policy")
}

func setVaultAccessPolicy(c *call) (reply, error) {
	policy, err := c.policy()
	if err != nil {
		return reply{}, err
	}
	return done(c.s.Service.SetVaultAccessPolicy(c.ctx, c.vault(), policy))
}

func getVaultAccessPolicy(c *call) (reply, error) {
	return answer(c.s.Service.GetVaultAccessPolicy(c.ctx, c.vault()))
}

func deleteVaultAccessPolicy(c *call) (reply, error) {
	return done(c.s.Service.DeleteVaultAccessPolicy(c.ctx, c.vault()))
}

func setDataRetrievalPolicy(c *call) (reply, error) {
	rules, err := c.retrievalRules()
	if err != nil {
		return reply{}, err
	}
	return done(c.s.Service.SetDataRetrievalPolicy(c.ctx, c.account, rules))
}

func (c *call) retrievalRules() (rules []vault.RetrievalRule, err error) {
	o, err := c.required("Policy")
	if err != nil {
		return nil, err
	}
	policy, err := o.object("Policy")
	if err == nil && policy == nil {
		err = fault.New(fault.Missing, "Required parameter missing: Policy")
	}
	if err != nil {
		return nil, err
	}
	list, err := policy.objects("Rules")
	for _, o := range list {
		var r vault.RetrievalRule
		if r.Strategy, err = o.text("Strategy"); err != nil {
			return nil, err
		}
		if r.BytesPerHour, err = o.integer("BytesPerHour"); err != nil {
			return nil, err
		}
		rules = append(rules, r)
	}
	return rules, err
}

func getDataRetrievalPolicy(c *call) (reply, error) {
	return answer(c.s.Service.GetDataRetrievalPolicy(c.ctx, c.account))
}
