package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/catalogue"
	times "github.com/moraine-archive/moraine/internal/clock"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/store/volume"
)

// TestLegalHoldOutlivesARebuild rebuilds from the medium alone, and from a copy of before the tag: a lock that asks for a tag finds it.
func TestLegalHoldOutlivesARebuild(t *testing.T) {
	hold := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":["glacier:DeleteArchive","glacier:RemoveTagsFromVault","glacier:AddTagsToVault"],
		"Resource":"*","Condition":{"StringEquals":{"glacier:ResourceTag/LegalHold":"true"}}}]}`
	for _, tagFirst := range []bool{false, true} {
		for _, copied := range []bool{false, true} {
			c := newCheater(t)
			ref := Ref{c.ref.Account, "w"}
			check(t, c.CreateVault(t.Context(), ref))
			id, _, err := c.UploadArchive(t.Context(), ref, "", payloadOf([]byte("evidence")))
			check(t, err)
			from := ""
			if copied {
				from = c.copyCatalogue(t)
			}
			tag := func() { check(t, c.AddTagsToVault(t.Context(), ref, map[string]string{"LegalHold": "true", "a": "1"})) }
			if tagFirst {
				tag()
			}
			lock, err := c.InitiateVaultLock(t.Context(), ref, &hold)
			check(t, err)
			check(t, c.CompleteVaultLock(t.Context(), ref, lock))
			if !tagFirst {
				for i := range 5 { // each takes the place of the record before
					check(t, c.AddTagsToVault(t.Context(), ref, map[string]string{"a": fmt.Sprint(i)}))
				}
				tag()
			}
			c.rebuild(t, from)
			what := fmt.Sprintf("tagged first: %t, from a copy: %t", tagFirst, copied)
			wantFault(t, what, c.DeleteArchive(t.Context(), ref, id), fault.Denied)
			wantFault(t, what, c.RemoveTagsFromVault(t.Context(), ref, []string{"LegalHold"}), fault.Denied)
			if d, err := c.ListTagsForVault(t.Context(), ref); err != nil || fmt.Sprint(d.Tags) != "map[LegalHold:true a:1]" {
				t.Errorf("%s: the tags are %v, %v", what, d.Tags, err)
			}
			check(t, c.Release(t.Context()))
			c.wantNothingWrong(t)
			c.kill(t)
		}
	}
}

// TestTheRealLockCounts has a lock that was never completed on the medium, for its completion was cut off: with a date far ahead. The real one, that came later, is put on again by a rebuild.
func TestTheRealLockCounts(t *testing.T) {
	weak := `{"Statement":{"Effect":"Deny","Principal":"*","Action":"glacier:DeleteVaultNotifications","Resource":"*"}}`
	for _, copied := range []bool{false, true} {
		for _, fails := range []catalogue.CommitFault{catalogue.CommitFails, catalogue.CommitFailsAfter} {
			c := newCheater(t)
			ref := Ref{c.ref.Account, "w"}
			check(t, c.CreateVault(t.Context(), ref))
			id, _, err := c.UploadArchive(t.Context(), ref, "", payloadOf([]byte("evidence")))
			check(t, err)
			c.set(10 * year)
			lock, err := c.InitiateVaultLock(t.Context(), ref, &weak)
			check(t, err)
			c.writeAbandoned(t, ref, lock)
			check(t, c.AbortVaultLock(t.Context(), ref))
			c.set(-10 * year)
			c.pass(time.Hour)
			strict := retention
			lock, err = c.InitiateVaultLock(t.Context(), ref, &strict)
			check(t, err)
			c.rows.FailCommits(func() catalogue.CommitFault { return fails })
			if err := c.CompleteVaultLock(t.Context(), ref, lock); err == nil {
				t.Error("a completion whose commit fails succeeds")
			}
			c.rows.FailCommits(nil)
			check(t, c.CompleteVaultLock(t.Context(), ref, lock))
			from := ""
			if copied {
				from = c.copyCatalogue(t)
			}
			c.rebuild(t, from)
			wantFault(t, fmt.Sprintf("from a copy: %t", copied), c.DeleteArchive(t.Context(), ref, id), fault.Denied)
			c.wantNothingWrong(t)
			c.kill(t)
		}
	}
}

// writeAbandoned writes the record of a lock and leaves it, as a completion does that is killed before its commit.
func (c *cheater) writeAbandoned(t *testing.T, ref Ref, lock string) {
	t.Helper()
	l, err := c.completable(t.Context(), ref, lock)
	check(t, err)
	_, err = c.writeLock(t.Context(), ref, l.lock, l.tags)
	check(t, err)
}

// TestAbortedLockStaysAway aborts a lock whose completion has failed at the commit: no rebuild puts it on.
func TestAbortedLockStaysAway(t *testing.T) {
	c := newCheater(t)
	defer func() { c.kill(t) }()
	ref := Ref{c.ref.Account, "w"}
	check(t, c.CreateVault(t.Context(), ref))
	policy := retention
	lock, err := c.InitiateVaultLock(t.Context(), ref, &policy)
	check(t, err)
	c.rows.FailCommits(func() catalogue.CommitFault { return catalogue.CommitFails })
	if err := c.CompleteVaultLock(t.Context(), ref, lock); err == nil {
		t.Error("a completion whose commit fails succeeds")
	}
	c.rows.FailCommits(nil)
	check(t, c.AbortVaultLock(t.Context(), ref))
	c.rebuild(t, c.copyCatalogue(t))
	_, err = c.GetVaultLock(t.Context(), ref)
	wantFault(t, "the lock", err, fault.NotFound)
}

// TestCopyOfAnotherTime rebuilds from a copy that was made, under a clock set forward, when the store was begun: what it says of the time is not believed.
func TestCopyOfAnotherTime(t *testing.T) {
	c := &cheater{now: time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC), up: 100 * time.Hour, boot: "1", dir: t.TempDir()}
	c.house = &house{path: filepath.Join(t.TempDir(), "catalogue.db"), ref: Ref{"123456789012", "v"}}
	c.set(10 * year)
	c.start(t)
	check(t, c.KeepTime(t.Context()))
	first := c.copyCatalogue(t)
	c.set(-10 * year)
	c.rebuild(t, "")
	check(t, c.CreateVault(t.Context(), c.ref))
	id := c.house.archive(t, []byte("evidence"))
	c.lockedWith(t, retention)
	c.pass(30 * day)
	c.rebuild(t, first)
	defer func() { c.kill(t) }()
	wantFault(t, "after 30 days and a rebuild", c.DeleteArchive(t.Context(), c.ref, id), fault.Denied)
	c.pass(334 * day)
	wantFault(t, "after 364 days", c.DeleteArchive(t.Context(), c.ref, id), fault.Denied)
}

// unreadableLocks is a store that has locks and cannot read them.
type unreadableLocks struct{ *volume.Store }

func (u unreadableLocks) Open(ctx context.Context, at store.Place, off, n int64) (io.ReadCloser, error) {
	x, err := u.Stat(ctx, at)
	if err == nil && strings.Contains(string(x.Label), `"what":"lock"`) {
		return nil, errors.New("the disk does not answer")
	}
	return u.Store.Open(ctx, at, off, n)
}

// TestUnreadableLockIsKept rebuilds while the record of a lock cannot be read: it is reported, and the record stays for the next time.
func TestUnreadableLockIsKept(t *testing.T) {
	h := withVolumes(t, t.TempDir())
	h.archive(t, []byte("kept"))
	h.lockedWith(t, retention)
	rows, err := catalogue.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "rebuilt.db"))
	check(t, err)
	defer rows.Close()
	s := New(rows, unreadableLocks{h.store.Store.(*volume.Store)}, h.Service.settings, times.Of(h.clock.Now), slog.New(slog.DiscardHandler))
	reported := false
	_, err = s.Rebuild(t.Context(), Inspection{Report: func(f Finding) error {
		reported = reported || f.Severity == Wrong && strings.Contains(f.Problem, "lock cannot be read: the disk does not answer")
		return nil
	}})
	check(t, err)
	if !reported {
		t.Error("it is not reported that a lock cannot be read")
	}
	check(t, s.Release(t.Context()))
	h.wantKinds(t, "after the rebuild", "archive:1 lock:1")
}
