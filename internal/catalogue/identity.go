package catalogue

// Identity returns the name that the catalogue shares with its store, ErrNotFound before SetIdentity.
func (tx *Tx) Identity() (string, error) {
	return scalar[string](tx, `SELECT id FROM identity`)
}

// SetIdentity gives the catalogue its name, once.
func (tx *Tx) SetIdentity(id string) error {
	return tx.exec(`INSERT INTO identity (id) VALUES ($1)`, id)
}

// ReplaceIdentity gives the catalogue a name in place of the one that it may have.
func (tx *Tx) ReplaceIdentity(id string) error {
	if err := tx.exec(`DELETE FROM identity`); err != nil {
		return err
	}
	return tx.SetIdentity(id)
}
