package transfer_test

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/glacier/transfer"
)

const benchSize = 256 * mib

// direct is a client without the wire.
func direct(b *testing.B) *glacier.Client {
	b.Helper()
	r := start(b, 1)
	return r.connect(b, 5, func(o *glacier.Options) { o.Transport = http.DefaultTransport })
}

// BenchmarkUpload stores 256 MiB in a server in this process, which takes part of the same processors.
func BenchmarkUpload(b *testing.B) {
	for _, c := range []struct {
		part        int64
		concurrency int
	}{{4, 4}, {16, 1}, {16, 4}, {16, 8}, {64, 4}} {
		b.Run(fmt.Sprintf("part=%dMiB/at_once=%d", c.part, c.concurrency), func(b *testing.B) {
			up := transfer.Uploader{Client: direct(b), PartSize: c.part * mib, Concurrency: c.concurrency}
			b.SetBytes(benchSize)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := up.Upload(b.Context(), "v", pattern{}, benchSize, ""); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("stream", func(b *testing.B) {
		up := transfer.Uploader{Client: direct(b)}
		b.SetBytes(benchSize)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := up.UploadStream(b.Context(), "v", io.NewSectionReader(pattern{}, 0, benchSize), ""); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkDownload fetches 256 MiB from a server in this process.
func BenchmarkDownload(b *testing.B) {
	for _, c := range []struct {
		size        int64
		concurrency int
	}{{1, 4}, {8, 1}, {8, 4}, {8, 8}, {32, 4}} {
		client := direct(b)
		up := transfer.Uploader{Client: client}
		a, err := up.Upload(b.Context(), "v", pattern{}, benchSize, "")
		if err != nil {
			b.Fatal(err)
		}
		name := fmt.Sprintf("range=%dMiB/at_once=%d", c.size, c.concurrency)
		down := transfer.Downloader{Client: client, RangeSize: c.size * mib, Concurrency: c.concurrency}
		job, err := down.Retrieve(b.Context(), "v", a.ID, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "f")
			b.SetBytes(benchSize)
			b.ReportAllocs()
			for b.Loop() {
				if d, err := down.DownloadJob(b.Context(), "v", job.ID, path); err != nil || !d.Verified {
					b.Fatal(err)
				}
			}
		})
		b.Run("to_a_writer/"+name, func(b *testing.B) {
			b.SetBytes(benchSize)
			b.ReportAllocs()
			for b.Loop() {
				if d, err := down.DownloadTo(b.Context(), "v", job.ID, io.Discard); err != nil || !d.Verified {
					b.Fatal(err)
				}
			}
		})
	}
}
