package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/moraine-archive/moraine/glacier"
)

// limitDocument is a data retrieval policy for scripts.
type limitDocument struct {
	Strategy     string `json:"strategy"`
	BytesPerHour int64  `json:"bytes_per_hour,omitempty"`
}

func limitShowCommand(p Process) *cobra.Command {
	return onVaults(p, &cobra.Command{
		Use:     "show",
		Short:   "Show how much the account may retrieve in the region",
		Example: "  moraine retrieval-policy show",
		Args:    arguments(),
	}, func(ctx context.Context, s *session, _ []string) error {
		out, err := s.client.GetDataRetrievalPolicy(ctx)
		if err != nil {
			return err
		}
		list := []limitDocument{}
		for _, r := range out.Rules {
			list = append(list, limitDocument{r.Strategy, r.BytesPerHour})
		}
		return printList(s.output, list, limitDocument.columns)
	})
}

func (d limitDocument) columns() []string {
	if d.Strategy == "BytesPerHour" {
		return []string{d.Strategy, fmt.Sprintf("%d (%s)", d.BytesPerHour, size(d.BytesPerHour))}
	}
	return []string{d.Strategy}
}

func limitSetCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "set",
		Short:   "Limit how much the account may retrieve in the region",
		Long:    "Limit how much the account may retrieve in the region. A retrieval that would be more is refused. The tier Bulk is not limited.",
		Example: "  moraine retrieval-policy set --bytes-per-hour 10GiB\n  moraine retrieval-policy set --none",
		Args:    arguments(),
	}
	rate := cmd.Flags().String("bytes-per-hour", "", "a number of bytes, like 10GiB")
	free := cmd.Flags().Bool("free-tier", false, "what is free of charge")
	none := cmd.Flags().Bool("none", false, "no limit")
	return onVaults(p, cmd, func(ctx context.Context, s *session, _ []string) error {
		rule, err := retrievalRule(*rate, *free, *none)
		if err != nil {
			return usage(cmd, err)
		}
		if _, err := s.client.SetDataRetrievalPolicy(ctx, rule); err != nil {
			return err
		}
		d := limitDocument{rule.Strategy, rule.BytesPerHour}
		if s.asJSON {
			return printJSON(s.Stdout, d)
		}
		_, err = fmt.Fprintf(s.Stdout, "The limit is %s.\n", strings.Join(d.columns(), " "))
		return err
	})
}

func retrievalRule(rate string, free, none bool) (glacier.RetrievalRule, error) {
	var rules []glacier.RetrievalRule
	if free {
		rules = append(rules, glacier.RetrievalRule{Strategy: "FreeTier"})
	}
	if none {
		rules = append(rules, glacier.RetrievalRule{Strategy: "None"})
	}
	if rate != "" {
		n, err := humanize.ParseBytes(rate)
		if err != nil || n == 0 || n > 1<<62 {
			return glacier.RetrievalRule{}, fmt.Errorf("--bytes-per-hour: %q is not a number of bytes like 10GiB", rate)
		}
		rules = append(rules, glacier.RetrievalRule{Strategy: "BytesPerHour", BytesPerHour: int64(n)})
	}
	if len(rules) != 1 {
		return glacier.RetrievalRule{}, errors.New("one of --bytes-per-hour, --free-tier and --none is needed")
	}
	return rules[0], nil
}

// capacityDocument is a unit of provisioned capacity for scripts.
type capacityDocument struct {
	ID        string    `json:"id"`
	StartedAt time.Time `json:"started_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

func capacityListCommand(p Process) *cobra.Command {
	return onVaults(p, &cobra.Command{
		Use:     "list",
		Short:   "List the units of capacity of the account",
		Example: "  moraine capacity list",
		Args:    arguments(),
	}, func(ctx context.Context, s *session, _ []string) error {
		out, err := s.client.ListProvisionedCapacity(ctx)
		if err != nil {
			return err
		}
		list := []capacityDocument{}
		for _, u := range out.Units {
			list = append(list, capacityDocument{u.ID, u.StartDate, u.ExpirationDate})
		}
		return printList(s.output, list, func(d capacityDocument) []string {
			return []string{d.ID, "from " + moment(d.StartedAt), "until " + moment(d.ExpiresAt)}
		})
	})
}

func capacityPurchaseCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "purchase",
		Short:   "Buy a unit of capacity for a month",
		Long:    "Buy a unit of capacity for expedited retrievals, for a month. With Amazon that costs money and cannot be cancelled; a Moraine server gives it.",
		Example: "  moraine capacity purchase --yes",
		Args:    arguments(),
	}
	confirmed := confirmFlag(cmd)
	return onVaults(p, cmd, func(ctx context.Context, s *session, _ []string) error {
		if err := confirmed("a unit of capacity would be bought, which with Amazon costs money and cannot be cancelled"); err != nil {
			return err
		}
		out, err := s.client.PurchaseProvisionedCapacity(ctx)
		if err != nil {
			return err
		}
		return s.done(map[string]string{"id": out.CapacityID}, "The account has the unit %s.", out.CapacityID)
	})
}
