package clienttest

import (
	"path/filepath"
	"testing"
)

func TestJavaScript(t *testing.T) {
	files(t, "node")
	modules := "@/node/node_modules" + string(filepath.ListSeparator) + filepath.Join("testdata", "node")
	run(t, client{name: "javascript", program: "node", scripts: "javascript", env: []string{"NODE_PATH=" + modules, "NODE_NO_WARNINGS=1"}}, nil)
}
