// Package config reads the configuration: defaults, then a file, then the environment, then flags. Nothing else reads the environment.
package config

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"net"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// Config is everything that can be set. Every field is a key in the file and an environment variable: MORAINE_ and the
// name in capitals with _ for -. All but those of the root key are flags too.
type Config struct {
	Listen      string `koanf:"listen"`
	AdminListen string `koanf:"admin-listen"`
	Data        string `koanf:"data"`
	Catalogue   string `koanf:"catalogue"`
	Replica     string `koanf:"catalogue-replica"`
	Store       string `koanf:"store"`
	OldStore    string `koanf:"old-store"`
	Region      string `koanf:"region"`
	Aliases     string `koanf:"region-aliases"` // separated by commas
	Emulate     string `koanf:"emulate"`
	Clock       bool   `koanf:"clock"`
	TLSCert     string `koanf:"tls-cert"`
	TLSKey      string `koanf:"tls-key"`
	LogFormat   string `koanf:"log-format"`
	SecretKey   string `koanf:"secret-key-file"`

	// Figures of the service. Empty or zero leaves what the behaviour (default or emulated) has.
	Expedited         string        `koanf:"expedited-time"` // "1m-5m", or one duration
	Standard          string        `koanf:"standard-time"`
	Bulk              string        `koanf:"bulk-time"`
	Inventory         string        `koanf:"inventory-time"`
	InventoryInterval time.Duration `koanf:"inventory-interval"`
	VaultPage         int           `koanf:"vault-page"`
	Page              int           `koanf:"page"`
	MaxVaults         int           `koanf:"max-vaults"`
	JobExpiry         time.Duration `koanf:"job-expiry"`
	RepeatWindow      time.Duration `koanf:"repeat-window"`
	IdleUpload        time.Duration `koanf:"idle-upload"`
	LockWindow        time.Duration `koanf:"lock-window"`
	ExpeditedLimit    int           `koanf:"expedited-limit"` // -1: any number
	FreeTier          Bytes         `koanf:"free-tier"`
	LongestRequest    time.Duration `koanf:"longest-request"`
	KeepOrphans       time.Duration `koanf:"keep-orphans"`
	StallTimeout      time.Duration `koanf:"stall-timeout"`
	SweepInterval     time.Duration `koanf:"sweep-interval"`

	// How bytes are kept. An interval of zero means: only when an administrator asks for it.
	ShareLimit      Bytes         `koanf:"share-limit"`
	VolumeSize      Bytes         `koanf:"volume-size"`
	Reserve         Bytes         `koanf:"reserve"`
	CommitLimit     int           `koanf:"commit-limit"`
	CompactShare    int           `koanf:"compact-share"` // per cent
	CompactInterval time.Duration `koanf:"compact-interval"`
	CompactRate     Bytes         `koanf:"compact-rate"` // per second; 0: no limit
	ScrubInterval   time.Duration `koanf:"scrub-interval"`
	ScrubRate       Bytes         `koanf:"scrub-rate"`
	BackupInterval  time.Duration `koanf:"backup-interval"`
	BackupKeep      int           `koanf:"backup-keep"`

	// Who is told, and what is written down.
	NotifyTarget  string        `koanf:"notify-target"` // TOPIC=URL, separated by white space
	NotifyCertURL string        `koanf:"notify-cert-url"`
	NotifyGiveUp  time.Duration `koanf:"notify-give-up"`
	AuditLog      string        `koanf:"audit-log"`
	AuditSize     Bytes         `koanf:"audit-size"`
	AuditKeep     int           `koanf:"audit-keep"`

	// The first account and its key. Not flags: a command line can be read by others.
	RootKeyID   string `koanf:"root-access-key-id"`
	RootSecret  string `koanf:"root-secret-access-key"`
	RootAccount string `koanf:"root-account-id"`
}

