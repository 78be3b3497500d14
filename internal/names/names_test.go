package names

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

func mt2(json string) string { return "mt2 " + base64.RawURLEncoding.EncodeToString([]byte(json)) }

const (
	sha256Hex = "f50d7ac4c6b9031379986bc362fcefb65f1e52621ce1708d537e740fefc59cc0"
	md5Hex    = "4340ebcf79712dc5e3ef7d50bab98ba5"
)

// The examples of the tools' own documentation, and what their programs write.
var parsed = map[string]Name{
	// Plain.
	"":                           {Form: FormPlain},
	"photos/2012/a.jpg":          {Path: "photos/2012/a.jpg", Form: FormPlain},
	`C:\photos\a.jpg`:            {Path: `C:\photos\a.jpg`, Form: FormPlain},
	"multipart upload test":      {Path: "multipart upload test", Form: FormPlain},
	"20170822-respaldo01.tar.gz": {Path: "20170822-respaldo01.tar.gz", Form: FormPlain},

	// mt-aws-glacier. The second is from its tests.
	mt2(`{"filename":"Y2012/a b.jpg","mtime":"20120821T170824Z"}`):             {Path: "Y2012/a b.jpg", ModTime: at("2012-08-21T17:08:24Z"), Form: FormMT2},
	"mt1 eyJmaWxlbmFtZSI6IsOQwq9Bw5DCryIsIm10aW1lIjoiMTk3MDAxMDFUMDAwMjAzWiJ9": {Path: "ЯAЯ", ModTime: at("1970-01-01T00:02:03Z"), Form: FormMT1},
	mt2(`{"mtime":"19070421T205201Z","filename":"тест"}`):                      {Path: "тест", ModTime: at("1907-04-21T20:52:01Z"), Form: FormMT2},
	mt2(`{"filename":"leap","mtime":"20120630T235960Z"}`):                      {Path: "leap", ModTime: at("2012-07-01T00:00:00Z"), Form: FormMT2},
	mt2(`{"filename":"extended","mtime":"2012-06-30T23:59:59.123Z"}`):          {Path: "extended", ModTime: at("2012-06-30T23:59:59Z"), Form: FormMT2},
	mt2(`{"filename":"no time"}`):                                              {Path: "no time", Form: FormMT2},
	mt2(`{"filename":"bad time","mtime":"yesterday"}`):                         {Path: "bad time", Form: FormMT2},
	mt2(`{"filename":"year 999","mtime":"09991231T235959Z"}`):                  {Path: "year 999", Form: FormMT2},
	// glacier-interface: milliseconds, and base64 of the other alphabet with padding.
	"mt2 " + base64.StdEncoding.EncodeToString([]byte(`{"filename":"a?>b","mtime":"1345568904123"}`)): {Path: "a?>b", ModTime: at("2012-08-21T17:08:24Z"), Form: FormMT2},
	// Damaged.
	"mt2 ":                         {Path: "mt2 ", Form: FormPlain},
	"mt2 !!!":                      {Path: "mt2 !!!", Form: FormPlain},
	"mt2 e30":                      {Path: "mt2 e30", Form: FormPlain},
	mt2(`["a"]`):                   {Path: mt2(`["a"]`), Form: FormPlain},
	mt2("{\"filename\":\"\xff\"}"): {Path: mt2("{\"filename\":\"\xff\"}"), Form: FormPlain},
	"mt3 e30":                      {Path: "mt3 e30", Form: FormPlain},

	// FastGlacier and those that write its form.
	"<m><v>4</v><p>Z2xhY2llci1kZy5wZGY=</p><lm>20120821T170824Z</lm><ce>1:1:" + md5Hex + ":54687</ce></m>": {
		Path: "glacier-dg.pdf", ModTime: at("2012-08-21T17:08:24Z"), Form: FormFastGlacier, Compressed: true, Encrypted: true, Hash: "md5:" + md5Hex, Size: 54687},
	"<m>\n  <v>3</v>\n  <p>Z2xhY2llci1kZy5wZGY=</p>\n  <lm>20120821T170824Z</lm>\n  <ce>1:0:" + md5Hex + "</ce>\n</m>": {
		Path: "glacier-dg.pdf", ModTime: at("2012-08-21T17:08:24Z"), Form: FormFastGlacier, Compressed: true, Hash: "md5:" + md5Hex},
	"<m><v>2</v><p>Z2xhY2llci1kZy5wZGY=</p><lm>20120821T170824Z</lm></m>":                                   {Path: "glacier-dg.pdf", ModTime: at("2012-08-21T17:08:24Z"), Form: FormFastGlacier},
	"<m><v>4</v><p>L3NhbXBsZS8xMjM0LnBkZg==</p><lm>20190501T100059Z</lm></m>":                               {Path: "/sample/1234.pdf", ModTime: at("2019-05-01T10:00:59Z"), Form: FormFastGlacier},
	"<m><v>4</v><p>" + base64.StdEncoding.EncodeToString([]byte(`Bilder\März\a.jpg`)) + "</p><lm></lm></m>": {Path: "Bilder/März/a.jpg", Form: FormFastGlacier},
	"<m><v>4</v><p>" + base64.StdEncoding.EncodeToString([]byte("photos/")) + "</p><lm>20190501T100059Z</lm></m>": {
		Path: "photos/", ModTime: at("2019-05-01T10:00:59Z"), Form: FormFastGlacier, Directory: true},
	"<m><v>4</v><p>Z2xhY2llci1kZy5wZGY=</p>": {Path: "<m><v>4</v><p>Z2xhY2llci1kZy5wZGY=</p>", Form: FormPlain},
	"<m><v>x</v><p>Z2x=</p></m>":             {Path: "<m><v>x</v><p>Z2x=</p></m>", Form: FormPlain},
	"<m><v>4</v><p>_w</p></m>":               {Path: "<m><v>4</v><p>_w</p></m>", Form: FormPlain}, // 0xff is not UTF-8

	// CloudBerry: the first is what a document about it gives, the others have UTF-7.
	`{"Path":"mybucket/myfolder/myfile.txt","UTCDateModified":"20121231T235959Z","Flags":3}`: {
		Path: "mybucket/myfolder/myfile.txt", ModTime: at("2012-12-31T23:59:59Z"), Form: FormCloudBerry, Compressed: true, Encrypted: true},
	`{"Path":"c:+AFw-myfolder+AFw-my+AF8-file.txt","UTCDateModified":"20121231T235959Z","Flags":0}`: {
		Path: "c:/myfolder/my_file.txt", ModTime: at("2012-12-31T23:59:59Z"), Form: FormCloudBerry},
	`{"Path":"c:\\M+AOQ-rz\\1 +- 1 +2D3eAA.txt","Flags":1}`: {Path: "c:/März/1 + 1 😀.txt", Form: FormCloudBerry, Compressed: true},
	`{"Path":"C++/a+b.txt","Flags":2}`:                      {Path: "C++/a+b.txt", Form: FormCloudBerry, Encrypted: true}, // not UTF-7

	// QNAP, and scripts.
	`{"path": "/path/to/file/joujou.ova", "type": "file"}`: {Path: "/path/to/file/joujou.ova", Form: FormJSON},
	`{"path": "/path/to", "type": "dir"}`:                  {Path: "/path/to", Form: FormJSON, Directory: true},
	`{"Path":"a+AFw-b","ExpectedTreeHash":"12"}`:           {Path: "a+AFw-b", Form: FormJSON},
	`{"path": 1}`:   {Path: `{"path": 1}`, Form: FormPlain},
	`{"name": "a"}`: {Path: `{"name": "a"}`, Form: FormPlain},
	`{"path": "a"`:  {Path: `{"path": "a"`, Form: FormPlain},
	`{}`:            {Path: `{}`, Form: FormPlain},

	// git-annex.
	"SHA256E-s31390--" + sha256Hex + ".mp3": {Path: "SHA256E-s31390--" + sha256Hex + ".mp3", Form: FormGitAnnex, Size: 31390, Hash: "sha256:" + sha256Hex},
	"music/SHA256-s1--" + sha256Hex:         {Path: "music/SHA256-s1--" + sha256Hex, Form: FormGitAnnex, Size: 1, Hash: "sha256:" + sha256Hex},
	"SHA256E-s31390-S1048576-C2--" + sha256Hex + ".tar.gz": {
		Path: "SHA256E-s31390-S1048576-C2--" + sha256Hex + ".tar.gz", Form: FormGitAnnex, Size: 31390, Hash: "sha256:" + sha256Hex, Chunk: 2},
	"WORM-s3-m1289672605--a--file":   {Path: "WORM-s3-m1289672605--a--file", Form: FormGitAnnex, Size: 3, ModTime: at("2010-11-13T18:23:25Z")},
	"URL--http&c%%host%file":         {Path: "URL--http&c%%host%file", Form: FormGitAnnex},
	"GPGHMACSHA1--" + sha256Hex[:40]: {Path: "GPGHMACSHA1--" + sha256Hex[:40], Form: FormGitAnnex, Encrypted: true},
	// Files that only look like keys.
	"URL--\xb2":                          {Path: "URL--\xb2", Form: FormPlain},
	"WORM--file":                         {Path: "WORM--file", Form: FormPlain},
	"SHA256--notes.txt":                  {Path: "SHA256--notes.txt", Form: FormPlain},
	"SHA256E-s1--" + sha256Hex[1:] + "x": {Path: "SHA256E-s1--" + sha256Hex[1:] + "x", Form: FormPlain},
	"README--old":                        {Path: "README--old", Form: FormPlain},
}

