package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/moraine-archive/moraine/internal/config"
)

// load reads a configuration. file is the text of a configuration file, "" for none.
func load(t *testing.T, file string, environ, args []string) (config.Config, error) {
	t.Helper()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.Flags(flags)
	flags.Bool("json", false, "a flag of the command, which is no setting")
	if file != "" {
		path := filepath.Join(t.TempDir(), "moraine.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(slices.Clone(args), "--config", path)
	}
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return config.Load(flags, environ)
}

func mustLoad(t *testing.T, file string, environ, args []string) config.Config {
	t.Helper()
	c, err := load(t, file, environ, args)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaults(t *testing.T) {
	want := config.Config{
		Listen: "127.0.0.1:2012", AdminListen: "127.0.0.1:2013", Data: "moraine-data", Region: "us-east-1", LogFormat: "text",
		StallTimeout: 30 * time.Second, SweepInterval: 24 * time.Hour, ShareLimit: 1 << 20, VolumeSize: 1 << 30, Reserve: 256 << 20, CommitLimit: 256,
		CompactShare: 50, CompactInterval: time.Hour, CompactRate: 64 << 20, ScrubInterval: 720 * time.Hour, ScrubRate: 32 << 20,
		BackupInterval: 24 * time.Hour, BackupKeep: 3, ExpeditedLimit: -1, AuditSize: 64 << 20,
	}
	for name, c := range map[string]config.Config{
		"nothing":                 mustLoad(t, "", nil, nil),
		"an empty file":           mustLoad(t, "# nothing yet\n", nil, nil),
		"a flag of the command":   mustLoad(t, "", nil, []string{"--json"}),
		"the environment of all":  mustLoad(t, "", []string{"HOME=/root", "LISTEN=:1", "XMORAINE_LISTEN=:1", "moraine_listen=:1"}, nil),
		"variables without value": mustLoad(t, "", []string{"MORAINE_PAGE=", "MORAINE_CLOCK=", "MORAINE_JOB_EXPIRY=", "MORAINE_EMULATE="}, nil),
	} {
		if c != want {
			t.Errorf("of %s comes %+v, want %+v", name, c, want)
		}
	}
}

func TestPrecedence(t *testing.T) {
	const file = "region: of-the-file\npage: 1\nstall-timeout: 1s\nlisten: file:1\n"
	environ := []string{"MORAINE_REGION=of-the-environment", "MORAINE_PAGE=2", "MORAINE_STALL_TIMEOUT=2s"}
	args := []string{"--region", "of-the-flag", "--page=3", "--stall-timeout", "3s"}
	for _, test := range []struct {
		name          string
		file          string
		environ, args []string
		region        string
		page          int
		stall         time.Duration
	}{
		{"defaults", "", nil, nil, "us-east-1", 0, 30 * time.Second},
		{"file", file, nil, nil, "of-the-file", 1, time.Second},
		{"environment", "", environ, nil, "of-the-environment", 2, 2 * time.Second},
		{"flags", "", nil, args, "of-the-flag", 3, 3 * time.Second},
		{"file and environment", file, environ, nil, "of-the-environment", 2, 2 * time.Second},
		{"file and flags", file, nil, args, "of-the-flag", 3, 3 * time.Second},
		{"environment and flags", "", environ, args, "of-the-flag", 3, 3 * time.Second},
		{"all", file, environ, args, "of-the-flag", 3, 3 * time.Second},
		{"a flag with its default", file, environ, []string{"--region", "us-east-1"}, "us-east-1", 2, 2 * time.Second},
	} {
		c := mustLoad(t, test.file, test.environ, test.args)
		if c.Region != test.region || c.Page != test.page || c.StallTimeout != test.stall {
			t.Errorf("%s: region %q, page %d, stall-timeout %s", test.name, c.Region, c.Page, c.StallTimeout)
		}
		if test.file != "" && c.Listen != "file:1" {
			t.Errorf("%s: what only the file sets is %q", test.name, c.Listen)
		}
	}
}

// Every setting has the same name everywhere: a key, a variable and, but for the first key, a flag.
func TestEverySettingHasAllItsNames(t *testing.T) {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.Flags(flags)
	valid := map[string]string{
		"share-limit": "1000", "volume-size": "2000000", "compact-rate": "7", "scrub-rate": "7", "reserve": "7", "free-tier": "7", "audit-size": "2000000",
		"emulate": "glacier", "clock": "true", "log-format": "json", "root-account-id": "123456789012", "catalogue": "sqlite:x", "store": "file:x",
		"catalogue-replica": "postgres://replica/moraine", "old-store": "s3://left",
	}
	settings := 0
	for _, field := range reflect.VisibleFields(reflect.TypeFor[config.Config]()) {
		settings++
		name := field.Tag.Get("koanf")
		value := valid[name]
		switch {
		case value != "":
		case field.Type == reflect.TypeFor[time.Duration](), strings.HasSuffix(name, "-time"):
			value = "7m0s"
		case field.Type.Kind() == reflect.Int:
			value = "7"
		default:
			value = "value:7"
		}
		variable := "MORAINE_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		with := map[string][3][]string{ // file, environment, arguments; with what else the setting needs
			"key":      {{name + ": '" + value + "'\n"}, partner(name), nil},
			"variable": {nil, append(partner(name), variable+"="+value), nil},
		}
		if strings.HasPrefix(name, "root-") == (flags.Lookup(name) != nil) {
			t.Errorf("%s: a flag: %t", name, flags.Lookup(name) != nil)
		} else if flags.Lookup(name) != nil {
			with["flag"] = [3][]string{nil, partner(name), {"--" + name + "=" + value}}
		}
		for what, sources := range with {
			c, err := load(t, strings.Join(sources[0], ""), sources[1], sources[2])
			if got := fmt.Sprint(reflect.ValueOf(c).FieldByIndex(field.Index)); err != nil || got != value {
				t.Errorf("%s as a %s gives %q, %v, want %q", name, what, got, err, value)
			}
		}
	}
	if of := count(flags) - 1 + 3; settings != of { // --config is none; the root key and account are no flags
		t.Errorf("there are %d settings and %d flags and secrets", settings, of)
	}
}

// partner returns the variables without which a setting is refused.
func partner(name string) []string {
	return map[string][]string{
		"clock": {"MORAINE_EMULATE=glacier"}, "catalogue-replica": {"MORAINE_CATALOGUE=postgres://main/moraine"}, "tls-cert": {"MORAINE_TLS_KEY=k"}, "tls-key": {"MORAINE_TLS_CERT=c"},
		"root-access-key-id": {"MORAINE_ROOT_SECRET_ACCESS_KEY=s"}, "root-secret-access-key": {"MORAINE_ROOT_ACCESS_KEY_ID=k"},
	}[name]
}

func count(flags *pflag.FlagSet) (n int) {
	flags.VisitAll(func(*pflag.Flag) { n++ })
	return n
}

func TestConfigFileOfTheEnvironment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "of the environment.yaml")
	if err := os.WriteFile(path, []byte("region: here\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c := mustLoad(t, "", []string{"MORAINE_CONFIG=" + path}, nil); c.Region != "here" {
		t.Errorf("MORAINE_CONFIG gives the region %q", c.Region)
	}
	if c := mustLoad(t, "region: there\n", []string{"MORAINE_CONFIG=" + path}, nil); c.Region != "there" {
		t.Errorf("--config and MORAINE_CONFIG give the region %q", c.Region)
	}
}