// Flags adds the flags of the configuration to a set.
func Flags(f *pflag.FlagSet) {
	f.String("config", "", "YAML file with any of these settings as keys")
	f.String("listen", "127.0.0.1:2012", "address of the Glacier API")
	f.String("admin-listen", "127.0.0.1:2013", "address of health and administration")
	f.String("data", "moraine-data", "data directory")
	f.String("catalogue", "", "where the rows are: sqlite:PATH, or postgres://... for many nodes (default: sqlite:catalogue.db in the data directory)")
	f.String("catalogue-replica", "", "postgres://... of a server that follows that of the catalogue: lists are read there")
	f.String("store", "", "where the bytes are: file:DIR, or s3://BUCKET/PREFIX?endpoint=URL&region=NAME&path-style=true&class=CLASS (default: file:volumes in the data directory)")
	f.String("old-store", "", "a store of the other kind that is left for the one of --store: it is read until `moraine admin migrate-store` has copied everything")
	f.String("region", "us-east-1", "region name in ARNs and signatures")
	f.String("region-aliases", "", "further regions that signatures may name, separated by commas")
	f.String("emulate", "", `show the waiting times and limits of the original service: "glacier"`)
	f.Bool("clock", false, "let tests set the clock over the admin address; only together with --emulate")
	f.String("tls-cert", "", "file with the certificate chain for HTTPS")
	f.String("tls-key", "", "file with the private key for HTTPS")
	f.String("log-format", "text", "form of the log on standard error: text or json")
	f.String("secret-key-file", "", "file with the key that secrets in the catalogue are encrypted with, the same for all nodes (default: secret.key in the data directory)")
	f.String("expedited-time", "", "how long Expedited retrievals take, like 1m-5m")
	f.String("standard-time", "", "how long Standard retrievals take")
	f.String("bulk-time", "", "how long Bulk retrievals take")
	f.String("inventory-time", "", "how long inventory retrievals take")
	f.Duration("inventory-interval", 0, "time between inventories of a vault (0: always current, unless emulating)")
	f.Int("vault-page", 0, "vaults in a page of ListVaults")
	f.Int("page", 0, "jobs, uploads or parts in a page of a list")
	f.Int("max-vaults", 0, "vaults an account may have (default 1000)")
	f.Duration("job-expiry", 0, "how long the output of a job stays (default 24h)")
	f.Duration("repeat-window", 0, "how long Complete and Abort can be repeated (default 24h)")
	f.Duration("idle-upload", 0, "when an upload without activity is removed (default 168h)")
	f.Duration("lock-window", 0, "time in which a vault lock has to be completed (default 24h)")
	f.Int("expedited-limit", -1, "Expedited retrievals in 5 minutes for an account without provisioned capacity (-1: any number)")
	f.String("free-tier", "", "bytes a month that the retrieval strategy FreeTier allows (default 10GiB)")
	f.Duration("longest-request", 0, "when a request is given up (default 24h)")
	f.Duration("keep-orphans", 0, "how long the sweep spares complete records that the catalogue does not know (default 720h)")
	f.Duration("stall-timeout", 30*time.Second, "when a header or body that brings no byte is given up")
	f.Duration("sweep-interval", 24*time.Hour, "time between sweeps for what interrupted requests left")
	f.String("share-limit", "1MiB", "payloads of up to this size share volumes, or objects of a bucket (0 to 1MiB)")
	f.String("volume-size", "1GiB", "size at which a shared volume is closed and another begun")
	f.String("reserve", "256MiB", "room on the disk that uploads leave for deletions and the catalogue (at most an eighth of the disk)")
	f.Int("commit-limit", 256, "changes of the catalogue that share a commit, at most (1: each has its own sync)")
	f.Int("compact-share", 50, "a shared volume or object is compacted when more than so many per cent of it are needed by nothing")
	f.Duration("compact-interval", time.Hour, "time between looks for volumes to compact (0: never)")
	f.String("compact-rate", "64MiB", "bytes a second that compaction reads (0: no limit)")
	f.Duration("scrub-interval", 30*24*time.Hour, "time from one verification of all bytes to the next (0: never)")
	f.String("scrub-rate", "32MiB", "bytes a second that a scrub in the background reads (0: no limit)")
	f.Duration("backup-interval", 24*time.Hour, "time between copies of the catalogue beside the bytes (0: never)")
	f.Int("backup-keep", 3, "copies of the catalogue that are kept")
	f.String("notify-target", "", "where messages about jobs go: TOPIC=URL with the ARN of a topic, or *, and the URL of a webhook, sns: or sqs:?queue=URL; several are separated by spaces")
	f.String("notify-cert-url", "", "where receivers find the certificate of signed messages (default: on the admin address)")
	f.Duration("notify-give-up", 0, "when a message that cannot be delivered is given up (default 24h)")
	f.String("audit-log", "", "file for a line about every change and every denial, or none (default: audit.log in the data directory)")
	f.String("audit-size", "64MiB", "size at which the audit log is set aside and another begun")
	f.Int("audit-keep", 0, "audit logs set aside that are kept (0: all)")
}

