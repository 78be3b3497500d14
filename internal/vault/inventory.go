package vault

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/protocol"
	"github.com/moraine-archive/moraine/internal/store"
)

// checkInventory is for what can be said of the parameters of an inventory job alone.
func (p *JobParameters) checkInventory() error {
	if f := nonEmpty(p.Format); f != nil && *f != "JSON" && *f != "CSV" {
		return fault.New(fault.Invalid, "Invalid format: %q is neither JSON nor CSV", *f)
	}
	if p.Inventory == nil {
		return nil
	}
	from, err := parseDate("StartDate", p.Inventory.StartDate)
	if err != nil {
		return err
	}
	to, err := parseDate("EndDate", p.Inventory.EndDate)
	if err != nil {
		return err
	}
	if !from.IsZero() && !to.IsZero() && !from.Before(to) {
		return fault.New(fault.Invalid, "Invalid StartDate: %s is not before the EndDate %s", *p.Inventory.StartDate, *p.Inventory.EndDate)
	}
	_, err = parseItemLimit(p.Inventory.Limit)
	return err
}

// dateLayouts are the forms of dates that clients send. A fraction of seconds is accepted after the seconds of each
// (package time). No zone, and boto 2's "UTC", mean UTC.
var dateLayouts = []string{"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05", "2006-01-02T15:04:05UTC"} // read only

// dateForm is what all of them begin with. Package time would also take an hour of one digit, and a comma before the fraction.
var dateForm = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[^,]*$`) // read only

// parseDate reads a date; an absent one is the zero time.
func parseDate(name string, text *string) (time.Time, error) {
	if nonEmpty(text) == nil {
		return time.Time{}, nil
	}
	for _, layout := range dateLayouts {
		if t, err := time.Parse(layout, *text); err == nil && dateForm.MatchString(*text) {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fault.New(fault.Invalid, "Invalid %s: %q is not a date like 2024-02-29T10:11:12Z", name, *text)
}

func parseItemLimit(text *string) (*int64, error) {
	if nonEmpty(text) == nil {
		return nil, nil
	}
	n, err := strconv.ParseInt(*text, 10, 64)
	if err != nil || n < 1 {
		return nil, fault.New(fault.Invalid, "Invalid limit: %s", *text)
	}
	return &n, nil
}

// prepareInventory fills in an inventory-retrieval job: it fixes now which changes of the vault the inventory shows.
func (s *Service) prepareInventory(j *catalogue.Job, ref Ref, v catalogue.Vault, p JobParameters) error {
	j.Snapshot, j.SnapshotAt = v.InventoryChange, v.InventoryAt
	if s.settings.InventoryInterval == 0 && v.Changes > 0 {
		j.Snapshot, j.SnapshotAt = v.Changes, v.ChangedAt
	}
	format := "JSON"
	if f := nonEmpty(p.Format); f != nil {
		format = *f
	}
	j.Action, j.Format, j.DueAt = inventoryRetrieval, &format, j.CreatedAt.Add(s.settings.InventoryRetrieval.draw())
	if p.Inventory != nil {
		j.StartDate, j.EndDate, j.Marker = nonEmpty(p.Inventory.StartDate), nonEmpty(p.Inventory.EndDate), nonEmpty(p.Inventory.Marker)
		j.Limit, _ = parseItemLimit(p.Inventory.Limit) // checked before
		if _, _, err := inventoryPosition(v.ID, j.Marker); err != nil {
			return err
		}
	}
	if j.SnapshotAt.IsZero() {
		return fault.New(fault.NotFound, "Inventory retrieval jobs for vault %s cannot be initiated yet, as Amazon Glacier has not yet "+
			"generated an initial inventory for this vault.", s.ARN(ref))
	}
	return nil
}

func inventoryName(vault int64) string { return fmt.Sprintf("inventory of vault %d", vault) }

// inventoryPosition reads a marker: the creation date and the id of the last archive of the output before.
func inventoryPosition(vault int64, marker *string) (time.Time, string, error) {
	at, err := position(marker, inventoryName(vault))
	if err != nil || at == "" {
		return time.Time{}, "", err
	}
	millis, id, _ := strings.Cut(at, " ")
	n, err := strconv.ParseInt(millis, 10, 64)
	if err != nil {
		return time.Time{}, "", invalidMarker(*marker)
	}
	return time.UnixMilli(n).UTC(), id, nil
}

func inventoryMarker(a catalogue.Archive) *string {
	return encodeMarker(inventoryName(a.VaultID), fmt.Sprintf("%d %s", a.CreatedAt.UnixMilli(), a.ID))
}

// snapshot returns what an inventory job lists. Dates are compared in the seconds that the inventory shows.
func snapshot(j catalogue.Job) (catalogue.Snapshot, error) {
	from, _ := parseDate("StartDate", j.StartDate) // checked when the job was initiated
	to, _ := parseDate("EndDate", j.EndDate)
	after, id, err := inventoryPosition(j.VaultID, j.Marker)
	return catalogue.Snapshot{
		VaultID: j.VaultID, Change: j.Snapshot, From: ceilSecond(from), To: ceilSecond(to), After: after, AfterID: id,
	}, err
}

// ceilSecond returns the first whole second that is not before t.
func ceilSecond(t time.Time) time.Time {
	if down := t.Truncate(time.Second); down.Before(t) {
		return down.Add(time.Second)
	}
	return t
}

// errLimit ends an inventory at its limit.
var errLimit = errors.New("the limit is reached")

// writeInventory streams the output of an inventory job to the store. It returns where it is and the marker of what is left.
func (s *Service) writeInventory(ctx context.Context, ref Ref, j catalogue.Job) (store.Extent, *string, error) {
	list, err := snapshot(j)
	if err != nil {
		return store.Extent{}, nil, err
	}
	r, w := io.Pipe()
	var next *string
	go func() {
		doc := newInventoryWriter(w, *j.Format)
		doc.begin(s.ARN(ref), j.SnapshotAt)
		err := s.rows.View(ctx, func(tx *catalogue.Tx) error {
			return tx.Inventory(list, func(a catalogue.Archive) error {
				if j.Limit != nil && doc.items == *j.Limit {
					next = inventoryMarker(doc.last)
					return errLimit
				}
				return doc.add(a)
			})
		})
		if errors.Is(err, errLimit) {
			err = nil
		}
		w.CloseWithError(errors.Join(err, doc.end())) // happens before the reader sees the end, so next is safe to read then
	}()
	defer r.Close()
	l := label{What: isOutput, Account: ref.Account, Vault: ref.Name, Job: j.ID}
	x, err := s.putWarm(ctx, l, treehash.NewStream(r, -1, nil))
	if err != nil {
		return store.Extent{}, nil, err
	}
	return x, next, nil
}

// inventoryWriter writes an inventory document as it goes.
type inventoryWriter struct {
	w     *bufio.Writer
	csv   bool
	items int64
	last  catalogue.Archive
	line  []byte
}

func newInventoryWriter(w io.Writer, format string) *inventoryWriter {
	return &inventoryWriter{w: bufio.NewWriterSize(w, 64<<10), csv: format == "CSV"}
}

// begin writes what comes before the archives. Errors of writing are kept by the buffer until end.
func (i *inventoryWriter) begin(arn string, at time.Time) {
	if i.csv {
		i.w.WriteString("ArchiveId,ArchiveDescription,CreationDate,Size,SHA256TreeHash\n")
		return
	}
	i.line = append(i.line[:0], `{"VaultARN":`...)
	i.line = appendJSON(i.line, arn)
	i.line = append(i.line, `,"InventoryDate":"`...)
	i.line = at.UTC().AppendFormat(i.line, protocol.InventoryTimestampLayout)
	i.line = append(i.line, `","ArchiveList":[`...)
	i.w.Write(i.line)
}

