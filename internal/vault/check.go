package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
)

// Checked is what a check went through.
type Checked struct {
	Rows    int64 `json:"rows"`    // that refer to a record
	Records int64 `json:"records"` // in the store
	Volumes int   `json:"volumes"`
	Bytes   int64 `json:"bytes"` // of payload that were read
	Wrong   int   `json:"wrong"`
	Notes   int   `json:"notes"`
}

// Inspection is how a check or a scrub goes about it.
type Inspection struct {
	Data     bool                                   // read every byte, not only what describes the records
	Pace     func(ctx context.Context, n int) error // called before n bytes are read; nil: no limit
	Progress func(what string, done, total int64)   // nil: nobody wants to know
	Report   func(Finding) error                    // called for everything that is found
}

// Check holds the catalogue against the store: every row that refers to a record against the record, every record against the row that it names,
// the counters of the vaults against their archives. It may run beside everything else: what changes meanwhile is looked at again.
func (s *Service) Check(ctx context.Context, in Inspection) (Checked, error) {
	c := &checker{Inspection: in, ctx: ctx, s: s}
	for _, step := range []func() error{c.engine, c.counters, c.archives, c.held, c.tombstones, c.parts, c.outputs, c.locks, c.volumes} {
		if err := step(); err != nil {
			return c.done, err
		}
	}
	return c.done, nil
}

type checker struct {
	Inspection
	ctx   context.Context
	s     *Service
	done  Checked
	total int64         // rows
	refs  map[int64]Ref // vaults by their number in the catalogue
}

func (c *checker) report(f Finding) error {
	if f.Severity == Wrong {
		c.done.Wrong++
	} else {
		c.done.Notes++
	}
	return c.Report(f)
}

func (c *checker) progress(what string, done, total int64) {
	if c.Progress != nil {
		c.Progress(what, done, total)
	}
}

func (c *checker) view(fn func(*catalogue.Tx) error) error { return c.s.rows.View(c.ctx, fn) }

// engine asks the database about itself.
func (c *checker) engine() error {
	c.progress("database", 0, 0)
	problems, err := c.s.rows.Integrity(c.ctx)
	if err != nil {
		return err
	}
	for _, p := range problems {
		if err := c.report(Finding{Severity: Wrong, Problem: "the catalogue is damaged: " + p}); err != nil {
			return err
		}
	}
	return nil
}

// counters counts what the vaults count.
func (c *checker) counters() error {
	var wrong []catalogue.Miscount
	var archives, parts int64
	err := c.view(func(tx *catalogue.Tx) (err error) {
		if wrong, err = tx.Miscounts(); err != nil {
			return err
		}
		if archives, parts, err = tx.Strays(); err != nil {
			return err
		}
		c.total, err = tx.CountPlaces()
		return err
	})
	if err != nil {
		return err
	}
	for _, m := range wrong {
		f := Finding{Severity: Wrong, Account: m.AccountID, Vault: m.Name, Problem: fmt.Sprintf(
			"the vault says that it has %d archives with %d bytes, and has %d with %d", m.Has, m.HasBytes, m.Archives, m.Bytes)}
		if err := c.report(f); err != nil {
			return err
		}
	}
	if archives > 0 || parts > 0 {
		return c.report(Finding{Severity: Wrong, Problem: fmt.Sprintf("%d archives belong to no vault and %d parts to nothing", archives, parts)})
	}
	return nil
}

// reference is a row that refers to a record, and what the record should be.
type reference struct {
	place string
	kind  store.Kind
	label label
	size  int64         // -1: the row does not say
	tree  []byte        // nil: the row does not say
	at    int64         // date in milliseconds; 0: the row does not say
	skew  time.Duration // of that
	again finder
}

