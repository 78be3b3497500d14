package vault

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"reflect"
	"strings"
	"time"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/protocol"
	"github.com/moraine-archive/moraine/internal/store"
)

// lockText is the payload of the record of a lock.
type lockText struct {
	Policy   string `json:"policy"`
	Created  int64  `json:"created"`   // milliseconds since 1970
	LockTime int64  `json:"lock_time"` // the same by the time that nobody can set
	Settable bool   `json:"settable,omitempty"`
	Number   int64  `json:"number,omitempty"` // of several records of a lock the one with the greatest counts

	Tags map[string]string `json:"tags,omitempty"` // of the vault
}

func textOf(l catalogue.Lock, tags map[string]string) lockText {
	return lockText{l.Policy, l.CreatedAt.UnixMilli(), l.LockTime.UnixMilli(), l.Settable, l.Number, tags}
}

func (t lockText) equal(u lockText) bool {
	same := maps.Equal(t.Tags, u.Tags)
	t.Tags, u.Tags = nil, nil
	return same && reflect.DeepEqual(t, u)
}

// lock is the lock that the record at a place says the vault has.
func (t lockText) lock(id string, vault int64, at store.Place) catalogue.Lock {
	place := string(at)
	return catalogue.Lock{
		VaultID: vault, ID: id, Policy: t.Policy, CreatedAt: time.UnixMilli(t.Created), LockTime: time.UnixMilli(t.LockTime), Settable: t.Settable, Place: &place, Number: t.Number,
	}
}

// writeLock puts a lock on the medium, with the tags that its policy may ask for.
func (s *Service) writeLock(ctx context.Context, ref Ref, l catalogue.Lock, tags map[string]string) (store.Extent, error) {
	text, err := json.Marshal(textOf(l, tags))
	if err != nil {
		return store.Extent{}, err
	}
	name := label{What: isLock, Account: ref.Account, Vault: ref.Name, Lock: l.ID}
	return s.putWarm(ctx, name, treehash.NewStream(strings.NewReader(string(text)), int64(len(text)), nil))
}

// maxLockText is more than the payload of the record of a lock has: every byte of a policy may need six in JSON, and a character of a tag twelve.
const maxLockText = 6*protocol.MaxPolicy + 12*protocol.MaxTags*(protocol.MaxTagKey+protocol.MaxTagValue) + 10_000

// readLock reads what the record of a lock says.
func (s *Service) readLock(ctx context.Context, at store.Place) (text lockText, err error) {
	x, err := s.bytes.Stat(ctx, at)
	if err != nil {
		return text, err
	}
	r, err := s.bytes.Open(ctx, at, 0, min(x.Size, maxLockText))
	if err != nil {
		return text, err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return text, err
	}
	return text, json.Unmarshal(b, &text)
}
