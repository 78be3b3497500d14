package names

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

const (
	prefixMT2 = "mt2 "
	prefixMT1 = "mt1 "
)

// parseMT reads the forms of mt-aws-glacier: after the prefix, base64 for URLs without padding, of a JSON object with the members filename and mtime. In mt1 the
// JSON is encoded as UTF-8 twice. Source: the documentation in lib/App/MtAws/MetaData.pm, mt-aws-glacier 1.120.
//
// Unlike mt-aws-glacier it understands an object without a time, or with one that is none: the name is worth having without.
func parseMT(description string) (Name, bool) {
	raw, ok := decode64(description[len(prefixMT2):])
	if !ok {
		return Name{}, false
	}
	form := FormMT2
	if strings.HasPrefix(description, prefixMT1) {
		form = FormMT1
		if raw, ok = latin1(raw); !ok {
			return Name{}, false
		}
	}
	var object struct {
		Filename string          `json:"filename"`
		MTime    json.RawMessage `json:"mtime"` // a string; a number is taken too
	}
	if !utf8.Valid(raw) || json.Unmarshal(raw, &object) != nil || object.Filename == "" {
		return Name{}, false
	}
	return Name{Path: object.Filename, ModTime: parseTime(strings.Trim(string(object.MTime), `"`)), Form: form}, true
}

// latin1 undoes an encoding from Latin-1 to UTF-8.
func latin1(text []byte) ([]byte, bool) {
	if !utf8.Valid(text) {
		return nil, false
	}
	out := make([]byte, 0, len(text))
	for _, r := range string(text) {
		if r > 0xff {
			return nil, false
		}
		out = append(out, byte(r))
	}
	return out, true
}

// decode64 decodes base64 in either alphabet, with or without padding.
func decode64(s string) ([]byte, bool) {
	s = strings.TrimRight(strings.TrimSpace(s), "=")
	if strings.ContainsAny(s, "+/") {
		s = strings.NewReplacer("+", "-", "/", "_").Replace(s)
	}
	raw, err := base64.RawURLEncoding.DecodeString(s)
	return raw, err == nil
}
