package daemon_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/glacier"
	"github.com/aws/aws-sdk-go-v2/service/glacier/types"

	"github.com/moraine-archive/moraine/internal/enginetest"
	"github.com/moraine-archive/moraine/internal/moraintest"
	"github.com/moraine-archive/moraine/internal/notify/notifytest"
)

// Figures of the cluster.
const (
	clusterNodes   = 3
	clusterClients = 8
	clusterKill    = 10 * time.Second // between kills of a node
	clusterFault   = 25 * time.Second // between faults of what the nodes run on
	clusterPatient = 3 * time.Minute  // what has not happened then does not happen any more
)

// TestCluster runs three nodes over PostgreSQL and an erasure-coded S3 server, behind a round-robin, for MORAINE_CLUSTER (10m). Meanwhile nodes are killed, the engines restarted, and nodes cut off from
// the database. What was acknowledged is there and right in the end, and there once; every job ends; and every end is told with one message.
func TestCluster(t *testing.T) {
	text := os.Getenv("MORAINE_CLUSTER")
	if text == "" {
		t.Skip("MORAINE_CLUSTER is not set; `make cluster` sets it to 10m")
	}
	length, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("MORAINE_CLUSTER: %v", err)
	}
	c := newCluster(t)
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var faults sync.WaitGroup
	faults.Go(func() { c.killNodes(ctx) })
	faults.Go(func() { c.disturb(ctx, t) })
	err = atATime(clusterClients, clusterClients, func(i int) error { return c.clients[i].work(ctx) })
	faults.Wait()
	c.mend(t)
	if err != nil {
		t.Fatal(err)
	}
	c.verify(t)
	t.Logf("in %s: %d kills of nodes, faults %v, operations %v, %d errors that clients went over; %d archives, %d deletions and %d jobs verified, %d messages delivered",
		length, c.kills.Load(), c.faults, c.did(), c.errors.Load(), c.archives.Load(), c.deletions.Load(), c.jobs.Load(), c.messages)
}

// cluster is the nodes, what they run on, and their clients.
type cluster struct {
	seed     uint64
	launcher *launcher
	database *enginetest.Postgres
	bucket   *enginetest.ErasureCoded
	nodes    []*clusterNode
	clients  []*clusterClient
	told     *notifytest.Receiver
	running  context.CancelFunc
	ended    sync.WaitGroup

	kills, errors, archives, deletions, jobs atomic.Int64
	faults                                   map[string]int
	messages                                 int
}

// clusterNode is a node that is started again whenever it ends, as a supervisor does.
type clusterNode struct {
	link    *link // to the database
	environ []string
	address string

	mu  sync.Mutex
	cmd *exec.Cmd // guarded by mu
}

