package api_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

// jobVault is a vault of a server, as the tests of jobs and inventories use it.
type jobVault struct {
	*moraintest.Server
	name string
}

// newJobVault makes a vault.
func newJobVault(t *testing.T, s *moraintest.Server, name string) jobVault {
	t.Helper()
	s.CreateVault(t, name)
	return jobVault{s, name}
}

func (v jobVault) path() string { return "/-/vaults/" + v.name }
func (v jobVault) arn() string  { return "arn:aws:glacier:us-east-1:123456789012:vaults/" + v.name }

// get asks for what is at a path below the vault.
func (v jobVault) get(t *testing.T, below string) moraintest.Response {
	t.Helper()
	return v.Do(t, moraintest.Request{Method: "GET", Path: v.path() + below})
}

// post sends the body of an InitiateJob request.
func (v jobVault) post(t *testing.T, body string) moraintest.Response {
	t.Helper()
	return v.Do(t, moraintest.Request{Method: "POST", Path: v.path() + "/jobs", Body: []byte(body)})
}

// start starts a job and returns its id.
func (v jobVault) start(t *testing.T, parameters string, args ...any) string {
	t.Helper()
	return v.InitiateJob(t, v.name, fmt.Sprintf(parameters, args...))
}

// run starts a job and waits for its end.
func (v jobVault) run(t *testing.T, parameters string, args ...any) (id string, description map[string]any) {
	t.Helper()
	id = v.start(t, parameters, args...)
	return id, v.WaitForJob(t, v.name, id)
}

// output downloads the output of a job; an empty range is left out.
func (v jobVault) output(t *testing.T, job, byteRange string) moraintest.Response {
	t.Helper()
	return v.Do(t, moraintest.Request{Method: "GET", Path: v.path() + "/jobs/" + job + "/output", Header: map[string]string{"Range": byteRange}})
}

// remove deletes an archive.
func (v jobVault) remove(t *testing.T, archive string) {
	t.Helper()
	v.Want(t, 204, moraintest.Request{Method: "DELETE", Path: v.path() + "/archives/" + archive})
}

// listed returns the ids of ListJobs and the marker, nil for null.
func (v jobVault) listed(t *testing.T, query string) (ids []string, marker any) {
	t.Helper()
	doc := v.Want(t, 200, moraintest.Request{Method: "GET", Path: v.path() + "/jobs?" + query}).JSON(t)
	for _, job := range doc["JobList"].([]any) {
		ids = append(ids, job.(map[string]any)["JobId"].(string))
	}
	return ids, doc["Marker"]
}

// inProgress fails the test unless a job is in progress.
func (v jobVault) inProgress(t *testing.T, job string) map[string]any {
	t.Helper()
	d := v.get(t, "/jobs/"+job).JSON(t)
	if d["StatusCode"] != "InProgress" || d["Completed"] != false || d["CompletionDate"] != nil || d["StatusMessage"] != nil {
		t.Fatalf("job %s is not in progress: %v", job, d)
	}
	return d
}

// jobFixture is a vault with the archives that the rows on InitiateJob speak of.
type jobFixture struct {
	jobVault
	names *strings.Replacer // puts ids in the place of {seven}, {five}, {byte}, {deleted}, {elsewhere}, {unknown}
}

func newJobFixture(t *testing.T) jobFixture {
	t.Helper()
	v := newJobVault(t, moraintest.Start(t), "photos")
	v.CreateVault(t, "attic")
	deleted := v.Upload(t, v.name, []byte("x"), "")
	v.remove(t, deleted)
	return jobFixture{v, strings.NewReplacer(
		"{seven}", v.Upload(t, v.name, moraintest.Pattern(7<<20), ""),
		"{five}", v.Upload(t, v.name, moraintest.Pattern(11<<19), ""),
		"{byte}", v.Upload(t, v.name, moraintest.Pattern(1), ""),
		"{deleted}", deleted,
		"{elsewhere}", v.Upload(t, "attic", []byte("y"), ""),
		"{unknown}", strings.Repeat("0", 138),
	)}
}

