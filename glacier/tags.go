package glacier

import (
	"context"
	"net/url"
)

// AddTagsToVault adds up to 10 tags to a vault, or replaces their values.
func (c *Client) AddTagsToVault(ctx context.Context, vault string, tags map[string]string) (*Response, error) {
	return c.changeTags(ctx, "AddTagsToVault", vault, "add", map[string]map[string]string{"Tags": tags})
}

// RemoveTagsFromVault removes up to 10 tags from a vault. Those that it does not have are no error.
func (c *Client) RemoveTagsFromVault(ctx context.Context, vault string, keys ...string) (*Response, error) {
	return c.changeTags(ctx, "RemoveTagsFromVault", vault, "remove", map[string][]string{"TagKeys": keys})
}

func (c *Client) changeTags(ctx context.Context, operation, vault, change string, document any) (*Response, error) {
	r, err := request{operation: operation, method: "POST", path: vaultPath(vault, "tags"), query: url.Values{"operation": {change}}, ok: []int{204}}.withJSON(document)
	if err != nil {
		return nil, err
	}
	return done(c.call(ctx, r, nil))
}

// TagsOutput is the answer to ListTagsForVault.
type TagsOutput struct {
	Response
	Tags map[string]string
}

// ListTagsForVault returns the tags of a vault.
func (c *Client) ListTagsForVault(ctx context.Context, vault string) (*TagsOutput, error) {
	o := new(TagsOutput)
	h, err := c.call(ctx, request{operation: "ListTagsForVault", method: "GET", path: vaultPath(vault, "tags"), ok: []int{200}}, o)
	return answered(o, h, err)
}
