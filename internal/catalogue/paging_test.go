package catalogue

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// pages reads a list page by page: page returns up to limit keys after a key. Between two pages between is called with the last key.
func pages[K any](t *testing.T, first K, limit int, page func(after K, limit int) []K, between func(last K)) (all []K) {
	t.Helper()
	for after := first; ; {
		keys := page(after, limit)
		if len(keys) > limit {
			t.Fatalf("a page of %d has %d keys", limit, len(keys))
		}
		all = append(all, keys...)
		if len(keys) < limit {
			return all
		}
		after = keys[len(keys)-1]
		between(after)
	}
}

// names sort by byte: neither by letter nor by number.
func names() []string {
	return []string{"-", ".a", "0", "10", "9", "A", "Z", "_", "a", "aa", "aaa", "b", "photos", "photos-2", "photos.2", "z"}
}

func nothing[K any](K) {}

func TestVaultsInPages(t *testing.T) {
	db := openNew(t)
	byName := make(map[string]int64)
	for _, name := range slices.Backward(names()) {
		byName[name] = newVault(t, db, name)
	}
	update(t, db, func(tx *Tx) error { return tx.InsertVault("210987654321", "of-another", epoch) })
	page := func(after string, limit int) (keys []string) {
		view(t, db, func(tx *Tx) error {
			vaults, err := tx.Vaults(account, after, limit)
			for _, v := range vaults {
				keys = append(keys, v.Name)
			}
			return err
		})
		return keys
	}
	for _, limit := range []int{1, 2, 5, 16, 17, 1000} {
		if got := pages(t, "", limit, page, nothing); !slices.Equal(got, names()) {
			t.Errorf("in pages of %d: %q", limit, got)
		}
	}
	got := pages(t, "", 3, page, func(last string) { // the vault at the marker goes
		update(t, db, func(tx *Tx) error { return tx.DeleteVault(byName[last]) })
	})
	if !slices.Equal(got, names()) {
		t.Errorf("while vaults go: %q", got)
	}
}

func openUpload(vault int64, id string) Upload {
	return Upload{ID: id, VaultID: vault, ArchiveID: "archive of " + id, CreatedAt: epoch, PartSize: 1 << 20, Description: "about " + id}
}

func TestUploadsInPages(t *testing.T) {
	db := openNew(t)
	id, other := newVault(t, db, "photos"), newVault(t, db, "other")
	update(t, db, func(tx *Tx) error {
		for _, name := range slices.Backward(names()) {
			if err := tx.InsertUpload(openUpload(id, name)); err != nil {
				return err
			}
		}
		for _, state := range []string{UploadCompleted, UploadAborted} {
			u := openUpload(id, "5-"+state)
			if err := tx.InsertUpload(u); err != nil {
				return err
			}
			u.State, u.EndedAt = state, epoch
			if err := tx.EndUpload(u); err != nil {
				return err
			}
		}
		return tx.InsertUpload(openUpload(other, "5-other"))
	})
	page := func(after string, limit int) (keys []string) {
		view(t, db, func(tx *Tx) error {
			uploads, err := tx.OpenUploads(id, after, limit)
			for _, u := range uploads {
				keys = append(keys, u.ID)
			}
			return err
		})
		return keys
	}
	for _, limit := range []int{1, 2, 5, 16, 17, 1000} {
		if got := pages(t, "", limit, page, nothing); !slices.Equal(got, names()) {
			t.Errorf("in pages of %d: %q", limit, got)
		}
	}
	got := pages(t, "", 3, page, func(last string) { // the upload at the marker ends
		u := openUpload(id, last)
		u.State, u.EndedAt = UploadAborted, epoch
		update(t, db, func(tx *Tx) error { return tx.EndUpload(u) })
	})
	if !slices.Equal(got, names()) {
		t.Errorf("while uploads end: %q", got)
	}
}

// putPart stores a part of 1 MiB at a number of MiBs.
func putPart(tx *Tx, upload string, number int64, place string) error {
	_, err := tx.PutPart(Part{UploadID: upload, First: number << 20, Size: 1 << 20, TreeHash: []byte(place), Place: place}, epoch)
	return err
}

func TestPartsInPages(t *testing.T) {
	db := openNew(t)
	id := newVault(t, db, "photos")
	var want []int64
	update(t, db, func(tx *Tx) error {
		if err := errors.Join(tx.InsertUpload(openUpload(id, "u")), tx.InsertUpload(openUpload(id, "v"))); err != nil {
			return err
		}
		for n := int64(20); n >= 0; n-- {
			if err := errors.Join(putPart(tx, "u", n*n, fmt.Sprint("u", n)), putPart(tx, "v", n, fmt.Sprint("v", n))); err != nil {
				return err
			}
			want = append(want, n*n<<20)
		}
		return nil
	})
	slices.Sort(want)
	page := func(after int64, limit int) (keys []int64) {
		view(t, db, func(tx *Tx) error {
			parts, err := tx.Parts("u", after, limit)
			for _, p := range parts {
				keys = append(keys, p.First)
			}
			return err
		})
		return keys
	}
	for _, limit := range []int{1, 2, 5, 21, 22, 10_000} {
		if got := pages(t, -1, limit, page, nothing); !slices.Equal(got, want) {
			t.Errorf("in pages of %d: %d", limit, got)
		}
	}
}

