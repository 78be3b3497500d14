package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/moraine-archive/moraine/glacier/treehash"
)

// load is a kind of request that nodes are measured with.
type load struct {
	operation string
	size      int64 // of the archive; 0: there is none
	clients   int
	perNode   bool // so many clients for each node: all of them are as busy as a single one
	each      bool // each client has a vault of its own
}

// loads are made one after the other: the downloads are of what the first has uploaded.
var loads = []load{ // read only
	{operation: "upload", size: 16 << 10, clients: 64},
	{operation: "upload", size: 16 << 10, clients: 64, perNode: true},
	{operation: "upload, a vault each", size: 16 << 10, clients: 64, perNode: true, each: true},
	{operation: "upload", size: 4 << 20, clients: 8, perNode: true},
	{operation: "DescribeVault", clients: 16},
	{operation: "DescribeVault", clients: 16, perNode: true},
	{operation: "ListVaults", clients: 16, perNode: true},
	{operation: "download", size: 16 << 10, clients: 16, perNode: true},
}

// nodesRow is a line of the report: a load on so many nodes. Costs are seconds of the processor for 1000 requests.
type nodesRow struct {
	Operation string `json:"operation"`
	Size      int64  `json:"archive_bytes,omitzero"`
	Clients   int    `json:"clients"`
	Nodes     int    `json:"nodes"` // 0: the embedded server

	RequestsPerSecond float64 `json:"requests_per_second"`
	NodesCPU          float64 `json:"nodes_cpu_seconds_per_1000"`
	DatabaseCPU       float64 `json:"postgresql_cpu_seconds_per_1000,omitzero"`
	ObjectsCPU        float64 `json:"s3_cpu_seconds_per_1000,omitzero"`
	SumCPU            float64 `json:"sum_cpu_seconds_per_1000"`
	ClientCPU         float64 `json:"client_cpu_seconds_per_1000"`
	NodesOfOne        float64 `json:"nodes_cpu_of_fewest_nodes,omitzero"` // NodesCPU, of that of the first number of nodes
	SumOfOne          float64 `json:"sum_cpu_of_fewest_nodes,omitzero"`
	SumOfEmbedded     float64 `json:"sum_cpu_of_embedded,omitzero"`
	Puts              float64 `json:"objects_per_upload,omitzero"`
	Conflicts         float64 `json:"conflicts_per_1000,omitzero"`
}

func nodesFigures(r *nodesRow) []*float64 {
	return []*float64{
		&r.RequestsPerSecond, &r.NodesCPU, &r.DatabaseCPU, &r.ObjectsCPU, &r.SumCPU, &r.ClientCPU, &r.NodesOfOne, &r.SumOfOne, &r.SumOfEmbedded, &r.Puts, &r.Conflicts,
	}
}

// nodesReport is the result of all rounds.
type nodesReport struct {
	Cores  int        `json:"cores"`
	Go     string     `json:"go"`
	Rounds int        `json:"rounds"`
	Rows   []nodesRow `json:"rows"` // medians
}

// measureNodes measures an embedded server and numbers of nodes, in turns.
func (b *bench) measureNodes(ctx context.Context, stdout io.Writer) (err error) {
	b.pattern = newPattern()
	e, err := startEngines(ctx, b.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.stop()) }()
	sets := append([]int{0}, b.nodes...) // 0: embedded
	vaults := 0
	for _, l := range loads {
		vaults = max(vaults, l.on(slices.Max(b.nodes)).clients)
	}
	rounds := make([][]nodesRow, b.rounds)
	for i := range rounds {
		fmt.Fprintf(b.progress, "round %d of %d\n", i+1, b.rounds)
		of := make([][]nodesRow, len(sets))
		for k := range sets {
			k = (k + i) % len(sets) // another comes first in each round
			fmt.Fprintf(b.progress, "  %s\n", nameOfNodes(sets[k]))
			if of[k], err = b.nodesSet(ctx, e, sets[k], vaults); err != nil {
				return fmt.Errorf("%s: %w", nameOfNodes(sets[k]), err)
			}
		}
		rounds[i] = compareNodes(of)
	}
	r := nodesReport{Cores: runtime.GOMAXPROCS(0), Go: runtime.Version(), Rounds: b.rounds, Rows: medians(rounds, nodesFigures)}
	return r.print(stdout, b.json)
}

