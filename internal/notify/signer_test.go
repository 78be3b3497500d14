package notify_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/notify"
)

func TestCertificate(t *testing.T) {
	s, text := signer(t)
	certificate := s.Certificate()
	checkCertificate(t, certificate)
	if !bytes.HasSuffix(text, certificate) || bytes.Contains(certificate, []byte("PRIVATE")) {
		t.Errorf("the certificate is %s", certificate)
	}
	certificate[0] = 'x'
	if bytes.Equal(certificate, s.Certificate()) {
		t.Error("a caller can change the certificate of the signer")
	}
}

// TestSignerNoticesDamage changes every byte of the text, in ways that a base64 text may survive too, and cuts, doubles and mixes it.
func TestSignerNoticesDamage(t *testing.T) {
	_, text := signer(t)
	_, other := signer(t)
	for i := range text {
		for _, flip := range []byte{1, 4, 0x20, 0x80} {
			damaged := bytes.Clone(text)
			damaged[i] ^= flip
			if _, err := notify.LoadSigner(damaged, certURL); err == nil {
				t.Errorf("byte %d is %q instead of %q, which nobody notices", i, damaged[i], text[i])
			}
		}
	}
	at := bytes.Index(text, []byte("-----BEGIN CERTIFICATE"))
	key, certificate, otherCertificate := text[:at], text[at:], other[bytes.Index(other, []byte("-----BEGIN CERTIFICATE")):]
	for what, damaged := range map[string]struct {
		text []byte
		says string
	}{
		"nothing":                 {nil, "does not begin with a private key"},
		"no certificate":          {key, "no certificate in PEM follows"},
		"no key":                  {certificate, "does not begin with a private key"},
		"another's certificate":   {bytes.Join([][]byte{key, otherCertificate}, nil), "is not that of the private key"},
		"the wrong order":         {bytes.Join([][]byte{certificate, key}, nil), "does not begin with a private key"},
		"twice":                   {bytes.Join([][]byte{text, text}, nil), "is not what the key and the certificate are written as"},
		"a line more":             {append(bytes.Clone(text), '\n'), "is not what the key and the certificate are written as"},
		"something before":        {append([]byte("# key\n"), text...), "is not what the key and the certificate are written as"},
		"line ends of DOS":        {bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")), "is not what the key and the certificate are written as"},
		"the last byte cut":       {text[:len(text)-1], "is not what the key and the certificate are written as"},
		"the last line cut":       {text[:len(text)-len("-----END CERTIFICATE-----\n")], "no certificate in PEM follows"},
		"a key of the wrong type": {bytes.Replace(text, []byte("PRIVATE KEY"), []byte("SECRET KEYS"), 2), "does not begin with a private key"},
	} {
		t.Run(what, func(t *testing.T) {
			_, err := notify.LoadSigner(damaged.text, certURL)
			wantError(t, err, "the key and certificate of notifications are damaged: ", damaged.says, "; bring them back from a copy")
		})
	}
}

func TestCertificateURL(t *testing.T) {
	_, text := signer(t)
	for _, u := range []string{"", "https://archive.example.com/notifications.pem", "http://127.0.0.1:2013/notifications.pem"} {
		if _, err := notify.LoadSigner(text, u); err != nil {
			t.Errorf("%q: %v", u, err)
		}
	}
	for _, u := range []string{"/notifications.pem", "archive.example.com/notifications.pem", "file:///notifications.pem", "https://", "http://%zz/", "https://me:secret@example.com/a.pem"} {
		_, err := notify.LoadSigner(text, u)
		wantError(t, err, "is like https://archive.example.com/notifications.pem")
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error is %q, which tells a secret", err)
		}
	}
}

// TestSignersDiffer: no key or certificate is made twice, also at the same moment.
func TestSignersDiffer(t *testing.T) {
	now := time.Now()
	one, err := notify.GenerateSigner(now)
	noError(t, err)
	two, err := notify.GenerateSigner(now)
	noError(t, err)
	if bytes.Equal(one[:200], two[:200]) {
		t.Error("the same key was made twice")
	}
}
