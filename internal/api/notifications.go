package api

import "github.com/moraine-archive/moraine/internal/protocol"

func setVaultNotifications(c *call) (reply, error) {
	o, err := c.required("Vault notification configuration")
	if err != nil {
		return reply{}, err
	}
	var config protocol.NotificationConfiguration
	if config.SNSTopic, err = o.text("SNSTopic"); err != nil {
		return reply{}, err
	}
	if config.Events, err = o.texts("Events"); err != nil {
		return reply{}, err
	}
	return done(c.s.Service.SetVaultNotifications(c.ctx, c.vault(), config))
}

func getVaultNotifications(c *call) (reply, error) {
	return answer(c.s.Service.GetVaultNotifications(c.ctx, c.vault()))
}

func deleteVaultNotifications(c *call) (reply, error) {
	return done(c.s.Service.DeleteVaultNotifications(c.ctx, c.vault()))
}
