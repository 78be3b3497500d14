// Package arch holds the import table: which package of this module may import which.
package arch

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/moraine-archive/moraine/"

// table is the architecture (docs/architecture.md): a package and what it may import of this module. Tests may import anything.
var table = map[string]string{
	"internal/protocol":             "",
	"internal/fault":                "",
	"glacier/treehash":              "",
	"glacier":                       "glacier/treehash internal/protocol",
	"glacier/transfer":              "glacier glacier/treehash",
	"internal/names":                "",
	"internal/index":                "internal/names",
	"internal/vfs":                  "",
	"internal/group":                "",
	"internal/seal":                 "",
	"internal/clock":                "",
	"internal/sigv4":                "",
	"internal/store":                "internal/fault glacier/treehash",
	"internal/store/storetest":      "internal/store internal/fault glacier/treehash",
	"internal/store/volume":         "internal/store internal/fault internal/group glacier/treehash internal/vfs",
	"internal/store/memory":         "internal/store internal/fault glacier/treehash",
	"internal/store/objects":        "internal/store internal/fault glacier/treehash",
	"internal/store/moving":         "internal/store internal/fault glacier/treehash",
	"internal/catalogue":            "internal/fault internal/group internal/catalogue/checkedvfs",
	"internal/catalogue/checkedvfs": "",
	"internal/access":               "internal/fault internal/protocol",
	"internal/vault":                "internal/catalogue internal/store internal/access internal/notify internal/clock glacier/treehash internal/fault internal/protocol",
	"internal/audit":                "",
	"internal/api":                  "internal/vault internal/access internal/audit internal/sigv4 internal/protocol glacier/treehash internal/fault",
	"internal/notify":               "internal/fault",
	"internal/notify/notifytest":    "",
	"internal/worker":               "internal/vault internal/notify",
	"internal/config":               "",
	"internal/identity":             "internal/config internal/catalogue internal/access internal/seal internal/vfs internal/protocol internal/fault",
	"internal/daemon":               "internal/config internal/identity internal/api internal/worker internal/vault internal/catalogue internal/catalogue/checkedvfs internal/store internal/store/moving internal/store/objects internal/store/volume internal/seal internal/vfs internal/protocol internal/sigv4 internal/clock internal/notify internal/audit internal/fault",
	"internal/cli":                  "internal/config internal/daemon internal/identity internal/access internal/fault internal/vfs internal/index internal/names glacier glacier/transfer",
	"internal/moraintest":           "internal/config internal/daemon internal/identity internal/access internal/vault internal/enginetest glacier/treehash",
	"internal/enginetest":           "",
	"internal/arch":                 "",
	"internal/clienttest":           "",
	"internal/vfs/vfstest":          "internal/vfs",
	"cmd/moraine":                   "internal/cli",
	"bench":                         "glacier/treehash internal/moraintest",
	"deploy":                        "",
}

// outside lists packages of other modules, and of the standard library, that only some may import, with the reason.
var outside = []struct {
	imported string
	only     []string
	reason   string
}{
	{"os", []string{"internal/vfs", "cmd/moraine", "internal/moraintest", "internal/enginetest", "internal/notify/notifytest", "internal/audit", "internal/cli", "glacier/transfer", "internal/api", "bench"}, "the disk is reached through vfs (cli, transfer: files of people; audit: a log, which may be lost; api: the name of a timeout error)"},
	{"database/sql", []string{"internal/catalogue", "internal/index"}, "only the catalogue knows SQL, and the index of the command line"},
	{"net/http", []string{"glacier", "glacier/transfer", "internal/api", "internal/sigv4", "internal/daemon", "internal/moraintest", "internal/notify", "internal/notify/notifytest", "internal/store/objects", "bench"}, "only api knows HTTP; daemon starts it; objects sets up a transport"},
}

type listed struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []listed {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestImportTable(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		row, known := table[name]
		if !known {
			t.Errorf("%s has no row in the import table", name)
			continue
		}
		allowed := strings.Fields(row)
		for _, i := range p.Imports {
			if of, ours := strings.CutPrefix(i, module); ours && !slices.Contains(allowed, of) {
				t.Errorf("%s may not import %s", name, of)
			}
		}
	}
}

func TestOutsideImports(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		for _, rule := range outside {
			if slices.Contains(p.Imports, rule.imported) && !slices.Contains(rule.only, name) {
				t.Errorf("%s may not import %s: %s", name, rule.imported, rule.reason)
			}
		}
	}
}
