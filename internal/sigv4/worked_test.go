package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
)

// A workedRow is one of the worked values of the behaviour specification, wire, section 4.
type workedRow struct {
	name          string
	client        client
	token         string
	canonicalHash string // "" where none is given
	signature     string
}

const (
	glacierHost = "glacier.us-east-1.amazonaws.com"
	testHost    = "glacier.eu-west-1.example.test"
	welcomeHash = "726e392cb4d09924dbad1cc0ba3b00c3643d03d14cb4b823e2f041cff612a628"
	jobHash     = "ec68e74900d15a4ed696e0080b6fbb39a3a04ea4b589125122cb10c26b4e3ab7"
	helloHash   = "177b28f633674aea287ee01e23b3ad13906e628355785738187894f5bc2c2f1d"
)

func workedRows() []workedRow {
	return []workedRow{
		{
			name: "row 1",
			client: client{
				method: "PUT", target: "/-/vaults/examplevault", host: glacierHost, region: "us-east-1",
				headers: map[string]string{"x-amz-date": "20120525T002453Z", "x-amz-glacier-version": "2012-06-01"},
			},
			canonicalHash: "5f1da1a2d0feb614dd03d71e87928b8e449ac87614479332aced3a701f916743",
			signature:     "3ce5b2f2fffac9262b4da9256f8d086b4aaf42eba5f111c21681a65a127b7c2a",
		},
		{
			name: "row 2",
			client: client{
				method: "POST", target: "/-/vaults/examplevault/archives", host: glacierHost, region: "us-east-1",
				headers: map[string]string{
					"x-amz-date": "20120507T000000Z", "x-amz-glacier-version": "2012-06-01",
					"x-amz-content-sha256": welcomeHash, "x-amz-archive-description": "free to change",
				},
				unsigned: []string{"x-amz-archive-description"}, payloadHash: welcomeHash,
			},
			signature: "b092397439375d59119072764a1e9a144677c43d9906fd98a5742c57a2855de6",
		},
		{
			name: "row 3",
			client: client{
				method: "GET", host: testHost,
				target:  "/-/vaults?limit=2&marker=arn%3Aaws%3Aglacier%3Aeu-west-1%3A123456789012%3Avaults%2Fphotos",
				headers: map[string]string{"x-amz-date": leapDay, "x-amz-glacier-version": "2012-06-01"},
			},
			canonicalHash: "c0b59de91395daa499e5747ae5f0566991e567699f4b74f65228fb9ef7ef1e30",
			signature:     "c18d356491a253162e2171c8d491f05cf698f527294c2515c5d8eaf6e5f2e7c5",
		},
		{
			name: "row 4",
			client: client{
				method: "POST", target: "/-/vaults/photos/jobs", host: testHost + ":8443", payloadHash: jobHash,
				headers: map[string]string{
					"x-amz-date": leapDay, "x-amz-glacier-version": "2012-06-01", "x-amz-security-token": "TOKEN/abc+def==",
				},
			},
			token:         "TOKEN/abc+def==",
			canonicalHash: "669048ad8294711a683cc066b0420b57b007d6a2dd9683ea5c60dd1605bc3f39",
			signature:     "31431bd117a721b92d1ef42de0fc66f31701aa9f0707a7ae137c2e907778d6bb",
		},
		rowFive("row 5", "two spaces inside"),
		rowFive("row 5, edge 43 several inner spaces", "  two   spaces     inside "),
	}
}

func rowFive(name, description string) workedRow {
	return workedRow{
		name: name,
		client: client{
			method: "POST", target: "/-/vaults/photos/archives", host: testHost, payloadHash: helloHash,
			headers: map[string]string{
				"x-amz-archive-description": description, "x-amz-content-sha256": helloHash,
				"x-amz-date": leapDay, "x-amz-glacier-version": "2012-06-01", "x-amz-sha256-tree-hash": helloHash,
			},
			values: map[string]string{"x-amz-archive-description": "two spaces inside"},
		},
		canonicalHash: "6d1c5b6cd0236469c3c32c977274ec60116e280bab77f090fa6d3a1aa92dfb4e",
		signature:     "47b5e25e6b5dad1be7391ce2b0a347b53f20c26ee6b4d707f5464bbee65ec4e6",
	}
}

func TestWorkedRows(t *testing.T) {
	for _, row := range workedRows() {
		t.Run(row.name, func(t *testing.T) {
			c := row.client
			r := c.request()
			// The client of these tests has to agree too, as the other tests rely on it.
			if authorization := r.Header.Get("Authorization"); !strings.HasSuffix(authorization, "Signature="+row.signature) {
				t.Errorf("client signs %s, want %s", authorization, row.signature)
			}
			auth, err := server(c.headers["x-amz-date"]).Verify(r, c.hash(), temporary(row.token))
			wantError(t, err, 0, "")
			if auth.KeyID != keyID || auth.Signature != row.signature {
				t.Errorf("got %+v", auth)
			}
			forms := canonicalHashes(r, c.signed(), c.hash())
			if len(forms) != 1 || row.canonicalHash != "" && !slices.Contains(forms, row.canonicalHash) {
				t.Errorf("canonical request hashes %v, want only %s", forms, row.canonicalHash)
			}
		})
	}
}

// canonicalHashes returns the hash of each canonical form.
func canonicalHashes(r Request, names []string, payloadHash string) []string {
	var all []string
	for canonical := range newMessage(r, names, payloadHash).canonicalRequests() {
		sum := sha256.Sum256(canonical)
		all = append(all, hex.EncodeToString(sum[:]))
	}
	return all
}
