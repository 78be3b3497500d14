// Package access says who may do what: callers and their keys, policy documents, and the decision on a request.
//
// The language is that of AWS Identity and Access Management, as far as the policies of the Amazon Glacier API use it. A request goes to Decide, and to
// nothing else; parse turns documents into what Decide reads.
package access

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// Kind is what a caller is.
type Kind int

// The kinds of callers.
const (
	Root Kind = iota + 1 // the owner of the account. Nobody is that by default
	User
	Role // somebody who has a role for a while
)

// String returns the kind as the condition key aws:PrincipalType has it.
func (k Kind) String() string { return [...]string{"", "Account", "User", "AssumedRole"}[k] }

// Caller is who signed a request.
type Caller struct {
	KeyID    string
	Account  string // 12 digits
	Kind     Kind
	Path     string // of the user or role: "/", or like "/backup/"
	Name     string // of the user or role
	ID       string // of the user or role; never used again, unlike the name
	Session  string // of a role
	Policies []Attached
	Tags     map[string]string
	Issued   time.Time // when the temporary credentials were made; zero: the key is for good
	MFA      time.Time // when the caller proved a second factor, zero: not
}

// Attached is a policy of a user or role.
type Attached struct {
	Name   string
	Policy *Policy
}

// Temporary reports whether the caller's key ends by itself.
func (c Caller) Temporary() bool { return !c.Issued.IsZero() }

// PrincipalARN returns the Amazon Resource Name of what policies belong to: the root of the account, the user, or the role.
func (c Caller) PrincipalARN() string {
	switch c.Kind {
	case User:
		return fmt.Sprintf("arn:aws:iam::%s:user%s%s", c.Account, c.Path, c.Name)
	case Role:
		return fmt.Sprintf("arn:aws:iam::%s:role%s%s", c.Account, c.Path, c.Name)
	}
	return fmt.Sprintf("arn:aws:iam::%s:root", c.Account)
}

// ARN returns the Amazon Resource Name of the caller. For a role that is the session.
func (c Caller) ARN() string {
	if c.Kind == Role {
		return fmt.Sprintf("arn:aws:sts::%s:assumed-role/%s/%s", c.Account, c.Name, c.Session)
	}
	return c.PrincipalARN()
}

// UserID returns the unique id of the caller (STS API Reference: "GetCallerIdentity").
func (c Caller) UserID() string {
	switch c.Kind {
	case User:
		return c.ID
	case Role:
		return c.ID + ":" + c.Session
	}
	return c.Account
}

// Key is an access key and who signs with it.
type Key struct {
	Caller  Caller
	Secret  string
	Token   string    // that requests have to carry too; "": the key is for good
	Expires time.Time // zero: never
}

// NewAccountID returns a random account id: 12 digits, the first not zero.
func NewAccountID() (string, error) {
	n, err := rand.Int(rand.Reader, big.NewInt(900_000_000_000))
	if err != nil {
		return "", err
	}
	return n.Add(n, big.NewInt(100_000_000_000)).String(), nil
}

// IsAccountID reports whether a text has the form of an account id: 12 digits.
func IsAccountID(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789") == ""
}

// Prefixes of identifiers, as AWS has them (IAM User Guide: "IAM identifiers").
const (
	LongTermKeyPrefix  = "AKIA"
	TemporaryKeyPrefix = "ASIA"
	UserPrefix         = "AIDA"
	RolePrefix         = "AROA"
)

// NewID returns a random identifier of 20 characters that begins with a prefix.
func NewID(prefix string) string {
	b := make([]byte, 10)
	rand.Read(b) // never fails (crypto/rand)
	return prefix + base32.StdEncoding.EncodeToString(b)
}

// NewSecret returns the secret of a new key, 40 characters.
func NewSecret() string {
	b := make([]byte, 30)
	rand.Read(b) // never fails (crypto/rand)
	return base64.StdEncoding.EncodeToString(b)
}
