package access

import "sync"

// Cache reads policies and keeps what it has read, for every request needs those of its caller and its vault. It can be used from several goroutines. The
// zero value is ready.
type Cache struct {
	mu   sync.Mutex
	read map[cached]*Policy // guarded by mu
	size int                // guarded by mu: bytes of their texts
}

type cached struct{ text, vault string }

// cacheLimit is how many bytes of text the policies have that are kept: a policy takes up to 60 times its text. When there are more, all are forgotten: most come back with the next
// requests.
const cacheLimit = 256 << 10

// Identity is ParseIdentityPolicy.
func (c *Cache) Identity(text string) (*Policy, error) {
	return c.get(cached{text, ""}, func() (*Policy, error) { return ParseIdentityPolicy(text) })
}

// Vault is ParseVaultPolicy.
func (c *Cache) Vault(text, vault string) (*Policy, error) {
	return c.get(cached{text, vault}, func() (*Policy, error) { return ParseVaultPolicy(text, vault) })
}

func (c *Cache) get(key cached, parse func() (*Policy, error)) (*Policy, error) {
	c.mu.Lock()
	p, ok := c.read[key]
	c.mu.Unlock()
	if ok {
		return p, nil
	}
	p, err := parse()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.size += len(key.text) + len(key.vault); c.read == nil || c.size > cacheLimit {
		c.read, c.size = make(map[cached]*Policy), len(key.text)+len(key.vault)
	}
	c.read[key] = p
	return p, nil
}
