package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/moraintest"
)

const mib = 1 << 20

// start opens an upload and returns its path.
func (s contents) start(t *testing.T, name, partSize, description string) string {
	t.Helper()
	res := s.Want(t, 201, moraintest.Request{Method: "POST", Path: "/-/vaults/" + name + "/multipart-uploads",
		Header: map[string]string{"x-amz-part-size": partSize, "x-amz-archive-description": description}})
	return "/-/vaults/" + name + "/multipart-uploads/" + res.Header.Get("x-amz-multipart-upload-id")
}

// startPart opens an upload with parts of 1 MiB, stores its first part and returns its id.
func (s contents) startPart(t *testing.T, name string, b []byte) string {
	t.Helper()
	path := s.start(t, name, "1048576", "")
	s.part(t, path, 0, b)
	return uploadID(path)
}

func uploadID(path string) string { return path[strings.LastIndex(path, "/")+1:] }

// putPart returns the request that stores a part with the right hashes.
func putPart(path string, first int, b []byte) moraintest.Request {
	return with(moraintest.Request{Method: "PUT", Path: path, Header: moraintest.UploadHeaders(b), Body: b},
		"Content-Range", contentRange(first, first+len(b)-1))
}

// part stores a part.
func (s contents) part(t *testing.T, path string, first int, b []byte) {
	t.Helper()
	s.Want(t, 204, putPart(path, first, b))
}

// completion returns the request that completes an upload.
func completion(path string, size int, tree string) moraintest.Request {
	return moraintest.Request{Method: "POST", Path: path, Header: map[string]string{"x-amz-archive-size": strconv.Itoa(size), "x-amz-sha256-tree-hash": tree}}
}

// complete completes an upload of b and returns the archive's id.
func (s contents) complete(t *testing.T, path string, b []byte) string {
	t.Helper()
	return s.Want(t, 201, completion(path, len(b), moraintest.TreeHash(b))).Header.Get("x-amz-archive-id")
}

// parts returns what ListParts says, like "0-1048575", and the marker ("" for null).
func (s contents) parts(t *testing.T, path, query string) (ranges []string, marker string) {
	t.Helper()
	doc := s.get(t, path+query)
	for _, p := range doc["Parts"].([]any) {
		ranges = append(ranges, p.(map[string]any)["RangeInBytes"].(string))
	}
	marker, _ = doc["Marker"].(string)
	return ranges, marker
}

// checkParts holds the parts of an upload against ranges.
func (s contents) checkParts(t *testing.T, path string, ranges ...string) {
	t.Helper()
	got, marker := s.parts(t, path, "")
	if strings.Join(got, " ") != strings.Join(ranges, " ") || marker != "" {
		t.Errorf("parts %q, marker %q; want %q", got, marker, ranges)
	}
}

// gone checks that an upload takes no parts, shows none and cannot be completed.
func (s contents) gone(t *testing.T, path string) {
	t.Helper()
	message := "The upload ID was not found: " + uploadID(path)
	s.refused(t, 404, notFound, message, moraintest.Request{Method: "GET", Path: path})
	s.refused(t, 404, notFound, message, putPart(path, 0, []byte("late")))
	s.refused(t, 404, notFound, message, completion(path, 4, moraintest.TreeHash([]byte("late"))))
}

// open returns the ids of the open uploads of a vault.
func (s contents) open(t *testing.T, name string) string {
	t.Helper()
	var ids []string
	for _, u := range s.get(t, "/-/vaults/"+name+"/multipart-uploads")["UploadsList"].([]any) {
		ids = append(ids, u.(map[string]any)["MultipartUploadId"].(string))
	}
	return strings.Join(ids, " ")
}

