package index

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/names"
)

// writeInventory writes an inventory of n archives as a server does, described as a sync does.
func writeInventory(w io.Writer, n int) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, `{"VaultARN":"arn:aws:glacier:us-east-1:123456789012:vaults/photos","InventoryDate":"2024-02-28T03:12:05Z","ArchiveList":[`)
	for i := range n {
		if i > 0 {
			out.WriteByte(',')
		}
		sum := sha256.Sum256([]byte(fmt.Sprint(i)))
		id := base64.RawURLEncoding.EncodeToString(append(append(append(sum[:], sum[:]...), sum[:]...), sum[:8]...))
		created := time.Date(2020, 1, 1, 0, 0, i, 0, time.UTC)
		description, err := names.Format(fmt.Sprintf("photos/%04d/%02d/IMG_%06x.jpg", i*7919%997, i%12, sum[:3]), created)
		if err != nil {
			return err
		}
		text, _ := json.Marshal(description)
		fmt.Fprintf(out, `{"ArchiveId":"%.138s","ArchiveDescription":%s,"CreationDate":"%s","Size":%d,"SHA256TreeHash":"%x"}`,
			id, text, created.Format(time.RFC3339), 1+i%1000000, sum)
	}
	out.WriteString(`]}`)
	return out.Flush()
}

// BenchmarkMillion takes over an inventory of a million archives, and asks for them.
func BenchmarkMillion(b *testing.B) {
	const n = 1_000_000
	file := b.TempDir() + "/inventory.json"
	f, err := os.Create(file)
	if err != nil {
		b.Fatal(err)
	}
	if err := writeInventory(f, n); err != nil {
		b.Fatal(err)
	}
	f.Close()
	ix := openNew(b)
	replace := func(b *testing.B) {
		f, err := os.Open(file)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		inventory, err := ReadInventory(f)
		if err != nil {
			b.Fatal(err)
		}
		if err := ix.Replace(b.Context(), inventory); err != nil {
			b.Fatal(err)
		}
	}
	rate := func(b *testing.B, n int) { b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "rows/s") }
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			f, err := os.Open(file)
			if err != nil {
				b.Fatal(err)
			}
			inventory, err := ReadInventory(f)
			if err != nil {
				b.Fatal(err)
			}
			for _, err := range inventory.Archives {
				if err != nil {
					b.Fatal(err)
				}
			}
			f.Close()
		}
		rate(b, n)
	})
	b.Run("replace", func(b *testing.B) {
		for b.Loop() {
			replace(b)
		}
		rate(b, n)
		if info, err := os.Stat(ix.path); err == nil {
			b.ReportMetric(float64(info.Size())/n, "bytes/row")
		}
	})
	list := func(pattern string) func(*testing.B) {
		return func(b *testing.B) {
			found := 0
			for b.Loop() {
				for _, err := range ix.Archives(b.Context(), pattern) {
					if err != nil {
						b.Fatal(err)
					}
					found++
				}
			}
			b.ReportMetric(float64(found)/float64(b.N), "found")
		}
	}
	b.Run("list all", list(""))
	b.Run("list by pattern", list("**/IMG_00*.jpg"))
	b.Run("list a directory", list("photos/0042/"))
	b.Run("by path", func(b *testing.B) {
		i := 0
		for b.Loop() {
			i++
			sum := sha256.Sum256([]byte(fmt.Sprint(i % n)))
			path := fmt.Sprintf("photos/%04d/%02d/IMG_%06x.jpg", i%n*7919%997, i%n%12, sum[:3])
			if found, err := ix.ByPath(b.Context(), path); err != nil || len(found) == 0 {
				b.Fatal(path, found, err)
			}
		}
	})
	b.Run("add", func(b *testing.B) {
		i := 0
		for b.Loop() {
			i++
			a := Archive{ID: fmt.Sprintf("new-%020d", i), Description: fmt.Sprintf("new/%d", i), Created: time.Date(2025, 1, 1, 0, 0, i, 0, time.UTC), Size: 1}
			if err := ix.Add(b.Context(), a); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("state", func(b *testing.B) {
		for b.Loop() {
			if s, err := ix.State(b.Context()); err != nil || s.Archives < n {
				b.Fatal(s, err)
			}
		}
	})
}
