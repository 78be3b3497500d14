package api_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

// uploadParts uploads an archive in parts, the last part first, and returns its id. A size of 0 uploads it in one piece.
func (v jobVault) uploadParts(t *testing.T, b []byte, partSize int, description string) string {
	t.Helper()
	if partSize == 0 {
		return v.Upload(t, v.name, b, description)
	}
	upload := v.path() + "/multipart-uploads"
	upload += "/" + v.Want(t, 201, moraintest.Request{Method: "POST", Path: upload, Header: map[string]string{
		"x-amz-part-size": fmt.Sprint(partSize), "x-amz-archive-description": description,
	}}).Header.Get("x-amz-multipart-upload-id")
	for first := (len(b) - 1) / partSize * partSize; first >= 0; first -= partSize {
		part := b[first:min(first+partSize, len(b))]
		h := moraintest.UploadHeaders(part)
		h["Content-Range"] = contentRange(first, first+len(part)-1)
		v.Want(t, 204, moraintest.Request{Method: "PUT", Path: upload, Header: h, Body: part})
	}
	return v.Want(t, 201, moraintest.Request{Method: "POST", Path: upload, Header: map[string]string{
		"x-amz-archive-size": fmt.Sprint(len(b)), "x-amz-sha256-tree-hash": moraintest.TreeHash(b),
	}}).Header.Get("x-amz-archive-id")
}

// A download is a range of a job's output, and what has to come back.
type download struct {
	byteRange string // the Range header; empty: none
	status    int
	data      []byte
	hash      string // empty: no header
}

// check downloads a range of a job on an archive.
func (d download) check(t *testing.T, v jobVault, job string, size int) {
	t.Helper()
	res := v.output(t, job, d.byteRange)
	if res.Status != d.status || res.Body != string(d.data) {
		t.Errorf("Range %q: status %d and %d bytes, want status %d and %d bytes, or the bytes differ", d.byteRange, res.Status, len(res.Body), d.status, len(d.data))
	}
	want := map[string]string{
		"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", "Content-Length": fmt.Sprint(len(d.data)),
		"X-Amz-Sha256-Tree-Hash": d.hash, "Content-Range": "",
	}
	if d.status == 206 {
		first := strings.TrimSuffix(strings.TrimPrefix(d.byteRange, "bytes="), "-")
		first, _, _ = strings.Cut(first, "-")
		var off int
		if fmt.Sscan(first, &off); first == "" {
			off = size - len(d.data)
		}
		want["Content-Range"] = fmt.Sprintf("bytes %d-%d/%d", off, off+len(d.data)-1, size)
	}
	for name, value := range want {
		if got := res.Header.Get(name); got != value {
			t.Errorf("Range %q: %s is %q, want %q", d.byteRange, name, got, value)
		}
	}
}

// A vector is a row of the worked cases of the specification: a range of an archive of the test pattern and its tree hash.
type vector struct {
	first, last int    // inclusive
	hash        string // empty: the range is not tree-hash aligned
}

// Hashes of the worked cases that occur more than once.
const (
	leaf1      = "729b9155f00261a681000ccd0ff20e750ed3d525b5b1e6fc961837a3bb666fd6"
	leaf4      = "913ce5b1447d28935c8acc3bc64add33b4c092c1eda4d6913e42f41f57b73b11"
	leaf5      = "0c6cb13dd57281eb061a856c0c6b121aed3ef04e8d94ea989e4fd5f3918a4f20"
	leaf6      = "3fe5670143d04b21f7993a66e25f307e3c1083134804dd589dfc699eebc29bf2"
	shortLeaf5 = "062d6b4d7d1110bf8db4796d722385f3aa81bd8cace7a6bb87a9651adfa3f172" // of the 5.5 MiB archive
	node4to6   = "3f1cd462b63cf286198c3f2ee91cf116dfed51d327686dca0fb06ba94a4ae759"
	node4to7   = "2ed31f9001aae783cf780d7d6be26828f453988c4168a9d84e290de24d0237b3"
	node4to55  = "496d4d95e43c393168f28a6532fd3e158a8477d949db92d5b7df78090fd5ec27"
)

