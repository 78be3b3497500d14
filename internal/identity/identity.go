// Package identity keeps who may sign requests: accounts, the users and roles in them, their policies and keys, and the sealing of secrets in the catalogue. What it changes counts at the next
// request of a server that runs.
package identity

import (
	"context"
	"errors"
	"fmt"

	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/seal"
	"github.com/moraine-archive/moraine/internal/vfs"
)

// notFound is an error about something that a command names and that does not exist.
func notFound(format string, args ...any) error {
	return fault.New(fault.NotFound, "not found: "+format, args...)
}

// wrongArgument is an error about something that cannot be right, whatever is in the catalogue.
func wrongArgument(format string, args ...any) error {
	return fault.New(fault.Invalid, format, args...)
}

// changeCatalogue runs a change on the catalogue of a configuration, which has to exist: an administrator who names the wrong directory
// should hear of it. A server that runs goes by the change from its next request on.
func changeCatalogue(ctx context.Context, c config.Config, fn func(*catalogue.Tx) error) error {
	return withCatalogue(ctx, c, func(rows *catalogue.DB) error { return rows.Update(ctx, fn) })
}

// changeSecrets is changeCatalogue for what makes secrets.
func changeSecrets(ctx context.Context, c config.Config, fn func(*catalogue.Tx, seal.Key) error) error {
	return changeCatalogue(ctx, c, func(tx *catalogue.Tx) error {
		secrets, err := secretKey(tx, vfs.OS(), c)
		if err != nil {
			return err
		}
		return fn(tx, secrets)
	})
}

func readCatalogue(ctx context.Context, c config.Config, fn func(*catalogue.Tx) error) error {
	return withCatalogue(ctx, c, func(rows *catalogue.DB) error { return rows.View(ctx, fn) })
}

func withCatalogue(ctx context.Context, c config.Config, fn func(*catalogue.DB) error) error {
	if err := HasCatalogue(c); err != nil {
		return err
	}
	rows, err := openCatalogue(ctx, c)
	if err != nil {
		return err
	}
	return errors.Join(fn(rows), rows.Close())
}

func openCatalogue(ctx context.Context, c config.Config) (*catalogue.DB, error) {
	if !c.InPostgres() {
		return catalogue.OpenSQLite(ctx, c.CataloguePath())
	}
	rows, err := catalogue.OpenPostgres(ctx, c.Catalogue, "")
	if err != nil {
		return nil, err
	}
	err = rows.View(ctx, func(tx *catalogue.Tx) error {
		n, err := tx.CountAccounts()
		if err == nil && n == 0 {
			err = fmt.Errorf("there is no account in the catalogue %s: start the server once, or name its database with --catalogue", c.CatalogueName())
		}
		return err
	})
	if err != nil {
		return nil, errors.Join(err, rows.Close())
	}
	return rows, nil
}

// HasCatalogue is an error if there is no catalogue: an administrator who names the wrong directory should hear of it.
func HasCatalogue(c config.Config) error {
	if c.InPostgres() {
		return nil // which shows when it is opened
	}
	f, err := vfs.OS().Open(c.CataloguePath())
	if err != nil {
		return fmt.Errorf("there is no catalogue at %s: start the server once, or name its directory with --data: %w", c.CataloguePath(), err)
	}
	return f.Close()
}

// page is how many rows are read at once.
const page = 500

// pages gives all rows to fn, which returns where a row is in their order.
func pages[T any](read func(after string) ([]T, error), fn func(T) (string, error)) error {
	for after := ""; ; {
		rows, err := read(after)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, row := range rows {
			if after, err = fn(row); err != nil {
				return err
			}
		}
	}
}