// TestRefused is about what is wrong in the sources: every message names the key or the variable, and the value.
func TestRefused(t *testing.T) {
	for _, test := range []struct {
		name    string
		file    string
		environ []string
		says    []string
	}{
		{"a variable that is not known", "", []string{"MORAINE_LISTN=:1"}, []string{"MORAINE_LISTN"}},
		{"two of them", "", []string{"MORAINE_B=1", "MORAINE_A_A=1"}, []string{"MORAINE_A_A", "MORAINE_B"}},
		{"a key that is not known", "listn: x\n", nil, []string{`"listn"`}},
		{"a key in capitals", "Listen: :1\n", nil, []string{`"Listen"`}},
		{"a flag that is no setting", "json: true\n", nil, []string{`"json"`}},
		{"one of each", "a: 1\n", []string{"MORAINE_B=1"}, []string{`"a"`, "MORAINE_B"}},
		{"a file that names a file", "config: other.yaml\n", nil, []string{"moraine.yaml", "config"}},
		{"a file that is missing", "", []string{"MORAINE_CONFIG=/not/there.yaml"}, []string{"/not/there.yaml"}},
		{"a file that is no YAML", "listen: [\n", nil, []string{"moraine.yaml", "line"}},
		{"a file with a list", "- listen\n", nil, []string{"moraine.yaml"}},
		{"a key given twice", "page: 1\npage: 2\n", nil, []string{"page", "already defined"}},
		{"a section", "listen:\n  host: x\n", nil, []string{"listen"}},
		{"a list", "listen: [a, b]\n", nil, []string{"listen"}},
		{"a duration without unit in the file", "job-expiry: 24\n", nil, []string{"job-expiry", "24 "}},
		{"a duration without unit in the environment", "", []string{"MORAINE_JOB_EXPIRY=24"}, []string{"job-expiry", "24 "}},
		{"a duration in days", "", []string{"MORAINE_IDLE_UPLOAD=7d"}, []string{"idle-upload", "7d"}},
		{"a number that is none", "", []string{"MORAINE_PAGE=many"}, []string{"page", "many"}},
		{"a number with a fraction", "page: 5.7\n", nil, []string{"page", "5.7"}},
		{"a number that is true", "page: true\n", nil, []string{"page", "true"}},
		{"a switch that is neither", "", []string{"MORAINE_CLOCK=perhaps"}, []string{"clock"}},
	} {
		_, err := load(t, test.file, test.environ, nil)
		wantMessage(t, test.name, err, test.says)
	}
}