func nameOfNodes(n int) string {
	switch n {
	case 0:
		return "embedded"
	case 1:
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", n)
}

// compareNodes sets the ratios, and orders the rows by loads. The first of the sets is the embedded server.
func compareNodes(sets [][]nodesRow) (rows []nodesRow) {
	for i := range sets[0] {
		embedded, fewest := sets[0][i], sets[1][i]
		for k, set := range sets {
			r := set[i]
			if k > 0 {
				r.NodesOfOne, r.SumOfOne, r.SumOfEmbedded = r.NodesCPU/fewest.NodesCPU, r.SumCPU/fewest.SumCPU, r.SumCPU/embedded.SumCPU
			}
			rows = append(rows, r)
		}
	}
	return rows
}

// nodeSet is an embedded server, or nodes over a database and a bucket of their own.
type nodeSet struct {
	shared  *shared // nil: embedded
	servers []*server
	clients []*client // one for each server; the connection of client i of a load leads to number i modulo their number
}

// nodesSet measures all loads on a number of nodes, which begin with nothing but so many vaults.
func (b *bench) nodesSet(ctx context.Context, e *engines, nodes, vaults int) (rows []nodesRow, err error) {
	s, err := b.startSet(ctx, e, nodes)
	defer func() { err = errors.Join(err, s.stop(ctx), os.RemoveAll(filepath.Join(b.dir, "nodes"))) }()
	if err != nil {
		return nil, err
	}
	if err := s.clients[0].createVault(ctx, vaultPath); err != nil {
		return nil, err
	}
	if err := eachAtOnce(ctx, vaults, func(i int) error { return s.clients[0].createVault(ctx, vaultOf(i)) }); err != nil {
		return nil, err
	}
	var ids []string
	for i, l := range loads {
		row, made, err := b.measureLoad(ctx, s, l.on(len(s.servers)), ids)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.operation, err)
		}
		if i == 0 {
			ids = made[:min(len(made), maxJobs)]
		}
		row.Nodes = nodes
		rows = append(rows, row)
	}
	return rows, nil
}

// on is the load for a number of nodes.
func (l load) on(nodes int) load {
	if l.perNode {
		l.clients *= nodes
	}
	return l
}

// vaultOf is the vault of a client that has one of its own.
func vaultOf(client int) string { return fmt.Sprintf("%s-%d", vaultPath, client) }

// startSet starts the nodes one after the other: the first makes the schema, and the key that they share.
func (b *bench) startSet(ctx context.Context, e *engines, nodes int) (s *nodeSet, err error) {
	s = new(nodeSet)
	dir := filepath.Join(b.dir, "nodes")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return s, err
	}
	settings := []string{"--backup-interval", "0"} // a stop would make a copy
	if nodes > 0 {
		of, err := e.share(ctx)
		s.shared = &of
		if err != nil {
			return s, err
		}
		settings = append(append(settings, of.settings()...), "--secret-key-file", filepath.Join(dir, "secret.key"))
	}
	for i := range max(1, nodes) {
		n, err := startServer(b.binary, filepath.Join(dir, fmt.Sprintf("node%d", i)), settings...)
		if err != nil {
			return s, err
		}
		s.servers, s.clients = append(s.servers, n), append(s.clients, newClient(n.endpoint))
	}
	return s, nil
}

func (s *nodeSet) stop(ctx context.Context) (err error) {
	for i, n := range s.servers {
		s.clients[i].close()
		err = errors.Join(err, n.stop())
	}
	if s.shared != nil {
		err = errors.Join(err, s.shared.remove(context.WithoutCancel(ctx)))
	}
	return err
}

// used is what has been used so far.
type used struct {
	nodes, database, objects time.Duration
	conflicts                int
}

func (s *nodeSet) used() (u used, err error) {
	for _, n := range s.servers {
		of, err := n.cpu()
		if err != nil {
			return u, err
		}
		u.nodes += of
	}
	if s.shared == nil {
		return u, nil
	}
	if u.database, err = s.shared.engines.database.cpu(); err != nil {
		return u, err
	}
	if u.objects, err = processCPU(s.shared.engines.gateway.cmd.Process.Pid); err != nil {
		return u, err
	}
	u.conflicts, err = s.shared.engines.database.conflicts()
	return u, err
}

// measureLoad measures a load, after a while of it that does not count: connections are opened then. It returns the ids of archives that it has uploaded.
func (b *bench) measureLoad(ctx context.Context, s *nodeSet, l load, ids []string) (r nodesRow, made []string, err error) {
	do, err := b.requests(ctx, s, l, ids)
	if err != nil {
		return r, nil, err
	}
	wires := make([]*wire, l.clients)
	for i := range wires {
		if wires[i], err = s.clients[i%len(s.clients)].dial(ctx); err != nil {
			return r, nil, err
		}
		defer wires[i].close()
	}
	made = make([]string, l.clients) // the last one of each client
	run := func(limit limit) (measured, error) {
		return limit.run(ctx, max(1, l.size), l.clients, func(client, i int) error {
			id, err := do(wires[client], client, i)
			made[client] = id
			return err
		})
	}
	if _, err := run(limit{b.limit.bytes / 4, b.limit.time / 4}); err != nil {
		return r, nil, err
	}
	objects, err := s.objects()
	if err != nil {
		return r, nil, err
	}
	before, err := s.used()
	if err != nil {
		return r, nil, err
	}
	m, err := charged(nil, func() (measured, error) { return run(b.limit) })
	if err != nil {
		return r, nil, err
	}
	after, err := s.used()
	if err != nil {
		return r, nil, err
	}
	objectsAfter, err := s.objects()
	thousands := float64(m.requests) / 1000
	r = nodesRow{
		Operation: l.operation, Size: l.size, Clients: l.clients, RequestsPerSecond: float64(m.requests) / m.elapsed.Seconds(),
		NodesCPU: (after.nodes - before.nodes).Seconds() / thousands, DatabaseCPU: (after.database - before.database).Seconds() / thousands,
		ObjectsCPU: (after.objects - before.objects).Seconds() / thousands, ClientCPU: m.own.Seconds() / thousands,
		Puts: float64(objectsAfter-objects) / float64(m.requests), Conflicts: float64(after.conflicts-before.conflicts) / thousands,
	}
	r.SumCPU = r.NodesCPU + r.DatabaseCPU + r.ObjectsCPU
	return r, made, err
}