// add writes an archive.
func (i *inventoryWriter) add(a catalogue.Archive) error {
	if i.csv {
		i.line = appendCSVLine(i.line[:0], a)
	} else {
		i.line = i.line[:0]
		if i.items > 0 {
			i.line = append(i.line, ',')
		}
		i.line = appendJSONItem(i.line, a)
	}
	i.items++
	i.last = a
	_, err := i.w.Write(i.line)
	return err
}

// end writes what comes after the archives.
func (i *inventoryWriter) end() error {
	if !i.csv {
		i.w.WriteString("]}")
	}
	return i.w.Flush()
}

func appendJSONItem(b []byte, a catalogue.Archive) []byte {
	b = append(b, `{"ArchiveId":`...)
	b = appendJSON(b, a.ID)
	b = append(b, `,"ArchiveDescription":`...)
	b = appendJSON(b, a.Description)
	b = append(b, `,"CreationDate":"`...)
	b = a.CreatedAt.UTC().AppendFormat(b, protocol.InventoryTimestampLayout)
	b = append(b, `","Size":`...)
	b = strconv.AppendInt(b, a.Size, 10)
	return fmt.Appendf(b, `,"SHA256TreeHash":"%x"}`, a.TreeHash)
}

// appendJSON writes a string with the escaping that JSON requires and no other (RFC 8259, 7).
func appendJSON(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20:
			b = fmt.Appendf(b, `\u%04x`, c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// appendCSVLine writes an archive as the guide has it: the description is quoted, a quote in it gets a backslash, a backslash does not.
func appendCSVLine(b []byte, a catalogue.Archive) []byte {
	b = append(b, a.ID...)
	b = append(b, `,"`...)
	b = append(b, strings.ReplaceAll(a.Description, `"`, `\"`)...)
	b = append(b, `",`...)
	b = a.CreatedAt.UTC().AppendFormat(b, protocol.InventoryTimestampLayout)
	b = append(b, ',')
	b = strconv.AppendInt(b, a.Size, 10)
	return fmt.Appendf(b, ",%x\n", a.TreeHash)
}
