package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"text/tabwriter"
)

// row is a line of the report. A ratio or a cost that does not apply is zero.
type row struct {
	Operation string `json:"operation"`
	Size      int64  `json:"archive_bytes"`
	Clients   int    `json:"clients"`

	Requests          float64 `json:"requests"`
	RequestsPerSecond float64 `json:"requests_per_second"`
	MBPerSecond       float64 `json:"mb_per_second"`       // 10^6 bytes
	CPU               float64 `json:"cpu_seconds_per_gib"` // 2^30 bytes; of the server, or of what is done without one
	ClientCPU         float64 `json:"client_cpu_seconds_per_gib,omitzero"`
	OfLinear          float64 `json:"of_sha256_one_core,omitzero"`
	OfBoth            float64 `json:"of_both_hashes_one_core,omitzero"`
	OfDisk            float64 `json:"of_write_fdatasync,omitzero"`
	OfEach            float64 `json:"of_a_file_each,omitzero"`
	PeakMiB           float64 `json:"server_peak_resident_mib,omitzero"`
}

// newRow returns the row of a measurement. What was done without a server cost this process alone.
func newRow(operation string, size int64, clients int, m measured) row {
	seconds, gib := m.elapsed.Seconds(), float64(m.bytes)/(1<<30)
	r := row{
		Operation: operation, Size: size, Clients: clients, Requests: float64(m.requests),
		RequestsPerSecond: float64(m.requests) / seconds, MBPerSecond: m.rate(), CPU: m.own.Seconds() / gib,
	}
	if m.server > 0 {
		r.CPU, r.ClientCPU = m.server.Seconds()/gib, r.CPU
	}
	return r
}

// rate returns 10^6 bytes per second; zero for what was not measured.
func (m measured) rate() float64 {
	if m.bytes == 0 {
		return 0
	}
	return float64(m.bytes) / 1e6 / m.elapsed.Seconds()
}

// compare sets the ratios to what was measured of the hardware.
func (r *row) compare(h hardware) {
	for into, with := range map[*float64]measured{&r.OfLinear: h.linear, &r.OfBoth: h.both, &r.OfDisk: h.disk} {
		if rate := with.rate(); rate > 0 {
			*into = r.MBPerSecond / rate
		}
	}
}

// report is the result of all rounds.
type report struct {
	Cores  int    `json:"cores"`
	Go     string `json:"go"`
	Rounds int    `json:"rounds"`
	Rows   []row  `json:"rows"` // medians
}

// newReport takes the median of every figure on its own. Ratios are medians of ratios of one round, whose parts were measured one
// right after the other: a disk that is slow for a while slows both.
func newReport(rounds [][]row) report {
	return report{Cores: runtime.GOMAXPROCS(0), Go: runtime.Version(), Rounds: len(rounds), Rows: medians(rounds, figures)}
}

// medians returns rows like those of each round, whose figures are the medians.
func medians[T any](rounds [][]T, figures func(*T) []*float64) (rows []T) {
	for i, first := range rounds[0] {
		for n, into := range figures(&first) {
			values := make([]float64, len(rounds))
			for k := range rounds {
				values[k] = *figures(&rounds[k][i])[n]
			}
			*into = median(values)
		}
		rows = append(rows, first)
	}
	return rows
}

func figures(r *row) []*float64 {
	return []*float64{
		&r.Requests, &r.RequestsPerSecond, &r.MBPerSecond, &r.CPU, &r.ClientCPU, &r.OfLinear, &r.OfBoth, &r.OfDisk, &r.OfEach, &r.PeakMiB,
	}
}

func median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

func printJSON(w io.Writer, document any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(document)
}

func (r report) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return printJSON(w, r)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tsize\tat once\trequests/s\tMB/s\tCPU s/GiB\tclient's\t: SHA-256\t: both\t: write\t: each\tpeak MiB\t")
	for _, row := range r.Rows {
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", row.Operation, formatSize(row.Size), row.Clients,
			figure(row.RequestsPerSecond), figure(row.MBPerSecond), figure(row.CPU), figure(row.ClientCPU),
			figure(row.OfLinear), figure(row.OfBoth), figure(row.OfDisk), figure(row.OfEach), figure(row.PeakMiB))
	}
	fmt.Fprintf(t, "\n")
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%d cores, %s, medians of %d rounds\n", r.Cores, r.Go, r.Rounds)
	return err
}

// figure shows a number with the digits that mean something.
func figure(v float64) string {
	switch {
	case v == 0:
		return "-"
	case v < 10:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

func formatSize(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB"}
	i := 0
	for ; i < len(units)-1 && n%1024 == 0; i++ {
		n /= 1024
	}
	return strconv.FormatInt(n, 10) + " " + units[i]
}
