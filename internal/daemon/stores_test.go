package daemon_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

// TestCatalogueIsPrivate looks at the mode of the files that hold secret keys, in a directory that others can read.
func TestCatalogueIsPrivate(t *testing.T) {
	data := t.TempDir()
	if err := os.Chmod(data, 0o755); err != nil {
		t.Fatal(err)
	}
	moraintest.Start(t, func(c *config.Config) { c.Data = data })
	files, err := filepath.Glob(filepath.Join(data, "catalogue.db*"))
	if err != nil || len(files) < 2 {
		t.Fatalf("the catalogue has the files %q, %v", files, err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %o", f, info.Mode().Perm())
		}
	}
}
