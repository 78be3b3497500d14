package access

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/moraine-archive/moraine/internal/protocol"
)

// Connection is what conditions can ask of the connection that a request came by.
type Connection struct {
	Address   netip.Addr
	Secure    bool   // HTTPS
	UserAgent string // "": none was sent
	Referer   string // "": none was sent
}

// Names of condition keys, normal (normalKey). glacier: keys are those of the guide ("Amazon Glacier API Permissions"), aws: keys the global ones
// (IAM User Guide: "AWS global condition context keys").
const (
	keyAge          = "glacier:archiveageindays"
	keyTag          = "glacier:resourcetag/"
	keyPrincipalTag = "aws:principaltag/"
)

// values returns the lookup of condition keys for the request at a moment. A key that is not in it is absent: for a long-term key, for instance, nothing
// is known of multi-factor authentication, not even that there was none.
func (r *Request) values(now time.Time) lookup {
	return func(key string) []string {
		if tag, ok := strings.CutPrefix(key, keyTag); ok && r.Operation.Facts&protocol.TagFacts != 0 {
			return ofMap(r.Tags, tag)
		}
		switch key {
		case keyAge:
			if r.Age != nil && r.Operation.Facts&protocol.AgeFacts != 0 {
				return []string{strconv.FormatInt(*r.Age, 10)}
			}
		case "aws:currenttime":
			return []string{now.UTC().Format(time.RFC3339)}
		case "aws:epochtime":
			return []string{strconv.FormatInt(now.Unix(), 10)}
		}
		if values := r.Connection.values(key); values != nil {
			return values
		}
		return r.Caller.values(key, now)
	}
}

func (c Connection) values(key string) []string {
	switch key {
	case "aws:sourceip":
		if c.Address.IsValid() {
			return []string{c.Address.Unmap().String()}
		}
	case "aws:securetransport":
		return []string{strconv.FormatBool(c.Secure)}
	case "aws:useragent":
		return textual(start(c.UserAgent))
	case "aws:referer":
		return textual(start(c.Referer))
	}
	return nil
}

func (c Caller) values(key string, now time.Time) []string {
	if tag, ok := strings.CutPrefix(key, keyPrincipalTag); ok {
		return ofMap(c.Tags, tag)
	}
	switch key {
	case "aws:userid":
		return textual(c.UserID())
	case "aws:username":
		if c.Kind == User {
			return textual(c.Name)
		}
	case "aws:principalarn":
		return textual(c.PrincipalARN())
	case "aws:principalaccount":
		return textual(c.Account)
	case "aws:principaltype":
		return textual(c.Kind.String())
	}
	if c.Temporary() {
		return c.sessionValues(key, now)
	}
	return nil
}

// sessionValues are those of temporary credentials.
func (c Caller) sessionValues(key string, now time.Time) []string {
	switch key {
	case "aws:tokenissuetime":
		return []string{c.Issued.UTC().Format(time.RFC3339)}
	case "aws:multifactorauthpresent":
		return []string{strconv.FormatBool(!c.MFA.IsZero())}
	case "aws:multifactorauthage":
		if !c.MFA.IsZero() {
			return []string{strconv.FormatInt(max(0, int64(now.Sub(c.MFA)/time.Second)), 10)}
		}
	}
	return nil
}

// maxHeader is how many bytes of a header conditions see. Its sender could have sent any other, so that nothing is safer for seeing more; but a pattern of
// 20 KB would take seconds on a header of 64 KB, and variables would make gigabytes of it.
const maxHeader = 1024

func start(s string) string { return s[:min(len(s), maxHeader)] }

func ofMap(m map[string]string, key string) []string {
	if v, ok := m[key]; ok {
		return []string{v}
	}
	return nil
}

func textual(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}