// eachRow gives rows to do, a batch at a time. after returns those that follow one in their order; the zero row is before the first.
func eachRow[T any](view func(func(*catalogue.Tx) error) error, after func(tx *catalogue.Tx, last T, limit int) ([]T, error), do func(T) error) error {
	var last T
	for {
		var rows []T
		err := view(func(tx *catalogue.Tx) (err error) {
			rows, err = after(tx, last, batch)
			return err
		})
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := do(row); err != nil {
				return err
			}
			last = row
		}
		if len(rows) < batch {
			return nil
		}
	}
}

func (c *checker) archives() error { return c.archiveRows((*catalogue.Tx).ArchivesAfter) }
func (c *checker) held() error     { return c.archiveRows((*catalogue.Tx).HeldAfter) }

func (c *checker) archiveRows(after func(*catalogue.Tx, string, int) ([]catalogue.Archive, error)) error {
	return eachRow(c.view, func(tx *catalogue.Tx, last catalogue.Archive, limit int) ([]catalogue.Archive, error) {
		return after(tx, last.ID, limit)
	}, c.archive)
}

// archive holds the row of an archive against its record, and against the rows of its parts.
func (c *checker) archive(a catalogue.Archive) error {
	ref, err := c.ref(a.VaultID)
	if err != nil {
		return err
	}
	r := reference{
		place: a.Place, kind: store.Payload, size: a.Size, tree: a.TreeHash, at: a.CreatedAt.UnixMilli(), skew: a.Skew, again: finderOf(a.ID),
		label: label{What: isArchive, Account: ref.Account, Vault: ref.Name, Archive: a.ID, Description: a.Description},
	}
	if a.UploadID == nil {
		return c.record(r)
	}
	r.kind, r.size, r.tree, r.label.What, r.label.Upload = store.Manifest, -1, nil, isMultipart, *a.UploadID
	if err := c.record(r); err != nil {
		return err
	}
	return c.assembled(a, r)
}

// assembled holds an archive against the rows of its parts.
func (c *checker) assembled(a catalogue.Archive, r reference) error {
	var parts []catalogue.Part
	err := c.view(func(tx *catalogue.Tx) error {
		w, err := tx.WhereArchive(a.ID)
		if errors.Is(err, catalogue.ErrNotFound) {
			return nil // deleted meanwhile
		}
		if err == nil && w.Place != "" {
			parts, err = tx.Parts(*a.UploadID, -1, maxPartsRead)
		}
		return err
	})
	if err != nil || len(parts) == 0 && c.gone(r) {
		return err
	}
	var tree treehash.Tree
	var size int64
	for _, p := range parts {
		h, err := treehash.FromBytes(p.TreeHash)
		if err != nil || p.First != size {
			return c.wrong(r, "its part at %d is missing or damaged in the catalogue", size)
		}
		tree.Add(h)
		size += p.Size
	}
	if sum := tree.Sum(); size != a.Size || !bytes.Equal(sum[:], a.TreeHash) {
		return c.wrong(r, "its parts have %d bytes with the tree hash %s, the archive %d with %x", size, sum, a.Size, a.TreeHash)
	}
	return nil
}

// maxPartsRead is more than an archive has parts.
const maxPartsRead = 1 << 20

func (c *checker) tombstones() error {
	after := func(tx *catalogue.Tx, last catalogue.Tombstone, limit int) ([]catalogue.Tombstone, error) {
		return tx.TombstonesAfter(last.ArchiveID, limit)
	}
	return eachRow(c.view, after, func(t catalogue.Tombstone) error {
		ref, err := c.ref(t.VaultID)
		if err != nil {
			return err
		}
		return c.record(reference{
			place: t.Place, kind: store.Tombstone, size: 0, label: label{What: isDeleted, Account: ref.Account, Vault: ref.Name, Archive: t.ArchiveID},
			again: func(tx *catalogue.Tx) (store.Place, error) {
				w, err := tx.WhereTombstone(t.ArchiveID)
				return store.Place(w.Place), err
			},
		})
	})
}

func (c *checker) parts() error {
	return eachRow(c.view, func(tx *catalogue.Tx, last catalogue.Part, limit int) ([]catalogue.Part, error) {
		return tx.PartsAfter(last.UploadID, last.First, limit)
	}, c.part)
}

