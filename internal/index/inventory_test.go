package index

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// readAll reads an inventory to its end.
func readAll(r io.Reader) (*Inventory, []Archive, error) {
	inventory, err := ReadInventory(r)
	if err != nil {
		return nil, nil, err
	}
	var list []Archive
	for a, err := range inventory.Archives {
		if err != nil {
			return inventory, list, err
		}
		list = append(list, a)
	}
	return inventory, list, nil
}

func TestReadJSON(t *testing.T) {
	one := Archive{ID: "abc", Description: `say "hi", \o/`, Created: time.Date(2024, 2, 27, 11, 0, 1, 0, time.UTC), Size: 6292900, TreeHash: "0a0b"}
	const oneText = `{"ArchiveId":"abc","ArchiveDescription":"say \"hi\", \\o/","CreationDate":"2024-02-27T11:00:01Z","Size":6292900,"SHA256TreeHash":"0a0b"}`
	for text, want := range map[string][]Archive{
		`{"VaultARN":"arn:x","InventoryDate":"2024-02-28T12:00:00Z","ArchiveList":[` + oneText + `]}`:                                                          {one},
		`{"VaultARN":"arn:x","InventoryDate":"2024-02-28T12:00:00Z","ArchiveList":[` + oneText + `,{"ArchiveId":"d"}]}`:                                        {one, {ID: "d"}},
		"\ufeff\n {\"ArchiveList\" : [ ] , \"InventoryDate\": \"2024-02-28T13:00:00.000+01:00\", \"VaultARN\": \"arn:x\"}\n":                                   nil,
		`{"New":{"a":[1,{"ArchiveList":[]}]},"VaultARN":"arn:x","ArchiveList":[{"New":[{}],"ArchiveId":"d","Size":7}],"InventoryDate":"2024-02-28T12:00:00Z"}`: {{ID: "d", Size: 7}},
		`{"VaultARN":"arn:x","InventoryDate":"2024-02-28T12:00:00Z","ArchiveList":null}`:                                                                       nil,
		`{"VaultARN":"arn:x","InventoryDate":"2024-02-28T12:00:00Z"}`:                                                                                          nil,
	} {
		for _, r := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text))} {
			inventory, got, err := readAll(r)
			if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s\n got %+v, %v,\nwant %+v", text, got, err, want)
				continue
			}
			if !inventory.Date.Equal(noon) || inventory.VaultARN != "arn:x" {
				t.Errorf("%s: %+v", text, inventory)
			}
		}
	}
}

const header = "ArchiveId,ArchiveDescription,CreationDate,Size,SHA256TreeHash\n"

func TestReadCSV(t *testing.T) {
	created := time.Date(2024, 2, 27, 11, 0, 1, 0, time.UTC)
	archive := func(description string) []Archive {
		return []Archive{{ID: "abc", Description: description, Created: created, Size: 42, TreeHash: "0a0b"}}
	}
	for text, want := range map[string][]Archive{
		header: nil,
		header + `abc,"say \"hi\", \o/",2024-02-27T11:00:01Z,42,0a0b` + "\n": archive(`say "hi", \o/`),
		header + `abc,"ends in \",2024-02-27T11:00:01Z,42,0a0b` + "\r\n":     archive(`ends in \`),
		header + `abc,"\"",2024-02-27T11:00:01Z,42,0a0b`:                     archive(`"`),
		header + `abc,"\\"",2024-02-27T11:00:01Z,42,0a0b`:                    archive(`\"`),
		header + `abc,"",2024-02-27T11:00:01Z,42,0a0b`:                       archive(``),
		header + `abc,,2024-02-27T11:00:01Z,42,0a0b`:                         archive(``),
		header + `abc,plain,2024-02-27T11:00:01Z,42,0a0b` + "\n\n":           archive(`plain`),
		header + `abc,a \ b,2024-02-27T11:00:01Z,42,0a0b`:                    archive(`a \ b`),
		header + `"abc","a,b","2024-02-27T11:00:01Z","42","0a0b"`:            archive(`a,b`),
		header + `abc,"a ""b"", c",2024-02-27T11:00:01Z,42,0a0b`:             archive(`a "b", c`),
		header + `abc,",1,2,3",2024-02-27T11:00:01Z,42,0a0b`:                 archive(`,1,2,3`),
		"Size,New,ArchiveDescription,ArchiveId\n" + `42,x,"a,b",abc`:         {{ID: "abc", Description: "a,b", Size: 42}},
		"ArchiveId\r\nabc\r\ndef":                                            {{ID: "abc"}, {ID: "def"}},
		"ArchiveId,Size\nabc,42\n":                                           {{ID: "abc", Size: 42}},
		header + "abc," + strings.Repeat("long", 50_000) + ",,,":             {{ID: "abc", Description: strings.Repeat("long", 50_000)}},
	} {
		inventory, got, err := readAll(iotest.HalfReader(strings.NewReader(text)))
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) || !inventory.Date.IsZero() {
			t.Errorf("%.200s\n got %.200v, %v,\nwant %.200v", text, got, err, want)
		}
	}
}

