// Package deploy_test holds the files of this directory, and the page about them, against the settings that there are.
package deploy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/spf13/pflag"

	"github.com/moraine-archive/moraine/internal/config"
)

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// documents parses a file of YAML.
func documents(t *testing.T, name string) (all []map[string]any) {
	t.Helper()
	for i, text := range strings.Split(read(t, name), "\n---\n") {
		d, err := yaml.Parser().Unmarshal([]byte(text))
		if err != nil {
			t.Fatalf("%s, document %d: %v", name, i, err)
		}
		all = append(all, d)
	}
	return all
}

// at follows keys into a document.
func at(t *testing.T, d map[string]any, keys ...string) map[string]any {
	t.Helper()
	for _, k := range keys {
		next, ok := d[k].(map[string]any)
		if !ok {
			t.Fatalf("there is no %s in %v", strings.Join(keys, "."), d)
		}
		d = next
	}
	return d
}

// load reads the configuration as the server does.
func load(environ map[string]string, args ...string) (config.Config, error) {
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	config.Flags(flags)
	if err := flags.Parse(args); err != nil {
		return config.Config{}, err
	}
	var list []string
	for name, value := range environ {
		list = append(list, name+"="+value)
	}
	return config.Load(flags, list)
}

// wantCluster makes sure that a configuration is that of one of several nodes.
func wantCluster(t *testing.T, environ map[string]string) {
	t.Helper()
	c, err := load(environ)
	if err != nil {
		t.Fatal(err)
	}
	if !c.InPostgres() || !c.InBucket() || c.SecretKey == "" || c.RootKeyID == "" || c.Data != "/var/lib/moraine" {
		t.Errorf("this is not one of several nodes: %+v", c)
	}
}

// TestCompose reads the environment of every node.
func TestCompose(t *testing.T) {
	services := at(t, documents(t, "compose.yaml")[0], "services")
	var example []string
	for line := range strings.Lines(read(t, "compose.env.example")) {
		if name, _, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			example = append(example, name)
		}
	}
	needed := regexp.MustCompile(`\$\{([A-Z0-9_]+):\?[^}]*\}`)
	for _, node := range []string{"node1", "node2", "node3"} {
		environ := make(map[string]string)
		for name, value := range at(t, services, node, "environment") {
			environ[name] = needed.ReplaceAllStringFunc(fmt.Sprint(value), func(v string) string {
				if of := needed.FindStringSubmatch(v)[1]; !slices.Contains(example, of) {
					t.Errorf("compose.env.example has no %s", of)
				}
				return "123456789012"
			})
		}
		wantCluster(t, environ)
	}
}

// TestKubernetes reads the environment of the pods, and looks at what their end depends on.
func TestKubernetes(t *testing.T) {
	environ := make(map[string]string)
	pods := 0
	for _, d := range documents(t, "kubernetes.yaml") {
		name := at(t, d, "metadata")["name"]
		switch {
		case name == "moraine" && d["kind"] == "ConfigMap":
			for k, v := range at(t, d, "data") {
				environ[k] = v.(string) // others than texts are refused
			}
		case name == "moraine" && d["kind"] == "Secret":
			for k, v := range at(t, d, "stringData") {
				environ[k] = v.(string)
			}
		case name == "moraine" && d["kind"] == "StatefulSet":
			pods++
			pod := at(t, d, "spec", "template", "spec")
			if pod["enableServiceLinks"] != false {
				t.Error("variables of services named moraine-... come into the pods, and are no settings")
			}
			if seconds, _ := pod["terminationGracePeriodSeconds"].(int); seconds < 40 {
				t.Errorf("pods have %d s to end, and need 25 s for requests, and more", seconds)
			}
			container := pod["containers"].([]any)[0].(map[string]any)
			for _, probe := range []string{"startupProbe", "readinessProbe", "livenessProbe"} {
				if path := at(t, container, probe, "httpGet")["path"]; path != "/health/ready" && path != "/health/live" {
					t.Errorf("%s asks for %v", probe, path)
				}
			}
		}
	}
	if pods != 1 {
		t.Errorf("there are %d sets of pods of moraine", pods)
	}
	wantCluster(t, environ)
}

// TestUnit reads the configuration of the unit: its file, its environment, its command line.
func TestUnit(t *testing.T) {
	environ := make(map[string]string)
	var args []string
	for line := range strings.Lines(read(t, "moraine.service")) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "Environment":
			name, value, _ := strings.Cut(value, "=")
			environ[name] = value
		case "ExecStart":
			args = strings.Fields(value)[2:] // behind the program and serve
		}
	}
	if !slices.Contains(args, "/etc/moraine/moraine.yaml") {
		t.Fatalf("the unit does not read the configuration file: %q", args)
	}
	args[slices.Index(args, "/etc/moraine/moraine.yaml")] = "moraine.yaml"
	c, err := load(environ, args...)
	if err != nil {
		t.Fatal(err)
	}
	if c.Data != "/var/lib/moraine" || c.Listen == "" {
		t.Errorf("the unit has %+v", c)
	}
}

// TestContainerfile reads the environment of the image.
func TestContainerfile(t *testing.T) {
	environ := make(map[string]string)
	for line := range strings.Lines(read(t, "Containerfile")) {
		if list, ok := strings.CutPrefix(line, "ENV "); ok {
			for _, pair := range strings.Fields(list) {
				name, value, _ := strings.Cut(pair, "=")
				environ[name] = value
			}
		}
	}
	if c, err := load(environ); err != nil || c.Data != "/var/lib/moraine" {
		t.Errorf("the image has %q: %v", environ, err)
	}
}

// TestNames finds every variable and setting that is named anywhere here, also in comments, and in the page for operators.
func TestNames(t *testing.T) {
	files, err := filepath.Glob("*")
	if err != nil {
		t.Fatal(err)
	}
	variable, flag := regexp.MustCompile(`\bMORAINE_[A-Z_]*[A-Z]\b(\.?)`), regexp.MustCompile(`(?:^|[^\w-])--([a-z][a-z-]*)`)
	settings := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.Flags(settings)
	ofCommands := []string{"account", "help", "json", "no-backup", "quick", "rate", "read-data", "replace", "to", "vault", "verify-full"} // flags of moraine's other commands
	ofOthers := regexp.MustCompile(`^\W*(docker|podman|useradd|systemctl|COPY) `)
	variables, flags := 0, 0
	for _, name := range append(files, "../docs/operations.md") {
		if strings.HasSuffix(name, ".go") || name == "secrets" {
			continue
		}
		text := read(t, name)
		for _, m := range variable.FindAllStringSubmatch(text, -1) {
			v := strings.TrimSuffix(m[0], ".")
			if v == "MORAINE_NODES" { // of Kubernetes
				continue
			}
			variables++
			if _, err := load(map[string]string{v: ""}); err != nil && strings.Contains(err.Error(), "is not known") {
				t.Errorf("%s: %v", name, err)
			}
		}
		for line := range strings.Lines(text) {
			if !strings.HasSuffix(name, ".md") && !strings.Contains(line, "moraine ") || ofOthers.MatchString(line) {
				continue
			}
			for _, m := range flag.FindAllStringSubmatch(line, -1) {
				flags++
				if settings.Lookup(m[1]) == nil && !slices.Contains(ofCommands, m[1]) {
					t.Errorf("%s names --%s, which is no setting: %s", name, m[1], line)
				}
			}
		}
	}
	if variables < 20 || flags < 20 {
		t.Errorf("%d variables and %d flags were found: this test looks for them in the wrong way", variables, flags)
	}
}
