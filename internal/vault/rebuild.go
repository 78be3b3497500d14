package vault

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/clock"
	"github.com/moraine-archive/moraine/internal/store"
)

// Rebuilt is what a rebuild has made of what is on the medium.
type Rebuilt struct {
	Records    int64    `json:"records"`    // on the medium
	Unreadable int64    `json:"unreadable"` // records that cannot be read
	Archives   int64    `json:"archives"`   // that exist
	Bytes      int64    `json:"bytes"`      // in those
	Vaults     int64    `json:"vaults"`
	Uploads    int64    `json:"uploads"`    // that are not complete, and can be continued
	Deleted    int64    `json:"deleted"`    // archives that are remembered as deleted
	Missing    int64    `json:"missing"`    // archives that the copy of the catalogue has, the medium has not, and nothing says were deleted
	Incomplete int64    `json:"incomplete"` // multipart archives with parts that are missing
	Strays     int64    `json:"strays"`     // parts of uploads of which nothing else is known
	Locks      int64    `json:"locks"`      // of vaults, that are in force again
	NewVaults  []string `json:"new_vaults"` // ARNs of vaults of which only the name is known: not when they were made, nor any setting
	Accounts   []string `json:"accounts"`   // ids of accounts of which nothing else is known: no name, and no key
}

// rebuildBatch is how many rows a step of a rebuild makes in one transaction.
const rebuildBatch = 5000

// Rebuild makes the rows again from the store alone: archives with their ids, descriptions, dates and hashes, uploads that are not complete, and the deletions that it knows
// of. The catalogue of the service is empty, or an old copy: what only it knows stays, what the store contradicts goes. Nothing else may use either meanwhile.
func (s *Service) Rebuild(ctx context.Context, in Inspection) (Rebuilt, error) {
	b := &builder{Inspection: in, ctx: ctx, s: s}
	for _, step := range []func() error{
		func() error { return b.update((*catalogue.Tx).StartRebuild) },
		b.collect,
		func() error { return b.update((*catalogue.Tx).IndexFound) },
		func() error { return b.update((*catalogue.Tx).LeaveCopies) },
		b.vaults,
		b.restoreLocks,
		func() error { return b.update((*catalogue.Tx).InsertFoundArchives) },
		b.manifests,
		func() error {
			return b.update(func(tx *catalogue.Tx) error { return tx.InsertFoundUploads(s.now()) })
		},
		func() error { return b.update((*catalogue.Tx).InsertFoundDeletions) },
		func() error { return b.update((*catalogue.Tx).ReleaseFound) },
		func() error { return b.update((*catalogue.Tx).CountVaultsAgain) },
		b.report,
		func() error { return b.update((*catalogue.Tx).FinishRebuild) },
	} {
		if err := step(); err != nil {
			return b.done, err
		}
	}
	return b.done, nil
}

type builder struct {
	Inspection
	ctx   context.Context
	s     *Service
	done  Rebuilt
	found []catalogue.Found // that are not in the catalogue yet
	locks []store.Extent    // records of locks
	last  time.Time         // greatest lock time that a record tells of
}

func (b *builder) update(fn func(*catalogue.Tx) error) error { return b.s.rows.Update(b.ctx, fn) }
func (b *builder) view(fn func(*catalogue.Tx) error) error   { return b.s.rows.View(b.ctx, fn) }

func (b *builder) progress(what string, done, total int) {
	if b.Progress != nil {
		b.Progress(what, int64(done), int64(total))
	}
}

// collect goes through the store. Of records that were written last the payloads are read too: what was being written when the power failed may be whole but for its
// payload, and was not acknowledged.
func (b *builder) collect() error {
	volumes, ok := b.s.bytes.(store.Volumes)
	if !ok {
		return errors.New("this store cannot be gone through volume by volume")
	}
	list, err := volumes.Volumes(b.ctx)
	if err != nil {
		return err
	}
	var newest time.Time
	for _, v := range list {
		if v.Since.After(newest) {
			newest = v.Since
		}
	}
	for i, v := range list {
		b.progress("volumes", i, len(list))
		doubtful := v.Since.After(newest.Add(-b.s.settings.LongestRequest-b.s.settings.KeepOrphans)) && !v.Shared // what a crash left of a shared volume is known when it is opened
		err := volumes.Inspect(b.ctx, v.Name, store.Inspection{Data: b.Data || doubtful, Pace: b.Pace, Record: b.record, Damage: b.damage})
		if err != nil {
			return err
		}
	}
	b.progress("volumes", len(list), len(list))
	return b.flush()
}

