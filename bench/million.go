package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Figures of the measurement with very many archives.
const (
	clientsOfMillion  = 64
	vaultsOfMillion   = 50
	contentsOfMillion = 8
	sizeOfMillion     = 1 << 10
	blockOfMillion    = 50_000 // archives, or a quarter of them
)

// What must not be missed.
const (
	leastOfFirst = 0.8 // the rate of the last block, of that of the first
	mostMiB      = 300
	mostStart    = 2.0 // seconds
)

// blockReport is how a block of archives was uploaded.
type blockReport struct {
	PerSecond float64 `json:"archives_per_second"`
	CPU       float64 `json:"server_cpu_ms_per_archive"`
	ClientCPU float64 `json:"client_cpu_ms_per_archive"`
}

// millionReport is what becomes of a server with very many archives. Times are in seconds, sizes in bytes for each archive.
type millionReport struct {
	Archives       int         `json:"archives"`
	Upload         float64     `json:"upload"`
	First          blockReport `json:"first"`
	Last           blockReport `json:"last"`
	PeakMiB        float64     `json:"peak_resident_mib"`
	FinalMiB       float64     `json:"resident_mib_after_upload"`
	VolumeBytes    float64     `json:"volume_bytes_per_archive"`
	CatalogueBytes float64     `json:"catalogue_bytes_per_archive"`
	Stop           float64     `json:"stop"`
	Start          float64     `json:"start_after_stop"`
	StartKilled    float64     `json:"start_after_kill"`
	Inventories    float64     `json:"inventories"` // of all vaults
	Listed         int         `json:"archives_listed"`
	Rebuild        float64     `json:"rebuild"`
	PerMillion     float64     `json:"rebuild_per_million"`
	Rebuilt        int         `json:"archives_rebuilt"`
}

// missedError says which figures are not as good as they must be.
type missedError struct{ figures []string }

func (e *missedError) Error() string { return "missed: " + strings.Join(e.figures, "; ") }

func (r *millionReport) missed() error {
	var e missedError
	for _, f := range []struct {
		bad  bool
		text string
	}{
		{r.Last.PerSecond < leastOfFirst*r.First.PerSecond, fmt.Sprintf("the last archives came at %.2f of the rate of the first, want %.2f", r.Last.PerSecond/r.First.PerSecond, leastOfFirst)},
		{r.PeakMiB > mostMiB, fmt.Sprintf("the server had %.0f MiB resident, want %d at most", r.PeakMiB, mostMiB)},
		{r.Start > mostStart, fmt.Sprintf("a start took %.2f s, want %.0f at most", r.Start, mostStart)},
	} {
		if f.bad {
			e.figures = append(e.figures, f.text)
		}
	}
	if len(e.figures) == 0 {
		return nil
	}
	return &e
}

// million is a measurement with very many archives.
type million struct {
	*bench
	data     string
	server   *server
	client   *client
	vaults   []string
	contents [contentsOfMillion]content
	report   millionReport
}

// measureMillion uploads very many archives, starts the server again and again, and makes the catalogue anew.
func (b *bench) measureMillion(ctx context.Context, stdout io.Writer) (err error) {
	m := &million{bench: b, data: filepath.Join(b.dir, "data"), report: millionReport{Archives: b.million}}
	if m.contents, err = newContents(newPattern()); err != nil {
		return err
	}
	for i := range vaultsOfMillion {
		m.vaults = append(m.vaults, fmt.Sprintf("/-/vaults/million-%02d", i))
	}
	defer func() {
		if m.server != nil {
			err = errors.Join(err, m.server.stop())
		}
	}()
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"start", m.start},
		{"upload", m.upload},
		{"stop, start, kill, start", m.restart},
		{"inventories and rebuild", m.rebuild},
	} {
		fmt.Fprintf(b.progress, "%s\n", step.name)
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return errors.Join(m.report.print(stdout, b.json), m.report.missed())
}

// start starts the server and waits until it is ready.
func (m *million) start(context.Context) (err error) {
	if m.server, err = startServer(m.binary, m.data); err != nil {
		return err
	}
	m.client = newClient(m.server.endpoint)
	return m.server.ready()
}

