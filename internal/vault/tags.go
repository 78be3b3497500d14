package vault

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/protocol"
)

// AddTagsToVault adds tags to a vault, or replaces their values: all of them or none.
func (s *Service) AddTagsToVault(ctx context.Context, ref Ref, tags map[string]string) error {
	if err := checkTags(tags); err != nil {
		return err
	}
	return s.change(ctx, ref, protocol.AddTagsToVault, func(tx *catalogue.Tx, v catalogue.Vault) error {
		all, err := tx.Tags(v.ID)
		if err != nil {
			return err
		}
		for key, value := range tags {
			all[key] = value
			if err := tx.SetTag(v.ID, key, value); err != nil {
				return err
			}
		}
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
	return s.change(ctx, ref, protocol.RemoveTagsFromVault, func(tx *catalogue.Tx, v catalogue.Vault) error {
		for _, key := range keys {
			if err := tx.RemoveTag(v.ID, key); err != nil {
				return err
			}
		}
		return nil
	})
}
