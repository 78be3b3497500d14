package api

import "github.com/moraine-archive/moraine/internal/protocol"

func initiateVaultLock(c *call) (reply, error) {
	policy, err := c.policy()
	if err != nil {
		return reply{}, err
	}
	id, err := c.s.Service.InitiateVaultLock(c.ctx, c.vault(), policy)
	if err != nil {
		return reply{}, err
	}
	return reply{headers: []header{{protocol.HeaderLockID, id}}}, nil
}

func getVaultLock(c *call) (reply, error) {
	return answer(c.s.Service.GetVaultLock(c.ctx, c.vault()))
}

func completeVaultLock(c *call) (reply, error) {
	return done(c.s.Service.CompleteVaultLock(c.ctx, c.vault(), c.path["lockId"]))
}

func abortVaultLock(c *call) (reply, error) {
	return done(c.s.Service.AbortVaultLock(c.ctx, c.vault()))
}
