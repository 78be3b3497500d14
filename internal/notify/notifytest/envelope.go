package notifytest

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
)

// Envelope is an envelope as a receiver reads it. All members are strings.
type Envelope map[string]string

// Decode reads an envelope.
func Decode(t testing.TB, body []byte) Envelope {
	t.Helper()
	var e Envelope
	noError(t, json.Unmarshal(body, &e))
	return e
}

// Verify verifies the signature with a certificate. It is written after AWS's documentation.
//
// https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message-verify-message-signature.html
func (e Envelope) Verify(t testing.TB, certificate []byte) {
	t.Helper()
	key, ok := Certificate(t, certificate).PublicKey.(*rsa.PublicKey)
	if !ok {
		t.Fatal("the key of the certificate is not for RSA")
	}
	digest := sha256.Sum256([]byte(e.Signed()))
	if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], e.Signature(t)); err != nil {
		t.Errorf("the signature of %v: %v", e, err)
	}
}

// Signed returns the string to sign.
func (e Envelope) Signed() string {
	var text strings.Builder
	for _, name := range []string{"Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"} {
		if value, there := e[name]; there {
			text.WriteString(name + "\n" + value + "\n")
		}
	}
	return text.String()
}

// Signature returns the signature.
func (e Envelope) Signature(t testing.TB) []byte {
	t.Helper()
	signature, err := base64.StdEncoding.DecodeString(e["Signature"])
	noError(t, err)
	return signature
}

// Certificate reads a certificate in PEM.
func Certificate(t testing.TB, text []byte) *x509.Certificate {
	t.Helper()
	block, rest := pem.Decode(text)
	if block == nil || len(rest) > 0 {
		t.Fatalf("the certificate is %q", text)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	noError(t, err)
	return c
}
