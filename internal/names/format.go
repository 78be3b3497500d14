package names

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxDescription is how many characters a description may have.
const MaxDescription = 1024

// ErrTooLong is why a path does not fit into a description.
var ErrTooLong = errors.New("the path is too long for a description")

// ErrNotUTF8 is why a path cannot be in a description.
var ErrNotUTF8 = errors.New("is not UTF-8")

// Format returns the description of a file that a sync stores: the form mt2 of mt-aws-glacier, which that tool and others understand. The path is relative, with /
// between directories. The time is kept to the second; the zero time is left out, and then mt-aws-glacier does not take the archive for a file of its own.
func Format(path string, modTime time.Time) (string, error) {
	if path == "" {
		return "", errors.New("a file without a path has no description")
	}
	if !utf8.ValidString(path) {
		return "", fmt.Errorf("the path %q %w, which a description cannot hold: rename the file, or give it a description", path, ErrNotUTF8)
	}
	object := struct {
		Filename string `json:"filename"`
		MTime    string `json:"mtime,omitempty"`
	}{Filename: path}
	if !modTime.IsZero() {
		if within(modTime.UTC()).IsZero() {
			return "", fmt.Errorf("%q was changed in the year %d, which a description cannot hold (1000 to 9999): set its time", path, modTime.UTC().Year())
		}
		object.MTime = modTime.UTC().Format(basic)
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // & < > would take six characters each
	if err := encoder.Encode(object); err != nil {
		return "", fmt.Errorf("describe %q: %w", path, err)
	}
	encoding := base64.RawURLEncoding
	raw := bytes.TrimSuffix(text.Bytes(), []byte("\n"))
	if over := len(raw) - encoding.DecodedLen(MaxDescription-len(prefixMT2)); over > 0 {
		return "", fmt.Errorf("%w: that of %q would have %d characters, %d are allowed: make the path shorter by %d bytes, or begin at a directory nearer to the file",
			ErrTooLong, path, len(prefixMT2)+encoding.EncodedLen(len(raw)), MaxDescription, over)
	}
	return prefixMT2 + encoding.EncodeToString(raw), nil
}

// Plain returns the description of a file that is uploaded under a name: the path itself, for people to read. Where that cannot be, because it is not printable
// ASCII, too long, or would be read as another form, it is as Format has it without a time: with one, a sync would take it for an archive of its own.
func Plain(path string) (string, error) {
	if len(path) <= MaxDescription && printable(path) && parsesAsPlain(path) {
		return path, nil
	}
	return Format(path, time.Time{})
}

// printable reports whether s can be a description as it is. A description is sent in a header, which loses spaces at its ends.
func printable(s string) bool {
	return s != "" && strings.TrimSpace(s) == s && strings.IndexFunc(s, func(r rune) bool { return r < 0x20 || r > 0x7e }) < 0
}

func parsesAsPlain(path string) bool { return Parse(path).Form == FormPlain }
