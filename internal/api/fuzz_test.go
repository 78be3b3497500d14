package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/protocol"
	"github.com/moraine-archive/moraine/internal/vault"
)

// FuzzParseRange holds that what a Range yields lies within the output, and that a range in its plain form is taken literally.
func FuzzParseRange(f *testing.F) {
	for _, text := range []string{
		"", "bytes=0-0", "bytes=0-", "bytes=-1", "bytes=-0", "bytes=5-3", "bytes=9-", "bytes=10-", "bytes=0-1,4-5", "bytes 0-9/100", "0-9",
		"bytes=-", "bytes=99999999999999999999-", "bytes=0-99999999999999999999", "bytes=-9223372036854775808", "BYTES=0-1", "bytes=\u0661-\u0662", "bytes=0-1\n",
	} {
		for _, size := range []int64{1, 10, 1<<63 - 1} {
			f.Add(text, size)
		}
	}
	f.Fuzz(func(t *testing.T, text string, size int64) {
		if size < 1 {
			return // no output is empty
		}
		r, err := parseRange(text, size)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("%q of %d: %v is not of the kind Invalid", text, size, err)
			}
			return
		}
		if r.first < 0 || r.first > r.last || r.last >= size {
			t.Fatalf("%q of %d: bytes %d to %d", text, size, r.first, r.last)
		}
		if !r.partial && (r.first != 0 || r.last != size-1) {
			t.Fatalf("%q of %d: bytes %d to %d are taken for the whole", text, size, r.first, r.last)
		}
		again, err := parseRange(fmt.Sprintf("bytes=%d-%d", r.first, r.last), size)
		if again != (byteRange{r.first, r.last, true}) || err != nil {
			t.Fatalf("%q of %d: bytes %d to %d, then %v, %v", text, size, r.first, r.last, again, err)
		}
	})
}

