package audit_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/audit"
)

// TestLog writes from many sides, more than a file holds: every line is whole, in one of the files, and only their owner can read them.
func TestLog(t *testing.T) {
	dir := t.TempDir()
	log := audit.Open(filepath.Join(dir, "audit.log"), 1<<20, 0)
	var all sync.WaitGroup
	const writers, lines = 8, 400
	for w := range writers {
		all.Go(func() {
			for i := range lines {
				e := audit.Entry{Time: time.Now(), RequestID: fmt.Sprintf("%d-%d", w, i), Address: "192.0.2.1:1", Decision: audit.Denied, Status: 403, Message: strings.Repeat("x", 900)}
				if err := log.Write(e); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 3 {
		t.Fatalf("there are %d files, %v; %d lines of 1 kB make more of 1 MiB", len(files), err, writers*lines)
	}
	seen := map[string]bool{}
	for _, f := range files {
		info, err := f.Info()
		if err != nil || info.Mode().Perm() != 0o600 || info.Size() > 1<<20 {
			t.Errorf("%s has the mode %o and %d bytes, %v", f.Name(), info.Mode().Perm(), info.Size(), err)
		}
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n")) {
			var e audit.Entry
			if err := json.Unmarshal(line, &e); err != nil {
				t.Fatalf("%s has the line %q: %v", f.Name(), line, err)
			}
			seen[e.RequestID] = true
		}
	}
	if len(seen) != writers*lines {
		t.Errorf("%d lines of %d are there", len(seen), writers*lines)
	}
}

// TestTwoProcesses writes by two logs of one file, as the server and a command do, while it is set aside again and again.
func TestTwoProcesses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.log")
	var all sync.WaitGroup
	const lines = 500
	for w := range 3 {
		all.Go(func() {
			log := audit.Open(path, 20_000, 0)
			for i := range lines {
				if err := log.Write(audit.Entry{RequestID: fmt.Sprintf("%d-%d", w, i), Message: strings.Repeat("x", i%300)}); err != nil {
					t.Error(err)
				}
			}
			if err := log.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	seen := map[string]bool{}
	files, err := filepath.Glob(filepath.Join(dir, "audit*"))
	if err != nil || len(files) < 10 {
		t.Fatalf("there are %d files, %v", len(files), err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(b) {
			var e audit.Entry
			if err := json.Unmarshal(line, &e); err != nil {
				t.Fatalf("%s has the line %q: %v", f, line, err)
			}
			seen[e.RequestID] = true
		}
	}
	if len(seen) != 3*lines {
		t.Errorf("%d lines of %d are there", len(seen), 3*lines)
	}
}

// TestKeep keeps no more files than it is told to.
func TestKeep(t *testing.T) {
	dir := t.TempDir()
	log := audit.Open(filepath.Join(dir, "audit.log"), 500, 2)
	defer log.Close()
	for i := range 50 {
		if err := log.Write(audit.Entry{RequestID: fmt.Sprint(i), Message: strings.Repeat("x", 100)}); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "audit*"))
	if err != nil || len(files) != 3 {
		t.Errorf("there are %q, %v, want three files", files, err)
	}
}

// TestFlood writes about very many callers that nobody knows: not all of them, and it is said how many not. Others are all written.
func TestFlood(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	log := audit.Open(path, 1<<30, 0)
	defer log.Close()
	for range 2000 {
		for _, decision := range []string{audit.Unauthenticated, audit.Denied} {
			if err := log.Write(audit.Entry{Decision: decision}); err != nil {
				t.Fatal(err)
			}
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	unknown, denied := strings.Count(string(b), `"unauthenticated"`), strings.Count(string(b), `"denied"`)
	if denied != 2000 || unknown < 100 || unknown > 1000 {
		t.Errorf("there are %d lines about denials and %d about callers that nobody knows", denied, unknown)
	}
}

// TestEmptyFields holds that what is not known is left out.
func TestEmptyFields(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	log := audit.Open(path, 1<<20, 0)
	at := time.Date(2024, 2, 29, 11, 11, 12, 0, time.FixedZone("", 3600))
	if err := log.Write(audit.Entry{Time: at, Address: "local", Action: "admin:key remove", Resource: "AKIA", Decision: audit.Allowed}); err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	want := `{"time":"2024-02-29T10:11:12Z","address":"local","action":"admin:key remove","resource":"AKIA","decision":"allowed"}` + "\n"
	if b, err := os.ReadFile(path); err != nil || string(b) != want {
		t.Errorf("the line is %q, %v, want %q", b, err, want)
	}
}