func TestParse(t *testing.T) {
	for description, want := range parsed {
		if got := Parse(description); got != want {
			t.Errorf("Parse(%q)\n got %+v\nwant %+v", description, got, want)
		}
	}
}

func TestFormatRoundTrip(t *testing.T) {
	for _, path := range []string{"a", "photos/2012/a b.jpg", "März/<тест> & \"quotes\" \\.txt", "line\nbreak\x00nul", "C:/a", "😀\u2028", "mt2 e30"} {
		for _, modTime := range []time.Time{at("2012-08-21T17:08:24Z"), at("1000-01-01T00:00:00Z"), at("9999-12-31T23:59:59Z"), at("2012-08-21T17:08:24+05:00"), {}} {
			d, err := Format(path, modTime)
			if err != nil {
				t.Errorf("Format(%q, %v): %v", path, modTime, err)
				continue
			}
			want := Name{Path: path, Form: FormMT2}
			if !modTime.IsZero() {
				want.ModTime = modTime.UTC()
			}
			if got := Parse(d); got != want || !printable(d) {
				t.Errorf("%q: Parse gives %+v, want %+v", d, got, want)
			}
		}
	}
}

func TestFormatIsThatOfMtAwsGlacier(t *testing.T) {
	got, err := Format("a<b>/тест", at("2012-08-21T17:08:24Z").Add(999*time.Millisecond))
	want := mt2(`{"filename":"a<b>/тест","mtime":"20120821T170824Z"}`)
	if got != want || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestFormatRefuses(t *testing.T) {
	now := at("2012-08-21T17:08:24Z")
	for path, c := range map[string]struct {
		modTime time.Time
		says    string
	}{
		"":                       {now, "without a path"},
		"a\xff":                  {now, `"a\xff" is not UTF-8`},
		"old":                    {at("0999-12-31T23:59:59Z"), `"old" was changed in the year 999`},
		strings.Repeat("x", 725): {now, "shorter by 2 bytes"},
		strings.Repeat("x", 900): {now, "shorter by 177 bytes"},
	} {
		if d, err := Format(path, c.modTime); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("Format(%q) = %q, %v, want an error with %q", path, d, err, c.says)
		}
	}
}

