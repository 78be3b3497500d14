package api_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

// put returns the request that uploads an archive with the right hashes.
func put(name string, b []byte) moraintest.Request {
	return moraintest.Request{Method: "POST", Path: "/-/vaults/" + name + "/archives", Header: moraintest.UploadHeaders(b), Body: b}
}

// with returns a request with a header changed; an empty value leaves it out.
func with(r moraintest.Request, name, value string) moraintest.Request {
	header := map[string]string{name: value}
	for n, v := range r.Header {
		if n != name {
			header[n] = v
		}
	}
	r.Header = header
	return r
}

// roundTrip sends a signed request. What goes wrong is status 0; so it can be called from any goroutine.
func roundTrip(req *http.Request) moraintest.Response {
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return moraintest.Response{Body: err.Error()}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return moraintest.Response{Body: err.Error()}
	}
	return response(res, body)
}

// response is what a test looks at. net/http takes the Connection header out.
func response(res *http.Response, body []byte) moraintest.Response {
	if res.Close {
		res.Header.Set("Connection", "close")
	}
	return moraintest.Response{Status: res.StatusCode, Header: res.Header, Body: string(body)}
}

// sendHead sends the head of a request with further lines, as they are, and returns the first answer: 100 Continue or the final one.
// Lines that clients change or refuse to send can be sent this way.
func (s contents) sendHead(t *testing.T, r moraintest.Request, lines ...string) moraintest.Response {
	t.Helper()
	req := s.HTTPRequest(t, r)
	c, err := net.Dial("tcp", req.URL.Host)
	must(t, err)
	defer c.Close()
	must(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.Method, r.Path, req.URL.Host)
	must(t, req.Header.Write(c))
	fmt.Fprintf(c, "%s\r\n\r\n", strings.Join(lines, "\r\n"))
	res, err := http.ReadResponse(bufio.NewReader(c), req)
	must(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(t, err)
	return response(res, body)
}

// inventory returns the archives of a vault.
func (s contents) inventory(t *testing.T, name string) []listed {
	t.Helper()
	v := s.vault(name)
	job, _ := v.run(t, `{"Type":"inventory-retrieval"}`)
	return v.inventoryOf(t, job).ArchiveList
}

// retrieve returns the bytes of an archive.
func (s contents) retrieve(t *testing.T, name, archive string) string {
	t.Helper()
	job := s.InitiateJob(t, name, `{"Type":"archive-retrieval","ArchiveId":"`+archive+`"}`)
	s.WaitForJob(t, name, job)
	return s.Want(t, 200, moraintest.Request{Method: "GET", Path: "/-/vaults/" + name + "/jobs/" + job + "/output"}).Body
}

// nothing are the hashes of a body that is not sent: a request can be refused before its body.
var nothing = moraintest.UploadHeaders([]byte("never sent")) // read only

func TestUploadLengthRows(t *testing.T) {
	s := startContents(t)
	s.CreateVault(t, "v")
	post := moraintest.Request{Method: "POST", Path: "/-/vaults/v/archives", Header: nothing}
	t.Run("edge 89 no bytes", func(t *testing.T) {
		s.refused(t, 400, invalid, "Invalid Content-Length: 0", put("v", nil))
	})
	t.Run("edge 90 one byte", func(t *testing.T) {
		a := s.Upload(t, "v", []byte{7}, "")
		if got := s.retrieve(t, "v", a); got != "\a" {
			t.Errorf("retrieved %q", got)
		}
	})
	before := s.Server.Records(t)
	t.Run("edge 91 4 GiB", func(t *testing.T) {
		res := s.sendHead(t, post, "Content-Length: 4294967296", "Expect: 100-continue")
		if res.Status != 100 {
			t.Errorf("status %d, want 100: %s", res.Status, res.Body)
		}
	})
	t.Run("edge 92 more than 4 GiB", func(t *testing.T) {
		for _, n := range []string{"4294967297", "1125899906842624", "9223372036854775807"} {
			res := s.sendHead(t, post, "Content-Length: "+n, "Expect: 100-continue")
			wantRefused(t, res, 400, invalid, "Invalid Content-Length: "+n)
			if got := res.Header.Get("Connection"); got != "close" {
				t.Errorf("Connection: %q, want close", got)
			}
		}
	})
	t.Run("edge 93 a chunked body, or none that is announced", func(t *testing.T) {
		for _, line := range []string{"Transfer-Encoding: chunked", "X-Other: 1"} {
			wantRefused(t, s.sendHead(t, post, line, "Expect: 100-continue"), 400, missing, "Required parameter missing: Content-Length")
		}
	})
	t.Run("edge 91 a body that does not come leaves nothing", func(t *testing.T) {
		waitForRecords(t, s.Server, before)
		s.counts(t, "v", 1, 1, s.inventoryDate(t, "v"))
	})
}

func TestUploadHashRows(t *testing.T) {
	s := startContents(t)
	s.CreateVault(t, "v")
	body := moraintest.Pattern(2<<20 + 1)
	good, other := put("v", body), moraintest.Hex([]byte("other"))
	linear, tree := "x-amz-content-sha256", "x-amz-sha256-tree-hash"
	t.Run("edge 94 no tree hash", func(t *testing.T) {
		res := roundTrip(s.HTTPRequest(t, with(good, tree, "")))
		wantRefused(t, res, 400, missing, "Required parameter missing: x-amz-sha256-tree-hash")
		if got := res.Header.Get("Connection"); got != "close" {
			t.Errorf("Connection: %q, want close", got)
		}
	})
	t.Run("edge 95 no content hash", func(t *testing.T) {
		s.refused(t, 400, missing, "Required parameter missing: x-amz-content-sha256", with(good, linear, ""))
	})
	t.Run("edge 96 a wrong tree hash", func(t *testing.T) {
		s.refused(t, 400, invalid, "Checksum mismatch: expected "+other+", computed "+moraintest.TreeHash(body), with(good, tree, other))
		s.refused(t, 400, invalid, "Checksum mismatch: expected "+moraintest.Hex(body)+", ...", with(good, tree, moraintest.Hex(body)))
	})
	t.Run("edge 97 a wrong content hash", func(t *testing.T) {
		message := "The value passed in as x-amz-content-sha256 does not match the computed payload hash. Computed digest: " +
			moraintest.Hex(body) + " expected hash: " + other
		s.refused(t, 403, badSignature, message, with(good, linear, other))
		s.refused(t, 403, badSignature, message, with(with(good, linear, other), tree, other)) // both wrong: authentication comes first
	})
	t.Run("edge 98 a tree hash that is none", func(t *testing.T) {
		for _, hash := range []string{other[1:], other + "0", "x" + other[1:], "0x" + other[2:]} {
			s.refused(t, 400, invalid, "Invalid x-amz-sha256-tree-hash: "+hash, with(good, tree, hash))
		}
	})
	t.Run("edge 96 and 97 nothing is stored", func(t *testing.T) {
		if n := s.Server.Records(t); n != 0 {
			t.Errorf("%d volumes", n)
		}
		s.counts(t, "v", 0, 0, "")
	})
	t.Run("edge 99 a tree hash in upper case", func(t *testing.T) {
		res := s.Want(t, 201, with(good, tree, strings.ToUpper(moraintest.TreeHash(body))))
		if got := res.Header.Get(tree); got != moraintest.TreeHash(body) {
			t.Errorf("%s: %s", tree, got)
		}
	})
	t.Run("edge 100 an absent vault is found before the body", func(t *testing.T) {
		absent := moraintest.Request{Method: "POST", Path: "/-/vaults/absent/archives", Header: nothing}
		res := s.sendHead(t, absent, "Content-Length: 10485760", "Expect: 100-continue")
		wantRefused(t, res, 404, notFound, "Vault not found for ARN: "+s.arn("absent"))
	})
	t.Run("edge 107 the same bytes twice", func(t *testing.T) {
		s.CreateVault(t, "twice")
		a, b := s.Upload(t, "twice", body, ""), s.Upload(t, "twice", body, "")
		if a == b {
			t.Errorf("both have the id %s", a)
		}
		s.counts(t, "twice", 2, 2*len(body), s.inventoryDate(t, "twice"))
		s.remove(t, "/-/vaults/twice/archives/"+a)
		if got := s.retrieve(t, "twice", b); got != string(body) {
			t.Errorf("after the deletion of the one, the other has %d bytes", len(got))
		}
	})
	t.Run("edge 108 and 109 what a success says", func(t *testing.T) {
		res := s.Want(t, 201, good)
		id := res.Header.Get("x-amz-archive-id")
		if len(id) != 138 || strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") != "" {
			t.Errorf("id %q of %d characters", id, len(id))
		}
		if got, want := res.Header.Get("Location"), "/123456789012/vaults/v/archives/"+id; got != want {
			t.Errorf("Location %q, want %q", got, want)
		}
		if got := res.Header.Get(tree); got != moraintest.TreeHash(body) || res.Body != "{}" {
			t.Errorf("%s: %s, body %q", tree, got, res.Body)
		}
	})
}

