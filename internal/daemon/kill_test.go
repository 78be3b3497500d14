package daemon_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/glacier"
	"github.com/aws/aws-sdk-go-v2/service/glacier/types"
)

// Figures of the kills.
const (
	killClients  = 16
	killSharing  = 2   // clients of one vault
	killArchives = 100 // of a client at most
	killSample   = 200 // archives and deletions that are verified after each kill, besides those of the last round

	killRequest = 3 * time.Second // no request takes longer
	killKeep    = 2 * time.Second // what was not acknowledged goes so long after it was found
)

// killSettings make much happen in little time: small volumes, of which little need be dead to be compacted, and upkeep all the time.
func killSettings() []string {
	return []string{
		"MORAINE_VOLUME_SIZE=8MiB", "MORAINE_COMPACT_INTERVAL=1s", "MORAINE_COMPACT_SHARE=20", "MORAINE_COMPACT_RATE=0", "MORAINE_LONGEST_REQUEST=" + killRequest.String(),
		"MORAINE_KEEP_ORPHANS=" + killKeep.String(), "MORAINE_SWEEP_INTERVAL=1s", "MORAINE_BACKUP_INTERVAL=2s", "MORAINE_JOB_EXPIRY=20s",
		"MORAINE_SCRUB_INTERVAL=3s", "MORAINE_SCRUB_RATE=0",
	}
}

// TestKill kills the server again and again for MORAINE_KILL (2m, 1h), while clients do what clients do. What was acknowledged is there after
// every kill, what was deleted is not, and a check finds nothing wrong.
func TestKill(t *testing.T) {
	text := os.Getenv("MORAINE_KILL")
	if text == "" {
		t.Skip("MORAINE_KILL is not set; `make killtest` sets it to 2m")
	}
	length, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("MORAINE_KILL: %v", err)
	}
	needDisk(t)
	end := time.Now().Add(length)
	kill(t, 3*time.Second, func(int) bool { return time.Now().Before(end) })
}

// TestKillBriefly keeps the test itself in order.
func TestKillBriefly(t *testing.T) {
	kill(t, 700*time.Millisecond, func(kills int) bool { return kills < 2 })
}

// kill lets a server work for a while, up to longest, and kills it, for as long as more says. Then it has the catalogue made again from the volumes.
func kill(t *testing.T, longest time.Duration, more func(kills int) bool) {
	k := newKilling(t)
	k.start(t)
	for k.kills = 0; more(k.kills); k.kills++ {
		k.loadAndKill(t, 200*time.Millisecond+time.Duration(k.rng.Int64N(int64(longest-200*time.Millisecond))))
		for k.rng.IntN(3) == 0 { // a kill while the server starts
			k.launcher.startAndKill(t, time.Duration(k.rng.Int64N(int64(80*time.Millisecond))))
			k.starts++
		}
		k.start(t)
		k.check(t)
		k.verify(t)
	}
	k.end(t)
	t.Logf("%d kills under load, %d kills while starting, %d volumes compacted; operations: %v; %d archives and %d deletions verified, %d archives at the end",
		k.kills, k.starts, k.launcher.logged("a volume was compacted"), k.did(), k.archives.Load(), k.deletions.Load(), k.stored())
}

// killing is a server that is killed, with its clients.
type killing struct {
	launcher  *launcher
	server    *process
	transport *http.Transport
	clients   []*killClient
	rng       *rand.Rand

	kills, starts       int
	dying               atomic.Bool // set before the server is killed
	died                time.Time   // when it was killed last
	archives, deletions atomic.Int64
}