func TestInitiateJobRefused(t *testing.T) {
	f := newJobFixture(t)
	const (
		archive   = `{"Type":"archive-retrieval","ArchiveId":"{seven}",`
		inventory = `{"Type":"inventory-retrieval",`
		limited   = inventory + `"InventoryRetrievalParameters":{`
	)
	for _, tt := range []struct {
		name, body string
		status     int
		code       string
		message    string
	}{
		{"159 no body", ``, 400, missing, "Required parameter missing: Job Parameters"},
		{"160 no type", `{}`, 400, missing, "Required parameter missing: type"},
		{"160 type null", `{"Type":null}`, 400, missing, "Required parameter missing: type"},
		{"160 wrapped, no type", `{"jobParameters":{}}`, 400, missing, "Required parameter missing: type"},
		{"161 type in other case", `{"Type":"Archive-Retrieval","ArchiveId":"{seven}"}`, 400, invalid, `Invalid job type: "Archive-Retrieval"`},
		{"161 member in other case", `{"type":"archive-retrieval","ArchiveId":"{seven}"}`, 400, missing, "Required parameter missing: type"},
		{"162 no archive id", `{"Type":"archive-retrieval"}`, 400, missing, "Required parameter missing: ArchiveId"},
		{"162 archive id null", `{"Type":"archive-retrieval","ArchiveId":null}`, 400, missing, "Required parameter missing: ArchiveId"},
		{"163 inventory with archive id", inventory + `"ArchiveId":"{seven}"}`, 400, invalid, ""},
		{"164 inventory with range", inventory + `"RetrievalByteRange":"0-1048575"}`, 400, invalid, ""},
		{"166 unknown archive", `{"Type":"archive-retrieval","ArchiveId":"{unknown}"}`, 404, notFound, "The archive ID was not found: {unknown}"},
		{"166 an id of no archive", `{"Type":"archive-retrieval","ArchiveId":"x"}`, 404, notFound, "The archive ID was not found: x"},
		{"167 deleted archive", `{"Type":"archive-retrieval","ArchiveId":"{deleted}"}`, 404, notFound, "The archive ID was not found: {deleted}"},
		{"168 archive of another vault", `{"Type":"archive-retrieval","ArchiveId":"{elsewhere}"}`, 400, invalid, "Invalid vault name: " + f.arn()},
		{"170 format in lower case", inventory + `"Format":"csv"}`, 400, invalid, `Invalid format: "csv"`},
		{"170 unknown format", inventory + `"Format":"XML"}`, 400, invalid, `Invalid format: "XML"`},
		{"171 tier in lower case", archive + `"Tier":"expedited"}`, 400, invalid, `Invalid tier: "expedited"`},
		{"171 tier of an inventory", inventory + `"Tier":"expedited"}`, 400, invalid, `Invalid tier: "expedited"`},
		{"174 start not aligned", archive + `"RetrievalByteRange":"1-1048576"}`, 400, invalid, "Invalid retrieval byte range: 1-1048576"},
		{"175 end not aligned", archive + `"RetrievalByteRange":"0-1048576"}`, 400, invalid, "Invalid retrieval byte range: 0-1048576"},
		{"177 end beyond the archive", `{"Type":"archive-retrieval","ArchiveId":"{five}","RetrievalByteRange":"5242880-6291455"}`, 400, invalid, ""},
		{"177 start beyond the archive", archive + `"RetrievalByteRange":"7340032-8388607"}`, 400, invalid, ""},
		{"178 beyond one byte", `{"Type":"archive-retrieval","ArchiveId":"{byte}","RetrievalByteRange":"0-1048575"}`, 400, invalid, ""},
		{"179 unit", archive + `"RetrievalByteRange":"bytes=0-1048575"}`, 400, invalid, `Invalid retrieval byte range: "bytes=0-1048575"`},
		{"179 open end", archive + `"RetrievalByteRange":"0-"}`, 400, invalid, ""},
		{"179 open start", archive + `"RetrievalByteRange":"-1048576"}`, 400, invalid, ""},
		{"179 space before", archive + `"RetrievalByteRange":" 0-1048575"}`, 400, invalid, ""},
		{"179 newline after", archive + `"RetrievalByteRange":"0-1048575\n"}`, 400, invalid, ""},
		{"179 sign", archive + `"RetrievalByteRange":"+0-1048575"}`, 400, invalid, ""},
		{"179 two ranges", archive + `"RetrievalByteRange":"0-1048575,2097152-3145727"}`, 400, invalid, ""},
		{"179 end before start", archive + `"RetrievalByteRange":"2097152-1048575"}`, 400, invalid, ""},
		{"179 more than 64 bits", archive + `"RetrievalByteRange":"0-18446744073709551615"}`, 400, invalid, ""},
		{"179 form is seen before the archive", `{"Type":"archive-retrieval","ArchiveId":"{unknown}","RetrievalByteRange":"0-"}`, 400, invalid, ""},
		{"180 description too long", archive + `"Description":"` + strings.Repeat("d", 1025) + `"}`, 400, invalid, "Invalid job description"},
		{"180 description not ASCII", archive + `"Description":"été"}`, 400, invalid, "Invalid job description"},
		{"180 description with a tab", archive + `"Description":"a\tb"}`, 400, invalid, "Invalid job description"},
		{"181 topic no ARN", archive + `"SNSTopic":"not-an-arn"}`, 400, invalid, `Invalid SNS topic: "not-an-arn"`},
		{"181 topic of another service", archive + `"SNSTopic":"arn:aws:sqs:us-east-1:123456789012:q"}`, 400, invalid, "Invalid SNS topic"},
		{"181 topic of an inventory", inventory + `"SNSTopic":"not-an-arn"}`, 400, invalid, "Invalid SNS topic"},
		{"187 select", `{"Type":"select","ArchiveId":"{seven}","SelectParameters":{},"OutputLocation":{}}`, 400, invalid, "Select jobs are not supported: no output location is configured"},
		{"187 parameters of select", archive + `"SelectParameters":{}}`, 400, invalid, ""},
		{"187 output location of an inventory", inventory + `"OutputLocation":{"S3":{}}}`, 400, invalid, ""},
		{"188 limit 0", limited + `"Limit":"0"}}`, 400, invalid, "Invalid limit: 0"},
		{"188 limit x", limited + `"Limit":"x"}}`, 400, invalid, "Invalid limit: x"},
		{"188 limit -1", limited + `"Limit":"-1"}}`, 400, invalid, "Invalid limit: -1"},
		{"188 limit as number 0", limited + `"Limit":0}}`, 400, invalid, "Invalid limit: 0"},
		{"188 limit as fraction", limited + `"Limit":1.5}}`, 400, invalid, "Invalid limit: 1.5"},
		{"190 date without time", limited + `"StartDate":"2024-01-01"}}`, 400, invalid, `Invalid StartDate: "2024-01-01"`},
		{"190 epoch seconds", limited + `"EndDate":"1704067200"}}`, 400, invalid, `Invalid EndDate: "1704067200"`},
		{"190 unknown zone", limited + `"EndDate":"2024-01-01T00:00:00CET"}}`, 400, invalid, ""},
		{"190 no such day", limited + `"StartDate":"2023-02-29T00:00:00Z"}}`, 400, invalid, ""},
		{"190 hour of one digit", limited + `"StartDate":"2024-01-01T1:00:00Z"}}`, 400, invalid, ""},
		{"190 start equals end", limited + `"StartDate":"2024-01-01T00:00:00Z","EndDate":"2024-01-01T01:00:00+01:00"}}`, 400, invalid, ""},
		{"190 start after end", limited + `"StartDate":"2024-01-02T00:00:00Z","EndDate":"2024-01-01T00:00:00Z"}}`, 400, invalid, ""},
		{"238 damaged marker", limited + `"Marker":"abcd"}}`, 400, invalid, "Invalid marker: abcd"},
		{"inventory parameters of an archive", archive + `"InventoryRetrievalParameters":{}}`, 400, invalid, ""},
		{"no JSON", `Type=archive-retrieval`, 400, malformed, ""},
		{"no object", `["Type"]`, 400, malformed, ""},
		{"null", `null`, 400, malformed, ""},
		{"text after the object", inventory + `"Tier":null} x`, 400, malformed, ""},
		{"byte order mark", "\ufeff" + inventory + `"Tier":null}`, 400, malformed, ""},
		{"number for a string", `{"Type":1}`, 400, malformed, ""},
		{"string for an object", inventory + `"InventoryRetrievalParameters":"x"}`, 400, malformed, ""},
		{"boolean for a limit", limited + `"Limit":true}}`, 400, malformed, ""},
		{"body above 1 MiB", inventory + `"Description":"` + strings.Repeat("d", 1<<20) + `"}`, 400, malformed, ""},
	} {
		t.Run("edge "+tt.name, func(t *testing.T) {
			wantError(t, f.post(t, f.names.Replace(tt.body)), tt.status, tt.code, f.names.Replace(tt.message))
		})
	}
	t.Run("edge 159 to 190 nothing refused is listed", func(t *testing.T) {
		if ids, _ := f.listed(t, ""); len(ids) != 0 {
			t.Errorf("jobs %q", ids)
		}
	})
	t.Run("edge 169 a vault that does not exist", func(t *testing.T) {
		absent := jobVault{f.Server, "absent"}
		wantError(t, absent.post(t, `{"Type":"inventory-retrieval"}`), 404, notFound, "Vault not found for ARN: "+absent.arn())
		wantError(t, absent.post(t, `{"Type":"x"}`), 400, invalid, "Invalid job type") // syntax comes first
	})
	t.Run("edge 168 archive of another account", func(t *testing.T) {
		other := f.AddAccount(t, "other")
		f.Do(t, moraintest.Request{Method: "PUT", Path: "/-/vaults/theirs", Key: other})
		res := f.Do(t, moraintest.Request{Method: "POST", Path: "/-/vaults/theirs/jobs", Key: other,
			Body: []byte(f.names.Replace(`{"Type":"archive-retrieval","ArchiveId":"{seven}"}`))})
		wantError(t, res, 404, notFound, f.names.Replace("The archive ID was not found: {seven}"))
	})
}

