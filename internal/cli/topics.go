package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/moraine-archive/moraine/glacier"
)

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
	return taking(p, &cobra.Command{
		Use:     "remove",
		Short:   "Have nobody told of jobs of a vault",
		Example: "  moraine notification remove --vault photos",
	}, (*glacier.Client).DeleteVaultNotifications, "removed", "Nobody is told of jobs of the vault %s.")
}