func newKilling(t *testing.T) *killing {
	seed := rand.Uint64()
	if text := os.Getenv("MORAINE_KILL_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("MORAINE_KILL_SEED: %v", err)
		}
	}
	t.Logf("MORAINE_KILL_SEED=%d", seed)
	k := &killing{
		launcher: newLauncher(t, killSettings()...), rng: rand.New(rand.NewPCG(seed, 0)),
		transport: &http.Transport{MaxIdleConnsPerHost: 2 * killClients},
	}
	t.Cleanup(k.transport.CloseIdleConnections)
	for i := range killClients {
		k.clients = append(k.clients, &killClient{soakClient: soakClient{
			t: t, transport: k.transport, vault: fmt.Sprintf("vault-%d", i/killSharing), seed: int64(i) << 32,
			rng: rand.New(rand.NewPCG(seed, uint64(i)+1)), did: map[string]int{},
		}})
	}
	return k
}

// start starts the server, and makes the vaults that are not there.
func (k *killing) start(t *testing.T) {
	t.Helper()
	k.server = k.launcher.start(t)
	k.dying.Store(false)
	k.each(t, func(ctx context.Context, c *killClient) error {
		c.api = sdkClient(k.server.endpoint, k.transport)
		_, err := c.api.CreateVault(ctx, &glacier.CreateVaultInput{AccountId: aws.String("-"), VaultName: &c.vault})
		return err
	})
}

func sdkClient(endpoint string, transport http.RoundTripper) *glacier.Client {
	return glacier.New(glacier.Options{
		Region: "us-east-1", BaseEndpoint: &endpoint, Retryer: aws.NopRetryer{}, HTTPClient: &http.Client{Transport: transport},
		Credentials: credentials.NewStaticCredentialsProvider(processKeyID, processSecret, ""),
	})
}

