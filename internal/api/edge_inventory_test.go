package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/moraintest"
)

// lastInventory returns the LastInventoryDate of the vault, "" for null.
func (v jobVault) lastInventory(t *testing.T) string {
	t.Helper()
	date, _ := v.Want(t, 200, moraintest.Request{Method: "GET", Path: v.path()}).JSON(t)["LastInventoryDate"].(string)
	return date
}

// awaitInventory lets a day pass, waits for the inventory that is due then, and returns its date.
func (v jobVault) awaitInventory(t *testing.T) (date string) {
	t.Helper()
	before := v.lastInventory(t)
	v.Advance(24 * time.Hour)
	moraintest.Eventually(t, "an inventory of "+v.name, func() bool {
		date = v.lastInventory(t)
		return date != before
	})
	return date
}

// An inventory is the JSON document of an inventory job.
type inventory struct {
	VaultARN      string
	InventoryDate string
	ArchiveList   []listed
}

// listed is an archive in an inventory.
type listed struct {
	ArchiveID          string `json:"ArchiveId"`
	ArchiveDescription string
	CreationDate       string
	Size               int64
	SHA256TreeHash     string
}

func (i inventory) ids() []string {
	var ids []string
	for _, a := range i.ArchiveList {
		ids = append(ids, a.ArchiveID)
	}
	return ids
}

// inventoryOf returns the document of a job that has ended.
func (v jobVault) inventoryOf(t *testing.T, job string) inventory {
	t.Helper()
	res := v.output(t, job, "")
	var doc inventory
	if err := json.Unmarshal([]byte(res.Body), &doc); res.Status != 200 || err != nil {
		t.Fatalf("output of an inventory job: status %d, %v: %s", res.Status, err, res.Body)
	}
	return doc
}

// inventory runs a job with InventoryRetrievalParameters and returns the ids of its output and its marker, "" for null.
func (v jobVault) inventory(t *testing.T, parameters string, args ...any) (ids []string, marker string) {
	t.Helper()
	job, d := v.run(t, `{"Type":"inventory-retrieval","InventoryRetrievalParameters":%s}`, fmt.Sprintf(parameters, args...))
	marker, _ = d["InventoryRetrievalParameters"].(map[string]any)["Marker"].(string)
	return v.inventoryOf(t, job).ids(), marker
}

func TestNoInventoryYet(t *testing.T) {
	refusal := func(v jobVault) string {
		return "Inventory retrieval jobs for vault " + v.arn() +
			" cannot be initiated yet, as Amazon Glacier has not yet generated an initial inventory for this vault."
	}
	t.Run("edge 169 default, never written to", func(t *testing.T) {
		v := newJobVault(t, moraintest.Start(t), "photos")
		res := v.post(t, `{"Type":"inventory-retrieval"}`)
		wantError(t, res, 404, notFound, refusal(v))
		v.Upload(t, v.name, []byte("x"), "")
		wantInitiated(t, v, v.post(t, `{"Type":"inventory-retrieval"}`)) // always current
	})
	t.Run("edge 169 emulated, before the first inventory", func(t *testing.T) {
		v := newJobVault(t, moraintest.Start(t, moraintest.Emulate), "photos")
		v.Upload(t, v.name, []byte("x"), "")
		v.Advance(23 * time.Hour)
		wantError(t, v.post(t, `{"Type":"inventory-retrieval"}`), 404, notFound, refusal(v))
		wantError(t, v.post(t, `{"Type":"inventory-retrieval","Format":"csv"}`), 400, invalid, "Invalid format") // syntax comes first
		v.awaitInventory(t)
		wantInitiated(t, v, v.post(t, `{"Type":"inventory-retrieval"}`))
	})
}

