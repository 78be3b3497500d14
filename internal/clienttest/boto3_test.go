package clienttest

import (
	"testing"

	"github.com/moraine-archive/moraine/internal/moraintest"
)

func TestBoto3(t *testing.T) {
	c := client{name: "boto3", program: "@/python/bin/python", scripts: "boto3", env: python(t)}
	run(t, c, map[string]option{"paginators.py": moraintest.Emulate, "emulation.py": clock, "lock.py": clock, "retrievals.py": clock, "errors.py": few})
}