// vectors are the worked cases by the size of the archive.
func vectors() map[int][]vector {
	return map[int][]vector{
		7 * mib: {
			{0, 7*mib - 1, "8bfce57c6a4076b3e930e725fbaa00beeffff0f0d9a6491a89a53baa73b4810d"},
			{0, 4*mib - 1, "c7d749cd55cefa8ed8fbc208202e18d019b7701f29886f7c5d662d77b3903833"},
			{0, 2*mib - 1, "bf4dff263ae686b64403208c35a3767e38453d6477e841947588d13d04e1d816"},
			{2 * mib, 4*mib - 1, "9e217b1ceb8db81071f9c6e4a2bf0401a83491d10751ce858a2628f5d699dbdb"},
			{4 * mib, 6*mib - 1, node4to6},
			{4 * mib, 7*mib - 1, node4to7},
			{6 * mib, 7*mib - 1, leaf6},
			{1 * mib, 2*mib - 1, leaf1},
			{0, 1*mib - 1, "631b84027d6b9e52b539c4e8373622d23032dfadc64d60af87339c9037e4f769"},
			{2 * mib, 3*mib - 1, "c85ef98b88946506e2c5488c04b97d86b5ec214add104d4849a3145f5e49fd65"},
			{3 * mib, 4*mib - 1, "fb424e06b1bcfa4abe6862ffbb279614d06fd76af7f0a9015d05943c19ff3bc7"},
			{4 * mib, 5*mib - 1, leaf4},
			{5 * mib, 6*mib - 1, leaf5},
			{1 * mib, 3*mib - 1, ""},
			{0, 3*mib - 1, ""},
			{0, 6*mib - 1, ""},
			{2 * mib, 6*mib - 1, ""},
			{5 * mib, 7*mib - 1, ""},
		},
		11 * mib / 2: {
			{0, 11*mib/2 - 1, "3493387cee361be12e24da9c024bf3e2a55f81df464f6ae822209f79a92248f5"},
			{4 * mib, 11*mib/2 - 1, node4to55},
			{5 * mib, 11*mib/2 - 1, shortLeaf5},
			{4 * mib, 5*mib - 1, leaf4},
			{0, 4*mib - 1, "c7d749cd55cefa8ed8fbc208202e18d019b7701f29886f7c5d662d77b3903833"},
			{3 * mib, 11*mib/2 - 1, ""},
			{0, 5*mib - 1, ""},
		},
	}
}

// ways are the part sizes that archives are uploaded in; 0 is one piece. With 8 MiB the only part is a short one.
var ways = []int{0, 1 * mib, 2 * mib, 4 * mib, 8 * mib} // read only

