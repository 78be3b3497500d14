package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/moraine-archive/moraine/internal/cli"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

// run runs a command in this process.
func run(environ []string, args ...string) (code int, stdout, stderr string) {
	var out, talk bytes.Buffer
	code = cli.Run(context.Background(), cli.Process{Args: args, Environ: environ, Stdout: &out, Stderr: &talk})
	return code, out.String(), talk.String()
}

// write writes a file in a temporary directory and returns its path.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "moraine.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// keyOf reads what the commands print with --json.
func keyOf(t *testing.T, text string) moraintest.Key {
	t.Helper()
	var doc map[string]string
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatalf("%q is not JSON: %v", text, err)
	}
	k := moraintest.Key{Account: doc["account_id"], ID: doc["access_key_id"], Secret: doc["secret_access_key"]}
	if len(doc) != 3 || len(k.Account) != 12 || len(k.ID) != 20 || len(k.Secret) != 40 {
		t.Fatalf("%v is not a key", doc)
	}
	return k
}
