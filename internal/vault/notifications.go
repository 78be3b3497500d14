package vault

import (
	"context"
	"slices"
	"strings"

	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/notify"
	"github.com/moraine-archive/moraine/internal/protocol"
)

// checkTopic looks at the shape only: whether a topic exists is not checked (guide: "Set Vault Notification Configuration").
func checkTopic(topic string) error {
	if !notify.IsTopic(topic) {
		return fault.New(fault.Invalid, "Invalid SNS topic: %q is not the ARN of a topic, like arn:aws:sns:us-east-1:123456789012:restores", topic)
	}
	return nil
}

// SetVaultNotifications replaces the notification configuration of a vault.
func (s *Service) SetVaultNotifications(ctx context.Context, ref Ref, c protocol.NotificationConfiguration) error {
	events, err := checkNotifications(c)
	if err != nil {
		return err
	}
	return s.change(ctx, ref, protocol.SetVaultNotifications, func(tx *catalogue.Tx, v catalogue.Vault) error {
		return tx.SetNotifications(v.ID, c.SNSTopic, textOrNil(strings.Join(events, ",")))
	})
}

// checkNotifications returns the events of a configuration without repetitions.
func checkNotifications(c protocol.NotificationConfiguration) ([]string, error) {
	if nonEmpty(c.SNSTopic) == nil {
		return nil, missing("SNSTopic")
	}
	if c.Events == nil {
		return nil, missing("Events")
	}
	if len(c.Events) == 0 {
		return nil, fault.New(fault.Invalid, "Invalid Events: at least one event is needed")
	}
	var events []string
	for _, e := range c.Events {
		if e != "ArchiveRetrievalCompleted" && e != "InventoryRetrievalCompleted" {
			return nil, fault.New(fault.Invalid, "Invalid event: %q is neither ArchiveRetrievalCompleted nor InventoryRetrievalCompleted", e)
		}
		if !slices.Contains(events, e) {
			events = append(events, e)
		}
	}
	return events, checkTopic(*c.SNSTopic)
}

// GetVaultNotifications returns the notification configuration of a vault.
func (s *Service) GetVaultNotifications(ctx context.Context, ref Ref) (protocol.NotificationConfiguration, error) {
	v, err := s.lookUp(ctx, ref)
	if err == nil && (v.Topic == nil || v.Events == nil) {
		err = fault.New(fault.NotFound, "No notification configuration is set for vault: %s", ref.Name)
	}
	if err != nil {
		return protocol.NotificationConfiguration{}, err
	}
	return protocol.NotificationConfiguration{Events: strings.Split(*v.Events, ","), SNSTopic: v.Topic}, nil
}

// DeleteVaultNotifications removes the notification configuration of a vault, if there is one.
func (s *Service) DeleteVaultNotifications(ctx context.Context, ref Ref) error {
	return s.change(ctx, ref, protocol.DeleteVaultNotifications, func(tx *catalogue.Tx, v catalogue.Vault) error {
		return tx.SetNotifications(v.ID, nil, nil)
	})
}
