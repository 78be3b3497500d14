package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dustin/go-humanize"

	"github.com/moraine-archive/moraine/internal/access"
)

// output prints the results of a command.
type output struct {
	Process
	asJSON bool
}

// printJSON prints a value for scripts.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// printList prints a line for each element, in columns.
func printList[T any](o output, list []T, columns func(T) []string) error {
	if o.asJSON {
		return printJSON(o.Stdout, list)
	}
	table := tabwriter.NewWriter(o.Stdout, 0, 0, 2, ' ', 0)
	for _, element := range list {
		fmt.Fprintln(table, strings.Join(columns(element), "\t"))
	}
	return table.Flush()
}

// done prints what was done: as a line, or as an object of texts.
func (o output) done(document map[string]string, format string, args ...any) error {
	if o.asJSON {
		return printJSON(o.Stdout, document)
	}
	_, err := fmt.Fprintf(o.Stdout, format+"\n", args...)
	return err
}

// key prints a new key.
func (o output) key(k access.Key) error {
	if o.asJSON {
		return printJSON(o.Stdout, keyDocument{k.Caller.Account, k.Caller.KeyID, k.Secret})
	}
	_, err := fmt.Fprintf(o.Stdout, "account:           %s\naccess key id:     %s\nsecret access key: %s\n", k.Caller.Account, k.Caller.KeyID, k.Secret)
	return err
}

// say prints talk to standard error.
func (o output) say(format string, args ...any) { fmt.Fprintf(o.Stderr, format+"\n", args...) }

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// age is a duration for people.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "less than a minute"
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// printable makes of a text that came from anywhere one that cannot do anything to a terminal, and has one line.
func printable(text string) string {
	if utf8.ValidString(text) && strings.IndexFunc(text, unprintable) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if unprintable(r) {
			fmt.Fprintf(&b, "\\u%04x", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func unprintable(r rune) bool { return r != ' ' && !unicode.IsPrint(r) }

// start is the beginning of an id, long enough to tell it from others.
func start(id string) string {
	if len(id) <= startLength {
		return id
	}
	return id[:startLength]
}

const startLength = 16