func TestInitiateUploadRows(t *testing.T) {
	s := startContents(t)
	s.CreateVault(t, "v")
	initiate := moraintest.Request{Method: "POST", Path: "/-/vaults/v/multipart-uploads"}
	for row, size := range map[int]string{117: "1048576", 118: "4294967296"} {
		t.Run(fmt.Sprintf("edge %d part size %s", row, size), func(t *testing.T) {
			res := s.Want(t, 201, with(initiate, "x-amz-part-size", size))
			id := res.Header.Get("x-amz-multipart-upload-id")
			if got, want := res.Header.Get("Location"), "/123456789012/vaults/v/multipart-uploads/"+id; got != want || len(id) != 92 || res.Body != "{}" {
				t.Errorf("Location %q, id %q, body %q", got, id, res.Body)
			}
			doc := s.get(t, "/-/vaults/v/multipart-uploads/"+id)
			if n, _ := strconv.ParseFloat(size, 64); doc["PartSizeInBytes"] != n {
				t.Errorf("PartSizeInBytes %v", doc["PartSizeInBytes"])
			}
		})
	}
	t.Run("edge 119 a part size that cannot be", func(t *testing.T) {
		for _, size := range []string{"3145728", "524288", "8589934592", "1e6", "", "0", "-1048576", "1048577", "0x100000", "18446744073709551616"} {
			r := initiate
			r.Change = func(req *http.Request) { req.Header.Set("x-amz-part-size", size) } // also the empty one
			s.refused(t, 400, invalid, "Invalid part size: "+size+". Part size must not be null, must be a power of two and be between 1048576 and 4294967296 bytes.", r)
		}
	})
	t.Run("edge 120 no part size", func(t *testing.T) {
		s.refused(t, 400, missing, "Required parameter missing: x-amz-part-size", initiate)
	})
	t.Run("an absent vault", func(t *testing.T) {
		s.refused(t, 404, notFound, "Vault not found for ARN: "+s.arn("absent"),
			moraintest.Request{Method: "POST", Path: "/-/vaults/absent/multipart-uploads", Header: map[string]string{"x-amz-part-size": "1048576"}})
	})
	t.Run("edge 153 no description", func(t *testing.T) {
		s.CreateVault(t, "v153")
		path := s.start(t, "v153", "1048576", "")
		list := s.get(t, "/-/vaults/v153/multipart-uploads")["UploadsList"].([]any)[0].(map[string]any)
		for name, want := range map[string]any{
			"ArchiveDescription": nil, "MultipartUploadId": uploadID(path), "PartSizeInBytes": 1048576.0, "VaultARN": s.arn("v153"),
		} {
			if got, present := list[name]; !present || got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		if d, present := s.get(t, path)["ArchiveDescription"]; !present || d != nil {
			t.Errorf("ArchiveDescription of ListParts: %v", d)
		}
	})
	t.Run("edge 154 leading spaces of a description", func(t *testing.T) {
		r := with(initiate, "x-amz-part-size", "1048576")
		res := s.sendHead(t, r, "Content-Length: 0", "x-amz-archive-description:   x  y ")
		path := "/-/vaults/v/multipart-uploads/" + res.Header.Get("x-amz-multipart-upload-id")
		if got := s.get(t, path)["ArchiveDescription"]; got != "x  y" {
			t.Errorf("description %q", got)
		}
		s.part(t, path, 0, []byte("body"))
		s.complete(t, path, []byte("body"))
		if got := s.inventory(t, "v")[0].ArchiveDescription; got != "x  y" {
			t.Errorf("description in the inventory %q", got)
		}
		s.refused(t, 400, invalid, "Invalid archive description: it has 1025 characters, the limit is 1024",
			with(r, "x-amz-archive-description", strings.Repeat("x", 1025)))
	})
}

func TestUploadPartRows(t *testing.T) {
	s := startContents(t)
	s.CreateVault(t, "v")
	full := moraintest.Pattern(mib)
	path := s.start(t, "v", "1048576", "")
	t.Run("edge 122 parts in any order", func(t *testing.T) {
		s.part(t, path, mib, full)
		s.checkParts(t, path, "1048576-2097151")
	})
	t.Run("edge 121 a part", func(t *testing.T) {
		res := s.Want(t, 204, putPart(path, 0, full))
		if got := res.Header.Get("x-amz-sha256-tree-hash"); got != moraintest.TreeHash(full) {
			t.Errorf("tree hash %q", got)
		}
		for _, name := range []string{"Content-Type", "Content-Length", "Location"} {
			if got, present := res.Header[name]; present {
				t.Errorf("%s: %q", name, got)
			}
		}
		s.checkParts(t, path, "0-1048575", "1048576-2097151")
	})
	ten, eleven := putPart(path, 0, full[:10]), putPart(path, 0, full[:11])
	for _, c := range []struct {
		name, header  string
		status        int
		code, message string
		r             moraintest.Request
	}{
		{"edge 123 not aligned", "bytes 524288-1572863/*", 400, invalid, "Invalid Content-Range: bytes 524288-1572863/*", putPart(path, 0, full)},
		{"edge 124 longer than a part", "bytes 0-1048576/*", 400, invalid, "Invalid Content-Range: bytes 0-1048576/*", putPart(path, 0, moraintest.Pattern(mib+1))},
		{"edge 124 as long as two parts", "bytes 0-2097151/*", 400, invalid, "Invalid Content-Range: bytes 0-2097151/*", putPart(path, 0, moraintest.Pattern(2*mib))},
		{"edge 125 another length", "bytes 0-9/*", 400, invalid, "Content-Range: bytes 0-9/* is incompatible with Content-Length: 11", eleven},
		{"edge 126 backwards", "bytes 9-0/*", 400, invalid, "Invalid Content-Range: bytes 9-0/*", ten},
		{"edge 126 no unit", "0-9/*", 400, invalid, "Invalid Content-Range: 0-9/*", ten},
		{"edge 126 an encoded space", "bytes%200-9/*", 400, invalid, "Invalid Content-Range: bytes%200-9/*", ten},
		{"edge 126 another unit", "octets 0-9/*", 400, invalid, "Invalid Content-Range: octets 0-9/*", ten},
		{"edge 126 no total", "bytes 0-9", 400, invalid, "Invalid Content-Range: bytes 0-9", ten},
		{"edge 126 signs", "bytes -0-9/*", 400, invalid, "Invalid Content-Range: bytes -0-9/*", ten},
		{"edge 126 too many digits", "bytes 0-99999999999999999999/*", 400, invalid, "Invalid Content-Range: bytes 0-99999999999999999999/*", ten},
		{"edge 127 none", "", 400, missing, "Required parameter missing: Content-Range", ten},
		{"edge 128 the 10,001st part", "bytes 10485760000-10485760009/*", 400, invalid,
			"This is part number 10001 for the current multipart upload. It exceeds the limit of 10000 parts.", ten},
	} {
		t.Run(c.name, func(t *testing.T) { s.refused(t, c.status, c.code, c.message, with(c.r, "Content-Range", c.header)) })
	}
	t.Run("edge 126 a total is not looked at", func(t *testing.T) {
		s.Want(t, 204, with(putPart(path, 0, full), "Content-Range", "bytes 0-1048575/7"))
	})
	t.Run("edge 128 the 10,000th part", func(t *testing.T) {
		last := s.start(t, "v", "1048576", "")
		s.part(t, last, 9999*mib, full)
		s.checkParts(t, last, "10484711424-10485759999")
	})
	t.Run("edge 129 a part that is refused leaves the one before", func(t *testing.T) {
		other, wrong := make([]byte, mib), moraintest.Hex([]byte("other"))
		r := putPart(path, 0, other)
		s.refused(t, 400, invalid, "Checksum mismatch: expected "+wrong+", computed "+moraintest.TreeHash(other), with(r, "x-amz-sha256-tree-hash", wrong))
		s.refused(t, 403, badSignature, "...", with(r, "x-amz-content-sha256", wrong))
		s.refused(t, 400, missing, "Required parameter missing: x-amz-sha256-tree-hash", with(r, "x-amz-sha256-tree-hash", ""))
		s.refused(t, 400, missing, "Required parameter missing: x-amz-content-sha256", with(r, "x-amz-content-sha256", ""))
		whole := append(append([]byte{}, full...), full...)
		if got := s.retrieve(t, "v", s.complete(t, path, whole)); got != string(whole) {
			t.Error("the archive is not what was stored first")
		}
	})
	t.Run("edge 129 a part that is refused before its body", func(t *testing.T) {
		open := s.start(t, "v", "1048576", "")
		r := moraintest.Request{Method: "PUT", Path: open, Header: nothing}
		res := s.sendHead(t, r, "Content-Length: 1048576", "Content-Range: bytes 1-1048576/*", "Expect: 100-continue")
		wantRefused(t, res, 400, invalid, "Invalid Content-Range: bytes 1-1048576/*")
		res = s.sendHead(t, r, "Content-Length: 9223372036854775807", "Content-Range: bytes 0-1048575/*", "Expect: 100-continue")
		wantRefused(t, res, 400, invalid, "Content-Range: bytes 0-1048575/* is incompatible with Content-Length: 9223372036854775807")
		res = s.sendHead(t, r, "Content-Length: 1048576", "Content-Range: bytes 0-1048575/*", "Expect: 100-continue")
		if res.Status != 100 {
			t.Errorf("status %d, want 100: %s", res.Status, res.Body)
		}
	})
}

func TestReplacedPartRows(t *testing.T) {
	s := startContents(t)
	s.CreateVault(t, "v")
	t.Run("edge 130 the same range with other bytes", func(t *testing.T) {
		path := s.start(t, "v", "1048576", "")
		s.part(t, path, 0, []byte("what was first"))
		s.part(t, path, 0, []byte("what counts: longer than the first"))
		body := []byte("what counts")
		s.part(t, path, 0, body)
		s.checkParts(t, path, "0-10")
		if got := s.retrieve(t, "v", s.complete(t, path, body)); got != string(body) {
			t.Errorf("retrieved %q", got)
		}
		waitForRecords(t, s.Server, 2)
	})
	path, whole := s.start(t, "v", "1048576", ""), moraintest.Pattern(2*mib)
	tree := moraintest.TreeHash(whole)
	t.Run("edge 131 a short part that is not the last", func(t *testing.T) {
		s.part(t, path, 0, whole[:100])
		s.part(t, path, mib, whole[mib:])
		s.refused(t, 400, invalid, "The multipart upload is missing parts: "+uploadID(path), completion(path, mib+100, tree))
		s.checkParts(t, path, "0-99", "1048576-2097151")
	})
	t.Run("edge 132 the short part in full", func(t *testing.T) {
		s.part(t, path, 0, whole[:mib])
		if got := s.retrieve(t, "v", s.complete(t, path, whole)); got != string(whole) {
			t.Errorf("retrieved %d bytes", len(got))
		}
	})
}

func TestCompleteRows(t *testing.T) {
	s := startContents(t)
	s.CreateVault(t, "v")
	whole := moraintest.Pattern(2*mib + 77)
	tree := moraintest.TreeHash(whole)
	for _, c := range []struct {
		name  string
		parts []int
		size  int
	}{
		{"edge 133 a gap", []int{0, 2 * mib}, mib + 77},
		{"edge 134 not from the beginning", []int{mib, 2 * mib}, mib + 77},
		{"edge 135 no parts", nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := s.start(t, "v", "1048576", "")
			for _, first := range c.parts {
				s.part(t, path, first, whole[first:min(first+mib, len(whole))])
			}
			s.refused(t, 400, invalid, "The multipart upload is missing parts: "+uploadID(path), completion(path, c.size, tree))
			s.get(t, path)
		})
	}
	path := s.start(t, "v", "1048576", "")
	for _, first := range []int{2 * mib, 0, mib} {
		s.part(t, path, first, whole[first:min(first+mib, len(whole))])
	}
	good := completion(path, len(whole), tree)
	size, hash, wrong := "x-amz-archive-size", "x-amz-sha256-tree-hash", moraintest.Hex([]byte("other"))
	for _, c := range []struct {
		name                         string
		status                       int
		code, message, header, value string
	}{
		{"edge 136 one byte less", 400, invalid, "Invalid x-amz-archive-size: 2097228", size, "2097228"},
		{"edge 136 one byte more", 400, invalid, "Invalid x-amz-archive-size: 2097230", size, "2097230"},
		{"edge 136 not a number", 400, invalid, "Invalid x-amz-archive-size: 2e6", size, "2e6"},
		{"edge 136 with a sign", 400, invalid, "Invalid x-amz-archive-size: +2097229", size, "+2097229"},
		{"edge 136 beyond 64 bits", 400, invalid, "Invalid x-amz-archive-size: 18446744073711648845", size, "18446744073711648845"},
		{"edge 136 negative", 400, invalid, "Invalid x-amz-archive-size: -1", size, "-1"},
		{"edge 137 a wrong tree hash", 400, invalid, "Invalid x-amz-sha256-tree-hash: " + wrong, hash, wrong},
		{"edge 137 a tree hash that is none", 400, invalid, "Invalid x-amz-sha256-tree-hash: " + wrong[1:], hash, wrong[1:]},
		{"edge 137 no tree hash", 400, missing, "Required parameter missing: x-amz-sha256-tree-hash", hash, ""},
		{"edge 138 no size", 400, missing, "Required parameter missing: x-amz-archive-size", size, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.refused(t, c.status, c.code, c.message, with(good, c.header, c.value))
			s.checkParts(t, path, "0-1048575", "1048576-2097151", "2097152-2097228")
		})
	}
	t.Run("edge 152 a short last part has its real range", func(t *testing.T) {
		last := s.get(t, path)["Parts"].([]any)[2].(map[string]any)
		if last["RangeInBytes"] != "2097152-2097228" || last["SHA256TreeHash"] != moraintest.TreeHash(whole[2*mib:]) {
			t.Errorf("the last part: %v", last)
		}
	})
	t.Run("edge 136 and 137 then completed", func(t *testing.T) {
		res := s.Want(t, 201, with(good, hash, strings.ToUpper(tree)))
		id := res.Header.Get("x-amz-archive-id")
		if got, want := res.Header.Get("Location"), "/123456789012/vaults/v/archives/"+id; got != want || len(id) != 138 || res.Body != "{}" {
			t.Errorf("Location %q, id %q, body %q", got, id, res.Body)
		}
		if got := res.Header.Get(hash); got != tree {
			t.Errorf("tree hash %q", got)
		}
		if got := s.retrieve(t, "v", id); got != string(whole) {
			t.Errorf("retrieved %d bytes", len(got))
		}
	})
}

