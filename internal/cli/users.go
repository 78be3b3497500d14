package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/identity"
)

// principalTexts are what the commands for users and for roles differ in.
type principalTexts struct {
	kind    string
	summary string
	long    string // of add
	example string // of add
}

func users() principalTexts {
	return principalTexts{identity.UserKind, "Users of an account", `Make a user of an account with an access key, and print them. What no policy of the user allows, and no policy of a vault, is denied. The server may be
running: it goes by the user at once.`,
		"  moraine admin user add backup --policy AmazonGlacierFullAccess\n  moraine admin user add auditor --account 123456789012 --path /office/ --tag team=audit --policy audit.json --json"}
}

func roles() principalTexts {
	return principalTexts{identity.RoleKind, "Roles of an account, which somebody has for a while", `Make a role of an account. It has no access key: "moraine admin token" makes temporary credentials for a session of the role. What no policy of the role
allows, and no policy of a vault, is denied. The server may be running: it goes by the role at once.`,
		"  moraine admin role add restorer --policy AmazonGlacierReadOnlyAccess\n  moraine admin token --role restorer --session alice"}
}

func principalCommand(p Process, of principalTexts) *cobra.Command {
	cmd := &cobra.Command{Use: of.kind, Short: of.summary, Args: group, RunE: help}
	policy := &cobra.Command{Use: "policy", Short: "Policies of a " + of.kind, Args: group, RunE: help}
	policy.AddCommand(policySetCommand(p, of), policyGetCommand(p, of), policyRemoveCommand(p, of))
	cmd.AddCommand(principalAddCommand(p, of), principalListCommand(p, of), principalRemoveCommand(p, of), policy)
	return cmd
}

// accountFlag adds the flag for an account. without says what is meant without it.
func accountFlag(cmd *cobra.Command, without string) *string {
	account := new(string)
	text(cmd, account, "account", "id or name of the account (default: "+without+")")
	return account
}

const onlyAccount = "the only one"

// principalDocument is a new user or role for scripts.
type principalDocument struct {
	identity.Principal
	KeyID  string `json:"access_key_id,omitempty"`
	Secret string `json:"secret_access_key,omitempty"`
}

func principalAddCommand(p Process, of principalTexts) *cobra.Command {
	cmd := &cobra.Command{Use: "add NAME", Short: "Make a " + of.kind, Long: of.long, Example: of.example, Args: arguments("NAME")}
	account := accountFlag(cmd, onlyAccount)
	path := cmd.Flags().String("path", "/", "path in its ARN, like /ops/")
	tags := cmd.Flags().StringArray("tag", nil, "a tag, like team=ops; may be given several times")
	policies := cmd.Flags().StringArray("policy", nil, "a policy: a file, AmazonGlacierReadOnlyAccess or AmazonGlacierFullAccess; may be given several times")
	noKey := new(bool)
	if of.kind == identity.UserKind {
		cmd.Flags().BoolVar(noKey, "no-key", false, "make no access key")
	}
	return onData(p, cmd, func(ctx context.Context, c config.Config, out output, args []string) (err error) {
		n := identity.NewPrincipal{
			Who: identity.Who{Account: *account, Kind: of.kind, Name: args[0]}, Path: *path, Key: of.kind == identity.UserKind && !*noKey,
		}
		if n.Tags, err = parseTags(*tags); err != nil {
			return err
		}
		if n.Policies, err = readPolicies(*policies, p.Stdin); err != nil {
			return err
		}
		made, key, err := identity.AddPrincipal(ctx, c, n, time.Now())
		if err != nil {
			return err
		}
		if out.asJSON {
			return printJSON(out.Stdout, principalDocument{made, key.Caller.KeyID, key.Secret})
		}
		fmt.Fprintf(out.Stdout, "%s:              %s\nid:                %s\n", of.kind, made.ARN, made.ID)
		if key.Secret == "" {
			return nil
		}
		return out.key(key)
	})
}

func parseTags(list []string) (map[string]string, error) {
	tags := map[string]string{}
	for _, t := range list {
		key, value, ok := strings.Cut(t, "=")
		if _, twice := tags[key]; !ok || twice {
			return nil, fault.New(fault.Invalid, "--tag %q is not like team=ops, or has a key that another has", t)
		}
		tags[key] = value
	}
	return tags, nil
}

// readPolicies reads the policies of a new user or role. Files are policies of the names policy, policy2, and so on.
func readPolicies(sources []string, stdin io.Reader) (list []identity.PolicyText, err error) {
	files := 0
	for _, source := range sources {
		policy, err := identity.ReadPolicy(source, stdin)
		if err != nil {
			return nil, err
		}
		if policy.Name != source {
			if files++; files > 1 {
				policy.Name = fmt.Sprint(policy.Name, files)
			}
		}
		list = append(list, policy)
	}
	return list, nil
}