// each calls do for all clients at once. The test ends if one fails.
func (k *killing) each(t *testing.T, do func(context.Context, *killClient) error) {
	t.Helper()
	err := atATime(len(k.clients), len(k.clients), func(i int) error {
		if err := do(t.Context(), k.clients[i]); err != nil {
			return fmt.Errorf("client %d of %s: %w", i, k.clients[i].vault, err)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("after %d kills: %v", k.kills, err)
	}
}

// loadAndKill lets all clients work, and kills the server after a while. Until then nothing may fail.
func (k *killing) loadAndKill(t *testing.T, after time.Duration) {
	t.Helper()
	killed := make(chan struct{})
	time.AfterFunc(after, func() {
		defer close(killed)
		k.dying.Store(true)
		k.server.cmd.Process.Kill()
		k.server.cmd.Wait() // it was killed
		k.died = time.Now()
	})
	k.each(t, func(ctx context.Context, c *killClient) error {
		for !k.dying.Load() {
			name, op := c.choose()
			if err := op(ctx); err != nil {
				if k.dying.Load() {
					return nil
				}
				return fmt.Errorf("%s: %w", name, err)
			}
			c.did[name]++
		}
		return nil
	})
	<-killed
	k.transport.CloseIdleConnections()
}

// check has the running server, or the command if none runs, hold the catalogue and the volumes against each other.
func (k *killing) check(t *testing.T) {
	t.Helper()
	var doc struct {
		Findings []struct{ Severity, Problem, Place, Archive string }
		Check    *struct{ Wrong, Rows, Records int }
	}
	k.launcher.admin(t, &doc, "check")
	if doc.Check == nil || doc.Check.Wrong > 0 {
		t.Errorf("after %d kills the check says: %+v", k.kills, doc.Check)
	}
	for _, f := range doc.Findings {
		if f.Severity == "wrong" {
			t.Errorf("after %d kills: %+v", k.kills, f)
		}
	}
}

// verify holds the server against what the clients know.
func (k *killing) verify(t *testing.T) {
	t.Helper()
	k.each(t, func(ctx context.Context, c *killClient) error { return c.settle(ctx) })
	for i := 0; i < len(k.clients); i += killSharing {
		if err := verifyListed(t.Context(), k.clients[i:i+killSharing]); err != nil {
			t.Fatalf("after %d kills: %v", k.kills, err)
		}
	}
	stored, deleted := k.stored(), 0
	for _, c := range k.clients {
		deleted += len(c.deleted)
	}
	k.each(t, func(ctx context.Context, c *killClient) error { return c.verifySome(ctx, k, stored, deleted) })
}

// verifyListed holds the inventory of a vault against what its clients have stored. What was being uploaded when the server was killed may be there:
// then it was stored.
func verifyListed(ctx context.Context, clients []*killClient) error {
	listed, err := clients[0].inventory(ctx)
	if err != nil {
		return err
	}
	for _, c := range clients {
		for _, a := range c.stored {
			if listed[a.ArchiveID] != a.listedArchive {
				return fmt.Errorf("the inventory of %s lists %+v, want %+v, which was acknowledged", c.vault, listed[a.ArchiveID], a.listedArchive)
			}
			delete(listed, a.ArchiveID)
		}
	}
	for id, a := range listed {
		for _, c := range clients {
			if c.attempt.ArchiveDescription == a.ArchiveDescription && c.attempt.SHA256TreeHash == a.SHA256TreeHash && c.attempt.Size == a.Size {
				c.stored = append(c.stored, soakArchive{a, c.attempt.seed})
				c.attempt = soakArchive{}
				delete(listed, id)
			}
		}
	}
	if len(listed) > 0 {
		return fmt.Errorf("the inventory of %s lists what was deleted or never uploaded: %+v", clients[0].vault, listed)
	}
	for _, c := range clients {
		c.attempt = soakArchive{}
	}
	return nil
}

func (k *killing) stored() (n int) {
	for _, c := range k.clients {
		n += len(c.stored)
	}
	return n
}

func (k *killing) did() map[string]int {
	all := make([]*soakClient, len(k.clients))
	for i, c := range k.clients {
		all[i] = &c.soakClient
	}
	return total(all)
}

// end stops the server in good order, loses the catalogue, and has it made again: of the volumes alone, and with the newest copy.
func (k *killing) end(t *testing.T) {
	t.Helper()
	k.sweep(t)
	before := k.inventories(t)
	k.stop(t)
	k.check(t)
	for _, flags := range [][]string{{"--no-backup"}, nil} {
		k.rebuild(t, flags...)
		k.start(t)
		k.check(t)
		for name, list := range k.inventories(t) {
			if !bytes.Equal(list, before[name]) {
				t.Errorf("the inventory of %s is another after a rebuild%q:\n%s", name, flags, difference(before[name], list))
			}
		}
		k.verify(t)
		k.stop(t)
	}
}

// sweep waits until nothing is left of what was not acknowledged: a rebuild would take it for archives. When a compaction moves such a record, it
// is spared anew, so that nobody can say beforehand how long that takes.
func (k *killing) sweep(t *testing.T) {
	t.Helper()
	time.Sleep(time.Until(k.died.Add(killRequest))) // younger ones are not looked at; the server goes by real time
	for range 30 {
		var doc struct{ Sweep struct{ Orphans int } }
		if k.launcher.admin(t, &doc, "sweep"); doc.Sweep.Orphans == 0 {
			return
		}
		time.Sleep(killKeep / 2)
	}
	t.Fatal("the sweep leaves records that no row refers to")
}

// stop stops the server in good order. Connections that were opened and never used would hold it up for some seconds (http.Server.Shutdown).
func (k *killing) stop(t *testing.T) {
	t.Helper()
	k.transport.CloseIdleConnections()
	k.server.stop(t)
}

// difference shows where two texts begin to differ.
func difference(a, b []byte) string {
	at := 0
	for at < min(len(a), len(b)) && a[at] == b[at] {
		at++
	}
	from := max(0, at-200)
	return fmt.Sprintf("%d bytes: ... %.600s\n%d bytes: ... %.600s", len(a), a[from:], len(b), b[from:])
}

func (k *killing) rebuild(t *testing.T, flags ...string) {
	t.Helper()
	k.launcher.loseCatalogue(t)
	var doc struct {
		Findings []struct{ Severity, Problem, Place, Archive string }
		Archives int
	}
	k.launcher.admin(t, &doc, append([]string{"rebuild"}, flags...)...)
	if doc.Archives != k.stored() {
		t.Errorf("a rebuild%q made %d archives, want %d", flags, doc.Archives, k.stored())
	}
	for _, f := range doc.Findings {
		if f.Severity == "wrong" {
			t.Errorf("a rebuild%q finds %+v", flags, f)
		}
	}
}

// inventories returns what each vault lists, as it is written.
func (k *killing) inventories(t *testing.T) map[string]json.RawMessage {
	t.Helper()
	lists := map[string]json.RawMessage{}
	for i := 0; i < len(k.clients); i += killSharing {
		c := k.clients[i]
		out, err := c.fetch(t.Context(), types.JobParameters{Type: aws.String("inventory-retrieval")}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var doc struct{ ArchiveList json.RawMessage }
		err = json.NewDecoder(out.Body).Decode(&doc)
		if err := errors.Join(err, out.Body.Close()); err != nil {
			t.Fatal(err)
		}
		lists[c.vault] = doc.ArchiveList
	}
	return lists
}

// killClient is a client that also knows what it cannot know: what it had asked for when the server was killed.
type killClient struct {
	soakClient
	attempt soakArchive // an upload without an answer: there, or not
	removal string      // the id of an archive whose deletion has no answer
	parts   *killUpload // an upload that is not complete

	verified, gone int64 // the seed and the number of deletions up to which everything was verified once
}

// killUpload is an upload in parts.
type killUpload struct {
	id   *string
	seed int64
	body []byte
	done map[int]bool // the parts that were acknowledged
}

func (c *killClient) choose() (name string, op func(context.Context) error) {
	switch n := c.rng.IntN(20); {
	case len(c.stored) >= killArchives, n < 6:
		return "delete", c.delete
	case n < 8:
		return "upload in parts", c.uploadParts
	case n < 9:
		return "download", c.downloadAny
	case n < 10:
		return "retrieve what was deleted", c.retrieveDeleted
	}
	return "upload", c.upload
}

// upload uploads an archive of 1 byte to 3 MiB, most of them small.
func (c *killClient) upload(ctx context.Context) error {
	c.seed++
	size := 1 + c.rng.Int64N(1<<(c.rng.IntN(16)+1))
	if c.rng.IntN(10) == 0 {
		size = 1 + c.rng.Int64N(3<<20)
	}
	b, description := noiseOf(c.seed, size), aws.String(fmt.Sprintf(`archive "%d"`, c.seed))
	c.attempt = soakArchive{listedArchive{ArchiveDescription: *description, Size: size, SHA256TreeHash: treeOf(leavesOf(b))}, c.seed}
	out, err := c.api.UploadArchive(ctx, &glacier.UploadArchiveInput{
		AccountId: aws.String("-"), VaultName: &c.vault, Body: bytes.NewReader(b), ArchiveDescription: description,
	})
	if err != nil {
		return err
	}
	c.attempt = soakArchive{}
	c.keep(c.seed, out.ArchiveId, description, b)
	return nil
}

func (c *killClient) uploadParts(ctx context.Context) error {
	c.seed++
	up, err := c.api.InitiateMultipartUpload(ctx, &glacier.InitiateMultipartUploadInput{
		AccountId: aws.String("-"), VaultName: &c.vault, PartSize: aws.String("1048576"), ArchiveDescription: aws.String("in parts"),
	})
	if err != nil {
		return err
	}
	c.parts = &killUpload{up.UploadId, c.seed, noiseOf(c.seed, 1+c.rng.Int64N(3<<20)), map[int]bool{}}
	return c.goOn(ctx)
}

// goOn sends the parts that were not acknowledged, and completes. To complete again what may be complete gives the same archive.
func (c *killClient) goOn(ctx context.Context) error {
	u := c.parts
	leaves := leavesOf(u.body)
	for i := range leaves {
		if u.done[i] {
			continue
		}
		if err := c.uploadPart(ctx, u.id, u.body, i); err != nil {
			return fmt.Errorf("part %d of %d: %w", i, len(leaves), err)
		}
		u.done[i] = true
	}
	done, err := c.api.CompleteMultipartUpload(ctx, &glacier.CompleteMultipartUploadInput{
		AccountId: aws.String("-"), VaultName: &c.vault, UploadId: u.id,
		ArchiveSize: aws.String(strconv.Itoa(len(u.body))), Checksum: aws.String(treeOf(leaves)),
	})
	if err != nil {
		return err
	}
	c.keep(u.seed, done.ArchiveId, aws.String("in parts"), u.body)
	c.parts = nil
	return nil
}

func (c *killClient) delete(ctx context.Context) error {
	if len(c.stored) == 0 {
		return nil
	}
	i, last := c.rng.IntN(len(c.stored)), len(c.stored)-1
	c.removal = c.stored[i].ArchiveID
	c.stored[i] = c.stored[last]
	c.stored = c.stored[:last]
	return c.deleteAgain(ctx)
}

// deleteAgain deletes what may be deleted: that succeeds in both cases.
func (c *killClient) deleteAgain(ctx context.Context) error {
	_, err := c.api.DeleteArchive(ctx, &glacier.DeleteArchiveInput{AccountId: aws.String("-"), VaultName: &c.vault, ArchiveId: &c.removal})
	if err == nil {
		c.deleted, c.removal = append(c.deleted, c.removal), ""
	}
	return err
}

// settle asks again for what had no answer, as a client would. Of an upload in parts, what was acknowledged must be there.
func (c *killClient) settle(ctx context.Context) error {
	if c.removal != "" {
		if err := c.deleteAgain(ctx); err != nil {
			return fmt.Errorf("delete again: %w", err)
		}
	}
	if c.parts != nil {
		if err := c.goOn(ctx); err != nil {
			return fmt.Errorf("go on with an upload of which %d parts were acknowledged: %w", len(c.parts.done), err)
		}
	}
	return nil
}

// verifySome downloads what was stored since the last time, and some of the rest; and asks for what was deleted, likewise.
func (c *killClient) verifySome(ctx context.Context, k *killing, stored, deleted int) error {
	for _, a := range c.stored {
		if a.seed <= c.verified && c.rng.IntN(stored) >= killSample {
			continue
		}
		if err := c.verify(ctx, a); err != nil {
			return fmt.Errorf("%+v, which was acknowledged: %w", a, err)
		}
		k.archives.Add(1)
	}
	for i, id := range c.deleted {
		if int64(i) < c.gone && c.rng.IntN(deleted) >= killSample {
			continue
		}
		p := retrieval(id)
		_, err := c.api.InitiateJob(ctx, &glacier.InitiateJobInput{AccountId: aws.String("-"), VaultName: &c.vault, JobParameters: &p})
		if !errors.As(err, new(*types.ResourceNotFoundException)) {
			return fmt.Errorf("a job on the archive %s, whose deletion was acknowledged: %w", id, err)
		}
		k.deletions.Add(1)
	}
	c.verified, c.gone = c.seed, int64(len(c.deleted))
	return nil
}

// launcher starts the real binary on one data directory, again and again.
type launcher struct {
	dir, binary string
	environ     []string // the settings, for the server and for administration
}

// newLauncher builds the binary. What the server leaves is kept when the test fails.
func newLauncher(t *testing.T, settings ...string) *launcher {
	t.Helper()
	dir, err := os.MkdirTemp("", "moraine-kill-")
	if err != nil {
		t.Fatal(err)
	}
	l := &launcher{dir: dir, binary: filepath.Join(dir, "moraine")}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what the server left is in %s; its log says:\n%s", dir, l.complaints())
		} else if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if out, err := exec.Command("go", "build", "-o", l.binary, "github.com/moraine-archive/moraine/cmd/moraine").CombinedOutput(); err != nil {
		t.Fatalf("build the server: %v\n%s", err, out)
	}
	l.environ = append([]string{
		"MORAINE_DATA=" + l.data(), "MORAINE_LISTEN=127.0.0.1:0", "MORAINE_ADMIN_LISTEN=127.0.0.1:0",
		"MORAINE_ROOT_ACCESS_KEY_ID=" + processKeyID, "MORAINE_ROOT_SECRET_ACCESS_KEY=" + processSecret,
	}, settings...)
	return l
}

func (l *launcher) data() string { return filepath.Join(l.dir, "data") }

// command makes a process, with its log behind that of those before.
func (l *launcher) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(l.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	cmd := exec.Command(l.binary, args...)
	cmd.Env, cmd.Stderr = l.environ, log
	return cmd
}

// complaints returns the last lines of the log that say more than that a request was answered.
func (l *launcher) complaints() string {
	text, err := os.ReadFile(filepath.Join(l.dir, "log"))
	if err != nil {
		return err.Error()
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, "level=INFO") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-40):], "")
}