func TestInitiateJobAccepted(t *testing.T) {
	f := newJobFixture(t)
	const (
		archive   = `{"Type":"archive-retrieval","ArchiveId":"{seven}"`
		inventory = `{"Type":"inventory-retrieval"`
		limited   = inventory + `,"InventoryRetrievalParameters":{`
	)
	none := map[string]any{"EndDate": nil, "Format": "JSON", "Limit": nil, "Marker": nil, "StartDate": nil}
	with := func(name string, value any) map[string]any {
		p := map[string]any{"EndDate": nil, "Format": "JSON", "Limit": nil, "Marker": nil, "StartDate": nil}
		p[name] = value
		return map[string]any{"InventoryRetrievalParameters": p}
	}
	for _, tt := range []struct {
		name, body string
		want       map[string]any // of the description
	}{
		{"157 plain", archive + `}`, map[string]any{"Action": "ArchiveRetrieval", "JobDescription": nil, "SNSTopic": nil, "RetrievalByteRange": "0-7340031"}},
		{"158 wrapped", `{"jobParameters":` + archive + `}}`, map[string]any{"Action": "ArchiveRetrieval"}},
		{"157 members that nobody knows", archive + `,"Colour":"red"}`, map[string]any{"Action": "ArchiveRetrieval"}},
		{"157 null members", archive + `,"Tier":null,"Description":null,"SNSTopic":null,"RetrievalByteRange":null,"Format":null,"InventoryRetrievalParameters":null,"SelectParameters":null}`,
			map[string]any{"Tier": "Standard", "RetrievalByteRange": "0-7340031", "JobDescription": nil}},
		{"157 empty members", archive + `,"Tier":"","Description":"","SNSTopic":"","RetrievalByteRange":"","Format":""}`,
			map[string]any{"Tier": "Standard", "RetrievalByteRange": "0-7340031", "JobDescription": nil, "SNSTopic": nil}},
		{"157 format of an archive is ignored", archive + `,"Format":"csv"}`, map[string]any{"InventoryRetrievalParameters": nil}},
		{"165 archive id null", inventory + `,"ArchiveId":null}`, map[string]any{"Action": "InventoryRetrieval", "ArchiveId": nil, "InventoryRetrievalParameters": none}},
		{"171 Expedited", archive + `,"Tier":"Expedited"}`, map[string]any{"Tier": "Expedited"}},
		{"171 Bulk", archive + `,"Tier":"Bulk"}`, map[string]any{"Tier": "Bulk"}},
		{"171 tier of an inventory is ignored", inventory + `,"Tier":"Bulk"}`, map[string]any{"Tier": nil}},
		{"172 no tier", archive + `}`, map[string]any{"Tier": "Standard"}},
		{"173 aligned range", archive + `,"RetrievalByteRange":"0-1048575"}`, map[string]any{"RetrievalByteRange": "0-1048575"}},
		{"176 range to the end", `{"Type":"archive-retrieval","ArchiveId":"{five}","RetrievalByteRange":"5242880-5767167"}`,
			map[string]any{"RetrievalByteRange": "5242880-5767167", "ArchiveSizeInBytes": 5767168.0}},
		{"178 one byte", `{"Type":"archive-retrieval","ArchiveId":"{byte}","RetrievalByteRange":"0-0"}`,
			map[string]any{"RetrievalByteRange": "0-0", "SHA256TreeHash": moraintest.TreeHash([]byte{0})}},
		{"180 longest description", archive + `,"Description":"` + strings.Repeat("~", 1024) + `"}`, map[string]any{"JobDescription": strings.Repeat("~", 1024)}},
		{"180 description with quotes", archive + `,"Description":"a \"b\", \\o/ <&>"}`, map[string]any{"JobDescription": `a "b", \o/ <&>`}},
		{"182 topic that does not exist", archive + `,"SNSTopic":"arn:aws:sns:eu-west-9:999999999999:none"}`, map[string]any{"SNSTopic": "arn:aws:sns:eu-west-9:999999999999:none"}},
		{"188 limit as text", limited + `"Limit":"10000000"}}`, with("Limit", "10000000")},
		{"189 limit as number", limited + `"Limit":5}}`, with("Limit", "5")},
		{"190 date without zone", limited + `"StartDate":"2024-01-01T00:00:00"}}`, with("StartDate", "2024-01-01T00:00:00")},
		{"190 date with UTC", limited + `"StartDate":"2024-01-01T00:00:00UTC"}}`, with("StartDate", "2024-01-01T00:00:00UTC")},
		{"190 date with Z", limited + `"EndDate":"2024-01-01T00:00:00Z"}}`, with("EndDate", "2024-01-01T00:00:00Z")},
		{"190 date with zone", limited + `"EndDate":"2024-01-01T00:00:00-07:30"}}`, with("EndDate", "2024-01-01T00:00:00-07:30")},
		{"190 date with short zone", limited + `"EndDate":"2024-01-01T00:00:00+0530"}}`, with("EndDate", "2024-01-01T00:00:00+0530")},
		{"190 date with fraction", limited + `"StartDate":"2024-01-01T00:00:00.123456Z"}}`, with("StartDate", "2024-01-01T00:00:00.123456Z")},
		{"190 empty parameters", limited + `"StartDate":"","EndDate":"","Limit":"","Marker":""}}`, map[string]any{"InventoryRetrievalParameters": none}},
		{"190 format beside the dates is ignored", limited + `"Format":"csv"}}`, map[string]any{"InventoryRetrievalParameters": none}},
		{"170 CSV", inventory + `,"Format":"CSV"}`, with("Format", "CSV")},
	} {
		t.Run("edge "+tt.name, func(t *testing.T) {
			res := f.post(t, f.names.Replace(tt.body))
			id := wantInitiated(t, f.jobVault, res)
			d := f.WaitForJob(t, f.name, id)
			for member, want := range tt.want {
				if got := d[member]; fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%s is %v, want %v", member, got, want)
				}
			}
		})
	}
	t.Run("edge 186 two jobs for one archive", func(t *testing.T) {
		body := f.names.Replace(archive + `}`)
		a, first := f.run(t, "%s", body)
		b, second := f.run(t, "%s", body)
		if a == b || first["StatusCode"] != "Succeeded" || second["StatusCode"] != "Succeeded" {
			t.Errorf("jobs %s and %s ended %v and %v", a, b, first["StatusCode"], second["StatusCode"])
		}
	})
}

