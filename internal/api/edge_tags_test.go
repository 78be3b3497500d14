package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/moraine-archive/moraine/internal/moraintest"
)

// tag sends a body that adds or removes tags.
func (v jobVault) tag(t *testing.T, operation, body string) moraintest.Response {
	t.Helper()
	return v.Do(t, moraintest.Request{Method: "POST", Path: v.path() + "/tags?operation=" + operation, Body: []byte(body)})
}

// wantTags fails the test unless the vault has these tags, in byte order.
func (v jobVault) wantTags(t *testing.T, want string) {
	t.Helper()
	res := v.get(t, "/tags")
	if res.Status != 200 || res.Header.Get("Content-Type") != "application/json" || res.Body != `{"Tags":`+want+`}` {
		t.Errorf("status %d, %s; want the tags %s", res.Status, res.Body, want)
	}
}

// numberedTags is a body with tags of the numbers from one to another, and further members of Tags.
func numberedTags(from, to int, more ...string) string {
	for i := from; i <= to; i++ {
		more = append(more, fmt.Sprintf(`"k%02d":"v"`, i))
	}
	return `{"Tags":{` + strings.Join(more, ",") + `}}`
}

// keysOf is a body with so many keys.
func keysOf(n int) string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf(`"k%02d"`, i+1)
	}
	return `{"TagKeys":[` + strings.Join(keys, ",") + `]}`
}

func TestTagsOperation(t *testing.T) {
	v := newJobVault(t, moraintest.Start(t), "v")
	for _, path := range []string{v.path(), "/-/vaults/absent"} { // it is not known which operation is meant
		for _, query := range []string{"", "?", "?foo=add", "?Operation=add", "?operations=add"} {
			t.Run("edge 12 no operation "+path+query, func(t *testing.T) {
				res := v.Do(t, moraintest.Request{Method: "POST", Path: path + "/tags" + query, Body: []byte(`{"Tags":{"k":"v"}}`)})
				wantRefused(t, res, 400, missing, "Required parameter missing: operation")
			})
		}
		for _, value := range []string{"replace", "", "Add", "ADD", "add ", "addremove", "list"} {
			t.Run("edge 13 other operation "+path+" "+value, func(t *testing.T) {
				r := moraintest.Request{Method: "POST", Path: path + "/tags?operation=" + strings.ReplaceAll(value, " ", "%20"), Body: []byte(`{"Tags":{"k":"v"}}`)}
				wantRefused(t, v.Do(t, r), 400, invalid, fmt.Sprintf("Invalid operation: %q is neither add nor remove", value))
			})
		}
	}
	t.Run("edge 13 a query that cannot be read", func(t *testing.T) {
		r := rawRequest{method: "POST", target: v.path() + "/tags?operation=%zz", query: "operation=%25zz", body: `{"Tags":{"k":"v"}}`}
		wantError(t, sendRaw(t, v.Server, r), 400, invalid, "Invalid query: ")
	})
	t.Run("only the first counts", func(t *testing.T) {
		wantNoContent(t, v.tag(t, "add&operation=remove", `{"Tags":{"k":"v"}}`))
		v.wantTags(t, `{"k":"v"}`)
		wantNoContent(t, v.tag(t, "remove&x=y", `{"TagKeys":["k"]}`))
	})
	t.Run("GET ignores it", func(t *testing.T) {
		for _, query := range []string{"?operation=add", "?operation=x"} {
			wantStatus(t, v.get(t, "/tags"+query), 200)
		}
	})
	v.wantTags(t, `{}`)
}

