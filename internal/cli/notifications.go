package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/daemon"
)

// notificationsCommand is about messages that were not delivered. A server that runs on the data does what is asked; otherwise the command does.
func notificationsCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{Use: "notifications", Short: "Messages about jobs that were not delivered", Args: group, RunE: help}
	cmd.AddCommand(notificationsListCommand(p), notificationsRetryCommand(p))
	return cmd
}

func notificationsListCommand(p Process) *cobra.Command {
	return onData(p, reads(&cobra.Command{
		Use:   "list",
		Short: "List the messages that were not delivered, and why",
		Long: `List the messages about jobs that were not delivered, the oldest first: those that the server will try to deliver again, and those that it has given up,
because their topic has no target (--notify-target) or because none took them in time (--notify-give-up). With --json the messages themselves are in the list.`,
		Example: "  moraine admin notifications list --data /srv/moraine",
		Args:    arguments(),
	}), func(ctx context.Context, c config.Config, out output, _ []string) error {
		list := []daemon.Notice{}
		err := daemon.Maintain(ctx, c, daemon.Task{Name: "notices"}, quiet(p), time.Now, func(e daemon.Event) error {
			if e.Notice != nil {
				list = append(list, *e.Notice)
			}
			return nil
		})
		if err != nil {
			return err
		}
		now := time.Now()
		return printList(out, list, func(n daemon.Notice) []string { return noticeColumns(n, now) })
	})
}

// noticeColumns is a message for people. What went wrong is in one line, whatever a receiver has answered.
func noticeColumns(n daemon.Notice, now time.Time) []string {
	next := "given up"
	if n.NextAt != nil {
		next = "next " + *n.NextAt
	}
	attempts := fmt.Sprintf("%d attempts", n.Attempts)
	if n.Attempts == 1 {
		attempts = "1 attempt"
	}
	return []string{n.ID, n.Topic, humanize.RelTime(n.CreatedAt, now, "old", "ahead"), attempts, next, strings.Join(strings.Fields(n.Problem), " ")}
}

func notificationsRetryCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "retry [ID]",
		Short: "Deliver messages that were given up",
		Long: `Have a message delivered that waits or was given up, or with --all every one that was given up: when its target is configured, or works again. A server
that runs delivers it at once, otherwise the next one that starts.`,
		Example: "  moraine admin notifications retry --all\n  moraine admin notifications retry 0b6f6f5e-5a0c-4d0e-8b7e-0a3c7a3f9a11 --data /srv/moraine",
	}
	all := cmd.Flags().Bool("all", false, "every message that was given up")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		switch {
		case !*all:
			if len(args) == 0 {
				return usage(cmd, errors.New("ID is missing: name a message of `moraine admin notifications list`, or give --all"))
			}
			return arguments("ID")(cmd, args)
		case len(args) > 0:
			return usage(cmd, fmt.Errorf("%q and --all: it is one or the other", args[0]))
		}
		return nil
	}
	return onData(p, cmd, func(ctx context.Context, c config.Config, out output, args []string) error {
		t := daemon.Task{Name: "retry"}
		if !*all {
			t.ID = args[0]
		}
		var due int64
		err := daemon.Maintain(ctx, c, t, quiet(p), time.Now, func(e daemon.Event) error {
			if e.Result != nil && e.Result.Notices != nil {
				due = *e.Result.Notices
			}
			return nil
		})
		if err != nil {
			return err
		}
		if out.asJSON {
			return printJSON(out.Stdout, struct {
				Retried int64 `json:"retried"`
			}{due})
		}
		_, err = fmt.Fprintf(out.Stdout, "Messages to be delivered now: %d.\n", due)
		return err
	})
}
