package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/glacier"
	"github.com/dustin/go-humanize"

	"github.com/moraine-archive/moraine/internal/moraintest"
)

// Figures of the interruptions.
const (
	interruptKills    = 20
	interruptParallel = 2       // of sync and restore: files at once, each with four parts or ranges
	interruptRange    = 8 * mib // that a download asks for
	interruptInFlight = 4       // parts or ranges of a file
)

// TestInterrupt interrupts upload, download, sync and restore of MORAINE_INTERRUPT bytes (2GiB): the program is killed again and again, or the server, or requests meet
// faults on their way. What was acknowledged is not sent again, what is stored is right, and there is one of it.
func TestInterrupt(t *testing.T) {
	text := os.Getenv("MORAINE_INTERRUPT")
	if text == "" {
		t.Skip("MORAINE_INTERRUPT is not set; `make interrupt` sets it to 2GiB")
	}
	size, err := humanize.ParseBytes(text)
	if err != nil {
		t.Fatalf("MORAINE_INTERRUPT: %v", err)
	}
	interrupt(t, int64(size)+7, interruptKills, func(*testing.T) {})
}

// TestInterruptBriefly keeps the test itself in order.
func TestInterruptBriefly(t *testing.T) {
	if testing.Short() {
		t.Skip("takes many processes")
	}
	interrupt(t, 64*mib+7, 3, (*testing.T).Parallel)
}

// interrupt has every enemy at every command. The download is that of what was uploaded, and the restore that of what was synced.
func interrupt(t *testing.T, size int64, kills int, begin func(*testing.T)) {
	seed := rand.Uint64()
	if text := os.Getenv("MORAINE_INTERRUPT_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("MORAINE_INTERRUPT_SEED: %v", err)
		}
	}
	t.Logf("MORAINE_INTERRUPT_SEED=%d", seed)
	program, err := exec.LookPath("moraine") // that of TestMain
	if err != nil {
		t.Fatal(err)
	}
	for i, enemy := range []enemy{killProgram, killServer, breakRequests} {
		for j, of := range []struct {
			name string
			do   func(*interruption, *testing.T)
		}{
			{"upload and download", (*interruption).uploadAndDownload},
			{"sync and restore", (*interruption).syncAndRestore},
		} {
			t.Run(string(enemy)+": "+of.name, func(t *testing.T) {
				begin(t)
				of.do(newInterruption(t, program, enemy, size, kills, rand.New(rand.NewPCG(seed, uint64(2*i+j)))), t)
			})
		}
	}
}

// enemy is who interrupts.
type enemy string

const (
	killProgram   enemy = "program killed"
	killServer    enemy = "server killed"
	breakRequests enemy = "requests broken"
)

// interruption is a server with a vault v, commands that reach it through a door, and an enemy.
type interruption struct {
	program string
	enemy   enemy
	size    int64 // of the bytes that commands move
	kills   int   // of each command
	rnd     *rand.Rand

	data    string
	keys    []string // environment of the server
	key     moraintest.Key
	server  *process
	door    *door
	environ []string // of commands

	mu      sync.Mutex
	moment  int64       // guarded by mu: when so many bytes have moved, the victim is killed; -1: never
	victim  *os.Process // guarded by mu; nil: nobody
	killing chan struct{}
}

