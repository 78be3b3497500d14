package cli

import (
	"fmt"
	"time"

	"github.com/moraine-archive/moraine/glacier/transfer"
)

// paceEvery is how often it is said how far a large file is, where several come and go at once.
const paceEvery = 10 * time.Second

// pace returns a function that says from time to time how far a transfer is. One that takes no longer says nothing: the line that it is done comes soon.
func (s *session) pace(name string) func(transfer.Event) {
	if s.asJSON {
		return nil
	}
	last := time.Now()
	return func(e transfer.Event) {
		if now := time.Now(); e.Total > 0 && now.Sub(last) >= paceEvery {
			last = now
			s.say("%s", paceLine(name, e))
		}
	}
}

func paceLine(name string, e transfer.Event) string {
	return fmt.Sprintf("%s: %s, %d%%, %s of %s", printable(name), e.Phase, 100*e.Done/e.Total, size(e.Done), size(e.Total))
}
