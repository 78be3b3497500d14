package cli

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/moraine-archive/moraine/internal/daemon"
)

// reading is the annotation of a command that changes nothing.
const reading = "reads"

// reads marks a command that changes nothing.
func reads(cmd *cobra.Command) *cobra.Command {
	cmd.Annotations = map[string]string{reading: ""}
	return cmd
}

// recordChanges has a line written to the audit log for each of an administrator's commands, below cmd, that has changed something. None of them takes a secret as an
// argument.
func recordChanges(p Process, cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		recordChanges(p, c)
	}
	if _, changesNothing := cmd.Annotations[reading]; changesNothing || cmd.HasSubCommands() {
		return
	}
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := run(cmd, args); err != nil {
			return err
		}
		c, err := load(cmd, p)
		if err != nil {
			return err
		}
		said := slices.Clone(args)
		cmd.Flags().Visit(func(f *pflag.Flag) { said = append(said, "--"+f.Name+"="+f.Value.String()) })
		return daemon.RecordCommand(c, strings.TrimPrefix(cmd.CommandPath(), "moraine "), said, time.Now())
	}
}
