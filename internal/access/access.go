// Package access says who may do what: accounts, their keys, and the decision on a request.
package access

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"math/big"

	"github.com/moraine-archive/moraine/internal/fault"
)

// Key is an access key. It signs for the root of its account.
type Key struct {
	ID      string
	Account string // 12 digits
	Secret  string
}

// Caller is who signed a request.
type Caller struct {
	KeyID   string
	Account string
}

// ARN returns the Amazon Resource Name of the caller.
func (c Caller) ARN() string { return fmt.Sprintf("arn:aws:iam::%s:root", c.Account) }

// Request is what a caller wants to do.
type Request struct {
	Caller   Caller
	Action   string // name of the operation
	Account  string // that owns the resource
	Resource string // ARN
}

// Decide returns nil if the request is allowed, an error of kind fault.Denied if not. What nothing allows is denied: the
// root of an account may do everything in its own account, and nothing elsewhere. Whether the resource exists plays no part.
func Decide(r Request) error {
	if r.Caller.Account == r.Account {
		return nil
	}
	return fault.New(fault.Denied, "User: %s is not authorized to perform: glacier:%s on resource: %s", r.Caller.ARN(), r.Action, r.Resource)
}

// NewAccountID returns a random account id: 12 digits, the first not zero.
func NewAccountID() (string, error) {
	n, err := rand.Int(rand.Reader, big.NewInt(900_000_000_000))
	if err != nil {
		return "", err
	}
	return n.Add(n, big.NewInt(100_000_000_000)).String(), nil
}

// NewKey returns a random key for an account, in the form of AWS: 20 characters beginning with AKIA, and a secret of 40 characters.
func NewKey(account string) Key {
	id, secret := make([]byte, 10), make([]byte, 30)
	rand.Read(id) // never fails (crypto/rand)
	rand.Read(secret)
	return Key{ID: "AKIA" + base32.StdEncoding.EncodeToString(id), Account: account, Secret: base64.StdEncoding.EncodeToString(secret)}
}