func TestShapesOfUploads(t *testing.T) {
	s := startContents(t)
	s.CreateVault(t, "v")
	t.Run("edge 148 one short part", func(t *testing.T) {
		path, body := s.start(t, "v", "1073741824", ""), moraintest.Pattern(mib+1)
		s.part(t, path, 0, body)
		if got := s.retrieve(t, "v", s.complete(t, path, body)); got != string(body) {
			t.Errorf("retrieved %d bytes", len(got))
		}
	})
	t.Run("edge 149 two parts", func(t *testing.T) {
		path, body := s.start(t, "v", "2097152", ""), moraintest.Pattern(4*mib)
		s.part(t, path, 0, body[:2*mib])
		s.part(t, path, 2*mib, body[2*mib:])
		// The tree hash of 4 MiB of the pattern, from the specification's test vectors.
		res := s.Want(t, 201, completion(path, 4*mib, "c7d749cd55cefa8ed8fbc208202e18d019b7701f29886f7c5d662d77b3903833"))
		if got := s.retrieve(t, "v", res.Header.Get("x-amz-archive-id")); got != string(body) {
			t.Errorf("retrieved %d bytes", len(got))
		}
	})
	t.Run("edge 150 no parts", func(t *testing.T) {
		path := s.start(t, "v", "1048576", "d")
		body := s.Want(t, 200, moraintest.Request{Method: "GET", Path: path}).Body
		created := s.get(t, path)["CreationDate"].(string)
		want := fmt.Sprintf(`{"ArchiveDescription":"d","CreationDate":"%s","Marker":null,"MultipartUploadId":"%s",`+
			`"PartSizeInBytes":1048576,"Parts":[],"VaultARN":"%s"}`,
			created, uploadID(path), s.arn("v"))
		if body != want {
			t.Errorf("body %s\nwant %s", body, want)
		}
	})
	t.Run("edge 155 an archive is as old as its completion", func(t *testing.T) {
		s.CreateVault(t, "v155")
		path := s.start(t, "v155", "1048576", "")
		s.part(t, path, 0, []byte("x"))
		started, err := time.Parse(time.RFC3339, s.get(t, path)["CreationDate"].(string))
		must(t, err)
		s.Advance(2 * time.Hour)
		s.complete(t, path, []byte("x"))
		list := s.inventory(t, "v155")
		created, err := time.Parse(time.RFC3339, list[0].CreationDate)
		must(t, err)
		if age := created.Sub(started); age < 2*time.Hour-time.Second || age > 2*time.Hour+time.Minute {
			t.Errorf("the archive was made %s after the upload began, want two hours", age)
		}
	})
}

