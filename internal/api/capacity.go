package api

import "github.com/moraine-archive/moraine/internal/protocol"

func purchaseProvisionedCapacity(c *call) (reply, error) {
	id, err := c.s.Service.PurchaseProvisionedCapacity(c.ctx, c.account)
	if err != nil {
		return reply{}, err
	}
	return reply{headers: []header{{protocol.HeaderCapacityID, id}}}, nil
}

func listProvisionedCapacity(c *call) (reply, error) {
	return answer(c.s.Service.ListProvisionedCapacity(c.ctx, c.account))
}
