package index

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/moraine-archive/moraine/internal/vfs"
)

// filled makes an index with some hundred archives, closes it, and returns where it is.
func filled(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vault.db")
	ix, err := Open(t.Context(), path, vfs.OS())
	must(t, err)
	var list []Archive
	for i := range 500 {
		list = append(list, archive(strings.Repeat("x", i%7)+string(rune('a'+i%26)), strings.Repeat("path/", i%9)+"file", noon))
	}
	must(t, ix.Replace(t.Context(), inventory(noon, list...)))
	must(t, ix.Close())
	return path
}

func TestReopen(t *testing.T) {
	path := filled(t)
	ix := openAt(t, path)
	if s, err := ix.State(t.Context()); err != nil || s.Archives == 0 || ix.Restarted() != "" {
		t.Errorf("after it was opened again the state is %+v, %v; restarted: %q", s, err, ix.Restarted())
	}
}

// A file that cannot be used is moved out of the way, and its place is taken by a new one.
func TestDamagedFile(t *testing.T) {
	for what, damage := range map[string]func([]byte) []byte{
		"no database":            func([]byte) []byte { return bytes.Repeat([]byte("this is no database\n"), 500) },
		"cut within its header":  func(b []byte) []byte { return b[:50] },
		"cut":                    func(b []byte) []byte { return b[:8192] },
		"zeros for its schema":   func(b []byte) []byte { clear(b[100:4096]); return b },
		"garbage for its tables": func(b []byte) []byte { copy(b[4096:], bytes.Repeat([]byte{0xa5}, len(b)-4096)); return b },
		"another program's":      func(b []byte) []byte { copy(b[68:], "abcd"); return b },
		"without the mark in it": func(b []byte) []byte { clear(b[68:72]); return b },
	} {
		t.Run(what, func(t *testing.T) {
			path := filled(t)
			whole, err := os.ReadFile(path)
			must(t, err)
			damaged := damage(whole)
			must(t, os.WriteFile(path, damaged, 0o600))
			must(t, os.WriteFile(path+"-wal", []byte("left over"), 0o600))
			ix := openAt(t, path)
			if !strings.Contains(ix.Restarted(), path+".damaged") || !strings.Contains(ix.Restarted(), ErrDamaged.Error()) {
				t.Errorf("the reason is %q", ix.Restarted())
			}
			if aside, err := os.ReadFile(path + ".damaged"); err != nil || !bytes.Equal(aside, damaged) {
				t.Errorf("the damaged file is not kept: %v", err)
			}
			must(t, ix.Add(t.Context(), archive("a", "a", noon)))
			wantPaths(t, ix, "", "a")
			if again := openAt(t, path); again.Restarted() != "" {
				t.Errorf("the new one is begun anew too: %s", again.Restarted())
			}
		})
	}
}

// Damage that shows only later is an error that says what to do.
func TestDamageThatShowsLater(t *testing.T) {
	path := filled(t)
	whole, err := os.ReadFile(path)
	must(t, err)
	damaged := 0
	for at := 12 * 4096; at+4096 <= len(whole); at += 4096 { // the roots come first
		if whole[at] == 0x0d { // a leaf of a table
			copy(whole[at:], bytes.Repeat([]byte{0xa5}, 4096))
			damaged++
		}
	}
	must(t, os.WriteFile(path, whole, 0o600))
	ix, err := Open(t.Context(), path, vfs.OS())
	must(t, err)
	if ix.Restarted() != "" || damaged == 0 {
		t.Fatalf("%d pages are damaged; restarted: %q", damaged, ix.Restarted())
	}
	for _, found := range ix.Archives(t.Context(), "") {
		err = found
	}
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("to read a damaged index gives %v", err)
	}
	must(t, ix.Discard())
	if again := openAt(t, path); again.Restarted() != "" {
		t.Errorf("after Discard there still is something: %s", again.Restarted())
	}
	if _, err := os.Stat(path + ".damaged"); err != nil {
		t.Error(err)
	}
}

// An index of another version is emptied where it is, also while another process uses it.
func TestOtherVersion(t *testing.T) {
	path := filled(t)
	old := openAt(t, path)
	other, err := sql.Open("sqlite", path)
	must(t, err)
	for _, statement := range []string{`PRAGMA user_version = 7`, `ALTER TABLE deleted RENAME TO tasks`, `CREATE TABLE more (a)`, `CREATE INDEX more_by_a ON more (a)`} {
		_, err = other.ExecContext(t.Context(), statement)
		must(t, err)
	}
	must(t, other.Close())
	ix := openAt(t, path)
	if !strings.Contains(ix.Restarted(), "version 7") {
		t.Errorf("the reason is %q", ix.Restarted())
	}
	if s, err := ix.State(t.Context()); err != nil || s != (State{}) {
		t.Errorf("the state is %+v, %v", s, err)
	}
	must(t, old.Add(t.Context(), archive("a", "a", noon)))
	wantPaths(t, ix, "", "a")
	if _, err := os.Stat(path + ".damaged"); err == nil {
		t.Error("the file was moved")
	}
}

func TestOpenFails(t *testing.T) {
	if _, err := Open(t.Context(), filepath.Join(t.TempDir(), "missing", "vault.db"), vfs.OS()); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("without the directory: %v", err)
	}
	path := filled(t)
	must(t, os.WriteFile(path, []byte("damaged beyond repair"), 0o600))
	if _, err := Open(t.Context(), path, stuck{vfs.OS()}); !errors.Is(err, errStuck) {
		t.Errorf("where nothing can be moved: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, filepath.Join(t.TempDir(), "vault.db"), vfs.OS()); !errors.Is(err, context.Canceled) {
		t.Errorf("when it is cancelled: %v", err)
	}
}

// stuck is a disk on which nothing can be moved.
type stuck struct{ vfs.FS }

var errStuck = errors.New("stuck")

func (stuck) Rename(string, string) error { return errStuck }

// Of several that find a damaged file at once, one begins anew, and all use the same.
func TestDamagedFileFoundByMany(t *testing.T) {
	path := filled(t)
	must(t, os.WriteFile(path, []byte("damaged beyond repair"), 0o600))
	const many = 8
	reasons := make(chan string, many)
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() {
			ix, err := Open(t.Context(), path, vfs.OS())
			if err != nil {
				t.Error(err)
				return
			}
			defer ix.Close()
			reasons <- ix.Restarted()
			if err := ix.Add(t.Context(), archive(string(rune('a'+i)), "file", noon)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	close(reasons)
	restarted := 0
	for reason := range reasons {
		if reason != "" {
			restarted++
		}
	}
	if found, err := openAt(t, path).ByPath(t.Context(), "file"); err != nil || len(found) != many || restarted != 1 {
		t.Errorf("%d began anew; there are %d archives, want %d; %v", restarted, len(found), many, err)
	}
}
