package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/cli"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

// downloaded is what `download --json` prints.
type downloaded struct {
	File      string
	ArchiveID string `json:"archive_id"`
	JobID     string `json:"job_id"`
	TreeHash  string `json:"tree_hash"`
	Size      int64
	Verified  bool
	Reused    int64 `json:"reused_bytes"`
}

func TestDownload(t *testing.T) {
	s := moraintest.Start(t)
	k, _ := vaultOf(t, s)
	body := noise(5, 3*mib+1)
	inDirectory(t, map[string][]byte{"d/f.bin": body, "out/keep": []byte("k")})
	id := s.Upload(t, "v", body, "a/b/f.bin")
	k.says(10, "download --vault v a/b/f.bin", "no archive is known here", "moraine inventory --vault v")
	var got downloaded
	k.json(0, &got, "download", "--vault", "v", id, "by-id")
	if got.File != "by-id" || got.ArchiveID != id || got.TreeHash != moraintest.TreeHash(body) || !got.Verified || got.Size != int64(len(body)) {
		t.Errorf("%+v", got)
	}
	holds(t, "by-id", body)
	k.says(0, "inventory --vault v")
	k.says(0, "download --vault v a/b/f.bin", "f.bin  3.0 MiB  verified")
	holds(t, "f.bin", body)
	k.says(1, "download --vault v a/b/f.bin", "there is a file f.bin already", "--force")
	k.says(0, "download --vault v a/b/f.bin --force --tier expedited")
	k.says(0, "download --vault v "+id[:12]+" out", "out/f.bin")
	holds(t, "out/f.bin", body)
	k.says(1, "download --vault v "+id+" out/keep")
	holds(t, "out/keep", []byte("k"))
	if stdout, _ := k.wants(0, "download", "--vault", "v", "a/b/f.bin", "-"); stdout != string(body) {
		t.Errorf("%d bytes came to standard output", len(stdout))
	}
	k.says(0, "download --vault v --job "+got.JobID[:20]+" by-job", "by-job")
	holds(t, "by-job", body)
	if stdout, _ := k.wants(0, "job", "output", "--vault", "v", got.JobID, "-"); stdout != string(body) {
		t.Errorf("%d bytes came to standard output", len(stdout))
	}
	k.says(2, "download --vault v", "ID or NAME is missing")
	k.says(2, "download --vault v a b c", `"c" is one argument too many`)
	k.says(2, "download --vault v --job j b c", `"c" is one argument too many`)
	k.says(2, "download --vault v --json a -", "--json")
	k.says(2, "download --vault v --tier fast a", "Expedited, Standard, Bulk")
	k.says(10, "download --vault v --job x -", "no job")
	k.says(10, "download --vault none "+id)
	k.says(10, "download --vault v "+strings.Repeat("x", 138)+" f", "ResourceNotFoundException")
	nameless := s.Upload(t, "v", []byte("n"), "")
	k.says(2, "download --vault v "+nameless, "no name that a file can have")
}

// TestDownloadInterrupted cancels a download again and again, also with a restart of the server in between.
func TestDownloadInterrupted(t *testing.T) {
	s := moraintest.Start(t)
	k, d := vaultOf(t, s)
	body := noise(6, 64*mib+3)
	inDirectory(t, nil)
	id := s.Upload(t, "v", body, "big.bin")
	args := []string{"download", "--vault", "v", id, "big.bin"}
	for i := range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		_, before := d.bytes()
		d.set(func(d *door) {
			d.moved = func(_, down int64) {
				if down-before > 14*mib {
					cancel()
				}
			}
		})
		_, talk := k.wantsWithin(ctx, 130, append(args, "--parallel", "1")...)
		if got := strings.Join(pasted(t, talk), " "); got != "download --vault v --parallel 1 "+id+" big.bin" {
			t.Errorf("it says %q", talk)
		}
		if _, err := os.Stat("big.bin"); err == nil {
			t.Error("the file has its name before it is whole")
		}
		if i == 1 {
			s.Restart(t)
			d.to(s.Endpoint)
		}
	}
	d.set(func(d *door) { d.moved = nil })
	var got downloaded
	k.json(0, &got, args...)
	holds(t, "big.bin", body)
	if _, down := d.bytes(); got.Reused < 16*mib || down > int64(len(body))+3*16*mib {
		t.Errorf("%d bytes came in all: %+v", down, got)
	}
	var jobs []struct{}
	if k.json(0, &jobs, "job", "list", "--vault", "v"); len(jobs) != 1 {
		t.Errorf("there are %d jobs", len(jobs))
	}
}

