package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/moraine-archive/moraine/glacier"
)

// arguments is the check for a number of arguments with a name for each: "[NAME]" may be missing, "NAME..." is one or more. None is empty: an empty one comes from a variable
// that is not set, and would be the current directory, or everything.
func arguments(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if i := slices.Index(args, ""); i >= 0 && len(names) > 0 {
			return usage(cmd, fmt.Errorf("%s is empty", strings.Trim(names[min(i, len(names)-1)], "[].")))
		}
		for i, name := range names {
			name, several := strings.CutSuffix(name, "...")
			switch {
			case i < len(args) && several:
				return nil
			case i >= len(args) && !strings.HasPrefix(name, "["):
				return usage(cmd, fmt.Errorf("%s is missing", name))
			}
		}
		if len(args) > len(names) {
			return usage(cmd, fmt.Errorf("%q is one argument too many", args[len(names)]))
		}
		return nil
	}
}

// text adds a flag with a text that is not empty: an empty one comes from a variable that is not set.
func text(cmd *cobra.Command, into *string, name, usage string) {
	cmd.Flags().Var((*someText)(into), name, usage)
}

// someText is the value of such a flag (pflag.Value).
type someText string

func (t *someText) Set(s string) error {
	if s == "" {
		return errors.New("it is empty")
	}
	*t = someText(s)
	return nil
}

func (t *someText) String() string { return string(*t) }
func (t *someText) Type() string   { return "string" }

// confirmFlag adds the flag without which a command that cannot be undone does nothing, and returns a function that says so.
func confirmFlag(cmd *cobra.Command) func(what string) error {
	yes := cmd.Flags().Bool("yes", false, "do it: it cannot be undone")
	return func(what string) error {
		if *yes {
			return nil
		}
		return &exitError{exitUsage, "Nothing was done. If that is what you want, say so with --yes.", errors.New(what)}
	}
}

// byteSize is the size of parts as a flag.
type byteSize int64

func (b *byteSize) Set(s string) error {
	n, err := humanize.ParseBytes(s)
	if err != nil || n < 1<<20 || n > 4<<30 || n&(n-1) != 0 {
		return errors.New("it is not a MiB times a power of two, up to 4GiB")
	}
	*b = byteSize(n)
	return nil
}

func (b *byteSize) String() string {
	if *b == 0 {
		return ""
	}
	return size(int64(*b))
}

func (b *byteSize) Type() string { return "size" }

// atOnce adds a flag for how many things are done at once, and has it checked before the command runs.
func atOnce(cmd *cobra.Command, n *int, name string, usual, most int, what string) {
	cmd.Flags().IntVar(n, name, usual, what)
	before := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if *n < 1 || *n > most {
			return usage(cmd, fmt.Errorf("--%s %d is not from 1 to %d", name, *n, most))
		}
		if before != nil {
			return before(cmd, args)
		}
		return nil
	}
}

// What --parallel and --jobs take at most: more is a slip, or does harm.
const mostParallel, mostJobs = 100, 10_000

// tierFlag is a tier as a flag.
type tierFlag string

func (t *tierFlag) Set(s string) error {
	for _, tier := range []string{glacier.Expedited, glacier.Standard, glacier.Bulk} {
		if strings.EqualFold(s, tier) {
			*t = tierFlag(tier)
			return nil
		}
	}
	return errors.New("it is none of Expedited, Standard, Bulk")
}

func (t *tierFlag) String() string { return string(*t) }
func (t *tierFlag) Type() string   { return "tier" }