func TestDescriptionRows(t *testing.T) {
	s := startContents(t)
	s.CreateVault(t, "v")
	var printable strings.Builder
	for c := byte(0x20); c < 0x7f; c++ {
		printable.WriteByte(c)
	}
	full := (strings.Repeat(strings.TrimSpace(printable.String())+"   ", 11) + "!")[:1024]
	described := func(text string) moraintest.Request {
		return with(put("v", []byte("x")), "x-amz-archive-description", text)
	}
	t.Run("edge 103 1,024 characters", func(t *testing.T) {
		stored := map[string]string{full: full, `{"a":"\"b,c"}`: `{"a":"\"b,c"}`, "two   inside ": "two   inside", "%20": "%20"}
		ids := make(map[string]string)
		for sent, want := range stored {
			ids[s.Want(t, 201, described(sent)).Header.Get("x-amz-archive-id")] = want
		}
		for _, a := range s.inventory(t, "v") {
			if want := ids[a.ArchiveID]; a.ArchiveDescription != want {
				t.Errorf("description %q, want %q", a.ArchiveDescription, want)
			}
			delete(ids, a.ArchiveID)
		}
		if len(ids) != 0 {
			t.Errorf("%d archives are not in the inventory", len(ids))
		}
	})
	t.Run("edge 104 1,025 characters", func(t *testing.T) {
		s.refused(t, 400, invalid, "Invalid archive description: it has 1025 characters, the limit is 1024", described(full+"x"))
	})
	t.Run("edge 105 other characters", func(t *testing.T) {
		for _, text := range []string{"café", "a\tb", "\xff"} {
			message := fmt.Sprintf("Invalid archive description: only printable ASCII characters (0x20 to 0x7E) are allowed: %q", text)
			s.refused(t, 400, invalid, message, described(text))
		}
		post := moraintest.Request{Method: "POST", Path: "/-/vaults/v/archives", Header: nothing}
		for _, text := range []string{"a\x7fb", "\x00", "a\x1f"} { // net/http refuses these itself
			res := s.sendHead(t, post, "Content-Length: 10", "x-amz-archive-description: "+text)
			wantRefused(t, res, 400, invalid, "The request cannot be read: Bad Request: invalid header value")
		}
	})
	t.Run("edge 106 no description", func(t *testing.T) {
		s.CreateVault(t, "v106")
		s.Upload(t, "v106", []byte("x"), "")
		if list := s.inventory(t, "v106"); len(list) != 1 || list[0].ArchiveDescription != "" {
			t.Errorf("inventory %+v", list)
		}
	})
}

