// Package vault is what the operations mean: the rules of the service, over rows (catalogue) and bytes (store). It knows
// nothing of SQL, and of HTTP only the text of values: they are parsed here, so that the order of errors is in one place.
package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moraine-archive/moraine/internal/access"
	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/clock"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/protocol"
	"github.com/moraine-archive/moraine/internal/store"
)

// Service carries out the operations. Its methods may be called from several goroutines. All values in requests are as
// the client sent them, unless a field says otherwise.
type Service struct {
	rows     *catalogue.DB
	bytes    store.Store
	settings Settings
	times    *clock.Clock
	now      func() time.Time // of times
	log      *slog.Logger
	ids      ids
	wakes    Wakes
	policies access.Cache // of vaults

	// moving is held while records are swept or moved: a copy that nothing refers to yet must not be taken for one that is left over.
	moving sync.Mutex
	// scrubbing is held by the scrub that runs.
	scrubbing sync.Mutex
}

// New returns a service. All dates come from times, and the ages that locks go by.
func New(rows *catalogue.DB, bytes store.Store, settings Settings, times *clock.Clock, log *slog.Logger) *Service {
	return &Service{rows: rows, bytes: bytes, settings: settings, times: times, now: times.Now, log: log, wakes: newWakes()}
}

// Wakes are channels that receive when there may be work for a loop of the worker.
type Wakes struct{ Retrievals, Inventories, Releases, Notices chan struct{} }

func newWakes() Wakes {
	return Wakes{make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)}
}

// Wakes returns the channels that Poke sends on.
func (s *Service) Wakes() Wakes { return s.wakes }

// Poke makes the worker look for work now.
func (s *Service) Poke() {
	for _, wake := range []chan struct{}{s.wakes.Retrievals, s.wakes.Inventories, s.wakes.Releases, s.wakes.Notices} {
		poke(wake)
	}
}

func poke(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default: // it will look anyway
	}
}

// Ref names a vault: the account that owns it, 12 digits, and the name as the client sent it.
type Ref struct {
	Account string
	Name    string
}

// ARN returns the Amazon Resource Name of a vault.
func (s *Service) ARN(ref Ref) string { return s.arnPrefix(ref.Account) + ref.Name }

func (s *Service) arnPrefix(account string) string {
	return fmt.Sprintf("arn:aws:glacier:%s:%s:vaults/", s.settings.Region, account)
}

