package catalogue

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
)

//go:embed schema
var schemas embed.FS // read only

// migrateAlone is migrate while no other node does it.
func migrateAlone(ctx context.Context, writer *connections) error {
	if writer.engine.lock == "" {
		return migrate(ctx, writer)
	}
	c, _, err := writer.take(ctx)
	if err != nil {
		return err
	}
	defer c.close() // and the lock goes with it, if unlock fails
	if err := c.run(writer.engine.lock); err != nil {
		return err
	}
	return errors.Join(migrate(ctx, writer), c.run(writer.engine.unlock))
}

// migrate brings the schema up to date: it runs the numbered files that were not run yet, in their order, each in a
// transaction of its own. There is no way back.
func migrate(ctx context.Context, writer *connections) error {
	files, err := fs.Glob(schemas, "schema/"+writer.engine.name+"/*.sql") // sorted by name
	if err != nil {
		return err
	}
	err = migration(ctx, writer, func(tx *Tx) error {
		return tx.exec(`CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL PRIMARY KEY)`)
	})
	if err != nil {
		return err
	}
	for i, file := range files {
		if err := apply(ctx, writer, int64(i+1), file); err != nil {
			return fmt.Errorf("schema %s: %w", file, err)
		}
	}
	return migration(ctx, writer, func(tx *Tx) error { return checkVersion(tx, len(files)) })
}

// migration runs fn in a transaction of its own.
func migration(ctx context.Context, writer *connections, fn func(*Tx) error) error {
	return writer.change(ctx, func(c *connection) error {
		return c.lend(&Tx{ctx: ctx, brief: context.WithoutCancel(ctx), long: ctx}, fn)
	}, (*connection).commit)
}

func apply(ctx context.Context, writer *connections, version int64, file string) error {
	text, err := schemas.ReadFile(file)
	if err != nil {
		return err
	}
	return migration(ctx, writer, func(tx *Tx) error {
		done, err := scalar[int64](tx, `SELECT COUNT(*) FROM schema_version WHERE version = $1`, version)
		if err != nil || done > 0 {
			return err
		}
		if _, err := tx.conn.conn.ExecContext(tx.brief, string(text)); err != nil { // not prepared, for it is many statements
			return tx.note(err)
		}
		return tx.exec(`INSERT INTO schema_version (version) VALUES ($1)`, version)
	})
}

// checkVersion refuses a catalogue that a later program has changed.
func checkVersion(tx *Tx, known int) error {
	newest, err := scalar[int](tx, `SELECT COALESCE(MAX(version), 0) FROM schema_version`)
	if err != nil {
		return err
	}
	if newest > known {
		return fmt.Errorf("the catalogue has schema version %d, this program knows up to %d: use the newer program", newest, known)
	}
	return nil
}