// waits runs a command until it says something, lets time pass for the service, and returns what it printed.
func (k *keeper) waits(s *moraintest.Server, text string, by time.Duration, args ...string) (code int, stdout, stderr string) {
	k.Helper()
	var out, talk output
	ended := make(chan int, 1)
	go func() {
		ended <- cli.Run(context.Background(), cli.Process{Args: args, Environ: k.environ, Stdout: &out, Stderr: &talk})
	}()
	moraintest.Eventually(k, text, func() bool { return strings.Contains(talk.String(), text) || len(ended) > 0 })
	s.Advance(by)
	return <-ended, out.String(), talk.String()
}

// TestHours waits for jobs of a service that takes hours for them, without waiting.
func TestHours(t *testing.T) {
	s := moraintest.Start(t, moraintest.Emulate)
	k, _ := vaultOf(t, s)
	inDirectory(t, map[string][]byte{"f": []byte("f")})
	k.says(0, "upload --vault v f")
	k.says(10, "inventory --vault v", "first inventory after its first upload")
	code, stdout, talk := k.waits(s, "waiting for the Bulk retrieval job", 13*time.Hour, "download", "--vault", "v", "--tier", "bulk", "f", "g")
	if code != 0 || !strings.Contains(stdout, "g  1 B  verified") || !strings.Contains(talk, ", begun 20") {
		t.Fatalf("exit code %d, %q, %q", code, stdout, talk)
	}
	holds(t, "g", []byte("f"))
	s.Advance(26 * time.Hour)
	moraintest.Eventually(t, "an inventory", func() bool {
		return !strings.Contains(s.Want(t, 200, moraintest.Request{Method: "GET", Path: "/-/vaults/v"}).Body, `"LastInventoryDate":null`)
	})
	var job struct {
		ID string `json:"job_id"`
	}
	k.json(0, &job, "inventory", "--vault", "v", "--no-wait")
	k.says(0, "inventory --vault v --no-wait", job.ID) // the same
	k.says(0, "job list --vault v", "InProgress", "inventory")
	if code, stdout, _ := k.waits(s, "waiting for the inventory job "+job.ID[:16], 6*time.Hour, "inventory", "--vault", "v"); code != 0 || !strings.Contains(stdout, "v: 1 archives, 1 B, inventory of ") {
		t.Errorf("exit code %d, %q", code, stdout)
	}
	k.says(0, "inventory --vault v --no-wait", job.ID) // which a new one would not differ from
	stdout, _ = k.wants(0, "inventory", "--vault", "v", "--no-wait", "--new")
	anew := strings.TrimSpace(stdout)
	if anew == job.ID {
		t.Error("with --new there is no new job")
	}
	if code, stdout, talk := k.waits(s, "waiting for", 6*time.Hour, "job", "wait", "--vault", "v", anew); code != 0 || !strings.Contains(stdout, "Succeeded") {
		t.Errorf("exit code %d, %q, %q", code, stdout, talk)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(500*time.Millisecond, cancel)
	_, talk = k.wantsWithin(ctx, 130, "download", "--vault", "v", "--tier", "Standard", strings.TrimSpace(idOf(t, k, "f")), "h")
	if !strings.Contains(talk, "This goes on with it") {
		t.Errorf("it says %q", talk)
	}
}

// idOf returns the id of the archive of a name.
func idOf(t *testing.T, k *keeper, name string) string {
	t.Helper()
	var a struct {
		ID string `json:"archive_id"`
	}
	k.json(0, &a, "archive", "show", "--vault", "v", name)
	return a.ID
}

func TestArchives(t *testing.T) {
	s := moraintest.Start(t)
	k, _ := vaultOf(t, s)
	inDirectory(t, map[string][]byte{"x/a": []byte("a"), "x/y/b": []byte("bb"), "c": []byte("c")})
	if stdout, stderr := k.wants(0, "archive", "list", "--vault", "v", "--json"); stdout != "[]\n" || !strings.Contains(stderr, "moraine inventory --vault v") {
		t.Errorf("%q, %q", stdout, stderr)
	}
	k.says(0, "upload --vault v x/a x/y/b c")
	k.says(0, "upload --vault v --again c")
	k.says(2, "archive list --vault v a b", `"b" is one argument too many`)
	k.says(2, "archive list --vault v [a")
	k.says(0, "archive list --vault v", "1 B  ", "  x/a\n", "  x/y/b\n", "only what was uploaded on this machine")
	var list []struct {
		ID    string `json:"archive_id"`
		Name  string
		Local bool
	}
	names := func(pattern string) (all string) {
		k.json(0, &list, "archive", "list", "--vault", "v", pattern)
		for _, a := range list {
			all += a.Name + " "
		}
		return all
	}
	for pattern, want := range map[string]string{"**": "c c x/a x/y/b ", "x/*": "x/a ", "x/": "x/a x/y/b ", "**/b": "x/y/b ", "none": ""} {
		if got := names(pattern); got != want {
			t.Errorf("%q: %q", pattern, got)
		}
	}
	names("c")
	older, newer := list[0].ID, list[1].ID
	k.says(0, "archive list --vault v --long", older, newer)
	k.says(0, "archive show --vault v c", newer, "c has 2 versions; this is the newest", "this machine; no inventory has it yet")
	k.says(10, "archive show --vault v d")
	k.says(10, "archive show --vault v "+strings.Repeat("x", 138))
	k.says(1, "archive delete --vault v x/a c", "c has 2 versions", older, newer)
	k.says(10, "archive delete --vault v x/a d", "too short")
	k.says(10, "archive delete --vault v x/a ddddddddd")
	k.says(0, "archive delete --vault v x/a --dry-run", "would be deleted: x/a")
	if n := archives(t, k); n != 4 {
		t.Errorf("there are %d archives", n)
	}
	k.says(0, "archive delete --vault v "+older+" x/a", "deleted: c", "deleted: x/a")
	k.says(0, "inventory --vault v", "v: 2 archives, 3 B")
	k.says(0, "archive list --vault v", "The last inventory is of", "less than a minute ago")
	k.says(0, "archive delete --vault v c")
	if got := names("**"); got != "x/y/b " {
		t.Errorf("%q", got)
	}
}

// TestArchiveDenied deletes what a lock protects.
func TestArchiveDenied(t *testing.T) {
	s := moraintest.Start(t)
	k, _ := vaultOf(t, s)
	id := s.Upload(t, "v", []byte("a"), "a")
	lock(t, s)
	k.says(0, "inventory --vault v")
	k.says(11, "archive delete --vault v "+id, "AccessDenied")
	k.says(0, "archive show --vault v a", id)
}

// TestTerminal lists names that would do something to a terminal.
func TestTerminal(t *testing.T) {
	s := moraintest.Start(t)
	k, _ := vaultOf(t, s)
	s.Upload(t, "v", []byte("a"), `mt2 eyJmaWxlbmFtZSI6ImEbWzJKYgoiLCJtdGltZSI6IjIwMjYxMTI1VDE0NTgyNFoifQ`)
	k.says(0, "inventory --vault v")
	if stdout, _ := k.wants(0, "archive", "list", "--vault", "v"); strings.Contains(stdout, "\x1b") || strings.Count(stdout, "\n") != 1 {
		t.Errorf("%q", stdout)
	}
}

func TestInventory(t *testing.T) {
	s := moraintest.Start(t)
	k, _ := vaultOf(t, s)
	inDirectory(t, nil)
	for i := range 5 {
		s.Upload(t, "v", []byte("archive"), fmt.Sprint("a", i))
	}
	var sum struct {
		Archives, Bytes int
		Date            time.Time `json:"inventory_date"`
		JobID           string    `json:"job_id"`
	}
	k.json(0, &sum, "inventory", "--vault", "v")
	if sum.Archives != 5 || sum.Bytes != 35 || sum.Date.IsZero() || sum.JobID == "" {
		t.Errorf("%+v", sum)
	}
	k.says(0, "inventory --vault v --output .", "The document is in v-inventory.json", "v: 5 archives, 35 B")
	b, err := os.ReadFile("v-inventory.json")
	var document struct{ ArchiveList []any }
	if err != nil || json.Unmarshal(b, &document) != nil || len(document.ArchiveList) != 5 {
		t.Errorf("%v, %s", err, b)
	}
	if stdout, _ := k.wants(0, "inventory", "--vault", "v", "--output", "-", "--format", "csv"); !strings.HasPrefix(stdout, "ArchiveId,") || strings.Count(stdout, "\n") != 6 {
		t.Errorf("%q", stdout)
	}
	k.says(1, "inventory --vault v --output v-inventory.json", "--force")
	k.says(2, "inventory --vault v --format csv", "--output is missing")
	k.says(2, "inventory --vault v --format xml")
	k.says(2, "inventory --vault v --output - --json")
	k.says(10, "inventory --vault none")
	left, err := os.ReadDir(k.cache() + "/moraine")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		if strings.HasSuffix(e.Name(), ".json") || strings.Contains(e.Name(), "part") {
			t.Errorf("%s is left", e.Name())
		}
	}
}