// TestInventoryDocuments compares whole inventories, byte for byte, with what they must be.
func TestInventoryDocuments(t *testing.T) {
	v := newJobVault(t, moraintest.Start(t), "photos")
	var want []listedArchive
	var advanced time.Duration
	for i, d := range []struct{ name, text, json, csv string }{
		{"none", ``, `""`, `""`},
		{"232 quote and comma", `a"b,c`, `"a\"b,c"`, `"a\"b,c"`},
		{"233 backslash", `C:\x`, `"C:\\x"`, `"C:\x"`},
		{"example", `say "hi", \o/`, `"say \"hi\", \\o/"`, `"say \"hi\", \o/"`},
		{"backslash at the end", `ends with \`, `"ends with \\"`, `"ends with \"`},
		{"quotes only", `"""`, `"\"\"\""`, `"\"\"\""`},
		{"backslash before a quote", `\"`, `"\\\""`, `"\\""`},
		{"JSON", `{"a":[1,2]}`, `"{\"a\":[1,2]}"`, `"{\"a\":[1,2]}"`},
		{"HTML", `<b>&'</b>`, `"<b>&'</b>"`, `"<b>&'</b>"`},
		{"spaces", `two  spaces`, `"two  spaces"`, `"two  spaces"`},
		{"longest", strings.Repeat("~", 1024), `"` + strings.Repeat("~", 1024) + `"`, `"` + strings.Repeat("~", 1024) + `"`},
	} {
		data := moraintest.Pattern(1000 + i)
		from := time.Now().Add(advanced)
		want = append(want, listedArchive{d.name, v.Upload(t, v.name, data, d.text), d.json, d.csv, data, from, time.Now().Add(advanced)})
		v.Advance(90 * time.Second)
		advanced += 90 * time.Second
	}
	data := moraintest.Pattern(6*mib + 1444)
	from := time.Now().Add(advanced)
	want = append(want, listedArchive{"239 in parts", v.uploadParts(t, data, 4*mib, "parts"), `"parts"`, `"parts"`, data, from, time.Now().Add(advanced)})

	jsonJob, described := v.run(t, `{"Type":"inventory-retrieval"}`)
	dates := v.inventoryOf(t, jsonJob)
	wantMoment(t, "InventoryDate", dates.InventoryDate, from, time.Now().Add(advanced)) // that of the last upload
	if len(dates.ArchiveList) != len(want) {
		t.Fatalf("%d archives are listed, want %d", len(dates.ArchiveList), len(want))
	}
	var items, lines []string
	for i, w := range want {
		created := dates.ArchiveList[i].CreationDate
		wantMoment(t, "CreationDate", created, w.from, w.to)
		items = append(items, fmt.Sprintf(`{"ArchiveId":"%s","ArchiveDescription":%s,"CreationDate":"%s","Size":%d,"SHA256TreeHash":"%s"}`,
			w.id, w.json, created, len(w.data), moraintest.TreeHash(w.data)))
		lines = append(lines, fmt.Sprintf("%s,%s,%s,%d,%s\n", w.id, w.csv, created, len(w.data), moraintest.TreeHash(w.data)))
	}
	t.Run("edge 232 233 234 239 JSON", func(t *testing.T) {
		want := `{"VaultARN":"` + v.arn() + `","InventoryDate":"` + dates.InventoryDate + `","ArchiveList":[` + strings.Join(items, ",") + `]}`
		if got := v.output(t, jsonJob, "").Body; got != want || described["InventorySizeInBytes"] != float64(len(want)) {
			t.Errorf("InventorySizeInBytes %v, output\n%s\nwant %d bytes\n%s", described["InventorySizeInBytes"], got, len(want), want)
		}
	})
	t.Run("edge 232 233 234 239 CSV", func(t *testing.T) {
		job, d := v.run(t, `{"Type":"inventory-retrieval","Format":"CSV"}`)
		want := "ArchiveId,ArchiveDescription,CreationDate,Size,SHA256TreeHash\n" + strings.Join(lines, "")
		if got := v.output(t, job, "").Body; got != want || d["InventorySizeInBytes"] != float64(len(want)) {
			t.Errorf("InventorySizeInBytes %v, output\n%s\nwant %d bytes\n%s", d["InventorySizeInBytes"], got, len(want), want)
		}
	})
}

// listedArchive is an archive and how an inventory shows it.
type listedArchive struct {
	name, id, json, csv string
	data                []byte
	from, to            time.Time // between which it was uploaded
}

// inventoryDate is the form of dates in an inventory.
var inventoryDate = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`) // read only

// wantMoment checks a date of an inventory: its form, and that it is the second of a moment between two.
func wantMoment(t *testing.T, what, text string, from, to time.Time) {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil || !inventoryDate.MatchString(text) || at.Before(from.Truncate(time.Second)) || at.After(to) {
		t.Errorf("edge 234: %s is %q, want a second from %s to %s", what, text, from.UTC().Format(time.RFC3339), to.UTC().Format(time.RFC3339))
	}
}

func TestEmptiedVault(t *testing.T) {
	for name, mode := range modes() {
		t.Run("edge 231 "+name, func(t *testing.T) {
			v := newJobVault(t, moraintest.Start(t, mode.options...), "photos")
			v.remove(t, v.Upload(t, v.name, []byte("x"), "gone"))
			if mode.takes > 0 {
				v.awaitInventory(t)
			}
			asJSON, asCSV := v.start(t, `{"Type":"inventory-retrieval"}`), v.start(t, `{"Type":"inventory-retrieval","Format":"CSV"}`)
			v.Advance(mode.takes)
			v.WaitForJob(t, v.name, asJSON)
			v.WaitForJob(t, v.name, asCSV)
			want := `{"VaultARN":"` + v.arn() + `","InventoryDate":"` + v.inventoryOf(t, asJSON).InventoryDate + `","ArchiveList":[]}`
			if got := v.output(t, asJSON, "").Body; got != want {
				t.Errorf("JSON %s\nwant %s", got, want)
			}
			if got := v.output(t, asCSV, "").Body; got != "ArchiveId,ArchiveDescription,CreationDate,Size,SHA256TreeHash\n" {
				t.Errorf("CSV %q", got)
			}
		})
	}
}

func TestInventoryDates(t *testing.T) {
	v := newJobVault(t, moraintest.Start(t), "photos")
	var ids []string
	for range 3 {
		ids = append(ids, v.Upload(t, v.name, []byte("x"), ""))
		v.Advance(time.Hour)
	}
	job, _ := v.run(t, `{"Type":"inventory-retrieval"}`)
	var created []time.Time
	for _, a := range v.inventoryOf(t, job).ArchiveList {
		at, err := time.Parse(time.RFC3339, a.CreationDate)
		if err != nil {
			t.Fatal(err)
		}
		created = append(created, at)
	}
	second, third := created[1], created[2]
	const zulu, naive = "2006-01-02T15:04:05Z", "2006-01-02T15:04:05"
	west, east := time.FixedZone("", -5*3600-1800), time.FixedZone("", 2*3600)
	for _, tt := range []struct {
		name, start, end string
		want             []string
	}{
		{"190 neither", "", "", ids},
		{"191 end is the second", "", second.Format(zulu), ids[:1]},
		{"191 end is a second later", "", second.Add(time.Second).Format(zulu), ids[:2]},
		{"192 start is the second", second.Format(zulu), "", ids[1:]},
		{"192 start is a second later", second.Add(time.Second).Format(zulu), "", ids[2:]},
		{"192 start with a fraction of zero", second.Format("2006-01-02T15:04:05.000Z"), "", ids[1:]},
		{"192 start a fraction later", second.Format("2006-01-02T15:04:05.001Z"), "", ids[2:]}, // what is printed is compared
		{"191 end a fraction later", "", second.Format("2006-01-02T15:04:05.001Z"), ids[:2]},
		{"191 192 both", second.Format(zulu), third.Format(zulu), ids[1:2]},
		{"190 without zone", second.Format(naive), third.Format(naive), ids[1:2]},
		{"190 with UTC", second.Format(naive) + "UTC", third.Format(naive) + "UTC", ids[1:2]},
		{"190 east", second.In(east).Format(naive + "-07:00"), third.In(east).Format(naive + "-07:00"), ids[1:2]},
		{"190 west, no colon", second.In(west).Format(naive + "-0700"), third.In(west).Format(naive + "-0700"), ids[1:2]},
		{"190 empty start", "", third.Format(zulu), ids[:2]},
		{"237 before all", "", "1969-12-31T23:59:59Z", nil},
		{"237 after all", "9999-12-31T23:59:59Z", "", nil},
		{"237 between two", second.Add(time.Second).Format(zulu), third.Format(zulu), nil},
		{"192 all", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", ids},
	} {
		t.Run("edge "+tt.name, func(t *testing.T) {
			if got, marker := v.inventory(t, `{"StartDate":"%s","EndDate":"%s"}`, tt.start, tt.end); !slices.Equal(got, tt.want) || marker != "" {
				t.Errorf("from %q to %q: %q, marker %q\nwant %q", tt.start, tt.end, got, marker, tt.want)
			}
		})
	}
	t.Run("edge 235 dates with limit and marker", func(t *testing.T) {
		start := second.Format(zulu)
		got, marker := v.inventory(t, `{"StartDate":"%s","Limit":1}`, start)
		rest, end := v.inventory(t, `{"StartDate":"%s","Limit":1,"Marker":"%s"}`, start, marker)
		if !slices.Equal(append(got, rest...), ids[1:]) || end != "" {
			t.Errorf("%q and then %q, marker %q", got, rest, end)
		}
		if got, _ := v.inventory(t, `{"EndDate":"%s","Marker":"%s"}`, third.Format(zulu), marker); got != nil {
			t.Errorf("with another filter from the marker's position: %q", got)
		}
		if got, _ := v.inventory(t, `{"StartDate":"2000-01-01T00:00:00","Marker":"%s"}`, marker); !slices.Equal(got, ids[2:]) {
			t.Errorf("with a wider filter from the marker's position: %q", got)
		}
	})
}

func TestInventoryPages(t *testing.T) {
	v := newJobVault(t, moraintest.Start(t), "photos")
	var ids []string
	for range 3 {
		ids = append(ids, v.Upload(t, v.name, []byte("x"), ""))
	}
	got, marker := v.inventory(t, `{"Limit":"2"}`)
	t.Run("edge 235 first page", func(t *testing.T) {
		if !slices.Equal(got, ids[:2]) || marker == "" {
			t.Errorf("%q, marker %q", got, marker)
		}
	})
	t.Run("edge 235 second page", func(t *testing.T) {
		if got, end := v.inventory(t, `{"Limit":"2","Marker":"%s"}`, marker); !slices.Equal(got, ids[2:]) || end != "" {
			t.Errorf("%q, marker %q", got, end)
		}
	})
	t.Run("edge 235 CSV from the same marker", func(t *testing.T) {
		job, _ := v.run(t, `{"Type":"inventory-retrieval","Format":"CSV","InventoryRetrievalParameters":{"Marker":"%s"}}`, marker)
		if lines := strings.Split(v.output(t, job, "").Body, "\n"); len(lines) != 3 || !strings.HasPrefix(lines[1], ids[2]+",") {
			t.Errorf("lines %q", lines)
		}
	})
	t.Run("edge 236 limit is exactly what is left", func(t *testing.T) {
		if got, end := v.inventory(t, `{"Limit":"3"}`); len(got) != 3 || end != "" {
			t.Errorf("%d archives, marker %q", len(got), end)
		}
		if got, end := v.inventory(t, `{"Limit":1,"Marker":"%s"}`, marker); len(got) != 1 || end != "" {
			t.Errorf("%d archives after the marker, marker %q", len(got), end)
		}
	})
	t.Run("edge 236 limit is more than is left", func(t *testing.T) {
		if got, end := v.inventory(t, `{"Limit":"1000000"}`); len(got) != 3 || end != "" {
			t.Errorf("%d archives, marker %q", len(got), end)
		}
	})
	t.Run("edge 238 marker of another vault", func(t *testing.T) {
		attic := newJobVault(t, v.Server, "attic")
		attic.Upload(t, attic.name, []byte("x"), "")
		body := `{"Type":"inventory-retrieval","InventoryRetrievalParameters":{"Marker":"` + marker + `"}}`
		wantError(t, attic.post(t, body), 400, invalid, "Invalid marker: "+marker)
	})
	t.Run("edge 238 marker of another list", func(t *testing.T) {
		_, of := v.listed(t, "limit=1")
		body := fmt.Sprintf(`{"Type":"inventory-retrieval","InventoryRetrievalParameters":{"Marker":"%s"}}`, of)
		wantError(t, v.post(t, body), 400, invalid, fmt.Sprintf("Invalid marker: %s", of))
	})
	t.Run("edge 238 damaged marker", func(t *testing.T) {
		for i := range len(marker) {
			damaged := []byte(marker)
			damaged[i] ^= 1
			body := `{"Type":"inventory-retrieval","InventoryRetrievalParameters":{"Marker":"` + string(damaged) + `"}}`
			if res := v.post(t, body); res.Status != 400 {
				t.Errorf("character %d changed: status %d", i, res.Status)
			}
		}
	})
	t.Run("edge 235 archive of the marker deleted", func(t *testing.T) {
		v.remove(t, ids[1])
		if got, end := v.inventory(t, `{"Limit":"2","Marker":"%s"}`, marker); !slices.Equal(got, ids[2:]) || end != "" {
			t.Errorf("%q, marker %q", got, end)
		}
	})
}

// TestInventoryPagesWhileChanging reads inventories in pages while archives come and go: none is listed twice, none that was there
// throughout is passed over.
func TestInventoryPagesWhileChanging(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprintf("edge 235 seed %d", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			v := newJobVault(t, moraintest.Start(t), "photos")
			there := map[string]bool{}
			add := func() {
				there[v.Upload(t, v.name, []byte("x"), "")] = true
			}
			for range 20 {
				add()
			}
			throughout := map[string]bool{}
			for id := range there {
				throughout[id] = true
			}
			seen := map[string]bool{}
			for marker, pages := "", 0; ; pages++ {
				got, next := v.inventory(t, `{"Limit":%d,"Marker":"%s"}`, 2+random.IntN(5), marker)
				for _, id := range got {
					if seen[id] || !there[id] {
						t.Errorf("page %d lists %s: seen before %t, in the vault %t", pages, id, seen[id], there[id])
					}
					seen[id] = true
				}
				if next == "" {
					break
				}
				if pages == 50 {
					t.Fatal("the pages do not end")
				}
				marker = next
				for range random.IntN(2) {
					add()
				}
				gone := []string{}
				if random.IntN(2) == 0 {
					gone = append(gone, got[len(got)-1]) // the one that the marker names
				}
				for ids := slices.Sorted(maps.Keys(there)); len(gone) < 2; {
					gone = append(gone, ids[random.IntN(len(ids))])
				}
				for _, id := range gone {
					if there[id] {
						v.remove(t, id)
					}
					delete(there, id)
					delete(throughout, id)
				}
			}
			for id := range throughout {
				if !seen[id] {
					t.Errorf("archive %s was there throughout and is not listed", id)
				}
			}
		})
	}
}

// TestInventorySnapshots is for a server that takes inventories at intervals, as the original does.
func TestInventorySnapshots(t *testing.T) {
	s := moraintest.Start(t, moraintest.Emulate)
	quiet, v := newJobVault(t, s, "quiet"), newJobVault(t, s, "photos")
	quiet.Upload(t, quiet.name, []byte("x"), "")
	a, b := v.Upload(t, v.name, []byte("a"), ""), v.Upload(t, v.name, []byte("bb"), "")
	first := v.awaitInventory(t)
	quietDate := quiet.lastInventory(t)
	c := v.Upload(t, v.name, []byte("ccc"), "")
	v.remove(t, a)

	before := v.start(t, `{"Type":"inventory-retrieval"}`)
	page := v.start(t, `{"Type":"inventory-retrieval","InventoryRetrievalParameters":{"Limit":"1"}}`)
	v.Advance(5 * time.Hour)
	v.WaitForJob(t, v.name, before)
	marker := v.WaitForJob(t, v.name, page)["InventoryRetrievalParameters"].(map[string]any)["Marker"].(string)
	t.Run("edge 228 229 changes after the snapshot", func(t *testing.T) {
		v.wantSnapshot(t, before, first, a, b)
		v.wantSnapshot(t, page, first, a)
		wantError(t, v.post(t, `{"Type":"archive-retrieval","ArchiveId":"`+a+`"}`), 404, notFound, "The archive ID was not found: "+a)
	})
	t.Run("edge 239 sizes of the vault and of its archives", func(t *testing.T) {
		if d := v.get(t, "").JSON(t); d["NumberOfArchives"] != 2.0 || d["SizeInBytes"] != float64(1+2+2*32768) {
			t.Errorf("%v", d)
		}
		if list := v.inventoryOf(t, before).ArchiveList; list[0].Size != 1 || list[1].Size != 2 {
			t.Errorf("%+v", list)
		}
	})
	across := v.start(t, `{"Type":"inventory-retrieval"}`)
	second := v.awaitInventory(t)
	v.WaitForJob(t, v.name, across)
	t.Run("edge 240 a new snapshot while the job was in progress", func(t *testing.T) {
		v.wantSnapshot(t, across, first, a, b)
	})
	t.Run("edge 230 no change", func(t *testing.T) {
		if got := quiet.lastInventory(t); got != quietDate {
			t.Errorf("LastInventoryDate was %v and is %v, without a change of the vault", quietDate, got)
		}
	})
	whole := v.start(t, `{"Type":"inventory-retrieval"}`)
	rest := v.start(t, `{"Type":"inventory-retrieval","InventoryRetrievalParameters":{"Limit":"2","Marker":"%s"}}`, marker)
	t.Run("edge 199 no marker while in progress", func(t *testing.T) {
		if p := v.inProgress(t, rest)["InventoryRetrievalParameters"].(map[string]any); p["Marker"] != nil || p["Limit"] != "2" {
			t.Errorf("InventoryRetrievalParameters %v", p)
		}
	})
	v.Advance(5 * time.Hour)
	v.WaitForJob(t, v.name, whole)
	v.WaitForJob(t, v.name, rest)
	t.Run("edge 228 229 the next snapshot", func(t *testing.T) {
		v.wantSnapshot(t, whole, second, b, c)
		v.wantSnapshot(t, rest, second, b, c)
	})
	t.Run("edge 230 a day after a change", func(t *testing.T) {
		quiet.Upload(t, quiet.name, []byte("y"), "")
		if got := quiet.awaitInventory(t); got <= second {
			t.Errorf("LastInventoryDate is %s, want one after %s", got, second)
		}
		if got := v.lastInventory(t); got != second {
			t.Errorf("LastInventoryDate of %s was %s and is %v, without a change", v.name, second, got)
		}
	})
}

// wantSnapshot checks what the output of an inventory job lists, and that it is that of the inventory with a LastInventoryDate.
func (v jobVault) wantSnapshot(t *testing.T, job, date string, ids ...string) {
	t.Helper()
	doc := v.inventoryOf(t, job)
	if !slices.Equal(doc.ids(), ids) {
		t.Errorf("archives %q, want %q", doc.ids(), ids)
	}
	if want := date[:len("2006-01-02T15:04:05")] + "Z"; doc.InventoryDate != want {
		t.Errorf("InventoryDate %s, want %s", doc.InventoryDate, want)
	}
}
