package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/moraine-archive/moraine/internal/access"
	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/identity"
)

func keyCommand(p Process) *cobra.Command {
	key := &cobra.Command{Use: "key", Short: "Access keys", Args: group, RunE: help}
	key.AddCommand(keyAddCommand(p), keyListCommand(p), keyDisableCommand(p), keyEnableCommand(p), keyRemoveCommand(p))
	return key
}

// whose are the flags that name a user or a role; without them it is the root of the account.
type whose struct {
	account    *string
	user, role string
}

func (w *whose) userFlag(cmd *cobra.Command) {
	text(cmd, &w.user, "user", "name of a user of the account")
}
func (w *whose) roleFlag(cmd *cobra.Command) {
	text(cmd, &w.role, "role", "name of a role of the account")
}

func (w *whose) who() (identity.Who, error) {
	switch {
	case w.user != "" && w.role != "":
		return identity.Who{}, fault.New(fault.Invalid, "--user and --role: it is one or the other")
	case w.user != "":
		return identity.Who{Account: *w.account, Kind: identity.UserKind, Name: w.user}, nil
	case w.role != "":
		return identity.Who{Account: *w.account, Kind: identity.RoleKind, Name: w.role}, nil
	}
	return identity.Who{Account: *w.account}, nil
}

func keyAddCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "add",
		Short:   "Make a further access key for the root of an account, or for a user",
		Long:    "Make a further access key for the root of an account, or for a user, and print it. The secret is shown this once. The server may be running: it knows the key at once.",
		Example: "  moraine admin key add --account 123456789012 --json\n  moraine admin key add --user backup",
		Args:    arguments(),
	}
	w := whose{account: accountFlag(cmd, onlyAccount)}
	w.userFlag(cmd)
	return onData(p, cmd, func(ctx context.Context, c config.Config, out output, _ []string) error {
		who, err := w.who()
		if err != nil {
			return err
		}
		k, err := identity.NewKey(ctx, c, who, time.Now())
		if err != nil {
			return err
		}
		return out.key(k)
	})
}

func keyListCommand(p Process) *cobra.Command {
	cmd := reads(&cobra.Command{
		Use:   "list",
		Short: "List access keys: whose they are, whether they can be used, until when",
		Long: `List access keys: whose they are, whether they can be used, when they were made, and when they expire. Secrets are never shown. Keys that have expired are
listed for a week.`,
		Example: "  moraine admin key list\n  moraine admin key list --account 123456789012 --user backup --json",
		Args:    arguments(),
	})
	w := whose{account: accountFlag(cmd, "all, or the only one if a user or role is named")}
	w.userFlag(cmd)
	w.roleFlag(cmd)
	return onData(p, cmd, func(ctx context.Context, c config.Config, out output, _ []string) error {
		who, err := w.who()
		if err != nil {
			return err
		}
		list, err := identity.Keys(ctx, c, who, time.Now())
		if err != nil {
			return err
		}
		return printList(out, list, func(k identity.KeyDescription) []string {
			expires := "never"
			if !k.ExpiresAt.IsZero() {
				expires = moment(k.ExpiresAt)
			}
			return []string{k.ID, k.State, "made " + moment(k.CreatedAt), "expires " + expires, k.ARN}
		})
	})
}

func keyDisableCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "disable KEY",
		Short: "Take an access key out of use, until it is enabled again",
		Long: `Take an access key out of use. The server may be running: from its next request on, the key is not known. The only key of the root of an account that can be
used takes --force.`,
		Example: "  moraine admin key disable AKIAIOSFODNN7EXAMPLE",
		Args:    arguments("KEY"),
	}
	force := forceFlag(cmd)
	return onData(p, cmd, func(ctx context.Context, c config.Config, out output, args []string) error {
		if err := identity.DisableKey(ctx, c, args[0], *force); err != nil {
			return err
		}
		return out.done(keyState(args[0], identity.KeyDisabled), "The access key %s is disabled.", args[0])
	})
}

func forceFlag(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool("force", false, "also if nobody can sign as the root of the account then")
}

func keyState(id, state string) map[string]string {
	return map[string]string{"access_key_id": id, "state": state}
}

