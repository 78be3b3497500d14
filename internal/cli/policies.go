package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moraine-archive/moraine/glacier"
)

// document reads a JSON document from a file, or from standard input if the name is -.
func (p Process) document(ctx context.Context, name string) (string, error) {
	b, err := interruptible(ctx, func() ([]byte, error) {
		if name == "-" {
			return io.ReadAll(p.Stdin)
		}
		return os.ReadFile(name)
	})
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
		policy, err := p.document(ctx, args[0])
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
	return taking(p, &cobra.Command{
		Use:     "remove",
		Short:   "Remove the access policy of a vault",
		Example: "  moraine policy remove --vault photos",
	}, (*glacier.Client).DeleteVaultAccessPolicy, "removed", "The vault %s has no access policy.")
}