func TestPagesOfParts(t *testing.T) {
	var first []string
	fill := func(t *testing.T, s contents) string {
		s.CreateVault(t, "v")
		path := s.start(t, "v", "1048576", "")
		first = nil
		for i := range 60 {
			s.part(t, path, i*mib, []byte{byte(i)})
			first = append(first, fmt.Sprintf("%d-%d", i*mib, i*mib))
		}
		return path
	}
	page := func(t *testing.T, s contents, path, query string, want []string) (marker string) {
		t.Helper()
		got, marker := s.parts(t, path, query)
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("ListParts%s: %d parts %q, want %d", query, len(got), got, len(want))
		}
		return marker
	}
	t.Run("edge 151 a page holds 50 parts", func(t *testing.T) {
		s := startContents(t, moraintest.Emulate)
		path := fill(t, s)
		marker := page(t, s, path, "", first[:50])
		if marker == "" {
			t.Fatal("Marker is null before the end")
		}
		if end := page(t, s, path, "?marker="+url.QueryEscape(marker), first[50:]); end != "" {
			t.Errorf("Marker %q at the end", end)
		}
		page(t, s, path, "?limit=1000", first[:50])
		next := page(t, s, path, "?limit=7", first[:7])
		if end := page(t, s, path, "?limit=50&marker="+url.QueryEscape(next), first[7:57]); end == "" {
			t.Error("Marker is null before the end")
		}
		for _, limit := range []string{"0", "-1", "x", ""} {
			s.refused(t, 400, invalid, "Invalid limit: "+limit, moraintest.Request{Method: "GET", Path: path + "?limit=" + limit})
		}
	})
	t.Run("edge 151 in the default behaviour a page holds more", func(t *testing.T) {
		s := startContents(t)
		path := fill(t, s)
		if end := page(t, s, path, "", first); end != "" {
			t.Errorf("Marker %q at the end", end)
		}
		if end := page(t, s, path, "?limit=60", first); end != "" {
			t.Errorf("Marker %q at the end of a full page", end)
		}
	})
}

