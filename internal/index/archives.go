package index

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/moraine-archive/moraine/internal/names"
)

// Archive is an archive of the vault.
type Archive struct {
	ID          string
	Description string
	Created     time.Time // as the service says; of an upload that no inventory has listed yet, as this machine says
	Size        int64
	TreeHash    string // SHA-256 tree hash, 64 hexadecimal digits; empty: unknown

	Name  names.Name // what the description says about the file; what is put into the index need not have it
	Local bool       // uploaded by this machine, and in no inventory yet
}

const columns = `id_start, id_rest, path, description, created, size, tree_hash, local`

const (
	selectByPath = `SELECT ` + columns + ` FROM archives WHERE path = $1 ORDER BY created DESC, rowid DESC`
	selectByID   = `SELECT ` + columns + ` FROM archives WHERE id_start >= $1 AND id_start < $2 AND id_rest >= $3 AND id_rest < $4 ORDER BY id_start, id_rest LIMIT 2`
	selectAll    = `SELECT ` + columns + ` FROM archives WHERE path >= $1 AND path < $2 ORDER BY path, created, rowid`
)

// Add records an archive that this machine has uploaded. One that is in the index already, maybe from an inventory, stays as it is. The uploads that have become the archive are
// forgotten at the same moment: one that is remembered would be gone on with, and give the archive again after it was deleted.
func (ix *Index) Add(ctx context.Context, a Archive, uploads ...string) error {
	if a.ID == "" || a.Created.IsZero() {
		return fmt.Errorf("add an archive to the index: its id is %q, its creation date %v; both are needed", a.ID, a.Created)
	}
	r := newRow(a)
	r.local = 1
	return ix.update(ctx, func(tx *sql.Tx) error {
		for _, id := range uploads {
			if err := forgetUpload(ctx, tx, id); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM deleted WHERE id_start = $1 AND id_rest = $2`, r.idStart, r.idRest); err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, `INSERT INTO archives (`+columns+`) SELECT $1, $2, $3, $4, $5, $6, $7, $8
			WHERE NOT EXISTS (SELECT 1 FROM archives WHERE id_start = $1 AND id_rest = $2)`, r.values(nil)...)
		if err != nil {
			return err
		}
		added, err := result.RowsAffected()
		if err != nil || added == 0 {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE state SET archives = archives + 1, bytes = bytes + $1`, a.Size)
		return err
	})
}

// Delete records that this machine has deleted an archive at a time, whether or not the index knows it. Inventories go on listing it for a while; the index will not.
func (ix *Index) Delete(ctx context.Context, id string, at time.Time) error {
	start, rest := split(id)
	return ix.update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO deleted (id_start, id_rest, at) VALUES ($1, $2, $3) ON CONFLICT DO UPDATE SET at = MAX(at, excluded.at)`,
			start, rest, at.UnixMilli())
		if err != nil {
			return err
		}
		var size int64
		err = tx.QueryRowContext(ctx, `DELETE FROM archives WHERE id_start = $1 AND id_rest = $2 RETURNING size`, start, rest).Scan(&size)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE state SET archives = archives - 1, bytes = bytes - $1`, size)
		return err
	})
}

