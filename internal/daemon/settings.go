package daemon

import (
	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/vault"
)

// settings returns the figures of the behaviour that was chosen, with those that are set by themselves.
func settings(c config.Config) (vault.Settings, error) {
	s := vault.Defaults()
	if c.Emulate == "glacier" {
		s = vault.Glacier()
	}
	s.Region = c.Region
	for into, text := range map[*vault.Range]string{
		&s.Expedited: c.Expedited, &s.Standard: c.Standard, &s.Bulk: c.Bulk, &s.InventoryRetrieval: c.Inventory,
	} {
		if text == "" {
			continue
		}
		least, most, err := config.ParseRange(text)
		if err != nil {
			return s, err
		}
		*into = vault.Range{Min: least, Max: most}
	}
	override(&s.InventoryInterval, c.InventoryInterval)
	override(&s.VaultPage, c.VaultPage)
	override(&s.Page, c.Page)
	override(&s.MaxVaults, c.MaxVaults)
	override(&s.JobExpiry, c.JobExpiry)
	override(&s.RepeatWindow, c.RepeatWindow)
	override(&s.IdleUpload, c.IdleUpload)
	override(&s.LockWindow, c.LockWindow)
	override(&s.FreeTier, int64(c.FreeTier))
	override(&s.NoticeGiveUp, c.NotifyGiveUp)
	s.ExpeditedLimit, s.Settable = c.ExpeditedLimit, c.Clock
	override(&s.LongestRequest, c.LongestRequest)
	override(&s.KeepOrphans, c.KeepOrphans)
	s.CompactShare = float64(c.CompactShare) / 100
	return s, nil
}

// override replaces a figure by one that is set.
func override[T comparable](figure *T, set T) {
	var zero T
	if set != zero {
		*figure = set
	}
}
