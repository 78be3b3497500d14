package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moraine-archive/moraine/glacier"
)

// rulesCommands are those for what vaults have beside archives, and for what is set for all of them.
func rulesCommands(p Process) []*cobra.Command {
	return []*cobra.Command{
		below(&cobra.Command{Use: "policy", Short: "Access policies of vaults: who may do what"},
			accessPolicyShowCommand(p), accessPolicySetCommand(p), accessPolicyRemoveCommand(p)),
		below(&cobra.Command{Use: "lock", Short: "Locks of vaults: rules that can never be changed"},
			lockShowCommand(p), lockInitiateCommand(p), lockCompleteCommand(p), lockAbortCommand(p)),
		below(&cobra.Command{Use: "tag", Short: "Tags of vaults"}, tagListCommand(p), tagSetCommand(p), tagRemoveCommand(p)),
		below(&cobra.Command{Use: "notification", Short: "Which topic is told of jobs of a vault that are done"},
			topicShowCommand(p), topicSetCommand(p), topicRemoveCommand(p)),
		below(&cobra.Command{Use: "retrieval-policy", Short: "How much the account may retrieve"}, limitShowCommand(p), limitSetCommand(p)),
		below(&cobra.Command{Use: "capacity", Short: "Provisioned capacity for expedited retrievals"}, capacityListCommand(p), capacityPurchaseCommand(p)),
	}
}

// below puts commands below one that only has them.
func below(parent *cobra.Command, commands ...*cobra.Command) *cobra.Command {
	parent.Args, parent.RunE = group, help
	parent.AddCommand(commands...)
	return parent
}

// inVault completes a command that works on what a vault has.
func inVault(p Process, cmd *cobra.Command, run func(ctx context.Context, s *session, vault string, args []string) error) *cobra.Command {
	vault := new(string)
	text(cmd, vault, "vault", "name of the vault")
	return onVaults(p, cmd, func(ctx context.Context, s *session, args []string) error {
		if *vault == "" {
			return usage(cmd, errors.New("--vault is missing"))
		}
		return run(ctx, s, *vault, args)
	})
}

// confirmFlag adds the flag without which a command that cannot be undone does nothing, and returns a function that says so.
func confirmFlag(cmd *cobra.Command) func(what string) error {
	yes := cmd.Flags().Bool("yes", false, "do it: it cannot be undone")
	return func(what string) error {
		if *yes {
			return nil
		}
		return &exitError{exitUsage, "Nothing was done. If that is what you want, say so with --yes.", errors.New(what)}
	}
}

// document reads a JSON document from a file, or from standard input if the name is -.
func (p Process) document(name string) (string, error) {
	var b []byte
	var err error
	if name == "-" {
		b, err = io.ReadAll(p.Stdin)
	} else {
		b, err = os.ReadFile(name)
	}
	if err != nil {
		return "", fmt.Errorf("read the document: %w", err)
	}
	var syntax *json.SyntaxError
	var v any
	switch err := json.Unmarshal(b, &v); {
	case errors.As(err, &syntax):
		return "", fmt.Errorf("%s is not JSON: byte %d: %w", name, syntax.Offset, err)
	case err != nil:
		return "", fmt.Errorf("%s is not JSON: %w", name, err)
	}
	return string(b), nil
}

// asDocument is a document as a member of another, or its text if it is none.
func asDocument(text string) any {
	if json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	return text
}

func accessPolicyShowCommand(p Process) *cobra.Command {
	return inVault(p, &cobra.Command{
		Use:     "show",
		Short:   "Print the access policy of a vault, as it was set",
		Example: "  moraine policy show --vault photos > policy.json",
		Args:    arguments(),
	}, func(ctx context.Context, s *session, vault string, _ []string) error {
		out, err := s.client.GetVaultAccessPolicy(ctx, vault)
		if err != nil {
			return err
		}
		if s.asJSON {
			return printJSON(s.Stdout, map[string]any{"vault": vault, "policy": asDocument(out.Policy)})
		}
		_, err = fmt.Fprintln(s.Stdout, strings.TrimSuffix(out.Policy, "\n"))
		return err
	})
}

