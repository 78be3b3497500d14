package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/spf13/cobra"

	"github.com/moraine-archive/moraine/glacier"
)

func vaultCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{Use: "vault", Short: "Make, list and remove vaults", Args: group, RunE: help}
	cmd.AddCommand(vaultCreateCommand(p), vaultListCommand(p), vaultShowCommand(p), vaultDeleteCommand(p), vaultPurgeCommand(p))
	return cmd
}

// vaultDocument is a vault for scripts.
type vaultDocument struct {
	Name          string     `json:"name"`
	ARN           string     `json:"arn"`
	CreatedAt     time.Time  `json:"created_at"`
	InventoryDate *time.Time `json:"inventory_date"` // null: there is none yet
	Archives      int64      `json:"archives"`
	Bytes         int64      `json:"bytes"`
}

func documentOf(v glacier.Vault) vaultDocument {
	d := vaultDocument{Name: v.Name, ARN: v.ARN, CreatedAt: v.CreationDate, Archives: v.NumberOfArchives, Bytes: v.SizeInBytes}
	if !v.LastInventoryDate.IsZero() {
		d.InventoryDate = &v.LastInventoryDate
	}
	return d
}

// vaultName matches what a vault can be named.
var vaultName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,255}$`) // read only

func vaultCreateCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "create NAME",
		Short:   "Make a vault",
		Long:    "Make a vault. If there is one of that name, nothing happens.",
		Example: "  moraine vault create photos --endpoint http://127.0.0.1:2012",
		Args:    arguments("NAME"),
	}
	return onVaults(p, cmd, func(ctx context.Context, s *session, args []string) error {
		if !vaultName.MatchString(args[0]) {
			return usage(cmd, fmt.Errorf("%q cannot be the name of a vault: it has 1 to 255 letters, digits and ._-", args[0]))
		}
		v, err := s.client.CreateVault(ctx, args[0])
		if err != nil {
			return err
		}
		return s.done(map[string]string{"name": args[0], "location": v.Location}, "The vault %s is there.", args[0])
	})
}

func vaultListCommand(p Process) *cobra.Command {
	return onVaults(p, &cobra.Command{
		Use:     "list",
		Short:   "List the vaults of the account",
		Long:    "List the vaults of the account: name, archives, bytes, and when the last inventory was taken, which is what the numbers are of.",
		Example: "  moraine vault list --json",
		Args:    arguments(),
	}, func(ctx context.Context, s *session, _ []string) error {
		list := []vaultDocument{}
		for v, err := range s.client.Vaults(ctx) {
			if err != nil {
				return err
			}
			list = append(list, documentOf(v))
		}
		return printList(s.output, list, func(v vaultDocument) []string {
			return []string{v.Name, fmt.Sprintf("%d archives", v.Archives), size(v.Bytes), v.inventoried()}
		})
	})
}

func (v vaultDocument) inventoried() string {
	if v.InventoryDate == nil {
		return "no inventory yet"
	}
	return "inventory of " + moment(*v.InventoryDate)
}

func vaultShowCommand(p Process) *cobra.Command {
	return onVaults(p, &cobra.Command{
		Use:     "show NAME",
		Short:   "Show a vault",
		Example: "  moraine vault show photos",
		Args:    arguments("NAME"),
	}, func(ctx context.Context, s *session, args []string) error {
		v, err := s.vault(ctx, args[0])
		if err != nil {
			return err
		}
		d := documentOf(*v)
		if s.asJSON {
			return printJSON(s.Stdout, d)
		}
		_, err = fmt.Fprintf(s.Stdout, "name:       %s\narn:        %s\ncreated:    %s\narchives:   %d\nbytes:      %d (%s)\ninventory:  %s\n",
			d.Name, d.ARN, moment(d.CreatedAt), d.Archives, d.Bytes, size(d.Bytes), d.inventoried())
		return err
	})
}

func vaultDeleteCommand(p Process) *cobra.Command {
	return onVaults(p, &cobra.Command{
		Use:     "delete NAME",
		Short:   "Remove an empty vault",
		Long:    "Remove a vault that holds no archive; `moraine vault purge` empties one first. With Amazon it must not have been written to since the last inventory, which is taken about once a day.",
		Example: "  moraine vault delete photos",
		Args:    arguments("NAME"),
	}, func(ctx context.Context, s *session, args []string) error {
		_, err := s.client.DeleteVault(ctx, args[0])
		switch {
		case errors.Is(err, glacier.ErrInvalidParameter):
			return s.hinted(err, fmt.Sprintf("`moraine vault purge %s` empties it.", quoted(args[0])))
		case err != nil:
			return err
		}
		return s.done(map[string]string{"name": args[0]}, "The vault %s is gone.", args[0])
	})
}