func TestDeleteArchiveRows(t *testing.T) {
	s := startContents(t)
	s.CreateVault(t, "a")
	s.CreateVault(t, "b")
	body := []byte("the archive")
	t.Run("edge 110 an id that begins with a hyphen", func(t *testing.T) {
		id := "-" + strings.Repeat("a", 137)
		s.importArchive(t, s.Upload(t, "a", body, ""), id)
		if got := s.retrieve(t, "a", id); got != string(body) {
			t.Errorf("retrieved %q", got)
		}
		s.remove(t, "/-/vaults/a/archives/"+id)
		s.remove(t, "/-/vaults/a/archives/"+id)
	})
	t.Run("edge 111 twice", func(t *testing.T) {
		before := s.Server.Records(t)
		a := s.Upload(t, "a", body, "")
		s.remove(t, "/-/vaults/a/archives/"+a)
		waitForRecords(t, s.Server, before)
		s.remove(t, "/-/vaults/a/archives/"+a)
		s.refused(t, 404, notFound, "The archive ID was not found: "+a, moraintest.Request{Method: "POST", Path: "/-/vaults/a/jobs",
			Body: []byte(`{"Type":"archive-retrieval","ArchiveId":"` + a + `"}`)})
	})
	t.Run("edge 112 an archive of another vault", func(t *testing.T) {
		a := s.Upload(t, "a", body, "")
		s.refused(t, 400, invalid, "Invalid vault name: "+s.arn("b"), moraintest.Request{Method: "DELETE", Path: "/-/vaults/b/archives/" + a})
		if got := s.retrieve(t, "a", a); got != string(body) {
			t.Errorf("retrieved %q", got)
		}
		other := s.AddAccount(t, "other")
		s.Want(t, 201, moraintest.Request{Method: "PUT", Path: "/-/vaults/b", Key: other})
		s.refused(t, 404, notFound, "The archive ID was not found: "+a, moraintest.Request{Method: "DELETE", Path: "/-/vaults/b/archives/" + a, Key: other})
	})
	t.Run("edge 113 an id that was never issued", func(t *testing.T) {
		for _, id := range []string{strings.Repeat("x", 138), "short", "-"} {
			s.refused(t, 404, notFound, "The archive ID was not found: "+id, moraintest.Request{Method: "DELETE", Path: "/-/vaults/a/archives/" + id})
		}
		s.refused(t, 404, notFound, "Vault not found for ARN: "+s.arn("absent"), moraintest.Request{Method: "DELETE", Path: "/-/vaults/absent/archives/x"})
	})
}

// importArchive gives the bytes of an archive to a further one, with an id from another service. It writes to the catalogue
// beside the server.
func (s contents) importArchive(t *testing.T, of, id string) {
	t.Helper()
	ctx := context.Background()
	c := s.Config()
	rows, err := catalogue.OpenSQLite(ctx, c.CataloguePath())
	if c.InPostgres() {
		rows, err = catalogue.OpenPostgres(ctx, c.Catalogue, "")
	}
	must(t, err)
	defer rows.Close()
	must(t, rows.Update(ctx, func(tx *catalogue.Tx) error {
		a, err := tx.Archive(of)
		if err != nil {
			return err
		}
		a.ID = id
		return tx.InsertArchive(a)
	}))
}
