package glacier

import (
	"context"
	"time"

	"github.com/moraine-archive/moraine/internal/protocol"
)

// InitiateVaultLockOutput is the answer to InitiateVaultLock.
type InitiateVaultLockOutput struct {
	Response
	LockID string
}

// InitiateVaultLock puts a lock policy on a vault, in force at once. It ends after 24 hours unless CompleteVaultLock makes it permanent: that is the time to test it. policy is a JSON document.
//
// After a failure that leaves open whether it was done it is not tried again (MayHaveSucceeded). If GetVaultLock then knows of a lock, only the answer had its id: AbortVaultLock takes it off.
func (c *Client) InitiateVaultLock(ctx context.Context, vault, policy string) (*InitiateVaultLockOutput, error) {
	r, err := request{operation: "InitiateVaultLock", method: "POST", path: vaultPath(vault, "lock-policy"), ok: []int{201}, once: true}.withJSON(map[string]string{"Policy": policy})
	if err != nil {
		return nil, err
	}
	h, err := c.call(ctx, r, nil)
	if err != nil {
		return nil, err
	}
	return &InitiateVaultLockOutput{Response{requestID(h)}, h.Get(protocol.HeaderLockID)}, nil
}

// VaultLock is the lock of a vault.
type VaultLock struct {
	Response
	Policy         string
	State          string    // InProgress or Locked
	CreationDate   time.Time // of the initiation
	ExpirationDate time.Time // zero: it is permanent
}

// GetVaultLock returns the lock of a vault. ErrNotFound: it has none, or there is no such vault.
func (c *Client) GetVaultLock(ctx context.Context, vault string) (*VaultLock, error) {
	l := new(VaultLock)
	h, err := c.call(ctx, request{operation: "GetVaultLock", method: "GET", path: vaultPath(vault, "lock-policy"), ok: []int{200}}, l)
	return answered(l, h, err)
}

// CompleteVaultLock makes a lock permanent: it can never be changed or removed. It can be repeated.
func (c *Client) CompleteVaultLock(ctx context.Context, vault, lock string) (*Response, error) {
	return done(c.call(ctx, request{operation: "CompleteVaultLock", method: "POST", path: vaultPath(vault, "lock-policy", lock), ok: []int{204}}, nil))
}

// AbortVaultLock takes a lock off a vault that is not permanent.
func (c *Client) AbortVaultLock(ctx context.Context, vault string) (*Response, error) {
	return done(c.call(ctx, request{operation: "AbortVaultLock", method: "DELETE", path: vaultPath(vault, "lock-policy"), ok: []int{204}}, nil))
}