func newCluster(t *testing.T) *cluster {
	seed := rand.Uint64()
	if text := os.Getenv("MORAINE_CLUSTER_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("MORAINE_CLUSTER_SEED: %v", err)
		}
	}
	t.Logf("MORAINE_CLUSTER_SEED=%d", seed)
	c := &cluster{seed: seed, database: enginetest.NewPostgres(t), bucket: enginetest.NewErasureCoded(t), faults: map[string]int{}}
	receiver := notifytest.StartReceiver(t, func(int, http.ResponseWriter, *http.Request) {})
	c.told = receiver
	store := c.bucket.Bucket(t)
	database := c.database.Database(t)
	c.launcher = newLauncher(t, append(store.Environ(), "MORAINE_STORE="+store.URL(), "MORAINE_NOTIFY_TARGET=*="+receiver.URL, "MORAINE_COMPACT_INTERVAL=5s", "MORAINE_SWEEP_INTERVAL=7s",
		"MORAINE_COMPACT_RATE=0", "MORAINE_LONGEST_REQUEST=40s", "MORAINE_SCRUB_INTERVAL=20s", "MORAINE_SCRUB_RATE=0", "MORAINE_BACKUP_INTERVAL=30s", "MORAINE_STALL_TIMEOUT=20s")...)
	ctx, cancel := context.WithCancel(context.Background())
	c.running = cancel
	t.Cleanup(c.stop)
	var addresses []string
	for i := range clusterNodes {
		n := &clusterNode{link: newLink(t, c.database.Address), address: freeAddress(t)}
		n.environ = append(c.launcher.environ, "MORAINE_DATA="+filepath.Join(c.launcher.dir, fmt.Sprintf("node%d", i)), "MORAINE_SECRET_KEY_FILE="+filepath.Join(c.launcher.dir, "secret.key"),
			"MORAINE_LISTEN="+n.address, "MORAINE_CATALOGUE="+strings.Replace(database, c.database.Address, n.link.address, 1))
		c.nodes = append(c.nodes, n)
		addresses = append(addresses, n.address)
		c.ended.Go(func() { n.supervise(ctx, t, c.launcher) })
		n.wait(t) // the first makes the schema and the key of the secrets
	}
	endpoint := "http://" + moraintest.RoundRobin(t, addresses...)
	for i := range clusterClients {
		client := &clusterClient{cluster: c, killClient: killClient{soakClient: soakClient{
			t: t, vault: fmt.Sprintf("vault-%d", i/2), seed: int64(i) << 32, rng: rand.New(rand.NewPCG(seed, uint64(i)+1)), did: map[string]int{},
			transport: &http.Transport{MaxIdleConnsPerHost: 4, ResponseHeaderTimeout: 40 * time.Second, MaxConnsPerHost: 8},
		}}}
		client.api = sdkClient(endpoint, client.transport)
		c.clients = append(c.clients, client)
	}
	return c
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// supervise starts the node, again and again.
func (n *clusterNode) supervise(ctx context.Context, t *testing.T, l *launcher) {
	for ctx.Err() == nil {
		cmd := l.command(t, "serve")
		cmd.Env = n.environ
		n.mu.Lock()
		err := cmd.Start()
		n.cmd = cmd
		n.mu.Unlock()
		if err != nil {
			t.Errorf("start a node: %v", err)
			return
		}
		cmd.Wait() // killed, or it could not start because an engine was away
		select {
		case <-ctx.Done():
		case <-time.After(300 * time.Millisecond):
		}
	}
}

func (n *clusterNode) kill() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd != nil && n.cmd.Process != nil {
		n.cmd.Process.Kill()
	}
}

// wait waits until the node answers.
func (n *clusterNode) wait(t *testing.T) {
	t.Helper()
	for begun := time.Now(); time.Since(begun) < clusterPatient; time.Sleep(50 * time.Millisecond) {
		if res, err := http.Get("http://" + n.address + "/"); err == nil {
			res.Body.Close()
			return
		}
	}
	t.Fatalf("the node at %s does not answer", n.address)
}

func (c *cluster) stop() {
	c.running()
	for _, n := range c.nodes {
		n.kill()
	}
	c.ended.Wait()
}

// killNodes kills a node again and again.
func (c *cluster) killNodes(ctx context.Context) {
	rng := rand.New(rand.NewPCG(c.seed, 100))
	for every(ctx, clusterKill) {
		c.nodes[rng.IntN(len(c.nodes))].kill()
		c.kills.Add(1)
	}
}