func newInterruption(t *testing.T, program string, enemy enemy, size int64, kills int, rnd *rand.Rand) *interruption {
	x := &interruption{program: program, enemy: enemy, size: size, kills: kills, rnd: rnd, data: t.TempDir(), moment: -1, killing: make(chan struct{}, 1)}
	x.key = moraintest.Key{Account: "123456789012", ID: "AKIAIOSFODNN7EXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
	x.keys = []string{"MORAINE_ROOT_ACCESS_KEY_ID=" + x.key.ID, "MORAINE_ROOT_SECRET_ACCESS_KEY=" + x.key.Secret, "MORAINE_ROOT_ACCOUNT_ID=" + x.key.Account}
	x.start(t)
	x.server.CreateVault(t, "v")
	front := *x.server.Server
	x.door = doorTo(t, &front)
	x.door.set(func(d *door) {
		d.moved = func(up, down int64) {
			x.mu.Lock()
			defer x.mu.Unlock()
			if x.moment >= 0 && up+down >= x.moment {
				x.strike()
			}
		}
	})
	x.environ = environOf(t, &front)
	return x
}

// start starts the server.
func (x *interruption) start(t *testing.T) {
	t.Helper()
	x.server = serve(t, x.program, x.data, x.keys)
	x.server.Key = x.key
	if x.door != nil {
		x.door.to(x.server.Endpoint)
	}
}

// strike kills the victim, if there is one. The caller holds mu.
func (x *interruption) strike() {
	if x.victim == nil {
		return
	}
	x.victim.Kill()
	x.victim, x.moment = nil, -1
	x.killing <- struct{}{}
}

// strikeAt returns what kills the victim at an answer, which is lost.
func (x *interruption) strikeAt(when func(*http.Response) bool) func(*http.Response) bool {
	return func(r *http.Response) bool {
		if !when(r) {
			return false
		}
		x.mu.Lock()
		defer x.mu.Unlock()
		x.strike()
		return true
	}
}

// threaten has a process be killed when so many bytes have moved, unless something else comes before: a time, or a request among the next ones, when it arrives or when it was
// carried out and the answer is lost. If the moment is negative, nothing comes yet.
func (x *interruption) threaten(p *process, moment int64) {
	victim := p.cmd.Process
	x.mu.Lock()
	x.victim, x.moment = victim, moment
	x.mu.Unlock()
	if moment < 0 {
		return
	}
	requests := 1 + x.rnd.IntN(1<<(1+x.rnd.IntN(6)))
	switch x.rnd.IntN(6) {
	case 0:
		time.AfterFunc(time.Duration(1+x.rnd.Int64N(1<<(1+x.rnd.IntN(11))))*time.Millisecond, func() {
			x.mu.Lock()
			defer x.mu.Unlock()
			if x.victim == victim {
				x.strike()
			}
		})
	case 1:
		x.door.set(func(d *door) {
			d.arrived = func(*http.Request) bool {
				x.mu.Lock()
				defer x.mu.Unlock()
				if requests--; requests == 0 {
					x.strike()
				}
				return false
			}
		})
	case 2, 3:
		var left atomic.Int64
		left.Store(int64(requests))
		x.door.set(func(d *door) { d.answered = x.strikeAt(func(*http.Response) bool { return left.Add(-1) == 0 }) })
	}
}

// spare ends the threat.
func (x *interruption) spare() {
	x.mu.Lock()
	x.victim, x.moment = nil, -1
	x.mu.Unlock()
	x.door.set(func(d *door) { d.arrived, d.answered = nil, nil })
}

// toll is what a command has gone through.
type toll struct {
	kills, faults int
	gaveUp        int // runs that ended by themselves, and not well
	up, down      int64
	arrivals      int64
	stdout        string // of the last run
}

// endure runs a command until it is done, with the enemy at it: as it was given, or as it was printed when it gave up. done reports whether it was, although it was killed.
// The moments of kills are anywhere among the bytes that have to move, so that all of them come.
func (x *interruption) endure(t *testing.T, done func() bool, last func(*http.Response) bool, args ...string) (o toll) {
	t.Helper()
	began := time.Now()
	moments := make([]int64, x.kills)
	for i := range moments {
		moments[i] = x.rnd.Int64N(x.size)
	}
	slices.Sort(moments)
	harm := &faults{rnd: rand.New(rand.NewPCG(x.rnd.Uint64(), 0)), left: 2 * x.kills, met: map[string]int{}}
	x.door.set(func(d *door) {
		d.up, d.down, d.arrivals = 0, 0, 0
		if x.enemy == breakRequests {
			d.harm = harm.of
		}
	})
	next := func(victim *process) {
		switch n := o.kills - len(moments); {
		case n < 0:
			x.threaten(victim, moments[o.kills])
		case n == 0 && last != nil:
			x.threaten(victim, -1)
			x.door.set(func(d *door) { d.answered = x.strikeAt(last) })
		}
	}
	if x.enemy == killServer {
		next(x.server)
	}
	line := args
	for runs := 0; ; runs++ {
		if runs > 4*x.kills+20 {
			t.Fatalf("moraine %q never comes to an end: %+v", args, o)
		}
		p := launch(t, x.program, x.environ, line...)
		if x.enemy == killProgram {
			next(p)
		}
		x.accompany(t, p, &o, next)
		code, talk := p.cmd.ProcessState.ExitCode(), p.stderr.String()
		if o.stdout = p.stdout.String(); code == 0 || code < 0 && done() {
			break
		}
		if line = args; code > 0 {
			o.gaveUp++
			t.Logf("gave up: exit code %d: %s", code, lastLines(talk, 4))
			if again := suggested(talk); again != nil {
				line = again
			} else if x.enemy == killProgram {
				t.Errorf("exit code %d without anything having happened to it: %s", code, talk)
			}
		}
	}
	x.settle(t, &o, func(*process) {})
	x.door.set(func(d *door) {
		d.harm = nil
		o.up, o.down, o.arrivals = d.up, d.down, d.arrivals
	})
	harm.mu.Lock()
	defer harm.mu.Unlock()
	for _, n := range harm.met {
		o.faults += n
	}
	t.Logf("%s: %d kills, faults %v, gave up %d times; %d bytes to move: %d (%.3f) up, %d of them acknowledged, %d (%.3f) down; %s", args[0], o.kills, harm.met, o.gaveUp,
		x.size, o.up, float64(o.up)/float64(x.size), o.arrivals, o.down, float64(o.down)/float64(x.size), time.Since(began).Round(10*time.Millisecond))
	if x.enemy != breakRequests && o.kills < x.kills {
		t.Errorf("%s was done after %d kills, want %d", args[0], o.kills, x.kills)
	}
	return o
}

// accompany waits until a command has ended. A server that is killed meanwhile is started again, and threatened by next.
func (x *interruption) accompany(t *testing.T, p *process, o *toll, next func(*process)) {
	t.Helper()
	for deadline := time.After(10 * time.Minute); ; {
		select {
		case <-p.ended:
			if x.enemy == killProgram {
				x.settle(t, o, next)
			}
			return
		case <-x.killing:
			x.struck(t, o, next)
		case <-deadline:
			t.Fatalf("moraine %q does not end: %+v", p.cmd.Args[1:], o)
		}
	}
}

// settle ends the threat, which may have been carried out at the very end.
func (x *interruption) settle(t *testing.T, o *toll, next func(*process)) {
	t.Helper()
	x.spare()
	select {
	case <-x.killing:
		x.struck(t, o, next)
	default:
	}
}

// struck takes note of a kill.
func (x *interruption) struck(t *testing.T, o *toll, next func(*process)) {
	t.Helper()
	o.kills++
	x.spare()
	if x.enemy == killServer {
		<-x.server.ended
		time.Sleep(time.Duration(x.rnd.IntN(500)) * time.Millisecond)
		x.start(t)
		next(x.server)
	}
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// sentOnce holds that nothing that was acknowledged was sent again, and beside it only what was in flight: so many parts of that size, of one file or several.
func (x *interruption) sentOnce(t *testing.T, o toll, inFlight int, part int64) {
	t.Helper()
	if o.arrivals > x.size {
		t.Errorf("%d bytes were sent and acknowledged, of %d: some of them again", o.arrivals, x.size)
	}
	if limit := x.limit(o, inFlight, part); o.up > limit {
		t.Errorf("%d bytes were sent in all, want no more than %d", o.up, limit)
	}
}

// limit is how many bytes may move: what is in flight when the program or the server is killed, or gives up, and what a fault is about.
func (x *interruption) limit(o toll, inFlight int, part int64) int64 {
	return x.size + int64(o.kills+o.gaveUp)*int64(inFlight)*part + int64(o.faults)*part
}

// fetchedOnce does so for ranges of downloads.
func (x *interruption) fetchedOnce(t *testing.T, o toll, inFlight int) {
	t.Helper()
	if limit := x.limit(o, inFlight, interruptRange); o.down > limit {
		t.Errorf("%d bytes were fetched in all, want no more than %d", o.down, limit)
	}
}

func never() bool { return false }

// completed is the answer that an upload has become an archive.
func completed(r *http.Response) bool {
	return r.Request.Method == "POST" && strings.Contains(r.Request.URL.Path, "/multipart-uploads/")
}

func (x *interruption) uploadAndDownload(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "big.bin")
	x.fill(t, path, x.size)
	part := int64(mib)
	for part < 16*mib && part < x.size/128 {
		part *= 2
	}
	args := []string{"upload", "--vault", "v", "--part-size", fmt.Sprintf("%dMiB", part/mib), "--name", "big.bin", "--json", path}
	o := x.endure(t, never, completed, args...)
	x.sentOnce(t, o, interruptInFlight, part)
	var list []uploaded
	if err := json.Unmarshal([]byte(o.stdout), &list); err != nil || len(list) != 1 {
		t.Fatalf("%v: %s", err, o.stdout)
	}
	if x.enemy == killProgram && list[0].Reused != x.size {
		t.Errorf("%d bytes were sent when all were there", x.size-list[0].Reused)
	}
	x.stored(t, map[string]string{"big.bin": path})
	x.same(t, list[0].ArchiveID, path)
	x.says(t, "already stored", args...)

	to := filepath.Join(t.TempDir(), "back.bin")
	there := func() bool { _, err := os.Stat(to); return err == nil }
	o = x.endure(t, there, nil, "download", "--vault", "v", list[0].ArchiveID, to)
	x.fetchedOnce(t, o, interruptInFlight)
	x.alone(t, filepath.Dir(to))
	sameFiles(t, path, to)
}

func (x *interruption) syncAndRestore(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	paths := x.tree(t, from)
	parallel := strconv.Itoa(interruptParallel)
	o := x.endure(t, never, nil, "sync", from, "v", "--parallel", parallel)
	x.sentOnce(t, o, interruptParallel*interruptInFlight, 16*mib)
	x.stored(t, paths)
	x.says(t, fmt.Sprintf("0 new, 0 changed (0 B), 0 deleted, %d unchanged, 0 skipped, 0 failed.", len(paths)), "sync", from, "v")

	o = x.endure(t, never, nil, "restore", "v", to, "--yes", "--parallel", parallel)
	x.fetchedOnce(t, o, interruptParallel*interruptInFlight)
	x.says(t, fmt.Sprintf("%d there already", len(paths)), "restore", "v", to, "--yes")
	n := 0
	err := filepath.WalkDir(to, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(to, path)
		if source, known := paths[rel]; known {
			sameFiles(t, source, path)
			n++
		} else {
			t.Errorf("%s was left over", rel)
		}
		return err
	})
	if err != nil || n != len(paths) {
		t.Errorf("%d files were restored, want %d (%v)", n, len(paths), err)
	}
}