func TestEndedUploadRows(t *testing.T) {
	s := startContents(t)
	s.CreateVault(t, "v")
	body := []byte("an archive in one part")
	finish := func(t *testing.T) (path, archive string) {
		path = s.start(t, "v", "1048576", "")
		s.part(t, path, 0, body)
		return path, s.complete(t, path, body)
	}
	path, archive := finish(t)
	t.Run("edge 139 complete again", func(t *testing.T) {
		s.Advance(23 * time.Hour)
		if again := s.complete(t, path, body); again != archive {
			t.Errorf("the second time the id is %s, the first time it was %s", again, archive)
		}
		s.counts(t, "v", 1, len(body), s.inventoryDate(t, "v"))
		s.refused(t, 400, invalid, "Invalid x-amz-archive-size: 1", completion(path, 1, moraintest.TreeHash(body)))
		other := moraintest.Hex([]byte("other"))
		s.refused(t, 400, invalid, "Invalid x-amz-sha256-tree-hash: "+other, completion(path, len(body), other))
	})
	absent := "The upload ID was not found: " + uploadID(path)
	t.Run("edge 140 parts of a completed upload", func(t *testing.T) {
		s.refused(t, 404, notFound, absent, moraintest.Request{Method: "GET", Path: path})
	})
	t.Run("edge 141 not among the open uploads", func(t *testing.T) {
		other := s.start(t, "v", "1048576", "")
		if got := s.open(t, "v"); got != uploadID(other) {
			t.Errorf("open uploads %q, want %q", got, uploadID(other))
		}
	})
	t.Run("edge 142 a part for a completed upload", func(t *testing.T) {
		s.refused(t, 404, notFound, absent, putPart(path, 0, []byte("late")))
	})
	t.Run("edge 143 abort a completed upload", func(t *testing.T) {
		s.refused(t, 404, notFound, absent, moraintest.Request{Method: "DELETE", Path: path})
		if got := s.retrieve(t, "v", archive); got != string(body) {
			t.Errorf("retrieved %q", got)
		}
	})
	t.Run("edge 139 complete again after the archive was deleted", func(t *testing.T) {
		path, archive := finish(t)
		s.remove(t, "/-/vaults/v/archives/"+archive)
		if again := s.complete(t, path, body); again != archive {
			t.Errorf("the second time the id is %s, the first time it was %s", again, archive)
		}
		s.counts(t, "v", 1, len(body), s.inventoryDate(t, "v"))
	})
	t.Run("edge 139 complete again a day later", func(t *testing.T) {
		s.Advance(time.Hour)
		s.gone(t, path)
		s.refused(t, 404, notFound, absent, moraintest.Request{Method: "DELETE", Path: path})
		s.refused(t, 404, notFound, absent, completion(path, len(body), moraintest.TreeHash(body)))
		if got := s.retrieve(t, "v", archive); got != string(body) {
			t.Errorf("retrieved %q", got)
		}
	})
	t.Run("edge 146 an upload of another vault", func(t *testing.T) {
		s.CreateVault(t, "w")
		under := func(vault string) string { return "/-/vaults/" + vault + "/multipart-uploads/" }
		open := s.start(t, "v", "1048576", "")
		s.part(t, open, 0, []byte("late"))
		s.gone(t, under("w")+uploadID(open))
		s.refused(t, 404, notFound, "The upload ID was not found: "+uploadID(open), moraintest.Request{Method: "DELETE", Path: under("w") + uploadID(open)})
		s.checkParts(t, open, "0-3")
		s.gone(t, under("v")+strings.Repeat("x", 92))
	})
}

