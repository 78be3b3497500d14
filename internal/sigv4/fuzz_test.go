package sigv4

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func FuzzParseAuthorization(f *testing.F) {
	f.Add(sampleClient().authorization())
	f.Add("AWS4-HMAC-SHA256 Signature=,Credential=////,SignedHeaders=;")
	f.Add("Basic cm9vdDpzZWNyZXQ=")
	f.Fuzz(func(t *testing.T, header string) {
		auth, err := ParseAuthorization(header)
		if err != nil {
			if refusal := (*Error)(nil); !errors.As(err, &refusal) || refusal.Reason != Incomplete {
				t.Fatalf("%q: %v is not an Incomplete error", header, err)
			}
			return
		}
		if slices.Contains([]string{auth.KeyID, auth.Date, auth.Region, auth.Service, auth.Signature}, "") {
			t.Fatalf("%q: empty part in %+v", header, auth)
		}
		again, err := ParseAuthorization("AWS4-HMAC-SHA256 Credential=" + strings.Join(
			[]string{auth.KeyID, auth.Date, auth.Region, auth.Service, "aws4_request"}, "/") +
			",SignedHeaders=" + strings.Join(auth.SignedHeaders, ";") + ",Signature=" + auth.Signature)
		if err != nil || again.Signature != auth.Signature || again.KeyID != auth.KeyID {
			t.Fatalf("%q: parsed to %+v, then to %+v, %v", header, auth, again, err)
		}
	})
}

// FuzzVerify signs nothing: whatever verifies is a forgery. The seeds carry good signatures of another secret, which
// brings the fuzzer past all checks but the last.
func FuzzVerify(f *testing.F) {
	for _, row := range workedRows() {
		r := row.client.request()
		date := r.Header.Get("X-Amz-Date")
		f.Add(r.Method, r.Target, r.Host, r.Header.Get("Authorization"), date, "x-amz-archive-description", "a  \"b\"", emptyHash)
		f.Add("GET", "http://h:1/%41//..", "h:1", r.Header.Get("Authorization"), "", "date", date, emptyHash)
	}
	v := server(leapDay)
	v.Skew = 20 * 366 * 24 * time.Hour
	f.Fuzz(func(t *testing.T, method, target, host, authorization, date, name, value, payloadHash string) {
		r := Request{Method: method, Target: target, Host: host, Header: http.Header{}, ContentLength: int64(len(value)) - 1}
		r.Header.Set("Authorization", authorization)
		if date != "" {
			r.Header.Set("X-Amz-Date", date)
		}
		r.Header.Add(name, value)
		auth, err := v.Verify(r, payloadHash, func(string) (Credential, bool, error) {
			return Credential{Secret: "not the secret of the seeds"}, true, nil
		})
		if refusal := (*Error)(nil); !errors.As(err, &refusal) {
			t.Fatalf("%+v: got %v, want a refusal", r, err)
		}
		if auth.KeyID != "" {
			t.Fatalf("%+v beside %v", auth, err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	rows := workedRows()
	for _, row := range []workedRow{rows[0], rows[2], rows[4]} {
		b.Run(strings.ReplaceAll(row.name, " ", ""), func(b *testing.B) {
			v, r := server(row.client.headers["x-amz-date"]), row.client.request()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(r, row.client.hash(), longTerm); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
