package seal_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/moraine-archive/moraine/internal/seal"
)

const place = "AKIAIOSFODNN7EXAMPLE/secret"

func TestSealed(t *testing.T) {
	k := seal.NewKey()
	seen := map[string]bool{}
	for _, secret := range []string{"", "s", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "v1:", strings.Repeat("x", 4096), "\x00\xff"} {
		for range 3 {
			sealed := k.Seal(secret, place)
			if seen[sealed] || !seal.IsSealed(sealed) || len(secret) > 8 && strings.Contains(sealed, secret) {
				t.Errorf("%q is sealed as %q", secret, sealed)
			}
			seen[sealed] = true
			if got, err := k.Open(sealed, place); err != nil || got != secret {
				t.Errorf("what was %q is opened as %q, %v", secret, got, err)
			}
		}
	}
}

// TestTampered changes what was sealed, bit by bit, and asks for it with another key and at other places.
func TestTampered(t *testing.T) {
	k := seal.NewKey()
	sealed := k.Seal("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", place)
	refused := func(what string, k seal.Key, sealed, place string) {
		t.Helper()
		if got, err := k.Open(sealed, place); err == nil || got != "" || strings.Contains(err.Error(), "wJalr") {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	for at := range len(sealed) {
		for bit := range 8 {
			changed := []byte(sealed)
			changed[at] ^= 1 << bit
			refused(fmt.Sprintf("bit %d of byte %d is flipped", bit, at), k, string(changed), place)
		}
		refused(fmt.Sprintf("it ends at %d", at), k, sealed[:at], place)
	}
	for _, more := range []string{"A", "=", "\n", "AAAA"} {
		refused("there is more after it", k, sealed+more, place)
	}
	refused("another key", seal.NewKey(), sealed, place)
	for _, other := range []string{"", "AKIAIOSFODNN7EXAMPLE/token", "AKIAIOSFODNN7EXAMPLF/secret", place + "x"} {
		refused("the place "+other, k, sealed, other)
	}
	if _, err := seal.NewKey().Open(sealed, place); !errors.Is(err, seal.ErrSealed) {
		t.Errorf("another key gives %v", err)
	}
	for _, plain := range []string{"", "secret", "v1:", "v2:" + sealed[3:], "v1:c2hvcnQ=", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"} {
		refused("a text that is not sealed", k, plain, place)
		if seal.IsSealed(plain) {
			t.Errorf("%q is taken for sealed", plain)
		}
	}
}

// TestFile flips every bit of a key file, cuts it, and adds to it.
func TestFile(t *testing.T) {
	k := seal.NewKey()
	file := k.File()
	again, err := seal.Parse(file)
	if err != nil || !bytes.Equal(again.File(), file) {
		t.Fatalf("the key file %q is read as another, %v", file, err)
	}
	if got, err := again.Open(k.Seal("s", place), place); err != nil || got != "s" {
		t.Errorf("the key of the file opens %q, %v", got, err)
	}
	if bytes.Equal(seal.NewKey().File(), file) {
		t.Error("a second key is the first")
	}
	wrong := [][]byte{nil, append(bytes.Clone(file), '\n'), append([]byte(" "), file...), bytes.ToUpper(file), bytes.ReplaceAll(file, []byte("\n"), []byte("\r\n"))}
	for at := range file {
		wrong = append(wrong, file[:at])
		for bit := range 8 {
			flipped := bytes.Clone(file)
			flipped[at] ^= 1 << bit
			wrong = append(wrong, flipped)
		}
	}
	for _, b := range wrong {
		if _, err := seal.Parse(b); err == nil || strings.Contains(err.Error(), string(file[22:40])) {
			t.Errorf("%q is read as a key: %v", b, err)
		}
	}
}

func TestKeyIsNotPrinted(t *testing.T) {
	k := seal.NewKey()
	hex := string(bytes.Fields(k.File())[1])
	for _, form := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(form, k); strings.Contains(text, hex[:16]) || text != "[secret key]" {
			t.Errorf("with %s a key is printed as %s", form, text)
		}
		for _, in := range []any{struct{ K seal.Key }{k}, struct{ k seal.Key }{k}, &k, []seal.Key{k}} {
			if text := fmt.Sprintf(form, in); strings.Contains(text, hex[:8]) || strings.Contains(text, "secret:") {
				t.Errorf("with %s a key in a %T is printed as %s", form, in, text)
			}
		}
	}
}
