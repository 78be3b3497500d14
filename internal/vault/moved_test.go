package vault

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/notify"
)

// TestAfterTheMove has a server go on whose catalogue was moved: others work on the store by now, and what its own catalogue says is old. It sends nothing, writes nothing and removes nothing.
func TestAfterTheMove(t *testing.T) {
	o := newOutbox(t, Defaults())
	o.announce(t, restores)
	o.start(t, JobParameters{Type: new("inventory-retrieval")})
	over := o.upload(t) // its part is old, and no row refers to it: a sweep would remove it
	o.part(t, over, 0, []byte("a"))
	o.part(t, over, 0, []byte("b"))
	o.clock.move(48 * time.Hour)
	to, err := catalogue.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "other.db"))
	check(t, err)
	defer to.Close()
	_, err = catalogue.Move(t.Context(), o.rows, to, func(catalogue.Transferred) {})
	check(t, err)
	before := o.kinds(t)
	for what, do := range map[string]func() error{
		"a delivery": func() error {
			_, err := o.Deliver(t.Context(), func(context.Context, notify.Notice) error {
				t.Error("a message is sent")
				return nil
			})
			return err
		},
		"an inventory": func() error {
			o.store.beforePut(func(l label) error {
				t.Errorf("a record is written: %+v", l)
				return nil
			})
			_, err := o.FinishJobs(t.Context(), Inventories)
			return err
		},
		"a sweep": func() error {
			_, err := o.Sweep(t.Context())
			return err
		},
		"a release": func() error { return o.Release(t.Context()) },
	} {
		if err := do(); !errors.Is(err, catalogue.ErrMoved) {
			t.Errorf("%s ends with %v", what, err)
		}
	}
	if after := o.kinds(t); after != before {
		t.Errorf("the store has %s, and had %s", after, before)
	}
}

// TestPlaceOfAnotherStore reads an archive that is in a store which this server was not told of, in the middle of a move: that is no mistake of the client, and its answer names no place.
func TestPlaceOfAnotherStore(t *testing.T) {
	h := newHouse(t, onDisk, Defaults())
	id := h.archive(t, []byte("x"))
	job := h.job(t, id)
	check(t, h.rows.Update(t.Context(), func(tx *catalogue.Tx) error {
		w, err := tx.WhereArchive(id)
		check(t, err)
		return tx.MoveArchive(id, w.Place, "0000018df458bddb-0001-5a015a025a035a045a055a06:0")
	}))
	o, err := h.GetJobOutput(t.Context(), h.ref, job)
	check(t, err)
	_, err = o.Open(t.Context(), 0, 0)
	wantFault(t, "an archive in another store", err, fault.Internal)
}