// FuzzParseJobParameters holds that a body is refused with a fault of the client's or understood, and that what is understood means the same when
// it is written again, bare or wrapped.
func FuzzParseJobParameters(f *testing.F) {
	for _, body := range []string{
		"", "{}", "null", "[]", `{"Type":"inventory-retrieval"}`, `{"jobParameters":{"Type":"archive-retrieval","ArchiveId":"x"}}`, `{"jobParameters":null}`,
		`{"Type":"inventory-retrieval","InventoryRetrievalParameters":{"Limit":5,"StartDate":"2024-01-01T00:00:00Z","EndDate":null,"Marker":""}}`,
		`{"Type":"inventory-retrieval","InventoryRetrievalParameters":{"Limit": "5" }}`, `{"InventoryRetrievalParameters":{"Limit":-1e999}}`, `{"InventoryRetrievalParameters":null}`,
		`{"Type":"select","SelectParameters":{},"OutputLocation":[]}`, `{"Type":"a","Type":"b","type":1}`, `{"Type" : "\ud800" }`, "{\"Type\":\"\xff\"}", "\ufeff{}", "{}\x00", `{"Type":"\u0000"}`,
		`{"RetrievalByteRange":"0-1","Description":"d","Format":"CSV","SNSTopic":"t","Tier":"Bulk","Zzz":[{}]}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := parseJobParameters(body)
		if err != nil {
			if want := map[bool]fault.Kind{true: fault.Missing, false: fault.Malformed}[len(body) == 0]; !fault.Is(err, want) {
				t.Fatalf("%q: %v is of the kind %d, not %d", body, err, fault.KindOf(err), want)
			}
			return
		}
		if !json.Valid(body) {
			t.Fatalf("%q is not JSON, and yet it was taken", body)
		}
		o := map[string]any{
			"Type": p.Type, "ArchiveId": p.ArchiveID, "Description": p.Description, "Format": p.Format, "SNSTopic": p.SNSTopic, "Tier": p.Tier,
			"RetrievalByteRange": p.RetrievalByteRange,
		}
		if p.Inventory != nil {
			o["InventoryRetrievalParameters"] = p.Inventory
		}
		if p.Select {
			o["SelectParameters"] = struct{}{}
		}
		for _, written := range []any{o, map[string]any{"jobParameters": o}} {
			b, err := json.Marshal(written)
			if err != nil {
				t.Fatal(err)
			}
			again, err := parseJobParameters(b)
			if err != nil || !reflect.DeepEqual(again, p) {
				t.Fatalf("%q means one thing, and %q, which was made of it, another (%v)", body, b, err)
			}
		}
	})
}

// FuzzBodies does the same for the bodies of policies, tags and data retrieval policies: refused with a fault of the client's, or understood, and then it means the same when it is
// written again.
func FuzzBodies(f *testing.F) {
	for _, body := range []string{
		"", "{}", "null", "[]", `"x"`, `{"Policy":null}`, `{"Policy":"{}"}`, `{"Policy":{}}`, `{"Policy":1,"Policy":"x"}`, `{"Policy":"\ud800\u0000"}`, "{\"Policy\":\"\xff\"}", "\ufeff{}", "{}\x00",
		`{"Tags":null}`, `{"Tags":{}}`, `{"Tags":{"k":"v","k":null}}`, `{"Tags":{"k":null,"k":"v"}}`, `{"Tags":[]}`, `{"Tags":{"":""},"TagKeys":[""]}`, `{"TagKeys":null}`, `{"TagKeys":[]}`, `{"TagKeys":["a","a",null]}`,
		`{"Policy":{"Rules":[{"Strategy":"BytesPerHour","BytesPerHour":1}]}}`, `{"Policy":{"Rules":[{"BytesPerHour":-0}]}}`, `{"Policy":{"Rules":[{"BytesPerHour":1.0}]}}`, `{"Policy":{"Rules":[{"BytesPerHour": 12 }]}}`,
		`{"Policy":{"Rules":[{"BytesPerHour":99999999999999999999}]}}`, `{"Policy":{"Rules":[{"BytesPerHour":1e3}]}}`, `{"Policy":{"Rules":[null]}}`, `{"Policy":{"Rules":{}}}`, `{"Policy":{"Rules":null}}`, `{"Policy":{}}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for name, parse := range map[string]func(*call) (any, error){
			"policy": func(c *call) (any, error) { return c.policy() },
			"tags": func(c *call) (any, error) {
				o, err := c.required("Tags")
				if err != nil {
					return nil, err
				}
				return o.textMap("Tags")
			},
			"keys": func(c *call) (any, error) {
				o, err := c.required("TagKeys")
				if err != nil {
					return nil, err
				}
				return o.texts("TagKeys")
			},
			"rules": func(c *call) (any, error) { return c.retrievalRules() },
		} {
			v, err := parse(&call{json: body})
			if err != nil {
				if !fault.Is(err, fault.Malformed) && (name != "rules" && len(body) > 0 || !fault.Is(err, fault.Missing)) {
					t.Fatalf("%s of %q: %v is of the kind %d", name, body, err, fault.KindOf(err))
				}
				continue
			}
			if !json.Valid(body) {
				t.Fatalf("%s of %q, which is not JSON", name, body)
			}
			b, err := json.Marshal(written(v))
			if err != nil {
				t.Fatal(err)
			}
			again, err := parse(&call{json: b})
			if err != nil || !reflect.DeepEqual(again, v) {
				t.Fatalf("%q means one %s, and %q, which was made of it, another (%v)", body, name, b, err)
			}
		}
	})
}

// written is the body that means what was understood.
func written(v any) any {
	switch v := v.(type) {
	case *string:
		return map[string]any{"Policy": v}
	case map[string]string:
		return map[string]any{"Tags": v}
	case []string:
		return map[string]any{"TagKeys": v}
	}
	rules := []map[string]any{}
	for _, r := range v.([]vault.RetrievalRule) {
		rule := map[string]any{"Strategy": r.Strategy, "BytesPerHour": nil}
		if r.BytesPerHour != nil {
			rule["BytesPerHour"] = json.RawMessage(*r.BytesPerHour)
		}
		rules = append(rules, rule)
	}
	return map[string]any{"Policy": map[string]any{"Rules": rules}}
}

