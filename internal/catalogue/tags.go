package catalogue

// Tags returns the tags of a vault.
func (tx *Tx) Tags(vault int64) (map[string]string, error) {
	tags := map[string]string{}
	err := each(tx, func(t tag) error {
		tags[t.key] = t.value
		return nil
	}, `SELECT key, value FROM vault_tags WHERE vault_id = $1`, vault)
	return tags, err
}

type tag struct{ key, value string }

func (t *tag) fields() []any { return []any{&t.key, &t.value} }

// SetTag adds a tag to a vault, or replaces its value.
func (tx *Tx) SetTag(vault int64, key, value string) error {
	return tx.exec(`INSERT INTO vault_tags (vault_id, key, value) VALUES ($1, $2, $3) ON CONFLICT (vault_id, key) DO UPDATE SET value = excluded.value`, vault, key, value)
}

// RemoveTag removes a tag from a vault, if it has it.
func (tx *Tx) RemoveTag(vault int64, key string) error {
	return tx.exec(`DELETE FROM vault_tags WHERE vault_id = $1 AND key = $2`, vault, key)
}