func (c *checker) part(p catalogue.Part) error {
	var archive string
	var vault int64
	err := c.view(func(tx *catalogue.Tx) (err error) {
		archive, vault, err = tx.OwnerOfPart(p.UploadID)
		return err
	})
	if err != nil {
		return err
	}
	ref, err := c.ref(vault)
	if err != nil {
		return err
	}
	return c.record(reference{
		place: p.Place, kind: store.Payload, size: p.Size, tree: p.TreeHash, again: finderOfPart(p),
		label: label{What: isPart, Account: ref.Account, Vault: ref.Name, Archive: archive, Upload: p.UploadID, First: p.First},
	})
}

func (c *checker) outputs() error {
	after := func(tx *catalogue.Tx, last catalogue.Job, limit int) ([]catalogue.Job, error) {
		return tx.OutputsAfter(last.ID, limit)
	}
	return eachRow(c.view, after, func(j catalogue.Job) error {
		ref, err := c.ref(j.VaultID)
		if err != nil {
			return err
		}
		return c.record(reference{
			place: *j.OutputPlace, kind: store.Payload, size: *j.OutputSize, again: finderOfOutput(j.ID),
			label: label{What: isOutput, Account: ref.Account, Vault: ref.Name, Job: j.ID},
		})
	})
}

func (c *checker) locks() error {
	return eachRow(c.view, locksAfter, c.lock)
}

func locksAfter(tx *catalogue.Tx, last catalogue.Lock, limit int) ([]catalogue.Lock, error) {
	return tx.LocksAfter(last.ID, limit)
}

// lock holds a lock against its record, and reads that: what it says is what a rebuild would go by.
func (c *checker) lock(l catalogue.Lock) error {
	ref, err := c.ref(l.VaultID)
	if err != nil {
		return err
	}
	r := reference{
		place: *l.Place, kind: store.Payload, size: -1, label: label{What: isLock, Account: ref.Account, Vault: ref.Name, Lock: l.ID},
		again: func(tx *catalogue.Tx) (store.Place, error) {
			w, err := tx.WhereLock(l.ID)
			return store.Place(w.Place), err
		},
	}
	if err := c.record(r); err != nil {
		return err
	}
	var text lockText
	err = c.s.find(c.ctx, store.Place(r.place), r.again, func(at store.Place) (err error) {
		text, err = c.s.readLock(c.ctx, at)
		return err
	})
	if err != nil {
		return c.ctx.Err() // what cannot be read was reported
	}
	same := false
	err = c.view(func(tx *catalogue.Tx) error {
		now, err := lockedTagsOf(tx, catalogue.Vault{ID: l.VaultID})
		same = text.equal(textOf(now.lock, now.tags)) || now.lock.Number != l.Number // it has changed meanwhile
		return err
	})
	if err == nil && !same && !c.gone(r) {
		err = c.wrong(r, "the record of the lock has not what the catalogue has")
	}
	return err
}

// ref returns the vault with a number, nothing if there is none.
func (c *checker) ref(vault int64) (Ref, error) {
	if ref, known := c.refs[vault]; known {
		return ref, nil
	}
	ref, err := c.s.refOf(c.ctx, vault)
	if errors.Is(err, catalogue.ErrNotFound) {
		return Ref{}, nil
	}
	if c.refs == nil {
		c.refs = make(map[int64]Ref)
	}
	c.refs[vault] = ref
	return ref, err
}

// wrong reports something that is wrong with what a row refers to.
func (c *checker) wrong(r reference, format string, args ...any) error {
	l := r.label
	return c.report(Finding{
		Severity: Wrong, Account: l.Account, Vault: l.Vault, Archive: l.Archive, Upload: l.Upload, Job: l.Job, Place: r.place, Problem: fmt.Sprintf(format, args...),
	})
}

