package memory_test

import (
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/store"
	"github.com/moraine-archive/moraine/internal/store/memory"
	"github.com/moraine-archive/moraine/internal/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(_ *testing.T, now func() time.Time) store.Store { return memory.New(now) })
}