// TestChecksumVectors uploads the test vectors with the hashes that the specification gives, and then in parts, whose hashes must come to the same.
func TestChecksumVectors(t *testing.T) {
	v := newJobVault(t, moraintest.Start(t), "photos")
	pattern, zeros := moraintest.Pattern(16*mib), bytes.Repeat([]byte("0"), 11*mib/2)
	for _, tt := range []struct {
		size         int
		data         []byte // begins with the vector
		linear, tree string // an empty tree hash is equal to the linear one
	}{
		{1, pattern, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d", ""},
		{1_023, pattern, "1c5e88a585b61754df6137d66632a7348557a88358afc401b0a0a4fc427104a9", ""},
		{1_048_575, pattern, "8b55c6a2d3444092a316985030e00c1e6f8608eaf912c896dee7c374d440ed11", ""},
		{1_048_576, pattern, "631b84027d6b9e52b539c4e8373622d23032dfadc64d60af87339c9037e4f769", ""},
		{1_048_577, pattern, "5769f52bc3eef28afa39c6fc68cadb7d0bd69812ae3a3d71452f519ec3c7aa56", "a9c574ce937d2371daf87cdd0e75396b096d7f74a66c764e4c656bd12b2e7bf9"},
		{2_097_152, pattern, "1e075c8d478ad21844e33e830a695ef03a4d2488b69ee275bd8947618bb1be1e", "bf4dff263ae686b64403208c35a3767e38453d6477e841947588d13d04e1d816"},
		{2_621_440, pattern, "35aeff7e048974ee23c365c8faf6bcb868ca0529c69309a00f6cde98bfbf89ce", "9b2474f7359f1464535323bfcd3254903843f74cd482d4b35b8e039bcc88c5bf"},
		{3_145_728, pattern, "a1feacf0d812ba4d0b0e463ed45bbd583cea1de55c54693116754b30b5794745", "2e7d51c0ffe06ce95fe74beed9a4ab35d18837f4ab2a9f4f066a60359eb999a1"},
		{4_194_304, pattern, "a117210941a0b00dcb2d8577e680d84b6fa0eaf760d2afc654c953b9859d54fa", "c7d749cd55cefa8ed8fbc208202e18d019b7701f29886f7c5d662d77b3903833"},
		{5_242_880, pattern, "16b632f11cf950dda67dc4c184a3f9e0aa1ffa4c18927bb8977e7da97ca25bca", "1eccd0ca741241ce114bde6d24a8de044ccee139ef6651bec9006d2f558751ef"},
		{5_767_168, pattern, "e06c1178d81a126be5aea1c067d9be2ed1a3ae33a59f1e1633c135d619ab4d53", "3493387cee361be12e24da9c024bf3e2a55f81df464f6ae822209f79a92248f5"},
		{6_291_456, pattern, "c126bea7f5169cf05030eb29025a1f351e177d6f1efdd4e56919ab1c170f965f", "deb96dd479a20e396e4670fc8e8d80358b97cd8c77800c9310bd82ebb3285960"},
		{7_340_032, pattern, "c0c49a419ecae55243613a85dc1e1cb5ec9d5a51d5f439a8c16eb7ff0b139920", "8bfce57c6a4076b3e930e725fbaa00beeffff0f0d9a6491a89a53baa73b4810d"},
		{8_388_608, pattern, "bdf23837181f5808331800c1ae2b4f7d7a839536b10d58491471c50dde23833a", "be9e1b21179533d14e87f6e4767f32b1c17e8ffb5ffcf82d42eceacf8abda110"},
		{9_437_191, pattern, "8461691889434d8612698ecdc04cfe0ce63ef00d872f239d7e652b027e2bfda9", "2d98c39344cbe20d08bd6c644e54c9e9a718b09b73ff49cecd5aba066f0be5a8"},
		{16_777_216, pattern, "287507f403176f1f5b22b9a4d9cb49f7d7f88ac19e406b5ae87ce109564846bd", "fe8d5faa139c80676b882005e2aa820ef7ea5673b292a62850f1336d9ee604a2"},
		{5_767_168, zeros, "68aff0c5a91aa0491752bfb96e3fef33eb74953804f6a2f7b708d5bcefa8ff6b", "154e26c78fd74d0c2c9b3cc4644191619dc4f2cd539ae2a74d5fd07957a3ee6a"},
	} {
		data, tree := tt.data[:tt.size], cmp.Or(tt.tree, tt.linear)
		t.Run(fmt.Sprintf("edge 211 %d bytes of %q", tt.size, data[:1]), func(t *testing.T) {
			res := v.Do(t, moraintest.Request{Method: "POST", Path: v.path() + "/archives", Body: data,
				Header: map[string]string{"x-amz-content-sha256": tt.linear, "x-amz-sha256-tree-hash": tree}})
			if got := res.Header.Get("x-amz-sha256-tree-hash"); res.Status != 201 || got != tree {
				t.Fatalf("UploadArchive: status %d, tree hash %q, want %q: %s", res.Status, got, tree, res.Body)
			}
			archives := []string{res.Header.Get("x-amz-archive-id")}
			for _, way := range ways[1:] {
				if way < 2*tt.size || way == mib { // more than one part, or one short one
					archives = append(archives, v.uploadParts(t, data, way, ""))
				}
			}
			for _, archive := range archives {
				job, d := v.run(t, `{"Type":"archive-retrieval","ArchiveId":"%s"}`, archive)
				if d["ArchiveSHA256TreeHash"] != tree || d["SHA256TreeHash"] != tree {
					t.Errorf("ArchiveSHA256TreeHash %v, SHA256TreeHash %v, want %s", d["ArchiveSHA256TreeHash"], d["SHA256TreeHash"], tree)
				}
				download{"", 200, data, tree}.check(t, v, job, tt.size)
			}
		})
	}
}

// TestTreeHashVectors holds the tree hashes of jobs and downloads against the worked cases, however the archive came in.
func TestTreeHashVectors(t *testing.T) {
	v := newJobVault(t, moraintest.Start(t), "photos")
	for size, rows := range vectors() {
		data := moraintest.Pattern(size)
		for _, way := range ways {
			t.Run(fmt.Sprintf("%.1f MiB in parts of %d MiB", float64(size)/mib, way/mib), func(t *testing.T) {
				archive := v.uploadParts(t, data, way, "")
				whole, _ := v.run(t, `{"Type":"archive-retrieval","ArchiveId":"%s"}`, archive)
				for _, r := range rows {
					want := data[r.first : r.last+1]
					t.Run(fmt.Sprintf("edge 218 219 download %d-%d", r.first, r.last), func(t *testing.T) {
						download{fmt.Sprintf("bytes=%d-%d", r.first, r.last), 206, want, r.hash}.check(t, v, whole, size)
					})
					t.Run(fmt.Sprintf("edge 196 197 job %d-%d", r.first, r.last), func(t *testing.T) {
						job, d := v.run(t, `{"Type":"archive-retrieval","ArchiveId":"%s","RetrievalByteRange":"%d-%d"}`, archive, r.first, r.last)
						if got, _ := d["SHA256TreeHash"].(string); got != r.hash || d["ArchiveSHA256TreeHash"] != rows[0].hash {
							t.Errorf("SHA256TreeHash %q, ArchiveSHA256TreeHash %v", got, d["ArchiveSHA256TreeHash"])
						}
						download{"", 200, want, r.hash}.check(t, v, job, len(want))
					})
				}
				t.Run("edge 211 no range", func(t *testing.T) {
					download{"", 200, data, rows[0].hash}.check(t, v, whole, size)
				})
				t.Run("edge 218 not MiB aligned", func(t *testing.T) {
					for _, r := range []vector{{1, mib, ""}, {0, 99, ""}, {4 * mib, 9*mib/2 - 1, ""}, {size - 1, size - 1, ""}, {0, size - 2, ""}} {
						download{fmt.Sprintf("bytes=%d-%d", r.first, r.last), 206, data[r.first : r.last+1], ""}.check(t, v, whole, size)
					}
				})
			})
		}
	}
}

// TestTreeHashOfRangedJobs is the table of when a download has a tree hash, for jobs that retrieve a part of an archive.
func TestTreeHashOfRangedJobs(t *testing.T) {
	v := newJobVault(t, moraintest.Start(t), "photos")
	for _, way := range ways {
		archives, jobs := map[int]string{}, map[vector]string{}
		for size := range vectors() {
			archives[size] = v.uploadParts(t, moraintest.Pattern(size), way, "")
		}
		for _, tt := range []struct {
			name      string
			size      int
			job       vector
			byteRange string
			want      vector // in the archive
		}{
			{"217 first MiB", 7 * mib, vector{4 * mib, 7*mib - 1, node4to7}, "bytes=0-1048575", vector{4 * mib, 5*mib - 1, leaf4}},
			{"217 first two MiB", 7 * mib, vector{4 * mib, 7*mib - 1, node4to7}, "bytes=0-2097151", vector{4 * mib, 6*mib - 1, node4to6}},
			{"217 second MiB", 7 * mib, vector{4 * mib, 7*mib - 1, node4to7}, "bytes=1048576-2097151", vector{5 * mib, 6*mib - 1, leaf5}},
			{"217 whole as a range", 7 * mib, vector{4 * mib, 7*mib - 1, node4to7}, "bytes=0-3145727", vector{4 * mib, 7*mib - 1, node4to7}},
			{"217 end clamped", 7 * mib, vector{4 * mib, 7*mib - 1, node4to7}, "bytes=2097152-9999999", vector{6 * mib, 7*mib - 1, leaf6}},
			{"217 open end", 7 * mib, vector{4 * mib, 7*mib - 1, node4to7}, "bytes=2097152-", vector{6 * mib, 7*mib - 1, leaf6}},
			{"217 suffix", 7 * mib, vector{4 * mib, 7*mib - 1, node4to7}, "bytes=-1048576", vector{6 * mib, 7*mib - 1, leaf6}},
			{"217 not a node", 7 * mib, vector{4 * mib, 7*mib - 1, node4to7}, "bytes=1048576-3145727", vector{5 * mib, 7*mib - 1, ""}},
			{"217 not MiB aligned", 7 * mib, vector{4 * mib, 7*mib - 1, node4to7}, "bytes=1-1048576", vector{4*mib + 1, 5 * mib, ""}},
			{"217 ends in the middle", 7 * mib, vector{4 * mib, 7*mib - 1, node4to7}, "bytes=2097152-2621439", vector{6 * mib, 13*mib/2 - 1, ""}},
			{"220 aligned part", 7 * mib, vector{1 * mib, 3*mib - 1, ""}, "bytes=0-1048575", vector{1 * mib, 2*mib - 1, ""}},
			{"220 whole as a range", 7 * mib, vector{1 * mib, 3*mib - 1, ""}, "bytes=0-2097151", vector{1 * mib, 3*mib - 1, ""}},
			{"220 aligned half", 7 * mib, vector{0, 6*mib - 1, ""}, "bytes=0-4194303", vector{0, 4*mib - 1, ""}},
			{"220 aligned beginning", 7 * mib, vector{0, 5*mib - 1, ""}, "bytes=0-2097151", vector{0, 2*mib - 1, ""}},
			{"217 short end, first", 11 * mib / 2, vector{4 * mib, 11*mib/2 - 1, node4to55}, "bytes=0-1048575", vector{4 * mib, 5*mib - 1, leaf4}},
			{"217 short end, last", 11 * mib / 2, vector{4 * mib, 11*mib/2 - 1, node4to55}, "bytes=1048576-1572863", vector{5 * mib, 11*mib/2 - 1, shortLeaf5}},
			{"217 short end, clamped", 11 * mib / 2, vector{4 * mib, 11*mib/2 - 1, node4to55}, "bytes=1048576-2097151", vector{5 * mib, 11*mib/2 - 1, shortLeaf5}},
			{"217 only the short leaf", 11 * mib / 2, vector{5 * mib, 11*mib/2 - 1, shortLeaf5}, "bytes=0-", vector{5 * mib, 11*mib/2 - 1, shortLeaf5}},
			{"220 short end", 11 * mib / 2, vector{3 * mib, 11*mib/2 - 1, ""}, "bytes=1048576-2621439", vector{4 * mib, 11*mib/2 - 1, ""}},
		} {
			t.Run(fmt.Sprintf("edge %s, parts of %d MiB", tt.name, way/mib), func(t *testing.T) {
				job, started := jobs[tt.job]
				if !started {
					id, d := v.run(t, `{"Type":"archive-retrieval","ArchiveId":"%s","RetrievalByteRange":"%d-%d"}`, archives[tt.size], tt.job.first, tt.job.last)
					if got, _ := d["SHA256TreeHash"].(string); got != tt.job.hash {
						t.Errorf("SHA256TreeHash of the job %q, want %q", got, tt.job.hash)
					}
					job, jobs[tt.job] = id, id
				}
				want := moraintest.Pattern(tt.size)[tt.want.first : tt.want.last+1]
				download{tt.byteRange, 206, want, tt.want.hash}.check(t, v, job, tt.job.last-tt.job.first+1)
			})
		}
	}
}

// nodes returns the nodes of the tree of some leaves with their hashes, by first leaf and the leaf after the last. It follows the definition:
// the left child of a node is the largest full tree that leaves something for the right one.
func nodes(leaves [][32]byte, first int, into map[[2]int]string) [32]byte {
	h := leaves[0]
	if n := len(leaves); n > 1 {
		half := 1
		for half*2 < n {
			half *= 2
		}
		left, right := nodes(leaves[:half], first, into), nodes(leaves[half:], first+half, into)
		h = sha256.Sum256(append(left[:], right[:]...))
	}
	into[[2]int{first, first + len(leaves)}] = hex.EncodeToString(h[:])
	return h
}

// TestTreeHashOfEveryRange asks for every range of whole MiBs of every job on whole MiBs of an archive.
func TestTreeHashOfEveryRange(t *testing.T) {
	const n = 7
	data := moraintest.Pattern(n * mib)
	var leaves [][32]byte
	for leaf := range slices.Chunk(data, mib) {
		leaves = append(leaves, sha256.Sum256(leaf))
	}
	hashes := map[[2]int]string{}
	nodes(leaves, 0, hashes)
	v := newJobVault(t, moraintest.Start(t), "photos")
	archive := v.uploadParts(t, data, 2*mib, "") // nodes within a part, nodes that are parts, nodes of parts
	for job := range ranges(0, n) {
		t.Run(fmt.Sprintf("edge 217 to 220 job of leaves %v", job), func(t *testing.T) {
			id, d := v.run(t, `{"Type":"archive-retrieval","ArchiveId":"%s","RetrievalByteRange":"%d-%d"}`, archive, job[0]*mib, job[1]*mib-1)
			if got, _ := d["SHA256TreeHash"].(string); got != hashes[job] {
				t.Errorf("SHA256TreeHash of the job %q, want %q", got, hashes[job])
			}
			for sub := range ranges(job[0], job[1]) {
				want := download{fmt.Sprintf("bytes=%d-%d", (sub[0]-job[0])*mib, (sub[1]-job[0])*mib-1), 206, data[sub[0]*mib : sub[1]*mib], ""}
				if hashes[job] != "" {
					want.hash = hashes[sub]
				}
				want.check(t, v, id, (job[1]-job[0])*mib)
			}
		})
	}
}

// ranges gives every range within [from, to) as its first element and the one after its last.
func ranges(from, to int) func(yield func([2]int) bool) {
	return func(yield func([2]int) bool) {
		for a := from; a < to; a++ {
			for b := a + 1; b <= to; b++ {
				if !yield([2]int{a, b}) {
					return
				}
			}
		}
	}
}

func TestGetJobOutputRanges(t *testing.T) {
	v := newJobVault(t, moraintest.Start(t), "photos")
	data := moraintest.Pattern(5*mib/2 + 7)
	size := len(data)
	whole := moraintest.TreeHash(data)
	for _, way := range []int{0, mib} {
		job, _ := v.run(t, `{"Type":"archive-retrieval","ArchiveId":"%s"}`, v.uploadParts(t, data, way, ""))
		for _, tt := range []struct {
			name string
			want download
		}{
			{"211 no range", download{"", 200, data, whole}},
			{"212 whole as a range", download{fmt.Sprintf("bytes=0-%d", size-1), 206, data, whole}},
			{"212 open range", download{"bytes=0-", 206, data, whole}},
			{"213 end clamped", download{fmt.Sprintf("bytes=0-%d", size+999), 206, data, whole}},
			{"213 end far away", download{"bytes=0-999999999999999999", 206, data, whole}},
			{"213 last leaf, end clamped", download{fmt.Sprintf("bytes=%d-%d", 2*mib, 3*mib-1), 206, data[2*mib:], moraintest.Hex(data[2*mib:])}},
			{"213 last byte", download{fmt.Sprintf("bytes=%d-%d", size-1, size), 206, data[size-1:], ""}},
			{"213 across leaves", download{"bytes=1048575-2097152", 206, data[mib-1 : 2*mib+1], ""}},
			{"214 last bytes", download{"bytes=-10", 206, data[size-10:], ""}},
			{"214 last bytes, more than there are", download{"bytes=-99999999", 206, data, whole}},
			{"215 unit without equals sign", download{"bytes 0-9/100", 200, data, whole}},
			{"215 no unit", download{"0-9", 200, data, whole}},
			{"215 with a length", download{"0-100/493", 200, data, whole}},
			{"215 end before start", download{"bytes=9-0", 200, data, whole}},
			{"215 other unit", download{"leaves=0-1", 200, data, whole}},
			{"215 space", download{"bytes= 0-9", 200, data, whole}},
			{"215 no offsets", download{"bytes=-", 200, data, whole}},
			{"215 no bytes", download{"bytes=-0", 200, data, whole}},
			{"215 text", download{"bytes=a-b", 200, data, whole}},
			{"216 two ranges", download{"bytes=0-1,4-5", 200, data, whole}},
			{"216 two ranges with a space", download{"bytes=0-1, 4-5", 200, data, whole}},
		} {
			t.Run(fmt.Sprintf("edge %s, parts of %d MiB", tt.name, way/mib), func(t *testing.T) { tt.want.check(t, v, job, size) })
		}
		for _, byteRange := range []string{fmt.Sprintf("bytes=%d-", size), fmt.Sprintf("bytes=%d-%d", size, size+9), "bytes=999999999999-"} {
			t.Run(fmt.Sprintf("edge 214 %s, parts of %d MiB", byteRange, way/mib), func(t *testing.T) {
				wantError(t, v.output(t, job, byteRange), 400, invalid, "The start of the range is larger than size of retrieved data: "+byteRange)
			})
		}
	}
}

func TestGetJobOutputHeaders(t *testing.T) {
	v := newJobVault(t, moraintest.Start(t), "photos")
	const description = `a "b",  \c: <d>`
	job, _ := v.run(t, `{"Type":"archive-retrieval","ArchiveId":"%s"}`, v.Upload(t, v.name, []byte("described"), description))
	inParts, _ := v.run(t, `{"Type":"archive-retrieval","ArchiveId":"%s"}`, v.uploadParts(t, []byte("described"), mib, description))
	plain, _ := v.run(t, `{"Type":"archive-retrieval","ArchiveId":"%s"}`, v.Upload(t, v.name, []byte("plain"), ""))
	asJSON, _ := v.run(t, `{"Type":"inventory-retrieval"}`)
	asCSV, _ := v.run(t, `{"Type":"inventory-retrieval","Format":"CSV"}`)
	for _, tt := range []struct{ name, job, mediaType, description, hash string }{
		{"223 description", job, "application/octet-stream", description, moraintest.Hex([]byte("described"))},
		{"223 description of an archive in parts", inParts, "application/octet-stream", description, moraintest.Hex([]byte("described"))},
		{"223 no description", plain, "application/octet-stream", "", moraintest.Hex([]byte("plain"))},
		{"221 JSON inventory", asJSON, "application/json", "", ""},
		{"222 CSV inventory", asCSV, "text/csv", "", ""},
	} {
		t.Run("edge "+tt.name, func(t *testing.T) {
			whole := v.output(t, tt.job, "")
			part := v.output(t, tt.job, "bytes=1-3")
			if whole.Status != 200 || part.Status != 206 || part.Body != whole.Body[1:4] {
				t.Errorf("status %d, then %d with %q", whole.Status, part.Status, part.Body)
			}
			for _, res := range []moraintest.Response{whole, part} {
				for name, want := range map[string]string{
					"Content-Type": tt.mediaType, "Accept-Ranges": "bytes", "Content-Length": fmt.Sprint(len(res.Body)), "X-Amz-Archive-Description": tt.description,
				} {
					if got := strings.Join(res.Header[name], "\n"); got != want {
						t.Errorf("%s is %q, want %q", name, got, want)
					}
				}
			}
			if got := whole.Header.Get("X-Amz-Sha256-Tree-Hash"); got != tt.hash {
				t.Errorf("x-amz-sha256-tree-hash is %q, want %q", got, tt.hash)
			}
			if _, ok := part.Header["X-Amz-Sha256-Tree-Hash"]; ok {
				t.Error("a tree hash for a range that has none")
			}
			beyond := fmt.Sprintf("bytes=%d-", len(whole.Body))
			wantError(t, v.output(t, tt.job, beyond), 400, invalid, "The start of the range is larger than size of retrieved data: "+beyond)
		})
	}
	t.Run("edge 226 conditions are ignored and nothing is compressed", func(t *testing.T) {
		res := v.Do(t, moraintest.Request{Method: "GET", Path: v.path() + "/jobs/" + plain + "/output", Header: map[string]string{
			"If-None-Match": "*", "If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT", "If-Range": `"x"`, "Accept-Encoding": "gzip", "Range": "bytes=1-2",
		}})
		if res.Status != 206 || res.Body != "la" || res.Header.Get("Content-Encoding") != "" {
			t.Errorf("status %d, encoding %q: %q", res.Status, res.Header.Get("Content-Encoding"), res.Body)
		}
	})
}

func TestDownloadsRepeated(t *testing.T) {
	v := newJobVault(t, moraintest.Start(t), "photos")
	data := moraintest.Pattern(3*mib + 1)
	job, _ := v.run(t, `{"Type":"archive-retrieval","ArchiveId":"%s"}`, v.uploadParts(t, data, 2*mib, ""))
	inventory, _ := v.run(t, `{"Type":"inventory-retrieval"}`)
	listing := v.output(t, inventory, "").Body
	t.Run("edge 226 a client leaves early", func(t *testing.T) {
		res, err := http.DefaultTransport.RoundTrip(v.HTTPRequest(t, moraintest.Request{Method: "GET", Path: v.path() + "/jobs/" + job + "/output"}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(res.Body, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	})
	t.Run("edge 226 in parallel", func(t *testing.T) {
		v.Upload(t, v.name, []byte("later"), "") // changes nothing
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				download{"", 200, data, moraintest.TreeHash(data)}.check(t, v, job, len(data))
				if got := v.output(t, inventory, "").Body; got != listing {
					t.Errorf("the inventory was %s\nand is %s", listing, got)
				}
			})
		}
		all.Wait()
	})
}

// TestDeletedWhileOffered follows an archive that is deleted after a job on it succeeded: the job offers it until it expires, a download may run
// for as long as any request, and then the bytes go.
func TestDeletedWhileOffered(t *testing.T) {
	const size = 7 * mib
	data := moraintest.Pattern(size)
	for _, way := range ways {
		t.Run(fmt.Sprintf("edge 224 parts of %d MiB", way/mib), func(t *testing.T) {
			v := newJobVault(t, moraintest.Start(t), "photos")
			archive := v.uploadParts(t, data, way, "")
			first, _ := v.run(t, `{"Type":"archive-retrieval","ArchiveId":"%s"}`, archive)
			v.Advance(time.Hour)
			second, _ := v.run(t, `{"Type":"archive-retrieval","ArchiveId":"%s","RetrievalByteRange":"4194304-7340031"}`, archive)
			v.remove(t, archive)
			v.remove(t, archive) // again
			records := v.Records(t)
			wantError(t, v.post(t, `{"Type":"archive-retrieval","ArchiveId":"`+archive+`"}`), 404, notFound, "The archive ID was not found: "+archive)
			download{"", 200, data, moraintest.TreeHash(data)}.check(t, v, first, size)
			download{"bytes=0-2097151", 206, data[4*mib : 6*mib], node4to6}.check(t, v, second, 3*mib)

			v.Advance(23*time.Hour + time.Minute)
			wantError(t, v.output(t, first, ""), 404, notFound, "The job ID was not found: "+first)
			download{"", 200, data[4*mib:], node4to7}.check(t, v, second, 3*mib)
			v.Advance(24 * time.Hour) // both have expired; a download of the second may still run
			if found, err := v.Service().Sweep(context.Background()); err != nil || found.Removed != 0 || v.Records(t) != records {
				t.Errorf("sweep: %+v, %v; there are %d records, were %d", found, err, v.Records(t), records)
			}
			v.Advance(24 * time.Hour)
			moraintest.Eventually(t, "the bytes of the archive to go", func() bool { return v.Records(t) == 0 })
			v.remove(t, archive) // the deletion is remembered
		})
	}
}

func TestDownloadOutlivesItsJob(t *testing.T) {
	v := newJobVault(t, moraintest.Start(t), "photos")
	data := moraintest.Pattern(32 * mib) // more than the buffers of a connection hold
	archive := v.uploadParts(t, data, 8*mib, "")
	job, _ := v.run(t, `{"Type":"archive-retrieval","ArchiveId":"%s"}`, archive)
	t.Run("edge 224 deleted and expired during the download", func(t *testing.T) {
		res, err := http.DefaultTransport.RoundTrip(v.HTTPRequest(t, moraintest.Request{Method: "GET", Path: v.path() + "/jobs/" + job + "/output"}))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		got := make([]byte, mib)
		if _, err := io.ReadFull(res.Body, got); err != nil {
			t.Fatal(err)
		}
		v.remove(t, archive)
		v.Advance(25 * time.Hour)
		wantError(t, v.get(t, "/jobs/"+job), 404, notFound, "The job ID was not found: "+job)
		rest, err := io.ReadAll(res.Body)
		if err != nil || !bytes.Equal(append(got, rest...), data) {
			t.Errorf("%d bytes, %v", len(got)+len(rest), err)
		}
	})
}

// modes are the two behaviours of a server and how long a job takes there.
func modes() map[string]struct {
	options []func(*config.Config)
	takes   time.Duration
} {
	return map[string]struct {
		options []func(*config.Config)
		takes   time.Duration
	}{
		"default":  {},
		"emulated": {[]func(*config.Config){moraintest.Emulate}, 5 * time.Hour},
	}
}

func TestJobExpiry(t *testing.T) {
	for name, mode := range modes() {
		t.Run(name, func(t *testing.T) {
			v := newJobVault(t, moraintest.Start(t, mode.options...), "photos")
			archive := v.Upload(t, v.name, []byte("kept"), "")
			doomed := v.Upload(t, v.name, []byte("doomed"), "")
			if mode.takes > 0 {
				v.awaitInventory(t)
			}
			jobs := []string{v.start(t, `{"Type":"archive-retrieval","ArchiveId":"%s"}`, archive), v.start(t, `{"Type":"inventory-retrieval"}`)}
			v.Advance(mode.takes)
			for _, job := range jobs {
				v.WaitForJob(t, v.name, job)
			}
			if mode.takes > 0 {
				jobs = append(jobs, v.start(t, `{"Type":"archive-retrieval","ArchiveId":"%s"}`, doomed))
				v.remove(t, doomed)
			}
			t.Run("edge 209 succeeded 23 hours ago", func(t *testing.T) {
				v.Advance(23*time.Hour + 55*time.Minute)
				for _, job := range jobs[:2] {
					if res := v.output(t, job, ""); res.Status != 200 {
						t.Errorf("GetJobOutput: status %d: %s", res.Status, res.Body)
					}
				}
				if ids, _ := v.listed(t, ""); len(ids) != len(jobs) {
					t.Errorf("%d jobs are listed, want %d", len(ids), len(jobs))
				}
			})
			running := v.start(t, `{"Type":"archive-retrieval","ArchiveId":"%s"}`, archive)
			_, marker := v.listed(t, "limit=1")
			t.Run("edge 210 expired", func(t *testing.T) {
				v.Advance(6 * time.Minute)
				for _, job := range jobs {
					wantError(t, v.get(t, "/jobs/"+job), 404, notFound, "The job ID was not found: "+job)
					wantError(t, v.output(t, job, ""), 404, notFound, "The job ID was not found: "+job)
				}
				if ids, _ := v.listed(t, ""); !slices.Equal(ids, []string{running}) {
					t.Errorf("jobs %q are listed, want only %s", ids, running)
				}
			})
			t.Run("edge 210 marker of expired jobs", func(t *testing.T) {
				if ids, next := v.listed(t, "marker="+marker.(string)); ids != nil || next != nil {
					t.Errorf("jobs %q, marker %v", ids, next)
				}
			})
		})
	}
}

func TestJobsSurviveRestart(t *testing.T) {
	for name, mode := range modes() {
		t.Run("edge 227 "+name, func(t *testing.T) {
			v := newJobVault(t, moraintest.Start(t, mode.options...), "photos")
			archive, doomed := v.uploadParts(t, moraintest.Pattern(3*mib), mib, "x"), v.Upload(t, v.name, []byte("doomed"), "")
			var jobs []string
			for _, body := range []string{
				`{"Type":"archive-retrieval","ArchiveId":"` + archive + `","Description":"first"}`,
				`{"Type":"archive-retrieval","ArchiveId":"` + archive + `","RetrievalByteRange":"1048576-3145727","Tier":"Bulk"}`,
				`{"Type":"archive-retrieval","ArchiveId":"` + doomed + `"}`,
			} {
				jobs = append(jobs, v.start(t, "%s", body))
			}
			if mode.takes == 0 {
				jobs = append(jobs, v.start(t, `{"Type":"inventory-retrieval"}`))
				for _, job := range jobs {
					v.WaitForJob(t, v.name, job)
				}
			}
			v.remove(t, doomed)
			before := v.observe(t, jobs)
			v.Restart(t)
			if after := v.observe(t, jobs); !maps.Equal(before, after) {
				t.Errorf("before %v\nafter  %v", before, after)
			}
			v.Advance(12 * time.Hour) // what was running goes on
			if d := v.WaitForJob(t, v.name, jobs[0]); d["StatusCode"] != "Succeeded" {
				t.Errorf("the first job ended: %v", d)
			}
			download{"", 200, moraintest.Pattern(3 * mib), moraintest.TreeHash(moraintest.Pattern(3 * mib))}.check(t, v, jobs[0], 3*mib)
		})
	}
}

// observe returns everything that can be seen of some jobs.
func (v jobVault) observe(t *testing.T, jobs []string) map[string]string {
	t.Helper()
	seen := map[string]string{"list": v.get(t, "/jobs").Body}
	for _, job := range jobs {
		out := v.output(t, job, "")
		seen[job] = v.get(t, "/jobs/"+job).Body + out.Header.Get("x-amz-sha256-tree-hash") + fmt.Sprint(out.Status) + out.Body
	}
	return seen
}