// cache is the directory that the index is in.
func (k *keeper) cache() string {
	for _, v := range k.environ {
		if dir, ok := strings.CutPrefix(v, "XDG_CACHE_HOME="); ok {
			return dir
		}
	}
	return ""
}

func TestJobs(t *testing.T) {
	s := moraintest.Start(t)
	k, _ := vaultOf(t, s)
	inDirectory(t, map[string][]byte{"f": []byte("abc")})
	k.says(0, "upload --vault v f")
	k.says(0, "download --vault v f g")
	var list []struct {
		ID, Action, Status string
		Job                string `json:"job_id"`
		Size               int64
	}
	k.json(0, &list, "job", "list", "--vault", "v")
	if len(list) != 1 || list[0].Action != "ArchiveRetrieval" || list[0].Status != "Succeeded" || list[0].Size != 3 {
		t.Fatalf("%+v", list)
	}
	id := list[0].Job
	k.says(0, "job list --vault v", id[:16]+"  Succeeded  Standard  f, 3 B")
	k.says(0, "job list --vault v --long", id)
	k.says(0, "job show --vault v "+id[:16], "state:       Succeeded", "tier:        Standard")
	k.says(0, "job wait --vault v "+id, "state:       Succeeded")
	k.says(1, "job output --vault v "+id, "there is a file f already")
	k.says(0, "job output --vault v "+id+" h", "h  3 B  verified")
	holds(t, "h", []byte("abc"))
	k.says(10, "job show --vault v nothing", "moraine job list --vault v")
	k.says(10, "job show --vault v "+strings.Repeat("x", 92))
	k.says(2, "job output --vault v", "JOB is missing")
	inventory := s.InitiateJob(t, "v", `{"Type":"inventory-retrieval","Format":"CSV"}`)
	k.says(0, "job output --vault v "+inventory, "v-inventory.csv")
}