// Archives gives the archives whose paths match a pattern (see Pattern), by path, those of a path in the order of their creation. The empty pattern matches all. What
// it gives is a snapshot: changes that come while it is read do not show.
func (ix *Index) Archives(ctx context.Context, pattern string) iter.Seq2[Archive, error] {
	return func(yield func(Archive, error) bool) {
		p, err := Compile(pattern)
		if err != nil {
			yield(Archive{}, err)
			return
		}
		rows, err := ix.db.QueryContext(ctx, selectAll, p.prefix, successor(p.prefix))
		if err != nil {
			yield(Archive{}, noted(err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			var r row
			if err := rows.Scan(r.fields()...); err != nil {
				yield(Archive{}, noted(err))
				return
			}
			if p.Match(r.path) && !yield(r.archive(), nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(Archive{}, noted(err))
		}
	}
}

// ByPath returns the archives of a path, the newest first: they are the versions of a file.
func (ix *Index) ByPath(ctx context.Context, path string) ([]Archive, error) {
	return read(ix.byPath.QueryContext(ctx, path))
}

// ByID returns the archive with an id, or the only one whose id begins so. ErrNotFound and ErrAmbiguous say why there is none.
func (ix *Index) ByID(ctx context.Context, id string) (Archive, error) {
	start, rest := split(id)
	var startEnd, restEnd any = start + "\x00", successor(rest) // just after start
	if rest == "" {
		startEnd = successor(start)
	}
	found, err := read(ix.byID.QueryContext(ctx, start, startEnd, rest, restEnd))
	switch {
	case err != nil:
		return Archive{}, err
	case len(found) == 0 || id == "":
		return Archive{}, fmt.Errorf("the archive %q: %w", id, ErrNotFound)
	case len(found) > 1 && found[0].ID != id: // the id itself would come first
		return Archive{}, fmt.Errorf("the archive %q: %w", id, ErrAmbiguous)
	}
	return found[0], nil
}

// State is what is known about the vault as a whole.
type State struct {
	InventoryDate time.Time // zero: no inventory yet, the index knows no more than what this machine did
	Archives      int64
	Bytes         int64 // sum of the archives' sizes
	Local         int64 // archives of this machine that no inventory has listed yet
	Deleted       int64 // deletions by this machine that an inventory has not confirmed yet
}

// State returns what is known about the vault as a whole.
func (ix *Index) State(ctx context.Context) (State, error) {
	var s State
	err := ix.db.QueryRowContext(ctx, `SELECT inventory_at, archives, bytes, (SELECT COUNT(*) FROM archives WHERE local = 1), (SELECT COUNT(*) FROM deleted) FROM state`).
		Scan(moment{&s.InventoryDate}, &s.Archives, &s.Bytes, &s.Local, &s.Deleted)
	return s, noted(err)
}

// row is a row of the table archives.
type row struct {
	idStart, idRest string
	path            string
	description     sql.NullString
	created         int64
	size            int64
	treeHash        []byte
	local           int64
}

func newRow(a Archive) row {
	r := row{path: names.Parse(a.Description).Path, created: a.Created.UnixMilli(), size: a.Size}
	r.idStart, r.idRest = split(a.ID)
	if r.path != a.Description {
		r.description = sql.NullString{String: a.Description, Valid: true}
	}
	if r.treeHash, _ = hex.DecodeString(a.TreeHash); r.treeHash == nil {
		r.treeHash = []byte{}
	}
	return r
}

func (r *row) fields() []any {
	return []any{&r.idStart, &r.idRest, &r.path, &r.description, &r.created, &r.size, &r.treeHash, &r.local}
}

// values appends what the columns have.
func (r *row) values(to []any) []any {
	return append(to, r.idStart, r.idRest, r.path, r.description, r.created, r.size, r.treeHash, r.local)
}

func (r *row) archive() Archive {
	a := Archive{ID: r.idStart + r.idRest, Description: r.path, Created: time.UnixMilli(r.created).UTC(), Size: r.size, TreeHash: hex.EncodeToString(r.treeHash), Local: r.local != 0}
	if r.description.Valid {
		a.Description = r.description.String
	}
	a.Name = names.Parse(a.Description)
	return a
}

// read reads all rows.
func read(rows *sql.Rows, err error) ([]Archive, error) {
	if err != nil {
		return nil, noted(err)
	}
	defer rows.Close()
	var list []Archive
	for rows.Next() {
		var r row
		if err := rows.Scan(r.fields()...); err != nil {
			return nil, noted(err)
		}
		list = append(list, r.archive())
	}
	return list, noted(rows.Err())
}

// split splits an id as the columns have it.
func split(id string) (start, rest string) {
	n := min(len(id), 24)
	return id[:n], id[n:]
}

// successor is the least text that is greater than all that begin with a prefix.
func successor(prefix string) any {
	b := []byte(prefix)
	for len(b) > 0 && b[len(b)-1] == 0xff {
		b = b[:len(b)-1]
	}
	if len(b) == 0 {
		return []byte{} // blobs come after all text
	}
	b[len(b)-1]++
	return string(b)
}

// moment reads a column of milliseconds into a time; null is the zero time.
type moment struct{ t *time.Time }

func (m moment) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*m.t = time.Time{}
	case int64:
		*m.t = time.UnixMilli(v).UTC()
	default:
		return fmt.Errorf("a moment is a number of milliseconds, not %T", v)
	}
	return nil
}