// Bytes is a number of bytes. Its text is like 64MiB or 1GB.
type Bytes int64

// ParseBytes reads a number of bytes.
func ParseBytes(text string) (Bytes, error) {
	n, err := humanize.ParseBytes(text)
	if err != nil || n > math.MaxInt64 {
		return 0, fmt.Errorf("%q is not a number of bytes like 64MiB", text)
	}
	return Bytes(n), nil
}

const envPrefix = "MORAINE_"

// Load reads the configuration. environ is in the form of os.Environ. An unknown key is an error.
func Load(flags *pflag.FlagSet, environ []string) (Config, error) {
	k := koanf.New(".")
	if err := load(k, flags, environ); err != nil {
		return Config{}, err
	}
	var c Config
	var seen mapstructure.Metadata
	k.Delete("config")
	err := k.UnmarshalWithConf("", &c, koanf.UnmarshalConf{DecoderConfig: &mapstructure.DecoderConfig{
		Metadata: &seen, WeaklyTypedInput: true, Result: &c, TagName: "koanf", DecodeHook: strict,
	}})
	if err != nil {
		return Config{}, fmt.Errorf("the configuration cannot be used: %w", err)
	}
	if err := unknown(seen.Unused, environ); err != nil {
		return Config{}, err
	}
	return c, c.Validate()
}

// unknown returns an error that names keys which are no settings, nil if there are none.
func unknown(keys, environ []string) error {
	var wrong []error
	for _, key := range slices.Sorted(slices.Values(keys)) {
		variable := envPrefix + strings.ToUpper(strings.ReplaceAll(key, "-", "_"))
		if slices.ContainsFunc(environ, func(e string) bool { return strings.HasPrefix(e, variable+"=") }) {
			if key == "endpoint" {
				continue // where the commands for vaults find a server
			}
			if strings.HasPrefix(key, "port") || strings.HasPrefix(key, "service-") {
				continue // Kubernetes puts MORAINE_PORT and the like into every pod beside a service named moraine
			}
			wrong = append(wrong, fmt.Errorf("the environment variable %s is not known: there is no setting %q", variable, key))
		} else {
			wrong = append(wrong, fmt.Errorf("the key %q in the configuration file is not known: there is no such setting", key))
		}
	}
	return errors.Join(wrong...)
}

// strict refuses numbers and durations that a decoder would guess at: in a file, 24 is not 24 hours, nor 5.7 a page of 5.
func strict(from, to reflect.Type, value any) (any, error) {
	text, isText := value.(string)
	switch {
	case from == to || isText && text == "":
		return value, nil
	case to == reflect.TypeFor[time.Duration]():
		d, err := time.ParseDuration(text)
		if err != nil {
			return nil, fmt.Errorf("%v is not a duration like 24h", value)
		}
		return d, nil
	case to == reflect.TypeFor[Bytes]():
		return ParseBytes(fmt.Sprint(value))
	case to.Kind() == reflect.Int:
		n, err := strconv.Atoi(fmt.Sprint(value))
		if err != nil {
			return nil, fmt.Errorf("%v is not a whole number", value)
		}
		return n, nil
	}
	return value, nil
}

