package glacier

import "context"

// NotificationConfiguration says which topic is told of which jobs of a vault.
type NotificationConfiguration struct {
	Response `json:"-"`
	SNSTopic string   // ARN
	Events   []string // ArchiveRetrievalCompleted, InventoryRetrievalCompleted
}

// SetVaultNotifications replaces the notification configuration of a vault.
func (c *Client) SetVaultNotifications(ctx context.Context, vault string, n NotificationConfiguration) (*Response, error) {
	r, err := request{operation: "SetVaultNotifications", method: "PUT", path: vaultPath(vault, "notification-configuration"), ok: []int{204}}.withJSON(n)
	if err != nil {
		return nil, err
	}
	return done(c.call(ctx, r, nil))
}

// GetVaultNotifications returns the notification configuration of a vault. ErrNotFound: it has none, or there is no such vault.
func (c *Client) GetVaultNotifications(ctx context.Context, vault string) (*NotificationConfiguration, error) {
	n := new(NotificationConfiguration)
	h, err := c.call(ctx, request{operation: "GetVaultNotifications", method: "GET", path: vaultPath(vault, "notification-configuration"), ok: []int{200}}, n)
	return answered(n, h, err)
}

// DeleteVaultNotifications removes the notification configuration of a vault, if it has one.
func (c *Client) DeleteVaultNotifications(ctx context.Context, vault string) (*Response, error) {
	return done(c.call(ctx, request{operation: "DeleteVaultNotifications", method: "DELETE", path: vaultPath(vault, "notification-configuration"), ok: []int{204}}, nil))
}