// stop stops the server in good order, or kills it.
func (m *million) stop(kill bool) error {
	m.client.close()
	s := m.server
	m.server = nil
	if !kill {
		return s.stop()
	}
	s.cmd.Process.Kill()
	s.cmd.Wait() // it was killed
	return nil
}

// timed returns how many seconds something takes.
func timed(into *float64, do func() error) error {
	begun := time.Now()
	err := do()
	*into = time.Since(begun).Seconds()
	return err
}

// upload uploads all archives, in blocks whose rates can be compared.
func (m *million) upload(ctx context.Context) error {
	for _, v := range m.vaults {
		if err := m.client.createVault(ctx, v); err != nil {
			return err
		}
	}
	block := min(blockOfMillion, m.million/4)
	err := timed(&m.report.Upload, func() error {
		return m.client.wires(ctx, clientsOfMillion, func(wires []*wire) error {
			for done := 0; done < m.million; done += block {
				r, err := m.uploadBlock(ctx, wires, min(block, m.million-done))
				if err != nil {
					return err
				}
				if done == 0 {
					m.report.First = r
				}
				if m.million-done >= block {
					m.report.Last = r
				}
				fmt.Fprintf(m.progress, "  %d: %.0f archives/s, %.3f ms of the server's processor for each\n", min(done+block, m.million), r.PerSecond, r.CPU)
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	peak, err := m.server.peak()
	if err != nil {
		return err
	}
	final, err := m.server.resident()
	m.report.PeakMiB, m.report.FinalMiB = float64(peak)/(1<<20), float64(final)/(1<<20)
	return err
}

// uploadBlock uploads archives to all vaults in turn.
func (m *million) uploadBlock(ctx context.Context, wires []*wire, archives int) (blockReport, error) {
	var heads [contentsOfMillion * vaultsOfMillion][]byte // anew for each block: a signature is good for minutes only
	for i := range heads {
		var err error
		if heads[i], err = m.client.upload(ctx, m.vaults[i%len(m.vaults)], m.contents[i/len(m.vaults)].archive); err != nil {
			return blockReport{}, err
		}
	}
	l := limit{bytes: int64(archives) * sizeOfMillion, time: time.Hour}
	r, err := charged(m.server, func() (measured, error) {
		return l.run(ctx, sizeOfMillion, clientsOfMillion, func(client, i int) error {
			c := m.contents[i%len(heads)/len(m.vaults)]
			_, err := wires[client].upload(heads[i%len(heads)], c.pattern, c.archive)
			return err
		})
	})
	n := float64(r.requests)
	return blockReport{n / r.elapsed.Seconds(), r.server.Seconds() * 1e3 / n, r.own.Seconds() * 1e3 / n}, err
}

// content is what some of the archives contain.
type content struct {
	pattern *pattern
	archive archive
}

// newContents returns different contents: parts of the pattern.
func newContents(p *pattern) (list [contentsOfMillion]content, err error) {
	for i := range list {
		c := content{pattern: new(pattern)}
		copy(c.pattern.block[:], p.block[i*sizeOfMillion:][:sizeOfMillion])
		if c.archive, err = newArchive(c.pattern, sizeOfMillion); err != nil {
			return list, err
		}
		list[i] = c
	}
	return list, nil
}

// restart stops the server, measures what is on the disk, and starts it after a stop and after a kill.
func (m *million) restart(ctx context.Context) error {
	if err := timed(&m.report.Stop, func() error { return m.stop(false) }); err != nil {
		return err
	}
	if err := m.measureDisk(); err != nil {
		return err
	}
	if err := timed(&m.report.Start, func() error { return m.start(ctx) }); err != nil {
		return err
	}
	// One more archive: a server that has stored nothing has nothing to find again.
	if err := m.client.wires(ctx, 1, func(w []*wire) error { return m.one(ctx, w[0]) }); err != nil {
		return err
	}
	if err := m.stop(true); err != nil {
		return err
	}
	return timed(&m.report.StartKilled, func() error { return m.start(ctx) })
}

// one uploads an archive to a vault of its own.
func (m *million) one(ctx context.Context, w *wire) error {
	if err := m.client.createVault(ctx, vaultPath); err != nil {
		return err
	}
	c := m.contents[0]
	head, err := m.client.upload(ctx, vaultPath, c.archive)
	if err != nil {
		return err
	}
	_, err = w.upload(head, c.pattern, c.archive)
	return err
}

// measureDisk adds up the files of the volumes and those of the catalogue.
func (m *million) measureDisk() error {
	var volumes, catalogue int64
	err := filepath.WalkDir(m.data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		switch name, _ := filepath.Rel(m.data, path); {
		case err != nil:
			return err
		case strings.HasSuffix(name, ".vol"):
			volumes += info.Size()
		case strings.HasPrefix(name, "catalogue.db"):
			catalogue += info.Size()
		}
		return nil
	})
	n := float64(m.million)
	m.report.VolumeBytes, m.report.CatalogueBytes = float64(volumes)/n, float64(catalogue)/n
	return err
}

// rebuild loses the catalogue, makes it again of the volumes alone, and compares the inventories.
func (m *million) rebuild(ctx context.Context) error {
	var before, after [][sha256.Size]byte
	err := timed(&m.report.Inventories, func() (err error) {
		before, m.report.Listed, err = m.inventories(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if m.report.Listed != m.million {
		return fmt.Errorf("the inventories list %d archives, and %d were stored", m.report.Listed, m.million)
	}
	if err := m.stop(false); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(m.data, "catalogue.db")); err != nil {
		return err
	}
	if err := m.runRebuild(ctx); err != nil {
		return err
	}
	if err := m.start(ctx); err != nil {
		return err
	}
	if after, _, err = m.inventories(ctx); err != nil {
		return err
	}
	for i, sum := range before {
		if after[i] != sum {
			return fmt.Errorf("the inventory of %s differs after the rebuild", m.vaults[i])
		}
	}
	return nil
}

func (m *million) runRebuild(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, m.binary, "admin", "rebuild", "--data", m.data, "--no-backup", "--json")
	cmd.Env = environ()
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	text, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("moraine admin rebuild: %w\n%s", err, &complaint)
	}
	var doc struct {
		Archives   int
		Took       time.Duration `json:"took_ns"`
		PerMillion time.Duration `json:"per_million_ns"`
	}
	err = json.Unmarshal(text, &doc)
	m.report.Rebuild, m.report.PerMillion, m.report.Rebuilt = doc.Took.Seconds(), doc.PerMillion.Seconds(), doc.Archives-1 // the one of restart
	return err
}

// inventories returns a hash of each inventory, and how many archives they list.
func (m *million) inventories(ctx context.Context) (sums [][sha256.Size]byte, listed int, err error) {
	for _, v := range m.vaults {
		text, err := m.client.inventory(ctx, v)
		if err != nil {
			return nil, 0, err
		}
		listed += bytes.Count(text, []byte(`"ArchiveId":`))
		sums = append(sums, sha256.Sum256(text))
	}
	return sums, listed, nil
}

func (r *millionReport) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return printJSON(w, r)
	}
	_, err := fmt.Fprintf(w, `%d archives of %s in %d vaults, %d clients
upload:        %.0f s; the first at %.0f/s, the last at %.0f/s: %.2f of that
processor:     %.3f ms of the server for each of the first, %.3f for each of the last (and %.3f of the client)
resident:      %.0f MiB at most, %.0f MiB after the last
on the disk:   %.0f bytes of volumes and %.0f of the catalogue for each: %.0f more than its own
stop, start:   %.2f s, %.2f s until ready; %.2f s after a kill
inventories:   %.1f s for all vaults
rebuild:       %.1f s of the volumes alone, %.1f s per million; all inventories are as before
`,
		r.Archives, formatSize(sizeOfMillion), vaultsOfMillion, clientsOfMillion,
		r.Upload, r.First.PerSecond, r.Last.PerSecond, r.Last.PerSecond/r.First.PerSecond,
		r.First.CPU, r.Last.CPU, r.Last.ClientCPU,
		r.PeakMiB, r.FinalMiB,
		r.VolumeBytes, r.CatalogueBytes, r.VolumeBytes+r.CatalogueBytes-sizeOfMillion,
		r.Stop, r.Start, r.StartKilled, r.Inventories, r.Rebuild, r.PerMillion)
	return err
}
