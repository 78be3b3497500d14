package vault

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/protocol"
	"github.com/moraine-archive/moraine/internal/store"
)

// AddTagsToVault adds tags to a vault, or replaces their values: all of them or none.
func (s *Service) AddTagsToVault(ctx context.Context, ref Ref, tags map[string]string) error {
	if err := checkTags(tags); err != nil {
		return err
	}
	return s.changeTags(ctx, ref, protocol.AddTagsToVault, func(all map[string]string) error {
		maps.Copy(all, tags)
		if len(all) > protocol.MaxTags {
			return fault.New(fault.LimitExceeded, "The vault %s would have %d tags, the limit is %d: none was added", ref.Name, len(all), protocol.MaxTags)
		}
		return nil
	})
}

func checkTags(tags map[string]string) error {
	if tags == nil {
		return missing("Tags")
	}
	if err := checkTagCount("Tags", len(tags)); err != nil {
		return err
	}
	for key, value := range tags {
		if err := checkTagKey(key); err != nil {
			return err
		}
		if n := utf8.RuneCountInString(value); n > protocol.MaxTagValue {
			return fault.New(fault.Invalid, "Invalid tag value of %q: it has %d characters, the limit is %d", key, n, protocol.MaxTagValue)
		}
		if !legalInTag(value) {
			return fault.New(fault.Invalid, "Invalid tag value of %q: %q has a character other than letters, digits, spaces and _ . / = + - @", key, value)
		}
		if strings.HasPrefix(strings.ToLower(key), "aws:") {
			return fault.New(fault.Invalid, "Invalid tag key: %q begins with aws:, which is reserved", key)
		}
	}
	return nil
}

func checkTagCount(name string, n int) error {
	if n < 1 || n > protocol.MaxTagRequest {
		return fault.New(fault.Invalid, "Invalid %s: there are %d, a request has 1 to %d", name, n, protocol.MaxTagRequest)
	}
	return nil
}

func checkTagKey(key string) error {
	if n := utf8.RuneCountInString(key); n < 1 || n > protocol.MaxTagKey {
		return fault.New(fault.Invalid, "Invalid tag key: %q has %d characters, the limit is %d and one is needed", key, n, protocol.MaxTagKey)
	}
	if !legalInTag(strings.ReplaceAll(key, ":", "")) || strings.Contains(key, ":") && !strings.HasPrefix(strings.ToLower(key), "aws:") {
		return fault.New(fault.Invalid, "Invalid tag key: %q has a character other than letters, digits, spaces and _ . / = + - @", key)
	}
	return nil
}

// legalInTag is the rule for characters of keys and values (guide: "Tagging Amazon Glacier Resources").
func legalInTag(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool {
		return !unicode.In(r, unicode.L, unicode.N, unicode.Z) && !strings.ContainsRune("_./=+-@", r)
	})
}

// ListTagsForVault returns the tags of a vault.
func (s *Service) ListTagsForVault(ctx context.Context, ref Ref) (d protocol.Tags, err error) {
	err = s.rows.View(ctx, func(tx *catalogue.Tx) error {
		v, err := s.vault(tx, ref)
		if err != nil {
			return err
		}
		d.Tags, err = tx.Tags(v.ID)
		return err
	})
	return d, err
}

// RemoveTagsFromVault removes tags from a vault. Those that it does not have are no error.
func (s *Service) RemoveTagsFromVault(ctx context.Context, ref Ref, keys []string) error {
	if keys == nil {
		return missing("TagKeys")
	}
	if err := checkTagCount("TagKeys", len(keys)); err != nil {
		return err
	}
	for _, key := range keys {
		if err := checkTagKey(key); err != nil {
			return err
		}
	}
	return s.changeTags(ctx, ref, protocol.RemoveTagsFromVault, func(all map[string]string) error {
		maps.DeleteFunc(all, func(key, _ string) bool { return slices.Contains(keys, key) })
		return nil
	})
}

// maxTagChanges bounds how often a change of tags is tried that others get ahead of.
const maxTagChanges = 10

// changeTags changes the tags of a vault. Those of a locked vault are on the medium with the lock: a rebuild must not take off a legal hold.
func (s *Service) changeTags(ctx context.Context, ref Ref, operation string, edit func(map[string]string) error) error {
	for range maxTagChanges {
		if err := s.tryTags(ctx, ref, operation, edit); !errors.Is(err, errChanged) {
			return err
		}
	}
	return fmt.Errorf("the tags of %s were changed all the while they were to be changed", ref.Name)
}

func (s *Service) tryTags(ctx context.Context, ref Ref, operation string, edit func(map[string]string) error) error {
	before, err := s.lockedTags(ctx, ref)
	if err != nil {
		return err
	}
	after := maps.Clone(before.tags)
	if err := edit(after); err != nil {
		return err
	}
	var x store.Extent
	if before.lock.Place != nil {
		next := before.lock
		next.Number++
		if x, err = s.writeLock(ctx, ref, next, after); err != nil {
			return err
		}
	}
	err = s.change(ctx, ref, operation, func(tx *catalogue.Tx, v catalogue.Vault) error {
		now, err := lockedTagsOf(tx, v)
		if err != nil {
			return err
		}
		if now.lock.VaultID != before.lock.VaultID || now.lock.Number != before.lock.Number || (now.lock.Place == nil) != (before.lock.Place == nil) || !maps.Equal(now.tags, before.tags) {
			return errChanged
		}
		if now.lock.Place != nil {
			if err := tx.RenewLock(before.lock, string(x.Place)); err != nil {
				return err
			}
		}
		return tx.ReplaceTags(v.ID, after)
	})
	if x.Place != "" {
		s.discardIf(errors.Is(err, errChanged) || fault.Is(err, fault.Denied) || fault.Is(err, fault.NotFound), x.Place)
	}
	s.Poke()
	return err
}

// lockedTags is what is on the medium of a locked vault: its lock, which is zero or in progress if it is not locked, and its tags.
type lockedTags struct {
	lock catalogue.Lock
	tags map[string]string
}

func lockedTagsOf(tx *catalogue.Tx, v catalogue.Vault) (l lockedTags, err error) {
	if l.lock, err = tx.Lock(v.ID); err != nil && !errors.Is(err, catalogue.ErrNotFound) {
		return l, err
	}
	l.tags, err = tx.Tags(v.ID)
	return l, err
}

// lockedTags returns them in a transaction of its own.
func (s *Service) lockedTags(ctx context.Context, ref Ref) (l lockedTags, err error) {
	err = s.rows.View(ctx, func(tx *catalogue.Tx) error {
		v, err := s.vault(tx, ref)
		if err == nil {
			l, err = lockedTagsOf(tx, v)
		}
		return err
	})
	return l, err
}
