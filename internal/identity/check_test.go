package identity

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/moraine-archive/moraine/internal/catalogue"
)

// TestCheckOfSecrets damages secrets and policies behind the program's back.
func TestCheckOfSecrets(t *testing.T) {
	c := testConfig(t)
	_, k, err := AddPrincipal(t.Context(), c, NewPrincipal{Who: Who{Kind: UserKind, Name: "alice"}, Key: true}, time.Now())
	must(t, err)
	other, err := NewKey(t.Context(), c, Who{}, time.Now())
	must(t, err)
	wantSound(t, c)
	must(t, changeCatalogue(t.Context(), c, func(tx *catalogue.Tx) error {
		from, err := tx.AccessKey(other.Caller.KeyID)
		if err != nil {
			return err
		}
		moved, err := tx.AccessKey(k.Caller.KeyID)
		moved.Secret = from.Secret // that of another key
		p := catalogue.PrincipalPolicy{PrincipalID: moved.PrincipalID, Name: "p", Document: `{"Statement":[]}`}
		if err != nil {
			return err
		}
		if err := tx.PutPrincipalPolicy(p); err != nil {
			return err
		}
		return tx.PutAccessKey(moved)
	}))
	text := fmt.Sprint(findingsOf(t, c))
	for _, want := range []string{k.Caller.KeyID, `policy "p"`} {
		if !strings.Contains(text, want) {
			t.Errorf("the check finds %s, without %q", text, want)
		}
	}
	if strings.Contains(text, other.Caller.KeyID) || strings.Contains(text, other.Secret) {
		t.Errorf("the check finds %s", text)
	}
}