func wantMessage(t *testing.T, name string, err error, says []string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", name)
		return
	}
	for _, want := range says {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error %q does not say %q", name, err, want)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, test := range []struct {
		args []string
		says []string
	}{
		{[]string{"--listen=2012"}, []string{"listen", `"2012"`}},
		{[]string{"--listen="}, []string{"listen", `""`}},
		{[]string{"--listen=::1:2012"}, []string{"listen", `"::1:2012"`}},
		{[]string{"--admin-listen=localhost"}, []string{"admin-listen", `"localhost"`}},
		{[]string{"--data="}, []string{"data"}},
		{[]string{"--region="}, []string{"region"}},
		{[]string{"--emulate=Glacier"}, []string{"emulate", `"Glacier"`}},
		{[]string{"--clock"}, []string{"clock", "emulate"}},
		{[]string{"--tls-cert=c"}, []string{"tls-cert", "tls-key"}},
		{[]string{"--tls-key=k"}, []string{"tls-cert", "tls-key"}},
		{[]string{"--log-format=xml"}, []string{"log-format", `"xml"`}},
		{[]string{"--catalogue=/path"}, []string{"catalogue", `"/path"`, "sqlite:"}},
		{[]string{"--catalogue=mysql://me:hunter2@host/db"}, []string{"catalogue", "mysql://me:xxxxx@host/db"}},
		{[]string{"--catalogue-replica=postgres://me:hunter2@host/db"}, []string{"catalogue-replica", "postgres://me:xxxxx@host/db"}},
		{[]string{"--catalogue=postgres://me:hunter2%@host/db"}, []string{"catalogue", "postgres:"}},
		{[]string{"--catalogue=sqlite:"}, []string{"catalogue", `"sqlite:"`}},
		{[]string{"--store=s3://new", "--old-store=s3://old"}, []string{"old-store", "s3://old", "s3://new"}},
		{[]string{"--old-store=elsewhere"}, []string{"old-store", `"elsewhere"`}},
		{[]string{"--store=s3://key:hunter2@bucket"}, []string{"store", "AWS_ACCESS_KEY_ID", "s3://key:xxxxx@bucket"}},
		{[]string{"--old-store=s3://key:hunter2@bucket"}, []string{"old-store", "AWS_ACCESS_KEY_ID", "s3://key:xxxxx@bucket"}},
		{[]string{"--store=s3://bucket?endpoint=https://key:hunter2@host"}, []string{"store", "AWS_ACCESS_KEY_ID", "s3://bucket?endpoint=xxxxx"}},
		{[]string{"--catalogue=mysql://host/db?user=me&password=hunter2"}, []string{"catalogue", "mysql://host/db?user=me&password=xxxxx"}},
		{[]string{"--store=file:"}, []string{"store", `"file:"`}},
		{[]string{"--store=/path"}, []string{"store", `"/path"`, "file:"}},
		{[]string{"--secret-key-file=moraine-data/volumes/secret.key"}, []string{"secret-key-file", `"moraine-data/volumes/secret.key"`}},
		{[]string{"--store=file:/v", "--secret-key-file=/v/catalogue/../x"}, []string{"secret-key-file", `"/v/catalogue/../x"`}},
		{[]string{"--page=-1"}, []string{"page", "-1"}},
		{[]string{"--vault-page=-1"}, []string{"vault-page", "-1"}},
		{[]string{"--max-vaults=-5"}, []string{"max-vaults", "-5"}},
		{[]string{"--job-expiry=-1h"}, []string{"job-expiry", "-1h"}},
		{[]string{"--repeat-window=-1h"}, []string{"repeat-window", "-1h"}},
		{[]string{"--idle-upload=-1h"}, []string{"idle-upload", "-1h"}},
		{[]string{"--longest-request=-1h"}, []string{"longest-request", "-1h"}},
		{[]string{"--inventory-interval=-1h"}, []string{"inventory-interval", "-1h"}},
		{[]string{"--stall-timeout=0"}, []string{"stall-timeout", "0s"}},
		{[]string{"--sweep-interval=-1s"}, []string{"sweep-interval", "-1s"}},
		{[]string{"--share-limit=1025KiB"}, []string{"share-limit", "1049600"}},
		{[]string{"--share-limit=-1"}, []string{"share-limit", "-1"}},
		{[]string{"--volume-size=1000"}, []string{"volume-size", "1000"}},
		{[]string{"--volume-size=large"}, []string{"volume-size", "large", "64MiB"}},
		{[]string{"--compact-share=100"}, []string{"compact-share", "100"}},
		{[]string{"--compact-interval=-1s"}, []string{"compact-interval", "-1s"}},
		{[]string{"--scrub-interval=-1s"}, []string{"scrub-interval", "-1s"}},
		{[]string{"--backup-interval=-1s"}, []string{"backup-interval", "-1s"}},
		{[]string{"--commit-limit=0"}, []string{"commit-limit", "0"}},
		{[]string{"--backup-keep=0"}, []string{"backup-keep", "0"}},
		{[]string{"--expedited-time=soon"}, []string{"expedited-time", `"soon"`}},
		{[]string{"--standard-time=5h-3h"}, []string{"standard-time", `"5h-3h"`}},
		{[]string{"--bulk-time=-3h"}, []string{"bulk-time", `"-3h"`}},
		{[]string{"--inventory-time=3"}, []string{"inventory-time", `"3"`}},
		{[]string{"--page=-1", "--region=", "--job-expiry=-1h"}, []string{"page", "region", "job-expiry"}}, // all at once
	} {
		_, err := load(t, "", nil, test.args)
		wantMessage(t, strings.Join(test.args, " "), err, test.says)
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows the password: %v", test.args, err)
		}
	}
	for _, environ := range [][]string{
		{"MORAINE_ROOT_ACCESS_KEY_ID=k"}, {"MORAINE_ROOT_SECRET_ACCESS_KEY=hunter2"},
		{"MORAINE_ROOT_ACCOUNT_ID=12345678901"}, {"MORAINE_ROOT_ACCOUNT_ID=1234567890123"}, {"MORAINE_ROOT_ACCOUNT_ID=12345678901x"},
	} {
		name, value, _ := strings.Cut(environ[0], "=")
		_, err := load(t, "", environ, nil)
		wantMessage(t, name, err, []string{strings.ToLower(strings.ReplaceAll(name[len("MORAINE_"):], "_", "-"))})
		if isID := strings.HasSuffix(name, "ACCOUNT_ID"); err != nil && strings.Contains(err.Error(), value) != isID && value != "k" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMessagesAreAlwaysTheSame(t *testing.T) {
	args := []string{
		"--page=-1", "--vault-page=-1", "--max-vaults=-1", "--job-expiry=-1h", "--repeat-window=-1h", "--idle-upload=-1h",
		"--bulk-time=x", "--standard-time=x",
	}
	_, first := load(t, "", nil, args)
	for range 10 {
		if _, again := load(t, "", nil, args); again.Error() != first.Error() {
			t.Fatalf("first %q, then %q", first, again)
		}
	}
}

func TestParseRange(t *testing.T) {
	for text, want := range map[string][2]time.Duration{
		"": {}, "0s": {}, "5m": {5 * time.Minute, 5 * time.Minute}, "1m-5m": {time.Minute, 5 * time.Minute},
		"3h-5h": {3 * time.Hour, 5 * time.Hour}, "0s-1h30m": {0, 90 * time.Minute}, "1h-1h": {time.Hour, time.Hour},
	} {
		least, most, err := config.ParseRange(text)
		if err != nil || least != want[0] || most != want[1] {
			t.Errorf("ParseRange(%q) = %s, %s, %v", text, least, most, err)
		}
	}
	for _, text := range []string{"-", "1m-", "-5m", "5m-1m", "1-5", "1m–5m", "1m-5m-7m", "soon", " 1m"} {
		if least, most, err := config.ParseRange(text); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", text)) {
			t.Errorf("ParseRange(%q) = %s, %s, %v, want an error that names it", text, least, most, err)
		}
	}
}

