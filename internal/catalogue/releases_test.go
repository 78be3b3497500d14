package catalogue

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func released(t *testing.T, db *DB) (places []string) {
	t.Helper()
	view(t, db, func(tx *Tx) error {
		list, err := tx.Released(Released{}, 1000)
		for _, r := range list {
			places = append(places, r.Place)
		}
		return err
	})
	return places
}

// wantReleased checks the list of released places, in its order.
func wantReleased(t *testing.T, db *DB, what string, want ...string) {
	t.Helper()
	if got := released(t, db); !slices.Equal(got, want) {
		t.Errorf("%s: %q is released, want %q", what, got, want)
	}
}

func TestReleases(t *testing.T) {
	db := openNew(t)
	for _, place := range []string{"z", "a", "m", "z"} { // what is released twice stays where it was
		update(t, db, func(tx *Tx) error { return tx.Release(place) })
	}
	wantReleased(t, db, "three places", "z", "a", "m")
	view(t, db, func(tx *Tx) error {
		first, err := tx.Released(Released{}, 2)
		if err != nil || len(first) != 2 || first[0].Place != "z" || first[1].Place != "a" {
			t.Errorf("the first two are %v, %v", first, err)
			return nil
		}
		if rest, err := tx.Released(first[1], 2); err != nil || len(rest) != 1 || rest[0].Place != "m" {
			t.Errorf("behind them are %v, %v", rest, err)
		}
		return nil
	})
	update(t, db, func(tx *Tx) error { return errors.Join(tx.Forget("z"), tx.Forget("never released")) })
	wantReleased(t, db, "after the first was forgotten", "a", "m")
}

func TestPutPartReleasesWhatItReplaces(t *testing.T) {
	db := openNew(t)
	id := newVault(t, db, "photos")
	update(t, db, func(tx *Tx) error { return tx.InsertUpload(openUpload(id, "u")) })
	for i, place := range []string{"first", "second", "elsewhere"} {
		update(t, db, func(tx *Tx) error {
			replaced, err := tx.PutPart(Part{UploadID: "u", First: int64(i/2) << 20, Size: int64(i), TreeHash: []byte{1}, Place: place}, epoch.Add(time.Hour))
			if replaced != (place == "second") {
				t.Errorf("part %s replaces another: %t", place, replaced)
			}
			return err
		})
	}
	wantReleased(t, db, "after a part was replaced", "first")
	view(t, db, func(tx *Tx) error {
		u, err := tx.Upload("u")
		if u.Revision != 3 || !u.ActiveAt.Equal(epoch.Add(time.Hour)) {
			t.Errorf("the upload has the revision %d and was active at %s", u.Revision, u.ActiveAt)
		}
		p, missing := tx.PartAt("u", 0)
		if p.Place != "second" || p.Size != 1 {
			t.Errorf("the part is %+v", p)
		}
		return errors.Join(err, missing)
	})
	u := openUpload(id, "u")
	u.State, u.EndedAt = UploadCompleted, epoch
	update(t, db, func(tx *Tx) error { return tx.EndUpload(u) })
	err := db.Update(t.Context(), func(tx *Tx) error { return putPart(tx, "u", 5, "too late") })
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("a part of an upload that has ended: %v", err)
	}
	if err := db.Update(t.Context(), func(tx *Tx) error { return tx.EndUpload(u) }); !errors.Is(err, ErrNotFound) {
		t.Errorf("an upload that has ended can end again: %v", err)
	}
	wantReleased(t, db, "after a part was refused", "first")
}

// addMultipart makes an archive of two parts, whose upload has ended.
func addMultipart(tx *Tx, vault int64, id string) (Archive, error) {
	upload := "upload of " + id
	if err := errors.Join(tx.InsertUpload(openUpload(vault, upload)), putPart(tx, upload, 0, id+" part 1"), putPart(tx, upload, 1, id+" part 2")); err != nil {
		return Archive{}, err
	}
	u := openUpload(vault, upload)
	u.State, u.EndedAt = UploadCompleted, epoch
	a := archiveRow(vault, id, 2<<20)
	a.UploadID = &upload
	return a, errors.Join(tx.EndUpload(u), tx.InsertArchive(a))
}

// retrieval returns a finished job on an archive.
func retrieval(vault int64, id, archive string, expires time.Duration) Job {
	j := done(job(vault, id), Succeeded, expires)
	j.Action, j.ArchiveID = "ArchiveRetrieval", &archive
	return j
}