// tree makes files of many sizes, 200 if there is room, which have the whole size together, and returns where they are, by their paths.
func (x *interruption) tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	paths := map[string]string{}
	rest := x.size
	add := func(kind string, i int, size int64) {
		name := fmt.Sprintf("%d/%s/file %d", i%7, kind, i)
		paths[name] = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(paths[name]), 0o700); err != nil {
			t.Fatal(err)
		}
		x.fill(t, paths[name], size)
		rest -= size
	}
	large := int(min(8, x.size/(32*mib)))
	for i := range int(min(170, x.size/mib)) {
		add("small", i, 1+x.rnd.Int64N(1<<(1+x.rnd.IntN(18))))
	}
	for i := range 30 - large {
		add("middling", i, 1+x.rnd.Int64N(min(16*mib, x.size/128)))
	}
	for i := range large {
		add("large", i, rest/int64(large-i))
	}
	return paths
}

// fill makes a file of bytes that nobody knows before.
func (x *interruption) fill(t *testing.T, path string, size int64) {
	t.Helper()
	var key [32]byte
	for i := range key {
		key[i] = byte(x.rnd.Uint32())
	}
	f, err := os.Create(path)
	if err == nil {
		_, err = io.CopyN(f, rand.NewChaCha8(key), size)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// says runs a command to its end, with nobody at it.
func (x *interruption) says(t *testing.T, text string, args ...string) {
	t.Helper()
	code, stdout, stderr := command(t, x.program, x.environ, args...)
	if code != 0 || !strings.Contains(stdout, text) {
		t.Errorf("moraine %q: exit code %d, standard output %q, standard error %q; want %q", args, code, stdout, stderr, text)
	}
}

// stored holds that the inventory of the vault has exactly one archive of each file.
func (x *interruption) stored(t *testing.T, files map[string]string) {
	t.Helper()
	s := x.server
	if n := held(t, s.Server); n != len(files) {
		t.Errorf("the vault has %d archives, want %d", n, len(files))
	}
	var inventory struct {
		ArchiveList []struct {
			SHA256TreeHash string
			Size           int64
		}
	}
	if err := json.Unmarshal([]byte(s.Inventory(t, "v")), &inventory); err != nil {
		t.Fatal(err)
	}
	hashes := map[string]int{}
	for _, a := range inventory.ArchiveList {
		hashes[fmt.Sprint(a.Size, " ", a.SHA256TreeHash)]++
	}
	for name, path := range files {
		size, hash := treeHashOf(t, path)
		if n := hashes[fmt.Sprint(size, " ", hash)]; n != 1 && size > 1 { // of one byte there may be several
			t.Errorf("the vault has %d archives of %s, of %d bytes", n, name, size)
		}
	}
}

// treeHashOf computes the tree hash of a file as the service's documentation says.
func treeHashOf(t *testing.T, path string) (size int64, hash string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var level [][sha256.Size]byte
	for leaf := make([]byte, mib); ; {
		n, err := io.ReadFull(f, leaf)
		if n > 0 {
			level = append(level, sha256.Sum256(leaf[:n]))
			size += int64(n)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for len(level) > 1 {
		var above [][sha256.Size]byte
		for pair := range slices.Chunk(level, 2) {
			if len(pair) == 2 {
				pair[0] = sha256.Sum256(append(pair[0][:], pair[1][:]...))
			}
			above = append(above, pair[0])
		}
		level = above
	}
	return size, hex.EncodeToString(level[0][:])
}

// same holds an archive against a file, as the AWS SDK gets it from the server.
func (x *interruption) same(t *testing.T, archive, path string) {
	t.Helper()
	job := x.server.InitiateJob(t, "v", fmt.Sprintf(`{"Type":"archive-retrieval","ArchiveId":%q}`, archive))
	x.server.WaitForJob(t, "v", job)
	out, err := x.server.Client(x.key).GetJobOutput(context.Background(), &glacier.GetJobOutputInput{AccountId: aws.String("-"), VaultName: aws.String("v"), JobId: &job})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if at, err := differ(f, out.Body); err != nil || at >= 0 {
		t.Errorf("the archive is another one than %s from byte %d on (%v)", path, at, err)
	}
}

func sameFiles(t *testing.T, a, b string) {
	t.Helper()
	f, err := os.Open(a)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	g, err := os.Open(b)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if at, err := differ(f, g); err != nil || at >= 0 {
		t.Errorf("%s is another file than %s from byte %d on (%v)", b, a, at, err)
	}
}

// differ returns from where on two streams are not the same, -1 if they are.
func differ(a, b io.Reader) (int64, error) {
	x, y := bufio.NewReaderSize(a, mib), bufio.NewReaderSize(b, mib)
	for at := int64(0); ; {
		p, errA := x.Peek(mib)
		q, errB := y.Peek(mib)
		for _, err := range []error{errA, errB} {
			if err != nil && !errors.Is(err, io.EOF) {
				return at, err
			}
		}
		if !bytes.Equal(p, q) {
			return at, nil
		}
		if len(p) == 0 {
			return -1, nil
		}
		x.Discard(len(p)) // which were peeked at
		y.Discard(len(q))
		at += int64(len(p))
	}
}

// alone holds that a directory has nothing but one file.
func (x *interruption) alone(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%s has %v, want one file (%v)", dir, entries, err)
	}
}
