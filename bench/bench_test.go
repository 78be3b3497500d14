package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// TestRun measures everything once with next to no bytes.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	args := []string{"--dir", dir, "--sizes", "1KiB,3MiB", "--clients", "1,3", "--bytes", "6MiB", "--time", "50ms", "--rounds", "2", "--json"}
	if err := run(t.Context(), args, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v in %s", err, out.Bytes())
	}
	var got []string
	for _, row := range r.Rows {
		got = append(got, row.Operation)
		if row.RequestsPerSecond <= 0 || row.MBPerSecond <= 0 || row.Requests < float64(row.Clients) {
			t.Errorf("impossible figures: %+v", row)
		}
		upload := strings.HasPrefix(row.Operation, "upload")
		served := upload || row.Operation == "download"
		if served != (row.PeakMiB > 1) || served != (row.OfLinear > 0) || served != (row.OfBoth > 0) {
			t.Errorf("figures of a server: %+v", row)
		}
		if upload != (row.OfDisk > 0) {
			t.Errorf("compared with the disk: %+v", row)
		}
		if shares := row.Operation == "upload" && row.Size == 1<<10; shares != (row.OfEach > 0) {
			t.Errorf("compared with a file each: %+v", row)
		}
	}
	small, large := []string{"write+fdatasync", "upload", "upload, a file each", "download"}, []string{"write+fdatasync", "upload", "download"}
	hashes := []string{"SHA-256", "both hashes"}
	if want := slices.Concat(hashes, small, small, hashes, large, large); !slices.Equal(got, want) {
		t.Errorf("rows %q, want %q", got, want)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("the directory has %v, %v", left, err)
	}
}

