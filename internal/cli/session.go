package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/internal/index"
	"github.com/moraine-archive/moraine/internal/vfs"
)

// session is what a command has that works on vaults, with any server that speaks the API.
type session struct {
	output
	client *glacier.Client
	flags  *pflag.FlagSet // of the command
	opened []*index.Index
}

// onVaults completes a command that works on vaults: it gets the flags that say where they are and as whom, and exit codes for what the service says.
func onVaults(p Process, cmd *cobra.Command, run func(context.Context, *session, []string) error) *cobra.Command {
	f := cmd.Flags()
	f.String("endpoint", "", "URL of the server, like http://127.0.0.1:2012 (MORAINE_ENDPOINT, AWS_ENDPOINT_URL_GLACIER; default: Amazon's)")
	f.String("region", "", "region (AWS_REGION, or that of the profile; default us-east-1)")
	f.String("profile", "", "section of the configuration files of the AWS tools (AWS_PROFILE)")
	f.String("account-id", "", "account that owns the vaults, 12 digits (default: that of the credentials)")
	f.Bool("verbose", false, "print every request to standard error")
	f.Bool("json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := newSession(cmd, p)
		if err != nil {
			return err
		}
		defer s.close()
		err = run(cmd.Context(), s, args)
		if errors.Is(err, index.ErrDamaged) {
			return s.discard(err)
		}
		return s.explain(err)
	}
	return cmd
}

// inVault completes a command that works on what a vault has.
func inVault(p Process, cmd *cobra.Command, run func(ctx context.Context, s *session, vault string, args []string) error) *cobra.Command {
	vault := new(string)
	text(cmd, vault, "vault", "name of the vault")
	return onVaults(p, cmd, func(ctx context.Context, s *session, args []string) error {
		if *vault == "" {
			return usage(cmd, errors.New("--vault is missing"))
		}
		return run(ctx, s, *vault, args)
	})
}

// taking completes a command that takes something off a vault.
func taking(p Process, cmd *cobra.Command, take func(*glacier.Client, context.Context, string) (*glacier.Response, error), state, said string) *cobra.Command {
	cmd.Args = arguments()
	return inVault(p, cmd, func(ctx context.Context, s *session, vault string, _ []string) error {
		if _, err := take(s.client, ctx, vault); err != nil {
			return err
		}
		return s.done(map[string]string{"vault": vault, "state": state}, said, vault)
	})
}

func newSession(cmd *cobra.Command, p Process) (*session, error) {
	text := func(name string) string {
		v, _ := cmd.Flags().GetString(name) // every command has it
		return v
	}
	o := glacier.Options{Endpoint: text("endpoint"), Region: text("region"), Profile: text("profile"), AccountID: text("account-id"), UserAgent: "moraine/" + version()}
	if o.Endpoint == "" {
		o.Endpoint = p.variable("MORAINE_ENDPOINT")
	}
	if verbose, _ := cmd.Flags().GetBool("verbose"); verbose {
		o.Log = slog.New(slog.NewTextHandler(p.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	client, err := glacier.New(cmd.Context(), o)
	if err != nil {
		return nil, usage(cmd, err)
	}
	asJSON, err := cmd.Flags().GetBool("json")
	return &session{output: output{p, asJSON}, client: client, flags: cmd.Flags()}, err
}

// variable returns a variable of the environment, "" if it is not set.
func (p Process) variable(name string) string {
	for _, v := range slices.Backward(p.Environ) {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

// explain gives an error its exit code, and says what can be done about it.
func (s *session) explain(err error) error {
	coded := &exitError{code: exitFailed, err: err}
	var network net.Error // also that of a file, unless a request has failed
	var sending *glacier.SendError
	switch {
	case err == nil || errors.As(err, &coded):
		return err
	case errors.Is(err, glacier.ErrNotFound), errors.Is(err, index.ErrNotFound):
		coded.code = exitNotFound
	case errors.Is(err, glacier.ErrAccessDenied):
		coded.code = exitDenied
	case errors.Is(err, glacier.ErrAuthentication), errors.Is(err, glacier.ErrExpiredToken):
		coded.code = exitDenied
		coded.hint = "Look at the region, --region or AWS_REGION, and at the credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or --profile and AWS_SHARED_CREDENTIALS_FILE. Those of a Moraine server are in the file that it names on its start."
	case errors.Is(err, glacier.ErrPolicyEnforced):
		coded.hint = "`moraine retrieval-policy show` says what may be retrieved; --tier Bulk is not limited."
	case errors.As(err, &sending) && errors.As(sending.Err, &network) && !errors.Is(err, context.Canceled):
		coded.code = exitUnreachable
		coded.hint = fmt.Sprintf("Is there a server at %s? --endpoint names another.", s.client.Endpoint())
	default:
		return err
	}
	return coded
}

// vault returns the description of a vault, and so whether there is one.
func (s *session) vault(ctx context.Context, name string) (*glacier.Vault, error) {
	return s.client.DescribeVault(ctx, name)
}

// cache makes the directory for what is known of vaults on this machine.
func (s *session) cache() (string, error) {
	dir := s.variable("XDG_CACHE_HOME")
	if dir == "" {
		dir = filepath.Join(s.variable("HOME"), ".cache")
	}
	dir = filepath.Join(dir, "moraine")
	if err := vfs.OS().MkdirAll(dir); err != nil {
		return "", fmt.Errorf("make the directory for what is known of vaults: %w", err)
	}
	return dir, nil
}

// index opens what is known on this machine about the archives of a vault.
func (s *session) index(ctx context.Context, v *glacier.Vault) (*index.Index, error) {
	dir, err := s.cache()
	if err != nil {
		return nil, err
	}
	ix, err := index.Open(ctx, filepath.Join(dir, s.indexName(v)), vfs.OS())
	if err != nil {
		return nil, err
	}
	s.opened = append(s.opened, ix)
	if ix.Restarted() != "" {
		s.say("What was known of the vault %s is begun anew: %s", v.Name, ix.Restarted())
	}
	return ix, nil
}

func (s *session) close() {
	for _, ix := range s.opened {
		ix.Close()
	}
}

// discard moves damaged indexes out of the way.
func (s *session) discard(err error) error {
	for _, ix := range s.opened {
		err = errors.Join(err, ix.Discard())
	}
	return &exitError{exitFailed, "What was known on this machine was moved out of the way. Run the command again.", err}
}

func (s *session) indexName(v *glacier.Vault) string {
	return index.FileName(s.client.Endpoint(), accountOf(v.ARN), v.Name, v.CreationDate)
}

// accountOf returns the account in an ARN, "" if there is none.
func accountOf(arn string) string {
	if parts := strings.SplitN(arn, ":", 6); len(parts) == 6 {
		return parts[4]
	}
	return ""
}