func TestPartsWithin(t *testing.T) {
	db := openNew(t)
	id := newVault(t, db, "photos")
	const part = 100
	update(t, db, func(tx *Tx) error {
		if err := tx.InsertUpload(openUpload(id, "u")); err != nil {
			return err
		}
		for n := range int64(4) {
			if _, err := tx.PutPart(Part{UploadID: "u", First: n * part, Size: part, TreeHash: []byte{1}, Place: fmt.Sprint(n)}, epoch); err != nil {
				return err
			}
		}
		return nil
	})
	for _, test := range []struct {
		first, last int64
		want        []string
	}{
		{0, 0, []string{"0"}},
		{0, 99, []string{"0"}},
		{99, 100, []string{"0", "1"}},
		{100, 199, []string{"1"}},
		{150, 350, []string{"1", "2", "3"}},
		{0, 399, []string{"0", "1", "2", "3"}},
		{399, 399, []string{"3"}},
		{400, 500, nil},
	} {
		var got []string
		view(t, db, func(tx *Tx) error {
			parts, err := tx.PartsWithin("u", test.first, test.last)
			for _, p := range parts {
				got = append(got, p.Place)
			}
			return err
		})
		if !slices.Equal(got, test.want) {
			t.Errorf("the bytes %d to %d are in the parts %q, want %q", test.first, test.last, got, test.want)
		}
	}
}

// job returns a job in progress.
func job(vault int64, id string) Job {
	return Job{ID: id, VaultID: vault, Action: "InventoryRetrieval", Status: InProgress, CreatedAt: epoch, DueAt: epoch}
}

// done returns a job that has ended and expires after some time.
func done(j Job, status string, expires time.Duration) Job {
	j.Status, j.CompletedAt, j.ExpiresAt = status, epoch, epoch.Add(expires)
	return j
}

func insertJobs(t *testing.T, db *DB, jobs ...Job) {
	t.Helper()
	update(t, db, func(tx *Tx) error {
		for _, j := range jobs {
			if err := tx.InsertJob(j); err != nil {
				return err
			}
		}
		return nil
	})
}

func jobPage(t *testing.T, db *DB, vault int64, f JobFilter, at time.Time) func(string, int) []string {
	return func(after string, limit int) (keys []string) {
		view(t, db, func(tx *Tx) error {
			jobs, err := tx.Jobs(vault, f, after, limit, at)
			for _, j := range jobs {
				keys = append(keys, j.ID)
			}
			return err
		})
		return keys
	}
}

func TestJobsInPages(t *testing.T) {
	db := openNew(t)
	id, other := newVault(t, db, "photos"), newVault(t, db, "other")
	for _, name := range names() {
		insertJobs(t, db, job(id, name))
	}
	insertJobs(t, db, job(other, "5-other"))
	newest := names()
	slices.Reverse(newest)
	for _, limit := range []int{1, 2, 5, 16, 17, 1000} {
		if got := pages(t, "", limit, jobPage(t, db, id, JobFilter{}, epoch), nothing); !slices.Equal(got, newest) {
			t.Errorf("in pages of %d: %q", limit, got)
		}
	}
	got := pages(t, "", 3, jobPage(t, db, id, JobFilter{}, epoch), func(last string) { // the job at the marker goes
		update(t, db, func(tx *Tx) error { return tx.exec(`DELETE FROM jobs WHERE job_id = $1`, last) })
	})
	if !slices.Equal(got, newest) {
		t.Errorf("while jobs go: %q", got)
	}
}

func TestJobsThatAFilterSelects(t *testing.T) {
	db := openNew(t)
	id := newVault(t, db, "photos")
	insertJobs(t, db, job(id, "1 running"), done(job(id, "2 succeeded"), Succeeded, time.Hour), done(job(id, "3 failed"), Failed, time.Hour),
		done(job(id, "4 succeeded, expired"), Succeeded, 0), done(job(id, "5 succeeded, expires"), Succeeded, time.Millisecond))
	for _, test := range []struct {
		filter JobFilter
		want   []string
	}{
		{JobFilter{}, []string{"5 succeeded, expires", "3 failed", "2 succeeded", "1 running"}},
		{JobFilter{Completed: "false"}, []string{"1 running"}},
		{JobFilter{Completed: "true"}, []string{"5 succeeded, expires", "3 failed", "2 succeeded"}},
		{JobFilter{Status: InProgress}, []string{"1 running"}},
		{JobFilter{Status: Succeeded}, []string{"5 succeeded, expires", "2 succeeded"}},
		{JobFilter{Status: Failed}, []string{"3 failed"}},
		{JobFilter{Status: Failed, Completed: "true"}, []string{"3 failed"}},
		{JobFilter{Status: Failed, Completed: "false"}, nil},
	} {
		for _, limit := range []int{1, 2, 10} {
			if got := pages(t, "", limit, jobPage(t, db, id, test.filter, epoch), nothing); !slices.Equal(got, test.want) {
				t.Errorf("%+v in pages of %d: %q, want %q", test.filter, limit, got, test.want)
			}
		}
	}
}