// load merges the sources, the weakest first. Flags that were not set count as defaults only.
func load(k *koanf.Koanf, flags *pflag.FlagSet, environ []string) error {
	environment := env.Provider(".", env.Opt{
		Prefix:        envPrefix,
		EnvironFunc:   func() []string { return environ },
		TransformFunc: func(name, value string) (string, any) { return envKey(name), value },
	})
	path, _ := flags.GetString("config")
	if i := slices.IndexFunc(environ, func(e string) bool { return strings.HasPrefix(e, envPrefix+"CONFIG=") }); path == "" && i >= 0 {
		path = environ[i][len(envPrefix+"CONFIG="):]
	}
	if path != "" {
		if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
			return fmt.Errorf("read the configuration file %s: %w", path, err)
		}
		if k.Exists("config") {
			return fmt.Errorf("the configuration file %s names another: config is for the command line and the environment", path)
		}
	}
	if err := k.Load(environment, nil); err != nil {
		return err
	}
	known := pflag.NewFlagSet("", pflag.ContinueOnError)
	Flags(known)
	return k.Load(posflag.ProviderWithFlag(flags, ".", k, func(f *pflag.Flag) (string, any) {
		if known.Lookup(f.Name) == nil {
			return "", nil // a flag of the command, not a setting
		}
		return f.Name, posflag.FlagVal(flags, f)
	}), nil)
}

// envKey turns MORAINE_ADMIN_LISTEN into admin-listen.
func envKey(name string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, envPrefix), "_", "-"))
}

// Validate says what in a configuration cannot be.
func (c Config) Validate() error {
	var wrong []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	_, _, err := net.SplitHostPort(c.Listen)
	check(err == nil, "listen: %q is not an address like 127.0.0.1:2012", c.Listen)
	_, _, err = net.SplitHostPort(c.AdminListen)
	check(err == nil, "admin-listen: %q is not an address like 127.0.0.1:2013", c.AdminListen)
	check(c.Data != "", "data: a directory is needed")
	check(c.Region != "", "region: a name is needed, like us-east-1")
	check(c.Emulate == "" || c.Emulate == "glacier", "emulate: %q is not known; there is only glacier", c.Emulate)
	check(!c.Clock || c.Emulate != "", "clock: only together with emulate: the clock of a store that is in use cannot be set")
	check((c.TLSCert == "") == (c.TLSKey == ""), "tls-cert and tls-key: both are needed, or neither")
	check(c.LogFormat == "text" || c.LogFormat == "json", "log-format: %q is neither text nor json", c.LogFormat)
	check(c.Catalogue == "" || names(c.Catalogue, "sqlite:") || c.InPostgres() && isURL(c.Catalogue), "catalogue: %q is neither of the form sqlite:PATH nor postgres://USER@HOST/DATABASE", redacted(c.Catalogue))
	check(c.Replica == "" || c.InPostgres() && IsPostgres(c.Replica) && isURL(c.Replica), "catalogue-replica: %q is not of the form postgres://USER@HOST/DATABASE beside such a catalogue", redacted(c.Replica))
	for name, s := range sorted(map[string]Config{"store": c, "old-store": c.Old()}) {
		check(s.Store == "" || names(s.Store, "file:") || s.InBucket() && isURL(s.Store), "%s: %q is neither of the form file:DIR nor s3://BUCKET/PREFIX?endpoint=URL", name, redacted(s.Store))
		check(!s.InBucket() || !strings.Contains(s.Store, "@"), "%s: %q has credentials: the environment has those, or a profile (AWS_ACCESS_KEY_ID, AWS_PROFILE)", name, redacted(s.Store))
	}
	check(c.OldStore == "" || c.Old().InBucket() != c.InBucket(), "old-store: %q and the store %q are of one kind: copy the files, or the objects, and name the copy with --store", redacted(c.OldStore), c.StoreName())
	check(c.SecretKey == "" || c.InBucket() || !within(c.SecretKey, c.StoreDir()), "secret-key-file: %q is in the directory of the volumes, %s, where the copies of the catalogue are: keep it elsewhere", c.SecretKey, c.StoreDir())
	check((c.RootKeyID == "") == (c.RootSecret == ""), "root-access-key-id and root-secret-access-key: both are needed, or neither")
	check(c.RootAccount == "" || isAccountID(c.RootAccount), "root-account-id: %q is not 12 digits", c.RootAccount)
	for name, n := range sorted(map[string]int{"vault-page": c.VaultPage, "page": c.Page, "max-vaults": c.MaxVaults}) {
		check(n >= 0, "%s: %d is negative", name, n)
	}
	for name, d := range sorted(map[string]time.Duration{
		"inventory-interval": c.InventoryInterval, "job-expiry": c.JobExpiry, "repeat-window": c.RepeatWindow,
		"idle-upload": c.IdleUpload, "longest-request": c.LongestRequest, "keep-orphans": c.KeepOrphans,
		"lock-window": c.LockWindow, "notify-give-up": c.NotifyGiveUp,
		"compact-interval": c.CompactInterval, "scrub-interval": c.ScrubInterval, "backup-interval": c.BackupInterval,
	}) {
		check(d >= 0, "%s: %s is negative", name, d)
	}
	check(c.StallTimeout > 0, "stall-timeout: %s is not positive", c.StallTimeout)
	check(c.SweepInterval > 0, "sweep-interval: %s is not positive", c.SweepInterval)
	check(c.ShareLimit <= 1<<20, "share-limit: %d bytes is more than 1MiB, the largest payload that can share a volume", c.ShareLimit)
	check(c.VolumeSize >= 1<<20 && c.VolumeSize <= 1<<40, "volume-size: %d bytes is not between 1MiB and 1TiB", c.VolumeSize)
	check(c.CompactShare > 0 && c.CompactShare < 100, "compact-share: %d is not between 1 and 99 per cent", c.CompactShare)
	check(c.CommitLimit > 0, "commit-limit: %d is not positive", c.CommitLimit)
	check(c.ExpeditedLimit >= -1, "expedited-limit: %d is less than -1, which stands for any number", c.ExpeditedLimit)
	check(c.AuditSize >= 1<<20, "audit-size: %d bytes is less than 1MiB", c.AuditSize)
	check(c.AuditKeep >= 0, "audit-keep: %d is negative", c.AuditKeep)
	check(c.BackupKeep > 0, "backup-keep: %d is not positive", c.BackupKeep)
	for name, text := range sorted(map[string]string{
		"expedited-time": c.Expedited, "standard-time": c.Standard, "bulk-time": c.Bulk, "inventory-time": c.Inventory,
	}) {
		_, _, err := ParseRange(text)
		check(err == nil, "%s: %w", name, err)
	}
	return errors.Join(wrong...)
}

