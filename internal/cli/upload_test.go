package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/moraine-archive/moraine/internal/moraintest"
)

// uploaded is what `upload --json` prints of a file.
type uploaded struct {
	File, Description, State, Error string
	ArchiveID                       string `json:"archive_id"`
	UploadID                        string `json:"upload_id"`
	TreeHash                        string `json:"tree_hash"`
	Size                            int64
	Reused                          int64 `json:"reused_bytes"`
}

// vaultOf starts a server with the vault v.
func vaultOf(t *testing.T, s *moraintest.Server) (*keeper, *door) {
	t.Helper()
	d := doorTo(t, s)
	s.CreateVault(t, "v")
	return keeperOf(t, s), d
}

// archives is how many archives the vault v has.
func archives(t *testing.T, k *keeper) int {
	t.Helper()
	var v struct{ Archives int }
	k.json(0, &v, "vault", "show", "v")
	return v.Archives
}

func TestUpload(t *testing.T) {
	s := moraintest.Start(t)
	k, _ := vaultOf(t, s)
	big := noise(1, 3*mib+5)
	inDirectory(t, map[string][]byte{"a.txt": []byte("a"), "d/b c.txt": []byte("bc"), "grün.txt": []byte("g"), "empty": nil, "big": big})
	var list []uploaded
	k.json(0, &list, "upload", "--vault", "v", "a.txt", "./d/b c.txt", "grün.txt", "big", "--part-size", "1MiB")
	if len(list) != 4 || list[0].Description != "a.txt" || list[1].Description != "d/b c.txt" || !strings.HasPrefix(list[2].Description, "mt2 ") || list[3].TreeHash != moraintest.TreeHash(big) {
		t.Fatalf("%+v", list)
	}
	for i, want := range [][]byte{[]byte("a"), []byte("bc"), []byte("g"), big} {
		if list[i].State != "stored" || !bytes.Equal(s.Retrieve(t, "v", list[i].ArchiveID), want) {
			t.Errorf("%+v is not what was uploaded", list[i])
		}
	}
	again := []uploaded{}
	k.json(0, &again, "upload", "--vault", "v", "a.txt", "d/b c.txt", "grün.txt", "big")
	for i, d := range again {
		if d.State != "already stored" || d.ArchiveID != list[i].ArchiveID {
			t.Errorf("uploaded again: %+v", d)
		}
	}
	if stdout, stderr := k.wants(0, "upload", "--vault", "v", "a.txt"); !strings.HasPrefix(stdout, "a.txt  1 B  "+list[0].ArchiveID) || !strings.Contains(stderr, "--again") {
		t.Errorf("%q, %q", stdout, stderr)
	}
	k.says(0, "upload --vault v --again a.txt", "a.txt: sending 1 B")
	k.says(0, "upload --vault v --description other a.txt")
	if n := archives(t, k); n != 6 {
		t.Errorf("there are %d archives, want 6", n)
	}
	if err := os.WriteFile("a.txt", []byte("A"), 0o600); err != nil {
		t.Fatal(err)
	}
	k.json(0, &list, "upload", "--vault", "v", "a.txt")
	if list[0].State != "stored" {
		t.Errorf("other bytes: %+v", list[0])
	}
}

func TestUploadErrors(t *testing.T) {
	s := moraintest.Start(t)
	k, _ := vaultOf(t, s)
	inDirectory(t, map[string][]byte{"a": []byte("a"), "b": []byte("b"), "empty": nil, "d/x": []byte("x")})
	k.says(2, "upload --vault v", "FILE is missing")
	k.says(2, "upload a", "--vault is missing")
	k.says(2, "upload --vault v -", "--name is missing")
	k.says(2, "upload --vault v --name n - a", "- has to be alone")
	k.says(2, "upload --vault v --description n b a", "one FILE")
	k.says(2, "upload --vault v --part-size 3MiB a", "power of two")
	k.says(2, "upload --vault v --parallel 0 a", "--parallel 0")
	k.says(10, "upload --vault none a", "ResourceNotFoundException")
	k.says(1, "upload --vault v empty", "empty is empty")
	k.says(1, "upload --vault v d", "is a directory", "moraine sync")
	k.says(1, "upload --vault v nothing", "open nothing: no such file")
	_, talk := k.wants(3, "upload", "--vault", "v", "nothing", "a", "empty", "b")
	if got := strings.Join(pasted(t, talk), " "); got != "upload --vault v nothing empty" || !strings.Contains(talk, "2 of 4 files") {
		t.Errorf("what uploads the rest is %q in %q", got, talk)
	}
	var list []uploaded
	k.json(3, &list, "upload", "--vault", "v", "nothing", "a")
	if len(list) != 2 || list[0].State != "failed" || list[0].Error == "" || list[1].State != "already stored" {
		t.Errorf("%+v", list)
	}
	s.Stop(t)
}

