package glacier_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moraine-archive/moraine/glacier"
)

// layer1 is what each method of boto's Layer1 sends and reads, and the method here that does. Requests are "METHOD target", headers beyond those of every request, and the body; an answer is a
// status, headers and a body; got is what came of it.
var layer1 = map[string]struct { // read only
	call    func(ctx context.Context, c *glacier.Client) (any, error)
	request string
	headers map[string]string
	body    string
	answer  string // status, then "name: value" lines, then the body
	got     string // %+v of what call returns, or a part of it
}{
	"list_vaults": {
		call: func(ctx context.Context, c *glacier.Client) (any, error) {
			return c.ListVaults(ctx, glacier.Page{Limit: 5, Marker: "m/1"})
		},
		request: "GET /-/vaults?limit=5&marker=m%2F1",
		answer:  "200\n" + `{"Marker":"next","VaultList":[{"CreationDate":"2024-02-29T10:11:12.345Z","LastInventoryDate":null,"NumberOfArchives":2,"SizeInBytes":9,"VaultARN":"a","VaultName":"v"}]}`,
		got:     "ARN:a Name:v CreationDate:2024-02-29 10:11:12.345 +0000 UTC LastInventoryDate:0001-01-01 00:00:00 +0000 UTC NumberOfArchives:2 SizeInBytes:9}] Marker:next",
	},
	"describe_vault": {
		call:    func(ctx context.Context, c *glacier.Client) (any, error) { return c.DescribeVault(ctx, "v") },
		request: "GET /-/vaults/v",
		answer:  "200\n" + `{"CreationDate":"2024-02-29T10:11:12.345Z","LastInventoryDate":"2024-03-01T00:00:00.000Z","NumberOfArchives":2,"SizeInBytes":9,"VaultARN":"a","VaultName":"v"}`,
		got:     "Name:v CreationDate:2024-02-29 10:11:12.345 +0000 UTC LastInventoryDate:2024-03-01 00:00:00 +0000 UTC",
	},
	"create_vault": {
		call:    func(ctx context.Context, c *glacier.Client) (any, error) { return c.CreateVault(ctx, "v") },
		request: "PUT /-/vaults/v", answer: "201\nLocation: /123456789012/vaults/v\n{}", got: "RequestID:id} Location:/123456789012/vaults/v}",
	},
	"delete_vault": {
		call:    func(ctx context.Context, c *glacier.Client) (any, error) { return c.DeleteVault(ctx, "v") },
		request: "DELETE /-/vaults/v", answer: "204\n", got: "&{RequestID:id}",
	},
	"get_vault_notifications": {
		call:    func(ctx context.Context, c *glacier.Client) (any, error) { return c.GetVaultNotifications(ctx, "v") },
		request: "GET /-/vaults/v/notification-configuration",
		answer:  "200\n" + `{"Events":["A","B"],"SNSTopic":"t"}`, got: "SNSTopic:t Events:[A B]}",
	},
	"set_vault_notifications": {
		call: func(ctx context.Context, c *glacier.Client) (any, error) {
			return c.SetVaultNotifications(ctx, "v", glacier.NotificationConfiguration{SNSTopic: "t", Events: []string{"A"}})
		},
		request: "PUT /-/vaults/v/notification-configuration", body: `{"SNSTopic":"t","Events":["A"]}`, answer: "204\n", got: "&{RequestID:id}",
	},
	"delete_vault_notifications": {
		call:    func(ctx context.Context, c *glacier.Client) (any, error) { return c.DeleteVaultNotifications(ctx, "v") },
		request: "DELETE /-/vaults/v/notification-configuration", answer: "204\n", got: "&{RequestID:id}",
	},
	"list_jobs": {
		call: func(ctx context.Context, c *glacier.Client) (any, error) {
			return c.ListJobs(ctx, "v", glacier.JobFilter{StatusCode: "Failed", Completed: new(false)}, glacier.Page{Limit: 7, Marker: "m"})
		},
		request: "GET /-/vaults/v/jobs?completed=false&limit=7&marker=m&statuscode=Failed",
		answer:  "200\n" + `{"JobList":[{"JobId":"j","Action":"ArchiveRetrieval","ArchiveId":"a","ArchiveSizeInBytes":5,"RetrievalByteRange":"0-4","SHA256TreeHash":"h","Tier":"Bulk"}],"Marker":null}`,
		got:     "ID:j Action:ArchiveRetrieval",
	},
	"describe_job": {
		call:    func(ctx context.Context, c *glacier.Client) (any, error) { return c.DescribeJob(ctx, "v", "j") },
		request: "GET /-/vaults/v/jobs/j",
		answer: "200\n" + `{"Action":"InventoryRetrieval","ArchiveId":null,"Completed":true,"CompletionDate":"2024-02-29T14:02:03.004Z","CreationDate":"2024-02-29T10:11:12.345Z",` +
			`"InventoryRetrievalParameters":{"EndDate":null,"Format":"JSON","Limit":"3","Marker":"m","StartDate":null},"InventorySizeInBytes":450,"JobId":"j","StatusCode":"Succeeded"}`,
		got: "StatusCode:Succeeded StatusMessage: CreationDate:2024-02-29 10:11:12.345 +0000 UTC CompletionDate:2024-02-29 14:02:03.004 +0000 UTC",
	},
	"initiate_job": {
		call: func(ctx context.Context, c *glacier.Client) (any, error) {
			return c.InitiateJob(ctx, "v", glacier.JobParameters{
				Type: glacier.InventoryRetrieval, Description: "d", SNSTopic: "t", Format: "CSV", Tier: "Bulk",
				Inventory: &glacier.InventoryParameters{StartDate: "2024-01-01T00:00:00Z", EndDate: "2024-02-01T00:00:00Z", Limit: "9", Marker: "m"},
			})
		},
		request: "POST /-/vaults/v/jobs",
		body: `{"Type":"inventory-retrieval","Description":"d","SNSTopic":"t","Tier":"Bulk","Format":"CSV",` +
			`"InventoryRetrievalParameters":{"StartDate":"2024-01-01T00:00:00Z","EndDate":"2024-02-01T00:00:00Z","Limit":"9","Marker":"m"}}`,
		answer: "202\nx-amz-job-id: j\nLocation: /l\n{}", got: "JobID:j Location:/l",
	},
	"get_job_output": {
		call: func(ctx context.Context, c *glacier.Client) (any, error) {
			o, err := c.GetJobOutput(ctx, "v", "j", &glacier.ByteRange{First: 1, Last: 3})
			if err != nil {
				return nil, err
			}
			defer o.Body.Close()
			b, err := io.ReadAll(o.Body)
			return fmt.Sprintf("%s %d %s %s %s %s", b, o.Status, o.ContentRange, o.ContentType, o.TreeHash, o.ArchiveDescription), err
		},
		request: "GET /-/vaults/v/jobs/j/output", headers: map[string]string{"Range": "bytes=1-3"},
		answer: "206\nContent-Range: bytes 1-3/9\nContent-Type: application/octet-stream\nx-amz-sha256-tree-hash: h\nx-amz-archive-description: d\nabc",
		got:    "abc 206 bytes 1-3/9 application/octet-stream h d",
	},
	"upload_archive": {
		call: func(ctx context.Context, c *glacier.Client) (any, error) {
			return c.UploadArchive(ctx, "v", strings.NewReader("hello, vault"), glacier.UploadArchiveOptions{Description: "d"})
		},
		request: "POST /-/vaults/v/archives", body: "hello, vault",
		headers: map[string]string{
			"x-amz-archive-description": "d", "Content-Length": "12", "x-amz-content-sha256": "177b28f633674aea287ee01e23b3ad13906e628355785738187894f5bc2c2f1d",
			"x-amz-sha256-tree-hash": "177b28f633674aea287ee01e23b3ad13906e628355785738187894f5bc2c2f1d",
		},
		answer: "201\nx-amz-archive-id: a\nLocation: /l\nx-amz-sha256-tree-hash: h\n{}", got: "ArchiveID:a Location:/l TreeHash:h}",
	},
	"delete_archive": {
		call:    func(ctx context.Context, c *glacier.Client) (any, error) { return c.DeleteArchive(ctx, "v", "a") },
		request: "DELETE /-/vaults/v/archives/a", answer: "204\n", got: "&{RequestID:id}",
	},
	"initiate_multipart_upload": {
		call: func(ctx context.Context, c *glacier.Client) (any, error) {
			return c.InitiateMultipartUpload(ctx, "v", 1<<20, "d")
		},
		request: "POST /-/vaults/v/multipart-uploads", headers: map[string]string{"x-amz-part-size": "1048576", "x-amz-archive-description": "d"},
		answer: "201\nx-amz-multipart-upload-id: u\nLocation: /l\n{}", got: "UploadID:u Location:/l}",
	},
	"complete_multipart_upload": {
		call: func(ctx context.Context, c *glacier.Client) (any, error) {
			return c.CompleteMultipartUpload(ctx, "v", "u", 12, "h")
		},
		request: "POST /-/vaults/v/multipart-uploads/u", headers: map[string]string{"x-amz-archive-size": "12", "x-amz-sha256-tree-hash": "h"},
		answer: "201\nx-amz-archive-id: a\nLocation: /l\n{}", got: "ArchiveID:a Location:/l",
	},
	"abort_multipart_upload": {
		call: func(ctx context.Context, c *glacier.Client) (any, error) {
			return c.AbortMultipartUpload(ctx, "v", "u")
		},
		request: "DELETE /-/vaults/v/multipart-uploads/u", answer: "204\n", got: "&{RequestID:id}",
	},
	"list_multipart_uploads": {
		call: func(ctx context.Context, c *glacier.Client) (any, error) {
			return c.ListMultipartUploads(ctx, "v", glacier.Page{Limit: 3, Marker: "m"})
		},
		request: "GET /-/vaults/v/multipart-uploads?limit=3&marker=m",
		answer:  "200\n" + `{"Marker":"n","UploadsList":[{"ArchiveDescription":null,"CreationDate":"2024-02-29T10:11:12.345Z","MultipartUploadId":"u","PartSizeInBytes":1048576,"VaultARN":"a"}]}`,
		got:     "Uploads:[{ID:u VaultARN:a ArchiveDescription: CreationDate:2024-02-29 10:11:12.345 +0000 UTC PartSizeInBytes:1048576}] Marker:n}",
	},
	"list_parts": {
		call: func(ctx context.Context, c *glacier.Client) (any, error) {
			return c.ListParts(ctx, "v", "u", glacier.Page{Limit: 3, Marker: "m"})
		},
		request: "GET /-/vaults/v/multipart-uploads/u?limit=3&marker=m",
		answer:  "200\n" + `{"ArchiveDescription":"d","CreationDate":"2024-02-29T10:11:12.345Z","Marker":null,"MultipartUploadId":"u","PartSizeInBytes":1048576,"Parts":[{"RangeInBytes":"0-1048575","SHA256TreeHash":"h"}],"VaultARN":"a"}`,
		got:     "PartSizeInBytes:1048576 Parts:[{RangeInBytes:0-1048575 SHA256TreeHash:h}] Marker:}",
	},
	"upload_part": {
		call: func(ctx context.Context, c *glacier.Client) (any, error) {
			return c.UploadMultipartPart(ctx, "v", "u", 1<<20, strings.NewReader("part"), glacier.UploadMultipartPartOptions{LinearHash: strings.Repeat("a", 64), TreeHash: strings.Repeat("b", 64)})
		},
		request: "PUT /-/vaults/v/multipart-uploads/u", body: "part",
		headers: map[string]string{
			"Content-Range": "bytes 1048576-1048579/*", "x-amz-content-sha256": strings.Repeat("a", 64), "x-amz-sha256-tree-hash": strings.Repeat("b", 64),
		},
		answer: "204\nx-amz-sha256-tree-hash: h\n", got: "RequestID:id} TreeHash:h}",
	},
}