func TestAbortedUploadRows(t *testing.T) {
	s := startContents(t)
	s.CreateVault(t, "v")
	path := s.start(t, "v", "1048576", "")
	s.part(t, path, 0, []byte("late"))
	s.remove(t, path)
	t.Run("edge 144 abort again", func(t *testing.T) {
		s.remove(t, path)
		s.Advance(24*time.Hour - time.Minute)
		s.remove(t, path)
	})
	t.Run("edge 145 an aborted upload", func(t *testing.T) {
		s.gone(t, path)
		if got := s.open(t, "v"); got != "" {
			t.Errorf("open uploads %q", got)
		}
		waitForRecords(t, s.Server, 0)
	})
	t.Run("edge 144 abort again a day later, or what never was", func(t *testing.T) {
		s.Advance(time.Minute)
		for _, id := range []string{uploadID(path), strings.Repeat("x", 92)} {
			s.refused(t, 404, notFound, "The upload ID was not found: "+id, moraintest.Request{Method: "DELETE", Path: "/-/vaults/v/multipart-uploads/" + id})
		}
	})
}

func TestIdleUploadRows(t *testing.T) {
	for name, s := range map[string]contents{"default": startContents(t), "emulated": startContents(t, moraintest.Emulate)} {
		s.CreateVault(t, "v")
		path := s.start(t, "v", "1048576", "")
		t.Run("edge 147 idle for 23 hours, "+name, func(t *testing.T) {
			s.Advance(23 * time.Hour)
			s.part(t, path, 0, []byte("late"))
		})
		t.Run("edge 147 idle for almost seven days, "+name, func(t *testing.T) {
			s.Advance(7*24*time.Hour - time.Minute)
			must(t, s.Service().Expire(t.Context()))
			s.checkParts(t, path, "0-3")
			s.part(t, path, 0, []byte("late")) // activity
			s.Advance(7*24*time.Hour - time.Minute)
			must(t, s.Service().Expire(t.Context()))
			s.checkParts(t, path, "0-3")
		})
		t.Run("edge 147 reclaimed after seven days, "+name, func(t *testing.T) {
			s.Advance(time.Minute)
			moraintest.Eventually(t, "the upload to be reclaimed", func() bool { return s.open(t, "v") == "" })
			s.gone(t, path)
			waitForRecords(t, s.Server, 0)
		})
	}
}

