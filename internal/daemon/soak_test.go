package daemon_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/glacier"
	"github.com/aws/aws-sdk-go-v2/service/glacier/types"

	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

// Figures of the soak.
const (
	soakClients  = 16
	soakSharing  = 2  // clients of one vault
	soakArchives = 40 // of a client at most

	slackGoroutines  = 4
	slackDescriptors = 28 // the 8 readers of the catalogue are opened when they are needed, with 3 files each
)

// TestSoak lets many clients do what clients do, and what they should not, for MORAINE_SOAK (2m, 1h). Each knows what it has stored and
// checks all that comes back. In the end everything is there after a restart, and nothing has leaked: no goroutine, no file
// descriptor and, when all is deleted, no byte on the disk.
func TestSoak(t *testing.T) {
	text := os.Getenv("MORAINE_SOAK")
	if text == "" {
		t.Skip("MORAINE_SOAK is not set; `make soak` sets it to 2m")
	}
	length, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("MORAINE_SOAK: %v", err)
	}
	needDisk(t)
	soak(t, length)
}

// TestSoakBriefly keeps the soak itself in order.
func TestSoakBriefly(t *testing.T) { soak(t, 3*time.Second) }

func soak(t *testing.T, length time.Duration) {
	s := moraintest.Start(t)
	transport := &http.Transport{MaxIdleConnsPerHost: 2 * soakClients}
	defer transport.CloseIdleConnections()
	clients := make([]*soakClient, soakClients)
	for i := range clients {
		clients[i] = &soakClient{
			t: t, transport: transport, vault: fmt.Sprintf("vault-%d", i/soakSharing), seed: int64(i) << 32,
			rng: rand.New(rand.NewPCG(1, uint64(i))), did: map[string]int{},
		}
		clients[i].connect(s)
		if i%soakSharing == 0 {
			s.CreateVault(t, clients[i].vault)
		}
	}
	work(t, clients, length/10) // makes what is made once
	before := quiet(transport)
	work(t, clients, length)
	after := quiet(transport)
	t.Logf("operations: %v", total(clients))
	t.Logf("at rest: %+v; after the load: %+v", before, after)
	if after.goroutines > before.goroutines+slackGoroutines {
		var stacks bytes.Buffer
		pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		t.Errorf("goroutines leak: %d, then %d\n%s", before.goroutines, after.goroutines, stacks.Bytes())
	}
	if after.descriptors > before.descriptors+slackDescriptors {
		t.Errorf("file descriptors leak: %d, then %d: %q", before.descriptors, after.descriptors, openFiles())
	}
	s.Restart(t)
	each(t, clients, func(ctx context.Context, c *soakClient) error {
		c.connect(s)
		return c.verifyAll(ctx)
	})
	verifyVaults(t, s, clients)
	each(t, clients, func(ctx context.Context, c *soakClient) error { return c.deleteAll(ctx) })
	verifyEmpty(t, s)
}

// work lets all clients work for a time.
func work(t *testing.T, clients []*soakClient, length time.Duration) {
	t.Helper()
	end := time.Now().Add(length)
	each(t, clients, func(ctx context.Context, c *soakClient) error {
		for n := 0; time.Now().Before(end); n++ {
			op := c.choose()
			if err := op.do(c, ctx); err != nil {
				return fmt.Errorf("operation %d, %s: %w", n, op.name, err)
			}
			c.did[op.name]++
		}
		return nil
	})
}

