package daemon

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/store"
)

// identityFile holds in the store the name that the catalogue has too.
const identityFile = "identity"

// checkIdentity makes sure that the catalogue and the store belong together. With a catalogue that was lost and made anew, every record would look
// like one that nothing refers to, and the sweep would remove it; with a store that is not mounted, every archive would look lost.
func (s *stores) checkIdentity(ctx context.Context) error {
	ofStore, err := s.storeIdentity(ctx, s.medium)
	if err != nil {
		return err
	}
	ofRows := ""
	err = s.rows.View(ctx, func(tx *catalogue.Tx) (err error) {
		ofRows, err = tx.Identity()
		return err
	})
	if err != nil && !errors.Is(err, catalogue.ErrNotFound) {
		return err
	}
	switch {
	case ofRows == "":
		return s.newIdentity(ctx, ofStore)
	case ofStore == "":
		return s.nameIfNew(ctx, ofRows)
	case ofStore != ofRows:
		return fmt.Errorf("the store %s (%s) belongs to another catalogue than %s (%s): bring together those that belong together", s.config.StoreName(), ofStore, s.config.CatalogueName(), ofRows)
	}
	return s.checkOld(ctx, ofRows)
}

// checkOld makes sure that the store that is left, if there is one, is that of the catalogue: in an empty one, a migration would find nothing left to move.
func (s *stores) checkOld(ctx context.Context, name string) error {
	if s.next == nil {
		return nil
	}
	old, err := s.storeIdentity(ctx, s.oldMedium)
	switch {
	case err != nil:
		return fmt.Errorf("old-store: %w", err)
	case old == "":
		return fmt.Errorf("the old store %s is not the one of the catalogue %s: it has no file %q. Is its disk mounted?", s.config.Old().StoreName(), s.config.CatalogueName(), identityFile)
	case old != name:
		return fmt.Errorf("the old store %s (%s) belongs to another catalogue than %s (%s)", s.config.Old().StoreName(), old, s.config.CatalogueName(), name)
	}
	return nil
}

// storeIdentity returns the name of the store, "" if it has none.
func (s *stores) storeIdentity(ctx context.Context, m medium) (string, error) {
	b, err := m.read(ctx, identityFile)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	id, ended := strings.CutSuffix(string(b), "\n")
	if err == nil && (!ended || id == "") {
		err = fmt.Errorf("the file %q of a store is damaged: it has to hold the name of the store in a line", identityFile)
	}
	return id, err
}

// newIdentity gives a new catalogue a name, or that of its store, and then the store. A store that has records has a catalogue already. Of several nodes that start at
// once, one gives the name.
func (s *stores) newIdentity(ctx context.Context, id string) error {
	errFound := fmt.Errorf("the catalogue %s is new, but the store %s holds archives: put the catalogue back that belongs to it, make it anew with `moraine admin rebuild --replace`, or choose another data directory", s.config.CatalogueName(), s.config.StoreName())
	if err := s.bytes.Walk(ctx, func(store.Extent) error { return errFound }); err != nil {
		return err
	}
	name := id
	err := s.rows.Update(ctx, func(tx *catalogue.Tx) (err error) {
		if name, err = tx.Identity(); errors.Is(err, catalogue.ErrNotFound) {
			name = cmp.Or(id, rand.Text())
			err = tx.SetIdentity(name)
		}
		return err
	})
	if err != nil || name == id {
		return err
	}
	return s.nameStore(ctx, name)
}

// nameIfNew gives a store the name that its catalogue has, if neither has anything: a first start was interrupted. It also does if the store is empty and what is in the
// one that is left belongs to the catalogue.
func (s *stores) nameIfNew(ctx context.Context, name string) error {
	errOther := fmt.Errorf("the store %s is not the one of the catalogue %s: it has no file %q. Is its disk mounted?", s.config.StoreName(), s.config.CatalogueName(), identityFile)
	if s.next != nil {
		return s.nameNext(ctx, name, errOther)
	}
	err := s.rows.View(ctx, func(tx *catalogue.Tx) error {
		n, err := tx.CountPlaces()
		if err == nil && n > 0 {
			err = errOther
		}
		return err
	})
	if err == nil {
		err = s.bytes.Walk(ctx, func(store.Extent) error { return errOther })
	}
	if err != nil {
		return err
	}
	return s.nameStore(ctx, name)
}

// nameNext gives the store to which records are to be moved the name of the one that is left.
func (s *stores) nameNext(ctx context.Context, name string, errOther error) error {
	err := s.checkOld(ctx, name)
	if err == nil {
		err = s.next.Walk(ctx, func(store.Extent) error { return errOther })
	}
	if err != nil {
		return err
	}
	return s.nameStore(ctx, name)
}

// nameStore gives a store a name. Another node may have done it.
func (s *stores) nameStore(ctx context.Context, id string) error {
	err := s.medium.create(ctx, identityFile, []byte(id+"\n"))
	if errors.Is(err, fs.ErrExist) {
		var there string
		if there, err = s.storeIdentity(ctx, s.medium); err == nil && there != id {
			err = fmt.Errorf("the store %s belongs to another catalogue (%s) since a moment ago", s.config.StoreName(), there)
		}
	}
	if err != nil {
		return fmt.Errorf("name the store: %w", err)
	}
	return nil
}