func TestFormatLongest(t *testing.T) {
	longest := 0
	for n := 600; n < 800; n++ {
		d, err := Format(strings.Repeat("x", n), at("2012-08-21T17:08:24Z"))
		if err == nil {
			longest = n
			if len(d) > MaxDescription {
				t.Errorf("%d bytes: a description of %d characters", n, len(d))
			}
		}
	}
	if longest != 723 {
		t.Errorf("the longest path has %d bytes, want 723", longest)
	}
}

func TestPlain(t *testing.T) {
	for path, plain := range map[string]bool{
		"a.jpg": true, "photos/a b.jpg": true, "-": true, "~": true, strings.Repeat("x", 700): true, "mt2": true,
		" a": false, "a ": false, "März": false, "tab\t": false, "mt2 e30": true, mt2(`{"filename":"a"}`): false,
		`{"path":"a"}`: false, "WORM-s1--a": false, "<m><v>4</v><p>YQ==</p></m>": false,
	} {
		d, err := Plain(path)
		if err != nil {
			t.Errorf("Plain(%q): %v", path, err)
			continue
		}
		if (d == path) != plain {
			t.Errorf("Plain(%q) = %q", path, d)
		}
		if got := Parse(d); got.Path != path || !got.ModTime.IsZero() { // with a time, a sync would delete it
			t.Errorf("Plain(%q) is read as %+v", path, got)
		}
	}
	for _, path := range []string{"", strings.Repeat("x", 1025), "\xff"} {
		if d, err := Plain(path); err == nil {
			t.Errorf("Plain(%q) = %q, want an error", path, d)
		}
	}
	if d, err := Plain(strings.Repeat("x", 1024)); err != nil || len(d) != 1024 {
		t.Errorf("a path of 1024 characters: %q, %v", d, err)
	}
}

func FuzzParse(f *testing.F) {
	for d := range parsed {
		f.Add(d)
	}
	f.Fuzz(func(t *testing.T, d string) {
		n := Parse(d)
		if n != Parse(d) {
			t.Error("not the same twice")
		}
		if n.Form == FormPlain {
			if n != (Name{Path: d, Form: FormPlain}) {
				t.Errorf("plain, but %+v", n)
			}
			return
		}
		if n.Path == "" || !utf8.ValidString(n.Path) || n.Size < 0 || n.Chunk < 0 {
			t.Errorf("%+v", n)
		}
		if again, err := Format(n.Path, n.ModTime); err == nil {
			if got := Parse(again); got.Path != n.Path || !got.ModTime.Equal(n.ModTime) {
				t.Errorf("%+v is formatted as %q, which is read as %+v", n, again, got)
			}
		}
	})
}

func FuzzFormat(f *testing.F) {
	f.Add("a/b", int64(0))
	f.Add("<\xff>", int64(-1<<40))
	f.Fuzz(func(t *testing.T, path string, seconds int64) {
		modTime := time.Unix(seconds, 0).UTC()
		plain := func(path string, _ time.Time) (string, error) { return Plain(path) }
		for i, format := range []func(string, time.Time) (string, error){Format, plain} {
			d, err := format(path, modTime)
			if err != nil {
				continue
			}
			n := Parse(d)
			if n.Path != path || !printable(d) || len(d) > MaxDescription {
				t.Errorf("%q is described as %q, which is read as %+v", path, d, n)
			}
			if i == 0 && !n.ModTime.Equal(modTime) {
				t.Errorf("%v has become %v", modTime, n.ModTime)
			}
		}
	})
}
