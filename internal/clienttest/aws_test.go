package clienttest

import "testing"

func TestAWS(t *testing.T) {
	files(t, "shell")
	c := client{name: "awscli", program: "bash", scripts: "aws", env: python(t)}
	run(t, c, map[string]option{"vaults.sh": small, "lock.sh": clock, "retrievals.sh": clock})
}
