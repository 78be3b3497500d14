package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/daemon"
)

func adminCommand(p Process) *cobra.Command {
	admin := &cobra.Command{Use: "admin", Short: "Administer a server's data", Args: group, RunE: help}
	account := &cobra.Command{Use: "account", Short: "Accounts", Args: group, RunE: help}
	account.AddCommand(accountAddCommand(p))
	key := &cobra.Command{Use: "key", Short: "Access keys", Args: group, RunE: help}
	key.AddCommand(keyAddCommand(p))
	admin.AddCommand(account, key)
	admin.AddCommand(maintenanceCommands(p)...)
	return admin
}

// keyDocument is a new key for scripts. The secret is shown this once.
type keyDocument struct {
	AccountID string `json:"account_id"`
	KeyID     string `json:"access_key_id"`
	Secret    string `json:"secret_access_key"`
}

func accountAddCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "add NAME",
		Short:   "Make an account with an access key",
		Long:    "Make an account with an access key, and print them. The server may be running: it knows the key at once.",
		Example: "  moraine admin account add alice --data /srv/moraine --json",
		Args:    arguments("NAME"),
	}
	adminFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, asJSON, err := loadAdmin(cmd, p)
		if err != nil {
			return err
		}
		k, err := daemon.NewAccount(cmd.Context(), c, args[0], time.Now())
		if err != nil {
			return err
		}
		return printKey(p, asJSON, keyDocument{k.Account, k.ID, k.Secret})
	}
	return cmd
}

func keyAddCommand(p Process) *cobra.Command {
	var account string
	cmd := &cobra.Command{
		Use:     "add --account ID",
		Short:   "Make a further access key for an account",
		Example: "  moraine admin key add --account 123456789012 --json",
		Args:    arguments(),
	}
	adminFlags(cmd)
	cmd.Flags().StringVar(&account, "account", "", "id of the account, 12 digits")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, asJSON, err := loadAdmin(cmd, p)
		if err != nil {
			return err
		}
		if account == "" {
			return usage(cmd, errors.New("--account is missing"))
		}
		k, err := daemon.NewKey(cmd.Context(), c, account, time.Now())
		if err != nil {
			return err
		}
		return printKey(p, asJSON, keyDocument{k.Account, k.ID, k.Secret})
	}
	return cmd
}

func printKey(p Process, asJSON bool, k keyDocument) error {
	if asJSON {
		return printJSON(p.Stdout, k)
	}
	_, err := fmt.Fprintf(p.Stdout, "account:           %s\naccess key id:     %s\nsecret access key: %s\n", k.AccountID, k.KeyID, k.Secret)
	return err
}

// adminFlags adds the flags of a command that works on the data of a server. Every setting is one, so that the command can be given what the
// server was given, but help shows only those that matter.
func adminFlags(cmd *cobra.Command) {
	settings := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.Flags(settings)
	settings.VisitAll(func(f *pflag.Flag) {
		f.Hidden = f.Name != "config" && f.Name != "data" && f.Name != "catalogue" && f.Name != "store"
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
