// Package audit writes the audit log: a line of JSON for every request that changes something, for every one that was denied, and for every command of an administrator that
// changes something. The fields are those of Entry; docs/audit.md describes them.
package audit

import (
	"encoding/json"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Entry is a line of the log. Empty fields are left out.
type Entry struct {
	Time      time.Time `json:"time"` // when the line was written, in UTC
	RequestID string    `json:"request_id,omitempty"`
	Account   string    `json:"account,omitempty"` // of the caller
	Caller    string    `json:"caller,omitempty"`  // ARN
	KeyID     string    `json:"access_key_id,omitempty"`
	Address   string    `json:"address"` // where the request came from
	UserAgent string    `json:"user_agent,omitempty"`
	Action    string    `json:"action,omitempty"`   // like glacier:DeleteArchive
	Resource  string    `json:"resource,omitempty"` // ARN
	Archive   string    `json:"archive,omitempty"`  // id
	Decision  string    `json:"decision"`
	Policy    string    `json:"policy,omitempty"`    // that decided
	Statement string    `json:"statement,omitempty"` // in it: its Sid, or its number from 1
	Status    int       `json:"status,omitempty"`    // of the answer
	Error     string    `json:"error,omitempty"`     // code of the answer
	Message   string    `json:"message,omitempty"`   // of the answer, if it is an error
	LeftOut   int       `json:"left_out,omitempty"`  // lines with the decision unauthenticated before this one, for there were too many
}

// What Decision says.
const (
	Allowed         = "allowed"
	Denied          = "denied"
	Unauthenticated = "unauthenticated" // it is not known who calls
)

// Log is an open audit log. It can be used from several goroutines, and several processes can write to one file: each appends whole lines.
type Log struct {
	path string
	size int64
	keep int

	mu      sync.Mutex
	file    *os.File      // guarded by mu: nil until the first line
	unknown *rate.Limiter // of lines about callers that nobody knows, who could fill the disk
	leftOut int           // guarded by mu: lines about them since the last that was written
}

// Lines about callers that nobody knows: so many in a second, and so many at once.
const (
	unknownRate  = 10
	unknownBurst = 100
)

// Open returns a log in a file, which is made when the first line is written, for its owner only. When a line would make it longer than a number of bytes, it is set aside under a name
// with the date, and a new one is begun; of those set aside so many are kept, the newest. Zero keeps all.
func Open(path string, size int64, keep int) *Log {
	return &Log{path: path, size: size, keep: keep, unknown: rate.NewLimiter(unknownRate, unknownBurst)}
}

// maxField is how many bytes of a field are written. Some of them clients choose: an archive id that is none can have a megabyte, which JSON makes six of, and a line
// that is longer than a file may be could not be written at all.
const maxField = 1024

// Write appends an entry. What is too long in it is cut, and ends with three dots then. Of very many lines in a short time about callers that nobody knows some are left out.
func (l *Log) Write(e Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.Decision == Unauthenticated {
		if !l.unknown.Allow() {
			l.leftOut++
			return nil
		}
		e.LeftOut, l.leftOut = l.leftOut, 0
	}
	e.Time = e.Time.UTC()
	for _, field := range []*string{&e.Caller, &e.KeyID, &e.UserAgent, &e.Resource, &e.Archive, &e.Policy, &e.Statement, &e.Message} {
		if len(*field) > maxField {
			*field = strings.ToValidUTF8((*field)[:maxField], "") + "..."
		}
	}
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return l.append(append(b, '\n'))
}

// Close closes the file.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closeFile()
}
