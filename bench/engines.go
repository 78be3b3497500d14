package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// engines are what nodes share: a PostgreSQL that syncs every commit, and an S3 server that keeps objects as files. Both run on the disk that is measured.
type engines struct {
	database *database
	gateway  *gateway
	objects  string // the directory of the S3 server
	made     int    // databases and buckets
}

// startEngines starts both in a directory.
func startEngines(ctx context.Context, dir string) (*engines, error) {
	program, err := findGateway()
	if err != nil {
		return nil, err
	}
	e := &engines{objects: filepath.Join(dir, "objects")}
	if e.gateway, err = startGateway(ctx, program, e.objects, "--keep-alive", "--region", region); err != nil {
		return nil, err
	}
	if e.database, err = startDatabase(ctx, dir); err != nil {
		return nil, errors.Join(err, e.gateway.stop())
	}
	return e, nil
}

func (e *engines) stop() error { return errors.Join(e.database.stop(), e.gateway.stop()) }

// findGateway looks where `make test-servers-setup` puts the S3 server.
func findGateway() (string, error) {
	dir := cmp.Or(os.Getenv("MORAINE_SERVERS"), filepath.Join(".cache", "servers"))
	if path, err := exec.LookPath(filepath.Join(dir, "versitygw")); err == nil {
		return path, nil
	}
	path, err := exec.LookPath("versitygw")
	if err != nil {
		return "", fmt.Errorf("--nodes needs an S3 server, versitygw, in $MORAINE_SERVERS, .cache/servers or the path (make test-servers-setup): %w", err)
	}
	return path, nil
}

// shared is a new database and a new bucket.
type shared struct {
	engines  *engines
	database string // name
	bucket   string // name
}

func (e *engines) share(ctx context.Context) (shared, error) {
	e.made++
	s := shared{e, fmt.Sprintf("bench%d", e.made), fmt.Sprintf("bench-%d", e.made)}
	if err := e.database.run(ctx, "createdb", s.database); err != nil {
		return s, err
	}
	client := s3.New(s3.Options{BaseEndpoint: &e.gateway.endpoint, Region: region, UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider(keyID, secret, "")})
	_, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &s.bucket})
	return s, err
}

// settings are those of a node.
func (s shared) settings() []string {
	store := "s3://" + s.bucket + "?" + url.Values{"endpoint": {s.engines.gateway.endpoint}, "region": {region}, "path-style": {"true"}}.Encode()
	catalogue := fmt.Sprintf("postgres://%s@127.0.0.1:%s/%s?sslmode=disable", userOfDatabase, s.engines.database.port, s.database)
	return []string{"--catalogue", catalogue, "--store", store}
}

// count returns how many objects the bucket has.
func (s shared) count() (n int, err error) {
	err = filepath.WalkDir(filepath.Join(s.engines.objects, s.bucket), func(_ string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // it was there for a moment
		case err != nil:
			return err
		case d.IsDir() && d.Name() == ".sgwtmp": // of the server: what is not an object yet
			return fs.SkipDir
		case d.Type().IsRegular():
			n++
		}
		return nil
	})
	return n, err
}

// remove removes everything that the nodes have stored.
func (s shared) remove(ctx context.Context) error {
	return errors.Join(s.engines.database.run(ctx, "dropdb", s.database), os.RemoveAll(filepath.Join(s.engines.objects, s.bucket)))
}

// database is a PostgreSQL.
type database struct {
	port string
	bin  string
	as   []string // the beginning of a command that runs as a user who is not root
	log  string
	cmd  *exec.Cmd
}

const userOfDatabase = "moraine"

// startDatabase makes a PostgreSQL in a directory and starts it. Its settings are its defaults, but for the log, which tells of conflicts.
func startDatabase(ctx context.Context, parent string) (*database, error) {
	bin, err := databasePrograms()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(parent, "postgresql")
	d := &database{bin: bin, log: filepath.Join(parent, "postgresql.log")}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	if err := d.unroot(parent, dir); err != nil {
		return nil, err
	}
	if out, err := d.command(ctx, "initdb", "-D", dir, "-U", userOfDatabase, "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	at, err := freeAddress()
	if err != nil {
		return nil, err
	}
	if _, d.port, err = net.SplitHostPort(at); err != nil {
		return nil, err
	}
	d.cmd = d.command(context.WithoutCancel(ctx), "postgres", "-D", dir, "-p", d.port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="+dir,
		"-c", "max_connections=300", "-c", "log_min_error_statement=panic", "-c", "log_checkpoints=off")
	log, err := os.Create(d.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	d.cmd.Stdout, d.cmd.Stderr = log, log
	if err := d.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	for range 600 {
		if err = d.run(ctx, "pg_isready"); err == nil {
			return d, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	text, _ := os.ReadFile(d.log)
	return nil, errors.Join(fmt.Errorf("PostgreSQL does not get ready: %w\n%s", err, text), d.stop())
}

// databasePrograms returns the directory of the programs of PostgreSQL.
func databasePrograms() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		path, err = filepath.EvalSymlinks(path) // the others are beside it
		return filepath.Dir(path), err
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errors.Join(errors.New("--nodes needs PostgreSQL, and initdb is not in the path (make test-servers-setup)"), err)
	}
	return filepath.Dir(found[len(found)-1]), nil
}

// unroot gives a directory to a user who is not root, which the server refuses to be.
func (d *database) unroot(parent, dir string) error {
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return fmt.Errorf("root cannot run PostgreSQL: %w", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	d.as = []string{"setpriv", "--reuid=" + u.Uid, "--regid=" + u.Gid, "--clear-groups"}
	return errors.Join(os.Chmod(parent, 0o755), os.Chown(dir, uid, -1))
}

func (d *database) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	words := append(append([]string{}, d.as...), filepath.Join(d.bin, program))
	words = append(words, args...)
	return exec.CommandContext(ctx, words[0], words[1:]...)
}

// run runs a program that connects.
func (d *database) run(ctx context.Context, program string, args ...string) error {
	cmd := d.command(ctx, program, append([]string{"-h", "127.0.0.1", "-p", d.port, "-U", userOfDatabase}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, out)
	}
	return nil
}

// cpu returns the processor time that all processes of the server have used so far: those that run, and those that have ended.
func (d *database) cpu() (time.Duration, error) {
	main := d.cmd.Process.Pid
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", main))
	if err != nil {
		return 0, err
	}
	sum, err := parseTimes(string(text), userField, systemField, childrenUserField, childrenSystemField)
	if err != nil {
		return 0, err
	}
	processes, err := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range processes {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		parent, err := parseStat(string(text), parentField)
		if err != nil || parent[0] != int64(main) {
			continue
		}
		used, err := parseCPU(string(text))
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, err
}

// conflicts returns how many statements have failed so far because of what another transaction did (SQLSTATE 40001).
func (d *database) conflicts() (int, error) {
	text, err := os.ReadFile(d.log)
	return strings.Count(string(text), "could not serialize access"), err
}

// stop ends all connections and stops the server.
func (d *database) stop() error {
	if err := d.cmd.Process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop PostgreSQL: %w", err)
	}
	kill := time.AfterFunc(stopTime, func() { d.cmd.Process.Kill() })
	defer kill.Stop()
	if err := d.cmd.Wait(); err != nil {
		return fmt.Errorf("PostgreSQL did not stop well: %w", err)
	}
	return nil
}
