package daemon

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/identity"
	"github.com/moraine-archive/moraine/internal/seal"
	"github.com/moraine-archive/moraine/internal/vault"
)

// openSecrets returns the key of the secrets, when all of them are sealed with it.
func (s *stores) openSecrets(ctx context.Context) (key seal.Key, err error) {
	err = s.rows.Update(ctx, func(tx *catalogue.Tx) error {
		key, err = identity.OpenSecrets(tx, s.disk, s.config, s.now())
		return err
	})
	return key, err
}

// forgetPlain removes what is left of secrets that were not encrypted, after openSecrets: in unused bytes of the catalogue, and in its copies. What cannot be done now
// is done by the next start.
func (s *stores) forgetPlain(ctx context.Context) {
	var left bool
	err := s.rows.View(ctx, func(tx *catalogue.Tx) (err error) {
		left, err = tx.MayHavePlainSecrets()
		return err
	})
	if err == nil && left {
		s.log.Info("secrets of access keys are encrypted from now on: the catalogue and its copies are written anew, without those that were not")
		err = s.removePlain(ctx)
	}
	if err != nil {
		s.log.Warn("secrets that were not encrypted are still in unused bytes of the catalogue or in its copies: the next start tries again to remove them", "error", err)
	}
}

func (s *stores) removePlain(ctx context.Context) error {
	if err := s.rows.Purge(ctx); err != nil {
		return err
	}
	old, err := s.medium.copies(ctx)
	if err != nil {
		return err
	}
	if len(old) > 0 {
		if _, err := s.backup(ctx); err != nil {
			return err
		}
	}
	for _, b := range old {
		if err := s.medium.remove(ctx, b); err != nil {
			return err
		}
	}
	if err := removeIfThere(s.disk, s.medium.draft()); err != nil {
		return err
	}
	if err := s.warnOfReplaced(); err != nil {
		return err
	}
	return s.rows.Update(ctx, func(tx *catalogue.Tx) error { return tx.SetPlainSecrets(false) })
}

// warnOfReplaced names the catalogues that rebuilds have moved aside: they are the administrator's to remove.
func (s *stores) warnOfReplaced() error {
	dir, base := filepath.Split(s.config.CataloguePath())
	names, err := s.disk.List(filepath.Clean(dir))
	for _, name := range names {
		if strings.HasPrefix(name, base+replacedSuffix) {
			s.log.Warn("a catalogue that was moved aside has secrets that are not encrypted: remove it when it is not needed", "file", filepath.Join(dir, name))
		}
	}
	return err
}

// checkSecrets looks at what requests are signed and allowed by. found takes what is wrong, report what is not.
func (s *stores) checkSecrets(ctx context.Context, found func(path, format string, args ...any) error, report func(Finding) error) error {
	note := func(path, format string, args ...any) error {
		return report(Finding{Severity: vault.Note, Place: path, Problem: fmt.Sprintf(format, args...)})
	}
	return identity.Check{Rows: s.rows, Disk: s.disk, Config: s.config, Wrong: found, Note: note}.Run(ctx)
}
