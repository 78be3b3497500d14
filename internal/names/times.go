package names

import (
	"strconv"
	"strings"
	"time"
)

// basic is ISO 8601 without separators, the form of times in all descriptions that have one.
const basic = "20060102T150405Z"

// parseTime reads a time, the zero time if it is none. As mt-aws-glacier does, it takes the separators of the extended form, white space, fractions (which it
// drops) and leap seconds too. A whole number is one of milliseconds since 1970, which glacier-interface wrote.
func parseTime(s string) time.Time {
	s = strings.Map(func(r rune) rune {
		switch r {
		case '-', ':', ' ', '\t':
			return -1
		case 't', 'z':
			return r - 'a' + 'A'
		}
		return r
	}, s)
	if millis, err := strconv.ParseInt(s, 10, 64); err == nil {
		return within(time.UnixMilli(millis).UTC())
	}
	if at := strings.IndexAny(s, ".,"); at >= 0 && strings.HasSuffix(s, "Z") {
		s = s[:at] + "Z"
	}
	var leap time.Duration
	if len(s) == len(basic) && (s[13:15] == "60" || s[13:15] == "61") {
		leap = time.Duration(s[14]-'0'+1) * time.Second
		s = s[:13] + "59Z"
	}
	t, err := time.Parse(basic, s)
	if err != nil {
		return time.Time{}
	}
	return within(t.Add(leap))
}

// within is t if it is in the years that mt-aws-glacier writes, the zero time otherwise.
func within(t time.Time) time.Time {
	if t.Year() < 1000 || t.Year() > 9999 {
		return time.Time{}
	}
	return t.Truncate(time.Second)
}
