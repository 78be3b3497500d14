package sigv4

import (
	"net/http"
	"time"
)

// basicFormat is the ISO 8601 basic form, in which dates are signed and shown.
const basicFormat = "20060102T150405Z"

// defaultSkew is the window of the original service.
const defaultSkew = 5 * time.Minute

// A date is when a request says it was signed, and the header that says so.
type date struct {
	time.Time
	header string
}

// String returns the form that is signed, whatever form was sent.
func (d date) String() string { return d.Format(basicFormat) }

// signingDate reads x-amz-date, or Date where there is none: that order is documented. Date may also have the forms of
// RFC 1123, as it is an ordinary HTTP header.
func signingDate(r Request) (date, error) {
	if value, ok := r.value(amzDateHeader); ok {
		t, ok := parseBasic(value)
		if !ok {
			return date{}, incomplete("X-Amz-Date must have the form YYYYMMDDThhmmssZ.")
		}
		return date{t, amzDateHeader}, nil
	}
	value, ok := r.value(dateHeader)
	if !ok {
		return date{}, incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
	}
	t, ok := parseDate(value)
	if !ok {
		return date{}, incomplete("Date must have the form YYYYMMDDThhmmssZ or that of RFC 1123.")
	}
	return date{t, dateHeader}, nil
}

// parseBasic formats the result again because time.Parse alone would let a fraction of a second pass.
func parseBasic(s string) (time.Time, bool) {
	t, err := time.Parse(basicFormat, s)
	return t, err == nil && t.Format(basicFormat) == s
}

// parseDate takes zones as GMT or numbers (Python's email.utils writes -0000). time.RFC1123 is not among the layouts:
// it accepts any abbreviation and reads those it does not know as zero.
func parseDate(s string) (time.Time, bool) {
	if t, ok := parseBasic(s); ok {
		return t, true
	}
	for _, layout := range []string{http.TimeFormat, time.RFC1123Z} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// checkSkew compares whole seconds, because that is what dates have: with a finer clock a request would seem «earlier»
// than a bound that reads the same.
func (v *Verifier) checkSkew(signed date) error {
	now, skew := v.now().Truncate(time.Second), v.Skew
	if skew == 0 {
		skew = defaultSkew
	}
	oldest, newest := now.Add(-skew), now.Add(skew)
	switch {
	case signed.Before(oldest):
		return badSignature("Signature expired: %s is now earlier than %s (%s - %g min.)",
			signed, oldest.Format(basicFormat), now.Format(basicFormat), skew.Minutes())
	case signed.After(newest):
		return badSignature("Signature not yet current: %s is still later than %s (%s + %g min.)",
			signed, newest.Format(basicFormat), now.Format(basicFormat), skew.Minutes())
	}
	return nil
}

func (v *Verifier) now() time.Time {
	if v.Now == nil {
		return time.Now().UTC()
	}
	return v.Now().UTC()
}
