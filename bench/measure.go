package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
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

// measure measures the disk, then uploads and downloads with a server on an empty directory.
func (b *bench) measure(ctx context.Context, a archive, clients int, with hardware) (rows []row, err error) {
	fmt.Fprintf(b.progress, "  %s, %d at once\n", formatSize(a.size), clients)
	if with.disk, err = b.write(ctx, a.size, clients); err != nil {
		return nil, err
	}
	data := filepath.Join(b.dir, "data")
	s, err := startServer(b.binary, data)
	if err != nil {
		return nil, err
	}
	c := newClient(s.endpoint, clients)
	defer func() {
		c.close()
		err = errors.Join(err, s.stop(), os.RemoveAll(data))
	}()
	up, ids, err := b.uploads(ctx, s, c, a, clients)
	if err != nil {
		return nil, err
	}
	down, err := b.downloads(ctx, s, c, a, clients, ids)
	if err != nil {
		return nil, err
	}
	peak, err := s.peak()
	if err != nil {
		return nil, err
	}
	rows = []row{newRow("write+fdatasync", a.size, clients, with.disk), newRow("upload", a.size, clients, up), newRow("download", a.size, clients, down)}
	rows[1].compare(with)
	with.disk = measured{} // writing says nothing of reading
	rows[2].compare(with)
	rows[1].PeakMiB, rows[2].PeakMiB = float64(peak)/(1<<20), float64(peak)/(1<<20)
	return rows, nil
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

// uploads returns the ids of the archives too.
func (b *bench) uploads(ctx context.Context, s *server, c *client, a archive, clients int) (measured, []string, error) {
	if err := c.createVault(ctx); err != nil {
		return measured{}, nil, err
	}
	ids := make([]string, b.limit.requests(a.size, clients))
	r, err := charged(s, func() (measured, error) {
		return b.limit.run(ctx, a.size, clients, func(_, i int) (err error) {
			ids[i], err = c.upload(ctx, b.pattern, a)
			return err
		})
	})
	return r, ids[:r.requests], err
}

// maxJobs bounds how many different archives are downloaded, so that making the jobs takes no longer than the downloads.
const maxJobs = 256

// downloads makes a job for each archive, then reads their outputs in turn.
func (b *bench) downloads(ctx context.Context, s *server, c *client, a archive, clients int, ids []string) (measured, error) {
	jobs := make([]string, min(len(ids), maxJobs))
	all := limit{bytes: int64(len(jobs)) * a.size, time: time.Hour}
	_, err := all.run(ctx, a.size, min(clients, len(jobs)), func(_, i int) (err error) {
		jobs[i], err = c.retrieve(ctx, ids[i])
		return err
	})
	if err != nil {
		return measured{}, err
	}
	for _, job := range jobs {
		if err := c.wait(ctx, job); err != nil {
			return measured{}, err
		}
	}
	buffers := make([][]byte, clients)
	for i := range buffers {
		buffers[i] = make([]byte, 1<<20)
	}
	return charged(s, func() (measured, error) {
		return b.limit.run(ctx, a.size, clients, func(client, i int) error {
			return c.download(ctx, jobs[i%len(jobs)], a.size, buffers[client])
		})
	})
}
