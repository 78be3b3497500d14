package catalogue

import (
	"encoding/json"
	"fmt"
	"time"
)

// The kinds of principals.
const (
	UserKind = "user"
	RoleKind = "role"
)

// Principal is a user or role of an account.
type Principal struct {
	ID        string // never used again, unlike the name
	AccountID string
	Kind      string
	Path      string // begins and ends with /
	Name      string
	Tags      map[string]string
	CreatedAt time.Time
}

func (p *Principal) fields() []any {
	return []any{nullable{&p.ID}, nullable{&p.AccountID}, nullable{&p.Kind}, nullable{&p.Path}, nullable{&p.Name}, tagColumn{&p.Tags}, moment{&p.CreatedAt}}
}

const principalColumns = `p.principal_id, p.account_id, p.kind, p.path, p.name, p.tags, p.created_at`

// tagColumn reads a column with an object of texts in JSON; null is none.
type tagColumn struct{ tags *map[string]string }

func (c tagColumn) Scan(v any) error {
	*c.tags = nil
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		return json.Unmarshal([]byte(v), c.tags)
	default:
		return fmt.Errorf("tags are a text, not %T", v)
	}
}

// InsertPrincipal adds a user or role. Its account has no other of this kind and name.
func (tx *Tx) InsertPrincipal(p Principal) error {
	tags := []byte("{}")
	if len(p.Tags) > 0 {
		var err error
		if tags, err = json.Marshal(p.Tags); err != nil {
			return err
		}
	}
	return tx.exec(`INSERT INTO principals (principal_id, account_id, kind, path, name, tags, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		p.ID, p.AccountID, p.Kind, p.Path, p.Name, string(tags), millis(p.CreatedAt))
}

// Principal returns the user or role with an id.
func (tx *Tx) Principal(id string) (Principal, error) {
	return one[Principal](tx, `SELECT `+principalColumns+` FROM principals p WHERE p.principal_id = $1`, id)
}

// PrincipalNamed returns the user or role of an account with a name.
func (tx *Tx) PrincipalNamed(account, kind, name string) (Principal, error) {
	return one[Principal](tx, `SELECT `+principalColumns+` FROM principals p WHERE p.account_id = $1 AND p.kind = $2 AND p.name = $3`, account, kind, name)
}

// Principals returns up to limit users or roles of an account after a name, by name.
func (tx *Tx) Principals(account, kind, after string, limit int) ([]Principal, error) {
	return all[Principal](tx, `SELECT `+principalColumns+` FROM principals p WHERE p.account_id = $1 AND p.kind = $2 AND p.name > $3
		ORDER BY p.name LIMIT $4`, account, kind, after, limit)
}

// RemovePrincipal removes a user or role with its policies and its keys.
func (tx *Tx) RemovePrincipal(id string) error {
	for _, query := range []string{`DELETE FROM access_keys WHERE principal_id = $1`, `DELETE FROM principal_policies WHERE principal_id = $1`} {
		if err := tx.exec(query, id); err != nil {
			return err
		}
	}
	return tx.execOne(`DELETE FROM principals WHERE principal_id = $1`, id)
}

// PrincipalPolicy is a policy of a user or role.
type PrincipalPolicy struct {
	PrincipalID string
	Name        string
	Document    string // as it was set
}

func (p *PrincipalPolicy) fields() []any { return []any{&p.PrincipalID, &p.Name, &p.Document} }

const principalPolicyColumns = `principal_id, name, document`

// PrincipalPolicies returns the policies of a user or role, by name. There are few.
func (tx *Tx) PrincipalPolicies(principal string) ([]PrincipalPolicy, error) {
	return all[PrincipalPolicy](tx, `SELECT `+principalPolicyColumns+` FROM principal_policies WHERE principal_id = $1 ORDER BY name`, principal)
}

// PrincipalPoliciesAfter returns up to limit policies of all users and roles after one, by the id of the user or role and the name.
func (tx *Tx) PrincipalPoliciesAfter(principal, name string, limit int) ([]PrincipalPolicy, error) {
	return all[PrincipalPolicy](tx, `SELECT `+principalPolicyColumns+` FROM principal_policies WHERE (principal_id, name) > ($1, $2)
		ORDER BY principal_id, name LIMIT $3`, principal, name, limit)
}

// PutPrincipalPolicy adds a policy to a user or role, or replaces the one of its name.
func (tx *Tx) PutPrincipalPolicy(p PrincipalPolicy) error {
	return tx.exec(`INSERT INTO principal_policies (`+principalPolicyColumns+`) VALUES ($1, $2, $3)
		ON CONFLICT (principal_id, name) DO UPDATE SET document = excluded.document`, p.PrincipalID, p.Name, p.Document)
}

// RemovePrincipalPolicy removes a policy from a user or role.
func (tx *Tx) RemovePrincipalPolicy(principal, name string) error {
	return tx.execOne(`DELETE FROM principal_policies WHERE principal_id = $1 AND name = $2`, principal, name)
}
