package transfer

import "sync"

// Phase is what a transfer is doing.
type Phase int

// The phases. Each has its own count of bytes.
const (
	Hashing    Phase = iota // reading what is there already: of a file, to compare it with the parts of an upload; of a partial download
	Sending                 // parts
	Waiting                 // for a job
	Receiving               // ranges
	Completing              // an upload: from now on an archive may be there
)

// String returns the phase in lower case.
func (p Phase) String() string {
	return [...]string{"hashing", "sending", "waiting", "receiving", "completing"}[p]
}

// Event is how far a transfer has come.
type Event struct {
	Phase Phase
	// ID is that of the upload or job. The first event that has it comes when it is known: who keeps it can go on even if the process is killed.
	ID string
	// Done and Total are bytes. What was there before counts. Done becomes less when something has to be sent or fetched again. Total is -1 if it is not known.
	Done, Total int64
	// Parts is how many parts or ranges are finished.
	Parts int
}

// step is how many bytes move at least between two events.
const step = 256 << 10

// meter counts, and reports.
type meter struct {
	report func(Event) // nil: nobody wants to know

	mu   sync.Mutex
	e    Event // guarded by mu
	last int64 // guarded by mu: Done of the last event
}

// begin enters a phase.
func (m *meter) begin(p Phase, id string, total int64) {
	m.change(true, func(e *Event) { *e = Event{Phase: p, ID: id, Total: total} })
}

// moved counts bytes, also back.
func (m *meter) moved(n int64) { m.change(false, func(e *Event) { e.Done += n }) }

// finished counts a part, and the bytes of it that were not counted.
func (m *meter) finished(n int64) {
	m.change(true, func(e *Event) { e.Done, e.Parts = e.Done+n, e.Parts+1 })
}

func (m *meter) change(always bool, change func(*Event)) {
	if m.report == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.e)
	if always || m.e.Done-m.last >= step || m.last-m.e.Done >= step {
		m.last = m.e.Done
		m.report(m.e)
	}
}
