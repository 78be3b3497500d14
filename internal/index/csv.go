package index

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// table reads an inventory in CSV. In Glacier's form a quote in quotes is \", while \ stands for itself, so that \"," can end a field or not. But only a
// description can have quotes or commas, and no field can have a line end: a line is read from both of its ends, and what is left is the description, whatever is in
// it.
type table struct {
	in     *bufio.Reader
	number int // of the line
	names  []string
}

const (
	columnID          = "ArchiveId"
	columnDescription = "ArchiveDescription"
	columnCreated     = "CreationDate"
	columnSize        = "Size"
	columnTreeHash    = "SHA256TreeHash"
)

func readCSV(in *bufio.Reader) (*Inventory, error) {
	t := &table{in: in}
	header, err := t.line()
	if err != nil {
		return nil, err
	}
	for _, name := range strings.Split(header, ",") {
		t.names = append(t.names, unquote(strings.TrimSpace(name)))
	}
	if !slices.Contains(t.names, columnID) {
		return nil, fmt.Errorf("this is no inventory: it begins with %.64q, neither a JSON object nor a line of CSV with the column %s", header, columnID)
	}
	return &Inventory{Archives: t.archives}, nil
}

func (t *table) archives(yield func(Archive, error) bool) {
	for {
		text, err := t.line()
		if err == io.EOF {
			return
		}
		if err == nil && text == "" {
			continue
		}
		var a Archive
		if err == nil {
			a, err = t.archive(text)
		}
		if !yield(a, err) || err != nil {
			return
		}
	}
}

// line is the next line without its end, and io.EOF if there is none.
func (t *table) line() (string, error) {
	t.number++
	var whole []byte
	for {
		part, err := t.in.ReadSlice('\n')
		whole = append(whole, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull) && len(whole) < 1<<20:
			continue
		case err == io.EOF && len(whole) > 0, err == nil:
			return strings.TrimRight(string(whole), "\r\n"), nil
		case err == io.EOF:
			return "", io.EOF
		}
		return "", fmt.Errorf("read the inventory: line %d: %w", t.number, err)
	}
}

func (t *table) archive(text string) (Archive, error) {
	fields, ok := t.fields(text)
	if !ok {
		return Archive{}, fmt.Errorf("the inventory: line %d has fewer fields than the first line: %.200q", t.number, text)
	}
	var values [5]string
	for i, name := range []string{columnID, columnDescription, columnCreated, columnSize, columnTreeHash} {
		if at := slices.Index(t.names, name); at >= 0 {
			values[i] = unquote(fields[at])
		}
	}
	var size int64
	if values[3] != "" {
		var err error
		if size, err = strconv.ParseInt(values[3], 10, 64); err != nil {
			return Archive{}, fmt.Errorf("the inventory: line %d: the size %q is no number", t.number, values[3])
		}
	}
	return newArchive(t.number-1, values[0], values[1], values[2], size, values[4])
}

// fields splits a line at its commas: those before the description from the left, those after it from the right.
func (t *table) fields(text string) ([]string, bool) {
	fields := make([]string, len(t.names))
	description := slices.Index(t.names, columnDescription)
	for i := len(fields) - 1; i > description && i > 0; i-- {
		at := strings.LastIndexByte(text, ',')
		if at < 0 {
			return nil, false
		}
		text, fields[i] = text[:at], text[at+1:]
	}
	for i := 0; i < description; i++ {
		before, after, found := strings.Cut(text, ",")
		if !found {
			return nil, false
		}
		fields[i], text = before, after
	}
	fields[max(description, 0)] = text
	return fields, true
}

// unquote is the value of a field. Doubled quotes, which other writers of CSV have, are understood too.
func unquote(field string) string {
	if len(field) < 2 || field[0] != '"' || field[len(field)-1] != '"' {
		return field
	}
	return strings.NewReplacer(`\"`, `"`, `""`, `"`).Replace(field[1 : len(field)-1])
}
