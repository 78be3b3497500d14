package notify

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"time"
)

// signatureVersion stands for RSA (PKCS #1 v1.5) over SHA-256, in base64. Version 1 is over SHA-1.
//
// https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
const signatureVersion = "2"

// Figures of a signer.
const (
	keyBits    = 2048
	validYears = 20
	commonName = "Moraine notifications"
)

// PEM types.
const (
	keyBlock         = "PRIVATE KEY" // PKCS #8
	certificateBlock = "CERTIFICATE"
)

// Signer signs envelopes, so that receivers can tell who sent them.
type Signer struct {
	key         *rsa.PrivateKey
	certificate []byte // PEM
	url         string
}

// GenerateSigner makes a key and a certificate that is signed by itself, and returns them as one PEM text for LoadSigner. It is a secret.
func GenerateSigner(now time.Time) ([]byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, fmt.Errorf("make a key for notifications: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)) // 20 octets at most (RFC 5280, 4.1.2.2)
	if err != nil {
		return nil, fmt.Errorf("make a serial number for the certificate of notifications: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)), Subject: pkix.Name{CommonName: commonName},
		NotBefore: now, NotAfter: now.AddDate(validYears, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the certificate of notifications: %w", err)
	}
	return encodeSigner(key, certificate)
}

func encodeSigner(key *rsa.PrivateKey, certificate []byte) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode the key for notifications: %w", err)
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der}), encodeCertificate(certificate)...), nil
}

func encodeCertificate(certificate []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: certificate})
}

// LoadSigner returns the signer of a text that GenerateSigner made. It refuses a text with any change, be it one of a single bit. certURL is where
// receivers find what Certificate returns; many validators want it to begin with https and to end with .pem. It may be empty if receivers have the
// certificate already.
func LoadSigner(text []byte, certURL string) (*Signer, error) {
	if err := checkCertURL(certURL); err != nil {
		return nil, err
	}
	key, certificate, err := decodeSigner(text)
	if err != nil {
		return nil, fmt.Errorf("the key and certificate of notifications are damaged: %w; bring them back from a copy, or have new ones made and tell receivers", err)
	}
	return &Signer{key, encodeCertificate(certificate.Raw), certURL}, nil
}

func checkCertURL(certURL string) error {
	if certURL == "" {
		return nil
	}
	u, err := url.Parse(certURL)
	if err != nil || u.Scheme != schemeHTTP && u.Scheme != schemeHTTPS || u.Hostname() == "" || u.User != nil {
		return errors.New("the URL of the certificate of notifications is not one that receivers can fetch: it is like https://archive.example.com/notifications.pem")
	}
	return nil
}

func decodeSigner(text []byte) (*rsa.PrivateKey, *x509.Certificate, error) {
	first, rest := pem.Decode(text)
	if first == nil || first.Type != keyBlock {
		return nil, nil, errors.New("the text does not begin with a private key in PEM")
	}
	second, _ := pem.Decode(rest)
	if second == nil || second.Type != certificateBlock {
		return nil, nil, errors.New("no certificate in PEM follows the private key")
	}
	key, err := parseKey(first.Bytes)
	if err != nil {
		return nil, nil, err
	}
	certificate, err := parseCertificate(second.Bytes, key)
	if err != nil {
		return nil, nil, err
	}
	if again, err := encodeSigner(key, certificate.Raw); err != nil || !bytes.Equal(again, text) {
		return nil, nil, errors.New("the text is not what the key and the certificate are written as")
	}
	return key, certificate, nil
}

func parseKey(der []byte) (*rsa.PrivateKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der) // which checks that the numbers of the key belong together
	if err != nil {
		return nil, fmt.Errorf("the private key: %w", err)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("the private key is not one of RSA")
	}
	return key, nil
}

// parseCertificate reads the certificate of a key. Its signature covers all of it, so that no change goes unnoticed.
func parseCertificate(der []byte, key *rsa.PrivateKey) (*x509.Certificate, error) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("the certificate: %w", err)
	}
	if !key.PublicKey.Equal(c.PublicKey) {
		return nil, errors.New("the certificate is not that of the private key")
	}
	if err := c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature); err != nil {
		return nil, fmt.Errorf("the certificate's signature: %w", err)
	}
	return c, nil
}

// Certificate returns the certificate as PEM, for receivers. It is no secret.
func (s *Signer) Certificate() []byte { return bytes.Clone(s.certificate) }

// sign returns the signature of a text. It is the same every time.
func (s *Signer) sign(text string) (string, error) {
	digest := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(nil, s.key, crypto.SHA256, digest[:])
	return base64.StdEncoding.EncodeToString(signature), err
}