// every waits for a while, and reports whether that ended before the context.
func every(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// disturb takes away what the nodes run on, for some seconds, one thing after the other.
func (c *cluster) disturb(ctx context.Context, t *testing.T) {
	rng := rand.New(rand.NewPCG(c.seed, 101))
	for i := rng.IntN(4); every(ctx, clusterFault); i++ {
		away := 2*time.Second + time.Duration(rng.Int64N(int64(4*time.Second)))
		switch what := []string{"PostgreSQL restarted", "S3 killed", "PostgreSQL killed", "network cut"}[i%4]; what {
		case "PostgreSQL restarted", "PostgreSQL killed":
			c.faults[what]++
			c.database.Stop(t, map[string]string{"PostgreSQL restarted": "fast", "PostgreSQL killed": "immediate"}[what])
			time.Sleep(away)
			c.database.Start(t)
		case "S3 killed":
			c.faults[what]++
			c.bucket.Kill()
			time.Sleep(away)
			c.bucket.Start(t)
		default:
			c.faults[what]++
			l := c.nodes[rng.IntN(len(c.nodes))].link
			l.cut(true)
			time.Sleep(4 * away) // longer than what a node waits for
			l.cut(false)
		}
	}
}

// mend waits until everything works.
func (c *cluster) mend(t *testing.T) {
	t.Helper()
	for _, n := range c.nodes {
		n.link.cut(false)
		n.wait(t)
	}
}

func (c *cluster) did() map[string]int {
	all := make([]*soakClient, len(c.clients))
	for i, client := range c.clients {
		all[i] = &client.soakClient
	}
	return total(all)
}

// verify holds the cluster against what the clients know.
func (c *cluster) verify(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	if err := atATime(len(c.clients), 4, func(i int) error { return c.clients[i].finish(ctx) }); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(c.clients); i += 2 {
		c.listed(ctx, t, c.clients[i:i+2])
	}
	c.messages = c.checkMessages(t)
	var doc struct {
		Findings []struct{ Severity, Problem, Place, Archive string }
		Check    *struct{ Wrong, Rows, Records int }
	}
	l := *c.launcher
	l.environ = c.nodes[0].environ
	l.admin(t, &doc, "check")
	if doc.Check == nil || doc.Check.Wrong > 0 {
		t.Errorf("the check says %+v", doc.Check)
	}
	for _, f := range doc.Findings {
		if f.Severity == "wrong" {
			t.Errorf("%+v", f)
		}
	}
}

// listed holds the inventory of a vault against what its clients have stored: that is there, once; what had no answer is there once or not at all; nothing else is.
func (c *cluster) listed(ctx context.Context, t *testing.T, clients []*clusterClient) {
	t.Helper()
	var list map[string]listedArchive
	err := clients[0].insist(ctx, "inventory", func(ctx context.Context) (err error) {
		list, err = clients[0].inventory(ctx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, client := range clients {
		for _, a := range client.stored {
			if list[a.ArchiveID] != a.listedArchive {
				t.Errorf("the inventory of %s lists %+v, want %+v, which was acknowledged", client.vault, list[a.ArchiveID], a.listedArchive)
			}
			delete(list, a.ArchiveID)
		}
	}
	for id, a := range list {
		for _, client := range clients {
			for i, open := range client.open { // sent once, without an answer
				if open.ArchiveDescription == a.ArchiveDescription && open.SHA256TreeHash == a.SHA256TreeHash && open.Size == a.Size {
					client.open = append(client.open[:i], client.open[i+1:]...)
					delete(list, id)
					break
				}
			}
		}
	}
	for id, a := range list {
		t.Errorf("the inventory of %s lists %s, %+v, which was deleted, never uploaded, or is there twice", clients[0].vault, id, a)
	}
}

// clusterClient is a client that goes over what fails, as clients do.
type clusterClient struct {
	killClient
	cluster *cluster
	open    []soakArchive // sent, and never answered
	ended   []string      // jobs that were seen to be completed, and that name a topic
}

// work does what clients do until the context ends.
func (c *clusterClient) work(ctx context.Context) error {
	patient := context.WithoutCancel(ctx)
	err := c.insist(patient, "create vault", func(ctx context.Context) error {
		_, err := c.api.CreateVault(ctx, &glacier.CreateVaultInput{AccountId: aws.String("-"), VaultName: &c.vault})
		return err
	})
	for err == nil && ctx.Err() == nil {
		name, op := c.chooseOne()
		if err = op(patient); err == nil {
			c.did[name]++
		} else {
			err = fmt.Errorf("%s by a client of %s: %w", name, c.vault, err)
		}
	}
	return err
}

func (c *clusterClient) chooseOne() (name string, op func(context.Context) error) {
	switch n := c.rng.IntN(20); {
	case len(c.stored) >= killArchives || n < 4 && len(c.stored) > 0:
		return "delete", c.deleteOne
	case n < 7:
		return "upload in parts", c.uploadInParts
	case n < 11 && len(c.stored) > 0:
		return "retrieve", c.retrieveOne
	}
	return "upload", c.uploadOne
}

// passing reports whether an error is one of the moment: no answer, or one that a client tries again after.
func passing(err error) bool {
	var answer *awshttp.ResponseError
	if !errors.As(err, &answer) {
		return true
	}
	status := answer.HTTPStatusCode() // 0: there was none
	return status == 0 || status >= 500 || status == http.StatusRequestTimeout
}

// insist does something that can be repeated, until it has worked.
func (c *clusterClient) insist(ctx context.Context, what string, do func(context.Context) error) error {
	for begun := time.Now(); ; {
		within, cancel := context.WithTimeout(ctx, time.Minute)
		err := do(within)
		cancel()
		if err == nil {
			return nil
		}
		c.cluster.errors.Add(1)
		if !passing(err) || time.Since(begun) > clusterPatient || ctx.Err() != nil {
			return fmt.Errorf("%s, for %s: %w", what, time.Since(begun).Round(time.Second), err)
		}
		time.Sleep(100 * time.Millisecond) // another process, real time
	}
}

// uploadOne uploads an archive. Without an answer it may be there or not, and is not sent again.
func (c *clusterClient) uploadOne(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err := c.upload(within)
	if err == nil {
		return nil
	}
	if !passing(err) {
		return err
	}
	c.cluster.errors.Add(1)
	c.open = append(c.open, c.attempt)
	time.Sleep(100 * time.Millisecond) // another process, real time
	return nil
}

func (c *clusterClient) uploadInParts(ctx context.Context) error {
	if err := c.insist(ctx, "upload parts", c.uploadPartsOnce); err != nil {
		return err
	}
	return c.insist(ctx, "go on with an upload in parts", func(ctx context.Context) error {
		if c.parts == nil {
			return nil
		}
		return c.goOn(ctx)
	})
}

// uploadPartsOnce begins an upload, unless one is begun.
func (c *clusterClient) uploadPartsOnce(ctx context.Context) error {
	err := c.uploadParts(ctx)
	if c.parts != nil { // what fails from here on is gone on with
		return nil
	}
	return err
}

func (c *clusterClient) deleteOne(ctx context.Context) error {
	i, last := c.rng.IntN(len(c.stored)), len(c.stored)-1
	c.removal = c.stored[i].ArchiveID
	c.stored[i] = c.stored[last]
	c.stored = c.stored[:last]
	return c.insist(ctx, "delete", c.deleteAgain)
}

// clusterTopic is what the jobs name.
const clusterTopic = "arn:aws:sns:us-east-1:123456789012:cluster"

// retrieveOne starts a job, waits for its end and compares what it gives.
func (c *clusterClient) retrieveOne(ctx context.Context) error {
	a := c.stored[c.rng.IntN(len(c.stored))]
	p := retrieval(a.ArchiveID)
	p.SNSTopic = aws.String(clusterTopic)
	var job *string
	err := c.insist(ctx, "start a job", func(ctx context.Context) error {
		out, err := c.api.InitiateJob(ctx, &glacier.InitiateJobInput{AccountId: aws.String("-"), VaultName: &c.vault, JobParameters: &p})
		if err == nil {
			job = out.JobId
		}
		return err
	})
	if err != nil {
		return err
	}
	err = c.insist(ctx, "wait for job "+*job, func(ctx context.Context) error {
		for {
			d, err := c.api.DescribeJob(ctx, &glacier.DescribeJobInput{AccountId: aws.String("-"), VaultName: &c.vault, JobId: job})
			if err != nil {
				return err
			}
			if d.StatusCode != types.StatusCodeInProgress {
				return nil
			}
			if !every(ctx, 50*time.Millisecond) {
				return errors.New("the job does not end")
			}
		}
	})
	if err != nil {
		return err
	}
	c.ended = append(c.ended, *job)
	c.cluster.jobs.Add(1)
	return c.insist(ctx, "download "+a.ArchiveID, func(ctx context.Context) error {
		out, err := c.api.GetJobOutput(ctx, &glacier.GetJobOutputInput{AccountId: aws.String("-"), VaultName: &c.vault, JobId: job})
		if err != nil {
			return err
		}
		return c.compare(out, a, 0, a.Size-1)
	})
}

// finish settles what is open, and verifies everything.
func (c *clusterClient) finish(ctx context.Context) error {
	if err := c.insist(ctx, "settle", c.settle); err != nil {
		return err
	}
	for _, a := range c.stored {
		if err := c.insist(ctx, "verify", func(ctx context.Context) error { return c.killClient.verify(ctx, a) }); err != nil {
			return fmt.Errorf("%+v of %s, which was acknowledged: %w", a, c.vault, err)
		}
		c.cluster.archives.Add(1)
	}
	for _, id := range c.deleted {
		p := retrieval(id)
		err := c.insist(ctx, "a job on what was deleted", func(ctx context.Context) error {
			_, err := c.api.InitiateJob(ctx, &glacier.InitiateJobInput{AccountId: aws.String("-"), VaultName: &c.vault, JobParameters: &p})
			return err
		})
		if !errors.As(err, new(*types.ResourceNotFoundException)) {
			return fmt.Errorf("a job on the archive %s, whose deletion was acknowledged: %w", id, err)
		}
		c.cluster.deletions.Add(1)
	}
	return nil
}

// checkMessages waits until the ends of all jobs were told, and holds that each has one message, and each message one job. A message may come more than once: its id says so.
func (c *cluster) checkMessages(t *testing.T) (messages int) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(time.Second) {
		ofJob, ofMessage := map[string]string{}, map[string]string{}
		_, bodies := c.told.Got()
		for _, body := range bodies {
			e := notifytest.Decode(t, body)
			var job struct {
				JobID string `json:"JobId"`
			}
			if err := json.Unmarshal([]byte(e["Message"]), &job); err != nil {
				t.Fatal(err)
			}
			id := e["MessageId"]
			if other, known := ofJob[job.JobID]; known && other != id {
				t.Errorf("job %s has ended with the messages %s and %s", job.JobID, other, id)
			}
			if other, known := ofMessage[id]; known && other != job.JobID {
				t.Errorf("the message %s is of the jobs %s and %s", id, other, job.JobID)
			}
			ofJob[job.JobID], ofMessage[id] = id, job.JobID
		}
		missing := 0
		for _, client := range c.clients {
			for _, job := range client.ended {
				if ofJob[job] == "" {
					missing++
				}
			}
		}
		if missing == 0 || t.Failed() {
			return len(ofMessage)
		}
		if time.Since(begun) > clusterPatient {
			t.Errorf("nobody was told of the end of %d jobs", missing)
			return len(ofMessage)
		}
	}
}

// link is a way to a server that can be cut: then nothing comes through any more, in either direction, and nothing says so.
type link struct {
	address string
	mu      sync.Mutex
	open    chan struct{} // guarded by mu: closed unless the link is cut
	isCut   bool          // guarded by mu
}

func newLink(t *testing.T, to string) *link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{address: listener.Addr().String(), open: make(chan struct{})}
	close(l.open)
	t.Cleanup(func() {
		listener.Close()
		l.cut(false)
	})
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer in.Close()
				l.wait()
				out, err := net.Dial("tcp", to)
				if err != nil {
					return
				}
				defer out.Close()
				go l.pass(out, in)
				l.pass(in, out)
			}()
		}
	}()
	return l
}

func (l *link) wait() {
	l.mu.Lock()
	open := l.open
	l.mu.Unlock()
	<-open
}

func (l *link) pass(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		l.wait()
		if n > 0 {
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (l *link) cut(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if cut == l.isCut {
		return
	}
	if l.isCut = cut; cut {
		l.open = make(chan struct{})
	} else {
		close(l.open)
	}
}
