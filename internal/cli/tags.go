package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
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
		Args:    arguments("KEY=VALUE..."),
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
		Args:    arguments("KEY..."),
	}, func(ctx context.Context, s *session, vault string, args []string) error {
		for keys := range slices.Chunk(args, tagsAtOnce) {
			if _, err := s.client.RemoveTagsFromVault(ctx, vault, keys...); err != nil {
				return err
			}
		}
		return s.done(map[string]string{"vault": vault, "state": "removed"}, "The vault %s has no tag %s.", vault, strings.Join(args, ", "))
	})
}