// TestUploadInterrupted cancels an upload again and again after some bytes: the command that is printed goes on with it.
func TestUploadInterrupted(t *testing.T) {
	s := moraintest.Start(t)
	k, d := vaultOf(t, s)
	body := noise(2, 20*mib+3)
	inDirectory(t, map[string][]byte{"some file": body})
	args := []string{"upload", "--vault", "v", "--part-size", "1MiB", "--parallel", "2", "some file"}
	cancelled := 0
	for range 4 {
		ctx, cancel := context.WithCancel(t.Context())
		before, _ := d.bytes()
		d.set(func(d *door) {
			d.moved = func(up, _ int64) {
				if up-before > 3*mib/2 {
					cancel()
				}
			}
		})
		_, talk := k.wantsWithin(ctx, 130, args...)
		if cancelled++; !strings.Contains(talk, "moraine upload --vault v --part-size 1MiB --parallel 2 'some file'\n") {
			t.Errorf("it says %q", talk)
		}
	}
	d.set(func(d *door) { d.moved = nil })
	var list []uploaded
	k.json(0, &list, args...)
	up, _ := d.bytes()
	if limit := int64(len(body) + cancelled*2*mib); up > limit || list[0].Reused == 0 {
		t.Errorf("%d bytes were sent in all, want no more than %d: %+v", up, limit, list[0])
	}
	if n := archives(t, k); n != 1 || !bytes.Equal(s.Retrieve(t, "v", list[0].ArchiveID), body) {
		t.Errorf("there are %d archives", n)
	}
	k.says(0, "parts list --vault v")
}

// TestUploadStream cancels an upload of standard input, and goes on with it.
func TestUploadStream(t *testing.T) {
	s := moraintest.Start(t)
	k, d := vaultOf(t, s)
	body := noise(3, 6*mib+1)
	ctx, cancel := context.WithCancel(t.Context())
	d.set(func(d *door) {
		d.moved = func(up, _ int64) {
			if up > 3*mib {
				cancel()
			}
		}
	})
	_, talk := k.feeds(ctx, 130, bytes.NewReader(body), "upload", "--vault", "v", "--name", "n.bin", "--part-size", "1MiB", "--parallel", "1", "-")
	d.set(func(d *door) { d.moved = nil })
	args := pasted(t, talk)
	if !strings.Contains(strings.Join(args, " "), "--resume ") {
		t.Fatalf("it says %q", talk)
	}
	stdout, _ := k.feeds(t.Context(), 0, bytes.NewReader(body), args...)
	fields := strings.Fields(stdout)
	if up, _ := d.bytes(); up > int64(len(body))+mib || archives(t, k) != 1 || !bytes.Equal(s.Retrieve(t, "v", fields[len(fields)-1]), body) {
		t.Errorf("%d bytes were sent, and there are %d archives: %q", up, archives(t, k), stdout)
	}
	k.says(0, "archive show --vault v n.bin", "n.bin")
}

// TestUploadSmall cancels uploads of a small file at each of its requests, when it has not arrived and when the answer has not: there is never a second archive.
func TestUploadSmall(t *testing.T) {
	s := moraintest.Start(t)
	k, d := vaultOf(t, s)
	for i := range 6 {
		lost, request := i > 2, i%3
		name := fmt.Sprint("f", i)
		inDirectory(t, map[string][]byte{name: []byte(name)})
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		harm := func(r *http.Request) bool {
			if r.Method != "GET" {
				n++
			}
			if n > request {
				cancel()
			}
			return n > request
		}
		d.set(func(d *door) {
			if d.arrived = harm; lost {
				d.arrived, d.answered = nil, func(r *http.Response) bool { return harm(r.Request) }
			}
		})
		k.wantsWithin(ctx, 130, "upload", "--vault", "v", name)
		d.set(func(d *door) { d.arrived, d.answered = nil, nil })
		k.says(0, "upload --vault v "+name)
		k.says(0, "upload --vault v "+name, "is in the vault already")
		if n := archives(t, k); n != i+1 {
			t.Errorf("%s: there are %d archives", name, n)
		}
	}
}

// TestUploadRestart goes on when the server was restarted meanwhile.
func TestUploadRestart(t *testing.T) {
	s := moraintest.Start(t)
	k, d := vaultOf(t, s)
	body := noise(4, 5*mib)
	inDirectory(t, map[string][]byte{"f": body})
	ctx, cancel := context.WithCancel(t.Context())
	d.only(2, cancel)
	_, talk := k.wantsWithin(ctx, 130, "upload", "--vault", "v", "--part-size", "1MiB", "--parallel", "1", "f")
	if got := strings.Join(pasted(t, talk), " "); got != "upload --vault v --part-size 1MiB --parallel 1 f" {
		t.Errorf("it says %q", talk)
	}
	d.set(func(d *door) { d.arrived = nil })
	s.Restart(t)
	d.to(s.Endpoint)
	var list []uploaded
	k.json(0, &list, "upload", "--vault", "v", "f")
	if list[0].Reused != 2*mib || archives(t, k) != 1 || !bytes.Equal(s.Retrieve(t, "v", list[0].ArchiveID), body) {
		t.Errorf("%+v", list[0])
	}
}
