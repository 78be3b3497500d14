package glacier

import (
	"context"
	"iter"
	"net/url"
	"strconv"
	"time"
)

// Response is what every answer has.
type Response struct {
	RequestID string `json:"-"` // names the request to those who run the server
}

// Vault is the description of a vault. The numbers and LastInventoryDate are those of the last inventory; with Moraine they are of now, unless it emulates the original.
type Vault struct {
	Response
	ARN               string `json:"VaultARN"`
	Name              string `json:"VaultName"`
	CreationDate      time.Time
	LastInventoryDate time.Time // zero: there was none yet
	NumberOfArchives  int64
	SizeInBytes       int64
}

// CreateVaultOutput is the answer to CreateVault.
type CreateVaultOutput struct {
	Response
	Location string // path of the vault, with the 12 digits of the account
}

// CreateVault makes a vault. It does nothing if there is one of that name.
func (c *Client) CreateVault(ctx context.Context, vault string) (*CreateVaultOutput, error) {
	h, err := c.call(ctx, request{operation: "CreateVault", method: "PUT", path: vaultPath(vault), ok: []int{201}}, nil)
	if err != nil {
		return nil, err
	}
	return &CreateVaultOutput{Response{requestID(h)}, h.Get("Location")}, nil
}

// DescribeVault returns the description of a vault.
func (c *Client) DescribeVault(ctx context.Context, vault string) (*Vault, error) {
	v := new(Vault)
	h, err := c.call(ctx, request{operation: "DescribeVault", method: "GET", path: vaultPath(vault), ok: []int{200}}, v)
	return answered(v, h, err)
}

// respond sets the request id.
func (r *Response) respond(id string) { r.RequestID = id }

// answered returns an answer with its request id, or the error.
func answered[T any, P interface {
	*T
	respond(id string)
}](v P, h map[string][]string, err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	v.respond(requestID(h))
	return v, nil
}

// done returns the answer to an operation that has nothing to say.
func done(h map[string][]string, err error) (*Response, error) {
	return answered(new(Response), h, err)
}

// DeleteVault removes a vault that holds no archive, and with Amazon none that was written to since the last inventory. It does nothing if there is no such vault.
func (c *Client) DeleteVault(ctx context.Context, vault string) (*Response, error) {
	return done(c.call(ctx, request{operation: "DeleteVault", method: "DELETE", path: vaultPath(vault), ok: []int{204}}, nil))
}

// Page asks for a page of a list.
type Page struct {
	Limit  int    // items at most; zero: as many as the service gives
	Marker string // where it begins: that of the page before; "": the beginning
}

func (p Page) query() url.Values {
	q := url.Values{}
	if p.Limit != 0 {
		q.Set("limit", strconv.Itoa(p.Limit))
	}
	if p.Marker != "" {
		q.Set("marker", p.Marker)
	}
	return q
}

// VaultList is a page of vaults.
type VaultList struct {
	Response
	Vaults []Vault `json:"VaultList"`
	Marker string  // of the next page; "": this is the last
}

// ListVaults returns a page of the vaults of the account, by name.
func (c *Client) ListVaults(ctx context.Context, p Page) (*VaultList, error) {
	l := new(VaultList)
	h, err := c.call(ctx, request{operation: "ListVaults", method: "GET", path: []string{"vaults"}, query: p.query(), ok: []int{200}}, l)
	return answered(l, h, err)
}

// Vaults returns all vaults of the account, by name. It ends after an error.
func (c *Client) Vaults(ctx context.Context) iter.Seq2[Vault, error] {
	return pages(func(p Page) ([]Vault, string, error) {
		l, err := c.ListVaults(ctx, p)
		if err != nil {
			return nil, "", err
		}
		return l.Vaults, l.Marker, nil
	})
}
