package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// checkScope refuses a signature that was made for another day, service or region. Accepted are the service with any of
// the regions, and the very scope that boto 2 derives from the Host of this request: the client that people point at an
// address instead of a name must work, and it cannot be told a region (ruling 2).
func (v *Verifier) checkScope(auth Authorization, signed date, host string) error {
	if day := signed.String()[:8]; auth.Date != day {
		return badSignature("The date in 'Credential' does not match the date of the request: '%s' != '%s', from '%s'.",
			auth.Date, day, signed)
	}
	if auth.Service == v.Service && slices.Contains(v.Regions, auth.Region) {
		return nil
	}
	if service, region := hostScope(host); auth.Service == service && auth.Region == region {
		return nil
	}
	if auth.Service != v.Service {
		return badSignature("Credential should be scoped to the service '%s', not %.64q.", v.Service, auth.Service)
	}
	return badSignature("Credential should be scoped to the region '%s', not %.64q.",
		strings.Join(v.Regions, "' or '"), auth.Region)
}

// hostScope returns the service and region that boto 2 signs for a host it was given no region for. It splits at dots
// without asking what the labels are, so an IPv4 address yields its first two numbers, and a name of exactly three
// labels is taken for a regionless service of the first region ever.
func hostScope(host string) (service, region string) {
	labels := strings.Split(withoutPort(host), ".")
	switch {
	case len(labels) == 1:
		return labels[0], labels[0]
	case labels[1] == "us-gov":
		return labels[0], "us-gov-west-1"
	case len(labels) == 3:
		return labels[0], "us-east-1"
	}
	return labels[0], labels[1]
}

// withoutPort cuts a port off a Host header value. The colons of a bracketed IPv6 address stay.
func withoutPort(host string) string {
	i := strings.LastIndexByte(host, ':')
	if i < 0 || strings.Contains(host[i:], "]") {
		return host
	}
	return host[:i]
}

// signingKey derives the key of one day, region and service from a secret.
func (a Authorization) signingKey(secret string) []byte {
	key := []byte("AWS4" + secret)
	for _, part := range []string{a.Date, a.Region, a.Service, terminator} {
		key = sign(key, []byte(part))
	}
	return key
}

// signature returns what the client should have sent, in hex, if it signed this canonical request.
func (a Authorization) signature(key []byte, signed date, canonical []byte) []byte {
	digest := sha256.Sum256(canonical)
	toSign := strings.Join([]string{
		algorithm,
		signed.String(),
		strings.Join([]string{a.Date, a.Region, a.Service, terminator}, "/"),
		hex.EncodeToString(digest[:]),
	}, "\n")
	return hex.AppendEncode(nil, sign(key, []byte(toSign)))
}

func sign(key, message []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(message)
	return mac.Sum(nil)
}