// gone reports whether the row does not refer to its record any more.
func (c *checker) gone(r reference) bool {
	gone := false
	err := c.view(func(tx *catalogue.Tx) error {
		at, err := r.again(tx)
		gone = errors.Is(err, catalogue.ErrNotFound) || err == nil && string(at) != r.place
		return nil
	})
	return err == nil && gone
}

// record holds a row against the record that it refers to.
func (c *checker) record(r reference) error {
	c.done.Rows++
	if c.done.Rows%batch == 0 {
		c.progress("rows", c.done.Rows, max(c.total, c.done.Rows))
	}
	var x store.Extent
	err := c.s.find(c.ctx, store.Place(r.place), r.again, func(at store.Place) (err error) {
		x, err = c.s.bytes.Stat(c.ctx, at)
		return err
	})
	switch kind := fault.KindOf(err); {
	case err == nil:
	case c.ctx.Err() != nil:
		return c.ctx.Err()
	case c.gone(r):
		return nil
	case kind == fault.Corrupt || kind == fault.Invalid:
		return c.wrong(r, "%s", lossOf(r, err))
	default:
		return err
	}
	if problem := r.mismatch(x); problem != "" && !c.gone(r) {
		return c.wrong(r, "%s", problem)
	}
	return nil
}

// lossOf says what a record that cannot be read means.
func lossOf(r reference, err error) string {
	return fmt.Sprintf("the %s is lost or damaged: %v", r.label.What, err)
}

// mismatch returns in what a record is not what its row says, "" if it is.
func (r reference) mismatch(x store.Extent) string {
	var l label
	if err := json.Unmarshal(x.Label, &l); err != nil {
		return fmt.Sprintf("the record has no label that can be read: %v", err)
	}
	switch l.What { // members that rows do not say again
	case isPart:
		l.PartSize, l.Description = 0, ""
	case isDeleted:
		l.At = 0
	}
	switch {
	case x.Kind != r.kind || l != r.label:
		return fmt.Sprintf("the record there is another one, of kind %d: %s", x.Kind, x.Label)
	case r.size >= 0 && x.Size != r.size:
		return fmt.Sprintf("the record has %d bytes, the catalogue says %d", x.Size, r.size)
	case r.tree != nil && !bytes.Equal(x.Tree[:], r.tree):
		return fmt.Sprintf("the record has the tree hash %s, the catalogue says %x", x.Tree, r.tree)
	case r.at != 0 && (x.Created.UnixMilli() != r.at || x.Skew != r.skew):
		return fmt.Sprintf("the record is of %s, the catalogue says %d ms after 1970", timestamp(x.Created), r.at)
	}
	return ""
}

// volumes goes through everything that is in the store.
func (c *checker) volumes() error {
	volumes, ok := c.s.bytes.(store.Volumes)
	if !ok {
		return nil
	}
	list, err := volumes.Volumes(c.ctx)
	if err != nil {
		return err
	}
	for i, v := range list {
		c.progress("volumes", int64(i), int64(len(list)))
		if err := volumes.Inspect(c.ctx, v.Name, store.Inspection{
			Data: c.Data, Pace: c.Pace, Record: c.found, Damage: c.damaged,
		}); err != nil {
			return err
		}
		c.done.Volumes++
	}
	c.progress("volumes", int64(len(list)), int64(len(list)))
	return nil
}

// found looks for the row of a record.
func (c *checker) found(x store.Extent) error {
	c.done.Records++
	if c.Data {
		c.done.Bytes += x.Size
	}
	fate, err := c.s.fate(c.ctx, x)
	if err != nil || fate != store.Carry { // what is dropped goes by itself
		return err
	}
	if _, err := c.s.bytes.Stat(c.ctx, x.Place); fault.Is(err, fault.NotFound) {
		return nil // removed meanwhile
	}
	return c.report(orphan(x))
}

// damaged reports damage, and whose it is.
func (c *checker) damaged(d store.Damage) error {
	findings, err := c.s.findingsOf(c.ctx, d)
	for _, f := range findings {
		if err == nil {
			err = c.report(f)
		}
	}
	return err
}
