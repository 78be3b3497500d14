package index

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/vfs"
)

// TestMain lets this program be other processes that use an index.
func TestMain(m *testing.M) {
	if role := os.Getenv("INDEX_TEST_ROLE"); role != "" {
		if err := play(context.Background(), role, os.Getenv("INDEX_TEST_PATH"), os.Getenv("INDEX_TEST_NAME")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const (
	generation = 3000 // archives in an inventory of a replacer
	additions  = 200  // of an adder
)

// play is what another process does.
func play(ctx context.Context, role, path, name string) error {
	ix, err := Open(ctx, path, vfs.OS())
	if err != nil {
		return err
	}
	defer ix.Close()
	switch role {
	case "add":
		for i := range additions {
			if err := ix.Add(ctx, archive(fmt.Sprintf("%s-%d-", name, i), name+"/file", noon.Add(time.Hour))); err != nil {
				return err
			}
		}
	case "replace": // until it is killed
		for i := 0; ; i++ {
			inventory := &Inventory{Date: noon, Archives: func(yield func(Archive, error) bool) {
				for j := range generation {
					if !yield(archive(fmt.Sprintf("%d-%d-", j, i), fmt.Sprintf("%s/%d", name, i), noon), nil) {
						return
					}
				}
			}}
			if err := ix.Replace(ctx, inventory); err != nil {
				return err
			}
			fmt.Println(i)
		}
	}
	return nil
}

func start(t *testing.T, role, path, name string) (*exec.Cmd, io.Reader) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "INDEX_TEST_ROLE="+role, "INDEX_TEST_PATH="+path, "INDEX_TEST_NAME="+name)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	return cmd, out
}

// Processes that make the index together and add to it, and one that replaces it meanwhile, lose nothing.
func TestProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vault.db")
	var adders []*exec.Cmd
	for i := range 3 {
		cmd, _ := start(t, "add", path, fmt.Sprintf("adder%d", i))
		adders = append(adders, cmd)
	}
	replacer, _ := start(t, "replace", path, "replacer")
	for _, cmd := range adders {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	replacer.Process.Kill()
	replacer.Wait() // its error is that it was killed
	ix := openAt(t, path)
	if found := collect(t, ix.Archives(t.Context(), "adder*/file")); len(found) != 3*additions {
		t.Errorf("%d additions are there, want %d", len(found), 3*additions)
	}
}

// An inventory is taken over whole or not at all, whenever the process is killed.
func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vault.db")
	ix := openAt(t, path)
	must(t, ix.Add(t.Context(), archive("mine", "mine", noon.Add(time.Hour))))
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	for round := range rounds {
		cmd, out := start(t, "replace", path, fmt.Sprintf("round%d", round))
		var first sync.Once
		running := make(chan struct{})
		go func() {
			buffer := make([]byte, 64)
			for {
				if _, err := out.Read(buffer); err != nil {
					return
				}
				first.Do(func() { close(running) })
			}
		}()
		select {
		case <-running:
		case <-time.After(30 * time.Second):
			t.Fatal("the other process does nothing")
		}
		time.Sleep(time.Duration(round*17) * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()

		found := collect(t, ix.Archives(t.Context(), "round*/*"))
		if len(found) != generation {
			t.Fatalf("round %d: there are %d archives, want %d", round, len(found), generation)
		}
		of := found[0].Name.Path
		for _, a := range found {
			if a.Name.Path != of {
				t.Fatalf("round %d: archives of %s and %s", round, of, a.Name.Path)
			}
		}
		if !strings.HasPrefix(of, fmt.Sprintf("round%d/", round)) {
			t.Errorf("round %d: the archives are of %s", round, of)
		}
		if s, err := ix.State(t.Context()); err != nil || s.Archives != generation+1 || s.Local != 1 {
			t.Errorf("round %d: the state is %+v, %v", round, s, err)
		}
		var verdict string
		must(t, ix.db.QueryRowContext(t.Context(), `PRAGMA integrity_check`).Scan(&verdict))
		if verdict != "ok" {
			t.Fatalf("round %d: %s", round, verdict)
		}
	}
	if ix.Restarted() != "" {
		t.Error(ix.Restarted())
	}
}
