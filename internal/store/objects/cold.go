package objects

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
)

// Storage classes of AWS from which objects have to be restored before they are read.
const (
	classGlacier     = "GLACIER"
	classDeepArchive = "DEEP_ARCHIVE"
)

// needsRestore reports whether objects of a class have to be restored before they are read.
func (s *Store) needsRestore(class string) bool {
	if s.options.NeedsRestore != nil && s.options.Class != "" && class == s.options.Class {
		return *s.options.NeedsRestore
	}
	return class == classGlacier || class == classDeepArchive
}

// readable reports whether an object can be read now. What a server has archived by itself is readable when it does not say so any more.
func (s *Store) readable(h head) bool {
	return !h.archived && (!s.needsRestore(h.class) || restorationOf(h.restore).ready)
}

// classOfCopies is the class for what is moved out of an object: where that was cold, the copies are too.
func (h head) classOfCopies() string {
	if h.class == "" || h.class == string(types.ObjectStorageClassStandard) {
		return ""
	}
	return h.class
}

// restoration is what a server says of an object that was asked for.
type restoration struct {
	asked bool
	ready bool
	until time.Time // zero: it is not said
}

// restorationOf reads x-amz-restore: ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT".
func restorationOf(header string) (r restoration) {
	r.asked = header != ""
	r.ready = strings.Contains(header, `ongoing-request="false"`)
	if _, rest, ok := strings.Cut(header, `expiry-date="`); ok {
		date, _, _ := strings.Cut(rest, `"`)
		r.until, _ = time.Parse(time.RFC1123, date) // what cannot be read is as good as not said
	}
	return r
}

// Warm asks for payloads to be made readable, and reports whether all of them are. Objects are restored as a whole, with all records that share them.
func (s *Store) Warm(ctx context.Context, tier string, at ...store.Place) (ready bool, err error) {
	if !slices.Contains(tiers, tier) {
		return false, fault.New(fault.Invalid, "there is no tier %q: there are %s", tier, strings.Join(tiers, ", "))
	}
	var waiting atomic.Bool
	asked := make(map[name]bool)
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(ahead)
	for _, p := range at {
		n, _, _ := parsePlace(p) // what is no place is an error of warmRecord
		first := !asked[n]
		asked[n] = true
		all.Go(func() error {
			can, err := s.warmRecord(ctx, p, tier, first)
			if !can {
				waiting.Store(true)
			}
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return false, err
	}
	return !waiting.Load(), nil
}

// warmRecord makes sure that there is a record. If it is the first of its object, it asks for that to be made readable.
func (s *Store) warmRecord(ctx context.Context, at store.Place, tier string, first bool) (ready bool, err error) {
	_, n, m, err := s.record(ctx, at, false)
	if err != nil || !first || m.size == 0 {
		return err == nil, err
	}
	ready, err = s.warmObject(ctx, n, tier)
	if errors.Is(err, fs.ErrNotExist) {
		err = s.lost(ctx, at, err)
	}
	return ready, err
}

// warmObject asks for an object to be made readable, if that was not asked before. One that is readable, but for less than half of the time that it
// should be, is asked for again: that makes the time longer.
func (s *Store) warmObject(ctx context.Context, n name, tier string) (ready bool, err error) {
	h, err := s.bucket.head(ctx, n.data())
	if err != nil {
		return false, err
	}
	if !s.needsRestore(h.class) && !h.archived {
		return true, nil
	}
	r := restorationOf(h.restore)
	if h.archived {
		return false, s.restoreArchived(ctx, n, tier, r)
	}
	half := time.Duration(s.options.RestoreDays) * 24 * time.Hour / 2
	if r.asked && (!r.ready || r.until.IsZero() || time.Until(r.until) > half) {
		return r.ready, nil
	}
	if err := s.bucket.restore(ctx, n.data(), s.options.RestoreDays, s.tierFor(h.class, tier)); err != nil {
		return false, err
	}
	if r.ready {
		return true, nil
	}
	h, err = s.bucket.head(ctx, n.data()) // some servers are fast
	return err == nil && s.readable(h), err
}

// restoreArchived asks for an object that a server has archived by itself, in a class that tiers its objects. Such a one stays readable until it was not read for long.
func (s *Store) restoreArchived(ctx context.Context, n name, tier string, r restoration) error {
	if r.asked {
		return nil
	}
	return s.bucket.restore(ctx, n.data(), 0, s.tierFor(classDeepArchive, tier)) // of the two tiers of an archive, it is not said which one has the object
}

// tierFor returns the tier of the server by which one of ours is served.
func (s *Store) tierFor(class, tier string) string {
	if theirs := s.options.RestoreTiers[tier]; theirs != "" {
		return theirs
	}
	if class == classDeepArchive && tier == string(types.TierExpedited) {
		return string(types.TierStandard) // there is no faster one
	}
	return tier
}

// restore asks for an object to be made readable for so many days; 0: for as long as the server likes. That it was asked before is no error.
func (b *bucket) restore(ctx context.Context, key string, days int, tier string) error {
	request := &types.RestoreRequest{GlacierJobParameters: &types.GlacierJobParameters{Tier: types.Tier(tier)}}
	if days > 0 {
		request.Days = aws.Int32(int32(days))
	}
	_, err := b.client.RestoreObject(ctx, &s3.RestoreObjectInput{Bucket: &b.name, Key: b.key(key), RestoreRequest: request})
	switch codeOf(err) {
	case "RestoreAlreadyInProgress":
		return nil
	case "GlacierExpeditedRetrievalNotAvailable":
		return fault.Wrap(fault.InsufficientCapacity, err, "%s has no capacity for the tier %s at the moment", b, tier)
	}
	return b.failed(fmt.Sprintf("restore by the tier %s", tier), key, err)
}
