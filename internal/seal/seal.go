// Package seal encrypts short secrets for keeping where others may read them.
//
// A sealed secret is "v1:" and, in base64, what AES-256-GCM makes of it: a random nonce of 12 bytes, the encrypted bytes, a tag of 16 bytes (NIST SP 800-38D).
// The place that it is for is authenticated with it, so that a sealed secret that is moved to another place cannot be opened there.
package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Key seals and opens secrets. The zero Key is of no use. It may be used by several goroutines.
type Key struct {
	material *material // behind a pointer, so that fmt does not print it as part of something else
}

type material struct {
	secret [32]byte
	aead   cipher.AEAD
}

// String keeps the key out of logs.
func (Key) String() string { return "[secret key]" }

// GoString is String.
func (k Key) GoString() string { return k.String() }

// NewKey returns a random key.
func NewKey() Key {
	var secret [32]byte
	rand.Read(secret[:]) // never fails (crypto/rand)
	return keyOf(secret)
}

func keyOf(secret [32]byte) Key {
	block, err := aes.NewCipher(secret[:])
	if err != nil {
		panic(err) // 32 bytes are a key of AES-256
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // the blocks of AES are those of GCM
	}
	return Key{&material{secret, aead}}
}

// fileForm is the form of a key file: a line with the key and the first 8 bytes of the SHA-256 of all before them.
var fileForm = regexp.MustCompile(`^moraine-secret-key-v1 ([0-9a-f]{64}) [0-9a-f]{16}\n$`) // read only

// File returns the text of the file that keeps the key.
func (k Key) File() []byte {
	line := fmt.Appendf(nil, "moraine-secret-key-v1 %x ", k.material.secret)
	sum := sha256.Sum256(line)
	return fmt.Appendf(line, "%x\n", sum[:8])
}

// Parse reads the text of a key file. Every other text than the one that File returns for a key is refused.
func Parse(file []byte) (Key, error) {
	m := fileForm.FindSubmatch(file)
	if m == nil {
		return Key{}, errors.New(`it is not one line of the form "moraine-secret-key-v1 KEY CHECKSUM"`)
	}
	var secret [32]byte
	if _, err := hex.Decode(secret[:], m[1]); err != nil {
		return Key{}, err
	}
	k := keyOf(secret)
	if !bytes.Equal(k.File(), file) {
		return Key{}, errors.New("its checksum does not match")
	}
	return k, nil
}

const prefix = "v1:"

// overhead is what sealing adds to a secret: nonce and tag.
const overhead = 12 + 16

// Seal encrypts a secret for a place.
func (k Key) Seal(secret, place string) string {
	return prefix + base64.StdEncoding.EncodeToString(k.material.aead.Seal(nil, nil, []byte(secret), []byte(place)))
}

// ErrSealed is returned by Open for a text that the key did not seal for this place, or that was changed since.
var ErrSealed = errors.New("it was not encrypted with this key for this place, or it is damaged")

// Open returns the secret in a sealed text.
func (k Key) Open(sealed, place string) (string, error) {
	b, ok := decode(sealed)
	if !ok {
		return "", errors.New("it is not encrypted")
	}
	secret, err := k.material.aead.Open(nil, nil, b, []byte(place))
	if err != nil {
		return "", ErrSealed
	}
	return string(secret), nil
}

// IsSealed reports whether a text has the form of a sealed secret.
func IsSealed(text string) bool {
	_, ok := decode(text)
	return ok
}

func decode(text string) ([]byte, bool) {
	encoded, ok := strings.CutPrefix(text, prefix)
	if !ok {
		return nil, false
	}
	b, err := base64.StdEncoding.Strict().DecodeString(encoded)
	return b, err == nil && len(b) >= overhead && !strings.ContainsAny(encoded, "\r\n")
}