func TestTags(t *testing.T) {
	v := newJobVault(t, moraintest.Start(t), "v")
	t.Run("edge 293 none", func(t *testing.T) { v.wantTags(t, `{}`) })
	t.Run("edge 300 remove what is not there", func(t *testing.T) { wantNoContent(t, v.tag(t, "remove", `{"TagKeys":["k","aws:x"]}`)) })
	before := v.get(t, "").Body
	t.Run("edge 298 empty value", func(t *testing.T) {
		wantNoContent(t, v.tag(t, "add", `{"Tags":{"k":""}}`))
		v.wantTags(t, `{"k":""}`)
	})
	t.Run("edge 299 case", func(t *testing.T) {
		wantNoContent(t, v.tag(t, "add", `{"Tags":{"name":"a","Name":"b"}}`))
		v.wantTags(t, `{"Name":"b","k":"","name":"a"}`)
		wantNoContent(t, v.tag(t, "remove", `{"TagKeys":["NAME","name"]}`))
		v.wantTags(t, `{"Name":"b","k":""}`)
	})
	t.Run("values are replaced, duplicates are one", func(t *testing.T) {
		wantNoContent(t, v.tag(t, "add", `{"Tags":{"Name":"x","k":"1","k":"2"}}`)) // the last of equal members
		v.wantTags(t, `{"Name":"x","k":"2"}`)
		wantNoContent(t, v.tag(t, "remove", `{"TagKeys":["Name","Name","Name"]}`))
		v.wantTags(t, `{"k":"2"}`)
	})
	t.Run("alphabet and lengths", func(t *testing.T) {
		for _, key := range []string{
			"k", " ", "_./=+-@", "Straße", "ключ", "鍵", "٣", "a b", strings.Repeat("k", 128), strings.Repeat("é", 128), "awsx", "aws", "law", "𝒜",
		} {
			for _, value := range []string{"", key, strings.Repeat("v", 255), strings.Repeat("鍵", 255)} {
				body, err := json.Marshal(map[string]any{"Tags": map[string]string{key: value}})
				must(t, err)
				wantNoContent(t, v.tag(t, "add", string(body)))
				if got := v.get(t, "/tags").JSON(t)["Tags"].(map[string]any)[key]; got != value {
					t.Errorf("the tag %q has the value %q, want %q", key, got, value)
				}
			}
			body, err := json.Marshal(map[string]any{"TagKeys": []string{key}})
			must(t, err)
			wantNoContent(t, v.tag(t, "remove", string(body)))
		}
		v.wantTags(t, `{}`)
	})
	t.Run("not visible elsewhere, and no write", func(t *testing.T) {
		if after := v.get(t, "").Body; after != before {
			t.Errorf("the vault was %s and is %s", before, after)
		}
	})
	t.Run("survives a restart", func(t *testing.T) {
		wantNoContent(t, v.tag(t, "add", `{"Tags":{"k":"2"}}`))
		v.Restart(t)
		v.wantTags(t, `{"k":"2"}`)
	})
	t.Run("no write for DeleteVault", func(t *testing.T) {
		s := moraintest.Start(t, moraintest.Emulate)
		w := newJobVault(t, s, "w")
		wantNoContent(t, w.tag(t, "add", `{"Tags":{"k":"v"}}`))
		wantNoContent(t, s.Do(t, moraintest.Request{Method: "DELETE", Path: w.path()}))
		s.CreateVault(t, "w")
		w.wantTags(t, `{}`)
	})
}

func TestTagLimits(t *testing.T) {
	v := newJobVault(t, moraintest.Start(t), "v")
	for from := 1; from < 48; from += 8 {
		wantNoContent(t, v.tag(t, "add", numberedTags(from, from+7)))
	}
	before := v.get(t, "/tags").Body
	full := "The vault v would have %d tags, the limit is 50: none was added"
	t.Run("edge 294 48 and 3 more", func(t *testing.T) {
		wantRefused(t, v.tag(t, "add", numberedTags(49, 51)), 400, limitExceeded, fmt.Sprintf(full, 51))
		wantRefused(t, v.tag(t, "add", numberedTags(49, 51, `"k01":"changed"`)), 400, limitExceeded, fmt.Sprintf(full, 51))
		if after := v.get(t, "/tags").Body; after != before {
			t.Errorf("the tags were %s and are %s", before, after)
		}
	})
	t.Run("edge 295 50 and another value", func(t *testing.T) {
		wantNoContent(t, v.tag(t, "add", numberedTags(49, 50)))
		wantNoContent(t, v.tag(t, "add", numberedTags(41, 50, `"k41":"x"`)))
		wantNoContent(t, v.tag(t, "add", `{"Tags":{"k01":"changed"}}`))
		wantRefused(t, v.tag(t, "add", `{"Tags":{"K01":"new"}}`), 400, limitExceeded, fmt.Sprintf(full, 51))
		tags := v.get(t, "/tags").JSON(t)["Tags"].(map[string]any)
		if len(tags) != 50 || tags["k01"] != "changed" {
			t.Errorf("%d tags, k01 is %q", len(tags), tags["k01"])
		}
	})
	t.Run("edge 301 10 keys", func(t *testing.T) {
		wantNoContent(t, v.tag(t, "remove", keysOf(10)))
		if tags := v.get(t, "/tags").JSON(t)["Tags"].(map[string]any); len(tags) != 40 {
			t.Errorf("%d tags", len(tags))
		}
		wantNoContent(t, v.tag(t, "add", numberedTags(1, 10)))
	})
}