func principalListCommand(p Process, of principalTexts) *cobra.Command {
	cmd := reads(&cobra.Command{
		Use:     "list",
		Short:   "List the " + of.kind + "s of all accounts, or of one",
		Example: "  moraine admin " + of.kind + " list --account 123456789012 --json",
		Args:    arguments(),
	})
	account := accountFlag(cmd, "all")
	return onData(p, cmd, func(ctx context.Context, c config.Config, out output, _ []string) error {
		list, err := identity.Principals(ctx, c, *account, of.kind)
		if err != nil {
			return err
		}
		return printList(out, list, func(d identity.Principal) []string {
			return []string{d.ARN, d.ID, moment(d.CreatedAt), strings.Join(d.Policies, " ")}
		})
	})
}

func principalRemoveCommand(p Process, of principalTexts) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "remove NAME",
		Short:   "Remove a " + of.kind + " with its policies and keys",
		Long:    "Remove a " + of.kind + " with its policies and all its keys, also the temporary ones. The server may be running: from its next request on, the keys are not known any more.",
		Example: "  moraine admin " + of.kind + " remove alice --account 123456789012",
		Args:    arguments("NAME"),
	}
	account := accountFlag(cmd, onlyAccount)
	return onData(p, cmd, func(ctx context.Context, c config.Config, out output, args []string) error {
		if err := identity.RemovePrincipal(ctx, c, identity.Who{Account: *account, Kind: of.kind, Name: args[0]}); err != nil {
			return err
		}
		return out.done(map[string]string{of.kind: args[0], "state": "removed"}, "The %s %s is removed, with its policies and keys.", of.kind, args[0])
	})
}

func policySetCommand(p Process, of principalTexts) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set NAME FILE",
		Short: "Give a " + of.kind + " a policy",
		Long: `Give a ` + of.kind + ` a policy, in place of the one of the same name. FILE is a file with the document, - for standard input, or the name of a predefined
policy: AmazonGlacierReadOnlyAccess or AmazonGlacierFullAccess. The policy counts from the server's next request on.`,
		Example: "  moraine admin " + of.kind + " policy set alice AmazonGlacierReadOnlyAccess\n  moraine admin " + of.kind + " policy set alice uploads.json --name uploads",
		Args:    arguments("NAME", "FILE"),
	}
	account, name := accountFlag(cmd, onlyAccount), new(string)
	text(cmd, name, "name", `name of the policy (default: that of the predefined one, or "policy")`)
	return onData(p, cmd, func(ctx context.Context, c config.Config, out output, args []string) error {
		policy, err := identity.ReadPolicy(args[1], p.Stdin)
		if err != nil {
			return err
		}
		if *name != "" {
			policy.Name = *name
		}
		if err := identity.SetPolicy(ctx, c, identity.Who{Account: *account, Kind: of.kind, Name: args[0]}, policy); err != nil {
			return err
		}
		return out.done(map[string]string{of.kind: args[0], "policy": policy.Name, "state": "set"}, "The %s %s has the policy %s.", of.kind, args[0], policy.Name)
	})
}

func policyGetCommand(p Process, of principalTexts) *cobra.Command {
	cmd := reads(&cobra.Command{
		Use:     "get NAME",
		Short:   "Print the policies of a " + of.kind,
		Long:    `Print the policies of a ` + of.kind + ` as a JSON object of documents by their names; with --name, one of them exactly as it was set.`,
		Example: "  moraine admin " + of.kind + " policy get alice\n  moraine admin " + of.kind + " policy get alice --name uploads > uploads.json",
		Args:    arguments("NAME"),
	})
	account, name := accountFlag(cmd, onlyAccount), new(string)
	text(cmd, name, "name", "name of the policy (default: all)")
	return onData(p, cmd, func(ctx context.Context, c config.Config, out output, args []string) error {
		who := identity.Who{Account: *account, Kind: of.kind, Name: args[0]}
		list, err := identity.Policies(ctx, c, who)
		if err != nil {
			return err
		}
		if *name != "" {
			list = slices.DeleteFunc(list, func(policy identity.PolicyText) bool { return policy.Name != *name })
			if len(list) == 0 {
				return identity.NoPolicy(who, *name)
			}
			if !out.asJSON {
				_, err := io.WriteString(out.Stdout, list[0].Document)
				return err
			}
		}
		documents := map[string]json.RawMessage{}
		for _, policy := range list {
			documents[policy.Name] = json.RawMessage(policy.Document)
		}
		return printJSON(out.Stdout, documents)
	})
}

func policyRemoveCommand(p Process, of principalTexts) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "remove NAME",
		Short:   "Remove a policy of a " + of.kind,
		Example: "  moraine admin " + of.kind + " policy remove alice --name uploads",
		Args:    arguments("NAME"),
	}
	account, name := accountFlag(cmd, onlyAccount), new(string)
	text(cmd, name, "name", "name of the policy")
	return onData(p, cmd, func(ctx context.Context, c config.Config, out output, args []string) error {
		if *name == "" {
			return fault.New(fault.Invalid, "--name is missing: the policies are listed by %q", "moraine admin "+of.kind+" policy get "+args[0])
		}
		if err := identity.RemovePolicy(ctx, c, identity.Who{Account: *account, Kind: of.kind, Name: args[0]}, *name); err != nil {
			return err
		}
		return out.done(map[string]string{of.kind: args[0], "policy": *name, "state": "removed"}, "The %s %s has the policy %s no more.", of.kind, args[0], *name)
	})
}
