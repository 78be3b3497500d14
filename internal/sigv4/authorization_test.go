package sigv4

import (
	"slices"
	"strings"
	"testing"
)

func TestParseAuthorization(t *testing.T) {
	const (
		credential = "Credential=KEY/20120525/us-east-1/glacier/aws4_request"
		names      = "SignedHeaders=host;x-amz-date"
		signature  = "Signature=abc"
	)
	for _, header := range []string{
		algorithm + " " + credential + ", " + names + ", " + signature,
		algorithm + " " + credential + "," + names + "," + signature,
		" " + algorithm + "  " + signature + " ,\t" + credential + ",  " + names + ", ",
	} {
		auth, err := ParseAuthorization(header)
		wantError(t, err, 0, "")
		if auth.KeyID != "KEY" || auth.Date != "20120525" || auth.Region != "us-east-1" || auth.Service != "glacier" ||
			auth.Signature != "abc" || !slices.Equal(auth.SignedHeaders, []string{"host", "x-amz-date"}) {
			t.Errorf("%q: got %+v", header, auth)
		}
	}

	for _, test := range []struct{ header, message string }{
		{"", "Authorization header requires the algorithm 'AWS4-HMAC-SHA256'."},
		{"Basic cm9vdDpzZWNyZXQ=", "Authorization header requires the algorithm"},
		{"AWS KEY:signature", "Authorization header requires the algorithm"},
		{"AWS4-ECDSA-P256-SHA256 " + credential, "Authorization header requires the algorithm"},
		{
			algorithm, "Authorization header requires 'Credential' parameter. " +
				"Authorization header requires 'SignedHeaders' parameter. Authorization header requires 'Signature' parameter.",
		},
		{algorithm + " " + names + ", " + signature, "Authorization header requires 'Credential' parameter."},
		{algorithm + " " + credential + ", " + signature, "Authorization header requires 'SignedHeaders' parameter."},
		{algorithm + " " + credential + ", " + names + ", Signature=", "Authorization header requires 'Signature' parameter."},
		{algorithm + " " + credential + ", " + credential + ", " + names, "Authorization header has more than one 'Credential'"},
		{algorithm + " " + credential + ", Secret=hush, " + names, "Authorization header has a parameter other than"},
		{algorithm + " " + credential + " " + names + " " + signature, "Authorization header requires 'SignedHeaders'"},
		{of("KEY/20120525/us-east-1/glacier", names), "'Credential' must be keyid/date"},
		{of("KEY/20120525/us-east-1/glacier/aws4_request/more", names), "'Credential' must be keyid/date"},
		{of("KEY/20120525//glacier/aws4_request", names), "'Credential' has an empty element"},
		{of("/20120525/us-east-1/glacier/aws4_request", names), "'Credential' has an empty element"},
		{of("KEY/20120525/us-east-1/glacier/aws5_request", names), "'Credential' must end in 'aws4_request'."},
		{of("KEY/2012-5-2/us-east-1/glacier/aws4_request", names), "The date in 'Credential'"},
		{of("KEY/20120525/r/s/aws4_request", "SignedHeaders=host;;date"), "'SignedHeaders' must be lower-case"},
		{of("KEY/20120525/r/s/aws4_request", "SignedHeaders=Host;date"), "'SignedHeaders' must be lower-case"},
		{of("KEY/20120525/r/s/aws4_request", "SignedHeaders=host;x y"), "'SignedHeaders' must be lower-case"},
		{of("KEY/20120525/r/s/aws4_request", "SignedHeaders=host;date;host"), "'SignedHeaders' names a header more than once."},
	} {
		auth, err := ParseAuthorization(test.header)
		wantError(t, err, Incomplete, test.message)
		if auth.KeyID != "" || auth.SignedHeaders != nil {
			t.Errorf("%q: got %+v beside the error", test.header, auth)
		}
		if err != nil && (strings.Contains(err.Error(), "cm9v") || strings.Contains(err.Error(), "hush")) {
			t.Errorf("%q: message repeats what may be a secret: %v", test.header, err)
		}
	}
}

func of(credential, names string) string {
	return algorithm + " Credential=" + credential + ", " + names + ", Signature=abc"
}

func TestHostScope(t *testing.T) {
	for _, test := range []struct{ host, service, region string }{
		{"glacier.eu-1.example.org", "glacier", "eu-1"},
		{"glacier.eu-1.storage.example.org:8443", "glacier", "eu-1"},
		{"glacier.example.org", "glacier", "us-east-1"},
		{"glacier.example.org:80", "glacier", "us-east-1"},
		{"glacier.local", "glacier", "local"},
		{"glacier.us-gov.amazonaws.com", "glacier", "us-gov-west-1"},
		{"localhost", "localhost", "localhost"},
		{"localhost:8080", "localhost", "localhost"},
		{"127.0.0.1", "127", "0"},
		{"192.168.3.4:8080", "192", "168"},
		{"[::1]", "[::1]", "[::1]"},
		{"[::1]:8080", "[::1]", "[::1]"},
		{"", "", ""},
		{":80", "", ""},
	} {
		if service, region := hostScope(test.host); service != test.service || region != test.region {
			t.Errorf("hostScope(%q) = %q, %q; want %q, %q", test.host, service, region, test.service, test.region)
		}
	}
}
