package api

func createVault(c *call) (reply, error) {
	if err := c.s.Service.CreateVault(c.ctx, c.vault()); err != nil {
		return reply{}, err
	}
	return created(c.location("")), nil
}

func describeVault(c *call) (reply, error) {
	return answer(c.s.Service.DescribeVault(c.ctx, c.vault()))
}

func listVaults(c *call) (reply, error) {
	return answer(c.s.Service.ListVaults(c.ctx, c.account, c.query("limit"), c.query("marker")))
}

func deleteVault(c *call) (reply, error) {
	return done(c.s.Service.DeleteVault(c.ctx, c.vault()))
}
