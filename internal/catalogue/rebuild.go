package catalogue

import (
	"database/sql"
	"time"
)

// A catalogue is made again from what is on the medium: StartRebuild; AddFound for every record; IndexFound; then what makes rows of them; FinishRebuild.
// Rows that the catalogue has, from a copy, stay as far as the medium does not contradict them.

// Found is a record on the medium, with what its label says.
type Found struct {
	Place       string
	What        string
	Account     string
	Vault       string
	Archive     string
	Upload      string
	First       int64
	PartSize    int64
	Description string
	CreatedAt   time.Time // of a tombstone: of the deletion
	Size        int64
	TreeHash    []byte
	Skew        time.Duration // as in Archive
	Rank        int           // of several records that say the same, the least counts
}

func (f *Found) fields() []any {
	return []any{
		&f.Place, &f.What, &f.Account, &f.Vault, &f.Archive, &f.Upload, &f.First, &f.PartSize, &f.Description, moment{&f.CreatedAt}, &f.Size, &f.TreeHash, span{&f.Skew},
	}
}

const foundColumns = `place, what, account_id, vault, archive_id, upload_id, first, part_size, description, created_at, size, tree_hash, skew`

// run runs statements in their order.
func (tx *Tx) run(statements ...string) error {
	for _, s := range statements {
		if err := tx.exec(s); err != nil {
			return err
		}
	}
	return nil
}

// StartRebuild makes room for what is found, and forgets what the medium knows better, or nobody knows any more: jobs.
func (tx *Tx) StartRebuild() error {
	if tx.conn == nil {
		return sql.ErrTxDone
	}
	return tx.run(
		`DROP TABLE IF EXISTS found`,
		`DROP TABLE IF EXISTS known`,
		`DROP TABLE IF EXISTS known_parts`,
		`DROP TABLE IF EXISTS gone`,
		tx.conn.engine.ddl(`CREATE TABLE found (place TEXT NOT NULL PRIMARY KEY, what TEXT NOT NULL, account_id TEXT NOT NULL, vault TEXT NOT NULL, archive_id TEXT NOT NULL,
			upload_id TEXT NOT NULL, first BIGINT NOT NULL, part_size BIGINT NOT NULL, description TEXT NOT NULL, created_at BIGINT NOT NULL,
			size BIGINT NOT NULL, tree_hash BLOB NOT NULL, skew BIGINT NOT NULL, rank BIGINT NOT NULL)`),
		`CREATE TABLE known AS SELECT `+archiveColumns+` FROM archives`,
		`CREATE INDEX known_archives ON known (archive_id)`,
		`CREATE INDEX known_places ON known (place)`,
		`CREATE TABLE known_parts AS SELECT `+partColumns+` FROM parts`,
		`CREATE INDEX known_parts_of_upload ON known_parts (upload_id, first)`,
		`DELETE FROM archives`, `DELETE FROM parts`, `DELETE FROM jobs`, `DELETE FROM releases`,
		// Changes are counted anew: of those before, no inventory is left that would list what was deleted.
		`UPDATE deleted_archives SET added = 0, removed = 0, released = 1, tombstone = CASE WHEN tombstone IS NULL THEN NULL ELSE '' END`,
	)
}