// logged returns how often a server has said something.
func (l *launcher) logged(message string) int {
	text, _ := os.ReadFile(filepath.Join(l.dir, "log"))
	return bytes.Count(text, []byte(message))
}

// where is what a server prints of its addresses.
var where = regexp.MustCompile(`API at (http://\S+)(?s:.*?)curl (http://\S+/health/ready)\n`) // read only

// start starts the server and waits until it is ready.
func (l *launcher) start(t *testing.T) *process {
	t.Helper()
	p := &process{cmd: l.command(t, "serve")}
	greeting, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // if the test does not come to the end of the process
		p.cmd.Process.Kill()
		p.cmd.Wait()
	})
	var said strings.Builder
	var m []string
	for lines := bufio.NewReader(greeting); m == nil; m = where.FindStringSubmatch(said.String()) { // the rest of it fits into the pipe
		line, err := lines.ReadString('\n')
		said.WriteString(line)
		if err != nil {
			t.Fatalf("the server did not say where it listens, but %q (%v)", &said, err)
		}
	}
	p.endpoint = m[1]
	for range 6000 {
		if res, err := http.Get(m[2]); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return p
			}
		}
		time.Sleep(5 * time.Millisecond) // another process, real time
	}
	t.Fatal("the server does not get ready")
	return nil
}

// startAndKill kills the server a moment after its start.
func (l *launcher) startAndKill(t *testing.T, after time.Duration) {
	t.Helper()
	cmd := l.command(t, "serve")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after) // another process, real time
	cmd.Process.Kill()
	cmd.Wait() // it was killed
}

// admin runs a command of the administrator, and reads what it prints into doc, if that is not nil.
func (l *launcher) admin(t *testing.T, doc any, args ...string) {
	t.Helper()
	cmd := l.command(t, append(append([]string{"admin"}, args...), "--json")...)
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("moraine admin %s: %v", strings.Join(args, " "), err)
	}
	if doc == nil {
		doc = new(any)
	}
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(doc); err != nil && !errors.Is(err, io.EOF) {
		t.Fatalf("moraine admin %s prints %q: %v", strings.Join(args, " "), out, err)
	}
}

// loseCatalogue moves the catalogue to where nobody looks for it.
func (l *launcher) loseCatalogue(t *testing.T) {
	t.Helper()
	const name = "catalogue.db"
	aside, err := os.MkdirTemp(l.dir, "lost-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(l.data(), name), filepath.Join(aside, name)); err != nil {
		t.Fatal(err)
	}
}
