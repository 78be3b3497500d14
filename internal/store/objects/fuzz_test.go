package objects

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
)

// FuzzParseURL checks that no text panics, that what is taken can be used, and that no error has what could be a secret.
func FuzzParseURL(f *testing.F) {
	for _, text := range []string{
		"s3://bucket", "s3://bucket/a/b/?endpoint=https://s3.example.com&region=x&path-style=true", "s3://bucket?class=DEEP_ARCHIVE&restore-days=7&needs-restore=false",
		"s3://bucket?restore-tiers=Expedited:Standard,Bulk:Slow", "s3://key:hunter2@bucket", "s3://bucket?class=%zz", "s3:bucket", "s3://b#x", "",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o, err := ParseURL(text)
		if err != nil {
			if strings.Contains(err.Error(), "hunter2") && strings.Contains(text, ":hunter2@") {
				t.Errorf("%q: the error %v has the secret", text, err)
			}
			return
		}
		if err := o.check(); err != nil {
			t.Errorf("%q is taken, and cannot be used: %v", text, err)
		}
		if strings.HasPrefix(o.Prefix, "/") || strings.HasSuffix(o.Prefix, "/") {
			t.Errorf("%q has the prefix %q", text, o.Prefix)
		}
	})
}

// FuzzParseName checks that a name is only what newName could have made, and that it sorts and lives as it says.
func FuzzParseName(f *testing.F) {
	for _, text := range []string{exampleName, "0000018df458bddb-0000-5a015a025a035a045a055a06", "0000018df458bddb-00-1-5a015a025a035a045a055a06", "0000018DF458BDDB-0001-5a015a025a035a045a055a06", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, ok := parseName(text)
		if !ok {
			return
		}
		if string(n) != text || n.records() < 1 || n.records() > 9999 {
			t.Errorf("%q is the name %q of %d records", text, n, n.records())
		}
		again := newName(n.time(), n.records())
		if again[:nameLength-randomDigits] != n[:nameLength-randomDigits] {
			t.Errorf("%q is of the time %s, which gives %q", text, n.time(), again)
		}
	})
}

// FuzzParsePlace checks that a place is taken in one form only.
func FuzzParsePlace(f *testing.F) {
	for _, text := range []string{exampleName + ":0", exampleName + ":01", exampleName + ":2", exampleName + ":uploads", exampleName, "18/17b84daee3f7bc79a1b2c3d4e5f60718:64", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, record, err := parsePlace(store.Place(text))
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		again := n.uploads()
		if record != noRecord {
			again = n.place(record)
		}
		if string(again) != text || record >= n.records() {
			t.Errorf("%q is record %d of %q, of which the place is %q", text, record, n, again)
		}
	})
}

// FuzzParseIndexes checks that the name of a mark says exactly the records that it was made of, and nothing when it was made by nobody.
func FuzzParseIndexes(f *testing.F) {
	f.Add("3,5-9", 10)
	f.Add("0", 1)
	f.Add("0-999", 1000)
	f.Add("5-5,3", 10)
	f.Add("1,,2", 10)
	f.Fuzz(func(t *testing.T, text string, count int) {
		count = min(max(count, 1), maxRecords)
		records, ok := parseIndexes(text, count)
		if !ok {
			return
		}
		if !slices.IsSorted(records) || len(slices.Compact(slices.Clone(records))) != len(records) || records[0] < 0 || records[len(records)-1] >= count {
			t.Errorf("%q of %d records is %v", text, count, records)
		}
		var again []int
		for _, text := range formatIndexes(records) {
			some, ok := parseIndexes(text, count)
			if !ok || len(text) > maxIndexes {
				t.Errorf("%v becomes %q, which cannot be read", records, text)
			}
			again = append(again, some...)
		}
		if !slices.Equal(again, records) {
			t.Errorf("%v becomes %v", records, again)
		}
	})
}

// FuzzMeta lets what describes an object be anything. The digest is put right, for without that nothing would get past it.
func FuzzMeta(f *testing.F) {
	one, three := exampleMeta()
	for _, m := range [][]byte{one, three, one[:metaHeader+metaDigest], nil} {
		f.Add(m)
		for at := 8; at < len(m); at += 7 {
			f.Add(flip(m, at))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n := name(exampleName)
		if _, err := decodeMeta(n, b); err == nil && !bytes.Equal(b, one) {
			t.Errorf("%d bytes with a digest that nobody has made are taken", len(b))
		}
		if len(b) < metaHeader+metaDigest {
			return
		}
		body := b[:len(b)-metaDigest]
		n = name(exampleName[:timeDigits+1] + "0003" + exampleName[timeDigits+1+countDigits:])
		if body[12] == 1 {
			n = name(exampleName)
		}
		sum := metaSum(n, body)
		b = append(bytes.Clone(body), sum[:]...)
		m, err := decodeMeta(n, b)
		if err != nil {
			return
		}
		if !bytes.Equal(m.encode(n), b) {
			t.Errorf("what is read of %d bytes is written as others", len(b))
		}
		end := int64(0)
		for i, x := range m.records {
			if m.offsets[i] != end || x.Place != n.place(i) {
				t.Errorf("record %d is at %d, %s", i, m.offsets[i], x.Place)
			}
			end += x.Size
		}
		if end != m.size || m.length != int64(len(b)) {
			t.Errorf("%d bytes of records in an object of %d; the meta has %d of %d", end, m.size, m.length, len(b))
		}
	})
}

// FuzzRestoration checks that no header of a server panics, and that nothing is ready of which the server does not say so.
func FuzzRestoration(f *testing.F) {
	f.Add(`ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT"`)
	f.Add(`ongoing-request="true"`)
	f.Add(`expiry-date="`)
	f.Fuzz(func(t *testing.T, header string) {
		r := restorationOf(header)
		if r.ready && (!r.asked || !strings.Contains(header, "false")) || r.asked != (header != "") {
			t.Errorf("%q is %+v", header, r)
		}
	})
}

// TestFormatIndexes checks that marks are short enough for a server that keeps objects as files, whatever was removed.
func TestFormatIndexes(t *testing.T) {
	var odd []int
	for i := 1; i < maxRecords; i += 2 {
		odd = append(odd, i)
	}
	for want, records := range map[string][]int{"0": {0}, "3,5-9": {9, 8, 7, 6, 5, 3, 3}, "0-1": {0, 1}, "": nil} {
		if got := strings.Join(formatIndexes(records), " "); got != want {
			t.Errorf("%v is %q, want %q", records, got, want)
		}
	}
	set := make(map[int]bool)
	for _, text := range formatIndexes(odd) {
		if len(text) > maxIndexes {
			t.Errorf("a mark has %d bytes", len(text))
		}
		some, _ := parseIndexes(text, maxRecords)
		for _, i := range some {
			set[i] = true
		}
	}
	if !slices.Equal(slices.Sorted(maps.Keys(set)), odd) {
		t.Errorf("%d records are marked, want %d", len(set), len(odd))
	}
}

func TestNames(t *testing.T) {
	early, late := newName(start, 1000), newName(start.Add(time.Millisecond), 1)
	if early >= late || early.records() != 1000 || !early.time().Equal(start.Truncate(time.Millisecond)) {
		t.Errorf("%s and %s: of %d records, of %s", early, late, early.records(), early.time())
	}
}
