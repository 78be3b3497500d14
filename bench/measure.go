package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// bench is everything that stays the same from one measurement to the next.
type bench struct {
	options
	dir      string // of this run
	binary   string
	progress io.Writer
	pattern  *pattern
	archives map[int64]archive // by size
	turn     int               // of the round
}

// measured is what one measurement found.
type measured struct {
	requests int
	bytes    int64
	elapsed  time.Duration
	server   time.Duration // processor time of the server
	own      time.Duration // processor time of this process
}

// requests returns how many requests a measurement makes at most.
func (l limit) requests(size int64, clients int) int { return max(clients, int(l.bytes/size)) }

// run calls do from a number of clients at once, with the number of the client and of the request, until the limit.
func (l limit) run(ctx context.Context, size int64, clients int, do func(client, i int) error) (measured, error) {
	var next, done atomic.Int64
	errs := make([]error, clients)
	start := time.Now()
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			for first := true; errs[c] == nil && (first || time.Since(start) < l.time); first = false {
				i := int(next.Add(1)) - 1
				if i >= l.requests(size, clients) {
					return
				}
				if errs[c] = errors.Join(ctx.Err(), do(c, i)); errs[c] == nil {
					done.Add(1)
				}
			}
		})
	}
	all.Wait()
	n := done.Load()
	return measured{requests: int(n), bytes: n * size, elapsed: time.Since(start)}, errors.Join(errs...)
}

// round measures everything once.
func (b *bench) round(ctx context.Context) ([]row, error) {
	if b.pattern == nil {
		b.pattern, b.archives = newPattern(), map[int64]archive{}
	}
	var rows []row
	for _, size := range b.sizes {
		a, err := newArchive(b.pattern, size)
		if err != nil {
			return nil, err
		}
		b.archives[size] = a
		var with hardware
		if with.linear, err = b.hashLinear(ctx, size); err != nil {
			return nil, err
		}
		if with.both, err = b.hashBoth(ctx, size); err != nil {
			return nil, err
		}
		rows = append(rows, newRow("SHA-256", size, 1, with.linear), newRow("both hashes", size, 1, with.both))
		for _, clients := range b.clients {
			more, err := b.measure(ctx, a, clients, with)
			if err != nil {
				return nil, fmt.Errorf("archives of %d bytes, %d at once: %w", size, clients, err)
			}
			rows = append(rows, more...)
		}
	}
	return rows, nil
}

// hardware is what the same bytes cost without a server.
type hardware struct{ linear, both, disk measured }

// served is what a server did.
type served struct {
	up, down measured
	peak     int64
}

// shareLimit is the size up to which archives can share volumes.
const shareLimit = 1 << 20

// measure measures the disk, then uploads and downloads with a server on an empty directory. Archives that share volumes are also uploaded to a
// server that gives each a file of its own, in every second round beforehand.
func (b *bench) measure(ctx context.Context, a archive, clients int, with hardware) (rows []row, err error) {
	fmt.Fprintf(b.progress, "  %s, %d at once\n", formatSize(a.size), clients)
	if with.disk, err = b.write(ctx, a.size, clients); err != nil {
		return nil, err
	}
	var shared, each served
	serve := func() (err error) { shared, err = b.serve(ctx, a, clients, true); return err }
	serveEach := func() (err error) {
		each, err = b.serve(ctx, a, clients, false, "--share-limit", "0", "--commit-limit", "1")
		return err
	}
	order := []func() error{serve, serveEach}
	switch {
	case a.size > shareLimit:
		order = order[:1]
	case b.turn%2 == 1:
		slices.Reverse(order)
	}
	for _, do := range order {
		if err := do(); err != nil {
			return nil, err
		}
	}
	rows = []row{newRow("write+fdatasync", a.size, clients, with.disk), shared.row("upload", a.size, clients, shared.up, with)}
	if each.up.requests > 0 {
		rows[1].OfEach = shared.up.rate() / each.up.rate()
		rows = append(rows, each.row("upload, a file each", a.size, clients, each.up, with))
	}
	with.disk = measured{} // writing says nothing of reading
	return append(rows, shared.row("download", a.size, clients, shared.down, with)), nil
}

func (s served) row(operation string, size int64, clients int, m measured, with hardware) row {
	r := newRow(operation, size, clients, m)
	r.compare(with)
	r.PeakMiB = float64(s.peak) / (1 << 20)
	return r
}

