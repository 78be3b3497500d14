package vault

import (
	"math/rand/v2"
	"time"

	"github.com/moraine-archive/moraine/internal/protocol"
)

// Range is a span of durations; one is drawn at random from it.
type Range struct{ Min, Max time.Duration }

func (r Range) draw() time.Duration {
	if r.Max <= r.Min {
		return r.Min
	}
	return r.Min + rand.N(r.Max-r.Min)
}

// Settings are the figures of the service. Defaults and Glacier give the two sets that are meant to be used.
type Settings struct {
	Region string

	Expedited, Standard, Bulk Range         // from InitiateJob to the end of an archive retrieval
	InventoryRetrieval        Range         // the same for an inventory
	InventoryInterval         time.Duration // between inventories of a vault; zero: always current

	VaultPage       int   // vaults in a list, default and maximum
	Page            int   // jobs, uploads or parts in a list, default and maximum
	ArchiveOverhead int64 // bytes per archive that SizeInBytes shows on top
	MaxVaults       int   // per account

	JobExpiry      time.Duration // from the end of a job
	RepeatWindow   time.Duration // in which Complete and Abort can be repeated
	LockWindow     time.Duration // in which a vault lock has to be completed
	IdleUpload     time.Duration // after which an upload without activity is removed
	LongestRequest time.Duration // no request takes longer; what is younger is spared by the sweep
	KeepOrphans    time.Duration // a complete record that no row refers to is spared for so long

	ExpeditedLimit int           // Expedited retrievals that an account without provisioned capacity may start in 5 minutes; negative: any number
	FreeTier       int64         // bytes a month that the strategy FreeTier lets an account retrieve
	NoticeGiveUp   time.Duration // a message that cannot be delivered for so long is given up

	Settable bool // tests can set the clock

	CompactShare float64 // a volume is compacted when more than this part of it is needed by nothing
}

// Defaults are the figures of the best home for archives.
func Defaults() Settings {
	return Settings{
		Region:         "us-east-1",
		VaultPage:      1000,
		Page:           1000,
		MaxVaults:      protocol.MaxVaults,
		JobExpiry:      24 * time.Hour,
		RepeatWindow:   24 * time.Hour,
		LockWindow:     24 * time.Hour,
		ExpeditedLimit: -1,
		FreeTier:       10 << 30,
		NoticeGiveUp:   24 * time.Hour,
		IdleUpload:     7 * 24 * time.Hour,
		LongestRequest: 24 * time.Hour,
		KeepOrphans:    30 * 24 * time.Hour,
		CompactShare:   0.5,
	}
}

// Glacier are the published figures of the original service, for people who test against it.
func Glacier() Settings {
	s := Defaults()
	s.Expedited = Range{time.Minute, 5 * time.Minute}
	s.Standard = Range{3 * time.Hour, 5 * time.Hour}
	s.Bulk = Range{5 * time.Hour, 12 * time.Hour}
	s.InventoryRetrieval = s.Standard
	s.InventoryInterval = 24 * time.Hour
	s.VaultPage = 10
	s.Page = 50
	s.ArchiveOverhead = protocol.ArchiveOverhead
	return s
}
