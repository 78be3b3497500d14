package sigv4

import (
	"slices"
	"strings"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
)

// Authorization is a parsed Authorization header.
type Authorization struct {
	// KeyID, Date, Region and Service come from the Credential part. Date has eight digits.
	KeyID, Date, Region, Service string
	// SignedHeaders are lower-case names without repetition, in the order they were sent in.
	SignedHeaders []string
	// Signature is as sent: comparing it is the only judgement on its form.
	Signature string
}

// ParseAuthorization parses a header of the form
//
//	AWS4-HMAC-SHA256 Credential=KEYID/20120525/us-east-1/glacier/aws4_request, SignedHeaders=host;x-amz-date, Signature=hex
//
// The parts may come in any order, separated by a comma with or without blanks (boto 2 sends a bare comma). Errors are
// *Error with reason Incomplete; they name the part at fault but do not repeat it, as the header may hold a password
// of some other scheme.
func ParseAuthorization(header string) (Authorization, error) {
	scheme, rest, _ := strings.Cut(strings.Trim(header, " \t"), " ")
	if scheme != algorithm {
		return Authorization{}, incomplete("Authorization header requires the algorithm '%s'.", algorithm)
	}
	credential, names, signature, err := splitParts(rest)
	if err != nil {
		return Authorization{}, err
	}
	auth, err := parseCredential(credential)
	if err != nil {
		return Authorization{}, err
	}
	auth.SignedHeaders = strings.Split(names, ";")
	auth.Signature = signature
	if err := checkHeaderNames(auth.SignedHeaders); err != nil {
		return Authorization{}, err
	}
	return auth, nil
}

// splitParts returns the values of the three parts, each of which must be there exactly once.
func splitParts(s string) (credential, signedHeaders, signature string, err error) {
	for part := range strings.SplitSeq(s, ",") {
		name, value, _ := strings.Cut(strings.Trim(part, " \t"), "=")
		var field *string
		switch name {
		case "Credential":
			field = &credential
		case "SignedHeaders":
			field = &signedHeaders
		case "Signature":
			field = &signature
		case "":
			continue
		default:
			return "", "", "", incomplete(
				"Authorization header has a parameter other than 'Credential', 'SignedHeaders' and 'Signature'.")
		}
		if *field != "" {
			return "", "", "", incomplete("Authorization header has more than one '%s' parameter.", name)
		}
		*field = value
	}
	return credential, signedHeaders, signature, checkParts(credential, signedHeaders, signature)
}

// checkParts names everything that is missing at once, so that the author of a client needs one round only.
func checkParts(credential, signedHeaders, signature string) error {
	var missing []string
	for _, part := range [][2]string{
		{"Credential", credential}, {"SignedHeaders", signedHeaders}, {"Signature", signature},
	} {
		if part[1] == "" {
			missing = append(missing, "Authorization header requires '"+part[0]+"' parameter.")
		}
	}
	if missing != nil {
		return incomplete("%s", strings.Join(missing, " "))
	}
	return nil
}

func parseCredential(s string) (Authorization, error) {
	// Counting first keeps a header full of slashes from becoming a slice as long.
	if strings.Count(s, "/") != 4 {
		return Authorization{}, incomplete("'Credential' must be keyid/date/region/service/%s.", terminator)
	}
	f := strings.Split(s, "/")
	switch {
	case slices.Contains(f, ""):
		return Authorization{}, incomplete(
			"'Credential' has an empty element; it must be keyid/date/region/service/%s.", terminator)
	case f[4] != terminator:
		return Authorization{}, incomplete("'Credential' must end in '%s'.", terminator)
	case len(f[1]) != 8 || strings.Trim(f[1], "0123456789") != "":
		return Authorization{}, incomplete("The date in 'Credential' must have the form YYYYMMDD.")
	}
	return Authorization{KeyID: f[0], Date: f[1], Region: f[2], Service: f[3]}, nil
}

// checkHeaderNames refuses names that cannot be those of signed headers. A repeated name is one: each mention would add
// the header's value to the canonical request again, and a short Authorization could ask for gigabytes.
func checkHeaderNames(names []string) error {
	for _, name := range names {
		if name == "" || strings.ContainsFunc(name, notInHeaderName) {
			return incomplete("'SignedHeaders' must be lower-case header names separated by ';'.")
		}
	}
	if !slices.IsSorted(names) {
		names = slices.Sorted(slices.Values(names))
	}
	for i := 1; i < len(names); i++ {
		if names[i] == names[i-1] {
			return incomplete("'SignedHeaders' names a header more than once.")
		}
	}
	return nil
}

// notInHeaderName is true for what is not a token character of RFC 9110, section 5.6.2, and for capitals, which
// SigV4 excludes.
func notInHeaderName(c rune) bool {
	return (c < 'a' || c > 'z') && (c < '0' || c > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
}