func TestTagBodies(t *testing.T) {
	v := newJobVault(t, moraintest.Start(t), "v")
	wantNoContent(t, v.tag(t, "add", numberedTags(1, 3)))
	state := func() string { return v.get(t, "/tags").Body }
	add := rawRequest{method: "POST", target: v.path() + "/tags?operation=add"}
	remove := rawRequest{method: "POST", target: v.path() + "/tags?operation=remove"}
	const notTexts, notKeys = "Tags must be an object of strings...", "TagKeys must be a list of strings..."
	t.Run("add", func(t *testing.T) {
		rows := []badBody{
			{"no body", ``, missing, "Required parameter missing: Tags"}, {"no member", `{}`, missing, "Required parameter missing: Tags"}, {"null", `{"Tags":null}`, missing, "Required parameter missing: Tags"},
			{"small letters", `{"tags":{"k":"v"}}`, missing, "Required parameter missing: Tags"}, {"list", `{"Tags":["k"]}`, malformed, notTexts}, {"text", `{"Tags":"k"}`, malformed, notTexts},
			{"value null", `{"Tags":{"k":null}}`, malformed, notTexts}, {"value number", `{"Tags":{"k":1}}`, malformed, notTexts}, {"value object", `{"Tags":{"k":{}}}`, malformed, notTexts},
			{"a good and a bad value", `{"Tags":{"new":"v","other":true}}`, malformed, notTexts}, {"the last of two counts", `{"Tags":{"new":"v"},"Tags":{}}`, invalid, "Invalid Tags: there are 0, a request has 1 to 10"},
			{"edge 296 0 tags", `{"Tags":{}}`, invalid, "Invalid Tags: there are 0, a request has 1 to 10"}, {"edge 296 11 tags", numberedTags(1, 11), invalid, "Invalid Tags: there are 11, a request has 1 to 10"},
			{"edge 297 129 characters", `{"Tags":{"` + strings.Repeat("é", 129) + `":"v"}}`, invalid, "Invalid tag key: ..."}, {"no character", `{"Tags":{"":"v"}}`, invalid, `Invalid tag key: "" has 0 characters...`},
			{"edge 297 value of 256", `{"Tags":{"k":"` + strings.Repeat("é", 256) + `"}}`, invalid, `Invalid tag value of "k": it has 256 characters, the limit is 255`},
			{"lone surrogate", `{"Tags":{"k":"\ud800"}}`, invalid, `Invalid tag value of "k": ...`}, {"key of a lone surrogate", `{"Tags":{"\udfff":"v"}}`, invalid, "Invalid tag key: ..."},
			{"good and bad", `{"Tags":{"good":"v","b:d":"v"}}`, invalid, `Invalid tag key: "b:d"...`},
		}
		for _, key := range []string{"aws:x", "AWS:x", "aWs:", "aws:a b"} {
			rows = append(rows, badBody{"edge 297 " + key, `{"Tags":{"` + key + `":"v"}}`, invalid, `Invalid tag key: "` + key + `" begins with aws:, which is reserved`})
		}
		for _, c := range []string{":", "*", "?", `\"`, `\\`, "<", "&", "#", "%", ",", ";", "(", "$", "^", "~", "!", "\u00ad", `\u0000`, `\n`, `\t`, "\u200b", "\u0301", "😀", "€"} {
			rows = append(rows, badBody{"key with " + c, `{"Tags":{"a` + c + `b":"v"}}`, invalid, "Invalid tag key: ..."}, badBody{"value with " + c, `{"Tags":{"k01":"a` + c + `b"}}`, invalid, `Invalid tag value of "k01": ...`})
		}
		wantBodiesRefused(t, v.Server, add, state, rows...)
	})
	t.Run("remove", func(t *testing.T) {
		wantBodiesRefused(t, v.Server, remove, state,
			badBody{"no body", ``, missing, "Required parameter missing: TagKeys"}, badBody{"no member", `{}`, missing, "Required parameter missing: TagKeys"},
			badBody{"null", `{"TagKeys":null}`, missing, "Required parameter missing: TagKeys"}, badBody{"that of add", `{"Tags":{"k01":"v"}}`, missing, "Required parameter missing: TagKeys"},
			badBody{"object", `{"TagKeys":{"k01":"v"}}`, malformed, notKeys}, badBody{"text", `{"TagKeys":"k01"}`, malformed, notKeys}, badBody{"null among them", `{"TagKeys":["k01",null]}`, malformed, notKeys},
			badBody{"number among them", `{"TagKeys":["k01",1]}`, malformed, notKeys}, badBody{"0 keys", `{"TagKeys":[]}`, invalid, "Invalid TagKeys: there are 0, a request has 1 to 10"},
			badBody{"edge 301 11 keys", keysOf(11), invalid, "Invalid TagKeys: there are 11, a request has 1 to 10"}, badBody{"empty key", `{"TagKeys":["k01",""]}`, invalid, "Invalid tag key: ..."},
			badBody{"129 characters", `{"TagKeys":["k01","` + strings.Repeat("k", 129) + `"]}`, invalid, "Invalid tag key: ..."},
		)
	})
	t.Run("in chunks", func(t *testing.T) {
		add.body, remove.body = `{"Tags":{"chunk":"v"}}`, `{"TagKeys":["k01","k02","k03"]}`
		wantNoContent(t, chunked(t, v.Server, add))
		wantNoContent(t, chunked(t, v.Server, remove))
		v.wantTags(t, `{"chunk":"v"}`)
	})
	t.Run("vault that does not exist", func(t *testing.T) {
		absent := jobVault{v.Server, "absent"}
		message := "Vault not found for ARN: " + absent.arn()
		wantRefused(t, absent.get(t, "/tags"), 404, notFound, message)
		wantRefused(t, absent.tag(t, "add", `{"Tags":{"k":"v"}}`), 404, notFound, message)
		wantRefused(t, absent.tag(t, "remove", `{"TagKeys":["k"]}`), 404, notFound, message)
		wantRefused(t, absent.tag(t, "add", `{"Tags":{}}`), 400, invalid, "Invalid Tags...") // syntax comes first
	})
}
