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

// ReplaceTags gives a vault these tags and no others.
func (tx *Tx) ReplaceTags(vault int64, tags map[string]string) error {
	if err := tx.exec(`DELETE FROM vault_tags WHERE vault_id = $1`, vault); err != nil {
		return err
	}
	for key, value := range tags {
		if err := tx.exec(`INSERT INTO vault_tags (vault_id, key, value) VALUES ($1, $2, $3)`, vault, key, value); err != nil {
			return err
		}
	}
	return nil
}