// names reports whether there is something after a prefix: SQLite takes an empty path for a catalogue that is forgotten at the end.
func names(s, prefix string) bool { return strings.HasPrefix(s, prefix) && len(s) > len(prefix) }

// within reports whether a file is in a directory or below it, as far as their names tell.
func within(file, dir string) bool {
	from, err := filepath.Abs(dir)
	to, alsoErr := filepath.Abs(file)
	if err != nil || alsoErr != nil {
		from, to = dir, file
	}
	way, err := filepath.Rel(from, to)
	return err == nil && filepath.IsLocal(way)
}

// sorted gives the settings by name, so that a wrong configuration has one message.
func sorted[T any](settings map[string]T) iter.Seq2[string, T] {
	return func(yield func(string, T) bool) {
		for _, name := range slices.Sorted(maps.Keys(settings)) {
			if !yield(name, settings[name]) {
				return
			}
		}
	}
}

func isAccountID(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789") == ""
}

// redacted returns a URL without its password, which may be a parameter too, or in a URL that is one. What cannot be read as a URL is cut before what may be a password.
func redacted(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		scheme, _, _ := strings.Cut(s, ":")
		return scheme + ":..."
	}
	parameters := strings.Split(u.RawQuery, "&")
	for i, p := range parameters {
		name, value, _ := strings.Cut(p, "=")
		if plain, err := url.QueryUnescape(value); err != nil || strings.Contains(plain, "@") || isSecret(name) {
			parameters[i] = name + "=xxxxx"
		}
	}
	u.RawQuery = strings.Join(parameters, "&")
	return u.Redacted()
}