func TestPaths(t *testing.T) {
	for _, test := range []struct {
		config                                config.Config
		catalogue, store, credentials, secret string
	}{
		{config.Config{Data: "d"}, "d/catalogue.db", "d/volumes", "d/credentials", "d/secret.key"},
		{config.Config{Data: "d", Catalogue: "sqlite:/c.db", Store: "file:/v", SecretKey: "/k"}, "/c.db", "/v", "d/credentials", "/k"},
		{config.Config{Data: "/d/"}, "/d/catalogue.db", "/d/volumes", "/d/credentials", "/d/secret.key"},
	} {
		c := test.config
		if c.CataloguePath() != test.catalogue || c.StoreDir() != test.store || c.CredentialsPath() != test.credentials || c.SecretKeyPath() != test.secret {
			t.Errorf("%+v: %q, %q, %q, %q", c, c.CataloguePath(), c.StoreDir(), c.CredentialsPath(), c.SecretKeyPath())
		}
	}
}

func TestRegions(t *testing.T) {
	for aliases, want := range map[string][]string{
		"":                       {"here"},
		"eu-west-1":              {"here", "eu-west-1"},
		" eu-west-1, ,us-west-2": {"here", "eu-west-1", "us-west-2"},
	} {
		if got := (config.Config{Region: "here", Aliases: aliases}).Regions(); !slices.Equal(got, want) {
			t.Errorf("with the aliases %q: %q, want %q", aliases, got, want)
		}
	}
}