func TestReleaseDeletedInOrder(t *testing.T) {
	db := openNew(t)
	id := newVault(t, db, "photos")
	update(t, db, func(tx *Tx) error {
		a, err := addMultipart(tx, id, "a")
		return errors.Join(err, tx.DeleteArchive(a, epoch), tx.Bury("a", "tombstone of a"))
	})
	wantReleased(t, db, "before ReleaseDeleted")
	for range 2 {
		update(t, db, func(tx *Tx) error { return tx.ReleaseDeleted("a") })
		// What makes it an archive goes first; what says that it is none stays.
		wantReleased(t, db, "after ReleaseDeleted", "place of a", "a part 1", "a part 2")
	}
	for name, change := range map[string]func(*Tx) error{
		"ReleaseDeleted of an archive that was not deleted": func(tx *Tx) error { return tx.ReleaseDeleted("b") },
		"Bury of an archive that has a tombstone":           func(tx *Tx) error { return tx.Bury("a", "too late") },
	} {
		if err := db.Update(t.Context(), change); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	view(t, db, func(tx *Tx) error {
		d, err := tx.DeletedArchive("a")
		if d.VaultID != id || !d.Released || d.Tombstone == nil || *d.Tombstone != "tombstone of a" {
			t.Errorf("a deleted archive is remembered as %+v", d)
		}
		return err
	})
}

func TestBuryOnce(t *testing.T) {
	db := openNew(t)
	id := newVault(t, db, "photos")
	update(t, db, func(tx *Tx) error {
		a := archiveRow(id, "a", 1)
		return errors.Join(tx.InsertArchive(a), tx.DeleteArchive(a, epoch), tx.Bury("a", "tombstone"))
	})
	if err := db.Update(t.Context(), func(tx *Tx) error { return tx.Bury("a", "another") }); !errors.Is(err, ErrNotFound) {
		t.Errorf("a second tombstone: %v", err)
	}
}

// TestForgetTombstones lets copies of the catalogue be made between deletions: the tombstones of those that a copy has go, when the bytes
// that they stand against have been released before.
func TestForgetTombstones(t *testing.T) {
	db := openNew(t)
	id := newVault(t, db, "photos")
	bury := func(name string, released bool) {
		update(t, db, func(tx *Tx) error {
			a := archiveRow(id, name, 1)
			err := errors.Join(tx.InsertArchive(a), tx.DeleteArchive(a, epoch), tx.Bury(name, "0 tombstone of "+name))
			if released {
				err = errors.Join(err, tx.ReleaseDeleted(name))
			}
			return err
		})
	}
	bury("a", true)
	bury("held", false)
	bury("b", true)
	var last int64
	view(t, db, func(tx *Tx) (err error) {
		last, err = tx.Deletions()
		return err
	})
	bury("later", true)
	places := []string{"place of a", "place of b", "place of later"}
	for _, step := range []struct {
		last     int64
		more     bool
		released []string
	}{
		{0, false, nil},
		{last, true, []string{"0 tombstone of a"}},
		{last, true, []string{"0 tombstone of a", "0 tombstone of b"}},
		{last, false, []string{"0 tombstone of a", "0 tombstone of b"}},
	} {
		update(t, db, func(tx *Tx) error {
			more, err := tx.ForgetTombstones(step.last, 1)
			if more != step.more {
				t.Errorf("ForgetTombstones(%d) says that there are more: %t", step.last, more)
			}
			return err
		})
		wantReleased(t, db, "after ForgetTombstones", append(slices.Clone(places), step.released...)...)
	}
	if err := db.Update(t.Context(), func(tx *Tx) error { return tx.Bury("a", "again") }); !errors.Is(err, ErrNotFound) {
		t.Errorf("Bury of an archive that a copy of the catalogue remembers: %v", err)
	}
}

func TestDeleteArchiveThatIsMissing(t *testing.T) {
	db := openNew(t)
	id := newVault(t, db, "photos")
	for name, a := range map[string]Archive{"a missing archive": archiveRow(id, "a", 1), "a missing vault": archiveRow(id+1, "a", 1)} {
		if err := db.Update(t.Context(), func(tx *Tx) error { return tx.DeleteArchive(a, epoch) }); !errors.Is(err, ErrNotFound) {
			t.Errorf("DeleteArchive of %s: %v", name, err)
		}
	}
	if v := getVault(t, db, id); v.Changes != 0 {
		t.Errorf("it counts as %d changes", v.Changes)
	}
	if err := db.Update(t.Context(), func(tx *Tx) error { return tx.InsertArchive(archiveRow(id+1, "a", 1)) }); !errors.Is(err, ErrNotFound) {
		t.Errorf("InsertArchive into a missing vault: %v", err)
	}
}

func TestPurgeJobs(t *testing.T) {
	db := openNew(t)
	id := newVault(t, db, "photos")
	output := done(job(id, "1 inventory"), Succeeded, 0)
	place := "output of 1"
	output.OutputPlace = &place
	insertJobs(t, db, output, retrieval(id, "2 of a live archive", "live", 0), retrieval(id, "3 of a deleted one", "gone", 0),
		retrieval(id, "4 of the same", "gone", time.Hour), done(job(id, "5 failed"), Failed, 0), job(id, "6 running"),
		retrieval(id, "7 later", "live", time.Millisecond))
	update(t, db, func(tx *Tx) error {
		a, err := addMultipart(tx, id, "gone")
		return errors.Join(err, tx.InsertArchive(archiveRow(id, "live", 1)), tx.DeleteArchive(a, epoch), tx.Bury("gone", "tombstone"))
	})
	purge := func(at time.Duration) (left []string) {
		update(t, db, func(tx *Tx) error { return tx.PurgeJobs(epoch.Add(at), 100) })
		return jobPage(t, db, id, JobFilter{}, epoch.Add(-time.Hour))("", 100)
	}
	steps := []struct {
		at       time.Duration
		left     []string
		released []string
	}{
		{-time.Millisecond, []string{"7 later", "6 running", "5 failed", "4 of the same", "3 of a deleted one", "2 of a live archive", "1 inventory"}, nil},
		{0, []string{"7 later", "6 running", "4 of the same"}, []string{"output of 1"}},
		{time.Minute, []string{"6 running", "4 of the same"}, []string{"output of 1"}},
		{time.Hour, []string{"6 running"}, []string{"output of 1", "place of gone", "gone part 1", "gone part 2"}},
	}
	for _, step := range steps {
		if left := purge(step.at); !slices.Equal(left, step.left) {
			t.Errorf("after a purge at %s there are %q, want %q", step.at, left, step.left)
		}
		wantReleased(t, db, fmt.Sprintf("after a purge at %s", step.at), step.released...)
	}
	view(t, db, func(tx *Tx) error {
		_, err := tx.Archive("live")
		return err
	})
}

func TestPurgeJobsInBatches(t *testing.T) {
	db := openNew(t)
	id := newVault(t, db, "photos")
	for i := range 5 {
		insertJobs(t, db, done(job(id, fmt.Sprint(i)), Failed, -time.Duration(i)*time.Second))
	}
	for _, want := range [][]string{{"2", "1", "0"}, {"0"}, nil, nil} { // the longest expired go first
		update(t, db, func(tx *Tx) error { return tx.PurgeJobs(epoch, 2) })
		if left := jobPage(t, db, id, JobFilter{}, epoch.Add(-time.Hour))("", 10); !slices.Equal(left, want) {
			t.Errorf("there are the jobs %q, want %q", left, want)
		}
	}
}

func TestJobsOfArchive(t *testing.T) {
	db := openNew(t)
	id := newVault(t, db, "photos")
	running, failed := retrieval(id, "1", "a", 0), retrieval(id, "3", "a", 0)
	running.Status, failed.Status = InProgress, Failed
	insertJobs(t, db, running, retrieval(id, "2 expired", "a", -time.Hour), failed, retrieval(id, "4", "b", 0))
	view(t, db, func(tx *Tx) error {
		jobs, err := tx.JobsOfArchive("a")
		if len(jobs) != 2 || jobs[0].ID != "1" || jobs[1].ID != "2 expired" {
			t.Errorf("the jobs of an archive are %+v", jobs)
		}
		return err
	})
}

func TestIdleUploads(t *testing.T) {
	db := openNew(t)
	id := newVault(t, db, "photos")
	update(t, db, func(tx *Tx) error {
		for i, name := range []string{"oldest", "old", "active", "completed"} {
			u := openUpload(id, name)
			u.CreatedAt = epoch.Add(time.Duration(i) * time.Second)
			if err := tx.InsertUpload(u); err != nil {
				return err
			}
			p := Part{UploadID: name, Size: 1, TreeHash: []byte{1}, Place: "part of " + name}
			if _, err := tx.PutPart(p, u.CreatedAt); err != nil {
				return err
			}
		}
		u := openUpload(id, "completed")
		u.State, u.EndedAt = UploadCompleted, epoch
		_, err := tx.PutPart(Part{UploadID: "active", First: 1 << 20, Size: 1, TreeHash: []byte{1}, Place: "of now"}, epoch.Add(time.Hour))
		return errors.Join(tx.EndUpload(u), err)
	})
	for _, want := range [][]string{{"part of oldest"}, {"part of oldest", "part of old"}, {"part of oldest", "part of old"}} {
		update(t, db, func(tx *Tx) error { return tx.DeleteIdleUploads(epoch.Add(time.Minute), 1) })
		wantReleased(t, db, "after idle uploads were removed", want...)
	}
	update(t, db, func(tx *Tx) error { return tx.ForgetUploads(epoch) })
	view(t, db, func(tx *Tx) error {
		if _, err := tx.Upload("completed"); !errors.Is(err, ErrNotFound) {
			t.Errorf("an upload that ended is remembered: %v", err)
		}
		_, err := tx.Upload("active")
		_, missing := tx.PartAt("completed", 0)
		return errors.Join(err, missing) // its parts are those of an archive
	})
}

func TestExpired(t *testing.T) {
	db := openNew(t)
	id := newVault(t, db, "photos")
	never := epoch.Add(-time.Hour)
	insertJobs(t, db, done(job(id, "j"), Succeeded, time.Second))
	update(t, db, func(tx *Tx) error {
		ended := openUpload(id, "ended")
		err := errors.Join(tx.InsertUpload(openUpload(id, "idle")), tx.InsertUpload(ended))
		ended.State, ended.EndedAt = UploadAborted, epoch.Add(time.Second)
		return errors.Join(err, tx.EndUpload(ended))
	})
	for _, test := range []struct {
		jobs, idle, ended time.Time
		want              bool
	}{
		{never, never, never, false},
		{epoch.Add(999 * time.Millisecond), never, epoch.Add(999 * time.Millisecond), false},
		{epoch.Add(time.Second), never, never, true},
		{never, epoch, never, true},
		{never, never, epoch.Add(time.Second), true},
	} {
		view(t, db, func(tx *Tx) error {
			if got, err := tx.Expired(test.jobs, test.idle, test.ended); err != nil || got != test.want {
				t.Errorf("Expired(%s, %s, %s) = %t, %v, want %t", test.jobs, test.idle, test.ended, got, err, test.want)
			}
			return nil
		})
	}
}

// furnish gives a vault something of everything that a vault without archives can have.
func furnish(tx *Tx, vault int64, name string) error {
	gone, err := addMultipart(tx, vault, name+" gone")
	if err != nil {
		return err
	}
	freed, err := addMultipart(tx, vault, name+" freed")
	if err != nil {
		return err
	}
	single, text := archiveRow(vault, name+" single", 1), name+" output"
	inventory := done(job(vault, name+" inventory"), Succeeded, time.Hour)
	inventory.OutputPlace = &text
	aborted := openUpload(vault, name+" aborted")
	err = errors.Join(
		tx.InsertArchive(single), tx.DeleteArchive(single, epoch), tx.Bury(single.ID, "0 tombstone of "+single.ID), // sorts first by name
		tx.DeleteArchive(gone, epoch), tx.Bury(gone.ID, "0 tombstone of "+gone.ID),
		tx.DeleteArchive(freed, epoch), tx.ReleaseDeleted(freed.ID),
		tx.ForgetUploads(epoch), // also that of gone, whose parts stay
		tx.InsertUpload(openUpload(vault, name+" open")), putPart(tx, name+" open", 0, name+" open part"),
		tx.InsertUpload(aborted), putPart(tx, aborted.ID, 0, name+" aborted part"),
		tx.InsertJob(inventory), tx.InsertJob(job(vault, name+" running")),
		tx.InsertJob(retrieval(vault, name+" retrieval", gone.ID, time.Hour)),
	)
	aborted.State, aborted.EndedAt = UploadAborted, epoch.Add(time.Hour)
	return errors.Join(err, tx.EndUpload(aborted), tx.ReleaseParts(aborted.ID))
}

// rows counts the rows of each table that has an account or more.
func rows(t *testing.T, db *DB) map[string]int64 {
	t.Helper()
	counts := make(map[string]int64)
	view(t, db, func(tx *Tx) error {
		for _, table := range []string{"vaults", "archives", "deleted_archives", "uploads", "parts", "jobs"} {
			n, err := scalar[int64](tx, `SELECT COUNT(*) FROM `+table)
			if err != nil {
				return err
			}
			counts[table] = n
		}
		return nil
	})
	return counts
}

func TestDeleteVault(t *testing.T) {
	db := openNew(t)
	first := newVault(t, db, "first")
	update(t, db, func(tx *Tx) error { return furnish(tx, first, "first") })
	alone := rows(t, db)
	second := newVault(t, db, "second")
	update(t, db, func(tx *Tx) error { return furnish(tx, second, "second") })
	before := released(t, db)

	update(t, db, func(tx *Tx) error { return tx.DeleteVault(second) })
	if left := rows(t, db); fmt.Sprint(left) != fmt.Sprint(alone) {
		t.Errorf("after DeleteVault there are the rows %v, want %v", left, alone)
	}
	now := released(t, db)
	if !slices.Equal(now[:len(before)], before) {
		t.Errorf("what was released before is now %q, was %q", now[:len(before)], before)
	}
	gone := now[len(before):]
	wantTombstonesLast(t, gone)
	slices.Sort(gone)
	want := []string{
		"0 tombstone of second gone", "0 tombstone of second single", "place of second gone", "place of second single",
		"second gone part 1", "second gone part 2", "second open part", "second output",
	}
	if !slices.Equal(gone, want) {
		t.Errorf("DeleteVault releases %q, want %q", gone, want)
	}

	update(t, db, func(tx *Tx) error { return tx.DeleteVault(first) })
	for table, n := range rows(t, db) {
		if n != 0 {
			t.Errorf("without vaults there are %d rows of %s", n, table)
		}
	}
	if again := newVault(t, db, "second"); again <= second {
		t.Errorf("a new vault has the number %d, that of an old one", again)
	}
}

// wantTombstonesLast checks the order of release: while the record of an archive is on the medium, its tombstone is.
func wantTombstonesLast(t *testing.T, places []string) {
	t.Helper()
	for i, place := range places {
		if !strings.Contains(place, "tombstone") && slices.ContainsFunc(places[:i], func(p string) bool { return strings.Contains(p, "tombstone") }) {
			t.Errorf("a tombstone is released before %q: %q", place, places)
			return
		}
	}
}

func TestReferrers(t *testing.T) {
	db := openNew(t)
	id := newVault(t, db, "photos")
	update(t, db, func(tx *Tx) error {
		return errors.Join(furnish(tx, id, "v"), tx.InsertArchive(archiveRow(id, "live", 1)))
	})
	for place, want := range map[string][]Referrer{
		"place of live":           {{"archive", "live", 0, id}},
		"place of v single":       {{"deleted archive", "v single", 0, id}},
		"0 tombstone of v single": {{"tombstone", "v single", 0, id}},
		"v gone part 2":           {{"part", "upload of v gone", 1 << 20, id}},
		"v open part":             {{"part", "v open", 0, id}},
		"v output":                {{"output", "v inventory", 0, id}},
		"place of v freed":        nil, "v freed part 1": nil, "v aborted part": nil, "": nil, "unknown": nil,
	} {
		view(t, db, func(tx *Tx) error {
			if got, err := tx.Referrers(place); err != nil || !slices.Equal(got, want) {
				t.Errorf("Referrers(%q) = %v, %v, want %v", place, got, err, want)
			}
			return nil
		})
	}
}

func TestRefersInto(t *testing.T) {
	db := openNew(t)
	id := newVault(t, db, "photos")
	at := func(a Archive, place string) Archive { a.Place = place; return a }
	update(t, db, func(tx *Tx) error {
		gone := at(archiveRow(id, "gone", 1), "b:64")
		return errors.Join(
			tx.InsertArchive(at(archiveRow(id, "live", 1), "a:64")), tx.InsertArchive(gone), tx.DeleteArchive(gone, epoch), tx.Bury("gone", "c:1"), tx.ReleaseDeleted("gone"),
			tx.InsertUpload(openUpload(id, "u")), putPart(tx, "u", 0, "d:77"),
		)
	})
	for name, want := range map[string]bool{"a": true, "b": false, "c": true, "d": true, "e": false, "a:6": false, "": false} {
		view(t, db, func(tx *Tx) error {
			if got, err := tx.RefersInto(name); err != nil || got != want {
				t.Errorf("RefersInto(%q) = %t, %v", name, got, err)
			}
			return nil
		})
	}
}