// legalName is the rule for vault names (guide: "Create Vault").
var legalName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,255}$`) // read only

func legalVaultName(name string) bool {
	return legalName.MatchString(name) && name != "." && name != ".."
}

// vault returns the row of a vault. What is not a legal name is shown raw, as the original does.
func (s *Service) vault(tx *catalogue.Tx, ref Ref) (catalogue.Vault, error) {
	if !legalVaultName(ref.Name) {
		return catalogue.Vault{}, vaultNotFound(ref.Name)
	}
	v, err := tx.Vault(ref.Account, ref.Name)
	return v, s.orVaultNotFound(err, ref)
}

// orVaultNotFound turns the absence of a row into the absence of the vault.
func (s *Service) orVaultNotFound(err error, ref Ref) error {
	return absent(err, vaultNotFound(s.ARN(ref)))
}

// absent turns the absence of a row into an error that says what is not there.
func absent(err, notFound error) error {
	if errors.Is(err, catalogue.ErrNotFound) {
		return notFound
	}
	return err
}

func vaultNotFound(arn string) error {
	return fault.New(fault.NotFound, "Vault not found for ARN: %s", arn)
}

func archiveNotFound(id string) error {
	return fault.New(fault.NotFound, "The archive ID was not found: %s", id)
}

func uploadNotFound(id string) error {
	return fault.New(fault.NotFound, "The upload ID was not found: %s", id)
}

func jobNotFound(id string) error {
	return fault.New(fault.NotFound, "The job ID was not found: %s", id)
}

// list runs fn where lists are read, which may be a replica. What is not there yet is looked for in the catalogue itself.
func (s *Service) list(ctx context.Context, fn func(*catalogue.Tx) error) error {
	err := s.rows.List(ctx, fn)
	if fault.Is(err, fault.NotFound) {
		err = s.rows.View(ctx, fn)
	}
	return err
}

// discard removes bytes that no row refers to. It is best effort: what stays is removed by the sweep.
func (s *Service) discard(at store.Place) {
	if err := s.bytes.Remove(context.Background(), at); err != nil {
		s.log.Warn("bytes that nothing refers to could not be removed; the sweep will", "place", at, "error", err)
	}
}

// label says what a record is. It is JSON, so that a stranger can read it.
type label struct {
	What        string `json:"what"`
	Account     string `json:"account"`
	Vault       string `json:"vault"`
	Archive     string `json:"archive,omitempty"`
	Upload      string `json:"upload,omitempty"`
	Job         string `json:"job,omitempty"`
	Lock        string `json:"lock,omitempty"`
	First       int64  `json:"first,omitempty"`     // of a part: its offset in the archive
	PartSize    int64  `json:"part_size,omitempty"` // of a part: that of its upload
	Description string `json:"description,omitempty"`
	At          int64  `json:"at,omitempty"` // of a deletion: when it was, in milliseconds since 1970
}

// What a record can be.
const (
	isArchive   = "archive"   // an archive uploaded in one piece
	isPart      = "part"      // a part of an upload, or of the archive it became
	isMultipart = "multipart" // an archive as the list of its parts
	isOutput    = "output"    // the output of an inventory job
	isDeleted   = "deleted"   // an archive was deleted
	isLock      = "lock"      // a vault was locked
)

func (l label) known() bool {
	return slices.Contains([]string{isArchive, isPart, isMultipart, isOutput, isDeleted, isLock}, l.What)
}

func (l label) encode() []byte {
	b, err := json.Marshal(l)
	if err != nil {
		panic(err) // strings and numbers only: cannot fail
	}
	return b
}

func timestamp(t time.Time) string { return t.UTC().Format(protocol.TimestampLayout) }

// timestampOrNil returns nil for the zero time.
func timestampOrNil(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	text := timestamp(t)
	return &text
}

// textOrNil returns nil for the empty string.
func textOrNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// nonEmpty returns nil for an empty string: clients send those for members they leave out.
func nonEmpty(s *string) *string {
	if s == nil || *s == "" {
		return nil
	}
	return s
}

// pageSize reads the limit of a list. What exceeds the maximum is cut to it, as the original does.
func pageSize(limit *string, maximum int) (int, error) {
	if limit == nil {
		return maximum, nil
	}
	n, err := strconv.ParseInt(*limit, 10, 64)
	if errors.Is(err, strconv.ErrRange) && n > 0 {
		return maximum, nil
	}
	if err != nil || n < 1 {
		return 0, fault.New(fault.Invalid, "Invalid limit: %s", *limit)
	}
	return int(min(n, int64(maximum))), nil
}

// page cuts a list that was read with one item more than fits. It reports whether there was one more.
func page[T any](list []T, size int) ([]T, bool) {
	if len(list) > size {
		return list[:size], true
	}
	return list, false
}

// printable reports whether a text has only characters of 0x20 to 0x7E. Nothing else is ever part of a description, an id or a marker, and not
// every database takes it.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// archiveDescription returns the description of an archive as it is kept: without spaces at the beginning (guide: "Initiate Multipart Upload").
func archiveDescription(text string) (string, error) {
	text = strings.TrimLeft(text, " ")
	return text, checkDescription("archive", text)
}

// checkDescription is the rule for descriptions of archives and jobs.
func checkDescription(what, text string) error {
	if len(text) > protocol.MaxDescription {
		return fault.New(fault.Invalid, "Invalid %s description: it has %d characters, the limit is %d", what, len(text), protocol.MaxDescription)
	}
	if !printable(text) {
		return fault.New(fault.Invalid, "Invalid %s description: only printable ASCII characters (0x20 to 0x7E) are allowed: %q", what, text)
	}
	return nil
}
