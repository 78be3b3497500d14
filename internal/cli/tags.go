package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/moraine-archive/moraine/glacier"
)

func tagListCommand(p Process) *cobra.Command {
	return inVault(p, &cobra.Command{
		Use:     "list",
		Short:   "List the tags of a vault",
		Example: "  moraine tag list --vault photos",
		Args:    arguments(),
	}, func(ctx context.Context, s *session, vault string, _ []string) error {
		out, err := s.client.ListTagsForVault(ctx, vault)
		if err != nil {
			return err
		}
		if s.asJSON {
			if out.Tags == nil {
				out.Tags = map[string]string{}
			}
			return printJSON(s.Stdout, out.Tags)
		}
		for _, key := range slices.Sorted(maps.Keys(out.Tags)) {
			fmt.Fprintf(s.Stdout, "%s=%s\n", key, out.Tags[key])
		}
		return nil
	})
}

// tagsAtOnce is how many tags a request can add or remove.
const tagsAtOnce = 10

func tagSetCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "set KEY=VALUE...",
		Short:   "Give a vault tags, or other values",
		Example: "  moraine tag set --vault photos owner=ann year=2016",
		Args:    atLeast("KEY=VALUE"),
	}
	return inVault(p, cmd, func(ctx context.Context, s *session, vault string, args []string) error {
		tags := map[string]string{}
		for _, a := range args {
			key, value, ok := strings.Cut(a, "=")
			if _, twice := tags[key]; !ok || twice || key == "" {
				return usage(cmd, fmt.Errorf("%q is not like owner=ann, or has a key that another has", a))
			}
			tags[key] = value
		}
		for keys := range slices.Chunk(slices.Sorted(maps.Keys(tags)), tagsAtOnce) {
			some := map[string]string{}
			for _, k := range keys {
				some[k] = tags[k]
			}
			if _, err := s.client.AddTagsToVault(ctx, vault, some); err != nil {
				return err
			}
		}
		return s.done(map[string]string{"vault": vault, "state": "set"}, "The vault %s has %s.", vault, strings.Join(args, ", "))
	})
}

func tagRemoveCommand(p Process) *cobra.Command {
	return inVault(p, &cobra.Command{
		Use:     "remove KEY...",
		Short:   "Remove tags of a vault",
		Long:    "Remove tags of a vault. Those that it does not have are no error.",
		Example: "  moraine tag remove --vault photos owner year",
		Args:    atLeast("KEY"),
	}, func(ctx context.Context, s *session, vault string, args []string) error {
		for keys := range slices.Chunk(args, tagsAtOnce) {
			if _, err := s.client.RemoveTagsFromVault(ctx, vault, keys...); err != nil {
				return err
			}
		}
		return s.done(map[string]string{"vault": vault, "state": "removed"}, "The vault %s has no tag %s.", vault, strings.Join(args, ", "))
	})
}

// atLeast is the check for one argument or more.
func atLeast(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage(cmd, fmt.Errorf("%s is missing", name))
		}
		return nil
	}
}

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