// AddFound adds a record.
func (tx *Tx) AddFound(f Found) error {
	return tx.exec(`INSERT INTO found (`+foundColumns+`, rank) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		f.Place, f.What, f.Account, f.Vault, f.Archive, f.Upload, f.First, f.PartSize, f.Description, millis(f.CreatedAt), f.Size, f.TreeHash, f.Skew.Milliseconds(), f.Rank)
}

// IndexFound makes what follows fast.
func (tx *Tx) IndexFound() error {
	return tx.run(
		`CREATE INDEX found_archives ON found (archive_id, what)`,
		`CREATE INDEX found_parts ON found (upload_id, first, what)`,
		`CREATE TABLE gone AS SELECT archive_id FROM deleted_archives UNION SELECT archive_id FROM found WHERE what = 'deleted'`,
		`CREATE UNIQUE INDEX gone_archives ON gone (archive_id)`,
	)
}

// LeaveCopies forgets the records beside which there is one that says the same and has a lesser rank. They stay where they are.
func (tx *Tx) LeaveCopies() error {
	return tx.exec(`DELETE FROM found WHERE rank > 0 AND what IN ('archive', 'multipart', 'part', 'deleted') AND EXISTS (SELECT 1 FROM found g
		WHERE g.archive_id = found.archive_id AND g.what = found.what AND g.upload_id = found.upload_id AND g.first = found.first
		AND g.tree_hash = found.tree_hash AND g.created_at = found.created_at AND g.rank < found.rank)`)
}

// WasKnown reports whether the catalogue had an archive when the rebuild began.
func (tx *Tx) WasKnown(archive string) (bool, error) {
	return scalar[bool](tx, `SELECT EXISTS (SELECT 1 FROM known WHERE archive_id = $1)`, archive)
}

// KnownAt returns the archive that the catalogue had at a place when the rebuild began, as a record of which the label cannot be read.
func (tx *Tx) KnownAt(place string) (Found, error) {
	return one[Found](tx, `SELECT k.place, CASE WHEN k.upload_id IS NULL THEN 'archive' ELSE 'multipart' END, v.account_id, v.name, k.archive_id,
		COALESCE(k.upload_id, ''), 0, 0, k.description, k.created_at, k.size, k.tree_hash, k.skew FROM known k JOIN vaults v ON v.vault_id = k.vault_id WHERE k.place = $1`, place)
}

// KnownParts returns the parts that an archive had when the rebuild began, by offset, and its size and tree hash.
func (tx *Tx) KnownParts(archive, upload string) (whole Part, parts []Part, err error) {
	k, err := one[Archive](tx, `SELECT `+archiveColumns+` FROM known WHERE archive_id = $1`, archive)
	if err != nil {
		return whole, nil, err
	}
	parts, err = all[Part](tx, `SELECT `+partColumns+` FROM known_parts WHERE upload_id = $1 ORDER BY first`, upload)
	return Part{Size: k.Size, TreeHash: k.TreeHash}, parts, err
}

// FoundVault is a vault that records name and no row does.
type FoundVault struct {
	Account, Name string
	Since         time.Time // of its oldest record
}

func (v *FoundVault) fields() []any { return []any{&v.Account, &v.Name, moment{&v.Since}} }

// FoundVaults returns the vaults that have archives, parts or a lock and no row.
func (tx *Tx) FoundVaults() ([]FoundVault, error) {
	return all[FoundVault](tx, `SELECT account_id, vault, MIN(created_at) FROM found f WHERE what IN ('archive', 'multipart', 'part', 'lock')
		AND NOT EXISTS (SELECT 1 FROM vaults v WHERE v.account_id = f.account_id AND v.name = f.vault) GROUP BY account_id, vault ORDER BY account_id, vault`)
}

// FoundAccounts returns the accounts that have vaults and no row.
func (tx *Tx) FoundAccounts() (ids []string, err error) {
	err = each[accountID](tx, func(id accountID) error {
		ids = append(ids, string(id))
		return nil
	}, `SELECT DISTINCT account_id FROM vaults v WHERE NOT EXISTS (SELECT 1 FROM accounts a WHERE a.account_id = v.account_id) ORDER BY account_id`)
	return ids, err
}

type accountID string

func (a *accountID) fields() []any { return []any{(*string)(a)} }

// gone selects the archives that were deleted.
const gone = `(SELECT archive_id FROM gone)`

// absent holds for a known archive of which the medium has no record that makes it one. One of which only parts are missing is not absent.
const absent = `NOT EXISTS (SELECT 1 FROM found g WHERE g.archive_id = k.archive_id AND g.what IN ('archive', 'multipart'))`

// InsertFoundArchives makes rows of the archives that are one record each, but for those that were deleted. Of several records for one archive, which are copies, the first
// counts.
func (tx *Tx) InsertFoundArchives() error {
	return tx.exec(`INSERT INTO archives (` + archiveColumns + `)
		SELECT f.archive_id, v.vault_id, f.created_at, f.size, f.tree_hash, f.description, 0, f.place, NULL, f.skew
		FROM found f JOIN vaults v ON v.account_id = f.account_id AND v.name = f.vault
		WHERE f.what = 'archive' AND f.archive_id NOT IN ` + gone + `
		AND f.place = (SELECT MIN(g.place) FROM found g WHERE g.archive_id = f.archive_id AND g.what = 'archive')`)
}

// FoundManifests returns up to limit manifests behind a place, by place, but for those of archives that were deleted.
func (tx *Tx) FoundManifests(place string, limit int) ([]Found, error) {
	return all[Found](tx, `SELECT `+foundColumns+` FROM found WHERE what = 'multipart' AND place > $1 AND archive_id NOT IN `+gone+` ORDER BY place LIMIT $2`, place, limit)
}

// FoundPart returns the record of a part.
func (tx *Tx) FoundPart(upload string, first int64, tree []byte) (Found, error) {
	return one[Found](tx, `SELECT `+foundColumns+` FROM found WHERE upload_id = $1 AND first = $2 AND what = 'part' AND tree_hash = $3 ORDER BY place LIMIT 1`,
		upload, first, tree)
}

// RestoreLock makes a lock that was found on the medium that of its vault: for ever, as it was, with the tags that the vault had. It does nothing if the vault has a complete lock that
// was initiated later, or a later record of the same.
func (tx *Tx) RestoreLock(l Lock, tags map[string]string) error {
	has, err := tx.Lock(l.VaultID)
	if err := noRow(err); err != nil {
		return err
	}
	if err == nil && has.Place != nil && (has.LockTime.After(l.LockTime) || has.ID == l.ID && has.Number > l.Number) {
		return nil
	}
	if err := tx.exec(`DELETE FROM vault_locks WHERE vault_id = $1`, l.VaultID); err != nil {
		return err
	}
	if err := tx.InsertLock(l); err != nil {
		return err
	}
	if err := tx.CompleteLock(l.VaultID, l.ID, *l.Place, l.Settable); err != nil {
		return err
	}
	if err := tx.exec(`UPDATE vault_locks SET number = $2 WHERE vault_id = $1`, l.VaultID, l.Number); err != nil {
		return err
	}
	return tx.ReplaceTags(l.VaultID, tags)
}

// WasFound reports whether there is a record at a place.
func (tx *Tx) WasFound(place string) (bool, error) {
	return scalar[bool](tx, `SELECT EXISTS (SELECT 1 FROM found WHERE place = $1)`, place)
}

// LostPlace is the place of a part that is on no medium any more.
const LostPlace = "lost"

// InsertAssembled makes rows of an archive, its upload and its parts. An archive that is there already stays if it is younger.
func (tx *Tx) InsertAssembled(m Found, size int64, tree []byte, parts []Part) error {
	v, err := tx.Vault(m.Account, m.Vault)
	if err != nil {
		return err
	}
	if other, err := tx.Archive(m.Archive); err == nil && !m.CreatedAt.After(other.CreatedAt) {
		return nil
	}
	if err := tx.exec(`DELETE FROM archives WHERE archive_id = $1`, m.Archive); err != nil {
		return err
	}
	for _, s := range []string{`DELETE FROM uploads WHERE upload_id = $1`, `DELETE FROM parts WHERE upload_id = $1`} {
		if err := tx.exec(s, m.Upload); err != nil {
			return err
		}
	}
	for _, p := range parts {
		if err := tx.exec(`INSERT INTO parts (`+partColumns+`) VALUES ($1, $2, $3, $4, $5)`, p.UploadID, p.First, p.Size, p.TreeHash, p.Place); err != nil {
			return err
		}
	}
	u := Upload{ID: m.Upload, VaultID: v.ID, ArchiveID: m.Archive, CreatedAt: m.CreatedAt, PartSize: parts[0].Size, Description: m.Description}
	if err := tx.InsertUpload(u); err != nil {
		return err
	}
	u.State, u.EndedAt, u.Size, u.TreeHash = UploadCompleted, m.CreatedAt, size, tree
	if err := tx.EndUpload(u); err != nil {
		return err
	}
	return tx.exec(`INSERT INTO archives (`+archiveColumns+`) VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8, $9)`,
		m.Archive, v.ID, millis(m.CreatedAt), size, tree, m.Description, m.Place, m.Upload, m.Skew.Milliseconds())
}

// InsertFoundUploads makes rows of uploads that are not complete, and of their parts: of several for one offset the youngest counts.
func (tx *Tx) InsertFoundUploads(now time.Time) error {
	err := tx.run(
		`INSERT INTO uploads (upload_id, vault_id, archive_id, created_at, active_at, part_size, description, state)
			SELECT f.upload_id, v.vault_id, MIN(f.archive_id), MIN(f.created_at), MAX(f.created_at), MAX(f.part_size), MAX(f.description), 'open'
			FROM found f JOIN vaults v ON v.account_id = f.account_id AND v.name = f.vault
			WHERE f.what = 'part' AND f.part_size > 0 AND f.archive_id NOT IN `+gone+`
			AND NOT EXISTS (SELECT 1 FROM uploads u WHERE u.upload_id = f.upload_id) GROUP BY f.upload_id, v.vault_id`,
		`INSERT INTO parts (`+partColumns+`) SELECT f.upload_id, f.first, f.size, f.tree_hash, f.place
			FROM found f JOIN uploads u ON u.upload_id = f.upload_id AND u.state = 'open' WHERE f.what = 'part'
			AND f.place = (SELECT g.place FROM found g WHERE g.upload_id = f.upload_id AND g.first = f.first AND g.what = 'part'
				ORDER BY g.created_at DESC, g.place LIMIT 1)`,
		`UPDATE uploads SET revision = revision + 1 WHERE state = 'open'`,
	)
	if err != nil {
		return err
	}
	return tx.exec(`UPDATE uploads SET active_at = $1 WHERE state = 'open'`, millis(now)) // who was away may go on
}

// InsertFoundDeletions remembers the deletions that the medium or the copy knows of.
func (tx *Tx) InsertFoundDeletions() error {
	return tx.run(
		// Archives that the copy has and the medium does not: whoever deletes them again is told that they are.
		`INSERT INTO deleted_archives (`+archiveColumns+`, removed, released)
			SELECT `+archiveColumns+`, 0, 1 FROM known k WHERE `+absent+` ON CONFLICT (archive_id) DO NOTHING`,
		`INSERT INTO deleted_archives (`+archiveColumns+`, removed, released)
			SELECT f.archive_id, v.vault_id, f.created_at, 0, f.tree_hash, '', 0, '', NULL, 0, 0, 1
			FROM found f JOIN vaults v ON v.account_id = f.account_id AND v.name = f.vault WHERE f.what = 'deleted'
			ON CONFLICT (archive_id) DO NOTHING`,
		`UPDATE deleted_archives SET tombstone = f.place, deleted_at = f.created_at FROM found f
			WHERE f.what = 'deleted' AND f.archive_id = deleted_archives.archive_id`,
		`UPDATE counters SET value = value + 1 WHERE name = 'deletion'`,
		`UPDATE deleted_archives SET number = (SELECT value FROM counters WHERE name = 'deletion') WHERE tombstone > '' AND number = 0`,
	)
}

// ReleaseFound releases records that nobody needs: outputs of jobs, what belongs to archives that were deleted, and copies. Others that no row refers to are left for the sweep.
func (tx *Tx) ReleaseFound() error {
	const unused = `NOT EXISTS (SELECT 1 FROM archives a WHERE a.archive_id = f.archive_id AND a.place = f.place)
		AND NOT EXISTS (SELECT 1 FROM parts p WHERE p.upload_id = f.upload_id AND p.first = f.first AND p.place = f.place)
		AND NOT EXISTS (SELECT 1 FROM deleted_archives d WHERE d.archive_id = f.archive_id AND d.tombstone = f.place)`
	for i, places := range []string{
		`SELECT place, 0 AS tombstone FROM found f WHERE what = 'output' AND $1 = 0`,
		`SELECT place, 0 AS tombstone FROM found f WHERE what IN ('archive', 'multipart', 'part') AND archive_id IN ` + gone + ` AND ` + unused + ` AND $1 = 1`,
		`SELECT place, 0 AS tombstone FROM found f WHERE what IN ('archive', 'multipart') AND ` + unused + ` AND $1 = 2
			AND EXISTS (SELECT 1 FROM archives a WHERE a.archive_id = f.archive_id AND a.created_at = f.created_at)`,
		`SELECT place, 0 AS tombstone FROM found f WHERE what = 'part' AND ` + unused + ` AND $1 = 3
			AND EXISTS (SELECT 1 FROM parts p WHERE p.upload_id = f.upload_id AND p.first = f.first AND p.tree_hash = f.tree_hash)`,
		`SELECT place, 1 AS tombstone FROM found f WHERE what = 'deleted' AND ` + unused + ` AND $1 = 4`,
	} {
		if err := tx.releaseAll(places, i); err != nil {
			return err
		}
	}
	return nil
}

// CountVaultsAgain gives the vaults the counters of their archives, and the archives their numbers. pending_at is that of the first change, so that an inventory is taken
// in time.
func (tx *Tx) CountVaultsAgain() error {
	return tx.run(
		`UPDATE archives SET added = r.number FROM (SELECT archive_id, ROW_NUMBER() OVER (PARTITION BY vault_id ORDER BY created_at, archive_id) AS number
			FROM archives) AS r WHERE r.archive_id = archives.archive_id`,
		`UPDATE vaults SET archives = 0, bytes = 0, changes = CASE WHEN changes > 0 THEN 1 ELSE 0 END`,
		`UPDATE vaults SET archives = c.archives, bytes = c.bytes, changes = c.archives + 1, changed_at = CASE WHEN changed_at > c.last THEN changed_at ELSE c.last END
			FROM (SELECT vault_id, COUNT(*) AS archives, SUM(size) AS bytes, MAX(created_at) AS last FROM archives GROUP BY vault_id) AS c WHERE c.vault_id = vaults.vault_id`,
		`UPDATE vaults SET changes = archives + 1, changed_at = CASE WHEN changed_at > c.last THEN changed_at ELSE c.last END
			FROM (SELECT vault_id, MAX(deleted_at) AS last FROM deleted_archives WHERE deleted_at IS NOT NULL GROUP BY vault_id) AS c WHERE c.vault_id = vaults.vault_id`,
		`UPDATE vaults SET inventory_change = CASE WHEN inventory_at IS NULL THEN 0 ELSE changes END, pending_at = CASE WHEN changes > 0 THEN changed_at END,
			inventory_archives = CASE WHEN inventory_at IS NULL THEN 0 ELSE archives END, inventory_bytes = CASE WHEN inventory_at IS NULL THEN 0 ELSE bytes END`,
	)
}

// RebuildCounts is what a rebuild has made, and what it could not.
type RebuildCounts struct {
	Archives   int64 // that exist
	Bytes      int64
	Vaults     int64
	Uploads    int64 // that are not complete, and can be continued
	Deleted    int64 // archives that are remembered as deleted
	Missing    int64 // archives that the copy of the catalogue has, the medium has not, and no tombstone tells of
	Incomplete int64 // multipart archives with parts that are missing
	Strays     int64 // parts of uploads of which nothing else is known
}

func (c *RebuildCounts) fields() []any {
	return []any{&c.Archives, &c.Bytes, &c.Vaults, &c.Uploads, &c.Deleted, &c.Missing, &c.Incomplete, &c.Strays}
}

// CountRebuilt counts.
func (tx *Tx) CountRebuilt() (RebuildCounts, error) {
	return one[RebuildCounts](tx, `SELECT (SELECT COUNT(*) FROM archives), (SELECT COALESCE(SUM(size), 0) FROM archives), (SELECT COUNT(*) FROM vaults),
		(SELECT COUNT(*) FROM uploads WHERE state = 'open'), (SELECT COUNT(*) FROM deleted_archives),
		(SELECT COUNT(*) FROM known k WHERE `+absent+` AND NOT EXISTS (SELECT 1 FROM found f WHERE f.archive_id = k.archive_id AND f.what = 'deleted')),
		(SELECT COUNT(DISTINCT a.archive_id) FROM archives a JOIN parts p ON p.upload_id = a.upload_id AND p.place = '`+LostPlace+`'),
		(SELECT COUNT(*) FROM found f WHERE what = 'part' AND archive_id NOT IN `+gone+`
			AND NOT EXISTS (SELECT 1 FROM uploads u WHERE u.upload_id = f.upload_id))`)
}

// MissingArchives returns up to limit of those archives that RebuildCounts counts as Missing, after an id.
func (tx *Tx) MissingArchives(after string, limit int) ([]Archive, error) {
	return all[Archive](tx, `SELECT `+archiveColumns+` FROM known k WHERE archive_id > $1 AND `+absent+`
		AND NOT EXISTS (SELECT 1 FROM found f WHERE f.archive_id = k.archive_id AND f.what = 'deleted') ORDER BY archive_id LIMIT $2`, after, limit)
}

// FinishRebuild removes what only the rebuild needed.
func (tx *Tx) FinishRebuild() error {
	return tx.run(`DROP TABLE found`, `DROP TABLE known`, `DROP TABLE known_parts`, `DROP TABLE gone`)
}