// TestVariablesOfOthers holds that variables which are no settings, but not mistakes either, do no harm.
func TestVariablesOfOthers(t *testing.T) {
	mustLoad(t, "", []string{"MORAINE_ENDPOINT=http://127.0.0.1:2012", "MORAINE_PORT=tcp://10.0.0.1:2012", "MORAINE_SERVICE_HOST=10.0.0.1"}, nil)
	if _, err := load(t, "endpoint: http://127.0.0.1:2012\n", nil, nil); err == nil {
		t.Error("endpoint is taken for a setting in a file")
	}
}

// TestNames: what messages call a catalogue and a store has nothing secret, wherever in the address it is.
func TestNames(t *testing.T) {
	c := config.Config{Catalogue: "postgres://me:hunter2@host/db?sslmode=require&password=hunter2&sslpassword=hunter2", Store: "s3://bucket/x?region=eu&secret=hunter2"}
	if got, want := c.CatalogueName(), "postgres://me:xxxxx@host/db?sslmode=require&password=xxxxx&sslpassword=xxxxx"; got != want {
		t.Errorf("the catalogue is called %s, want %s", got, want)
	}
	if got, want := c.StoreName(), "s3://bucket/x?region=eu&secret=xxxxx"; got != want {
		t.Errorf("the store is called %s, want %s", got, want)
	}
}