// damage reports damage. An archive that the copy of the catalogue knows is kept for what can still be read of it; another may never have been acknowledged.
func (b *builder) damage(d store.Damage) error {
	b.done.Unreadable++
	l, _ := parseLabel(d.Label)
	err := b.Report(Finding{
		Severity: Wrong, Account: l.Account, Vault: l.Vault, Archive: l.Archive, Upload: l.Upload, Place: cmp.Or(string(d.Place), d.Volume),
		Problem: "a record cannot be read: " + d.Err.Error(),
	})
	if err != nil || d.Place == "" {
		return err
	}
	if x, err := b.s.bytes.Stat(b.ctx, d.Place); err == nil && l.Archive != "" {
		known := false
		err := b.view(func(tx *catalogue.Tx) (err error) {
			known, err = tx.WasKnown(l.Archive)
			return err
		})
		if err != nil || !known {
			return err
		}
		return b.take(x, damaged)
	}
	var f catalogue.Found
	err = b.view(func(tx *catalogue.Tx) (err error) {
		f, err = tx.KnownAt(string(d.Place))
		return err
	})
	if errors.Is(err, catalogue.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	f.Rank = damaged
	return b.add(f)
}

// Of several records of the same, one that is whole and in the store that is used counts. The one that is left, when it is being moved, has all that was moved too.
const (
	inUse = iota
	inOld
	damaged
)

// record notes a record that is whole.
func (b *builder) record(x store.Extent) error {
	if b.s.isLeft(x.Place) {
		return b.take(x, inOld)
	}
	return b.take(x, inUse)
}

func (b *builder) take(x store.Extent, rank int) error {
	b.done.Records++
	l, err := parseLabel(x.Label)
	if err != nil {
		return b.Report(Finding{Severity: Note, Place: string(x.Place), Problem: fmt.Sprintf("a record says nothing known of itself: %.200q", x.Label)})
	}
	b.note(x, l)
	at := x.Created
	if l.At > 0 {
		at = time.UnixMilli(l.At)
	}
	return b.add(catalogue.Found{
		Place: string(x.Place), What: l.What, Account: l.Account, Vault: l.Vault, Archive: l.Archive, Upload: l.Upload, First: l.First,
		PartSize: l.PartSize, Description: l.Description, CreatedAt: at, Size: x.Size, TreeHash: x.Tree[:], Skew: x.Skew, Rank: rank,
	})
}

// note remembers what only locks need.
func (b *builder) note(x store.Extent, l label) {
	if l.What == isLock {
		b.locks = append(b.locks, x)
	}
	if at := x.Created.Add(-x.Skew); at.After(b.last) {
		b.last = at
	}
}

func (b *builder) add(f catalogue.Found) error {
	b.found = append(b.found, f)
	if len(b.found) < rebuildBatch {
		return nil
	}
	return b.flush()
}

func (b *builder) flush() error {
	err := b.update(func(tx *catalogue.Tx) error {
		for _, f := range b.found {
			if err := tx.AddFound(f); err != nil {
				return err
			}
		}
		return nil
	})
	b.found = b.found[:0]
	return err
}

// vaults makes rows of vaults that only labels name.
func (b *builder) vaults() error {
	b.progress("vaults", 0, 0)
	return b.update(func(tx *catalogue.Tx) error {
		b.done.NewVaults = nil // the closure may run again
		list, err := tx.FoundVaults()
		if err != nil {
			return err
		}
		for _, v := range list {
			if err := tx.InsertVault(v.Account, v.Name, v.Since); err != nil {
				return err
			}
			b.done.NewVaults = append(b.done.NewVaults, b.s.ARN(Ref{v.Account, v.Name}))
		}
		return nil
	})
}

// restoreLocks puts the locks on again that the medium knows of, and makes the lock time go on from where it was: otherwise a rebuild under a clock set forward would
// make every archive old.
func (b *builder) restoreLocks() error {
	locks, err := b.readLocks()
	if err != nil {
		return err
	}
	if err := b.restoreTime(locks); err != nil {
		return err
	}
	err = b.update(func(tx *catalogue.Tx) error {
		for _, l := range locks {
			if err := tx.RestoreLock(l.lock, l.tags); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return b.rewriteLocks()
}

// readLocks returns the locks that the medium has, those first that are older.
func (b *builder) readLocks() (locks []lockedTags, err error) {
	for _, x := range b.locks {
		l, err := parseLabel(x.Label)
		if err != nil {
			return nil, err
		}
		text, err := b.s.readLock(b.ctx, x.Place)
		if err != nil {
			if err := cmp.Or(b.ctx.Err(), b.Report(Finding{
				Severity: Wrong, Account: l.Account, Vault: l.Vault, Place: string(x.Place), Problem: "the record of a vault lock cannot be read: " + err.Error(),
			})); err != nil {
				return nil, err
			}
			continue
		}
		var v catalogue.Vault
		if err := b.view(func(tx *catalogue.Tx) error {
			v, err = tx.Vault(l.Account, l.Vault)
			return err
		}); err != nil {
			return nil, err
		}
		locks = append(locks, lockedTags{text.lock(l.Lock, v.ID, x.Place), text.Tags})
	}
	slices.SortStableFunc(locks, func(a, b lockedTags) int {
		return cmp.Or(a.lock.LockTime.Compare(b.lock.LockTime), cmp.Compare(a.lock.Number, b.lock.Number))
	})
	return locks, nil
}

// restoreTime sets the lock time: it goes on from what the copy of the catalogue says, or from the latest that a record tells of, if that is later or there is no copy. A copy that lacks a
// lock which it should have, for it says that it is later, is of another time than the medium: what it says of the time is not believed.
func (b *builder) restoreTime(locks []lockedTags) error {
	believed := true
	err := b.view(func(tx *catalogue.Tx) error {
		if _, err := tx.LockClock(); err != nil {
			believed = false
			return absent(err, nil)
		}
		for _, l := range locks {
			has, err := tx.Lock(l.lock.VaultID)
			if err := absent(err, nil); err != nil {
				return err
			}
			if has.ID != l.lock.ID && b.s.times.LockTime().Sub(l.lock.LockTime) > b.s.settings.LockWindow {
				believed = false
			}
		}
		return nil
	})
	if err != nil || b.last.IsZero() || believed && !b.last.After(b.s.times.LockTime()) {
		return err
	}
	b.s.times.Restore(clock.Reading{Time: b.last})
	if err := b.update((*catalogue.Tx).ForgetLockClock); err != nil {
		return err
	}
	return b.s.KeepTime(b.ctx)
}

// rewriteLocks writes the locks to the medium that only the copy of the catalogue has.
func (b *builder) rewriteLocks() error {
	return eachRow(b.view, locksAfter, func(l catalogue.Lock) error {
		b.done.Locks++
		return b.rewriteLock(l)
	})
}

func (b *builder) rewriteLock(l catalogue.Lock) error {
	found := false
	err := b.view(func(tx *catalogue.Tx) (err error) {
		found, err = tx.WasFound(*l.Place)
		return err
	})
	if err != nil || found {
		return err
	}
	ref, err := b.s.refOf(b.ctx, l.VaultID)
	if err != nil {
		return err
	}
	var tags map[string]string
	if err := b.view(func(tx *catalogue.Tx) error {
		tags, err = tx.Tags(l.VaultID)
		return err
	}); err != nil {
		return err
	}
	x, err := b.s.writeLock(b.ctx, ref, l, tags)
	if err != nil {
		return err
	}
	return b.update(func(tx *catalogue.Tx) error { return tx.MoveLock(l.ID, *l.Place, string(x.Place)) })
}

// manifests makes rows of multipart archives.
func (b *builder) manifests() error {
	n := 0
	after := func(tx *catalogue.Tx, last catalogue.Found, limit int) ([]catalogue.Found, error) {
		return tx.FoundManifests(last.Place, limit)
	}
	return eachRow(b.view, after, func(m catalogue.Found) error {
		if n++; n%batch == 0 {
			b.progress("multipart archives", n, 0)
		}
		return b.manifest(m)
	})
}

// manifest makes the rows of one multipart archive. One of which parts are missing is kept for what can still be read of it.
func (b *builder) manifest(m catalogue.Found) error {
	whole, parts, err := b.s.readManifest(b.ctx, m)
	if err != nil {
		if err := b.broken(m, err); err != nil {
			return err
		}
		err = b.view(func(tx *catalogue.Tx) (err error) { // the copy of the catalogue may know the parts
			whole, parts, err = tx.KnownParts(m.Archive, m.Upload)
			return err
		})
		if errors.Is(err, catalogue.ErrNotFound) || err == nil && len(parts) == 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	var missing []int64
	err = b.update(func(tx *catalogue.Tx) error {
		missing = nil // the closure may run again
		rows := make([]catalogue.Part, len(parts))
		for i, p := range parts {
			found, err := tx.FoundPart(m.Upload, p.First, p.TreeHash)
			if errors.Is(err, catalogue.ErrNotFound) {
				missing = append(missing, p.First)
				found.Place, err = catalogue.LostPlace, nil
			}
			if err != nil {
				return err
			}
			rows[i] = catalogue.Part{UploadID: m.Upload, First: p.First, Size: p.Size, TreeHash: p.TreeHash, Place: found.Place}
		}
		return tx.InsertAssembled(m, whole.Size, whole.TreeHash, rows)
	})
	if err == nil && len(missing) > 0 {
		return b.broken(m, fmt.Errorf("%d of its %d parts are missing, the first at offset %d; the rest can be read", len(missing), len(parts), missing[0]))
	}
	return err
}

// broken reports a multipart archive that cannot be put together.
func (b *builder) broken(m catalogue.Found, err error) error {
	if b.ctx.Err() != nil {
		return b.ctx.Err()
	}
	return b.Report(Finding{
		Severity: Wrong, Account: m.Account, Vault: m.Vault, Archive: m.Archive, Upload: m.Upload, Place: m.Place, Problem: "the archive is not whole: " + err.Error(),
	})
}

// readManifest returns what a manifest says of the archive and of its parts.
func (s *Service) readManifest(ctx context.Context, m catalogue.Found) (whole catalogue.Part, parts []catalogue.Part, err error) {
	r, err := s.bytes.Open(ctx, store.Place(m.Place), 0, m.Size)
	if err != nil {
		return whole, nil, err
	}
	defer r.Close()
	var tree treehash.Tree
	var end int64
	for lines := bufio.NewScanner(r); ; {
		if !lines.Scan() {
			err = lines.Err()
			break
		}
		p, err := parseManifestLine(lines.Bytes())
		if err != nil {
			return whole, nil, err
		}
		if whole.TreeHash == nil {
			whole = p
			continue
		}
		hash, err := treehash.FromBytes(p.TreeHash)
		if err != nil || p.First != end {
			return whole, nil, fmt.Errorf("the list of parts has a gap at offset %d", end)
		}
		tree.Add(hash)
		end += p.Size
		parts = append(parts, p)
	}
	if sum := tree.Sum(); err == nil && (len(parts) == 0 || end != whole.Size || !bytes.Equal(whole.TreeHash, sum[:])) {
		err = fmt.Errorf("the list of parts has %d bytes with the tree hash %s, and says %d with %x", end, sum, whole.Size, whole.TreeHash)
	}
	return whole, parts, err
}

func parseManifestLine(text []byte) (catalogue.Part, error) {
	var line manifestLine
	if err := json.Unmarshal(text, &line); err != nil {
		return catalogue.Part{}, err
	}
	hash, err := treehash.Parse(line.TreeHash)
	return catalogue.Part{First: line.First, Size: line.Size, TreeHash: hash[:]}, err
}

// report counts, and names what is missing.
func (b *builder) report() error {
	err := b.view(func(tx *catalogue.Tx) (err error) {
		if b.done.Accounts, err = tx.FoundAccounts(); err != nil {
			return err
		}
		n, err := tx.CountRebuilt()
		b.done.Archives, b.done.Bytes, b.done.Vaults, b.done.Uploads = n.Archives, n.Bytes, n.Vaults, n.Uploads
		b.done.Deleted, b.done.Missing, b.done.Incomplete, b.done.Strays = n.Deleted, n.Missing, n.Incomplete, n.Strays
		return err
	})
	if err != nil {
		return err
	}
	after := func(tx *catalogue.Tx, last catalogue.Archive, limit int) ([]catalogue.Archive, error) {
		return tx.MissingArchives(last.ID, limit)
	}
	return eachRow(b.view, after, func(a catalogue.Archive) error {
		return b.Report(Finding{Severity: Wrong, Archive: a.ID, Problem: fmt.Sprintf(
			"the copy of the catalogue has this archive (%q, %d bytes, of %s), the medium has not, nor does it say that it was deleted", a.Description, a.Size, timestamp(a.CreatedAt))})
	})
}
