package objects

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/enginetest"
	"github.com/moraine-archive/moraine/internal/store"
)

// asNode is in the environment of a process that is another node at a bucket: the URL of that.
const asNode = "OBJECTS_TEST_NODE"

// node starts another process at a bucket. It says what was acknowledged, line by line, until it has done its work or is killed.
func node(t *testing.T, b enginetest.Bucket) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNodes$")
	cmd.Env = append(append(os.Environ(), b.Environ()...), asNode+"="+b.URL())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewScanner(out)
}

// Figures of the work of a node.
const (
	nodePuts  = 45 // by each writer of a node
	nodeLarge = 20 // one record of so many is long
)

// beNode puts records and removes some, as several writers, and says what was done.
func beNode(t *testing.T, url string) {
	o, err := ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	s := openWith(t, o, time.Now)
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := range nodePuts {
				size := 1000*w + i
				if i%nodeLarge == 0 {
					size = 9*mib + w
				}
				x := put(t, s, "label", data(size))
				fmt.Printf("put %s %d\n", x.Place, size)
				if i%3 == 0 {
					fmt.Printf("removing %s\n", x.Place)
					remove(t, s, x)
					fmt.Printf("removed %s\n", x.Place)
				}
			}
		})
	}
	writers.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestNodes has three processes work in one bucket, of which one is killed. What each was told is so afterwards, and nothing else but what the one that was killed has left.
func TestNodes(t *testing.T) {
	if url := os.Getenv(asNode); url != "" {
		beNode(t, url)
		return
	}
	b := newBucket(t)
	var mu sync.Mutex
	there, gone, open := make(map[store.Place]int), make(map[store.Place]bool), make(map[store.Place]bool) // guarded by mu
	hear := func(line string) {
		var at store.Place
		var size int
		mu.Lock()
		defer mu.Unlock()
		if n, _ := fmt.Sscanf(line, "put %s %d", &at, &size); n == 2 {
			there[at] = size
		} else if n, _ := fmt.Sscanf(line, "removing %s", &at); n == 1 {
			open[at] = true
		} else if n, _ := fmt.Sscanf(line, "removed %s", &at); n == 1 {
			gone[at] = true
		}
	}
	var nodes sync.WaitGroup
	for i := range 3 {
		cmd, lines := node(t, b)
		nodes.Go(func() {
			for heard := 0; lines.Scan(); heard++ {
				hear(lines.Text())
				if i == 0 && heard == nodePuts {
					cmd.Process.Kill()
				}
			}
			if err := cmd.Wait(); (err != nil) != (i == 0) {
				t.Errorf("node %d ends with %v", i, err)
			}
		})
	}
	s := openWith(t, optionsOfURL(t, b), time.Now)
	for range 5 { // and one that only looks: nothing must look damaged to it
		volumesLookWhole(t, s)
	}
	nodes.Wait()
	s = openWith(t, optionsOfURL(t, b), time.Now) // which knows nothing but the bucket
	all, remains := walk(t, s)
	unheard := 0
	for at, x := range all {
		size, heard := there[at]
		switch {
		case gone[at]:
			t.Errorf("the record at %s was removed, and is there", at)
		case !heard:
			unheard++
			size = int(x.Size)
		}
		if string(x.Label) != "label" || !bytes.Equal(read(t, s, x), data(size)) {
			t.Errorf("the record at %s is not what was put", at)
		}
	}
	for at := range there {
		if _, ok := all[at]; !ok && !open[at] {
			t.Errorf("the record at %s was acknowledged, and is not there", at)
		}
	}
	if unheard > 4 || len(there) < 2*4*nodePuts {
		t.Errorf("%d records were heard of, and %d are there that nobody heard of", len(there), unheard)
	}
	remove(t, s, remains...)
	for at := range all {
		if err := s.Remove(t.Context(), at); err != nil {
			t.Fatal(err)
		}
	}
	if left, uploads := keys(t, b); len(left) > 0 || uploads > 0 {
		t.Errorf("when everything was removed there are %q and %d uploads", left, uploads)
	}
}

func optionsOfURL(t *testing.T, b enginetest.Bucket) Options {
	t.Helper()
	o, err := ParseURL(b.URL())
	if err != nil {
		t.Fatal(err)
	}
	o.Credentials = b.Credentials()
	return o
}

// volumesLookWhole goes through the descriptions of everything. Bytes whose description is on its way may be reported, nothing else.
func volumesLookWhole(t *testing.T, s *Store) {
	t.Helper()
	for _, v := range volumes(t, s) {
		err := s.Inspect(t.Context(), v.Name, store.Inspection{
			Record: func(store.Extent) error { return nil },
			Damage: func(d store.Damage) error {
				if d.Err != errNoMeta {
					t.Errorf("it looks as if %s were damaged: %v", d.Place, d.Err)
				}
				return nil
			},
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// TestRemovedByBoth has two nodes remove the records of one object at the same time. Neither may see that it removes the last ones: the sweep does.
func TestRemovedByBoth(t *testing.T) {
	for range 10 {
		s, b := openNew(t)
		other := openWith(t, optionsFor(b), startClock)
		pack := putPack(t, s, data(1), data(2), data(3), data(4))
		var both sync.WaitGroup
		both.Go(func() { remove(t, s, pack[0], pack[1]) })
		both.Go(func() { remove(t, other, pack[2], pack[3]) })
		both.Wait()
		all, remains := walk(t, openWith(t, optionsFor(b), startClock))
		if len(all) > 0 {
			t.Fatalf("there are the records %v", all)
		}
		remove(t, other, remains...)
		wantOnly(t, b, nil)
	}
}

// endless gives bytes of which no two leaves are equal.
type endless struct {
	block []byte
	at    int64
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.block[e.at%int64(len(e.block)):])
	e.at += int64(n)
	return n, nil
}

// TestMemory puts and reads a payload that is longer than what the process may hold.
func TestMemory(t *testing.T) {
	const size, most = 256 * mib, 96 * mib
	if testing.Short() {
		t.Skip("a long payload")
	}
	s := openWith(t, optionsFor(newBucket(t)), startClock)
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	ctx, cancel := context.WithCancel(t.Context())
	var peak atomic.Uint64
	var watch sync.WaitGroup
	watch.Go(func() {
		for ctx.Err() == nil {
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			peak.Store(max(peak.Load(), now.HeapAlloc))
			time.Sleep(5 * time.Millisecond)
		}
	})
	source := func() io.Reader { return io.LimitReader(&endless{block: data(mib + 1)}, size) }
	x, err := s.Put(t.Context(), store.Payload, nil, treehash.NewStream(source(), -1, nil))
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(t.Context(), x.Place, 0, x.Size)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	want, got := source(), make([]byte, mib)
	same := make([]byte, mib)
	for range size / mib {
		if _, err := io.ReadFull(r, got); err != nil {
			t.Fatal(err)
		}
		io.ReadFull(want, same)
		if !bytes.Equal(got, same) {
			t.Fatal("the record has other bytes")
		}
	}
	cancel()
	watch.Wait()
	if used := peak.Load() - before.HeapAlloc; used > most {
		t.Errorf("%d MiB of memory were used for a payload of %d", used>>20, size>>20)
	} else {
		t.Logf("%d MiB of memory for a payload of %d", used>>20, size>>20)
	}
	if strings.Count(string(x.Place), ":") != 1 || len(x.Leaves) != size/mib {
		t.Errorf("%d leaves", len(x.Leaves))
	}
}