// isSecret reports whether a parameter has a name of those whose values nobody is to see.
func isSecret(name string) bool {
	name = strings.ToLower(name)
	return strings.Contains(name, "password") || strings.Contains(name, "secret") || strings.Contains(name, "token")
}

// ParseRange reads one duration, or two with a hyphen between them. An empty text is two zeros.
func ParseRange(text string) (least, most time.Duration, err error) {
	if text == "" {
		return 0, 0, nil
	}
	from, to, isRange := strings.Cut(text, "-")
	if !isRange {
		to = from
	}
	least, err = time.ParseDuration(from)
	if err == nil {
		most, err = time.ParseDuration(to)
	}
	if err != nil || least < 0 || most < least {
		return 0, 0, fmt.Errorf("%q is not a range of durations like 3h-5h", text)
	}
	return least, most, nil
}

// CataloguePath returns the path of the SQLite catalogue.
func (c Config) CataloguePath() string {
	if path, ok := strings.CutPrefix(c.Catalogue, "sqlite:"); ok {
		return path
	}
	return filepath.Join(c.Data, "catalogue.db")
}

// InPostgres reports whether the catalogue is in PostgreSQL, where several nodes share it.
func (c Config) InPostgres() bool { return IsPostgres(c.Catalogue) }

// IsPostgres reports whether a text names a catalogue in PostgreSQL.
func IsPostgres(source string) bool {
	return names(source, "postgres://") || names(source, "postgresql://")
}

func isURL(s string) bool {
	_, err := url.Parse(s)
	return err == nil
}

// InBucket reports whether the bytes are in a bucket.
func (c Config) InBucket() bool { return names(c.Store, "s3://") }

// Old returns the configuration with the store that is left.
func (c Config) Old() Config {
	c.Store, c.OldStore = c.OldStore, ""
	return c
}

// CatalogueName is what messages call the catalogue: its path, or its address without the password.
func (c Config) CatalogueName() string {
	if c.InPostgres() {
		return redacted(c.Catalogue)
	}
	return c.CataloguePath()
}

// StoreName is what messages call the store.
func (c Config) StoreName() string {
	if c.InBucket() {
		return redacted(c.Store)
	}
	return c.StoreDir()
}

// StoreDir returns the directory of the volumes.
func (c Config) StoreDir() string {
	if dir, ok := strings.CutPrefix(c.Store, "file:"); ok {
		return dir
	}
	return filepath.Join(c.Data, "volumes")
}

// BackupDir returns the directory of the copies of the catalogue.
func (c Config) BackupDir() string { return filepath.Join(c.StoreDir(), "catalogue") }

// AdminPath returns the file in which a running server says how administrators' commands reach it.
func (c Config) AdminPath() string { return filepath.Join(c.Data, "admin.json") }

// AuditPath returns the file of the audit log, "" if there is to be none.
func (c Config) AuditPath() string {
	switch c.AuditLog {
	case "":
		return filepath.Join(c.Data, "audit.log")
	case "none":
		return ""
	}
	return c.AuditLog
}

// NotifyKeyPath returns the file with the key that messages are signed with.
func (c Config) NotifyKeyPath() string { return filepath.Join(c.Data, "notify.pem") }

// Targets returns the rows of the list of targets.
func (c Config) Targets() []string { return strings.Fields(c.NotifyTarget) }

// CredentialsPath returns the file with the key that was made on the first start.
func (c Config) CredentialsPath() string { return filepath.Join(c.Data, "credentials") }

// SecretKeyPath returns the file with the key that secrets in the catalogue are encrypted with. It is not where the catalogue and its copies are.
func (c Config) SecretKeyPath() string {
	if c.SecretKey != "" {
		return c.SecretKey
	}
	return filepath.Join(c.Data, "secret.key")
}

// Regions returns the accepted regions, the server's own first.
func (c Config) Regions() []string {
	regions := []string{c.Region}
	for _, alias := range strings.Split(c.Aliases, ",") {
		if alias = strings.TrimSpace(alias); alias != "" {
			regions = append(regions, alias)
		}
	}
	return regions
}
