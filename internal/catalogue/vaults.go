package catalogue

import "time"

// Vault is a vault with its counters and its notification configuration.
type Vault struct {
	ID                int64 // never used twice
	AccountID         string
	Name              string
	CreatedAt         time.Time
	Archives          int64 // live
	Bytes             int64 // live
	Changes           int64 // writes since the vault was made
	ChangedAt         time.Time
	InventoryAt       time.Time // of the last inventory; zero: none yet
	InventoryChange   int64     // Changes at that time
	InventoryArchives int64
	InventoryBytes    int64
	Topic             *string // nil: no notification configuration
	Events            *string
}

func (v *Vault) fields() []any {
	return []any{
		&v.ID, &v.AccountID, &v.Name, moment{&v.CreatedAt}, &v.Archives, &v.Bytes, &v.Changes, moment{&v.ChangedAt},
		moment{&v.InventoryAt}, &v.InventoryChange, &v.InventoryArchives, &v.InventoryBytes, &v.Topic, &v.Events,
	}
}

const vaultColumns = `vault_id, account_id, name, created_at, archives, bytes, changes, changed_at,
	inventory_at, inventory_change, inventory_archives, inventory_bytes, topic, events`

// Vault returns a vault.
func (tx *Tx) Vault(account, name string) (Vault, error) {
	return one[Vault](tx, `SELECT `+vaultColumns+` FROM vaults WHERE account_id = $1 AND name = $2`, account, name)
}

// VaultID returns the number of a vault. It is for what happens at every upload: a row of many columns takes several times as long to read.
func (tx *Tx) VaultID(account, name string) (int64, error) {
	return scalar[int64](tx, `SELECT vault_id FROM vaults WHERE account_id = $1 AND name = $2`, account, name)
}

// VaultByID returns a vault.
func (tx *Tx) VaultByID(id int64) (Vault, error) {
	return one[Vault](tx, `SELECT `+vaultColumns+` FROM vaults WHERE vault_id = $1`, id)
}

// Vaults returns up to limit vaults of an account after a name, by name.
func (tx *Tx) Vaults(account, after string, limit int) ([]Vault, error) {
	return all[Vault](tx, `SELECT `+vaultColumns+` FROM vaults WHERE account_id = $1 AND name > $2
		ORDER BY name LIMIT $3`, account, after, limit)
}

// CountVaults returns the number of vaults of an account.
func (tx *Tx) CountVaults(account string) (int64, error) {
	return scalar[int64](tx, `SELECT COUNT(*) FROM vaults WHERE account_id = $1`, account)
}

// InsertVault adds an empty vault.
func (tx *Tx) InsertVault(account, name string, at time.Time) error {
	id, err := tx.next("vault")
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO vaults (vault_id, account_id, name, created_at) VALUES ($1, $2, $3, $4)`,
		id, account, name, millis(at))
}

// DeleteVault removes a vault without archives and all rows that belong to it. Places that were still needed are released, in the order
// of ReleaseDeleted: the records that name archives first, the tombstones last.
func (tx *Tx) DeleteVault(id int64) error {
	for _, places := range []string{
		`SELECT place, 0 AS tombstone FROM deleted_archives WHERE vault_id = $1 AND released = 0`,
		`SELECT p.place AS place, 0 AS tombstone FROM parts p JOIN uploads u ON u.upload_id = p.upload_id WHERE u.vault_id = $1 AND u.state = 'open'`,
		`SELECT p.place AS place, 0 AS tombstone FROM parts p JOIN deleted_archives d ON d.upload_id = p.upload_id WHERE d.vault_id = $1`,
		`SELECT output_place AS place, 0 AS tombstone FROM jobs WHERE vault_id = $1 AND output_place IS NOT NULL`,
		`SELECT place, 0 AS tombstone FROM vault_locks WHERE vault_id = $1 AND place IS NOT NULL`,
		`SELECT tombstone AS place, 1 AS tombstone FROM deleted_archives WHERE vault_id = $1 AND tombstone > ''`,
	} {
		if err := tx.releaseAll(places, id); err != nil {
			return err
		}
	}
	for _, s := range []string{
		`DELETE FROM parts WHERE upload_id IN (SELECT upload_id FROM uploads WHERE vault_id = $1)`,
		`DELETE FROM parts WHERE upload_id IN (SELECT upload_id FROM deleted_archives WHERE vault_id = $1)`,
		`DELETE FROM uploads WHERE vault_id = $1`,
		`DELETE FROM jobs WHERE vault_id = $1`,
		`DELETE FROM deleted_archives WHERE vault_id = $1`,
		`DELETE FROM vault_policies WHERE vault_id = $1`,
		`DELETE FROM vault_locks WHERE vault_id = $1`,
		`DELETE FROM vault_tags WHERE vault_id = $1`,
		`DELETE FROM vaults WHERE vault_id = $1`,
	} {
		if err := tx.exec(s, id); err != nil {
			return err
		}
	}
	return nil
}

// change counts a write to a vault and returns its number. The date of the last one never goes back.
func (tx *Tx) change(vault int64, archives, bytes int64, at time.Time) (int64, error) {
	return scalar[int64](tx, `UPDATE vaults SET archives = archives + $2, bytes = bytes + $3, changes = changes + 1,
		changed_at = CASE WHEN changed_at > $4 THEN changed_at ELSE $4 END, pending_at = COALESCE(pending_at, $4) WHERE vault_id = $1 RETURNING changes`, vault, archives, bytes, millis(at))
}

// TakeInventory makes the present state of a vault its last inventory.
func (tx *Tx) TakeInventory(vault int64, at time.Time) error {
	return tx.exec(`UPDATE vaults SET inventory_at = $2, inventory_change = changes, inventory_archives = archives,
		inventory_bytes = bytes, pending_at = NULL WHERE vault_id = $1`, vault, millis(at))
}

// VaultsToInventory returns up to limit vaults after an id in which a change waits for an inventory since a moment.
func (tx *Tx) VaultsToInventory(since time.Time, after int64, limit int) ([]Vault, error) {
	return all[Vault](tx, `SELECT `+vaultColumns+` FROM vaults WHERE pending_at <= $1 AND vault_id > $2
		ORDER BY vault_id LIMIT $3`, millis(since), after, limit)
}
