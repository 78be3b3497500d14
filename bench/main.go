// Command bench measures a real server against the hardware it runs on: uploads and downloads of several sizes, next to hashing alone and
// writing alone; and numbers of nodes over PostgreSQL and an S3 server against an embedded server. docs/performance.md says how to read the figures.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.As(err, new(*usageError)):
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(2)
	default:
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// usageError is a command line that cannot be understood.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// options is the command line.
type options struct {
	dir     string // where the data goes, and is removed from
	sizes   []int64
	clients []int
	limit   limit // of every measurement
	rounds  int
	json    bool
	million int   // archives; 0: that is not what is wanted
	upload  int64 // bytes; 0: that is not what is wanted
	nodes   []int // none: that is not what is wanted
}

// limit ends a measurement, at whichever comes first. Every client makes at least one request.
type limit struct {
	bytes int64
	time  time.Duration
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.dir, "dir", ".", "directory on the disk to measure; a directory is made in it, and removed afterwards")
	sizes := f.String("sizes", "16KiB,4MiB,256MiB", "sizes of the archives")
	clients := f.String("clients", "1,16", "numbers of requests that run at once")
	bytes := f.String("bytes", "512MiB", "bytes of each measurement, at most; one archive for each client at least")
	f.DurationVar(&o.limit.time, "time", 2*time.Second, "time after which a measurement makes no new requests")
	f.IntVar(&o.rounds, "rounds", 3, "how often everything is measured; medians are shown")
	f.IntVar(&o.million, "million", 0, "store so many archives of 1 KiB instead, start again, and rebuild the catalogue: how do size and time grow?")
	upload := f.String("upload", "", "upload a file of this size instead, by our command line, and by the aws CLI to an S3 server: what takes longer? (1GiB)")
	nodes := f.String("nodes", "", "measure so many nodes over PostgreSQL and an S3 server instead, beside an embedded server: what does a request cost? (1,2,3)")
	f.BoolVar(&o.json, "json", false, "print JSON")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, &usageError{err}
	}
	var err error
	if o.sizes, err = parseList(*sizes, parseSize); err == nil {
		o.clients, err = parseList(*clients, parseCount)
	}
	if err == nil {
		o.limit.bytes, err = parseSize(*bytes)
	}
	if err == nil && *upload != "" {
		o.upload, err = parseSize(*upload)
	}
	if err == nil && *nodes != "" {
		o.nodes, err = parseList(*nodes, parseCount)
	}
	switch {
	case err != nil:
		return o, &usageError{err}
	case f.NArg() > 0:
		return o, &usageError{fmt.Errorf("%q is one argument too many", f.Arg(0))}
	case o.million != 0 && o.million < 4*clientsOfMillion:
		return o, &usageError{fmt.Errorf("--million: %d archives are too few to compare the first with the last", o.million)}
	case o.rounds < 1:
		return o, &usageError{fmt.Errorf("--rounds: %d is not positive", o.rounds)}
	case o.limit.time <= 0:
		return o, &usageError{fmt.Errorf("--time: %s is not positive", o.limit.time)}
	}
	return o, nil
}

func parseList[T any](text string, one func(string) (T, error)) ([]T, error) {
	var list []T
	for _, s := range strings.Split(text, ",") {
		v, err := one(strings.TrimSpace(s))
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

func parseCount(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q is not a whole number above 0", text)
	}
	return n, nil
}

// parseSize reads a size like 16KiB.
func parseSize(text string) (int64, error) {
	for shift, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		digits, ok := strings.CutSuffix(text, unit)
		if n, err := strconv.ParseInt(digits, 10, 32); ok && err == nil && n > 0 {
			return n << (10 * shift), nil
		}
	}
	return 0, fmt.Errorf("%q is not a size like 16KiB, 4MiB or 1GiB", text)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if err := enoughSpace(o); err != nil {
		return err
	}
	at, err := filepath.Abs(o.dir) // the programs that are started have other working directories
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(at, "moraine-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary, err := build(ctx, dir)
	if err != nil {
		return err
	}
	b := &bench{options: o, dir: dir, binary: binary, progress: stderr}
	if o.million > 0 {
		return b.measureMillion(ctx, stdout)
	}
	if o.upload > 0 {
		return b.measureUpload(ctx, o.upload, stdout)
	}
	if len(o.nodes) > 0 {
		return b.measureNodes(ctx, stdout)
	}
	rounds := make([][]row, o.rounds)
	for i := range rounds {
		fmt.Fprintf(stderr, "round %d of %d\n", i+1, o.rounds)
		b.turn = i
		if rounds[i], err = b.round(ctx); err != nil {
			return err
		}
	}
	return newReport(rounds).print(stdout, o.json)
}

// enoughSpace refuses to fill a disk: what a measurement stores stays until the next one.
func enoughSpace(o options) error {
	var disk unix.Statfs_t
	if err := unix.Statfs(o.dir, &disk); err != nil {
		return fmt.Errorf("--dir %s: %w", o.dir, err)
	}
	most := max(o.upload*int64(2*o.rounds+1), int64(o.million)*4<<10) // with the catalogue, and another that is made of the volumes
	for _, size := range o.sizes {
		for _, clients := range o.clients {
			most = max(most, size*int64(o.limit.requests(size, clients)))
		}
	}
	if free := int64(disk.Bavail) * disk.Bsize; free < 2*most {
		return fmt.Errorf("--dir %s has %d MiB free, and %d MiB are needed", o.dir, free>>20, 2*most>>20)
	}
	return nil
}