func keyEnableCommand(p Process) *cobra.Command {
	return onData(p, &cobra.Command{
		Use:     "enable KEY",
		Short:   "Take an access key that was disabled back into use",
		Example: "  moraine admin key enable AKIAIOSFODNN7EXAMPLE",
		Args:    arguments("KEY"),
	}, func(ctx context.Context, c config.Config, out output, args []string) error {
		if err := identity.EnableKey(ctx, c, args[0]); err != nil {
			return err
		}
		return out.done(keyState(args[0], identity.KeyActive), "The access key %s is enabled.", args[0])
	})
}

func keyRemoveCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "remove KEY",
		Short: "Remove an access key",
		Long: `Remove an access key. The server may be running: from its next request on, the key is not known. The only key of the root of an account that can be used takes
--force. If it is the key that the first start has put into the file "credentials" of the data directory, the file is removed too.`,
		Example: "  moraine admin key remove AKIAIOSFODNN7EXAMPLE",
		Args:    arguments("KEY"),
	}
	force := forceFlag(cmd)
	return onData(p, cmd, func(ctx context.Context, c config.Config, out output, args []string) error {
		file, err := identity.RemoveKey(ctx, c, args[0], *force)
		if err != nil {
			return err
		}
		also := ""
		if file != "" {
			also = ", and with it the file " + file
		}
		return out.done(keyState(args[0], "removed"), "The access key %s is removed%s.", args[0], also)
	})
}

// credentialDocument is what the AWS tools expect of a credential_process (AWS CLI User Guide: "Sourcing credentials with an external process").
type credentialDocument struct {
	Version         int
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	SessionToken    string
	Expiration      time.Time
}

func tokenCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make temporary credentials for the root of an account, a user, or a session of a role",
		Long: `Make temporary credentials for the root of an account, a user, or a session of a role. They may do what the user or role may at the time of a request, and end
by themselves. The lines that are printed set the environment of a shell. With --json the output is what the AWS tools expect of a credential_process, so that
a profile in ~/.aws/config can have

  credential_process = moraine admin token --user backup --data /srv/moraine --json`,
		Example: `  eval "$(moraine admin token --user backup --duration 4h)"
  moraine admin token --role restorer --session alice --mfa --json`,
		Args: arguments(),
	}
	w := whose{account: accountFlag(cmd, onlyAccount)}
	var o identity.TokenOptions
	w.userFlag(cmd)
	w.roleFlag(cmd)
	text(cmd, &o.Session, "session", "name of the session; for a role")
	cmd.Flags().DurationVar(&o.Duration, "duration", time.Hour, fmt.Sprintf("how long they are good, %s to %s", hours(identity.MinToken), hours(identity.MaxToken)))
	cmd.Flags().BoolVar(&o.MFA, "mfa", false, "policies see that a second factor was proved: you vouch for it")
	return onData(p, cmd, func(ctx context.Context, c config.Config, out output, _ []string) (err error) {
		if o.Who, err = w.who(); err != nil {
			return err
		}
		if w.role != "" && o.Session == "" {
			return fault.New(fault.Invalid, "--session is missing: who has the role for a while needs a name")
		}
		k, err := identity.NewToken(ctx, c, o, time.Now())
		if err != nil {
			return err
		}
		return out.token(k)
	})
}

// hours shows a duration of whole minutes.
func hours(d time.Duration) string {
	if d < time.Hour {
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%dh", d/time.Hour)
}

// token prints temporary credentials.
func (o output) token(k access.Key) error {
	if o.asJSON {
		return printJSON(o.Stdout, credentialDocument{1, k.Caller.KeyID, k.Secret, k.Token, k.Expires})
	}
	for _, v := range [][2]string{
		{"AWS_ACCESS_KEY_ID", k.Caller.KeyID}, {"AWS_SECRET_ACCESS_KEY", k.Secret}, {"AWS_SESSION_TOKEN", k.Token}, {"AWS_CREDENTIAL_EXPIRATION", moment(k.Expires)},
	} {
		if _, err := fmt.Fprintf(o.Stdout, "export %s=%s\n", v[0], shellQuote(v[1])); err != nil {
			return err
		}
	}
	return nil
}