func TestJobOfAVault(t *testing.T) {
	db := openNew(t)
	id, other := newVault(t, db, "photos"), newVault(t, db, "other")
	text, number := "text", int64(7)
	full := Job{
		ID: "full", VaultID: id, Action: "ArchiveRetrieval", Status: Succeeded, Message: &text, Description: &text, Topic: &text,
		CreatedAt: epoch, DueAt: epoch.Add(1e9), CompletedAt: epoch.Add(2e9), ExpiresAt: epoch.Add(3e9),
		ArchiveID: &text, ArchiveSize: 1, ArchiveTreeHash: []byte{1}, ArchiveDescription: &text, Tier: &text, First: 2, Last: 3,
		TreeHash: []byte{2}, Format: &text, StartDate: &text, EndDate: &text, Limit: &number, Marker: &text, Snapshot: 4,
		SnapshotAt: epoch.Add(4e9), NextMarker: &text, OutputPlace: &text, OutputSize: &number,
	}
	insertJobs(t, db, full, job(id, "bare"))
	for _, want := range []Job{full, job(id, "bare")} {
		view(t, db, func(tx *Tx) error {
			got, err := tx.Job(id, want.ID, epoch)
			if fmt.Sprint(deref(got)) != fmt.Sprint(deref(want)) {
				t.Errorf("job %s comes back as\n%v, want\n%v", want.ID, deref(got), deref(want))
			}
			return err
		})
	}
	for name, find := range map[string]func(*Tx) (Job, error){
		"another vault's job":          func(tx *Tx) (Job, error) { return tx.Job(other, "bare", epoch) },
		"a missing job":                func(tx *Tx) (Job, error) { return tx.Job(id, "bar", epoch) },
		"a job at the time it expires": func(tx *Tx) (Job, error) { return tx.Job(id, "full", full.ExpiresAt) },
	} {
		view(t, db, func(tx *Tx) error {
			if j, err := find(tx); !errors.Is(err, ErrNotFound) {
				t.Errorf("%s: %+v, %v", name, j, err)
			}
			return nil
		})
	}
}

// deref returns the fields of a job with what its pointers point to.
func deref(j Job) []any {
	show := func(s *string) string {
		if s == nil {
			return "<nil>"
		}
		return *s
	}
	numbers := []int64{-1, -1}
	for i, n := range []*int64{j.Limit, j.OutputSize} {
		if n != nil {
			numbers[i] = *n
		}
	}
	return []any{
		j.ID, j.VaultID, j.Action, j.Status, show(j.Message), show(j.Description), show(j.Topic), j.CreatedAt, j.DueAt, j.CompletedAt,
		j.ExpiresAt, show(j.ArchiveID), j.ArchiveSize, j.ArchiveTreeHash, show(j.ArchiveDescription), show(j.Tier), j.First, j.Last,
		j.TreeHash, show(j.Format), show(j.StartDate), show(j.EndDate), numbers, show(j.Marker), j.Snapshot, j.SnapshotAt,
		show(j.NextMarker), show(j.OutputPlace),
	}
}

func TestDueJobs(t *testing.T) {
	db := openNew(t)
	id := newVault(t, db, "photos")
	view(t, db, func(tx *Tx) error {
		if due, err := tx.NextDue(""); err != nil || !due.IsZero() {
			t.Errorf("without jobs, NextDue gives %v, %v", due, err)
		}
		return nil
	})
	late, early := job(id, "b"), job(id, "c")
	late.DueAt, early.DueAt = epoch.Add(time.Second), epoch.Add(-time.Second)
	insertJobs(t, db, late, early, job(id, "a"), done(job(id, "d"), Succeeded, time.Hour))
	for _, test := range []struct {
		at    time.Duration
		limit int
		want  []string
	}{{-time.Minute, 10, nil}, {0, 10, []string{"c", "a"}}, {0, 1, []string{"c"}}, {time.Second, 10, []string{"c", "a", "b"}}} {
		var got []string
		view(t, db, func(tx *Tx) error {
			due, err := tx.DueJobs(epoch.Add(test.at), "", Job{}, test.limit)
			for _, j := range due {
				got = append(got, j.ID)
			}
			return err
		})
		if !slices.Equal(got, test.want) {
			t.Errorf("up to %d jobs due after %s: %q, want %q", test.limit, test.at, got, test.want)
		}
	}
	view(t, db, func(tx *Tx) error {
		if due, err := tx.NextDue(""); err != nil || !due.Equal(early.DueAt) {
			t.Errorf("NextDue gives %v, %v, want %v", due, err, early.DueAt)
		}
		return nil
	})
	update(t, db, func(tx *Tx) error { return tx.FinishJob(done(early, Succeeded, time.Hour)) })
	if err := db.Update(t.Context(), func(tx *Tx) error { return tx.FinishJob(done(early, Failed, time.Hour)) }); !errors.Is(err, ErrNotFound) {
		t.Errorf("a job that has ended can end again: %v", err)
	}
}
