package catalogue

// SetNotifications replaces the notification configuration of a vault; nil removes it.
func (tx *Tx) SetNotifications(vault int64, topic, events *string) error {
	return tx.execOne(`UPDATE vaults SET topic = $2, events = $3 WHERE vault_id = $1`, vault, topic, events)
}
