package vault

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"sync"
	"time"

	"github.com/moraine-archive/moraine/internal/protocol"
)

// idEncoding writes six bits a character in an alphabet whose byte order is its value order, so that ids sort as their bytes do.
var idEncoding = base64.NewEncoding("-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz").WithPadding(base64.NoPadding) // read only

// ids makes identifiers: eight bytes of time in nanoseconds, then random bytes. Ids that are made together lie together in an
// index, no two are equal, and a later one is greater, also if the clock stands still or goes back while the server runs.
type ids struct {
	mu   sync.Mutex
	last int64 // guarded by mu
}

// earliest keeps the first character from being '-': many programs take such an argument for an option.
const earliest = 1 << 58 // February 1979

func (g *ids) next(now time.Time) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last = max(now.UnixNano(), g.last+1, earliest)
	return g.last
}

// make returns an id of a number of characters.
func (g *ids) make(now time.Time, characters int) string {
	b := make([]byte, idEncoding.DecodedLen(characters))
	binary.BigEndian.PutUint64(b, uint64(g.next(now)))
	rand.Read(b[8:])
	return idEncoding.EncodeToString(b)
}

func (s *Service) newArchiveID() string { return s.ids.make(s.now(), protocol.ArchiveIDLength) }
func (s *Service) newUploadID() string  { return s.ids.make(s.now(), protocol.UploadIDLength) }
func (s *Service) newJobID() string     { return s.ids.make(s.now(), protocol.JobIDLength) }
