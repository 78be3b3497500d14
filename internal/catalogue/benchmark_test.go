package catalogue

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
)

// BenchmarkUpdate adds an archive in a change of its own: by one caller, and by many at once.
func BenchmarkUpdate(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			db := openNew(b)
			vault := newVault(b, db, "photos")
			var last atomic.Int64
			ctx, cancel := context.WithCancel(b.Context()) // as that of a request, which may end
			defer cancel()
			b.SetParallelism(max(1, callers/runtime.GOMAXPROCS(0)))
			add := func() {
				a := archiveRow(vault, fmt.Sprintf("archive-%020d", last.Add(1)), 10)
				if err := db.Update(ctx, func(tx *Tx) error { return tx.InsertArchive(a) }); err != nil {
					b.Error(err)
				}
			}
			if callers == 1 {
				for b.Loop() {
					add()
				}
				return
			}
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					add()
				}
			})
		})
	}
}

// BenchmarkView looks up a vault in a snapshot of its own: by one caller, and by many at once.
func BenchmarkView(b *testing.B) {
	db := openNew(b)
	newVault(b, db, "photos")
	ctx, cancel := context.WithCancel(b.Context()) // as that of a request, which may end
	defer cancel()
	find := func() {
		if err := db.View(ctx, func(tx *Tx) error {
			_, err := tx.Vault(account, "photos")
			return err
		}); err != nil {
			b.Error(err)
		}
	}
	b.Run("1", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			find()
		}
	})
	b.Run("64", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(max(1, 64/runtime.GOMAXPROCS(0)))
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				find()
			}
		})
	})
}
