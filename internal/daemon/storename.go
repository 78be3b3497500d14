package daemon

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/vfs"
)

// identityFile holds in the store's directory the name that the catalogue has too.
const identityFile = "identity"

// checkIdentity makes sure that the catalogue and the store belong together. With a catalogue that was lost and made anew, every record would look
// like one that nothing refers to, and the sweep would remove it; with a store that is not mounted, every archive would look lost.
func checkIdentity(ctx context.Context, rows *catalogue.DB, bytes store.Store, disk vfs.FS, c config.Config) error {
	path := filepath.Join(c.StoreDir(), identityFile)
	ofStore, err := storeIdentity(disk, path)
	if err != nil {
		return err
	}
	ofRows := ""
	err = rows.View(ctx, func(tx *catalogue.Tx) (err error) {
		ofRows, err = tx.Identity()
		return err
	})
	if err != nil && !errors.Is(err, catalogue.ErrNotFound) {
		return err
	}
	switch {
	case ofRows == "":
		return newIdentity(ctx, rows, bytes, disk, c, ofStore)
	case ofStore == "":
		return fmt.Errorf("the store %s is not the one of the catalogue %s: it has no file %q. Is its disk mounted?", c.StoreDir(), c.CataloguePath(), identityFile)
	case ofStore != ofRows:
		return fmt.Errorf("the store %s (%s) belongs to another catalogue than %s (%s): bring together those that belong together", c.StoreDir(), ofStore, c.CataloguePath(), ofRows)
	}
	return nil
}

func storeIdentity(disk vfs.FS, path string) (string, error) {
	b, err := disk.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	id, ended := strings.CutSuffix(string(b), "\n")
	if err == nil && (!ended || id == "") {
		err = fmt.Errorf("the file %s is damaged: it has to hold the name of the store in a line", path)
	}
	return id, err
}

// newIdentity gives a new catalogue the name of its store. The store gets it first; it may have it from a start that was interrupted. A store
// that has records has a catalogue already.
func newIdentity(ctx context.Context, rows *catalogue.DB, bytes store.Store, disk vfs.FS, c config.Config, id string) error {
	errFound := fmt.Errorf("the catalogue %s is new, but the store %s holds archives: put the catalogue back that belongs to it, make it anew with `moraine admin rebuild --replace`, or choose another data directory", c.CataloguePath(), c.StoreDir())
	if err := bytes.Walk(ctx, func(store.Extent) error { return errFound }); err != nil {
		return err
	}
	if id == "" {
		var err error
		if id, err = nameStore(disk, c); err != nil {
			return err
		}
	}
	return rows.Update(ctx, func(tx *catalogue.Tx) error { return tx.SetIdentity(id) })
}

// nameStore gives a store a new name.
func nameStore(disk vfs.FS, c config.Config) (string, error) {
	id := rand.Text()
	if err := disk.WriteFile(filepath.Join(c.StoreDir(), identityFile), []byte(id+"\n")); err != nil {
		return "", fmt.Errorf("name the store: %w", err)
	}
	return id, nil
}
