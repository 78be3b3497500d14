package clienttest

import "testing"

func TestBoto2(t *testing.T) {
	c := client{name: "boto", program: "@/python/bin/python", scripts: "boto2", env: python(t)}
	run(t, c, map[string]option{"paging.py": small})
}