// wantInitiated holds the answer to InitiateJob against its form and returns the id of the job.
func wantInitiated(t *testing.T, v jobVault, res moraintest.Response) string {
	t.Helper()
	id := res.Header.Get("x-amz-job-id")
	if res.Status != 202 || res.Body != "{}" || res.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("status %d, type %q: %s", res.Status, res.Header.Get("Content-Type"), res.Body)
	}
	if len(id) != 92 || id[0] == '-' {
		t.Errorf("the job id %q has not 92 characters, or begins with a hyphen", id)
	}
	if got, want := res.Header.Get("Location"), "/123456789012/vaults/"+v.name+"/jobs/"+id; got != want {
		t.Errorf("Location %q, want %q", got, want)
	}
	if _, ok := res.Header["X-Amz-Job-Output-Path"]; ok {
		t.Error("x-amz-job-output-path is for select jobs only")
	}
	return id
}

// jobMembers are the members of a job description, in their order.
var jobMembers = []string{ // read only
	"Action", "ArchiveId", "ArchiveSHA256TreeHash", "ArchiveSizeInBytes", "Completed", "CompletionDate", "CreationDate",
	"InventoryRetrievalParameters", "InventorySizeInBytes", "JobDescription", "JobId", "JobOutputPath", "OutputLocation",
	"RetrievalByteRange", "SHA256TreeHash", "SNSTopic", "SelectParameters", "StatusCode", "StatusMessage", "Tier", "VaultARN",
}