func TestReadInventoryRefuses(t *testing.T) {
	const start = `{"InventoryDate":"2024-02-28T12:00:00Z","ArchiveList":[{"ArchiveId":"abc"}`
	for text, says := range map[string]string{
		"":                                       "empty",
		" \n":                                    "empty",
		"<html>":                                 "no inventory",
		`[1]`:                                    "no inventory",
		`{"code":"ResourceNotFoundException"`:    "unexpected EOF",
		`{"InventoryDate":"yesterday"}`:          `"yesterday"`,
		`{"ArchiveList":{}}`:                     "not a list",
		`{"ArchiveList":"x"}`:                    "not a list",
		start:                                    "unexpected EOF",
		start + `,`:                              "unexpected EOF",
		start + `]`:                              "unexpected EOF",
		start + `],"VaultARN":`:                  "unexpected EOF",
		start + `,{"ArchiveId":""}]}`:            "archive 2 has no id",
		start + `,{"ArchiveId":"d","Size":-1}]}`: "-1",
		start + `,{"ArchiveId":"d","Size":"big"}]}`:          "Size",
		start + `,{"ArchiveId":"d","CreationDate":"then"}]}`: `archive 2: CreationDate "then"`,
		header + "abc,x,2024-02-27T11:00:01Z,42\n":           "", // the hash is missing: then 42 is no date
		header + "abc\n": "line 2 has fewer fields",
		header + "abc,x,2024-02-27T11:00:01Z,big,0a\n": `line 2: the size "big"`,
		header + ",x,2024-02-27T11:00:01Z,1,0a\n":      "archive 1 has no id",
		header + "abc,x,then,1,0a\n":                   `"then"`,
	} {
		if _, list, err := readAll(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, %v, want an error with %q", text, list, err, says)
		}
	}
	broken := errors.New("the line is broken")
	for _, text := range []string{"", start, header, header + "abc,"} {
		if _, _, err := readAll(io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken))); !errors.Is(err, broken) {
			t.Errorf("%q and then an error: %v", text, err)
		}
	}
}

// What a server writes comes back, as JSON and as CSV, into the index too.
func TestInventoryRoundTrip(t *testing.T) {
	descriptions := []string{"", "a", `"`, `\`, `\"`, `a\`, `,`, `",`, `\",`, `"",""`, ` `, `{"path":"a,b"}`, `,,,,,`, `"a"`, `x"`, `"x`}
	var list []Archive
	var text, lines bytes.Buffer
	text.WriteString(`{"VaultARN":"arn:x","InventoryDate":"2024-02-28T12:00:00Z","ArchiveList":[`)
	lines.WriteString(header)
	for i, d := range descriptions {
		a := archive(fmt.Sprintf("%03d", i), d, noon)
		list = append(list, a)
		if i > 0 {
			text.WriteByte(',')
		}
		quoted, _ := json.Marshal(d)
		fmt.Fprintf(&text, `{"ArchiveId":"%s","ArchiveDescription":%s,"CreationDate":"%s","Size":%d,"SHA256TreeHash":"%s"}`, a.ID, quoted, noon.Format(time.RFC3339), a.Size, a.TreeHash)
		fmt.Fprintf(&lines, "%s,\"%s\",%s,%d,%s\n", a.ID, strings.ReplaceAll(d, `"`, `\"`), noon.Format(time.RFC3339), a.Size, a.TreeHash)
	}
	text.WriteString(`]}`)
	for what, r := range map[string]io.Reader{"JSON": &text, "CSV": &lines} {
		inventory, err := ReadInventory(r)
		must(t, err)
		inventory.Date = noon
		ix := openNew(t)
		must(t, ix.Replace(t.Context(), inventory))
		for _, want := range list {
			if got, err := ix.ByID(t.Context(), want.ID); err != nil || got != want.withName() {
				t.Errorf("%s: got %+v, %v, want %+v", what, got, err, want)
			}
		}
	}
}

func FuzzReadInventory(f *testing.F) {
	f.Add([]byte(`{"VaultARN":"arn:x","InventoryDate":"2024-02-28T12:00:00Z","ArchiveList":[{"ArchiveId":"a","Size":1}]}`))
	f.Add([]byte(header + `abc,"say \"hi\", \o/",2024-02-27T11:00:01Z,42,0a0b` + "\n"))
	f.Add([]byte("{"))
	f.Fuzz(func(t *testing.T, text []byte) {
		_, list, err := readAll(bytes.NewReader(text))
		for _, a := range list {
			if a.ID == "" || a.Size < 0 {
				t.Errorf("%+v", a)
			}
		}
		// Another reader of CSV understands what has no backslashes and stray quotes, and says the same.
		if err != nil || len(text) == 0 || text[0] == '{' || bytes.ContainsAny(text, "\\\"\r") || !bytes.HasPrefix(text, []byte(header)) {
			return
		}
		rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
		if err == nil && len(rows)-1 != len(list) {
			t.Errorf("%d archives, want %d", len(list), len(rows)-1)
		}
	})
}
