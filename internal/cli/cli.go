// Package cli is the command line: it reads flags, calls, and prints. Results go to standard output, talk to standard error.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moraine-archive/moraine/internal/config"
)

// Exit codes. Scripts rely on them.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitPartly      = 3 // what resumes it is printed
	exitNotFound    = 10
	exitDenied      = 11
	exitUnreachable = 12
	exitStopped     = 130
)

// Process is what a command has of the process it runs in.
type Process struct {
	Args           []string  // without the program's name
	Environ        []string  // in the form of os.Environ
	Stdin          io.Reader // nil: there is nothing to read
	Stdout, Stderr io.Writer
}

// Run runs a command and returns its exit code.
func Run(ctx context.Context, p Process) int {
	if p.Stdin == nil {
		p.Stdin = strings.NewReader("")
	}
	root := rootCommand(p)
	root.SetArgs(p.Args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	fmt.Fprintf(p.Stderr, "moraine: %v\n", err)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return exitStopped
	}
	var coded *exitError
	if !errors.As(err, &coded) {
		return exitFailed
	}
	if coded.hint != "" {
		fmt.Fprintln(p.Stderr, coded.hint)
	}
	return coded.code
}

// exitError is an error with an exit code of its own.
type exitError struct {
	code int
	hint string // printed after it, if there is one
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// usage makes an error one of a command line that cannot be understood.
func usage(cmd *cobra.Command, err error) error {
	return &exitError{exitUsage, fmt.Sprintf("Run `%s --help` to see how it is used.", cmd.CommandPath()), err}
}

func rootCommand(p Process) *cobra.Command {
	root := &cobra.Command{
		Use:           "moraine",
		Short:         "An archive store that speaks the Amazon Glacier vault API",
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          group,
		RunE:          help,
	}
	root.SetFlagErrorFunc(usage)
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	root.AddCommand(serveCommand(p), adminCommand(p), vaultCommand(p), hashCommand(p))
	root.AddCommand(uploadCommand(p), downloadCommand(p), archiveCommand(p), inventoryCommand(p), jobCommand(p), partsCommand(p))
	root.AddCommand(syncCommand(p), restoreCommand(p))
	root.AddCommand(
		below(&cobra.Command{Use: "policy", Short: "Access policies of vaults: who may do what"},
			accessPolicyShowCommand(p), accessPolicySetCommand(p), accessPolicyRemoveCommand(p)),
		below(&cobra.Command{Use: "lock", Short: "Locks of vaults: rules that can never be changed"},
			lockShowCommand(p), lockInitiateCommand(p), lockCompleteCommand(p), lockAbortCommand(p)),
		below(&cobra.Command{Use: "tag", Short: "Tags of vaults"}, tagListCommand(p), tagSetCommand(p), tagRemoveCommand(p)),
		below(&cobra.Command{Use: "notification", Short: "Which topic is told of jobs of a vault that are done"},
			topicShowCommand(p), topicSetCommand(p), topicRemoveCommand(p)),
		below(&cobra.Command{Use: "retrieval-policy", Short: "How much the account may retrieve"}, limitShowCommand(p), limitSetCommand(p)),
		below(&cobra.Command{Use: "capacity", Short: "Provisioned capacity for expedited retrievals"}, capacityListCommand(p), capacityPurchaseCommand(p)),
	)
	adopt(root)
	return root
}

// adopt has the commands that come with cobra say what is wrong as the others do.
func adopt(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Example, cmd.Run, cmd.RunE = "  moraine help vault create", nil, helpOn
		case "completion":
			below(cmd)
			for _, shell := range cmd.Commands() {
				shell.Args = arguments()
			}
		}
	}
}

// helpOn is help for the command that the arguments name.
func helpOn(cmd *cobra.Command, args []string) error {
	about, rest, err := cmd.Root().Find(args)
	if err != nil {
		return usage(cmd, err)
	}
	if err := group(about, rest); err != nil {
		return err
	}
	about.InitDefaultHelpFlag()
	about.InitDefaultVersionFlag()
	return about.Help()
}

// group is the check of the arguments of a command that only has commands below it.
func group(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usage(cmd, fmt.Errorf("there is no command %q", cmd.CommandPath()+" "+args[0]))
}

func help(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// below puts commands below one that only has them.
func below(parent *cobra.Command, commands ...*cobra.Command) *cobra.Command {
	parent.Args, parent.RunE = group, help
	parent.AddCommand(commands...)
	return parent
}

// load reads the configuration of a command.
func load(cmd *cobra.Command, p Process) (config.Config, error) {
	c, err := config.Load(cmd.Flags(), p.Environ)
	if err != nil {
		return c, usage(cmd, err)
	}
	return c, nil
}

// version returns the version that the Go toolchain has put into the binary.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