// memberNames returns the names of the members of an object in the order they are written.
func memberNames(t *testing.T, object string) []string {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(object))
	var names []string
	for token, err := dec.Token(); dec.More(); token, err = dec.Token() {
		if name, ok := token.(string); ok {
			names = append(names, name)
			var value json.RawMessage
			err = dec.Decode(&value)
		}
		if err != nil {
			t.Fatalf("%s: %v", object, err)
		}
	}
	return names
}

// apiDate is the form of dates in the API.
var apiDate = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`) // read only

// wantDate returns a member that must be a date.
func wantDate(t *testing.T, doc map[string]any, name string) string {
	t.Helper()
	text, _ := doc[name].(string)
	if !apiDate.MatchString(text) {
		t.Errorf("%s is %v, not a date like 2024-02-29T10:11:12.345Z", name, doc[name])
	}
	return text
}

// TestDescribeJob compares whole descriptions, byte for byte, with what they must be in every state.
func TestDescribeJob(t *testing.T) {
	v := newJobVault(t, moraintest.Start(t, moraintest.Emulate), "photos")
	seven := v.Upload(t, v.name, moraintest.Pattern(7<<20), "seven")
	doomed := v.Upload(t, v.name, []byte("doomed"), "")
	v.awaitInventory(t)
	const topic = `arn:aws:sns:us-east-1:123456789012:restores`
	type state struct{ status, message, completed, output string }
	running, done := state{"InProgress", "null", "false", "null"}, state{"Succeeded", `"Succeeded"`, "true", "206"}
	for _, tt := range []struct {
		name, parameters string
		want             string // with %[1]s ... for id, status, message, Completed, CreationDate, CompletionDate
		end              state
		before           func(t *testing.T) // the end
	}{
		{
			name:       "196 whole archive",
			parameters: fmt.Sprintf(`{"Type":"archive-retrieval","ArchiveId":"%s"}`, seven),
			want: `{"Action":"ArchiveRetrieval","ArchiveId":"` + seven + `","ArchiveSHA256TreeHash":"8bfce57c6a4076b3e930e725fbaa00beeffff0f0d9a6491a89a53baa73b4810d",` +
				`"ArchiveSizeInBytes":7340032,"Completed":%[4]s,"CompletionDate":%[6]s,"CreationDate":%[5]s,"InventoryRetrievalParameters":null,"InventorySizeInBytes":null,` +
				`"JobDescription":null,"JobId":"%[1]s","JobOutputPath":null,"OutputLocation":null,"RetrievalByteRange":"0-7340031",` +
				`"SHA256TreeHash":"8bfce57c6a4076b3e930e725fbaa00beeffff0f0d9a6491a89a53baa73b4810d","SNSTopic":null,"SelectParameters":null,` +
				`"StatusCode":"%[2]s","StatusMessage":%[3]s,"Tier":"Standard","VaultARN":"arn:aws:glacier:us-east-1:123456789012:vaults/photos"}`,
			end: done,
		},
		{
			name: "198 aligned range",
			parameters: fmt.Sprintf(`{"Type":"archive-retrieval","ArchiveId":"%s","RetrievalByteRange":"4194304-7340031","Tier":"Bulk","Description":"a \"b\" \\ <c>","SNSTopic":"%s"}`,
				seven, topic),
			want: `{"Action":"ArchiveRetrieval","ArchiveId":"` + seven + `","ArchiveSHA256TreeHash":"8bfce57c6a4076b3e930e725fbaa00beeffff0f0d9a6491a89a53baa73b4810d",` +
				`"ArchiveSizeInBytes":7340032,"Completed":%[4]s,"CompletionDate":%[6]s,"CreationDate":%[5]s,"InventoryRetrievalParameters":null,"InventorySizeInBytes":null,` +
				`"JobDescription":"a \"b\" \\ <c>","JobId":"%[1]s","JobOutputPath":null,"OutputLocation":null,"RetrievalByteRange":"4194304-7340031",` +
				`"SHA256TreeHash":"2ed31f9001aae783cf780d7d6be26828f453988c4168a9d84e290de24d0237b3","SNSTopic":"` + topic + `","SelectParameters":null,` +
				`"StatusCode":"%[2]s","StatusMessage":%[3]s,"Tier":"Bulk","VaultARN":"arn:aws:glacier:us-east-1:123456789012:vaults/photos"}`,
			end: done,
		},
		{
			name:       "197 range not tree-hash aligned",
			parameters: fmt.Sprintf(`{"Type":"archive-retrieval","ArchiveId":"%s","RetrievalByteRange":"1048576-3145727","Tier":"Expedited"}`, seven),
			want: `{"Action":"ArchiveRetrieval","ArchiveId":"` + seven + `","ArchiveSHA256TreeHash":"8bfce57c6a4076b3e930e725fbaa00beeffff0f0d9a6491a89a53baa73b4810d",` +
				`"ArchiveSizeInBytes":7340032,"Completed":%[4]s,"CompletionDate":%[6]s,"CreationDate":%[5]s,"InventoryRetrievalParameters":null,"InventorySizeInBytes":null,` +
				`"JobDescription":null,"JobId":"%[1]s","JobOutputPath":null,"OutputLocation":null,"RetrievalByteRange":"1048576-3145727",` +
				`"SHA256TreeHash":null,"SNSTopic":null,"SelectParameters":null,` +
				`"StatusCode":"%[2]s","StatusMessage":%[3]s,"Tier":"Expedited","VaultARN":"arn:aws:glacier:us-east-1:123456789012:vaults/photos"}`,
			end: done,
		},
		{
			name:       "225 archive deleted while in progress",
			parameters: fmt.Sprintf(`{"Type":"archive-retrieval","ArchiveId":"%s","Tier":"Bulk"}`, doomed),
			want: `{"Action":"ArchiveRetrieval","ArchiveId":"` + doomed + `","ArchiveSHA256TreeHash":"` + moraintest.Hex([]byte("doomed")) + `",` +
				`"ArchiveSizeInBytes":6,"Completed":%[4]s,"CompletionDate":%[6]s,"CreationDate":%[5]s,"InventoryRetrievalParameters":null,"InventorySizeInBytes":null,` +
				`"JobDescription":null,"JobId":"%[1]s","JobOutputPath":null,"OutputLocation":null,"RetrievalByteRange":"0-5",` +
				`"SHA256TreeHash":"` + moraintest.Hex([]byte("doomed")) + `","SNSTopic":null,"SelectParameters":null,` +
				`"StatusCode":"%[2]s","StatusMessage":%[3]s,"Tier":"Bulk","VaultARN":"arn:aws:glacier:us-east-1:123456789012:vaults/photos"}`,
			before: func(t *testing.T) { v.remove(t, doomed) },
			end:    state{"Failed", `"The archive ID was not found: ` + doomed + `"`, "true", "400"},
		},
		{
			name: "199 inventory",
			parameters: `{"Type":"inventory-retrieval","Description":"weekly","Format":"CSV","Tier":"Bulk","InventoryRetrievalParameters":` +
				`{"StartDate":"2000-01-01T00:00:00","EndDate":"2000-01-02T00:00:00+0100","Limit":7}}`,
			want: `{"Action":"InventoryRetrieval","ArchiveId":null,"ArchiveSHA256TreeHash":null,"ArchiveSizeInBytes":null,"Completed":%[4]s,` +
				`"CompletionDate":%[6]s,"CreationDate":%[5]s,"InventoryRetrievalParameters":{"EndDate":"2000-01-02T00:00:00+0100","Format":"CSV",` +
				`"Limit":"7","Marker":null,"StartDate":"2000-01-01T00:00:00"},"InventorySizeInBytes":%[7]s,"JobDescription":"weekly","JobId":"%[1]s",` +
				`"JobOutputPath":null,"OutputLocation":null,"RetrievalByteRange":null,"SHA256TreeHash":null,"SNSTopic":null,"SelectParameters":null,` +
				`"StatusCode":"%[2]s","StatusMessage":%[3]s,"Tier":null,"VaultARN":"arn:aws:glacier:us-east-1:123456789012:vaults/photos"}`,
			end: state{"Succeeded", `"Succeeded"`, "true", "206"},
		},
	} {
		t.Run("edge "+tt.name, func(t *testing.T) {
			id := v.start(t, "%s", tt.parameters)
			check := func(s state) {
				t.Helper()
				res := v.get(t, "/jobs/"+id)
				doc := res.JSON(t)
				completion, size := "null", "null"
				if s.completed == "true" {
					completion = `"` + wantDate(t, doc, "CompletionDate") + `"`
				}
				if s.status == "Succeeded" {
					size = fmt.Sprint(len("ArchiveId,ArchiveDescription,CreationDate,Size,SHA256TreeHash\n"))
				}
				want := fmt.Sprintf(tt.want+"%.0[7]s", id, s.status, s.message, s.completed, `"`+wantDate(t, doc, "CreationDate")+`"`, completion, size)
				if res.Status != 200 || res.Header.Get("Content-Type") != "application/json" || res.Body != want {
					t.Errorf("edge 193: status %d, type %q\n got %s\nwant %s", res.Status, res.Header.Get("Content-Type"), res.Body, want)
				}
				if got := memberNames(t, res.Body); !slices.Equal(got, jobMembers) {
					t.Errorf("edge 193: members %q\nwant %q", got, jobMembers)
				}
				if list := v.get(t, "/jobs?limit=1").Body; !strings.HasPrefix(list, `{"JobList":[`+want+`],"Marker":`) {
					t.Errorf("ListJobs shows another description: %s", list)
				}
			}
			check(running)
			wantError(t, v.output(t, id, ""), 400, invalid, "The job is not currently available for download: "+id) // edge 207
			if tt.before != nil {
				tt.before(t)
			} else {
				v.Advance(12 * time.Hour)
				v.WaitForJob(t, v.name, id)
			}
			check(tt.end)
			if res := v.output(t, id, "bytes=0-0"); fmt.Sprint(res.Status) != tt.end.output {
				t.Errorf("output: status %d, want %s", res.Status, tt.end.output)
			}
			if tt.end.status == "Failed" { // edge 208
				wantError(t, v.output(t, id, ""), 400, invalid, "The job is not currently available for download: "+id)
			}
		})
	}
}

func TestJobsThatAreNotThere(t *testing.T) {
	s := moraintest.Start(t)
	v, other := newJobVault(t, s, "photos"), newJobVault(t, s, "attic")
	archive := v.Upload(t, v.name, []byte("x"), "")
	id, _ := v.run(t, `{"Type":"archive-retrieval","ArchiveId":"%s"}`, archive)
	unknown := strings.Repeat("0", 92)
	for _, tt := range []struct {
		name    string
		vault   jobVault
		job     string
		message string
	}{
		{"edge 194 unknown", v, unknown, "The job ID was not found: " + unknown},
		{"edge 194 no id at all", v, "x", "The job ID was not found: x"},
		{"edge 194 an archive", v, archive, "The job ID was not found: " + archive},
		{"edge 195 of another vault", other, id, "The job ID was not found: " + id},
		{"edge 195 of no vault", jobVault{s, "absent"}, id, "Vault not found for ARN: arn:aws:glacier:us-east-1:123456789012:vaults/absent"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantError(t, tt.vault.get(t, "/jobs/"+tt.job), 404, notFound, tt.message)
			wantError(t, tt.vault.output(t, tt.job, ""), 404, notFound, tt.message)
		})
	}
	t.Run("edge 195 jobs go with their vault", func(t *testing.T) {
		v.remove(t, archive)
		v.Do(t, moraintest.Request{Method: "DELETE", Path: v.path()})
		wantError(t, v.get(t, "/jobs/"+id), 404, notFound, "Vault not found for ARN: "+v.arn())
		v.CreateVault(t, v.name)
		wantError(t, v.get(t, "/jobs/"+id), 404, notFound, "The job ID was not found: "+id)
	})
	t.Run("edge 200 topic of the vault", func(t *testing.T) {
		v.Do(t, moraintest.Request{Method: "PUT", Path: v.path() + "/notification-configuration",
			Body: []byte(`{"SNSTopic":"arn:aws:sns:us-east-1:123456789012:vault","Events":["ArchiveRetrievalCompleted"]}`)})
		archive := v.Upload(t, v.name, []byte("x"), "")
		if _, d := v.run(t, `{"Type":"archive-retrieval","ArchiveId":"%s"}`, archive); d["SNSTopic"] != nil {
			t.Errorf("SNSTopic is %v, but the job has none of its own", d["SNSTopic"])
		}
	})
}

func TestListJobsFilters(t *testing.T) {
	v := newJobVault(t, moraintest.Start(t, moraintest.Emulate), "photos")
	kept, doomed := v.Upload(t, v.name, []byte("kept"), ""), v.Upload(t, v.name, []byte("doomed"), "")
	succeeded := v.start(t, `{"Type":"archive-retrieval","ArchiveId":"%s"}`, kept)
	v.Advance(5 * time.Hour)
	v.WaitForJob(t, v.name, succeeded)
	failed := v.start(t, `{"Type":"archive-retrieval","ArchiveId":"%s"}`, doomed)
	v.remove(t, doomed)
	running := v.start(t, `{"Type":"archive-retrieval","ArchiveId":"%s"}`, kept)
	for _, tt := range []struct {
		name, query string
		want        []string
	}{
		{"201 newest first", "", []string{running, failed, succeeded}},
		{"204 completed", "completed=true", []string{failed, succeeded}},
		{"204 not completed", "completed=false", []string{running}},
		{"202 InProgress", "statuscode=InProgress", []string{running}},
		{"202 Succeeded", "statuscode=Succeeded", []string{succeeded}},
		{"202 Failed", "statuscode=Failed", []string{failed}},
		{"203 empty filters are absent", "completed=&statuscode=", []string{running, failed, succeeded}},
		{"205 both", "completed=true&statuscode=Succeeded", []string{succeeded}},
		{"205 contradiction", "completed=false&statuscode=Succeeded", nil},
		{"205 contradiction with Failed", "completed=false&statuscode=Failed", nil},
	} {
		t.Run("edge "+tt.name, func(t *testing.T) {
			if got, marker := v.listed(t, tt.query); !slices.Equal(got, tt.want) || marker != nil {
				t.Errorf("%q, marker %v\nwant %q", got, marker, tt.want)
			}
		})
	}
	t.Run("edge 205 form of the empty list", func(t *testing.T) {
		if got := v.get(t, "/jobs?completed=false&statuscode=Failed").Body; got != `{"JobList":[],"Marker":null}` {
			t.Errorf("%s", got)
		}
	})
	t.Run("edge 206 filter with marker", func(t *testing.T) {
		first, marker := v.listed(t, "completed=true&limit=1")
		text, _ := marker.(string)
		rest, end := v.listed(t, "completed=true&limit=1&marker="+url.QueryEscape(text))
		if !slices.Equal(append(first, rest...), []string{failed, succeeded}) || end != nil {
			t.Errorf("%q and then %q, marker %v", first, rest, end)
		}
	})
	for _, tt := range []struct{ name, query, message string }{
		{"202 unknown status", "statuscode=finished", "The job status code is not valid: finished"},
		{"202 status in other case", "statuscode=succeeded", "The job status code is not valid: succeeded"},
		{"203 yes", "completed=yes", "Invalid completed: yes"},
		{"203 True", "completed=True", "Invalid completed: True"},
		{"206 limit 0", "limit=0", "Invalid limit: 0"},
		{"206 limit -1", "limit=-1", "Invalid limit: -1"},
		{"206 limit x", "limit=x", "Invalid limit: x"},
		{"206 limit empty", "limit=", "Invalid limit: "},
		{"206 marker damaged", "marker=abcd", "Invalid marker: abcd"},
	} {
		t.Run("edge "+tt.name, func(t *testing.T) {
			wantError(t, v.get(t, "/jobs?"+tt.query), 400, invalid, tt.message)
		})
	}
	t.Run("edge 206 marker of another vault", func(t *testing.T) {
		_, marker := v.listed(t, "limit=1")
		attic := newJobVault(t, v.Server, "attic")
		wantError(t, attic.get(t, "/jobs?marker="+url.QueryEscape(marker.(string))), 400, invalid, "Invalid marker: ")
	})
}

func TestListJobsPages(t *testing.T) {
	for _, mode := range []struct {
		name    string
		options []func(*config.Config)
		pages   map[string][]int // by query
	}{
		{"default", nil, map[string][]int{"": {51}, "limit=50": {50, 1}, "limit=51": {51}, "limit=5000": {51}}},
		{"emulated", []func(*config.Config){moraintest.Emulate}, map[string][]int{"": {50, 1}, "limit=1000": {50, 1}, "limit=17": {17, 17, 17}}},
	} {
		t.Run(mode.name, func(t *testing.T) {
			v := newJobVault(t, moraintest.Start(t, mode.options...), "photos")
			archive := v.Upload(t, v.name, []byte("x"), "")
			var want []string
			for range 51 {
				want = append(want, v.start(t, `{"Type":"archive-retrieval","ArchiveId":"%s"}`, archive))
			}
			slices.Reverse(want)
			for query, sizes := range mode.pages {
				t.Run("edge 206 "+query, func(t *testing.T) {
					got, pages := v.pages(t, query)
					if !slices.Equal(pages, sizes) || !slices.Equal(got, want) {
						t.Errorf("pages of %d, want %d; newest first: %t", pages, sizes, slices.Equal(got, want))
					}
				})
			}
		})
	}
}

// pages follows the markers of ListJobs and returns all ids and the sizes of the pages.
func (v jobVault) pages(t *testing.T, query string) (all []string, sizes []int) {
	t.Helper()
	for next := query; ; {
		ids, marker := v.listed(t, next)
		all, sizes = append(all, ids...), append(sizes, len(ids))
		text, more := marker.(string)
		if !more {
			return all, sizes
		}
		next = query + "&marker=" + url.QueryEscape(text)
	}
}
