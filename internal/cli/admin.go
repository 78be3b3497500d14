package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/identity"
)

func adminCommand(p Process) *cobra.Command {
	admin := &cobra.Command{Use: "admin", Short: "Administer a server's data", Args: group, RunE: help}
	account := &cobra.Command{Use: "account", Short: "Accounts", Args: group, RunE: help}
	account.AddCommand(accountAddCommand(p), accountListCommand(p))
	admin.AddCommand(account, principalCommand(p, users()), principalCommand(p, roles()), keyCommand(p), tokenCommand(p), notificationsCommand(p))
	admin.AddCommand(maintenanceCommands(p)...)
	recordChanges(p, admin)
	return admin
}

// keyDocument is a new key for scripts. The secret is shown this once.
type keyDocument struct {
	AccountID string `json:"account_id"`
	KeyID     string `json:"access_key_id"`
	Secret    string `json:"secret_access_key"`
}

func accountAddCommand(p Process) *cobra.Command {
	return onData(p, &cobra.Command{
		Use:     "add NAME",
		Short:   "Make an account with an access key",
		Long:    "Make an account with an access key, and print them. The server may be running: it knows the key at once.",
		Example: "  moraine admin account add alice --data /srv/moraine --json",
		Args:    arguments("NAME"),
	}, func(ctx context.Context, c config.Config, out output, args []string) error {
		k, err := identity.NewAccount(ctx, c, args[0], time.Now())
		if err != nil {
			return err
		}
		return out.key(k)
	})
}

func accountListCommand(p Process) *cobra.Command {
	return onData(p, reads(&cobra.Command{
		Use:     "list",
		Short:   "List the accounts",
		Example: "  moraine admin account list --json",
		Args:    arguments(),
	}), func(ctx context.Context, c config.Config, out output, _ []string) error {
		list, err := identity.Accounts(ctx, c)
		if err != nil {
			return err
		}
		return printList(out, list, func(a identity.Account) []string { return []string{a.ID, a.Name, moment(a.CreatedAt)} })
	})
}

// onData completes a command that works on the data of a server, which may be running. The kind of its error is the exit code.
func onData(p Process, cmd *cobra.Command, run func(context.Context, config.Config, output, []string) error) *cobra.Command {
	adminFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, asJSON, err := loadAdmin(cmd, p)
		if err != nil {
			return err
		}
		switch err := run(cmd.Context(), c, output{p, asJSON}, args); fault.KindOf(err) {
		case fault.Invalid:
			return usage(cmd, err)
		case fault.NotFound:
			return &exitError{code: exitNotFound, err: err}
		default:
			return err
		}
	}
	return cmd
}

// adminFlags adds the flags of a command that works on the data of a server. Every setting is one, so that the command can be given what the
// server was given, but help shows only those that matter.
func adminFlags(cmd *cobra.Command) {
	settings := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.Flags(settings)
	settings.VisitAll(func(f *pflag.Flag) {
		f.Hidden = f.Name != "config" && f.Name != "data" && f.Name != "catalogue" && f.Name != "store" && f.Name != "secret-key-file"
	})
	cmd.Flags().AddFlagSet(settings)
	cmd.Flags().Bool("json", false, "print JSON")
}

// loadAdmin reads the configuration of such a command, and whether it is to print JSON.
func loadAdmin(cmd *cobra.Command, p Process) (config.Config, bool, error) {
	asJSON, err := cmd.Flags().GetBool("json")
	if err != nil {
		return config.Config{}, false, err
	}
	c, err := load(cmd, p)
	return c, asJSON, err
}
