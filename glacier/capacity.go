package glacier

import (
	"context"
	"time"

	"github.com/moraine-archive/moraine/internal/protocol"
)

// PurchaseProvisionedCapacityOutput is the answer to PurchaseProvisionedCapacity.
type PurchaseProvisionedCapacityOutput struct {
	Response
	CapacityID string
}

// PurchaseProvisionedCapacity gives the account a unit of capacity for expedited retrievals, for a month. With Amazon that costs money, and cannot be cancelled. After a failure that
// leaves open whether it was done it is not tried again.
func (c *Client) PurchaseProvisionedCapacity(ctx context.Context) (*PurchaseProvisionedCapacityOutput, error) {
	h, err := c.call(ctx, request{operation: "PurchaseProvisionedCapacity", method: "POST", path: []string{"provisioned-capacity"}, ok: []int{201}, once: true}, nil)
	if err != nil {
		return nil, err
	}
	return &PurchaseProvisionedCapacityOutput{Response{requestID(h)}, h.Get(protocol.HeaderCapacityID)}, nil
}

// Capacity is a unit of provisioned capacity.
type Capacity struct {
	ID             string `json:"CapacityId"`
	StartDate      time.Time
	ExpirationDate time.Time
}

// CapacityList is the answer to ListProvisionedCapacity.
type CapacityList struct {
	Response
	Units []Capacity `json:"ProvisionedCapacityList"`
}

// ListProvisionedCapacity returns the units of capacity of the account.
func (c *Client) ListProvisionedCapacity(ctx context.Context) (*CapacityList, error) {
	l := new(CapacityList)
	h, err := c.call(ctx, request{operation: "ListProvisionedCapacity", method: "GET", path: []string{"provisioned-capacity"}, ok: []int{200}}, l)
	return answered(l, h, err)
}
