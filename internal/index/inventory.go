package index

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
)

// Inventory is an inventory of a vault, all of it: one that was restricted to dates or to a number of archives is no inventory for an index.
type Inventory struct {
	VaultARN string
	// Date is when the inventory was taken. CSV does not have it: then it is the LastInventoryDate that the vault had when the job was begun. In JSON it could come
	// after the archives, so it counts only when they have been read.
	Date time.Time
	// Ahead is by how much the clock of the service is ahead of that here, if the inventory is known to have all that was done up to its date. Nil: the clocks may differ by
	// a quarter of an hour, and what was done here that shortly before the date may be missing.
	Ahead *time.Duration
	// Archives can be read once. It ends with an error if the inventory is damaged or cut short.
	Archives iter.Seq2[Archive, error]
}

// ReadInventory reads an inventory as it comes, JSON or CSV, with memory for one archive at a time. Members that are missing are taken as empty, except for the id of
// an archive; others are skipped. An inventory in CSV does not show whether lines are missing at its end: compare the hash of the job's output first.
func ReadInventory(r io.Reader) (*Inventory, error) {
	in := bufio.NewReaderSize(r, 1<<16)
	if bom, _ := in.Peek(3); string(bom) == "\ufeff" {
		in.Discard(3)
	}
	for {
		first, err := in.Peek(1)
		switch {
		case err == io.EOF:
			return nil, errors.New("the inventory is empty")
		case err != nil:
			return nil, fmt.Errorf("read the inventory: %w", err)
		case strings.ContainsRune(" \t\r\n", rune(first[0])):
			in.Discard(1)
		case first[0] == '{':
			return readJSON(in)
		default:
			return readCSV(in)
		}
	}
}

// document reads an inventory in JSON.
type document struct {
	*json.Decoder
	inventory Inventory
}

// readJSON reads up to the archives.
func readJSON(r io.Reader) (*Inventory, error) {
	d := &document{Decoder: json.NewDecoder(r)}
	if _, err := d.Token(); err != nil {
		return nil, inInventory(err)
	}
	found, err := d.members()
	if err != nil {
		return nil, err
	}
	d.inventory.Archives = func(yield func(Archive, error) bool) {
		for found {
			if more := d.list(yield); !more {
				return
			}
			if found, err = d.members(); err != nil {
				yield(Archive{}, err)
				return
			}
		}
	}
	return &d.inventory, nil
}

// members reads members up to and with the opening of a list of archives, or up to the end of the object.
func (d *document) members() (found bool, err error) {
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return false, inInventory(err)
		}
		switch name {
		case "ArchiveList":
			open, err := d.Token()
			if err != nil {
				return false, inInventory(err)
			}
			if open == json.Delim('[') {
				return true, nil
			}
			if open != nil {
				return false, fmt.Errorf("the inventory: ArchiveList is %v, not a list", open)
			}
		case "VaultARN":
			err = d.Decode(&d.inventory.VaultARN)
		case "InventoryDate":
			var text string
			if err = d.Decode(&text); err == nil {
				d.inventory.Date, err = readDate("InventoryDate", text)
			}
		default:
			var skipped json.RawMessage
			err = d.Decode(&skipped)
		}
		if err != nil {
			return false, inInventory(err)
		}
	}
	_, err = d.Token() // the end of the object
	return false, inInventory(err)
}

// list gives the archives of a list, and reports whether there may be more after it.
func (d *document) list(yield func(Archive, error) bool) bool {
	for n := 1; d.More(); n++ {
		var m struct {
			ArchiveID          string `json:"ArchiveId"`
			ArchiveDescription string
			CreationDate       string
			Size               int64
			SHA256TreeHash     string
		}
		err := inInventory(d.Decode(&m))
		var a Archive
		if err == nil {
			a, err = newArchive(n, m.ArchiveID, m.ArchiveDescription, m.CreationDate, m.Size, m.SHA256TreeHash)
		}
		if !yield(a, err) || err != nil {
			return false
		}
	}
	if _, err := d.Token(); err != nil {
		yield(Archive{}, inInventory(err))
		return false
	}
	return true
}

// newArchive is the archive number n of an inventory, as its members say.
func newArchive(n int, id, description, created string, size int64, treeHash string) (Archive, error) {
	a := Archive{ID: id, Description: description, Size: size, TreeHash: treeHash}
	if id == "" {
		return a, fmt.Errorf("the inventory: archive %d has no id", n)
	}
	if size < 0 {
		return a, fmt.Errorf("the inventory: archive %d has the size %d", n, size)
	}
	var err error
	a.Created, err = readDate("CreationDate", created)
	if err != nil {
		return a, fmt.Errorf("the inventory: archive %d: %w", n, err)
	}
	return a, nil
}

func readDate(member, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("%s %q is no date", member, text)
	}
	return t.UTC(), nil
}

// inInventory returns err with what it is about. The end of the input is too early wherever it is an error.
func inInventory(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read the inventory: %w", err)
}