func accessPolicySetCommand(p Process) *cobra.Command {
	return inVault(p, &cobra.Command{
		Use:     "set FILE",
		Short:   "Give a vault an access policy, in place of the one that it has",
		Long:    "Give a vault an access policy, in place of the one that it has. FILE has the document as it is, in JSON; - is standard input.",
		Example: "  moraine policy set --vault photos policy.json",
		Args:    arguments("FILE"),
	}, func(ctx context.Context, s *session, vault string, args []string) error {
		policy, err := p.document(args[0])
		if err != nil {
			return err
		}
		if _, err := s.client.SetVaultAccessPolicy(ctx, vault, policy); err != nil {
			return err
		}
		return s.done(map[string]string{"vault": vault, "state": "set"}, "The vault %s has the access policy of %s.", vault, args[0])
	})
}

func accessPolicyRemoveCommand(p Process) *cobra.Command {
	return inVault(p, &cobra.Command{
		Use:     "remove",
		Short:   "Remove the access policy of a vault",
		Example: "  moraine policy remove --vault photos",
		Args:    arguments(),
	}, func(ctx context.Context, s *session, vault string, _ []string) error {
		if _, err := s.client.DeleteVaultAccessPolicy(ctx, vault); err != nil {
			return err
		}
		return s.done(map[string]string{"vault": vault, "state": "removed"}, "The vault %s has no access policy.", vault)
	})
}

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
		policy, err := p.document(args[0])
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
	return inVault(p, &cobra.Command{
		Use:     "abort",
		Short:   "Take a lock off a vault that is not completed",
		Example: "  moraine lock abort --vault evidence",
		Args:    arguments(),
	}, func(ctx context.Context, s *session, vault string, _ []string) error {
		if _, err := s.client.AbortVaultLock(ctx, vault); err != nil {
			return err
		}
		return s.done(map[string]string{"vault": vault, "state": "aborted"}, "The vault %s has no lock.", vault)
	})
}

// topicDocument is a notification configuration for scripts.
type topicDocument struct {
	Vault  string   `json:"vault"`
	Topic  string   `json:"topic"`
	Events []string `json:"events"`
}

func topicShowCommand(p Process) *cobra.Command {
	return inVault(p, &cobra.Command{
		Use:     "show",
		Short:   "Show which topic is told of which jobs of a vault",
		Example: "  moraine notification show --vault photos",
		Args:    arguments(),
	}, func(ctx context.Context, s *session, vault string, _ []string) error {
		n, err := s.client.GetVaultNotifications(ctx, vault)
		if err != nil {
			return err
		}
		if s.asJSON {
			return printJSON(s.Stdout, topicDocument{vault, n.SNSTopic, n.Events})
		}
		fmt.Fprintf(s.Stdout, "topic:  %s\n", n.SNSTopic)
		for _, e := range n.Events {
			fmt.Fprintf(s.Stdout, "event:  %s\n", e)
		}
		return nil
	})
}

func topicSetCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "set",
		Short:   "Have a topic told of jobs of a vault that are done",
		Example: "  moraine notification set --vault photos --topic arn:aws:sns:us-east-1:123456789012:archive",
		Args:    arguments(),
	}
	n := glacier.NotificationConfiguration{}
	text(cmd, &n.SNSTopic, "topic", "ARN of the topic")
	cmd.Flags().StringArrayVar(&n.Events, "event", []string{"ArchiveRetrievalCompleted", "InventoryRetrievalCompleted"}, "what it is told of; may be given several times")
	return inVault(p, cmd, func(ctx context.Context, s *session, vault string, _ []string) error {
		if n.SNSTopic == "" {
			return usage(cmd, errors.New("--topic is missing"))
		}
		if _, err := s.client.SetVaultNotifications(ctx, vault, n); err != nil {
			return err
		}
		return s.done(map[string]string{"vault": vault, "topic": n.SNSTopic, "state": "set"}, "%s is told of jobs of the vault %s.", n.SNSTopic, vault)
	})
}

func topicRemoveCommand(p Process) *cobra.Command {
	return inVault(p, &cobra.Command{
		Use:     "remove",
		Short:   "Have nobody told of jobs of a vault",
		Example: "  moraine notification remove --vault photos",
		Args:    arguments(),
	}, func(ctx context.Context, s *session, vault string, _ []string) error {
		if _, err := s.client.DeleteVaultNotifications(ctx, vault); err != nil {
			return err
		}
		return s.done(map[string]string{"vault": vault, "state": "removed"}, "Nobody is told of jobs of the vault %s.", vault)
	})
}
