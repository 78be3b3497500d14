package names

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"unicode/utf16"
)

// Bits of Flags in descriptions of CloudBerry.
const (
	cloudBerryCompressed = 1 << iota
	cloudBerryEncrypted
)

// parseJSON reads JSON objects with a path. With UTCDateModified or Flags it is CloudBerry's form, in which the path is that of Windows in UTF-7:
//
//	{"Path":"c:+AFw-photos+AFw-1.jpg","UTCDateModified":"20121231T235959Z","Flags":0}
//
// (what its makers said on Stack Overflow when they were asked for the format). QNAP's app Glacier wrote {"path": "/photos/1.jpg", "type": "file"} (README of
// 6bee/qnap-backup-recovery-tool).
func parseJSON(description string) (Name, bool) {
	var object struct {
		Path            string // also path: names of members match in either case
		Type            string
		UTCDateModified *string
		Flags           *int
	}
	if json.Unmarshal([]byte(description), &object) != nil || object.Path == "" {
		return Name{}, false
	}
	n := Name{Path: object.Path, Form: FormJSON}
	switch strings.ToLower(object.Type) {
	case "dir", "directory", "folder":
		n.Directory = true
	}
	if object.UTCDateModified == nil && object.Flags == nil {
		return n, true
	}
	n.Form, n.Path = FormCloudBerry, slashed(decodeUTF7(object.Path))
	if object.UTCDateModified != nil {
		n.ModTime = parseTime(*object.UTCDateModified)
	}
	if object.Flags != nil {
		n.Compressed, n.Encrypted = *object.Flags&cloudBerryCompressed != 0, *object.Flags&cloudBerryEncrypted != 0
	}
	return n, true
}

// decodeUTF7 decodes UTF-7 (RFC 2152), or returns s as it is if it is none: older versions may have left it out.
func decodeUTF7(s string) string {
	var out strings.Builder
	for rest := s; rest != ""; {
		direct, shifted, found := strings.Cut(rest, "+")
		out.WriteString(direct)
		if !found {
			break
		}
		end := strings.IndexFunc(shifted, func(r rune) bool { return !isBase64(r) })
		if end < 0 {
			end = len(shifted)
		}
		text, ok := decodeShifted(shifted[:end])
		rest = shifted[end:]
		after, closed := strings.CutPrefix(rest, "-")
		if end == 0 {
			text, ok = "+", closed // "+-" is a plus sign
		}
		if !ok {
			return s
		}
		out.WriteString(text)
		rest = after
	}
	return out.String()
}

func isBase64(r rune) bool {
	return 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '+' || r == '/'
}

// decodeShifted decodes what is between + and - in UTF-7: base64 of UTF-16, whose bits that are left over are zero.
func decodeShifted(s string) (string, bool) {
	raw, err := base64.RawStdEncoding.Strict().DecodeString(s)
	if err != nil || len(raw)%2 != 0 {
		return "", false
	}
	units := make([]uint16, len(raw)/2)
	for i := range units {
		units[i] = uint16(raw[2*i])<<8 | uint16(raw[2*i+1])
	}
	return string(utf16.Decode(units)), true
}
