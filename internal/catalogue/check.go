package catalogue

import (
	"context"
	"errors"
)

// Integrity returns what the database engine finds wrong with its own file, nothing if all is well.
func (db *DB) Integrity(ctx context.Context) (problems []string, err error) {
	if db.engine.shared {
		return nil, nil // the server's own checks are for that (PostgreSQL: data checksums, amcheck)
	}
	err = db.View(ctx, func(tx *Tx) error {
		for _, pragma := range []string{`PRAGMA integrity_check`, `PRAGMA foreign_key_check`} {
			found, err := all[problem](tx, pragma)
			if err != nil {
				return err
			}
			for _, p := range found {
				if string(p) != "ok" {
					problems = append(problems, string(p))
				}
			}
		}
		return nil
	})
	return problems, err
}

type problem string

func (p *problem) fields() []any { return []any{(*string)(p)} }

// Miscount is a vault whose counters are not those of its archives.
type Miscount struct {
	AccountID, Name string
	Archives, Bytes int64 // as counted
	Has, HasBytes   int64 // as the vault says
}

func (m *Miscount) fields() []any {
	return []any{&m.AccountID, &m.Name, &m.Archives, &m.Bytes, &m.Has, &m.HasBytes}
}

// Miscounts counts the archives of every vault, and returns those vaults that say otherwise.
func (tx *Tx) Miscounts() ([]Miscount, error) {
	return all[Miscount](tx, `SELECT account_id, name, counted, size, archives, bytes FROM (
		SELECT v.account_id, v.name, COUNT(a.archive_id) AS counted, COALESCE(SUM(a.size), 0) AS size, v.archives, v.bytes
		FROM vaults v LEFT JOIN archives a ON a.vault_id = v.vault_id GROUP BY v.vault_id, v.account_id, v.name, v.archives, v.bytes) AS counts
		WHERE counted <> archives OR size <> bytes ORDER BY account_id, name`)
}

// Strays returns how many archives and parts belong to nothing: to no vault, or to no upload and no archive.
func (tx *Tx) Strays() (archives, parts int64, err error) {
	archives, err = scalar[int64](tx, `SELECT COUNT(*) FROM archives a WHERE NOT EXISTS (SELECT 1 FROM vaults v WHERE v.vault_id = a.vault_id)`)
	if err != nil {
		return 0, 0, err
	}
	parts, err = scalar[int64](tx, `SELECT COUNT(*) FROM parts p WHERE NOT EXISTS (SELECT 1 FROM uploads u WHERE u.upload_id = p.upload_id)
		AND NOT EXISTS (SELECT 1 FROM archives a WHERE a.upload_id = p.upload_id)
		AND NOT EXISTS (SELECT 1 FROM deleted_archives d WHERE d.upload_id = p.upload_id AND d.released = 0)`)
	return archives, parts, err
}

// CountPlaces returns how many places rows refer to.
func (tx *Tx) CountPlaces() (int64, error) {
	return scalar[int64](tx, `SELECT (SELECT COUNT(*) FROM archives) + (SELECT COUNT(*) FROM deleted_archives WHERE released = 0)
		+ (SELECT COUNT(*) FROM deleted_archives WHERE tombstone > '') + (SELECT COUNT(*) FROM parts)
		+ (SELECT COUNT(*) FROM jobs WHERE output_place IS NOT NULL) + (SELECT COUNT(*) FROM vault_locks WHERE place IS NOT NULL)`)
}

// ArchivesAfter returns up to limit archives of all vaults after an id, by id.
func (tx *Tx) ArchivesAfter(id string, limit int) ([]Archive, error) {
	return all[Archive](tx, `SELECT `+archiveColumns+` FROM archives WHERE archive_id > $1 ORDER BY archive_id LIMIT $2`, id, limit)
}

// HeldAfter returns up to limit deleted archives after an id whose bytes are still needed, by id.
func (tx *Tx) HeldAfter(id string, limit int) ([]Archive, error) {
	return all[Archive](tx, `SELECT `+archiveColumns+` FROM deleted_archives WHERE archive_id > $1 AND released = 0
		ORDER BY archive_id LIMIT $2`, id, limit)
}

// TombstonesAfter returns up to limit tombstones after an archive's id, by that id.
func (tx *Tx) TombstonesAfter(id string, limit int) ([]Tombstone, error) {
	return all[Tombstone](tx, `SELECT archive_id, tombstone, vault_id FROM deleted_archives WHERE archive_id > $1 AND tombstone > ''
		ORDER BY archive_id LIMIT $2`, id, limit)
}

// Tombstone is where the medium says that an archive was deleted.
type Tombstone struct {
	ArchiveID, Place string
	VaultID          int64
}

func (t *Tombstone) fields() []any { return []any{&t.ArchiveID, &t.Place, &t.VaultID} }

// PartsAfter returns up to limit parts of all uploads after one, by upload and offset.
func (tx *Tx) PartsAfter(upload string, first int64, limit int) ([]Part, error) {
	return all[Part](tx, `SELECT `+partColumns+` FROM parts WHERE (upload_id, first) > ($1, $2) ORDER BY upload_id, first LIMIT $3`, upload, first, limit)
}

// OutputsAfter returns up to limit jobs after an id that have an output of their own, by id.
func (tx *Tx) OutputsAfter(id string, limit int) ([]Job, error) {
	return all[Job](tx, `SELECT `+jobColumns+` FROM jobs WHERE job_id > $1 AND output_place IS NOT NULL ORDER BY job_id LIMIT $2`, id, limit)
}

// OwnerOfPart returns the archive whose bytes a part is of, or will be, and the vault.
func (tx *Tx) OwnerOfPart(upload string) (archive string, vault int64, err error) {
	o, err := one[owner](tx, `SELECT archive_id, vault_id FROM archives WHERE upload_id = $1
		UNION ALL SELECT archive_id, vault_id FROM uploads WHERE upload_id = $1
		UNION ALL SELECT archive_id, vault_id FROM deleted_archives WHERE upload_id = $1 LIMIT 1`, upload)
	if errors.Is(err, ErrNotFound) {
		return "", 0, nil
	}
	return o.archive, o.vault, err
}

type owner struct {
	archive string
	vault   int64
}

func (o *owner) fields() []any { return []any{&o.archive, &o.vault} }
