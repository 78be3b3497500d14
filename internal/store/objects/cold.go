package objects

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

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

// readable reports whether an object can be read now.
func (s *Store) readable(h head) bool {
	return !s.needsRestore(h.class) || restorationOf(h.restore).ready
}

// classOfCopies is the class for what is moved out of an object: where that was cold, the copies are too.
func (s *Store) classOfCopies(h head) string {
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

// Warm asks for payloads to be made readable, and reports whether all of them are.
func (s *Store) Warm(ctx context.Context, tier string, at ...store.Place) (ready bool, err error) {
	if !slices.Contains(tiers, tier) {
		return false, fault.New(fault.Invalid, "there is no tier %q: there are %s", tier, strings.Join(tiers, ", "))
	}
	ready = true
	asked := make(map[name]bool)
	for _, p := range at {
		_, n, m, err := s.record(ctx, p, false)
		if err != nil {
			return false, err
		}
		if asked[n] || m.size == 0 {
			continue
		}
		asked[n] = true
		can, err := s.warmObject(ctx, n, tier)
		if errors.Is(err, fs.ErrNotExist) {
			err = s.lost(ctx, p, err)
		}
		if err != nil {
			return false, err
		}
		ready = ready && can
	}
	return ready, nil
}

// warmObject asks for an object to be made readable, if that was not asked before. One that is readable, but for less than half of the time that it
// should be, is asked for again: that makes the time longer.
func (s *Store) warmObject(ctx context.Context, n name, tier string) (ready bool, err error) {
	h, err := s.bucket.head(ctx, n.data())
	if err != nil {
		return false, err
	}
	if !s.needsRestore(h.class) {
		return true, nil
	}
	r := restorationOf(h.restore)
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

// restore asks for an object to be made readable. That it was asked before is no error.
func (b *bucket) restore(ctx context.Context, key string, days int, tier string) error {
	_, err := b.client.RestoreObject(ctx, &s3.RestoreObjectInput{
		Bucket: &b.name, Key: b.key(key),
		RestoreRequest: &types.RestoreRequest{Days: aws.Int32(int32(days)), GlacierJobParameters: &types.GlacierJobParameters{Tier: types.Tier(tier)}},
	})
	if codeOf(err) == "RestoreAlreadyInProgress" {
		return nil
	}
	return b.failed(fmt.Sprintf("restore by the tier %s", tier), key, err)
}
