package cli

import (
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/daemon"
)

func serveCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Run the server. Without flags it keeps everything in ./moraine-data and listens on 127.0.0.1:2012.

Every flag is also a key in the file given with --config, and an environment variable: MORAINE_LISTEN for --listen. Flags count before the
environment, the environment before the file. MORAINE_ROOT_ACCESS_KEY_ID, MORAINE_ROOT_SECRET_ACCESS_KEY and MORAINE_ROOT_ACCOUNT_ID
give the first account and its key; without them they are made on the first start.`,
		Example: `  moraine serve
  moraine serve --data /srv/moraine --listen 0.0.0.0:2012 --tls-cert cert.pem --tls-key key.pem
  moraine serve --emulate glacier --clock`,
		Args: arguments(),
	}
	config.Flags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := load(cmd, p)
		if err != nil {
			return err
		}
		d, err := daemon.Open(cmd.Context(), c, logger(p.Stderr, c.LogFormat), time.Now)
		if err != nil {
			return err
		}
		greet(p.Stdout, c, d)
		return d.Run(cmd.Context())
	}
	return cmd
}

func logger(w io.Writer, format string) *slog.Logger {
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, nil))
	}
	return slog.New(slog.NewTextHandler(w, nil))
}

// greet prints where the server is and what to do with it. Every command can be pasted into a shell as it is.
func greet(w io.Writer, c config.Config, d *daemon.Daemon) {
	fmt.Fprintf(w, "Moraine serves the Glacier API at %s (region %s)\n", d.Endpoint(), c.Region)
	aws := "aws glacier"
	switch {
	case c.RootKeyID != "":
		fmt.Fprintf(w, "Credentials: access key %s, from the configuration\n", c.RootKeyID)
	case d.Credentials == "":
		fmt.Fprintln(w, "Credentials: those of an earlier start; `moraine admin key add` makes others")
	default:
		path, err := filepath.Abs(d.Credentials)
		if err != nil {
			path = d.Credentials
		}
		fmt.Fprintf(w, "Credentials: %s\n", path)
		aws = fmt.Sprintf("AWS_SHARED_CREDENTIALS_FILE=%s aws --profile default glacier", shellQuote(path))
	}
	fmt.Fprintf(w, "\nTry it:\n  curl %s/health/ready\n", d.AdminEndpoint())
	for _, command := range []string{"create-vault --account-id - --vault-name photos", "list-vaults --account-id -"} {
		fmt.Fprintf(w, "  %s --endpoint-url %s --region %s %s\n", aws, d.Endpoint(), c.Region, command)
	}
	fmt.Fprintln(w)
}

// shellQuote quotes an argument for a POSIX shell, if it needs it.
func shellQuote(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