// serve measures a server on an empty directory.
func (b *bench) serve(ctx context.Context, a archive, clients int, download bool, settings ...string) (m served, err error) {
	data := filepath.Join(b.dir, "data")
	s, err := startServer(b.binary, data, settings...)
	if err != nil {
		return m, err
	}
	c := newClient(s.endpoint)
	defer func() {
		c.close()
		err = errors.Join(err, s.stop(), os.RemoveAll(data))
	}()
	var ids []string
	if m.up, ids, err = b.uploads(ctx, s, c, a, clients); err == nil && download {
		m.down, err = b.downloads(ctx, s, c, a, clients, ids)
	}
	if err != nil {
		return m, err
	}
	m.peak, err = s.peak()
	return m, err
}

// charged adds what a measurement cost this process and, if there is one, the server.
func charged(s *server, measure func() (measured, error)) (measured, error) {
	own, server, err := cpuTimes(s)
	if err != nil {
		return measured{}, err
	}
	m, err := measure()
	if err != nil {
		return m, err
	}
	ownAfter, serverAfter, err := cpuTimes(s)
	m.own, m.server = ownAfter-own, serverAfter-server
	return m, err
}

func cpuTimes(s *server) (own, server time.Duration, err error) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0, 0, fmt.Errorf("getrusage: %w", err)
	}
	if s != nil {
		server, err = s.cpu()
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), server, err
}

// wires opens a connection for each client, for do.
func (c *client) wires(ctx context.Context, n int, do func([]*wire) error) error {
	all := make([]*wire, n)
	for i := range all {
		w, err := c.dial(ctx)
		if err != nil {
			return err
		}
		defer w.close()
		all[i] = w
	}
	return do(all)
}

// uploads returns the ids of the archives too.
func (b *bench) uploads(ctx context.Context, s *server, c *client, a archive, clients int) (m measured, ids []string, err error) {
	if err := c.createVault(ctx, vaultPath); err != nil {
		return m, nil, err
	}
	head, err := c.upload(ctx, vaultPath, a)
	if err != nil {
		return m, nil, err
	}
	ids = make([]string, b.limit.requests(a.size, clients))
	err = c.wires(ctx, clients, func(wires []*wire) (err error) {
		m, err = charged(s, func() (measured, error) {
			return b.limit.run(ctx, a.size, clients, func(client, i int) (err error) {
				ids[i], err = wires[client].upload(head, b.pattern, a)
				return err
			})
		})
		return err
	})
	return m, ids[:m.requests], err
}

// maxJobs bounds how many different archives are downloaded, so that making the jobs takes no longer than the downloads.
const maxJobs = 256

// downloads makes a job for each archive, then reads their outputs in turn.
func (b *bench) downloads(ctx context.Context, s *server, c *client, a archive, clients int, ids []string) (m measured, err error) {
	heads, err := b.jobs(ctx, c, a, clients, ids[:min(len(ids), maxJobs)])
	if err != nil {
		return m, err
	}
	buffers := make([][]byte, clients)
	for i := range buffers {
		buffers[i] = make([]byte, 1<<20)
	}
	err = c.wires(ctx, clients, func(wires []*wire) (err error) {
		m, err = charged(s, func() (measured, error) {
			return b.limit.run(ctx, a.size, clients, func(client, i int) error {
				return wires[client].download(heads[i%len(heads)], a.size, buffers[client])
			})
		})
		return err
	})
	return m, err
}

// jobs makes a job for each archive, waits until all have ended, and returns the requests for their outputs.
func (b *bench) jobs(ctx context.Context, c *client, a archive, clients int, ids []string) ([][]byte, error) {
	jobs, heads := make([]string, len(ids)), make([][]byte, len(ids))
	all := limit{bytes: int64(len(ids)) * a.size, time: time.Hour}
	_, err := all.run(ctx, a.size, min(clients, len(ids)), func(_, i int) (err error) {
		jobs[i], err = c.retrieve(ctx, ids[i])
		return err
	})
	for i, job := range jobs {
		if err == nil {
			err = c.wait(ctx, vaultPath, job)
		}
		if err == nil {
			heads[i], err = c.download(ctx, job)
		}
	}
	return heads, err
}