// TestLayer1 holds every method against the request that boto's sends, and the answer that it reads.
func TestLayer1(t *testing.T) {
	for name, row := range layer1 {
		t.Run(name, func(t *testing.T) {
			var asked *http.Request
			var body []byte
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked = r
				body, _ = io.ReadAll(r.Body)
				reply(w, row.answer)
			}))
			defer s.Close()
			got, err := row.call(t.Context(), connectTo(t, func(o *glacier.Options) { o.Endpoint = s.URL }))
			if err != nil {
				t.Fatal(err)
			}
			if request := asked.Method + " " + asked.RequestURI; request != row.request || string(body) != row.body {
				t.Errorf("the request is %s with %q, want %s with %q", request, body, row.request, row.body)
			}
			for h, want := range row.headers {
				if got := asked.Header.Get(h); got != want {
					t.Errorf("%s is %q, want %q", h, got, want)
				}
			}
			if v := asked.Header.Get("x-amz-glacier-version"); v != "2012-06-01" {
				t.Errorf("the version is %q", v)
			}
			if text := fmt.Sprintf("%+v", got); !strings.Contains(text, row.got) {
				t.Errorf("what came of it is %s, without %s", text, row.got)
			}
		})
	}
}

// reply sends an answer of the table.
func reply(w http.ResponseWriter, answer string) {
	status, rest, _ := strings.Cut(answer, "\n")
	w.Header().Set("x-amzn-RequestId", "id")
	for {
		line, after, more := strings.Cut(rest, "\n")
		name, value, isHeader := strings.Cut(line, ": ")
		if !more || !isHeader || strings.HasPrefix(line, "{") {
			break
		}
		w.Header().Set(name, value)
		rest = after
	}
	var code int
	fmt.Sscan(status, &code)
	w.WriteHeader(code)
	io.WriteString(w, rest)
}

// TestLayer1IsDocumented holds docs/layer1.md against the table: a row for each.
func TestLayer1IsDocumented(t *testing.T) {
	b, err := os.ReadFile("../docs/layer1.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)\\(").FindAllStringSubmatch(string(b), -1) {
		documented = append(documented, m[1])
	}
	slices.Sort(documented)
	if tested := slices.Sorted(maps.Keys(layer1)); !slices.Equal(documented, tested) {
		t.Errorf("documented are\n%q, tested\n%q", documented, tested)
	}
}
