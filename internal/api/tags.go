package api

func addTagsToVault(c *call) (reply, error) {
	o, err := c.required("Tags")
	if err != nil {
		return reply{}, err
	}
	tags, err := o.textMap("Tags")
	if err != nil {
		return reply{}, err
	}
	return done(c.s.Service.AddTagsToVault(c.ctx, c.vault(), tags))
}

func listTagsForVault(c *call) (reply, error) {
	return answer(c.s.Service.ListTagsForVault(c.ctx, c.vault()))
}

func removeTagsFromVault(c *call) (reply, error) {
	o, err := c.required("TagKeys")
	if err != nil {
		return reply{}, err
	}
	keys, err := o.texts("TagKeys")
	if err != nil {
		return reply{}, err
	}
	return done(c.s.Service.RemoveTagsFromVault(c.ctx, c.vault(), keys))
}
