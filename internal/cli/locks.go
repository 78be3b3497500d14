package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moraine-archive/moraine/glacier"
)

// lockDocument is a lock for scripts.
type lockDocument struct {
	Vault     string     `json:"vault"`
	State     string     `json:"state"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at"` // null: never
	Policy    any        `json:"policy"`
}

func lockShowCommand(p Process) *cobra.Command {
	return inVault(p, &cobra.Command{
		Use:     "show",
		Short:   "Show the lock of a vault",
		Long:    "Show the lock of a vault: InProgress is one that can still be taken off and ends by itself, Locked is one that is for ever.",
		Example: "  moraine lock show --vault evidence",
		Args:    arguments(),
	}, func(ctx context.Context, s *session, vault string, _ []string) error {
		lock, err := s.client.GetVaultLock(ctx, vault)
		if err != nil {
			return err
		}
		d := lockDocument{Vault: vault, State: lock.State, CreatedAt: lock.CreationDate, Policy: asDocument(lock.Policy)}
		expires := "never"
		if !lock.ExpirationDate.IsZero() {
			d.ExpiresAt, expires = &lock.ExpirationDate, moment(lock.ExpirationDate)
		}
		if s.asJSON {
			return printJSON(s.Stdout, d)
		}
		_, err = fmt.Fprintf(s.Stdout, "state:    %s\ncreated:  %s\nexpires:  %s\n%s\n", d.State, moment(d.CreatedAt), expires, strings.TrimSuffix(lock.Policy, "\n"))
		return err
	})
}

func lockInitiateCommand(p Process) *cobra.Command {
	return inVault(p, &cobra.Command{
		Use:   "initiate FILE",
		Short: "Put a lock on a vault, for a day, to try it",
		Long: `Put a lock on a vault. It is in force at once and ends after a day unless it is completed, so that it can be tried. FILE has the policy in JSON; - is
standard input. The id that is printed is needed to complete the lock.`,
		Example: "  moraine lock initiate --vault evidence keep-a-year.json",
		Args:    arguments("FILE"),
	}, func(ctx context.Context, s *session, vault string, args []string) error {
		policy, err := p.document(ctx, args[0])
		if err != nil {
			return err
		}
		out, err := s.client.InitiateVaultLock(ctx, vault, policy)
		if err != nil {
			return err
		}
		d := map[string]string{"vault": vault, "lock_id": out.LockID}
		until := "within a day"
		if lock, err := s.client.GetVaultLock(ctx, vault); err == nil && !lock.ExpirationDate.IsZero() {
			d["expires_at"] = moment(lock.ExpirationDate)
			until = "until " + d["expires_at"]
		}
		return s.done(d, "lock id: %s\nTry it now. To make it permanent, complete it %s:\n  moraine lock complete --vault %s %s --yes", out.LockID, until, vault, out.LockID)
	})
}

func lockCompleteCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "complete LOCK-ID",
		Short:   "Make a lock permanent: nobody can ever change or remove it",
		Example: "  moraine lock complete --vault evidence AE863rKkWZU53SLW5be4DUcW --yes",
		Args:    arguments("LOCK-ID"),
	}
	confirmed := confirmFlag(cmd)
	return inVault(p, cmd, func(ctx context.Context, s *session, vault string, args []string) error {
		if err := confirmed(fmt.Sprintf("the lock of the vault %s would be for ever: nobody can change or remove it, and what it forbids to delete stays", vault)); err != nil {
			return err
		}
		if _, err := s.client.CompleteVaultLock(ctx, vault, args[0]); err != nil {
			return err
		}
		return s.done(map[string]string{"vault": vault, "state": "Locked"}, "The vault %s is locked, for ever.", vault)
	})
}

func lockAbortCommand(p Process) *cobra.Command {
	return taking(p, &cobra.Command{
		Use:     "abort",
		Short:   "Take a lock off a vault that is not completed",
		Example: "  moraine lock abort --vault evidence",
	}, (*glacier.Client).AbortVaultLock, "aborted", "The vault %s has no lock.")
}
