package daemon_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/daemon"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

// maintain runs a task on the data of a server, running or not.
func maintain(t *testing.T, c config.Config, task daemon.Task) (daemon.Result, []daemon.Event) {
	t.Helper()
	var result daemon.Result
	var events []daemon.Event
	err := daemon.Maintain(t.Context(), c, task, slog.New(slog.DiscardHandler), time.Now, func(e daemon.Event) error {
		events = append(events, e)
		if e.Result != nil {
			result = *e.Result
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%s: %v", task.Name, err)
	}
	return result, events
}

// TestTasks runs every task in a running server, in one that was stopped, and beside what a killed one has left.
func TestTasks(t *testing.T) {
	s := moraintest.Start(t)
	s.CreateVault(t, "photos")
	for i := range 3 {
		s.Upload(t, "photos", fmt.Appendf(nil, "archive %d", i), "")
	}
	gone := s.Upload(t, "photos", []byte("is deleted"), "")
	s.Want(t, 204, moraintest.Request{Method: "DELETE", Path: "/-/vaults/photos/archives/" + gone})
	all := func(t *testing.T) {
		if r, _ := maintain(t, s.Config(), daemon.Task{Name: "check", Data: true}); r.Check.Wrong != 0 || r.Check.Records < 3 || r.Check.Bytes == 0 {
			t.Errorf("check: %+v", r.Check)
		}
		if r, _ := maintain(t, s.Config(), daemon.Task{Name: "scrub"}); r.Scrub.Faults != 0 || r.Scrub.Records < 3 || r.Scrub.FinishedAt.IsZero() {
			t.Errorf("scrub: %+v", r.Scrub)
		}
		_, events := maintain(t, s.Config(), daemon.Task{Name: "volumes"})
		if v := events[0].Volume; v == nil || !v.Shared || v.VerifiedAt.IsZero() {
			t.Errorf("volumes: %+v", events[0])
		}
		if r, _ := maintain(t, s.Config(), daemon.Task{Name: "sweep"}); r.Sweep.Removed != 0 {
			t.Errorf("sweep: %+v", r.Sweep)
		}
		if r, _ := maintain(t, s.Config(), daemon.Task{Name: "compact"}); r.Compact == nil {
			t.Errorf("compact: %+v", r)
		}
		r, _ := maintain(t, s.Config(), daemon.Task{Name: "backup"})
		if info, err := os.Stat(r.Backup.Path); err != nil || info.Size() != r.Backup.Bytes || info.Mode() != 0o600 {
			t.Errorf("backup: %+v, %v", r.Backup, err)
		}
		if err := daemon.Maintain(t.Context(), s.Config(), daemon.Task{Name: "dance"}, slog.New(slog.DiscardHandler), time.Now, nil); err == nil || !strings.Contains(err.Error(), `"dance"`) {
			t.Errorf("a task that does not exist: %v", err)
		}
	}
	t.Run("of a running server", all)
	door, err := os.ReadFile(s.Config().AdminPath())
	if err != nil {
		t.Fatal(err)
	}
	s.Stop(t)
	if _, err := os.Stat(s.Config().AdminPath()); !os.IsNotExist(err) {
		t.Errorf("a stopped server leaves its door: %v", err)
	}
	t.Run("of a stopped server", all)
	if err := os.WriteFile(s.Config().AdminPath(), door, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("of a killed server", all)
}

// TestTasksNeedTheToken asks a server for a task as somebody who cannot read its data.
func TestTasksNeedTheToken(t *testing.T) {
	s := moraintest.Start(t)
	for _, token := range []string{"", "Bearer ", "Bearer wrong", "Basic eDp5"} {
		req, err := http.NewRequest(http.MethodPost, s.AdminEndpoint+"/tasks", strings.NewReader(`{"name":"backup"}`))
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			req.Header.Set("Authorization", token)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusForbidden {
			t.Errorf("with %q the status is %d", token, res.StatusCode)
		}
	}
	info, err := os.Stat(s.Config().AdminPath())
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("the file with the token has the mode %v, %v", info.Mode(), err)
	}
}

// TestTasksOfNothing names a directory without data.
func TestTasksOfNothing(t *testing.T) {
	c := moraintest.Config(t)
	err := daemon.Maintain(t.Context(), c, daemon.Task{Name: "check"}, slog.New(slog.DiscardHandler), time.Now, nil)
	if err == nil || !strings.Contains(err.Error(), c.CataloguePath()) || !strings.Contains(err.Error(), "--data") {
		t.Errorf("a check without a catalogue: %v", err)
	}
	_, err = daemon.Rebuild(t.Context(), c, daemon.RebuildOptions{}, slog.New(slog.DiscardHandler), time.Now, nil)
	if err == nil || !strings.Contains(err.Error(), c.StoreDir()) {
		t.Errorf("a rebuild without a store: %v", err)
	}
}

// TestBackups makes more copies than are kept.
func TestBackups(t *testing.T) {
	s := moraintest.Start(t, func(c *config.Config) { c.BackupKeep, c.BackupInterval = 2, 0 })
	name := regexp.MustCompile(`^catalogue-[0-9]{8}T[0-9]{6}\.[0-9]{3}Z-[0-9a-f]{64}\.db$`)
	for i := range 4 {
		s.CreateVault(t, fmt.Sprintf("v%d", i)) // so that no copy is like another
		r, _ := maintain(t, s.Config(), daemon.Task{Name: "backup"})
		if !name.MatchString(filepath.Base(r.Backup.Path)) {
			t.Errorf("a copy is named %s", r.Backup.Path)
		}
	}
	entries, err := os.ReadDir(s.Config().BackupDir())
	if err != nil || len(entries) != 2 {
		t.Errorf("there are %d copies, %v", len(entries), err)
	}
}

// rebuildOf rebuilds the catalogue of a stopped server.
func rebuildOf(t *testing.T, c config.Config, o daemon.RebuildOptions) (daemon.RebuildReport, []daemon.Finding, error) {
	t.Helper()
	var findings []daemon.Finding
	r, err := daemon.Rebuild(context.Background(), c, o, slog.New(slog.DiscardHandler), time.Now, func(e daemon.Event) error {
		if e.Finding != nil {
			findings = append(findings, *e.Finding)
		}
		return nil
	})
	return r, findings, err
}

func loseCatalogue(t *testing.T, c config.Config) {
	t.Helper()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(c.CataloguePath() + suffix); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
}

// TestRebuild loses the catalogue of a server: with a copy beside the volumes, with a damaged one, and with none. The server starts on what is rebuilt, with the key that it had.
func TestRebuild(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, c config.Config) (copies int){
		"with a copy": func(*testing.T, config.Config) int { return 1 },
		"with a damaged copy and an older one": func(t *testing.T, c config.Config) int {
			newest := filepath.Join(c.BackupDir(), "catalogue-29991231T235959.000Z-"+strings.Repeat("0", 64)+".db")
			if err := os.WriteFile(newest, []byte("damaged"), 0o600); err != nil {
				t.Fatal(err)
			}
			return 1
		},
		"without a copy": func(t *testing.T, c config.Config) int {
			if err := os.RemoveAll(c.BackupDir()); err != nil {
				t.Fatal(err)
			}
			return 0
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := moraintest.Start(t, func(c *config.Config) { c.RootKeyID, c.RootSecret, c.RootAccount = "", "", "" })
			s.Key = savedKey(t, s.Config())
			s.CreateVault(t, "photos")
			bodies := map[string][]byte{}
			for i := range 5 {
				b := moraintest.Pattern(1 + i*400_000)
				bodies[s.Upload(t, "photos", b, fmt.Sprint("archive ", i))] = b
			}
			before := s.Inventory(t, "photos")
			s.Stop(t)
			copies := spoil(t, s.Config())
			if _, _, err := rebuildOf(t, s.Config(), daemon.RebuildOptions{}); err == nil || !strings.Contains(err.Error(), "--replace") {
				t.Errorf("a rebuild over a catalogue: %v", err)
			}
			loseCatalogue(t, s.Config())
			report, findings, err := rebuildOf(t, s.Config(), daemon.RebuildOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if report.Archives != 5 || (report.Backup != nil) != (copies > 0) || len(findings) > 0 != strings.Contains(name, "damaged") || len(report.Accounts) != 0 {
				t.Errorf("the rebuild reports %+v, %v", report, findings)
			}
			s.Restart(t)
			if _, _, err := rebuildOf(t, s.Config(), daemon.RebuildOptions{Replace: true}); err == nil || !strings.Contains(err.Error(), "in use") {
				t.Errorf("a rebuild beside a server: %v", err)
			}
			if got := s.Inventory(t, "photos"); got != before {
				t.Errorf("the inventory is\n%s\nand was\n%s", got, before)
			}
			for id, want := range bodies {
				if got := s.Retrieve(t, "photos", id); !bytes.Equal(got, want) {
					t.Errorf("an archive of %d bytes comes back with %d", len(want), len(got))
				}
			}
			s.Stop(t)
			report, _, err = rebuildOf(t, s.Config(), daemon.RebuildOptions{Replace: true, Data: true})
			if err != nil || report.Replaced == "" || report.Archives != 5 {
				t.Errorf("a rebuild that replaces: %+v, %v", report, err)
			}
			s.Restart(t)
		})
	}
}

// savedKey reads the key that a server has made.
func savedKey(t *testing.T, c config.Config) moraintest.Key {
	t.Helper()
	b, err := os.ReadFile(c.CredentialsPath())
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`aws_access_key_id = (\S+)\naws_secret_access_key = (\S+)\naws_account_id = (\S+)\n`).FindStringSubmatch(string(b))
	if m == nil {
		t.Fatalf("the credentials are %q", b)
	}
	return moraintest.Key{Account: m[3], ID: m[1], Secret: m[2]}
}

// TestReportsAreJSON holds the names that scripts read.
func TestReportsAreJSON(t *testing.T) {
	b, err := json.Marshal(daemon.RebuildReport{Took: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"archives", "vaults", "uploads", "deleted", "missing", "incomplete", "strays", "new_vaults", "accounts", "catalogue", "backup", "took_ns"} {
		if !strings.Contains(string(b), `"`+name+`"`) {
			t.Errorf("a report has no %q: %s", name, b)
		}
	}
}