func TestParts(t *testing.T) {
	s := moraintest.Start(t)
	k, d := vaultOf(t, s)
	body := noise(7, 3*mib)
	inDirectory(t, map[string][]byte{"f": body})
	begin := func() {
		ctx, cancel := context.WithCancel(t.Context())
		d.only(2, cancel)
		k.wantsWithin(ctx, 130, "upload", "--vault", "v", "--part-size", "1MiB", "--parallel", "1", "f")
		d.set(func(d *door) { d.arrived = nil })
	}
	begin()
	var list []struct {
		ID       string `json:"upload_id"`
		PartSize int64  `json:"part_size"`
		Parts    int
		Bytes    int64
		Name     string
	}
	k.json(0, &list, "parts", "list", "--vault", "v")
	if len(list) != 1 || list[0].Parts != 2 || list[0].Bytes != 2*mib || list[0].PartSize != mib || list[0].Name != "f" {
		t.Fatalf("%+v", list)
	}
	k.says(0, "parts list --vault v", list[0].ID[:16]+"  2 parts  2.0 MiB  of 1.0 MiB  f")
	k.says(0, "parts list --vault v "+list[0].ID[:16], "0-1048575        "+moraintest.TreeHash(body[:mib]))
	k.says(2, "parts abort --vault v", "UPLOAD or --all is missing")
	k.says(2, "parts abort --vault v --all x")
	k.says(2, "parts list --vault v x y", `"y" is one argument too many`)
	k.says(10, "parts abort --vault v x", "no upload")
	k.says(0, "parts abort --vault v "+list[0].ID, "aborted: "+list[0].ID)
	k.says(10, "parts list --vault v "+list[0].ID)
	begin()
	var gone []string
	if k.json(0, &gone, "parts", "abort", "--vault", "v", "--all"); len(gone) != 1 {
		t.Errorf("%v", gone)
	}
	if k.json(0, &gone, "parts", "list", "--vault", "v"); len(gone) != 0 {
		t.Errorf("%v", gone)
	}
	begin()
	k.json(0, &list, "parts", "list", "--vault", "v")
	s.Want(t, 204, moraintest.Request{Method: "DELETE", Path: "/-/vaults/v/multipart-uploads/" + list[0].ID}) // of which this machine does not know
	k.says(0, "upload --vault v f")
	if n := archives(t, k); n != 1 {
		t.Errorf("there are %d archives", n)
	}
	if b := s.Retrieve(t, "v", idOf(t, k, "f")); !bytes.Equal(b, body) {
		t.Errorf("%d bytes", len(b))
	}
}
