package vault

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/store"
)

// Severity says how bad a finding is.
type Severity string

// The severities.
const (
	Wrong Severity = "wrong" // something is lost, damaged, or contradicts something else
	Note  Severity = "note"  // nothing is lost: what an interrupted request left, say
)

// Finding is something that a check has found.
type Finding struct {
	Severity Severity `json:"severity"`
	Account  string   `json:"account,omitempty"`
	Vault    string   `json:"vault,omitempty"`
	Archive  string   `json:"archive,omitempty"` // id
	Upload   string   `json:"upload,omitempty"`  // id
	Job      string   `json:"job,omitempty"`     // id
	Place    string   `json:"place,omitempty"`   // in the store
	Problem  string   `json:"problem"`
}

// String returns the finding in a line.
func (f Finding) String() string {
	var b strings.Builder
	for _, part := range [][2]string{
		{"archive", f.Archive}, {"upload", f.Upload}, {"job", f.Job}, {"vault", strings.Trim(f.Account+"/"+f.Vault, "/")}, {"at", f.Place},
	} {
		if part[1] != "" {
			fmt.Fprintf(&b, "%s %s ", part[0], part[1])
		}
	}
	return strings.TrimSpace(b.String()) + ": " + f.Problem
}

func orphan(x store.Extent) Finding {
	l, _ := parseLabel(x.Label)
	if l.What == isLock {
		return Finding{
			Severity: Note, Account: l.Account, Vault: l.Vault, Place: string(x.Place),
			Problem: "the medium has a lock of this vault that the catalogue does not know: its completion was interrupted, or the catalogue is an old copy, and a rebuild puts the lock on again",
		}
	}
	return Finding{
		Severity: Note, Account: l.Account, Vault: l.Vault, Archive: l.Archive, Upload: l.Upload, Job: l.Job, Place: string(x.Place),
		Problem: fmt.Sprintf("nothing refers to this %s of %d bytes: an interrupted request left it, or the catalogue is an old copy", l.What, x.Size),
	}
}

// findingsOf says what damage means: to whom it is done, if a row refers to the record; otherwise it is what a crash left.
func (s *Service) findingsOf(ctx context.Context, d store.Damage) (findings []Finding, err error) {
	if d.Place == "" {
		return []Finding{{Severity: Wrong, Place: d.Volume, Problem: d.Err.Error() + "; no archive depends on it"}}, nil
	}
	err = s.rows.View(ctx, func(tx *catalogue.Tx) error {
		findings = nil
		referrers, err := referrersOf(tx, d)
		for _, r := range referrers {
			if err != nil {
				return err
			}
			var f Finding
			f, err = describeDamage(tx, r, d)
			findings = append(findings, f)
		}
		return err
	})
	if err == nil && len(findings) == 0 {
		findings = []Finding{{Severity: Note, Place: string(d.Place), Problem: d.Err.Error() + "; nothing refers to it"}}
	}
	return findings, err
}

// referrersOf returns what refers to a damaged record: what its label names if it can be read, otherwise whatever is found.
func referrersOf(tx *catalogue.Tx, d store.Damage) ([]catalogue.Referrer, error) {
	l, err := parseLabel(d.Label)
	if err != nil {
		return tx.Referrers(string(d.Place))
	}
	w, err := l.where(tx)
	if errors.Is(err, catalogue.ErrNotFound) || err == nil && w.Place != string(d.Place) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return tx.Referrers(string(d.Place))
}

func describeDamage(tx *catalogue.Tx, r catalogue.Referrer, d store.Damage) (Finding, error) {
	f := Finding{Severity: Wrong, Place: string(d.Place), Problem: fmt.Sprintf("the %s is damaged: %v", r.What, d.Err)}
	vault := r.VaultID
	switch r.What {
	case "part":
		f.Upload = r.ID
		var err error
		if f.Archive, vault, err = tx.OwnerOfPart(r.ID); err != nil {
			return f, err
		}
	case "output":
		f.Job = r.ID
	case "lock": // its id proves that a lock may be completed
	default:
		f.Archive = r.ID
	}
	v, err := tx.VaultByID(vault)
	if err == nil {
		f.Account, f.Vault = v.AccountID, v.Name
	}
	if errors.Is(err, catalogue.ErrNotFound) {
		err = nil
	}
	return f, err
}