func (s *nodeSet) objects() (int, error) {
	if s.shared == nil {
		return 0, nil
	}
	return s.shared.count()
}

// requests returns what makes a request of a load: with the connection of a client, its number and that of the request.
func (b *bench) requests(ctx context.Context, s *nodeSet, l load, ids []string) (do func(w *wire, client, i int) (string, error), err error) {
	node := func(client int) int { return client % len(s.clients) }
	switch l.operation {
	case "DescribeVault", "ListVaults":
		path := map[string]string{"DescribeVault": vaultPath, "ListVaults": "/-/vaults"}[l.operation]
		heads := make([][]byte, len(s.clients))
		for i, c := range s.clients {
			if heads[i], err = c.prepare(ctx, request{method: "GET", path: path, hash: treehash.Empty().String()}); err != nil {
				return nil, err
			}
		}
		return func(w *wire, client, _ int) (string, error) { return "", w.read(heads[node(client)], b.pattern) }, nil
	case "download":
		heads := make([][][]byte, len(s.clients))
		jobs, err := s.clients[0].jobs(ctx, ids)
		if err != nil {
			return nil, err
		}
		for i, c := range s.clients {
			for _, job := range jobs {
				head, err := c.download(ctx, job)
				if err != nil {
					return nil, err
				}
				heads[i] = append(heads[i], head)
			}
		}
		buffers := make([][]byte, l.clients)
		for i := range buffers {
			buffers[i] = make([]byte, 64<<10)
		}
		return func(w *wire, client, i int) (string, error) {
			return "", w.download(heads[node(client)][i%len(jobs)], l.size, buffers[client])
		}, nil
	}
	a, err := newArchive(b.pattern, l.size)
	if err != nil {
		return nil, err
	}
	heads := make([][]byte, l.clients)
	for i := range heads {
		vault := vaultPath
		if l.each {
			vault = vaultOf(i)
		}
		if heads[i], err = s.clients[node(i)].upload(ctx, vault, a); err != nil {
			return nil, err
		}
	}
	return func(w *wire, client, _ int) (string, error) { return w.upload(heads[client], b.pattern, a) }, nil
}

// jobs makes a job for each archive and waits until all have ended.
func (c *client) jobs(ctx context.Context, ids []string) ([]string, error) {
	jobs := make([]string, len(ids))
	return jobs, eachAtOnce(ctx, len(ids), func(i int) (err error) {
		if jobs[i], err = c.retrieve(ctx, ids[i]); err != nil {
			return err
		}
		return c.wait(ctx, vaultPath, jobs[i])
	})
}

// eachAtOnce calls do with each number below n, several at once.
func eachAtOnce(ctx context.Context, n int, do func(int) error) error {
	_, err := limit{int64(n), time.Hour}.run(ctx, 1, min(n, 16), func(_, i int) error { return do(i) })
	return err
}

// read sends a request without a body, and throws the answer away.
func (w *wire) read(head []byte, p *pattern) error {
	res, err := w.ask(head, p, 0, http.StatusOK)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

func (r nodesReport) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return printJSON(w, r)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tsize\tat once\t\trequests/s\tnodes\tPostgreSQL\tS3\tsum\tnodes : one\tsum : one\tsum : embedded\tputs\tconflicts\t")
	for _, row := range r.Rows {
		size := "-"
		if row.Size > 0 {
			size = formatSize(row.Size)
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", row.Operation, size, row.Clients, nameOfNodes(row.Nodes),
			figure(row.RequestsPerSecond), figure(row.NodesCPU), figure(row.DatabaseCPU), figure(row.ObjectsCPU), figure(row.SumCPU),
			figure(row.NodesOfOne), figure(row.SumOfOne), figure(row.SumOfEmbedded), figure(row.Puts), figure(row.Conflicts))
	}
	fmt.Fprintln(t)
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%d cores, %s, medians of %d rounds; CPU seconds for 1000 requests, puts for an upload, conflicts for 1000 requests\n", r.Cores, r.Go, r.Rounds)
	return err
}
