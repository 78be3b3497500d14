package checkedvfs_test

import (
	"database/sql"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/catalogue/checkedvfs"
)

const otherProcess = "CHECKEDVFS_TEST_DATABASE"

// TestMain lets this binary be the second process.
func TestMain(m *testing.M) {
	if path := os.Getenv(otherProcess); path != "" {
		if err := work(path, 2); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestSeveralAtOnce writes, reads, checkpoints and copies a database by several connections of two processes.
func TestSeveralAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	db := create(t, path, 1024, "WAL")
	exec(t, db, schema...)
	second := start(t, path)
	if err := work(path, 1); err != nil {
		t.Error(err)
	}
	if err := second.Wait(); err != nil {
		t.Error(err)
	}
	mustReadAll(t, db)
	db.Close()
	mustVerify(t, path)
}

func start(t *testing.T, path string) *osexec.Cmd {
	t.Helper()
	cmd := osexec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), otherProcess+"="+path)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// TestKilled kills a process that works, again and again, and wants the database to be sound after recovery.
func TestKilled(t *testing.T) {
	for _, mode := range []string{"WAL", "DELETE"} {
		path := filepath.Join(t.TempDir(), "db")
		db := create(t, path, 1024, mode)
		exec(t, db, schema...)
		db.Close()
		for i := range 5 {
			cmd := start(t, path)
			time.Sleep(time.Duration(100+i*71) * time.Millisecond)
			cmd.Process.Kill()
			cmd.Wait()
			db := open(t, dsn(t, path))
			mustReadAll(t, db)
			exec(t, db, rows("b", 500+i, 500+i, "'killed', i"))
			db.Close()
			mustVerify(t, path)
		}
	}
}

// work is what one process does, for about a second.
func work(path string, process int) error {
	var group sync.WaitGroup
	errs := make(chan error, 8)
	end := time.Now().Add(time.Second)
	for w := range 4 {
		group.Go(func() {
			if err := workOne(path, process*10+w, end); err != nil {
				errs <- fmt.Errorf("process %d, connection %d: %w", process, w, err)
			}
		})
	}
	group.Wait()
	close(errs)
	return <-errs
}

func workOne(path string, id int, end time.Time) error {
	name, err := checkedvfs.Register()
	if err != nil {
		return err
	}
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(20000)&vfs="+name)
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	defer db.Close()
	for i := 0; time.Now().Before(end); i++ {
		for _, s := range []string{
			rows("b", 1, 10, "hex(randomblob(8)), i"),
			fmt.Sprintf("UPDATE a SET body = randomblob(%d) WHERE id %% 10 = %d", i%700, i%10),
			"PRAGMA wal_checkpoint(PASSIVE)",
		} {
			if _, err := db.Exec(s); err != nil {
				return fmt.Errorf("%s: %w", s, err)
			}
		}
		if i%10 == 0 {
			copied := fmt.Sprintf("%s-copy-%d", path, id)
			os.Remove(copied) // of a process that was killed
			if _, err := db.Exec("VACUUM INTO '" + copied + "'"); err != nil {
				return fmt.Errorf("VACUUM INTO: %w", err)
			}
			os.Remove(copied)
		}
		if err := readAll(db); err != nil {
			return fmt.Errorf("read: %w", err)
		}
	}
	return nil
}
