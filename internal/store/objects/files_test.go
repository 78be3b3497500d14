package objects

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/iotest"
)

func TestFiles(t *testing.T) {
	s, b := openNew(t)
	if _, err := s.ReadFile(t.Context(), "identity"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is missing: %v", err)
	}
	for _, text := range []string{"one", "another", ""} {
		if err := s.CreateFile(t.Context(), "identity", []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := s.ReadFile(t.Context(), "identity"); err != nil || string(got) != text {
			t.Errorf("the file has %q, %v", got, err)
		}
		if err := s.DeleteFile(t.Context(), "identity"); err != nil {
			t.Fatal(err)
		}
	}
	sizes := map[string]int{"catalogue/a.db": 0, "catalogue/b.db": 10, "catalogue/c.db": 8 * mib, "catalogue/d.db": 20*mib + 7}
	for name, size := range sizes {
		if err := s.PutFile(t.Context(), name, bytes.NewReader(data(size)), int64(size)); err != nil {
			t.Fatal(err)
		}
		r, n, err := s.OpenFile(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || n != int64(size) || !bytes.Equal(got, data(size)) || r.Close() != nil {
			t.Errorf("the file of %d bytes has %d, of %d that are said, %v", size, len(got), n, err)
		}
	}
	list, err := s.ListFiles(t.Context(), "catalogue/")
	if err != nil || !slices.Equal(list, slices.Sorted(maps.Keys(sizes))) {
		t.Errorf("files %v, %v", list, err)
	}
	for name := range sizes {
		for range 2 {
			if err := s.DeleteFile(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, _, err := s.OpenFile(t.Context(), "catalogue/b.db"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that was deleted: %v", err)
	}
	if all, remains := walk(t, s); len(all)+len(remains) > 0 {
		t.Errorf("Walk gives %v, %v", all, remains)
	}
	if left, _ := keys(t, b); len(left) > 0 {
		t.Errorf("there are %q", left)
	}
}

func TestCreate(t *testing.T) {
	s, _ := openNew(t)
	nodes := make([]error, 8)
	var all sync.WaitGroup
	for i := range nodes {
		all.Go(func() { nodes[i] = s.CreateFile(t.Context(), "identity", fmt.Append(nil, "node ", i)) })
	}
	all.Wait()
	created := 0
	for i, err := range nodes {
		if err != nil {
			if !errors.Is(err, fs.ErrExist) {
				t.Error(err)
			}
			continue
		}
		created++
		if got, err := s.ReadFile(t.Context(), "identity"); err != nil || string(got) != fmt.Sprint("node ", i) {
			t.Errorf("node %d has created it, and it has %q, %v", i, got, err)
		}
	}
	if created != 1 {
		t.Errorf("%d nodes have created the file", created)
	}
	if err := s.CreateFile(t.Context(), "data/x", nil); err == nil {
		t.Error("a record can be created")
	}
}

func TestFileThatFails(t *testing.T) {
	s, b := openNew(t)
	for _, r := range []io.ReadSeeker{bytes.NewReader(data(20 * mib)), broken{bytes.NewReader(nil)}} {
		if err := s.PutFile(t.Context(), "catalogue/x.db", r, 20*mib+1); err == nil {
			t.Error("a file that cannot be read is written")
		}
	}
	if left, uploads := keys(t, b); len(left) > 0 || uploads > 0 {
		t.Errorf("there are %q and %d uploads", left, uploads)
	}
	for _, name := range []string{"", "data/x", "meta/x", "gone/x/y"} {
		if err := s.CreateFile(t.Context(), name, nil); err == nil {
			t.Errorf("%q can be written", name)
		}
		if err := s.DeleteFile(t.Context(), name); err == nil {
			t.Errorf("%q can be deleted", name)
		}
	}
}

// broken can be read for a while.
type broken struct{ io.ReadSeeker }

func (b broken) Read(p []byte) (int, error) {
	return iotest.ErrReader(errors.New("the disk is broken")).Read(p)
}