// TestNodes measures an embedded server and two numbers of nodes with next to no requests.
func TestNodes(t *testing.T) {
	if _, err := findGateway(); err != nil {
		t.Skipf("versitygw is not installed: %v", err)
	}
	if _, err := databasePrograms(); err != nil {
		t.Skipf("PostgreSQL is not installed: %v", err)
	}
	dir := t.TempDir()
	if os.Getuid() == 0 { // PostgreSQL is run by somebody else
		for _, d := range []string{dir, filepath.Dir(dir)} {
			if err := os.Chmod(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	var out bytes.Buffer
	if err := run(t.Context(), []string{"--dir", dir, "--nodes", "1,2", "--time", "20ms", "--rounds", "1", "--json"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	var r nodesReport
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v in %s", err, out.Bytes())
	}
	if want := 3 * len(loads); len(r.Rows) != want {
		t.Fatalf("%d rows, want %d", len(r.Rows), want)
	}
	for i, row := range r.Rows {
		if row.Nodes != i%3 || row.Operation != loads[i/3].operation || row.Clients != loads[i/3].on(max(1, row.Nodes)).clients || row.RequestsPerSecond <= 0 {
			t.Errorf("row %d: %+v", i, row)
		}
		if upload := strings.HasPrefix(row.Operation, "upload"); upload && row.Nodes > 0 != (row.Puts > 0) || row.Puts > 2.5 {
			t.Errorf("objects of an upload: %+v", row)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("the directory has %v, %v", left, err)
	}
}

func TestCompareNodes(t *testing.T) {
	rows := compareNodes([][]nodesRow{{{SumCPU: 2, NodesCPU: 2}}, {{Nodes: 1, SumCPU: 4, NodesCPU: 3}}, {{Nodes: 2, SumCPU: 5, NodesCPU: 6}}})
	want := []nodesRow{{SumCPU: 2, NodesCPU: 2}, {Nodes: 1, SumCPU: 4, NodesCPU: 3, NodesOfOne: 1, SumOfOne: 1, SumOfEmbedded: 2}, {Nodes: 2, SumCPU: 5, NodesCPU: 6, NodesOfOne: 2, SumOfOne: 1.25, SumOfEmbedded: 2.5}}
	if !slices.Equal(rows, want) {
		t.Errorf("%+v, want %+v", rows, want)
	}
}

// TestMillion stores a few archives the way a million are stored.
func TestMillion(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	if err := run(t.Context(), []string{"--dir", dir, "--million", "2000", "--json"}, &out, io.Discard); err != nil && !errors.As(err, new(*missedError)) {
		t.Fatal(err)
	}
	var r millionReport
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v in %s", err, out.Bytes())
	}
	if r.Archives != 2000 || r.First.PerSecond <= 0 || r.Last.PerSecond <= 0 || r.PeakMiB < r.FinalMiB/2 || r.Start <= 0 || r.StartKilled <= 0 {
		t.Errorf("impossible figures: %+v", r)
	}
	if r.VolumeBytes < 1024 || r.CatalogueBytes < 100 || r.Listed != 2000 || r.Rebuilt != 2000 || r.Rebuild <= 0 {
		t.Errorf("impossible figures: %+v", r)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("the directory has %v, %v", left, err)
	}
}

func TestMissed(t *testing.T) {
	good := millionReport{First: blockReport{PerSecond: 100}, Last: blockReport{PerSecond: 80}, PeakMiB: 299, Start: 1.9}
	if err := good.missed(); err != nil {
		t.Error(err)
	}
	bad := millionReport{First: blockReport{PerSecond: 100}, Last: blockReport{PerSecond: 79}, PeakMiB: 301, Start: 2.1}
	if err := bad.missed(); !errors.As(err, new(*missedError)) || strings.Count(err.Error(), ";") != 2 {
		t.Errorf("three figures that are too bad: %v", err)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range []string{
		"--sizes 1KB", "--sizes 0KiB", "--sizes 9999999999KiB", "--sizes", "--clients 0", "--clients 1,", "--bytes 5", "--rounds 0", "--time 0s", "--tiem 1s", "now", "--million -1", "--million 10", "--nodes 0", "--nodes 1,",
	} {
		err := run(t.Context(), strings.Fields(args), io.Discard, io.Discard)
		if !errors.As(err, new(*usageError)) {
			t.Errorf("%q: %v", args, err)
		}
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"7B": 7, "16KiB": 16 << 10, "256MiB": 256 << 20, "1GiB": 1 << 30} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
		if got := strings.ReplaceAll(formatSize(want), " ", ""); got != text {
			t.Errorf("%d is shown as %s", want, got)
		}
	}
}

func TestParseCPU(t *testing.T) {
	const rest = " S 1 2 3 0 -1 4194560 100 200 0 0 120 34 5 7 20 0 8 0 12345 0 0"
	for _, name := range []string{"moraine", "a b", "x) S 1 (y", ""} {
		if got, err := parseCPU("4711 (" + name + ")" + rest); err != nil || got != 1540*time.Millisecond {
			t.Errorf("a program named %q: %s, %v", name, got, err)
		}
		if got, err := parseStat("4711 ("+name+")"+rest, parentField, childrenSystemField); err != nil || !slices.Equal(got, []int64{1, 7}) {
			t.Errorf("a program named %q: parent and time of children %d, %v", name, got, err)
		}
	}
	for _, stat := range []string{"", "4711 moraine" + rest, "4711 (moraine) S 1 2 3", strings.Replace("1 (x)"+rest, "120", "x", 1)} {
		if got, err := parseCPU(stat); err == nil {
			t.Errorf("%q: %s and no error", stat, got)
		}
	}
}

func TestReadEndpoints(t *testing.T) {
	const greeting = "Moraine serves the Glacier API at http://127.0.0.1:4711 (region us-east-1)\nCredentials: x\n\nTry it:\n  curl http://127.0.0.1:4712/health/ready\nmore\n"
	api, health, err := readEndpoints(strings.NewReader(greeting))
	if err != nil || api != "http://127.0.0.1:4711" || health != "http://127.0.0.1:4712/health/ready" {
		t.Errorf("%q, %q, %v", api, health, err)
	}
	if _, _, err := readEndpoints(strings.NewReader(greeting[:100])); err == nil {
		t.Error("half a greeting is no error")
	}
}

func TestArchive(t *testing.T) {
	p := newPattern()
	for _, size := range []int64{1, 1 << 20, 1<<20 + 1, 3<<20 - 5} {
		b, err := io.ReadAll(iotest.HalfReader(p.reader(size)))
		if err != nil || int64(len(b)) != size {
			t.Fatalf("%d bytes, %v; want %d", len(b), err, size)
		}
		if want := bytes.Repeat(p.block[:], 4)[:size]; !bytes.Equal(b, want) {
			t.Errorf("%d bytes differ from the pattern", size)
		}
		a, err := newArchive(p, size)
		if sum := sha256.Sum256(b); err != nil || a.linear != fmt.Sprintf("%x", sum) || size <= 1<<20 != (a.tree == a.linear) {
			t.Errorf("%d bytes: %+v, %v; the SHA-256 is %s", size, a, err, fmt.Sprintf("%x", sum))
		}
	}
}

func TestLimit(t *testing.T) {
	long, failed := time.Hour, errors.New("failed")
	for _, c := range []struct {
		name    string
		limit   limit
		clients int
		want    int
	}{
		{"by bytes", limit{100, long}, 2, 10},
		{"by bytes, the last is left out", limit{109, long}, 2, 10},
		{"one for each client", limit{5, long}, 3, 3},
		{"by time", limit{1000, time.Nanosecond}, 4, 4},
	} {
		seen := make([]int, c.want)
		m, err := c.limit.run(t.Context(), 10, c.clients, func(_, i int) error { seen[i]++; return nil })
		if err != nil || m.requests != c.want || m.bytes != int64(c.want)*10 || slices.Min(seen) != 1 || slices.Max(seen) != 1 {
			t.Errorf("%s: %+v, %v, %v", c.name, m, err, seen)
		}
	}
	if _, err := (limit{100, long}).run(t.Context(), 10, 2, func(_, i int) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("a failure: %v", err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if m, err := (limit{100, long}).run(stopped, 10, 2, func(_, _ int) error { return nil }); !errors.Is(err, context.Canceled) || m.requests != 0 {
		t.Errorf("when stopped: %+v, %v", m, err)
	}
}

func TestReport(t *testing.T) {
	h := hardware{
		linear: measured{bytes: 2e9, elapsed: time.Second}, both: measured{bytes: 1e9, elapsed: time.Second}, disk: measured{bytes: 1e9, elapsed: 2 * time.Second},
	}
	row1 := newRow("upload", 1<<20, 4, measured{requests: 1000, bytes: 1 << 30, elapsed: 4 * time.Second, server: 3 * time.Second, own: time.Second})
	row1.compare(h)
	const rate = (1 << 30) / 4e6
	want := row{
		Operation: "upload", Size: 1 << 20, Clients: 4, Requests: 1000, RequestsPerSecond: 250, MBPerSecond: rate, CPU: 3, ClientCPU: 1,
		OfLinear: rate / 2000, OfBoth: rate / 1000, OfDisk: rate / 500,
	}
	for i, got := range figures(&row1) {
		if w := *figures(&want)[i]; math.Abs(*got-w) > 1e-9 {
			t.Errorf("figure %d: %v, want %v", i, *got, w)
		}
	}
	row2, row3 := row1, row1
	row2.CPU, row3.CPU = 5, 4
	r := newReport([][]row{{row1}, {row2}, {row3}})
	if len(r.Rows) != 1 || r.Rows[0].CPU != 4 || r.Rows[0].Operation != "upload" || row1.CPU != 3 {
		t.Errorf("medians: %+v", r)
	}
	var text bytes.Buffer
	if err := r.print(&text, false); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"upload", "1 MiB", "250", "268", "4.00", "0.54", "medians of 3 rounds"} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("the table lacks %q:\n%s", part, text.String())
		}
	}
}
