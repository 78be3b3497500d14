package api_test

import (
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

// stall is how long an impatient server waits for bytes of a request.
const stall = 300 * time.Millisecond

func impatient(c *config.Config) { c.StallTimeout = stall }

// TestDownloadLikeAnError downloads an archive that looks, at each MiB, like what net/http answers to a request that it cannot parse, which the listener
// replaces.
func TestDownloadLikeAnError(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "v")
	b := moraintest.Pattern(3<<20 + 100)
	for at := 0; at < len(b); at += 1 << 20 {
		copy(b[at:], "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request")
	}
	job := s.InitiateJob(t, "v", `{"Type":"archive-retrieval","ArchiveId":"`+s.Upload(t, "v", b, "")+`"}`)
	s.WaitForJob(t, "v", job)
	c := dialRaw(t, s)
	for range 2 { // the second on a connection that has been used
		c.write(t, rawRequest{method: "GET", target: "/-/vaults/v/jobs/" + job + "/output"}.text(s))
		if res := c.answer(t, "GET"); res.Status != 200 || res.Body != string(b) {
			t.Fatalf("status %d, %d bytes, which are not those that were uploaded", res.Status, len(res.Body))
		}
	}
	c.write(t, "nonsense\r\n\r\n")
	wantError(t, c.answer(t, "GET"), 400, "BadRequest", "The request cannot be read")
	c.wantClosed(t)
}
