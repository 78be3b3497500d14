package notify_test

import (
	"crypto/rsa"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/notify"
	"github.com/moraine-archive/moraine/internal/notify/notifytest"
)

// received is an envelope as a receiver reads it.
type received struct{ notifytest.Envelope }

// open reads an envelope and wants it to be that of a notice, signed with the key of a certificate.
func open(t *testing.T, body, certificate []byte, n notify.Notice) received {
	t.Helper()
	e := received{notifytest.Decode(t, body)}
	for name, want := range map[string]string{
		"Type": "Notification", "MessageId": n.ID, "TopicArn": n.Topic, "Message": n.Message, "Timestamp": "2024-02-29T14:02:03.000Z",
		"SignatureVersion": "2", "SigningCertURL": certURL, "UnsubscribeURL": "",
	} {
		if got, there := e.Envelope[name]; got != want || !there {
			t.Errorf("the envelope's %s is %q, want %q", name, got, want)
		}
	}
	if subject, there := e.Envelope["Subject"]; subject != n.Subject || there != (n.Subject != "") {
		t.Errorf("the envelope's Subject is %q (there: %t), want %q", subject, there, n.Subject)
	}
	checkCertificate(t, certificate)
	e.Verify(t, certificate)
	return e
}

// checkCertificate holds a certificate against what it should be.
func checkCertificate(t *testing.T, text []byte) {
	t.Helper()
	c := notifytest.Certificate(t, text)
	roots := x509.NewCertPool()
	roots.AddCert(c)
	if _, err := c.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, CurrentTime: time.Now().AddDate(19, 11, 0)}); err != nil {
		t.Errorf("the certificate: %v", err)
	}
	if c.Subject.String() != "CN=Moraine notifications" || c.PublicKey.(*rsa.PublicKey).N.BitLen() != 2048 {
		t.Errorf("the certificate is of %v", c.Subject)
	}
}

// withOpenSSL verifies the signature of an envelope with another implementation.
func (e received) withOpenSSL(t *testing.T, certificate []byte) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Logf("not verified with OpenSSL: %v", err)
		return
	}
	dir := t.TempDir()
	for name, content := range map[string][]byte{"text": []byte(e.Signed()), "signature": e.Signature(t), "certificate.pem": certificate} {
		noError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	for _, command := range []string{
		"x509 -in certificate.pem -pubkey -noout -out key.pem",
		"dgst -sha256 -verify key.pem -signature signature text",
	} {
		cmd := exec.Command("openssl", strings.Fields(command)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("openssl %s: %v: %s", command, err, out)
		}
	}
}