// FuzzSegments holds that a path yields clean segments, that each can be written so that it comes back, and that slashes alone make no difference.
func FuzzSegments(f *testing.F) {
	for _, path := range []string{
		"", "/", "*", "/-/vaults", "/-/vaults/v/", "//-//vaults///v", "/-/./vaults/../vaults/v", "/../..", "/-/vaults/%2e%2e", "/-/vaults/a%2fb", "/%2D/vaults/%00", "/%zz/%", "/%25", "/é/\xff", "..",
	} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		list := segments(path)
		if len(list) > strings.Count(path, "/")+1 {
			t.Fatalf("%q: more segments than the path has: %q", path, list)
		}
		var encoded strings.Builder
		for _, s := range list {
			if s == "" {
				t.Fatalf("%q: an empty segment: %q", path, list)
			}
			if !strings.Contains(path, "%") && (s == "." || s == ".." || strings.Contains(s, "/")) {
				t.Fatalf("%q: the segment %q", path, s)
			}
			encoded.WriteByte('/')
			for i := range len(s) {
				fmt.Fprintf(&encoded, "%%%02X", s[i])
			}
		}
		for _, same := range []string{
			encoded.String(), encoded.String() + "/", "/" + strings.ReplaceAll(path, "/", "//") + "/", strings.ReplaceAll(path, "/", "/./"),
		} {
			if got := segments(same); !slices.Equal(got, list) {
				t.Fatalf("%q: %q, but %q: %q", path, list, same, got)
			}
		}
	})
}

// A tape is a connection that keeps what is written to it and has nothing to read.
type tape struct {
	net.Conn
	bytes.Buffer
}

func (c *tape) Read([]byte) (int, error)    { return 0, io.EOF }
func (c *tape) Write(b []byte) (int, error) { return c.Buffer.Write(b) }

// FuzzMalformed holds that what a handler writes passes as it is, and that what net/http writes passes as it is or becomes a whole error of
// the API.
func FuzzMalformed(f *testing.F) {
	for _, b := range []string{
		"", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 400 Bad Request" + plainError + "400 Bad Request", "HTTP/1.1 400 Bad Request: x" + plainError + "400 Bad Request: invalid header value",
		"HTTP/1.1 431 Request Header Fields Too Large" + plainError + "431 Request Header Fields Too Large", "HTTP/1.1 501 Not Implemented" + plainError + "Unsupported transfer encoding",
		"HTTP/1.1 417 Expectation Failed\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b" + plainError + "x", "HTTP/1.1 400 " + plainError, "HTTP/1.1 505 x" + plainError + "\r\n\r\n\x00\xff",
	} {
		f.Add([]byte(b))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		answering, idle := &tape{}, &tape{}
		c := &conn{Conn: answering}
		markAnswering(ConnContext(t.Context(), c))
		if n, err := c.Write(b); n != len(b) || err != nil || !bytes.Equal(answering.Bytes(), b) {
			t.Fatalf("while a handler answers, %q became %q (%d, %v)", b, answering.Bytes(), n, err)
		}
		c.Conn = idle
		ConnState(c, http.StateIdle)
		if n, err := c.Write(b); n != len(b) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		if bytes.Equal(idle.Bytes(), b) {
			return
		}
		res, err := http.ReadResponse(bufio.NewReader(&idle.Buffer), nil)
		if err != nil {
			t.Fatalf("%q became what is no response: %v", b, err)
		}
		body, err := io.ReadAll(res.Body)
		var doc errorDocument
		if err != nil || json.Unmarshal(body, &doc) != nil || doc.Code == "" || doc.Message == "" || doc.Type != "Client" || idle.Len() > 0 {
			t.Fatalf("%q became an error with the body %q, %v, and %q behind it", b, body, err, idle.Bytes())
		}
		if res.StatusCode != 400 || !res.Close || len(res.Header.Get(protocol.HeaderRequestID)) != protocol.RequestIDLength ||
			res.Header.Get("Content-Type") != "application/json" || res.Header.Get("Content-Length") != strconv.Itoa(len(body)) {
			t.Fatalf("%q became status %d, %v", b, res.StatusCode, res.Header)
		}
	})
}