// each calls do for all clients at once. The test ends if one fails.
func each(t *testing.T, clients []*soakClient, do func(context.Context, *soakClient) error) {
	t.Helper()
	err := atATime(len(clients), len(clients), func(i int) error {
		if err := do(t.Context(), clients[i]); err != nil {
			return fmt.Errorf("client %d of %s: %w", i, clients[i].vault, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func total(clients []*soakClient) map[string]int {
	sum := map[string]int{}
	for _, c := range clients {
		for name, n := range c.did {
			sum[name] += n
		}
	}
	return sum
}

// held is what a process holds.
type held struct{ goroutines, descriptors int }

// quiet closes idle connections and waits until nothing changes any more: both ends of a connection end in their own time.
func quiet(transport *http.Transport) held {
	transport.CloseIdleConnections()
	http.DefaultClient.CloseIdleConnections()
	var last held
	for same, tries := 0, 0; same < 20 && tries < 500; tries++ {
		now := held{runtime.NumGoroutine(), len(openFiles())}
		same++
		if now != last {
			last, same = now, 0
		}
		time.Sleep(25 * time.Millisecond) // connections are closed in real time
	}
	return last
}

// openFiles returns what the descriptors of this process lead to.
func openFiles() (names []string) {
	const dir = "/proc/self/fd"
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		name, _ := os.Readlink(filepath.Join(dir, e.Name())) // one is that of the directory, closed by now
		names = append(names, name)
	}
	return names
}

// verifyVaults holds the inventory and the figures of each vault against what its clients have stored.
func verifyVaults(t *testing.T, s *moraintest.Server, clients []*soakClient) {
	t.Helper()
	for i := 0; i < len(clients); i += soakSharing {
		want := map[string]listedArchive{}
		var size int64
		for _, c := range clients[i : i+soakSharing] {
			for _, a := range c.stored {
				want[a.ArchiveID] = a.listedArchive
				size += a.Size
			}
		}
		listed, err := clients[i].inventory(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for id, a := range listed {
			if want[id] != a {
				t.Errorf("the inventory of %s lists %+v, want %+v", clients[i].vault, a, want[id])
			}
		}
		v, err := s.Client(s.Key).DescribeVault(t.Context(), &glacier.DescribeVaultInput{AccountId: aws.String("-"), VaultName: &clients[i].vault})
		if err != nil {
			t.Fatal(err)
		}
		if n := int64(len(want)); len(listed) != len(want) || v.NumberOfArchives != n || v.SizeInBytes != size {
			t.Errorf("%s has %d archives with %d bytes and lists %d; want %d with %d bytes", clients[i].vault, v.NumberOfArchives, v.SizeInBytes, len(listed), n, size)
		}
	}
}

// verifyEmpty lets jobs expire when all archives are deleted. No record must stay, not even for a sweep to find, and the space has to come back.
func verifyEmpty(t *testing.T, s *moraintest.Server) {
	t.Helper()
	if s.Records(t) == 0 {
		t.Fatal("there are no records while jobs still offer archives")
	}
	s.Advance(72 * time.Hour) // more than a job's output stays, a download may last, and an ended upload is remembered
	moraintest.Eventually(t, "all records to go", func() bool { return s.Records(t) == 0 })
	s.Restart(t) // closes the volume in use, the only one that is not compacted
	if _, err := s.Service().Compact(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	var size int64
	err := filepath.WalkDir(config.Config{Data: s.Data}.StoreDir(), func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".vol") {
			var info fs.FileInfo
			if info, err = d.Info(); err == nil {
				size += info.Size()
			}
		}
		return err
	})
	if err != nil || size > 1<<20 {
		t.Errorf("%d bytes stay on the disk when everything is deleted, %v", size, err)
	}
}

// soakClient is a client that knows what it has stored.
type soakClient struct {
	t         testing.TB
	server    *moraintest.Server
	api       *glacier.Client
	transport *http.Transport
	vault     string
	rng       *rand.Rand
	seed      int64 // of the next archive
	stored    []soakArchive
	deleted   []string // ids
	did       map[string]int
}

type soakArchive struct {
	listedArchive
	seed int64
}

func (c *soakClient) connect(s *moraintest.Server) {
	c.server = s
	c.api = glacier.New(glacier.Options{
		Region: s.Region, BaseEndpoint: aws.String(s.Endpoint), Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(s.Key.ID, s.Key.Secret, ""), HTTPClient: &http.Client{Transport: c.transport},
	})
}

type soakOperation struct {
	name   string
	weight int
	do     func(*soakClient, context.Context) error
}

func soakOperations() []soakOperation {
	return []soakOperation{
		{"upload", 8, (*soakClient).upload},
		{"upload in parts", 3, (*soakClient).uploadParts},
		{"upload that breaks off", 2, (*soakClient).uploadCut},
		{"upload that was damaged", 1, (*soakClient).uploadDamaged},
		{"upload with a wrong hash", 1, (*soakClient).uploadMisnamed},
		{"download", 6, (*soakClient).downloadAny},
		{"download of a range", 3, (*soakClient).downloadRange},
		{"download that breaks off", 2, (*soakClient).downloadCut},
		{"delete", 4, (*soakClient).deleteAny},
		{"retrieve what was deleted", 1, (*soakClient).retrieveDeleted},
		{"inventory", 1, (*soakClient).verifyInventory},
		{"list jobs", 1, (*soakClient).listJobs},
	}
}

func (c *soakClient) choose() soakOperation {
	operations, sum := soakOperations(), 0
	for _, o := range operations {
		sum += o.weight
	}
	at := c.rng.IntN(sum)
	for _, o := range operations {
		if at -= o.weight; at < 0 {
			return o
		}
	}
	panic("unreachable")
}

// body returns the bytes of an archive that nobody has uploaded before, of a size from 1 byte to 3 MiB, most of them small.
func (c *soakClient) body() (seed int64, b []byte) {
	c.seed++
	size := 1 + c.rng.Int64N(1<<(c.rng.IntN(16)+1))
	if c.rng.IntN(4) == 0 {
		size = 1<<20 - 1 + c.rng.Int64N(2<<20)
	}
	return c.seed, noiseOf(c.seed, size)
}

func noiseOf(seed, size int64) []byte {
	b := make([]byte, size)
	newNoise(seed, 0, size-1).Read(b) // all of it, and without an error
	return b
}

func (c *soakClient) keep(seed int64, id, description *string, b []byte) {
	a := listedArchive{ArchiveID: *id, Size: int64(len(b)), SHA256TreeHash: treeOf(leavesOf(b))}
	if description != nil {
		a.ArchiveDescription = *description
	}
	c.stored = append(c.stored, soakArchive{a, seed})
}

func (c *soakClient) upload(ctx context.Context) error {
	if len(c.stored) >= soakArchives {
		return c.deleteAny(ctx)
	}
	seed, b := c.body()
	in := &glacier.UploadArchiveInput{AccountId: aws.String("-"), VaultName: &c.vault, Body: bytes.NewReader(b)}
	if seed%2 == 0 {
		in.ArchiveDescription = aws.String(fmt.Sprintf(`archive "%d"`, seed))
	}
	out, err := c.api.UploadArchive(ctx, in)
	if err != nil {
		return err
	}
	c.keep(seed, out.ArchiveId, in.ArchiveDescription, b)
	return nil
}

// uploadParts uploads parts of 1 MiB in any order, some of them twice, and completes or aborts.
func (c *soakClient) uploadParts(ctx context.Context) error {
	c.seed++
	seed, account, description := c.seed, aws.String("-"), aws.String("in parts")
	b := noiseOf(seed, 1+c.rng.Int64N(4<<20))
	up, err := c.api.InitiateMultipartUpload(ctx, &glacier.InitiateMultipartUploadInput{
		AccountId: account, VaultName: &c.vault, PartSize: aws.String("1048576"), ArchiveDescription: description,
	})
	if err != nil {
		return err
	}
	parts := leavesOf(b)
	for _, i := range append(c.rng.Perm(len(parts)), c.rng.IntN(len(parts))) {
		if err := c.uploadPart(ctx, up.UploadId, b, i); err != nil {
			return fmt.Errorf("part %d of %d: %w", i, len(parts), err)
		}
	}
	if c.rng.IntN(3) == 0 || len(c.stored) >= soakArchives {
		_, err := c.api.AbortMultipartUpload(ctx, &glacier.AbortMultipartUploadInput{AccountId: account, VaultName: &c.vault, UploadId: up.UploadId})
		return err
	}
	done, err := c.api.CompleteMultipartUpload(ctx, &glacier.CompleteMultipartUploadInput{
		AccountId: account, VaultName: &c.vault, UploadId: up.UploadId,
		ArchiveSize: aws.String(strconv.Itoa(len(b))), Checksum: aws.String(treeOf(parts)),
	})
	if err != nil {
		return err
	}
	c.keep(seed, done.ArchiveId, description, b)
	return nil
}

func (c *soakClient) uploadPart(ctx context.Context, upload *string, b []byte, i int) error {
	first := i << 20
	last := min(first+1<<20, len(b)) - 1
	_, err := c.api.UploadMultipartPart(ctx, &glacier.UploadMultipartPartInput{
		AccountId: aws.String("-"), VaultName: &c.vault, UploadId: upload,
		Range: aws.String(fmt.Sprintf("bytes %d-%d/*", first, last)), Body: bytes.NewReader(b[first : last+1]),
	})
	return err
}

// raw sends an upload whose body is changed after it was signed.
func (c *soakClient) raw(b []byte, headers map[string]string, body io.Reader) (status int, text string, err error) {
	req := c.server.HTTPRequest(c.t, moraintest.Request{
		Method: "POST", Path: "/-/vaults/" + c.vault + "/archives", Header: headers, Body: b,
		Change: func(r *http.Request) { r.Body, r.GetBody = io.NopCloser(body), nil },
	})
	res, err := c.transport.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	return res.StatusCode, string(answer), err
}

func (c *soakClient) uploadCut(context.Context) error {
	_, b := c.body()
	broken := errors.New("the client breaks off")
	cut := io.MultiReader(bytes.NewReader(b[:c.rng.IntN(len(b))]), readerFunc(func([]byte) (int, error) { return 0, broken }))
	if status, text, err := c.raw(b, moraintest.UploadHeaders(b), cut); !errors.Is(err, broken) {
		return fmt.Errorf("status %d, %v: %s", status, err, text)
	}
	return nil
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func (c *soakClient) uploadDamaged(context.Context) error {
	_, b := c.body()
	damaged := bytes.Clone(b)
	damaged[c.rng.IntN(len(b))] ^= 1 << c.rng.IntN(8)
	return c.refused(403, "InvalidSignatureException", b, moraintest.UploadHeaders(b), damaged)
}

func (c *soakClient) uploadMisnamed(context.Context) error {
	_, b := c.body()
	headers := moraintest.UploadHeaders(b)
	headers["x-amz-sha256-tree-hash"] = treeOf(leavesOf(append(b, 0)))
	return c.refused(400, "InvalidParameterValueException", b, headers, b)
}

func (c *soakClient) refused(status int, code string, signed []byte, headers map[string]string, sent []byte) error {
	got, text, err := c.raw(signed, headers, bytes.NewReader(sent))
	if err != nil || got != status || !strings.Contains(text, code) {
		return fmt.Errorf("status %d, %v: %s; want %d and %s", got, err, text, status, code)
	}
	return nil
}

// run makes a job, waits for it, and returns its id.
func (c *soakClient) run(ctx context.Context, p types.JobParameters) (*string, error) {
	out, err := c.api.InitiateJob(ctx, &glacier.InitiateJobInput{AccountId: aws.String("-"), VaultName: &c.vault, JobParameters: &p})
	if err != nil {
		return nil, err
	}
	for range 3000 {
		d, err := c.api.DescribeJob(ctx, &glacier.DescribeJobInput{AccountId: aws.String("-"), VaultName: &c.vault, JobId: out.JobId})
		switch {
		case err != nil:
			return nil, err
		case d.StatusCode == types.StatusCodeFailed:
			return nil, fmt.Errorf("the job failed: %s", aws.ToString(d.StatusMessage))
		case d.Completed:
			return out.JobId, nil
		}
		time.Sleep(10 * time.Millisecond) // the worker runs in real time
	}
	return nil, fmt.Errorf("job %s did not end", *out.JobId)
}

// fetch returns the output of a new job, or a range of it.
func (c *soakClient) fetch(ctx context.Context, p types.JobParameters, bytes *string) (*glacier.GetJobOutputOutput, error) {
	job, err := c.run(ctx, p)
	if err != nil {
		return nil, err
	}
	return c.api.GetJobOutput(ctx, &glacier.GetJobOutputInput{AccountId: aws.String("-"), VaultName: &c.vault, JobId: job, Range: bytes})
}

func retrieval(id string) types.JobParameters {
	return types.JobParameters{Type: aws.String("archive-retrieval"), ArchiveId: &id}
}

func (c *soakClient) downloadAny(ctx context.Context) error {
	if len(c.stored) == 0 {
		return nil
	}
	return c.verify(ctx, c.stored[c.rng.IntN(len(c.stored))])
}

func (c *soakClient) verify(ctx context.Context, a soakArchive) error {
	out, err := c.fetch(ctx, retrieval(a.ArchiveID), nil)
	if err != nil {
		return err
	}
	return c.compare(out, a, 0, a.Size-1)
}

func (c *soakClient) compare(out *glacier.GetJobOutputOutput, a soakArchive, first, last int64) error {
	defer out.Body.Close()
	got, err := io.ReadAll(out.Body)
	if err != nil {
		return err
	}
	want := make([]byte, last+1-first)
	newNoise(a.seed, first, last).Read(want)
	if !bytes.Equal(got, want) {
		return fmt.Errorf("the bytes %d to %d of %+v came back as %d other ones", first, last, a, len(got))
	}
	sum := aws.ToString(out.Checksum)
	if whole := first == 0 && last == a.Size-1; whole && sum == "" || sum != "" && sum != treeOf(leavesOf(got)) {
		return fmt.Errorf("the bytes %d to %d of %+v came with the tree hash %q", first, last, a, sum)
	}
	return nil
}

// downloadRange retrieves some leaves of an archive and downloads a range of those.
func (c *soakClient) downloadRange(ctx context.Context) error {
	if len(c.stored) == 0 {
		return nil
	}
	a := c.stored[c.rng.IntN(len(c.stored))]
	leaves := (a.Size + 1<<20 - 1) >> 20
	from := c.rng.Int64N(leaves)
	to := from + 1 + c.rng.Int64N(leaves-from)
	base, end := from<<20, min(to<<20, a.Size)
	p := retrieval(a.ArchiveID)
	p.RetrievalByteRange = aws.String(fmt.Sprintf("%d-%d", base, end-1))
	first := base + c.rng.Int64N(end-base)
	last := first + c.rng.Int64N(end-first)
	out, err := c.fetch(ctx, p, aws.String(fmt.Sprintf("bytes=%d-%d", first-base, last-base)))
	if err != nil {
		return err
	}
	return c.compare(out, a, first, last)
}

func (c *soakClient) downloadCut(ctx context.Context) error {
	if len(c.stored) == 0 {
		return nil
	}
	a := c.stored[c.rng.IntN(len(c.stored))]
	out, err := c.fetch(ctx, retrieval(a.ArchiveID), nil)
	if err != nil {
		return err
	}
	_, err = io.CopyN(io.Discard, out.Body, c.rng.Int64N(a.Size))
	return errors.Join(err, out.Body.Close()) // of a body that was not read whole it closes the connection
}

func (c *soakClient) deleteAny(ctx context.Context) error {
	if len(c.stored) == 0 {
		return nil
	}
	i, last := c.rng.IntN(len(c.stored)), len(c.stored)-1
	id := c.stored[i].ArchiveID
	if _, err := c.api.DeleteArchive(ctx, &glacier.DeleteArchiveInput{AccountId: aws.String("-"), VaultName: &c.vault, ArchiveId: &id}); err != nil {
		return err
	}
	c.stored[i] = c.stored[last]
	c.stored, c.deleted = c.stored[:last], append(c.deleted, id)
	return nil
}

func (c *soakClient) deleteAll(ctx context.Context) error {
	for len(c.stored) > 0 {
		if err := c.deleteAny(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c *soakClient) retrieveDeleted(ctx context.Context) error {
	if len(c.deleted) == 0 {
		return nil
	}
	p := retrieval(c.deleted[c.rng.IntN(len(c.deleted))])
	_, err := c.api.InitiateJob(ctx, &glacier.InitiateJobInput{AccountId: aws.String("-"), VaultName: &c.vault, JobParameters: &p})
	if !errors.As(err, new(*types.ResourceNotFoundException)) {
		return fmt.Errorf("a job on a deleted archive: %w", err)
	}
	return nil
}

func (c *soakClient) verifyAll(ctx context.Context) error {
	for _, a := range c.stored {
		if err := c.verify(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

// inventory returns what the vault lists, by id.
func (c *soakClient) inventory(ctx context.Context) (map[string]listedArchive, error) {
	out, err := c.fetch(ctx, types.JobParameters{Type: aws.String("inventory-retrieval")}, nil)
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	var doc struct{ ArchiveList []listedArchive }
	if err := json.NewDecoder(out.Body).Decode(&doc); err != nil {
		return nil, err
	}
	listed := map[string]listedArchive{}
	for _, a := range doc.ArchiveList {
		a.CreationDate = ""
		listed[a.ArchiveID] = a
	}
	if len(listed) != len(doc.ArchiveList) {
		return nil, fmt.Errorf("an inventory lists %d archives with %d ids", len(doc.ArchiveList), len(listed))
	}
	return listed, nil
}

// verifyInventory looks for this client's archives; others store in the same vault.
func (c *soakClient) verifyInventory(ctx context.Context) error {
	if len(c.stored) == 0 {
		return nil
	}
	listed, err := c.inventory(ctx)
	if err != nil {
		return err
	}
	for _, a := range c.stored {
		if got := listed[a.ArchiveID]; got != a.listedArchive {
			return fmt.Errorf("the inventory lists %+v, want %+v", got, a.listedArchive)
		}
	}
	for _, id := range c.deleted {
		if a, ok := listed[id]; ok {
			return fmt.Errorf("the inventory lists %+v, which was deleted", a)
		}
	}
	return nil
}

// listJobs reads all pages; no job comes twice.
func (c *soakClient) listJobs(ctx context.Context) error {
	seen := map[string]bool{}
	pages := glacier.NewListJobsPaginator(c.api, &glacier.ListJobsInput{AccountId: aws.String("-"), VaultName: &c.vault, Limit: aws.Int32(100)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, j := range page.JobList {
			if seen[*j.JobId] {
				return fmt.Errorf("job %s is listed twice", *j.JobId)
			}
			seen[*j.JobId] = true
		}
	}
	return nil
}
