package glacier

import "context"

// PolicyOutput is the answer to GetVaultAccessPolicy.
type PolicyOutput struct {
	Response
	Policy string // the document as it was set
}

// SetVaultAccessPolicy gives a vault an access policy, in place of the one that it has. policy is a JSON document.
func (c *Client) SetVaultAccessPolicy(ctx context.Context, vault, policy string) (*Response, error) {
	r, err := request{operation: "SetVaultAccessPolicy", method: "PUT", path: vaultPath(vault, "access-policy"), ok: []int{204}}.withJSON(map[string]string{"Policy": policy})
	if err != nil {
		return nil, err
	}
	return done(c.call(ctx, r, nil))
}

// GetVaultAccessPolicy returns the access policy of a vault. ErrNotFound: it has none, or there is no such vault.
func (c *Client) GetVaultAccessPolicy(ctx context.Context, vault string) (*PolicyOutput, error) {
	o := new(PolicyOutput)
	h, err := c.call(ctx, request{operation: "GetVaultAccessPolicy", method: "GET", path: vaultPath(vault, "access-policy"), ok: []int{200}}, o)
	return answered(o, h, err)
}

// DeleteVaultAccessPolicy removes the access policy of a vault, if it has one.
func (c *Client) DeleteVaultAccessPolicy(ctx context.Context, vault string) (*Response, error) {
	return done(c.call(ctx, request{operation: "DeleteVaultAccessPolicy", method: "DELETE", path: vaultPath(vault, "access-policy"), ok: []int{204}}, nil))
}

// RetrievalRule limits what an account may retrieve.
type RetrievalRule struct {
	Strategy     string // BytesPerHour, FreeTier or None
	BytesPerHour int64  `json:",omitempty"` // with the strategy BytesPerHour only
}

type retrievalRules struct {
	Policy struct{ Rules []RetrievalRule }
}

// RetrievalPolicyOutput is the answer to GetDataRetrievalPolicy.
type RetrievalPolicyOutput struct {
	Response
	Rules []RetrievalRule // one
}

// SetDataRetrievalPolicy limits what the account may retrieve in the region.
func (c *Client) SetDataRetrievalPolicy(ctx context.Context, rule RetrievalRule) (*Response, error) {
	var body retrievalRules
	body.Policy.Rules = []RetrievalRule{rule}
	r, err := request{operation: "SetDataRetrievalPolicy", method: "PUT", path: []string{"policies", "data-retrieval"}, ok: []int{204}}.withJSON(body)
	if err != nil {
		return nil, err
	}
	return done(c.call(ctx, r, nil))
}

// GetDataRetrievalPolicy returns the limit of what the account may retrieve in the region.
func (c *Client) GetDataRetrievalPolicy(ctx context.Context) (*RetrievalPolicyOutput, error) {
	var body retrievalRules
	h, err := c.call(ctx, request{operation: "GetDataRetrievalPolicy", method: "GET", path: []string{"policies", "data-retrieval"}, ok: []int{200}}, &body)
	return answered(&RetrievalPolicyOutput{Rules: body.Policy.Rules}, h, err)
}
