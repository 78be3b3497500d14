package objects

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/store"
)

// Where the objects of a store are, below its prefix.
const (
	dataDir = "data/" // bytes
	metaDir = "meta/" // what they are
	goneDir = "gone/" // which records of an object were removed
)

// name is the name of an object, of many records or of one: the time when it was begun, how many records it has, and what nobody can guess.
//
//	0000018df458bddb-0037-5a015a025a035a045a055a06
type name string

// Lengths of a name and of its pieces.
const (
	timeDigits   = 16 // hexadecimal: milliseconds since 1970
	countDigits  = 4  // decimal
	randomDigits = 24 // hexadecimal
	nameLength   = timeDigits + 1 + countDigits + 1 + randomDigits
)

// maxRecords is how many records share an object at most.
const maxRecords = 1000

func newName(now time.Time, records int) name {
	var random [randomDigits / 2]byte
	rand.Read(random[:])
	return name(fmt.Sprintf("%016x-%04d-%x", uint64(now.UnixMilli()), records, random))
}

// parseName returns the name that a text is, false if it is none.
func parseName(text string) (name, bool) {
	if len(text) != nameLength || text[timeDigits] != '-' || text[timeDigits+1+countDigits] != '-' {
		return "", false
	}
	n := name(text)
	return n, isLowerHex(text[:timeDigits]) && isLowerHex(text[nameLength-randomDigits:]) && n.records() > 0
}

func isLowerHex(text string) bool {
	_, err := hex.DecodeString(text)
	return err == nil && strings.ToLower(text) == text
}

// records returns how many records an object has.
func (n name) records() int {
	digits := string(n[timeDigits+1:][:countDigits])
	count, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return 0
	}
	return int(count)
}

// time returns when an object was begun.
func (n name) time() time.Time {
	ms, _ := strconv.ParseUint(string(n[:timeDigits]), 16, 64) // it is a number, or n were no name
	return time.UnixMilli(int64(ms)).UTC()
}

func (n name) data() string { return dataDir + string(n) }
func (n name) meta() string { return metaDir + string(n) }
func (n name) gone() string { return goneDir + string(n) + "/" }

// place names a record of an object. It has the form of a place in a volume, a name and a number, but no name of a volume has a dash.
func (n name) place(record int) store.Place {
	return store.Place(string(n) + ":" + strconv.Itoa(record))
}

// uploads names the uploads to an object that were not completed, which are no record.
func (n name) uploads() store.Place { return store.Place(string(n) + ":" + uploadsPlace) }

const uploadsPlace = "uploads"

// noRecord is the number in the place of uploads that were not completed.
const noRecord = -1

func parsePlace(at store.Place) (name, int, error) {
	text, record, _ := strings.Cut(string(at), ":")
	n, ok := parseName(text)
	if ok && record == uploadsPlace {
		return n, noRecord, nil
	}
	i, err := strconv.Atoi(record)
	if !ok || err != nil || i < 0 || i >= n.records() || strconv.Itoa(i) != record {
		return "", 0, fault.New(fault.Invalid, "%q is not a place in a bucket", at)
	}
	return n, i, nil
}

// parseVolume returns the name of an object that a volume is.
func parseVolume(text string) (name, error) {
	n, ok := parseName(text)
	if !ok {
		return n, fault.New(fault.Invalid, "%q is not the name of an object of this store", text)
	}
	return n, nil
}

// IsPlace reports whether a place is one of this package's.
func IsPlace(at store.Place) bool {
	_, _, err := parsePlace(at)
	return err == nil
}