func TestParallelCompleteRows(t *testing.T) {
	s := startContents(t)
	t.Run("edge 156 completed several times at once", func(t *testing.T) {
		body := []byte("an archive in one part")
		s.CreateVault(t, "v")
		const rounds, callers = 40, 3
		for round := range rounds {
			path := s.start(t, "v", "1048576", "")
			s.part(t, path, 0, body)
			answers := make([]moraintest.Response, callers)
			var all sync.WaitGroup
			for i := range answers {
				req := s.HTTPRequest(t, completion(path, len(body), moraintest.TreeHash(body)))
				all.Go(func() { answers[i] = roundTrip(req) })
			}
			all.Wait()
			for _, a := range answers {
				if a.Status != 201 || a.Header.Get("x-amz-archive-id") != answers[0].Header.Get("x-amz-archive-id") {
					t.Errorf("round %d: status %d, id %s; the first id is %s: %s", round, a.Status,
						a.Header.Get("x-amz-archive-id"), answers[0].Header.Get("x-amz-archive-id"), a.Body)
				}
			}
			s.counts(t, "v", round+1, (round+1)*len(body), s.inventoryDate(t, "v"))
		}
		if got := s.Server.Records(t); got != 2*rounds {
			t.Errorf("%d records, want a part and a list of parts for each of %d archives", got, rounds)
		}
	})
}
